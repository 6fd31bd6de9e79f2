//! The SQL texts of imports: one for each table, columns and mode of a file.
//!
//! A statement loads a set of rows, counts what became of them and records the counts in
//! `sync.import_chunk`. Rows of a file that share a key are told apart from rows that others wrote by the
//! transactions that the import marked (`sync.import_mark`): PostgreSQL keeps, with each row, which
//! transaction wrote it (`xmin`). Where it is not known for sure which keys came before, rows that the file left as
//! they were are remembered by their keys (`sync.import_met`): which transaction locked a row (`xmax`) does not outlive the next one, not even one
//! that is rolled back.

use aurora_sync_catalog::{Column, Table, quote_identifier};

use super::{Target, is_newer};
use crate::import::options::Mode;
use crate::key;

/// So many rows of a set say whether most of it is in the table already.
const SAMPLE_ROWS: usize = 50;

/// What one statement loads.
#[derive(Debug, Clone, Copy)]
pub struct Load<'a> {
    pub table: &'a Table,
    /// Of the rows' cells. All of the key's columns, or none that matters: see [`Load::is_keyed`].
    pub columns: &'a [&'a Column],
    pub mode: Mode,
    /// Whether a row of the set has, or may have, a key that came before in the file.
    pub has_repeats: bool,
    /// Whether the rows that are left as they are have to be remembered.
    pub is_recorded: bool,
}

/// How a statement is given its rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// As parameters `c1`, `c2`, …, `is_repeat` and `import_id`.
    Parameters,
    /// As `$1`, the import's id, and `$2`, all columns, for `sync.load_apart`.
    Elements,
}

impl Form {
    fn import_id(self) -> &'static str {
        match self {
            Self::Parameters => ":import_id::uuid",
            Self::Elements => "$1",
        }
    }
}

