//! Over HTTP, an import shows no values that look-ups may not read. Its files in the results bucket
//! keep them.

use serde_json::{Value, json};

use super::Importer;

const STAFF: &str = "CREATE TABLE staff (
    id char(4) PRIMARY KEY,
    name text NOT NULL,
    salary money
);";

const HIDE_SALARY: &str = "REVOKE SELECT ON staff FROM sync_reader;
    GRANT SELECT (id, name) ON staff TO sync_reader;";

const WITHHELD: &str = "PostgreSQL refused the row. Its message is withheld, since sync_reader may not read all that it \
                        can hold: see _error in rejected.csv.";

/// A record that the worker refuses, and one that PostgreSQL refuses with a message that repeats
/// the value.
const FILE: &str = "id,name,salary\n00001,Aurora,secret\n0002,Lambda,plenty\n";

async fn shown(importer: &Importer, query: &str) -> Vec<Value> {
    let id = "SELECT id::text FROM sync.import ORDER BY started_at DESC LIMIT 1";
    let id = importer.world.rows(id).await.remove(0);
    importer.world.walk(&format!("/_sync/imports/{id}/rejects{query}")).await.0
}

async fn shown_import(importer: &Importer) -> Value {
    importer.world.walk("/_sync/imports?limit=1").await.0.remove(0)
}

async fn with_rejects(grants: &str) -> Importer {
    let importer = Importer::with(STAFF).await;
    importer.world.run(grants).await;
    assert_eq!(importer.load("staff", &[], FILE).await, "completed|2|0|0|0|2|0");
    importer
}

#[tokio::test]
async fn rejects_of_a_table_that_is_read_whole_show_all() {
    let importer = with_rejects("").await;
    let rejects = shown(&importer, "").await;
    assert_eq!(rejects[0]["raw"], "00001,Aurora,secret");
    assert_eq!(rejects[1]["raw"], "0002,Lambda,plenty");
    let reason = rejects[1]["reason"].as_str().unwrap();
    assert!(reason.contains("\"plenty\""), "{reason}");
}

#[tokio::test]
async fn rejects_of_a_table_with_a_hidden_column_show_no_values() {
    let importer = with_rejects(HIDE_SALARY).await;
    let rejects = shown(&importer, "").await;
    let reasons = [&rejects[0]["reason"], &rejects[1]["reason"]];
    assert!(reasons[0].as_str().unwrap().starts_with("expected at most 4"), "{}", reasons[0]);
    assert_eq!(reasons[1], WITHHELD);
    assert_eq!([&rejects[0]["raw"], &rejects[1]["raw"]], [&Value::Null, &Value::Null]);
    assert_eq!(rejects[1]["sqlstate"], "22P02");
    let kept = String::from_utf8(importer.rejected_bytes("staff").await).unwrap();
    assert!(kept.contains("0002,Lambda,plenty") && kept.contains("secret"), "{kept}");
}

#[tokio::test]
async fn a_filter_does_not_find_what_is_withheld() {
    let importer = with_rejects(HIDE_SALARY).await;
    for query in ["?raw=like.*plenty*", "?reason=like.*plenty*", "?raw=not.is.null"] {
        assert!(shown(&importer, query).await.is_empty(), "{query}");
    }
    assert_eq!(shown(&importer, "?order=raw,reason").await.len(), 2);
}

#[tokio::test]
async fn rejects_show_no_values_once_the_table_is_not_readable() {
    for change in [
        "REVOKE SELECT ON staff FROM sync_reader",
        "REVOKE USAGE ON SCHEMA public FROM PUBLIC, sync_reader",
        "ALTER TABLE staff ENABLE ROW LEVEL SECURITY",
        "ALTER TABLE staff RENAME TO people",
        "DROP TABLE staff",
    ] {
        let importer = with_rejects("").await;
        importer.world.run(change).await;
        let rejects = shown(&importer, "").await;
        assert_eq!(rejects[1]["reason"], WITHHELD, "{change}");
        assert_eq!(rejects[1]["raw"], Value::Null, "{change}");
    }
}

#[tokio::test]
async fn values_of_extra_columns_are_not_shown() {
    let importer = Importer::with(STAFF).await;
    let file = "id,name,ssn\n00001,Aurora,078-05-1120\n";
    importer.load("staff", &[("extra-columns", "ignore")], file).await;
    assert_eq!(shown(&importer, "?select=raw").await, [json!({ "raw": null })]);
}

const ORDERS: &str = "CREATE TABLE customer (id integer PRIMARY KEY);
    CREATE TABLE orders (id integer PRIMARY KEY, customer integer CONSTRAINT of_known REFERENCES customer);";

const REFERRED: &str = "INSERT INTO customer VALUES (42); INSERT INTO orders VALUES (1, 42)";

#[tokio::test]
async fn a_reject_does_not_name_a_table_that_is_not_offered() {
    let importer = Importer::with(ORDERS).await;
    importer.world.run(REFERRED).await;
    importer.load("customer", &[("mode", "delete")], "id\n42\n").await;
    let reason = async || shown(&importer, "?select=reason").await[0]["reason"].clone();
    assert!(reason().await.as_str().unwrap().contains("\"orders\""), "{}", reason().await);
    importer.world.run("REVOKE ALL ON orders FROM sync_reader").await;
    assert_eq!(reason().await, WITHHELD);
}

#[tokio::test]
async fn the_error_of_an_import_does_not_name_a_table_that_is_not_offered() {
    let importer = Importer::with(ORDERS).await;
    importer.world.run(REFERRED).await;
    let options = [("mode", "replace"), ("max-deletes", "100%")];
    assert!(importer.load("customer", &options, "id\n41\n").await.starts_with("failed"));
    let error = shown_import(&importer).await["error"].as_str().unwrap().to_owned();
    assert!(error.contains("\"orders\""), "{error}");
    importer.world.run("REVOKE ALL ON orders FROM sync_reader").await;
    assert_eq!(
        shown_import(&importer).await["error"],
        "PostgreSQL refused the file's changes. Its message is withheld, since sync_reader may not read all that it can \
         hold: see error in report.json."
    );
    assert_eq!(importer.report("customer").await["error"], error);
}
