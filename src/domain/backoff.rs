//! Backoff: the pause before a message is delivered again.
//!
//! Pure.

use std::time::Duration;

use uuid::Uuid;

use crate::domain::error::Disposition;

/// The shortest and the longest pause.
///
/// The dead-letter queue gets a write after more than 13 days: 1,000 receives, the most that SQS
/// allows (`maxReceiveCount` in `template.yaml`), with pauses of 19 minutes. With pauses of 20
/// minutes and a minute for each delivery, the receives would take longer than 14 days. SQS keeps a
/// message that long, and then deletes it.
const DELAY_MIN: Duration = Duration::from_secs(2);
const DELAY_MAX: Duration = Duration::from_mins(19);

/// The shortest pause of a blocked message, so that a person can do something.
const BLOCK_DELAY_MIN: Duration = Duration::from_mins(1);

/// Returns the pause of a message. It doubles with each delivery.
///
/// Has no jitter: deliveries of different groups are not in step, and messages of one group must
/// stay in order.
pub fn delay(receive_count: u32, disposition: Disposition) -> Duration {
    let first = match disposition {
        Disposition::Retry => DELAY_MIN,
        Disposition::Block | Disposition::Reject => BLOCK_DELAY_MIN,
    };
    let factor = 2_u32.saturating_pow(receive_count.saturating_sub(1).min(16));
    first.saturating_mul(factor).min(DELAY_MAX)
}

/// Returns up to 30 seconds to add to the pauses of messages that compete with each other. A
/// message always gets the same time.
pub fn jitter(message_id: &str) -> Duration {
    const MAX_MS: u128 = 30_000;
    let hash = Uuid::new_v5(&Uuid::NAMESPACE_URL, message_id.as_bytes()).as_u128();
    Duration::from_millis(u64::try_from(hash % MAX_MS).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_with_each_delivery() {
        let check = |receive_count, disposition, expected_s| {
            let expected = Duration::from_secs(expected_s);
            assert_eq!(delay(receive_count, disposition), expected, "{receive_count}");
        };
        check(0, Disposition::Retry, 2);
        check(1, Disposition::Retry, 2);
        check(2, Disposition::Retry, 4);
        check(10, Disposition::Retry, 1_024);
        check(11, Disposition::Retry, 1_140);
        check(u32::MAX, Disposition::Retry, 1_140);
        check(1, Disposition::Block, 60);
        check(5, Disposition::Block, 960);
        check(6, Disposition::Block, 1_140);
    }

    #[test]
    fn a_write_reaches_the_dead_letter_queue_after_13_days_and_before_the_queue_deletes_it() {
        let template = include_str!("../../template.yaml");
        let (_, queue) = template.split_once("\n  WritesQueue:").unwrap();
        let value = |text: &str, name: &str| {
            let (_, rest) = text.split_once(name).unwrap();
            rest.split_whitespace().next().unwrap().parse::<u64>().unwrap()
        };
        let receives = value(queue, "maxReceiveCount:");
        let retention = Duration::from_secs(value(queue, "MessageRetentionPeriod:"));
        let (_, function) = template.split_once("\n  ApplyFunction:").unwrap();
        let timeout = Duration::from_secs(value(function, "Timeout:"));
        let delays = (1..=receives).map(|n| delay(u32::try_from(n).unwrap(), Disposition::Retry));
        let delays: Duration = delays.sum();
        assert!(delays > Duration::from_hours(13 * 24), "{delays:?}");
        let timeouts = timeout * u32::try_from(receives).unwrap();
        assert!(delays + timeouts < retention, "{delays:?}");
    }

    #[test]
    fn jitter_separates_messages() {
        let pauses = ["m1", "m2", "m3"].map(jitter);
        assert!(pauses.iter().all(|pause| *pause < Duration::from_secs(30)), "{pauses:?}");
        assert_ne!(pauses[0].as_secs(), pauses[1].as_secs());
        assert_ne!(pauses[1].as_secs(), pauses[2].as_secs());
        assert_eq!(jitter("m1"), pauses[0]);
    }
}
