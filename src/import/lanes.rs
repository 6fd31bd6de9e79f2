//! Loads a file through its lanes: one future reads and cuts it, one a lane loads, one keeps the books.
//!
//! Each lane has its own transactions, one for each chunk, and takes its parts in the order of the file. What is
//! read ahead is bounded: a part waits for its lane, and the reader for the part.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::pin::pin;
use std::time::Duration;

use futures_util::future::{join, join_all};
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::time::Instant;

use super::chunk::{Chunk, Part};
use super::claim::{Entry, Next, Progress};
use super::file::FileError;
use super::load::{Loader, Place};
use super::opened::Opened;
use super::options::Limit;
use crate::deadline::Deadline;
use crate::error::SyncError;

/// How often the books are kept, at least.
const BOOKS_EVERY: Duration = Duration::from_secs(2);

/// The books take one part in so many of the time, at most.
const BOOKS_SHARE: u32 = 20;

/// Rows that must have been read before a percentage of them can stop an import.
const PERCENT_OF_MIN: u64 = 10_000;

/// How the loading ended.
#[derive(Debug)]
pub(super) enum Ending {
    /// All of the file is loaded: so many records.
    Whole { records: u64 },
    /// The invocation's time is over. Whether it loaded anything.
    OutOfTime { advanced: bool },
    /// The import ends here.
    Stopped { error: String },
}

/// What the futures share. None of them runs at the same time as another.
struct Shared {
    /// Why nothing more is begun.
    stop: RefCell<Option<Stop>>,
    read: Cell<u64>,
    rejected: Cell<u64>,
    advanced: Cell<bool>,
    /// The first chunk of each lane that is not loaded.
    lane_next: RefCell<Vec<u32>>,
    /// Chunks that are cut and not loaded in all lanes, and how far the reader was before each.
    cut: RefCell<VecDeque<(Next, u64)>>,
}

enum Stop {
    Error(SyncError),
    OutOfTime,
    Refused(String),
}

impl Shared {
    fn is_stopped(&self) -> bool {
        self.stop.borrow().is_some()
    }

    /// The first reason counts.
    fn stop(&self, why: Stop) {
        self.stop.borrow_mut().get_or_insert(why);
    }
}

/// A part on its way to its lane.
struct Order {
    chunk: u32,
    part: Part,
}

/// Loads what is not loaded of an opened file.
pub(super) async fn load(
    entry: Entry<'_>,
    loader: &Loader<'_>,
    opened: Opened<'_>,
    progress: &Progress,
    max_rejects: Option<Limit>,
    deadline: Deadline,
) -> Result<Ending, SyncError> {
    let shared = Shared {
        stop: RefCell::new(None),
        read: Cell::new(progress.rows_read),
        rejected: Cell::new(progress.rows_rejected),
        advanced: Cell::new(false),
        lane_next: RefCell::new(progress.lane_next.clone()),
        cut: RefCell::new(VecDeque::new()),
    };
    let (senders, receivers): (Vec<_>, Vec<_>) = (0..progress.lanes).map(|_| channel(1)).unzip();
    let is_too_many = |read, rejected| too_many(max_rejects, read, rejected, false);
    let records = {
        let lanes = receivers
            .into_iter()
            .enumerate()
            .map(|(lane, orders)| run_lane(&shared, loader, lane, orders, deadline, is_too_many));
        let reading = read(&shared, opened, senders, deadline);
        let mut work = pin!(join(reading, join_all(lanes)));
        tokio::select! {
            (records, _) = &mut work => records,
            () = keep_books(&shared, entry) => None,
        }
    };
    // However it ended: the next one goes on from here.
    let next = first_incomplete(&shared);
    let stopped = shared.stop.into_inner();
    if let Some((next, bytes_read)) = next
        && !matches!(stopped, Some(Stop::Error(_)))
    {
        entry.advance(next, bytes_read).await?;
    }
    match (stopped, records) {
        (None, Some(records)) => Ok(Ending::Whole { records }),
        (Some(Stop::Error(error)), _) => Err(error),
        (Some(Stop::Refused(error)), _) => Ok(Ending::Stopped { error }),
        (Some(Stop::OutOfTime) | None, _) => {
            Ok(Ending::OutOfTime { advanced: shared.advanced.get() })
        }
    }
}

/// Reads, checks and cuts the file; gives the number of its records if it came to the end.
async fn read(
    shared: &Shared,
    mut opened: Opened<'_>,
    senders: Vec<Sender<Order>>,
    deadline: Deadline,
) -> Option<u64> {
    let stop_before = stop_before(deadline);
    loop {
        if shared.is_stopped() {
            return None;
        }
        if deadline.less(stop_before).remaining().is_zero() {
            shared.stop(Stop::OutOfTime);
            return None;
        }
        match opened.next_chunk().await {
            Ok(Some(chunk)) => order(shared, &senders, chunk, opened.bytes_read()).await?,
            Ok(None) => return Some(opened.records_cut()),
            Err(FileError::Service(error)) => {
                shared.stop(Stop::Error(error.into()));
                return None;
            }
            Err(FileError::Unreadable(error)) => {
                shared.stop(Stop::Refused(unreadable(&error)));
                return None;
            }
        }
    }
}

