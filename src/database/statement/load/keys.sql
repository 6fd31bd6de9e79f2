INSERT INTO sync.import_key (import_id, key)
SELECT $2, found.key FROM (SELECT {input}) AS input CROSS JOIN LATERAL (
  SELECT ROW({target_key})::text AS key FROM {table} AS target WHERE {key_equals} OFFSET 0
) AS found
