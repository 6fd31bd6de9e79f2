WITH input AS MATERIALIZED (
  SELECT *, row_number() OVER () AS n FROM (SELECT {input}) AS row_of_set
), met AS MATERIALIZED (
  SELECT input.n, found.is_same FROM input CROSS JOIN LATERAL (
    SELECT {is_same} AS is_same FROM {table} AS target WHERE {key_equals} AND NOT {is_newer} OFFSET 0
  ) AS found
), written AS (
  INSERT INTO {table} AS target ({columns})
  SELECT {values} FROM input WHERE n NOT IN (SELECT n FROM met){merge}
  RETURNING 1
)
SELECT ARRAY[(SELECT count(*) FROM written), (SELECT count(*) FROM met WHERE NOT is_same)]
