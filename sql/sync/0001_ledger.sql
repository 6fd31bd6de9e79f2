-- The ledger: the outcome of every write.
-- (`migrate` creates schema "sync" and table sync.migration before this file runs.)
--
-- `migrate` runs each file of this folder again when its text has changed. So each statement can be repeated, and describes
-- the final form. A column that is added later also gets an ALTER TABLE.
--
-- While a deployment runs, and after one that failed, the functions of the release before work on this schema. A deployment
-- that is rolled back runs the files of the release before over it. So nothing that they use is dropped or changed: a function
-- whose parameters or result change gets another name, and the old one stays for one release. A test compares the schema with
-- that of the last release (tests/it/released_schema.txt).

-- One row for each settled write, inserted by the statement that changes the data. A write that is here has had its
-- effect: a second delivery of it does nothing.
CREATE TABLE IF NOT EXISTS sync.write (
    -- The worker looks for this name: the error means that another worker has settled the write.
    id uuid CONSTRAINT sync_write_settled_once PRIMARY KEY,
    -- NULL where the message could not be read.
    table_name text,
    -- The key as it stands in URLs; NULL where the database makes the key.
    key text,
    operation text NOT NULL
        CHECK (operation IN ('insert', 'upsert', 'insert_ignore', 'update', 'delete', 'unreadable')),
    outcome text NOT NULL CHECK (outcome IN ('applied', 'unchanged', 'superseded', 'rejected')),
    -- The reason of a rejection: a rule of the worker or, with rule 'database', PostgreSQL's SQLSTATE, text and names.
    rule text,
    sqlstate text,
    reason text,
    constraint_name text,
    column_name text,
    -- The table, the operation and the row of a rejected write, for its repair.
    payload text,
    accepted_at timestamptz NOT NULL,
    settled_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- A hash of the payload of a write under an Idempotency-Key, since another payload may come under the same key.
    fingerprint text,
    -- The id of the Idempotency-Key, where the write is rejected under an id of its own since another payload was settled
    -- first.
    idempotency_id uuid,
    -- The principal who sent the write. NULL if the API is open to everyone.
    caller text,
    -- True if row policies decided on the write by the claims of its caller.
    with_claims boolean,
    -- The id of the request that brought the write: Lambda's, which logs and problems have too.
    request_id uuid,
    CHECK (outcome <> 'rejected' OR rule IS NOT NULL)
);

-- (ADD COLUMN IF NOT EXISTS would stop all others for a moment, also where the column exists.)
DO $$
BEGIN
    IF NOT EXISTS (
        SELECT FROM pg_attribute
        WHERE attrelid = 'sync.write'::regclass AND attname = 'idempotency_id' AND NOT attisdropped
    ) THEN
        ALTER TABLE sync.write ADD COLUMN idempotency_id uuid;
    END IF;
    IF NOT EXISTS (
        SELECT FROM pg_attribute WHERE attrelid = 'sync.write'::regclass AND attname = 'with_claims' AND NOT attisdropped
    ) THEN
        ALTER TABLE sync.write ADD COLUMN caller text, ADD COLUMN with_claims boolean;
    END IF;
    IF NOT EXISTS (
        SELECT FROM pg_attribute WHERE attrelid = 'sync.write'::regclass AND attname = 'request_id' AND NOT attisdropped
    ) THEN
        ALTER TABLE sync.write ADD COLUMN request_id uuid;
    END IF;
END
$$;

-- For pruning. New rows go to its end, where PostgreSQL inserts without a search.
CREATE INDEX IF NOT EXISTS write_settled_at ON sync.write (settled_at);

-- Finds the other writes of a row or of a table (rule 'overtaken'), and lists those of a table. It holds hashes, since a key may
-- be too long for an index entry. (The index before it left out the writes without a key.)
CREATE INDEX IF NOT EXISTS write_table_key ON sync.write (hashtextextended(table_name, 0), hashtextextended(key, 0));
DROP INDEX IF EXISTS sync.write_key;

