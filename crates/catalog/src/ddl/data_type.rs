//! Column types, from how the parser spells them to how the catalog holds them.
//!
//! Pure.

use std::collections::HashMap;

use sqlparser::ast::{
    ArrayElemTypeDef, CharacterLength, DataType, ExactNumberInfo, ObjectName, TimezoneInfo,
};

use super::name::Name;
use crate::identifier::quote_identifier;
use crate::types::ColumnType;

/// The meaning of a `CREATE TYPE` or `CREATE DOMAIN` for a column.
#[derive(Debug, Clone)]
pub(super) enum UserType {
    Enum {
        labels: Vec<String>,
    },
    Domain {
        base: ColumnType,
        is_not_null: bool,
        has_default: bool,
        has_own_equality: bool,
        fraction_digits: Option<u8>,
    },
}

/// A column's type and what comes with it.
#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "each says something of its own")]
pub(super) struct Typed {
    pub(super) column_type: ColumnType,
    /// `serial`, or a domain with a default.
    pub(super) has_default: bool,
    /// `serial`, or a domain that is `NOT NULL`.
    pub(super) is_not_null: bool,
    /// A domain, whose checks are left to the database.
    pub(super) has_rules: bool,
    /// See [`crate::Column::has_own_equality`].
    pub(super) has_own_equality: bool,
    /// See [`crate::Column::fraction_digits`].
    pub(super) fraction_digits: Option<u8>,
}

impl Typed {
    fn plain(column_type: ColumnType) -> Self {
        Self {
            column_type,
            has_default: false,
            is_not_null: false,
            has_rules: false,
            has_own_equality: false,
            fraction_digits: None,
        }
    }
}

pub(super) fn typed(data_type: &DataType, types: &HashMap<Name, UserType>) -> Typed {
    let typed = typed_exactly(data_type, types);
    match data_type {
        DataType::Time(Some(digits), _) | DataType::Timestamp(Some(digits), _) => {
            Typed { fraction_digits: u8::try_from(*digits).ok(), ..typed }
        }
        _ => typed,
    }
}

/// Returns whether a collation is one of PostgreSQL's own, all of which tell different texts apart.
pub(super) fn is_built_in(collation: &ObjectName) -> bool {
    let name = Name::of(collation).name;
    let is_of_c_library = || {
        let mut parts = name.split(['.', '@']).next().unwrap_or_default().split('_');
        let language = parts.next().is_some_and(|part| matches!(part.len(), 2 | 3));
        language && parts.next().is_some_and(|part| part.len() == 2)
    };
    let names = ["C", "POSIX", "default", "ucs_basic", "unicode", "pg_c_utf8", "C.utf8", "C.UTF-8"];
    names.contains(&name.as_str()) || name.ends_with("-x-icu") || is_of_c_library()
}

fn typed_exactly(data_type: &DataType, types: &HashMap<Name, UserType>) -> Typed {
    use ColumnType as Type;
    Typed::plain(match data_type {
        DataType::SmallInt(_) | DataType::Int2(_) => Type::SmallInt,
        DataType::Int(_) | DataType::Int4(_) | DataType::Integer(_) => Type::Integer,
        DataType::BigInt(_) | DataType::Int8(_) => Type::BigInt,
        DataType::Numeric(info) | DataType::Decimal(info) | DataType::Dec(info) => numeric(*info),
        DataType::Real | DataType::Float4 => Type::Real,
        // float(1) to float(24) is real, more is double precision.
        DataType::Float(ExactNumberInfo::Precision(precision)) if *precision <= 24 => Type::Real,
        DataType::Float(_) | DataType::Float8 | DataType::Double(_) | DataType::DoublePrecision => {
            Type::DoublePrecision
        }
        DataType::Boolean | DataType::Bool => Type::Boolean,
        DataType::Char(length) | DataType::Character(length) => {
            Type::Char { length: character_length(length.as_ref()).unwrap_or(1) }
        }
        DataType::Varchar(length)
        | DataType::CharacterVarying(length)
        | DataType::CharVarying(length) => {
            Type::VarChar { length: character_length(length.as_ref()) }
        }
        DataType::Text => Type::Text,
        DataType::Uuid => Type::Uuid,
        DataType::JSON => Type::Json,
        DataType::JSONB => Type::JsonB,
        DataType::Bytea => Type::Bytea,
        DataType::Date => Type::Date,
        DataType::Time(_, zone) if is_with_zone(*zone) => Type::TimeTz,
        DataType::Time(..) => Type::Time,
        DataType::Timestamp(_, zone) if is_with_zone(*zone) => Type::TimestampTz,
        DataType::Timestamp(..) => Type::Timestamp,
        DataType::Interval { .. } => Type::Interval,
        DataType::Array(
            ArrayElemTypeDef::SquareBracket(element, _)
            | ArrayElemTypeDef::AngleBracket(element)
            | ArrayElemTypeDef::Parenthesis(element),
        ) => return array(typed(element, types)),
        // A cast to bit(n) cuts or pads; what has no length is refused where it does not fit.
        DataType::Bit(_) | DataType::BitVarying(_) | DataType::VarBit(_) => {
            Type::Other { sql: "varbit".to_owned() }
        }
        DataType::Custom(name, modifiers) => return custom(name, modifiers, types),
        other => Type::Other { sql: other.to_string().to_lowercase() },
    })
}

