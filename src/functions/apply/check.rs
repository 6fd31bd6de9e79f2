//! Checks the writes of a message against the tables as they are now.
//!
//! Pure.

use aurora_sync_catalog::{Catalog, ColumnType, Table};

use crate::database::ledger::TIME_MS_MAX;
use crate::domain::key::{Key, canonical};
use crate::domain::rejection::Rejection;
use crate::domain::row;
use crate::domain::write::{Operation, Write};

/// The rule of a message, or of a part of it, that is not one of the worker.
pub(super) const UNREADABLE: &str = "unreadable";
/// The rule of a write to a table that is not there, or not yet.
pub(super) const UNKNOWN_TABLE: &str = "unknown-table";
/// The rule of a write to a column that is not there, or not yet.
pub(super) const UNKNOWN_COLUMN: &str = "unknown-column";

/// Checks that a statement can hold the write, and puts its columns into the table's order.
///
/// `enqueue` has checked it too. But messages can be sent by hand, and a table can change
/// meanwhile.
pub(super) fn check(catalog: &Catalog, write: &mut Write) -> Result<(), Rejection> {
    let Some(table) = catalog.table(&write.table) else {
        let reason = format!(
            "the API offers no table \"{}\" any more: it was dropped or renamed, or its rights were revoked",
            write.table
        );
        return Err(Rejection::by_rule(UNKNOWN_TABLE, reason));
    };
    if !(0..=TIME_MS_MAX).contains(&write.accepted_at_ms) {
        return Err(Rejection::by_rule(UNREADABLE, "accepted_at_ms is not a time"));
    }
    if write.fingerprint.as_deref().is_some_and(|fingerprint| fingerprint.contains('\0')) {
        return Err(Rejection::by_rule(UNREADABLE, "the fingerprint contains U+0000"));
    }
    let precondition = write.precondition.as_ref();
    if precondition
        .is_some_and(|known| !known.suits(write.operation) || known.value().contains('\0'))
    {
        return Err(Rejection::by_rule(UNREADABLE, "the precondition is not one of the operation"));
    }
    if !table.permits(write.operation.changes()) {
        let reason = format!(
            "sync_writer has no right to {} rows of the table",
            write.operation.as_str().replace('_', " ")
        );
        return Err(Rejection::by_rule("read-only", reason));
    }
    check_columns(table, write)?;
    let index = |name: &str| table.columns.iter().position(|column| column.name == name);
    write.row.sort_by_key(|(name, _)| index(name));
    if write.row.windows(2).any(|pair| pair[0].0 == pair[1].0) {
        return Err(Rejection::by_rule("duplicate-member", "the row has a column twice"));
    }
    if let Some((column, fault)) = Key::non_canonical(table, |name| write.cell(name).flatten()) {
        let rejection =
            Rejection::by_rule(&fault.rule.to_string(), format!("expected {}", fault.expected));
        return Err(Rejection { column: Some(column.to_owned()), ..rejection });
    }
    // The key of the message is not trusted.
    let key = Key::of_row(table, |name| write.cell(name).flatten());
    if write.operation != Operation::Insert
        && let (Some(named), Some(found)) = (&write.key, &key)
        && !is_same_row(table, named, found)
    {
        let reason = "the primary key of the table has changed since the write was accepted; by the new one, the \
                      write would be about another row";
        return Err(Rejection::by_rule("other-key", reason));
    }
    write.key = key;
    set_time_zones(table, write);
    if write.key.is_none() && (write.operation != Operation::Insert || write.precondition.is_some())
    {
        return Err(Rejection::by_rule("required", "the row has no key"));
    }
    if write.operation == Operation::Delete {
        write.row.retain(|(name, _)| table.primary_key.contains(name));
    }
    let sets_nothing = write.row.iter().all(|(name, _)| table.primary_key.contains(name));
    if write.row.is_empty() || (write.operation == Operation::Update && sets_nothing) {
        return Err(Rejection::by_rule("empty", "the write sets no column"));
    }
    if matches!(write.operation, Operation::Update | Operation::Upsert)
        && let Some(version) = &table.version_column
        && write.cell(version).flatten().is_none()
    {
        let rejection = Rejection::by_rule(
            "required",
            "the version decides if the row is newer, so it needs a value",
        );
        return Err(Rejection { column: Some(version.clone()), ..rejection });
    }
    Ok(())
}

/// Returns whether the key that a write was accepted with names the row that its columns name now.
fn is_same_row(table: &Table, named: &Key, found: &Key) -> bool {
    named.parts().count() == found.parts().count()
        && table.key_columns().zip(named.parts().zip(found.parts())).all(
            |(column, (named, found))| {
                // The type may have changed too.
                named == found || canonical(&column.column_type, named).as_deref() == Some(found)
            },
        )
}

/// Replaces the times in a key by their canonical texts, which have a time zone. A text without one
/// would depend on the time zone of the database.
fn set_time_zones(table: &Table, write: &mut Write) {
    let Some(key) = &write.key else { return };
    for (column, part) in table.key_columns().zip(key.parts()) {
        if column.column_type != ColumnType::TimestampTz {
            continue;
        }
        if let Some((_, cell)) = write.row.iter_mut().find(|(name, _)| *name == column.name) {
            *cell = Some(part.to_owned());
        }
    }
}

/// Checks that the table has the columns of the write, and that they can be written.
fn check_columns(table: &Table, write: &Write) -> Result<(), Rejection> {
    for (name, value) in &write.row {
        let rejection = |rule: &str, reason: &str| Rejection {
            column: Some(name.clone()),
            ..Rejection::by_rule(rule, reason)
        };
        match table.column(name) {
            None => return Err(rejection(UNKNOWN_COLUMN, &row::unknown_column(table, name))),
            // An identity column cannot be written, but as the key it names a row.
            Some(column)
                if table.is_key(column)
                    && matches!(write.operation, Operation::Update | Operation::Delete) => {}
            Some(column) if column.is_generated() => {
                return Err(rejection("generated", "the database makes this value"));
            }
            Some(column)
                if write.operation != Operation::Delete
                    && !table.accepts(column, write.operation.changes()) =>
            {
                return Err(rejection("read-only", "sync_writer has no right to write the column"));
            }
            Some(_) => {}
        }
        if value.as_deref().is_some_and(|value| value.contains('\0')) {
            return Err(rejection("unsupported-character", "PostgreSQL's text cannot hold U+0000"));
        }
    }
    Ok(())
}
