WITH input AS MATERIALIZED (
  SELECT *, row_number() OVER () AS n FROM (SELECT unnest(($1)[1]::bigint[]) AS c1, unnest(($1)[2]::text[]) AS c2, unnest(($1)[3]::timestamptz[]) AS c3) AS row_of_set
), met AS MATERIALIZED (
  SELECT input.n, found.* FROM input CROSS JOIN LATERAL (
    SELECT (target."note", target."changed") IS NOT DISTINCT FROM (input.c2, input.c3) AS is_same, NOT (target."changed" IS NULL OR target."changed" < input.c3) AS is_older,
      age(target.xmin) > age(pg_current_xact_id()::xid) AS was_there
    FROM "public"."stamped" AS target WHERE target."id" = input.c1 OFFSET 0
  ) AS found
), written AS (
  INSERT INTO "public"."stamped" AS target ("id", "note", "changed")
  SELECT input.c1, input.c2, input.c3 FROM input WHERE n NOT IN (SELECT n FROM met WHERE is_older)
  ON CONFLICT ("id") DO UPDATE SET "note" = EXCLUDED."note", "changed" = EXCLUDED."changed"
  WHERE (target."changed" IS NULL OR target."changed" < EXCLUDED."changed")
  RETURNING 1
)
SELECT ARRAY[(SELECT count(*) FROM written), (SELECT count(*) FROM met WHERE is_older AND NOT is_same),
  (SELECT count(*) FROM met WHERE was_there AND NOT is_older AND NOT is_same)]

