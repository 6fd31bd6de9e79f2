-- Settles writes inside the server: each set by a statement of its own. sync.bisect finds bad rows, for imports too.

-- The id under which a write is rejected whose own id was used for another write before.
CREATE OR REPLACE FUNCTION sync.reused_id(id uuid, fingerprint text)
RETURNS uuid
LANGUAGE sql IMMUTABLE
AS $$
    SELECT encode(substr(sha256(convert_to(id::text || fingerprint, 'UTF8')), 1, 16), 'hex')::uuid
$$;

-- True for an error that is the fault of a row, by its SQLSTATE and, where that is not enough, by how its text begins.
-- The worker's table of errors (`SqlState::disposition` in `src/domain/error/`) is the same, and gives the reasons; a test holds
-- them to each other.
CREATE OR REPLACE FUNCTION sync.is_of_row(error_sqlstate text, error_message text)
RETURNS boolean
LANGUAGE sql IMMUTABLE
AS $$
    SELECT CASE
        WHEN error_sqlstate = '0A000' THEN NOT starts_with(error_message, 'cached plan must not change result type')
        WHEN error_sqlstate = '2200H' THEN false
        WHEN error_sqlstate = '42501' THEN starts_with(error_message, 'new row violates row-level security policy')
        WHEN error_sqlstate = '54000' THEN NOT (
            starts_with(error_message, 'cannot extend file ')
            OR starts_with(error_message, 'database is not accepting commands ')
            OR starts_with(error_message, 'multixact "members" limit exceeded'))
        WHEN error_sqlstate IN ('20000', '21000', '27000', '44000', '54001') THEN true
        WHEN left(error_sqlstate, 2) IN ('22', '23', '38', 'P0') THEN true
        -- Classes that PostgreSQL does not have are of triggers.
        ELSE left(error_sqlstate, 2) NOT IN ('00', '01', '02', '03', '08', '09', '0A', '0B', '0F', '0L', '0P', '0Z', '10',
            '20', '21', '22', '23', '24', '25', '26', '27', '28', '2B', '2D', '2F', '34', '38', '39', '3B', '3D', '3F', '40',
            '42', '44', '53', '54', '55', '57', '58', '72', 'F0', 'HV', 'P0', 'XX')
    END
$$;

-- The column whose type refuses the cell, among those of types that the worker does not know: the error that a type raises
-- for a value does not name the column.
CREATE OR REPLACE FUNCTION sync.refused_column(error_sqlstate text, column_names text[], types text[], cells text[])
RETURNS text
LANGUAGE plpgsql
AS $$
BEGIN
    IF left(error_sqlstate, 2) NOT IN ('22', '23', '42', 'XX') THEN
        RETURN NULL;
    END IF;
    FOR nth IN 1 .. cardinality(column_names) LOOP
        IF types[nth] IS NOT NULL THEN
            BEGIN
                EXECUTE 'SELECT $1::' || types[nth] USING cells[nth];
            EXCEPTION
                WHEN data_exception OR integrity_constraint_violation OR syntax_error_or_access_rule_violation
                    OR program_limit_exceeded OR internal_error THEN
                    RETURN column_names[nth];
            END;
        END IF;
    END LOOP;
    RETURN NULL;
END
$$;

-- Returns the tag of a row, from the columns that look-ups return: a hash that changes with any of their names and values.
-- Look-ups send it as the ETag of the row, and writes compare it. So the texts of the values must not depend on the settings
-- of the session, its user or the database. JSON distinguishes names and kinds of values, and the text of a record
-- distinguishes NULL from the JSON null.
CREATE OR REPLACE FUNCTION sync.row_tag(image record)
RETURNS text
LANGUAGE plpgsql STABLE
SET timezone TO 'UTC'
SET datestyle TO 'ISO, YMD'
SET intervalstyle TO 'postgres'
SET extra_float_digits TO 1
SET bytea_output TO 'hex'
SET lc_monetary TO 'C'
SET search_path TO pg_catalog
AS $$
BEGIN
    RETURN left(encode(sha256(convert_to(row_to_json(image)::text || image::text, 'UTF8')), 'hex'), 32);
END
$$;

-- The reason of a write that is rejected by a rule of the worker's own.
CREATE OR REPLACE FUNCTION sync.reason(rule text)
RETURNS text
LANGUAGE sql IMMUTABLE
AS $$
    SELECT CASE rule
        WHEN 'row-missing' THEN 'there is no row with this key: PUT and PATCH only update, POST creates'
        WHEN 'idempotency-key-reused' THEN
            'another write was accepted under this Idempotency-Key before, with another payload'
        WHEN 'precondition-failed' THEN
            'the row was not as the request expected it: If-Match names another state of it, or If-None-Match forbids that '
            'there is a row with this key; read the row and decide again'
        WHEN 'row-security' THEN 'a row policy of the table does not permit the caller to make this change'
    END
$$;

-- The result of one try of some rows of a set.
DO $$
BEGIN
    CREATE TYPE sync.attempt AS (
        -- The number of its first row in the set, from 1.
        row_number integer,
        -- The result of the statement. NULL if the database refused a row; the other fields tell which one and why.
        result text[],
        -- The refused row as the statement got it: sync.cells returns its cells. NULL if the row was not tried.
        literals text,
        sqlstate text,
        message text,
        constraint_name text,
        column_name text,
        -- The table that the error is about, as SQL names it.
        table_name text
    );
EXCEPTION WHEN duplicate_object THEN
    NULL;
END
$$;

