WITH began AS MATERIALIZED (
  SELECT began_snapshot, sync.xid_ceiling() AS ceiling FROM sync.import WHERE id = :import_id::uuid
), stretch AS MATERIALIZED (
  SELECT target."kind" AS k1, target."number" AS k2, target.tableoid AS table_oid, target.ctid AS tuple_id, target.xmin AS written_by,
    ROW(target."kind", target."number")::text AS key
  FROM "public"."item" AS target
  WHERE ROW(target."kind", target."number") > ROW((:after::text[])[1]::bpchar, (:after::text[])[2]::integer)
  ORDER BY target."kind", target."number" LIMIT :rows::bigint
), missing AS MATERIALIZED (
  SELECT table_oid, tuple_id, written_by FROM stretch CROSS JOIN began
  WHERE sync.is_visible_in(written_by, ceiling, began_snapshot) AND (
    SELECT true FROM sync.import_key AS known
    WHERE known.import_id = :import_id::uuid AND md5(known.key) = md5(stretch.key) AND known.key = stretch.key
    LIMIT 1
  ) IS NULL
)
UPDATE sync.import AS import
SET rows_looked_at = rows_looked_at + counted.rows, rows_missing = rows_missing + counted.missing,
  replace_phase = CASE WHEN counted.rows < :rows::bigint THEN 'delete' ELSE 'count' END,
  replace_after = CASE WHEN counted.rows < :rows::bigint THEN NULL ELSE counted.last END,
  progressed_at = clock_timestamp()
FROM (
  SELECT (SELECT count(*) FROM stretch) AS rows, (SELECT count(*) FROM missing) AS missing, (SELECT ARRAY[k1::text, k2::text] FROM stretch ORDER BY k1 DESC, k2 DESC LIMIT 1) AS last
) AS counted
WHERE import.id = :import_id::uuid AND import.state = 'running' AND import.replace_phase = 'count'
  AND import.replace_after IS NOT DISTINCT FROM :after::text[]
RETURNING import.id::text
