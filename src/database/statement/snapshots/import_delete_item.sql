WITH input AS (
  SELECT unnest(($1)[1]::bpchar[]) AS c1, unnest(($1)[2]::integer[]) AS c2
), written AS (
  DELETE FROM "public"."item" AS target USING input
  WHERE target."kind" = input.c1 AND target."number" = input.c2
  RETURNING 1
)
SELECT ARRAY[(SELECT count(*) FROM written), 0]

