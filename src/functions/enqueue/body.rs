//! The body of a write, split into its items: one object, an array, or NDJSON.
//!
//! Pure. Finds the end of each item, without recursion. [`crate::domain::row`] reads their
//! contents.

use aws_lambda_events::http::HeaderMap;
use aws_lambda_events::http::header::CONTENT_TYPE;
use serde_json::value::RawValue;

use crate::api::problem::{Kind, Problem};

/// The longest body, in bytes.
///
/// A Lambda event has at most 6,291,456 bytes (AWS Lambda, "Lambda quotas"). NDJSON is Base64 in
/// it, with 4 bytes for 3: this limit takes 5,592,408 of them and leaves 699,048 for the rest, such
/// as the headers, up to 10,240 (API Gateway, "Quotas for HTTP APIs"). JSON is a text in it, with
/// two bytes for each quote and backslash, so an event can be full before this limit. API Gateway
/// itself allows 10 MB.
pub(super) const BODY_BYTES_MAX: usize = 4 * 1024 * 1024;

/// The most items of a body.
///
/// A response has at most 6 MiB too. The entry of one item takes at most 176 bytes, with escaped
/// quotes. All entries take 5.3 million bytes, and leave a million for 100 faults.
pub(super) const ITEMS_MAX: usize = 30_000;

/// The items of a body.
#[derive(Debug)]
pub(super) struct Body<'a> {
    pub(super) items: Vec<Item<'a>>,
    /// `true` if the body may have several items, so that faults and responses name them.
    pub(super) is_list: bool,
    /// `true` if the items are merge patches (RFC 7396).
    pub(super) is_merge_patch: bool,
}

/// One item: JSON, or the position of the error in a line of NDJSON.
#[derive(Debug)]
pub(super) enum Item<'a> {
    Json(&'a RawValue),
    Malformed { line: usize, column: usize },
}

/// The format of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Json,
    /// A row has the effect of a merge patch: it sets the columns that it names. An object inside
    /// of it would be merged too, which no statement does: [`mod@super::accept`] refuses it.
    MergePatch,
    /// One JSON value per line.
    Lines,
}

/// Splits a body into its items, at least one.
pub(super) fn read<'a>(
    headers: &HeaderMap,
    is_patch: bool,
    body: &'a [u8],
) -> Result<Body<'a>, Problem> {
    let format = format(headers, is_patch)?;
    if body.len() > BODY_BYTES_MAX {
        let detail =
            format!("A body has at most {BODY_BYTES_MAX} bytes; send more rows as a CSV file.");
        return Err(Problem::new(Kind::TooLarge, detail));
    }
    let text = std::str::from_utf8(body).map_err(|error| {
        let detail = format!("The body is not UTF-8: see byte {}.", error.valid_up_to());
        Problem::new(Kind::MalformedBody, detail)
    })?;
    // Some editors and shells write a byte order mark before UTF-8. RFC 8259 allows readers to
    // ignore it.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if text.trim_ascii().is_empty() {
        return Err(Problem::new(Kind::MalformedBody, "The body is empty."));
    }
    let (items, is_list) = match format {
        Format::Lines => (lines(text), true),
        Format::Json | Format::MergePatch if starts_with_bracket(text) => {
            let items: Vec<&RawValue> = serde_json::from_str(text).map_err(|e| not_json(&e))?;
            (items.into_iter().map(Item::Json).collect(), true)
        }
        Format::Json | Format::MergePatch => {
            let item = serde_json::from_str(text).map_err(|error| not_json(&error))?;
            (vec![Item::Json(item)], false)
        }
    };
    let items = Body { items, is_list, is_merge_patch: format == Format::MergePatch };
    match items.items.len() {
        0 => Err(Problem::new(Kind::MalformedBody, "The body is an empty array: it has no row.")),
        count if count > ITEMS_MAX => {
            let detail = format!(
                "A body has at most {ITEMS_MAX} items, not {count}; send more rows as a CSV file."
            );
            Err(Problem::new(Kind::TooLarge, detail))
        }
        _ => Ok(items),
    }
}

fn format(headers: &HeaderMap, is_patch: bool) -> Result<Format, Problem> {
    let unsupported = |detail: &str| Err(Problem::new(Kind::UnsupportedMediaType, detail));
    let Some(value) = headers.get(CONTENT_TYPE) else { return Ok(Format::Json) };
    let media_type = value.to_str().unwrap_or_default().to_ascii_lowercase();
    let mut parts = media_type.split(';').map(str::trim);
    let format = match parts.next().unwrap_or_default() {
        "application/json" => Format::Json,
        "application/merge-patch+json" if is_patch => Format::MergePatch,
        "application/x-ndjson" | "application/jsonl" => Format::Lines,
        _ => return unsupported("Send Content-Type: application/json or application/x-ndjson."),
    };
    let charset = parts.find_map(|parameter| parameter.strip_prefix("charset="));
    match charset.map(|charset| charset.trim_matches('"')) {
        None | Some("utf-8" | "utf8" | "us-ascii") => Ok(format),
        Some(_) => unsupported("JSON is sent as UTF-8, without charset or with charset=utf-8."),
    }
}

/// Returns the lines that are not blank. A malformed line is an item too, so that the other items
/// keep their numbers.
fn lines(text: &str) -> Vec<Item<'_>> {
    let is_blank = |line: &str| line.bytes().all(|byte| byte.is_ascii_whitespace());
    text.split('\n')
        .enumerate()
        .filter(|(_, line)| !is_blank(line))
        .map(|(number, line)| match serde_json::from_str(line) {
            Ok(item) => Item::Json(item),
            Err(error) => Item::Malformed { line: number + 1, column: error.column() },
        })
        .collect()
}

/// Makes a problem with the position of the error, without text of the body.
fn not_json(error: &serde_json::Error) -> Problem {
    let (line, column) = (error.line(), error.column());
    let detail = format!("The body is not JSON: see line {line}, column {column}.");
    Problem::new(Kind::MalformedBody, detail)
}

fn starts_with_bracket(text: &str) -> bool {
    text.bytes().find(|byte| !byte.is_ascii_whitespace()) == Some(b'[')
}
