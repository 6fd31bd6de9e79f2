//! The options that say where aurora-sync is deployed, and how times are written.

#![allow(clippy::doc_markdown, reason = "the docs are the text of --help")]

use jiff::{SignedDuration, Timestamp};

use super::Account;

/// The exit status of the commands that only read.
pub(super) const EXIT_OF_READ: &str =
    "Exit status: 0 it is printed, 1 it could not be read, 2 the command line is wrong.";

/// Where aurora-sync is deployed. Flags come first, then the outputs of --stack, then the
/// environment.
#[derive(Debug, Default, clap::Args)]
#[command(next_help_heading = "Where")]
pub(crate) struct Place {
    /// The address of the API, else $API_URL
    #[arg(long, value_name = "URL")]
    pub(crate) api: Option<String>,
    #[command(flatten)]
    pub(crate) account: Account,
}

/// Reads a time: a time of RFC 3339, or an age such as `1h`.
pub(super) fn time(text: &str) -> Result<Timestamp, String> {
    if let Ok(time) = text.parse() {
        return Ok(time);
    }
    age(text).and_then(|age| Timestamp::now().checked_sub(age).ok()).ok_or_else(|| {
        "expected an age such as 30m, 1h or 2d, or a time such as 2026-11-29T08:00:00Z".to_owned()
    })
}

/// Reads a time span: a number with s, m, h, d or w.
pub(super) fn age(text: &str) -> Option<SignedDuration> {
    let unit_s = match text.chars().last()? {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 24 * 3_600,
        'w' => 7 * 24 * 3_600,
        _ => return None,
    };
    let number: i64 = text.get(..text.len() - 1)?.parse().ok().filter(|number| *number >= 0)?;
    Some(SignedDuration::from_secs(number.checked_mul(unit_s)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_an_age_or_a_time_of_rfc_3339() {
        assert_eq!(age("2d"), Some(SignedDuration::from_hours(48)));
        assert_eq!(age("90s"), Some(SignedDuration::from_secs(90)));
        for wrong in ["", "h", "1", "-1h", "1y", "h1", "9223372036854775807w", "1é"] {
            assert_eq!(age(wrong), None, "{wrong}");
        }
        let noon = "2026-11-29T12:00:00+09:00";
        assert_eq!(time(noon).unwrap(), "2026-11-29T03:00:00Z".parse().unwrap());
        assert!(time("yesterday").is_err());
    }
}
