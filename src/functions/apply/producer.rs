//! Messages of producers other than `enqueue`: rows as JSON, in a format of their own.
//!
//! Pure. `enqueue` checks its writes before it sends them, and its format is the worker's own. Such
//! a message is checked here, by the checks of a request. docs/reference/writes.schema.json
//! describes the format.

use std::sync::Arc;

use aurora_sync_catalog::Catalog;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};
use uuid::{Builder, Uuid};

use super::check::UNKNOWN_TABLE;
use crate::database::ledger::TIME_MS_MAX;
use crate::domain::caller::{CLAIMS_BYTES_MAX, Caller};
use crate::domain::fault::Faults;
use crate::domain::rejection::Rejection;
use crate::domain::row::{self, Columns, JsonRow};
use crate::domain::value::kind_of_json;
use crate::domain::write::{
    MESSAGE_BYTES_MAX, MESSAGE_WRITES_MAX, Operation, PUBLIC_VERSION as VERSION, Write, fingerprint,
};

/// The longest id of a write, in characters.
const ID_CHARACTERS_MAX: usize = 255;

/// The longest name of a caller, in characters.
const CALLER_CHARACTERS_MAX: usize = 1_000;

/// Returns `true` if a body says that it is of this format.
pub(super) fn is_of_producer(body: &str) -> bool {
    #[derive(Deserialize)]
    struct Versioned<'a> {
        version: &'a str,
    }
    // Most bodies are the worker's own and do not name the version, which costs less to see.
    body.contains(VERSION)
        && serde_json::from_str::<Versioned<'_>>(body).is_ok_and(|body| body.version == VERSION)
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Body<'a> {
    #[serde(rename = "version")]
    _version: &'a str,
    #[serde(default)]
    accepted_at: Option<String>,
    #[serde(default)]
    caller: Option<String>,
    #[serde(borrow, default)]
    claims: Option<&'a RawValue>,
    #[serde(default)]
    discarded: bool,
    #[serde(borrow)]
    writes: Vec<Item<'a>>,
}

/// One write as a producer sends it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Item<'a> {
    id: String,
    table: String,
    operation: Operation,
    #[serde(borrow)]
    row: &'a RawValue,
}

/// A write that is rejected: what is known of it, why, and its payload as it was sent.
pub(super) type FaultyWrite = (Write, Rejection, String);

/// A message whose form is right. Its rows are not checked yet.
#[derive(Debug)]
pub(super) struct ProducerMessage<'a> {
    items: Vec<Item<'a>>,
    accepted_at_ms: i64,
    caller: Arc<Caller>,
    /// `true` if an operator discards the writes: they are rejected.
    pub(super) is_discarded: bool,
}