-- Tries a statement over some rows: the prepared one, or the given one until it could be prepared. An error that is the
-- fault of a row is a result (sync.is_of_row). Any other error (a deadlock, a missing table) ends the whole call.
CREATE OR REPLACE FUNCTION sync.try(unprepared text, columns text, has_unknown_types boolean)
RETURNS sync.attempt
LANGUAGE plpgsql
AS $$
DECLARE
    attempt sync.attempt;
    error_schema text;
    error_table text;
BEGIN
    IF unprepared IS NOT NULL THEN
        EXECUTE 'PREPARE sync_try (text[]) AS ' || unprepared;
    END IF;
    EXECUTE 'EXECUTE sync_try (' || quote_literal(columns) || ')' INTO attempt.result;
    RETURN attempt;
EXCEPTION
    -- (OTHERS leaves out what ASSERT raises.)
    WHEN OTHERS OR assert_failure THEN
        GET STACKED DIAGNOSTICS
            attempt.sqlstate = RETURNED_SQLSTATE,
            attempt.message = MESSAGE_TEXT,
            attempt.constraint_name = CONSTRAINT_NAME,
            attempt.column_name = COLUMN_NAME,
            error_schema = SCHEMA_NAME,
            error_table = TABLE_NAME;
        IF NOT sync.is_of_row(attempt.sqlstate, attempt.message)
            AND NOT (has_unknown_types AND left(attempt.sqlstate, 2) IN ('42', 'XX')) THEN
            RAISE;
        END IF;
        attempt.constraint_name := nullif(attempt.constraint_name, '');
        attempt.column_name := nullif(attempt.column_name, '');
        IF error_table <> '' THEN
            attempt.table_name := format('%I.%I', error_schema, error_table);
        END IF;
        RETURN attempt;
END
$$;

-- Finds the bad rows of a set. Runs a statement over the whole set; if that fails, over blocks of 25 rows; if a block
-- fails, over each of its rows. The statement is prepared once, since planning it takes longer than running it over a row.
--
-- The worker makes `statement` from its catalog. The statement takes the columns of the set as $1, the literal of an array
-- for each, and returns one array of texts. `column_names` are the columns of the table, the last ones of
-- the set; `types` holds the types that the worker does not know, and NULL for the others: the error that such a
-- type raises for a value can look like an error in a statement (class 42: `regclass`, `tsquery`, `ltree`) or in
-- PostgreSQL (XX: `hstore`). `is_immediate` makes deferred constraints immediate, so that their row is known.
--
-- `follows` is NULL, or holds for each row the number of the row before it in its key: the row is tried only if that one is
-- refused. The last row of the file comes first. All rows are tried one by one then. A row that is not tried is superseded.
CREATE OR REPLACE FUNCTION sync.bisect(
    statement text,
    columns text[],
    column_names text[],
    types text[],
    is_immediate boolean,
    follows integer[],
    of_table text,
    adds text
)
RETURNS SETOF sync.attempt
LANGUAGE plpgsql
SET jit TO off
SET plan_cache_mode TO force_generic_plan
AS $$
DECLARE
    block_rows constant integer := CASE WHEN follows IS NULL THEN 25 ELSE 1 END;
    has_unknown_types constant boolean := array_remove(types, NULL) <> '{}';
    own_columns constant integer := cardinality(columns) - cardinality(column_names);
    -- The literals of each row alone, as one text.
    rows text[];
    -- The numbers of the rows that are tried, and an array row for each of their columns.
    numbers integer[];
    nth integer;
    cells text[];
    -- The number of the reason for which each row is certainly refused; 0 for a row that must be tried.
    reasons integer[];
    refused integer[] := '{}';
    -- Rows that a foreign key refuses alone.
    waiting sync.attempt[] := '{}';
    unprepared text := statement;
    attempt sync.attempt;
