//! The SELECT of a look-up.
//!
//! Pure. A statement returns one record for each row: the fields of the response's form, then the
//! order's columns as text, which make the cursor. The head adds the total count and the state of
//! writes to each record, so that one call reads all from one snapshot.

use aurora_sync_catalog::{Column, ColumnType, Table};

use super::condition::Condition;
use super::form::Form;
use super::operator::Comparison;
use super::order;
use super::page::Shape;
use super::parameters::{Parameters, Query};
use super::query_string::{QueryString, WriteRef};
use super::{ALIAS, column_sql};
use crate::domain::field::Parameter;
use crate::domain::key::Key;
use crate::domain::row_tag;
use crate::domain::value::array_literal::array_literal;

/// The rows to read: a table of the catalog, or a SELECT in its form.
#[derive(Debug, Clone, Copy)]
pub struct Relation<'t> {
    pub table: &'t Table,
    /// The SQL after FROM. It never contains text of a request.
    pub from: &'t str,
    /// The values of the placeholders in `from`.
    pub parameters: &'t [Parameter],
}

/// The additions to the rows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Head {
    /// Adds the total number of rows.
    pub counts: bool,
    /// Adds the state of these writes.
    pub after: Vec<WriteRef>,
}

impl Head {
    fn is_empty(&self) -> bool {
        !self.counts && self.after.is_empty()
    }
}

/// Returns the columns of a response.
pub fn columns<'t>(
    table: &'t Table,
    query_string: &QueryString<'t>,
    form: Form,
) -> Vec<&'t Column> {
    query_string.select.clone().unwrap_or_else(|| form.columns(table))
}

/// Makes the statement for the row with this key, and its tag.
pub fn by_key(
    relation: Relation<'_>,
    key: &Key,
    query_string: &QueryString<'_>,
    form: Form,
    head: &Head,
) -> (Query, Shape) {
    let is_part = |(column, part): (_, &str)| Condition::Compare {
        column,
        comparison: Comparison::Eq,
        value: part.to_owned(),
    };
    let conditions = relation.table.key_columns().zip(key.parts()).map(is_part).collect();
    let query_string = QueryString { conditions, ..query_string.clone() };
    let tag = row_tag::expression(relation.table, ALIAS);
    select(relation, &query_string, form, head, 1, Some(tag))
}

/// Makes the statement for the first `rows` rows.
pub fn list(
    relation: Relation<'_>,
    query_string: &QueryString<'_>,
    form: Form,
    head: &Head,
    rows: u32,
) -> (Query, Shape) {
    select(relation, query_string, form, head, rows, None)
}

/// Makes the statement for the first `rows` rows, each with its tag.
fn select(
    relation: Relation<'_>,
    query_string: &QueryString<'_>,
    form: Form,
    head: &Head,
    rows: u32,
    tag: Option<String>,
) -> (Query, Shape) {
    let mut parameters = Parameters::with(relation.parameters);
    let has_tag = tag.is_some();
    let mut fields = form.fields(&columns(relation.table, query_string, form));
    fields.extend(tag);
    let keys: Vec<_> = query_string
        .order
        .iter()
        .map(|term| format!("{}::text", column_sql(term.column)))
        .collect();
    let shape =
        Shape { fields: fields.len(), has_tag, order: keys.len(), has_head: !head.is_empty() };
    let selected: Vec<_> = fields.into_iter().chain(keys).collect();
    let sql = if head.is_empty() {
        let rows = Rows { relation, query_string, selected, limit: rows, is_named: false };
        rows.sql(&mut parameters)
    } else {
        headed_sql(relation, query_string, selected, head, rows, &mut parameters)
    };
    (parameters.into_query(sql), shape)
}

/// The SELECT of a page's rows.
struct Rows<'a> {
    relation: Relation<'a>,
    query_string: &'a QueryString<'a>,
    selected: Vec<String>,
    limit: u32,
    /// `true` if the selected columns have the names f1, f2, … and the order's columns o1, o2, …
    is_named: bool,
}

impl Rows<'_> {
    /// Formats one SELECT. If a page begins within an order that no single comparison bounds, it is
    /// a UNION ALL of one SELECT for each condition.
    fn sql(&self, parameters: &mut Parameters) -> String {
        let Some(start) = &self.query_string.start else {
            return self.part("", self.is_named, parameters);
        };
        let conditions = order::rows_after(&self.query_string.order, start, parameters);
        if let [condition] = conditions.as_slice() {
            return self.part(condition, self.is_named, parameters);
        }
        let parts: Vec<_> = conditions
            .iter()
            .map(|condition| format!("({})", self.part(condition, true, parameters)))
            .collect();
        let limit = parameters.bind(&self.limit.to_string(), &ColumnType::BigInt);
        let names = if self.is_named { "*".to_owned() } else { names("part", self.selected.len()) };
        format!(
            "SELECT {names} FROM ({}) AS part{} LIMIT {limit}",
            parts.join(" UNION ALL "),
            order::order_by(&self.query_string.order, |n, _| format!("part.o{}", n + 1)),
        )
    }

    /// Formats `SELECT … FROM … WHERE … ORDER BY … LIMIT …`.
    fn part(&self, start: &str, is_named: bool, parameters: &mut Parameters) -> String {
        let selected = if is_named {
            let selected = self.selected.iter().zip(1..).map(|(sql, n)| format!("{sql} AS f{n}"));
            let order = self.query_string.order.iter().zip(1..);
            let order = order.map(|(term, n)| format!("{} AS o{n}", column_sql(term.column)));
            selected.chain(order).collect()
        } else {
            self.selected.clone()
        };
        for term in &self.query_string.order {
            parameters.note_type(&term.column.column_type);
        }
        let mut filter = filter(self.query_string, parameters);
        if !start.is_empty() {
            filter.push_str(if filter.is_empty() { " WHERE " } else { " AND " });
            filter.push_str(start);
        }
        let order = order::order_by(&self.query_string.order, |_, column| column_sql(column));
        let limit = parameters.bind(&self.limit.to_string(), &ColumnType::BigInt);
        format!(
            "SELECT {} FROM {} AS {ALIAS}{filter}{order} LIMIT {limit}",
            selected.join(", "),
            self.relation.from,
        )
    }
}

