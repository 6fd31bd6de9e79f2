WITH input AS MATERIALIZED (
  SELECT *, row_number() OVER () AS n FROM (SELECT unnest(($1)[1]::integer[]) AS c1, unnest(($1)[2]::text[]) AS c2) AS row_of_set
), sample AS MATERIALIZED (
  SELECT 2 * count(found.one) > count(*) AS is_same FROM (SELECT * FROM input LIMIT 50) AS input
  LEFT JOIN LATERAL (
    SELECT 1 AS one FROM "public"."owned" AS target WHERE target."id" = input.c1 AND (target."note") IS NOT DISTINCT FROM (input.c2) OFFSET 0
  ) AS found ON true
), same AS MATERIALIZED (
  SELECT input.n FROM input CROSS JOIN LATERAL (
    SELECT FROM "public"."owned" AS target WHERE target."id" = input.c1 AND (target."note") IS NOT DISTINCT FROM (input.c2) OFFSET 0
  ) AS found
  WHERE (SELECT is_same FROM sample)
), written AS (
  INSERT INTO "public"."owned" AS target ("id", "note")
  SELECT input.c1, input.c2 FROM input WHERE n NOT IN (SELECT n FROM same)
  ON CONFLICT ("id") DO UPDATE SET "note" = EXCLUDED."note"
  WHERE (ROW(target."note")::record *<> ROW(EXCLUDED."note")::record OR NOT EXISTS (SELECT FROM "public"."owned" AS seen WHERE seen."id" = target."id"))
  RETURNING 1
)
SELECT ARRAY[(SELECT count(*) FROM written), 0]

