-- Events that tell others what happened. Each is made by the transaction that it tells of, so that neither stands alone.
--
-- A worker makes events only if its deployment has an event bus. After the commit it publishes them, and deletes them then. If
-- it dies in between, its messages are delivered again, and that delivery publishes them. docs/guide/events.md describes
-- them.

-- The events that are not published yet.
CREATE TABLE IF NOT EXISTS sync.event (
    -- Stays the same if the event is published again.
    id uuid PRIMARY KEY,
    -- The detail type, such as WritesRejected.
    kind text NOT NULL,
    -- The writes or the import of which it tells: the next delivery of these looks for their events.
    subjects uuid[] NOT NULL,
    detail text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- Makes the event of the writes that this transaction has rejected, of those with these ids. Returns true if there are any.
--
-- It holds no key, no reason and no name of a column, since each can be a text of the client. EventBridge takes 256 KiB, so it
-- lists as many writes as fit into 150,000 bytes, and counts all of them by table and rule.
CREATE OR REPLACE FUNCTION sync.tell_rejected(ids uuid[])
RETURNS boolean
LANGUAGE sql
AS $$
    WITH rejected AS (
        SELECT id, coalesce(idempotency_id, id) AS subject, left(table_name, 128) AS "table", operation, rule, sqlstate,
            left(caller, 1000) AS caller, request_id, accepted_at
        FROM sync.write
        WHERE (id = ANY (ids) OR idempotency_id = ANY (ids)) AND outcome = 'rejected'
            AND settled_at >= transaction_timestamp()
    ), listed AS (
        SELECT item, id, sum(octet_length(item::text) + 1) OVER (ORDER BY id) AS bytes
        FROM (
            SELECT id, json_build_object('id', id, 'table', "table", 'operation', operation, 'rule', rule, 'sqlstate', sqlstate,
                'caller', caller, 'request_id', request_id, 'accepted_at', accepted_at) AS item
            FROM rejected
        ) AS of_write
    ), kind AS (
        SELECT "table", rule, sqlstate, count(*) AS count FROM rejected GROUP BY 1, 2, 3
        ORDER BY count DESC, "table", rule, sqlstate LIMIT 100
    ), made AS (
        INSERT INTO sync.event (id, kind, subjects, detail)
        SELECT event.id, 'WritesRejected', (SELECT array_agg(DISTINCT subject) FROM rejected),
            json_build_object(
                'schema', 1,
                'id', event.id,
                'count', event.count,
                'by_rule', (SELECT json_agg(kind) FROM kind),
                'writes', (SELECT coalesce(json_agg(item ORDER BY id), '[]') FROM listed WHERE bytes <= 150000),
                'complete', (SELECT max(bytes) <= 150000 FROM listed)
            )::text
        FROM (SELECT gen_random_uuid() AS id, count(*) AS count FROM rejected HAVING count(*) > 0) AS event
        RETURNING 1
    )
    SELECT EXISTS (SELECT FROM made)
$$;

-- Makes the event of an import that has ended. It does not hold the error, which can quote the file.
CREATE OR REPLACE FUNCTION sync.tell_import(ended sync.import)
RETURNS void
LANGUAGE sql
AS $$
    INSERT INTO sync.event (id, kind, subjects, detail)
    SELECT event.id, CASE ended.state WHEN 'completed' THEN 'ImportCompleted' ELSE 'ImportFailed' END, ARRAY[ended.id],
        json_build_object(
            'schema', 1,
            'id', event.id,
            'import_id', ended.id,
            'table', left(ended.table_name, 1024),
            'state', ended.state,
            'dry_run', coalesce(ended.options -> 'dry-run' = 'true', false),
            'source', json_build_object('bucket', ended.bucket, 'key', ended.object_key, 'version', ended.object_version),
            'rows', json_build_object('read', ended.rows_read, 'written', ended.rows_written,
                'unchanged', ended.rows_unchanged, 'superseded', ended.rows_superseded, 'rejected', ended.rows_rejected),
            'rows_deleted', ended.rows_deleted,
            'report_key', ended.table_name || '/' || ended.id || '/report.json',
            'caller', left(ended.caller, 1000),
            'started_at', ended.started_at,
            'finished_at', ended.finished_at
        )::text
    FROM (SELECT gen_random_uuid() AS id) AS event
$$;

-- Ends a running import whose report is written, and returns its rows. With `tells`, makes its event.
CREATE OR REPLACE FUNCTION sync.end_import(ended_id uuid, end_state text, end_error text, tells boolean)
RETURNS TABLE (read bigint, written bigint, unchanged bigint, superseded bigint, rejected bigint)
LANGUAGE plpgsql
AS $$
DECLARE
    import sync.import;
BEGIN
    UPDATE sync.import
    SET state = end_state, error = end_error, finished_at = clock_timestamp(), reported_at = clock_timestamp(),
        bytes_read = CASE WHEN end_state = 'completed' THEN coalesce(bytes_total, 0) ELSE bytes_read END
    WHERE id = ended_id AND state = 'running'
    RETURNING * INTO import;
    IF import.id IS NULL THEN
        RETURN;
    END IF;
    IF tells THEN
        PERFORM sync.tell_import(import);
    END IF;
    RETURN QUERY SELECT import.rows_read, import.rows_written, import.rows_unchanged, import.rows_superseded,
        import.rows_rejected;
END
$$;

-- Records that an import which another worker ended has its report. With `tells`, makes its event.
CREATE OR REPLACE FUNCTION sync.set_import_reported(reported_id uuid, tells boolean)
RETURNS void
LANGUAGE plpgsql
AS $$
DECLARE
    import sync.import;
BEGIN
    UPDATE sync.import SET reported_at = clock_timestamp() WHERE id = reported_id AND reported_at IS NULL
    RETURNING * INTO import;
    IF tells AND import.id IS NOT NULL THEN
        PERFORM sync.tell_import(import);
    END IF;
END
$$;
