WITH input AS (
  SELECT unnest(($1)[1]::text[]) AS c1
), written AS (
  DELETE FROM "public"."loose" AS target USING input
  WHERE target."word" = input.c1::citext
  RETURNING 1
)
SELECT ARRAY[(SELECT count(*) FROM written), 0]

