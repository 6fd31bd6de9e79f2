//! Events of an HTTP API, as API Gateway makes them of requests (payload format 2.0).

use percent_encoding::percent_decode_str;
use serde_json::{Map, Value, json};

/// The content types of bodies that API Gateway passes on as text, and the emulator too. It passes
/// on other bodies in Base64.
const TEXT_TYPES: [&str; 4] =
    ["application/json", "application/xml", "application/javascript", "text/"];

/// The caller of a request that is signed.
pub(crate) const CALLER: &str = "arn:aws:iam::123456789012:user/staff-office";

/// Returns the event of a signed request for an address such as `/staff?age=gte.3`.
pub(crate) fn event(method: &str, address: &str, headers: &[(&str, &str)], body: &[u8]) -> Value {
    let (path, query) = address.split_once('?').unwrap_or((address, ""));
    let path = percent_decode_str(path).decode_utf8_lossy().into_owned();
    let (route, parameters) = match path.strip_prefix('/') {
        Some("") | None => ("/", Value::Null),
        Some(rest) => ("/{proxy+}", json!({ "proxy": rest })),
    };
    let route_method = if ["POST", "PUT", "PATCH", "DELETE"].contains(&method) && route != "/" {
        method
    } else {
        "ANY"
    };
    let route_key = format!("{route_method} {route}");
    let mut lines: Map<String, Value> = Map::new();
    for (name, value) in headers {
        let name = name.to_ascii_lowercase();
        let joined = match lines.get(&name).and_then(Value::as_str) {
            Some(first) => format!("{first},{value}"),
            None => (*value).to_owned(),
        };
        lines.insert(name, joined.into());
    }
    let mut event = json!({
        "version": "2.0",
        "routeKey": route_key,
        "rawPath": path,
        "rawQueryString": query,
        "headers": lines,
        "requestContext": {
            "authorizer": { "iam": { "userArn": CALLER } },
            "http": { "method": method, "path": path },
            "routeKey": route_key,
            "stage": "$default",
        },
        "pathParameters": parameters,
        "isBase64Encoded": false,
    });
    if !body.is_empty() {
        set_body(&mut event, body);
    }
    event
}

/// Sets the body of an event as API Gateway does.
pub(crate) fn set_body(event: &mut Value, body: &[u8]) {
    let content_type = event["headers"]["content-type"].as_str().unwrap_or_default();
    let is_text = TEXT_TYPES.iter().any(|known| content_type.starts_with(known));
    event["isBase64Encoded"] = (!is_text).into();
    event["body"] = if is_text {
        String::from_utf8_lossy(body).into()
    } else {
        use base64::Engine as _;
        base64::prelude::BASE64_STANDARD.encode(body).into()
    };
}

/// Returns a token of these claims. Its signature is none: only API Gateway verifies it.
pub(crate) fn token(claims: &Value) -> String {
    use base64::Engine as _;
    let encode = |value: &Value| base64::prelude::BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}.c2ln", encode(&json!({ "alg": "RS256" })), encode(claims))
}
