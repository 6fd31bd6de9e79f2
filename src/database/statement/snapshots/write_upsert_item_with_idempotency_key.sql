WITH input AS MATERIALIZED (
  SELECT * FROM unnest(($1)[1]::uuid[], ($1)[2]::bigint[], ($1)[3]::text[], ($1)[4]::text[], ($1)[5]::bpchar[], ($1)[6]::integer[], ($1)[7]::text[], ($1)[8]::numeric[], ($1)[9]::text[], ($1)[10]::text[])
    AS input (write_id, accepted_at_ms, write_key, fingerprint, c1, c2, c3, c4, c5, c6)
), fresh AS MATERIALIZED (
  SELECT * FROM input
  WHERE (SELECT true FROM sync.write AS settled WHERE settled.id = input.write_id LIMIT 1) IS NULL
), written AS (
  INSERT INTO "public"."item" AS target ("kind", "number", "name", "amount", "tags", "place")
  SELECT fresh.c1, fresh.c2, fresh.c3, fresh.c4, fresh.c5::text[], fresh.c6::macaddr FROM fresh
  ON CONFLICT ("kind", "number") DO UPDATE SET "name" = EXCLUDED."name", "amount" = EXCLUDED."amount", "tags" = EXCLUDED."tags", "place" = EXCLUDED."place"
  WHERE ROW(target."name", target."amount", target."tags", target."place")::record *<> ROW(EXCLUDED."name", EXCLUDED."amount", EXCLUDED."tags", EXCLUDED."place")::record
  RETURNING target."kind" AS k1, target."number" AS k2
), settled AS (
  SELECT write_id, accepted_at_ms, write_key, fingerprint, NULL::uuid AS idempotency_id, CASE WHEN (fresh.c1, fresh.c2) IN (SELECT written.k1, written.k2 FROM written) THEN 'applied' ELSE 'unchanged' END AS outcome, NULL::text AS payload
  FROM fresh
  UNION ALL
  SELECT sync.reused_id(input.write_id, input.fingerprint), input.accepted_at_ms, input.write_key, input.fingerprint, input.write_id, 'idempotency-key-reused',
    json_build_object('table', 'item', 'operation', 'upsert', 'row', json_object(ARRAY['kind', 'number', 'name', 'amount', 'tags', 'place'], ARRAY[input.c1::text, input.c2::text, input.c3::text, input.c4::text, input.c5::text, input.c6::text]))::text
  FROM input JOIN sync.write AS known ON known.id = input.write_id
  WHERE known.fingerprint IS DISTINCT FROM input.fingerprint
    AND NOT EXISTS (SELECT FROM sync.write AS rejected WHERE rejected.id = sync.reused_id(input.write_id, input.fingerprint))
)
SELECT sync.checked_outcomes(ARRAY[array_agg(write_id)::text, array_agg(accepted_at_ms)::text, array_agg(write_key)::text,
  array_agg(fingerprint)::text, array_agg(outcome)::text, array_agg(payload)::text, array_agg(idempotency_id)::text])
FROM settled
