-- Imports in lanes: any number of rows at once, each counted once, whatever is killed in between.

ALTER TABLE sync.import
    -- All options in force, as docs/imports.md names them.
    ADD COLUMN options jsonb NOT NULL DEFAULT '{}',
    -- Rows go to lanes by a hash of their keys, and a file is cut into chunks of so many records or bytes at
    -- most: fixed when the import begins, so that it is cut the same way whoever goes on with it.
    ADD COLUMN lanes smallint NOT NULL DEFAULT 1,
    ADD COLUMN chunk_records integer,
    ADD COLUMN chunk_bytes integer,
    -- How many messages the import has left for itself. A worker with an older one stops.
    ADD COLUMN continuation integer NOT NULL DEFAULT 0,
    -- Of the object as it is stored, compressed or not.
    ADD COLUMN bytes_total bigint,
    ADD COLUMN bytes_read bigint NOT NULL DEFAULT 0,
    -- Rows whose key comes again later in the file, or that are older than the row in the table.
    ADD COLUMN rows_superseded bigint NOT NULL DEFAULT 0,
    -- Mode "replace": rows of the table that were not in the file. Not rows of the file, so not part of
    -- the sum below.
    ADD COLUMN rows_deleted bigint NOT NULL DEFAULT 0,
    -- The first chunk that is not complete in all lanes, and where in the file it begins: its first byte
    -- (from 0; of the content, where that is compressed), its line and its record (both from 1).
    ADD COLUMN next_chunk integer NOT NULL DEFAULT 0,
    ADD COLUMN next_byte bigint,
    ADD COLUMN next_line bigint,
    ADD COLUMN next_record bigint,
    -- When the counts above were last brought up to date.
    ADD COLUMN progressed_at timestamptz,
    -- When report.json was written. An ended import without a report gets one at the next delivery.
    ADD COLUMN reported_at timestamptz,
    -- When a load in one transaction was rolled back, after all was found out: a dry run, or more rejects than allowed.
    -- Its counts stand then in this row, and why it was (not for a dry run) in "error".
    ADD COLUMN rolled_back_at timestamptz,
    -- Row versions older than this transaction are not the import's own.
    ADD COLUMN began_xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
    DROP CONSTRAINT import_conserves_rows,
    ADD CONSTRAINT import_conserves_rows
        CHECK (rows_read = rows_written + rows_unchanged + rows_superseded + rows_rejected);

CREATE INDEX import_object ON sync.import (bucket, object_key);

-- One row for each set of rows, committed with them: what stands here is loaded. A chunk is a piece of the
-- file, the same each time the file is read; a lane's rows of it are one transaction of one or more sets.
ALTER TABLE sync.import_chunk
    ADD COLUMN lane smallint NOT NULL DEFAULT 0,
    ADD COLUMN piece integer NOT NULL DEFAULT 0,
    ADD COLUMN rows_superseded bigint NOT NULL DEFAULT 0,
    DROP CONSTRAINT sync_chunk_loaded_once,
    ADD CONSTRAINT sync_chunk_loaded_once PRIMARY KEY (import_id, lane, chunk, piece),
    -- Counts of a set may be negative: a row that supersedes an earlier one takes away what that one added.
    ADD CONSTRAINT import_chunk_conserves_rows
        CHECK (rows_read = rows_written + rows_unchanged + rows_superseded + rows_rejected);

-- The file's own bytes, where `raw` cannot hold them: bytes that are no text, or U+0000.
ALTER TABLE sync.import_reject ADD COLUMN raw_bytes bytea;

-- How many rows of each kind were rejected, also beyond those that sync.import_reject keeps.
CREATE TABLE sync.import_reject_kind (
    import_id uuid NOT NULL REFERENCES sync.import (id) ON DELETE CASCADE,
    lane smallint NOT NULL,
    rule text NOT NULL,
    -- Empty where there is none.
    sqlstate text NOT NULL,
    column_name text NOT NULL,
    rows bigint NOT NULL,
    PRIMARY KEY (import_id, lane, rule, sqlstate, column_name)
);

-- The (sub)transactions in which a running import wrote: a row whose xmin is here was written by it. Emptied when
-- the import ends.
CREATE TABLE sync.import_mark (
    import_id uuid NOT NULL,
    xid bigint NOT NULL
);

CREATE INDEX import_mark_xid ON sync.import_mark (import_id, xid);

-- The rows that a running import met and left as they were, by hashes of their keys: where a key comes again in the
-- file, the earlier row of it becomes superseded. Emptied when the import ends.
CREATE TABLE sync.import_met (
    import_id uuid NOT NULL,
    key bigint NOT NULL
);

