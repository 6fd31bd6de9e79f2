INSERT INTO sync.import_key (import_id, key)
SELECT $2, found.key FROM (SELECT unnest(($1)[1]::integer[]) AS c1) AS input CROSS JOIN LATERAL (
  SELECT ROW(target."id")::text AS key FROM "public"."owned" AS target WHERE target."id" = input.c1 OFFSET 0
) AS found

