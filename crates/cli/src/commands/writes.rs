//! `aurora-sync writes`.

use std::time::Duration;

use anyhow::Context as _;
use jiff::Timestamp;
use serde::Serialize;
use tokio::time::{Instant, sleep};

use super::output::{Cell, Colour, columns, counted, has_colours, printable, second};
use super::{deployed, edit, ended, is_agreed, print_json};
use crate::api::ApiError;
use crate::arguments::writes::{Filter, List, Resend, Show, WritesCommand};
use crate::follow::unless_away;
use crate::operations::Deployed;
use crate::operations::writes::{self, Order, Status, Write};
use crate::outcome::{Outcome, wrong_usage};
use crate::progress::{error_line, line};

/// The most writes of a page.
const PAGE_MAX: u32 = 1_000;

/// The time for which the outcomes of writes that were sent again are waited for.
const SETTLED_WITHIN: Duration = Duration::from_mins(1);

/// The time between two looks at what is pending.
const LOOK_EVERY: Duration = Duration::from_secs(1);

pub(crate) async fn run(command: &WritesCommand) -> Outcome {
    match command {
        WritesCommand::List(arguments) => match deployed(&arguments.place).await {
            Ok(deployed) => ended(list(&deployed, arguments).await),
            Err(outcome) => outcome,
        },
        WritesCommand::Show(arguments) => match deployed(&arguments.place).await {
            Ok(deployed) => ended(show(&deployed, arguments).await),
            Err(outcome) => outcome,
        },
        WritesCommand::Resend(arguments) => {
            if arguments.ids.is_empty() == arguments.filter.is_empty() {
                return wrong_usage(&anyhow::anyhow!(
                    "give either the ids of the writes, or conditions such as --since 1d"
                ));
            }
            match deployed(&arguments.place).await {
                Ok(deployed) => ended(resend(&deployed, arguments).await),
                Err(outcome) => outcome,
            }
        }
    }
}

/// Returns the conditions of a list.
pub(super) fn filter(filter: &Filter) -> writes::Filter {
    let Filter { outcome, table, key, rule, caller, since, until } = filter.clone();
    writes::Filter { outcome, table, key, rule, caller, since, until }
}

/// Reads writes page by page.
pub(super) async fn read(
    deployed: &Deployed,
    filter: &writes::Filter,
    order: Order,
    limit: u32,
) -> Result<Vec<Write>, ApiError> {
    let first = writes::first(filter, order, limit.min(PAGE_MAX));
    let mut page = writes::page(deployed, &first).await?;
    let mut found = page.items;
    while found.len() < limit as usize
        && let Some(next) = page.next
    {
        page = writes::page(deployed, &next).await?;
        found.append(&mut page.items);
    }
    found.truncate(limit as usize);
    Ok(found)
}

async fn list(deployed: &Deployed, arguments: &List) -> anyhow::Result<Outcome> {
    let limit = arguments.limit.max(1);
    let found = read(deployed, &filter(&arguments.filter), Order::NewestFirst, limit).await;
    let found = found.map_err(ApiError::into_error)?;
    if arguments.json {
        print_json(&found)?;
    } else if found.is_empty() {
        error_line("no settled write meets the conditions");
    } else {
        line(&columns(&found.iter().map(row).collect::<Vec<_>>(), has_colours()));
        if found.len() == limit as usize {
            error_line(&format!("there may be more than {limit}: see --limit"));
        }
    }
    Ok(Outcome::Good)
}

fn colour(outcome: &str) -> Colour {
    match outcome {
        "applied" => Colour::Green,
        "rejected" => Colour::Red,
        "pending" => Colour::Yellow,
        _ => Colour::Plain,
    }
}

/// Returns the columns of a write.
pub(super) fn row(write: &Write) -> Vec<Cell> {
    let mut why = match (&write.rule, &write.sqlstate) {
        (Some(rule), Some(sqlstate)) => format!("{rule} {sqlstate}"),
        (Some(rule), None) => rule.clone(),
        (None, _) => String::new(),
    };
    if let Some(reason) = &write.reason {
        why.push_str(&format!(": {reason}"));
    }
    vec![
        second(&write.settled_at).into(),
        Cell::coloured(&write.outcome, colour(&write.outcome)),
        write.operation.clone().into(),
        printable(write.table.as_deref().unwrap_or("-")).into(),
        printable(write.key.as_deref().unwrap_or("-")).into(),
        write.id.clone().into(),
        printable(&why).into(),
    ]
}

/// Returns the id of a write from its status URL too.
fn id(text: &str) -> &str {
    text.trim_end_matches('/').rsplit('/').next().unwrap_or(text)
}

async fn show(deployed: &Deployed, arguments: &Show) -> anyhow::Result<Outcome> {
    let status = writes::show(deployed, id(&arguments.id)).await?;
    if arguments.json {
        print_json(&status)?;
    } else {
        line(&text(&status, has_colours()));
    }
    Ok(Outcome::Good)
}

