//! Dates and times.
//!
//! Pure. Texts in ISO 8601 are checked completely. PostgreSQL reads many other forms, some only
//! with certain settings or with time zone names that it alone knows. The checks refuse such a text
//! only if no setting makes it valid.

use jiff::{SignedDuration, civil};

use super::Rule;
use super::text::trimmed;

/// The parts of a date or time that a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Moment {
    Date,
    Time { has_zone: bool },
    Timestamp { has_zone: bool },
}

/// The digits after the point of a second: PostgreSQL keeps microseconds, and rounds the rest away.
const FRACTION_DIGITS_MAX: usize = 6;

/// The longest text of a date or time, in bytes (source: PostgreSQL, `MAXDATELEN`,
/// `MAXDATEFIELDS`).
const LENGTH_MAX: usize = 128 + 25;

/// The words that are a date or a time without a digit (PostgreSQL manual, "Date/Time Types").
const WORDS: [&str; 7] = ["epoch", "infinity", "now", "today", "tomorrow", "yesterday", "allballs"];

/// Checks a date, time or timestamp, and returns it without the blanks around it.
pub(super) fn moment(text: &str, moment: Moment) -> Result<&str, Rule> {
    let text = trimmed(text);
    match Iso::parse(text) {
        Some(iso) => iso.check(moment)?,
        None if may_be_a_moment(text) => {}
        None => return Err(Rule::Format),
    }
    Ok(text)
}

/// Returns `true` if the text is in ISO 8601, which is checked completely.
pub(super) fn is_iso(text: &str) -> bool {
    Iso::parse(text).is_some()
}

/// Counts the digits after the point of a second in a text in ISO 8601, without trailing zeros.
pub(super) fn fraction_digits(text: &str) -> usize {
    Iso::parse(text).map_or(0, |iso| iso.fraction_digits())
}

/// Returns `true` if a text has a date in numbers that does not begin with the year. The setting
/// `DateStyle` decides which number is the day.
pub(super) fn is_of_uncertain_order(text: &str) -> bool {
    let is_separator =
        |character: char| matches!(character, '/' | '.' | '-' | ',') || character.is_whitespace();
    let begins_with_digit = |part: &str| part.starts_with(|first: char| first.is_ascii_digit());
    let parts = text.split(is_separator).filter(|part| !part.is_empty() && !part.contains(':'));
    let mut parts = parts.skip_while(|part| !begins_with_digit(part));
    let is_short = |part: &str| part.len() <= 2 && part.bytes().all(|byte| byte.is_ascii_digit());
    parts.next().is_some_and(is_short)
        && parts.next().is_some_and(is_short)
        && parts.next().is_some_and(begins_with_digit)
}

/// Returns `true` if PostgreSQL would read the text relative to the current time.
pub(super) fn is_relative(text: &str) -> bool {
    const RELATIVE: [&str; 4] = ["now", "today", "tomorrow", "yesterday"];
    let is_word = |word: &str| RELATIVE.iter().any(|known| known.eq_ignore_ascii_case(word));
    text.split(|character: char| !character.is_ascii_alphabetic()).any(is_word)
}

/// Returns `true` if PostgreSQL may read the text, in a form other than ISO 8601.
fn may_be_a_moment(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    text.is_ascii()
        && text.len() <= LENGTH_MAX
        && (text.bytes().any(|byte| byte.is_ascii_digit())
            || WORDS.iter().any(|word| lower.contains(word)))
}

/// A text in the form of ISO 8601, valid or not: `2026-11-23`, `09:30:00.5+01:00`, or both with a
/// `T` or blanks between them.
#[derive(Debug, Clone, Copy)]
struct Iso<'a> {
    date: Option<(u32, u32, u32)>,
    clock: Option<Clock<'a>>,
}

/// A time of day, such as `09:30:00.5+01:00`.
#[derive(Debug, Clone, Copy)]
struct Clock<'a> {
    hour: u32,
    minute: u32,
    second: u32,
    fraction: &'a str,
    offset: Option<Offset>,
}

/// An offset from UTC, such as `+01:00` or `Z`.
#[derive(Debug, Clone, Copy)]
struct Offset {
    is_negative: bool,
    hours: u32,
    minutes: u32,
    seconds: u32,
}

