//! Turns the records of a file into rows of a table. The header names the columns, and the catalog
//! has their types.
//!
//! Pure. A record that does not fit becomes a reject, never an error. Each row of a file is made
//! here: a good one costs two allocations for its cells and those of its key, whatever its number
//! of fields.

use std::borrow::Cow;

use aurora_sync_catalog::{Column, ColumnType, Table};
use csv_stream::records::{Content, Fields, RECORD_BYTES_MAX, Record};
use import_options::{LoadMode, Numbers, Options};
use wording::{nearest, shortened};

use crate::database::parameter_set::PackedCells;
use crate::domain::key::{self, Key};
use crate::domain::load_mode;
use crate::domain::rejection::Rejection;
use crate::domain::row::unknown_column;
use crate::domain::value;

/// The column that `rejected.csv` adds. It is left out when that file is imported.
pub const ERROR_COLUMN: &str = "_error";

/// The most characters of a name that an error repeats. Names of PostgreSQL have at most 63 bytes.
const NAME_MAX: usize = 64;

/// The column of each field of a file.
#[derive(Debug, Clone)]
pub struct Layout<'a> {
    numbers: Numbers,
    /// The column into which each field of a record is loaded; `None` if it is left out.
    fields: Vec<Option<&'a Column>>,
    columns: Vec<&'a Column>,
    /// The indexes of the key's columns in `columns`; `None` if rows have no key.
    key: Option<Vec<usize>>,
    has_comparable_keys: bool,
    /// The index of the version column in `columns`, if rows are compared with those in the table.
    version: Option<usize>,
    /// The bytes by which the cells of a row may be longer than its fields.
    growth_bytes: usize,
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
    ) -> Result<Self, String> {
        let reason = match &header.content {
            Content::Fields(names) => return Self::from_names(table, names, options),
            Content::TooLong { quote_line } => {
                let fix = match quote_line {
                    Some(line) => format!("close the quote that opens on line {line}"),
                    None => "end its line, or set the option encoding".to_owned(),
                };
                format!("it is over {RECORD_BYTES_MAX} bytes; {fix}")
            }
            Content::Malformed { byte_offset } => format!(
                "byte {byte_offset} of the file is not a character of its encoding; set the option encoding"
            ),
            Content::Unclosed => "a quote in it is never closed".to_owned(),
            Content::Misquoted { field } => misquoted(*field),
        };
        let line = header.line;
        Err(format!("the header (line {line}) cannot be read: {reason}"))
    }

    fn from_names(table: &'a Table, names: &Fields, options: &Options) -> Result<Self, String> {
        let Some(columns) = &options.columns else {
            return Self::of(table, names.iter().map(Option::unwrap_or_default), options);
        };
        // A file of rejected rows has one field more than the option names.
        let last = names.iter().last().flatten();
        let error = last.filter(|last| *last == ERROR_COLUMN && names.len() == columns.len() + 1);
        if names.len() != columns.len() && error.is_none() {
            return Err(format!(
                "the option columns names {} columns, but the number of fields of the header is {}",
                columns.len(),
                names.len()
            ));
        }
        Self::of(table, columns.iter().map(String::as_str).chain(error), options)
    }

    /// Makes a layout of the names of all fields, for a file without a header.
    pub fn from_columns(
        table: &'a Table,
        names: &[String],
        options: &Options,
    ) -> Result<Self, String> {
        Self::of(table, names.iter().map(String::as_str), options)
    }

    fn of<'n>(
        table: &'a Table,
        names: impl Iterator<Item = &'n str>,
        options: &Options,
    ) -> Result<Self, String> {
        let names: Vec<_> = names.map(str::trim).collect();
        let fields = fields(table, &names, options)?;
        let columns: Vec<_> = fields.iter().flatten().copied().collect();
        let index = |name: &str| columns.iter().position(|column| column.name == name);
        let has_error_column = names.contains(&ERROR_COLUMN);
        check_columns(table, options.mode, has_error_column, &columns)?;
        let key: Option<Vec<_>> = table.primary_key.iter().map(|name| index(name)).collect();
        let is_boolean = |column: &&&Column| column.column_type == ColumnType::Boolean;
        Ok(Self {
            numbers: options.numbers,
            key: key.filter(|key| !key.is_empty()),
            has_comparable_keys: key::are_comparable(table),
            version: compared_version(table, options.mode).and_then(|version| index(&version.name)),
            // "f" becomes "false".
            growth_bytes: 4 * columns.iter().filter(is_boolean).count(),
            fields,
            columns,
        })
    }

    /// Returns the columns of the cells of each row.
    pub fn columns(&self) -> Vec<&'a Column> {
        self.columns.clone()
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
            return Err(rejection(self.columns[index], "not-null", expected));
        }
        Ok(Row { key: self.key(&cells)?, cells })
    }

    /// Returns the cells of the columns, as PostgreSQL reads them.
    fn cells(&self, fields: &Fields) -> Result<PackedCells, Rejection> {
        let mut cells =
            PackedCells::with_capacity(self.columns.len(), fields.text_bytes() + self.growth_bytes);
        for (column, text) in self.fields.iter().zip(fields.iter()) {
            let Some(column) = *column else { continue };
            match text.filter(|text| !text.is_empty() || has_empty(&column.column_type)) {
                None if column.nullable => cells.push(None),
                None => return Err(rejection(column, "not-null", NO_EMPTY)),
                Some(text) => {
                    let text = self.plain_number(column, text)?;
                    if let Some(doubt) = value::doubt(&column.column_type, &text) {
                        return Err(misread(column, &format!(": {doubt}")));
                    }
                    let text = value::from_text(column, &text).map_err(|fault| {
                        let reason = format!("expected {}", fault.expected);
                        rejection(column, &fault.rule.to_string(), reason)
                    })?;
                    cells.push(Some(&text));
                }
            }
        }
        Ok(cells)
    }

    /// Returns a number without its separators of groups, and any other text as it is.
    fn plain_number<'t>(&self, column: &Column, text: &'t str) -> Result<Cow<'t, str>, Rejection> {
        let numbers = self.numbers;
        if numbers == Numbers::Plain || !is_number(&column.column_type) {
            return Ok(Cow::Borrowed(text));
        }
        let written_as = || misread(column, &format!(", written as {}", numbers.as_str()));
        numbers.plain(text).ok_or_else(written_as)
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
                    return Err(misread(column, ", as it is part of the key"));
                }
                None => parts.push(text.to_owned()),
            }
        }
        Ok(Some(Key::of_canonical(parts, self.has_comparable_keys)))
    }
}

