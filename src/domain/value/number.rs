//! Numbers, from their digits to PostgreSQL's syntax, without floats.
//!
//! Pure.

use std::borrow::Cow;

use super::decimal::{Decimal, EXPONENT_MAX};
use super::text::trimmed;
use super::{Fault, Rule};

/// The most digits of a numeric before and after its point (PostgreSQL manual, "Numeric Types").
const WHOLE_DIGITS_MAX: i64 = 131_072;
const FRACTION_DIGITS_MAX: i64 = 16_383;

/// Removes the underscores between digits that PostgreSQL reads since version 16.
fn without_underscores(text: &str) -> Cow<'_, str> {
    let bytes = text.as_bytes();
    let is_between_digits = bytes
        .windows(3)
        .filter(|around| around[1] == b'_')
        .all(|around| around[0].is_ascii_alphanumeric() && around[2].is_ascii_alphanumeric());
    let stands_at_an_end = text.starts_with('_') || text.ends_with('_');
    if !text.contains('_') || stands_at_an_end || !is_between_digits {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.replace('_', ""))
}

/// Reads `0x1F`, `0o17` and `0b101`, which PostgreSQL reads since version 16.
fn based(text: &str) -> Option<i128> {
    let (is_negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let radix = match digits.get(..2)? {
        "0x" | "0X" => 16,
        "0o" | "0O" => 8,
        "0b" | "0B" => 2,
        _ => return None,
    };
    let digits = digits.get(2..)?;
    if digits.starts_with(['-', '+']) {
        return None;
    }
    let number = i128::from_str_radix(digits, radix).ok()?;
    Some(if is_negative { -number } else { number })
}

/// Checks an integer from `min` to `max`. `1.0` and `1e3` are integers too.
pub(super) fn integer(text: &str, min: i64, max: i64) -> Result<Cow<'_, str>, Fault> {
    let text = trimmed(text);
    if is_written_out(text)
        && !text.contains('.')
        && text.parse().is_ok_and(|number| (min..=max).contains(&number) && text != "-0")
    {
        return Ok(Cow::Borrowed(text));
    }
    let text = without_underscores(text);
    let format = || Fault::new(Rule::Format, expected_integer(min, max));
    let range = || {
        let found = if text.starts_with('-') { "smaller" } else { "larger" };
        Fault::new(Rule::Range, format!("{}, not a {found} number", expected_integer(min, max)))
    };
    let number = match based(&text) {
        Some(number) => i64::try_from(number).map_err(|_| range())?,
        None => {
            let decimal = Decimal::parse(&text).ok_or_else(format)?;
            if decimal.is_zero() {
                0
            } else if decimal.low() > 0 {
                let expected = format!("{}, not a fraction", expected_integer(min, max));
                return Err(Fault::new(Rule::Format, expected));
            } else if decimal.top() > 19 {
                return Err(range());
            } else {
                whole_number(&decimal).ok_or_else(range)?
            }
        }
    };
    if (min..=max).contains(&number) { Ok(Cow::Owned(number.to_string())) } else { Err(range()) }
}

/// Returns `true` if the number has the form that these checks return: no plus sign, no leading
/// zeros, no exponent.
fn is_written_out(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    let is_digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    is_digits(whole) && is_digits(fraction) && (whole == "0" || !whole.starts_with('0'))
}

/// Returns the value of a number of at most 19 digits and no fraction.
fn whole_number(decimal: &Decimal<'_>) -> Option<i64> {
    let first = decimal.digits().skip_while(|digit| *digit == b'0');
    let count = usize::try_from(decimal.top()).ok()?;
    let digits = first.chain(std::iter::repeat(b'0')).take(count);
    let size = digits.fold(0_i128, |number, digit| number * 10 + i128::from(digit - b'0'));
    i64::try_from(if decimal.is_negative { -size } else { size }).ok()
}

pub(super) fn expected_integer(min: i64, max: i64) -> String {
    format!("an integer from {min} to {max}")
}

/// Checks a numeric. Refuses more digits after the point than the column holds, which PostgreSQL
/// would silently round.
pub(super) fn numeric(
    text: &str,
    precision: Option<u16>,
    scale: Option<i16>,
) -> Result<Cow<'_, str>, Fault> {
    let text = without_underscores(trimmed(text));
    let format = || Fault::new(Rule::Format, "a decimal number");
    if text.eq_ignore_ascii_case("nan") {
        return Ok(text);
    }
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(&text);
    if unsigned.eq_ignore_ascii_case("infinity") || unsigned.eq_ignore_ascii_case("inf") {
        let is_bounded = precision.is_some();
        return if is_bounded { Err(format()) } else { Ok(text) };
    }
    let text = based(&text).map_or(text, |number| Cow::Owned(number.to_string()));
    let decimal = Decimal::parse(&text).ok_or_else(format)?;
    let (whole_max, fraction_max) = bounds(precision, scale);
    let is_too_large = !decimal.is_zero() && decimal.top() > whole_max;
    let is_too_fine = !decimal.is_zero() && decimal.low() > fraction_max;
    // PostgreSQL first reads a value as a numeric without limits, and then applies those of the
    // column.
    let is_readable = decimal.exponent.abs() <= EXPONENT_MAX
        && decimal.scale() <= FRACTION_DIGITS_MAX
        && (decimal.is_zero() || decimal.top() <= WHOLE_DIGITS_MAX);
    if is_too_large || is_too_fine || !is_readable {
        let mut expected = expected_digits(whole_max, fraction_max);
        if is_too_large && whole_max >= 0 {
            expected.push_str(&format!(", not {} before it", decimal.top()));
        } else if is_too_fine && fraction_max >= 0 {
            expected.push_str(&format!(", not {} after it", decimal.low()));
        }
        return Err(Fault::new(Rule::Precision, expected));
    }
    if is_written_out(&text) || !decimal.is_short() {
        return Ok(text);
    }
    Ok(Cow::Owned(decimal.written_out()))
}

