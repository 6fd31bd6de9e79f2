//! The SQL texts of writes and imports: one constant text for each table, operation and column set.
//!
//! Pure. Identifiers come from the catalog only and are always quoted; every value is a parameter,
//! cast to its type without length. A parameter is a whole column: the literal of an array, unnested
//! into rows (see [`crate::array`]). Columns are `c1`, `c2`, … inside a statement, whatever their
//! names, so that no name can meet one of ours. Next: [`crate::aws::data_api`].

use aurora_sync_catalog::{Column, ColumnType, Table, quote_identifier};

use crate::write::Operation;

/// The constraint that fails when another worker settled the same write meanwhile.
pub const SETTLED_ONCE: &str = "sync_write_settled_once";

/// The constraint that fails when another worker loaded the same chunk meanwhile.
pub const LOADED_ONCE: &str = "sync_chunk_loaded_once";

/// Settles a set of writes: changes the table and records every outcome, in one statement.
///
/// Parameters: `id`, `accepted_at`, `key`, then `c1`, `c2`, … for `columns`, which hold the whole
/// key for every operation but an insert. Writes that stand in the ledger already are left out.
pub fn settle_writes(table: &Table, operation: Operation, columns: &[&Column]) -> String {
    let target = Target { table, columns };
    let change = match operation {
        Operation::Insert => target.insert("fresh", "", "1"),
        Operation::InsertIgnore => {
            target.insert("fresh", " ON CONFLICT DO NOTHING", &target.returned_key())
        }
        Operation::Upsert => target.insert("fresh", &target.merge(), &target.returned_key()),
        Operation::Update => target.update("fresh"),
        Operation::Delete => target.delete("fresh"),
    };
    let (missed, rule, reason) = match operation {
        Operation::Update => ("rejected", "'row-missing'", "'there is no row with this key'"),
        _ => ("unchanged", "NULL", "NULL"),
    };
    let was_written = match operation {
        Operation::Insert => "TRUE".to_owned(),
        Operation::InsertIgnore | Operation::Upsert => target.key_is_written(),
        Operation::Update | Operation::Delete => {
            "write_id IN (SELECT written.write_id FROM written)".to_owned()
        }
    };
    format!(
        "WITH input AS MATERIALIZED (
  SELECT * FROM unnest(:id::uuid[], :accepted_at::bigint[], :key::text[]{parameters})
    AS input (write_id, accepted_at_ms, write_key{names})
), fresh AS MATERIALIZED (
  SELECT * FROM input
  WHERE NOT EXISTS (SELECT FROM sync.write AS settled WHERE settled.id = input.write_id)
), written AS (
  {change}
)
INSERT INTO sync.write (id, table_name, key, operation, outcome, rule, reason, accepted_at)
SELECT write_id, {path}, write_key, '{operation}',
  CASE WHEN {was_written} THEN 'applied' ELSE '{missed}' END,
  CASE WHEN {was_written} THEN NULL ELSE {rule} END,
  CASE WHEN {was_written} THEN NULL ELSE {reason} END,
  to_timestamp(accepted_at_ms / 1000.0)
FROM fresh",
        parameters = target.parameters(),
        names = target.names(),
        path = quote_literal(&table.path()),
        operation = operation.as_str(),
    )
}

/// Loads a set of a file's rows and adds its counts to the chunk's.
///
/// Parameters: `c1`, `c2`, …, then `import_id` and `chunk`. A table without a primary key takes
/// every row; in any other, a row whose key is there already is brought up to date.
pub fn load_rows(table: &Table, columns: &[&Column]) -> String {
    let target = Target { table, columns };
    let merge = if table.primary_key.is_empty() { String::new() } else { target.merge() };
    format!(
        "WITH input AS MATERIALIZED (
  SELECT * FROM unnest({parameters}) AS input ({names})
), written AS (
  {change}
), counted AS (
  SELECT (SELECT count(*) FROM input) AS read, (SELECT count(*) FROM written) AS written
)
UPDATE sync.import_chunk
SET rows_written = rows_written + counted.written,
    rows_unchanged = rows_unchanged + counted.read - counted.written
FROM counted
WHERE import_id = :import_id::uuid AND chunk = :chunk::integer",
        parameters = target.parameters().trim_start_matches(", "),
        names = target.names().trim_start_matches(", "),
        change = target.insert("input", &merge, "1 AS one"),
    )
}

/// The statement of one row, for `sync.isolate`: its values are the elements of the text array `$1`.
pub fn one_row(table: &Table, operation: Operation, columns: &[&Column]) -> String {
    let target = Target { table, columns };
    let cell = |place: usize, column: &Column| {
        format!("($1)[{}]::{}", place + 1, column.column_type.cast_name())
    };
    let with_cells = |keep: &dyn Fn(&Column) -> bool, separator: &str| {
        let parts: Vec<_> = columns
            .iter()
            .enumerate()
            .filter(|(_, column)| keep(column))
            .map(|(place, column)| {
                format!("{} = {}", quote_identifier(&column.name), cell(place, column))
            })
            .collect();
        parts.join(separator)
    };
    let name = table.sql_name();
    let is_key = |column: &Column| table.is_key(column);
    let is_not_key = |column: &Column| !table.is_key(column);
    match operation {
        Operation::Insert | Operation::InsertIgnore | Operation::Upsert => {
            let cells: Vec<_> =
                columns.iter().enumerate().map(|(place, column)| cell(place, column)).collect();
            let on_conflict = match operation {
                Operation::InsertIgnore => " ON CONFLICT DO NOTHING".to_owned(),
                Operation::Upsert => target.merge(),
                _ => String::new(),
            };
            format!(
                "INSERT INTO {name} AS target ({}) VALUES ({}){on_conflict}",
                target.column_list(),
                cells.join(", "),
            )
        }
        Operation::Update => format!(
            "UPDATE {name} SET {} WHERE {}",
            with_cells(&is_not_key, ", "),
            with_cells(&is_key, " AND "),
        ),
        Operation::Delete => format!("DELETE FROM {name} WHERE {}", with_cells(&is_key, " AND ")),
    }
}