/// Formats `page.f1, page.f2`.
fn names(of: &str, count: usize) -> String {
    let names: Vec<_> = (1..=count).map(|n| format!("{of}.f{n}")).collect();
    names.join(", ")
}

/// Formats the rows with a head, whose record is there even without rows.
fn headed_sql(
    relation: Relation<'_>,
    query_string: &QueryString<'_>,
    mut selected: Vec<String>,
    head: &Head,
    rows: u32,
    parameters: &mut Parameters,
) -> String {
    let total = if head.counts {
        let filter = filter(query_string, parameters);
        format!("(SELECT count(*) FROM {} AS t{filter})", relation.from)
    } else {
        "NULL::bigint".to_owned()
    };
    let settled = if head.after.is_empty() {
        "NULL::text".to_owned()
    } else {
        format!("({})", settled_sql(&head.after, parameters))
    };
    let names = names("page", selected.len());
    selected.push("true".to_owned());
    let is_row = selected.len();
    let rows = Rows { relation, query_string, selected, limit: rows, is_named: true };
    let page = rows.sql(parameters);
    // Ordered again, since a join does not keep the order.
    let order = order::order_by(&query_string.order, |n, _| format!("page.o{}", n + 1));
    format!(
        "SELECT {names}, head.total, head.settled, page.f{is_row}
FROM (SELECT {total} AS total, {settled} AS settled) AS head
LEFT JOIN ({page}) AS page ON true{order}"
    )
}

/// Formats ` WHERE (…) AND (…)`, or nothing if there are no conditions.
fn filter(query_string: &QueryString<'_>, parameters: &mut Parameters) -> String {
    let conditions: Vec<_> = query_string
        .conditions
        .iter()
        .map(|condition| format!("({})", condition.sql(parameters)))
        .collect();
    if conditions.is_empty() {
        String::new()
    } else {
        format!(" WHERE {}", conditions.join(" AND "))
    }
}

/// Makes the statement for the key of the first row, as text, for the message about a row that is
/// too large.
pub fn key_of_first(relation: Relation<'_>, query_string: &QueryString<'_>) -> Query {
    let mut parameters = Parameters::with(relation.parameters);
    let keys: Vec<_> = relation
        .table
        .key_columns()
        .map(|column| format!("{}::text", column_sql(column)))
        .collect();
    let rows = Rows { relation, query_string, selected: keys, limit: 1, is_named: false };
    let sql = rows.sql(&mut parameters);
    parameters.into_query(sql)
}

/// Makes the statement for PostgreSQL's estimate of the number of rows: the plan of a SELECT that
/// does not run.
pub fn planned_count(relation: Relation<'_>, query_string: &QueryString<'_>) -> Query {
    let mut parameters = Parameters::with(relation.parameters);
    let filter = filter(query_string, &mut parameters);
    let sql = format!("EXPLAIN (FORMAT JSON) SELECT FROM {} AS t{filter}", relation.from);
    parameters.into_query(sql)
}

/// Makes the statement for the ledger's entries of these writes: one record with a JSON array, or
/// NULL if there are none.
pub fn settled(writes: &[WriteRef]) -> Query {
    let mut parameters = Parameters::default();
    let sql = settled_sql(writes, &mut parameters);
    parameters.into_query(sql)
}

/// Formats the SELECT of the outcomes, each with the number of its write. If another payload was
/// settled first under an id, the write has an id of its own.
fn settled_sql(writes: &[WriteRef], parameters: &mut Parameters) -> String {
    let ids: Vec<_> = writes.iter().map(|write| write.id.to_string()).collect();
    let ids = array_literal(ids.iter().map(|id| Some(id.as_str())));
    let ids = parameters.bind_as(&ids, "uuid[]");
    let fingerprints = array_literal(writes.iter().map(|write| write.fingerprint.as_deref()));
    let fingerprints = parameters.bind_as(&fingerprints, "text[]");
    let caller = writes.iter().find_map(|write| write.caller.as_deref());
    let is_own = caller.map_or_else(String::new, |caller| {
        format!("\n  AND write.caller = {}", parameters.bind_as(caller, "text"))
    });
    format!(
        "SELECT json_agg(json_build_object('number', asked.number, 'outcome', write.outcome))::text
FROM unnest({ids}, {fingerprints}) WITH ORDINALITY AS asked (id, fingerprint, number)
JOIN sync.write AS write ON write.id IN (asked.id, sync.reused_id(asked.id, asked.fingerprint))
  AND (asked.fingerprint IS NULL OR write.fingerprint = asked.fingerprint){is_own}"
    )
}
