//! The query string of a look-up, parsed and checked against its table.
//!
//! Pure. Every query string becomes a [`QueryString`], or a problem that names the valid choices.

use aurora_sync_catalog::{Column, Table};
use uuid::Uuid;

use super::condition::Condition;
use super::cursor::Scope;
use super::group;
use super::order::{self, Term};
use super::readable_column;
use super::scanner::Scanner;
use crate::api::problem::{Kind, Problem};

/// The number of rows of a page if the request has no `limit`.
pub const LIMIT_DEFAULT: u32 = 100;

/// The most rows of a page.
pub const LIMIT_MAX: u32 = 1_000;

/// The most comparisons of a query. Their SQL stays far below the Data API's limit of 65,536
/// characters.
const CONDITIONS_MAX: usize = 100;

/// The most writes for which a look-up waits.
pub const AFTER_MAX: usize = 20;

/// The parameters that are not columns. A column of such a name must be in double quotes.
pub const RESERVED: [&str; 9] =
    ["select", "order", "limit", "cursor", "after", "and", "or", "not.and", "not.or"];

/// A parsed query string.
#[derive(Debug, Clone)]
pub struct QueryString<'t> {
    pub(super) conditions: Vec<Condition<'t>>,
    /// The columns of `select=`; `None` is all.
    pub(super) select: Option<Vec<&'t Column>>,
    /// The order. It ends with the key, if the table has one.
    pub(super) order: Vec<Term<'t>>,
    pub(super) scope: Scope,
    /// The values of the order's columns after which the page begins.
    pub(super) start: Option<Vec<Option<String>>>,
    pub limit: u32,
    /// The writes that must be settled before the rows are read.
    pub after: Vec<WriteRef>,
}

impl<'t> QueryString<'t> {
    /// Parses the query string of a list. Uses `default_order` if it has no `order`.
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
            return Err(invalid(format!("a query has at most {CONDITIONS_MAX} comparisons")));
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

    /// Parses the query string of one row, which may only have `select` and `after`.
    pub fn of_row(table: &'t Table, query: &[(String, String)]) -> Result<Self, Problem> {
        if let Some((name, _)) =
            query.iter().find(|(name, _)| !matches!(name.as_str(), "select" | "after"))
        {
            let detail = format!("{name}: the path of a row supports select and after only");
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

    /// Returns `true` if the table has pages. They need a key, because equal rows have no order.
    pub fn has_pages(&self, table: &Table) -> bool {
        !table.primary_key.is_empty()
    }

    /// Returns `true` if the request has no cursor.
    pub fn is_first_page(&self) -> bool {
        self.start.is_none()
    }

    /// Returns the cursor after a row with these values in the order's columns.
    pub fn cursor(&self, values: &[Option<String>]) -> String {
        self.scope.cursor(values)
    }
}

pub(super) fn invalid(detail: impl Into<String>) -> Problem {
    let detail = detail.into();
    let stop = if detail.ends_with('?') { "" } else { "." };
    Problem::new(Kind::InvalidQuery, format!("{detail}{stop}"))
}

/// Parses the condition of a parameter. Returns `None` for the reserved ones.
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
            "offset: pages begin after a cursor; see the Link header of a page".to_owned()
        } else if why.ends_with('?') {
            why
        } else {
            format!("{why}, or one of the parameters {}", RESERVED.join(", "))
        }
    })?;
    Condition::from_parameter(column, text).map(Some)
}

/// Returns the value of a parameter that may occur once.
fn single<'a>(query: &'a [(String, String)], name: &str) -> Result<Option<&'a str>, Problem> {
    let mut values = query.iter().filter(|(known, _)| known == name).map(|(_, text)| text.as_str());
    let value = values.next();
    if values.next().is_some() {
        return Err(invalid(format!("{name}: may occur only once")));
    }
    Ok(value)
}

fn read_limit(text: &str) -> Result<u32, Problem> {
    text.parse()
        .ok()
        .filter(|limit| (1..=LIMIT_MAX).contains(limit))
        .ok_or_else(|| invalid(format!("limit: expected a number from 1 to {LIMIT_MAX}")))
}

/// Parses `select=id,name`. An empty text or `*` means all columns.
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
        if name == "*" && table.column(&name).is_none() {
            return Err(invalid(
                "select: * stands alone, and other columns without it; columns cannot be renamed, cast or embedded",
            ));
        }
        let column = readable_column(table, &name).map_err(invalid)?;
        if columns.iter().any(|known| known.name == name) {
            return Err(invalid(format!("select: {name} occurs twice")));
        }
        columns.push(column);
        if scanner.is_at_end() {
            return Ok(Some(columns));
        }
        if !scanner.take(",") {
            return Err(invalid(format!(
                "select: after {name} expected a comma; columns cannot be renamed, cast or embedded"
            )));
        }
    }
}

/// Parses `after=<id>,<id>`, or `after=<id>&after=<id>`, as generated clients send lists.
fn after(query: &[(String, String)]) -> Result<Vec<WriteRef>, Problem> {
    let values = query.iter().filter(|(name, _)| name == "after").map(|(_, text)| text.as_str());
    let values: Vec<_> = values.collect();
    if values.is_empty() { Ok(Vec::new()) } else { writes(&values.join(",")) }
}

/// A write that must be settled before the rows are read.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct WriteRef {
    pub id: Uuid,
    /// The fingerprint of its payload, if the id comes from an Idempotency-Key and other payloads
    /// may have been sent under it. Without one, the payload that was settled first counts.
    pub fingerprint: Option<String>,
    /// Under row security, the caller who must have sent it.
    pub caller: Option<String>,
}

/// Parses writes, separated by commas: `<id>`, or `<id>.<fingerprint>`.
pub fn writes(text: &str) -> Result<Vec<WriteRef>, Problem> {
    let mut writes =
        text.split(',').map(|text| write(text.trim())).collect::<Option<Vec<_>>>().ok_or_else(
            || invalid("after: expected ids of writes, or <id>.<fingerprint>, separated by commas"),
        )?;
    writes.sort_unstable();
    writes.dedup();
    if writes.len() > AFTER_MAX {
        return Err(invalid(format!("after: expected at most {AFTER_MAX} ids")));
    }
    Ok(writes)
}

fn write(text: &str) -> Option<WriteRef> {
    let (id, fingerprint) = match text.split_once('.') {
        Some((id, fingerprint)) => (id, Some(fingerprint)),
        None => (text, None),
    };
    let is_fingerprint =
        |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_hexdigit());
    let fingerprint = match fingerprint {
        Some(text) if !is_fingerprint(text) => return None,
        other => other.map(str::to_owned),
    };
    Some(WriteRef { id: Uuid::parse_str(id).ok()?, fingerprint, caller: None })
}

/// Returns the scope of a query's cursors: everything that determines the rows and their order.
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
            "Use the cursor of the Link header of the page before, unchanged, with the same filters and order. Begin again without it.",
        )
    })
}
