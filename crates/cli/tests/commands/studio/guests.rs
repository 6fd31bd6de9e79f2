//! Requests of others than the person who opened the page.

use bytes::Bytes;
use http_body_util::Full;
use hyper::Request;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;

use super::Studio;

pub(super) async fn requests_of_others_are_refused(studio: &Studio) {
    let client = Client::builder(TokioExecutor::new()).build_http();
    let status = async |method: &str, path: &str, headers: &[(&str, &str)]| -> u16 {
        let mut request = Request::builder().method(method).uri(format!("{}{path}", studio.origin));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(Bytes::new())).unwrap();
        client.request(request).await.unwrap().status().as_u16()
    };
    assert_eq!(status("GET", "/", &[]).await, 403, "no token");
    assert_eq!(status("GET", "/assets/studio.js", &[]).await, 403, "no token");
    assert_eq!(status("GET", "/?token=0000", &[]).await, 403, "another token");
    assert_eq!(status("GET", "/", &[("host", "evil.example")]).await, 403, "another host");
    let foreign = [("origin", "http://evil.example")];
    assert_eq!(status("POST", "/tables/staff/new", &foreign).await, 403, "another origin");
    // The script of a page may not read the cookie, and no page may be framed.
    assert_eq!(studio.eval("document.cookie").await, "");
    let policy = "fetch('/').then(response => response.headers.get('content-security-policy'))";
    let script = format!("{policy}.then(arguments[arguments.length - 1])");
    let policy = studio.browser.run(&script, &[]).await;
    assert!(policy.as_str().unwrap().contains("frame-ancestors 'none'"), "{policy}");
}
