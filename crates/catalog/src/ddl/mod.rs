//! Reads `sql/`: migrations cut into statements, and the tables that they leave.
//!
//! Used by the build script and by tests, never by a function. Only [`read_dir`] does I/O.
//!
//! ```
//! use aurora_sync_catalog::{ColumnType, ddl};
//!
//! let text = "CREATE TABLE staff (id char(4) PRIMARY KEY, name text NOT NULL);".to_owned();
//! let schema = ddl::parse(&[("0001_staff.sql".to_owned(), text)])?;
//! let staff = schema.catalog.table("staff").expect("the file creates the table");
//! assert_eq!(staff.primary_key, ["id"]);
//! assert_eq!(staff.column("name").map(|column| &column.column_type), Some(&ColumnType::Text));
//! # Ok::<(), ddl::DdlError>(())
//! ```

mod fault;
mod name;
mod split;
mod tables;
mod rules;
mod data_type;

#[cfg(test)]
mod tests;

use std::fs;
use std::path::Path;

use sha2::{Digest, Sha256};

pub use self::fault::DdlError;

use self::tables::Tables;
use crate::catalog::{Catalog, Migration, Schema};

/// Reads `sync/*.sql` and then `*.sql` of the folder, each in the order of their names.
pub fn read_dir(sql: &Path) -> Result<Schema, DdlError> {
    let mut files = files_in(sql, "sync/")?;
    files.extend(files_in(sql, "")?);
    parse(&files)
}

fn files_in(sql: &Path, folder: &str) -> Result<Vec<(String, String)>, DdlError> {
    let error = |file: &str, cause: String| DdlError { file: file.to_owned(), line: 0, cause };
    let entries =
        fs::read_dir(sql.join(folder)).map_err(|cause| error(folder, cause.to_string()))?;
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|cause| error(folder, cause.to_string()))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if entry.path().is_file() && entry.path().extension().is_some_and(|found| found == "sql") {
            names.push(format!("{folder}{name}"));
        }
    }
    names.sort();
    let read = |name: String| match fs::read_to_string(sql.join(&name)) {
        Ok(text) => Ok((name, text)),
        Err(cause) => Err(error(&name, format!("the file cannot be read: {cause}"))),
    };
    names.into_iter().map(read).collect()
}

/// Reads files by name and text. Tables of `sync/` are the worker's own and not reachable.
pub fn parse(files: &[(String, String)]) -> Result<Schema, DdlError> {
    let mut migrations = Vec::new();
    let mut tables = Tables::default();
    for (name, text) in files {
        let statements = split::statements(text).map_err(|fault| fault.in_file(name))?;
        if !name.starts_with("sync/") {
            for statement in &statements {
                tables.apply(statement).map_err(|fault| fault.in_file(name))?;
            }
        }
        migrations.push(Migration {
            name: name.clone(),
            checksum: hex::encode(Sha256::digest(text.as_bytes())),
            statements: statements.into_iter().map(split::Piece::into_statement).collect(),
        });
    }
    Ok(Schema { catalog: Catalog::new(tables.into_tables()), migrations })
}
