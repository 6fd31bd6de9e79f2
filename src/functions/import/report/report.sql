SELECT row_to_json(found)::text FROM (
  SELECT 1 AS schema, id, table_name AS "table",
    json_build_object('bucket', bucket, 'key', object_key, 'version', object_version) AS source,
    :state::text AS state, :error::text AS error,
    coalesce(options -> 'dry-run' = 'true', false) AS dry_run, options,
    json_build_object('read', rows_read, 'written', rows_written, 'unchanged', rows_unchanged,
      'superseded', rows_superseded, 'rejected', rows_rejected) AS rows,
    rows_overwritten, rows_deleted, bytes_total AS bytes, started_at, ended_at AS finished_at,
    round(extract(epoch FROM ended_at - started_at), 3) AS duration_seconds,
    round(rows_read / nullif(extract(epoch FROM ended_at - started_at), 0), 1) AS rows_per_second,
    continuation AS continuations,
    (SELECT coalesce(json_agg(kind ORDER BY kind.count DESC, kind.rule, kind.sqlstate, kind."column"), '[]') FROM (
      SELECT rule, nullif(sqlstate, '') AS sqlstate, nullif(column_name, '') AS "column", sum(rows)::bigint AS count
      FROM sync.import_reject_kind WHERE import_id = import.id GROUP BY 1, 2, 3 HAVING sum(rows) <> 0
    ) AS kind) AS rejected_by_rule,
    (SELECT coalesce(json_agg(reject ORDER BY reject.record), '[]') FROM (
      SELECT record, line, byte_offset, column_name AS "column", rule, sqlstate, left(reason, 1000) AS reason
      FROM sync.import_reject WHERE import_id = import.id ORDER BY record LIMIT 100
    ) AS reject) AS rejects,
    rejects_kept, rejects_kept = rows_rejected AS rejects_complete
  FROM (
    SELECT *, coalesce(finished_at, clock_timestamp()) AS ended_at,
      (SELECT count(*) FROM sync.import_reject WHERE import_id = import.id) AS rejects_kept
    FROM sync.import WHERE id = :import_id::uuid
  ) AS import
) AS found
