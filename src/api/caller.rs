//! The caller of a request, as API Gateway has verified it.
//!
//! Pure. The ledger records callers, an Idempotency-Key belongs to one, and row policies read their
//! claims.

use std::collections::HashMap;

use aws_lambda_events::apigw::{
    ApiGatewayRequestAuthorizerIamDescription, ApiGatewayV2httpRequestContext,
};
use aws_lambda_events::http::HeaderMap;
use aws_lambda_events::http::header::AUTHORIZATION;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};

use crate::api::problem::{Kind, Problem};
use crate::domain::caller::{CLAIMS_BYTES_MAX, Caller};

/// The use of row policies.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum RowSecurity {
    /// PostgreSQL does not learn who the caller is.
    #[default]
    Off,
    /// Each transaction sets the claims of its caller, and callers see only their own writes and
    /// imports.
    Claims,
}

/// Returns the caller of a request. Fails if PostgreSQL cannot hold the claims.
pub fn of(
    context: &ApiGatewayV2httpRequestContext,
    headers: &HeaderMap,
    row_security: RowSecurity,
) -> Result<Caller, Problem> {
    let authorizer = context.authorizer.as_ref();
    let (principal, claims) = match authorizer.map(|known| (&known.jwt, &known.iam)) {
        Some((Some(jwt), _)) => (Some(subject(&jwt.claims)), token_claims(&jwt.claims, headers)),
        Some((None, Some(iam))) => {
            let principal = principal(iam);
            let claims = iam_claims(iam, principal.as_deref());
            (principal, claims)
        }
        _ => (None, Map::new()),
    };
    let claims = match row_security {
        RowSecurity::Off => None,
        RowSecurity::Claims => Some(checked(&Value::Object(claims))?.into()),
    };
    Ok(Caller { principal, claims, request_id: None, resend_of: None })
}

/// Returns the claims as JSON. A policy that reads U+0000 would fail for each row.
fn checked(claims: &Value) -> Result<String, Problem> {
    let claims = claims.to_string();
    let refused = |detail: String| Err(Problem::new(Kind::InvalidClaims, detail));
    if claims.len() > CLAIMS_BYTES_MAX {
        return refused(format!("The claims of a token have at most {CLAIMS_BYTES_MAX} bytes."));
    }
    if claims.contains("\\u0000") {
        return refused(
            "The claims of the token hold U+0000, which PostgreSQL cannot store.".into(),
        );
    }
    Ok(claims)
}

/// Names the subject of a token: the issuer and the subject or, for a client without a user, the
/// client.
fn subject(claims: &HashMap<String, String>) -> String {
    let claim = |name: &str| claims.get(name).map(String::as_str).filter(|text| !text.is_empty());
    let subject = claim("sub").or_else(|| claim("client_id")).or_else(|| claim("azp"));
    format!("{}|{}", claim("iss").unwrap_or_default(), subject.unwrap_or_default())
}

/// Returns the principal of a signed request: without the name of the session, which changes
/// whenever a role is assumed again. A user of a Cognito identity pool is named by the identity, as
/// all of them share a role.
fn principal(iam: &ApiGatewayRequestAuthorizerIamDescription) -> Option<String> {
    let identity = iam.cognito_identity.as_ref();
    if let Some(identity) = identity.and_then(|known| known.identity_id.as_deref()) {
        return Some(format!("cognito-identity.amazonaws.com|{identity}"));
    }
    let arn = iam.user_arn.as_deref().filter(|arn| !arn.is_empty())?;
    Some(of_role(arn).unwrap_or_else(|| arn.to_owned()))
}

/// Returns the ARN of the role of `arn:aws:sts::123456789012:assumed-role/name/session`. It is
/// without the role's path, which the session's ARN does not have (IAM guide, "IAM identifiers").
fn of_role(arn: &str) -> Option<String> {
    let (partition, rest) = arn.strip_prefix("arn:")?.split_once(":sts::")?;
    let (account, session) = rest.split_once(":assumed-role/")?;
    let (name, _) = session.rsplit_once('/')?;
    Some(format!("arn:{partition}:iam::{account}:role/{name}"))
}