impl<'a> ProducerMessage<'a> {
    /// Reads a message that SQS took at this time. Returns the reason if its form is wrong.
    pub(super) fn read(body: &'a str, sent_at_ms: i64) -> Result<Self, String> {
        let refused = |reason: &str| format!("the message is not of version {VERSION}: {reason}");
        let body: Body<'_> = serde_json::from_str(body).map_err(|error| {
            refused(&format!("see its line {}, column {}", error.line(), error.column()))
        })?;
        let Body { accepted_at, caller, claims, discarded, writes: items, .. } = body;
        if items.is_empty() || items.len() > MESSAGE_WRITES_MAX {
            return Err(refused(&format!("it must have 1 to {MESSAGE_WRITES_MAX} writes")));
        }
        let is_id = |id: &str| !id.is_empty() && id.chars().count() <= ID_CHARACTERS_MAX;
        if !items.iter().all(|item| is_id(&item.id)) {
            return Err(refused(&format!("an id must have 1 to {ID_CHARACTERS_MAX} characters")));
        }
        let is_long = |caller: &str| caller.chars().count() > CALLER_CHARACTERS_MAX;
        if caller.as_deref().is_some_and(is_long) {
            let longest = CALLER_CHARACTERS_MAX;
            return Err(refused(&format!("its caller must have {longest} characters at most")));
        }
        let is_claims = |claims: &str| claims.starts_with('{') && claims.len() <= CLAIMS_BYTES_MAX;
        if claims.is_some_and(|claims| !is_claims(claims.get())) {
            let longest = CLAIMS_BYTES_MAX;
            return Err(refused(&format!(
                "its claims must be an object of {longest} bytes at most"
            )));
        }
        let accepted_at = accepted_at.map(|at| at.parse::<Timestamp>()).transpose();
        let accepted_at = accepted_at
            .map_err(|_| refused("its accepted_at must be like 2026-11-23T09:30:00Z"))?;
        // A time that has not come yet would count as later than any other write.
        let accepted_at_ms =
            accepted_at.map_or(sent_at_ms, |at| at.as_millisecond().min(sent_at_ms));
        let claims = claims.map(|claims| Arc::from(claims.get()));
        let caller = Caller { principal: caller, claims, request_id: None, resend_of: None };
        Ok(Self {
            items,
            accepted_at_ms: accepted_at_ms.clamp(0, TIME_MS_MAX),
            caller: Arc::new(caller),
            is_discarded: discarded,
        })
    }

    /// Returns the writes as they were sent.
    pub(super) fn items(&self) -> &[Item<'a>] {
        &self.items
    }

    /// Makes a write of one of the items, by the checks of a request, or returns why it is
    /// rejected.
    pub(super) fn write(
        &self,
        catalog: &Catalog,
        item: &Item<'_>,
    ) -> Result<Write, Box<FaultyWrite>> {
        let rejected = |rejection| Box::new(self.faulty(item, rejection));
        let table = catalog.offered().find(|table| table.path() == item.table);
        let Some(table) = table else {
            let reason = format!(
                "the API offers no table \"{}\", or has not offered it for long enough",
                item.table
            );
            return Err(rejected(Rejection::by_rule(UNKNOWN_TABLE, reason)));
        };
        let row: JsonRow<'_> = serde_json::from_str(item.row.get()).map_err(|_| {
            let found = kind_of_json(item.row.get());
            rejected(Rejection::by_rule("type", format!("expected an object, not {found}")))
        })?;
        let mut faults = Faults::default();
        let columns = Columns::of(table);
        let checked = row::check(&columns, item.operation, None, &row, "", &mut faults);
        let Some(checked) = checked else {
            return Err(rejected(first_of(faults)));
        };
        let operation = item.operation.of_row(checked.key.as_ref());
        let fingerprint =
            fingerprint(&item.table, operation, checked.key.as_ref(), &checked.cells, None);
        let write = Write {
            operation,
            key: checked.key,
            row: checked.cells,
            fingerprint: Some(fingerprint),
            ..self.without_row(item)
        };
        if write.encode().len() > MESSAGE_BYTES_MAX {
            let reason = format!("expected a row of at most {MESSAGE_BYTES_MAX} bytes");
            return Err(rejected(Rejection::by_rule("row-too-large", reason)));
        }
        Ok(write)
    }

    /// Returns an item that is rejected. The fingerprint tells another payload under its id from
    /// the same one that comes again.
    fn faulty(&self, item: &Item<'_>, rejection: Rejection) -> FaultyWrite {
        let Item { table, operation, row, .. } = item;
        let raw = [(String::new(), Some(row.get().to_owned()))];
        let fingerprint = Some(fingerprint(table, *operation, None, &raw, None));
        // The row stays a text: it may be too deep for a tree.
        let payload = format!(
            r#"{{"format":"{VERSION}","table":{},"operation":"{}","row":{}}}"#,
            json!(table),
            operation.as_str(),
            row.get()
        );
        (Write { fingerprint, ..self.without_row(item) }, rejection, payload)
    }

    fn without_row(&self, item: &Item<'_>) -> Write {
        Write {
            id: write_id(&item.id),
            table: item.table.clone(),
            operation: item.operation,
            key: None,
            row: Vec::new(),
            accepted_at_ms: self.accepted_at_ms,
            fingerprint: None,
            precondition: None,
            caller: Arc::clone(&self.caller),
        }
    }
}

/// Returns the id of a write: the producer's, if it is a UUID with hyphens, else one made of it.
fn write_id(id: &str) -> Uuid {
    const HYPHENATED: usize = 36;
    if id.len() == HYPHENATED
        && let Ok(id) = Uuid::parse_str(id)
    {
        return id;
    }
    let digest: [u8; 32] = Sha256::digest(format!("{VERSION} {id}")).into();
    let [first @ .., _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _] = digest;
    Builder::from_custom_bytes(first).into_uuid()
}

/// Makes a rejection of the first fault of a row, with the number of the others.
fn first_of(faults: Faults) -> Rejection {
    let others = faults.total().saturating_sub(1);
    let Some(first) = faults.into_listed().into_iter().next() else {
        return Rejection::by_rule("format", "expected a row of the table");
    };
    let reason = match others {
        0 => first.detail,
        1 => format!("{}; the row has another fault", first.detail),
        _ => format!("{}; the row has {others} other faults", first.detail),
    };
    // The pointer may lead into an array of the column.
    let column = first.pointer.split('/').nth(1);
    let column = column.map(|step| step.replace("~1", "/").replace("~0", "~"));
    Rejection { column, ..Rejection::by_rule(&first.rule, reason) }
}

#[cfg(test)]
mod tests {
    use aurora_sync_catalog::notation::table;

    use super::*;

    const SENT_AT_MS: i64 = 1_763_856_000_000;

