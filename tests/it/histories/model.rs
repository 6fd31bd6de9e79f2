//! What must come of a history: a table is a map, and writes are done one after another.

use std::collections::{BTreeMap, HashMap};

use aurora_sync::write::{Write, fingerprint};
use aurora_sync_catalog::Catalog;
use uuid::Uuid;

use crate::support::World;
use crate::support::writes::write;

/// Besides the example's table: one whose rows have versions, and one that has no key, so that a row that
/// is written twice stands there twice.
pub(super) const TABLES: &str = "
    CREATE TABLE stamped (id integer PRIMARY KEY, v integer, a text);
    COMMENT ON COLUMN stamped.v IS '@sync:version';
    CREATE TABLE happened (n integer);";

/// Keys of each table: few, so that writes meet.
const KEYS: u32 = 5;

/// A row: its columns, without the key.
type Row = BTreeMap<String, Option<String>>;

/// Writes, and what must become of them.
#[derive(Debug)]
pub(super) struct History {
    /// Requests, each of some writes, in the order in which they were accepted.
    pub(super) requests: Vec<Vec<Write>>,
    rows: HashMap<&'static str, BTreeMap<String, Row>>,
    /// `happened` has one for each write.
    happened: Vec<i64>,
    /// `operation outcome rule sqlstate` by id.
    outcomes: BTreeMap<Uuid, String>,
    has_all_tables: bool,
}

impl History {
    pub(super) fn new(catalog: &Catalog, random: &mut fastrand::Rng, has_all_tables: bool) -> Self {
        let mut history = Self {
            requests: Vec::new(),
            rows: HashMap::new(),
            happened: Vec::new(),
            outcomes: BTreeMap::new(),
            has_all_tables,
        };
        for _ in 0..random.usize(5..40) {
            let writes = (0..random.usize(1..6)).map(|_| history.accept(catalog, random)).collect();
            history.requests.push(writes);
        }
        history
    }

    /// One more write, and what becomes of it.
    fn accept(&mut self, catalog: &Catalog, random: &mut fastrand::Rng) -> Write {
        if let Some(write) = self.repeated(catalog, random) {
            return write;
        }
        let text = text(random, self.has_all_tables);
        let mut accepted = write(catalog, &text);
        accepted.id = Uuid::from_u128(random.u128(..));
        // A fifth comes with an Idempotency-Key, and may come again.
        if random.u8(..5) == 0 {
            accepted.fingerprint = Some(fingerprint_of(&accepted));
        }
        let outcome = self.apply(&accepted);
        self.outcomes.insert(accepted.id, outcome);
        accepted
    }

    /// A client repeats itself: with the same payload, or with another one for the same row.
    fn repeated(&mut self, catalog: &Catalog, random: &mut fastrand::Rng) -> Option<Write> {
        if random.u8(..10) != 0 {
            return None;
        }
        let keyed: Vec<_> = self
            .requests
            .iter()
            .flatten()
            .filter(|write| write.fingerprint.is_some() && write.key.is_some())
            .collect();
        let first = (*random.choice(keyed)?).clone();
        if random.bool() {
            return Some(first);
        }
        let key = first.key.as_ref()?.to_string();
        let mut other = write(catalog, &format!("delete {} id={key}", first.table));
        other.id = first.id;
        other.fingerprint = Some(fingerprint_of(&other));
        if other.fingerprint == first.fingerprint {
            return None;
        }
        // Not under its own id: that one is the first's.
        self.outcomes.insert(
            reused_id(&other),
            format!("{} rejected idempotency-key-reused -", other.operation.as_str()),
        );
        Some(other)
    }

    fn apply(&mut self, write: &Write) -> String {
        let operation = write.operation.as_str();
        let outcome = match write.table.as_str() {
            "staff" => self.apply_to_staff(write),
            "stamped" => self.apply_to_stamped(write),
            _ => {
                let number: Option<i64> =
                    write.cell("n").flatten().and_then(|text| text.parse().ok());
                self.happened.extend(number);
                if number.is_some() { "applied - -" } else { "rejected database 22P02" }
            }
        };
        format!("{operation} {outcome}")
    }

