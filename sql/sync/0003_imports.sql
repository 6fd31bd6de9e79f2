-- Imports: any number of rows, each counted once, whatever is killed in between.

-- Returns the transactions that are committed now: pg_current_snapshot(), with the subtransactions of those in progress.
-- Without these, a row that was written after a savepoint would look like an older one after its commit. If a transaction has
-- been in progress for too long to look for them, all later ones count as not committed.
CREATE OR REPLACE FUNCTION sync.began_snapshot()
RETURNS pg_snapshot
LANGUAGE plpgsql
AS $$
DECLARE
    now pg_snapshot := pg_current_snapshot();
    first bigint := pg_snapshot_xmin(now)::text::bigint;
    next bigint := pg_snapshot_xmax(now)::text::bigint;
BEGIN
    IF next - first > 1000000 THEN
        RETURN format('%s:%s:', first, first)::pg_snapshot;
    END IF;
    RETURN (
        SELECT format('%s:%s:%s', first, next, string_agg(xid::text, ',' ORDER BY xid))::pg_snapshot
        FROM generate_series(first, next - 1) AS xid
        WHERE NOT pg_visible_in_snapshot(xid::text::xid8, now) OR pg_xact_status(xid::text::xid8) = 'in progress'
    );
END
$$;

-- Returns a number above every transaction. A transaction in progress may have given its subtransactions numbers that its
-- snapshot does not know yet: sixteen million of them at most.
CREATE OR REPLACE FUNCTION sync.xid_ceiling()
RETURNS bigint
LANGUAGE sql STABLE
AS $$
    SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint + 16777216
$$;

-- Tells if the writer of a row version (its xmin) was committed in a snapshot. A row keeps the last 32 bits of its writer;
-- they stand for the last such number below the ceiling. So a row that nobody has written for four thousand million
-- transactions can look new, but a new row never looks old.
CREATE OR REPLACE FUNCTION sync.is_visible_in(written_by xid, ceiling bigint, snapshot pg_snapshot)
RETURNS boolean
LANGUAGE sql IMMUTABLE
AS $$
    SELECT pg_visible_in_snapshot(
        (ceiling - ((ceiling - written_by::text::bigint) & 4294967295))::text::xid8, snapshot)
$$;

