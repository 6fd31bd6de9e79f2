-- Runs one statement for each row of a set on its own, so that bad rows do not spoil good ones.
--
-- `statement` takes one row as a text array in $1. `columns` holds the set column by column: each
-- element is the literal of a text array with one cell a row. Answers one line for each row that
-- changed nothing: with the error's SQLSTATE where it failed because of its data, with none where
-- it ran but met no row. Any other error (a deadlock, a missing table) ends the whole call, as it
-- says nothing about the row.
CREATE FUNCTION sync.isolate(statement text, columns text[])
RETURNS TABLE (
    row_number integer,
    error_sqlstate text,
    error_message text,
    error_constraint text,
    error_column text
)
LANGUAGE plpgsql
AS $$
DECLARE
    row_cells text[];
    rows_affected bigint;
BEGIN
    -- A deferred constraint must speak while its row can still be told.
    SET CONSTRAINTS ALL IMMEDIATE;
    row_number := 0;
    FOR row_cells IN
        -- Turns columns into rows: cell n of every column is row n.
        SELECT array_agg(cell.content ORDER BY col.place)
        FROM unnest(columns) WITH ORDINALITY AS col (literal, place),
             unnest(col.literal::text[]) WITH ORDINALITY AS cell (content, place)
        GROUP BY cell.place
        ORDER BY cell.place
    LOOP
        row_number := row_number + 1;
        BEGIN
            EXECUTE statement USING row_cells;
            GET DIAGNOSTICS rows_affected = ROW_COUNT;
            IF rows_affected = 0 THEN
                error_sqlstate := NULL;
                error_message := NULL;
                error_constraint := NULL;
                error_column := NULL;
                RETURN NEXT;
            END IF;
        EXCEPTION
            -- Classes 22 and 23, what a trigger raises, and the view's WITH CHECK OPTION.
            WHEN data_exception OR integrity_constraint_violation OR raise_exception
                OR with_check_option_violation THEN
                GET STACKED DIAGNOSTICS
                    error_sqlstate = RETURNED_SQLSTATE,
                    error_message = MESSAGE_TEXT,
                    error_constraint = CONSTRAINT_NAME,
                    error_column = COLUMN_NAME;
                -- Bounds the answer: 1,000 rows must stay under the Data API's 1 MiB.
                error_message := left(error_message, 200);
                error_constraint := nullif(error_constraint, '');
                error_column := nullif(error_column, '');
                RETURN NEXT;
        END;
    END LOOP;
END
$$;