BEGIN
    IF is_immediate THEN
        SET CONSTRAINTS ALL IMMEDIATE;
    END IF;
    -- A call that failed can leave a statement.
    IF EXISTS (SELECT FROM pg_prepared_statements WHERE name = 'sync_try') THEN
        DEALLOCATE sync_try;
    END IF;
    IF follows IS NULL THEN
        -- A set is not tried whole if most of its first rows are certainly refused: a foreign key refuses it only after all
        -- of its rows are inserted.
        reasons := sync.reasons(of_table, adds, ARRAY(
            SELECT (literal::text[])[: 20]::text FROM unnest(columns[own_columns + 1 :]) AS literal), column_names);
        IF coalesce(2 * cardinality(array_remove(reasons, 0)) <= cardinality(reasons), true) THEN
            attempt := sync.try(unprepared, columns::text, has_unknown_types);
            IF attempt.sqlstate IS NULL THEN
                attempt.row_number := 1;
                RETURN NEXT attempt;
                DEALLOCATE sync_try;
                RETURN;
            END IF;
        END IF;
        reasons := sync.reasons(of_table, adds, columns[own_columns + 1 :], column_names);
    END IF;
    SELECT array_agg(n ORDER BY n) INTO numbers FROM generate_series(1, cardinality(columns[1]::text[])) AS n;
    -- The first row of each reason is tried. If it is refused, the other rows get its error.
    FOR reason IN 1 .. coalesce((SELECT max(number) FROM unnest(reasons) AS number), 0) LOOP
        nth := array_position(reasons, reason);
        CONTINUE WHEN nth IS NULL;
        -- A statement can fail before it is prepared: a rule of the table can refuse every row.
        unprepared := sync.unprepared(unprepared);
        attempt := sync.try(unprepared, ARRAY(SELECT ARRAY[(literal::text[])[nth]]::text FROM unnest(columns) AS literal)::text,
            has_unknown_types);
        attempt.row_number := nth;
        IF attempt.sqlstate IS NULL THEN
            RETURN NEXT attempt;
            numbers := array_remove(numbers, nth);
        ELSIF left(attempt.sqlstate, 2) = '23' THEN
            RETURN QUERY
                SELECT of_reason.number, NULL::text[], NULL::text, attempt.sqlstate, attempt.message,
                    attempt.constraint_name, attempt.column_name, attempt.table_name
                FROM unnest(numbers) AS of_reason (number) WHERE reasons[of_reason.number] = reason;
            SELECT coalesce(array_agg(other.number ORDER BY other.number), '{}') INTO numbers
            FROM unnest(numbers) AS other (number) WHERE reasons[other.number] <> reason;
        END IF;
    END LOOP;
    SELECT array_agg(of_row.literals ORDER BY n) INTO rows
    FROM generate_series(1, (SELECT max(number) FROM unnest(numbers) AS number)) AS n
    LEFT JOIN (
        SELECT cell.n::integer AS n, array_agg(ARRAY[cell.text]::text ORDER BY col.index)::text AS literals
        FROM unnest(columns) WITH ORDINALITY AS col (literal, index),
            unnest(col.literal::text[]) WITH ORDINALITY AS cell (text, n)
        WHERE cell.n = ANY (numbers)
        GROUP BY cell.n
    ) AS of_row USING (n);
    SELECT array_agg(of_column.texts ORDER BY of_column.index) INTO cells
    FROM (
        SELECT col.index, array_agg(cell.text ORDER BY cell.n) AS texts
        FROM unnest(columns) WITH ORDINALITY AS col (literal, index),
            unnest(col.literal::text[]) WITH ORDINALITY AS cell (text, n)
        WHERE block_rows > 1 AND cell.n = ANY (numbers)
        GROUP BY col.index
    ) AS of_column;
    FOR at IN 1 .. cardinality(numbers) BY block_rows LOOP
        unprepared := sync.unprepared(unprepared);
        IF follows[numbers[at]] IS NOT NULL AND follows[numbers[at]] <> ALL (refused) THEN
            attempt := (numbers[at], ARRAY['0', '1'], NULL, NULL, NULL, NULL, NULL, NULL);
            RETURN NEXT attempt;
            CONTINUE;
        END IF;
        IF block_rows = 1 THEN
            attempt := sync.try(unprepared, rows[numbers[at]], has_unknown_types);
        ELSE
            attempt := sync.try(unprepared, sync.literals(cells[:][at : at + block_rows - 1])::text,
                has_unknown_types);
        END IF;
        attempt.row_number := numbers[at];
        IF attempt.sqlstate IS NULL THEN
            RETURN NEXT attempt;
            CONTINUE;
        END IF;
        FOREACH nth IN ARRAY numbers[at : at + block_rows - 1] LOOP
            IF block_rows > 1 THEN
                attempt := sync.try(unprepared, rows[nth], has_unknown_types);
                attempt.row_number := nth;
            END IF;
            IF attempt.sqlstate IS NOT NULL THEN
                refused := refused || nth;
                attempt.literals := rows[nth];
                IF attempt.column_name IS NULL AND has_unknown_types THEN
                    attempt.column_name := sync.refused_column(attempt.sqlstate, column_names, types,
                        (sync.cells(attempt.literals))[own_columns + 1 :]);
                    IF attempt.column_name IS NULL AND NOT sync.is_of_row(attempt.sqlstate, attempt.message) THEN
                        -- The fault is not in the value: the statement or the database differs from the catalog.
                        RAISE EXCEPTION USING ERRCODE = attempt.sqlstate, MESSAGE = attempt.message;
                    END IF;
                END IF;
                IF is_immediate AND attempt.sqlstate = '23503' THEN
                    waiting := waiting || attempt;
                    CONTINUE;
                END IF;
            END IF;
            RETURN NEXT attempt;
        END LOOP;
    END LOOP;
    RETURN QUERY SELECT * FROM sync.try_together(waiting, column_names, own_columns);
    IF unprepared IS NULL THEN
        DEALLOCATE sync_try;
    END IF;
END
$$;

-- Returns the statement until it could be prepared, and NULL afterwards.
CREATE OR REPLACE FUNCTION sync.unprepared(statement text)
RETURNS text
LANGUAGE sql VOLATILE
AS $$
    SELECT CASE WHEN statement IS NOT NULL AND NOT EXISTS (
        SELECT FROM pg_prepared_statements WHERE name = 'sync_try'
    ) THEN statement END
$$;

-- Returns, for each row that is added to a table, the number of the reason for which it would certainly be refused, or 0 if
-- it may be good. One query finds them all: checks that are false, keys that exist, parents that do not. `adds` is 'insert',
-- or 'upsert' if a row with the key may exist; with any other value there are no reasons. Returns NULL if a trigger or a rule
-- may change a row first, or if a text is no value of its column.
CREATE OR REPLACE FUNCTION sync.reasons(of_table text, adds text, columns text[], column_names text[])
RETURNS integer[]
LANGUAGE plpgsql
AS $$
DECLARE
    target constant oid := of_table::regclass;
    conditions text;
    cells text;
    reasons integer[];
