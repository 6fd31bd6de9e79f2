//! A table of a million rows: look-ups by key and pages in the order of an index read only the rows
//! that they return.

use aurora_sync::api::query::{Form, Head, Query, QueryString, Relation, WriteRef, by_key, list};
use aurora_sync::api::worker_tables::{WRITE, writes};
use aurora_sync::domain::caller::Caller;
use aurora_sync::domain::key::Key;
use aurora_sync_catalog::Table;

use crate::plans::check;
use crate::support::World;

const READING: &str = "CREATE TABLE reading (
    sensor text, number integer, name text NOT NULL, amount numeric, PRIMARY KEY (sensor, number))";

const FILL: &str = "INSERT INTO reading
    SELECT 's' || n % 10, n, 'name ' || n % 1000, CASE WHEN n % 7 > 0 THEN n END FROM generate_series(1, 1000000) n;
    CREATE INDEX reading_name ON reading (name, sensor, number);
    CREATE INDEX reading_both_ways ON reading (sensor DESC, number);
    CREATE INDEX reading_amount ON reading (amount, sensor, number);
    ANALYZE reading";

fn page(table: &Table, query: &[(&str, &str)], behind: &[&str]) -> Query {
    let relation = Relation { table, from: &table.sql_name(), parameters: &[] };
    let mut query: Vec<_> =
        query.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
    let parsed = QueryString::of_list(table, &query, "").unwrap();
    if !behind.is_empty() {
        let values: Vec<_> = behind.iter().map(|value| Some((*value).to_owned())).collect();
        query.push(("cursor".to_owned(), parsed.cursor(&values)));
    }
    let parsed = QueryString::of_list(table, &query, "").unwrap();
    list(relation, &parsed, Form::Json, &Head::default(), 10).0
}

#[tokio::test]
async fn look_ups_by_key_and_pages_use_the_index_on_a_million_rows() {
    let world = World::with(READING).await;
    let client = ephemeral_postgres::connect(&world.database_url).await.unwrap();
    client.batch_execute(FILL).await.unwrap();
    let catalog = world.catalog.clone();
    let table = &catalog.tables()[0];
    let relation = Relation { table, from: &table.sql_name(), parameters: &[] };
    let key = Key::from_path(table, "s7,500007").unwrap();
    let one = QueryString::of_row(table, &[]).unwrap();
    let head = Head {
        counts: false,
        after: vec![WriteRef { id: uuid::Uuid::now_v7(), fingerprint: None, caller: None }],
    };
    for (name, query) in [
        ("by key", by_key(relation, &key, &one, Form::Json, &Head::default()).0),
        ("by key, after a write", by_key(relation, &key, &one, Form::Json, &head).0),
        ("first page", page(table, &[], &[])),
        ("deep page", page(table, &[], &["s7", "500007"])),
        ("deep page, backwards", page(table, &[("order", "sensor.desc")], &["s7", "500007"])),
        (
            "deep page, both ways",
            page(table, &[("order", "sensor.desc,number")], &["s7", "500007"]),
        ),
        (
            "deep page, with nulls to come",
            page(table, &[("order", "amount")], &["500005", "s5", "500005"]),
        ),
        (
            "deep page, nulls first",
            page(table, &[("order", "amount.desc")], &["500005", "s5", "500005"]),
        ),
        ("part of the key", page(table, &[("sensor", "s3")], &["s3", "500003"])),
        ("some rows", page(table, &[("sensor", "s3"), ("number", "in.(3,13,500003)")], &[])),
        ("another index", page(table, &[("order", "name")], &["name 5", "s5", "500005"])),
        ("a range", page(table, &[("sensor", "s3"), ("number", "gte.999900")], &[])),
    ] {
        check(&client, &query.sql, &query.parameters, 10, name).await;
    }
}

/// A million writes of four tables, of which one is small; every ten-thousandth is rejected.
const LEDGER: &str = "INSERT INTO sync.write (id, table_name, key, operation, outcome, rule, accepted_at, settled_at)
    SELECT gen_random_uuid(), CASE WHEN n % 100000 = 0 THEN 'small' ELSE 't' || n % 3 END, n::text, 'update',
        CASE WHEN n % 10000 = 7 THEN 'rejected' ELSE 'applied' END, CASE WHEN n % 10000 = 7 THEN 'database' END,
        now() - n * interval '1 second', now() - n * interval '1 second'
    FROM generate_series(1, 1000000) AS n;
    ANALYZE sync.write";

#[tokio::test]
async fn the_list_of_writes_uses_the_indexes_of_a_ledger_of_a_million_writes() {
    let tables = ["small", "t0", "t1", "t2"]
        .map(|name| format!("CREATE TABLE {name} (id text PRIMARY KEY);"));
    let world = World::with(&tables.concat()).await;
    let client = ephemeral_postgres::connect(&world.database_url).await.unwrap();
    client.batch_execute(LEDGER).await.unwrap();
    for (rows, query) in [
        (10, &[][..]),
        (10, &[("order", "settled_at")]),
        (10, &[("outcome", "eq.rejected")]),
        (10, &[("outcome", "eq.rejected"), ("table", "eq.t1")]),
        (10, &[("table", "eq.t1")]),
        (10, &[("table", "eq.small")]),
        (10, &[("settled_at", "lt.2026-01-01T00:00:00Z")]),
    ] {
        let query: Vec<_> =
            query.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
        let (from, parameters) = writes(&world.catalog, &Caller::default(), &query);
        let relation = Relation { table: &WRITE, from: &from, parameters: &parameters };
        let parsed = QueryString::of_list(&WRITE, &query, "settled_at.desc").unwrap();
        let (sql, _) = list(relation, &parsed, Form::Json, &Head::default(), rows);
        check(&client, &sql.sql, &sql.parameters, 40, &format!("{query:?}")).await;
    }
}
