//! The worker's own tables as the API shows them: imports and their rejected rows.
//!
//! Pure. [`lookup`](crate::functions::lookup) reads them, and [`openapi`](crate::api::openapi)
//! describes them.

use std::sync::LazyLock;

use aurora_sync_catalog::{Access, Changes, Column, ColumnType, Table};

/// The columns of an import that clients see.
pub(crate) static IMPORT: LazyLock<Table> = LazyLock::new(|| {
    let text = || ColumnType::Text;
    let number = || ColumnType::Numeric { precision: None, scale: None };
    table(
        "import",
        &["id"],
        vec![
            column("id", ColumnType::Uuid, false),
            column("table", text(), false),
            column("bucket", text(), false),
            column("key", text(), false),
            column("version", text(), false),
            column("state", text(), false),
            column("error", text(), true),
            column("options", ColumnType::JsonB, false),
            column("bytes_total", ColumnType::BigInt, true),
            column("bytes_read", ColumnType::BigInt, false),
            column("progress_percent", number(), true),
            column("rows_read", ColumnType::BigInt, false),
            column("rows_written", ColumnType::BigInt, false),
            column("rows_unchanged", ColumnType::BigInt, false),
            column("rows_superseded", ColumnType::BigInt, false),
            column("rows_rejected", ColumnType::BigInt, false),
            column("rows_overwritten", ColumnType::BigInt, true),
            column("rows_deleted", ColumnType::BigInt, false),
            column("rows_per_second", number(), true),
            column("continuations", ColumnType::Integer, false),
            column("started_at", ColumnType::TimestampTz, false),
            column("progressed_at", ColumnType::TimestampTz, true),
            column("estimated_end_at", ColumnType::TimestampTz, true),
            column("finished_at", ColumnType::TimestampTz, true),
            column("reported_at", ColumnType::TimestampTz, true),
        ],
    )
});

/// The columns of a rejected row that clients see.
pub(crate) static REJECT: LazyLock<Table> = LazyLock::new(|| {
    let text = || ColumnType::Text;
    table(
        "import_reject",
        &["import_id", "record"],
        vec![
            column("import_id", ColumnType::Uuid, false),
            column("record", ColumnType::BigInt, false),
            column("line", ColumnType::BigInt, false),
            column("byte_offset", ColumnType::BigInt, false),
            column("column", text(), true),
            column("rule", text(), false),
            column("sqlstate", text(), true),
            column("reason", text(), false),
            column("raw", text(), true),
        ],
    )
});

fn table(name: &str, key: &[&str], columns: Vec<Column>) -> Table {
    Table {
        schema: "sync".to_owned(),
        primary_key: key.iter().map(|name| (*name).to_owned()).collect(),
        changes: Changes::default(),
        ..Table::new(name, columns)
    }
}

fn column(name: &str, column_type: ColumnType, nullable: bool) -> Column {
    let access = Access { read: true, ..Access::NONE };
    Column { nullable, access, ..Column::new(name, column_type) }
}
