//! Decimal numbers as they are written, exact whatever their size.
//!
//! Pure. An exponent is never written out beyond a few digits: `1e131071` is short to send and long
//! to hold.

/// Largest exponent that PostgreSQL reads.
pub(super) const EXPONENT_MAX: i64 = 1_073_741_822;

/// Longest number that an exponent is written out to, and most zeros that a key has at an end.
const WRITTEN_OUT_MAX: i64 = 40;

/// A decimal number, taken apart: `-12.50e3`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Decimal<'a> {
    pub(super) is_negative: bool,
    whole: &'a str,
    fraction: &'a str,
    pub(super) exponent: i64,
}

impl<'a> Decimal<'a> {
    pub(super) fn parse(text: &'a str) -> Option<Self> {
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

    pub(super) fn digits(&self) -> impl DoubleEndedIterator<Item = u8> {
        self.whole.bytes().chain(self.fraction.bytes())
    }

    pub(super) fn is_zero(&self) -> bool {
        self.digits().all(|digit| digit == b'0')
    }

    /// Digits before the point; negative where zeros follow the point before the first digit.
    pub(super) fn top(&self) -> i64 {
        let zeros = self.digits().take_while(|digit| *digit == b'0').count();
        len(self.whole) + self.exponent - count(zeros)
    }

    /// Digits after the point that are not trailing zeros; negative where zeros end the whole part.
    pub(super) fn low(&self) -> i64 {
        let zeros = self.digits().rev().take_while(|digit| *digit == b'0').count();
        len(self.fraction) - self.exponent - count(zeros)
    }

    /// Digits after the point, as PostgreSQL keeps them.
    pub(super) fn scale(&self) -> i64 {
        (len(self.fraction) - self.exponent).max(0)
    }

    /// The number without its exponent. Only for a number that is short in this form.
    pub(super) fn written_out(&self) -> String {
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

    /// The one spelling of the number, whatever it is written like. Many zeros at an end of it are told by an exponent.
    pub(super) fn canonical(&self) -> String {
        if self.is_zero() {
            return "0".to_owned();
        }
        let digits = format!("{}{}", self.whole, self.fraction);
        let digits = digits.trim_matches('0');
        let exponent = self.top() - len(digits);
        if exponent > WRITTEN_OUT_MAX || self.top() < -WRITTEN_OUT_MAX {
            let sign = if self.is_negative { "-" } else { "" };
            return format!("{sign}{digits}e{exponent}");
        }
        Decimal { is_negative: self.is_negative, whole: digits, fraction: "", exponent }
            .written_out()
    }

    pub(super) fn is_short(&self) -> bool {
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
