//! Under row security a file is loaded under the claims of its prefix, or of its uploader.

use aurora_sync::functions::import::{self, Import};
use import_options::Defaults;
use serde_json::{Value, json};

use super::{NOTES, claims, read, rows, with_token, world};
use crate::support::http_api::event;
use crate::support::services::Bucket;
use crate::support::{World, deadline, sqs_event};

/// Files of two subjects, each under a prefix.
struct Prefixes {
    world: World,
    bucket: Bucket,
    import: Import,
}

impl Prefixes {
    async fn of(tables: &str) -> Self {
        let (world, bucket) = (world(tables).await, Bucket::new().await);
        let mut import = world.import(&bucket.sdk_config, &bucket.name);
        let of = |subject: &str| json!({ "claims": { "sub": subject } });
        let defaults = json!({ "imports/note/ann/": of("ann"), "imports/note/bob/": of("bob") });
        import.defaults = Defaults::parse(&defaults.to_string()).unwrap();
        Self { world, bucket, import }
    }

    /// Loads a file, and returns its state and the rows written, unchanged and rejected.
    async fn load(&self, key: &str, options: &[(&str, &str)], content: &str) -> String {
        let etag = self.bucket.put_with(key, content, options).await;
        let body = self.notification(key, &etag);
        let event = sqs_event(&[("m1", "", &body.to_string())]);
        let response = import::handle(&self.import, event, deadline()).await.unwrap();
        assert!(response.batch_item_failures.is_empty());
        let last = "SELECT state, rows_written, rows_unchanged, rows_rejected, rows_deleted, error
            FROM sync.import ORDER BY started_at DESC LIMIT 1";
        self.world.rows(last).await.remove(0)
    }

    fn notification(&self, key: &str, etag: &str) -> Value {
        json!({ "Records": [{
            "eventName": "ObjectCreated:Put",
            "userIdentity": { "principalId": "AWS:AROAEXAMPLE:monday" },
            "s3": {
                "bucket": { "name": self.bucket.name },
                "object": { "key": key, "eTag": etag, "sequencer": "01" },
            },
        }] })
    }
}

