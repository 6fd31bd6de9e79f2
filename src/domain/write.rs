//! Writes, and the queue messages that hold them.
//!
//! Pure. From request validation on, values are text in PostgreSQL's input syntax, so that nothing
//! between a client's JSON and the column's own parser can change a number.
//! [`crate::database::plan`] plans the writes of a delivery.

use std::collections::BTreeMap;
use std::sync::Arc;

use aurora_sync_catalog::Changes;
use serde::{Deserialize, Serialize};
use serde_json::json;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::domain::caller::Caller;
use crate::domain::key::Key;

/// The change that a write makes to its row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Operation {
    /// Inserts the row. Rejects the write if a row with its key exists.
    Insert,
    /// Inserts the row, or updates the given columns of the row with its key.
    Upsert,
    /// Inserts the row, unless a row with its key exists.
    InsertIgnore,
    /// Updates the given columns of the row with its key. Rejects the write if there is no such
    /// row.
    Update,
    /// Deletes the row with its key, if there is one.
    Delete,
}

/// The version of messages that other producers send, which no version of the worker's own messages
/// is like. The payload of such a write that was rejected before it had cells names it as `format`.
pub const PUBLIC_VERSION: &str = "public-1";

impl Operation {
    /// Returns the name in messages and in the ledger.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Insert => "insert",
            Self::Upsert => "upsert",
            Self::InsertIgnore => "insert_ignore",
            Self::Update => "update",
            Self::Delete => "delete",
        }
    }

    /// Returns the operation for a row with this key. A row without one has no existing row to
    /// meet.
    #[must_use]
    pub fn of_row(self, key: Option<&Key>) -> Self {
        match self {
            Self::Upsert | Self::InsertIgnore if key.is_none() => Self::Insert,
            other => other,
        }
    }

    /// Returns the changes of rows that the operation can make.
    pub fn changes(self) -> Changes {
        match self {
            Self::Insert | Self::InsertIgnore => Changes::INSERT,
            Self::Upsert => Changes::UPSERT,
            Self::Update => Changes::UPDATE,
            Self::Delete => Changes::DELETE,
        }
    }
}

/// The name of a column and its value; `None` is NULL. Columns that a write does not name have no
/// cell.
pub type Cell = (String, Option<String>);

/// One accepted write.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Write {
    /// A `UUIDv7`, or a `UUIDv8` made from the client's `Idempotency-Key`. Request validation
    /// assigns it.
    pub id: Uuid,
    /// The table, as in [`aurora_sync_catalog::Table::path`].
    pub table: String,
    pub operation: Operation,
    /// The row's key; `None` if the database generates it.
    pub key: Option<Key>,
    /// The given columns, those of the key included, in the order of the table's columns.
    pub row: Vec<Cell>,
    /// The time of acceptance, in milliseconds since 1970, UTC.
    pub accepted_at_ms: i64,
    /// The [`fingerprint`] of the write, if its id comes from an `Idempotency-Key`. It shows when a
    /// client sends another payload with the same key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<String>,
    /// The state in which the row must be. Checked by the statement that changes the row.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub precondition: Option<Precondition>,
    /// The caller, which all writes of a message share. So the message has it, and not the write.
    #[serde(skip)]
    pub caller: Arc<Caller>,
}

/// The state in which a row must be for its change (RFC 9110, section 13). Otherwise the write is
/// rejected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Precondition {
    /// The row has one of these tags, in double quotes and separated by commas, or it exists (`*`).
    /// For an update or a delete. See [`crate::domain::row_tag`].
    IfMatch(String),
    /// There is no row with the key. For an insert.
    IfNoneMatch,
}

impl Precondition {
    /// Returns the name of the request's header.
    pub fn header(&self) -> &'static str {
        match self {
            Self::IfMatch(_) => IF_MATCH,
            Self::IfNoneMatch => IF_NONE_MATCH,
        }
    }

    /// Returns the value of the header.
    pub fn value(&self) -> &str {
        match self {
            Self::IfMatch(tags) => tags,
            Self::IfNoneMatch => ANY,
        }
    }

    /// Returns `true` if a write of this operation can have the precondition.
    pub fn suits(&self, operation: Operation) -> bool {
        match self {
            Self::IfMatch(_) => matches!(operation, Operation::Update | Operation::Delete),
            Self::IfNoneMatch => operation == Operation::Insert,
        }
    }
}

