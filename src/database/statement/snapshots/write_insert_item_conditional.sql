WITH input AS MATERIALIZED (
  SELECT * FROM unnest(($1)[1]::uuid[], ($1)[2]::bigint[], ($1)[3]::text[], ($1)[4]::text[], ($1)[5]::text[], ($1)[6]::bpchar[], ($1)[7]::integer[], ($1)[8]::text[], ($1)[9]::numeric[], ($1)[10]::text[], ($1)[11]::text[])
    AS input (write_id, accepted_at_ms, write_key, fingerprint, precondition, c1, c2, c3, c4, c5, c6)
), fresh AS MATERIALIZED (
  SELECT * FROM input
  WHERE (SELECT true FROM sync.write AS settled WHERE settled.id = input.write_id LIMIT 1) IS NULL
), written AS (
  INSERT INTO "public"."item" AS target ("kind", "number", "name", "amount", "tags", "place")
  SELECT fresh.c1, fresh.c2, fresh.c3, fresh.c4, fresh.c5::text[], fresh.c6::macaddr FROM fresh ON CONFLICT ("kind", "number") DO NOTHING
  RETURNING target."kind" AS k1, target."number" AS k2
), settled AS (
  SELECT write_id, accepted_at_ms, write_key, fingerprint, outcome, CASE WHEN outcome = 'precondition-failed' THEN json_build_object('table', 'item', 'operation', 'insert', 'row', json_object(ARRAY['If-None-Match', 'kind', 'number', 'name', 'amount', 'tags', 'place'], ARRAY[fresh.precondition, fresh.c1::text, fresh.c2::text, fresh.c3::text, fresh.c4::text, fresh.c5::text, fresh.c6::text]))::text END AS payload
  FROM (SELECT *, CASE WHEN (fresh.c1, fresh.c2) IN (SELECT written.k1, written.k2 FROM written) THEN 'applied' ELSE 'precondition-failed' END AS outcome FROM fresh) AS fresh
)
SELECT sync.checked_outcomes(ARRAY[array_agg(write_id)::text, array_agg(accepted_at_ms)::text, array_agg(write_key)::text,
  array_agg(fingerprint)::text, array_agg(outcome)::text, array_agg(payload)::text])
FROM settled
