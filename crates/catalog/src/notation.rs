//! Tables in a short notation, for tests of pure code.
//!
//! Real catalogs are read from a database. A test of a function that only needs a table writes it
//! down: `table("staff", "id char(4) key, name text not-null, age integer")`.
//!
//! A column is a name (in double quotes where it holds blanks), a type, and words: `key` (or
//! `key=1` and `key=2`, where the key has another order than the columns), `not-null`, `default`,
//! `identity`, `generated`, `rules`, `unique`, `own-equality`, `version`, `unread`, `unwritten`,
//! `references=TABLE.COLUMN`. `enum(sad|ok)` is a type `public.mood`, `[]` after a type makes an
//! array, and a type that is not known is left to the database.

use crate::catalog::{Access, Changes, Column, ForeignKey, Table, WhenAbsent};
use crate::types::ColumnType;

/// Makes a table of the schema `public`. Panics if the notation is wrong.
pub fn table(name: &str, columns: &str) -> Table {
    let mut table = Table::new(name, Vec::new());
    let mut key = Vec::new();
    for definition in split(columns, ',') {
        let mut words = split(definition, ' ').into_iter();
        let name = words.next().expect("a column has a name").trim_matches('"');
        let type_name = words.next().unwrap_or_else(|| panic!("{name} has no type"));
        let mut column = column_of(name, type_name);
        for word in words {
            match word.split_once('=').unwrap_or((word, "")) {
                ("key", order) => {
                    column.nullable = false;
                    key.push((order, column.name.clone()));
                }
                word => apply(word, &mut column, &mut table),
            }
        }
        table.columns.push(column);
    }
    key.sort_by_key(|(order, _)| *order);
    table.primary_key = key.into_iter().map(|(_, name)| name).collect();
    if table.primary_key.is_empty() {
        table.changes = Changes::INSERT;
    }
    table
}

/// Makes a column, such as `n numeric(9,2) not-null`.
pub fn column(definition: &str) -> Column {
    table("t", definition).columns.remove(0)
}

fn apply(word: (&str, &str), column: &mut Column, table: &mut Table) {
    match word {
        ("not-null", _) => column.nullable = false,
        ("default", _) => column.when_absent = WhenAbsent::Default,
        ("identity", _) => {
            column.nullable = false;
            column.when_absent = WhenAbsent::AlwaysIdentity;
        }
        ("generated", _) => {
            column.when_absent = WhenAbsent::Generated;
            table.has_row_logic = true;
        }
        ("rules", _) => column.has_rules = true,
        ("unique", _) => {
            column.has_rules = true;
            table.rows_exclude = true;
        }
        ("own-equality", _) => column.has_own_equality = true,
        ("version", _) => table.version_column = Some(column.name.clone()),
        ("unread", _) => column.access.read = false,
        ("unwritten", _) => {
            column.access = Access { insert: false, update: false, ..column.access };
        }
        ("unselected", _) => {
            column.access = Access { read: column.access.read, ..Access::NONE };
        }
        ("references", parent) => {
            let (parent, parent_column) = parent.split_once('.').expect("references=TABLE.COLUMN");
            column.has_rules = true;
            table.foreign_keys.push(ForeignKey {
                columns: vec![column.name.clone()],
                parent: parent.to_owned(),
                parent_columns: vec![parent_column.to_owned()],
            });
        }
        (word, _) => panic!("{word} is no word of the notation"),
    }
}

fn column_of(name: &str, type_name: &str) -> Column {
    let (element, is_array) = match type_name.strip_suffix("[]") {
        Some(element) => (element, true),
        None => (type_name, false),
    };
    let (word, arguments) = match element.split_once('(') {
        Some((word, rest)) => (word, rest.trim_end_matches(')')),
        None => (element, ""),
    };
    let numbers: Vec<i16> = arguments.split(',').filter_map(|n| n.trim().parse().ok()).collect();
    let mut column = Column::new(name, scalar(word, arguments, &numbers));
    if matches!(word, "time" | "timetz" | "timestamp" | "timestamptz") {
        column.fraction_digits = numbers.first().and_then(|digits| u8::try_from(*digits).ok());
    }
    if is_array {
        column.column_type = ColumnType::Array(Box::new(column.column_type));
    }
    column
}

fn scalar(word: &str, arguments: &str, numbers: &[i16]) -> ColumnType {
    use ColumnType as Type;
    let length = numbers.first().and_then(|length| u32::try_from(*length).ok());
    match word {
        "smallint" => Type::SmallInt,
        "integer" | "int" => Type::Integer,
        "bigint" => Type::BigInt,
        "numeric" => Type::Numeric {
            precision: numbers.first().and_then(|precision| u16::try_from(*precision).ok()),
            scale: numbers.first().map(|_| numbers.get(1).copied().unwrap_or(0)),
        },
        "real" => Type::Real,
        "double" => Type::DoublePrecision,
        "boolean" => Type::Boolean,
        "char" => Type::Char { length: length.unwrap_or(1) },
        "varchar" => Type::VarChar { length },
        "enum" => Type::Enum {
            schema: "public".to_owned(),
            name: "mood".to_owned(),
            labels: arguments.split('|').map(str::to_owned).collect(),
        },
        other => Type::plain(other).unwrap_or_else(|| Type::Other { sql: other.to_owned() }),
    }
}

/// Splits at a character that stands neither in parentheses nor in double quotes.
fn split(text: &str, separator: char) -> Vec<&str> {
    let (mut depth, mut is_quoted) = (0_usize, false);
    let parts = text.split(|c: char| {
        match c {
            '"' => is_quoted = !is_quoted,
            '(' if !is_quoted => depth += 1,
            ')' if !is_quoted => depth = depth.saturating_sub(1),
            _ => {}
        }
        c == separator && depth == 0 && !is_quoted
    });
    parts.map(str::trim).filter(|part| !part.is_empty()).collect()
}