/// Formats a status, a member a line.
fn text(status: &Status, has_colours: bool) -> String {
    let mut rows: Vec<Vec<Cell>> = vec![
        vec!["id".into(), status.id.clone().into()],
        vec!["outcome".into(), Cell::coloured(&status.outcome, colour(&status.outcome))],
    ];
    for (name, value) in &status.rest {
        let value = match value {
            serde_json::Value::Null => continue,
            serde_json::Value::String(text) => printable(text),
            other => other.to_string(),
        };
        rows.push(vec![name.clone().into(), value.into()]);
    }
    if let Some(old) = &status.resend_of {
        rows.push(vec!["resend_of".into(), old.clone().into()]);
    }
    if !status.resent_as.is_empty() {
        rows.push(vec!["resent_as".into(), status.resent_as.join(", ").into()]);
    }
    if let Some(payload) = &status.payload {
        if let Some(precondition) = &payload.precondition {
            rows.push(vec!["precondition".into(), printable(precondition).into()]);
        }
        rows.push(vec!["row".into(), printable(payload.row.get()).into()]);
    } else if status.outcome == "rejected" {
        let withheld = "withheld, since sync_reader may not read all of its columns: see the column payload of sync.write";
        rows.push(vec!["row".into(), withheld.into()]);
    }
    columns(&rows, has_colours)
}

/// The result for a write that was to be sent again.
#[derive(Debug, Serialize)]
struct Sent {
    resend_of: String,
    /// The new write, if it was sent.
    id: Option<String>,
    /// The outcome of the new write.
    outcome: Option<String>,
    rule: Option<String>,
    reason: Option<String>,
    /// The error, if it was not sent.
    error: Option<String>,
    #[serde(skip)]
    status_id: String,
}

impl Sent {
    fn failed(resend_of: String, error: &anyhow::Error) -> Self {
        Self {
            resend_of,
            id: None,
            outcome: None,
            rule: None,
            reason: None,
            error: Some(format!("{error:#}")),
            status_id: String::new(),
        }
    }
}

async fn resend(deployed: &Deployed, arguments: &Resend) -> anyhow::Result<Outcome> {
    let has_conditions = arguments.ids.is_empty();
    let ids = if has_conditions {
        let mut filter = filter(&arguments.filter);
        if filter.outcome.as_ref().is_some_and(|outcome| outcome != "rejected") {
            return Ok(wrong_usage(&anyhow::anyhow!("only rejected writes can be sent again")));
        }
        filter.outcome = Some("rejected".to_owned());
        let found = read(deployed, &filter, Order::OldestFirst, u32::MAX).await;
        let found = found.map_err(ApiError::into_error)?;
        found.into_iter().map(|write| write.id).collect()
    } else {
        arguments.ids.iter().map(|text| id(text).to_owned()).collect::<Vec<_>>()
    };
    if ids.is_empty() {
        error_line("no rejected write meets the conditions");
    }
    let mut all = Vec::new();
    let mut statuses = Vec::new();
    for id in ids {
        match writes::show(deployed, &id).await {
            Ok(status) => statuses.push(status),
            Err(error) => all.push(Sent::failed(id, &error)),
        }
    }
    let (statuses, skipped) = to_send(statuses, has_conditions && !arguments.again);
    if skipped > 0 {
        let skipped = counted(skipped as u64, "write");
        error_line(&format!("skipped {skipped}, sent again before; --again sends such writes too"));
    }
    if statuses.len() > 1 {
        match is_agreed(&question(statuses.len() as u64), arguments.yes) {
            Ok(true) => {}
            Ok(false) => return Ok(Outcome::Usage),
            Err(error) => return Ok(wrong_usage(&error)),
        }
    }
    for status in &statuses {
        all.push(send(deployed, status, arguments.edit).await);
    }
    let followed = follow(deployed, &mut all).await;
    // The ids of the new writes are printed in any case.
    if arguments.json {
        print_json(&all)?;
    } else if !all.is_empty() {
        line(&columns(&all.iter().map(sent_row).collect::<Vec<_>>(), has_colours()));
    }
    followed?;
    Ok(all.iter().map(sent_outcome).max().unwrap_or(Outcome::Good))
}

/// Returns the writes to send, the oldest first, and the number of those that are left out because
/// they were sent again before.
fn to_send(mut statuses: Vec<Status>, skips_resent: bool) -> (Vec<Status>, usize) {
    let found = statuses.len();
    if skips_resent {
        statuses.retain(|status| status.resent_as.is_empty());
    }
    let accepted_at = |status: &Status| status.text("accepted_at")?.parse::<Timestamp>().ok();
    statuses.sort_by_key(accepted_at);
    let skipped = found - statuses.len();
    (statuses, skipped)
}

fn question(count: u64) -> String {
    let writes = counted(count, "rejected write");
    format!("An old value can overwrite a newer one. Send {writes} again?")
}

