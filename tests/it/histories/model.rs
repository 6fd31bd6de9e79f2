//! The expected end of a history: a table is a map, and writes apply one after another.

use std::collections::{BTreeMap, HashMap, HashSet};

use aurora_sync::domain::write::{Precondition, Write};
use uuid::Uuid;

use super::queue::Message;
use super::writes::{KEYS, is_key, spellings, staff_tag};
use crate::support::World;

/// A row: the columns that a write has set, without the key.
type Row = BTreeMap<String, Option<String>>;

/// The tables with a key, their keys, and their other columns.
const KEYED: [(&str, &str, &[&str]); 4] = [
    ("staff", "id", &["name", "age"]),
    ("stamped", "id", &["v", "a"]),
    ("timed", "at", &["a"]),
    ("guarded", "id", &["a", "d"]),
];

/// The expected end of a history.
#[derive(Debug, Default)]
pub(super) struct Model {
    rows: HashMap<String, BTreeMap<String, Row>>,
    /// The rows of `happened`, one for each write.
    happened: Vec<i64>,
    ledger: BTreeMap<Uuid, Settled>,
    has_all_tables: bool,
}

/// A settled write.
#[derive(Debug)]
struct Settled {
    write: Write,
    /// The outcome, the rule and the SQLSTATE, separated by blanks.
    outcome: &'static str,
}

impl Model {
    /// Applies the messages in order, as each group delivers them.
    pub(super) fn of(messages: &[Message], has_all_tables: bool) -> Self {
        let mut model = Self { has_all_tables, ..Self::default() };
        for message in messages {
            let mut overtaken = model.overtaken(message);
            for write in &message.writes {
                if overtaken.remove(&write.id) {
                    model.record(write.id, write, "rejected overtaken -");
                } else {
                    model.settle(write);
                }
            }
        }
        model
    }

    /// Returns the writes of a redriven message for whose rows a later write was settled and not
    /// rejected.
    fn overtaken(&self, message: &Message) -> HashSet<Uuid> {
        let is_overtaken = |write: &&Write| {
            let order = (write.accepted_at_ms, write.id);
            !self.ledger.contains_key(&write.id)
                && self.ledger.iter().any(|(id, Settled { write: other, outcome })| {
                    row_of(other).is_some_and(|row| Some(row) == row_of(write))
                        && (other.accepted_at_ms, *id) > order
                        && !outcome.starts_with("rejected")
                })
        };
        let redriven = message.writes.iter().filter(|_| message.is_redriven);
        redriven.filter(is_overtaken).map(|write| write.id).collect()
    }

    fn settle(&mut self, write: &Write) {
        match self.ledger.get(&write.id) {
            None => {
                let outcome = self.apply(write);
                self.record(write.id, write, outcome);
            }
            // The id belongs to the first write, so that this one gets another.
            Some(first) if first.write.fingerprint != write.fingerprint => {
                self.record(reused_id(write), write, "rejected idempotency-key-reused -");
            }
            Some(_) => {}
        }
    }

    fn record(&mut self, id: Uuid, write: &Write, outcome: &'static str) {
        self.ledger.entry(id).or_insert_with(|| Settled { write: write.clone(), outcome });
    }

