//! One relation of `pg_catalog` → one table of the catalog, or the reason why it is none.

use super::raw;
use crate::catalog::{
    Access, Changes, Column, ForeignKey, ReadOnly, Remark, Table, WhenAbsent, path,
};
use crate::types::ColumnType;

/// The prefix of a mark in a comment; everything else there is for people.
const MARK: &str = "@sync:";

/// Reads a relation. Returns no table if it cannot be offered; the remarks say why.
pub(super) fn read(raw: raw::Relation) -> (Option<Table>, Vec<Remark>) {
    let name = path(&raw.schema, &raw.name);
    let remark = |text: String| Remark { table: name.clone(), text };
    if let Some(reason) = reason_to_leave_out(&raw, &name) {
        return (None, vec![remark(format!("not offered: {reason}"))]);
    }
    let version_column = match version_column(&raw) {
        Ok(column) => column,
        Err(reason) => return (None, vec![remark(format!("not offered: {reason}"))]),
    };
    let (read_only, primary_key) = match (raw.kind, raw.primary_key) {
        ('v', _) => (Some(ReadOnly::View), Vec::new()),
        ('m', _) => (Some(ReadOnly::MaterializedView), Vec::new()),
        (_, Some(key)) => (key.is_deferrable.then_some(ReadOnly::DeferrableKey), key.columns),
        (_, None) => (None, Vec::new()),
    };
    let is_key = |column: &raw::Column| primary_key.contains(&column.name);
    let mut remarks = Vec::new();
    let can_be_found = raw.writer_reaches_schema
        && !primary_key.is_empty()
        && raw.columns.iter().all(|column| !is_key(column) || column.writer_selects);
    let has_blind_rights = raw.columns.iter().any(|column| {
        (column.writer_inserts || column.writer_updates || raw.can_delete) && !column.writer_selects
    });
    if read_only.is_none() && raw.writer_reaches_schema && has_blind_rights {
        remarks.push(remark(
            "sync_writer may change columns that it may not SELECT; the API does not offer these \
             changes, since a write compares what is there: GRANT SELECT to sync_writer too"
                .to_owned(),
        ));
    }
    for column in &raw.columns {
        if let Some(sequence) = &column.unusable_sequence {
            remarks.push(remark(format!(
                "sync_writer may not use the sequence {sequence}, so writes must give a value for \
                 {:?}; GRANT USAGE ON SEQUENCE {sequence} TO sync_writer",
                column.name
            )));
        }
    }
    let reaches = (raw.reader_reaches_schema, raw.writer_reaches_schema);
    let columns: Vec<_> =
        raw.columns.into_iter().map(|column| read_column(column, reaches)).collect();
    let changes = match read_only {
        Some(_) => Changes::default(),
        None => Changes {
            insert: columns.iter().any(|column| column.access.insert)
                && columns.iter().all(|column| !column.is_required() || column.access.insert),
            update: can_be_found && columns.iter().any(|column| column.access.update),
            delete: can_be_found && raw.can_delete,
        },
    };
    let table = Table {
        schema: raw.schema,
        name: raw.name,
        comment: raw.comment,
        columns,
        primary_key,
        foreign_keys: raw.foreign_keys.into_iter().map(read_foreign_key).collect(),
        rows_exclude: raw.rows_exclude,
        has_row_logic: raw.has_row_logic,
        has_row_security: raw.has_row_security,
        version_column,
        changes,
        read_only,
    };
    (Some(table), remarks)
}

fn reason_to_leave_out(raw: &raw::Relation, path: &str) -> Option<String> {
    if raw.kind == 'f' {
        return Some(
            "it is a foreign table, whose changes do not belong to the transaction of the ledger; \
             offer a view of it to read it"
                .to_owned(),
        );
    }
    if !raw.is_populated {
        return Some(
            "it is a materialized view that has no data yet; run REFRESH MATERIALIZED VIEW"
                .to_owned(),
        );
    }
    // API Gateway decodes paths, and clients remove segments of dots.
    let has_no_url =
        path.starts_with("_sync") || path.contains(['/', '%', '?']) || path == "." || path == "..";
    if has_no_url {
        return Some(format!(
            "a table cannot be reached under the name \"{path}\"; rename it, or offer a view of it"
        ));
    }
    let comments = raw.columns.iter().map(|column| &column.comment).chain([&raw.comment]);
    let marks = comments.flatten().flat_map(|comment| marks(comment));
    marks.into_iter().find(|mark| *mark != "version").map(|mark| {
        format!(
            "a comment holds {MARK}{mark}, which is no mark; the only one is {MARK}version, and \
             rights are set by GRANT and REVOKE"
        )
    })
}

/// The marks of a comment.
fn marks(comment: &str) -> impl Iterator<Item = &str> {
    comment
        .split(|c: char| c.is_whitespace() || matches!(c, ',' | ';' | '.'))
        .filter_map(|word| word.strip_prefix(MARK))
}

