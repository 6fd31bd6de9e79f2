//! Exposure: for random grants, the API offers what PostgreSQL permits, and PostgreSQL refuses the
//! rest when the worker's own checks are bypassed.

use aurora_sync::aws::queue::Queue;
use aurora_sync::domain::deadline::now_ms;
use aurora_sync::functions::apply::{self, Apply};
use aurora_sync::functions::lookup::{self, Lookup};
use aurora_sync::functions::runtime::Invocation;
use aurora_sync::functions::tables::Tables;
use aurora_sync_catalog::{Catalog, Changes};
use tokio_postgres::Client;

use crate::support::histories::seeds;
use crate::support::lookups::event;
use crate::support::writes::write;
use crate::support::{HttpResponse, World, deadline, delivery, sdk_config};
use aurora_sync::domain::write::pack;

const TABLES: [&str; 4] = ["open.first", "open.second", "\"Other\".first", "public.first"];
const COLUMNS: [&str; 4] = ["k", "a", "b", "c"];
const ROLES: [&str; 3] = ["sync_reader", "sync_writer", "PUBLIC"];
const SEEDS: u64 = 12;

fn schema() -> String {
    let table = |name| {
        format!(
            "CREATE TABLE {name} (k integer PRIMARY KEY, a integer, b text, c integer DEFAULT 7);
             INSERT INTO {name} SELECT n, n, n, n FROM generate_series(1, 5) AS n;"
        )
    };
    format!("CREATE SCHEMA open; CREATE SCHEMA \"Other\"; {}", TABLES.map(table).concat())
}

/// Revokes everything, and grants something.
fn grants(random: &mut fastrand::Rng) -> String {
    let mut sql = String::new();
    for schema in ["open", "\"Other\"", "public"] {
        for role in ROLES {
            sql += &format!("REVOKE ALL ON SCHEMA {schema} FROM {role};");
            sql += &format!("REVOKE ALL ON ALL TABLES IN SCHEMA {schema} FROM {role};");
            let one_in = if role == "PUBLIC" { 4 } else { 2 };
            if random.u8(..one_in) == 0 || role != "PUBLIC" && random.bool() {
                sql += &format!("GRANT USAGE ON SCHEMA {schema} TO {role};");
            }
        }
    }
    for table in TABLES {
        for role in ROLES {
            for right in ["SELECT", "INSERT", "UPDATE", "DELETE"] {
                let columns: Vec<_> = COLUMNS.into_iter().filter(|_| random.u8(..4) > 0).collect();
                match random.u8(..if role == "PUBLIC" { 12 } else { 4 }) {
                    0 | 1 => sql += &format!("GRANT {right} ON {table} TO {role};"),
                    2 if right != "DELETE" && !columns.is_empty() => {
                        sql +=
                            &format!("GRANT {right} ({}) ON {table} TO {role};", columns.join(","));
                    }
                    _ => {}
                }
            }
        }
    }
    sql
}

/// Returns whether PostgreSQL runs a statement, which must change nothing.
async fn runs(user: &Client, sql: &str) -> bool {
    match user.batch_execute(sql).await {
        Ok(()) => true,
        Err(error) => {
            let state = error.code().unwrap().code();
            assert_eq!(state, "42501", "{sql}: {error}");
            false
        }
    }
}

async fn user(world: &World, name: &str) -> Client {
    let user = ephemeral_postgres::connect(&world.database_url).await.unwrap();
    user.batch_execute(&format!("SET SESSION AUTHORIZATION {name}")).await.unwrap();
    user
}

fn path(table: &str) -> String {
    table.replace('"', "").replace("public.", "")
}

#[tokio::test]
async fn the_offer_is_what_postgresql_permits() {
    let mut world = World::existing(&[schema()]).await;
    let (reader, writer) = (user(&world, "test_reader").await, user(&world, "test_writer").await);
    for seed in seeds(SEEDS) {
        let grants = grants(&mut fastrand::Rng::with_seed(seed));
        world.run(&grants).await;
        world.read_catalog().await;
        for table in TABLES {
            check_offer(&world.catalog, table, (&reader, &writer), seed).await;
        }
    }
}

async fn check_offer(
    catalog: &Catalog,
    table: &str,
    (reader, writer): (&Client, &Client),
    seed: u64,
) {
    let offered = catalog.table(&path(table));
    let mut insertable = Vec::new();
    let mut updates = false;
    let mut is_seen = false;
    for column in COLUMNS {
        let reads = runs(reader, &format!("SELECT {column} FROM {table} LIMIT 0")).await;
        let selects = runs(writer, &format!("SELECT {column} FROM {table} LIMIT 0")).await;
        let inserts =
            runs(writer, &format!("INSERT INTO {table} ({column}) SELECT NULL WHERE false")).await;
        let sets = runs(writer, &format!("UPDATE {table} SET {column} = NULL WHERE false")).await;
        is_seen |= reads || inserts || sets;
        let access = offered.map(|table| table.column(column).unwrap().access);
        let found = access.map_or((false, false, false), |a| (a.read, a.insert, a.update));
        let expected = (reads, inserts && selects, sets && selects);
        assert_eq!(found, expected, "seed {seed}: {table}.{column}");
        if inserts && selects {
            insertable.push(column);
        }
        let sets_by_key = format!("UPDATE {table} SET {column} = {column} WHERE k = 0");
        updates |= runs(writer, &sets_by_key).await;
    }
    let deletes = runs(writer, &format!("DELETE FROM {table} WHERE k = 0")).await;
    let changes = Changes { insert: insertable.contains(&"k"), update: updates, delete: deletes };
    let found = offered.map_or(Changes::default(), |table| table.changes);
    assert_eq!(found, changes, "seed {seed}: {table}");
    assert!(offered.is_some() || !(is_seen || deletes), "seed {seed}: {table} is left out");
}