/// The header of a precondition that the row exists, or has one of some tags.
pub const IF_MATCH: &str = "If-Match";

/// The header of a precondition that the row does not exist.
pub const IF_NONE_MATCH: &str = "If-None-Match";

/// The value of a precondition's header that stands for any row.
pub const ANY: &str = "*";

/// Returns a hash of a payload that never changes: 32 hexadecimal digits, the first 128 bits of a
/// SHA-256.
pub fn fingerprint(
    table: &str,
    operation: Operation,
    key: Option<&Key>,
    row: &[Cell],
    precondition: Option<&Precondition>,
) -> String {
    let content = match precondition {
        None => serde_json::to_vec(&(table, operation, key, row)),
        Some(precondition) => serde_json::to_vec(&(table, operation, key, row, precondition)),
    };
    let content = content.expect("a write is plain data");
    let mut digest = hex::encode(Sha256::digest(content));
    digest.truncate(FINGERPRINT_DIGITS);
    digest
}

/// The length of a fingerprint, in hexadecimal digits: 128 bits.
const FINGERPRINT_DIGITS: usize = 32;

/// Escapes the characters of a JSON text that SQS refuses.
fn escape(json: String) -> String {
    if json.contains(['\u{fffe}', '\u{ffff}']) {
        return json.replace('\u{fffe}', "\\ufffe").replace('\u{ffff}', "\\uffff");
    }
    json
}

impl Write {
    /// Serializes the write for a message. Escapes U+FFFE and U+FFFF, which PostgreSQL stores and
    /// SQS refuses.
    pub fn encode(&self) -> String {
        escape(serde_json::to_string(self).expect("a write is plain data"))
    }

    /// Returns the value of a column: `None` if the write does not name it, `Some(None)` for NULL.
    pub fn cell(&self, column: &str) -> Option<Option<&str>> {
        self.row.iter().find(|(name, _)| name == column).map(|(_, value)| value.as_deref())
    }

    /// Returns the partition of the write, from 0 to `partitions` - 1.
    pub fn partition(&self, partitions: u32) -> u32 {
        match &self.key {
            Some(key) => key.partition(&self.table, partitions),
            // A row without a key has no order to keep. The random end of its id spreads such rows.
            None => {
                let [.., a, b, c, d] = *self.id.as_bytes();
                u32::from_be_bytes([a, b, c, d]) % partitions.max(1)
            }
        }
    }

    /// Returns the message group. SQS delivers the writes of one group in order, and one delivery
    /// at a time.
    ///
    /// The group contains the table, so that a table that blocks its writes does not block those of
    /// others. SQS allows 128 ASCII characters: the group holds the beginning of the table's name,
    /// for readers, and a hash of the whole name.
    pub fn group(&self, partitions: u32) -> String {
        let is_safe = |character: &char| character.is_ascii_alphanumeric() || *character == '.';
        let name: String = self
            .table
            .chars()
            .take(GROUP_NAME_CHARACTERS)
            .map(|character| if is_safe(&character) { character } else { '_' })
            .collect();
        let hash = hex::encode(&Sha256::digest(&self.table)[..GROUP_HASH_BYTES]);
        format!("{name}-{hash}-p{}", self.partition(partitions))
    }
}

/// The length of the table's name in the name of a message group, in characters.
const GROUP_NAME_CHARACTERS: usize = 40;
const GROUP_HASH_BYTES: usize = 4;

/// The body of a queue message: writes of one caller and one message group, in order.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MessageBody {
    pub version: Version,
    /// The principal of the caller.
    #[serde(default)]
    caller: Option<String>,
    /// The claims of the caller, an object, under row security.
    #[serde(default)]
    claims: Option<Box<RawValue>>,
    /// The id of the request.
    #[serde(default)]
    request_id: Option<Uuid>,
    /// The rejected write whose payload the request sends again.
    #[serde(default)]
    resend_of: Option<Uuid>,
    /// `true` if an operator took the message out of the dead-letter queue and discards its writes:
    /// they are rejected.
    #[serde(default)]
    pub discarded: bool,
    writes: Vec<Write>,
}

