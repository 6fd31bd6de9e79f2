WITH input AS MATERIALIZED (
  SELECT *, row_number() OVER () AS n FROM (SELECT unnest(($1)[1]::bpchar[]) AS c1, unnest(($1)[2]::integer[]) AS c2, unnest(($1)[3]::text[]) AS c3, unnest(($1)[4]::numeric[]) AS c4, unnest(($1)[5]::text[]) AS c5, unnest(($1)[6]::text[]) AS c6) AS row_of_set
), met AS MATERIALIZED (
  SELECT input.n, found.* FROM input CROSS JOIN LATERAL (
    SELECT (target."name", target."amount"::text COLLATE "C", target."tags", target."place"::text COLLATE "C") IS NOT DISTINCT FROM (input.c3, input.c4::text COLLATE "C", input.c5::text[], input.c6::macaddr::text COLLATE "C") AS is_same, false AS is_older,
      age(target.xmin) > age(pg_current_xact_id()::xid) AS was_there
    FROM "public"."item" AS target WHERE target."kind" = input.c1 AND target."number" = input.c2 OFFSET 0
  ) AS found
), written AS (
  INSERT INTO "public"."item" AS target ("kind", "number", "name", "amount", "tags", "place")
  SELECT input.c1, input.c2, input.c3, input.c4, input.c5::text[], input.c6::macaddr FROM input WHERE n NOT IN (SELECT n FROM met WHERE is_older)
  ON CONFLICT ("kind", "number") DO UPDATE SET "name" = EXCLUDED."name", "amount" = EXCLUDED."amount", "tags" = EXCLUDED."tags", "place" = EXCLUDED."place"
  WHERE ROW(target."name", target."amount", target."tags", target."place")::record *<> ROW(EXCLUDED."name", EXCLUDED."amount", EXCLUDED."tags", EXCLUDED."place")::record
  RETURNING 1
)
SELECT ARRAY[(SELECT count(*) FROM written), (SELECT count(*) FROM met WHERE is_older AND NOT is_same),
  (SELECT count(*) FROM met WHERE was_there AND NOT is_older AND NOT is_same)]

