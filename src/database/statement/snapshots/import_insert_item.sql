WITH input AS (
  SELECT unnest(($1)[1]::bpchar[]) AS c1, unnest(($1)[2]::integer[]) AS c2, unnest(($1)[3]::text[]) AS c3, unnest(($1)[4]::numeric[]) AS c4, unnest(($1)[5]::text[]) AS c5, unnest(($1)[6]::text[]) AS c6
), written AS (
  INSERT INTO "public"."item" AS target ("kind", "number", "name", "amount", "tags", "place")
  SELECT input.c1, input.c2, input.c3, input.c4, input.c5::text[], input.c6::macaddr FROM input
  RETURNING 1
)
SELECT ARRAY[(SELECT count(*) FROM written), 0]

