//! A query string, read against its table.
//!
//! Pure. Total: any query string becomes an [`Asked`], or a problem that says what is known.

use aurora_sync_catalog::{Column, Table};
use uuid::Uuid;

use super::condition::Condition;
use super::cursor::Scope;
use super::group;
use super::order::{self, Term};
use super::readable_column;
use super::scanner::Scanner;
use crate::api::problem::{Kind, Problem};

/// Rows of a page where the request does not say how many.
pub const LIMIT_DEFAULT: u32 = 100;

/// Most rows of a page.
pub const LIMIT_MAX: u32 = 1_000;

/// Most comparisons of a query: their SQL stays far under the Data API's 65,536 characters.
const CONDITIONS_MAX: usize = 100;

/// Most writes that a look-up waits for.
const AFTER_MAX: usize = 20;

/// The parameters that are not columns. A column of such a name is written in double quotes.
pub const RESERVED: [&str; 9] =
    ["select", "order", "limit", "cursor", "after", "and", "or", "not.and", "not.or"];

/// A list's query string, understood.
#[derive(Debug, Clone)]
pub struct Asked<'t> {
    pub(super) conditions: Vec<Condition<'t>>,
    /// The columns by `select=`; `None` is all.
    pub(super) select: Option<Vec<&'t Column>>,
    /// Ends with the key, where the table has one.
    pub(super) order: Vec<Term<'t>>,
    pub(super) scope: Scope,
    /// Behind which row the page begins.
    pub(super) start: Option<Vec<Option<String>>>,
    pub limit: u32,
    /// The writes that must be settled before the rows are read.
    pub after: Vec<Uuid>,
}

impl<'t> Asked<'t> {
    /// Reads a query string. `default_order` counts where it names no order.
    pub fn of_list(
        table: &'t Table,
        query: &[(String, String)],
        default_order: &str,
    ) -> Result<Self, Problem> {
        let mut conditions = Vec::new();
        for (name, text) in query {
            if let Some(condition) = condition(table, name, text).map_err(invalid)? {
                conditions.push(condition);
            }
        }
        if conditions.iter().map(Condition::size).sum::<usize>() > CONDITIONS_MAX {
            return Err(invalid(format!("a query holds {CONDITIONS_MAX} comparisons at most")));
        }
        let order = match single(query, "order")? {
            Some(text) => order::parse(table, text).map_err(invalid)?,
            None if default_order.is_empty() => Vec::new(),
            None => order::parse(table, default_order).map_err(invalid)?,
        };
        let order = order::with_key(table, order);
        let scope = scope(table, &order, query);
        let start = match single(query, "cursor")? {
            None => None,
            Some(cursor) => Some(start(table, &order, &scope, cursor)?),
        };
        let limit = single(query, "limit")?.map_or(Ok(LIMIT_DEFAULT), read_limit)?;
        let (select, after) = (select(table, query)?, after(query)?);
        Ok(Self { conditions, select, order, scope, start, limit, after })
    }

    /// Reads the query string of one row, which chooses columns and may wait, and nothing else.
    pub fn of_row(table: &'t Table, query: &[(String, String)]) -> Result<Self, Problem> {
        if let Some((name, _)) =
            query.iter().find(|(name, _)| !matches!(name.as_str(), "select" | "after"))
        {
            let detail = format!("{name}: the path of a row takes select and after");
            return Err(invalid(detail));
        }
        Ok(Self {
            conditions: Vec::new(),
            select: select(table, query)?,
            order: Vec::new(),
            scope: Scope::new([]),
            start: None,
            limit: 1,
            after: after(query)?,
        })
    }

    /// Whether pages can be walked: without a key no row is told from an equal one.
    pub fn has_pages(&self, table: &Table) -> bool {
        !table.primary_key.is_empty()
    }

    pub fn is_first_page(&self) -> bool {
        self.start.is_none()
    }

    /// The cursor behind a row with these values in the order's columns.
    pub fn cursor(&self, values: &[Option<String>]) -> String {
        self.scope.cursor(values)
    }
}

pub(super) fn invalid(detail: impl Into<String>) -> Problem {
    let detail = detail.into();
    let stop = if detail.ends_with('?') { "" } else { "." };
    Problem::new(Kind::InvalidQuery, format!("{detail}{stop}"))
}

