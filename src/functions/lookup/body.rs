//! Rows as the body of a response.
//!
//! Pure. PostgreSQL formats the JSON of each row. This module joins the rows.

use aurora_sync_catalog::Column;

use crate::api::query::Form;
use crate::domain::field::{Field, Record};

/// Formats the rows of a list.
pub(super) fn list(form: Form, columns: &[&Column], rows: &[Record]) -> String {
    match form {
        Form::Json => {
            let objects: Vec<_> = rows.iter().map(first_text).collect();
            format!("[{}]", objects.join(","))
        }
        Form::Ndjson => rows.iter().map(|row| line(first_text(row))).collect(),
        Form::Csv => csv(columns, rows),
        Form::Records => serde_json::to_string(rows).expect("records are plain data"),
    }
}

/// Formats one row. In JSON, it is an object instead of an array of one.
pub(super) fn row(form: Form, columns: &[&Column], row: &Record) -> String {
    match form {
        Form::Json => first_text(row).to_owned(),
        form => list(form, columns, std::slice::from_ref(row)),
    }
}

fn first_text(row: &Record) -> &str {
    row.first().and_then(Field::as_text).unwrap_or("null")
}

/// Formats a JSON text on one line. A json column keeps line ends between tokens; JSON strings
/// contain none.
fn line(json: &str) -> String {
    format!("{}\n", json.replace(['\n', '\r'], " "))
}

/// Formats RFC 4180. As in an import, an empty field is NULL, and an empty field in quotes is an
/// empty text.
fn csv(columns: &[&Column], rows: &[Record]) -> String {
    let mut text = String::new();
    push_record(&mut text, columns.iter().map(|column| Some(column.name.as_str())));
    for row in rows {
        push_record(&mut text, row.iter().map(Field::as_text));
    }
    text
}

fn push_record<'a>(text: &mut String, fields: impl Iterator<Item = Option<&'a str>>) {
    for (index, field) in fields.enumerate() {
        if index > 0 {
            text.push(',');
        }
        match field {
            None => {}
            Some(field) if field.is_empty() || field.contains(['"', ',', '\r', '\n']) => {
                text.push('"');
                text.push_str(&field.replace('"', "\"\""));
                text.push('"');
            }
            Some(field) => text.push_str(field),
        }
    }
    text.push_str("\r\n");
}

#[cfg(test)]
mod tests {
    use aurora_sync_catalog::notation::table;

    use super::*;

    fn check(form: Form, rows: &[&[Option<&str>]], expected: &str) {
        let table = table("t", r#"a text, "b,c" text"#);
        let columns: Vec<_> = table.columns.iter().collect();
        let field =
            |text: Option<&str>| text.map_or(Field::Null, |text| Field::Text(text.to_owned()));
        let rows: Vec<Record> =
            rows.iter().map(|row| row.iter().copied().map(field).collect()).collect();
        assert_eq!(list(form, &columns, &rows), expected);
    }

    #[test]
    fn null_and_an_empty_text_differ_in_csv() {
        check(Form::Csv, &[], "a,\"b,c\"\r\n");
        check(Form::Csv, &[&[None, Some("")], &[Some("é"), None]], "a,\"b,c\"\r\n,\"\"\r\né,\r\n");
        check(
            Form::Csv,
            &[&[Some("say \"hi\""), Some("two\r\nlines")]],
            "a,\"b,c\"\r\n\"say \"\"hi\"\"\",\"two\r\nlines\"\r\n",
        );
    }

    #[test]
    fn json_is_joined_unchanged() {
        check(Form::Json, &[], "[]");
        check(Form::Json, &[&[Some("{\"a\":1}")], &[Some("{}")]], "[{\"a\":1},{}]");
        check(Form::Ndjson, &[&[Some("{\"a\":\n1}")], &[Some("{}")]], "{\"a\": 1}\n{}\n");
        check(Form::Records, &[&[None, Some("x")]], r#"[[{"isNull":true},{"stringValue":"x"}]]"#);
    }
}
