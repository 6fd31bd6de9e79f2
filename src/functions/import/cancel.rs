//! Ends imports for an operator: a running one, or one whose message is in the dead-letter queue.
//!
//! `aurora-sync` invokes the function with such a message, without the queue.

use std::cell::RefCell;

use serde::Deserialize;
use uuid::Uuid;

use super::attempt::Attempt;
use super::claim::{ImportEntry, Worker};
use super::read::source::{self, ImportRequest};
use super::{Again, Delivery, Import};
use crate::domain::deadline::Deadline;
use crate::domain::error::SyncError;

const CANCELLED: &str = "an operator cancelled the import; the rows that were loaded before stay";

const DISCARDED: &str = "an operator discarded the file from the dead-letter queue; the rows that were loaded before \
                         stay. Upload the file again to load it";

/// A message that ends imports.
#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Cancel {
    /// Ends the running import with this id.
    Cancel(Uuid),
    /// Ends the imports of the files that this message names. It holds the body of the message.
    Discard(String),
}

impl Cancel {
    /// Reads a body. Returns `None` for a message of another kind.
    pub(super) fn read(body: &str) -> Option<Self> {
        serde_json::from_str(body).ok()
    }
}

/// Ends the imports. If a worker is at work, it finds the end before its next set, and reports.
/// Otherwise this one reports.
pub(super) async fn run(
    import: &Import,
    delivery: Delivery<'_>,
    cancel: Cancel,
    deadline: Deadline,
) -> Result<Again, SyncError> {
    let (requests, reason) = match cancel {
        Cancel::Cancel(import_id) => {
            let entry = ImportEntry { data_api: &import.data_api, import_id, deadline };
            let Some(cancelled) = entry.cancel(CANCELLED).await? else {
                tracing::info!(%import_id, "no running import to cancel");
                return Ok(Again::Never);
            };
            tracing::info!(%import_id, "import cancelled");
            if !cancelled.is_abandoned {
                return Ok(Again::Never);
            }
            (vec![(import_id, cancelled.request())], None)
        }
        Cancel::Discard(body) => {
            let notification = source::read(&body);
            let requests = notification.map(|found| found.requests).unwrap_or_default();
            let of_import = |request: ImportRequest| (request.source.import_id(), request);
            (requests.into_iter().map(of_import).collect(), Some(DISCARDED))
        }
    };
    for (import_id, request) in requests {
        let entry = ImportEntry { data_api: &import.data_api, import_id, deadline };
        let worker = Worker { entry, id: Uuid::now_v7(), message_id: delivery.message_id };
        let attempt = Attempt {
            import,
            request: &request,
            worker,
            wait_seconds: 0,
            format: RefCell::default(),
        };
        if let Some(reason) = reason {
            // A file that has waited all the time has no entry yet.
            attempt.register().await?;
            entry.cancel(reason).await?;
            tracing::info!(%import_id, "import discarded");
        }
        // Finds the end, and reports.
        if Box::pin(attempt.run()).await? != Again::Never {
            return Ok(Again::WithBackoff);
        }
    }
    Ok(Again::Never)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_notification_is_no_message_that_ends_imports() {
        let id = "6f9619ff-8b86-8011-b42d-00c04fc964ff";
        let read = |body: String| Cancel::read(&body);
        assert_eq!(
            read(format!(r#"{{"cancel":"{id}"}}"#)),
            Some(Cancel::Cancel(id.parse().unwrap()))
        );
        assert_eq!(read(r#"{"discard":"{}"}"#.into()), Some(Cancel::Discard("{}".into())));
        for other in [r#"{"Records":[]}"#, "{}", "", r#"{"continuation":1,"source":{}}"#] {
            assert_eq!(Cancel::read(other), None);
        }
    }
}
