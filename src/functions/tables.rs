//! The tables as a function knows them: the catalog that `refresh` has stored, loaded once and
//! looked after from time to time.
//!
//! A schema change needs no deployment. A function asks S3 for a newer catalog from time to time,
//! and has `refresh` read the database again when nobody did lately ([`PACE`]). Before it refuses
//! a request it does both at once, so that a new column is known to the first request that names
//! it. Without traffic nobody reads the database, and it can pause.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aurora_sync_catalog::Catalog;
use tokio::time::{Instant, timeout};

use crate::api::problem::{Kind, Problem};
use crate::aws::functions::Function;
use crate::aws::objects::Objects;
use crate::domain::deadline::{Deadline, now_ms};
use crate::domain::error::{ServiceError, ServiceFault, SyncError, chain};

/// The key of the object in its bucket. A catalog of another form would have another key.
pub const CATALOG_KEY: &str = "catalog/2.json";

/// The times between questions.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// The time for which a catalog counts as new without asking S3.
    pub check_every: Duration,
    /// The age from which the tables are read again, and the least time between two requests of one
    /// function to do so.
    pub read_every: Duration,
}

/// A change of the tables is known everywhere in a minute, while there is traffic.
pub const PACE: Pace =
    Pace { check_every: Duration::from_secs(15), read_every: Duration::from_secs(30) };

/// The longest wait for `refresh`. It takes less than a second, and longer only while the database
/// resumes; it continues then by itself.
const REFRESH_WITHIN: Duration = Duration::from_secs(3);

/// The longest wait for S3. It takes some milliseconds.
const CHECK_WITHIN: Duration = Duration::from_secs(3);

/// The tables of a function.
#[derive(Debug)]
pub struct Tables {
    origin: Origin,
    pace: Pace,
    state: Mutex<State>,
}

#[derive(Debug)]
enum Origin {
    /// A catalog that never changes.
    Fixed,
    Stored {
        objects: Objects,
        bucket: String,
        refresh: Option<Function>,
    },
}

#[derive(Debug, Default)]
struct State {
    catalog: Option<Arc<Catalog>>,
    etag: Option<String>,
    /// The time of the last question to S3, if it responded or a catalog is known.
    checked: Option<Instant>,
    /// The time at which `refresh` has read the tables, in seconds since 1970, if it is known.
    read_at: Option<i64>,
    /// The time of the last request to `refresh`.
    asked: Option<Instant>,
}

impl Tables {
    /// Makes tables that never change.
    pub fn fixed(catalog: Catalog) -> Self {
        let state = State { catalog: Some(Arc::new(catalog)), ..State::default() };
        Self { origin: Origin::Fixed, pace: PACE, state: Mutex::new(state) }
    }

    /// Makes the tables of the catalog in this bucket. `refresh` is the function that stores it
    /// there, for those that may invoke it.
    pub fn stored(objects: Objects, bucket: String, refresh: Option<Function>) -> Self {
        let origin = Origin::Stored { objects, bucket, refresh };
        Self { origin, pace: PACE, state: Mutex::default() }
    }

    /// Sets the times between questions.
    #[must_use]
    pub fn with_pace(self, pace: Pace) -> Self {
        Self { pace, ..self }
    }

    /// Loads the catalog while the function starts, when Lambda gives it a whole processor. An
    /// error is logged only: the first event meets it again.
    pub async fn load(&self) {
        let deadline = Deadline::after(Duration::from_secs(5));
        if let Err(error) = self.current(deadline).await {
            tracing::warn!(error = chain(&error), "catalog not loaded at the start");
        }
    }

    /// Returns the catalog. If S3 does not respond, it is the last one that is known; an error
    /// means that there is none.
    pub async fn current(&self, deadline: Deadline) -> Result<Arc<Catalog>, SyncError> {
        let (known, is_due) = {
            let state = self.state();
            (state.catalog.clone(), is_older(state.checked, self.pace.check_every))
        };
        match known {
            Some(catalog) if !is_due => Ok(catalog),
            known => match self.check(deadline).await {
                Ok(()) => {
                    self.read_again_later(deadline).await;
                    self.state().catalog.clone().ok_or_else(no_catalog)
                }
                Err(error) => match known {
                    Some(catalog) => {
                        tracing::warn!(error = chain(&error), "catalog not checked");
                        Ok(catalog)
                    }
                    None => Err(error),
                },
            },
        }
    }

    /// Has `refresh` read the tables again if nobody did lately, and does not wait for it. The next
    /// event asks S3.
    async fn read_again_later(&self, deadline: Deadline) {
        let Origin::Stored { refresh: Some(function), .. } = &self.origin else { return };
        let is_read_lately = self.state().read_at.is_some_and(|read_at| {
            now_ms() / 1_000 - read_at < self.pace.read_every.as_secs().cast_signed()
        });
        if is_read_lately || !self.may_ask() {
            return;
        }
        let time = REFRESH_WITHIN.min(deadline.remaining());
        match timeout(time, function.invoke_later()).await {
            Ok(Ok(())) => self.state().checked = None,
            Ok(Err(error)) => tracing::warn!(%error, "tables not read again"),
            Err(_) => tracing::warn!("tables not read again in time"),
        }
    }

