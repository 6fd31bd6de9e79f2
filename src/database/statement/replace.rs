//! The SQL texts of mode `replace`, once its file is loaded: which rows of the table were not in the file, and their
//! deletion.
//!
//! A row is missing where its key is not among the file's (`sync.import_key`) and where nobody wrote it since the import
//! began: its version was visible in the snapshot of the claim. Each text looks at a stretch of the table, so many rows
//! in the order of their keys. Parameters: `import_id`; `rows`, NULL for all of them; `after`, the key behind which to
//! begin, as an array of texts, NULL at the beginning.

use aurora_sync_catalog::{Table, quote_identifier};

use super::StatementTarget;

/// Counts the missing rows of a stretch, and records how far the counting is. Answers nothing where somebody else has
/// counted the stretch.
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

/// Deletes the missing rows of a stretch, and records how many they were and how far the deleting is. Fails where somebody
/// else has deleted them, or ended the import.
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

/// Locks the missing rows of a stretch, and returns how many they are, how many rows were looked at, and the last one's
/// key. [`delete_missing`] with the same parameters then deletes just these rows.
pub fn lock_missing(table: &Table, has_begin: bool) -> String {
    format!(
        "{}, locked AS MATERIALIZED (
  SELECT FROM {} AS target, missing
  WHERE {IS_MISSING}
  FOR UPDATE OF target
)
SELECT (SELECT count(*) FROM locked), (SELECT count(*) FROM stretch), {}",
        missing(table, has_begin),
        table.sql_name(),
        last(table),
    )
}

/// Deletes the missing rows of a stretch.
pub fn delete_missing(table: &Table, has_begin: bool) -> String {
    format!(
        "{}
DELETE FROM {} AS target USING missing
WHERE {IS_MISSING}",
        missing(table, has_begin),
        table.sql_name(),
    )
}

/// The stretch, and those of its rows that are missing. Keys are looked up one after the other: a join would read all keys
/// of the file for each stretch.
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
        returned = StatementTarget { table, columns: &[] }.returned_key(),
        name = table.sql_name(),
    )
}

/// Rows are found by their numbers: a join alone could read the whole table. The join is what PostgreSQL evaluates again
/// where somebody changes a row that is about to be locked or deleted: the new version has another place and another
/// writer. The rows of a partitioned table may share a place.
const IS_MISSING: &str =
    "target.ctid = ANY (ARRAY(SELECT tuple_id FROM missing)) AND target.ctid = missing.tuple_id
    AND target.tableoid = missing.table_oid AND target.xmin = missing.written_by";

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

/// The key of the stretch's last row as texts; NULL where it has none.
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

fn keys(table: &Table) -> String {
    let keys = table.primary_key.iter().map(|name| format!("target.{}", quote_identifier(name)));
    keys.collect::<Vec<_>>().join(", ")
}
