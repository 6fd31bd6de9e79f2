//! JSON Schemas of columns and rows.
//!
//! Pure.

use aurora_sync_catalog::{Changes, Column, ColumnType, Table};
use serde_json::{Map, Value, json};

/// Describes a row of a look-up. No column is required, since a request may select columns.
pub(super) fn row_read(table: &Table) -> Value {
    let columns = table.columns.iter().filter(|column| column.is_readable());
    let mut schema = json!({ "type": "object", "properties": properties(columns) });
    if let Some(comment) = &table.comment {
        schema["description"] = json!(comment);
    }
    schema
}

/// Describes a row of an insert.
pub(super) fn row_inserted(table: &Table) -> Value {
    let columns = || table.columns.iter().filter(|column| table.accepts(column, Changes::INSERT));
    let required: Vec<_> =
        columns().filter(|column| column.is_required()).map(|column| &column.name).collect();
    object_written(columns(), &required)
}

/// Describes the body of an update whose path has the key: the columns to set.
pub(super) fn row_updated(table: &Table) -> Value {
    let columns = table
        .columns
        .iter()
        .filter(|column| !table.is_key(column) && table.accepts(column, Changes::UPDATE));
    object_written(columns, &table.version_column.iter().collect::<Vec<_>>())
}

/// Describes a row of an update whose path has no key: the key, and at least one column to set.
pub(super) fn row_updated_by_key(table: &Table) -> Value {
    let columns = table
        .columns
        .iter()
        .filter(|column| table.is_key(column) || table.accepts(column, Changes::UPDATE));
    let required: Vec<_> = table.primary_key.iter().chain(&table.version_column).collect();
    let mut schema = object_written(columns, &required);
    schema["minProperties"] = json!(table.primary_key.len() + 1);
    schema
}

/// Describes the key of a row as an object.
pub(super) fn key(table: &Table) -> Value {
    object_written(table.key_columns(), &table.primary_key.iter().collect::<Vec<_>>())
}

/// Describes the key of a row as a bare value, if it has one column.
pub(super) fn key_value(table: &Table) -> Option<Value> {
    let mut columns = table.key_columns();
    let column = columns.next()?;
    columns.next().is_none().then(|| of_type(&column.column_type))
}

fn object_written<'t>(columns: impl Iterator<Item = &'t Column>, required: &[&String]) -> Value {
    let mut schema = json!({
        "type": "object",
        "properties": properties_written(columns),
        "additionalProperties": false,
        "minProperties": required.len().max(1),
    });
    if !required.is_empty() {
        schema["required"] = json!(required);
    }
    schema
}

/// Describes columns that a write may name. That a column is read-only elsewhere says nothing here:
/// the key of an existing row only names it.
fn properties_written<'t>(columns: impl Iterator<Item = &'t Column>) -> Map<String, Value> {
    let mut properties = properties(columns);
    for schema in properties.values_mut() {
        if let Some(schema) = schema.as_object_mut() {
            schema.remove("readOnly");
        }
    }
    properties
}

fn properties<'t>(columns: impl Iterator<Item = &'t Column>) -> Map<String, Value> {
    columns.map(|column| (column.name.clone(), of_column(column))).collect()
}

/// Describes a column's values, and if it is read-only or write-only.
fn of_column(column: &Column) -> Value {
    let mut schema = of_type(&column.column_type);
    if column.nullable {
        schema = with_null(schema);
    }
    if !column.is_writable() {
        schema["readOnly"] = json!(true);
    }
    if !column.is_readable() {
        schema["writeOnly"] = json!(true);
    }
    if let Some(comment) = &column.comment {
        schema["description"] = json!(comment);
    }
    schema
}

fn with_null(mut schema: Value) -> Value {
    // Without a type, the schema allows every value already.
    if let Some(kind) = schema.get("type").cloned() {
        schema["type"] = json!([kind, "null"]);
    }
    if let Some(labels) = schema.get_mut("enum").and_then(Value::as_array_mut) {
        labels.push(Value::Null);
    }
    schema
}

/// Describes the JSON values of a type, as PostgreSQL formats them.
fn of_type(column_type: &ColumnType) -> Value {
    use ColumnType as Type;
    let text = |description: &str| json!({ "type": "string", "description": description });
    match column_type {
        Type::SmallInt => json!({ "type": "integer", "minimum": i16::MIN, "maximum": i16::MAX }),
        Type::Integer => json!({ "type": "integer", "format": "int32" }),
        Type::BigInt => json!({ "type": "integer", "format": "int64" }),
        Type::Numeric { precision: Some(precision), scale } => json!({
            "type": "number",
            "description": format!(
                "At most {precision} digits, {} of them after the point.", scale.unwrap_or_default()
            ),
        }),
        Type::Numeric { precision: None, .. } => {
            json!({ "type": "number", "description": "Exact; NaN and infinities are strings." })
        }
        Type::Real => json!({ "type": "number", "format": "float" }),
        Type::DoublePrecision => json!({ "type": "number", "format": "double" }),
        Type::Boolean => json!({ "type": "boolean" }),
        Type::Char { length } | Type::VarChar { length: Some(length) } => {
            json!({ "type": "string", "maxLength": length })
        }
        Type::VarChar { length: None } | Type::Text => json!({ "type": "string" }),
        Type::Uuid => json!({ "type": "string", "format": "uuid" }),
        Type::Json | Type::JsonB => json!({ "description": "Any JSON value." }),
        Type::Bytea => json!({
            "type": "string",
            "pattern": r"^\\x([0-9a-fA-F]{2})*$",
            "description": "Bytes in hexadecimal.",
        }),
        // The formats date and date-time have no infinities and no years before 1.
        Type::Date => text("A date, such as 2026-11-23, or infinity."),
        Type::Time => text("A time, such as 09:30:00."),
        Type::TimeTz => text("A time with its offset, such as 09:30:00+01:00."),
        Type::Timestamp => text("A date and time, such as 2026-11-23T09:30:00, or infinity."),
        Type::TimestampTz => {
            text("A date and time with its offset, such as 2026-11-23T09:30:00+00:00, or infinity.")
        }
        Type::Interval => text("An interval, such as P1DT2H or 1 day 02:00:00."),
        Type::Inet => text("An IP address, such as 192.0.2.1 or 2001:db8::1/64."),
        Type::Cidr => text("A network, such as 192.0.2.0/24."),
        Type::Enum { labels, .. } => json!({ "type": "string", "enum": labels }),
        // The elements of an array of several dimensions are arrays.
        Type::Array(element) => json!({
            "type": "array",
            "items": { "anyOf": [with_null(of_type(element)), { "type": "array", "items": {} }] },
        }),
        Type::Other { sql } => json!({ "description": format!("PostgreSQL's {sql}.") }),
    }
}
