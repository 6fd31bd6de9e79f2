//! Canonical texts: one text for all texts that PostgreSQL reads as equal values.
//!
//! Pure.

use std::net::IpAddr;

use aurora_sync_catalog::ColumnType;

use crate::domain::value::{
    canonical_date, canonical_numeric, canonical_time, canonical_timestamp,
};

/// Returns `true` if [`canonical`] returns equal texts for equal values of the type, and only for
/// these.
pub fn has_one_spelling(column_type: &ColumnType) -> bool {
    !matches!(
        column_type,
        ColumnType::Interval
            | ColumnType::TimeTz
            | ColumnType::Json
            | ColumnType::JsonB
            | ColumnType::Array(_)
            | ColumnType::Other { .. }
    )
}

/// Returns the canonical text of a value, or `None` if it is not known for this text.
pub fn canonical(column_type: &ColumnType, text: &str) -> Option<String> {
    let word = text.trim();
    match column_type {
        ColumnType::SmallInt | ColumnType::Integer | ColumnType::BigInt => {
            word.parse::<i64>().ok().map(|number| number.to_string())
        }
        ColumnType::Numeric { .. } => canonical_numeric(text),
        // The sum with zero makes -0 equal to 0.
        ColumnType::Real => word.parse::<f32>().ok().map(|number| (number + 0.0).to_string()),
        ColumnType::DoublePrecision => {
            word.parse::<f64>().ok().map(|number| (number + 0.0).to_string())
        }
        ColumnType::Uuid => {
            uuid::Uuid::try_parse(word).ok().map(|uuid| uuid.hyphenated().to_string())
        }
        // Trailing blanks have no meaning in char(n) (PostgreSQL manual, "Character Types").
        ColumnType::Char { .. } => Some(text.trim_end_matches(' ').to_owned()),
        ColumnType::Boolean => match word.to_ascii_lowercase().as_str() {
            "t" | "tr" | "tru" | "true" | "y" | "ye" | "yes" | "on" | "1" => {
                Some("true".to_owned())
            }
            _ => Some("false".to_owned()),
        },
        ColumnType::Date | ColumnType::Timestamp | ColumnType::TimestampTz
            if ["infinity", "-infinity"].iter().any(|end| word.eq_ignore_ascii_case(end)) =>
        {
            Some(word.to_ascii_lowercase())
        }
        ColumnType::Date => canonical_date(text),
        ColumnType::Timestamp => canonical_timestamp(text, false),
        ColumnType::TimestampTz => canonical_timestamp(text, true),
        ColumnType::Time => canonical_time(text),
        ColumnType::Inet | ColumnType::Cidr => canonical_network(word),
        ColumnType::Bytea => {
            let is_hexadecimal =
                text.strip_prefix("\\x")?.bytes().all(|byte| byte.is_ascii_hexdigit());
            is_hexadecimal.then(|| text.to_ascii_lowercase())
        }
        ColumnType::VarChar { .. } | ColumnType::Text | ColumnType::Enum { .. } => {
            Some(text.to_owned())
        }
        ColumnType::Interval
        | ColumnType::TimeTz
        | ColumnType::Json
        | ColumnType::JsonB
        | ColumnType::Array(_)
        | ColumnType::Other { .. } => None,
    }
}

/// Formats an address, followed by its prefix length unless that covers the whole address.
fn canonical_network(text: &str) -> Option<String> {
    let (address, prefix) = match text.split_once('/') {
        None => (text, None),
        Some((address, prefix)) => (address, Some(prefix.parse::<u8>().ok()?)),
    };
    let address: IpAddr = address.parse().ok()?;
    let whole = if address.is_ipv4() { 32 } else { 128 };
    Some(match prefix.filter(|prefix| *prefix != whole) {
        None => address.to_string(),
        Some(prefix) => format!("{address}/{prefix}"),
    })
}
