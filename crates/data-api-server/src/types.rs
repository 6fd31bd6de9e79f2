//! PostgreSQL's types as the service returns them.
//!
//! Types that are not built in are looked up in the session's own catalog.

use std::collections::HashMap;

use crate::connection::Connection;
use crate::parameter::Bind;
use crate::pg_error::PgError;
use crate::statement::Column;

/// The form in which a type is returned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Form {
    Long,
    Double,
    /// A float4, widened to a float8 with what it holds: 0.1 becomes 0.10000000149011612.
    Single,
    Numeric,
    Boolean,
    Text,
    /// A time with a fraction of none, three or six digits.
    Time,
    /// Likewise; refused where it is infinite.
    Timestamp,
    /// A timestamp whose text ends in the offset of UTC, which is left out.
    TimestampTz,
    Date,
    /// Parsed and written again, compact.
    Json,
    Bytea,
    Array(Box<Form>),
    /// A type that the service cannot return, by its name in the message.
    Unsupported(String),
}

/// Types that stand in PostgreSQL's catalog and not in ours, by OID.
pub(crate) type OtherTypes = HashMap<u32, OtherType>;

#[derive(Debug, Clone)]
pub(crate) struct OtherType {
    name: String,
    /// `pg_type.typtype`: `e` for an enum, `d` for a domain.
    kind: String,
    /// The element of an array, else 0. (`int2vector` and `oidvector`, 22 and 30, are written
    /// otherwise.)
    element: u32,
    /// The base type of a domain, else 0. (A column of a domain is described as its base; an
    /// array's elements are not.)
    base: u32,
}

/// The first OID that `initdb` leaves to users.
const FIRST_USER_OID: u32 = 16_384;

/// The other types among the columns, looked up in the session's own catalog.
pub(crate) async fn other_types(
    connection: &mut Connection,
    columns: &[Column],
) -> Result<OtherTypes, PgError> {
    const TYPE: &str = "SELECT typname, typtype, \
        CASE WHEN typcategory = 'A' AND oid NOT IN (22, 30) THEN typelem ELSE 0 END, typbasetype \
        FROM pg_type WHERE oid = $1";
    const OID: u32 = 26;
    let mut types = OtherTypes::new();
    let mut open: Vec<u32> = columns.iter().map(|column| column.type_oid).collect();
    while let Some(oid) = open.pop() {
        if oid == 0 || built_in(oid).is_some() || types.contains_key(&oid) {
            continue;
        }
        let prepared = connection.prepare(TYPE, &[OID]).await?;
        let binds = [Bind::text(oid.to_string(), OID)];
        let outcome = connection.run(&prepared, &binds).await?;
        let Some(row) = outcome.rows.first() else { continue };
        let cells: Vec<_> = row.cells().map(|cell| cell.unwrap_or_default().into_owned()).collect();
        if let [name, kind, element, base] = cells.as_slice() {
            let (name, kind) = (name.clone(), kind.clone());
            let element = element.parse().unwrap_or_default();
            let base = base.parse().unwrap_or_default();
            open.extend([element, base]);
            types.insert(oid, OtherType { name, kind, element, base });
        }
    }
    Ok(types)
}

/// Returns the form in which a type is returned.
pub(crate) fn form(oid: u32, types: &OtherTypes) -> Form {
    if let Some(form) = built_in(oid) {
        return form;
    }
    match types.get(&oid) {
        Some(other) if other.element != 0 => Form::Array(Box::new(form(other.element, types))),
        Some(other) if other.base != 0 => form(other.base, types),
        Some(other) if other.kind == "e" => Form::Text,
        // An extension that the service documents.
        Some(other) if other.name == "vector" => Form::Text,
        Some(other) => Form::Unsupported(shown(oid, &other.name)),
        None => Form::Unsupported(format!("OID {oid}")),
    }
}

/// A type's name in the service's message: those built in stand in capitals (measured).
fn shown(oid: u32, name: &str) -> String {
    match name {
        "char" => "\"CHAR\"".to_owned(),
        _ if oid < FIRST_USER_OID && !name.starts_with("reg") => name.to_uppercase(),
        _ => name.to_owned(),
    }
}

/// The built-in types that the service returns; OIDs of `pg_type.dat`.
fn built_in(oid: u32) -> Option<Form> {
    let array = |form| Form::Array(Box::new(form));
    Some(match oid {
        20 | 21 | 23 => Form::Long,
        700 => Form::Single,
        701 => Form::Double,
        1700 => Form::Numeric,
        16 => Form::Boolean,
        // text, varchar, bpchar, name, uuid, inet, cidr, int4range, numrange, oid, unknown
        25 | 1043 | 1042 | 19 | 2950 | 869 | 650 | 3904 | 3906 | 26 | 705 => Form::Text,
        // A function that returns nothing, as pg_sleep does, gives an empty text.
        2278 => Form::Text,
        1083 => Form::Time,
        1114 => Form::Timestamp,
        1184 => Form::TimestampTz,
        1082 => Form::Date,
        114 | 3802 => Form::Json,
        17 => Form::Bytea,
        1016 | 1005 | 1007 => array(Form::Long),
        1021 => array(Form::Single),
        1022 => array(Form::Double),
        1231 => array(Form::Numeric),
        1000 => array(Form::Boolean),
        1009 | 1015 | 1014 | 1003 | 2951 | 1041 | 651 => array(Form::Text),
        1183 => array(Form::Time),
        1115 => array(Form::Timestamp),
        1185 => array(Form::TimestampTz),
        1182 => array(Form::Date),
        199 | 3807 => array(Form::Json),
        _ => return None,
    })
}
