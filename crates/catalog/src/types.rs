//! The PostgreSQL types of columns, and how a value of each is cast.

use serde::{Deserialize, Serialize};

use crate::identifier::quote_identifier;

/// A column's type, as far as the worker needs to know it.
///
/// Domains stand here as their base type; their checks are left to the database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ColumnType {
    SmallInt,
    Integer,
    BigInt,
    /// `numeric` with its precision and scale, where they are declared.
    Numeric {
        precision: Option<u16>,
        scale: Option<i16>,
    },
    Real,
    DoublePrecision,
    Boolean,
    /// `char(n)`, blank-padded; length in characters.
    Char {
        length: u32,
    },
    /// `varchar` or `varchar(n)`; length in characters.
    VarChar {
        length: Option<u32>,
    },
    Text,
    Uuid,
    Json,
    JsonB,
    Bytea,
    Date,
    /// `time` without time zone.
    Time,
    /// `time with time zone`.
    TimeTz,
    /// `timestamp` without time zone.
    Timestamp,
    /// `timestamp with time zone`.
    TimestampTz,
    Interval,
    Inet,
    Cidr,
    /// An enumerated type.
    Enum {
        schema: String,
        name: String,
        labels: Vec<String>,
    },
    /// A one-dimensional array of any other type.
    Array(Box<ColumnType>),
    /// A type that is left to the database, by its SQL name, such as `macaddr` or `citext`.
    Other {
        sql: String,
    },
}

impl ColumnType {
    /// Returns the type that PostgreSQL knows by this name, if it has no length and none of the
    /// other names that `pg_type` and people give it.
    pub(crate) fn plain(name: &str) -> Option<Self> {
        Some(match name {
            "text" => Self::Text,
            "uuid" => Self::Uuid,
            "json" => Self::Json,
            "jsonb" => Self::JsonB,
            "bytea" => Self::Bytea,
            "date" => Self::Date,
            "time" => Self::Time,
            "timetz" => Self::TimeTz,
            "timestamp" => Self::Timestamp,
            "timestamptz" => Self::TimestampTz,
            "interval" => Self::Interval,
            "inet" => Self::Inet,
            "cidr" => Self::Cidr,
            _ => return None,
        })
    }

    /// The type to cast a value to, *without* its length.
    ///
    /// An explicit cast to `char(4)` cuts a longer value silently, while the assignment of a
    /// `bpchar` to a `char(4)` column refuses it (PostgreSQL manual, "Character Types").
    pub fn cast_name(&self) -> String {
        match self {
            Self::SmallInt => "smallint".to_owned(),
            Self::Integer => "integer".to_owned(),
            Self::BigInt => "bigint".to_owned(),
            Self::Numeric { .. } => "numeric".to_owned(),
            Self::Real => "real".to_owned(),
            Self::DoublePrecision => "double precision".to_owned(),
            Self::Boolean => "boolean".to_owned(),
            Self::Char { .. } => "bpchar".to_owned(),
            Self::VarChar { .. } => "varchar".to_owned(),
            Self::Text => "text".to_owned(),
            Self::Uuid => "uuid".to_owned(),
            Self::Json => "json".to_owned(),
            Self::JsonB => "jsonb".to_owned(),
            Self::Bytea => "bytea".to_owned(),
            Self::Date => "date".to_owned(),
            Self::Time => "time".to_owned(),
            Self::TimeTz => "timetz".to_owned(),
            Self::Timestamp => "timestamp".to_owned(),
            Self::TimestampTz => "timestamptz".to_owned(),
            Self::Interval => "interval".to_owned(),
            Self::Inet => "inet".to_owned(),
            Self::Cidr => "cidr".to_owned(),
            Self::Enum { schema, name, .. } => {
                format!("{}.{}", quote_identifier(schema), quote_identifier(name))
            }
            Self::Array(element) => format!("{}[]", element.cast_name()),
            Self::Other { sql } => sql.clone(),
        }
    }

    /// Returns whether PostgreSQL has, as far as is known, no equality and no order for the type.
    pub fn lacks_equality(&self) -> bool {
        match self {
            Self::Json | Self::Other { .. } => true,
            Self::Array(element) => element.lacks_equality(),
            _ => false,
        }
    }
}
