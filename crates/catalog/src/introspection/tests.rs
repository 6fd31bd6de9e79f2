use serde_json::{Value, json};

use super::catalog;
use crate::catalog::{Catalog, Changes, ReadOnly, WhenAbsent};
use crate::types::ColumnType;

/// A relation as the query describes it, with everything granted.
fn relation(name: &str, columns: &[Value], changes: Value) -> Value {
    let mut relation = json!({
        "schema": "public", "name": name, "kind": "r", "is_populated": true, "comment": null,
        "reader_reaches_schema": true, "writer_reaches_schema": true, "can_delete": true,
        "columns": columns, "primary_key": {"columns": ["id"], "is_deferrable": false},
        "foreign_keys": [], "rows_exclude": false, "has_row_logic": false, "has_row_security": false,
    });
    merge(&mut relation, changes);
    relation
}

fn column(name: &str, type_name: &str, changes: Value) -> Value {
    let mut column = json!({
        "name": name, "type_schema": "pg_catalog", "type": type_name, "modifier": -1,
        "labels": null, "is_array": false, "is_domain": false, "is_not_null": false,
        "identity": "", "is_generated": false, "has_default": false, "unusable_sequence": null,
        "has_rules": false, "has_own_equality": false, "comment": null, "reader_selects": true,
        "writer_selects": true, "writer_inserts": true, "writer_updates": true,
    });
    merge(&mut column, changes);
    column
}

fn merge(value: &mut Value, changes: Value) {
    let (Some(value), Value::Object(changes)) = (value.as_object_mut(), changes) else { return };
    value.extend(changes);
}

fn id() -> Value {
    column("id", "int4", json!({"is_not_null": true}))
}

fn read(relations: &[Value]) -> Catalog {
    let documents: Vec<_> = relations.iter().map(Value::to_string).collect();
    catalog(documents.iter().map(String::as_str)).unwrap()
}

fn type_of(type_name: &str, modifier: i32) -> String {
    let c = column("c", type_name, json!({"modifier": modifier}));
    let catalog = read(&[relation("t", &[id(), c], json!({}))]);
    format!("{:?}", catalog.tables()[0].columns[1].column_type)
}

#[track_caller]
fn check_remark(relation: &Value, is_offered: bool, expected: &str) {
    let catalog = read(std::slice::from_ref(relation));
    assert_eq!(catalog.tables().len(), usize::from(is_offered));
    let remarks: Vec<_> = catalog.remarks().iter().map(|remark| remark.text.as_str()).collect();
    assert!(remarks.iter().any(|remark| remark.contains(expected)), "{remarks:?}");
}

#[test]
fn lengths_precisions_and_scales_are_read_from_the_modifier() {
    assert_eq!(type_of("varchar", 34), "VarChar { length: Some(30) }");
    assert_eq!(type_of("varchar", -1), "VarChar { length: None }");
    assert_eq!(type_of("bpchar", 8), "Char { length: 4 }");
    assert_eq!(type_of("numeric", -1), "Numeric { precision: None, scale: None }");
    assert_eq!(type_of("numeric", 327_686), "Numeric { precision: Some(5), scale: Some(2) }");
    assert_eq!(type_of("numeric", 198_658), "Numeric { precision: Some(3), scale: Some(-2) }");
    assert_eq!(type_of("bit", 3), "Other { sql: \"\\\"varbit\\\"\" }");
}

#[test]
fn a_type_of_an_extension_has_its_schema() {
    let c = column("c", "citext", json!({"type_schema": "ext"}));
    let catalog = read(&[relation("t", &[id(), c], json!({}))]);
    let found = &catalog.tables()[0].columns[1].column_type;
    assert_eq!(*found, ColumnType::Other { sql: "\"ext\".\"citext\"".to_owned() });
}

#[test]
fn a_serial_without_a_right_to_its_sequence_must_be_named() {
    let serial = json!({"has_default": true, "is_not_null": true, "unusable_sequence": "t_n_seq"});
    let table = relation("t", &[id(), column("n", "int4", serial)], json!({}));
    assert_eq!(
        read(std::slice::from_ref(&table)).tables()[0].columns[1].when_absent,
        WhenAbsent::Null
    );
    check_remark(&table, true, "GRANT USAGE ON SEQUENCE t_n_seq TO sync_writer");
}