-- One row for each version of each file, by the identity of its S3 notification.
CREATE TABLE IF NOT EXISTS sync.import (
    id uuid PRIMARY KEY,
    bucket text NOT NULL,
    object_key text NOT NULL,
    -- The object's version if the bucket keeps versions, else its ETag.
    object_version text NOT NULL,
    sequencer text NOT NULL,
    table_name text NOT NULL,
    state text NOT NULL DEFAULT 'running' CHECK (state IN ('running', 'completed', 'failed')),
    -- The reason for which the import failed or does not go on, and what to do.
    error text,
    -- All options in force, as docs/reference/options.md names them.
    options jsonb NOT NULL DEFAULT '{}',
    -- The number of lanes, to which rows go by a hash of their keys, and the size of a chunk in records and bytes. They are
    -- set when the import begins, so that every worker cuts the file in the same way.
    lanes smallint NOT NULL DEFAULT 1,
    chunk_records integer,
    chunk_bytes integer,
    -- The number of messages that the import has sent to itself. A worker with an older one stops.
    continuation integer NOT NULL DEFAULT 0,
    -- The worker that has the import, its message, and the time of its last sign of life. A worker whose message is retried
    -- later lets the import go.
    worker uuid,
    message_id text,
    held_at timestamptz,
    -- The bytes of the object as it is stored, compressed or not.
    bytes_total bigint,
    -- The counts are brought up to date when the import ends; until then, sync.import_progress computes them.
    bytes_read bigint NOT NULL DEFAULT 0,
    rows_read bigint NOT NULL DEFAULT 0,
    rows_written bigint NOT NULL DEFAULT 0,
    rows_unchanged bigint NOT NULL DEFAULT 0,
    -- Rows that were folded into a later row of their key in the same chunk, and rows that are older than the row in the table.
    rows_superseded bigint NOT NULL DEFAULT 0,
    rows_rejected bigint NOT NULL DEFAULT 0,
    -- Dry run in modes "upsert" and "replace": the written rows that would overwrite a row of the table. NULL: not counted.
    rows_overwritten bigint,
    -- Mode "replace": the deleted rows of the table that were not in the file. They are not part of the sum.
    rows_deleted bigint NOT NULL DEFAULT 0,
    -- The time of the last update of the counts above.
    progressed_at timestamptz,
    started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    finished_at timestamptz,
    -- The time at which report.json was written. An ended import without a report gets one at the next delivery.
    reported_at timestamptz,
    -- The time at which a load in one transaction was rolled back: a dry run, or more rejects than allowed. This row then
    -- has its counts and, unless it was a dry run, the reason in "error".
    rolled_back_at timestamptz,
    -- The transactions that were committed when the import began: mode "replace" deletes no row that was written since.
    began_snapshot pg_snapshot NOT NULL DEFAULT sync.began_snapshot(),
    -- Mode "replace", once the file is loaded whole: the rows of the table that are not in the file are counted, then
    -- deleted, both in stretches of the table. NULL: the file is not loaded yet.
    replace_phase text CHECK (replace_phase IN ('count', 'delete', 'done')),
    -- The key of the last row that the phase has looked at, as texts. NULL: none.
    replace_after text[],
    -- Rows of the table that were counted, and those of them that are to be deleted.
    rows_looked_at bigint NOT NULL DEFAULT 0,
    rows_missing bigint NOT NULL DEFAULT 0,
    -- The principal who uploaded the file, as S3 names it.
    caller text,
    -- The claims that its transactions set for row policies. NULL without row security.
    claims jsonb,
    -- The error with which it ends before its next set, since an operator cancelled it.
    cancellation text,
    -- No row of a file is lost or counted twice.
    CONSTRAINT import_conserves_rows
        CHECK (rows_read = rows_written + rows_unchanged + rows_superseded + rows_rejected)
);

DO $$
BEGIN
    IF NOT EXISTS (
        SELECT FROM pg_attribute WHERE attrelid = 'sync.import'::regclass AND attname = 'claims' AND NOT attisdropped
    ) THEN
        ALTER TABLE sync.import ADD COLUMN caller text, ADD COLUMN claims jsonb;
    END IF;
    IF NOT EXISTS (
        SELECT FROM pg_attribute WHERE attrelid = 'sync.import'::regclass AND attname = 'cancellation' AND NOT attisdropped
    ) THEN
        ALTER TABLE sync.import ADD COLUMN cancellation text;
    END IF;
END
$$;

CREATE INDEX IF NOT EXISTS import_started_at ON sync.import (started_at);
CREATE INDEX IF NOT EXISTS import_object ON sync.import (bucket, object_key);

-- One row for each set of rows, committed with them: a set that is here is loaded. A chunk is a part of the file, cut in the
-- same way each time. A lane's rows of a chunk are one transaction of one or more sets. A worker that resumes an import
-- computes its checkpoint from this table.
CREATE TABLE IF NOT EXISTS sync.import_chunk (
    import_id uuid NOT NULL REFERENCES sync.import (id) ON DELETE CASCADE,
    -- From 0.
    chunk integer NOT NULL,
    lane smallint NOT NULL,
    set_number integer NOT NULL,
    rows_read bigint NOT NULL,
    rows_written bigint NOT NULL,
    rows_unchanged bigint NOT NULL,
    rows_superseded bigint NOT NULL,
    rows_rejected bigint NOT NULL,
    rows_overwritten bigint NOT NULL,
    -- The records of the chunk in all lanes. The chunk is loaded when as many of its rows are read.
    records bigint NOT NULL,
    -- The bytes of the object that were read when the chunk was cut.
    bytes_read bigint NOT NULL,
    -- The beginning of the next chunk: its first byte (from 0, in the decompressed content), its line and its record (both
    -- from 1). NULL at the end of the file, except for the record.
    next_byte bigint,
    next_line bigint,
    next_record bigint NOT NULL,
    committed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT sync_chunk_loaded_once PRIMARY KEY (import_id, chunk, lane, set_number),
    CONSTRAINT import_chunk_conserves_rows
        CHECK (rows_read = rows_written + rows_unchanged + rows_superseded + rows_rejected)
);

