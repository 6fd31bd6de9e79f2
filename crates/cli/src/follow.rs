//! Follows an import from its file to its end.

use std::time::{Duration, Instant};

use anyhow::bail;

use crate::api::{Api, ApiError, Import};
use crate::commands::output::printable;
use crate::import::stage::Stage;
use crate::progress::{Progress, grouped, rounded};

/// The time between two requests: short at first, since most files are small.
const ASK_EVERY: [Duration; 2] = [Duration::from_millis(250), Duration::from_secs(2)];

/// The longest time without a response before the API counts as gone.
const SILENT_MAX: Duration = Duration::from_mins(3);

/// After this time without an import, a hint is given.
pub(crate) const BEGINS_WITHIN: Duration = Duration::from_mins(1);

/// The hint.
pub(crate) const NOT_BEGUN: &str = "no import has begun for a minute: other files may be before it, \
     or the bucket and the API are not of one deployment";

/// Until when an import is followed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience {
    began: Instant,
    timeout: Option<Duration>,
}

impl Patience {
    pub(crate) fn new(timeout: Option<Duration>) -> Self {
        Self { began: Instant::now(), timeout }
    }

    fn check(self, stage: &Stage) -> anyhow::Result<()> {
        match self.timeout {
            Some(timeout) if self.began.elapsed() >= timeout => {
                bail!("not done within {} s: {}", timeout.as_secs(), stage.rest())
            }
            _ => Ok(()),
        }
    }
}

/// Asks again and again.
#[derive(Debug)]
pub(crate) struct Follower<'a> {
    pub(crate) api: &'a Api,
    pub(crate) progress: &'a Progress,
    pub(crate) patience: Patience,
}

impl Follower<'_> {
    /// The imports that an object has had so far.
    pub(crate) async fn known(&self, key: &str) -> anyhow::Result<Vec<String>> {
        let imports = self.patiently(async || self.api.imports_of(key).await).await?;
        Ok(imports.into_iter().map(|import| import.id).collect())
    }

    /// The import of this version of an object, none of those that were known before.
    pub(crate) async fn begun(
        &self,
        key: &str,
        version: &str,
        known: &[String],
    ) -> anyhow::Result<Import> {
        let began = Instant::now();
        let mut is_hinted = false;
        loop {
            let imports = self.patiently(async || self.api.imports_of(key).await).await?;
            let is_ours =
                |import: &Import| import.version == version && !known.contains(&import.id);
            if let Some(import) = imports.into_iter().find(is_ours) {
                return Ok(import);
            }
            self.progress.at(None, "waiting for its import to begin");
            if !is_hinted && began.elapsed() > BEGINS_WITHIN {
                is_hinted = true;
                self.progress.note(NOT_BEGUN);
            }
            self.wait(began).await?;
        }
    }

    /// The import when it has ended.
    pub(crate) async fn ended(&self, mut import: Import) -> anyhow::Result<Import> {
        let began = Instant::now();
        let mut reported = None;
        while import.is_running() {
            // The error that keeps it from going on.
            if import.error != reported {
                reported.clone_from(&import.error);
                if let Some(error) = &reported {
                    self.progress.note(&printable(error));
                }
            }
            self.progress
                .at(import.progress_percent.map(|percent| percent / 100.0), &how_far(&import));
            self.wait(began).await?;
            import = self.patiently(async || self.api.import(&import.id).await).await?;
        }
        Ok(import)
    }

    /// The longer it takes, the longer may be waited.
    async fn wait(&self, began: Instant) -> anyhow::Result<()> {
        self.patience.check(&self.progress.stage())?;
        let [first, last] = ASK_EVERY;
        tokio::time::sleep((began.elapsed() / 20).clamp(first, last)).await;
        Ok(())
    }

    async fn patiently<T>(&self, ask: impl AsyncFn() -> Result<T, ApiError>) -> anyhow::Result<T> {
        let waits = |error: &anyhow::Error| {
            self.progress.at(None, &waiting(error));
            self.patience.check(&self.progress.stage())
        };
        patiently(ask, waits).await
    }
}

