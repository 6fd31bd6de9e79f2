//! Numbers, from their digits to PostgreSQL's syntax, never through a float.
//!
//! Pure.

use super::{Fault, Rule};

/// Most digits of a numeric before and after its point ("Numeric Types").
const WHOLE_DIGITS_MAX: usize = 131_072;
const FRACTION_DIGITS_MAX: usize = 16_383;

/// A decimal number, taken apart: `sign`, the digits before the point and those after it.
struct Decimal {
    is_negative: bool,
    whole: String,
    fraction: String,
}

impl Decimal {
    /// Reads `-12.50`, `1e3`, `.5`. An exponent moves the point, within the bounds of a numeric.
    fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let (is_negative, digits) = match text.as_bytes().first()? {
            b'-' => (true, text.get(1..)?),
            b'+' => (false, text.get(1..)?),
            _ => (false, text),
        };
        let (mantissa, exponent) = match digits.find(['e', 'E']) {
            None => (digits, 0),
            Some(place) => (digits.get(..place)?, digits.get(place + 1..)?.parse::<i32>().ok()?),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let is_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if (whole.is_empty() && fraction.is_empty()) || !is_digits(whole) || !is_digits(fraction) {
            return None;
        }
        let (mut whole, mut fraction) = (whole.to_owned(), fraction.to_owned());
        let shift = usize::try_from(exponent.unsigned_abs()).ok()?;
        if shift > WHOLE_DIGITS_MAX {
            return None;
        }
        if exponent >= 0 {
            while fraction.len() < shift {
                fraction.push('0');
            }
            let rest = fraction.split_off(shift);
            whole.push_str(&fraction);
            fraction = rest;
        } else {
            let missing = shift.saturating_sub(whole.len());
            whole.insert_str(0, &"0".repeat(missing));
            let moved = whole.split_off(whole.len() - shift);
            fraction.insert_str(0, &moved);
        }
        let whole = whole.trim_start_matches('0').to_owned();
        Some(Self { is_negative, whole, fraction })
    }

    fn is_integral(&self) -> bool {
        self.fraction.bytes().all(|digit| digit == b'0')
    }

    fn whole_text(&self) -> String {
        let sign = if self.is_negative { "-" } else { "" };
        let whole = if self.whole.is_empty() { "0" } else { &self.whole };
        format!("{sign}{whole}")
    }
}

/// An integer of a column from `min` to `max`. `1.0` and `1e3` are integers too.
pub(super) fn integer(text: &str, min: i64, max: i64) -> Result<String, Fault> {
    let format = || Fault::new(Rule::Format, expected_integer(min, max));
    let decimal = Decimal::parse(text).filter(Decimal::is_integral).ok_or_else(format)?;
    match decimal.whole_text().parse::<i64>() {
        Ok(number) if (min..=max).contains(&number) => Ok(number.to_string()),
        _ => Err(Fault::new(Rule::Range, expected_integer(min, max))),
    }
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
    let word = text.trim();
    if word.eq_ignore_ascii_case("nan") {
        return Ok(word.to_owned());
    }
    let decimal =
        Decimal::parse(word).ok_or_else(|| Fault::new(Rule::Format, "a decimal number"))?;
    let (whole_max, fraction_max) = match (precision, scale) {
        (Some(precision), scale) => {
            let scale = i32::from(scale.unwrap_or(0));
            let whole = usize::try_from(i32::from(precision) - scale).unwrap_or(0);
            (whole, usize::try_from(scale).ok())
        }
        (None, _) => (WHOLE_DIGITS_MAX, Some(FRACTION_DIGITS_MAX)),
    };
    let fraction_digits = decimal.fraction.trim_end_matches('0').len();
    // With a negative scale PostgreSQL rounds before the point; that is left to it.
    let is_too_fine = fraction_max.is_some_and(|max| fraction_digits > max);
    if decimal.whole.len() > whole_max || is_too_fine {
        let fraction_max = fraction_max.unwrap_or(0);
        let expected =
            format!("at most {whole_max} digits before and {fraction_max} after the point");
        return Err(Fault::new(Rule::Precision, expected));
    }
    let fraction = decimal.fraction.as_str();
    let whole = decimal.whole_text();
    Ok(if fraction.is_empty() { whole } else { format!("{whole}.{fraction}") })
}

/// A real or double precision: any decimal number, NaN and the infinities.
pub(super) fn float(text: &str) -> Option<String> {
    let word = text.trim();
    let unsigned = word.strip_prefix(['-', '+']).unwrap_or(word);
    let is_special =
        ["nan", "infinity", "inf"].iter().any(|special| unsigned.eq_ignore_ascii_case(special));
    let is_number = unsigned.starts_with(|first: char| first.is_ascii_digit() || first == '.')
        && word.parse::<f64>().is_ok();
    (is_special || is_number).then(|| word.to_owned())
}
