//! The changes of rows that a load mode can make.
//!
//! Pure. Each mode has its SQL templates in `src/database/statement/load/`.

use aurora_sync_catalog::{Changes, Table};
use import_options::LoadMode;

/// Returns the changes of rows that a mode can make in a table.
pub fn changes(mode: LoadMode, table: &Table) -> Changes {
    match mode {
        // A row without a key has no existing row to meet.
        LoadMode::Upsert if table.primary_key.is_empty() => Changes::INSERT,
        LoadMode::Upsert => Changes::UPSERT,
        LoadMode::Insert | LoadMode::Ignore => Changes::INSERT,
        LoadMode::Replace => Changes::ALL,
        LoadMode::Delete => Changes::DELETE,
    }
}
