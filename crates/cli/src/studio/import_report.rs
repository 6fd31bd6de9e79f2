//! An import in pictures: its progress and, when it has ended, its report.

use maud::{Markup, html};

use super::page::{badge, facts, time};
use super::site::Site;
use crate::operations::imports::{self, Import};
use crate::progress::{bytes, grouped, rounded};
use crate::report::{Kind, Report};

/// An import that has ended, with its report if it has one.
#[derive(Debug)]
pub(super) struct Loaded {
    import: Import,
    report: Option<Report>,
}

impl Loaded {
    /// Reads the report of an import.
    pub(super) async fn read(site: &Site, import: Import) -> anyhow::Result<Self> {
        let bucket = &site.places.results_bucket;
        let report = Box::pin(imports::report(&site.objects, bucket, &import)).await?;
        Ok(Self { import, report })
    }
}

/// Shows how far a running import is.
pub(super) fn progress(import: &Import) -> Markup {
    let percent = import.progress_percent.unwrap_or_default().clamp(0.0, 100.0);
    html! {
        div.notice.is-busy {
            p {
                (badge(&import.state)) " " (grouped(import.rows_read)) " rows read, "
                (grouped(import.rows_written)) " written, " (grouped(import.rows_rejected)) " rejected"
                @if let Some(rate) = import.rows_per_second { ", " (rounded(rate)) " rows/s" }
                "."
            }
            progress max="100" value=(format!("{percent:.1}")) aria-label="Progress of the import" {}
            p.note {
                (format!("{percent:.1}")) " % of "
                @match import.bytes_total { Some(total) => (bytes(total)), None => "the file" }
                @if let Some(end) = &import.estimated_end_at { ", about to end at " (time(end)) " UTC" }
            }
            @if let Some(error) = &import.error { p { "It waits: " (error) } }
        }
    }
}

/// Shows the result of an import.
pub(super) fn report(loaded: &Loaded) -> Markup {
    let Loaded { import, report } = loaded;
    let is_dry_run = import.is_dry_run();
    let kind = match (import.state.as_str(), import.rows_rejected) {
        ("completed", 0) => "good",
        ("completed", _) => "busy",
        _ => "bad",
    };
    html! {
        div class={ "notice is-" (kind) } role="status" {
            p {
                (badge(&import.state)) " "
                @if is_dry_run { "Dry run: nothing was written. " }
                @if import.rows_rejected == 0 && import.state == "completed" { "All rows are good." }
                @if import.rows_rejected > 0 {
                    strong { (grouped(import.rows_rejected)) }
                    " of " (grouped(import.rows_read)) " rows "
                    @if is_dry_run { "would be rejected." } @else { "were rejected." }
                }
            }
            @if let Some(error) = &import.error { p { (error) } }
        }
        div.actions {
            @if import.rows_rejected > 0 {
                a.button.is-main href={ "/imports/" (import.id) "/mend" } { "Mend the rejected rows" }
                a.button href={ "/imports/" (import.id) "/rejected.csv" } { "Download them" }
            }
            @if is_dry_run && import.state == "completed" {
                @if deletes(import) {
                    a.button href={ "/imports/" (import.id) "/load" } { "Load the good rows into " (import.table) "…" }
                } @else {
                    form.inline method="post" action={ "/imports/" (import.id) "/load" } {
                        button type="submit" { "Load the good rows into " (import.table) }
                    }
                }
            }
        }
        (counts(import))
        @if let Some(report) = report { (by_rule(&report.rejected_by_rule, import.rows_rejected)) }
        (facts(&described(import)))
    }
}

/// Returns true if the mode of the import deletes rows.
fn deletes(import: &Import) -> bool {
    matches!(import.options["mode"].as_str(), Some("replace" | "delete"))
}

fn described(import: &Import) -> Vec<(&'static str, Markup)> {
    let mut shown = vec![
        ("Table", html! { (import.table) }),
        ("Import", html! { code { (import.id) } }),
        ("Began (UTC)", time(&import.started_at)),
    ];
    if let Some(end) = &import.finished_at {
        shown.push(("Ended (UTC)", time(end)));
    }
    if let Some(caller) = &import.caller {
        shown.push(("Uploaded by", html! { (caller) }));
    }
    if let Some(rate) = import.rows_per_second {
        shown.push(("Rows a second", html! { (rounded(rate)) }));
    }
    shown
}

/// Shows the numbers of rows.
pub(super) fn counts(import: &Import) -> Markup {
    let mut all = vec![
        ("Read", import.rows_read),
        ("Written", import.rows_written),
        ("Unchanged", import.rows_unchanged),
        ("Superseded", import.rows_superseded),
        ("Rejected", import.rows_rejected),
    ];
    all.extend(import.rows_overwritten.map(|rows| ("Would be updated", rows)));
    if import.rows_deleted > 0 {
        all.push(("Deleted", import.rows_deleted));
    }
    html! {
        dl.figures {
            @for (name, count) in all { div { dt { (name) } dd { (grouped(count)) } } }
        }
    }
}

/// Shows the rejected rows by their rule: a table whose last column is a chart.
fn by_rule(kinds: &[Kind], total: u64) -> Markup {
    html! {
        @if !kinds.is_empty() {
            h2 { "Rejected by rule" }
            div.scroll tabindex="0" role="region" aria-label="Rejected rows by rule" {
                table.bars {
                    caption.hidden { "Rejected rows by rule and column" }
                    thead {
                        tr {
                            th scope="col" { "Rule" } th scope="col" { "Column" }
                            th scope="col" { "SQLSTATE" } th.num scope="col" { "Rows" }
                            th scope="col" { "Share" }
                        }
                    }
                    tbody {
                        @for kind in kinds {
                            tr {
                                th scope="row" { (kind.rule) }
                                td { (kind.column.clone().unwrap_or_default()) }
                                td { (kind.sqlstate.clone().unwrap_or_default()) }
                                td.num { (grouped(kind.count)) }
                                td { (bar(kind.count, total)) }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Draws a share of a whole.
fn bar(count: u64, total: u64) -> Markup {
    let percent = count.saturating_mul(100) / total.max(1);
    html! {
        svg.bar width="160" height="8" viewBox="0 0 100 8" preserveAspectRatio="none" role="img"
            aria-label={ (percent) " percent" } {
            rect.track width="100" height="8" rx="2" {}
            rect.fill width=(percent.max(1)) height="8" rx="2" {}
        }
    }
}
