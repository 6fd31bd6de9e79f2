-- The message groups that wait for a person. A group whose writes are all in the ledger has gone on.
SELECT coalesce(json_agg(json_build_object('group', message_group, 'writes', writes, 'cause', cause, 'since', blocked_at,
    'tried_at', tried_at) ORDER BY blocked_at), '[]')::text
FROM (
  SELECT message_group, cause, blocked_at, tried_at, (
      SELECT count(*) FROM unnest(write_ids) AS waiting (id) WHERE NOT EXISTS (SELECT FROM sync.write WHERE write.id = waiting.id)
    ) AS writes
  FROM sync.blocked
) AS known
WHERE writes > 0
