-- The ledger: the outcome of every write.
-- (`migrate` creates schema "sync" and table sync.migration before this file runs.)

-- One row for each settled write, inserted by the statement that changes the data. A write that is here has had its
-- effect: a second delivery of it does nothing.
CREATE TABLE sync.write (
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
    CHECK (outcome <> 'rejected' OR rule IS NOT NULL)
);

-- For pruning. New rows go to its end, where PostgreSQL inserts without a search.
CREATE INDEX write_settled_at ON sync.write (settled_at);

-- Finds the other writes of a row or of a table (rule 'overtaken'). It holds hashes, since a key may be too long for an
-- index entry.
CREATE INDEX write_key ON sync.write (hashtextextended(table_name, 0), hashtextextended(key, 0)) WHERE key IS NOT NULL;
