//! Intervals.
//!
//! Pure. PostgreSQL reads ISO 8601 (`P1DT2H`, `P0001-02-03T04:05:06`), the form of the SQL standard
//! (`1-2`, `3 4:05:06`) and its own verbose form (`1 day 2 hours ago`). The checks refuse a text
//! only if none of them allows it.

use super::text::trimmed;

/// The longest text of an interval, in bytes (source: PostgreSQL, `INTERVAL_OUT` buffers,
/// `MAXDATELEN`).
const LENGTH_MAX: usize = 256;

/// The words of the verbose form, cut to the ten letters that PostgreSQL compares (source:
/// `deltatktbl`, `datetktbl`).
const WORDS: [&str; 58] = [
    "ago",
    "at",
    "c",
    "cent",
    "centuries",
    "century",
    "d",
    "day",
    "days",
    "dec",
    "decade",
    "decades",
    "decs",
    "e",
    "h",
    "hour",
    "hours",
    "hr",
    "hrs",
    "inf",
    "infinity",
    "m",
    "microsecon",
    "mil",
    "millennia",
    "millennium",
    "millisecon",
    "mils",
    "min",
    "mins",
    "minute",
    "minutes",
    "mon",
    "mons",
    "month",
    "months",
    "ms",
    "msec",
    "msecs",
    "msecond",
    "mseconds",
    "on",
    "qtr",
    "quarter",
    "s",
    "sec",
    "second",
    "seconds",
    "secs",
    "us",
    "usec",
    "usecond",
    "useconds",
    "usecs",
    "w",
    "week",
    "weeks",
    "y",
];

/// Checks an interval, and returns it without the blanks around it.
pub(super) fn interval(text: &str) -> Option<&str> {
    let text = trimmed(text);
    let is_iso = text.starts_with('P') && is_iso(text);
    let may_be = text.is_ascii() && text.len() <= LENGTH_MAX && (is_iso || is_verbose(text));
    may_be.then_some(text)
}

fn is_iso(text: &str) -> bool {
    text.len() > 1
        && text
            .bytes()
            .skip(1)
            .all(|byte| byte.is_ascii_digit() || b"TYMWDHSeE.,:+- ".contains(&byte))
}

/// Returns `true` for numbers and known words, with at least one number or an infinity.
fn is_verbose(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    // PostgreSQL reads a point without digits as zero.
    let says_how_much =
        lower.bytes().any(|byte| byte.is_ascii_digit() || byte == b'.') || lower.contains("inf");
    let mut words = lower.split(|character: char| !character.is_ascii_alphabetic());
    says_how_much
        && words.all(|word| {
            let word = word.get(..10).unwrap_or(word);
            word.is_empty()
                || WORDS.contains(&word)
                || matches!(word, "year" | "years" | "yr" | "yrs")
        })
}