impl MessageBody {
    /// Returns the writes with their caller, or `None` if the claims are no object.
    pub fn into_writes(self) -> Option<Vec<Write>> {
        let claims = self.claims.map(|claims| Arc::from(claims.get()));
        if claims.as_ref().is_some_and(|claims: &Arc<str>| !claims.starts_with('{')) {
            return None;
        }
        let caller = Arc::new(Caller {
            principal: self.caller,
            claims,
            request_id: self.request_id,
            resend_of: self.resend_of,
        });
        let with_caller = |write| Write { caller: Arc::clone(&caller), ..write };
        Some(self.writes.into_iter().map(with_caller).collect())
    }
}

/// The version of the body's format. A worker refuses a version that it does not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Version {
    /// Writes without preconditions, so that a worker of an earlier version can read them.
    #[serde(rename = "1")]
    One,
    /// Writes that may have preconditions.
    #[serde(rename = "2")]
    Two,
    /// Writes of a known caller, with or without claims, or of a known request.
    #[serde(rename = "3")]
    Three,
    /// Writes whose payload was sent before, or that are discarded.
    #[serde(rename = "4")]
    Four,
}

/// A message to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    pub group: String,
    /// A hash of the ids and fingerprints. SQS accepts a message whose deduplication id it has seen
    /// within five minutes, and does not deliver it again.
    pub deduplication_id: String,
    pub body: String,
    pub ids: Vec<Uuid>,
}

/// The most bytes of a message's writes. The caller comes to them: 16 KiB of claims at most. SQS
/// allows 1 MiB (256 KiB before August 2025) for a message and for all messages of a batch call.
/// Ten messages of this size fit the 6 MB of a Lambda event.
pub const MESSAGE_BYTES_MAX: usize = 240 * 1024;

/// The most writes of a message, so that one message is only a part of a batch.
pub const MESSAGE_WRITES_MAX: usize = 500;

/// Packs writes into messages of one group and one caller each, and keeps the order within each
/// group.
///
/// The time grows with the number of writes, not with the number of groups.
pub fn pack(writes: Vec<Write>, partitions: u32) -> Vec<Message> {
    let mut packers: BTreeMap<String, Packer> = BTreeMap::new();
    let mut messages = Vec::new();
    for write in writes {
        let group = write.group(partitions);
        let packer = packers.entry(group.clone()).or_default();
        messages.extend(packer.push(&group, &write));
    }
    messages.extend(packers.into_iter().filter_map(|(group, packer)| packer.finish(&group)));
    messages
}

/// A message under construction.
#[derive(Debug, Default)]
struct Packer {
    /// The writes, separated by commas.
    writes: String,
    ids: Vec<Uuid>,
    caller: Arc<Caller>,
    has_preconditions: bool,
    /// The hash of ids and fingerprints. It leaves out the time, which differs in a client's retry.
    content: Sha256,
}

impl Packer {
    /// Adds a write. Returns the message that was full without it.
    fn push(&mut self, group: &str, write: &Write) -> Option<Message> {
        let body = write.encode();
        let is_full = self.writes.len() + 1 + body.len() > MESSAGE_BYTES_MAX
            || self.ids.len() == MESSAGE_WRITES_MAX
            || (!self.ids.is_empty() && self.caller != write.caller);
        let full = if is_full { std::mem::take(self).finish(group) } else { None };
        if !self.writes.is_empty() {
            self.writes.push(',');
        }
        self.writes.push_str(&body);
        self.ids.push(write.id);
        self.caller = Arc::clone(&write.caller);
        self.has_preconditions |= write.precondition.is_some();
        self.content.update(write.id.as_bytes());
        let fingerprint = write.fingerprint.as_deref().unwrap_or_default();
        self.content.update((fingerprint.len() as u64).to_be_bytes());
        self.content.update(fingerprint);
        full
    }

