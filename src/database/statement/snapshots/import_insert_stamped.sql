WITH input AS (
  SELECT unnest(($1)[1]::bigint[]) AS c1, unnest(($1)[2]::text[]) AS c2, unnest(($1)[3]::timestamptz[]) AS c3
), written AS (
  INSERT INTO "public"."stamped" AS target ("id", "note", "changed")
  SELECT input.c1, input.c2, input.c3 FROM input
  RETURNING 1
)
SELECT ARRAY[(SELECT count(*) FROM written), 0]

