WITH input AS (
  SELECT unnest(($1)[1]::integer[]) AS c1, unnest(($1)[2]::text[]) AS c2
), written AS (
  INSERT INTO "public"."owned" AS target ("id", "note")
  SELECT input.c1, input.c2 FROM input
  RETURNING 1
)
SELECT ARRAY[(SELECT count(*) FROM written), 0]

