//! Describes the columns of a result (`columnMetadata`) by PostgreSQL's catalog.

use std::borrow::Cow;

use serde_json::{Value, json};

use crate::connection::Connection;
use crate::parameter::Bind;
use crate::pg_error::PgError;
use crate::statement::Column;
use crate::types::{Form, OtherTypes, form};

/// One line a column, in order. Serial columns go by their own names, as the service has them.
const DESCRIBE: &str = r"
SELECT type.typname, class.relname, space.nspname, attribute.attnotnull,
  attribute.attidentity <> '' OR pg_get_expr(def.adbin, def.adrelid) LIKE 'nextval(%',
  pg_get_expr(def.adbin, def.adrelid) LIKE 'nextval(%'
FROM unnest($1::oid[], $2::oid[], $3::int2[]) WITH ORDINALITY
  AS col (type_oid, table_oid, number, place)
LEFT JOIN pg_type AS type ON type.oid = col.type_oid
LEFT JOIN pg_class AS class ON class.oid = col.table_oid
LEFT JOIN pg_namespace AS space ON space.oid = class.relnamespace
LEFT JOIN pg_attribute AS attribute
  ON attribute.attrelid = col.table_oid AND attribute.attnum = col.number AND col.number > 0
LEFT JOIN pg_attrdef AS def ON def.adrelid = attribute.attrelid AND def.adnum = attribute.attnum
ORDER BY col.place";

/// `oid[]` and `int2[]`.
const OIDS: u32 = 1028;
const INT2S: u32 = 1005;

pub(crate) async fn metadata(
    connection: &mut Connection,
    columns: &[Column],
    types: &OtherTypes,
) -> Result<Vec<Value>, PgError> {
    let literal = |texts: Vec<String>| format!("{{{}}}", texts.join(","));
    let of = |number: fn(&Column) -> String| literal(columns.iter().map(number).collect());
    let binds = [
        (of(|column| column.type_oid.to_string()), OIDS),
        (of(|column| column.table_oid.to_string()), OIDS),
        (of(|column| column.number.to_string()), INT2S),
    ]
    .map(|(text, type_oid)| Bind::text(text, type_oid));
    let prepared = connection.prepare(DESCRIBE, &[OIDS, OIDS, INT2S]).await?;
    let outcome = connection.run(&prepared, &binds).await?;
    let lines = outcome.rows.iter().map(|row| row.cells().collect::<Vec<_>>());
    Ok(columns.iter().zip(lines).map(|(column, line)| describe(column, &line, types)).collect())
}

fn describe(column: &Column, line: &[Option<Cow<'_, str>>], types: &OtherTypes) -> Value {
    let cell = |index: usize| line.get(index).and_then(Option::as_deref);
    let is_set = |index| cell(index) == Some("t");
    let type_name = cell(0).unwrap_or_default();
    let form = form(column.type_oid, types);
    let type_name = match (type_name, is_set(5)) {
        ("int2", true) => "smallserial",
        ("int4", true) => "serial",
        ("int8", true) => "bigserial",
        (other, _) => other,
    };
    let (precision, scale) = precision_and_scale(column);
    json!({
        "name": column.name,
        "label": column.name,
        "typeName": type_name,
        "type": jdbc_type(column.type_oid, &form),
        "tableName": cell(1).unwrap_or_default(),
        "schemaName": cell(2).unwrap_or_default(),
        // JDBC: 0 never null, 1 can be, 2 not known.
        "nullable": match cell(3) {
            Some("t") => 0,
            Some(_) => 1,
            None => 2,
        },
        "precision": precision,
        "scale": scale,
        "isAutoIncrement": is_set(4),
        "isCaseSensitive": matches!(form, Form::Text | Form::Json),
        "isCurrency": false,
        "isSigned": matches!(form, Form::Long | Form::Double | Form::Single | Form::Numeric),
        "arrayBaseColumnType": match &form {
            Form::Array(element) => match jdbc_type(0, element) {
                // Of texts, what kind of text is not known here.
                1111 => 12,
                other => other,
            },
            _ => 0,
        },
    })
}

fn precision_and_scale(column: &Column) -> (i32, i32) {
    // The modifier is 4 more than what the declaration says (varlena's header).
    let modifier = column.type_modifier - 4;
    match column.type_oid {
        21 => (5, 0),
        23 => (10, 0),
        20 => (19, 0),
        700 => (8, 8),
        701 => (17, 17),
        16 => (1, 0),
        1042 | 1043 if modifier >= 0 => (modifier, 0),
        1700 if modifier >= 0 => (modifier >> 16, modifier & 0xffff),
        1700 => (0, 0),
        1082 => (13, 0),
        1083 => (15, 6),
        1114 => (29, 6),
        1184 => (35, 6),
        _ => (i32::MAX, 0),
    }
}

/// The codes of `java.sql.Types`.
fn jdbc_type(type_oid: u32, form: &Form) -> i32 {
    match (type_oid, form) {
        (21, _) => 5,
        (23, _) => 4,
        (_, Form::Long) => -5,
        (_, Form::Single) => 7,
        (_, Form::Double) => 8,
        (_, Form::Numeric) => 2,
        (_, Form::Boolean) => -7,
        (1042, _) => 1,
        (19 | 25 | 1043, _) => 12,
        (_, Form::Time) => 92,
        (_, Form::Timestamp | Form::TimestampTz) => 93,
        (_, Form::Date) => 91,
        (_, Form::Bytea) => -2,
        (_, Form::Array(_)) => 2003,
        // OTHER.
        (_, Form::Text | Form::Json | Form::Unsupported(_)) => 1111,
    }
}
