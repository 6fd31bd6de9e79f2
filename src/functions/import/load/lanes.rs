//! Loads a file in lanes: one future reads and cuts the file, and one future for each lane loads.
//!
//! A lane loads its part of each chunk in a transaction, in the order of the file. The next
//! transaction begins while the current one works. A lane has at most one part that is loaded, one
//! whose transaction begins, and one that waits: the reader waits for the lane then.

use std::cell::{Cell, RefCell};
use std::time::Duration;

use futures_util::future::{join, join_all};
use import_options::Limit;
use tokio::sync::mpsc::{Receiver, Sender, channel};

use super::loader::{Loader, Slot};
use crate::database::transaction::BegunAhead;
use crate::domain::deadline::Deadline;
use crate::functions::import::claim::{ImportEntry, Progress};
use crate::functions::import::read::chunk::{Chunk, ChunkEnd};
use crate::functions::import::read::opened::Opened;
use crate::functions::import::read::part::Part;
use crate::functions::import::stop::Stop;

/// The rows that must have been read before a percentage of rejects can stop an import.
const PERCENT_OF_MIN: u64 = 10_000;

/// A part that waits for its lane.
type QueuedPart = (Slot, Part);

/// The state that the futures share. They run in one task, never at the same time.
struct Lanes<'a> {
    loader: &'a Loader<'a>,
    /// The first chunk of each lane that is not loaded.
    next: &'a [u32],
    /// The reason to begin nothing more.
    stop: RefCell<Option<Stop>>,
    read: Cell<u64>,
    rejected: Cell<u64>,
    /// `true` if this invocation has loaded a part.
    has_advanced: Cell<bool>,
}

/// Loads the chunks of an opened file that are not loaded, and returns the number of its records.
pub(in crate::functions::import) async fn load(
    loader: &Loader<'_>,
    opened: Opened<'_>,
    progress: &Progress,
) -> Result<u64, Stop> {
    let lanes = Lanes {
        loader,
        next: &progress.lane_next,
        stop: RefCell::new(None),
        read: Cell::new(progress.rows_read),
        rejected: Cell::new(progress.rows_rejected),
        has_advanced: Cell::new(false),
    };
    let (senders, queues): (Vec<_>, Vec<_>) = (0..progress.lanes).map(|_| channel(1)).unzip();
    let loading = queues.into_iter().map(|queue| lanes.load_lane(queue));
    let (records, _) = join(lanes.read(opened, senders), join_all(loading)).await;
    let has_advanced = lanes.has_advanced.get();
    match (lanes.stop.into_inner(), records) {
        (None, Some(records)) => Ok(records),
        (Some(Stop::OutOfTime { .. }) | None, _) => Err(Stop::OutOfTime { has_advanced }),
        (Some(stop), _) => Err(stop),
    }
}

impl Lanes<'_> {
    fn is_stopped(&self) -> bool {
        self.stop.borrow().is_some()
    }

    /// Stops reading and loading. The first reason counts.
    fn stop(&self, reason: Stop) {
        self.stop.borrow_mut().get_or_insert(reason);
    }

    /// Reads, checks and cuts the file. Returns the number of its records, or `None` if it stopped
    /// before the end.
    async fn read(&self, mut opened: Opened<'_>, senders: Vec<Sender<QueuedPart>>) -> Option<u64> {
        while !self.is_stopped() {
            match opened.next_chunk().await {
                Ok(Some((chunk, end))) => self.send(&senders, chunk, end).await?,
                Ok(None) => return Some(opened.records_cut()),
                Err(stop) => self.stop(stop),
            }
        }
        None
    }

    /// Sends the parts of a chunk to the lanes that have not loaded them. Returns `None` if a lane
    /// has stopped.
    async fn send(
        &self,
        senders: &[Sender<QueuedPart>],
        chunk: Chunk,
        end: ChunkEnd,
    ) -> Option<()> {
        let number = chunk.number;
        for (lane, (sender, part)) in senders.iter().zip(chunk.parts).enumerate() {
            let is_loaded = self.next.get(lane).is_some_and(|next| number < *next);
            if !is_loaded && !part.is_empty() {
                sender.send((Slot { lane, chunk: number, end }, part)).await.ok()?;
            }
        }
        Some(())
    }

    /// Loads the parts of one lane, in the order of the file.
    async fn load_lane(&self, mut queue: Receiver<QueuedPart>) {
        let ImportEntry { data_api, deadline, .. } = self.loader.entry;
        let (begun, next_begun) = (BegunAhead::default(), BegunAhead::default());
        let mut queued = queue.recv().await;
        while let Some(current) = queued {
            // The transaction of the next part begins while this one works, so that the call costs
            // no time of its own.
            let next = async {
                let next = queue.recv().await;
                if next.is_some() {
                    next_begun.begin(data_api, deadline).await;
                }
                next
            };
            let (loaded, next) = join(self.load(&current, &begun), next).await;
            if let Err(stop) = loaded {
                self.stop(stop);
            }
            if self.is_stopped() {
                next_begun.discard(data_api, deadline).await;
                return;
            }
            begun.take_from(&next_begun);
            queued = next;
        }
    }

    async fn load(&self, (slot, part): &QueuedPart, begun: &BegunAhead) -> Result<(), Stop> {
        let refused = self.loader.load(*slot, part, begun).await?;
        self.has_advanced.set(true);
        self.read.update(|read| read + part.len() as u64);
        self.rejected.update(|rejected| rejected + refused);
        let max_rejects = self.loader.options.max_rejects;
        Stop::if_failed(too_many(max_rejects, self.read.get(), self.rejected.get(), false))
    }
}

/// Returns the time at which reading stops, so that the parts that were read can be loaded: a
/// minute before the deadline, but at most a quarter of the remaining time.
pub(in crate::functions::import) fn reading_until(deadline: Deadline) -> Deadline {
    const STOP_BEFORE: Duration = Duration::from_mins(1);
    deadline.less(STOP_BEFORE.min(deadline.remaining() / 4))
}

/// Returns the error if more rows are rejected than the limit allows. A percentage counts at the
/// end, or after [`PERCENT_OF_MIN`] rows.
pub(in crate::functions::import) fn too_many(
    limit: Option<Limit>,
    read: u64,
    rejected: u64,
    is_end: bool,
) -> Option<String> {
    let limit = limit?;
    let counts = is_end || read >= PERCENT_OF_MIN || matches!(limit, Limit::Rows(_));
    (counts && limit.is_exceeded(rejected, read)).then(|| {
        format!(
            "{rejected} of the {read} rows read were rejected, more than max-rejects allows ({limit})"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_of_rejects_is_a_number_or_a_percentage() {
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