fn version_column(raw: &raw::Relation) -> Result<Option<String>, String> {
    let is_marked = |comment: &Option<String>| {
        comment.as_ref().is_some_and(|comment| marks(comment).next().is_some())
    };
    if is_marked(&raw.comment) {
        return Err(format!("{MARK}version marks a column, not a table"));
    }
    let mut marked = raw.columns.iter().filter(|column| is_marked(&column.comment));
    let Some(column) = marked.next() else { return Ok(None) };
    if marked.next().is_some() {
        return Err(format!("{MARK}version marks two columns; a table has one version at most"));
    }
    if column_type(column).0.lacks_equality() {
        return Err(format!(
            "values of \"{}\" have no order, so it can be no version",
            column.name
        ));
    }
    let is_key = raw.primary_key.iter().any(|key| key.columns.contains(&column.name));
    if is_key {
        return Err(format!(
            "the column \"{}\" is part of the primary key, which never changes, so it can be no \
             version",
            column.name
        ));
    }
    Ok(Some(column.name.clone()))
}

fn read_foreign_key(raw: raw::ForeignKey) -> ForeignKey {
    ForeignKey {
        columns: raw.columns,
        parent: path(&raw.parent_schema, &raw.parent),
        parent_columns: raw.parent_columns,
    }
}

fn read_column(raw: raw::Column, (reader_reaches, writer_reaches): (bool, bool)) -> Column {
    let (column_type, has_own_equality) = column_type(&raw);
    let when_absent = match raw.identity.as_str() {
        _ if raw.is_generated => WhenAbsent::Generated,
        "a" => WhenAbsent::AlwaysIdentity,
        "d" => WhenAbsent::Default,
        _ if raw.has_default && raw.unusable_sequence.is_none() => WhenAbsent::Default,
        _ => WhenAbsent::Null,
    };
    let writes = writer_reaches && raw.writer_selects;
    Column {
        fraction_digits: fraction_digits(&raw),
        column_type: if raw.is_array {
            ColumnType::Array(Box::new(column_type))
        } else {
            column_type
        },
        nullable: !raw.is_not_null,
        when_absent,
        has_rules: raw.has_rules || raw.is_domain,
        has_own_equality: raw.has_own_equality || has_own_equality,
        comment: raw.comment,
        access: Access {
            read: reader_reaches && raw.reader_selects,
            select: writes,
            insert: writes && raw.writer_inserts,
            update: writes && raw.writer_updates,
        },
        name: raw.name,
    }
}

/// The type of a column or of its elements, and whether it has an equality of its own.
fn column_type(raw: &raw::Column) -> (ColumnType, bool) {
    use ColumnType as Type;
    if let Some(labels) = &raw.labels {
        let (schema, name) = (raw.type_schema.clone(), raw.type_name.clone());
        return (Type::Enum { schema, name, labels: labels.clone() }, false);
    }
    // PostgreSQL adds four to a length, a precision and a scale (source: its numeric.c, varchar.c).
    let length = u32::try_from(raw.modifier - 4).ok();
    let sql_name = |name: &str| match raw.type_schema.as_str() {
        "pg_catalog" => crate::identifier::quote_identifier(name),
        schema => {
            let quote = crate::identifier::quote_identifier;
            format!("{}.{}", quote(schema), quote(name))
        }
    };
    if raw.type_schema != "pg_catalog" {
        return (Type::Other { sql: sql_name(&raw.type_name) }, false);
    }
    let plain = match raw.type_name.as_str() {
        "int2" => Type::SmallInt,
        "int4" => Type::Integer,
        "int8" => Type::BigInt,
        "numeric" => numeric(raw.modifier),
        "float4" => Type::Real,
        "float8" => Type::DoublePrecision,
        "bool" => Type::Boolean,
        // Without a length it is not padded as char is; its blanks still mean nothing.
        "bpchar" => match length {
            Some(length) => Type::Char { length },
            None => return (Type::Text, true),
        },
        "varchar" => Type::VarChar { length },
        // It is cut to 63 bytes.
        "name" => return (Type::Text, true),
        // A cast to bit(n) cuts or pads; one without a length is refused where it does not fit.
        "bit" | "varbit" => Type::Other { sql: sql_name("varbit") },
        other => Type::plain(other).unwrap_or_else(|| Type::Other { sql: sql_name(other) }),
    };
    (plain, false)
}

fn fraction_digits(raw: &raw::Column) -> Option<u8> {
    let is_time = matches!(raw.type_name.as_str(), "time" | "timetz" | "timestamp" | "timestamptz")
        && raw.type_schema == "pg_catalog";
    u8::try_from(raw.modifier).ok().filter(|_| is_time)
}

/// A `numeric` with the precision and scale of its modifier (source: PostgreSQL's numeric.c,
/// `make_numeric_typmod`: the scale is a signed number of eleven bits, of 16 unsigned bits before
/// PostgreSQL 15, where it was never over 1,000).
fn numeric(modifier: i32) -> ColumnType {
    if modifier < 4 {
        return ColumnType::Numeric { precision: None, scale: None };
    }
    let packed = modifier - 4;
    let scale = ((packed & 0x7ff) ^ 1024) - 1024;
    ColumnType::Numeric {
        precision: u16::try_from((packed >> 16) & 0xffff).ok(),
        scale: i16::try_from(scale).ok(),
    }
}
