//! Turns the records of a file into rows of a table. The header names the columns, and the catalog
//! has their types.
//!
//! Pure. A record that does not fit becomes a reject, never an error. Each row of a file is made
//! here: a good one costs two allocations for its cells and those of its key, whatever its number
//! of fields.

use std::borrow::Cow;

use aurora_sync_catalog::{Column, ColumnType, Table};
use csv_stream::records::{Content, Fields, RECORD_BYTES_MAX, Record};

use super::options::{Numbers, Options};
use crate::database::parameter_set::PackedCells;
use crate::domain::fault::nearest;
use crate::domain::key::{self, Key};
use crate::domain::load_mode::LoadMode;
use crate::domain::rejection::Rejection;
use crate::domain::row::unknown_column;
use crate::domain::value::{self, Fault};

/// The column that `rejected.csv` adds. It is left out when that file is imported.
pub const ERROR_COLUMN: &str = "_error";

/// The most characters of a name that an error repeats. Names of PostgreSQL have at most 63 bytes.
const NAME_MAX: usize = 64;

/// The column of each field of a file.
#[derive(Debug, Clone)]
pub struct Layout<'a> {
    mode: LoadMode,
    numbers: Numbers,
    /// The use of each field of a record.
    fields: Vec<FieldUse<'a>>,
    columns: Vec<&'a Column>,
    /// The indexes of the key's columns in `columns`; `None` if rows have no key.
    key: Option<Vec<usize>>,
    has_comparable_keys: bool,
    /// The index of the version column in `columns`, if rows are compared with those in the table.
    version: Option<usize>,
    has_error_column: bool,
    /// The bytes by which the cells of a row may be longer than its fields.
    growth_bytes: usize,
}

/// The use of a field: it is loaded into a column, or left out.
#[derive(Debug, Clone, Copy)]
enum FieldUse<'a> {
    Load { column: &'a Column, is_grouped: bool },
    LeaveOut,
}

/// An error of a header that does not fit its table.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    #[error("the header (line {line}) cannot be read: {reason}")]
    Unreadable { line: u64, reason: String },
    #[error(
        "field {field} of the header has no name; name it or leave it out, or set extra-columns to ignore"
    )]
    Nameless { field: usize },
    #[error("the header is one field, which is not a column of the table; {hint}")]
    OneField { hint: &'static str },
    #[error("the header names {name:?}, which is not {expected}")]
    UnknownColumn { name: String, expected: String },
    #[error("the header names the column {name:?} twice, in fields {first} and {second}; {fix}")]
    Duplicate { name: String, first: usize, second: usize, fix: String },
    #[error("the header names the column {name:?}, {reason}; {fix}")]
    NotWritable { name: String, reason: &'static str, fix: &'static str },
    #[error("the header does not name the column {name:?}, which says whether a row is newer")]
    NoVersion { name: String },
    #[error("the header does not name {names}: NOT NULL, and without a default")]
    Missing { names: String },
    #[error(
        "the option columns names {expected} columns, but the number of fields of the header is {found}"
    )]
    ColumnCount { expected: usize, found: usize },
    #[error("mode {mode} needs a table with a primary key, as rows are found by it")]
    NoPrimaryKey { mode: &'static str },
    #[error("the header does not name {names} of the key, by which mode {mode} finds rows")]
    MissingKey { names: String, mode: &'static str },
    #[error(
        "the header names \"_error\", so the file holds rows that were rejected before; mode replace would \
         delete all others: drop it with mode upsert"
    )]
    RejectsReplace,
}

/// The expectation of an empty field in a column that takes no empty text.
const NO_EMPTY: &str = "expected a value, not an empty field: the column is NOT NULL";

/// A row that fits the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    pub key: Option<Key>,
    pub cells: PackedCells,
}