BEGIN
    IF adds NOT IN ('insert', 'upsert')
        -- PostgreSQL checks references and keys against all rows, and the query sees only some.
        OR row_security_active(target)
        OR EXISTS (SELECT FROM pg_constraint WHERE conrelid = target AND contype = 'f' AND row_security_active(confrelid))
        OR EXISTS (SELECT FROM pg_trigger WHERE tgrelid = target AND NOT tgisinternal AND tgtype & 2 = 2)
        OR EXISTS (SELECT FROM pg_rewrite WHERE ev_class = target) THEN
        RETURN NULL;
    END IF;
    SELECT string_agg(format('WHEN %s THEN %s', reason.condition, reason.number), ' ') INTO conditions
    FROM (
        SELECT condition, row_number() OVER (ORDER BY kind, condition) AS number
        FROM (
            SELECT 1 AS kind, format('(%s) IS FALSE', pg_get_expr(held.conbin, held.conrelid)) AS condition
            FROM pg_constraint AS held
            WHERE held.conrelid = target AND held.contype = 'c' AND held.convalidated
                AND sync.are_named(target, held.conkey, column_names)
            UNION ALL
            SELECT 2, format('EXISTS (SELECT FROM %s AS target WHERE %s)', of_table,
                sync.equal_columns(target, index.indkey::smallint[], target, index.indkey::smallint[]))
            FROM pg_index AS index
            WHERE index.indrelid = target AND index.indisunique AND index.indimmediate AND index.indisvalid
                AND index.indpred IS NULL AND index.indexprs IS NULL AND index.indnkeyatts = index.indnatts
                AND sync.are_named(target, index.indkey::smallint[], column_names) AND adds = 'insert'
            UNION ALL
            SELECT 3, format('num_nulls(%s) = 0 AND NOT EXISTS (SELECT FROM %s AS target WHERE %s)',
                (SELECT string_agg(format('row.%I', attname), ', ') FROM pg_attribute
                 WHERE attrelid = target AND attnum = ANY (held.conkey)),
                held.confrelid::regclass, sync.equal_columns(held.confrelid, held.confkey, target, held.conkey))
            FROM pg_constraint AS held
            WHERE held.conrelid = target AND held.contype = 'f' AND held.confrelid <> target AND NOT held.condeferrable
                AND sync.are_named(target, held.conkey, column_names)
        ) AS of_table
    ) AS reason;
    IF conditions IS NULL THEN
        RETURN NULL;
    END IF;
    SELECT string_agg(format('(cell.c%s)::%s AS %I', named.index, format_type(attribute.atttypid, attribute.atttypmod),
            named.name), ', ' ORDER BY named.index)
        || ', cell.n FROM ROWS FROM ('
        || string_agg(format('unnest(($1)[%s]::text[])', named.index), ', ' ORDER BY named.index)
        || ') WITH ORDINALITY AS cell ('
        || string_agg(format('c%s', named.index), ', ' ORDER BY named.index) || ', n)' INTO cells
    FROM unnest(column_names) WITH ORDINALITY AS named (name, index)
    JOIN pg_attribute AS attribute ON attribute.attrelid = target AND attribute.attname = named.name;
    -- PostgreSQL reads all values, and refuses NULL where it is not allowed, before it comes to these reasons.
    SELECT format('WHEN num_nulls(%s) < 0 OR num_nulls(NULL, %s) > 1 THEN 0 ',
            string_agg(format('row.%I', attname), ', '),
            coalesce(string_agg(format('row.%I', attname), ', ') FILTER (WHERE attnotnull), '0')) || conditions
    INTO conditions
    FROM pg_attribute WHERE attrelid = target AND attname = ANY (column_names);
    EXECUTE format('SELECT array_agg(CASE %s ELSE 0 END ORDER BY n) FROM (SELECT %s) AS row', conditions, cells)
        INTO reasons USING columns;
    RETURN reasons;
EXCEPTION
    -- A text is no value, or a check raises an error: the statement itself finds the row.
    WHEN OTHERS OR assert_failure THEN
        RETURN NULL;
END
$$;

-- Tells if a statement names all of these columns.
CREATE OR REPLACE FUNCTION sync.are_named(of_table oid, numbers smallint[], column_names text[])
RETURNS boolean
LANGUAGE sql STABLE
AS $$
    SELECT bool_and(attname = ANY (column_names)) FROM pg_attribute WHERE attrelid = of_table AND attnum = ANY (numbers)
$$;

-- Returns `target."a" = row."b" AND …` for the columns of two tables.
CREATE OR REPLACE FUNCTION sync.equal_columns(target_table oid, target_numbers smallint[], row_table oid, row_numbers smallint[])
RETURNS text
LANGUAGE sql STABLE
AS $$
    SELECT string_agg(format('target.%I = row.%I', target.attname, own.attname), ' AND ')
    FROM unnest(target_numbers, row_numbers) AS pair (target_number, row_number)
    JOIN pg_attribute AS target ON target.attrelid = target_table AND target.attnum = pair.target_number
    JOIN pg_attribute AS own ON own.attrelid = row_table AND own.attnum = pair.row_number
$$;

-- Tries rows together that a foreign key refuses one by one, since they may refer to each other. A row that refers to a row
-- that does not exist then either is refused. The statement is prepared.
CREATE OR REPLACE FUNCTION sync.try_together(waiting sync.attempt[], column_names text[], own_columns integer)
RETURNS SETOF sync.attempt
LANGUAGE plpgsql
AS $$
DECLARE
    together sync.attempt;
    columns text[];
    refused integer[];
    -- Row policies can hide the row to which another one refers. They count as missing only if nothing else is at fault.
    with_hidden boolean := false;