impl<'a> Iso<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let Some((date, rest)) = date(text) else {
            return Some(Self { date: None, clock: Some(Clock::parse(text)?) });
        };
        if rest.is_empty() {
            return Some(Self { date: Some(date), clock: None });
        }
        let clock = rest.strip_prefix(['T', 't']).unwrap_or(rest.trim_start_matches(' '));
        if clock.len() == rest.len() {
            return None;
        }
        Some(Self { date: Some(date), clock: Some(Clock::parse(clock)?) })
    }

    fn check(&self, moment: Moment) -> Result<(), Rule> {
        let is_right = self.date.is_none_or(is_on_the_calendar)
            && self.clock.is_none_or(|clock| clock.is_on_the_clock());
        // PostgreSQL would silently drop the parts that the column does not hold.
        let loses_nothing = match moment {
            Moment::Date => {
                self.date.is_some() && self.clock.is_none_or(|clock| clock.is_midnight())
            }
            Moment::Time { has_zone } => {
                self.date.is_none() && self.clock.is_some_and(|clock| has_zone || clock.is_utc())
            }
            Moment::Timestamp { has_zone } => {
                self.date.is_some() && self.clock.is_none_or(|clock| has_zone || clock.is_utc())
            }
        };
        if !is_right || !loses_nothing {
            return Err(Rule::Format);
        }
        if self.fraction_digits() > FRACTION_DIGITS_MAX { Err(Rule::Precision) } else { Ok(()) }
    }

    fn fraction_digits(&self) -> usize {
        self.clock.map_or("", |clock| clock.fraction).trim_end_matches('0').len()
    }
}

impl<'a> Clock<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let offset_at = text.find(['Z', 'z', '+', '-', ' ']).unwrap_or(text.len());
        let (clock, offset) = text.split_at_checked(offset_at)?;
        let (clock, fraction) = clock.split_once('.').unwrap_or((clock, "0"));
        let is_fraction =
            !fraction.is_empty() && fraction.bytes().all(|byte| byte.is_ascii_digit());
        let mut parts = clock.split(':').map(|part| digits(part, 2));
        let (hour, minute) = (parts.next()??, parts.next()??);
        let second = match parts.next() {
            Some(second) => second?,
            None if clock.len() == text.len() || fraction == "0" => 0,
            None => return None,
        };
        if parts.next().is_some() || !is_fraction {
            return None;
        }
        let offset = match offset.trim_start_matches(' ') {
            "" => None,
            offset => Some(Offset::parse(offset)?),
        };
        Some(Self { hour, minute, second, fraction, offset })
    }

    fn is_on_the_clock(&self) -> bool {
        let is_time = match self.hour {
            // PostgreSQL reads 24:00:00 as the end of the day.
            24 => self.minute == 0 && self.second == 0 && self.has_no_fraction(),
            // PostgreSQL reads second 60 as the next minute.
            hour => hour < 24 && self.minute < 60 && self.second <= 60,
        };
        is_time && self.offset.is_none_or(|offset| offset.is_right())
    }

    /// Returns the time since midnight. Second 60 is the next minute, and hour 24 the next day.
    fn since_midnight(&self) -> Option<SignedDuration> {
        if !self.is_on_the_clock() {
            return None;
        }
        let fraction = format!("{:0<6}", self.fraction.trim_end_matches('0'));
        let micros = digits(&fraction, FRACTION_DIGITS_MAX)?;
        let seconds = self.hour * 3_600 + self.minute * 60 + self.second;
        Some(SignedDuration::from_secs(seconds.into()) + SignedDuration::from_micros(micros.into()))
    }

    fn has_no_fraction(&self) -> bool {
        self.fraction.bytes().all(|digit| digit == b'0')
    }

    fn is_midnight(&self) -> bool {
        self.hour == 0 && self.minute == 0 && self.second == 0 && self.has_no_fraction()
    }

    /// Returns `true` if the time has no offset or is in UTC.
    fn is_utc(&self) -> bool {
        self.offset.is_none_or(|offset| offset.seconds_in_all() == 0)
    }
}

