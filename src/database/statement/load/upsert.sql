WITH input AS MATERIALIZED (
  SELECT *, row_number() OVER () AS n FROM (SELECT {input}) AS row_of_set
), sample AS MATERIALIZED (
  SELECT 2 * count(found.one) > count(*) AS is_same FROM (SELECT * FROM input LIMIT 50) AS input
  LEFT JOIN LATERAL (
    SELECT 1 AS one FROM {table} AS target WHERE {key_equals} AND {is_same} OFFSET 0
  ) AS found ON true
), same AS MATERIALIZED (
  SELECT input.n FROM input CROSS JOIN LATERAL (
    SELECT FROM {table} AS target WHERE {key_equals} AND {is_same} OFFSET 0
  ) AS found
  WHERE (SELECT is_same FROM sample)
), written AS (
  INSERT INTO {table} AS target ({columns})
  SELECT {values} FROM input WHERE n NOT IN (SELECT n FROM same){merge}
  RETURNING 1
)
SELECT ARRAY[(SELECT count(*) FROM written), 0]
