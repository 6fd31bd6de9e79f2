//! The SQL texts of writes and imports: one constant text for each table, operation and set of
//! columns.
//!
//! Pure. Identifiers come from the catalog only and are always quoted. Each value is a parameter,
//! cast to its type without length. A parameter is a whole column: the literal of an array, which
//! is unnested into rows (see [`crate::domain::value::array_literal`]). Inside a statement columns
//! have the names `c1`, `c2`, …, which cannot clash with a name of the worker.

pub mod chunk;
pub mod load;
pub mod replace;

use aurora_sync_catalog::{Changes, Column, ColumnType, Table, quote_identifier};

use crate::domain::row_tag;
use crate::domain::write::{ANY, Operation};

/// The id of a write that is rejected because its own id was used for another write before. It is
/// made of the id and the fingerprint: it is the same at each delivery, and the status of the write
/// can be found.
const REUSED_ID: &str = "sync.reused_id(input.write_id, input.fingerprint)";

/// The identity of a write in the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Identity {
    /// The id. A write whose id is in the ledger is settled.
    Id,
    /// The id, which comes from a client's Idempotency-Key, and the fingerprint. A write whose id
    /// is in the ledger with another fingerprint is another write, and is rejected.
    IdAndFingerprint,
}

/// The rule that rejects a write whose change a row policy does not permit.
const ROW_SECURITY: &str = "row-security";

/// The rule that rejects a write whose row is not as its precondition says.
pub const PRECONDITION_FAILED: &str = "precondition-failed";

/// The number of a set's columns before those of the table: ids, times, keys, fingerprints. A set
/// of conditional writes has one more: the preconditions.
pub const OWN_COLUMNS: usize = 4;

/// Returns the statement that changes a table by a set of writes and reports the outcome of each.
///
/// `sync.settle` (`sql/sync/0002_settle.sql`) runs it, and describes its parameter. The result is
/// one row of parallel arrays. `columns` must contain the whole key for all operations except an
/// insert. Writes that are in the ledger are left out. `LIMIT 1` makes PostgreSQL look them up one
/// by one: a join could read the whole ledger.
///
/// With the header of `precondition`, an update or a delete changes its row only if that has one of
/// the tags of the write, an insert only if no row has its key.
pub fn settle(
    table: &Table,
    operation: Operation,
    columns: &[&Column],
    identity: Identity,
    precondition: Option<&str>,
) -> String {
    let target = StatementTarget { table, columns, precondition };
    let is_conditional = precondition.is_some();
    let key = target.returned_key();
    let change = match operation {
        Operation::Insert if is_conditional => {
            target.insert("fresh", &target.unless_key_exists(), &key)
        }
        Operation::Insert if target.reports_by_key(operation) => target.insert("fresh", "", &key),
        Operation::Insert => {
            let made = target.made_key();
            target.insert("fresh", "", made.as_deref().unwrap_or("1"))
        }
        Operation::InsertIgnore => target.insert("fresh", " ON CONFLICT DO NOTHING", &key),
        Operation::Upsert => target.insert("fresh", &target.merge(), &key),
        Operation::Update => target.update("fresh"),
        Operation::Delete => target.delete("fresh"),
    };
    let (stored, outcome) = target.outcome(operation);
    let reported = match target.payload_of_rejected(operation) {
        Some(payload) => format!(
            "outcome, {payload} AS payload
  FROM (SELECT *, {outcome} AS outcome FROM fresh) AS fresh"
        ),
        None => format!("{outcome} AS outcome, NULL::text AS payload\n  FROM fresh"),
    };
    let (own_id, reused, idempotency_ids) = match identity {
        Identity::Id => ("", String::new(), ""),
        Identity::IdAndFingerprint => (
            ", NULL::uuid AS idempotency_id",
            target.reused(operation),
            ", array_agg(idempotency_id)::text",
        ),
    };
    // The rows of an insert return in the order of the source.
    let makes_keys = operation == Operation::Insert && target.made_key().is_some();
    let keys = if makes_keys {
        "(SELECT array_agg(made_key) FROM written)"
    } else {
        "array_agg(write_key)"
    };
    format!(
        "WITH input AS MATERIALIZED (
  SELECT * FROM unnest(($1)[1]::uuid[], ($1)[2]::bigint[], ($1)[3]::text[], ($1)[4]::text[]{parameters})
    AS input (write_id, accepted_at_ms, write_key, fingerprint{names})
), fresh AS MATERIALIZED (
  SELECT * FROM input
  WHERE (SELECT true FROM sync.write AS settled WHERE settled.id = input.write_id LIMIT 1) IS NULL
){stored}, written AS (
  {change}
), settled AS (
  SELECT write_id, accepted_at_ms, write_key, fingerprint{own_id}, {reported}{reused}
)
SELECT sync.checked_outcomes(ARRAY[array_agg(write_id)::text, array_agg(accepted_at_ms)::text, {keys}::text,
  array_agg(fingerprint)::text, array_agg(outcome)::text, array_agg(payload)::text{idempotency_ids}])
FROM settled",
        parameters = target.elements(),
        names = target.names(),
    )
}