    fn message(more: &str, row: &str) -> String {
        format!(
            r#"{{"version":"public-1",{more}"writes":[{{"id":"e1","table":"staff","operation":"upsert","row":{row}}}]}}"#
        )
    }

    /// Returns the write of a message of one row.
    fn write(more: &str, row: &str) -> Result<Write, Box<FaultyWrite>> {
        let staff = table("staff", "id varchar(4) key, name text, age integer");
        let catalog = Catalog::new(vec![staff], Vec::new());
        let body = message(more, row);
        let message = ProducerMessage::read(&body, SENT_AT_MS).unwrap();
        message.write(&catalog, &message.items()[0])
    }

    #[test]
    fn a_row_is_checked_like_that_of_a_request() {
        let written = write("", r#"{"age":"7","id":"1"}"#).unwrap();
        assert_eq!(written.key.unwrap().to_string(), "1");
        let cell = |name: &str, value: &str| (name.to_owned(), Some(value.to_owned()));
        assert_eq!(written.row, [cell("id", "1"), cell("age", "7")]);
        for (row, rule, column) in [
            (r#"{"id":"1","age":"x"}"#, "format", Some("age")),
            (r#"{"id":"12345","nme":1}"#, "length", Some("id")),
            (r#"{"id":"1","a/b~c":1}"#, "unknown-column", Some("a/b~c")),
            (r#"{"id":"1","id":"2"}"#, "duplicate-member", Some("id")),
            ("{}", "required", Some("id")),
            ("[]", "type", None),
        ] {
            let (_, rejection, payload) = *write("", row).unwrap_err();
            assert_eq!((rejection.rule.as_str(), rejection.column.as_deref()), (rule, column));
            assert!(payload.ends_with(&format!(r#""row":{row}}}"#)), "{payload}");
        }
        let (_, rejection, _) = *write("", r#"{"id":"12345","age":"x","nme":1}"#).unwrap_err();
        assert!(rejection.reason.ends_with("the row has 2 other faults"), "{}", rejection.reason);
    }

    #[test]
    fn the_id_of_a_source_makes_the_id_of_the_write() {
        let uuid = "01a22463-fba8-768d-baea-a5e32236292d";
        assert_eq!(write_id(uuid).to_string(), uuid);
        // Producers may send the same id at any later time.
        assert_eq!(write_id("e1").to_string(), "9963845d-e6c8-8162-8d52-5bb0d4d56088");
        assert_ne!(write_id("e1"), write_id("e2"));
        assert_ne!(
            write_id("c4ca4238a0b923820dcc509a6f75849b").to_string().replace('-', ""),
            "c4ca4238a0b923820dcc509a6f75849b"
        );
    }

    #[test]
    fn a_time_of_acceptance_is_never_later_than_the_message() {
        let at = |more: &str| write(more, r#"{"id":"1"}"#).unwrap().accepted_at_ms;
        assert_eq!(at(""), SENT_AT_MS);
        assert_eq!(at(r#""accepted_at":"2025-11-22T23:59:59Z","#), SENT_AT_MS - 1_000);
        assert_eq!(at(r#""accepted_at":"2999-01-01T00:00:00Z","#), SENT_AT_MS);
        assert_eq!(at(r#""accepted_at":"1900-01-01T00:00:00Z","#), 0);
    }

    #[test]
    fn a_message_of_another_form_is_refused_as_a_whole() {
        let good = message("", r#"{"id":"1"}"#);
        assert!(ProducerMessage::read(&good, SENT_AT_MS).is_ok());
        for body in [
            good.replace("upsert", "merge"),
            good.replace("\"id\":\"e1\",", ""),
            good.replace("\"id\":\"e1\"", "\"id\":\"\""),
            good.replace("\"id\":\"e1\"", &format!("\"id\":\"{}\"", "e".repeat(256))),
            message(r#""claims":[],"#, "{}"),
            message(r#""caller":1,"#, "{}"),
            message(r#""accepted_at":"yesterday","#, "{}"),
            message(r#""more":1,"#, "{}"),
            r#"{"version":"public-1","writes":[]}"#.to_owned(),
        ] {
            let refused = ProducerMessage::read(&body, SENT_AT_MS).unwrap_err();
            assert!(refused.starts_with("the message is not of version public-1: "), "{refused}");
        }
    }

    #[test]
    fn the_format_is_told_from_that_of_the_worker() {
        assert!(is_of_producer(&message("", "{}")));
        assert!(!is_of_producer(r#"{"version":"1","writes":[]}"#));
        assert!(!is_of_producer(r#"{"version":"3","caller":"public-1","writes":[]}"#));
        assert!(!is_of_producer(r#"{"version":"public-2","writes":[]}"#));
    }
}