impl<'a> Layout<'a> {
    /// Makes a layout of the first record of a file.
    ///
    /// A name matches a column exactly or, if none does, in another case. If the options name the
    /// columns, the header only needs the same number of fields.
    pub fn from_header(
        table: &'a Table,
        header: &Record,
        options: &Options,
    ) -> Result<Self, HeaderError> {
        let unreadable =
            |reason: &str| HeaderError::Unreadable { line: header.line, reason: reason.to_owned() };
        let names = match &header.content {
            Content::Fields(names) => names,
            Content::TooLong { quote_line } => {
                let fix = match quote_line {
                    Some(line) => format!("close the quote that opens on line {line}"),
                    None => "end its line, or set the option encoding".to_owned(),
                };
                return Err(unreadable(&format!("it is over {RECORD_BYTES_MAX} bytes; {fix}")));
            }
            Content::Malformed { byte_offset } => {
                let reason = format!(
                    "byte {byte_offset} of the file is not a character of its encoding; set the option encoding"
                );
                return Err(unreadable(&reason));
            }
            Content::Unclosed => return Err(unreadable("a quote in it is never closed")),
            Content::Misquoted { field } => return Err(unreadable(&misquoted(*field))),
        };
        let Some(columns) = &options.columns else {
            return Self::of(table, names.iter().map(Option::unwrap_or_default), options);
        };
        // A file of rejected rows has one field more than the option names.
        let last = names.iter().last().flatten();
        let error = last.filter(|last| *last == ERROR_COLUMN && names.len() == columns.len() + 1);
        if names.len() != columns.len() && error.is_none() {
            let (expected, found) = (columns.len(), names.len());
            return Err(HeaderError::ColumnCount { expected, found });
        }
        Self::of(table, columns.iter().map(String::as_str).chain(error), options)
    }

    /// Makes a layout of the names of all fields, for a file without a header.
    pub fn from_columns(
        table: &'a Table,
        names: &[String],
        options: &Options,
    ) -> Result<Self, HeaderError> {
        Self::of(table, names.iter().map(String::as_str), options)
    }

