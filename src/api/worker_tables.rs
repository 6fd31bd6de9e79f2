//! The worker's own tables as the API shows them: writes, imports and their rejected rows.
//!
//! Pure. [`lookup`](crate::functions::lookup) reads them, and [`openapi`](crate::api::openapi)
//! describes them.

use std::sync::LazyLock;

use aurora_sync_catalog::{Access, Catalog, Changes, Column, ColumnType, Table};

use crate::domain::caller::Caller;
use crate::domain::field::{Parameter, null, parameter, storable};

/// The columns of a settled write that clients see.
pub static WRITE: LazyLock<Table> = LazyLock::new(|| {
    let text = || ColumnType::Text;
    table(
        "write",
        // All payloads of an Idempotency-Key have one id here.
        &["id", "settled_at", "accepted_at"],
        vec![
            column("id", ColumnType::Uuid, false),
            column("table", text(), true),
            column("key", text(), true),
            column("operation", text(), false),
            column("outcome", text(), false),
            column("rule", text(), true),
            column("sqlstate", text(), true),
            column("reason", text(), true),
            column("constraint", text(), true),
            column("column", text(), true),
            column("accepted_at", ColumnType::TimestampTz, false),
            column("settled_at", ColumnType::TimestampTz, false),
            column("caller", text(), true),
            column("request_id", ColumnType::Uuid, true),
        ],
    )
});

/// The records of the worker that a caller may see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Records {
    All,
    /// Those of the caller, since row policies may show rows to him alone.
    Own,
}

impl Records {
    /// Returns the records that a caller may see.
    pub fn of(caller: &Caller) -> Self {
        if caller.claims.is_some() { Self::Own } else { Self::All }
    }

    /// Returns the condition on a column that holds callers, with a parameter `caller`.
    pub fn condition(self, column: &str) -> String {
        match self {
            Self::All => "true".to_owned(),
            // Nobody owns what was sent without a principal.
            Self::Own => format!("{column} = :caller::text"),
        }
    }

    /// Returns the parameters of the conditions.
    pub fn parameters(self, caller: &Caller) -> Vec<Parameter> {
        match (self, &caller.principal) {
            (Self::All, _) => Vec::new(),
            (Self::Own, Some(principal)) => vec![parameter("caller", storable(principal))],
            (Self::Own, None) => vec![null("caller")],
        }
    }

    /// Returns the call of `sync.readable` for the table of a record.
    pub fn readable(self) -> String {
        format!("sync.readable(table_name, {})", self == Self::Own)
    }
}

/// Returns the columns of the ledger that clients see, without the key and the message of
/// PostgreSQL if the reader may not read what these can hold. The subqueries run for the rows of a
/// response only.
pub fn write_columns(records: Records) -> String {
    let readable = records.readable();
    format!(
        "table_name AS \"table\",
  CASE WHEN (SELECT of_key FROM {readable}) THEN key END AS key, operation, outcome, rule, sqlstate,
  CASE WHEN rule NOT IN ('database', 'unreadable')
    OR (SELECT of_rows AND (sqlstate IS DISTINCT FROM '23503' OR of_neighbours) FROM {readable}) THEN reason
    WHEN reason IS NOT NULL THEN 'The message is withheld, since sync_reader may not read all that it can hold: see '
      || 'the column reason of sync.write.' END AS reason,
  constraint_name AS \"constraint\", column_name AS \"column\", accepted_at, settled_at, caller, request_id"
    )
}

/// Returns the SELECT of the settled writes, for a query string. PostgreSQL chooses the right index
/// under any kind of plan if the SQL text itself names the outcome and the table, which is the
/// catalog's.
///
/// A write that is rejected under an id of its own has the id of its Idempotency-Key: its own is a
/// hash of its payload.
///
/// Returns the parameters of the SELECT too.
pub fn writes(
    catalog: &Catalog,
    caller: &Caller,
    query: &[(String, String)],
) -> (String, Vec<Parameter>) {
    let records = Records::of(caller);
    let equal_to = |column: &str| {
        let mut values = query.iter().filter(move |(name, _)| name == column);
        values.find_map(|(_, text)| text.strip_prefix("eq."))
    };
    let rejected = equal_to("outcome").filter(|outcome| *outcome == "rejected");
    let rejected = rejected.map(|_| "outcome = 'rejected'".to_owned());
    let table = equal_to("table").and_then(|path| catalog.table(path));
    // By the hash, as in the index of keys.
    let table = table.map(|table| {
        let path = table.path().replace('\'', "''");
        format!(
            "hashtextextended(table_name, 0) = hashtextextended('{path}', 0) AND table_name = '{path}'"
        )
    });
    // PostgreSQL finds own records by the index for them.
    let own =
        "with_claims AND hashtext(caller) = hashtext(:caller::text) AND caller = :caller::text";
    let own = (records == Records::Own).then(|| own.to_owned());
    let conditions: Vec<_> = rejected.into_iter().chain(table).chain(own).collect();
    let filter = match conditions.as_slice() {
        [] => String::new(),
        conditions => format!("\n  WHERE {}", conditions.join(" AND ")),
    };
    let columns = write_columns(records);
    let select = format!(
        "(SELECT coalesce(idempotency_id, id) AS id, {columns}\n  FROM sync.write{filter})"
    );
    (select, records.parameters(caller))
}

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
            column("caller", text(), true),
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
