INSERT INTO sync.write SELECT * FROM sync.settle_bisected(:statement::text, :table_path::text, :operation::text,
  ARRAY[:ids::text, :accepted_at_ms::text, :keys::text, :fingerprints::text, :c1::text, :c2::text],
  :callers::text[], :request_ids::uuid[], :claims::text, :column_names::text[], :types::text[], :is_immediate::boolean,
  :of_table::text, :adds::text, :time_ms::integer)
