WITH input AS MATERIALIZED (
  SELECT * FROM unnest(($1)[1]::uuid[], ($1)[2]::bigint[], ($1)[3]::text[], ($1)[4]::text[], ($1)[5]::integer[], ($1)[6]::text[])
    AS input (write_id, accepted_at_ms, write_key, fingerprint, c1, c2)
), fresh AS MATERIALIZED (
  SELECT * FROM input
  WHERE (SELECT true FROM sync.write AS settled WHERE settled.id = input.write_id LIMIT 1) IS NULL
), written AS (
  INSERT INTO "public"."owned" AS target ("id", "note")
  SELECT fresh.c1, fresh.c2 FROM fresh
  ON CONFLICT ("id") DO UPDATE SET "note" = EXCLUDED."note"
  WHERE (ROW(target."note")::record *<> ROW(EXCLUDED."note")::record OR NOT EXISTS (SELECT FROM "public"."owned" AS seen WHERE seen."id" = target."id"))
  RETURNING target."id" AS k1
), settled AS (
  SELECT write_id, accepted_at_ms, write_key, fingerprint, outcome, CASE WHEN outcome = 'row-security' THEN json_build_object('table', 'owned', 'operation', 'upsert', 'row', json_object(ARRAY['id', 'note'], ARRAY[fresh.c1::text, fresh.c2::text]))::text END AS payload
  FROM (SELECT *, CASE WHEN (SELECT count(*) FROM written) = (SELECT count(*) FROM fresh) OR (SELECT count(*) FROM written) = (SELECT count(*) FILTER (WHERE (fresh.c1) IN (SELECT written.k1 FROM written)) FROM fresh) AND (fresh.c1) IN (SELECT written.k1 FROM written) THEN 'applied' WHEN NOT (SELECT count(*) FROM written) = (SELECT count(*) FILTER (WHERE (fresh.c1) IN (SELECT written.k1 FROM written)) FROM fresh) THEN 'unknown' ELSE 'unchanged' END AS outcome FROM fresh) AS fresh
)
SELECT sync.checked_outcomes(ARRAY[array_agg(write_id)::text, array_agg(accepted_at_ms)::text, array_agg(write_key)::text,
  array_agg(fingerprint)::text, array_agg(outcome)::text, array_agg(payload)::text])
FROM settled