/// Returns the effect of a statement on a row, for `sync.reasons`, which rejects rows without
/// trying them if they are certain to be refused. Empty if the effect depends on the row that
/// exists.
pub fn adds(table: &Table, operation: Operation) -> &'static str {
    match operation {
        Operation::Insert => "insert",
        Operation::Upsert if table.version_column.is_none() => "upsert",
        Operation::Upsert | Operation::InsertIgnore | Operation::Update | Operation::Delete => "",
    }
}

/// Returns the SQL name of a column's type if the catalog does not know the type, so that only the
/// database can check its values.
pub fn unknown_type(column: &Column) -> Option<String> {
    match &column.column_type {
        ColumnType::Other { sql } => Some(sql.clone()),
        ColumnType::Array(element) if matches!(**element, ColumnType::Other { .. }) => {
            Some(column.column_type.cast_name())
        }
        _ => None,
    }
}

/// Returns a text as an SQL literal. Only for names from the catalog: values are parameters.
fn quote_literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// Returns the type of the array in which a column is sent.
fn array_type(column: &Column) -> String {
    match &column.column_type {
        // An array of arrays would be one array of two dimensions, which unnests into single
        // elements, and composite values unnest into columns. Such a column is sent as text and is
        // cast after unnesting.
        ColumnType::Array(_) | ColumnType::Other { .. } => "text[]".to_owned(),
        other => format!("{}[]", other.cast_name()),
    }
}

/// Returns the expressions to compare of a value. If all of them are equal, the values are the
/// same.
///
/// PostgreSQL takes different values for equal: `1.0` and `1.00`, `1 mon` and `30 days`, texts
/// under a nondeterministic collation. Their texts differ.
fn aspects(column: &Column, value: &str) -> Vec<String> {
    use ColumnType as Type;
    let mut element = &column.column_type;
    while let Type::Array(inner) = element {
        element = inner;
    }
    let text = format!("{value}::text COLLATE \"C\"");
    match element {
        _ if column.has_own_equality => vec![text],
        Type::Interval | Type::Json | Type::JsonB | Type::Other { .. } => vec![text],
        // With a scale, all stored values have the same number of digits. The text of a new value
        // may have fewer.
        Type::Numeric { scale: Some(_), .. } => vec![value.to_owned()],
        Type::Numeric { scale: None, .. } => vec![text],
        // 0 and -0 are equal, and a text can have fewer digits than its value
        // (`extra_float_digits`).
        Type::Real | Type::DoublePrecision => vec![value.to_owned(), text],
        _ => vec![value.to_owned()],
    }
}

/// Returns the text of a key's column of the target: a time in ISO 8601, and an address without the
/// prefix that a cast adds.
fn key_text(column: &Column) -> String {
    let name = format!("target.{}", quote_identifier(&column.name));
    match column.column_type {
        ColumnType::Date | ColumnType::Timestamp | ColumnType::TimestampTz | ColumnType::Inet => {
            format!("to_json({name})#>>'{{}}'")
        }
        _ => format!("{name}::text"),
    }
}

