WITH described AS (
  UPDATE sync.import
  SET options = CASE WHEN chunk_records IS NULL THEN :options::jsonb ELSE options END,
    bytes_total = CASE WHEN chunk_records IS NULL THEN :bytes_total::bigint ELSE bytes_total END,
    lanes = CASE WHEN chunk_records IS NULL THEN :lanes::smallint ELSE lanes END,
    chunk_records = coalesce(chunk_records, :chunk_records::integer),
    chunk_bytes = CASE WHEN chunk_records IS NULL THEN :chunk_bytes::integer ELSE chunk_bytes END,
    error = CASE WHEN rolled_back_at IS NOT NULL THEN error END
  WHERE id = :import_id::uuid
  RETURNING options, lanes, chunk_records, chunk_bytes
), chunk AS MATERIALIZED (
  SELECT chunk AS number, sum(rows_read) = max(records) AS is_loaded, max(next_byte) AS next_byte,
    max(next_line) AS next_line, max(next_record) AS next_record, sum(rows_read) AS rows_read,
    sum(rows_rejected) AS rows_rejected
  FROM sync.import_chunk WHERE import_id = :import_id::uuid GROUP BY chunk
), last AS (
  SELECT coalesce(max(number), -1) AS number
  FROM (SELECT number, row_number() OVER (ORDER BY number) AS rank FROM chunk WHERE is_loaded) AS loaded
  WHERE number = rank - 1
), ahead AS (
  SELECT lane, max(chunk) + 1 AS next FROM sync.import_chunk
  WHERE import_id = :import_id::uuid AND chunk > (SELECT number FROM last) GROUP BY lane
)
SELECT json_build_object('options', described.options, 'lanes', described.lanes,
  'limits', json_build_object('records', described.chunk_records, 'bytes', described.chunk_bytes),
  'chunk', last.number + 1, 'record', coalesce(chunk.next_record, 1),
  'position', CASE WHEN chunk.next_byte IS NOT NULL THEN json_build_array(chunk.next_byte, chunk.next_line) END,
  'rows_read', (SELECT coalesce(sum(rows_read), 0) FROM chunk),
  'rows_rejected', (SELECT coalesce(sum(rows_rejected), 0) FROM chunk),
  'lane_next', (SELECT json_agg(coalesce(ahead.next, last.number + 1) ORDER BY lane)
    FROM generate_series(0, described.lanes - 1) AS lane LEFT JOIN ahead USING (lane)))::text
FROM described CROSS JOIN last LEFT JOIN chunk ON chunk.number = last.number