fn array(element: Typed) -> Typed {
    let column_type = match element.column_type {
        // PostgreSQL does not tell arrays of one and of several dimensions apart.
        array @ ColumnType::Array(_) => array,
        element => ColumnType::Array(Box::new(element)),
    };
    // The constraints of a domain hold for the elements.
    Typed { column_type, has_default: false, is_not_null: false, ..element }
}

fn custom(name: &ObjectName, modifiers: &[String], types: &HashMap<Name, UserType>) -> Typed {
    use ColumnType as Type;
    let Name { schema, name } = Name::of(name);
    let serial =
        |column_type| Typed { has_default: true, is_not_null: true, ..Typed::plain(column_type) };
    let is_known = matches!(schema.as_deref(), None | Some("pg_catalog"));
    let length = modifiers.first().and_then(|modifier| modifier.parse().ok());
    if is_known {
        match name.as_str() {
            "serial" | "serial4" => return serial(Type::Integer),
            "bigserial" | "serial8" => return serial(Type::BigInt),
            "smallserial" | "serial2" => return serial(Type::SmallInt),
            // Without a length it is not padded to one character, as char is; its blanks still mean
            // nothing.
            "bpchar" => {
                return match length {
                    Some(length) => Typed::plain(Type::Char { length }),
                    None => Typed { has_own_equality: true, ..Typed::plain(Type::Text) },
                };
            }
            "timestamptz" => return Typed::plain(Type::TimestampTz),
            "timetz" => return Typed::plain(Type::TimeTz),
            "inet" => return Typed::plain(Type::Inet),
            "cidr" => return Typed::plain(Type::Cidr),
            // It is cut to 63 bytes.
            "name" => return Typed { has_own_equality: true, ..Typed::plain(Type::Text) },
            _ => {}
        }
    }
    let known = Name { schema: schema.clone(), name: name.clone() };
    // An unqualified name means the one that the search path finds: "public" as a rule.
    let in_public = Name { schema: Some("public".to_owned()), name: name.clone() };
    let without_schema = Name { schema: None, name: name.clone() };
    let alternative = match schema.as_deref() {
        None => &in_public,
        Some("public") => &without_schema,
        Some(_) => &known,
    };
    match types.get(&known).or_else(|| types.get(alternative)) {
        Some(UserType::Enum { labels }) => {
            Typed::plain(Type::Enum { schema, name, labels: labels.clone() })
        }
        Some(UserType::Domain {
            base,
            is_not_null,
            has_default,
            has_own_equality,
            fraction_digits,
        }) => Typed {
            has_own_equality: *has_own_equality,
            fraction_digits: *fraction_digits,
            column_type: base.clone(),
            is_not_null: *is_not_null,
            has_default: *has_default,
            has_rules: true,
        },
        None => {
            let quoted = quote_identifier(&name);
            let sql = match schema {
                None => quoted,
                Some(schema) => format!("{}.{quoted}", quote_identifier(&schema)),
            };
            Typed::plain(Type::Other { sql })
        }
    }
}

fn numeric(info: ExactNumberInfo) -> ColumnType {
    let small = |number: u64| u16::try_from(number).ok();
    match info {
        ExactNumberInfo::None => ColumnType::Numeric { precision: None, scale: None },
        ExactNumberInfo::Precision(precision) => {
            ColumnType::Numeric { precision: small(precision), scale: Some(0) }
        }
        ExactNumberInfo::PrecisionAndScale(precision, scale) => {
            ColumnType::Numeric { precision: small(precision), scale: i16::try_from(scale).ok() }
        }
    }
}

fn character_length(length: Option<&CharacterLength>) -> Option<u32> {
    match length {
        Some(CharacterLength::IntegerLength { length, .. }) => u32::try_from(*length).ok(),
        Some(CharacterLength::Max) | None => None,
    }
}

fn is_with_zone(zone: TimezoneInfo) -> bool {
    matches!(zone, TimezoneInfo::WithTimeZone | TimezoneInfo::Tz)
}

/// A label of an enumerated type.
pub(super) fn label(label: &sqlparser::ast::Ident) -> String {
    // The tokenizer leaves doubled quotes as they are.
    label.value.replace("''", "'")
}