    fn of<'n>(
        table: &'a Table,
        names: impl Iterator<Item = &'n str>,
        options: &Options,
    ) -> Result<Self, HeaderError> {
        let names: Vec<_> = names.map(str::trim).collect();
        let has_error_column = names.contains(&ERROR_COLUMN);
        let fields = fields(table, &names, options)?;
        let columns: Vec<_> = fields
            .iter()
            .filter_map(|field| match field {
                FieldUse::Load { column, .. } => Some(*column),
                FieldUse::LeaveOut => None,
            })
            .collect();
        let index = |name: &str| columns.iter().position(|column| column.name == name);
        check_columns(table, options.mode, has_error_column, |name| index(name).is_some())?;
        let key: Option<Vec<_>> = table.primary_key.iter().map(|name| index(name)).collect();
        Ok(Self {
            mode: options.mode,
            numbers: options.numbers,
            key: key.filter(|key| !key.is_empty()),
            has_comparable_keys: key::are_comparable(table),
            version: table
                .version_column()
                .filter(|_| needs_version(options.mode))
                .and_then(|version| index(&version.name)),
            // "f" becomes "false".
            growth_bytes: 4 * columns
                .iter()
                .filter(|column| column.column_type == ColumnType::Boolean)
                .count(),
            fields,
            columns,
            has_error_column,
        })
    }

    /// Returns the columns of the cells of each row.
    pub fn columns(&self) -> Vec<&'a Column> {
        self.columns.clone()
    }

    /// Returns the option `mode`.
    pub fn mode(&self) -> LoadMode {
        self.mode
    }

    /// Returns `true` if the file has the column `_error`, as a file of rejected rows has.
    pub fn has_error_column(&self) -> bool {
        self.has_error_column
    }

    /// Checks a record. Returns its row, or the reason of its rejection.
    pub fn row(&self, record: &Record) -> Result<Row, Rejection> {
        let fields = match &record.content {
            Content::Fields(fields) => fields,
            other => return Err(unreadable(other)),
        };
        if fields.len() != self.fields.len() {
            let reason = format!("expected {} fields, found {}", self.fields.len(), fields.len());
            return Err(Rejection::by_rule("column-count", reason));
        }
        let cells = self.cells(fields)?;
        if let Some(index) = self.version
            && cells.get(index).is_none()
        {
            let expected = "expected a value, which decides if the row is newer";
            return Err(rejection(self.columns[index], "not-null", expected.to_owned()));
        }
        Ok(Row { key: self.key(&cells)?, cells })
    }

    /// Returns the cells of the columns, as PostgreSQL reads them.
    fn cells(&self, fields: &Fields) -> Result<PackedCells, Rejection> {
        let mut cells =
            PackedCells::with_capacity(self.columns.len(), fields.text_bytes() + self.growth_bytes);
        for (field, text) in self.fields.iter().zip(fields.iter()) {
            let FieldUse::Load { column, is_grouped } = *field else { continue };
            match text.filter(|text| !text.is_empty() || has_empty(&column.column_type)) {
                None if column.nullable => cells.push(None),
                None => {
                    return Err(rejection(column, "not-null", NO_EMPTY.to_owned()));
                }
                Some(text) => {
                    let text =
                        if is_grouped { self.plain_number(column, text)? } else { text.into() };
                    if let Some(doubt) = value::doubt(&column.column_type, &text) {
                        return Err(doubtful(column, doubt));
                    }
                    let text =
                        value::from_text(column, &text).map_err(|fault| faulty(column, &fault))?;
                    cells.push(Some(&text));
                }
            }
        }
        Ok(cells)
    }

    /// Returns a number without its separators of groups.
    fn plain_number<'t>(&self, column: &Column, text: &'t str) -> Result<Cow<'t, str>, Rejection> {
        self.numbers.plain(text).ok_or_else(|| {
            let expected = value::expected(&column.column_type);
            let reason = format!("expected {expected}, written as {}", self.numbers.as_str());
            rejection(column, &value::Rule::Format.to_string(), reason)
        })
    }

    /// Returns the key, if the row has one. If keys are compared by their texts, a value without a
    /// canonical text is refused, as it could be the key of another row.
    fn key(&self, cells: &PackedCells) -> Result<Option<Key>, Rejection> {
        let Some(indexes) = &self.key else { return Ok(None) };
        let mut parts = Vec::with_capacity(indexes.len());
        for &index in indexes {
            let Some(text) = cells.get(index) else { return Ok(None) };
            let column = self.columns[index];
            match key::canonical(&column.column_type, text) {
                Some(part) => parts.push(part),
                None if self.has_comparable_keys => {
                    let expected = value::expected(&column.column_type);
                    let reason = format!("expected {expected}, as it is part of the key");
                    return Err(rejection(column, &value::Rule::Format.to_string(), reason));
                }
                None => parts.push(text.to_owned()),
            }
        }
        Ok(Some(Key::of_canonical(parts, self.has_comparable_keys)))
    }
}

/// Returns the use of each field.
///
/// Fails if a name is not a column, is there twice, or is a column that cannot be loaded.
fn fields<'a>(
    table: &'a Table,
    names: &[&str],
    options: &Options,
) -> Result<Vec<FieldUse<'a>>, HeaderError> {
    if let [only] = names
        && table.column(only).is_none()
        && let Some(hint) = hint(only)
    {
        return Err(HeaderError::OneField { hint });
    }
    let mut fields = Vec::with_capacity(names.len());
    let mut known: Vec<Option<&Column>> = Vec::with_capacity(names.len());
    for name in names {
        let column = match *name {
            ERROR_COLUMN => None,
            name => named(table, name, fields.len() + 1, options)?,
        };
        if let Some(column) = column
            && let Some(first) =
                known.iter().position(|other| other.is_some_and(|other| other.name == column.name))
        {
            return Err(HeaderError::Duplicate {
                name: column.name.clone(),
                first: first + 1,
                second: known.len() + 1,
                fix: fix_of_duplicate(table, column, names),
            });
        }
        fields.push(match column {
            Some(column) if is_loaded(table, column, options)? => FieldUse::Load {
                column,
                is_grouped: options.numbers != Numbers::Plain
                    && Numbers::are_of(&column.column_type),
            },
            _ => FieldUse::LeaveOut,
        });
        known.push(column);
    }
    Ok(fields)
}

