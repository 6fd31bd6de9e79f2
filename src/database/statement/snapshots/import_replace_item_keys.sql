INSERT INTO sync.import_key (import_id, key)
SELECT $2, found.key FROM (SELECT unnest(($1)[1]::bpchar[]) AS c1, unnest(($1)[2]::integer[]) AS c2) AS input CROSS JOIN LATERAL (
  SELECT ROW(target."kind", target."number")::text AS key FROM "public"."item" AS target WHERE target."kind" = input.c1 AND target."number" = input.c2 OFFSET 0
) AS found

