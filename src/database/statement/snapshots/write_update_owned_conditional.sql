WITH input AS MATERIALIZED (
  SELECT * FROM unnest(($1)[1]::uuid[], ($1)[2]::bigint[], ($1)[3]::text[], ($1)[4]::text[], ($1)[5]::text[], ($1)[6]::integer[], ($1)[7]::text[])
    AS input (write_id, accepted_at_ms, write_key, fingerprint, precondition, c1, c2)
), fresh AS MATERIALIZED (
  SELECT * FROM input
  WHERE (SELECT true FROM sync.write AS settled WHERE settled.id = input.write_id LIMIT 1) IS NULL
), written AS (
  UPDATE "public"."owned" AS target SET "note" = fresh.c2
  FROM fresh WHERE target."id" = fresh.c1 AND (fresh.precondition = '*' OR strpos(fresh.precondition, '"' || (SELECT sync.row_tag(image) FROM (SELECT target."id", target."note") AS image) || '"') > 0)
  RETURNING fresh.write_key
), settled AS (
  SELECT write_id, accepted_at_ms, write_key, fingerprint, outcome, CASE WHEN outcome IN ('precondition-failed', 'row-security') THEN json_build_object('table', 'owned', 'operation', 'update', 'row', json_object(ARRAY['If-Match', 'id', 'note'], ARRAY[fresh.precondition, fresh.c1::text, fresh.c2::text]))::text END AS payload
  FROM (SELECT *, CASE WHEN write_key IN (SELECT written.write_key FROM written) THEN 'applied'
    WHEN sync.sees('SELECT EXISTS (SELECT FROM "public"."owned" AS target WHERE target."id" = ($1)[1]::integer AND (($1)[2] = ''*'' OR strpos(($1)[2], ''"'' || (SELECT sync.row_tag(image) FROM (SELECT target."id", target."note") AS image) || ''"'') > 0))', ARRAY[fresh.c1::text, fresh.precondition]) THEN 'row-security' ELSE 'precondition-failed' END AS outcome FROM fresh) AS fresh
)
SELECT sync.checked_outcomes(ARRAY[array_agg(write_id)::text, array_agg(accepted_at_ms)::text, array_agg(write_key)::text,
  array_agg(fingerprint)::text, array_agg(outcome)::text, array_agg(payload)::text])
FROM settled