-- One row for each rejected row of a file that is kept. It is committed with its chunk.
CREATE TABLE IF NOT EXISTS sync.import_reject (
    -- An id of sync.import. There is no foreign key, since its check would take as long as the insert.
    import_id uuid NOT NULL,
    lane smallint NOT NULL,
    -- The record's number in the file, from 1, the header not counted.
    record bigint NOT NULL,
    -- The line on which the record begins, from 1.
    line bigint NOT NULL,
    byte_offset bigint NOT NULL,
    column_name text,
    rule text NOT NULL,
    sqlstate text,
    reason text NOT NULL,
    -- The record as it stands in the file, without its line end.
    raw text NOT NULL,
    -- The file's own bytes if `raw` cannot hold them: bytes that are no text, or U+0000.
    raw_bytes bytea,
    PRIMARY KEY (import_id, record, lane)
);

-- The number of rejected rows of each kind, and of those, with their bytes, that are kept in sync.import_reject.
CREATE TABLE IF NOT EXISTS sync.import_reject_kind (
    import_id uuid NOT NULL REFERENCES sync.import (id) ON DELETE CASCADE,
    lane smallint NOT NULL,
    rule text NOT NULL,
    -- Empty if there is none.
    sqlstate text NOT NULL,
    column_name text NOT NULL,
    rows bigint NOT NULL,
    rows_kept bigint NOT NULL,
    bytes_kept bigint NOT NULL,
    PRIMARY KEY (import_id, lane, rule, sqlstate, column_name)
);

-- Mode "replace": the keys of the file as PostgreSQL writes them. They are deleted when the import ends.
CREATE TABLE IF NOT EXISTS sync.import_key (
    import_id uuid NOT NULL,
    key text NOT NULL
);

CREATE INDEX IF NOT EXISTS import_key_key ON sync.import_key (import_id, md5(key));

-- Each import with its present counts.
CREATE OR REPLACE VIEW sync.import_progress AS
SELECT import.id,
    coalesce(counted.bytes_read, import.bytes_read) AS bytes_read,
    coalesce(counted.rows_read, import.rows_read) AS rows_read,
    coalesce(counted.rows_written, import.rows_written) AS rows_written,
    coalesce(counted.rows_unchanged, import.rows_unchanged) AS rows_unchanged,
    coalesce(counted.rows_superseded, import.rows_superseded) AS rows_superseded,
    coalesce(counted.rows_rejected, import.rows_rejected) AS rows_rejected,
    greatest(counted.committed_at, import.progressed_at) AS progressed_at
FROM sync.import
LEFT JOIN LATERAL (
    SELECT max(chunk.bytes_read) AS bytes_read,
        sum(chunk.rows_read)::bigint AS rows_read,
        sum(chunk.rows_written)::bigint AS rows_written,
        sum(chunk.rows_unchanged)::bigint AS rows_unchanged,
        sum(chunk.rows_superseded)::bigint AS rows_superseded,
        sum(chunk.rows_rejected)::bigint AS rows_rejected,
        max(chunk.committed_at) AS committed_at
    FROM sync.import_chunk AS chunk WHERE chunk.import_id = import.id
) AS counted ON import.state = 'running';

-- The advisory lock of an import: shared by the transactions that load it, exclusive for whoever ends it. (Row locks
-- starve the one that waits for them all.)
CREATE OR REPLACE FUNCTION sync.import_lock(import_id uuid)
RETURNS bigint
LANGUAGE sql IMMUTABLE
AS $$
    SELECT hashtextextended('sync.import ' || import_id, 0)
$$;

