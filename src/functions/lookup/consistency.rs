//! Reads of own writes: a look-up can wait until writes are settled.
//!
//! The statement that reads the rows also reads the ledger. If the writes are settled, which is the
//! usual case, waiting costs nothing, and the rows are of the same snapshot. Otherwise the look-up
//! polls the ledger alone, and then reads the rows again.

use std::time::{Duration, SystemTime};

use backon::{BackoffBuilder, ExponentialBuilder};
use serde::Deserialize;

use super::reader::Reader;
use super::write_status;
use crate::api::http::Route;
use crate::api::link;
use crate::api::problem::{Kind, Problem, WriteState};
use crate::api::query::{self, WriteRef};
use crate::domain::deadline::Deadline;
use crate::domain::field::Field;

/// The longest wait. Writes usually take a second or two.
const WAIT_MAX: Duration = Duration::from_secs(10);

/// The time that is kept to read the rows after the wait.
const READ_RESERVE: Duration = Duration::from_secs(2);

/// The value of `Retry-After`, in seconds.
const RETRY_AFTER: u16 = 2;

/// The ledger's entry for a write.
#[derive(Debug, Deserialize)]
struct Settled {
    /// The number of the write among those of the request, from 1.
    number: usize,
    outcome: String,
}

/// Returns `true` if all of these writes are settled, from the ledger's entries. Fails if one is
/// rejected, or can never be settled.
pub(super) fn are_settled(
    from: &Route,
    writes: &[WriteRef],
    found: Option<&str>,
) -> Result<bool, Problem> {
    let states = states(from, writes, found);
    let with_outcome = |outcome: &str| -> Vec<_> {
        states.iter().filter(|state| state.outcome == outcome).cloned().collect()
    };
    let rejected = with_outcome("rejected");
    if !rejected.is_empty() {
        let detail = "A write that the look-up waits for was rejected. Its status says why.";
        return Err(Problem::new(Kind::WriteRejected, detail).with_writes(rejected));
    }
    let pending = with_outcome(PENDING);
    let now = SystemTime::now();
    if let Some(unknown) = pending.iter().find(|state| !write_status::can_be_pending(state.id, now))
    {
        return Err(write_status::not_found().with_writes(vec![unknown.clone()]));
    }
    Ok(pending.is_empty())
}

/// Waits until all of these writes are settled.
pub(super) async fn settled(
    reader: &Reader<'_>,
    from: &Route,
    writes: &[WriteRef],
) -> Result<(), Problem> {
    let deadline = reader.deadline.less(READ_RESERVE).min(Deadline::after(WAIT_MAX));
    let mut delays = ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(100))
        .with_factor(1.5)
        .with_max_delay(Duration::from_secs(1))
        .with_jitter()
        .without_max_times()
        .build();
    let mut found = None;
    loop {
        let delay = delays.next().unwrap_or(WAIT_MAX);
        if deadline.remaining() < delay {
            return Err(still_pending(from, writes, found.as_deref()));
        }
        tokio::time::sleep(delay).await;
        let records = reader.without_claims().run(query::settled(writes)).await?;
        let text = records.first().and_then(|record| record.first()).and_then(Field::as_text);
        found = text.map(ToOwned::to_owned);
        if are_settled(from, writes, found.as_deref())? {
            return Ok(());
        }
    }
}

/// Makes the problem for writes that are still pending. Its status is 503 instead of 425 (Too
/// Early), which is for requests in TLS early data. Few clients know 425, and all that retry know
/// 503 with `Retry-After`.
fn still_pending(from: &Route, writes: &[WriteRef], found: Option<&str>) -> Problem {
    let mut pending = states(from, writes, found);
    pending.retain(|state| state.outcome == PENDING);
    Problem::new(
        Kind::WritePending,
        "The write is accepted, and was not settled within the time that a look-up waits. Try again, or read without waiting.",
    )
    .with_retry_after(RETRY_AFTER)
    .with_writes(pending)
}

const PENDING: &str = "pending";

fn states(from: &Route, writes: &[WriteRef], found: Option<&str>) -> Vec<WriteState> {
    let found: Vec<Settled> =
        found.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
    let outcome = |number: usize| {
        let settled = found.iter().find(|settled| settled.number == number);
        settled.map_or_else(|| PENDING.to_owned(), |settled| settled.outcome.clone())
    };
    let numbered = writes.iter().zip(1..);
    numbered
        .map(|(write, number)| WriteState {
            id: write.id,
            outcome: outcome(number),
            status: link::to_write(from, write.id, write.fingerprint.as_deref()),
        })
        .collect()
}