/// Returns the claims of a signed request: its account, its principal, and the unique id of the
/// principal, which is all that S3 tells of an uploader.
fn iam_claims(
    iam: &ApiGatewayRequestAuthorizerIamDescription,
    principal: Option<&str>,
) -> Map<String, Value> {
    // The id of an assumed role is followed by the name of the session. All users of a Cognito
    // identity pool have that of one role, so it says nothing of them.
    let id = iam.user_id.as_deref().filter(|_| iam.cognito_identity.is_none());
    let id = id.and_then(|id| id.split(':').next());
    let members =
        [("account", iam.account_id.as_deref()), ("principal", principal), ("principal_id", id)];
    let members = members.into_iter().filter_map(|(name, value)| Some((name, value?)));
    members.map(|(name, value)| (name.to_owned(), json!(value))).collect()
}

/// Returns the claims of a token that API Gateway has verified.
///
/// Its event has each claim as a text, so that lists and objects lose their form. The token itself
/// is in the header that API Gateway verified. Its claims are used if they are those of the event;
/// otherwise the texts are.
fn token_claims(verified: &HashMap<String, String>, headers: &HeaderMap) -> Map<String, Value> {
    let texts = || verified.iter().map(|(name, text)| (name.clone(), json!(text))).collect();
    let header = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let decoded = header.and_then(decode).filter(|claims| {
        claims.len() == verified.len()
            && claims.iter().all(|(name, value)| {
                verified.get(name).is_some_and(|text| match value {
                    Value::String(own) => own == text,
                    _ => true,
                })
            })
    });
    decoded.unwrap_or_else(texts)
}

