//! Descriptions of the values that a column accepts, for messages about other values.
//!
//! Pure.

use aurora_sync_catalog::ColumnType;

use super::number::expected_integer;

/// The most labels of an enum in a description, since each rejected row stores one.
const LABELS_MAX: usize = 20;

/// The most bytes of these labels. One label may have 63 bytes.
const LABELS_BYTES_MAX: usize = 300;

/// Describes the values of a type, to follow the word "expected".
pub(crate) fn expected(column_type: &ColumnType) -> String {
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
        Type::Enum { labels, .. } => expected_label(labels),
        Type::Array(element) => format!("an array, each element {}", expected(element)),
    }
}

fn expected_label(labels: &[String]) -> String {
    let mut bytes = 0;
    let named = labels.iter().take(LABELS_MAX).take_while(|label| {
        bytes += label.len();
        bytes <= LABELS_BYTES_MAX
    });
    let named = &labels[..named.count()];
    let all = named.join(", ");
    match labels.len() - named.len() {
        0 => format!("one of: {all}"),
        others => format!("one of: {all} and {others} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_labels(labels: impl IntoIterator<Item = String>) -> String {
        let labels = labels.into_iter().collect();
        expected(&ColumnType::Enum { schema: "public".into(), name: "e".into(), labels })
    }

    #[test]
    fn a_few_labels_are_listed() {
        assert_eq!(of_labels(["a".to_owned(), "b".to_owned()]), "one of: a, b");
        let labels: Vec<_> = (0..LABELS_MAX).map(|n| format!("label {n}")).collect();
        assert!(of_labels(labels).ends_with(&format!("label {}", LABELS_MAX - 1)));
    }

    #[test]
    fn the_first_of_many_labels_are_listed_and_the_others_counted() {
        let found = of_labels((0..400).map(|n| format!("l{n}")));
        assert!(found.starts_with("one of: l0, l1, l2, "), "{found}");
        assert!(found.ends_with(", l19 and 380 more"), "{found}");
        // A label may have 63 bytes.
        let found = of_labels((0..15).map(|n| format!("{n:060}")));
        assert!(found.ends_with(" and 10 more"), "{found}");
        assert!(found.len() < 400, "{found}");
    }
}
