//! What a column takes, in words for whoever sent something else.
//!
//! Pure.

use aurora_sync_catalog::ColumnType;

use super::number::expected_integer;

/// What a column of this type takes, as in "expected …".
pub(super) fn expected(column_type: &ColumnType) -> String {
    use ColumnType as Type;
    match column_type {
        Type::SmallInt => expected_integer(i16::MIN.into(), i16::MAX.into()),
        Type::Integer => expected_integer(i32::MIN.into(), i32::MAX.into()),
        Type::BigInt => expected_integer(i64::MIN, i64::MAX),
        Type::Numeric { .. } => "a decimal number".to_owned(),
        Type::Real | Type::DoublePrecision => "a number".to_owned(),
        Type::Boolean => "true or false".to_owned(),
        Type::Char { .. } | Type::VarChar { .. } | Type::Text | Type::Other { .. } => {
            "a string".to_owned()
        }
        Type::Uuid => "a UUID, such as 6f9619ff-8b86-d011-b42d-00c04fc964ff".to_owned(),
        Type::Json | Type::JsonB => "a JSON value".to_owned(),
        Type::Bytea => "bytes as \\x and hexadecimal digits, such as \\x00ff".to_owned(),
        Type::Date => "a date, such as 2026-11-23".to_owned(),
        Type::Time => "a time without offset, such as 09:30:00".to_owned(),
        Type::TimeTz => "a time with its offset, such as 09:30:00+01:00".to_owned(),
        Type::Timestamp => "a date and time without offset, such as 2026-11-23T09:30:00".to_owned(),
        Type::TimestampTz => {
            "a date and time with its offset, such as 2026-11-23T09:30:00Z".to_owned()
        }
        Type::Interval => "an interval, such as PT1H30M or 1 day 2 hours".to_owned(),
        Type::Inet => "an IP address, such as 192.0.2.1 or 2001:db8::/32".to_owned(),
        Type::Cidr => "a network without bits right of its prefix, such as 192.0.2.0/24".to_owned(),
        Type::Enum { labels, .. } => format!("one of: {}", labels.join(", ")),
        Type::Array(element) => format!("an array, each element {}", expected(element)),
    }
}
