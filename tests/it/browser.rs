//! Pages of other origins call the API of the deployed template from a real browser.

use bytes::Bytes;
use http_body_util::Full;
use hyper::{Method, Response};
use local_stack::http_server::HttpServer;
use local_stack::{Options, Stack};
use serde_json::{Value, json};

use crate::end_to_end::functions;
use crate::support::browser::Browser;

/// The emulator resolves the access key, and does not check the signature.
const AUTHORIZATION: &str = "AWS4-HMAC-SHA256 Credential=test/20261123/us-east-1/execute-api/\
                             aws4_request, SignedHeaders=host, Signature=0";

/// Writes a row, follows its links, and reads a page, with the headers that a page can see.
const CALLS: &str = r#"
    const [api, authorization, done] = arguments;
    const visible = (response, ...names) => names.map(name => response.headers.get(name));
    const run = async () => {
        const headers = { authorization, 'content-type': 'application/json', prefer: 'handling=partial' };
        const body = '{"id":"B001","name":"browser"}';
        const keyed = { ...headers, 'idempotency-key': 'browser', 'x-amz-date': '20261123T000000Z' };
        const written = await fetch(api + '/staff', { method: 'POST', headers: keyed, body });
        const location = new URL(written.headers.get('location'), written.url);
        let status;
        do {
            status = await (await fetch(location, { headers: { authorization } })).json();
        } while (status.outcome === 'pending');
        const counted = { authorization, prefer: 'count=exact' };
        const page = await fetch(api + '/staff?limit=1', { headers: counted });
        const changed = await fetch(api + '/staff/B001', { method: 'PATCH', headers, body: '{"age":1}' });
        const deleted = await fetch(api + '/staff/B001', { method: 'DELETE', headers: { authorization } });
        const wrong = await fetch(api + '/nothing', { headers: { authorization } });
        return {
            written: [written.status, ...visible(written, 'preference-applied')],
            outcome: status.outcome,
            page: [page.status, ...visible(page, 'content-range', 'preference-applied')],
            etag: visible(page, 'etag')[0] !== null,
            next: (await (await fetch(new URL(visible(page, 'link')[0].match(/<(.*)>/)[1], page.url),
                { headers: { authorization } })).json()).length,
            changed: changed.status,
            deleted: deleted.status,
            wrong: [wrong.status, (await wrong.json()).type],
        };
    };
    run().then(done, error => done({ error: String(error) }));
"#;

/// Serves an empty page.
async fn page() -> HttpServer {
    let respond = |_| async {
        let page = Full::new(Bytes::from_static(b"<!doctype html><title>page</title>"));
        Ok(Response::builder().header("content-type", "text/html").body(page)?)
    };
    HttpServer::start::<_, _, Full<Bytes>>(respond).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_an_allowed_origin_may_call_the_api_and_others_may_not() {
    let (allowed, other) = (page().await, page().await);
    let options = Options::new(functions()).unwrap();
    let origins = format!("https://example.com,{}", allowed.url());
    let stack = Stack::start(options.parameter("AllowedOrigins", &origins)).await.unwrap();
    let api = stack.addresses().api_url.clone();

    let browser = Browser::open().await;
    let call_from = async |page: &HttpServer| -> Value {
        browser.go_to(&page.url()).await;
        browser.run(CALLS, &[json!(api), json!(AUTHORIZATION)]).await
    };
    assert_eq!(
        call_from(&allowed).await,
        json!({
            "written": [202, "handling=partial"],
            "outcome": "applied",
            "page": [200, "0-0/4", "count=exact"],
            "etag": true,
            "next": 1,
            "changed": 202,
            "deleted": 202,
            "wrong": [404, "urn:problem-type:aurora-sync:unknown-table"],
        })
    );
    assert_eq!(call_from(&other).await, json!({ "error": "TypeError: Failed to fetch" }));
    browser.close().await;

    let headers = [("origin", allowed.url())];
    let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let response = stack.request(Method::GET, "/staff", &headers, "").await.unwrap();
    let exposed = response.header("access-control-expose-headers").unwrap();
    let expected = "location,link,etag,content-range,preference-applied,retry-after,allow";
    assert_eq!(exposed, expected);
}