/// Returns the statement that a client of PostgreSQL would write for the same change. It changes
/// nothing.
fn direct(text: &str, table: &str, column: &str) -> String {
    let columns = if column == "k" { "k".to_owned() } else { format!("k, {column}") };
    let insert = format!("INSERT INTO {table} ({columns}) SELECT {columns} FROM");
    let row = "(SELECT 0 AS k, NULL::integer AS a, NULL::text AS b, NULL::integer AS c) AS row WHERE false";
    match text.split(' ').next().unwrap() {
        "insert" => format!("{insert} {row}"),
        "update" => format!("UPDATE {table} SET {column} = NULL WHERE k = 0"),
        "upsert" => {
            format!("{insert} {row} ON CONFLICT (k) DO UPDATE SET {column} = excluded.{column}")
        }
        _ => format!("DELETE FROM {table} WHERE k = 0"),
    }
}

#[tokio::test]
async fn postgresql_refuses_what_is_not_offered() {
    let mut world = World::existing(&[schema()]).await;
    world.grant_all().await;
    world.read_catalog().await;
    let everything = world.catalog.clone();
    let queue =
        || Queue::new(&sdk_config(&world.server.url()), "http://localhost:1/queue".to_owned());
    let apply = Apply {
        tables: Tables::fixed(everything.clone()),
        data_api: world.writer.clone(),
        outbox: None,
        queue: queue(),
    };
    let lookup = Lookup { tables: Tables::fixed(everything.clone()), ..world.lookup_function() };
    let writer = user(&world, "test_writer").await;
    let mut key = 100;
    let (mut permitted, mut refused) = (0, 0);
    for seed in seeds(SEEDS / 3) {
        world.run(&grants(&mut fastrand::Rng::with_seed(seed))).await;
        world.read_catalog().await;
        for name in TABLES {
            let table = path(name);
            let offered = world.catalog.table(&table);
            for column in COLUMNS {
                let may = |changes: Changes| {
                    offered.is_some_and(|table| {
                        let named = [Some(column), changes.insert.then_some("k")];
                        table.permits(changes)
                            && named
                                .into_iter()
                                .flatten()
                                .all(|name| table.accepts(table.column(name).unwrap(), changes))
                    })
                };
                key += 1;
                let value = if column == "k" { String::new() } else { format!(" {column}={key}") };
                let mut texts = vec![
                    (format!("insert {table} k={key}{value}"), may(Changes::INSERT)),
                    (format!("delete {table} k={}", key - 1), may(Changes::DELETE)),
                ];
                if column != "k" {
                    texts.push((format!("update {table} k=1{value}"), may(Changes::UPDATE)));
                    texts.push((format!("upsert {table} k=2{value}"), may(Changes::UPSERT)));
                }
                for (text, may) in texts {
                    let write = write(&everything, &text);
                    let id = write.id;
                    let event = delivery(&pack(vec![write], 1));
                    let left = apply::handle(&apply, event, now_ms(), deadline()).await.unwrap();
                    let outcome = format!("SELECT outcome FROM sync.write WHERE id = '{id}'");
                    let outcome = world.rows(&outcome).await;
                    let is_refused =
                        !left.batch_item_failures.is_empty() || outcome == ["rejected"];
                    // PostgreSQL permits more than the offer: changes without SELECT.
                    let permits = may || runs(&writer, &direct(&text, name, column)).await;
                    assert!(is_refused || permits, "seed {seed}: {text}: {outcome:?}");
                    assert!(!is_refused || !may, "seed {seed}: {text}: {outcome:?}");
                    if may { permitted += 1 } else { refused += 1 }
                }
                let address = format!("/{table}?select={column}");
                let request = serde_json::from_value(event("GET", &address, &[])).unwrap();
                let response: HttpResponse =
                    lookup::handle(&lookup, request, Invocation::until(deadline())).await.into();
                let reads = |name: &str| {
                    offered.is_some_and(|table| table.column(name).unwrap().access.read)
                };
                let is_data = response.status == 200;
                assert_eq!(
                    is_data,
                    reads(column) && reads("k"),
                    "seed {seed}: {address}: {}",
                    response.body
                );
                assert!(is_data || response.status >= 400, "seed {seed}: {address}");
            }
        }
    }
    assert!(permitted > 0 && refused > 0, "{permitted} permitted, {refused} refused");
}