pub(super) fn unreadable(error: &crate::csv::reader::ReadError) -> String {
    format!("the file cannot be read on: {}", crate::error::chain(error))
}

/// Left of an invocation's time when reading stops: for the parts under way.
pub(super) fn stop_before(deadline: Deadline) -> Duration {
    const STOP_BEFORE: Duration = Duration::from_mins(1);
    STOP_BEFORE.min(deadline.remaining() / 4)
}

/// Hands a chunk to its lanes; `None` where they have stopped.
async fn order(
    shared: &Shared,
    senders: &[Sender<Order>],
    chunk: Chunk,
    bytes_read: u64,
) -> Option<()> {
    let Some(place) = chunk.place else { return Some(()) };
    let next = Next { chunk: chunk.number, at: Some((place, chunk.first_record)) };
    shared.cut.borrow_mut().push_back((next, bytes_read));
    for (sender, part) in senders.iter().zip(chunk.parts) {
        sender.send(Order { chunk: chunk.number, part }).await.ok()?;
    }
    Some(())
}

/// Loads the parts of one lane, in the order of the file.
async fn run_lane(
    shared: &Shared,
    loader: &Loader<'_>,
    lane: usize,
    mut orders: Receiver<Order>,
    deadline: Deadline,
    is_too_many: impl Fn(u64, u64) -> Option<String>,
) {
    while let Some(Order { chunk, part }) = orders.recv().await {
        if shared.is_stopped() {
            return;
        }
        let is_loaded = shared.lane_next.borrow().get(lane).is_some_and(|next| chunk < *next);
        if !is_loaded {
            match loader.load(Place { lane, chunk }, &part, deadline).await {
                Ok(rejected) => {
                    shared.advanced.set(shared.advanced.get() || !part.is_empty());
                    shared.read.set(shared.read.get() + part.len() as u64);
                    shared.rejected.set(shared.rejected.get() + rejected);
                }
                Err(SyncError::OutOfTime) => return shared.stop(Stop::OutOfTime),
                Err(error) => return shared.stop(Stop::Error(error)),
            }
            if let Some(next) = shared.lane_next.borrow_mut().get_mut(lane) {
                *next = chunk + 1;
            }
            if let Some(error) = is_too_many(shared.read.get(), shared.rejected.get()) {
                return shared.stop(Stop::Refused(error));
            }
        }
        settle(shared);
    }
}

/// Forgets the chunks that are loaded in all lanes, but for the last: where the next one begins is not known
/// before it is cut.
fn settle(shared: &Shared) {
    let done = shared.lane_next.borrow().iter().copied().min().unwrap_or_default();
    let mut cut = shared.cut.borrow_mut();
    while cut.len() > 1 && cut.front().is_some_and(|(next, _)| next.chunk < done) {
        cut.pop_front();
    }
}

fn first_incomplete(shared: &Shared) -> Option<(Next, u64)> {
    settle(shared);
    shared.cut.borrow().front().copied()
}

/// Keeps the import's row up to date for as long as it is polled.
async fn keep_books(shared: &Shared, entry: Entry<'_>) {
    let mut pause = BOOKS_EVERY;
    loop {
        tokio::time::sleep(pause).await;
        let began = Instant::now();
        if let Some((next, bytes_read)) = first_incomplete(shared)
            && let Err(error) = entry.advance(next, bytes_read).await
        {
            tracing::info!(reason = %error, "progress not recorded");
        }
        pause = BOOKS_EVERY.max(began.elapsed() * BOOKS_SHARE);
    }
}

/// Whether more rows are rejected than may be: what to tell of that. A percentage counts at the end, or once
/// enough rows were read.
pub(super) fn too_many(
    limit: Option<Limit>,
    read: u64,
    rejected: u64,
    is_end: bool,
) -> Option<String> {
    let limit = limit?;
    let is_over = match limit {
        Limit::Rows(rows) => rejected > rows,
        #[expect(
            clippy::cast_precision_loss,
            reason = "percentages of row counts need no more than f64"
        )]
        Limit::Percent(percent) => {
            (is_end || read >= PERCENT_OF_MIN) && rejected as f64 * 100.0 > percent * read as f64
        }
    };
    is_over.then(|| {
        format!(
            "{rejected} of the {read} rows read were rejected, more than max-rejects allows ({limit})"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rejects_are_too_many_by_number_or_percentage() {
        let check = |limit, read, rejected, is_end, expected: bool| {
            let found = too_many(limit, read, rejected, is_end);
            assert_eq!(found.is_some(), expected, "{limit:?} {read} {rejected}");
        };
        check(None, 10, 10, true, false);
        check(Some(Limit::Rows(0)), 10, 0, true, false);
        check(Some(Limit::Rows(0)), 10, 1, false, true);
        check(Some(Limit::Percent(5.0)), 100, 5, true, false);
        check(Some(Limit::Percent(5.0)), 100, 6, true, true);
        check(Some(Limit::Percent(5.0)), 100, 6, false, false);
        check(Some(Limit::Percent(5.0)), 10_000, 501, false, true);
    }
}
