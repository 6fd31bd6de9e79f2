WITH input AS (
  SELECT unnest(($1)[1]::integer[]) AS c1
), written AS (
  DELETE FROM "public"."owned" AS target USING input
  WHERE target."id" = input.c1
  RETURNING 1
)
SELECT ARRAY[(SELECT count(*) FROM written), 0]

