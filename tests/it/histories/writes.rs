//! Random writes, as clients send them.

use aurora_sync::domain::write::{Operation, Precondition, Write, fingerprint};
use aurora_sync_catalog::Catalog;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::support::histories::imitated_error;
use crate::support::writes::{ACCEPTED_AT_MS, write};

/// The tables besides the example's: one with versions, one without a key (a row written twice is
/// there twice), one whose trigger skips some rows and refuses others, and one whose keys have
/// several spellings.
pub(super) const TABLES: &str = "
    CREATE TABLE stamped (id integer PRIMARY KEY, v integer, a text);
    COMMENT ON COLUMN stamped.v IS '@sync:version';
    CREATE TABLE happened (n integer);
    CREATE TABLE timed (at timestamp PRIMARY KEY, a text);
    CREATE TABLE guarded (id integer PRIMARY KEY, a text, d date);
    CREATE FUNCTION guard() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF TG_OP = 'DELETE' THEN RETURN CASE WHEN OLD.a = 'kept' THEN NULL ELSE OLD END; END IF;
            IF NEW.a = 'skip' THEN RETURN NULL; END IF;
            IF NEW.a = 'refuse' THEN
                RAISE unique_violation
                    USING MESSAGE = 'duplicate key value violates unique constraint \"sync_write_settled_once\"';
            END IF;
            RETURN NEW;
        END $$;
    CREATE TRIGGER guard BEFORE INSERT OR UPDATE OR DELETE ON guarded FOR EACH ROW EXECUTE FUNCTION guard();";

/// The number of keys of each table. It is small, so that writes share rows.
pub(super) const KEYS: u32 = 5;

/// The time between two requests.
const REQUEST_MS: i64 = 1_000;

/// Returns requests of some writes each, in the order of their acceptance.
pub(super) fn requests(
    catalog: &Catalog,
    random: &mut fastrand::Rng,
    has_all_tables: bool,
) -> Vec<Vec<Write>> {
    let mut requests: Vec<Vec<Write>> = Vec::new();
    let mut accepted_at_ms = ACCEPTED_AT_MS;
    for _ in 0..random.usize(5..40) {
        accepted_at_ms += REQUEST_MS;
        let mut request = Vec::new();
        for item in 0..random.u16(1..6) {
            let known: Vec<_> = requests.iter().flatten().chain(&request).collect();
            let repeated = repeated(&known, random);
            let mut accepted = repeated.unwrap_or_else(|| new(catalog, random, has_all_tables));
            if accepted.id.is_nil() {
                accepted.id = new_id(accepted_at_ms, item, random);
            }
            accepted.accepted_at_ms = accepted_at_ms;
            request.push(accepted);
        }
        requests.push(request);
    }
    requests
}

/// Returns an id as `UUIDv7` makes it: the time, and then the order within a request.
fn new_id(accepted_at_ms: i64, item: u16, random: &mut fastrand::Rng) -> Uuid {
    let time = u128::try_from(accepted_at_ms).unwrap();
    Uuid::from_u128(time << 80 | u128::from(item) << 64 | u128::from(random.u64(..)))
}

/// Returns a write. Its id is nil unless it has an Idempotency-Key, as a fifth of the writes have.
fn new(catalog: &Catalog, random: &mut fastrand::Rng, has_all_tables: bool) -> Write {
    let text = text(random, has_all_tables);
    let mut new = write(catalog, &text);
    for (_, value) in &mut new.row {
        if value.as_deref() == Some("imitation") {
            *value = Some(imitated_error(random).to_owned());
        }
    }
    if new.table == "staff" && random.u8(..4) == 0 {
        new.precondition = precondition(&new, random);
    }
    new.id = Uuid::nil();
    if random.u8(..5) == 0 {
        new.id = Uuid::from_u128(random.u128(..));
        new.fingerprint = Some(fingerprint_of(&new));
    }
    new
}

/// Returns a write that a client repeats under its Idempotency-Key, with the same payload or with
/// another one for the same row.
fn repeated(known: &[&Write], random: &mut fastrand::Rng) -> Option<Write> {
    if random.u8(..10) != 0 {
        return None;
    }
    let is_keyed = |write: &&&Write| write.fingerprint.is_some() && write.key.is_some();
    let keyed: Vec<_> = known.iter().filter(is_keyed).collect();
    let first = Write::clone(random.choice(keyed)?);
    if random.bool() {
        return Some(first);
    }
    let mut other = Write { operation: Operation::Delete, precondition: None, ..first.clone() };
    other.row.retain(|(name, _)| is_key(name));
    other.fingerprint = Some(fingerprint_of(&other));
    (other.fingerprint != first.fingerprint).then_some(other)
}

