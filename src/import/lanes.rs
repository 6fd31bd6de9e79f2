//! Loads a file through its lanes: one future reads and cuts it, one a lane loads, one keeps the books.
//!
//! Each lane has its own transactions, one for each chunk, and takes its parts in the order of the file. What is
//! read ahead is bounded: a part waits for its lane, and the reader for the part.

use std::cell::{Cell, RefCell};
use std::collections::{HashSet, VecDeque};
use std::pin::pin;
use std::time::Duration;

use futures_util::future::{join, join_all};
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::time::Instant;

use super::chunk::Chunk;
use super::claim::{Entry, Next, Progress};
use super::file::{FileError, unreadable};
use super::load::{Loaded, Loader, Manner, Place};
use super::opened::Opened;
use super::options::Limit;
use super::part::Part;
use super::repeats::Repeats;
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
    /// The keys of the rows that are loaded; `None` where they do not matter.
    repeats: RefCell<Option<Repeats>>,
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
        repeats: RefCell::new(loader.repeats()),
        cut: RefCell::new(VecDeque::new()),
    };
    let (senders, receivers): (Vec<_>, Vec<_>) = (0..progress.lanes).map(|_| channel(1)).unzip();
    let is_too_many = |read, rejected| too_many(max_rejects, read, rejected, false);
    let records = {
        let lanes: Vec<_> = progress
            .told_apart
            .iter()
            .enumerate()
            .map(|(number, told_apart)| Lane {
                number,
                shared: &shared,
                loader,
                told_apart,
                are_new: Cell::new(None),
                deadline,
            })
            .collect();
        let loading =
            lanes.iter().zip(receivers).map(|(lane, orders)| lane.run(orders, is_too_many));
        let reading = read(&shared, opened, senders, deadline);
        let mut work = pin!(join(reading, join_all(loading)));
        tokio::select! {
            (records, _) = &mut work => records,
            () = keep_books(&shared, entry) => None,
        }
    };
    // Unless all is loaded, the next one goes on from here.
    let next = first_incomplete(&shared);
    let stopped = shared.stop.into_inner();
    if let Some((next, bytes_read)) = next
        && !matches!((&stopped, records), (Some(Stop::Error(_)), _) | (None, Some(_)))
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
            Ok(Some(chunk)) => {
                if opened.has_skipped()
                    && let Some(repeats) = shared.repeats.borrow_mut().as_mut()
                {
                    repeats.skip();
                }
                order(shared, &senders, chunk, opened.bytes_read()).await?;
            }
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

/// What loads the parts of one lane, in the order of the file.
struct Lane<'a> {
    number: usize,
    shared: &'a Shared,
    loader: &'a Loader<'a>,
    /// Its loaded chunks of which the database refused rows.
    told_apart: &'a HashSet<u32>,
    /// Whether its rows are new to the table, as far as that is known.
    are_new: Cell<Option<bool>>,
    deadline: Deadline,
}

impl Lane<'_> {
    async fn run(
        &self,
        mut orders: Receiver<Order>,
        is_too_many: impl Fn(u64, u64) -> Option<String>,
    ) {
        let Shared { lane_next, repeats, read, rejected, .. } = self.shared;
        while let Some(Order { chunk, mut part }) = orders.recv().await {
            if self.shared.is_stopped() {
                return;
            }
            let next = lane_next.borrow().get(self.number).copied().unwrap_or_default();
            let is_recorded = if chunk < next {
                let is_told_apart = self.told_apart.contains(&chunk);
                let manner = if is_told_apart { Manner::Apart } else { Manner::Whole };
                self.loader.is_recorded(&part, manner)
            } else {
                if let Some(repeats) = repeats.borrow().as_ref() {
                    repeats.mark(&mut part);
                }
                let Some(loaded) = self.load(chunk, &part).await else { return };
                read.set(read.get() + part.len() as u64);
                rejected.set(rejected.get() + loaded.rejected);
                if let Some(error) = is_too_many(read.get(), rejected.get()) {
                    return self.shared.stop(Stop::Refused(error));
                }
                loaded.is_recorded
            };
            if let Some(repeats) = repeats.borrow_mut().as_mut() {
                repeats.remember(&part, is_recorded);
            }
            settle(self.shared);
        }
    }

    /// `None` where everything stops.
    async fn load(&self, chunk: u32, part: &Part) -> Option<Loaded> {
        let place = Place { lane: self.number, chunk };
        match self.loader.load(place, part, &self.are_new, self.deadline).await {
            Ok(loaded) => {
                let Shared { advanced, lane_next, .. } = self.shared;
                advanced.set(advanced.get() || !part.is_empty());
                if let Some(next) = lane_next.borrow_mut().get_mut(self.number) {
                    *next = chunk + 1;
                }
                return Some(loaded);
            }
            Err(SyncError::OutOfTime) => self.shared.stop(Stop::OutOfTime),
            Err(error) => self.shared.stop(Stop::Error(error)),
        }
        None
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