async fn send(deployed: &Deployed, status: &Status, is_edited: bool) -> Sent {
    let sent = async {
        let row = match &status.payload {
            Some(payload) if is_edited => {
                Some(edit::row(&payload.row)?.context("the file is empty: not sent")?)
            }
            _ => None,
        };
        writes::resend(deployed, status, row.as_deref()).await
    };
    match sent.await {
        Ok(sent) => Sent {
            resend_of: sent.resend_of,
            id: Some(sent.id),
            status_id: sent.status_id,
            outcome: Some("pending".to_owned()),
            rule: None,
            reason: None,
            error: None,
        },
        Err(error) => Sent::failed(status.id.clone(), &error),
    }
}

/// Reads the outcomes of the new writes, until all are settled or the time is over.
async fn follow(deployed: &Deployed, all: &mut [Sent]) -> anyhow::Result<()> {
    let until = Instant::now() + SETTLED_WITHIN;
    loop {
        let is_pending = |sent: &&mut Sent| sent.outcome.as_deref() == Some("pending");
        let mut are_pending = false;
        for sent in all.iter_mut().filter(is_pending) {
            let Some(status) = unless_away(writes::status(deployed, &sent.status_id).await)? else {
                are_pending = true;
                break;
            };
            are_pending |= status.outcome == "pending";
            let text = |name: &str| status.text(name).map(str::to_owned);
            (sent.rule, sent.reason) = (text("rule"), text("reason"));
            sent.outcome = Some(status.outcome);
        }
        if !are_pending || Instant::now() > until {
            return Ok(());
        }
        sleep(LOOK_EVERY).await;
    }
}

fn sent_row(sent: &Sent) -> Vec<Cell> {
    let outcome = sent.outcome.as_deref().unwrap_or("not sent");
    let colour = if sent.error.is_some() { Colour::Red } else { colour(outcome) };
    let why = match (&sent.error, &sent.rule, &sent.reason) {
        (Some(error), ..) => error.clone(),
        (None, Some(rule), reason) => format!("{rule}: {}", reason.as_deref().unwrap_or_default()),
        _ => String::new(),
    };
    vec![
        sent.resend_of.clone().into(),
        Cell::coloured(outcome, colour),
        sent.id.clone().unwrap_or_else(|| "-".to_owned()).into(),
        printable(&why).into(),
    ]
}

fn sent_outcome(sent: &Sent) -> Outcome {
    match sent.outcome.as_deref() {
        None => Outcome::Failed,
        Some("rejected" | "pending") => Outcome::Attention,
        Some(_) => Outcome::Good,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_can_be_given_as_the_url_of_its_status() {
        assert_eq!(id("01a2"), "01a2");
        assert_eq!(id("https://x/_sync/writes/01a2?fingerprint=f"), "01a2?fingerprint=f");
    }

    #[test]
    fn the_oldest_write_is_sent_first_and_one_that_was_sent_again_is_skipped() {
        let found = || -> Vec<Status> {
            serde_json::from_str(
                r#"[{"id":"b","outcome":"rejected","accepted_at":"2026-11-23T09:30:00.5+00:00"},
                    {"id":"a","outcome":"rejected","accepted_at":"2026-11-23T10:00:00+09:00"},
                    {"id":"c","outcome":"rejected","accepted_at":"2026-11-23T10:00:00Z","resent_as":["d"]}]"#,
            )
            .unwrap()
        };
        let ids = |statuses: &[Status]| {
            statuses.iter().map(|status| status.id.as_str()).collect::<String>()
        };
        let (statuses, skipped) = to_send(found(), true);
        assert_eq!((ids(&statuses).as_str(), skipped), ("ab", 1));
        let (statuses, skipped) = to_send(found(), false);
        assert_eq!((ids(&statuses).as_str(), skipped), ("abc", 0));
    }

    #[test]
    fn the_question_warns_of_newer_values() {
        assert_eq!(
            question(2),
            "An old value can overwrite a newer one. Send 2 rejected writes again?"
        );
    }

    #[test]
    fn a_rejected_write_shows_its_row_or_says_that_it_is_withheld() {
        let shown = |json: &str| text(&serde_json::from_str(json).unwrap(), false);
        let with = shown(
            r#"{"id":"a","outcome":"rejected","rule":"database","key":null,"resent_as":["b","c"],
                "payload":{"row":{"id":"1"},"precondition":"If-Match: *"}}"#,
        );
        assert_eq!(
            with,
            "id            a\noutcome       rejected\nrule          database\nresent_as     b, c\n\
             precondition  If-Match: *\nrow           {\"id\":\"1\"}"
        );
        assert!(shown(r#"{"id":"a","outcome":"rejected"}"#).contains("row      withheld"));
        assert_eq!(shown(r#"{"id":"a","outcome":"pending"}"#), "id       a\noutcome  pending");
    }
}
