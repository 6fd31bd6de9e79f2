INSERT INTO sync.import_chunk (import_id, chunk, lane, set_number, rows_read, rows_written,
  rows_unchanged, rows_superseded, rows_rejected, rows_overwritten, records, bytes_read, next_byte, next_line, next_record)
SELECT :import_id::uuid, :chunk::integer, :lane::smallint, :set_number::integer, :rows::bigint + :folded::bigint, loaded.rows_written, loaded.rows_unchanged,
  loaded.rows_superseded + :folded::bigint, loaded.rows_rejected, loaded.rows_overwritten,
  :records::bigint, :bytes_read::bigint, :next_byte::bigint, :next_line::bigint, :next_record::bigint
FROM sync.load(:import_id::uuid, :statement::text, :insert_statement::text, :keys_statement::text,
  ARRAY[:c1::text, :c2::text], :rows::bigint) AS loaded