/// Returns `true` if an empty text can be a value of the type. For other types it is NULL: programs
/// that quote all fields write NULL as an empty text.
fn has_empty(column_type: &ColumnType) -> bool {
    use ColumnType as Type;
    matches!(
        column_type,
        Type::Char { .. }
            | Type::VarChar { .. }
            | Type::Text
            | Type::Bytea
            | Type::Enum { .. }
            | Type::Other { .. }
    )
}

/// Returns the column that a field names, or `None` if the field is left out.
fn named<'a>(
    table: &'a Table,
    name: &str,
    field: usize,
    options: &Options,
) -> Result<Option<&'a Column>, HeaderError> {
    if let Some(column) = table.column(name) {
        return Ok(Some(column));
    }
    let lower = name.to_lowercase();
    let mut same = table.columns.iter().filter(|column| column.name.to_lowercase() == lower);
    let expected = match (same.next(), same.next()) {
        (Some(column), None) => return Ok(Some(column)),
        (Some(first), Some(second)) => format!(
            "the name of one column; write \"{}\" or \"{}\" as the table does",
            first.name, second.name
        ),
        (None, _) if options.ignores_extra_columns => return Ok(None),
        (None, _) if name.is_empty() => return Err(HeaderError::Nameless { field }),
        (None, _) => unknown_column(table, name),
    };
    let mut shortened: String = name.chars().take(NAME_MAX).collect();
    if shortened.len() < name.len() {
        shortened.push('…');
    }
    Err(HeaderError::UnknownColumn { name: shortened, expected })
}

/// Returns `true` if the field of a column is loaded, and `false` if it is left out. Fails if the
/// column must not be in the file.
fn is_loaded(table: &Table, column: &Column, options: &Options) -> Result<bool, HeaderError> {
    let is_key = table.is_key(column);
    if options.mode == LoadMode::Delete {
        return Ok(is_key);
    }
    if table.accepts(column, options.mode.changes(table)) {
        return Ok(true);
    }
    if options.ignores_extra_columns && !is_key {
        return Ok(false);
    }
    let fix = if is_key {
        "rows with such a key cannot be written"
    } else {
        "leave it out, or set extra-columns to ignore"
    };
    let reason = if column.is_generated() {
        "whose values the database makes"
    } else {
        "which sync_writer has no right to write"
    };
    Err(HeaderError::NotWritable { name: column.name.clone(), reason, fix })
}

/// Checks that the file has the columns that its mode needs.
fn check_columns(
    table: &Table,
    mode: LoadMode,
    has_error_column: bool,
    is_there: impl Fn(&str) -> bool,
) -> Result<(), HeaderError> {
    let missing = |columns: &mut dyn Iterator<Item = &Column>| {
        let names: Vec<_> = columns.map(|column| column.name.as_str()).collect();
        let names: Vec<_> = names.into_iter().filter(|name| !is_there(name)).collect();
        match names.as_slice() {
            [] => None,
            [name] => Some(format!("the column {name}")),
            names => Some(format!("the columns {}", names.join(", "))),
        }
    };
    if mode == LoadMode::Replace && has_error_column {
        return Err(HeaderError::RejectsReplace);
    }
    if matches!(mode, LoadMode::Replace | LoadMode::Delete) {
        let mode = mode.as_str();
        if table.primary_key.is_empty() {
            return Err(HeaderError::NoPrimaryKey { mode });
        }
        if let Some(names) = missing(&mut table.key_columns()) {
            return Err(HeaderError::MissingKey { names, mode });
        }
    }
    if mode == LoadMode::Delete {
        return Ok(());
    }
    if let Some(version) = table.version_column().filter(|_| needs_version(mode))
        && !is_there(&version.name)
    {
        return Err(HeaderError::NoVersion { name: version.name.clone() });
    }
    match missing(&mut table.columns.iter().filter(|column| column.is_required())) {
        None => Ok(()),
        Some(names) => Err(HeaderError::Missing { names }),
    }
}

