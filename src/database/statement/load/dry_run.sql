WITH input AS MATERIALIZED (
  SELECT *, row_number() OVER () AS n FROM (SELECT {input}) AS row_of_set
), met AS MATERIALIZED (
  SELECT input.n, found.* FROM input CROSS JOIN LATERAL (
    SELECT {is_same} AS is_same, {is_older} AS is_older,
      age(target.xmin) > age(pg_current_xact_id()::xid) AS was_there
    FROM {table} AS target WHERE {key_equals} OFFSET 0
  ) AS found
), written AS (
  INSERT INTO {table} AS target ({columns})
  SELECT {values} FROM input WHERE n NOT IN (SELECT n FROM met WHERE is_older){merge}
  RETURNING 1
)
SELECT ARRAY[(SELECT count(*) FROM written), (SELECT count(*) FROM met WHERE is_older AND NOT is_same),
  (SELECT count(*) FROM met WHERE was_there AND NOT is_older AND NOT is_same)]