-- Registers an import, or finds it, and returns its standing: 'begin' if this worker may begin, 'held' if a worker with
-- another message has it, 'running' if one with a later message has it, 'ended'.
--
-- A message that comes again has lost its worker, so that its import is claimed at once. So is that of a worker without a
-- sign of life for three minutes.
--
-- Only the newest upload to a key is imported: an older one that is running ends here, between two of its transactions; one
-- that comes late never begins.
DROP FUNCTION IF EXISTS sync.claim_import(uuid, text, text, text, text, text, integer, uuid, text);
CREATE OR REPLACE FUNCTION sync.claim_import(
    claimed_id uuid,
    claimed_bucket text,
    claimed_object_key text,
    claimed_object_version text,
    claimed_sequencer text,
    claimed_table_name text,
    claimed_continuation integer,
    claimed_worker uuid,
    claimed_message_id text,
    claimed_caller text,
    claimed_claims jsonb
)
RETURNS TABLE (standing text, import_state text, import_error text, is_reported boolean)
LANGUAGE plpgsql
AS $$
DECLARE
    import sync.import;
    other_id uuid;
BEGIN
    -- Two uploads of one key are claimed one after the other.
    PERFORM pg_advisory_xact_lock(hashtextextended(claimed_bucket || '/' || claimed_object_key, 0));
    INSERT INTO sync.import (id, bucket, object_key, object_version, sequencer, table_name, caller, claims)
    VALUES (claimed_id, claimed_bucket, claimed_object_key, claimed_object_version, claimed_sequencer,
        claimed_table_name, claimed_caller, claimed_claims)
    ON CONFLICT (id) DO NOTHING;
    SELECT * INTO import FROM sync.import WHERE id = claimed_id FOR UPDATE;
    IF import.state = 'running' THEN
        SELECT id INTO other_id FROM sync.import AS other
        WHERE other.bucket = claimed_bucket AND other.object_key = claimed_object_key
            AND sync.is_older(claimed_sequencer, other.sequencer)
        LIMIT 1;
        IF FOUND THEN
            UPDATE sync.import
            SET state = 'failed', finished_at = clock_timestamp(),
                error = 'a newer version of this file was dropped; it is import ' || other_id
            WHERE id = claimed_id
            RETURNING * INTO import;
        END IF;
    END IF;
    IF import.state = 'running' AND import.cancellation IS NOT NULL THEN
        -- Waits for the transactions of other workers that are in progress; later ones see that it is cancelled.
        PERFORM pg_advisory_xact_lock(sync.import_lock(claimed_id));
        UPDATE sync.import SET state = 'failed', finished_at = clock_timestamp(), error = cancellation
        WHERE id = claimed_id
        RETURNING * INTO import;
    END IF;
    FOR other_id IN
        SELECT id FROM sync.import AS other
        WHERE other.bucket = claimed_bucket AND other.object_key = claimed_object_key AND other.state = 'running'
            AND sync.is_older(other.sequencer, claimed_sequencer)
    LOOP
        -- Waits for the transactions of the older one that are in progress; later ones see that it has ended.
        PERFORM pg_advisory_xact_lock(sync.import_lock(other_id));
        UPDATE sync.import
        SET state = 'failed', finished_at = clock_timestamp(),
            error = 'a newer version of this file was dropped before this one was loaded whole; it is import '
                || claimed_id
        WHERE id = other_id AND state = 'running';
    END LOOP;
    IF import.state = 'running' THEN
        standing := CASE
            WHEN claimed_continuation < import.continuation THEN 'running'
            WHEN claimed_continuation = import.continuation AND import.worker <> claimed_worker
                AND import.message_id <> claimed_message_id
                AND import.held_at > clock_timestamp() - interval '3 minutes' THEN 'held'
            ELSE 'begin'
        END;
        IF standing = 'begin' THEN
            UPDATE sync.import
            SET continuation = claimed_continuation, worker = claimed_worker, message_id = claimed_message_id,
                held_at = clock_timestamp()
            WHERE id = claimed_id;
        END IF;
    ELSE
        standing := 'ended';
    END IF;
    import_state := import.state;
    import_error := import.error;
    is_reported := import.reported_at IS NOT NULL;
    RETURN NEXT;
END
$$;