/// A text as an SQL literal. Only for names from the catalog: values are parameters.
fn quote_literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// The table and columns of one statement.
#[derive(Debug, Clone, Copy)]
struct Target<'a> {
    table: &'a Table,
    columns: &'a [&'a Column],
}

impl Target<'_> {
    /// `, :c1::bpchar[], :c2::text[]`.
    fn parameters(&self) -> String {
        let mut text = String::new();
        for (place, column) in self.columns.iter().enumerate() {
            // An array of arrays would be one array of two dimensions, which unnests into cells:
            // a column that is an array travels as text and is cast after unnesting.
            let element = match &column.column_type {
                ColumnType::Array(_) => "text".to_owned(),
                other => other.cast_name(),
            };
            text.push_str(&format!(", :c{}::{element}[]", place + 1));
        }
        text
    }

    /// `, c1, c2`.
    fn names(&self) -> String {
        let mut text = String::new();
        for place in 1..=self.columns.len() {
            text.push_str(&format!(", c{place}"));
        }
        text
    }

    /// `"id", "name"`.
    fn column_list(&self) -> String {
        let names: Vec<_> =
            self.columns.iter().map(|column| quote_identifier(&column.name)).collect();
        names.join(", ")
    }

    /// A column's value in the row source: `c2`, cast where it travels as text.
    fn value(&self, source: &str, column: &Column) -> String {
        let place = self
            .columns
            .iter()
            .position(|known| known.name == column.name)
            .expect("a statement's columns hold the key for all operations that use it");
        match &column.column_type {
            array @ ColumnType::Array(_) => {
                format!("{source}.c{}::{}", place + 1, array.cast_name())
            }
            _ => format!("{source}.c{}", place + 1),
        }
    }

    fn insert(&self, source: &str, on_conflict: &str, returning: &str) -> String {
        let values: Vec<_> = self.columns.iter().map(|column| self.value(source, column)).collect();
        format!(
            "INSERT INTO {} AS target ({})
  SELECT {} FROM {source}{on_conflict}
  RETURNING {returning}",
            self.table.sql_name(),
            self.column_list(),
            values.join(", "),
        )
    }

    /// ` ON CONFLICT (key) DO UPDATE SET …`, leaving identical rows alone; `DO NOTHING` where only
    /// the key is given.
    fn merge(&self) -> String {
        let key: Vec<_> =
            self.table.primary_key.iter().map(|name| quote_identifier(name)).collect();
        let key = key.join(", ");
        let (mut assignments, mut old, mut new) = (Vec::new(), Vec::new(), Vec::new());
        for column in self.columns.iter().filter(|column| !self.table.is_key(column)) {
            let name = quote_identifier(&column.name);
            let as_text = if column.column_type.lacks_equality() { "::text" } else { "" };
            assignments.push(format!("{name} = EXCLUDED.{name}"));
            old.push(format!("target.{name}{as_text}"));
            new.push(format!("EXCLUDED.{name}{as_text}"));
        }
        if assignments.is_empty() {
            return format!(" ON CONFLICT ({key}) DO NOTHING");
        }
        format!(
            "\n  ON CONFLICT ({key}) DO UPDATE SET {}
  WHERE ({}) IS DISTINCT FROM ({})",
            assignments.join(", "),
            old.join(", "),
            new.join(", "),
        )
    }

    /// `target."id" AS k1, …`.
    fn returned_key(&self) -> String {
        let parts: Vec<_> = self
            .table
            .primary_key
            .iter()
            .enumerate()
            .map(|(n, name)| format!("target.{} AS k{}", quote_identifier(name), n + 1))
            .collect();
        parts.join(", ")
    }

    /// Whether a fresh row's key is among those written.
    ///
    /// `IN (SELECT …)` outside `WHERE` is a hashed subplan, whatever the planner thinks of the
    /// number of rows: CTEs over `unnest` have no statistics, and a join here could become a nested
    /// loop over both.
    fn key_is_written(&self) -> String {
        let parts: Vec<_> =
            self.table.key_columns().map(|column| self.value("fresh", column)).collect();
        let keys: Vec<_> = (1..=parts.len()).map(|n| format!("written.k{n}")).collect();
        format!("({}) IN (SELECT {} FROM written)", parts.join(", "), keys.join(", "))
    }

    fn key_equals(&self, source: &str) -> String {
        let parts: Vec<_> = self
            .table
            .key_columns()
            .map(|column| {
                format!(
                    "target.{} = {}",
                    quote_identifier(&column.name),
                    self.value(source, column)
                )
            })
            .collect();
        parts.join(" AND ")
    }

    fn update(&self, source: &str) -> String {
        let assignments: Vec<_> = self
            .columns
            .iter()
            .filter(|column| !self.table.is_key(column))
            .map(|column| {
                format!("{} = {}", quote_identifier(&column.name), self.value(source, column))
            })
            .collect();
        format!(
            "UPDATE {} AS target SET {}
  FROM {source} WHERE {}
  RETURNING {source}.write_id",
            self.table.sql_name(),
            assignments.join(", "),
            self.key_equals(source),
        )
    }

    fn delete(&self, source: &str) -> String {
        format!(
            "DELETE FROM {} AS target USING {source} WHERE {}
  RETURNING {source}.write_id",
            self.table.sql_name(),
            self.key_equals(source),
        )
    }
}
