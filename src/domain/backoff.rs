//! When a message that is given back comes again.
//!
//! Pure.

use std::time::Duration;

use uuid::Uuid;

use crate::domain::error::Disposition;

/// The first pause, and the longest.
///
/// A write waits for 13 days before it is set aside: 1,000 receives, the most that SQS takes (`maxReceiveCount` in
/// `template.yaml`), of 19 minutes. With 20, and a minute for each delivery, they would take longer than the 14 days for
/// which a queue keeps a message, and SQS would delete it instead of setting it aside.
const DELAY_MIN: Duration = Duration::from_secs(2);
const DELAY_MAX: Duration = Duration::from_mins(19);

/// Until a human can have done something.
const BLOCK_DELAY_MIN: Duration = Duration::from_mins(1);

/// How long a message waits that was given back: twice as long each time it was delivered.
///
/// Without jitter: deliveries of different groups are not in step, and those of one group must not be.
pub fn delay(receive_count: u32, disposition: Disposition) -> Duration {
    let first = match disposition {
        Disposition::Retry => DELAY_MIN,
        Disposition::Block | Disposition::Reject => BLOCK_DELAY_MIN,
    };
    let factor = 2_u32.saturating_pow(receive_count.saturating_sub(1).min(16));
    first.saturating_mul(factor).min(DELAY_MAX)
}

/// Added to the pauses of messages that would disturb each other: up to half a minute, the same for one message each time.
pub fn jitter(message_id: &str) -> Duration {
    const MAX_MS: u128 = 30_000;
    let hash = Uuid::new_v5(&Uuid::NAMESPACE_URL, message_id.as_bytes()).as_u128();
    Duration::from_millis(u64::try_from(hash % MAX_MS).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_wait_longer_each_time_they_are_given_back() {
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
    fn a_write_is_set_aside_after_13_days_and_before_the_queue_deletes_it() {
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
    fn messages_that_disturb_each_other_come_back_apart() {
        let pauses = ["m1", "m2", "m3"].map(jitter);
        assert!(pauses.iter().all(|pause| *pause < Duration::from_secs(30)), "{pauses:?}");
        assert_ne!(pauses[0].as_secs(), pauses[1].as_secs());
        assert_ne!(pauses[1].as_secs(), pauses[2].as_secs());
        assert_eq!(jitter("m1"), pauses[0]);
    }
}