/// Asks until there is an answer, as long as the API is only away for a while. Tells `waits` the
/// error before each pause, which can end it.
pub(crate) async fn patiently<T>(
    ask: impl AsyncFn() -> Result<T, ApiError>,
    mut waits: impl FnMut(&anyhow::Error) -> anyhow::Result<()>,
) -> anyhow::Result<T> {
    let began = Instant::now();
    loop {
        match ask().await {
            Ok(answer) => return Ok(answer),
            Err(ApiError::Never(error)) => return Err(error),
            Err(ApiError::Later(error)) if began.elapsed() > SILENT_MAX => return Err(error),
            Err(ApiError::Later(error)) => {
                waits(&error)?;
                tokio::time::sleep(ASK_EVERY[1]).await;
            }
        }
    }
}

/// Says that an answer is waited for, and why.
pub(crate) fn waiting(error: &anyhow::Error) -> String {
    format!("waiting: {}", printable(&format!("{error:#}")))
}

/// Returns an answer, or nothing if the API is only away for a while. For a loop that asks again in
/// any case.
pub(crate) fn unless_away<T>(answer: Result<T, ApiError>) -> anyhow::Result<Option<T>> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(ApiError::Later(_)) => Ok(None),
        Err(ApiError::Never(error)) => Err(error),
    }
}

fn how_far(import: &Import) -> String {
    let mut text = String::new();
    if let Some(percent) = import.progress_percent {
        text.push_str(&format!("{percent:.1} %, "));
    }
    text.push_str(&format!("{} rows", grouped(import.rows_read)));
    if let Some(rate) = import.rows_per_second {
        text.push_str(&format!(", {} rows/s", rounded(rate)));
    }
    if import.rows_rejected > 0 {
        text.push_str(&format!(", {} rejected", grouped(import.rows_rejected)));
    }
    let end = import.estimated_end_at.as_ref().and_then(|end| end.parse::<jiff::Timestamp>().ok());
    if let Some(seconds) = end.map(|end| end.as_second() - jiff::Timestamp::now().as_second())
        && let Ok(seconds @ 1..) = u64::try_from(seconds)
    {
        text.push_str(&format!(
            ", about {} left",
            indicatif::HumanDuration(Duration::from_secs(seconds))
        ));
    }
    text
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::*;

    #[test]
    fn an_api_that_is_away_for_a_while_has_no_answer_yet() {
        assert_eq!(unless_away(Ok(1)).unwrap(), Some(1));
        assert_eq!(unless_away::<u8>(Err(ApiError::Later(anyhow!("503")))).unwrap(), None);
        assert!(unless_away::<u8>(Err(ApiError::Never(anyhow!("403")))).is_err());
    }

    #[tokio::test]
    async fn a_wait_ends_with_an_answer_or_when_the_caller_ends_it() {
        let answer = patiently(async || Ok("answer"), |_| Err(anyhow!("no pause is needed")));
        assert_eq!(answer.await.unwrap(), "answer");
        let away = async || Err::<(), _>(ApiError::Later(anyhow!("503\u{1b}")));
        let ended = patiently(away, |error| Err(anyhow!("{}", waiting(error))));
        assert_eq!(ended.await.unwrap_err().to_string(), "waiting: 503\u{fffd}");
    }

    #[test]
    fn what_is_not_known_is_left_out() {
        let mut import = Import {
            id: String::new(),
            version: String::new(),
            state: "running".into(),
            error: None,
            rows_read: 0,
            rows_rejected: 0,
            rows_per_second: None,
            progress_percent: None,
            estimated_end_at: None,
        };
        assert_eq!(how_far(&import), "0 rows");
        import.progress_percent = Some(12.5);
        import.rows_read = 123_456;
        import.rows_per_second = Some(4_321.6);
        import.rows_rejected = 7;
        import.estimated_end_at = Some("2026-01-01T00:00:00+00:00".into());
        assert_eq!(how_far(&import), "12.5 %, 123,456 rows, 4,322 rows/s, 7 rejected");
    }
}