    fn apply_to_staff(&mut self, write: &Write) -> &'static str {
        let rows = self.rows.entry("staff").or_default();
        let key = write.key.as_ref().unwrap().to_string();
        if write.cell("age") == Some(Some("old")) {
            return "rejected database 22P02";
        }
        let given = given(write);
        let without_name = !matches!(write.cell("name"), Some(Some(_)));
        match (write.operation.as_str(), rows.get_mut(&key)) {
            ("insert" | "upsert" | "insert_ignore", _) if without_name => "rejected database 23502",
            ("insert", Some(_)) => "rejected database 23505",
            ("insert_ignore", Some(_)) => "unchanged - -",
            ("upsert", Some(row)) if is_same(row, &given) => "unchanged - -",
            ("upsert", Some(row)) => set(row, given),
            ("insert" | "upsert" | "insert_ignore", None) => {
                let mut row = Row::from([("name".into(), None), ("age".into(), None)]);
                set(&mut row, given);
                rows.insert(key, row);
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
        let rows = self.rows.entry("stamped").or_default();
        let key = write.key.as_ref().unwrap().to_string();
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
                let mut row = Row::from([("v".into(), None), ("a".into(), None)]);
                set(&mut row, given);
                rows.insert(key, row);
                "applied - -"
            }
            (_, Some(row)) if version(row) < version(&given) => set(row, given),
            (_, Some(row)) if is_same(row, &given) => "unchanged - -",
            _ => "superseded - -",
        }
    }

    /// Empties the tables.
    pub(super) async fn begin(&self, world: &World) {
        let others = if self.has_all_tables { ", stamped, happened" } else { "" };
        world.rows(&format!("TRUNCATE staff, sync.write{others}")).await;
    }

    /// Compares the database with what must be.
    pub(super) async fn check(&self, world: &World, seed: u64, log: &[String]) {
        let about = || format!("seed {seed}\n{}\n{:#?}", log.join("\n"), self.requests);
        let mut expected: Vec<_> =
            self.outcomes.iter().map(|(id, outcome)| format!("{id} {outcome}")).collect();
        expected.sort();
        let mut found: Vec<_> = world
            .rows(
                "SELECT id::text, operation, outcome, coalesce(rule, '-'), coalesce(sqlstate, '-')
                FROM sync.write WHERE operation <> 'unreadable'",
            )
            .await
            .into_iter()
            .map(|line| line.replace('|', " "))
            .collect();
        found.sort();
        assert_eq!(found, expected, "{}", about());
        let shown = |table: &str, columns: [&str; 2]| -> Vec<String> {
            let rows = self.rows.get(table).into_iter().flatten();
            rows.map(|(key, row)| {
                let [a, b] = columns.map(|name| row[name].clone().unwrap_or_else(|| "-".into()));
                format!("{key}|{a}|{b}")
            })
            .collect()
        };
        let staff = world.rows("SELECT id, name, age::text FROM staff ORDER BY id").await;
        assert_eq!(staff, shown("staff", ["name", "age"]), "{}", about());
        if self.has_all_tables {
            let stamped = world.rows("SELECT id::text, v::text, a FROM stamped ORDER BY id").await;
            assert_eq!(stamped, shown("stamped", ["v", "a"]), "{}", about());
            let happened = world.rows("SELECT n FROM happened ORDER BY n").await;
            let mut expected = self.happened.clone();
            expected.sort_unstable();
            let expected: Vec<_> = expected.iter().map(ToString::to_string).collect();
            assert_eq!(happened, expected, "{}", about());
        }
    }
}

fn fingerprint_of(write: &Write) -> String {
    fingerprint(&write.table, write.operation, write.key.as_ref(), &write.row)
}

/// As `sync.reused_id` makes it.
fn reused_id(write: &Write) -> Uuid {
    use sha2::{Digest, Sha256};
    let both = format!("{}{}", write.id, write.fingerprint.as_ref().unwrap());
    Uuid::from_slice(&Sha256::digest(both.as_bytes())[..16]).unwrap()
}

/// A random write, in words.
fn text(random: &mut fastrand::Rng, has_all_tables: bool) -> String {
    let key = random.u32(..KEYS);
    match if has_all_tables { random.u8(..10) } else { 0 } {
        8 => format!(
            "insert happened n={}",
            if random.u8(..8) == 0 { "x".into() } else { random.u16(..).to_string() }
        ),
        9 | 7 => match random.u8(..5) {
            0 => format!("delete stamped id={key}"),
            1 | 2 => format!("upsert stamped id={key} v={} a={}", random.u8(..6), random.u8(..2)),
            _ => format!("update stamped id={key} v={} a={}", random.u8(..6), random.u8(..2)),
        },
        _ => {
            // Updates come in runs, so that they fold.
            let operation = random
                .choice(["insert", "upsert", "ignore", "update", "update", "update", "delete"]);
            let mut text = format!("{} staff id={key:04}", operation.unwrap());
            if text.starts_with("delete") {
                return text;
            }
            match random.u8(..12) {
                0 => text.push_str(" name"),
                1..=9 => text.push_str(&format!(" name=n{}", random.u8(..3))),
                _ => {}
            }
            match random.u8(..12) {
                0 => text.push_str(" age=old"),
                1 => text.push_str(" age"),
                2..=7 => text.push_str(&format!(" age={}", random.u8(..3))),
                _ => {}
            }
            // An update sets something.
            if !text.contains("name") && !text.contains("age") {
                text.push_str(" name=n9");
            }
            text
        }
    }
}

/// The columns that a write names, without the key.
fn given(write: &Write) -> Row {
    write.row.iter().filter(|(name, _)| name != "id").cloned().collect()
}

fn set(row: &mut Row, given: Row) -> &'static str {
    row.extend(given);
    "applied - -"
}

fn is_same(row: &Row, given: &Row) -> bool {
    given.iter().all(|(name, value)| row[name] == *value)
}
