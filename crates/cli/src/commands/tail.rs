//! `aurora-sync tail`: prints the writes that settle.

use std::collections::HashMap;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::time::{Instant, sleep};

use super::output::{columns, has_colours};
use super::writes::{filter, read, row};
use super::{deployed, print_json};
use crate::arguments::writes::Tail;
use crate::follow::{patiently, waiting};
use crate::operations::Deployed;
use crate::operations::writes::Order;
use crate::outcome::{Outcome, failed};
use crate::progress::{error_line, line};

/// The time between two looks.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// A transaction takes its times before it commits. So a write can be seen later than one with a
/// later time.
const SEEN_WITHIN: SignedDuration = SignedDuration::from_secs(120);

pub(crate) async fn run(arguments: &Tail) -> Outcome {
    match deployed(&arguments.place).await {
        Ok(deployed) => follow_all(&deployed, arguments)
            .await
            .map_or_else(|error| failed(&error), |()| Outcome::Good),
        Err(outcome) => outcome,
    }
}

/// Prints the writes that settle, each once, until none has settled for a while.
async fn follow_all(deployed: &Deployed, arguments: &Tail) -> anyhow::Result<()> {
    let mut filter = filter(&arguments.filter);
    let since = filter.since.unwrap_or_else(Timestamp::now);
    let mut newest = since;
    // The printed writes, with their times.
    let mut printed: HashMap<(String, String), Timestamp> = HashMap::new();
    let mut last = Instant::now();
    while last.elapsed() < arguments.idle {
        filter.since = Some(since.max(newest.checked_sub(SEEN_WITHIN)?));
        let mut is_said = false;
        let waits = |error: &anyhow::Error| {
            if !std::mem::replace(&mut is_said, true) {
                error_line(&waiting(error));
            }
            Ok(())
        };
        let look = async || read(deployed, &filter, Order::OldestFirst, u32::MAX).await;
        let found = patiently(look, waits).await?;
        let mut rows = Vec::new();
        for write in &found {
            let at: Timestamp = write.settled_at.parse()?;
            let is_new = printed.insert((write.id.clone(), write.settled_at.clone()), at).is_none();
            newest = newest.max(at);
            if !is_new {
                continue;
            }
            last = Instant::now();
            if arguments.json {
                print_json(write)?;
            } else {
                rows.push(row(write));
            }
        }
        if !rows.is_empty() {
            line(&columns(&rows, has_colours()));
        }
        let oldest = newest.checked_sub(SEEN_WITHIN)?;
        printed.retain(|_, at| *at >= oldest);
        sleep(LOOK_EVERY).await;
    }
    error_line(&format!(
        "no write has settled for {} s: stopped, so that the database can pause. See --idle",
        arguments.idle.as_secs()
    ));
    Ok(())
}
