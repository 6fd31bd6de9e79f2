//! The two database roles, and their rights on the worker's own schema.
//!
//! `sync_reader` and `sync_writer` cannot log in: the users of the functions are members of them. A
//! table is offered by the API where these roles have rights on it, and PostgreSQL itself refuses
//! the rest.

use aurora_sync_catalog::quote_identifier;

/// The role that look-ups use.
pub const READER: &str = "sync_reader";
/// The role that writes and imports use.
pub const WRITER: &str = "sync_writer";

/// Makes the roles. They belong to the whole cluster, so that another database may have made them.
pub const CREATE: &str = "DO '
DECLARE
  role_name text;
BEGIN
  FOREACH role_name IN ARRAY ARRAY[''sync_reader'', ''sync_writer''] LOOP
    IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = role_name) THEN
      BEGIN
        EXECUTE format(''CREATE ROLE %I NOLOGIN'', role_name);
      EXCEPTION WHEN duplicate_object OR unique_violation THEN
        NULL; -- Another database made it at the same time.
      END;
    END IF;
  END LOOP;
END'";

/// Grants the roles their part of the schema `sync`, and nobody else any of it. It can be repeated,
/// and new functions and tables need it again.
pub const GRANT_OWN: &str = "DO 'BEGIN
  REVOKE ALL ON SCHEMA sync FROM PUBLIC;
  REVOKE ALL ON ALL TABLES IN SCHEMA sync FROM PUBLIC;
  REVOKE ALL ON ALL ROUTINES IN SCHEMA sync FROM PUBLIC;
  GRANT USAGE ON SCHEMA sync TO sync_reader, sync_writer;
  GRANT SELECT ON ALL TABLES IN SCHEMA sync TO sync_reader;
  GRANT EXECUTE ON FUNCTION sync.reused_id, sync.row_tag, sync.readable TO sync_reader;
  GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA sync TO sync_writer;
  GRANT EXECUTE ON ALL ROUTINES IN SCHEMA sync TO sync_writer;
  REVOKE ALL ON sync.migration, sync.deployment FROM sync_reader, sync_writer;
END'";

/// Offers each table that the rest of the transaction creates, so that a table of `sql/` needs no
/// GRANT. A REVOKE in the same file takes it back.
pub const OFFER_NEW: &str = "DO 'BEGIN
  ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO sync_reader;
  ALTER DEFAULT PRIVILEGES GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO sync_writer;
  ALTER DEFAULT PRIVILEGES GRANT USAGE ON SEQUENCES TO sync_writer;
  ALTER DEFAULT PRIVILEGES GRANT USAGE ON SCHEMAS TO sync_reader, sync_writer;
END'";

/// Ends [`OFFER_NEW`]. It must be in the same transaction, so that no other session's tables are
/// offered.
pub const OFFER_NEW_NO_MORE: &str = "DO 'BEGIN
  ALTER DEFAULT PRIVILEGES REVOKE SELECT ON TABLES FROM sync_reader;
  ALTER DEFAULT PRIVILEGES REVOKE SELECT, INSERT, UPDATE, DELETE ON TABLES FROM sync_writer;
  ALTER DEFAULT PRIVILEGES REVOKE USAGE ON SEQUENCES FROM sync_writer;
  ALTER DEFAULT PRIVILEGES REVOKE USAGE ON SCHEMAS FROM sync_reader, sync_writer;
END'";

/// Tells if there is a user of this name.
pub const USER_EXISTS: &str =
    "SELECT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = :name::text)";

/// Returns the statements that make a user of a role, or give the user this password.
///
/// PostgreSQL gets a SCRAM verifier, so that none of its logs can hold the password.
pub fn user_with_password(role: &str, username: &str, password: &str, exists: bool) -> [String; 2] {
    let verb = if exists { "ALTER" } else { "CREATE" };
    let user = quote_identifier(username);
    let verifier = postgres_protocol::password::scram_sha_256(password.as_bytes());
    [format!("{verb} ROLE {user} LOGIN PASSWORD '{verifier}'"), format!("GRANT {role} TO {user}")]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_statements_quote_the_name_and_hold_no_password() {
        let [make, grant] = user_with_password(WRITER, "a\"b", "secret", false);
        assert!(make.starts_with("CREATE ROLE \"a\"\"b\" LOGIN PASSWORD 'SCRAM-SHA-256$4096:"));
        assert!(!make.contains("secret"));
        assert_eq!(grant, "GRANT sync_writer TO \"a\"\"b\"");
    }
}