CREATE INDEX IF NOT EXISTS write_idempotency_id ON sync.write (idempotency_id) WHERE idempotency_id IS NOT NULL;

-- For the list of the rejected writes, the newest first.
CREATE INDEX IF NOT EXISTS write_rejected ON sync.write (settled_at) WHERE outcome = 'rejected';

-- For the list of a caller's own writes under row security, the newest first. It holds a hash, since a principal is longer than
-- the rest. Without row security it holds nothing and costs nothing.
CREATE INDEX IF NOT EXISTS write_caller ON sync.write (hashtext(caller), settled_at) WHERE with_claims;

-- The writes that wait for a person, one row for each message group: those of the last delivery in which an error blocked the
-- group. It tells only of writes that are not in sync.write yet. So nothing has to be deleted when the group goes on.
CREATE TABLE IF NOT EXISTS sync.blocked (
    message_group text PRIMARY KEY,
    write_ids uuid[] NOT NULL,
    -- The principal of each of these writes.
    callers text[],
    -- The rule or, of an error of PostgreSQL, the SQLSTATE.
    cause text NOT NULL,
    blocked_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    tried_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

DO $$
BEGIN
    IF NOT EXISTS (
        SELECT FROM pg_attribute WHERE attrelid = 'sync.blocked'::regclass AND attname = 'callers' AND NOT attisdropped
    ) THEN
        ALTER TABLE sync.blocked ADD COLUMN callers text[];
    END IF;
END
$$;

-- The writes whose payload was sent before (`aurora-sync writes resend`), each recorded with its outcome.
CREATE TABLE IF NOT EXISTS sync.resend (
    id uuid PRIMARY KEY,
    -- The rejected write that had the payload.
    resend_of uuid NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE INDEX IF NOT EXISTS resend_of ON sync.resend (resend_of);

-- Tells which records about a table may be shown to those who read as sync_reader, by the table's name in URLs: records with
-- values of a whole row, with its key only, and errors that name its neighbours, the tables that its foreign keys connect. A
-- table that is gone shows nothing. One whose rows are chosen by row security shows only records that the reader made himself.
DROP FUNCTION IF EXISTS sync.readable(text);
CREATE OR REPLACE FUNCTION sync.readable(
    table_path text,
    is_own boolean,
    OUT of_rows boolean,
    OUT of_key boolean,
    OUT of_neighbours boolean
)
LANGUAGE sql STABLE
AS $$
    WITH found AS (
        SELECT relation.oid,
            has_schema_privilege('sync_reader', schema.oid, 'USAGE') AND (is_own OR NOT row_security_active(relation.oid))
                AS is_open
        FROM pg_class AS relation
        JOIN pg_namespace AS schema ON schema.oid = relation.relnamespace
        WHERE relation.relkind IN ('r', 'p', 'v', 'm', 'f')
            AND CASE WHEN schema.nspname = 'public' THEN '' ELSE schema.nspname || '.' END || relation.relname = table_path
    ), col AS (
        SELECT is_open AND has_column_privilege('sync_reader', attrelid, attnum, 'SELECT') AS is_readable,
            EXISTS (SELECT FROM pg_index WHERE indrelid = attrelid AND indisprimary AND attnum = ANY (indkey)) AS is_key
        FROM found
        JOIN pg_attribute ON attrelid = found.oid AND attnum > 0 AND NOT attisdropped
    )
    SELECT coalesce(bool_and(is_readable), false),
        coalesce(bool_and(is_readable) FILTER (WHERE is_key), false),
        NOT EXISTS (
            SELECT FROM found
            JOIN pg_constraint ON contype = 'f' AND found.oid IN (conrelid, confrelid)
            JOIN pg_class AS neighbour ON neighbour.oid IN (conrelid, confrelid)
            WHERE NOT (has_schema_privilege('sync_reader', neighbour.relnamespace, 'USAGE')
                AND has_any_column_privilege('sync_reader', neighbour.oid, 'SELECT'))
        )
    FROM col
$$;
