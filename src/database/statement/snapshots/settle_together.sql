INSERT INTO sync.write SELECT * FROM sync.settle_together(:ids::uuid[],
  :claims_of::integer[], :claims::text[], :table_paths::text[], :operations::text[], :column_names::text[], :statements::text[], :of_tables::text[])
