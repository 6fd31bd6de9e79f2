//! Checks the API: its response, its version, those who may call it, and the clock of this machine.

use bytes::Bytes;
use hyper::Request;
use jiff::Timestamp;
use jiff::fmt::rfc2822;

use super::finding::Finding;
use crate::api::{Api, ApiError, Description};
use crate::aws::Aws;
use crate::http::HttpResponse;

const API: &str = "api";
const CLOCK: &str = "clock";
const VERSIONS: &str = "versions";

/// AWS refuses a signature whose time is five minutes off (API Gateway and S3 take some more).
const SKEW_MAX_S: i64 = 300;
/// A clock that is kept by NTP is never this much off.
const SKEW_USUAL_S: i64 = 30;

/// Checks the API at this address. `refresh` is the version of that function, if it is known.
pub(crate) async fn findings(aws: &Aws, url: String, refresh: Option<&str>) -> Vec<Finding> {
    let api = match aws.signer(&url).and_then(|signer| Api::new(url.clone(), signer)) {
        Ok(api) => api,
        Err(error) => return vec![refused(&error)],
    };
    let root = |is_signed| {
        let api = &api;
        let request = Request::get(format!("{url}/")).body(Bytes::new());
        async move {
            let request = request.map_err(|error| ApiError::Never(error.into()))?;
            api.send(request, is_signed).await
        }
    };
    let response = match root(true).await {
        Ok(response) => response,
        Err(ApiError::Later(error)) => return vec![away(&error)],
        Err(ApiError::Never(error)) => return vec![refused(&error)],
    };
    let mut findings = Vec::new();
    match api.read::<Description>("/", &response) {
        Err(_) if response.status == 401 => findings.push(Finding::skipped(
            API,
            "the API responds 401: it wants a token, so its version is not checked",
            "This command signs its requests, and has no token.",
            "send a request with a token of your users",
        )),
        Ok(description) => {
            let version = description.info.version;
            findings.push(Finding::ok(API, format!("{url}/ responds (aurora-sync {version})")));
            findings.extend(open_to_all(&root(false).await));
            findings.push(versions(&version, refresh, env!("CARGO_PKG_VERSION")));
        }
        Err(ApiError::Later(error)) => findings.push(away(&error)),
        Err(ApiError::Never(error)) => findings.push(refused(&error)),
    }
    findings.extend(clock(response.header("date"), Timestamp::now()));
    findings
}

fn away(error: &anyhow::Error) -> Finding {
    Finding::error(
        API,
        format!("{error:#}"),
        "Nothing can be written or read over HTTP, unless it passes by itself.",
        if std::env::var_os("AWS_ENDPOINT_URL").is_some() {
            "on the local stack, give its address: --api \"$API_URL\""
        } else {
            "try again in a minute, then read the log of the function lookup"
        },
    )
}

fn refused(error: &anyhow::Error) -> Finding {
    Finding::error(
        API,
        format!("{error:#}"),
        "These credentials cannot write or read over HTTP.",
        "check the address and the permission execute-api:Invoke",
    )
}

/// Returns a finding if the API has served a request that nobody signed.
fn open_to_all(unsigned: &Result<HttpResponse, ApiError>) -> Option<Finding> {
    let is_open = unsigned.as_ref().is_ok_and(|response| response.status == 200);
    is_open.then(|| {
        Finding::warning(
            API,
            "the API serves requests that nobody signed".to_owned(),
            "Everyone on the internet can read and change what it offers.",
            "sam deploy --parameter-overrides Authorization=AWS_IAM, unless something before the API \
             checks its callers",
        )
    })
}

/// Compares the versions of the functions and of this command.
fn versions(lookup: &str, refresh: Option<&str>, command: &str) -> Finding {
    let refresh = refresh.unwrap_or(lookup);
    let what = format!("lookup is {lookup}, refresh {refresh}, this command {command}");
    if lookup != refresh {
        return Finding::error(
            VERSIONS,
            what,
            "Functions of different versions may not read each other's messages and catalog.",
            "deploy the stack again from one package",
        );
    }
    if lookup != command {
        return Finding::warning(
            VERSIONS,
            what,
            "The command may expect what the functions do not have, and miss what they have.",
            "install the command of that version, or deploy that of this command",
        );
    }
    Finding::ok(VERSIONS, format!("the functions and this command are aurora-sync {command}"))
}

/// Compares the clock of this machine with the `Date` of a response.
fn clock(date: &str, now: Timestamp) -> Option<Finding> {
    let date = rfc2822::DateTimeParser::new().parse_timestamp(date).ok()?;
    let ahead_s = now.as_second() - date.as_second();
    let (off_s, direction) =
        (ahead_s.unsigned_abs(), if ahead_s < 0 { "behind" } else { "ahead of" });
    let what = format!("the clock of this machine is {off_s} s {direction} that of the API");
    let help = "set the clock of this machine, such as by NTP";
    Some(if ahead_s.abs() > SKEW_MAX_S {
        let why = "AWS refuses signatures whose time is more than five minutes off.";
        Finding::error(CLOCK, what, why, help)
    } else if ahead_s.abs() > SKEW_USUAL_S {
        let why = "AWS refuses signatures whose time is more than five minutes off, and times of logs \
                   do not fit together.";
        Finding::warning(CLOCK, what, why, help)
    } else {
        Finding::ok(CLOCK, "the clock of this machine is right".to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::finding::Severity;

    #[test]
    fn the_clock_is_compared_with_the_date_of_a_response() {
        let date = "Sun, 29 Nov 2026 17:15:48 GMT";
        let check = |now: &str, severity, what: &str| {
            let found = clock(date, now.parse().unwrap()).unwrap();
            assert_eq!((found.severity, found.what.as_str()), (severity, what));
        };
        check("2026-11-29T17:15:58Z", Severity::Ok, "the clock of this machine is right");
        let behind = "the clock of this machine is 120 s behind that of the API";
        check("2026-11-29T17:13:48Z", Severity::Warning, behind);
        let ahead = "the clock of this machine is 3600 s ahead of that of the API";
        check("2026-11-29T18:15:48Z", Severity::Error, ahead);
        assert_eq!(clock("", Timestamp::UNIX_EPOCH), None);
    }

    #[test]
    fn versions_must_be_equal() {
        let severity = |lookup, refresh| versions(lookup, refresh, "1").severity;
        assert_eq!(severity("1", Some("1")), Severity::Ok);
        assert_eq!(severity("1", None), Severity::Ok);
        assert_eq!(severity("2", Some("2")), Severity::Warning);
        assert_eq!(severity("1", Some("2")), Severity::Error);
    }
}
