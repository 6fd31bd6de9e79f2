//! Numbers, from their digits to PostgreSQL's syntax, never through a float.
//!
//! Pure. An exponent is never written out beyond a few digits: `1e131071` is short to send and long
//! to hold.

use std::borrow::Cow;

use super::text::trimmed;
use super::{Fault, Rule};

/// Most digits of a numeric before and after its point ("Numeric Types").
const WHOLE_DIGITS_MAX: i64 = 131_072;
const FRACTION_DIGITS_MAX: i64 = 16_383;

/// Largest exponent that PostgreSQL reads.
const EXPONENT_MAX: i64 = 1_073_741_822;

/// Longest number that an exponent is written out to, so that `1e3` and `1000` are one key.
const WRITTEN_OUT_MAX: i64 = 40;

/// A decimal number, taken apart: `-12.50e3`.
#[derive(Debug, Clone, Copy)]
struct Decimal<'a> {
    is_negative: bool,
    whole: &'a str,
    fraction: &'a str,
    exponent: i64,
}

impl<'a> Decimal<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let (is_negative, digits) = match text.as_bytes().first()? {
            b'-' => (true, text.get(1..)?),
            b'+' => (false, text.get(1..)?),
            _ => (false, text),
        };
        let (mantissa, exponent) = match digits.split_once(['e', 'E']) {
            None => (digits, 0),
            Some((mantissa, exponent)) => (mantissa, exponent_of(exponent)?),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let is_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if (whole.is_empty() && fraction.is_empty()) || !is_digits(whole) || !is_digits(fraction) {
            return None;
        }
        Some(Self { is_negative, whole, fraction, exponent })
    }

    fn digits(&self) -> impl DoubleEndedIterator<Item = u8> {
        self.whole.bytes().chain(self.fraction.bytes())
    }

    fn is_zero(&self) -> bool {
        self.digits().all(|digit| digit == b'0')
    }

    /// Digits before the point; negative where zeros follow the point before the first digit.
    fn top(&self) -> i64 {
        let zeros = self.digits().take_while(|digit| *digit == b'0').count();
        len(self.whole) + self.exponent - count(zeros)
    }

    /// Digits after the point that are not trailing zeros; negative where zeros end the whole part.
    fn low(&self) -> i64 {
        let zeros = self.digits().rev().take_while(|digit| *digit == b'0').count();
        len(self.fraction) - self.exponent - count(zeros)
    }

    /// Digits after the point, as PostgreSQL keeps them.
    fn scale(&self) -> i64 {
        (len(self.fraction) - self.exponent).max(0)
    }

    /// The number without its exponent. Only for a number that is short in this form.
    fn written_out(&self) -> String {
        let mut digits = format!("{}{}", self.whole, self.fraction);
        let point = len(self.whole) + self.exponent;
        let pad = |missing: i64| "0".repeat(usize::try_from(missing).unwrap_or(0));
        digits.insert_str(0, &pad(-point));
        digits.push_str(&pad(point - len(&digits)));
        let point = usize::try_from(point).unwrap_or(0);
        let (whole, fraction) = digits.split_at_checked(point).unwrap_or((digits.as_str(), ""));
        let whole = match whole.trim_start_matches('0') {
            "" => "0",
            whole => whole,
        };
        let sign = if self.is_negative { "-" } else { "" };
        let point = if fraction.is_empty() { "" } else { "." };
        format!("{sign}{whole}{point}{fraction}")
    }

    fn is_short(&self) -> bool {
        let length = len(self.whole) + len(self.fraction);
        self.exponent.abs() <= WRITTEN_OUT_MAX && (self.exponent == 0 || length <= WRITTEN_OUT_MAX)
    }
}

fn exponent_of(text: &str) -> Option<i64> {
    // PostgreSQL skips blanks here, but for a float.
    let text = text.trim_start_matches(' ');
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    // What is too long to read is too large to be right.
    let size = digits.parse().unwrap_or(i64::MAX).min(EXPONENT_MAX + 1);
    Some(if text.starts_with('-') { -size } else { size })
}

