//! Decides which requests the page answers: those of the person who opened it, and of no other
//! page in his browser.
//!
//! Pure, but for the middleware that asks it. A page of another origin can send requests to this
//! machine, and a name of its own can lead to 127.0.0.1 (DNS rebinding). So each request must name
//! this server as its `Host` and hold the token, and one that changes something must come from a
//! page of this server.

use std::sync::Arc;

use anyhow::Context as _;
use axum::extract::{Request, State};
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, COOKIE, HOST, HeaderName, LOCATION, ORIGIN,
    REFERRER_POLICY, SET_COOKIE, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

/// The parameter of the address that holds the token.
const TOKEN: &str = "token";

/// Nothing comes from anywhere else, and no script or style stands in a page itself.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
                      connect-src 'self'; form-action 'self'; frame-ancestors 'none'; \
                      base-uri 'none'";

/// The headers of each response. `same-origin` keeps the `Origin` of forms, which `no-referrer`
/// would make `null` (Fetch Standard, "append a request Origin header").
const HEADERS: [(HeaderName, &str); 7] = [
    (CONTENT_SECURITY_POLICY, POLICY),
    (CACHE_CONTROL, "no-store"),
    (REFERRER_POLICY, "same-origin"),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (HeaderName::from_static("x-frame-options"), "DENY"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];

/// Knows the token and the port of one server.
#[derive(Debug)]
pub(super) struct Guard {
    token: String,
    port: u16,
}

/// The decision about a request.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Admission {
    Granted,
    /// The address holds the token: the browser keeps it as a cookie, and goes to this path.
    Keep(String),
    Refused(&'static str),
}

impl Guard {
    /// Makes a guard with a token that nobody can guess: 256 random bits of the system.
    pub(super) fn new(port: u16) -> anyhow::Result<Self> {
        let mut bits = [0; 32];
        getrandom::fill(&mut bits).context("the system gives no random numbers")?;
        Ok(Self { token: hex::encode(bits), port })
    }

    /// Returns the address that a person opens.
    pub(super) fn address(&self) -> String {
        format!("http://127.0.0.1:{}/?{TOKEN}={}", self.port, self.token)
    }

    /// Returns the name of the cookie. Cookies are of a host and not of a port.
    fn cookie_name(&self) -> String {
        format!("aurora-sync-studio-{}", self.port)
    }

    fn cookie(&self) -> String {
        format!("{}={}; Path=/; HttpOnly; SameSite=Strict", self.cookie_name(), self.token)
    }

    fn admit(&self, method: &Method, uri: &Uri, headers: &HeaderMap) -> Admission {
        let Some(host) = one(headers, &HOST).filter(|host| self.is_own(host)) else {
            return Admission::Refused(
                "The request names another host than this server. Open the address that \
                 aurora-sync studio has printed.",
            );
        };
        let site = headers.get("sec-fetch-site").map_or(Some("none"), |site| site.to_str().ok());
        let is_change = !matches!(*method, Method::GET | Method::HEAD);
        let is_own_page =
            one(headers, &ORIGIN).is_some_and(|from| from == format!("http://{host}"));
        if is_change && !is_own_page || !matches!(site, Some("none" | "same-origin")) {
            return Admission::Refused("The request comes from a page of another origin.");
        }
        if self.cookies(headers).any(|token| self.is_token(token)) {
            return Admission::Granted;
        }
        let query = uri.query().unwrap_or_default();
        let given = query.split('&').find_map(|pair| pair.strip_prefix(TOKEN)?.strip_prefix('='));
        if !is_change && given.is_some_and(|given| self.is_token(given)) {
            return Admission::Keep(uri.path().to_owned());
        }
        Admission::Refused(
            "The request does not hold the token of this server. Open the address that \
             aurora-sync studio has printed; each start has another one.",
        )
    }

    fn is_own(&self, host: &str) -> bool {
        ["127.0.0.1", "localhost"].iter().any(|name| host == format!("{name}:{}", self.port))
    }

    /// Returns the tokens in the cookies of a request.
    fn cookies<'h>(&self, headers: &'h HeaderMap) -> impl Iterator<Item = &'h str> {
        let name = self.cookie_name();
        let all = headers.get_all(COOKIE).into_iter().filter_map(|all| all.to_str().ok());
        all.flat_map(|all| all.split(';')).filter_map(move |cookie| {
            let (found, value) = cookie.trim().split_once('=')?;
            (found == name).then_some(value)
        })
    }

    /// Compares in a time that does not depend on where the texts differ.
    fn is_token(&self, given: &str) -> bool {
        let pairs = self.token.bytes().zip(given.bytes());
        let difference = pairs.fold(0, |difference, (a, b)| difference | (a ^ b));
        given.len() == self.token.len() && difference == 0
    }
}