/// Returns the condition that the row in the table has an older version than the new one.
fn is_newer(version: &Column, new: &str) -> String {
    let old = format!("target.{}", quote_identifier(&version.name));
    format!("({old} IS NULL OR {old} < {new})")
}

/// The table and the columns of one statement.
#[derive(Debug, Clone, Copy)]
struct StatementTarget<'a> {
    table: &'a Table,
    columns: &'a [&'a Column],
    /// The header of the preconditions, if the first column after the worker's own holds some.
    precondition: Option<&'a str>,
}

impl StatementTarget<'_> {
    /// Returns `, ($1)[5]::bpchar[], ($1)[6]::text[]`.
    fn elements(&self) -> String {
        let precondition = self.precondition.map(|_| "text[]".to_owned());
        let types = self.columns.iter().map(|column| array_type(column));
        let numbered = precondition.into_iter().chain(types).zip(OWN_COLUMNS + 1..);
        numbered.map(|(array, n)| format!(", ($1)[{n}]::{array}")).collect::<Vec<_>>().concat()
    }

    /// Returns `, c1, c2`, after `, precondition` if there is one.
    fn names(&self) -> String {
        let precondition = self.precondition.map(|_| ", precondition".to_owned());
        let names = (1..=self.columns.len()).map(|index| format!(", c{index}"));
        precondition.into_iter().chain(names).collect()
    }

    /// Returns `"id", "name"`.
    fn column_list(&self) -> String {
        let names: Vec<_> =
            self.columns.iter().map(|column| quote_identifier(&column.name)).collect();
        names.join(", ")
    }

    /// Returns a column's value in the source of rows: `input.c2`, with a cast if it is sent as
    /// text.
    fn value(&self, source: &str, column: &Column) -> String {
        let index = self
            .columns
            .iter()
            .position(|known| known.name == column.name)
            .expect("a statement's columns hold the key for all operations that use it");
        match &column.column_type {
            text @ (ColumnType::Array(_) | ColumnType::Other { .. }) => {
                format!("{source}.c{}::{}", index + 1, text.cast_name())
            }
            _ => format!("{source}.c{}", index + 1),
        }
    }

    /// Returns `input.c1, input.c2::text[]`.
    fn values(&self, source: &str) -> String {
        let values: Vec<_> = self.columns.iter().map(|column| self.value(source, column)).collect();
        values.join(", ")
    }

    fn insert(&self, source: &str, on_conflict: &str, returning: &str) -> String {
        format!(
            "INSERT INTO {} AS target ({})
  SELECT {} FROM {source}{on_conflict}
  RETURNING {returning}",
            self.table.sql_name(),
            self.column_list(),
            self.values(source),
        )
    }

    /// Returns ` ON CONFLICT (key) DO UPDATE SET …`, which does not touch identical rows, or
    /// `DO NOTHING` if there are no columns but the key.
    fn merge(&self) -> String {
        let key: Vec<_> =
            self.table.primary_key.iter().map(|name| quote_identifier(name)).collect();
        let key = key.join(", ");
        let (mut assignments, mut old, mut new) = (Vec::new(), Vec::new(), Vec::new());
        for column in self.columns.iter().filter(|column| !self.table.is_key(column)) {
            let name = quote_identifier(&column.name);
            assignments.push(format!("{name} = EXCLUDED.{name}"));
            old.push(format!("target.{name}"));
            new.push(format!("EXCLUDED.{name}"));
        }
        if assignments.is_empty() {
            return format!(" ON CONFLICT ({key}) DO NOTHING");
        }
        let condition = match self.version() {
            Some(version) => {
                is_newer(version, &format!("EXCLUDED.{}", quote_identifier(&version.name)))
            }
            // `*<>` compares the stored images, as different values can be equal. (Without the
            // casts, PostgreSQL would compare column by column.)
            None => {
                format!("ROW({})::record *<> ROW({})::record", old.join(", "), new.join(", "))
            }
        };
        let condition = if self.table.has_row_security && self.version().is_none() {
            // PostgreSQL evaluates the condition before it asks whether the policies permit the
            // update. Without this, the outcome would tell if a hidden row has the same values. A
            // row that another session has just written is updated too, which does no harm.
            let keys = self.table.primary_key.iter().map(|name| quote_identifier(name));
            let is_seen: Vec<_> = keys.map(|name| format!("seen.{name} = target.{name}")).collect();
            format!(
                "({condition} OR NOT EXISTS (SELECT FROM {} AS seen WHERE {}))",
                self.table.sql_name(),
                is_seen.join(" AND ")
            )
        } else {
            condition
        };
        format!(
            "\n  ON CONFLICT ({key}) DO UPDATE SET {}
  WHERE {condition}",
            assignments.join(", "),
        )
    }

    /// Returns the version column, if the statement sets it.
    fn version(&self) -> Option<&Column> {
        let version = self.table.version_column()?;
        self.columns.iter().copied().find(|column| column.name == version.name)
    }

    /// Returns a further CTE that the outcome needs, or an empty text, and the expression of the
    /// outcome of a row of `fresh`.
    fn outcome(&self, operation: Operation) -> (String, String) {
        let has_logic = self.table.has_row_logic;
        let version =
            self.version().filter(|_| matches!(operation, Operation::Upsert | Operation::Update));
        let written = match operation {
            Operation::Insert if !has_logic && self.precondition.is_none() => {
                return (String::new(), "'applied'".to_owned());
            }
            Operation::Insert | Operation::InsertIgnore | Operation::Upsert if has_logic => {
                self.written_despite_logic(operation)
            }
            Operation::Insert | Operation::InsertIgnore | Operation::Upsert => {
                format!("WHEN {} THEN 'applied'", self.key_is_written())
            }
            // By key, not by id: an update into which others were folded counts for all of them.
            Operation::Update | Operation::Delete => {
                "WHEN write_key IN (SELECT written.write_key FROM written) THEN 'applied'"
                    .to_owned()
            }
        };
        let is_conditional = self.precondition.is_some();
        let missed = match operation {
            // Also if a trigger left the row out: nothing tells it from a row with the key that
            // another session has just written.
            _ if is_conditional => PRECONDITION_FAILED,
            Operation::Update => "row-missing",
            _ => "unchanged",
        };
        let (refused, missed) = self.refused(operation, version, missed);
        let may_be_skipped = match operation {
            _ if !refused.is_empty() => false,
            Operation::Update => has_logic,
            // Only one who may update a row may lock it.
            Operation::Delete => has_logic && is_conditional && self.table.permits(Changes::UPDATE),
            _ => false,
        };
        if version.is_none() && !may_be_skipped {
            return (String::new(), format!("CASE {written}{refused} ELSE '{missed}' END"));
        }
        let (columns, stored) = self.stored_columns(version, may_be_skipped);
        // With the lock, the row is compared as it is now, and stays so until it is changed. A
        // snapshot would show it as it was before another session changed it.
        let lock = if is_conditional { "\n  FOR UPDATE OF target" } else { "" };
        (
            format!(
                ", stored AS MATERIALIZED (
  SELECT fresh.write_key{columns}
  FROM fresh JOIN {} AS target ON {}{}{lock}
)",
                self.table.sql_name(),
                self.key_equals("fresh"),
                self.and_is_expected("fresh"),
            ),
            format!("CASE {written}{stored}{refused}\n    ELSE '{missed}' END"),
        )
    }

    /// Returns the branches of an outcome for rows that a row policy may have left out in silence,
    /// and the outcome of the others. Empty without row security.
    ///
    /// They look at the table as it is now: another session may have changed the row since the
    /// statement's snapshot, and that is no refusal.
    fn refused(
        &self,
        operation: Operation,
        version: Option<&Column>,
        missed: &'static str,
    ) -> (String, &'static str) {
        if !self.table.has_row_security {
            return (String::new(), missed);
        }
        let when = |seen: String, outcome: &str| format!("\n    WHEN {seen} THEN '{outcome}'");
        match (operation, version) {
            (Operation::Update | Operation::Delete, None) => {
                (when(self.sees(None), ROW_SECURITY), missed)
            }
            (Operation::Update, Some(_)) => {
                let refused = when(self.sees(version), ROW_SECURITY);
                (refused + &when(self.sees(None), "superseded"), missed)
            }
            // PostgreSQL compares the versions before it asks the policies.
            (Operation::Upsert, Some(_)) => (when(self.sees(None), "superseded"), ROW_SECURITY),
            _ => (String::new(), missed),
        }
    }

    /// Returns the call of `sync.sees` for the row of `fresh`: if it is as the write expects it
    /// and, with a version, older than the write.
    fn sees(&self, version: Option<&Column>) -> String {
        let mut cells: Vec<String> = Vec::new();
        let mut cell = |column: &Column| {
            let index = self.columns.iter().position(|known| known.name == column.name);
            let index = index.expect("the columns hold the key and the version");
            cells.push(format!("fresh.c{}::text", index + 1));
            format!("($1)[{}]::{}", cells.len(), column.column_type.cast_name())
        };
        let mut conditions: Vec<String> = Vec::new();
        for column in self.table.key_columns() {
            let value = cell(column);
            conditions.push(format!("target.{} = {value}", quote_identifier(&column.name)));
        }
        conditions.extend(version.map(|version| is_newer(version, &cell(version))));
        if self.precondition.is_some() {
            cells.push("fresh.precondition".to_owned());
            conditions.push(self.is_expected(&format!("($1)[{}]", cells.len())));
        }
        let query = format!(
            "SELECT EXISTS (SELECT FROM {} AS target WHERE {})",
            self.table.sql_name(),
            conditions.join(" AND ")
        );
        format!("sync.sees({}, ARRAY[{}])", quote_literal(&query), cells.join(", "))
    }

    /// Returns the columns of the CTE `stored`, and the branches of the outcome that use them: for
    /// rows that exist, are as the write expects them, and were not written.
    fn stored_columns(&self, version: Option<&Column>, may_be_skipped: bool) -> (String, String) {
        let (mut columns, mut branches) = (String::new(), String::new());
        if let Some(version) = version {
            columns.push_str(&format!(", {} AS is_same", self.is_same("fresh")));
            branches.push_str(
                "\n    WHEN write_key IN (SELECT stored.write_key FROM stored WHERE stored.is_same) THEN 'unchanged'",
            );
            let mut is_older = "";
            if self.table.has_row_logic {
                let is_newer = is_newer(version, &self.value("fresh", version));
                columns.push_str(&format!(", NOT {is_newer} AS is_older"));
                is_older = " WHERE stored.is_older";
            }
            branches.push_str(&format!(
                "\n    WHEN write_key IN (SELECT stored.write_key FROM stored{is_older}) THEN 'superseded'"
            ));
        }
        // A row that exists and was not written was left out by a trigger.
        if may_be_skipped {
            branches.push_str(
                "\n    WHEN write_key IN (SELECT stored.write_key FROM stored) THEN 'unchanged'",
            );
        }
        (columns, branches)
    }

    /// Returns `true` if an insert must return the keys that it wrote, and knows them: triggers may
    /// leave rows out, and the statement sets the whole key.
    fn reports_by_key(&self, operation: Operation) -> bool {
        let has = |name: &String| self.columns.iter().any(|column| column.name == *name);
        let key = &self.table.primary_key;
        // Row security refuses to insert and return a row that the writer may insert and not see.
        let may_be_hidden = self.table.has_row_security && operation == Operation::Insert;
        self.table.has_row_logic && !may_be_hidden && !key.is_empty() && key.iter().all(has)
    }

    /// Returns the expression of the key that the database makes, or `None` if the statement sets
    /// the whole key, there is none, or the writer may not read it.
    fn made_key(&self) -> Option<String> {
        let has = |name: &String| self.columns.iter().any(|column| column.name == *name);
        if self.table.primary_key.iter().all(has) || !self.table.returns_key() {
            return None;
        }
        let parts: Vec<_> = self.table.key_columns().map(key_text).collect();
        Some(match parts.as_slice() {
            [part] => format!("{part} AS made_key"),
            parts => format!("sync.key_text({}) AS made_key", parts.join(", ")),
        })
    }

    /// Returns the branches of an outcome for rows that triggers may leave out or give another key.
    ///
    /// PostgreSQL does not report to which row of the source a returned row belongs. If some rows
    /// were not returned, and the keys of those that were do not identify them, the outcome is
    /// `unknown`. `sync.settle` fails at that, and the set is bisected until the outcome of each
    /// row is known.
    fn written_despite_logic(&self, operation: Operation) -> String {
        const WRITTEN: &str = "(SELECT count(*) FROM written)";
        let all = format!("{WRITTEN} = (SELECT count(*) FROM fresh)");
        if !self.reports_by_key(operation) {
            return format!("WHEN {all} THEN 'applied' WHEN {WRITTEN} > 0 THEN 'unknown'");
        }
        let is_known = self.key_is_written();
        // FILTER and not WHERE: see `key_is_written`.
        let is_certain =
            format!("{WRITTEN} = (SELECT count(*) FILTER (WHERE {is_known}) FROM fresh)");
        format!(
            "WHEN {all} OR {is_certain} AND {is_known} THEN 'applied' WHEN NOT {is_certain} THEN 'unknown'"
        )
    }

    /// Returns a condition that is true only if a row of the source equals the row in the table.
    fn is_same(&self, source: &str) -> String {
        let (mut old, mut new) = (Vec::new(), Vec::new());
        for column in self.columns.iter().filter(|column| !self.table.is_key(column)) {
            old.extend(aspects(column, &format!("target.{}", quote_identifier(&column.name))));
            new.extend(aspects(column, &self.value(source, column)));
        }
        if old.is_empty() {
            return "true".to_owned();
        }
        format!("({}) IS NOT DISTINCT FROM ({})", old.join(", "), new.join(", "))
    }

    /// Returns the payload of a write that the statement itself rejects, or `None` if it rejects
    /// none. It is NULL for an update that was folded into another, as its cells are not known.
    fn payload_of_rejected(&self, operation: Operation) -> Option<String> {
        let missed = match operation {
            _ if self.precondition.is_some() => Some(PRECONDITION_FAILED),
            Operation::Update => Some("row-missing"),
            _ => None,
        };
        let changes_rows =
            matches!(operation, Operation::Update | Operation::Delete | Operation::Upsert);
        let refused = (self.table.has_row_security && changes_rows).then_some(ROW_SECURITY);
        let rules: Vec<_> =
            missed.into_iter().chain(refused).map(|rule| format!("'{rule}'")).collect();
        let is_rejected = match rules.as_slice() {
            [] => return None,
            [rule] => format!("outcome = {rule}"),
            rules => format!("outcome IN ({})", rules.join(", ")),
        };
        let payload = self.payload("fresh", operation);
        if operation != Operation::Update || self.precondition.is_some() {
            return Some(format!("CASE WHEN {is_rejected} THEN {payload} END"));
        }
        let first_key_cell = self
            .table
            .key_columns()
            .next()
            .map_or_else(|| "NULL".to_owned(), |column| self.value("fresh", column));
        Some(format!(
            "CASE WHEN {is_rejected} AND {first_key_cell} IS NOT NULL
    THEN {payload} END"
        ))
    }

    /// Returns a write as the ledger keeps it, so that a user can fix it and send it again. Its
    /// precondition stands before its columns.
    fn payload(&self, source: &str, operation: Operation) -> String {
        let header = self.precondition.map(quote_literal);
        let names = self.columns.iter().map(|column| quote_literal(&column.name));
        let names: Vec<_> = header.into_iter().chain(names).collect();
        let precondition = self.precondition.map(|_| format!("{source}.precondition"));
        let cells = (1..=self.columns.len()).map(|index| format!("{source}.c{index}::text"));
        let cells: Vec<_> = precondition.into_iter().chain(cells).collect();
        format!(
            "json_build_object('table', {}, 'operation', '{}', 'row', json_object(ARRAY[{}], ARRAY[{}]))::text",
            quote_literal(&self.table.path()),
            operation.as_str(),
            names.join(", "),
            cells.join(", "),
        )
    }

    /// Returns the writes whose ids are settled with other fingerprints. They are rejected under
    /// ids of their own.
    fn reused(&self, operation: Operation) -> String {
        let own_id = REUSED_ID;
        format!(
            "
  UNION ALL
  SELECT {own_id}, input.accepted_at_ms, input.write_key, input.fingerprint, input.write_id, 'idempotency-key-reused',
    {}
  FROM input JOIN sync.write AS known ON known.id = input.write_id
  WHERE known.fingerprint IS DISTINCT FROM input.fingerprint
    AND NOT EXISTS (SELECT FROM sync.write AS rejected WHERE rejected.id = {own_id})",
            self.payload("input", operation),
        )
    }

    /// Returns `target."id" AS k1, …`.
    fn returned_key(&self) -> String {
        let parts: Vec<_> = self
            .table
            .primary_key
            .iter()
            .enumerate()
            .map(|(n, name)| format!("target.{} AS k{}", quote_identifier(name), n + 1))
            .collect();
        parts.join(", ")
    }

    /// Returns the condition that the key of a row of `fresh` is among those written.
    ///
    /// `IN (SELECT …)` outside `WHERE` is a hashed subplan, whatever the planner expects of the
    /// number of rows: CTEs over `unnest` have no statistics, and a join could become a nested loop
    /// over both.
    fn key_is_written(&self) -> String {
        let parts: Vec<_> =
            self.table.key_columns().map(|column| self.value("fresh", column)).collect();
        let keys: Vec<_> = (1..=parts.len()).map(|n| format!("written.k{n}")).collect();
        format!("({}) IN (SELECT {} FROM written)", parts.join(", "), keys.join(", "))
    }

    /// Returns `target."id" = input.c1 AND …`.
    fn key_equals(&self, source: &str) -> String {
        let parts: Vec<_> = self
            .table
            .key_columns()
            .map(|column| {
                format!(
                    "target.{} = {}",
                    quote_identifier(&column.name),
                    self.value(source, column)
                )
            })
            .collect();
        parts.join(" AND ")
    }

    /// Returns ` AND …`: the row is as the write expects it. PostgreSQL evaluates it again if
    /// another transaction has changed the row meanwhile. Empty without preconditions.
    fn and_is_expected(&self, source: &str) -> String {
        if self.precondition.is_none() {
            return String::new();
        }
        format!(" AND {}", self.is_expected(&format!("{source}.precondition")))
    }

    /// Returns the condition that a row of the target meets a precondition.
    fn is_expected(&self, precondition: &str) -> String {
        let exists = format!("{precondition} = {}", quote_literal(ANY));
        if !self.table.is_comparable() {
            return exists;
        }
        let tag = row_tag::expression(self.table, "target");
        // Each tag of the list stands in quotes and holds none.
        format!("({exists} OR strpos({precondition}, '\"' || {tag} || '\"') > 0)")
    }

    /// Returns ` ON CONFLICT (key) DO NOTHING`.
    fn unless_key_exists(&self) -> String {
        let key: Vec<_> =
            self.table.primary_key.iter().map(|name| quote_identifier(name)).collect();
        format!(" ON CONFLICT ({}) DO NOTHING", key.join(", "))
    }

    fn update(&self, source: &str) -> String {
        let assignments: Vec<_> = self
            .columns
            .iter()
            .filter(|column| !self.table.is_key(column))
            .map(|column| {
                format!("{} = {}", quote_identifier(&column.name), self.value(source, column))
            })
            .collect();
        format!(
            "UPDATE {} AS target SET {}
  FROM {source} WHERE {}{}{}
  RETURNING {source}.write_key",
            self.table.sql_name(),
            assignments.join(", "),
            self.key_equals(source),
            self.and_is_expected(source),
            self.version().map_or_else(String::new, |version| {
                format!(" AND {}", is_newer(version, &self.value(source, version)))
            }),
        )
    }

    fn delete(&self, source: &str) -> String {
        format!(
            "DELETE FROM {} AS target USING {source} WHERE {}{}
  RETURNING {source}.write_key",
            self.table.sql_name(),
            self.key_equals(source),
            self.and_is_expected(source),
        )
    }
}

#[cfg(test)]
mod snapshots;
