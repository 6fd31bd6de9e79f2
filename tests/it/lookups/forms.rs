//! The media types of responses.

use aurora_sync::functions::import;
use serde_json::json;

use crate::support::services::Bucket;
use crate::support::{MEASUREMENT, STAFF, World, deadline, sqs_event};

#[tokio::test]
async fn the_most_preferred_form_is_returned() {
    let world = World::with(STAFF).await;
    let read = async |accept: &str| world.read("/staff?limit=2", &[("accept", accept)]).await;
    for (accept, content_type, body) in [
        (
            "text/html, application/x-ndjson;q=0.5, */*;q=0.1",
            "application/x-ndjson",
            "{\"id\":\"0001\",\"name\":\"Aurora\",\"age\":12}\n{\"id\":\"0002\",\"name\":\"Lambda\",\"age\":34}\n",
        ),
        (
            "text/csv",
            "text/csv; charset=utf-8; header=present",
            "id,name,age\r\n0001,Aurora,12\r\n0002,Lambda,34\r\n",
        ),
        (
            "application/*;q=0.9, application/json;q=0, application/x-ndjson;q=0",
            "application/vnd.amazon.rds-data+json",
            r#"[[{"stringValue":"0001"},{"stringValue":"Aurora"},{"longValue":12}],[{"stringValue":"0002"},{"stringValue":"Lambda"},{"longValue":34}]]"#,
        ),
    ] {
        let response = read(accept).await;
        assert_eq!((response.status, response.content_type.as_str()), (200, content_type));
        assert_eq!(response.body, body);
    }
    let response = read("text/html, application/json;q=0").await;
    assert_eq!(response.status, 406);
    let detail = response.json()["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains("application/x-ndjson, text/csv"), "{detail}");
}

#[tokio::test]
async fn a_single_row_is_an_object_a_line_or_a_file_of_one_row() {
    let world = World::with(STAFF).await;
    let read = async |accept: &str| world.read("/staff/0001", &[("accept", accept)]).await.body;
    assert_eq!(
        read("application/x-ndjson").await,
        "{\"id\":\"0001\",\"name\":\"Aurora\",\"age\":12}\n"
    );
    assert_eq!(read("text/csv").await, "id,name,age\r\n0001,Aurora,12\r\n");
}

pub(crate) const EVERYTHING: &str = r#"
CREATE TYPE mood AS ENUM ('sad', 'very happy');
CREATE TABLE everything (
    id bigint PRIMARY KEY, small smallint, exact numeric, price numeric(12,4), single real,
    double double precision, flag boolean, fixed char(6), short varchar(20), note text, "a 'b', c" text,
    identity uuid, data json, binary_data jsonb, bytes bytea, day date, clock time, clock_there timetz,
    moment timestamp, moment_there timestamptz, span interval, host inet, net cidr, feeling mood,
    numbers integer[], words text[], days timestamptz[], hardware macaddr, number bigint GENERATED ALWAYS AS (id - 1) STORED
);
INSERT INTO everything VALUES
    (9223372036854775807, -32768, 1234567890123456789012345678901234567890.5, 12345678.9012, 0.1,
     1e-300, true, 'a b', 'x', E'two\nlines, "quoted"\r\n', '', '6f9619ff-8b86-d011-b42d-00c04fc964ff',
     E'{"a": 1,\n "a": 12345678901234567890.50}', '{"z": [1e400, null]}', '\x00ff', '2026-11-23', '23:59:59.999999',
     '09:30:00+01', '2026-11-23 09:30:00.5', '2026-11-23 09:30:00.000001+00', '1 year 2 mons -3 days 04:05:06.7',
     '192.0.2.1', '2001:db8::/32', 'very happy', '{1,NULL,-3}', '{a,NULL,"b,\"c\"",""}', '{infinity}', '08:00:2b:01:02:03'),
    (2, 0, 'NaN', 0, '-Infinity', '-0', false, '', '', '', ',', NULL, 'null', 'null', '\x', 'infinity', '24:00:00',
     '00:00:00-15:59', '-infinity', 'infinity', '0', '::1/64', '10.0.0.0/8', 'sad', '{}', '{{a,b},{c,d}}', '{}', NULL),
    (3, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
     NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
"#;

#[tokio::test]
async fn json_is_exact_for_every_type() {
    let world = World::with(EVERYTHING).await;
    let found = world.read("/everything?order=id.desc&limit=1", &[]).await.body;
    for exact in [
        r#""id":9223372036854775807"#,
        r#""exact":1234567890123456789012345678901234567890.5"#,
        r#""price":12345678.9012"#,
        "\"data\":{\"a\": 1,\n \"a\": 12345678901234567890.50}",
        r#""bytes":"\\x00ff""#,
        r#""moment":"2026-11-23T09:30:00.5""#,
        r#""moment_there":"2026-11-23T09:30:00.000001+00:00""#,
        r#""numbers":[1,null,-3]"#,
        r#""number":"#,
    ] {
        assert!(found.contains(exact), "{exact} is not in {found}");
    }
    // A row is one line, also with line breaks between the tokens of a json value.
    let lines = world.read("/everything", &[("accept", "application/x-ndjson")]).await;
    assert_eq!(lines.body.lines().count(), 3);
    // JSON has arrays of several dimensions.
    assert_eq!(
        world.read("/everything/2", &[]).await.json()["words"],
        json!([["a", "b"], ["c", "d"]])
    );
}

/// Imports a file. Returns the counts of read, written, unchanged and rejected rows.
async fn import(world: &World, bucket: &Bucket, key: &str, content: &str) -> String {
    let function = world.import(&bucket.sdk_config, &bucket.name);
    let etag = bucket.put(key, content).await;
    let body = json!({ "Records": [{
        "eventName": "ObjectCreated:Put",
        "s3": {
            "bucket": { "name": bucket.name },
            "object": { "key": key, "eTag": etag, "sequencer": "01" },
        },
    }]});
    import::handle(&function, sqs_event(&[("m1", "", &body.to_string())]), deadline())
        .await
        .unwrap();
    let counts = "SELECT rows_read, rows_written, rows_unchanged, rows_rejected,
        (SELECT string_agg(reason, '; ') FROM sync.import_reject WHERE import_id = id)
        FROM sync.import ORDER BY started_at DESC LIMIT 1";
    world.rows(counts).await.remove(0)
}

#[tokio::test]
async fn a_csv_response_can_be_imported_unchanged() {
    let bucket = Bucket::new().await;
    for (tables, table, fill) in [
        (EVERYTHING, "everything", ""),
        (
            MEASUREMENT,
            "Measurement",
            r#"INSERT INTO "Measurement" (sensor, "taken at", note, tags, extra)
               VALUES ('6f9619ff-8b86-d011-b42d-00c04fc964ff', 'infinity', '', '{"",NULL}', '""')"#,
        ),
    ] {
        let world = World::with(tables).await;
        if !fill.is_empty() {
            world.rows(fill).await;
        }
        let name = format!("\"{table}\"");
        let all = format!("SELECT to_json(t)::text FROM {name} AS t ORDER BY 1");
        let before = world.rows(&all).await;
        let csv = world.read(&format!("/{table}"), &[("accept", "text/csv")]).await.body;

        let key = format!("imports/{table}/same.csv");
        let rows = before.len();
        let counts = import(&world, &bucket, &key, &csv).await;
        assert!(counts.ends_with("|0|-"), "{counts}\n{csv}");
        assert_eq!(world.rows(&all).await, before);
        // PostgreSQL cannot compare json values, so that an import writes them again.
        if table == "Measurement" {
            assert_eq!(counts, format!("{rows}|0|{rows}|0|-"));
        }

        world.rows(&format!("TRUNCATE {name} RESTART IDENTITY")).await;
        let key = format!("imports/{table}/again.csv");
        assert_eq!(import(&world, &bucket, &key, &csv).await, format!("{rows}|{rows}|0|0|-"));
        assert_eq!(world.rows(&all).await, before);
    }
}

#[tokio::test]
async fn a_path_reads_the_row_of_its_key_and_no_other() {
    let world = World::with(
        "CREATE TABLE note (path text PRIMARY KEY, n integer);
         INSERT INTO note VALUES ('a', 0), ('b', 0), ('a/b', 1), ('', 2), ('/', 3), ('a,b', 4), ('a b', 5);",
    )
    .await;
    for (address, n) in [("a%2Fb", 1), ("", 2), ("%2F", 3), ("a%2Cb", 4), ("a,b", 4), ("a%20b", 5)]
    {
        let row = world.read(&format!("/note/{address}?select=n"), &[]).await;
        assert_eq!((row.status, row.body), (200, format!("{{\"n\":{n}}}")), "{address}");
    }
    for (condition, n) in [("a%2Fb", 1), ("eq.", 2), ("", 2), ("%2F", 3)] {
        let rows = world.read(&format!("/note?path={condition}&select=n"), &[]).await;
        assert_eq!(rows.body, format!("[{{\"n\":{n}}}]"), "{condition}");
    }
    assert_eq!(world.read("/note/a%2Fc", &[]).await.status, 404);
}