CREATE INDEX import_met_key ON sync.import_met (import_id, key);

-- Mode "replace": the keys that were in the file, as PostgreSQL writes them. Emptied when the import ends.
CREATE TABLE sync.import_key (
    import_id uuid NOT NULL,
    key text NOT NULL
);

CREATE INDEX import_key_key ON sync.import_key (import_id, md5(key));

-- Registers an import, or finds it, and tells how it stands: 'begin' for the worker that asks, 'running' where a
-- worker with a later message has it, 'ended'.
--
-- Of the uploads to one key only the newest is imported: an older one that is running ends here, between two of
-- its transactions; one that comes late never begins.
CREATE FUNCTION sync.claim_import(
    claimed_id uuid,
    claimed_bucket text,
    claimed_object_key text,
    claimed_object_version text,
    claimed_sequencer text,
    claimed_table_name text,
    claimed_continuation integer
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
    INSERT INTO sync.import (id, bucket, object_key, object_version, sequencer, table_name)
    VALUES (claimed_id, claimed_bucket, claimed_object_key, claimed_object_version, claimed_sequencer,
        claimed_table_name)
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
    -- FOR UPDATE waits for the transactions of the older one that are under way, and they see it ended after.
    FOR other_id IN
        SELECT id FROM sync.import AS other
        WHERE other.bucket = claimed_bucket AND other.object_key = claimed_object_key AND other.state = 'running'
            AND sync.is_older(other.sequencer, claimed_sequencer)
        FOR UPDATE
    LOOP
        UPDATE sync.import
        SET state = 'failed', finished_at = clock_timestamp(),
            error = 'a newer version of this file was dropped before this one was loaded whole; it is import '
                || claimed_id
        WHERE id = other_id;
    END LOOP;
    IF import.state = 'running' THEN
        IF claimed_continuation > import.continuation THEN
            UPDATE sync.import SET continuation = claimed_continuation WHERE id = claimed_id;
        END IF;
        standing := CASE WHEN claimed_continuation < import.continuation THEN 'running' ELSE 'begin' END;
    ELSE
        standing := 'ended';
    END IF;
    import_state := import.state;
    import_error := import.error;
    is_reported := import.reported_at IS NOT NULL;
    RETURN NEXT;
END
$$;

-- Whether the event of the first sequencer came before that of the second (Amazon S3 User Guide, "Event message
-- structure": hexadecimal, the shorter padded with zeros on the right, compared as texts). What is no sequencer
-- says nothing.
CREATE FUNCTION sync.is_older(a text, b text)
RETURNS boolean
LANGUAGE sql IMMUTABLE
AS $$
    SELECT a ~ '^[0-9A-Fa-f]+$' AND b ~ '^[0-9A-Fa-f]+$'
        AND upper(rpad(a, greatest(length(a), length(b)), '0')) COLLATE "C"
            < upper(rpad(b, greatest(length(a), length(b)), '0')) COLLATE "C"
$$;

-- For each set that is loaded: makes sure that the import was not ended by somebody else, keeps it from being
-- ended before this transaction ends, and marks the transaction as the import's own.
CREATE FUNCTION sync.enter_import(entered_id uuid)
RETURNS uuid
LANGUAGE plpgsql
AS $$
DECLARE
    own_xid bigint := pg_current_xact_id()::xid::text::bigint;
BEGIN
    PERFORM FROM sync.import WHERE id = entered_id AND state = 'running' FOR KEY SHARE;
    IF NOT FOUND THEN
        -- The worker looks for the name.
        RAISE EXCEPTION 'import % is not running: constraint "sync_import_is_running"', entered_id
            USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    IF NOT EXISTS (SELECT FROM sync.import_mark WHERE import_id = entered_id AND xid = own_xid) THEN
        INSERT INTO sync.import_mark (import_id, xid) VALUES (entered_id, own_xid);
    END IF;
    RETURN entered_id;
END
$$;

-- Loads a set of which at least one row is bad: tries it as a whole and, where it fails because of the data, its
-- two halves, down to the single rows that are bad. Answers a row for each part that was loaded, with its counts,
-- and one for each bad row, with its number in the set and PostgreSQL's reason. Any other error (a deadlock, a
-- missing table) ends the whole call, as it says nothing about a row.
--
-- `statement` is one that aurora-sync makes of its catalog. It is given the import's id in $1 and the columns in $2,
-- each the literal of an array, after them whether each row's key may have come before; it answers the three counts.
-- `is_immediate` and `types` are as in `sync.settle_apart`.
CREATE FUNCTION sync.load_apart(
    statement text,
    import_id uuid,
    column_names text[],
    columns text[],
    types text[],
    first_row integer,
    is_immediate boolean
)
RETURNS TABLE (
    row_number integer,
    error_sqlstate text,
    error_message text,
    error_constraint text,
    error_column text,
    rows_written bigint,
    rows_unchanged bigint,
    rows_superseded bigint
)
LANGUAGE plpgsql
AS $$
#variable_conflict use_variable
DECLARE
    row_count integer := cardinality((columns[cardinality(columns)])::text[]);
    middle integer := row_count / 2;
    is_of_unknown_type boolean := false;
    own_xid bigint;
BEGIN
    IF is_immediate THEN
        -- A deferred constraint must speak while its row can still be told.
        SET CONSTRAINTS ALL IMMEDIATE;
    END IF;
    BEGIN
        EXECUTE statement INTO rows_written, rows_unchanged, rows_superseded USING import_id, columns;
        -- What the statement wrote carries the subtransaction's id, which only a row of it can tell.
        INSERT INTO sync.import_mark AS mark (import_id, xid) VALUES (import_id, -1)
            RETURNING mark.xmin::text::bigint INTO own_xid;
        UPDATE sync.import_mark AS mark SET xid = own_xid WHERE mark.import_id = load_apart.import_id AND mark.xid = -1
            AND mark.xmin::text::bigint = own_xid;
        row_number := NULL;
        RETURN NEXT;
        RETURN;
    EXCEPTION
        WHEN OTHERS OR assert_failure THEN
            GET STACKED DIAGNOSTICS
                error_sqlstate = RETURNED_SQLSTATE,
                error_message = MESSAGE_TEXT,
                error_constraint = CONSTRAINT_NAME,
                error_column = COLUMN_NAME;
            is_of_unknown_type := left(error_sqlstate, 2) IN ('42', 'XX') AND array_remove(types, NULL) <> '{}';
            IF NOT is_of_unknown_type AND NOT sync.is_of_row(error_sqlstate) THEN
                RAISE;
            END IF;
    END;
    IF row_count > 1 THEN
        RETURN QUERY
            SELECT * FROM sync.load_apart(statement, import_id, column_names,
                sync.slices(columns, 1, middle), types, first_row, is_immediate);
        RETURN QUERY
            SELECT * FROM sync.load_apart(statement, import_id, column_names,
                sync.slices(columns, middle + 1, row_count), types, first_row + middle, is_immediate);
        RETURN;
    END IF;
    -- What a type says to a value does not name the column.
    IF coalesce(error_column, '') = '' AND (is_of_unknown_type OR left(error_sqlstate, 2) IN ('22', '23')) THEN
        error_column := sync.refused_column(column_names, types, sync.first_cells(columns));
        IF is_of_unknown_type AND error_column IS NULL THEN
            -- Not the value: the statement, or the database, is not as the worker thinks.
            RAISE EXCEPTION USING ERRCODE = error_sqlstate, MESSAGE = error_message;
        END IF;
    END IF;
    row_number := first_row;
    -- Bounds the answer, which may hold 1 MiB.
    error_message := left(error_message, 300);
    error_constraint := nullif(error_constraint, '');
    error_column := nullif(error_column, '');
    rows_written := 0;
    rows_unchanged := 0;
    rows_superseded := 0;
    RETURN NEXT;
END
$$;

-- Brings the counts of an import up to date with its chunks, and tells how many rows were read and rejected.
CREATE FUNCTION sync.count_import(counted_id uuid)
RETURNS TABLE (read bigint, rejected bigint)
LANGUAGE sql
AS $$
    UPDATE sync.import AS import
    SET rows_read = counted.rows_read,
        rows_written = counted.rows_written,
        rows_unchanged = counted.rows_unchanged,
        rows_superseded = counted.rows_superseded,
        rows_rejected = counted.rows_rejected,
        progressed_at = clock_timestamp()
    FROM (
        SELECT coalesce(sum(chunk.rows_read), 0) AS rows_read,
            coalesce(sum(chunk.rows_written), 0) AS rows_written,
            coalesce(sum(chunk.rows_unchanged), 0) AS rows_unchanged,
            coalesce(sum(chunk.rows_superseded), 0) AS rows_superseded,
            coalesce(sum(chunk.rows_rejected), 0) AS rows_rejected
        FROM sync.import_chunk AS chunk WHERE chunk.import_id = counted_id
    ) AS counted
    WHERE import.id = counted_id
    RETURNING import.rows_read, import.rows_rejected
$$;
