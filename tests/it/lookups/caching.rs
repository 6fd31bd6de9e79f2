//! Caching and compression of responses.

use std::io::Read as _;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use data_api_server::Operation;
use flate2::read::GzDecoder;

use crate::support::{STAFF, World, deadline};

#[tokio::test]
async fn an_unchanged_response_is_304() {
    let world = World::with(STAFF).await;
    for address in ["/staff/0001", "/staff?limit=1", "/staff?age=gt.99"] {
        let response = world.read(address, &[]).await;
        let tag = response.header("etag").to_owned();
        assert_eq!(response.header("cache-control"), "private, no-cache");
        assert_eq!(response.header("vary"), "Accept, Accept-Encoding, Prefer");
        let known = [("if-none-match", tag.as_str())];
        let again = world.read(address, &known).await;
        assert_eq!(
            (again.status, again.body.as_str(), again.header("etag")),
            (304, "", tag.as_str())
        );
        assert_eq!(again.header("link"), response.header("link"));
        let weak = format!("\"other\", W/{tag}");
        assert_eq!(world.read(address, &[("if-none-match", &weak)]).await.status, 304);
        // Another media type has another `ETag`.
        let csv = world.read(address, &[("if-none-match", &tag), ("accept", "text/csv")]).await;
        assert_eq!(csv.status, 200);
    }
    let response = world.read("/staff/0001", &[]).await;
    world.rows("UPDATE staff SET age = 13 WHERE id = '0001'").await;
    let known = [("if-none-match", response.header("etag"))];
    assert_eq!(world.read("/staff/0001", &known).await.status, 200);
    // A problem has no `ETag`.
    let response = world.read("/staff/9999", &[("if-none-match", "*")]).await;
    assert_eq!((response.status, response.header("etag")), (404, ""));
}

#[tokio::test]
async fn a_page_that_gets_a_next_page_has_another_etag() {
    let world = World::with(STAFF).await;
    let before = world.read("/staff?limit=3", &[]).await;
    world.rows("INSERT INTO staff VALUES ('0009', 'Late', 1)").await;
    let after = world.read("/staff?limit=3", &[("if-none-match", before.header("etag"))]).await;
    assert_eq!((after.status, &after.body), (200, &before.body));
    assert!(after.header("link").contains("rel=\"next\""));
}

#[tokio::test]
async fn head_returns_the_headers_of_get() {
    let world = World::with(STAFF).await;
    for (address, prefer) in
        [("/staff?limit=2", "count=exact"), ("/staff/0001", ""), ("/staff/9999", "")]
    {
        let headers = [("prefer", prefer), ("accept-encoding", "gzip"), ("accept", "*/*")];
        let get = world.read(address, &headers).await;
        let head = world.request("HEAD", address, &headers, deadline()).await;
        assert_eq!((head.status, head.headers), (get.status, get.headers));
        assert_eq!((head.body.as_str(), head.is_base64), ("", false));
    }
}

#[tokio::test]
async fn a_large_response_is_compressed_on_request() {
    let world = World::with(STAFF).await;
    world
        .rows("INSERT INTO staff SELECT 'x' || n, 'long name', 1 FROM generate_series(1, 100) n")
        .await;
    let plain = world.read("/staff", &[]).await;
    let zipped = world.read("/staff", &[("accept-encoding", "br, gzip"), ("accept", "*/*")]).await;
    assert_eq!((zipped.header("content-encoding"), zipped.is_base64), ("gzip", true));
    assert_ne!(zipped.header("etag"), plain.header("etag"));
    let bytes = BASE64_STANDARD.decode(&zipped.body).unwrap();
    assert!(bytes.len() * 4 < plain.body.len(), "{} bytes", bytes.len());
    let mut text = String::new();
    GzDecoder::new(bytes.as_slice()).read_to_string(&mut text).unwrap();
    assert_eq!(text, plain.body);
    let again =
        [("accept-encoding", "gzip"), ("accept", "*/*"), ("if-none-match", zipped.header("etag"))];
    assert_eq!(world.read("/staff", &again).await.status, 304);
    // The response is too small, or the client does not accept gzip.
    for (address, accept) in [("/staff?limit=1", "gzip"), ("/staff", "gzip;q=0"), ("/staff", "br")]
    {
        let response = world.read(address, &[("accept-encoding", accept), ("accept", "*/*")]).await;
        assert_eq!(response.header("content-encoding"), "");
    }
}

#[tokio::test]
async fn each_look_up_is_one_call() {
    let world = World::with(STAFF).await;
    for address in ["/staff", "/staff/0001", "/staff?age=gt.1&order=name&limit=1", "/_sync/imports"]
    {
        let begun = world.server.counters().calls(Operation::Begin);
        let calls = world.server.counters().all_calls();
        assert_eq!(world.read(address, &[]).await.status, 200);
        assert_eq!(world.server.counters().all_calls() - calls, 1, "{address}");
        assert_eq!(world.server.counters().calls(Operation::Begin), begun);
    }
}
