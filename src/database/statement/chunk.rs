//! The SQL texts that load a set of rows of a file, or keep the records that do not fit, and record
//! the set in `sync.import_chunk`.
//!
//! Pure. `sync.load` and `sync.load_bisected` run the statements of [`super::load`].

/// The number of rejected rows that are kept of each lane, and of an import: the first ones. The
/// others are counted only.
pub const REJECTS_KEPT: u64 = 100_000;

/// The bytes of rejected rows that are kept of each lane.
const REJECT_BYTES_KEPT: u64 = 64 * 1024 * 1024;

/// The rows of a file as `sync.add_rejects` and `sync.load_bisected` take them.
const ROWS: &str = "ARRAY(
    SELECT (NULL, NULL, record, line, byte_offset, column_name, rule, sqlstate, reason,
      convert_from(decode(raw, 'base64'), 'UTF8'), decode(raw_bytes, 'base64'))::sync.import_reject
    FROM unnest(:record::bigint[], :line::bigint[], :byte_offset::bigint[], :column_name::text[], :rule::text[],
      :sqlstate::text[], :reason::text[], :raw::text[], :raw_bytes::text[]) WITH ORDINALITY
      AS of_file (record, line, byte_offset, column_name, rule, sqlstate, reason, raw, raw_bytes, number)
    ORDER BY number)";

/// Inserts the row of a set into `sync.import_chunk`.
const RECORD: &str = "INSERT INTO sync.import_chunk (import_id, chunk, lane, set_number, rows_read, rows_written,
  rows_unchanged, rows_superseded, rows_rejected, rows_overwritten, records, bytes_read, next_byte, next_line, next_record)
SELECT :import_id::uuid, :chunk::integer, :lane::smallint, :set_number::integer,";

/// The columns of the chunk's end.
const CHUNK: &str = ":records::bigint, :bytes_read::bigint, :next_byte::bigint, :next_line::bigint, :next_record::bigint";

/// The columns of a set's counts, with the rows that were folded into others.
const COUNTS: &str = ":rows::bigint + :folded::bigint, loaded.rows_written, loaded.rows_unchanged,
  loaded.rows_superseded + :folded::bigint, loaded.rows_rejected, loaded.rows_overwritten";

/// Returns the SQL text that loads a set without bad rows.
pub fn load_sql(columns: usize) -> String {
    format!(
        "{RECORD} {COUNTS},
  {CHUNK}
FROM sync.load(:import_id::uuid, :statement::text, :insert_statement::text, :keys_statement::text,
  {}, :rows::bigint) AS loaded",
        columns_array(columns)
    )
}

/// Returns the SQL text that loads a set with bad rows.
pub fn load_bisected_sql(columns: usize) -> String {
    format!(
        "{RECORD} {COUNTS},
  {CHUNK}
FROM sync.load_bisected(:import_id::uuid, :lane::smallint, :statement::text, :keys_statement::text,
  {}, :column_names::text[], :types::text[], :is_immediate::boolean,
  :follows::integer[], :of_table::text, :adds::text,
  {ROWS}, {REJECTS_KEPT}, {REJECT_BYTES_KEPT}) AS loaded",
        columns_array(columns),
    )
}

/// Returns the SQL text that records and counts the records that do not fit the table.
pub fn reject_sql() -> String {
    format!(
        "{RECORD} rejected, 0, 0, 0, rejected, 0,
  {CHUNK}
FROM (SELECT sync.enter_import(:import_id::uuid)) AS entered,
  sync.add_rejects(:import_id::uuid, :lane::smallint,
  {ROWS}, {REJECTS_KEPT}, {REJECT_BYTES_KEPT}) AS rejected",
    )
}

/// Returns the SQL text that records rejects without counting them.
pub fn add_rejects_sql() -> String {
    format!(
        "SELECT sync.add_rejects(:import_id::uuid, :lane::smallint,
  {ROWS}, {REJECTS_KEPT}, {REJECT_BYTES_KEPT})",
    )
}

/// `ARRAY[:c1::text, :c2::text]`. Each column is a parameter of its own: a literal within a literal
/// would be escaped twice.
fn columns_array(columns: usize) -> String {
    let columns: Vec<_> = (1..=columns).map(|index| format!(":c{index}::text")).collect();
    format!("ARRAY[{}]", columns.join(", "))
}