#[test]
fn a_change_needs_the_right_to_select_the_key() {
    let blind = column("id", "int4", json!({"writer_selects": false, "is_not_null": true}));
    let table = relation("t", &[blind, column("a", "text", json!({}))], json!({}));
    let found = read(std::slice::from_ref(&table)).tables()[0].changes;
    assert_eq!(found, Changes::default());
    check_remark(&table, true, "GRANT SELECT to sync_writer too");
}

#[test]
fn a_schema_without_usage_hides_its_tables() {
    let hidden = json!({"reader_reaches_schema": false});
    let catalog = read(&[relation("t", &[id()], hidden)]);
    assert!(!catalog.tables()[0].is_readable());
    assert!(catalog.tables()[0].is_writable());
}

#[test]
fn relations_that_cannot_be_written_say_why() {
    for (kind, expected) in [("v", ReadOnly::View), ("m", ReadOnly::MaterializedView)] {
        let catalog = read(&[relation("t", &[id()], json!({"kind": kind, "primary_key": null}))]);
        assert_eq!(catalog.tables()[0].read_only, Some(expected));
        assert!(!catalog.tables()[0].is_writable());
    }
    let deferrable = json!({"primary_key": {"columns": ["id"], "is_deferrable": true}});
    let catalog = read(&[relation("t", &[id()], deferrable)]);
    assert_eq!(catalog.tables()[0].read_only, Some(ReadOnly::DeferrableKey));
}

#[test]
fn relations_that_are_not_offered_say_why() {
    check_remark(&relation("t", &[id()], json!({"kind": "f"})), false, "foreign table");
    let empty = json!({"kind": "m", "is_populated": false, "primary_key": null});
    check_remark(&relation("t", &[id()], empty), false, "REFRESH MATERIALIZED VIEW");
    check_remark(&relation("_sync", &[id()], json!({})), false, "rename it");
    check_remark(&relation("a/b", &[id()], json!({})), false, "rename it");
    let marked = json!({"comment": "kept from callers, @sync:no-read"});
    check_remark(&relation("t", &[id()], marked.clone()), false, "GRANT and REVOKE");
    let columns = [id(), column("a", "text", marked)];
    check_remark(&relation("t", &columns, json!({})), false, "GRANT and REVOKE");
}

#[test]
fn two_tables_under_one_path_are_not_offered() {
    let catalog = read(&[
        relation("a.b", &[id()], json!({})),
        relation("b", &[id()], json!({"schema": "a"})),
        relation("c", &[id()], json!({})),
    ]);
    assert_eq!(catalog.tables().len(), 1);
    assert_eq!(catalog.remarks().len(), 1);
    assert_eq!(catalog.remarks()[0].table, "a.b");
}

#[test]
fn a_version_is_one_column_with_an_order_outside_the_key() {
    let version = |type_name: &str| column("v", type_name, json!({"comment": "@sync:version"}));
    let catalog = read(&[relation("t", &[id(), version("int8")], json!({}))]);
    assert_eq!(catalog.tables()[0].version_column.as_deref(), Some("v"));
    check_remark(&relation("t", &[id(), version("json")], json!({})), false, "no order");
    let two = [id(), version("int8"), column("w", "int4", json!({"comment": "@sync:version."}))];
    check_remark(&relation("t", &two, json!({})), false, "two columns");
    let key = [column("id", "int4", json!({"comment": "@sync:version", "is_not_null": true}))];
    check_remark(&relation("t", &key, json!({})), false, "part of the primary key");
    let table = relation("t", &[id()], json!({"comment": "@sync:version"}));
    check_remark(&table, false, "marks a column");
}

#[test]
fn foreign_keys_lead_to_tables_of_the_catalog_only() {
    let key = |parent: &str| json!({"columns": ["id"], "parent_schema": "public", "parent": parent, "parent_columns": ["id"]});
    let child = json!({"foreign_keys": [key("parent"), key("hidden")]});
    let catalog =
        read(&[relation("child", &[id()], child), relation("parent", &[id()], json!({}))]);
    let keys = &catalog.table("child").unwrap().foreign_keys;
    assert_eq!(keys.iter().map(|key| key.parent.as_str()).collect::<Vec<_>>(), ["parent"]);
}

#[test]
fn a_document_of_another_version_is_an_error() {
    assert!(catalog(["{}"]).is_err());
}