    fn finish(self, group: &str) -> Option<Message> {
        if self.ids.is_empty() {
            return None;
        }
        let Caller { principal, claims, request_id, resend_of } = &*self.caller;
        let mut head = String::new();
        if let Some(principal) = principal {
            head.push_str(&format!(r#""caller":{},"#, json!(principal)));
        }
        if let Some(claims) = claims {
            head.push_str(&format!(r#""claims":{claims},"#));
        }
        if let Some(request_id) = request_id {
            head.push_str(&format!(r#""request_id":"{request_id}","#));
        }
        if let Some(resend_of) = resend_of {
            head.push_str(&format!(r#""resend_of":"{resend_of}","#));
        }
        let version = match (head.is_empty(), self.has_preconditions) {
            _ if resend_of.is_some() => "4",
            (false, _) => "3",
            (true, true) => "2",
            (true, false) => "1",
        };
        let head = escape(head);
        Some(Message {
            group: group.to_owned(),
            deduplication_id: hex::encode(self.content.finalize()),
            body: format!(r#"{{"version":"{version}",{head}"writes":[{}]}}"#, self.writes),
            ids: self.ids,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn write(n: u128, text: &str) -> Write {
        Write {
            id: Uuid::from_u128(n),
            table: "staff".into(),
            operation: Operation::Update,
            key: None,
            row: vec![("name".into(), Some(text.into())), ("age".into(), None)],
            accepted_at_ms: 1,
            fingerprint: None,
            precondition: None,
            caller: Arc::default(),
        }
    }

    fn of_message(message: &Message) -> Vec<Write> {
        serde_json::from_str::<MessageBody>(&message.body).unwrap().into_writes().unwrap()
    }

    #[test]
    fn a_fingerprint_distinguishes_payloads_and_never_changes() {
        let of = |operation, row: &[Cell]| fingerprint("staff", operation, None, row, None);
        let name = |value: Option<&str>| [("name".to_owned(), value.map(str::to_owned))];
        let first = of(Operation::Update, &name(Some("x")));
        // The hash of ["staff","update",null,[["name","x"]]]. Clients may keep it for any time.
        assert_eq!(first, "856424fe11053854e78fb175e46632b6");
        for other in [
            of(Operation::Upsert, &name(Some("x"))),
            of(Operation::Update, &name(Some("y"))),
            of(Operation::Update, &name(None)),
            of(Operation::Update, &[]),
        ] {
            assert_ne!(other, first);
        }
        let if_match = Precondition::IfMatch("\"a\"".into());
        let conditional =
            fingerprint("staff", Operation::Update, None, &name(Some("x")), Some(&if_match));
        assert_eq!(conditional, "3c90c8691d92cf5530cd8e1d4d067128");
    }

    #[test]
    fn a_write_without_a_fingerprint_serializes_without_one() {
        let mut write = write(1, "x");
        let body = serde_json::to_string(&write).unwrap();
        assert!(!body.contains("fingerprint"));
        assert_eq!(serde_json::from_str::<Write>(&body).unwrap(), write);
        write.fingerprint = Some("00ff".into());
        let body = serde_json::to_string(&write).unwrap();
        assert_eq!(serde_json::from_str::<Write>(&body).unwrap(), write);
    }

    #[test]
    fn packing_keeps_every_write_and_the_order_of_each_group() {
        let long = "x".repeat(1_000);
        let of_table = |n: u128| Write { table: format!("t{}", n / 4 % 2), ..write(n, &long) };
        let writes: Vec<_> = (0..3_000).map(of_table).collect();
        let messages = pack(writes.clone(), 4);
        let mut unpacked = Vec::new();
        for message in &messages {
            assert!(message.body.len() <= MESSAGE_BYTES_MAX + 64);
            let writes = of_message(message);
            assert!(writes.len() <= MESSAGE_WRITES_MAX);
            for write in writes {
                assert_eq!(write.group(4), message.group);
                unpacked.push(write);
            }
        }
        let groups: BTreeSet<_> = writes.iter().map(|write| write.group(4)).collect();
        assert_eq!(groups.len(), 8);
        for group in groups {
            let of_group = |all: &[Write]| -> Vec<Write> {
                all.iter().filter(|write| write.group(4) == group).cloned().collect()
            };
            assert_eq!(of_group(&unpacked), of_group(&writes));
        }
    }

    #[test]
    fn a_group_distinguishes_tables_and_is_valid_for_sqs() {
        let group = |table: &str| Write { table: table.into(), ..write(1, "x") }.group(1);
        assert_eq!(group("staff"), "staff-15622065-p0");
        assert_eq!(group("sales.order line").split_once('-').unwrap().0, "sales.order_line");
        let long = "ä\n".repeat(100);
        let groups = [group(&long), group(&format!("{long}x")), group("a b"), group("a_b")];
        assert_eq!(BTreeSet::from_iter(&groups).len(), 4);
        for group in groups {
            assert!(group.len() <= 128 && group.bytes().all(|byte| byte.is_ascii_graphic()));
        }
    }

    #[test]
    fn a_deduplication_id_depends_on_ids_and_payloads_only() {
        let of = |id: u128, fingerprint: &str, accepted_at_ms: i64| {
            let mut write = write(id, "x");
            write.fingerprint = Some(fingerprint.into());
            write.accepted_at_ms = accepted_at_ms;
            pack(vec![write], 1)[0].deduplication_id.clone()
        };
        assert_eq!(of(1, "00", 1), of(1, "00", 2));
        assert_ne!(of(1, "00", 1), of(2, "00", 1));
        assert_ne!(of(1, "00", 1), of(1, "01", 1));
        assert_eq!(of(1, "00", 1).len(), 64);
    }

    #[test]
    fn characters_that_sqs_refuses_are_escaped() {
        let write = write(1, "a\u{fffe}b\u{ffff}c\u{fffd}");
        let body = write.encode();
        assert!(!body.contains(['\u{fffe}', '\u{ffff}']));
        assert_eq!(serde_json::from_str::<Write>(&body).unwrap(), write);
    }

    #[test]
    fn only_a_message_with_preconditions_has_a_version_that_earlier_workers_do_not_read() {
        let check = |precondition: Option<Precondition>, version: Version| {
            let write = Write { precondition, ..write(1, "x") };
            let message = &pack(vec![write.clone()], 1)[0];
            let body: MessageBody = serde_json::from_str(&message.body).unwrap();
            assert_eq!(body.version, version);
            assert_eq!(of_message(message), [write]);
        };
        check(None, Version::One);
        check(Some(Precondition::IfMatch("\"a\"".into())), Version::Two);
        check(Some(Precondition::IfNoneMatch), Version::Two);
    }

    #[test]
    fn a_message_holds_its_caller_once_and_in_a_version_of_its_own() {
        let claims = "{\"sub\":\"it's \\\"42\\\"\",\"name\":\"\u{ffff}\"}";
        for claims in [None, Some(claims.into())] {
            let principal = Some("https://id.example|\"42\"".into());
            let request_id = Some(Uuid::nil());
            let caller = Caller { principal, claims, request_id, resend_of: None };
            let caller = Arc::new(caller);
            let writes = [1, 2].map(|n| Write { caller: Arc::clone(&caller), ..write(n, "x") });
            let message = &pack(writes.to_vec(), 1)[0];
            assert!(message.body.starts_with(r#"{"version":"3","caller":"#));
            assert!(!message.body.contains('\u{ffff}'));
            let read = of_message(message);
            let parsed = |caller: &Caller| -> Option<serde_json::Value> {
                caller.claims.as_deref().map(|claims| serde_json::from_str(claims).unwrap())
            };
            for write in read {
                assert_eq!(write.caller.principal, caller.principal);
                assert_eq!(parsed(&write.caller), parsed(&caller));
            }
        }
    }

    #[test]
    fn a_message_that_is_sent_again_names_the_old_write_in_a_version_of_its_own() {
        let caller = Arc::new(Caller { resend_of: Some(Uuid::from_u128(7)), ..Caller::default() });
        let message = &pack(vec![Write { caller, ..write(1, "x") }], 1)[0];
        assert!(message.body.starts_with(r#"{"version":"4","resend_of":"#), "{}", message.body);
        assert_eq!(of_message(message)[0].caller.resend_of, Some(Uuid::from_u128(7)));
    }

    #[test]
    fn claims_that_are_no_object_are_refused() {
        for claims in ["[]", "\"x\"", "1"] {
            let body = format!(r#"{{"version":"3","claims":{claims},"writes":[]}}"#);
            let body: MessageBody = serde_json::from_str(&body).unwrap();
            assert_eq!(body.into_writes(), None, "{claims}");
        }
    }

    #[test]
    fn a_message_of_another_version_is_refused() {
        let body = r#"{"version":"5","writes":[]}"#;
        assert!(serde_json::from_str::<MessageBody>(body).is_err());
    }
}
