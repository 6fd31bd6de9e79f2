//! The SELECT behind a look-up.
//!
//! Pure. Values of a request are parameters, cast to their column's type without length; names are
//! the catalog's. PostgreSQL itself makes the JSON, so that numbers stay what they are.

use aurora_sync_catalog::{Column, ColumnType, Table, quote_identifier};

use crate::field::{Parameter, parameter};
use crate::key::Key;
use crate::problem::{Kind, Problem};
use crate::row::unknown_column;
use crate::value;

/// Rows of a list where the request does not say how many.
const LIMIT_DEFAULT: u32 = 100;

/// Most rows of a list.
const LIMIT_MAX: u32 = 1_000;

/// The form of the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    Json,
    /// The Data API's own records.
    Records,
}

/// A statement with its values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    pub sql: String,
    pub parameters: Vec<Parameter>,
}

/// The row with this key: a JSON object, or one record.
pub fn by_key(table: &Table, key: &Key, form: Form) -> Query {
    let filters: Vec<_> = table.key_columns().zip(key.parts()).collect();
    let (condition, parameters) = conditions(&filters);
    let rows =
        format!("SELECT {} FROM {}{condition}", output_columns(table, form), table.sql_name());
    let sql = match form {
        Form::Json => format!("SELECT row_to_json(found)::text FROM ({rows}) AS found"),
        Form::Records => rows,
    };
    Query { sql, parameters }
}

/// The rows that a query string asks for: an array, or records.
pub fn list(table: &Table, query: &[(String, String)], form: Form) -> Result<Query, Problem> {
    let mut limit = LIMIT_DEFAULT;
    let mut filters: Vec<(&Column, String)> = Vec::new();
    for (name, text) in query {
        match table.column(name) {
            Some(column) => {
                let text = value::from_text(column, text).map_err(|fault| {
                    let detail = format!("{name}: expected {}.", fault.expected);
                    Problem::new(Kind::InvalidQuery, detail)
                })?;
                filters.push((column, text));
            }
            None if name == "limit" => limit = read_limit(text)?,
            None => {
                let detail = format!("{name}: expected limit, or {}.", unknown_column(table, name));
                return Err(Problem::new(Kind::InvalidQuery, detail));
            }
        }
    }
    let filters: Vec<_> = filters.iter().map(|(column, text)| (*column, text.as_str())).collect();
    let (condition, mut parameters) = conditions(&filters);
    parameters.push(parameter("limit", limit.to_string()));
    let order = match table.primary_key.as_slice() {
        [] => String::new(),
        key => {
            let names: Vec<_> = key.iter().map(|name| quote_identifier(name)).collect();
            format!(" ORDER BY {}", names.join(", "))
        }
    };
    let rows = format!(
        "SELECT {} FROM {}{condition}{order} LIMIT :limit::bigint",
        output_columns(table, form),
        table.sql_name(),
    );
    let sql = match form {
        Form::Json => format!(
            "SELECT '[' || coalesce(string_agg(row_to_json(found)::text, ','), '') || ']' FROM ({rows}) AS found"
        ),
        Form::Records => rows,
    };
    Ok(Query { sql, parameters })
}

fn read_limit(text: &str) -> Result<u32, Problem> {
    text.parse().ok().filter(|limit| (1..=LIMIT_MAX).contains(limit)).ok_or_else(|| {
        Problem::new(Kind::InvalidQuery, format!("limit: expected a number from 1 to {LIMIT_MAX}."))
    })
}

/// ` WHERE "id" = :f1::bpchar AND …`.
fn conditions(filters: &[(&Column, &str)]) -> (String, Vec<Parameter>) {
    let mut sql = String::new();
    let mut parameters = Vec::new();
    for (n, (column, text)) in filters.iter().enumerate() {
        let name = format!("f{}", n + 1);
        let word = if n == 0 { " WHERE" } else { " AND" };
        sql.push_str(&format!(
            "{word} {} = :{name}::{}",
            quote_identifier(&column.name),
            column.column_type.cast_name()
        ));
        parameters.push(parameter(name, *text));
    }
    (sql, parameters)
}

fn output_columns(table: &Table, form: Form) -> String {
    let columns: Vec<_> = table
        .columns
        .iter()
        .map(|column| {
            let name = quote_identifier(&column.name);
            match form {
                Form::Records if !is_returned(&column.column_type) => {
                    format!("{name}::text AS {name}")
                }
                Form::Records | Form::Json => name,
            }
        })
        .collect();
    columns.join(", ")
}

/// Whether the Data API returns the type as a field, and whole. One column that it cannot return fails
/// the whole call with `UnsupportedResultException`.
fn is_returned(column_type: &ColumnType) -> bool {
    match column_type {
        ColumnType::Interval | ColumnType::TimeTz | ColumnType::Other { .. } => false,
        // The service parses it and writes it again: large numbers lose digits.
        ColumnType::Json | ColumnType::JsonB => false,
        // "infinity" ends in an internal failure.
        ColumnType::Date | ColumnType::Timestamp | ColumnType::TimestampTz => false,
        ColumnType::Array(element) => is_returned(element),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use aurora_sync_catalog::ddl;

    use super::*;

    fn staff() -> Table {
        let ddl = "CREATE TABLE Staff (id CHAR(4) NOT NULL, name TEXT NOT NULL, age INTEGER, PRIMARY KEY (id))";
        ddl::parse(&[("staff.sql".into(), ddl.into())]).unwrap().catalog.tables()[0].clone()
    }

    #[test]
    fn a_look_up_by_key_casts_without_length() {
        let key = Key::from_path(&staff(), "0001").unwrap();
        assert_eq!(
            by_key(&staff(), &key, Form::Records),
            Query {
                sql: r#"SELECT "id", "name", "age" FROM "staff" WHERE "id" = :f1::bpchar"#.into(),
                parameters: vec![parameter("f1", "0001")],
            }
        );
    }

    #[test]
    fn no_text_of_a_query_reaches_the_sql() {
        let query = [("name".to_owned(), "x' OR ''='".to_owned())];
        let query = list(&staff(), &query, Form::Json).unwrap();
        assert!(!query.sql.contains("x'"));
        assert_eq!(query.parameters[0], parameter("f1", "x' OR ''='"));
    }

    #[test]
    fn what_cannot_be_asked_says_what_can() {
        let check = |name: &str, value: &str, expected: &str| {
            let problem = list(&staff(), &[(name.into(), value.into())], Form::Json).unwrap_err();
            assert!(problem.detail.contains(expected), "{}", problem.detail);
        };
        check("nmae", "x", "did you mean \"name\"?");
        check("age", "old", "integer");
        check("limit", "0", "from 1 to 1000");
    }
}
