//! HTTP, as clients that know nothing of the API meet it: links, methods, codings, media types.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use url::Url;
use uuid::Uuid;

use crate::support::lookups::next_link;
use crate::support::write_api::WriteApi;
use crate::support::{HttpResponse, STAFF, World, http_api};

const JSON: (&str, &str) = ("content-type", "application/json");

/// Both functions behind an address, as a client reaches them.
struct Api {
    world: World,
    writes: WriteApi,
    root: Url,
}

impl Api {
    async fn at(root: &str) -> Self {
        let (world, writes) = (World::with(STAFF).await, WriteApi::open(STAFF).await);
        Self { world, writes, root: Url::parse(root).unwrap() }
    }

    /// Sends a request to a URL, through a gateway that takes the root of the API away.
    async fn send(
        &self,
        method: &str,
        url: &Url,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> HttpResponse {
        let path = url.as_str().strip_prefix(self.root.as_str());
        let path = path.unwrap_or_else(|| panic!("{url} is not below {}", self.root));
        let event = http_api::event(method, &format!("/{path}"), headers, body);
        match method {
            "POST" | "PUT" | "PATCH" | "DELETE" => self.writes.request(event).await,
            _ => self.world.lookup(event).await,
        }
    }

    /// Has queued writes applied.
    async fn apply(&self) {
        self.world.apply(self.writes.queue.drain().await).await.unwrap();
    }

    async fn get(&self, url: &Url) -> Value {
        let response = self.send("GET", url, &[], b"").await;
        assert_eq!(response.status, 200, "{url}: {}", response.body);
        response.json()
    }
}

#[tokio::test]
async fn every_link_resolves_against_the_url_of_the_request() {
    let at_stage = Api::at("https://a1.execute-api.eu-west-1.amazonaws.com/").await;
    let at_base_path = Api::at("https://api.example.com/base/path/").await;
    let at_emulator = Api::at("http://127.0.0.1:4566/_aws/execute-api/a1/").await;
    for api in [at_stage, at_base_path, at_emulator] {
        let resolve =
            |base: &Url, reference: &Value| base.join(reference.as_str().unwrap()).unwrap();
        let key = ("idempotency-key", "k");
        for (method, path, headers, body) in [
            ("POST", "staff", &[JSON][..], r#"{"id":"0004","name":"x"}"#),
            ("POST", "staff", &[JSON, key], r#"{"id":"0005","name":"x"}"#),
            ("PUT", "staff/0001", &[JSON], r#"{"name":"x"}"#),
            ("PATCH", "staff/0002", &[JSON, key], r#"{"name":"x"}"#),
            ("DELETE", "staff/a%2Fb", &[], ""),
        ] {
            let url = api.root.join(path).unwrap();
            let response = api.send(method, &url, headers, body.as_bytes()).await;
            assert_eq!(response.status, 202, "{method} {url}: {}", response.body);
            api.apply().await;
            let status = resolve(&url, &response.json()["status"]);
            let location = url.join(response.header("location")).unwrap();
            assert_eq!(location, status);
            assert_eq!(api.get(&location).await["id"], response.json()["id"]);
        }

        let url = api.root.join("staff").unwrap();
        let list = api.send("DELETE", &url, &[JSON], br#"["0004","0005"]"#).await;
        api.apply().await;
        for write in list.json()["writes"].as_array().unwrap() {
            assert_eq!(api.get(&resolve(&url, &write["status"])).await["outcome"], "applied");
        }

        let first = api.root.join("staff?limit=2").unwrap();
        let page = api.send("GET", &first, &[], b"").await;
        let second = first.join(&next_link(&page).unwrap()).unwrap();
        assert_eq!(api.get(&second).await.as_array().unwrap().len(), 1);

        let id = Uuid::now_v7();
        let sql =
            "INSERT INTO sync.write (id, table_name, key, operation, outcome, rule, accepted_at)
                   VALUES ('{id}', 'staff', '0001', 'update', 'rejected', 'database', now())";
        api.world.rows(&sql.replace("{id}", &id.to_string())).await;
        for path in ["staff", "staff/0001", "_sync/imports"] {
            let url = api.root.join(&format!("{path}?after={id}")).unwrap();
            let response = api.send("GET", &url, &[], b"").await;
            assert_eq!(response.status, 409, "{}", response.body);
            let status = resolve(&url, &response.json()["writes"][0]["status"]);
            assert_eq!(api.get(&status).await["id"], id.to_string());
        }

        let description = api.get(&api.root).await;
        let server = resolve(&api.root, &description["servers"][0]["url"]);
        assert_eq!(server, api.root);
    }
}

#[tokio::test]
async fn a_method_that_a_path_does_not_support_is_405_with_those_that_it_does() {
    let api = Api::at("https://example.com/").await;
    let all = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";
    let of_row = "GET, HEAD, PUT, PATCH, DELETE, OPTIONS";
    for (method, path, status, allow) in [
        ("TRACE", "staff", 405, all),
        ("TRACE", "staff/0001", 405, of_row),
        ("POST", "staff/0001", 405, of_row),
        ("PUT", "_sync/imports", 405, "GET, HEAD, OPTIONS"),
        ("DELETE", "_sync/writes/1", 405, "GET, HEAD, OPTIONS"),
        ("TRACE", "", 405, "GET, HEAD, OPTIONS"),
        ("TRACE", "nothing", 404, ""),
        ("TRACE", "_sync/nothing", 404, ""),
        ("POST", "_sync/nothing", 404, ""),
        ("OPTIONS", "staff", 204, all),
        ("OPTIONS", "staff/0001", 204, of_row),
        // Nobody signs it in browsers, so it does not tell that there is no such table.
        ("OPTIONS", "nothing", 204, all),
        ("OPTIONS", "_sync/imports", 204, "GET, HEAD, OPTIONS"),
        ("OPTIONS", "", 204, "GET, HEAD, OPTIONS"),
        ("OPTIONS", "_sync/nothing", 404, ""),
    ] {
        let url = api.root.join(path).unwrap();
        let response = api.send(method, &url, &[JSON], b"").await;
        let found = (response.status, response.header("allow"));
        assert_eq!(found, (status, allow), "{method} {path}: {}", response.body);
        assert_eq!(response.body.is_empty(), status == 204);
    }
}

fn gzipped(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

#[tokio::test]
async fn a_compressed_body_is_read_where_the_gateway_passes_its_bytes_on() {
    let api = Api::at("https://example.com/").await;
    let url = api.root.join("staff").unwrap();
    let body = gzipped("{\"id\":\"0004\",\"name\":\"é\"}\n");
    let send = async |media_type: &str, coding: &str| {
        let headers = [("content-type", media_type), ("content-encoding", coding)];
        api.send("POST", &url, &headers, &body).await
    };
    assert_eq!(send("application/x-ndjson", "gzip").await.status, 202);
    api.apply().await;
    assert_eq!(api.world.rows("SELECT name FROM staff WHERE id = '0004'").await, ["é"]);
    // API Gateway makes a text of it.
    let response = send("application/json", "gzip").await;
    assert_eq!(response.status, 415, "{}", response.body);
    assert!(response.body.contains("application/x-ndjson"), "{}", response.body);
    let response = send("application/x-ndjson", "br").await;
    assert_eq!((response.status, response.header("accept-encoding")), (415, "gzip"));
}

#[tokio::test]
async fn a_patch_takes_a_merge_patch() {
    let api = Api::at("https://example.com/").await;
    let url = api.root.join("staff/0001").unwrap();
    let merge_patch = ("content-type", "application/merge-patch+json");
    let body = br#"{"name":"x","age":null}"#;
    assert_eq!(api.send("PATCH", &url, &[merge_patch], body).await.status, 202);
    api.apply().await;
    assert_eq!(api.world.rows("SELECT * FROM staff WHERE id = '0001'").await, ["0001|x|-"]);
    assert_eq!(api.send("PUT", &url, &[merge_patch], body).await.status, 415);
    let csv = [("content-type", "text/csv")];
    let response = api.send("PATCH", &url, &csv, b"name,age").await;
    let types = "application/merge-patch+json, application/json";
    assert_eq!((response.status, response.header("accept-patch")), (415, types));
    let response = api.send("OPTIONS", &url, &[], b"").await;
    assert_eq!(response.header("accept-patch"), types);
    // A merge patch of an object would merge its members, too.
    let of_json = br#"{"name":{"a":1}}"#;
    let response = api.send("PATCH", &url, &[merge_patch], of_json).await;
    assert_eq!(response.status, 422);
    let detail = response.json()["errors"][0]["detail"].to_string();
    assert!(detail.contains("a merge patch merges its members"), "{detail}");
}

#[tokio::test]
async fn a_body_that_is_not_utf_8_is_refused_whatever_its_type() {
    let api = Api::at("https://example.com/").await;
    let url = api.root.join("staff").unwrap();
    for media_type in ["application/json", "application/x-ndjson"] {
        let headers = [("content-type", media_type)];
        let response =
            api.send("POST", &url, &headers, b"{\"id\":\"0004\",\"name\":\"\xff\"}").await;
        assert_eq!(response.json()["type"], "urn:problem-type:aurora-sync:malformed-body");
    }
    // A client can write the character that stands for damage.
    let row = json!({ "id": "0004", "name": "\u{fffd}" }).to_string();
    let response = api.send("POST", &url, &[JSON], row.as_bytes()).await;
    assert!(response.body.contains(r"write \\ufffd"), "{}", response.body);
    let escaped = row.replace('\u{fffd}', r"\ufffd");
    assert_eq!(api.send("POST", &url, &[JSON], escaped.as_bytes()).await.status, 202);
    api.apply().await;
    assert_eq!(api.world.rows("SELECT name FROM staff WHERE id = '0004'").await, ["\u{fffd}"]);
}
