INSERT INTO sync.import_key (import_id, key)
SELECT $2, found.key FROM (SELECT unnest(($1)[1]::text[]) AS c1) AS input CROSS JOIN LATERAL (
  SELECT ROW(target."word")::text AS key FROM "public"."loose" AS target WHERE target."word" = input.c1::citext OFFSET 0
) AS found

