-- Returns the tables and views that sync_reader may read or sync_writer may change, one row each,
-- oid and JSON document, in the order of their oids, after the oid of the parameter. It ends before
-- 500,000 bytes, since a response of the Data API holds at most 1 MiB (DATA_API.md). The last column
-- says if more follow.
WITH RECURSIVE
-- A domain's base type. The innermost domain has the length; each may forbid NULL.
domain (oid, base, typmod, is_not_null, has_default) AS (
  SELECT oid, typbasetype, typtypmod, typnotnull, typdefault IS NOT NULL
  FROM pg_catalog.pg_type
  WHERE typtype = 'd'
  UNION ALL
  SELECT domain.oid, inner_domain.typbasetype, inner_domain.typtypmod,
    domain.is_not_null OR inner_domain.typnotnull,
    domain.has_default OR inner_domain.typdefault IS NOT NULL
  FROM domain
  JOIN pg_catalog.pg_type AS inner_domain
    ON inner_domain.oid = domain.base AND inner_domain.typtype = 'd'
),
base (oid, base, typmod, is_not_null, has_default) AS (
  SELECT domain.*
  FROM domain
  JOIN pg_catalog.pg_type ON pg_type.oid = domain.base AND pg_type.typtype <> 'd'
),
relation AS (
  SELECT pg_class.*, nspname,
    has_schema_privilege('sync_reader', pg_namespace.oid, 'USAGE')
      AND has_any_column_privilege('sync_reader', pg_class.oid, 'SELECT') AS is_read,
    has_schema_privilege('sync_writer', pg_namespace.oid, 'USAGE') AS is_reached,
    has_table_privilege('sync_writer', pg_class.oid, 'DELETE') AS is_deleted_from
  FROM pg_catalog.pg_class
  JOIN pg_catalog.pg_namespace ON pg_namespace.oid = relnamespace
  -- Tables, partitioned tables, views, materialized views, foreign tables. A partition is reached
  -- through its table.
  WHERE relkind IN ('r', 'p', 'v', 'm', 'f')
    AND NOT relispartition
    AND relpersistence <> 't'
    AND nspname NOT IN ('pg_catalog', 'information_schema', 'sync')
    AND nspname NOT LIKE 'pg\_%'
    AND pg_class.oid > :after::oid
),
offered AS (
  SELECT *
  FROM relation
  WHERE is_read
    OR is_reached AND (
      is_deleted_from
      OR has_any_column_privilege('sync_writer', oid, 'INSERT')
      OR has_any_column_privilege('sync_writer', oid, 'UPDATE')
    )
),
-- A table, and its partitions: a row in one of them meets their own keys and indexes too.
part (root, oid) AS (
  SELECT oid, oid FROM offered
  UNION ALL
  SELECT offered.oid, partition.relid
  FROM offered
  CROSS JOIN LATERAL pg_partition_tree(offered.oid) AS partition
  WHERE offered.relkind = 'p' AND partition.relid <> offered.oid
),
-- Each column with its type: a domain becomes its base, an array its element.
field AS (
  SELECT
    pg_attribute.attrelid, pg_attribute.attnum,
    jsonb_build_object(
      'name', pg_attribute.attname,
      'type_schema', type_schema.nspname,
      'type', scalar.typname,
      'modifier', coalesce(nullif(pg_attribute.atttypmod, -1), nullif(outer_base.typmod, -1), element_base.typmod, -1),
      'labels', CASE scalar.typtype WHEN 'e' THEN (
        SELECT jsonb_agg(enumlabel ORDER BY enumsortorder)
        FROM pg_catalog.pg_enum
        WHERE enumtypid = scalar.oid
      ) END,
      'is_array', element.oid IS NOT NULL,
      'is_domain', outer_base.oid IS NOT NULL OR element_base.oid IS NOT NULL,
      'is_not_null', pg_attribute.attnotnull OR coalesce(outer_base.is_not_null, false),
      'identity', pg_attribute.attidentity,
      'is_generated', pg_attribute.attgenerated <> '',
      'has_default', pg_attribute.atthasdef OR coalesce(outer_base.has_default, false),
      -- The sequence of a serial, if its next number is not the writer's to take.
      'unusable_sequence', (
        SELECT min(sequence.oid::regclass::text)
        FROM pg_catalog.pg_attrdef
        JOIN pg_catalog.pg_depend
          ON pg_depend.classid = 'pg_catalog.pg_attrdef'::regclass AND pg_depend.objid = pg_attrdef.oid
            AND pg_depend.refclassid = 'pg_catalog.pg_class'::regclass
        JOIN pg_catalog.pg_class AS sequence
          ON sequence.oid = pg_depend.refobjid
        WHERE pg_attrdef.adrelid = pg_attribute.attrelid AND pg_attrdef.adnum = pg_attribute.attnum
          -- The function fails for what is no sequence, and only a CASE is sure to keep the order.
          AND CASE sequence.relkind
            WHEN 'S' THEN NOT has_sequence_privilege('sync_writer', sequence.oid, 'USAGE, UPDATE')
            ELSE false
          END
      ),
      'has_rules', EXISTS (
        SELECT
        FROM pg_catalog.pg_depend
        LEFT JOIN pg_catalog.pg_constraint
          ON pg_depend.classid = 'pg_catalog.pg_constraint'::regclass AND pg_constraint.oid = pg_depend.objid
        LEFT JOIN pg_catalog.pg_class AS index
          ON pg_depend.classid = 'pg_catalog.pg_class'::regclass AND index.oid = pg_depend.objid
            AND index.relkind IN ('i', 'I')
        WHERE pg_depend.refclassid = 'pg_catalog.pg_class'::regclass
          AND pg_depend.refobjid = pg_attribute.attrelid AND pg_depend.refobjsubid = pg_attribute.attnum
          -- The primary key has its own part in the catalog, and so has NOT NULL.
          AND (index.oid IS NOT NULL OR pg_constraint.contype NOT IN ('p', 'n'))
      ),
      'has_own_equality', coalesce(NOT collisdeterministic, false),
      'comment', col_description(pg_attribute.attrelid, pg_attribute.attnum),
      'reader_selects', has_column_privilege('sync_reader', pg_attribute.attrelid, pg_attribute.attnum, 'SELECT'),
      'writer_selects', has_column_privilege('sync_writer', pg_attribute.attrelid, pg_attribute.attnum, 'SELECT'),
      'writer_inserts', has_column_privilege('sync_writer', pg_attribute.attrelid, pg_attribute.attnum, 'INSERT'),
      'writer_updates', has_column_privilege('sync_writer', pg_attribute.attrelid, pg_attribute.attnum, 'UPDATE')
    ) AS document
  FROM offered
  JOIN pg_catalog.pg_attribute
    ON pg_attribute.attrelid = offered.oid AND pg_attribute.attnum > 0 AND NOT pg_attribute.attisdropped
  LEFT JOIN base AS outer_base ON outer_base.oid = pg_attribute.atttypid
  JOIN pg_catalog.pg_type AS outer_type ON outer_type.oid = coalesce(outer_base.base, pg_attribute.atttypid)
  -- Only a true array is the array type of its element; a point also has elements.
  LEFT JOIN pg_catalog.pg_type AS element
    ON element.oid = outer_type.typelem AND element.typarray = outer_type.oid
  LEFT JOIN base AS element_base ON element_base.oid = element.oid
  JOIN pg_catalog.pg_type AS scalar ON scalar.oid = coalesce(element_base.base, element.oid, outer_type.oid)
  JOIN pg_catalog.pg_namespace AS type_schema ON type_schema.oid = scalar.typnamespace
  LEFT JOIN pg_catalog.pg_collation ON pg_collation.oid = pg_attribute.attcollation
),
document AS (
  SELECT
    offered.oid,
    jsonb_build_object(
      'schema', offered.nspname,
      'name', offered.relname,
      'kind', offered.relkind,
      'is_populated', offered.relispopulated,
      'comment', obj_description(offered.oid, 'pg_class'),
      'can_delete', offered.is_deleted_from,
      'reader_reaches_schema', has_schema_privilege('sync_reader', offered.relnamespace, 'USAGE'),
      'writer_reaches_schema', offered.is_reached,
      'columns', (
        SELECT coalesce(jsonb_agg(field.document ORDER BY field.attnum), '[]')
        FROM field
        WHERE field.attrelid = offered.oid
      ),
      'primary_key', (
        SELECT jsonb_build_object(
          'is_deferrable', pg_constraint.condeferrable,
          'columns', (
            SELECT jsonb_agg(attname ORDER BY ordinality)
            FROM unnest(pg_constraint.conkey) WITH ORDINALITY AS key (attnum, ordinality)
            JOIN pg_catalog.pg_attribute
              ON pg_attribute.attrelid = offered.oid AND pg_attribute.attnum = key.attnum
          )
        )
        FROM pg_catalog.pg_constraint
        WHERE pg_constraint.conrelid = offered.oid AND pg_constraint.contype = 'p'
      ),
      'foreign_keys', (
        SELECT coalesce(jsonb_agg(key.document ORDER BY key.document), '[]')
        FROM (
          -- The partitions of a table may have one key each, all with the same columns.
          SELECT DISTINCT jsonb_build_object(
            'parent_schema', parent_schema.nspname,
            'parent', parent.relname,
            'columns', (
              SELECT jsonb_agg(attname ORDER BY ordinality)
              FROM unnest(pg_constraint.conkey) WITH ORDINALITY AS key (attnum, ordinality)
              JOIN pg_catalog.pg_attribute
                ON pg_attribute.attrelid = pg_constraint.conrelid AND pg_attribute.attnum = key.attnum
            ),
            'parent_columns', (
              SELECT jsonb_agg(attname ORDER BY ordinality)
              FROM unnest(pg_constraint.confkey) WITH ORDINALITY AS key (attnum, ordinality)
              JOIN pg_catalog.pg_attribute
                ON pg_attribute.attrelid = pg_constraint.confrelid AND pg_attribute.attnum = key.attnum
            )
          ) AS document
          FROM part
          JOIN pg_catalog.pg_constraint
            ON pg_constraint.conrelid = part.oid AND pg_constraint.contype = 'f'
              -- A key to a partitioned table has one more entry for each partition, and so has a key
              -- of one.
              AND pg_constraint.conparentid = 0
          JOIN pg_catalog.pg_class AS parent
            ON parent.oid = coalesce(pg_partition_root(pg_constraint.confrelid), pg_constraint.confrelid)
          JOIN pg_catalog.pg_namespace AS parent_schema ON parent_schema.oid = parent.relnamespace
          WHERE part.root = offered.oid
        ) AS key
      ),
      'rows_exclude', EXISTS (
        SELECT
        FROM part
        JOIN pg_catalog.pg_index ON pg_index.indrelid = part.oid
        WHERE part.root = offered.oid
          AND (pg_index.indisunique OR pg_index.indisexclusion)
          AND NOT (pg_index.indisprimary AND part.oid = offered.oid)
          -- The index of a partition may be a part of its table's index.
          AND NOT EXISTS (SELECT FROM pg_catalog.pg_inherits WHERE inhrelid = pg_index.indexrelid)
      ),
      'has_row_security', offered.relrowsecurity,
      'has_row_logic',
        offered.relkind = 'p'
        OR offered.relrowsecurity
        OR EXISTS (
          SELECT FROM pg_catalog.pg_trigger WHERE tgrelid = offered.oid AND NOT tgisinternal
        )
        OR EXISTS (
          SELECT FROM pg_catalog.pg_rewrite WHERE ev_class = offered.oid AND rulename <> '_RETURN'
        )
        OR EXISTS (SELECT FROM pg_catalog.pg_inherits WHERE inhparent = offered.oid)
        OR EXISTS (
          SELECT FROM pg_catalog.pg_attribute
          WHERE attrelid = offered.oid AND attgenerated <> '' AND NOT attisdropped
        )
        -- A check of the whole row is about every column, and PostgreSQL lists it as column 0.
        OR EXISTS (
          SELECT FROM pg_catalog.pg_constraint
          WHERE conrelid = offered.oid AND contype = 'c' AND 0 = ANY (conkey)
        )
    )::text AS document
  FROM offered
),
measured AS (
  SELECT
    oid, document,
    sum(octet_length(document)) OVER (ORDER BY oid) AS n_bytes,
    row_number() OVER (ORDER BY oid) AS nth,
    count(*) OVER () AS n_documents
  FROM document
)
SELECT oid::bigint, document, n_documents > (count(*) OVER ()) AS has_more
FROM measured
WHERE n_bytes <= 500000 OR nth = 1
ORDER BY oid