/// Returns the value of a header that stands once.
fn one<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
    let mut values = headers.get_all(name).into_iter();
    let value = values.next().filter(|_| values.next().is_none())?;
    value.to_str().ok()
}

/// Lets a request through, or answers it in the place of the pages.
pub(super) async fn middleware(
    State(guard): State<Arc<Guard>>,
    request: Request,
    next: Next,
) -> Response {
    let mut response = match guard.admit(request.method(), request.uri(), request.headers()) {
        Admission::Granted => next.run(request).await,
        Admission::Keep(path) => {
            // A path that begins with two slashes would lead to another host.
            let path = format!("/{}", path.trim_start_matches('/'));
            (StatusCode::SEE_OTHER, [(SET_COOKIE, guard.cookie()), (LOCATION, path)])
                .into_response()
        }
        Admission::Refused(why) => (StatusCode::FORBIDDEN, format!("{why}\n")).into_response(),
    };
    for (name, value) in HEADERS {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    const PORT: u16 = 4711;

    fn guard() -> Guard {
        Guard { token: "secret".into(), port: PORT }
    }

    #[track_caller]
    fn check(request: &str, headers: &[(&str, &str)], expected: &Result<Option<&str>, &str>) {
        let (method, uri) = request.split_once(' ').unwrap();
        let map = headers
            .iter()
            .map(|(name, value)| {
                (name.parse::<HeaderName>().unwrap(), value.parse::<HeaderValue>().unwrap())
            })
            .collect();
        let found = guard().admit(&method.parse().unwrap(), &uri.parse().unwrap(), &map);
        match (&found, expected) {
            (Admission::Granted, Ok(None)) => {}
            (Admission::Keep(path), Ok(Some(expected))) => assert_eq!(path, expected),
            (Admission::Refused(why), Err(expected)) => assert!(why.contains(expected), "{why}"),
            _ => panic!("{request} {headers:?}: {found:?}"),
        }
    }

    const OWN: (&str, &str) = ("host", "127.0.0.1:4711");
    const COOKIE: (&str, &str) = ("cookie", "a=b; aurora-sync-studio-4711=secret");
    const OWN_PAGE: (&str, &str) = ("origin", "http://127.0.0.1:4711");

    #[test]
    fn the_token_in_the_address_becomes_a_cookie() {
        check("GET /?token=secret", &[OWN], &Ok(Some("/")));
        check("GET /tables?a=b&token=secret", &[OWN], &Ok(Some("/tables")));
        check("GET /tables", &[OWN, COOKIE], &Ok(None));
        check("GET /tables", &[("host", "localhost:4711"), COOKIE], &Ok(None));
    }

    #[test]
    fn a_request_without_the_token_is_refused() {
        check("GET /", &[OWN], &Err("token"));
        check("GET /?token=secre", &[OWN], &Err("token"));
        check("GET /?token=secrets", &[OWN], &Err("token"));
        check("GET /?token=", &[OWN], &Err("token"));
        check("GET /", &[OWN, ("cookie", "aurora-sync-studio-4712=secret")], &Err("token"));
        check("POST /?token=secret", &[OWN, OWN_PAGE], &Err("token"));
    }

    #[test]
    fn a_name_that_leads_to_this_machine_is_no_host_of_the_page() {
        for host in ["evil.example:4711", "127.0.0.1", "127.0.0.1:80", "localhost:4712", ""] {
            check("GET /", &[("host", host), COOKIE], &Err("host"));
        }
        check("GET /", &[COOKIE], &Err("host"));
        check("GET /", &[OWN, ("host", "localhost:4711"), COOKIE], &Err("host"));
    }

    #[test]
    fn a_change_comes_from_a_page_of_this_server() {
        check("POST /a", &[OWN, COOKIE, OWN_PAGE], &Ok(None));
        for origin in
            ["null", "http://evil.example", "http://127.0.0.1:4712", "http://localhost:4711"]
        {
            check("POST /a", &[OWN, COOKIE, ("origin", origin)], &Err("origin"));
        }
        check("POST /a", &[OWN, COOKIE], &Err("origin"));
        check("DELETE /a", &[OWN, COOKIE], &Err("origin"));
    }

    #[test]
    fn a_page_of_another_site_reads_nothing() {
        for site in ["cross-site", "same-site"] {
            check("GET /a", &[OWN, COOKIE, ("sec-fetch-site", site)], &Err("origin"));
        }
        check("GET /a", &[OWN, COOKIE, ("sec-fetch-site", "same-origin")], &Ok(None));
    }

    #[test]
    fn tokens_are_long_and_differ() {
        let (one, other) = (Guard::new(1).unwrap(), Guard::new(1).unwrap());
        assert_eq!(one.token.len(), 64);
        assert_ne!(one.token, other.token);
        assert!(one.address().starts_with("http://127.0.0.1:1/?token="));
    }
}
