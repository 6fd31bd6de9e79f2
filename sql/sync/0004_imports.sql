-- Imports in lanes: any number of rows at once, each counted once, whatever is killed in between.

ALTER TABLE sync.import
    -- All options in force, as docs/imports.md names them.
    ADD COLUMN options jsonb NOT NULL DEFAULT '{}',
    -- Rows go to lanes by a hash of their keys; fixed when the import begins.
    ADD COLUMN lanes smallint NOT NULL DEFAULT 1,
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

-- The (sub)transactions in which a running import wrote: a row whose xmin is here was written by it, one
-- whose xmax is here was met by it and left as it was. Emptied when the import ends.
CREATE TABLE sync.import_mark (
    import_id uuid NOT NULL,
    xid bigint NOT NULL
);

CREATE INDEX import_mark_xid ON sync.import_mark (import_id, xid);

-- Mode "replace": the keys that were in the file, as PostgreSQL writes them. Emptied when the import ends.
CREATE TABLE sync.import_key (
    import_id uuid NOT NULL,
    key text NOT NULL
);

CREATE INDEX import_key_key ON sync.import_key (import_id, md5(key));