/// Returns the column of each field that is loaded.
///
/// Fails if a name is not a column, is there twice, or is a column that cannot be loaded.
fn fields<'a>(
    table: &'a Table,
    names: &[&str],
    options: &Options,
) -> Result<Vec<Option<&'a Column>>, String> {
    if let [only] = names
        && table.column(only).is_none()
        && let Some(hint) = hint(only)
    {
        return Err(format!("the header is one field, which is not a column of the table; {hint}"));
    }
    let mut known: Vec<Option<&Column>> = Vec::with_capacity(names.len());
    for name in names {
        let field = known.len() + 1;
        let column = if *name == ERROR_COLUMN { None } else { named(table, name, field, options)? };
        let first = known.iter().position(|other| other.is_some() && *other == column);
        if let (Some(first), Some(column)) = (first, column) {
            return Err(format!(
                "the header names the column {:?} twice, in fields {} and {field}; {}",
                column.name,
                first + 1,
                fix_of_duplicate(table, column, names)
            ));
        }
        known.push(column);
    }
    let loaded = |column: Option<&'a Column>| match column {
        Some(column) => Ok(is_loaded(table, column, options)?.then_some(column)),
        None => Ok(None),
    };
    known.into_iter().map(loaded).collect()
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

/// Returns `true` if values of this type have the declared form of numbers. Arrays do not: commas
/// separate their elements.
fn is_number(column_type: &ColumnType) -> bool {
    use ColumnType as Type;
    matches!(
        column_type,
        Type::SmallInt
            | Type::Integer
            | Type::BigInt
            | Type::Numeric { .. }
            | Type::Real
            | Type::DoublePrecision
    )
}

/// Returns the column that a field names, or `None` if the field is left out.
fn named<'a>(
    table: &'a Table,
    name: &str,
    field: usize,
    options: &Options,
) -> Result<Option<&'a Column>, String> {
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
        (None, _) if name.is_empty() => {
            return Err(format!(
                "field {field} of the header has no name; name it or leave it out, or set extra-columns to ignore"
            ));
        }
        (None, _) => unknown_column(table, name),
    };
    let name = shortened(name, NAME_MAX);
    Err(format!("the header names {name:?}, which is not {expected}"))
}

