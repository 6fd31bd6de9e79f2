//! Numbers with groups of digits, such as `1,234.5`.
//!
//! Pure. Groups must be complete and have three digits each, so that a file with other separators
//! than declared is refused and never misread.

use std::borrow::Cow;

/// The form of the numbers in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Numbers {
    /// The form that PostgreSQL reads.
    Plain,
    /// Groups with commas: `1,234.5`.
    CommaGroups,
    /// Groups with points: `1.234,5`.
    PointGroups,
}

impl Numbers {
    /// All forms, in the order of the documentation.
    pub const ALL: [Self; 3] = [Self::Plain, Self::CommaGroups, Self::PointGroups];

    /// Returns the value of the option `numbers`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::CommaGroups => "1,234.5",
            Self::PointGroups => "1.234,5",
        }
    }

    /// Returns the number in the form that PostgreSQL reads, or `None` if its separators are not as
    /// declared.
    pub fn plain(self, text: &str) -> Option<Cow<'_, str>> {
        let (group, point) = match self {
            Self::Plain => return Some(Cow::Borrowed(text)),
            Self::CommaGroups => (',', '.'),
            Self::PointGroups => ('.', ','),
        };
        if !text.contains([group, point]) {
            return Some(Cow::Borrowed(text));
        }
        let text = text.trim_matches([' ', '\t', '\n', '\u{b}', '\u{c}', '\r']);
        let (mantissa, exponent) = text.split_at(text.find(['e', 'E']).unwrap_or(text.len()));
        let (whole, fraction) = mantissa.split_once(point).unwrap_or((mantissa, ""));
        let digits = whole.strip_prefix(['-', '+']).unwrap_or(whole);
        let is_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        let is_sound = is_grouped(digits, group) && is_digits(&digits.replace(group, ""));
        if !is_sound || !is_digits(fraction) || exponent.contains([group, point]) {
            return None;
        }
        let point = if mantissa.contains(point) { "." } else { "" };
        Some(Cow::Owned(format!("{}{point}{fraction}{exponent}", whole.replace(group, ""))))
    }
}

/// Returns `true` for one group, and for groups of three characters after the first one.
fn is_grouped(digits: &str, group: char) -> bool {
    match digits.split_once(group) {
        None => true,
        Some((first, rest)) => {
            (1..=3).contains(&first.len()) && rest.split(group).all(|part| part.len() == 3)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(numbers: Numbers, text: &str, expected: Option<&str>) {
        assert_eq!(numbers.plain(text).as_deref(), expected, "{text}");
    }

    #[test]
    fn groups_of_another_size_are_refused() {
        let commas = Numbers::CommaGroups;
        check(commas, "1,234.5", Some("1234.5"));
        check(commas, "-12,345,678", Some("-12345678"));
        check(commas, "1234.5", Some("1234.5"));
        check(commas, "1234567", Some("1234567"));
        check(commas, " +1,000 ", Some("+1000"));
        check(commas, ".5", Some(".5"));
        check(commas, "1,234.5e3", Some("1234.5e3"));
        check(commas, "NaN", Some("NaN"));
        check(commas, "0x1e", Some("0x1e"));
        for text in [
            "1,23",
            "1234,567",
            "1,2345",
            ",123",
            "1,,234",
            "1,234,",
            "1.234,5",
            "1.2,345",
            "1.5e1,000",
            "1.5.5",
        ] {
            check(commas, text, None);
        }
        let points = Numbers::PointGroups;
        check(points, "1.234,5", Some("1234.5"));
        check(points, "1.234", Some("1234"));
        check(points, "0,25", Some("0.25"));
        for text in ["1234.5", "1,234.5", "1.23"] {
            check(points, text, None);
        }
        check(Numbers::Plain, "1,234.5", Some("1,234.5"));
    }
}