-- Cancels a running import, and returns it. It ends at once if none of its transactions is in progress. Otherwise its worker
-- finds the cancellation before its next set. The import is abandoned if no worker is there to write its report.
CREATE OR REPLACE FUNCTION sync.cancel_import(cancelled_id uuid, reason text)
RETURNS TABLE (
    bucket text,
    object_key text,
    object_version text,
    sequencer text,
    table_name text,
    is_abandoned boolean
)
LANGUAGE plpgsql
AS $$
#variable_conflict use_column
BEGIN
    UPDATE sync.import SET cancellation = coalesce(cancellation, reason) WHERE id = cancelled_id AND state = 'running';
    IF FOUND AND pg_try_advisory_xact_lock(sync.import_lock(cancelled_id)) THEN
        UPDATE sync.import SET state = 'failed', finished_at = clock_timestamp(), error = cancellation
        WHERE id = cancelled_id;
    END IF;
    RETURN QUERY
        SELECT bucket, object_key, object_version, sequencer, table_name,
            worker IS NULL OR held_at < clock_timestamp() - interval '3 minutes'
        FROM sync.import WHERE id = cancelled_id AND cancellation IS NOT NULL;
END
$$;

-- Tells if the event of the first sequencer came before that of the second (Amazon S3 User Guide, "Event message
-- structure": hexadecimal, the shorter padded with zeros on the right, compared as texts). False if one is no sequencer.
CREATE OR REPLACE FUNCTION sync.is_older(a text, b text)
RETURNS boolean
LANGUAGE sql IMMUTABLE
AS $$
    SELECT a ~ '^[0-9A-Fa-f]+$' AND b ~ '^[0-9A-Fa-f]+$'
        AND upper(rpad(a, greatest(length(a), length(b)), '0')) COLLATE "C"
            < upper(rpad(b, greatest(length(a), length(b)), '0')) COLLATE "C"
$$;

-- Checks, for each set that is loaded, that no other worker has ended the import, and keeps it from being ended before this
-- transaction ends. Sets the claims of the import.
CREATE OR REPLACE FUNCTION sync.enter_import(entered_id uuid)
RETURNS uuid
LANGUAGE plpgsql
AS $$
DECLARE
    own_claims jsonb;
BEGIN
    PERFORM pg_advisory_xact_lock_shared(sync.import_lock(entered_id));
    SELECT claims INTO own_claims FROM sync.import WHERE id = entered_id AND state = 'running' AND cancellation IS NULL;
    IF NOT FOUND THEN
        -- The worker looks for this name.
        RAISE EXCEPTION 'import % is not running: constraint "sync_import_is_running"', entered_id
            USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    PERFORM sync.set_claims(own_claims::text);
    RETURN entered_id;
END
$$;

-- Checks, for each stretch of the table whose rows are deleted, that the import still runs, and that no other worker has
-- deleted them or can do so before this transaction ends.
CREATE OR REPLACE FUNCTION sync.enter_stretch(entered_id uuid, entered_after text[])
RETURNS uuid
LANGUAGE plpgsql
AS $$
BEGIN
    PERFORM sync.enter_import(entered_id);
    PERFORM FROM sync.import
    WHERE id = entered_id AND replace_phase = 'delete' AND replace_after IS NOT DISTINCT FROM entered_after
    FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        -- The worker looks for this name.
        RAISE EXCEPTION 'import % is not running here: constraint "sync_import_is_running"', entered_id
            USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    RETURN entered_id;
END
$$;

-- The rows of a set, counted by outcome.
DO $$
BEGIN
    CREATE TYPE sync.counts AS (
        rows_written bigint,
        rows_unchanged bigint,
        rows_superseded bigint,
        rows_rejected bigint,
        rows_overwritten bigint
    );
EXCEPTION WHEN duplicate_object THEN
    NULL;
END
$$;

-- Loads a set without bad rows.
--
-- The worker makes `statement` from its catalog. It takes the columns of the set as $1, the literal of an array for each, and
-- returns one array of two counts: rows written, and rows older than the one in the table. `insert_statement`, if there is
-- one, is tried first: it inserts all rows without looking for them, which takes less time, and fails if a key exists.
-- `keys_statement` records the keys of the file for mode "replace". It runs after the other statement, so that it sees the
-- rows that were written, and those of others.
CREATE OR REPLACE FUNCTION sync.load(
    import_id uuid,
    statement text,
    insert_statement text,
    keys_statement text,
    columns text[],
    row_count bigint
)
RETURNS sync.counts
LANGUAGE plpgsql
SET jit TO off
AS $$
DECLARE
    result bigint[];
BEGIN
    PERFORM sync.enter_import(import_id);
    IF insert_statement IS NOT NULL THEN
        BEGIN
            EXECUTE insert_statement INTO result USING columns;
        EXCEPTION
            WHEN unique_violation THEN
                result := NULL;
        END;
    END IF;
    IF result IS NULL THEN
        EXECUTE statement INTO result USING columns;
    END IF;
    IF keys_statement IS NOT NULL THEN
        EXECUTE keys_statement USING columns, import_id;
    END IF;
    RETURN (result[1], row_count - result[1] - result[2], result[2], 0::bigint, 0::bigint);
END
$$;

-- Does the same for a set with bad rows (sync.bisect): they are rejected. `records` are the rows as they stand in the file,
-- with an empty rule and reason; `follows` is that of sync.bisect.
CREATE OR REPLACE FUNCTION sync.load_bisected(
    import_id uuid,
    lane smallint,
    statement text,
    keys_statement text,
    columns text[],
    column_names text[],
    types text[],
    is_immediate boolean,
    follows integer[],
    of_table text,
    adds text,
    records sync.import_reject[],
    kept_rows bigint,
    kept_bytes bigint
)
RETURNS sync.counts
LANGUAGE plpgsql
AS $$
DECLARE
    counts sync.counts := (0, 0, 0, 0, 0);
    attempt sync.attempt;
    refused sync.import_reject;
    rejects sync.import_reject[] := '{}';
BEGIN
    PERFORM sync.enter_import(import_id);
    FOR attempt IN
        SELECT * FROM sync.bisect(statement, columns, column_names, types, is_immediate, follows, of_table, adds)
        ORDER BY row_number
    LOOP
        IF attempt.sqlstate IS NULL THEN
            counts.rows_written := counts.rows_written + attempt.result[1]::bigint;
            counts.rows_superseded := counts.rows_superseded + attempt.result[2]::bigint;
            counts.rows_overwritten := counts.rows_overwritten + coalesce(attempt.result[3]::bigint, 0);
            CONTINUE;
        END IF;
        refused := records[attempt.row_number];
        refused.rule := CASE WHEN attempt.sqlstate = '42501' THEN 'row-security' ELSE 'database' END;
        refused.sqlstate := CASE WHEN refused.rule = 'database' THEN attempt.sqlstate END;
        refused.column_name := attempt.column_name;
        refused.reason := coalesce(sync.reason(refused.rule), left(attempt.message, 300));
        rejects := rejects || refused;
    END LOOP;
    counts.rows_rejected := sync.add_rejects(import_id, lane, rejects, kept_rows, kept_bytes);
    counts.rows_unchanged := cardinality(records) - counts.rows_written - counts.rows_superseded - counts.rows_rejected;
    IF keys_statement IS NOT NULL THEN
        EXECUTE keys_statement USING columns, import_id;
    END IF;
    RETURN counts;
END
$$;

-- Records rejected rows, which are in the order of the file. Counts all of them, keeps the first ones of each lane up to a
-- number of rows and bytes, and returns their number.
CREATE OR REPLACE FUNCTION sync.add_rejects(
    import_id uuid,
    lane smallint,
    rejects sync.import_reject[],
    kept_rows bigint,
    kept_bytes bigint
)
RETURNS bigint
LANGUAGE plpgsql
AS $$
#variable_conflict use_variable
DECLARE
    rows_before bigint;
    bytes_before bigint;
BEGIN
    SELECT coalesce(sum(kind.rows_kept), 0), coalesce(sum(kind.bytes_kept), 0) INTO rows_before, bytes_before
    FROM sync.import_reject_kind AS kind
    WHERE kind.import_id = add_rejects.import_id AND kind.lane = add_rejects.lane;
    WITH reject AS (
        SELECT *, octet_length(raw) + coalesce(octet_length(raw_bytes), 0) + octet_length(reason) AS bytes
        FROM unnest(rejects) WITH ORDINALITY AS of_file (import_id, lane, record, line, byte_offset, column_name, rule, sqlstate,
            reason, raw, raw_bytes, place)
    ), measured AS MATERIALIZED (
        SELECT *, rows_before + place <= kept_rows
            AND bytes_before + sum(bytes) OVER (ORDER BY place) <= kept_bytes AS is_kept
        FROM reject
    ), kept AS (
        INSERT INTO sync.import_reject (import_id, lane, record, line, byte_offset, column_name, rule, sqlstate, reason,
            raw, raw_bytes)
        SELECT add_rejects.import_id, add_rejects.lane, record, line, byte_offset, column_name, rule, sqlstate, reason, raw, raw_bytes
        FROM measured WHERE is_kept
    )
    INSERT INTO sync.import_reject_kind AS kind (import_id, lane, rule, sqlstate, column_name, rows, rows_kept, bytes_kept)
    SELECT add_rejects.import_id, add_rejects.lane, rule, coalesce(sqlstate, ''), coalesce(column_name, ''), count(*),
        count(*) FILTER (WHERE is_kept), coalesce(sum(bytes) FILTER (WHERE is_kept), 0)
    FROM measured
    GROUP BY rule, coalesce(sqlstate, ''), coalesce(column_name, '')
    ON CONFLICT ON CONSTRAINT import_reject_kind_pkey DO UPDATE
    SET rows = kind.rows + EXCLUDED.rows, rows_kept = kind.rows_kept + EXCLUDED.rows_kept,
        bytes_kept = kind.bytes_kept + EXCLUDED.bytes_kept;
    RETURN cardinality(rejects);
END
$$;

-- Returns the next rejected rows of an import that can be fixed. It uses the index alone: right after an import the table has
-- no statistics, and PostgreSQL would read and sort all rows for each page.
CREATE OR REPLACE FUNCTION sync.reject_page(of_import uuid, after bigint, row_count bigint)
RETURNS SETOF sync.import_reject
LANGUAGE sql STABLE
SET enable_seqscan TO off
SET enable_bitmapscan TO off
SET enable_sort TO off
AS $$
    SELECT * FROM sync.import_reject AS reject
    WHERE reject.import_id = of_import AND reject.record > after AND reject.rule <> 'too-long'
    ORDER BY reject.record LIMIT row_count
$$;

-- Updates the counts of an import from its chunks, and returns the rows that were read and rejected.
CREATE OR REPLACE FUNCTION sync.count_import(counted_id uuid)
RETURNS TABLE (read bigint, rejected bigint)
LANGUAGE sql
AS $$
    UPDATE sync.import AS import
    SET rows_read = counted.rows_read,
        rows_written = counted.rows_written,
        rows_unchanged = counted.rows_unchanged,
        rows_superseded = counted.rows_superseded,
        rows_rejected = counted.rows_rejected,
        bytes_read = counted.bytes_read,
        progressed_at = clock_timestamp()
    FROM (
        SELECT coalesce(sum(chunk.rows_read), 0) AS rows_read,
            coalesce(sum(chunk.rows_written), 0) AS rows_written,
            coalesce(sum(chunk.rows_unchanged), 0) AS rows_unchanged,
            coalesce(sum(chunk.rows_superseded), 0) AS rows_superseded,
            coalesce(sum(chunk.rows_rejected), 0) AS rows_rejected,
            coalesce(max(chunk.bytes_read), 0) AS bytes_read
        FROM sync.import_chunk AS chunk WHERE chunk.import_id = counted_id
    ) AS counted
    WHERE import.id = counted_id
    RETURNING import.rows_read, import.rows_rejected
$$;
