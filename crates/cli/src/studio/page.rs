//! The frame of each page, and the pieces that pages share.

use jiff::Timestamp;
use maud::{DOCTYPE, Markup, html};

/// The part of the page that the navigation marks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Area {
    Overview,
    Tables,
    Import,
    Writes,
    DeadLetters,
    None,
}

const AREAS: [(Area, &str, &str); 5] = [
    (Area::Overview, "/", "Overview"),
    (Area::Tables, "/tables", "Tables"),
    (Area::Import, "/imports", "Imports"),
    (Area::Writes, "/writes", "Writes"),
    (Area::DeadLetters, "/dead-letters", "Dead letters"),
];

/// Makes a page with its title as the heading.
pub(super) fn page(area: Area, title: &str, body: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) " · aurora-sync" }
                link rel="stylesheet" href="/assets/studio.css";
                link rel="icon" href="/assets/icon.svg" type="image/svg+xml";
                script src="/assets/studio.js" defer {}
            }
            body {
                a.skip href="#content" { "Skip to the content" }
                header.side {
                    a.brand href="/" {
                        img src="/assets/icon.svg" alt="" width="20" height="20";
                        "aurora-sync"
                    }
                    nav aria-label="Main" {
                        @for (of, href, name) in AREAS {
                            a href=(href) aria-current=[(of == area).then_some("page")] { (name) }
                        }
                    }
                }
                main #content tabindex="-1" {
                    h1 { (title) }
                    (body)
                }
            }
        }
    }
}

/// Makes the way from a list to this page.
pub(super) fn crumbs(steps: &[(&str, &str)]) -> Markup {
    html! {
        nav.crumbs aria-label="Breadcrumb" {
            ol { @for (href, name) in steps { li { a href=(href) { (name) } } } }
        }
    }
}

/// Makes a message that stands out.
pub(super) fn notice(kind: &str, text: &str) -> Markup {
    html! { div class={ "notice is-" (kind) } role="status" { p { (text) } } }
}

/// Makes the word of an outcome or a state, with its colour.
pub(super) fn badge(word: &str) -> Markup {
    let kind = match word {
        "applied" | "completed" | "ok" => "good",
        "rejected" | "failed" | "error" => "bad",
        "pending" | "running" | "warning" => "busy",
        _ => "calm",
    };
    html! { span class={ "badge is-" (kind) } { (word) } }
}

/// Shows a time of RFC 3339 to the second, in UTC.
pub(super) fn time(text: &str) -> Markup {
    let shown = text
        .parse::<Timestamp>()
        .map_or_else(|_| text.to_owned(), |time| time.strftime("%Y-%m-%d %H:%M:%S").to_string());
    html! { time datetime=(text) title="UTC" { (shown) } }
}

/// Makes a list of names and values.
pub(super) fn facts(facts: &[(&str, Markup)]) -> Markup {
    html! {
        dl.facts { @for (name, value) in facts { div { dt { (name) } dd { (value) } } } }
    }
}

/// Makes a part of the page that asks for its news until there are no more.
pub(super) fn live(source: &str, content: &Markup) -> Markup {
    html! { div.live data-live=(source) aria-live="polite" { (content) } }
}

/// Makes the button of a form that does one thing.
pub(super) fn hidden(name: &str, value: &str) -> Markup {
    html! { input type="hidden" name=(name) value=(value); }
}
