WITH input AS MATERIALIZED (
  SELECT *, row_number() OVER () AS n FROM (SELECT unnest(($1)[1]::integer[]) AS c1, unnest(($1)[2]::text[]) AS c2) AS row_of_set
), met AS MATERIALIZED (
  SELECT input.n, found.* FROM input CROSS JOIN LATERAL (
    SELECT (target."note") IS NOT DISTINCT FROM (input.c2) AS is_same, false AS is_older,
      age(target.xmin) > age(pg_current_xact_id()::xid) AS was_there
    FROM "public"."owned" AS target WHERE target."id" = input.c1 OFFSET 0
  ) AS found
), written AS (
  INSERT INTO "public"."owned" AS target ("id", "note")
  SELECT input.c1, input.c2 FROM input WHERE n NOT IN (SELECT n FROM met WHERE is_older)
  ON CONFLICT ("id") DO UPDATE SET "note" = EXCLUDED."note"
  WHERE (ROW(target."note")::record *<> ROW(EXCLUDED."note")::record OR NOT EXISTS (SELECT FROM "public"."owned" AS seen WHERE seen."id" = target."id"))
  RETURNING 1
)
SELECT ARRAY[(SELECT count(*) FROM written), (SELECT count(*) FROM met WHERE is_older AND NOT is_same),
  (SELECT count(*) FROM met WHERE was_there AND NOT is_older AND NOT is_same)]

