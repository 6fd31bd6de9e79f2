INSERT INTO sync.import_chunk (import_id, chunk, lane, set_number, rows_read, rows_written,
  rows_unchanged, rows_superseded, rows_rejected, rows_overwritten, records, bytes_read, next_byte, next_line, next_record)
SELECT :import_id::uuid, :chunk::integer, :lane::smallint, :set_number::integer, rejected, 0, 0, 0, rejected, 0,
  :records::bigint, :bytes_read::bigint, :next_byte::bigint, :next_line::bigint, :next_record::bigint
FROM (SELECT sync.enter_import(:import_id::uuid)) AS entered,
  sync.add_rejects(:import_id::uuid, :lane::smallint,
  ARRAY(
    SELECT (NULL, NULL, record, line, byte_offset, column_name, rule, sqlstate, reason,
      convert_from(decode(raw, 'base64'), 'UTF8'), decode(raw_bytes, 'base64'))::sync.import_reject
    FROM unnest(:record::bigint[], :line::bigint[], :byte_offset::bigint[], :column_name::text[], :rule::text[],
      :sqlstate::text[], :reason::text[], :raw::text[], :raw_bytes::text[]) WITH ORDINALITY
      AS of_file (record, line, byte_offset, column_name, rule, sqlstate, reason, raw, raw_bytes, number)
    ORDER BY number), 100000, 67108864) AS rejected
