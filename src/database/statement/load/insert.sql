WITH input AS (
  SELECT {input}
), written AS (
  INSERT INTO {table} AS target ({columns})
  SELECT {values} FROM input
  RETURNING 1
)
SELECT ARRAY[(SELECT count(*) FROM written), 0]
