//! Rows that fit a table, made from the catalog: for the examples of `cargo local up` and for tests
//! that must work with any table.

use aurora_sync_catalog::{Catalog, Changes, Column, ColumnType, Table, WhenAbsent};
use serde_json::{Map, Value, json};

/// Returns the first table for which [`row`] can make rows, without a reference to another table.
pub fn table(catalog: &Catalog) -> Option<&Table> {
    let is_free = |table: &&Table| {
        table.is_readable()
            && table.permits(Changes::INSERT)
            && !table.primary_key.is_empty()
            && row(table, 1, |_| None).is_some_and(|row| !refers(table, &row))
    };
    let has_rules = |table: &&Table| table.columns.iter().any(|column| column.has_rules);
    let free = || catalog.tables().iter().filter(is_free);
    free().find(|table| !has_rules(table)).or_else(|| free().next())
}

fn refers(table: &Table, row: &Map<String, Value>) -> bool {
    table.foreign_keys.iter().flat_map(|key| &key.columns).any(|column| row.contains_key(column))
}

/// Makes a row of the columns that an insert must name, and of those for which `hint` has a value.
/// Another `number` makes another row. Returns `None` if a column has a type of which only the
/// database knows the values.
///
/// A check, or a reference to another table, may still refuse the row.
pub fn row(
    table: &Table,
    number: u32,
    hint: impl Fn(&str) -> Option<Value>,
) -> Option<Map<String, Value>> {
    let value = |column: &Column| hint(&column.name).or_else(|| value(&column.column_type, number));
    let is_named = |column: &&Column| {
        let is_in_key = table.is_key(column) && column.when_absent == WhenAbsent::Null;
        !column.is_generated()
            && (column.is_required() || is_in_key || hint(&column.name).is_some())
    };
    let columns = table.columns.iter().filter(is_named);
    let mut row: Map<String, Value> =
        columns.map(|column| Some((column.name.clone(), value(column)?))).collect::<Option<_>>()?;
    if row.is_empty() {
        // A row needs at least one column.
        let column = table
            .columns
            .iter()
            .find(|column| table.accepts(column, Changes::INSERT) && value(column).is_some())?;
        row.insert(column.name.clone(), value(column)?);
    }
    Some(row)
}

/// Makes a value of a type.
pub fn value(column_type: &ColumnType, number: u32) -> Option<Value> {
    use ColumnType as Type;
    let text = |length: Option<u32>| {
        let text = format!("x{number}");
        let length = usize::try_from(length.unwrap_or(u32::MAX)).unwrap_or(usize::MAX);
        // The end of the number, so that short texts differ too.
        let start = text.len().saturating_sub(length);
        json!(text.get(start..).unwrap_or_default())
    };
    Some(match column_type {
        Type::SmallInt => json!(number % 30_000),
        Type::Integer | Type::BigInt | Type::Real | Type::DoublePrecision => json!(number),
        Type::Numeric { precision, scale } => {
            let digits = i32::from(precision.unwrap_or(9)) - i32::from(scale.unwrap_or(0));
            let digits = u32::try_from(digits.clamp(0, 9)).unwrap_or(0);
            json!(number % 10_u32.pow(digits))
        }
        Type::Boolean => json!(number.is_multiple_of(2)),
        Type::Char { length } => text(Some(*length)),
        Type::VarChar { length } => text(*length),
        Type::Text => text(None),
        Type::Uuid => json!(format!("00000000-0000-4000-8000-{number:012}")),
        Type::Json | Type::JsonB => json!({ "number": number }),
        Type::Bytea => json!(format!("\\x{number:08x}")),
        Type::Date => json!(format!("2026-11-{:02}", number % 28 + 1)),
        Type::Time => json!(format!("09:{:02}:00", number % 60)),
        Type::TimeTz => json!(format!("09:{:02}:00Z", number % 60)),
        Type::Timestamp => json!(format!("2026-11-23T09:{:02}:00", number % 60)),
        Type::TimestampTz => json!(format!("2026-11-23T09:{:02}:00Z", number % 60)),
        Type::Interval => json!(format!("{number} seconds")),
        Type::Inet => json!(format!("10.0.{}.{}", number / 256 % 256, number % 256)),
        Type::Cidr => json!(format!("10.{}.{}.0/24", number / 256 % 256, number % 256)),
        Type::Enum { labels, .. } => json!(labels.first()?),
        Type::Array(element) => json!([value(element, number)?]),
        Type::Other { sql } => other(sql, number)?,
    })
}

/// Makes a value of a type that is left to the database, if it is a common one.
fn other(sql: &str, number: u32) -> Option<Value> {
    let name = sql.rsplit('.').next()?.trim_matches('"');
    Some(match name {
        "citext" | "tsvector" | "ltree" => json!(format!("x{number}")),
        "xml" => json!(format!("<x>{number}</x>")),
        "hstore" => json!(format!("x=>{number}")),
        "money" => json!(number.to_string()),
        "macaddr" => json!(format!("08:00:2b:01:{:02x}:{:02x}", number / 256 % 256, number % 256)),
        "point" => json!(format!("({number},0)")),
        "int4range" | "int8range" | "numrange" => json!(format!("[{number},{}]", number + 1)),
        "daterange" => json!(format!("[2026-11-{:02},2026-12-01)", number % 28 + 1)),
        "tsrange" | "tstzrange" => json!(format!("[2026-11-{:02} 09:00,)", number % 28 + 1)),
        _ => return None,
    })
}
