WITH input AS (
  SELECT unnest(($1)[1]::text[]) AS c1
), written AS (
  INSERT INTO "public"."keyless" AS target ("note")
  SELECT input.c1 FROM input
  RETURNING 1
)
SELECT ARRAY[(SELECT count(*) FROM written), 0]