/// The condition of a parameter, unless it is one of the others.
fn condition<'t>(
    table: &'t Table,
    name: &str,
    text: &str,
) -> Result<Option<Condition<'t>>, String> {
    if let Some((junction, is_negated)) = group::junction(name) {
        let group = group::parse(table, junction, text).map_err(|why| format!("{name}: {why}"))?;
        return Ok(Some(group.negated_if(is_negated)));
    }
    if RESERVED.contains(&name) {
        return Ok(None);
    }
    let quoted = if name.starts_with('"') {
        let mut scanner = Scanner::new(name);
        scanner.name().filter(|_| scanner.is_at_end())
    } else {
        None
    };
    let column = readable_column(table, quoted.as_deref().unwrap_or(name)).map_err(|why| {
        if name == "offset" {
            "offset: pages begin behind a cursor, see the Link header of a page".to_owned()
        } else if why.ends_with('?') {
            why
        } else {
            format!("{why}, or one of the parameters {}", RESERVED.join(", "))
        }
    })?;
    Condition::from_parameter(column, text).map(Some)
}

/// The value of a parameter that may stand there once.
fn single<'a>(query: &'a [(String, String)], name: &str) -> Result<Option<&'a str>, Problem> {
    let mut values = query.iter().filter(|(known, _)| known == name).map(|(_, text)| text.as_str());
    let value = values.next();
    if values.next().is_some() {
        return Err(invalid(format!("{name}: may stand there once")));
    }
    Ok(value)
}

fn read_limit(text: &str) -> Result<u32, Problem> {
    text.parse()
        .ok()
        .filter(|limit| (1..=LIMIT_MAX).contains(limit))
        .ok_or_else(|| invalid(format!("limit: expected a number from 1 to {LIMIT_MAX}")))
}

/// `select=id,name`; nothing or `*` is all columns.
fn select<'t>(
    table: &'t Table,
    query: &[(String, String)],
) -> Result<Option<Vec<&'t Column>>, Problem> {
    let Some(text) = single(query, "select")?.filter(|text| !matches!(*text, "" | "*")) else {
        return Ok(None);
    };
    let mut scanner = Scanner::new(text);
    let mut columns: Vec<&Column> = Vec::new();
    loop {
        let name = scanner
            .name()
            .ok_or_else(|| invalid("select: expected columns separated by commas, or *"))?;
        let column = readable_column(table, &name).map_err(invalid)?;
        if columns.iter().any(|known| known.name == name) {
            return Err(invalid(format!("select: {name} stands there twice")));
        }
        columns.push(column);
        if scanner.is_at_end() {
            return Ok(Some(columns));
        }
        if !scanner.take(",") {
            return Err(invalid(format!(
                "select: after {name} expected a comma; columns can be neither renamed, cast nor embedded"
            )));
        }
    }
}

/// `after=<id>,<id>`.
fn after(query: &[(String, String)]) -> Result<Vec<Uuid>, Problem> {
    single(query, "after")?.map_or_else(|| Ok(Vec::new()), write_ids)
}

/// Ids of writes, separated by commas.
pub fn write_ids(text: &str) -> Result<Vec<Uuid>, Problem> {
    let mut ids = text
        .split(',')
        .map(|id| Uuid::parse_str(id.trim()))
        .collect::<Result<Vec<_>, _>>()
        .map_err(|_| invalid("after: expected ids of writes, separated by commas"))?;
    ids.sort_unstable();
    ids.dedup();
    if ids.len() > AFTER_MAX {
        return Err(invalid(format!("after: expected {AFTER_MAX} ids at most")));
    }
    Ok(ids)
}

/// What the cursors of a query belong to: all that decides which rows there are, and their order.
fn scope(table: &Table, order: &[Term<'_>], query: &[(String, String)]) -> Scope {
    let mut filters: Vec<_> = query
        .iter()
        .filter(|(name, _)| {
            !matches!(name.as_str(), "select" | "order" | "limit" | "cursor" | "after")
        })
        .collect();
    filters.sort();
    let table = table.path();
    let order: Vec<_> = order.iter().map(Term::spelling).collect();
    let texts = [table.as_str(), "order"].into_iter();
    let order = order.iter().map(String::as_str);
    let filters = filters.into_iter().flat_map(|(name, text)| [name.as_str(), text.as_str()]);
    Scope::new(texts.chain(order).chain(["filters"]).chain(filters))
}

fn start(
    table: &Table,
    order: &[Term<'_>],
    scope: &Scope,
    cursor: &str,
) -> Result<Vec<Option<String>>, Problem> {
    let has_key = !table.primary_key.is_empty();
    let values = scope.values(cursor).filter(|values| has_key && values.len() == order.len());
    values.ok_or_else(|| {
        Problem::new(
            Kind::InvalidCursor,
            "A cursor is taken from the Link header of the page before, as it is, and used with the same filters and order. Begin again without it.",
        )
    })
}
