//! The SELECT behind a look-up.
//!
//! Pure. A statement gives one record a row: the fields of the response's form, then the order's columns
//! as texts, from which the cursor is made. The other questions (how many rows there are in all,
//! whether writes are settled) are the statement's head and come with each record, so that one call
//! answers all from one snapshot.

use aurora_sync_catalog::{Column, ColumnType, Table};
use uuid::Uuid;

use super::asked::Asked;
use super::column_sql;
use super::condition::Condition;
use super::form::Form;
use super::operator::Comparison;
use super::order;
use super::page::Shape;
use super::parameters::Parameters;
use crate::domain::field::Parameter;
use crate::domain::key::Key;
use crate::domain::value::array_literal::array_literal;

/// A statement with its values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    pub sql: String,
    pub parameters: Vec<Parameter>,
    /// Whether values are compared or put in order of which only the database knows the type.
    pub meets_unknown_types: bool,
}

/// What is read: a table of the catalog, or a SELECT that looks like one.
#[derive(Debug, Clone, Copy)]
pub struct Relation<'t> {
    pub table: &'t Table,
    /// What stands after FROM; never any text of a request.
    pub from: &'t str,
}

/// What is asked besides the rows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Head {
    /// How many rows there are in all.
    pub counts: bool,
    /// What became of these writes.
    pub after: Vec<Uuid>,
}

impl Head {
    fn is_empty(&self) -> bool {
        !self.counts && self.after.is_empty()
    }
}

/// The columns of a response.
pub fn columns<'t>(table: &'t Table, asked: &Asked<'t>, form: Form) -> Vec<&'t Column> {
    asked.select.clone().unwrap_or_else(|| form.columns(table))
}

/// The row with this key.
pub fn by_key(
    relation: Relation<'_>,
    key: &Key,
    asked: &Asked<'_>,
    form: Form,
    head: &Head,
) -> (Query, Shape) {
    let is_part = |(column, part): (_, &str)| Condition::Compare {
        column,
        comparison: Comparison::Eq,
        value: part.to_owned(),
    };
    let conditions = relation.table.key_columns().zip(key.parts()).map(is_part).collect();
    list(relation, &Asked { conditions, ..asked.clone() }, form, head, 1)
}

/// The first `rows` rows that are asked for.
pub fn list(
    relation: Relation<'_>,
    asked: &Asked<'_>,
    form: Form,
    head: &Head,
    rows: u32,
) -> (Query, Shape) {
    let mut parameters = Parameters::default();
    let fields = form.fields(&columns(relation.table, asked, form));
    let keys: Vec<_> =
        asked.order.iter().map(|term| format!("{}::text", column_sql(term.column))).collect();
    let shape = Shape { fields: fields.len(), order: keys.len(), has_head: !head.is_empty() };
    let selected: Vec<_> = fields.into_iter().chain(keys).collect();
    let sql = if head.is_empty() {
        let rows = Rows { relation, asked, selected, limit: rows, is_named: false };
        rows.sql(&mut parameters)
    } else {
        headed_sql(relation, asked, selected, head, rows, &mut parameters)
    };
    (parameters.into_query(sql), shape)
}

/// The rows of a page.
struct Rows<'a> {
    relation: Relation<'a>,
    asked: &'a Asked<'a>,
    selected: Vec<String>,
    limit: u32,
    /// Whether what is selected is called f1, f2, … and what orders it o1, o2, …
    is_named: bool,
}