BEGIN
    WHILE cardinality(waiting) > 0 LOOP
        refused := '{}';
        SELECT array_agg(of_column.literal ORDER BY of_column.index) INTO columns
        FROM (
            SELECT cell.index, array_agg(cell.text ORDER BY row.n)::text AS literal
            FROM unnest(waiting) WITH ORDINALITY AS row (row_number, result, literals, sqlstate, message, constraint_name,
                    column_name, table_name, n),
                unnest(sync.cells(row.literals)) WITH ORDINALITY AS cell (text, index)
            GROUP BY cell.index
        ) AS of_column;
        BEGIN
            SET CONSTRAINTS ALL DEFERRED;
            EXECUTE format('EXECUTE sync_try (%L)', columns) INTO together.result;
            FOR n IN 1 .. cardinality(waiting) LOOP
                IF sync.refers_to_nothing(waiting[n].table_name, sync.cells(waiting[n].literals), column_names,
                        own_columns, with_hidden) THEN
                    refused := refused || n;
                END IF;
            END LOOP;
            IF refused <> '{}' THEN
                RAISE EXCEPTION 'some refer to nothing' USING ERRCODE = 'foreign_key_violation';
            END IF;
            SET CONSTRAINTS ALL IMMEDIATE;
            together.row_number := waiting[1].row_number;
            RETURN NEXT together;
            RETURN;
        EXCEPTION
            WHEN OTHERS OR assert_failure THEN
                IF NOT sync.is_of_row(SQLSTATE, SQLERRM) THEN
                    RAISE;
                END IF;
        END;
        EXIT WHEN refused = '{}' AND with_hidden;
        with_hidden := with_hidden OR refused = '{}';
        RETURN QUERY SELECT (waiting[n]).* FROM unnest(refused) AS n;
        SELECT coalesce(array_agg(waiting[n] ORDER BY n), '{}') INTO waiting
        FROM generate_subscripts(waiting, 1) AS n WHERE n <> ALL (refused);
    END LOOP;
    RETURN QUERY SELECT (row).* FROM unnest(waiting) AS row;
END
$$;

-- Tells if a row of a table refers, by a deferrable foreign key, to a row that does not exist. With `with_hidden`, a row that
-- row policies hide does not exist either.
DROP FUNCTION IF EXISTS sync.refers_to_nothing(text, text[], text[], integer);
CREATE OR REPLACE FUNCTION sync.refers_to_nothing(
    of_table text,
    cells text[],
    column_names text[],
    own_columns integer,
    with_hidden boolean
)
RETURNS boolean
LANGUAGE plpgsql
AS $$
DECLARE
    parent text;
    condition text;
    is_there boolean;
BEGIN
    FOR parent, condition IN
        SELECT held.confrelid::regclass::text, string_agg(format('parent.%I = ($1)[%s]::%s', target.attname,
            own_columns + array_position(column_names, own.attname::text), format_type(target.atttypid, NULL)), ' AND ')
        FROM pg_constraint AS held
        CROSS JOIN LATERAL unnest(held.conkey, held.confkey) AS pair (own_key, target_key)
        JOIN pg_attribute AS own ON own.attrelid = held.conrelid AND own.attnum = pair.own_key
        JOIN pg_attribute AS target ON target.attrelid = held.confrelid AND target.attnum = pair.target_key
        WHERE held.conrelid = of_table::regclass AND held.contype = 'f' AND held.condeferrable
            AND (with_hidden OR NOT row_security_active(held.confrelid))
        GROUP BY held.oid, held.confrelid
        -- Nothing is certain of a NULL, or of a column that the statement does not set.
        HAVING bool_and(cells[own_columns + array_position(column_names, own.attname::text)] IS NOT NULL)
    LOOP
        EXECUTE format('SELECT EXISTS (SELECT FROM %s AS parent WHERE %s)', parent, condition)
            INTO is_there USING cells;
        IF NOT is_there THEN
            RETURN true;
        END IF;
    END LOOP;
    RETURN false;
END
$$;

-- Returns the cells of one row, given as literals of arrays that hold one cell each.
CREATE OR REPLACE FUNCTION sync.cells(literals text)
RETURNS text[]
LANGUAGE sql IMMUTABLE
AS $$
    SELECT array_agg((col.literal::text[])[1] ORDER BY col.index)
    FROM unnest(literals::text[]) WITH ORDINALITY AS col (literal, index)
$$;

-- Returns the literal of an array for each row of an array of two dimensions.
CREATE OR REPLACE FUNCTION sync.literals(cells text[])
RETURNS text[]
LANGUAGE sql IMMUTABLE
AS $$
    SELECT array_agg(cells[index : index]::text ORDER BY index) FROM generate_subscripts(cells, 1) AS index
$$;

-- Makes PostgreSQL end each later statement of this transaction when `time_ms` has passed since it began. A statement whose
-- caller has given up would keep its locks. Never raises the limit that the session has.
CREATE OR REPLACE FUNCTION sync.limit_time(time_ms integer)
RETURNS void
LANGUAGE sql
AS $$
    SELECT set_config('statement_timeout', least(
        greatest(time_ms - extract(epoch FROM clock_timestamp() - transaction_timestamp()) * 1000, 1),
        nullif(extract(epoch FROM current_setting('statement_timeout')::interval) * 1000, 0)
    )::integer::text, true)
$$;

