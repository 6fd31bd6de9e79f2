-- The ledger: the outcome of every write.
-- (Schema "sync" and table sync.migration exist before this file runs: `migrate` makes them.)

-- One row for each settled write, made by the statement that changes the data.
-- A write that stands here has had its effect: a second delivery of it does nothing.
CREATE TABLE sync.write (
    -- The worker looks for the name: another worker has settled the write meanwhile.
    id uuid CONSTRAINT sync_write_settled_once PRIMARY KEY,
    -- NULL where the message could not be read.
    table_name text,
    -- The key as it stands in URLs; NULL where the database makes the key.
    key text,
    operation text NOT NULL
        CHECK (operation IN ('insert', 'upsert', 'insert_ignore', 'update', 'delete', 'unreadable')),
    outcome text NOT NULL CHECK (outcome IN ('applied', 'unchanged', 'superseded', 'rejected')),
    -- Why it was rejected: our rule and, with rule 'database', PostgreSQL's SQLSTATE, text and names.
    rule text,
    sqlstate text,
    reason text,
    constraint_name text,
    column_name text,
    -- The table, the operation and the row, kept only of rejected writes so that they can be repaired.
    payload text,
    accepted_at timestamptz NOT NULL,
    settled_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- Of a write under an Idempotency-Key: a hash of its payload, as another payload may come under the same key.
    fingerprint text,
    CHECK (outcome <> 'rejected' OR rule IS NOT NULL)
);

-- For pruning. New rows are always at its end, where PostgreSQL inserts without a search.
CREATE INDEX write_settled_at ON sync.write (settled_at);

-- For the other writes of a row, or of a table (rule 'overtaken'). Hashes, as a key may be longer than an index entry can be.
CREATE INDEX write_key ON sync.write (hashtextextended(table_name, 0), hashtextextended(key, 0)) WHERE key IS NOT NULL;