/// Returns the canonical text of a numeric: no plus sign, no leading zeros, no trailing zeros in
/// its fraction.
pub(crate) fn canonical_numeric(text: &str) -> Option<String> {
    let text = numeric(text, None, None).ok()?;
    if let Some(decimal) = Decimal::parse(&text) {
        return Some(decimal.canonical());
    }
    let (sign, word) = match text.strip_prefix('-') {
        Some(word) => ("-", word),
        None => ("", text.strip_prefix('+').unwrap_or(&text)),
    };
    let word = if word.eq_ignore_ascii_case("nan") { "nan" } else { "infinity" };
    Some(format!("{sign}{word}"))
}

/// Returns the most digits before and after the point. Either can be negative: `numeric(2,4)` holds
/// `0.0012`, `numeric(2,-3)` holds `12000`.
fn bounds(precision: Option<u16>, scale: Option<i16>) -> (i64, i64) {
    match precision {
        Some(precision) => {
            let scale = i64::from(scale.unwrap_or(0));
            (i64::from(precision) - scale, scale)
        }
        None => (WHOLE_DIGITS_MAX, FRACTION_DIGITS_MAX),
    }
}

fn expected_digits(whole_max: i64, fraction_max: i64) -> String {
    if fraction_max < 0 {
        let zeros = -fraction_max;
        return format!("at most {whole_max} digits, of which the last {zeros} are zeros");
    }
    if whole_max < 0 {
        let zeros = -whole_max;
        return format!("at most {fraction_max} digits after the point, the first {zeros} zeros");
    }
    format!("at most {whole_max} digits before and {fraction_max} after the point")
}

/// Returns `true` if the text is a decimal number, not a name and not hexadecimal.
pub(super) fn is_finite(text: &str) -> bool {
    Decimal::parse(text).is_some()
}

/// Returns `true` if the text is a number that a numeric without limits holds.
pub(super) fn is_numeric(text: &str) -> bool {
    numeric(text, None, None).is_ok()
}

/// The two types of floats.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Float {
    Real,
    Double,
}

/// Checks a float: a decimal number in the type's range, NaN or an infinity. PostgreSQL reads
/// everything that C's `strtod` reads, also hexadecimal numbers.
pub(super) fn float(text: &str, kind: Float) -> Result<Cow<'_, str>, Fault> {
    let format = || Fault::new(Rule::Format, "a number");
    let word = trimmed(text);
    let unsigned = word.strip_prefix(['-', '+']).unwrap_or(word);
    let is_word =
        ["nan", "infinity", "inf"].iter().any(|special| unsigned.eq_ignore_ascii_case(special));
    if is_word || is_hexadecimal(unsigned) {
        return Ok(Cow::Borrowed(word));
    }
    let decimal = Decimal::parse(word).ok_or_else(format)?;
    let (is_infinite, is_zero) = match kind {
        Float::Real => {
            let number: f32 = word.parse().map_err(|_| format())?;
            (number.is_infinite(), number == 0.0)
        }
        Float::Double => {
            let number: f64 = word.parse().map_err(|_| format())?;
            (number.is_infinite(), number == 0.0)
        }
    };
    if is_infinite || (is_zero && !decimal.is_zero()) {
        let range = match kind {
            Float::Real => "a number from 1e-45 to 3.4e38, or zero",
            Float::Double => "a number from 5e-324 to 1.8e308, or zero",
        };
        return Err(Fault::new(Rule::Range, range));
    }
    Ok(Cow::Borrowed(word))
}

fn is_hexadecimal(unsigned: &str) -> bool {
    let digits = unsigned.strip_prefix("0x").or_else(|| unsigned.strip_prefix("0X"));
    digits.is_some_and(|digits| {
        digits.bytes().any(|byte| byte.is_ascii_hexdigit())
            && digits.bytes().all(|byte| {
                byte.is_ascii_hexdigit() || matches!(byte, b'.' | b'p' | b'P' | b'-' | b'+')
            })
    })
}