-- Lets row policies, triggers and defaults know the caller, as PostgREST does: the claims are the setting request.jwt.claims of
-- the transaction. NULL takes away the claims of another caller: it leaves none.
CREATE OR REPLACE FUNCTION sync.set_claims(claims text)
RETURNS void
LANGUAGE sql
AS $$
    SELECT set_config('request.jwt.claims', coalesce(claims, '{}'), true)
    WHERE claims IS DISTINCT FROM nullif(current_setting('request.jwt.claims', true), '')
$$;

-- Tells if the caller sees a row now, by a query of the worker. A volatile function looks at the table as it is, and not as it was
-- when the statement that calls it began.
CREATE OR REPLACE FUNCTION sync.sees(query text, cells text[])
RETURNS boolean
LANGUAGE plpgsql VOLATILE
AS $$
DECLARE
    is_seen boolean;
BEGIN
    EXECUTE query INTO is_seen USING cells;
    RETURN is_seen;
END
$$;

-- Runs one statement over a set of writes and returns their rows of the ledger. Whoever calls it inserts these
-- by the same statement, so that the data and its record stand or fall together.
--
-- `columns` are the ids, the times of acceptance (milliseconds since 1970), the keys and the fingerprints of the writes,
-- and the columns of the table, which are shorter than the others if updates were folded. The statement returns six arrays:
-- ids, times, keys, fingerprints, outcomes, payloads. An outcome is 'applied', 'unchanged', 'superseded', or the rule by
-- which the write is rejected. `callers` are the principals of the writes, and `request_ids` their requests, or the one of all.
-- `claims` are those of their caller under row security.
--
-- PostgreSQL takes the limit of a statement when it starts. So each set limits the next one (sync.limit_time), and the first
-- set of a transaction does only that: it has no statement.
DROP FUNCTION IF EXISTS sync.settle(text, text, text, text[], integer);
DROP FUNCTION IF EXISTS sync.settle(text, text, text, text[], text[], text, integer);
CREATE OR REPLACE FUNCTION sync.settle(
    statement text,
    table_path text,
    operation text,
    columns text[],
    callers text[],
    request_ids uuid[],
    claims text,
    time_ms integer
)
RETURNS SETOF sync.write
LANGUAGE plpgsql
SET jit TO off
AS $$
DECLARE
    result text[];
BEGIN
    IF statement IS NOT NULL THEN
        PERFORM sync.set_claims(claims);
        EXECUTE statement INTO result USING columns;
        IF EXISTS (
            SELECT FROM unnest(result[5]::text[]) AS outcome WHERE outcome NOT IN ('applied', 'unchanged', 'superseded')
        ) THEN
            -- The set is bisected then, after which the worker reads what was rejected, and logs it. Without this error it
            -- would have to ask after each set, at the price of a call.
            RAISE EXCEPTION 'a write is rejected by a rule' USING ERRCODE = 'data_exception';
        END IF;
        RETURN QUERY SELECT * FROM sync.entries(table_path, operation, result, columns[1], callers, request_ids,
            claims);
    END IF;
    PERFORM sync.limit_time(time_ms);
END
$$;

-- Returns the result of such a statement if it holds the outcome of each write. It does not if an update into which others
-- were folded met no row, or if a trigger left out some of several rows. The error lets the set be bisected: a smaller set
-- shows the outcomes.
CREATE OR REPLACE FUNCTION sync.checked_outcomes(result text[])
RETURNS text[]
LANGUAGE plpgsql
AS $$
BEGIN
    IF EXISTS (
        SELECT FROM unnest(result[5]::text[], result[6]::text[]) AS settled (outcome, payload)
        WHERE settled.outcome NOT IN ('applied', 'unchanged', 'superseded') AND settled.payload IS NULL
    ) THEN
        RAISE EXCEPTION 'not all outcomes are known' USING ERRCODE = 'data_exception';
    END IF;
    RETURN result;
END
$$;

-- Returns a key of several columns as it stands in URLs: its parts, separated by commas and quoted as in CSV.
CREATE OR REPLACE FUNCTION sync.key_text(VARIADIC parts text[])
RETURNS text
LANGUAGE sql IMMUTABLE
AS $$
    SELECT string_agg(CASE WHEN part = '' OR part ~ '[,"\n\r]' THEN '"' || replace(part, '"', '""') || '"' ELSE part END,
        ',' ORDER BY n)
    FROM unnest(parts) WITH ORDINALITY AS of_key (part, n)
$$;

-- Returns the rows of the ledger for the result of a statement. The result may have a seventh array: the ids of the
-- Idempotency-Keys of writes that are rejected under ids of their own. `ids`, `callers`, `request_ids` and `claims` are those
-- of the set.
DROP FUNCTION IF EXISTS sync.entries(text, text, text[]);
DROP FUNCTION IF EXISTS sync.entries(text, text, text[], text, text[]);
DROP FUNCTION IF EXISTS sync.entries(text, text, text[], text, text[], text);
CREATE OR REPLACE FUNCTION sync.entries(
    table_path text,
    operation text,
    result text[],
    ids text,
    callers text[],
    request_ids uuid[],
    claims text
)
RETURNS SETOF sync.write
LANGUAGE sql
AS $$
    SELECT settled.id, table_path, settled.key, operation,
        CASE WHEN settled.rule IS NULL THEN settled.outcome ELSE 'rejected' END,
        settled.rule, NULL::text, sync.reason(settled.rule), NULL::text, NULL::text, settled.payload,
        to_timestamp(settled.accepted_at_ms::double precision / 1000), clock_timestamp(), settled.fingerprint,
        settled.idempotency_id, CASE WHEN cardinality(callers) = 1 THEN callers[1] ELSE sent.caller END,
        CASE WHEN claims IS NOT NULL THEN true END,
        CASE WHEN cardinality(request_ids) = 1 THEN request_ids[1] ELSE sent.request_id END
    FROM (
        SELECT *, CASE WHEN outcome NOT IN ('applied', 'unchanged', 'superseded') THEN outcome END AS rule
        FROM unnest(result[1]::uuid[], result[2]::bigint[], result[3]::text[], result[4]::text[], result[5]::text[],
            result[6]::text[], result[7]::uuid[])
            AS of_result (id, accepted_at_ms, key, fingerprint, outcome, payload, idempotency_id)
    ) AS settled
    LEFT JOIN unnest(
        CASE WHEN greatest(cardinality(callers), cardinality(request_ids)) > 1 THEN ids::uuid[] END, callers, request_ids
    ) AS sent (id, caller, request_id)
        ON sent.id = coalesce(settled.idempotency_id, settled.id)
