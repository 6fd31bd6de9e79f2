//! Dates and times: the ISO 8601 forms that PostgreSQL reads in one way whatever its settings.
//!
//! Pure.

use jiff::civil;

/// A date, `infinity` or `-infinity`.
pub(super) fn date(text: &str) -> Option<String> {
    let text = text.trim();
    (is_infinity(text) || is_date(text)).then(|| text.to_owned())
}

/// A time, with or without an offset.
pub(super) fn time(text: &str) -> Option<String> {
    let text = text.trim();
    is_time(text).then(|| text.to_owned())
}

/// A date and, after `T` or a blank, a time; or a date alone, which is its midnight.
pub(super) fn timestamp(text: &str) -> Option<String> {
    let text = text.trim();
    let is_timestamp = is_infinity(text)
        || match text.split_once(['T', 't', ' ']) {
            None => is_date(text),
            Some((date, time)) => is_date(date) && is_time(time.trim()),
        };
    is_timestamp.then(|| text.to_owned())
}

fn is_infinity(text: &str) -> bool {
    text.eq_ignore_ascii_case("infinity") || text.eq_ignore_ascii_case("-infinity")
}

/// `2026-11-23`, a day that the calendar has; years from 0001 to 9999.
fn is_date(text: &str) -> bool {
    let parts: Vec<_> = text.split('-').collect();
    let [year, month, day] = parts.as_slice() else { return false };
    let (Some(year), Some(month), Some(day)) = (digits(year, 4), digits(month, 2), digits(day, 2))
    else {
        return false;
    };
    let date = i16::try_from(year).ok().zip(i8::try_from(month).ok()).zip(i8::try_from(day).ok());
    year > 0 && date.is_some_and(|((year, month), day)| civil::Date::new(year, month, day).is_ok())
}

/// `09:30`, `09:30:15`, `09:30:15.123456`, each with `Z`, `+01`, `+0100` or `+01:00` after it.
fn is_time(text: &str) -> bool {
    let offset_at = text.find(['Z', 'z', '+', '-']).unwrap_or(text.len());
    let (clock, offset) = text.split_at(offset_at);
    is_clock(clock.trim_end()) && is_offset(offset)
}

fn is_clock(text: &str) -> bool {
    let (clock, fraction) = match text.split_once('.') {
        None => (text, None),
        Some((clock, fraction)) => (clock, Some(fraction)),
    };
    let parts: Vec<_> = clock.split(':').map(|part| digits(part, 2)).collect();
    let is_clock = match parts.as_slice() {
        [Some(hour), Some(minute)] => fraction.is_none() && *hour < 24 && *minute < 60,
        // PostgreSQL reads 24:00:00 as the day's end, and a leap second as the next minute.
        [Some(24), Some(0), Some(0)] => true,
        [Some(hour), Some(minute), Some(second)] => *hour < 24 && *minute < 60 && *second <= 60,
        _ => false,
    };
    // PostgreSQL keeps microseconds and would round away what is finer.
    let is_fraction = fraction.is_none_or(|fraction| {
        (1..=6).contains(&fraction.len()) && fraction.bytes().all(|byte| byte.is_ascii_digit())
    });
    is_clock && is_fraction
}

fn is_offset(text: &str) -> bool {
    let Some(sign) = text.chars().next() else { return true };
    if matches!(sign, 'Z' | 'z') {
        return text.len() == 1;
    }
    let offset: String = text.chars().skip(1).collect();
    let (hours, minutes) = match offset.split_once(':') {
        Some((hours, minutes)) => (hours, minutes),
        None => match offset.len() {
            4 => (offset.get(..2).unwrap_or_default(), offset.get(2..).unwrap_or_default()),
            _ => (offset.as_str(), "00"),
        },
    };
    // "Values outside ±15:59 are refused" (source: PostgreSQL, MAX_TZDISP_HOUR).
    digits(hours, 2).is_some_and(|hours| hours <= 15)
        && digits(minutes, 2).is_some_and(|minutes| minutes < 60)
}

fn digits(text: &str, count: usize) -> Option<u32> {
    let is_number = text.len() == count && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().ok()).flatten()
}
