//! One spelling for all spellings of a value that PostgreSQL holds equal.
//!
//! Pure.

use std::net::IpAddr;

use aurora_sync_catalog::ColumnType;

use crate::value::{canonical_date, canonical_moment};

/// Whether [`canonical`] gives equal values of the type equal texts, and no others.
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

/// The one spelling of a value; `None` where it is not known for this text.
pub fn canonical(column_type: &ColumnType, text: &str) -> Option<String> {
    let word = text.trim();
    match column_type {
        ColumnType::SmallInt | ColumnType::Integer | ColumnType::BigInt => {
            word.parse::<i64>().ok().map(|number| number.to_string())
        }
        ColumnType::Numeric { .. } => Some(canonical_decimal(text)),
        // Adding a zero makes one of -0 and 0.
        ColumnType::Real => word.parse::<f32>().ok().map(|number| (number + 0.0).to_string()),
        ColumnType::DoublePrecision => {
            word.parse::<f64>().ok().map(|number| (number + 0.0).to_string())
        }
        ColumnType::Uuid => {
            uuid::Uuid::try_parse(word).ok().map(|uuid| uuid.hyphenated().to_string())
        }
        // Trailing blanks mean nothing in char(n) ("Character Types").
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
        ColumnType::Timestamp => canonical_moment(text).map(with_time),
        // Sessions of the Data API are in UTC (measured, see DATA_API.md): so is a time without offset.
        ColumnType::TimestampTz => canonical_moment(text).map(|moment| {
            let moment = with_time(moment);
            if moment.ends_with('Z') { moment } else { format!("{moment}Z") }
        }),
        ColumnType::Time => word.parse::<jiff::civil::Time>().ok().map(|time| time.to_string()),
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

/// A date is its midnight.
fn with_time(moment: String) -> String {
    if moment.contains('T') { moment } else { format!("{moment}T00:00:00") }
}

/// An address, with its prefix where that does not take it whole.
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

/// A decimal without sign of plus, leading zeros, or trailing zeros of its fraction.
fn canonical_decimal(text: &str) -> String {
    let text = text.trim();
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", text.strip_prefix('+').unwrap_or(text)),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if whole.is_empty() && fraction.is_empty()
        || !whole.bytes().chain(fraction.bytes()).all(|byte| byte.is_ascii_digit())
    {
        // Infinite ones, and what is no number.
        let infinite =
            digits.eq_ignore_ascii_case("inf") || digits.eq_ignore_ascii_case("infinity");
        let word = if infinite { "infinity".to_owned() } else { digits.to_ascii_lowercase() };
        return format!("{sign}{word}");
    }
    let whole = match whole.trim_start_matches('0') {
        "" => "0",
        whole => whole,
    };
    match fraction.trim_end_matches('0') {
        "" if whole == "0" => "0".to_owned(),
        "" => format!("{sign}{whole}"),
        fraction => format!("{sign}{whole}.{fraction}"),
    }
}
