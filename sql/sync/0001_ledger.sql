-- The worker's own schema: what became of every write and of every row of every file.
-- (Schema "sync" and table sync.migration exist before this file runs: `migrate` makes them.)

-- One row for each settled write, made by the statement that changes the data.
-- A write that stands here has had its effect: a second delivery of it does nothing.
CREATE TABLE sync.write (
    -- The name tells this constraint from any of a user's: a worker that meets it was overtaken.
    id uuid CONSTRAINT sync_write_settled_once PRIMARY KEY,
    -- NULL where the message could not be read.
    table_name text,
    -- The key as it stands in URLs; NULL where the database makes the key.
    key text,
    operation text NOT NULL
        CHECK (operation IN ('insert', 'upsert', 'insert_ignore', 'update', 'delete', 'unreadable')),
    outcome text NOT NULL CHECK (outcome IN ('applied', 'unchanged', 'superseded', 'rejected')),
    -- Why it was rejected: our rule, or PostgreSQL's SQLSTATE and what it says with it.
    rule text,
    sqlstate text,
    reason text,
    constraint_name text,
    column_name text,
    -- What was asked for, kept only of rejected writes so that they can be repaired.
    payload text,
    accepted_at timestamptz NOT NULL,
    settled_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CHECK (outcome <> 'rejected' OR rule IS NOT NULL)
);

-- One row for each version of each file, by the identity of its S3 notification.
CREATE TABLE sync.import (
    id uuid PRIMARY KEY,
    bucket text NOT NULL,
    object_key text NOT NULL,
    -- The object's version where the bucket keeps versions, else its ETag.
    object_version text NOT NULL,
    sequencer text NOT NULL,
    table_name text NOT NULL,
    state text NOT NULL DEFAULT 'running' CHECK (state IN ('running', 'completed', 'failed')),
    -- Why the import failed as a whole, and what to do.
    error text,
    rows_read bigint NOT NULL DEFAULT 0,
    rows_written bigint NOT NULL DEFAULT 0,
    rows_unchanged bigint NOT NULL DEFAULT 0,
    rows_rejected bigint NOT NULL DEFAULT 0,
    started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    finished_at timestamptz,
    -- Conservation: no row of a file is lost or counted twice.
    CONSTRAINT import_conserves_rows
        CHECK (rows_read = rows_written + rows_unchanged + rows_rejected)
);

CREATE INDEX import_started_at ON sync.import (started_at);

-- One row for each chunk of a file, committed with the chunk's rows: a chunk that stands here is done.
CREATE TABLE sync.import_chunk (
    import_id uuid NOT NULL REFERENCES sync.import (id) ON DELETE CASCADE,
    chunk integer NOT NULL,
    rows_read bigint NOT NULL,
    rows_written bigint NOT NULL DEFAULT 0,
    rows_unchanged bigint NOT NULL DEFAULT 0,
    rows_rejected bigint NOT NULL DEFAULT 0,
    committed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT sync_chunk_loaded_once PRIMARY KEY (import_id, chunk)
);

-- One row for each rejected row of a file, committed with its chunk.
CREATE TABLE sync.import_reject (
    import_id uuid NOT NULL REFERENCES sync.import (id) ON DELETE CASCADE,
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
    PRIMARY KEY (import_id, record)
);
