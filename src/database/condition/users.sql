-- The users that inherit the rights of sync_reader or sync_writer, and the rights that these roles lack on the schema sync.
-- It needs no right but to connect.
WITH RECURSIVE membership (role, member) AS (
  SELECT roleid, member FROM pg_catalog.pg_auth_members
  WHERE roleid IN (SELECT oid FROM pg_catalog.pg_roles WHERE rolname IN ('sync_reader', 'sync_writer'))
  UNION
  SELECT membership.role, outer_one.member
  FROM membership JOIN pg_catalog.pg_auth_members AS outer_one ON outer_one.roleid = membership.member
), app_user AS (
  SELECT oid, rolname, rolsuper, rolbypassrls,
    array_agg(DISTINCT membership.role::regrole::text ORDER BY membership.role::regrole::text) AS roles
  FROM membership JOIN pg_catalog.pg_roles ON pg_roles.oid = membership.member
  -- A user that has made the roles is a member that inherits nothing.
  WHERE rolcanlogin AND pg_has_role(pg_roles.oid, membership.role, 'USAGE')
  GROUP BY oid, rolname, rolsuper, rolbypassrls
), offered AS (
  SELECT CASE WHEN nspname = 'public' THEN '' ELSE nspname || '.' END || relname AS path, relowner
  FROM pg_catalog.pg_class JOIN pg_catalog.pg_namespace ON pg_namespace.oid = relnamespace
  WHERE relkind IN ('r', 'p', 'v', 'm') AND nspname NOT IN ('pg_catalog', 'information_schema', 'sync')
    AND (has_any_column_privilege('sync_reader', pg_class.oid, 'SELECT')
      OR has_any_column_privilege('sync_writer', pg_class.oid, 'INSERT, UPDATE')
      OR has_table_privilege('sync_writer', pg_class.oid, 'DELETE'))
), lacking (role, right_name) AS (
  SELECT role, 'USAGE ON SCHEMA sync' FROM (VALUES ('sync_reader'), ('sync_writer')) AS needed (role)
  WHERE NOT EXISTS (
    SELECT FROM pg_catalog.pg_namespace WHERE nspname = 'sync' AND has_schema_privilege(needed.role, oid, 'USAGE')
  )
  UNION ALL
  SELECT role, privilege || ' ON sync.' || name
  FROM (VALUES ('sync_reader', 'SELECT', 'write'), ('sync_reader', 'SELECT', 'import'), ('sync_reader', 'SELECT', 'blocked'),
    ('sync_writer', 'INSERT', 'write'), ('sync_writer', 'INSERT', 'import'), ('sync_writer', 'INSERT', 'blocked'))
    AS needed (role, privilege, name)
  WHERE NOT EXISTS (
    SELECT FROM pg_catalog.pg_class JOIN pg_catalog.pg_namespace ON pg_namespace.oid = relnamespace
    WHERE nspname = 'sync' AND relname = needed.name AND has_table_privilege(needed.role, pg_class.oid, needed.privilege)
  )
)
SELECT json_build_object(
  'users', (SELECT coalesce(json_agg(json_build_object(
      'name', rolname, 'roles', roles, 'is_superuser', rolsuper, 'bypasses_row_security', rolbypassrls,
      -- A superuser owns all, in a way.
      'owns', CASE WHEN rolsuper THEN '[]' ELSE (
        SELECT coalesce(json_agg(path ORDER BY path), '[]') FROM (
          SELECT path FROM offered WHERE pg_has_role(app_user.oid, relowner, 'USAGE') ORDER BY path LIMIT 20
        ) AS owned) END
    ) ORDER BY rolname), '[]') FROM (SELECT * FROM app_user ORDER BY rolname LIMIT 100) AS app_user),
  'missing_rights', (SELECT coalesce(json_agg(right_name || ' to ' || role ORDER BY role, right_name), '[]') FROM lacking)
)::text
