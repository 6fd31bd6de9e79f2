//! Decimal numbers in digits, exact at any size.
//!
//! Pure. An exponent is written out up to a few digits only: `1e131071` is short to send, and its
//! digits take much memory.

/// The largest exponent that PostgreSQL reads.
pub(super) const EXPONENT_MAX: i64 = 1_073_741_822;

/// The most digits of a number whose exponent is written out, and the most zeros at an end of a
/// canonical number.
const WRITTEN_OUT_MAX: i64 = 40;

/// The parts of a decimal number such as `-12.50e3`.
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

    /// Returns the number of digits before the point. It is negative if zeros follow the point
    /// before the first digit.
    pub(super) fn top(&self) -> i64 {
        let zeros = self.digits().take_while(|digit| *digit == b'0').count();
        len(self.whole) + self.exponent - count(zeros)
    }

    /// Returns the number of digits after the point without trailing zeros. It is negative if zeros
    /// end the whole part.
    pub(super) fn low(&self) -> i64 {
        let zeros = self.digits().rev().take_while(|digit| *digit == b'0').count();
        len(self.fraction) - self.exponent - count(zeros)
    }

    /// Returns the number of digits after the point that PostgreSQL keeps.
    pub(super) fn scale(&self) -> i64 {
        (len(self.fraction) - self.exponent).max(0)
    }

    /// Formats the number without an exponent. Call it only if the result is short.
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

    /// Formats the number as canonical text, with an exponent for many zeros at an end.
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
    // PostgreSQL skips blanks here, except for a float.
    let text = text.trim_start_matches(' ');
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    // An exponent that is too long to read is too large to be valid.
    let size = digits.parse().unwrap_or(i64::MAX).min(EXPONENT_MAX + 1);
    Some(if text.starts_with('-') { -size } else { size })
}

fn len(text: &str) -> i64 {
    count(text.len())
}

fn count(n: usize) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}
