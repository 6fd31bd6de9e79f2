SELECT sync.add_rejects(:import_id::uuid, :lane::smallint,
  ARRAY(
    SELECT (NULL, NULL, record, line, byte_offset, column_name, rule, sqlstate, reason,
      convert_from(decode(raw, 'base64'), 'UTF8'), decode(raw_bytes, 'base64'))::sync.import_reject
    FROM unnest(:record::bigint[], :line::bigint[], :byte_offset::bigint[], :column_name::text[], :rule::text[],
      :sqlstate::text[], :reason::text[], :raw::text[], :raw_bytes::text[]) WITH ORDINALITY
      AS of_file (record, line, byte_offset, column_name, rule, sqlstate, reason, raw, raw_bytes, number)
    ORDER BY number), 100000, 67108864)