impl Rows<'_> {
    /// One SELECT, or where the page begins in the middle of an order that no single comparison bounds,
    /// one for each of its parts.
    fn sql(&self, parameters: &mut Parameters) -> String {
        let Some(start) = &self.asked.start else {
            return self.part("", self.is_named, parameters);
        };
        let behind = order::behind(&self.asked.order, start, parameters);
        if let [condition] = behind.as_slice() {
            return self.part(condition, self.is_named, parameters);
        }
        let parts: Vec<_> = behind
            .iter()
            .map(|condition| format!("({})", self.part(condition, true, parameters)))
            .collect();
        let limit = parameters.bind(&self.limit.to_string(), &ColumnType::BigInt);
        let names = if self.is_named { "*".to_owned() } else { names("part", self.selected.len()) };
        format!(
            "SELECT {names} FROM ({}) AS part{} LIMIT {limit}",
            parts.join(" UNION ALL "),
            order::order_by(&self.asked.order, |n, _| format!("part.o{}", n + 1)),
        )
    }

    /// `SELECT … FROM … WHERE … ORDER BY … LIMIT …`.
    fn part(&self, behind: &str, is_named: bool, parameters: &mut Parameters) -> String {
        let selected = if is_named {
            let selected = self.selected.iter().zip(1..).map(|(sql, n)| format!("{sql} AS f{n}"));
            let order = self.asked.order.iter().zip(1..);
            let order = order.map(|(term, n)| format!("{} AS o{n}", column_sql(term.column)));
            selected.chain(order).collect()
        } else {
            self.selected.clone()
        };
        for term in &self.asked.order {
            parameters.meet(&term.column.column_type);
        }
        let mut filter = filter(self.asked, parameters);
        if !behind.is_empty() {
            filter.push_str(if filter.is_empty() { " WHERE " } else { " AND " });
            filter.push_str(behind);
        }
        let order = order::order_by(&self.asked.order, |_, column| column_sql(column));
        let limit = parameters.bind(&self.limit.to_string(), &ColumnType::BigInt);
        format!(
            "SELECT {} FROM {} AS t{filter}{order} LIMIT {limit}",
            selected.join(", "),
            self.relation.from,
        )
    }
}

/// `page.f1, page.f2`.
fn names(of: &str, count: usize) -> String {
    let names: Vec<_> = (1..=count).map(|n| format!("{of}.f{n}")).collect();
    names.join(", ")
}

/// Rows behind a head of one row, which is there even where no row is.
fn headed_sql(
    relation: Relation<'_>,
    asked: &Asked<'_>,
    mut selected: Vec<String>,
    head: &Head,
    rows: u32,
    parameters: &mut Parameters,
) -> String {
    let total = if head.counts {
        let filter = filter(asked, parameters);
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
    let rows = Rows { relation, asked, selected, limit: rows, is_named: true };
    let page = rows.sql(parameters);
    // Once more, as a join keeps no order by itself.
    let order = order::order_by(&asked.order, |n, _| format!("page.o{}", n + 1));
    format!(
        "SELECT {names}, head.total, head.settled, page.f{is_row}
FROM (SELECT {total} AS total, {settled} AS settled) AS head
LEFT JOIN ({page}) AS page ON true{order}"
    )
}

/// ` WHERE (…) AND (…)`, nothing where all rows are meant.
fn filter(asked: &Asked<'_>, parameters: &mut Parameters) -> String {
    let conditions: Vec<_> = asked
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

/// The key of the first row that is asked for, as texts: for the message about a row that is too large.
pub fn key_of_first(relation: Relation<'_>, asked: &Asked<'_>) -> Query {
    let mut parameters = Parameters::default();
    let keys: Vec<_> = relation
        .table
        .key_columns()
        .map(|column| format!("{}::text", column_sql(column)))
        .collect();
    let rows = Rows { relation, asked, selected: keys, limit: 1, is_named: false };
    let sql = rows.sql(&mut parameters);
    parameters.into_query(sql)
}

/// How many rows PostgreSQL expects, from its statistics: the plan of a SELECT that is not run.
pub fn planned_count(relation: Relation<'_>, asked: &Asked<'_>) -> Query {
    let mut parameters = Parameters::default();
    let filter = filter(asked, &mut parameters);
    let sql = format!("EXPLAIN (FORMAT JSON) SELECT FROM {} AS t{filter}", relation.from);
    parameters.into_query(sql)
}

/// What the ledger holds of these writes: one record with a JSON array, NULL where it holds none.
pub fn settled(ids: &[Uuid]) -> Query {
    let mut parameters = Parameters::default();
    let sql = settled_sql(ids, &mut parameters);
    parameters.into_query(sql)
}

fn settled_sql(ids: &[Uuid], parameters: &mut Parameters) -> String {
    let ids: Vec<_> = ids.iter().map(Uuid::to_string).collect();
    let ids = array_literal(ids.iter().map(|id| Some(id.as_str())));
    let ids = parameters.bind_as(&ids, "uuid[]");
    format!(
        "SELECT json_agg(json_build_object('id', id, 'outcome', outcome))::text FROM sync.write WHERE id = ANY ({ids})"
    )
}
