//! Snapshots of the SQL texts of writes, imports and look-ups, as files beside this one, so that a
//! reviewer reads SQL. `UPDATE_EXPECT=1 cargo test --lib snapshots` writes them again.

use std::path::Path;

use aurora_sync_catalog::notation::table;
use aurora_sync_catalog::{Catalog, Column, Table};
use expect_test::expect_file;
use import_options::LoadMode;

use super::chunk::{add_rejects_sql, load_bisected_sql, load_sql, reject_sql};
use super::load::Load;
use super::replace::{count_missing, delete_missing, delete_stretch, lock_missing};
use super::{Identity, settle};
use crate::api::query::{Form, Head, QueryString, Relation, by_key, list};
use crate::database::ledger;
use crate::domain::key::Key;
use crate::domain::write::{IF_MATCH, IF_NONE_MATCH, Operation};

/// Tables with a key of two columns and each kind of cast, with a version, with a trigger, with row
/// security, with a key that only the database compares, without a key, and with a column that
/// look-ups do not read and one that writes do not.
const TABLES: [(&str, &str); 7] = [
    (
        "item",
        "kind char(4) key, number integer key, name text not-null, amount numeric, tags text[], place macaddr",
    ),
    ("stamped", "id bigint key, note text, changed timestamptz version"),
    ("guarded", "id integer key, note text"),
    ("owned", "id integer key, note text"),
    ("loose", "word citext key, note text"),
    ("keyless", "note text"),
    ("secret", "id integer key, note text, hidden text unread, closed text unselected"),
];

fn catalog() -> Catalog {
    let tables = TABLES.iter().map(|(name, columns)| Table {
        has_row_logic: ["guarded", "owned"].contains(name),
        has_row_security: *name == "owned",
        ..table(name, columns)
    });
    Catalog::new(tables.collect(), Vec::new())
}

fn check(name: &str, sql: &str) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/database/statement/snapshots");
    expect_file![folder.join(format!("{name}.sql"))].assert_eq(&format!("{sql}\n"));
}

fn columns(table: &Table, is_key_only: bool) -> Vec<&Column> {
    if is_key_only { table.key_columns().collect() } else { table.columns.iter().collect() }
}

#[test]
fn statements_of_writes() {
    const OPERATIONS: [Operation; 5] = [
        Operation::Insert,
        Operation::InsertIgnore,
        Operation::Upsert,
        Operation::Update,
        Operation::Delete,
    ];
    let catalog = catalog();
    for name in ["item", "stamped", "guarded", "owned", "keyless"] {
        let table = catalog.table(name).unwrap();
        for operation in OPERATIONS {
            if table.primary_key.is_empty() && operation != Operation::Insert {
                continue;
            }
            let columns = columns(table, operation == Operation::Delete);
            let sql = settle(table, operation, &columns, Identity::Id, None);
            check(&format!("write_{}_{name}", operation.as_str()), &sql);
        }
    }
    let item = catalog.table("item").unwrap();
    let sql =
        settle(item, Operation::Upsert, &columns(item, false), Identity::IdAndFingerprint, None);
    check("write_upsert_item_with_idempotency_key", &sql);
    for name in ["item", "stamped", "guarded", "owned", "secret"] {
        let table = catalog.table(name).unwrap();
        for (operation, header) in [
            (Operation::Insert, IF_NONE_MATCH),
            (Operation::Update, IF_MATCH),
            (Operation::Delete, IF_MATCH),
        ] {
            let columns = columns(table, operation == Operation::Delete);
            let sql = settle(table, operation, &columns, Identity::Id, Some(header));
            check(&format!("write_{}_{name}_conditional", operation.as_str()), &sql);
        }
    }
    check("settle", &ledger::settle_sql(2));
    check("settle_bisected", &ledger::settle_bisected_sql(2));
    check("settle_together", ledger::SETTLE_TOGETHER);
}

#[test]
fn statements_of_imports() {
    let catalog = catalog();
    for name in ["item", "stamped", "loose", "owned", "keyless"] {
        let table = catalog.table(name).unwrap();
        for mode in [
            LoadMode::Insert,
            LoadMode::Ignore,
            LoadMode::Upsert,
            LoadMode::Replace,
            LoadMode::Delete,
        ] {
            let is_keyed = !table.primary_key.is_empty();
            if !is_keyed && mode != LoadMode::Insert {
                continue;
            }
            let columns = columns(table, mode == LoadMode::Delete);
            let load = Load { table, columns: &columns, mode };
            let mode = mode.as_str();
            check(&format!("import_{mode}_{name}"), &load.statement());
            if load.merges() {
                check(&format!("import_{mode}_{name}_dry_run"), &load.dry_run());
            }
            if let Some(sql) = load.keys() {
                check(&format!("import_{mode}_{name}_keys"), &sql);
            }
        }
    }
    check("load", &load_sql(2));
    check("load_bisected", &load_bisected_sql(2));
    check("reject", &reject_sql());
    check("add_rejects", &add_rejects_sql());
}

#[test]
fn statements_of_replacing() {
    let catalog = catalog();
    let item = catalog.table("item").unwrap();
    for (name, has_begin) in [("first", false), ("next", true)] {
        check(&format!("replace_count_{name}"), &count_missing(item, has_begin));
        check(&format!("replace_delete_{name}"), &delete_stretch(item, has_begin));
        check(&format!("replace_lock_{name}"), &lock_missing(item, has_begin));
        check(&format!("replace_delete_atomic_{name}"), &delete_missing(item, has_begin));
    }
}

#[test]
fn statements_of_lookups() {
    let catalog = catalog();
    let table = catalog.table("item").unwrap();
    let relation = Relation { table, from: &table.sql_name(), parameters: &[] };
    let key = Key::from_path(table, "a,7").unwrap();
    let asked = QueryString::of_row(table, &[]).unwrap();
    let (query, _) = by_key(relation, &key, &asked, Form::Json, &Head::default());
    check("lookup_by_key", &query.sql);
    let parameter = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let all = [
        parameter("select", "number,name"),
        parameter("amount", "gte.1"),
        parameter("name", "like.A*"),
        parameter("order", "name.desc,number"),
    ];
    for (name, form) in [("json", Form::Json), ("records", Form::Records)] {
        let asked = QueryString::of_list(table, &all, "").unwrap();
        let (query, _) = list(relation, &asked, form, &Head::default(), 10);
        check(&format!("lookup_list_{name}"), &query.sql);
    }
}
