WITH input AS (
  SELECT {input}
), written AS (
  DELETE FROM {table} AS target USING input
  WHERE {key_equals}
  RETURNING 1
)
SELECT ARRAY[(SELECT count(*) FROM written), 0]
