-- Settles writes inside the server: any number of statements in one call, bad rows told from good ones.

-- Of a write under an Idempotency-Key: what tells it from another one under the same key.
ALTER TABLE sync.write ADD COLUMN fingerprint text;

-- The id under which a write is rejected whose own id was used for another write before.
CREATE FUNCTION sync.reused_id(id uuid, fingerprint text)
RETURNS uuid
LANGUAGE sql IMMUTABLE
AS $$
    SELECT encode(substr(sha256(convert_to(id::text || fingerprint, 'UTF8')), 1, 16), 'hex')::uuid
$$;

-- For pruning. New rows are always at its end, where PostgreSQL inserts without a search.
CREATE INDEX write_settled_at ON sync.write (settled_at);

-- Runs one statement over a set of writes and answers their rows of the ledger. The caller inserts these
-- by the same statement, so that the data and the record of it stand or fall together.
--
-- `statement` is one that aurora-sync makes of its catalog. It is given the writes as parallel arrays: $1 ids,
-- $2 times of acceptance (milliseconds since 1970), $3 keys, $4 fingerprints, $5 the columns, each the
-- literal of an array. It answers one row of parallel arrays: ids, times, keys, fingerprints, outcomes,
-- payloads. An outcome is 'applied', 'unchanged', 'superseded', or the rule by which it is rejected.
--
-- Arrays as a whole, because a statement that changes data only ends when its answer has been read: rows
-- that were passed on before an error could not be taken back.
CREATE FUNCTION sync.settle(
    statement text,
    ids uuid[],
    accepted_at_ms bigint[],
    keys text[],
    fingerprints text[],
    columns text[]
)
RETURNS TABLE (
    write_id uuid,
    write_accepted_at timestamptz,
    write_key text,
    write_fingerprint text,
    write_outcome text,
    write_rule text,
    write_reason text,
    write_sqlstate text,
    write_constraint text,
    write_column text,
    write_payload text
)
LANGUAGE plpgsql
AS $$
#variable_conflict use_column
DECLARE
    settled_ids uuid[];
    settled_accepted_at_ms bigint[];
    settled_keys text[];
    settled_fingerprints text[];
    settled_outcomes text[];
    settled_payloads text[];
BEGIN
    EXECUTE statement
        INTO settled_ids, settled_accepted_at_ms, settled_keys, settled_fingerprints, settled_outcomes,
            settled_payloads
        USING ids, accepted_at_ms, keys, fingerprints, columns;
    RETURN QUERY
        SELECT settled.id, to_timestamp(settled.accepted_at_ms::double precision / 1000), settled.key, settled.fingerprint,
            CASE WHEN settled.outcome IN ('applied', 'unchanged', 'superseded') THEN settled.outcome
                ELSE 'rejected' END,
            CASE WHEN settled.outcome NOT IN ('applied', 'unchanged', 'superseded') THEN settled.outcome END,
            sync.reason(settled.outcome), NULL::text, NULL::text, NULL::text, settled.payload
        FROM unnest(settled_ids, settled_accepted_at_ms, settled_keys, settled_fingerprints,
                settled_outcomes, settled_payloads)
            AS settled (id, accepted_at_ms, key, fingerprint, outcome, payload);
    -- An update that others were folded into met no row: without its payload it cannot be rejected.
    IF NOT settled_outcomes <@ ARRAY['applied', 'unchanged', 'superseded'] AND EXISTS (
        SELECT FROM unnest(settled_outcomes, settled_payloads) AS settled (outcome, payload)
        WHERE settled.outcome NOT IN ('applied', 'unchanged', 'superseded') AND settled.payload IS NULL
    ) THEN
        RAISE EXCEPTION 'a folded update met no row' USING ERRCODE = 'data_exception';
    END IF;
END
$$;

-- The same for a set of which at least one row is bad: tries it as a whole and, where it fails because of a row
-- (`sync.is_of_row`), its two halves, down to the single rows that are bad. These are rejected with PostgreSQL's
-- reason. Any other error (a deadlock, a missing table) ends the whole call, as it says nothing about a row.
--
-- `is_immediate` makes deferred constraints speak while their row can still be told. `types` names those of
-- columns of types that the worker does not know, and is NULL for the others: what such a type says to a
-- value can look like a mistake in a statement (class 42: `regclass`, `tsquery`, `ltree`) or in PostgreSQL (XX: `hstore`).
CREATE FUNCTION sync.settle_apart(
    statement text,
    table_path text,
    operation text,
    column_names text[],
    ids uuid[],
    accepted_at_ms bigint[],
    keys text[],
    fingerprints text[],
    columns text[],
    types text[],
    is_immediate boolean
)
RETURNS TABLE (
    write_id uuid,
    write_accepted_at timestamptz,
    write_key text,
    write_fingerprint text,
    write_outcome text,
    write_rule text,
    write_reason text,
    write_sqlstate text,
    write_constraint text,
    write_column text,
    write_payload text
)
LANGUAGE plpgsql
AS $$
#variable_conflict use_column
DECLARE
    row_count integer := cardinality(ids);
    middle integer := cardinality(ids) / 2;
    -- All sets of a call have as many columns as the widest one.
    own_columns text[] := columns[: cardinality(column_names)];
    error_sqlstate text;
    error_message text;
    error_constraint text;
    error_column text;
    is_of_unknown_type boolean := false;
    payload text;
    settled_fingerprint text;