    /// Returns `true`, and notes the time, if the last request to `refresh` is long ago.
    fn may_ask(&self) -> bool {
        let mut state = self.state();
        let may_ask = is_older(state.asked, self.pace.read_every);
        if may_ask {
            state.asked = Some(Instant::now());
        }
        may_ask
    }

    /// Returns a catalog that differs from `known`, if there is one.
    ///
    /// For a function that is about to refuse something: it may be right by now. First S3 is asked,
    /// then `refresh`, the latter not too often.
    pub async fn newer_than(
        &self,
        known: &Arc<Catalog>,
        deadline: Deadline,
    ) -> Option<Arc<Catalog>> {
        let newer = || {
            let catalog = self.state().catalog.clone();
            catalog.filter(|catalog| !Arc::ptr_eq(catalog, known) && **catalog != **known)
        };
        log_failure(self.check(deadline).await);
        if let Some(newer) = newer() {
            return Some(newer);
        }
        if self.refresh(deadline).await {
            log_failure(self.check(deadline).await);
        }
        newer()
    }

    /// Returns the catalog after `refresh` has read the database, unless it has done so lately. If
    /// that fails, it is the catalog that is known.
    pub async fn refreshed(&self, deadline: Deadline) -> Result<Arc<Catalog>, SyncError> {
        if self.refresh(deadline).await {
            log_failure(self.check(deadline).await);
        }
        self.current(deadline).await
    }

    /// Asks `refresh` to read the database again, and waits for it. Returns `true` if it did.
    async fn refresh(&self, deadline: Deadline) -> bool {
        let Origin::Stored { refresh: Some(function), .. } = &self.origin else { return false };
        if !self.may_ask() {
            return false;
        }
        let time = REFRESH_WITHIN.min(deadline.remaining());
        match timeout(time, function.invoke()).await {
            Ok(Ok(())) => true,
            Ok(Err(error)) => {
                tracing::warn!(%error, "tables not read again");
                false
            }
            Err(_) => {
                tracing::info!("tables not read again in time");
                false
            }
        }
    }

    /// Asks S3 for a newer catalog.
    async fn check(&self, deadline: Deadline) -> Result<(), SyncError> {
        let Origin::Stored { objects, bucket, .. } = &self.origin else { return Ok(()) };
        let etag = self.state().etag.clone();
        let fetch = objects.get_if_changed(bucket, CATALOG_KEY, etag.as_deref());
        let fetched = match timeout(CHECK_WITHIN.min(deadline.remaining()), fetch).await {
            Ok(fetched) => fetched.map_err(missing),
            Err(_) => Err(SyncError::OutOfTime),
        };
        let mut state = self.state();
        if fetched.is_ok() || state.catalog.is_some() {
            // While S3 does not respond, not each event waits for it.
            state.checked = Some(Instant::now());
        }
        let fetched = fetched?;
        state.read_at = fetched.written_at;
        if let Some((etag, bytes)) = fetched.changed {
            let catalog: Catalog = serde_json::from_slice(&bytes).map_err(|error| {
                SyncError::Inconsistent(format!("the stored catalog cannot be read: {error}"))
            })?;
            let (tables, version) = (catalog.tables().len(), catalog.version());
            tracing::info!(tables, version, "catalog loaded");
            state.catalog = Some(Arc::new(catalog));
            state.etag = etag;
        }
        Ok(())
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_older(since: Option<Instant>, time: Duration) -> bool {
    since.is_none_or(|since| since.elapsed() >= time)
}

fn log_failure(checked: Result<(), SyncError>) {
    if let Err(error) = checked {
        tracing::warn!(error = chain(&error), "catalog not checked");
    }
}

/// A catalog that is missing will be there when `refresh` has run: nothing is rejected meanwhile.
fn missing(error: ServiceError) -> SyncError {
    match error.fault {
        ServiceFault::NotFound => SyncError::Service(ServiceError {
            fault: ServiceFault::Unavailable,
            message: "no catalog is stored yet; run `aurora-sync refresh`".to_owned(),
            ..error
        }),
        _ => error.into(),
    }
}

fn no_catalog() -> SyncError {
    SyncError::Inconsistent("S3 says that the catalog did not change, and none is known".to_owned())
}

/// The value of `Retry-After` where no catalog can be had.
const RETRY_AFTER_SECONDS: u16 = 5;

/// Returns the problem for a request that meets [`Tables::current`]'s error.
pub fn unavailable(error: &SyncError) -> Problem {
    tracing::error!(error = chain(error), "no catalog");
    let detail = "The list of tables cannot be read now. Nothing was accepted. Try again.";
    Problem::new(Kind::Unavailable, detail).with_retry_after(RETRY_AFTER_SECONDS)
}

/// Returns whether a response may be another one with newer tables.
pub fn may_depend_on_tables(status: u16) -> bool {
    matches!(status, 400 | 404 | 405 | 422 | 500)
}