$$;

-- Does the same as sync.settle for a set with bad rows (sync.bisect). They are rejected with PostgreSQL's reason.
DROP FUNCTION IF EXISTS sync.settle_bisected(text, text, text, text[], text[], text[], boolean, text, text, integer);
DROP FUNCTION IF EXISTS sync.settle_bisected(text, text, text, text[], text[], text, text[], text[], boolean, text, text,
    integer);
CREATE OR REPLACE FUNCTION sync.settle_bisected(
    statement text,
    table_path text,
    operation text,
    columns text[],
    callers text[],
    request_ids uuid[],
    claims text,
    column_names text[],
    types text[],
    is_immediate boolean,
    of_table text,
    adds text,
    time_ms integer
)
RETURNS SETOF sync.write
LANGUAGE plpgsql
AS $$
DECLARE
    -- All sets of a call have as many columns as the widest one.
    own_columns constant text[] := columns[: 4 + cardinality(column_names)];
    attempt sync.attempt;
    refused sync.attempt[] := '{}';
BEGIN
    IF statement IS NULL THEN
        PERFORM sync.limit_time(time_ms);
        RETURN;
    END IF;
    PERFORM sync.set_claims(claims);
    FOR attempt IN SELECT * FROM sync.bisect(statement, own_columns, column_names, types, is_immediate, NULL,
            of_table, adds)
    LOOP
        IF attempt.sqlstate IS NULL THEN
            RETURN QUERY SELECT * FROM sync.entries(table_path, operation, attempt.result, columns[1], callers,
                request_ids, claims);
        ELSE
            refused := refused || attempt;
        END IF;
    END LOOP;
    RETURN QUERY
        SELECT CASE WHEN settled.id IS NULL THEN write.id ELSE sync.reused_id(write.id, write.fingerprint) END,
            table_path, write.cells[3], operation, 'rejected', reason.rule,
            CASE WHEN reason.rule = 'database' THEN write.sqlstate END,
            CASE WHEN reason.rule = 'database' THEN left(write.message, 1000) ELSE sync.reason(reason.rule) END,
            CASE WHEN settled.id IS NULL THEN write.constraint_name END,
            CASE WHEN settled.id IS NULL THEN write.column_name END,
            json_build_object('table', table_path, 'operation', operation,
                'row', json_object(column_names, write.cells[5 :]))::text,
            to_timestamp(write.cells[2]::bigint / 1000.0), clock_timestamp(), write.fingerprint, settled.id,
            CASE WHEN cardinality(callers) = 1 THEN callers[1] ELSE callers[write.row_number] END,
            CASE WHEN claims IS NOT NULL THEN true END,
            CASE WHEN cardinality(request_ids) = 1 THEN request_ids[1] ELSE request_ids[write.row_number] END
        FROM (
            SELECT row.*, of_row.cells, of_row.cells[1]::uuid AS id, of_row.cells[4] AS fingerprint
            FROM unnest(refused) AS row
            JOIN (
                SELECT cell.n, array_agg(cell.text ORDER BY col.index) AS cells
                FROM unnest(own_columns) WITH ORDINALITY AS col (literal, index),
                    unnest(col.literal::text[]) WITH ORDINALITY AS cell (text, n)
                GROUP BY cell.n
            ) AS of_row ON of_row.n = row.row_number
        ) AS write
        LEFT JOIN LATERAL (
            SELECT known.id, known.fingerprint FROM sync.write AS known WHERE known.id = write.id LIMIT 1
        ) AS settled ON true
        CROSS JOIN LATERAL (
            SELECT CASE WHEN settled.id IS NOT NULL THEN 'idempotency-key-reused'
                WHEN write.sqlstate = '42501' THEN 'row-security' ELSE 'database' END AS rule
        ) AS reason
        -- A bad row that was settled before is not settled again.
        WHERE settled.id IS NULL OR settled.fingerprint IS DISTINCT FROM write.fingerprint AND (
            SELECT known.id FROM sync.write AS known WHERE known.id = sync.reused_id(write.id, write.fingerprint)
        ) IS NULL;
    PERFORM sync.limit_time(time_ms);
END
$$;

-- A rejected write that may refer to another one, with its statement and its cells.
DO $$
BEGIN
    CREATE TYPE sync.waiting_write AS (
        entry sync.write,
        statement text,
        of_table text,
        column_names text[],
        cells text[],
        claims text
    );
EXCEPTION WHEN duplicate_object THEN
    IF NOT EXISTS (
        SELECT FROM pg_attribute JOIN pg_type ON typrelid = attrelid
        WHERE pg_type.oid = 'sync.waiting_write'::regtype AND attname = 'claims' AND NOT attisdropped
    ) THEN
        ALTER TYPE sync.waiting_write ADD ATTRIBUTE claims text;
    END IF;
