-- Preconditions of writes: the tag of a row, and the reasons of the rules.

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
    END
$$;