BEGIN
    IF is_immediate THEN
        SET CONSTRAINTS ALL IMMEDIATE;
    END IF;
    BEGIN
        RETURN QUERY
            SELECT * FROM sync.settle(statement, ids, accepted_at_ms, keys, fingerprints, own_columns);
        RETURN;
    EXCEPTION
        -- (OTHERS leaves out what ASSERT raises.)
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
            SELECT * FROM sync.settle_apart(statement, table_path, operation, column_names, ids[:middle],
                accepted_at_ms[:middle], keys[:middle], fingerprints[:middle],
                sync.slices(own_columns, 1, middle), types, is_immediate);
        RETURN QUERY
            SELECT * FROM sync.settle_apart(statement, table_path, operation, column_names,
                ids[middle + 1 :], accepted_at_ms[middle + 1 :], keys[middle + 1 :],
                fingerprints[middle + 1 :], sync.slices(own_columns, middle + 1, row_count), types, is_immediate);
        RETURN;
    END IF;
    -- What a type says to a value does not name the column.
    IF coalesce(error_column, '') = '' AND (is_of_unknown_type OR left(error_sqlstate, 2) IN ('22', '23')) THEN
        error_column := sync.refused_column(column_names, types, sync.first_cells(own_columns));
        IF is_of_unknown_type AND error_column IS NULL THEN
            -- Not the value: the statement, or the database, is not as the worker thinks.
            RAISE EXCEPTION USING ERRCODE = error_sqlstate, MESSAGE = error_message;
        END IF;
    END IF;
    payload := json_build_object('table', table_path, 'operation', operation,
        'row', json_object(column_names, sync.first_cells(own_columns)))::text;
    SELECT fingerprint INTO settled_fingerprint FROM sync.write WHERE id = ids[1];
    IF NOT FOUND THEN
        RETURN QUERY
            SELECT ids[1], to_timestamp(accepted_at_ms[1] / 1000.0), keys[1], fingerprints[1], 'rejected',
                'database', left(error_message, 1000), error_sqlstate, nullif(error_constraint, ''),
                nullif(error_column, ''), payload;
    ELSIF settled_fingerprint IS DISTINCT FROM fingerprints[1] THEN
        RETURN QUERY
            SELECT reused.id, to_timestamp(accepted_at_ms[1] / 1000.0), keys[1], fingerprints[1], 'rejected',
                'idempotency-key-reused', sync.reason('idempotency-key-reused'), NULL::text, NULL::text,
                NULL::text, payload
            FROM sync.reused_id(ids[1], fingerprints[1]) AS reused (id)
            WHERE NOT EXISTS (SELECT FROM sync.write AS told WHERE told.id = reused.id);
    END IF;
    -- A bad row that was settled before is not settled again.
END
$$;

-- Whether an error is the fault of a row, by its SQLSTATE: class 22 (data exception), 23 (integrity constraint violation),
-- P0 (PL/pgSQL), WITH CHECK OPTION, a key twice in one statement, a value too large for an index or a row for a page; and
-- all classes that PostgreSQL does not have, which a trigger raises. The worker's table of errors (`src/error.rs`) is the
-- same.
CREATE FUNCTION sync.is_of_row(error_sqlstate text)
RETURNS boolean
LANGUAGE sql IMMUTABLE
AS $$
    SELECT error_sqlstate IN ('21000', '44000', '54000') OR left(error_sqlstate, 2) IN ('22', '23', 'P0')
        OR left(error_sqlstate, 2) NOT IN ('00', '01', '02', '03', '08', '09', '0A', '0B', '0F', '0L', '0P', '0Z', '10', '20',
            '21', '22', '23', '24', '25', '26', '27', '28', '2B', '2D', '2F', '34', '38', '39', '3B', '3D', '3F', '40', '42',
            '44', '53', '54', '55', '57', '58', '72', 'F0', 'HV', 'P0', 'XX')
$$;

-- The column whose type refuses the cell, among those of types that the worker does not know.
CREATE FUNCTION sync.refused_column(column_names text[], types text[], cells text[])
RETURNS text
LANGUAGE plpgsql
AS $$
BEGIN
    FOR place IN 1 .. cardinality(column_names) LOOP
        IF types[place] IS NOT NULL THEN
            BEGIN
                EXECUTE 'SELECT $1::' || types[place] USING cells[place];
            EXCEPTION
                WHEN data_exception OR integrity_constraint_violation OR syntax_error_or_access_rule_violation
                    OR program_limit_exceeded OR internal_error THEN
                    RETURN column_names[place];
            END;
        END IF;
    END LOOP;
    RETURN NULL;
END
$$;

-- What a rule of the worker's own says against a write.
CREATE FUNCTION sync.reason(rule text)
RETURNS text
LANGUAGE sql IMMUTABLE
AS $$
    SELECT CASE rule
        WHEN 'row-missing' THEN 'there is no row with this key'
        WHEN 'idempotency-key-reused' THEN
            'another write was accepted under this Idempotency-Key before, with another payload'
    END
$$;

-- The rows from one place to another of a set given column by column.
CREATE FUNCTION sync.slices(columns text[], first_row integer, last_row integer)
RETURNS text[]
LANGUAGE sql IMMUTABLE
AS $$
    SELECT array_agg((col.literal::text[])[first_row : last_row]::text ORDER BY col.place)
    FROM unnest(columns) WITH ORDINALITY AS col (literal, place)
$$;

-- The first row of a set given column by column.
CREATE FUNCTION sync.first_cells(columns text[])
RETURNS text[]
LANGUAGE sql IMMUTABLE
AS $$
    SELECT array_agg((col.literal::text[])[1] ORDER BY col.place)
    FROM unnest(columns) WITH ORDINALITY AS col (literal, place)
$$;