/// Returns a precondition about a row of `staff`: some of the states that it may be in.
fn precondition(write: &Write, random: &mut fastrand::Rng) -> Option<Precondition> {
    match write.operation {
        Operation::Insert => Some(Precondition::IfNoneMatch),
        Operation::Update | Operation::Delete if random.u8(..4) == 0 => {
            Some(Precondition::IfMatch("*".to_owned()))
        }
        Operation::Update | Operation::Delete => {
            let key = write.key.as_ref()?.to_string();
            let mut states = Vec::new();
            for name in ["n0", "n1", "n2", "n9"] {
                for age in [None, Some("0"), Some("1"), Some("2")] {
                    states.push(format!("\"{}\"", staff_tag(&key, name, age)));
                }
            }
            random.shuffle(&mut states);
            states.truncate(random.usize(1..12));
            Some(Precondition::IfMatch(states.join(", ")))
        }
        Operation::Upsert | Operation::InsertIgnore => None,
    }
}

/// Returns the tag that `sync.row_tag` makes of a row of `staff`.
pub(super) fn staff_tag(id: &str, name: &str, age: Option<&str>) -> String {
    let json = format!(r#"{{"id":"{id}","name":"{name}","age":{}}}"#, age.unwrap_or("null"));
    let record = format!("({id},{name},{})", age.unwrap_or_default());
    let mut tag = hex::encode(Sha256::digest(format!("{json}{record}")));
    tag.truncate(32);
    tag
}

fn fingerprint_of(write: &Write) -> String {
    fingerprint(
        &write.table,
        write.operation,
        write.key.as_ref(),
        &write.row,
        write.precondition.as_ref(),
    )
}

pub(super) fn is_key(name: &str) -> bool {
    matches!(name, "id" | "at")
}

/// Returns the text of a random write.
fn text(random: &mut fastrand::Rng, has_all_tables: bool) -> String {
    let key = random.u32(..KEYS);
    match if has_all_tables { random.u8(..16) } else { 0 } {
        8 => format!(
            "insert happened n={}",
            if random.u8(..8) == 0 { "imitation".into() } else { random.u16(..).to_string() }
        ),
        9 | 7 => match random.u8(..5) {
            0 => format!("delete stamped id={key}"),
            1 | 2 => format!("upsert stamped id={key} v={} a={}", random.u8(..6), random.u8(..2)),
            _ => format!("update stamped id={key} v={} a={}", random.u8(..6), random.u8(..2)),
        },
        10 | 11 => {
            let at = random.choice(spellings(key)).unwrap().replace(' ', "_");
            match random.choice(["insert", "upsert", "ignore", "update", "update", "delete"]) {
                Some("delete") => format!("delete timed at={at}"),
                operation => format!("{} timed at={at} a={}", operation.unwrap(), random.u8(..3)),
            }
        }
        12..=15 => {
            let operation =
                random.choice(["insert", "upsert", "upsert", "ignore", "update", "delete"]);
            let mut text = format!("{} guarded id={key}", operation.unwrap());
            if !text.starts_with("delete") {
                let a = random.choice(["x", "y", "kept", "skip", "skip", "refuse", "imitation"]);
                text.push_str(&format!(" a={}", a.unwrap()));
                match random.u8(..8) {
                    0 => text.push_str(" d=imitation"),
                    1..=4 => text.push_str(&format!(" d=2026-01-0{}", random.u8(1..3))),
                    _ => {}
                }
            }
            text
        }
        _ => {
            // Updates often follow each other, so that they fold.
            let operation = random
                .choice(["insert", "upsert", "ignore", "update", "update", "update", "delete"]);
            let mut text = format!("{} staff id={key:04}", operation.unwrap());
            if text.starts_with("delete") {
                return text;
            }
            match random.u8(..12) {
                0 => text.push_str(" name"),
                1 => text.push_str(" name=imitation"),
                2..=9 => text.push_str(&format!(" name=n{}", random.u8(..3))),
                _ => {}
            }
            match random.u8(..12) {
                0 => text.push_str(" age=imitation"),
                1 => text.push_str(" age"),
                2..=7 => text.push_str(&format!(" age={}", random.u8(..3))),
                _ => {}
            }
            // An update sets at least one column.
            if !text.contains("name") && !text.contains("age") {
                text.push_str(" name=n9");
            }
            text
        }
    }
}

/// Returns the spellings of a key of `timed`. The first one is PostgreSQL's.
pub(super) fn spellings(key: u32) -> [String; 8] {
    let (before, day) = (key + 1, key + 2);
    [
        format!("2026-01-{day:02} 00:00:00"),
        format!("2026-01-{day:02}T00:00:00"),
        format!("2026-01-{day:02} 00:00"),
        format!("2026-01-{day:02}T00:00:00Z"),
        format!("2026-01-{day:02}T00:00:00.000+00:00"),
        format!("2026-01-{day:02}"),
        format!("2026-01-{before:02}T23:59:60"),
        format!("2026-01-{before:02} 24:00"),
    ]
}