END
$$;

-- Tries the rejected writes of a batch together that may refer to each other, though they are of several sets: those that a
-- deferrable foreign key refused alone, since constraints are immediate, and those that missed such a row. A write that
-- refers to a row that is not even among them stays rejected; if the others fail together, all of them stay rejected.
--
-- `ids` are the writes of the batch in their order, and `claims_of` the index in `claims` for each of them, or NULL. The other arrays hold one entry for each group of writes: its table and
-- operation, the names of its columns as the literal of an array, its statement, and its table as SQL names it. Takes the
-- old entries out of the ledger and returns the new ones.
DROP FUNCTION IF EXISTS sync.settle_together(uuid[], text[], text[], text[], text[], text[]);
CREATE OR REPLACE FUNCTION sync.settle_together(
    ids uuid[],
    claims_of integer[],
    claims text[],
    table_paths text[],
    operations text[],
    column_names text[],
    statements text[],
    of_tables text[]
)
RETURNS SETOF sync.write
LANGUAGE plpgsql
AS $$
DECLARE
    waiting sync.waiting_write[];
    write sync.waiting_write;
    result text[];
    settled sync.write[];
    refused uuid[];
    with_hidden boolean := false;
    some_claims text;
BEGIN
    SELECT coalesce(array_agg((entry, known.statement, known.of_table, of_row.names, of_row.cells,
            claims[claims_of[asked.n]])::sync.waiting_write ORDER BY asked.n), '{}') INTO waiting
    FROM unnest(ids) WITH ORDINALITY AS asked (id, n)
    JOIN sync.write AS entry ON entry.id = asked.id
    CROSS JOIN LATERAL (
        SELECT array_agg(cell.key) AS names, array_agg(cell.value) AS cells
        FROM json_each_text(entry.payload::json -> 'row') AS cell
    ) AS of_row
    JOIN unnest(table_paths, operations, column_names, statements, of_tables)
        AS known (path, operation, names, statement, of_table)
        ON known.path = entry.table_name AND known.operation = entry.operation AND known.names::text[] = of_row.names
    WHERE entry.settled_at >= transaction_timestamp()
        AND (entry.rule = 'database' AND entry.sqlstate = '23503' OR entry.rule = 'row-missing'
            OR entry.rule = 'precondition-failed' AND entry.operation IN ('update', 'delete'))
        -- A write is left alone if a later one of its row had an effect: it would come after that one.
        AND NOT EXISTS (
            SELECT FROM unnest(ids) WITH ORDINALITY AS later (id, n) JOIN sync.write AS other ON other.id = later.id
            WHERE later.n > asked.n AND other.table_name = entry.table_name AND other.key = entry.key
                AND other.outcome <> 'rejected'
                -- Another caller may not have seen the row.
                AND NOT (other.outcome = 'unchanged' AND other.with_claims IS TRUE
                    AND other.caller IS DISTINCT FROM entry.caller AND other.operation IN ('delete', 'insert_ignore'))
        );
    WHILE cardinality(waiting) > 0 LOOP
        settled := '{}';
        refused := '{}';
        BEGIN
            SET CONSTRAINTS ALL DEFERRED;
            DELETE FROM sync.write AS old USING unnest(waiting) AS row WHERE old.id = (row.entry).id;
            FOREACH write IN ARRAY waiting LOOP
                PERFORM sync.set_claims(write.claims);
                EXECUTE write.statement INTO result USING ARRAY[
                    ARRAY[(write.entry).id]::text,
                    ARRAY[round(extract(epoch FROM (write.entry).accepted_at) * 1000)::bigint]::text,
                    ARRAY[(write.entry).key]::text,
                    ARRAY[(write.entry).fingerprint]::text
                ] || ARRAY(SELECT ARRAY[cell]::text FROM unnest(write.cells) AS cell);
                settled := settled || ARRAY(
                    SELECT entry FROM sync.entries((write.entry).table_name, (write.entry).operation, result,
                        NULL, ARRAY[(write.entry).caller], ARRAY[(write.entry).request_id], write.claims) AS entry);
            END LOOP;
            refused := ARRAY(SELECT (row.entry).id FROM unnest(waiting) AS row);
            -- A row that one caller may not see can be that of another one.
            FOR some_claims IN SELECT DISTINCT row.claims FROM unnest(waiting) AS row LOOP
                PERFORM sync.set_claims(some_claims);
                refused := ARRAY(
                    SELECT (row.entry).id FROM unnest(waiting) AS row
                    WHERE (row.entry).id = ANY (refused)
                        AND sync.refers_to_nothing(row.of_table, row.cells, row.column_names, 0, with_hidden));
            END LOOP;
            IF refused <> '{}' THEN
                RAISE EXCEPTION 'some refer to nothing' USING ERRCODE = 'foreign_key_violation';
            END IF;
            SET CONSTRAINTS ALL IMMEDIATE;
            RETURN QUERY SELECT * FROM unnest(settled);
            RETURN;
        EXCEPTION
            WHEN OTHERS OR assert_failure THEN
                IF NOT sync.is_of_row(SQLSTATE, SQLERRM) THEN
                    RAISE;
                END IF;
        END;
        EXIT WHEN refused = '{}' AND with_hidden;
        with_hidden := with_hidden OR refused = '{}';
        waiting := ARRAY(SELECT row FROM unnest(waiting) AS row WHERE (row.entry).id <> ALL (refused));
    END LOOP;
END
$$;