impl Load<'_> {
    /// One set of a `BatchExecuteStatement`. Parameters: `c1`, `c2`, …, `is_repeat` where there may be repeats,
    /// `rows` (their number), `import_id`, `lane`, `chunk` and `piece`.
    pub fn set(&self) -> String {
        format!(
            "{},
counts AS ({})
INSERT INTO sync.import_chunk (import_id, lane, chunk, piece, rows_read, rows_written, rows_unchanged,
  rows_superseded, rows_rejected)
SELECT sync.enter_import(:import_id::uuid), :lane::smallint, :chunk::integer, :piece::integer,
  :rows::bigint, rows_written, rows_unchanged, rows_superseded, 0
FROM counts",
            self.change(Form::Parameters),
            self.counts(Form::Parameters),
        )
    }

    /// The same for `sync.load_apart`, which records the counts itself.
    pub fn apart(&self) -> String {
        // It always says of each row whether it may be a repeat: rows of the same key can stand in the other half.
        let load = Self { has_repeats: true, ..*self };
        format!("{}\n{}", load.change(Form::Elements), load.counts(Form::Elements))
    }

    /// Most rows of one set: as many as PostgreSQL does not think worth compiling the statement for
    /// (`jit_above_cost`), with a fifth to spare. Larger ones gain nothing.
    pub fn rows_max(&self) -> usize {
        if self.looks_at_all() { 3_000 } else { 4_000 }
    }

    /// Whether rows that are new can as well be inserted, by the statement of mode `insert`: it takes less time, and
    /// fails where one of them is there.
    pub fn can_insert(&self) -> bool {
        self.mode == Mode::Upsert && self.merges() && !self.looks_at_all()
    }

    /// Whether a row with one of these keys is in the table. Parameters: `c1`, `c2`, …, the columns of the key.
    pub fn is_any_there(&self) -> String {
        let key: Vec<_> = self.table.key_columns().collect();
        let target = Target { table: self.table, columns: &key };
        format!(
            "SELECT EXISTS (
  SELECT FROM (SELECT {}) AS input CROSS JOIN LATERAL (
    SELECT FROM {} AS target WHERE {} OFFSET 0
  ) AS found
)",
            target.parameters().join(", "),
            self.table.sql_name(),
            target.key_equals("input"),
        )
    }

    /// Whether rows are found by their keys.
    fn is_keyed(&self) -> bool {
        let has = |name: &String| self.columns.iter().any(|column| column.name == *name);
        !self.table.primary_key.is_empty() && self.table.primary_key.iter().all(has)
    }

    /// Whether rows that are there already are brought up to date.
    fn merges(&self) -> bool {
        self.is_keyed() && matches!(self.mode, Mode::Upsert | Mode::Replace)
    }

    /// Whether rows are only added, but for those that the file itself added.
    fn adds(&self) -> bool {
        self.is_keyed() && matches!(self.mode, Mode::Insert | Mode::Ignore)
    }

    /// Whether rows of the file that the file itself added are brought up to date.
    fn revises(&self) -> bool {
        self.adds() && self.has_repeats
    }

    /// Whether rows that are there are looked at before they change, and told of: those that may be the file's own,
    /// and all of them where each one's version counts or its key must be kept.
    fn looks(&self) -> bool {
        self.merges() && (self.has_repeats || self.looks_at_all()) || self.revises()
    }

    /// Whether rows that are there can be left as they are, and are remembered.
    fn remembers(&self) -> bool {
        self.is_recorded && self.is_keyed() && !matches!(self.mode, Mode::Insert | Mode::Delete)
    }

    /// Whether keys are remembered, and known again: nothing else is left of a row that is deleted. Those that only the
    /// database can compare have no text to know them by.
    fn deletes_known(&self) -> bool {
        self.mode == Mode::Delete && key::are_comparable(self.table)
    }

    fn looks_at_all(&self) -> bool {
        self.merges() && (self.mode == Mode::Replace || self.has_versions())
    }

    /// Whether a row can be left as it is because it is newer than the file's.
    pub fn has_versions(&self) -> bool {
        self.target().version().is_some()
    }

    fn target(&self) -> Target<'_> {
        Target { table: self.table, columns: self.columns }
    }

    /// The rows that are written.
    fn source(&self) -> &'static str {
        if self.merges() {
            "ready"
        } else if self.revises() {
            "fresh"
        } else {
            "input"
        }
    }

    fn change(&self, form: Form) -> String {
        let target = self.target();
        let import_id = form.import_id();
        let ready = self.source();
        let key_is_used = self.merges() && self.looks() || self.remembers();
        let returned = if key_is_used { target.returned_key() } else { "1 AS one".to_owned() };
        let written = match self.mode {
            Mode::Delete => format!(
                "DELETE FROM {} AS target USING {ready} WHERE {}\n  RETURNING {}",
                self.table.sql_name(),
                target.key_equals(ready),
                if self.has_repeats { "input.n" } else { "1 AS one" },
            ),
            Mode::Ignore => target.insert(ready, " ON CONFLICT DO NOTHING", &returned),
            Mode::Upsert | Mode::Replace if self.merges() => {
                target.insert(ready, &target.merge(), &returned)
            }
            Mode::Insert | Mode::Upsert | Mode::Replace => target.insert(ready, "", &returned),
        };
        let (mut before, mut after) = (String::new(), String::new());
        if self.looks() {
            before.push_str(&format!(", {}", self.met(import_id)));
        }
        if self.merges() {
            before.push_str(&format!(", {}", self.ready()));
        }
        if self.revises() {
            before.push_str(&format!(", {}", self.fresh()));
            let revised = target.insert("again", &target.merge(), "1");
            after.push_str(&format!(", revised AS (\n  {revised}\n)"));
        }
        if self.remembers() {
            after.push_str(&format!(", {}", self.left_alone(import_id)));
        }
        if self.mode == Mode::Delete && self.has_repeats {
            before.push_str(&format!(", {}", self.known(import_id)));
        }
        if self.deletes_known() && self.is_recorded {
            after.push_str(&format!(", {}", self.remembered(import_id)));
        }
        if self.mode == Mode::Replace && self.merges() {
            after.push_str(&format!(", {}", self.kept(import_id)));
        }
        format!(
            "WITH input AS (\n  {}\n){before}, written AS (\n  {written}\n){after}",
            self.input(form)
        )
    }

    /// The rows of the set: `c1`, `c2`, …, `is_repeat` where there may be repeats, and `n`, a number for each, where
    /// some are left out.
    fn input(&self, form: Form) -> String {
        let target = self.target();
        match form {
            Form::Parameters => {
                let mut columns = target.parameters();
                if self.has_repeats {
                    columns.push("unnest(:is_repeat::boolean[]) AS is_repeat".to_owned());
                }
                if self.has_repeats || self.merges() {
                    columns.push("generate_series(1, :rows::bigint) AS n".to_owned());
                }
                format!("SELECT {}", columns.join(", "))
            }
            Form::Elements => {
                let mut elements = target.elements("$2");
                let mut names = target.names();
                if self.has_repeats {
                    elements.push_str(&format!(", ($2)[{}]::boolean[]", self.columns.len() + 1));
                    names.push_str(", is_repeat");
                }
                format!(
                    "SELECT * FROM unnest({}) WITH ORDINALITY AS input ({}, n)",
                    elements.trim_start_matches(", "),
                    names.trim_start_matches(", "),
                )
            }
        }
    }

    /// The rows that are there, as they were before the statement. The index is read once for each row of the set:
    /// nothing here lets the planner choose to read the whole table.
    fn met(&self, import_id: &str) -> String {
        let target = self.target();
        // A row whose key did not come before is not the file's own, even if the import wrote it (by a trigger). One
        // that came before for sure, and stands as it was before the import, was left alone.
        let is_written = if self.has_repeats {
            format!(
                "input.is_repeat IS NOT FALSE AND EXISTS (
      SELECT FROM sync.import_mark AS mark
      WHERE mark.import_id = {import_id} AND mark.xid = found.written_by::text::bigint)"
            )
        } else {
            "false".to_owned()
        };
        // In mode `insert`, a row that is there is never left alone.
        let is_seen = if self.has_repeats && self.mode != Mode::Insert {
            format!(
                "CASE WHEN input.is_repeat
      THEN {}
      WHEN input.is_repeat IS NULL THEN EXISTS (
        SELECT FROM sync.import_met AS known WHERE known.import_id = {import_id} AND known.key = {})
      ELSE false END",
                is_older("found.written_by", import_id),
                self.hash("found"),
            )
        } else {
            "false".to_owned()
        };
        let is_stale = match target.version().filter(|_| self.merges()) {
            None => "false".to_owned(),
            Some(version) => {
                let newer = is_newer(version, &target.value("input", version));
                format!("NOT {newer} AND NOT ({})", target.is_same("input"))
            }
        };
        let (is_same, chosen) = if self.looks_at_all() {
            (target.is_same("input"), "")
        } else {
            ("false".to_owned(), "\n  WHERE input.is_repeat IS NOT FALSE")
        };
        format!(
            "met AS MATERIALIZED (
  SELECT input.n, {keys}, {is_written} AS is_written,
    {is_seen} AS is_seen, found.is_stale, found.is_same
  FROM input CROSS JOIN LATERAL (
    SELECT target.xmin AS written_by, {is_stale} AS is_stale, {is_same} AS is_same, {returned}
    FROM {table} AS target WHERE {key} OFFSET 0
  ) AS found{chosen}
)",
            keys = self.keys("found."),
            returned = target.returned_key(),
            table = self.table.sql_name(),
            key = target.key_equals("input"),
        )
    }

    /// The rows to be added, and those that take the place of the file's own.
    fn fresh(&self) -> String {
        let again = "SELECT n FROM met WHERE is_written";
        format!(
            "fresh AS (\n  {}\n), again AS (\n  {}\n)",
            self.last_of_each(&format!("n NOT IN ({again})")),
            self.last_of_each(&format!("n IN ({again})")),
        )
    }

    /// Rows of the set. Of keys that only the database can compare, one may stand twice in it: its last row counts.
    fn last_of_each(&self, condition: &str) -> String {
        if key::are_comparable(self.table) {
            return format!("SELECT * FROM input WHERE {condition}");
        }
        let key = self.table.key_columns().map(|column| self.target().value("input", column));
        let key = key.collect::<Vec<_>>().join(", ");
        format!("SELECT DISTINCT ON ({key}) * FROM input WHERE {condition} ORDER BY {key}, n DESC")
    }

    /// The rows to be written: without those that are there as the file has them, where these are known. To try to
    /// write such a row would lock it, which costs more than to look for it; to look for new rows in vain costs
    /// something too. So the first rows of a set say whether it is worth it.
    fn ready(&self) -> String {
        let target = self.target();
        let ready = |same| {
            format!(
                "ready AS (
  SELECT * FROM input WHERE n NOT IN (SELECT n FROM {same})
)"
            )
        };
        // Of keys that only the database can compare, one may stand twice in a set: an earlier row of it must not take the
        // place of the last one because that is there already.
        let is_certain = key::are_comparable(self.table);
        if self.looks_at_all() {
            return ready(if is_certain { "met WHERE is_same" } else { "met WHERE false" });
        }
        let chosen = if is_certain { "(SELECT is_same FROM sample)" } else { "false" };
        let found = format!(
            "FROM {} AS target WHERE {} AND {} OFFSET 0",
            self.table.sql_name(),
            target.key_equals("input"),
            target.is_same("input"),
        );
        let is_repeat = if self.has_repeats { ", input.is_repeat" } else { "" };
        format!(
            "sample AS MATERIALIZED (
  SELECT 2 * count(found.one) > count(*) AS is_same FROM (SELECT * FROM input LIMIT {SAMPLE_ROWS}) AS input
  LEFT JOIN LATERAL (SELECT 1 AS one {found}) AS found ON true
), same AS MATERIALIZED (
  SELECT input.n, {keys}{is_repeat} FROM input CROSS JOIN LATERAL (
    SELECT {returned} {found}
  ) AS found
  WHERE {chosen}
), {ready}",
            keys = self.keys("found."),
            returned = target.returned_key(),
            ready = ready("same"),
        )
    }

    /// Remembers the rows that are as the file has them. Those that were looked at are known; the others are
    /// looked up once the statement has written fewer rows than it was to.
    fn left_alone(&self, import_id: &str) -> String {
        let target = self.target();
        let keys = self.keys("");
        let mut alone = Vec::new();
        if self.looks() {
            alone.push(format!(
                "SELECT {keys} FROM met WHERE NOT is_written AND NOT is_seen AND NOT is_stale"
            ));
        }
        if !self.looks_at_all() {
            let source = self.source();
            let is_new = if self.has_repeats { " WHERE is_repeat IS FALSE" } else { "" };
            let others = if self.has_repeats {
                format!("{source}.is_repeat IS FALSE AND ")
            } else {
                String::new()
            };
            if self.merges() {
                alone.push(format!("SELECT {keys} FROM same{is_new}"));
            }
            alone.push(format!(
                "SELECT {} FROM {source} CROSS JOIN LATERAL (
      SELECT {} FROM {} AS target WHERE {} OFFSET 0
    ) AS found
    WHERE {others}(SELECT count(*) FROM written) < (SELECT count(*) FROM {source})",
                self.keys("found."),
                target.returned_key(),
                self.table.sql_name(),
                target.key_equals(source),
            ));
        }
        // OFFSET 0: the planner would look among the written rows once for each row that it looks up, and think so
        // much of that cost that the statement is compiled (JIT), which takes longer than the statement.
        format!(
            "left_alone AS (
  INSERT INTO sync.import_met (import_id, key)
  SELECT {import_id}, {hash}
  FROM (
    {alone}
    OFFSET 0
  ) AS alone
  WHERE ({keys}) NOT IN (SELECT {keys} FROM written)
)",
            hash = self.hash("alone"),
            alone = alone.join("\n    UNION ALL\n    "),
        )
    }

    /// In mode `delete`, the rows whose keys came before. LIMIT 1: the planner could take EXISTS for a reason to read all
    /// keys that are known.
    fn known(&self, import_id: &str) -> String {
        let is_known = if self.deletes_known() {
            format!(
                "input.is_repeat IS NULL AND (
    SELECT true FROM sync.import_met AS known WHERE known.import_id = {import_id} AND known.key = {} LIMIT 1
  ) IS NOT NULL",
                self.input_hash(),
            )
        } else {
            "false".to_owned()
        };
        format!(
            "known AS MATERIALIZED (\n  SELECT n FROM input WHERE input.is_repeat OR {is_known}\n)"
        )
    }

    /// Remembers all keys, in mode `delete`.
    fn remembered(&self, import_id: &str) -> String {
        let is_new = if self.has_repeats { " WHERE n NOT IN (SELECT n FROM known)" } else { "" };
        format!(
            "remembered AS (
  INSERT INTO sync.import_met (import_id, key)
  SELECT {import_id}, {} FROM input{is_new}
)",
            self.input_hash(),
        )
    }

    /// `k1, k2, …`, each behind this.
    fn keys(&self, of: &str) -> String {
        let places = 1..=self.table.primary_key.len();
        places.map(|place| format!("{of}k{place}")).collect::<Vec<_>>().join(", ")
    }

    /// A row's key, as `sync.import_met` knows it.
    fn hash(&self, of: &str) -> String {
        format!("hashtextextended(ROW({})::text, 0)", self.keys(&format!("{of}.")))
    }

    /// The same of a row of the set, which may not be in the table.
    fn input_hash(&self) -> String {
        let key = self.table.key_columns().map(|column| self.target().value("input", column));
        format!("hashtextextended(ROW({})::text, 0)", key.collect::<Vec<_>>().join(", "))
    }

    /// The keys that are in the file, as PostgreSQL writes those of the table.
    fn kept(&self, import_id: &str) -> String {
        let keys = self.keys("");
        format!(
            "kept AS (
  INSERT INTO sync.import_key (import_id, key)
  SELECT {import_id}, ROW({keys})::text
  FROM (SELECT {keys} FROM met UNION SELECT {keys} FROM written) AS kept
)"
        )
    }

    /// The three counts. A row that comes again takes the place of the earlier one, which becomes superseded;
    /// it is written if the file changed the row at any time, else unchanged. A key that only the database can
    /// compare may even stand twice in the set: as long as all its rows but the last leave the row as it is.
    fn counts(&self, form: Form) -> String {
        // A set that is looked at once need not be kept. OFFSET 0: else each number would be counted anew wherever it
        // is named.
        let read = match form {
            Form::Parameters => ":rows::bigint",
            Form::Elements => "(SELECT count(*) FROM input)",
        };
        if self.mode == Mode::Delete && self.has_repeats {
            return format!(
                "SELECT written AS rows_written, {read} - written - known AS rows_unchanged, known AS rows_superseded
FROM (
  SELECT (SELECT count(*) FROM written WHERE n NOT IN (SELECT n FROM known)) AS written,
    (SELECT count(*) FROM known) AS known
  OFFSET 0
) AS numbers"
            );
        }
        if !self.looks() {
            return format!(
                "SELECT rows_written, {read} - rows_written AS rows_unchanged, 0::bigint AS rows_superseded
FROM (SELECT count(*) AS rows_written FROM written) AS numbers"
            );
        }
        let keys = self.keys("");
        if self.revises() {
            return format!(
                "SELECT written AS rows_written, fresh - written - seen AS rows_unchanged,
  {read} - fresh + seen AS rows_superseded
FROM (
  SELECT (SELECT count(*) FROM written) AS written,
    (SELECT count(*) FROM fresh) AS fresh,
    (SELECT count(DISTINCT ({keys})) FROM met WHERE met.is_seen AND NOT met.is_written) AS seen
  OFFSET 0
) AS numbers"
            );
        }
        format!(
            "SELECT written - again AS rows_written,
  read - written - rewritten + again - seen - stale - twice AS rows_unchanged,
  rewritten + seen + stale + twice AS rows_superseded
FROM (
  SELECT {read} AS read,
    (SELECT count(*) FROM written) AS written,
    (SELECT count(*) FROM written WHERE ({keys}) IN (SELECT {keys} FROM met WHERE met.is_written)) AS again,
    (SELECT count(*) FROM met WHERE met.is_written) AS rewritten,
    (SELECT count(*) FROM met WHERE met.is_seen AND NOT met.is_written) AS seen,
    (SELECT count(*) FROM met WHERE met.is_stale AND NOT met.is_seen AND NOT met.is_written) AS stale,
    (SELECT count(*) - count(DISTINCT ({keys})) FROM met
     WHERE NOT met.is_written AND NOT met.is_seen AND NOT met.is_stale) AS twice
  OFFSET 0
) AS numbers"
        )
    }
}

