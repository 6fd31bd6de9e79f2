//! The demo on the deployed template: API Gateway, SQS, S3 and Lambda of the emulator, the real
//! programs, the Data API server and PostgreSQL.

use std::io::{Read as _, Write as _};

use ephemeral_postgres::connect;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use hyper::Method;
use local_stack::demo;
use local_stack::{Functions, Http, Options, Stack};
use serde_json::{Value, json};

pub(crate) fn functions() -> Functions {
    Functions {
        enqueue: env!("CARGO_BIN_EXE_enqueue").into(),
        apply: env!("CARGO_BIN_EXE_apply").into(),
        import: env!("CARGO_BIN_EXE_import").into(),
        lookup: env!("CARGO_BIN_EXE_lookup").into(),
        migrate: env!("CARGO_BIN_EXE_migrate").into(),
        prune: env!("CARGO_BIN_EXE_prune").into(),
        refresh: env!("CARGO_BIN_EXE_refresh").into(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_tutorials_requests_work_on_the_deployed_template() {
    let stack = Stack::start(Options::new(functions()).unwrap()).await.unwrap();
    let seen = demo::run(&stack, &mut |_| ()).await.unwrap();

    assert_eq!(
        seen.raw_records,
        r#"[[{"stringValue":"0001"},{"stringValue":"Aurora"},{"longValue":12}]]"#
    );
    assert_eq!(seen.insert_status["outcome"], "applied");
    assert_eq!(seen.inserted, json!({"id": "0004", "name": "Apigateway", "age": 78}));
    assert_eq!(seen.updated, json!({"id": "0001", "name": "Aurora!", "age": 12}));
    let rules = seen.refused["errors"].as_array().unwrap().iter().map(|error| &error["rule"]);
    assert_eq!(rules.collect::<Vec<_>>(), ["length", "unknown-column", "format", "required"]);

    // Each thousand of the 10,000 rows has three bad rows and one repeated key.
    assert_eq!(seen.import["state"], "completed");
    assert_eq!(
        seen.report["rows"],
        json!({"read": demo::FILE_ROWS, "written": 9_960, "unchanged": 0, "superseded": 10, "rejected": 30})
    );
    assert_eq!(seen.rejected_csv.lines().count(), 31);
    assert_eq!(seen.row_count, 9_960);
    assert_eq!(seen.rows[0], "0000|Name 0|20");

    wrong_requests_get_problems(&stack).await;
    unknown_paths_and_methods_need_a_signature(&stack).await;
    links_lead_behind_the_prefix_of_the_emulator(&stack).await;
    a_compressed_body_and_repeated_parameters_pass_the_gateway(&stack).await;
    an_array_is_accepted_item_by_item(&stack).await;
    look_ups_pass_the_gateway_unchanged(&stack).await;
    a_schema_change_needs_no_deployment(&stack).await;
    one_id_leads_from_a_request_to_its_log_line(&stack).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_baseline_reaches_migrate_on_the_deployed_template() {
    let options = Options::new(functions()).unwrap().parameter("Baseline", "0000_missing.sql");
    let error = format!("{:#}", Stack::start(options).await.unwrap_err());
    let expected = "the parameter Baseline is 0000_missing.sql, which is not a file of sql/: \
                    0001_staff.sql";
    assert!(error.contains(expected), "{error}");
}

/// Updates the stack with a file that fails, and then with one that does not, while a client writes
/// and reads all the time.
#[tokio::test(flavor = "multi_thread")]
async fn a_failed_migration_leaves_a_stack_that_works_as_before() {
    // Other tests have no stage in their paths.
    let options = Options::new(functions()).unwrap().parameter("StageName", "v1");
    let stack = Stack::start(options).await.unwrap();
    assert!(stack.addresses().api_url.ends_with("/v1"), "{}", stack.addresses().api_url);
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    file("0001_staff.sql", include_str!("../../sql/0001_staff.sql"));
    file("0002_mail.sql", "ALTER TABLE staff ADD COLUMN mail text; SELECT mial FROM staff;");
    let (updated, written) =
        while_writing(&stack, 'F', Box::pin(stack.update(folder.path()))).await;
    let error = format!("{:#}", updated.unwrap_err());
    assert!(error.contains("(UPDATE_ROLLBACK_COMPLETE)"), "{error}");
    assert!(error.contains("Migrations UPDATE_FAILED: 0002_mail.sql, line 1: "), "{error}");
    assert_eq!(error.matches("FAILED").count(), 1, "nothing else was begun: {error}");
    assert!(written > 0);

    file("0002_mail.sql", "ALTER TABLE staff ADD COLUMN mail text;");
    let (updated, written) =
        while_writing(&stack, 'G', Box::pin(stack.update(folder.path()))).await;
    updated.unwrap();
    assert!(written > 0);
    let json = [("content-type", "application/json")];
    let row = r#"{"id":"MAIL","name":"x","mail":"x@example.org"}"#;
    let response = stack.request(Method::POST, "/staff", &json, row).await.unwrap();
    assert_eq!(response.status, 202, "{}", response.text());
    assert_eq!(settled(&stack, "/staff", response.header("location").unwrap()).await, "applied");
}

/// Writes rows one after the other, and waits for each, until the work is done. Returns their
/// number.
async fn while_writing<T>(stack: &Stack, first: char, work: impl Future<Output = T>) -> (T, u32) {
    let mut work = std::pin::pin!(work);
    let json = [("content-type", "application/json")];
    let mut written = 0;
    loop {
        let row = format!(r#"{{"id":"{first}{written:03}","name":"during an update"}}"#);
        let write = async {
            let response = stack.request(Method::POST, "/staff", &json, row).await.unwrap();
            assert_eq!(response.status, 202, "{}", response.text());
            settled(stack, "/staff", response.header("location").unwrap()).await
        };
        let mut write = std::pin::pin!(write);
        tokio::select! {
            outcome = &mut write => {
                assert_eq!(outcome, "applied");
                written += 1;
            }
            done = &mut work => {
                assert_eq!(write.await, "applied");
                return (done, written + 1);
            }
        }
    }
}

async fn wrong_requests_get_problems(stack: &Stack) {
    let json = ("content-type", "application/json");
    for (method, path, headers, body, status, word) in [
        (Method::POST, "/staff", &[json][..], &b"{"[..], 400, "malformed-body"),
        (Method::POST, "/staff", &[json], b"{\"id\":\"\xff\"}", 400, "malformed-body"),
        (
            Method::POST,
            "/staff",
            &[("content-type", "text/csv")],
            b"id",
            415,
            "unsupported-media-type",
        ),
        (Method::POST, "/stuff", &[json], b"{}", 404, "unknown-table"),
        (Method::PUT, "/staff/00001", &[json], b"{}", 400, "invalid-key"),
        (Method::GET, "/staff/9999x", &[], b"", 400, "invalid-key"),
        (Method::GET, "/staff?nope=1", &[], b"", 400, "invalid-query"),
        (Method::GET, "/_sync/writes/x", &[], b"", 404, "write-not-found"),
    ] {
        let response = stack.request(method, path, headers, body.to_vec()).await.unwrap();
        assert_eq!(response.status, status, "{path}: {}", response.text());
        assert_eq!(
            response.json().unwrap()["type"],
            format!("urn:problem-type:aurora-sync:{word}"),
            "{path}"
        );
    }
}

/// Follows a link of a response to the request for this path, until the write is settled.
async fn settled(stack: &Stack, path: &str, status: &str) -> String {
    let started = std::time::Instant::now();
    loop {
        let (url, status) = stack.follow(path, status).await.unwrap();
        assert_eq!(status.status, 200, "{url}: {}", status.text());
        match status.json().unwrap()["outcome"].as_str().unwrap() {
            "pending" => tokio::time::sleep(std::time::Duration::from_millis(50)).await,
            outcome => return outcome.to_owned(),
        }
        assert!(started.elapsed() < std::time::Duration::from_mins(5), "{url}: {}", status.text());
    }
}

/// Follows links from a path of every depth, behind the prefix of the emulator.
async fn links_lead_behind_the_prefix_of_the_emulator(stack: &Stack) {
    let json = [("content-type", "application/json"), ("idempotency-key", "links")];
    for (method, path, body, outcome) in [
        (Method::POST, "/staff", r#"{"id":"L001","name":"x"}"#, "applied"),
        (Method::PUT, "/staff/L001", r#"{"name":"y"}"#, "applied"),
        (Method::DELETE, "/staff/L%2F1", "", "unchanged"),
        (Method::DELETE, "/staff/L001", "", "applied"),
    ] {
        let response = stack.request(method, path, &json, body).await.unwrap();
        assert_eq!(response.status, 202, "{path}: {}", response.text());
        let status = response.header("location").unwrap();
        assert_eq!(response.json().unwrap()["status"], status);
        assert_eq!(settled(stack, path, status).await, outcome, "{path}");
    }
    let page = stack.request(Method::GET, "/staff?limit=1", &[], "").await.unwrap();
    let link = page.header("link").unwrap().strip_prefix('<').unwrap().split_once('>').unwrap().0;
    let (url, next) = stack.follow("/staff?limit=1", link).await.unwrap();
    assert_eq!((next.status, next.json().unwrap().as_array().unwrap().len()), (200, 1), "{url}");
    let description = stack.request(Method::GET, "/", &[], "").await.unwrap().json().unwrap();
    let server = description["servers"][0]["url"].as_str().unwrap();
    let (url, root) = stack.follow("/", server).await.unwrap();
    assert_eq!(
        (root.status, url.as_str().trim_end_matches('/')),
        (200, stack.addresses().api_url.as_str())
    );
}

/// Checks that an unknown path or method reaches a function only if it is signed.
async fn unknown_paths_and_methods_need_a_signature(stack: &Stack) {
    let http = Http::default();
    for path in ["/", "/staff", "/nothing", "/_sync/nothing"] {
        let response = http.get(&format!("{}{path}", stack.addresses().api_url)).await.unwrap();
        assert_eq!(response.status, 403, "{path}");
    }
    let send = async |method: &str, path: &str| {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        stack.request(method, path, &[], "").await.unwrap()
    };
    let put = send("PUT", "/_sync/imports").await;
    assert_eq!((put.status, put.header("allow")), (405, Some("GET, HEAD, OPTIONS")));
    let put = send("PUT", "/").await;
    assert_eq!((put.status, put.header("allow")), (405, Some("GET, HEAD, OPTIONS")));
    assert_eq!(send("PUT", "/_sync/nothing").await.status, 404);
    assert_eq!(send("GET", "/_sync/nothing").await.status, 404);
}

/// Checks that bytes and order survive the gateway where it does not make a text of them.
async fn a_compressed_body_and_repeated_parameters_pass_the_gateway(stack: &Stack) {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(b"{\"id\":\"gzip\",\"name\":\"\xc3\xa9\",\"age\":7}").unwrap();
    let headers = [("content-type", "application/x-ndjson"), ("content-encoding", "gzip")];
    let body = encoder.finish().unwrap();
    let response = stack.request(Method::POST, "/staff", &headers, body.clone()).await.unwrap();
    assert_eq!(response.status, 202, "{}", response.text());
    let status = response.json().unwrap()["writes"][0]["status"].as_str().unwrap().to_owned();
    assert_eq!(settled(stack, "/staff", &status).await, "applied");
    let path = "/staff?id=gte.gzi&id=lt.gzj&select=name";
    let rows = stack.request(Method::GET, path, &[], "").await.unwrap();
    assert_eq!(rows.text(), r#"[{"name":"é"}]"#);
    let headers = [("content-type", "application/json"), ("content-encoding", "gzip")];
    let response = stack.request(Method::POST, "/staff", &headers, body).await.unwrap();
    assert_eq!(response.status, 415, "{}", response.text());
}

async fn an_array_is_accepted_item_by_item(stack: &Stack) {
    let rows: Vec<_> =
        (0..1_000).map(|n| json!({"id": format!("A{n:03}"), "name": "array"})).collect();
    let headers = [("content-type", "application/json"), ("prefer", "resolution=merge-duplicates")];
    let body = Value::from(rows).to_string();
    let response = stack.request(Method::POST, "/staff", &headers, body).await.unwrap();
    assert_eq!(response.status, 202, "{}", response.text());
    let response = response.json().unwrap();
    let writes = response["writes"].as_array().unwrap();
    assert_eq!(writes.len(), 1_000);
    for write in writes {
        let status = write["status"].as_str().unwrap();
        assert_eq!(settled(stack, "/staff", status).await, "applied");
    }
}

/// Changes the table behind the back of the functions, as a migration tool does. A request that
/// names the new column is accepted and applied at once; the description follows; and a table that
/// is not granted stays unreachable.
/// Follows a write that is rejected from its status to the line of `apply`.
async fn one_id_leads_from_a_request_to_its_log_line(stack: &Stack) {
    let json = ("content-type", "application/json");
    let response = stack.request(Method::PUT, "/staff/none", &[json], r#"{"name":"x"}"#).await;
    let response = response.unwrap();
    assert_eq!(response.status, 202, "{}", response.text());
    let location = response.header("location").unwrap();
    assert_eq!(settled(stack, "/staff/none", location).await, "rejected");
    let (_, status) = stack.follow("/staff/none", location).await.unwrap();
    let id = status.json().unwrap()["request_id"].clone();
    let rejected = |line: &Value| line["message"] == "write rejected" && line["accepted_by"] == id;
    // The emulator has the lines of an invocation after its end.
    let mut lines: Vec<Value> = Vec::new();
    let started = std::time::Instant::now();
    while !lines.iter().any(rejected) {
        assert!(started.elapsed() < std::time::Duration::from_mins(5), "no line of {id}");
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        let log = std::fs::read_to_string(stack.function_log()).unwrap();
        let json = log.lines().filter_map(|line| line.find('{').and_then(|at| line.get(at..)));
        lines = json.filter_map(|json| serde_json::from_str(json).ok()).collect();
    }
    let settled = lines.iter().find(|line| line["message"] == "batch settled").unwrap();
    let metrics = &settled["_aws"]["CloudWatchMetrics"][0];
    assert!(metrics["Namespace"].as_str().unwrap().starts_with("aurora-sync/"), "{settled}");
    let refused = stack.request(Method::PUT, "/staff/none", &[json], "{}").await.unwrap();
    assert!(refused.json().unwrap()["request_id"].is_string(), "{}", refused.text());
}

async fn a_schema_change_needs_no_deployment(stack: &Stack) {
    let client = connect(&stack.addresses().database_url).await.unwrap();
    let sql = "ALTER TABLE staff ADD COLUMN email text; CREATE TABLE closed (id int PRIMARY KEY);";
    client.batch_execute(sql).await.unwrap();
    let json = ("content-type", "application/json");
    let row = r#"{"id":"E001","name":"x","email":"x@example.org"}"#;
    let response = stack.request(Method::POST, "/staff", &[json], row).await.unwrap();
    assert_eq!(response.status, 202, "{}", response.text());
    assert_eq!(settled(stack, "/staff", response.header("location").unwrap()).await, "applied");
    let get = async |path: &str| stack.request(Method::GET, path, &[], "").await.unwrap();
    let found = get("/staff?select=email&id=E001").await.json().unwrap();
    assert_eq!(found, json!([{"email": "x@example.org"}]));
    let description = get("/").await.json().unwrap();
    let columns = &description["components"]["schemas"]["staff"]["properties"];
    assert!(columns["email"].is_object(), "{columns}");
    assert_eq!(get("/closed").await.status, 404);
}

/// Checks what the gateway passes on: bytes, methods, headers, percent-encoding.
async fn look_ups_pass_the_gateway_unchanged(stack: &Stack) {
    let get = async |path: &str, headers: &[(&str, &str)]| {
        stack.request(Method::GET, path, headers, "").await.unwrap()
    };
    let description = get("/", &[]).await.json().unwrap();
    assert!(description["paths"]["/staff"]["get"].is_object());

    let plain = get("/staff?limit=100&id=like.A*", &[]).await;
    let both = [("accept", "*/*"), ("accept-encoding", "gzip")];
    let zipped = get("/staff?limit=100&id=like.A*", &both).await;
    assert_eq!(zipped.header("content-encoding"), Some("gzip"));
    let mut text = String::new();
    GzDecoder::new(zipped.body.as_ref()).read_to_string(&mut text).unwrap();
    assert_eq!(text, plain.text());
    let tag = zipped.header("etag").unwrap();
    let known = [both[0], both[1], ("if-none-match", tag)];
    assert_eq!(get("/staff?limit=100&id=like.A*", &known).await.status, 304);

    let link = plain.header("link").unwrap();
    let next = link.strip_prefix('<').unwrap().split_once('>').unwrap().0;
    let next = get(&format!("/staff{next}"), &[]).await;
    assert_eq!(next.json().unwrap()[0]["id"], "A100");

    let head = stack.request(Method::HEAD, "/staff?id=eq.0001", &[], "").await.unwrap();
    assert_eq!((head.status, head.body.len()), (200, 0));
    assert!(head.header("etag").is_some());
    let csv = get("/staff/0001?select=id,name", &[("accept", "text/csv")]).await;
    assert_eq!(csv.text(), "id,name\r\n0001,Name 1\r\n");

    let json = [("content-type", "application/json")];
    let row = r#"{"id":"ryow","name":"é,\"(x)\"","age":1}"#;
    let accepted = stack.request(Method::POST, "/staff", &json, row).await.unwrap();
    let id = accepted.json().unwrap()["id"].as_str().unwrap().to_owned();
    let name = "%22%C3%A9%2C%5C%22%28x%29%5C%22%22";
    let read = get(&format!("/staff?after={id}&or=(name.eq.{name},age.lt.0)"), &[]).await;
    assert_eq!(read.text(), format!("[{row}]"));
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_verified_token_passes_the_gateway_and_its_claims_reach_the_row() {
    let options = Options::new(functions()).unwrap();
    let options = options.parameter("JwtScopes", "true").parameter("RowSecurity", "claims");
    let stack = Stack::start(Options { takes_tokens: true, ..options }).await.unwrap();
    let database = connect(&stack.addresses().database_url).await.unwrap();
    database
        .batch_execute(
            "CREATE TABLE note (id integer PRIMARY KEY, owner text
                DEFAULT current_setting('request.jwt.claims')::json ->> 'sub');
            ALTER TABLE note ENABLE ROW LEVEL SECURITY;
            CREATE POLICY own ON note
                USING (owner = current_setting('request.jwt.claims')::json ->> 'sub');
            GRANT SELECT ON note TO sync_reader;
            GRANT SELECT, INSERT ON note TO sync_writer;",
        )
        .await
        .unwrap();
    let send = async |method: Method, path: &str, token: &str, body: &'static str| {
        let authorization = format!("Bearer {token}");
        let headers = [("authorization", &*authorization), ("content-type", "application/json")];
        stack.unsigned(method, path, &headers, body).await.unwrap()
    };
    let token = async |subject: &str, scope: &str| {
        stack.token(&json!({ "sub": subject, "scope": scope })).await.unwrap()
    };
    let (ann, bob) = (token("ann", BOTH).await, token("bob", BOTH).await);

    let [head, claims, signature] = *ann.split('.').collect::<Vec<_>>() else { panic!("{ann}") };
    let [_, claims_of_bob, _] = *bob.split('.').collect::<Vec<_>>() else { panic!("{bob}") };
    let with = async |claims: Value| stack.token(&claims).await.unwrap();
    for (what, token) in [
        ("no token", String::new()),
        ("no signature", format!("{head}.{claims}.")),
        ("claims of another token", format!("{head}.{claims_of_bob}.{signature}")),
        // {"alg":"none","kid":"local"}
        ("no algorithm", format!("eyJhbGciOiJub25lIiwia2lkIjoibG9jYWwifQ.{claims}.")),
        ("expired", with(json!({ "sub": "ann", "scope": BOTH, "exp": 1_700_000_000 })).await),
        ("another issuer", with(json!({ "scope": BOTH, "iss": "https://id.example" })).await),
        ("another audience", with(json!({ "scope": BOTH, "aud": "another" })).await),
    ] {
        for (method, path, body) in [(Method::GET, "/note", ""), (Method::POST, "/note", "{}")] {
            assert_eq!(send(method, path, &token, body).await.status, 401, "{what}");
        }
    }
    let signed = stack.request(Method::GET, "/note", &[], "").await.unwrap();
    assert_eq!(signed.status, 401, "a signature is no token");
    let reader = token("ann", "aurora-sync/read").await;
    assert_eq!(send(Method::POST, "/note", &reader, r#"{"id":9}"#).await.status, 403);

    let written = send(Method::POST, "/note", &ann, r#"{"id":1}"#).await;
    assert_eq!(written.status, 202, "{}", written.text());
    let id = serde_json::from_str::<Value>(&written.text()).unwrap()["id"].clone();
    let after = format!("/note?after={}", id.as_str().unwrap());
    assert_eq!(send(Method::GET, &after, &reader, "").await.text(), r#"[{"id":1,"owner":"ann"}]"#);
    assert_eq!(send(Method::GET, "/note", &bob, "").await.text(), "[]");
    let callers = send(Method::GET, "/_sync/writes?select=caller", &ann, "").await.text();
    let issuer = stack.addresses().token_url.clone().unwrap();
    assert_eq!(callers, format!(r#"[{{"caller":"{issuer}|ann"}}]"#));
    assert_eq!(send(Method::GET, "/_sync/writes", &bob, "").await.text(), "[]");
}

const BOTH: &str = "aurora-sync/read aurora-sync/write";