/// Returns `true` if the mode compares the version of a row with that of the row in the table.
fn needs_version(mode: LoadMode) -> bool {
    matches!(mode, LoadMode::Upsert | LoadMode::Replace)
}

/// Returns the probable fix for a header of one field that is not a column: another encoding or
/// delimiter.
fn hint(name: &str) -> Option<&'static str> {
    let is_wide = name.len() > 2 && name.bytes().skip(1).step_by(2).all(|byte| byte == 0);
    if is_wide || name.len() > 2 && name.bytes().step_by(2).all(|byte| byte == 0) {
        return Some("its characters have zeros between them; set encoding, such as utf-16le");
    }
    let delimiters = [
        (';', "set delimiter to semicolon"),
        ('\t', "set delimiter to tab"),
        ('|', "set delimiter to pipe"),
        (',', "set delimiter to comma"),
    ];
    delimiters.into_iter().find_map(|(delimiter, hint)| name.contains(delimiter).then_some(hint))
}

/// Returns the fix for two fields of the same name, with the column that one of them may mean.
fn fix_of_duplicate(table: &Table, column: &Column, names: &[&str]) -> String {
    let is_named =
        |other: &str| names.iter().any(|name| name.to_lowercase() == other.to_lowercase());
    let others = table.columns.iter().filter(|column| column.is_offered());
    let others = others.map(|column| column.name.as_str());
    match nearest(&column.name, others.filter(|other| !is_named(other))) {
        Some(near) => format!("keep one of them; did you mean \"{near}\" by the other?"),
        None => "keep one of them".to_owned(),
    }
}

/// Returns the rejection of a record that has no fields.
fn unreadable(content: &Content) -> Rejection {
    match content {
        Content::TooLong { quote_line: None } | Content::Fields(_) => {
            let reason = format!("the record is over {RECORD_BYTES_MAX} bytes");
            Rejection::by_rule("too-long", reason)
        }
        Content::TooLong { quote_line: Some(line) } => {
            let reason = format!(
                "the record is over {RECORD_BYTES_MAX} bytes: is the quote that opens on line {line} never closed?"
            );
            Rejection::by_rule("too-long", reason)
        }
        Content::Malformed { byte_offset } => {
            let reason =
                format!("byte {byte_offset} of the file is not a character of its encoding");
            Rejection::by_rule("encoding", reason)
        }
        Content::Unclosed => {
            let reason =
                "a quote is opened and never closed: the record extends to the end of the file";
            Rejection::by_rule("unclosed-quote", reason)
        }
        Content::Misquoted { field } => Rejection::by_rule("misquoted", misquoted(*field)),
    }
}

fn misquoted(field: usize) -> String {
    format!(
        "there is text after the closing quote of field {}; write a quote within quotes twice",
        field + 1
    )
}

fn doubtful(column: &Column, doubt: &str) -> Rejection {
    let expected = value::expected(&column.column_type);
    rejection(column, &value::Rule::Format.to_string(), format!("expected {expected}: {doubt}"))
}

fn faulty(column: &Column, fault: &Fault) -> Rejection {
    rejection(column, &fault.rule.to_string(), format!("expected {}", fault.expected))
}

fn rejection(column: &Column, rule: &str, reason: String) -> Rejection {
    Rejection { column: Some(column.name.clone()), ..Rejection::by_rule(rule, reason) }
}

#[cfg(test)]
mod tests;