/// Decodes the claims of a header that holds one token.
fn decode(header: &str) -> Option<Map<String, Value>> {
    let token = match header.trim().split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => token.trim(),
        Some(_) => return None,
        None => header.trim(),
    };
    let [_, claims, _] = *token.split('.').collect::<Vec<_>>() else { return None };
    let claims = BASE64_URL_SAFE_NO_PAD.decode(claims.trim_end_matches('=')).ok()?;
    serde_json::from_slice(&claims).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn caller(authorizer: &Value, header: Option<&str>, row_security: RowSecurity) -> Caller {
        refusable(authorizer, header, row_security).unwrap()
    }

    fn refusable(
        authorizer: &Value,
        header: Option<&str>,
        row_security: RowSecurity,
    ) -> Result<Caller, Problem> {
        let context = json!({ "http": { "method": "GET" }, "authorizer": authorizer });
        let mut headers = HeaderMap::new();
        if let Some(header) = header {
            headers.insert(AUTHORIZATION, header.parse().unwrap());
        }
        of(&serde_json::from_value(context).unwrap(), &headers, row_security)
    }

    fn principal_of(iam: &Value) -> Option<String> {
        caller(&json!({ "iam": iam }), None, RowSecurity::Off).principal
    }

    fn claims_of(authorizer: &Value, header: Option<&str>) -> Value {
        let caller = caller(authorizer, header, RowSecurity::Claims);
        serde_json::from_str(&caller.claims.unwrap()).unwrap()
    }

    fn token(claims: &Value) -> String {
        let encode = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
        format!("{}.{}.c2ln", encode(&json!({ "alg": "RS256" })), encode(claims))
    }

    #[test]
    fn a_principal_has_no_session_name() {
        let check = |arn: &str, expected: &str| {
            assert_eq!(principal_of(&json!({ "userArn": arn })).as_deref(), Some(expected));
        };
        let role = "arn:aws:iam::123456789012:role/loader";
        check("arn:aws:sts::123456789012:assumed-role/loader/monday", role);
        check("arn:aws:sts::123456789012:assumed-role/loader/tuesday", role);
        check(
            "arn:aws-cn:sts::123456789012:assumed-role/loader/x",
            "arn:aws-cn:iam::123456789012:role/loader",
        );
        check("arn:aws:iam::123456789012:user/ann", "arn:aws:iam::123456789012:user/ann");
        check("arn:aws:sts::1:federated-user/bob", "arn:aws:sts::1:federated-user/bob");
        check("arn:aws:iam::123456789012:root", "arn:aws:iam::123456789012:root");
    }

    #[test]
    fn users_of_an_identity_pool_are_different_principals() {
        let arn = "arn:aws:sts::1:assumed-role/pool/CognitoIdentityCredentials";
        let of = |id: &str| {
            let identity = json!({ "amr": [], "identityId": id, "identityPoolId": "us-east-1:p" });
            principal_of(&json!({ "userArn": arn, "cognitoIdentity": identity })).unwrap()
        };
        assert_eq!(of("us-east-1:a"), "cognito-identity.amazonaws.com|us-east-1:a");
        assert_ne!(of("us-east-1:a"), of("us-east-1:b"));
        // The unique id is that of the role, which they share.
        let identity = json!({ "amr": [], "identityId": "us-east-1:a" });
        let iam = json!({ "userArn": arn, "userId": "AROAPOOL:x", "cognitoIdentity": identity });
        let expected = json!({ "principal": of("us-east-1:a") });
        assert_eq!(claims_of(&json!({ "iam": iam }), None), expected);
    }

    #[test]
    fn an_open_api_has_no_principal_and_no_claims() {
        let caller = caller(&Value::Null, Some("Bearer x.y.z"), RowSecurity::Claims);
        assert_eq!(caller, Caller { claims: Some("{}".into()), ..Caller::default() });
    }

    #[test]
    fn a_token_is_named_by_issuer_and_subject() {
        let principal = |claims: Value| {
            caller(&json!({ "jwt": { "claims": claims } }), None, RowSecurity::Off).principal
        };
        let check = |claims: Value, expected: &str| {
            assert_eq!(principal(claims).as_deref(), Some(expected));
        };
        check(json!({ "iss": "https://id.example", "sub": "42" }), "https://id.example|42");
        check(json!({ "iss": "https://id.example", "client_id": "job" }), "https://id.example|job");
        check(json!({}), "|");
    }

    #[test]
    fn claims_of_a_signed_request_are_account_and_principal() {
        let arn = "arn:aws:sts::123456789012:assumed-role/loader/monday";
        let iam = json!({ "iam": {
            "accountId": "123456789012", "userArn": arn, "userId": "AROAEXAMPLE:monday",
        } });
        let principal = "arn:aws:iam::123456789012:role/loader";
        let expected = json!({
            "account": "123456789012", "principal": principal, "principal_id": "AROAEXAMPLE",
        });
        assert_eq!(claims_of(&iam, None), expected);
    }

    #[test]
    fn claims_keep_the_form_that_they_have_in_the_verified_token() {
        let claims = json!({
            "iss": "https://id.example", "sub": "it's \"42\"", "exp": 1_900_000_000,
            "app_metadata": { "tenant": "acme", "roles": ["a", "b"] },
        });
        let texts = json!({
            "iss": "https://id.example", "sub": "it's \"42\"", "exp": "1900000000",
            "app_metadata": "map[roles:[a b] tenant:acme]",
        });
        let verified = json!({ "jwt": { "claims": texts } });
        for header in [format!("Bearer {}", token(&claims)), token(&claims)] {
            assert_eq!(claims_of(&verified, Some(&header)), claims);
        }
    }

    #[test]
    fn a_header_that_is_not_the_verified_token_adds_nothing() {
        let texts = json!({ "iss": "https://id.example", "sub": "42", "tenant": "[acme]" });
        let verified = json!({ "jwt": { "claims": texts } });
        let own = json!({ "iss": "https://id.example", "sub": "42", "tenant": ["acme"] });
        let others = [
            json!({ "iss": "https://id.example", "sub": "43", "tenant": ["acme"] }),
            json!({ "iss": "https://id.example", "sub": "42" }),
            json!({ "iss": "https://id.example", "sub": "42", "tenant": ["acme"], "admin": true }),
        ];
        for other in others {
            let header = format!("Bearer {}", token(&other));
            assert_eq!(claims_of(&verified, Some(&header)), texts);
        }
        // API Gateway joins two headers of one name.
        let two = format!("Bearer {},Bearer {}", token(&own), token(&own));
        for header in [two.as_str(), "Basic eDp5", "Bearer a.b", "Bearer a.!.c"] {
            assert_eq!(claims_of(&verified, Some(header)), texts);
        }
    }

    #[test]
    fn claims_that_no_policy_could_read_are_refused() {
        let refused = |text: &str| {
            let authorizer = json!({ "jwt": { "claims": { "sub": text } } });
            let header = token(&json!({ "sub": text }));
            let refused = |mode| refusable(&authorizer, Some(&header), mode).is_err();
            assert!(!refused(RowSecurity::Off));
            refused(RowSecurity::Claims)
        };
        assert!(refused("a\0b"));
        assert!(refused(&"x".repeat(100_000)));
        assert!(!refused("'; DROP TABLE staff; -- \"\\"));
    }
}