    fn apply(&mut self, write: &Write) -> &'static str {
        match write.table.as_str() {
            "staff" => self.apply_to_staff(write),
            "stamped" => self.apply_to_stamped(write),
            "timed" => self.apply_to_timed(write),
            "guarded" => self.apply_to_guarded(write),
            _ => {
                let number: Option<i64> =
                    write.cell("n").flatten().and_then(|text| text.parse().ok());
                self.happened.extend(number);
                if number.is_some() { "applied - -" } else { "rejected database 22P02" }
            }
        }
    }

    fn apply_to_staff(&mut self, write: &Write) -> &'static str {
        let rows = self.rows.entry("staff".into()).or_default();
        let (_, key) = row_of(write).unwrap();
        if write.cell("age").flatten().is_some_and(|age| age.parse::<i64>().is_err()) {
            return "rejected database 22P02";
        }
        let given = given(write);
        let without_name = !matches!(write.cell("name"), Some(Some(_)));
        let adds = matches!(write.operation.as_str(), "insert" | "upsert" | "insert_ignore");
        if adds && without_name {
            return "rejected database 23502";
        }
        if !holds(write, &key, rows.get(&key)) {
            return "rejected precondition-failed -";
        }
        match (write.operation.as_str(), rows.get_mut(&key)) {
            ("insert", Some(_)) => "rejected database 23505",
            ("insert_ignore", Some(_)) => "unchanged - -",
            ("upsert", Some(row)) if is_same(row, &given) => "unchanged - -",
            ("upsert", Some(row)) => set(row, given),
            ("insert" | "upsert" | "insert_ignore", None) => {
                rows.insert(key, given);
                "applied - -"
            }
            ("update", None) => "rejected row-missing -",
            ("update", Some(_)) if write.cell("name") == Some(None) => "rejected database 23502",
            ("update", Some(row)) => set(row, given),
            ("delete", Some(_)) => {
                rows.remove(&key);
                "applied - -"
            }
            _ => "unchanged - -",
        }
    }

    fn apply_to_stamped(&mut self, write: &Write) -> &'static str {
        let rows = self.rows.entry("stamped".into()).or_default();
        let (_, key) = row_of(write).unwrap();
        let given = given(write);
        let version = |row: &Row| row["v"].as_ref().map(|v| v.parse::<i64>().unwrap());
        match (write.operation.as_str(), rows.get_mut(&key)) {
            ("delete", None) => "unchanged - -",
            ("delete", Some(_)) => {
                rows.remove(&key);
                "applied - -"
            }
            ("update", None) => "rejected row-missing -",
            (_, None) => {
                rows.insert(key, given);
                "applied - -"
            }
            (_, Some(row)) if version(row) < version(&given) => set(row, given),
            (_, Some(row)) if is_same(row, &given) => "unchanged - -",
            _ => "superseded - -",
        }
    }

    fn apply_to_timed(&mut self, write: &Write) -> &'static str {
        let rows = self.rows.entry("timed".into()).or_default();
        let (_, key) = row_of(write).unwrap();
        let given = given(write);
        match (write.operation.as_str(), rows.get_mut(&key)) {
            ("delete", None) | ("insert_ignore", Some(_)) => "unchanged - -",
            ("delete", Some(_)) => {
                rows.remove(&key);
                "applied - -"
            }
            ("update", None) => "rejected row-missing -",
            ("insert", Some(_)) => "rejected database 23505",
            ("upsert", Some(row)) if is_same(row, &given) => "unchanged - -",
            (_, Some(row)) => set(row, given),
            (_, None) => {
                rows.insert(key, given);
                "applied - -"
            }
        }
    }

    /// The trigger runs before PostgreSQL looks for the row. Only an update and a delete need an
    /// existing one.
    fn apply_to_guarded(&mut self, write: &Write) -> &'static str {
        let rows = self.rows.entry("guarded".into()).or_default();
        let (_, key) = row_of(write).unwrap();
        if write.cell("d").flatten().is_some_and(|d| !d.starts_with("2026-")) {
            return "rejected database 22007";
        }
        let given = given(write);
        let a = write.cell("a").flatten();
        match (write.operation.as_str(), rows.get_mut(&key)) {
            ("update", None) => "rejected row-missing -",
            ("delete", Some(row)) if row["a"].as_deref() != Some("kept") => {
                rows.remove(&key);
                "applied - -"
            }
            ("delete", _) => "unchanged - -",
            _ if a == Some("skip") => "unchanged - -",
            _ if a == Some("refuse") => "rejected database 23505",
            ("insert", Some(_)) => "rejected database 23505",
            ("insert_ignore", Some(_)) => "unchanged - -",
            ("upsert", Some(row)) if is_same(row, &given) => "unchanged - -",
            (_, Some(row)) => set(row, given),
            (_, None) => {
                rows.insert(key, given);
                "applied - -"
            }
        }
    }

    /// Empties the tables.
    pub(super) async fn begin(&self, world: &World) {
        let others = if self.has_all_tables { ", stamped, happened, timed, guarded" } else { "" };
        world.rows(&format!("TRUNCATE staff, sync.write{others}")).await;
    }

    /// Compares the database with the model.
    pub(super) async fn check(&self, world: &World, about: &dyn Fn() -> String) {
        let line = |(id, settled): (&Uuid, &Settled)| {
            format!("{id} {} {}", settled.write.operation.as_str(), settled.outcome)
        };
        let expected: Vec<_> = self.ledger.iter().map(line).collect();
        let found: Vec<_> = world
            .rows(
                "SELECT id::text, operation, outcome, coalesce(rule, '-'), coalesce(sqlstate, '-')
                FROM sync.write WHERE operation <> 'unreadable'",
            )
            .await
            .into_iter()
            .map(|line| line.replace('|', " "))
            .collect();
        assert_eq!(beside(&found, &expected), beside(&expected, &found), "{}", about());
        let tables = if self.has_all_tables { KEYED.len() } else { 1 };
        for (table, key, columns) in &KEYED[..tables] {
            let texts: Vec<_> = columns.iter().map(|column| format!("{column}::text")).collect();
            let texts = texts.join(", ");
            let sql = format!("SELECT {key}::text, {texts} FROM {table} ORDER BY {key}");
            let rows = self.rows.get(*table).into_iter().flatten();
            let shown: Vec<_> = rows.map(|(key, row)| shown(key, row, columns)).collect();
            assert_eq!(world.rows(&sql).await, shown, "{table} {}", about());
        }
        if self.has_all_tables {
            let happened = world.rows("SELECT n FROM happened ORDER BY n").await;
            let mut expected = self.happened.clone();
            expected.sort_unstable();
            let expected: Vec<_> = expected.iter().map(ToString::to_string).collect();
            assert_eq!(happened, expected, "{}", about());
        }
    }
}