/// Returns `true` if the field of a column is loaded, and `false` if it is left out. Fails if the
/// column must not be in the file.
fn is_loaded(table: &Table, column: &Column, options: &Options) -> Result<bool, String> {
    let is_key = table.is_key(column);
    if options.mode == LoadMode::Delete {
        return Ok(is_key);
    }
    if table.accepts(column, load_mode::changes(options.mode, table)) {
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
    let name = &column.name;
    Err(format!("the header names the column {name:?}, {reason}; {fix}"))
}

/// Checks that the file has the columns that its mode needs.
fn check_columns(
    table: &Table,
    mode: LoadMode,
    has_error_column: bool,
    columns: &[&Column],
) -> Result<(), String> {
    let missing = |needed: &mut dyn Iterator<Item = &Column>| {
        let is_missing = |column: &&Column| !columns.contains(column);
        let names: Vec<_> = needed.filter(is_missing).map(|column| column.name.as_str()).collect();
        match names.as_slice() {
            [] => None,
            [name] => Some(format!("the column {name}")),
            names => Some(format!("the columns {}", names.join(", "))),
        }
    };
    let needs_key = matches!(mode, LoadMode::Replace | LoadMode::Delete);
    let error = if mode == LoadMode::Replace && has_error_column {
        "the header names \"_error\", so the file holds rows that were rejected before; mode replace would \
         delete all others: drop it with mode upsert"
            .to_owned()
    } else if needs_key && table.primary_key.is_empty() {
        let mode = mode.as_str();
        format!("mode {mode} needs a table with a primary key, as rows are found by it")
    } else if let Some(names) = missing(&mut table.key_columns()).filter(|_| needs_key) {
        let mode = mode.as_str();
        format!("the header does not name {names} of the key, by which mode {mode} finds rows")
    } else if mode == LoadMode::Delete {
        return Ok(());
    } else if let Some(version) =
        compared_version(table, mode).filter(|version| !columns.contains(version))
    {
        let name = &version.name;
        format!("the header does not name the column {name:?}, which says whether a row is newer")
    } else if let Some(names) = missing(&mut table.columns.iter().filter(|c| c.is_required())) {
        format!("the header does not name {names}: NOT NULL, and without a default")
    } else {
        return Ok(());
    };
    Err(error)
}

/// Returns the column by which the mode compares a row with the row in the table, if it does.
fn compared_version(table: &Table, mode: LoadMode) -> Option<&Column> {
    table.version_column().filter(|_| matches!(mode, LoadMode::Upsert | LoadMode::Replace))
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
    let (rule, reason) = match content {
        Content::TooLong { quote_line: Some(line) } => (
            "too-long",
            format!(
                "the record is over {RECORD_BYTES_MAX} bytes: is the quote that opens on line {line} never closed?"
            ),
        ),
        Content::TooLong { quote_line: None } | Content::Fields(_) => {
            ("too-long", format!("the record is over {RECORD_BYTES_MAX} bytes"))
        }
        Content::Malformed { byte_offset } => (
            "encoding",
            format!("byte {byte_offset} of the file is not a character of its encoding"),
        ),
        Content::Unclosed => (
            "unclosed-quote",
            "a quote is opened and never closed: the record extends to the end of the file"
                .to_owned(),
        ),
        Content::Misquoted { field } => ("misquoted", misquoted(*field)),
    };
    Rejection::by_rule(rule, reason)
}

fn misquoted(field: usize) -> String {
    format!(
        "there is text after the closing quote of field {}; write a quote within quotes twice",
        field + 1
    )
}

/// Returns the rejection of a text that is no value of the column's type. `rest` says why.
fn misread(column: &Column, rest: &str) -> Rejection {
    let expected = value::expected(&column.column_type);
    rejection(column, &value::Rule::Format.to_string(), format!("expected {expected}{rest}"))
}

fn rejection(column: &Column, rule: &str, reason: impl Into<String>) -> Rejection {
    Rejection { column: Some(column.name.clone()), ..Rejection::by_rule(rule, reason) }
}

#[cfg(test)]
mod tests;
