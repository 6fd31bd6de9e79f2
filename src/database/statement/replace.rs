//! The SQL texts of mode `replace`, after its file is loaded: they find and delete the rows of the
//! table that were not in the file.
//!
//! A row is missing if its key is not among the file's (`sync.import_key`) and nobody has written
//! it since the import began: its version is visible in the snapshot of the claim. Each statement
//! looks at a stretch of the table, a number of rows in the order of their keys. Parameters:
//! `import_id`; `rows`, the size of the stretch, NULL for all rows; `after`, the key after which
//! the stretch begins, as an array of texts, NULL at the beginning.

use aurora_sync_catalog::{Table, quote_identifier};

use super::StatementTarget;

/// Returns the statement that counts the missing rows of a stretch, and records the count and the
/// end of the stretch. It returns no row if another worker has counted the stretch.
pub fn count_missing(table: &Table, has_begin: bool) -> String {
    format!(
        "{}
UPDATE sync.import AS import
SET rows_looked_at = rows_looked_at + counted.rows, rows_missing = rows_missing + counted.missing,
  replace_phase = CASE WHEN counted.rows < :rows::bigint THEN 'delete' ELSE 'count' END,
  replace_after = CASE WHEN counted.rows < :rows::bigint THEN NULL ELSE counted.last END,
  progressed_at = clock_timestamp()
FROM (
  SELECT (SELECT count(*) FROM stretch) AS rows, (SELECT count(*) FROM missing) AS missing, {} AS last
) AS counted
WHERE import.id = :import_id::uuid AND import.state = 'running' AND import.replace_phase = 'count'
  AND import.replace_after IS NOT DISTINCT FROM :after::text[]
RETURNING import.id::text",
        missing(table, has_begin),
        last(table),
    )
}

/// Returns the statement that deletes the missing rows of a stretch, and records their number and
/// the end of the stretch. It fails if another worker has deleted them or ended the import.
pub fn delete_stretch(table: &Table, has_begin: bool) -> String {
    format!(
        "{}, {}, entered AS MATERIALIZED (
  SELECT sync.enter_stretch(:import_id::uuid, :after::text[]) AS id
)
UPDATE sync.import AS import
SET rows_deleted = rows_deleted + counted.deleted,
  replace_phase = CASE WHEN counted.rows >= :rows::bigint THEN 'delete' ELSE 'done' END,
  replace_after = counted.last, progressed_at = clock_timestamp()
FROM entered CROSS JOIN (
  SELECT (SELECT count(*) FROM stretch) AS rows, (SELECT count(*) FROM deleted) AS deleted, {} AS last
) AS counted
WHERE import.id = entered.id",
        missing(table, has_begin),
        deleted(table),
        last(table),
    )
}

/// Returns the statement that locks the missing rows of a stretch. Its result, as JSON, is their
/// number, the number of rows in the stretch, and the key of the last one. [`delete_missing`] with
/// the same parameters then deletes exactly these rows.
pub fn lock_missing(table: &Table, has_begin: bool) -> String {
    format!(
        "{}, locked AS MATERIALIZED (
  SELECT FROM {} AS target, missing
  WHERE {IS_MISSING}
  FOR UPDATE OF target
)
SELECT json_build_array((SELECT count(*) FROM locked), (SELECT count(*) FROM stretch), {}::text)::text",
        missing(table, has_begin),
        table.sql_name(),
        last(table),
    )
}

/// Returns the statement that deletes the missing rows of a stretch.
pub fn delete_missing(table: &Table, has_begin: bool) -> String {
    format!(
        "{}
DELETE FROM {} AS target USING missing
WHERE {IS_MISSING}",
        missing(table, has_begin),
        table.sql_name(),
    )
}

/// Returns the CTEs `stretch` and `missing`, the rows of the stretch that are missing. Keys are
/// looked up one by one: a join would read all keys of the file for each stretch.
fn missing(table: &Table, has_begin: bool) -> String {
    let keys = keys(table);
    let types = table.key_columns().map(|column| column.column_type.cast_name());
    let after: Vec<_> = types
        .enumerate()
        .map(|(index, name)| format!("(:after::text[])[{}]::{name}", index + 1))
        .collect();
    let begin = if has_begin {
        format!("\n  WHERE ROW({keys}) > ROW({})", after.join(", "))
    } else {
        String::new()
    };
    format!(
        "WITH began AS MATERIALIZED (
  SELECT began_snapshot, sync.xid_ceiling() AS ceiling FROM sync.import WHERE id = :import_id::uuid
), stretch AS MATERIALIZED (
  SELECT {returned}, target.tableoid AS table_oid, target.ctid AS tuple_id, target.xmin AS written_by,
    ROW({keys})::text AS key
  FROM {name} AS target{begin}
  ORDER BY {keys} LIMIT :rows::bigint
), missing AS MATERIALIZED (
  SELECT table_oid, tuple_id, written_by FROM stretch CROSS JOIN began
  WHERE sync.is_visible_in(written_by, ceiling, began_snapshot) AND (
    SELECT true FROM sync.import_key AS known
    WHERE known.import_id = :import_id::uuid AND md5(known.key) = md5(stretch.key) AND known.key = stretch.key
    LIMIT 1
  ) IS NULL
)",
        returned = StatementTarget { table, columns: &[], precondition: None }.returned_key(),
        name = table.sql_name(),
    )
}

/// The condition that a row of the table is one of `missing`.
///
/// `= ANY` finds rows by their `ctid`, as a join alone could read the whole table. PostgreSQL
/// evaluates the comparisons with `missing` again if another transaction changes a row that is
/// about to be locked or deleted: its new version has another `ctid` and another `xmin`. Rows of
/// different partitions can have the same `ctid`.
const IS_MISSING: &str =
    "target.ctid = ANY (ARRAY(SELECT tuple_id FROM missing)) AND target.ctid = missing.tuple_id
    AND target.tableoid = missing.table_oid AND target.xmin = missing.written_by";

/// Returns the CTE `deleted`.
fn deleted(table: &Table) -> String {
    format!(
        "deleted AS (
  DELETE FROM {} AS target USING missing
  WHERE {IS_MISSING}
  RETURNING 1
)",
        table.sql_name(),
    )
}

/// Returns the key of the last row of the stretch, as texts; NULL if the stretch is empty.
fn last(table: &Table) -> String {
    let numbers = 1..=table.primary_key.len();
    let texts: Vec<_> = numbers.clone().map(|number| format!("k{number}::text")).collect();
    let backwards: Vec<_> = numbers.map(|number| format!("k{number} DESC")).collect();
    format!(
        "(SELECT ARRAY[{}] FROM stretch ORDER BY {} LIMIT 1)",
        texts.join(", "),
        backwards.join(", ")
    )
}

/// Returns `target."id", …`.
fn keys(table: &Table) -> String {
    let keys = table.primary_key.iter().map(|name| format!("target.{}", quote_identifier(name)));
    keys.collect::<Vec<_>>().join(", ")
}