/// Whether a transaction began before the import. Ages wrap around: those of rows that nobody has written for two thousand
/// million transactions are negative.
fn is_older(xid: &str, import_id: &str) -> String {
    format!(
        "age({xid}) NOT BETWEEN 0 AND (SELECT age(began_xid::xid) FROM sync.import WHERE id = {import_id})"
    )
}

/// Deletes the rows that were not in a file of mode `replace`, of so many rows of the table in the order of their keys.
/// Rows that others wrote since the import began are left alone. Tells how many were deleted and how many looked
/// at, and the last one's key in texts. Parameters: `import_id`, `rows` (NULL for all of them), and the key behind
/// which to begin, if any: `after1`, `after2`, …
pub fn delete_missing(table: &Table, has_begin: bool) -> String {
    let name = table.sql_name();
    let keys: Vec<_> =
        table.primary_key.iter().map(|name| format!("target.{}", quote_identifier(name))).collect();
    let keys = keys.join(", ");
    let types = table.key_columns().map(|column| column.column_type.cast_name());
    let after: Vec<_> =
        types.enumerate().map(|(place, name)| format!(":after{}::{name}", place + 1)).collect();
    let begin = if has_begin {
        format!("\n  WHERE ROW({keys}) > ROW({})", after.join(", "))
    } else {
        String::new()
    };
    let places = 1..=table.primary_key.len();
    let texts: Vec<_> = places.clone().map(|place| format!("last.k{place}::text")).collect();
    let backwards: Vec<_> = places.map(|place| format!("k{place} DESC")).collect();
    let target = Target { table, columns: &[] };
    // Rows are looked up one after the other, in the file's keys and by their places: a join would read all keys, or
    // the whole table, for each stretch of it. The rows of a partitioned table may share a place.
    format!(
        "WITH stretch AS MATERIALIZED (
  SELECT {}, target.tableoid AS part, target.ctid AS place, ROW({keys})::text AS key,
    {} AS is_old
  FROM {name} AS target{begin}
  ORDER BY {keys} LIMIT :rows::bigint
), missing AS MATERIALIZED (
  SELECT part, place FROM stretch WHERE is_old AND (
    SELECT true FROM sync.import_key AS known
    WHERE known.import_id = :import_id::uuid AND md5(known.key) = md5(stretch.key) AND known.key = stretch.key
    LIMIT 1
  ) IS NULL
), deleted AS (
  DELETE FROM {name} AS target
  WHERE target.ctid = ANY (ARRAY(SELECT place FROM missing))
    AND (target.tableoid, target.ctid::text) IN (SELECT part, place::text FROM missing)
  RETURNING 1
)
SELECT (SELECT count(*) FROM deleted), (SELECT count(*) FROM stretch), {}
FROM (SELECT) AS one LEFT JOIN (
  SELECT * FROM stretch ORDER BY {} LIMIT 1
) AS last ON true",
        target.returned_key(),
        is_older("target.xmin", ":import_id::uuid"),
        texts.join(", "),
        backwards.join(", "),
    )
}