impl Offset {
    fn parse(text: &str) -> Option<Self> {
        if matches!(text, "Z" | "z") {
            return Some(Self { is_negative: false, hours: 0, minutes: 0, seconds: 0 });
        }
        let is_negative = text.starts_with('-');
        let rest = text.strip_prefix(['-', '+'])?;
        let mut numbers = [0; 3];
        let mut count = 0;
        let mut add = |part: &str| -> Option<()> {
            *numbers.get_mut(count)? = digits(part, 2)?;
            count += 1;
            Some(())
        };
        if matches!(rest.len(), 4 | 6) && rest.bytes().all(|byte| byte.is_ascii_digit()) {
            for at in (0..rest.len()).step_by(2) {
                add(rest.get(at..at + 2)?)?;
            }
        } else {
            for part in rest.split(':') {
                add(part)?;
            }
        }
        let [hours, minutes, seconds] = numbers;
        Some(Self { is_negative, hours, minutes, seconds })
    }

    /// Returns `true` if the offset is at most ±15:59:59 (source: PostgreSQL, `MAX_TZDISP_HOUR`).
    fn is_right(&self) -> bool {
        self.hours <= 15 && self.minutes < 60 && self.seconds < 60
    }

    fn seconds_in_all(&self) -> i64 {
        let seconds = i64::from(self.hours * 3_600 + self.minutes * 60 + self.seconds);
        if self.is_negative { -seconds } else { seconds }
    }
}

/// Reads the date at the beginning of a text. Returns the date and the rest of the text.
fn date(text: &str) -> Option<((u32, u32, u32), &str)> {
    let (date, rest) = text.split_at_checked(10)?;
    let mut parts = date.split('-');
    let year = digits(parts.next()?, 4)?;
    let month = digits(parts.next()?, 2)?;
    let day = digits(parts.next()?, 2)?;
    parts.next().is_none().then_some(((year, month, day), rest))
}

fn is_on_the_calendar((year, month, day): (u32, u32, u32)) -> bool {
    year > 0 && civil_date((year, month, day)).is_some()
}

fn civil_date((year, month, day): (u32, u32, u32)) -> Option<civil::Date> {
    let (year, month, day) =
        (i16::try_from(year).ok()?, i8::try_from(month).ok()?, i8::try_from(day).ok()?);
    civil::Date::new(year, month, day).ok()
}

fn digits(text: &str, count: usize) -> Option<u32> {
    let is_number = text.len() == count && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().ok()).flatten()
}

/// Returns the canonical text of a date. PostgreSQL ignores a midnight and an offset after it.
pub(crate) fn canonical_date(text: &str) -> Option<String> {
    Some(civil_date(Iso::parse(trimmed(text))?.date?)?.to_string())
}

/// Returns the canonical text of a time of day. 24:00:00 differs from 00:00:00.
pub(crate) fn canonical_time(text: &str) -> Option<String> {
    let iso = Iso::parse(trimmed(text))?;
    if iso.date.is_some() {
        return None;
    }
    let since_midnight = iso.clock?.since_midnight()?;
    if since_midnight == SignedDuration::from_hours(24) {
        return Some("24:00:00".to_owned());
    }
    Some(civil::Time::midnight().checked_add(since_midnight).ok()?.to_string())
}

/// Returns the canonical text of a timestamp, or `None` for any form but ISO 8601.
///
/// A timestamp with a zone is in UTC. A text without an offset is in UTC already, as in the
/// sessions of the Data API (measured: see `DATA_API.md`). For a timestamp without a zone,
/// PostgreSQL ignores the offset.
pub(crate) fn canonical_timestamp(text: &str, has_zone: bool) -> Option<String> {
    let iso = Iso::parse(trimmed(text))?;
    let midnight = civil_date(iso.date?)?.to_datetime(civil::Time::midnight());
    let Some(clock) = iso.clock else {
        return Some(format!("{midnight}{}", if has_zone { "Z" } else { "" }));
    };
    let local = midnight.checked_add(clock.since_midnight()?).ok()?;
    if !has_zone {
        return Some(local.to_string());
    }
    let offset = clock.offset.map_or(0, |offset| offset.seconds_in_all());
    let utc = local.checked_sub(SignedDuration::from_secs(offset)).ok()?;
    // PostgreSQL writes years before the first with BC, which these checks do not read.
    (utc.year() > 0).then(|| format!("{utc}Z"))
}