fn len(text: &str) -> i64 {
    count(text.len())
}

fn count(n: usize) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

/// Without the underscores between digits that PostgreSQL reads since version 16.
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

/// `0x1F`, `0o17`, `0b101`, which PostgreSQL reads since version 16.
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

/// An integer of a column from `min` to `max`. `1.0` and `1e3` are integers too.
pub(super) fn integer(text: &str, min: i64, max: i64) -> Result<String, Fault> {
    let text = without_underscores(trimmed(text));
    let format = || Fault::new(Rule::Format, expected_integer(min, max));
    let range = || Fault::new(Rule::Range, expected_integer(min, max));
    let number = match based(&text) {
        Some(number) => i64::try_from(number).map_err(|_| range())?,
        None => {
            let decimal = Decimal::parse(&text).ok_or_else(format)?;
            if decimal.is_zero() {
                0
            } else if decimal.low() > 0 {
                return Err(format());
            } else if decimal.top() > 19 {
                return Err(range());
            } else {
                whole_number(&decimal).ok_or_else(range)?
            }
        }
    };
    if (min..=max).contains(&number) { Ok(number.to_string()) } else { Err(range()) }
}

/// A number of at most 19 digits and no fraction.
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

/// A numeric. More digits after the point than the column holds are refused: PostgreSQL would round
/// them away without a word.
pub(super) fn numeric(
    text: &str,
    precision: Option<u16>,
    scale: Option<i16>,
) -> Result<String, Fault> {
    let text = without_underscores(trimmed(text));
    let format = || Fault::new(Rule::Format, "a decimal number");
    if text.eq_ignore_ascii_case("nan") {
        return Ok(text.into_owned());
    }
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(&text);
    if unsigned.eq_ignore_ascii_case("infinity") || unsigned.eq_ignore_ascii_case("inf") {
        let is_bounded = precision.is_some();
        return if is_bounded { Err(format()) } else { Ok(text.into_owned()) };
    }
    let text = based(&text).map_or(text, |number| Cow::Owned(number.to_string()));
    let decimal = Decimal::parse(&text).ok_or_else(format)?;
    let (whole_max, fraction_max) = bounds(precision, scale);
    let is_too_large = !decimal.is_zero() && decimal.top() > whole_max;
    let is_too_fine = !decimal.is_zero() && decimal.low() > fraction_max;
    // PostgreSQL reads a value as a numeric without bounds before it looks at the column's.
    let is_readable = decimal.exponent.abs() <= EXPONENT_MAX
        && decimal.scale() <= FRACTION_DIGITS_MAX
        && (decimal.is_zero() || decimal.top() <= WHOLE_DIGITS_MAX);
    if is_too_large || is_too_fine || !is_readable {
        return Err(Fault::new(Rule::Precision, expected_digits(whole_max, fraction_max)));
    }
    Ok(if decimal.is_short() { decimal.written_out() } else { text.into_owned() })
}

/// Most digits before and after the point. Either can be negative: `numeric(2,4)` holds `0.0012`,
/// `numeric(2,-3)` holds `12000`.
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

/// Whether the text is a number that a numeric without bounds holds.
pub(super) fn is_numeric(text: &str) -> bool {
    numeric(text, None, None).is_ok()
}

/// Which of the two kinds of floats.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Float {
    Real,
    Double,
}

/// A float: any decimal number within its range, NaN and the infinities. PostgreSQL reads what C's
/// `strtod` reads, the hexadecimal form with it.
pub(super) fn float(text: &str, kind: Float) -> Result<String, Fault> {
    let format = || Fault::new(Rule::Format, "a number");
    let word = trimmed(text);
    let unsigned = word.strip_prefix(['-', '+']).unwrap_or(word);
    let is_word =
        ["nan", "infinity", "inf"].iter().any(|special| unsigned.eq_ignore_ascii_case(special));
    if is_word || is_hexadecimal(unsigned) {
        return Ok(word.to_owned());
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
    Ok(word.to_owned())
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