/// Returns the lines that are not among the others, sorted.
fn beside<'a>(lines: &'a [String], others: &[String]) -> Vec<&'a str> {
    let mut lines: Vec<_> = lines.iter().map(String::as_str).collect();
    lines.sort_unstable();
    lines.retain(|line| !others.iter().any(|other| other == line));
    lines
}

/// Returns a row as the database shows it.
fn shown(key: &str, row: &Row, columns: &[&str]) -> String {
    let value = |name: &&str| row.get(*name).cloned().flatten().unwrap_or_else(|| "-".into());
    let cells = columns.iter().map(value);
    std::iter::once(key.to_owned()).chain(cells).collect::<Vec<_>>().join("|")
}

/// Returns the table of a write and PostgreSQL's spelling of its key, or `None` if it has no key.
fn row_of(write: &Write) -> Option<(&str, String)> {
    let (_, key) = write.row.iter().find(|(name, _)| is_key(name))?;
    let key = key.clone()?;
    let key = match write.table.as_str() {
        "timed" => {
            let [own, ..] = (0..KEYS).map(spellings).find(|spellings| spellings.contains(&key))?;
            own
        }
        _ => key,
    };
    Some((&write.table, key))
}

/// Returns `true` if a row of `staff` is as the write expects it.
fn holds(write: &Write, key: &str, row: Option<&Row>) -> bool {
    match (&write.precondition, row) {
        (None, _) => true,
        (Some(Precondition::IfNoneMatch), row) => row.is_none(),
        (Some(Precondition::IfMatch(_)), None) => false,
        (Some(Precondition::IfMatch(tags)), Some(row)) => {
            let value = |name: &str| row.get(name).and_then(Option::as_deref);
            let tag = staff_tag(key, value("name").unwrap_or_default(), value("age"));
            tags == "*" || tags.contains(&tag)
        }
    }
}

/// Returns the id that `sync.reused_id` makes.
fn reused_id(write: &Write) -> Uuid {
    use sha2::{Digest, Sha256};
    let both = format!("{}{}", write.id, write.fingerprint.as_ref().unwrap());
    Uuid::from_slice(&Sha256::digest(both.as_bytes())[..16]).unwrap()
}

/// Returns the columns that a write names, without the key.
fn given(write: &Write) -> Row {
    write.row.iter().filter(|(name, _)| !is_key(name)).cloned().collect()
}

fn set(row: &mut Row, given: Row) -> &'static str {
    row.extend(given);
    "applied - -"
}

fn is_same(row: &Row, given: &Row) -> bool {
    given.iter().all(|(name, value)| row.get(name).unwrap_or(&None) == value)
}