#[tokio::test]
async fn a_file_is_loaded_under_the_claims_of_its_prefix() {
    let files = Prefixes::of(NOTES).await;
    let loaded = files.load("imports/note/ann/a.csv", &[], "id,text\n1,a\n2,b\n").await;
    assert_eq!(loaded, "completed|2|0|0|0|-");
    // Bob cannot take a row, and the others of his file are loaded.
    let content = "id,owner,text\n1,bob,stolen\n3,bob,c\n4,ann,forged\n";
    let loaded = files.load("imports/note/bob/b.csv", &[], content).await;
    assert_eq!(loaded, "completed|1|0|2|0|-");
    assert_eq!(rows(&files.world).await, ["1|ann|a", "2|ann|b", "3|bob|c"]);
    let rejects = "SELECT record, rule, sqlstate, reason FROM sync.import_reject ORDER BY record";
    let reason = "a row policy of the table does not permit the caller to make this change";
    assert_eq!(
        files.world.rows(rejects).await,
        [format!("1|row-security|-|{reason}"), format!("3|row-security|-|{reason}")]
    );
    // No metadata of a file can change the claims.
    let options = [("claims", r#"{"sub":"ann"}"#)];
    let loaded = files.load("imports/note/bob/c.csv", &options, "id,text\n5,e\n").await;
    assert!(loaded.starts_with("failed|0|"), "{loaded}");
}

#[tokio::test]
async fn a_replaced_table_keeps_the_rows_of_others() {
    let files = Prefixes::of(NOTES).await;
    files.load("imports/note/ann/a.csv", &[], "id,text\n1,a\n2,b\n").await;
    files.load("imports/note/bob/b.csv", &[], "id,text\n3,c\n4,d\n").await;
    for option in ["atomic", "dry-run"] {
        let options = [("mode", "replace"), (option, "true"), ("max-deletes", "1")];
        let key = format!("imports/note/bob/{option}.csv");
        let refused = files.load(&key, &options, "id,text\n4,new\n").await;
        assert!(refused.starts_with("failed|0|0|0|0|the mode replace cannot have"), "{refused}");
    }
    let options = [("mode", "replace"), ("max-deletes", "1")];
    let loaded = files.load("imports/note/bob/c.csv", &options, "id,text\n4,new\n").await;
    assert_eq!(loaded, "completed|1|0|0|1|-");
    assert_eq!(rows(&files.world).await, ["1|ann|a", "2|ann|b", "4|bob|new"]);
}

#[tokio::test]
async fn a_file_that_is_loaded_whole_reports_the_rows_that_a_policy_refused() {
    for (option, state) in [("dry-run", "completed"), ("atomic", "failed")] {
        let files = Prefixes::of(NOTES).await;
        files.load("imports/note/ann/a.csv", &[], "id,text\n1,a\n").await;
        let options = [(option, "true")];
        let loaded = files.load("imports/note/bob/b.csv", &options, "id,text\n1,x\n2,b\n").await;
        assert!(loaded.starts_with(state), "{loaded}");
        let rejects = files.world.rows("SELECT record, rule, raw FROM sync.import_reject").await;
        assert_eq!(rejects, ["1|row-security|1,x"], "{option}");
    }
}

#[tokio::test]
async fn a_file_without_a_bound_prefix_has_the_claims_of_its_uploader() {
    let files = Prefixes::of(
        "CREATE TABLE note (id integer PRIMARY KEY, uploader text
            DEFAULT current_setting('request.jwt.claims')::json ->> 'principal_id');
        ALTER TABLE note ENABLE ROW LEVEL SECURITY;
        CREATE POLICY own ON note
            USING (uploader = current_setting('request.jwt.claims')::json ->> 'principal_id');",
    )
    .await;
    let loaded = files.load("imports/note/a.csv", &[], "id\n1\n").await;
    assert_eq!(loaded, "completed|1|0|0|0|-");
    assert_eq!(files.world.rows("SELECT id, uploader FROM note").await, ["1|AROAEXAMPLE"]);
    assert_eq!(files.world.rows("SELECT caller FROM sync.import").await, ["AWS:AROAEXAMPLE"]);
    let iam = |id: &str| json!({ "iam": { "userArn": "arn:aws:iam::1:role/x", "userId": id } });
    let list = async |authorizer: Value| {
        let mut event = event("GET", "/_sync/imports?select=caller", &[], &[]);
        event["requestContext"]["authorizer"] = authorizer;
        files.world.lookup(event).await.body
    };
    assert_eq!(list(iam("AROAEXAMPLE:tuesday")).await, r#"[{"caller":"AWS:AROAEXAMPLE"}]"#);
    assert_eq!(list(iam("AROAOTHER:x")).await, "[]");
    assert_eq!(list(json!(null)).await, "[]");
}

#[tokio::test]
async fn an_import_and_its_rejects_are_shown_to_those_with_its_claims() {
    let files = Prefixes::of(NOTES).await;
    files.load("imports/note/ann/a.csv", &[], "id,text\n1,a\nx,b\n").await;
    files.load("imports/note/bob/b.csv", &[], "id,text\n2,c\n").await;
    let id = "SELECT id::text FROM sync.import WHERE object_key LIKE '%/ann/%'";
    let id = files.world.rows(id).await.remove(0);
    let keys =
        async |subject: &str| read(&files.world, subject, "/_sync/imports?select=key").await.body;
    assert_eq!(keys("ann").await, r#"[{"key":"imports/note/ann/a.csv"}]"#);
    assert_eq!(keys("bob").await, r#"[{"key":"imports/note/bob/b.csv"}]"#);
    assert_eq!(keys("eve").await, "[]");
    let import = format!("/_sync/imports/{id}");
    let rejects = format!("/_sync/imports/{id}/rejects?select=record,raw");
    assert_eq!(read(&files.world, "ann", &import).await.status, 200);
    assert_eq!(read(&files.world, "ann", &rejects).await.body, r#"[{"record":2,"raw":"x,b"}]"#);
    for address in [&import, &rejects] {
        assert_eq!(read(&files.world, "bob", address).await.status, 404);
        let anonymous = with_token(event("GET", address, &[], &[]), &json!({}));
        assert_eq!(files.world.lookup(anonymous).await.status, 404);
    }
    // Whoever has more claims than the import has its claims too.
    let mut more = claims("ann");
    more["email"] = "ann@id.example".into();
    let event = with_token(event("GET", &import, &[], &[]), &more);
    assert_eq!(files.world.lookup(event).await.status, 200);
}

#[test]
fn claims_of_a_prefix_are_checked_at_the_deployment() {
    let parse = |claims: Value| {
        Defaults::parse(&json!({ "imports/note/": { "claims": claims } }).to_string())
    };
    assert!(parse(json!({ "tenant": "acme" })).is_ok());
    for wrong in [json!({}), json!("acme"), json!(["acme"]), json!({ "tenant": "a\0" })] {
        let error = parse(wrong).unwrap_err().to_string();
        assert!(error.starts_with("the claims of the prefix \"imports/note/\" must be"), "{error}");
    }
}
