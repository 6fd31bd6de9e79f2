//! The filters and the order of a page of rows, as its own address and the API's query have them.
//!
//! Pure.

use crate::api::encoded;

/// The operators, with their words and how a value becomes a condition.
pub(super) const OPERATORS: [(&str, &str); 11] = [
    ("eq", "is"),
    ("neq", "is not"),
    ("gt", "is greater than"),
    ("gte", "is at least"),
    ("lt", "is less than"),
    ("lte", "is at most"),
    ("has", "contains"),
    ("starts", "begins with"),
    ("in", "is one of"),
    ("null", "is null"),
    ("some", "is not null"),
];

/// Parameters of the API that are no columns (docs/reference/queries.md).
const RESERVED: [&str; 10] =
    ["select", "order", "limit", "cursor", "after", "and", "or", "not.and", "not.or", "columns"];

/// A condition on a column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Condition {
    pub(super) column: String,
    /// One of [`OPERATORS`].
    pub(super) operator: String,
    pub(super) value: String,
}

/// The view of a table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct View {
    pub(super) conditions: Vec<Condition>,
    /// The column of the order, and whether it descends.
    pub(super) order: Option<(String, bool)>,
    pub(super) cursor: Option<String>,
}

impl View {
    /// Reads a view from the query of a page: `c`, `o` and `v` come together, once for each
    /// condition.
    pub(super) fn read(query: &[(String, String)]) -> Self {
        let all = |name: &'static str| {
            query.iter().filter(move |(found, _)| found == name).map(|(_, value)| value.clone())
        };
        let conditions = all("c").zip(all("o")).zip(all("v"));
        let conditions = conditions
            .map(|((column, operator), value)| Condition { column, operator, value })
            .filter(|condition| !condition.column.is_empty())
            .filter(|condition| OPERATORS.iter().any(|(word, _)| *word == condition.operator))
            .collect();
        let order = all("order").next().filter(|order| !order.is_empty()).map(|order| match order
            .strip_suffix(".desc")
        {
            Some(column) => (column.to_owned(), true),
            None => (order.strip_suffix(".asc").unwrap_or(&order).to_owned(), false),
        });
        Self { conditions, order, cursor: all("cursor").next() }
    }

    /// Returns the query of the page that shows this view.
    pub(super) fn to_page(&self) -> String {
        let mut pairs = Vec::new();
        for Condition { column, operator, value } in &self.conditions {
            pairs.push(format!("c={}&o={operator}&v={}", encoded(column), encoded(value)));
        }
        if let Some((column, descends)) = &self.order {
            let direction = if *descends { "desc" } else { "asc" };
            pairs.push(format!("order={}.{direction}", encoded(column)));
        }
        pairs.extend(self.cursor.as_ref().map(|cursor| format!("cursor={}", encoded(cursor))));
        if pairs.is_empty() { String::new() } else { format!("?{}", pairs.join("&")) }
    }

    /// Returns the query of the API.
    pub(super) fn to_api(&self, limit: usize) -> String {
        let mut pairs = vec![format!("limit={limit}")];
        for condition in &self.conditions {
            let name = parameter(&condition.column);
            pairs.push(format!("{}={}", encoded(&name), encoded(&condition.to_api())));
        }
        if let Some((column, descends)) = &self.order {
            let direction = if *descends { "desc" } else { "asc" };
            pairs.push(format!("order={}", encoded(&format!("{}.{direction}", quoted(column)))));
        }
        pairs.extend(self.cursor.as_ref().map(|cursor| format!("cursor={}", encoded(cursor))));
        pairs.join("&")
    }

    /// Returns the view without one condition, from its first page.
    pub(super) fn without(&self, index: usize) -> Self {
        let mut view = Self { cursor: None, ..self.clone() };
        view.conditions.remove(index);
        view
    }

    /// Returns the view in the order of a column; in the other direction if it is that already.
    pub(super) fn ordered_by(&self, column: &str) -> Self {
        let descends = self.order.as_ref().is_some_and(|(by, descends)| by == column && !descends);
        Self { order: Some((column.to_owned(), descends)), cursor: None, ..self.clone() }
    }

    /// Returns the view from this cursor on.
    pub(super) fn from(&self, cursor: String) -> Self {
        Self { cursor: Some(cursor), ..self.clone() }
    }
}

impl Condition {
    fn to_api(&self) -> String {
        let Self { operator, value, .. } = self;
        match operator.as_str() {
            "null" => "is.null".to_owned(),
            "some" => "is.not_null".to_owned(),
            "has" => format!("ilike.*{value}*"),
            "starts" => format!("like.{value}*"),
            "in" => {
                let items = value.split(',').map(|item| listed(item.trim()));
                format!("in.({})", items.collect::<Vec<_>>().join(","))
            }
            operator => format!("{operator}.{value}"),
        }
    }

    /// Describes the condition.
    pub(super) fn words(&self) -> String {
        let Self { column, operator, value } = self;
        let words = OPERATORS.iter().find(|(word, _)| word == operator);
        let words = words.map_or("", |(_, words)| *words);
        match operator.as_str() {
            "null" | "some" => format!("{column} {words}"),
            _ => format!("{column} {words} {value}"),
        }
    }
}

/// Returns a column as the name of a parameter.
fn parameter(column: &str) -> String {
    if RESERVED.contains(&column) { format!("\"{column}\"") } else { column.to_owned() }
}

/// Returns a column as an element of a list.
fn quoted(column: &str) -> String {
    let is_plain = column.chars().all(|c| c.is_alphanumeric() || c == '_');
    if is_plain { column.to_owned() } else { format!("\"{column}\"") }
}

fn listed(item: &str) -> String {
    if item.contains(['"', '\\', ')', '(']) {
        format!("\"{}\"", item.replace('\\', "\\\\").replace('"', "\\\""))
    } else {
        item.to_owned()
    }
}

/// Returns the cursor in the `Link` of a page.
pub(super) fn cursor(next: &str) -> Option<String> {
    let (_, query) = next.split_once('?')?;
    let value = query.split('&').find_map(|pair| pair.strip_prefix("cursor="))?;
    Some(percent_encoding::percent_decode_str(value).decode_utf8_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(query: &[(&str, &str)]) -> View {
        let query: Vec<_> =
            query.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        View::read(&query)
    }

    #[test]
    fn a_view_becomes_the_query_of_the_api() {
        let view = view(&[
            ("c", "age"),
            ("o", "gte"),
            ("v", "30"),
            ("c", "limit"),
            ("o", "has"),
            ("v", "a&b"),
            ("order", "a b.desc"),
            ("cursor", "x="),
        ]);
        assert_eq!(
            view.to_api(50),
            "limit=50&age=gte.30&%22limit%22=ilike.%2Aa%26b%2A&order=%22a%20b%22.desc&cursor=x%3D"
        );
        assert_eq!(
            view.to_page(),
            "?c=age&o=gte&v=30&c=limit&o=has&v=a%26b&order=a%20b.desc&cursor=x%3D"
        );
        assert_eq!(view.conditions[0].words(), "age is at least 30");
    }

    #[test]
    fn operators_that_are_unknown_and_columns_without_a_name_are_left_out() {
        assert_eq!(view(&[("c", "a"), ("o", "or"), ("v", "1")]), View::default());
        assert_eq!(view(&[("c", ""), ("o", "eq"), ("v", "1")]), View::default());
        assert_eq!(View::default().to_page(), "");
    }

    #[test]
    fn a_list_keeps_its_items_apart() {
        let condition =
            Condition { column: "a".into(), operator: "in".into(), value: "x, y(z),\"q\"".into() };
        assert_eq!(condition.to_api(), "in.(x,\"y(z)\",\"\\\"q\\\"\")");
    }

    #[test]
    fn the_order_of_a_column_turns_around_the_second_time() {
        let first = View::default().ordered_by("age");
        assert_eq!(first.order, Some(("age".into(), false)));
        assert_eq!(first.ordered_by("age").order, Some(("age".into(), true)));
        assert_eq!(first.ordered_by("age").ordered_by("age").order, Some(("age".into(), false)));
    }

    #[test]
    fn the_cursor_of_a_link_is_decoded() {
        assert_eq!(cursor("/staff?limit=2&cursor=a%3D").as_deref(), Some("a="));
        assert_eq!(cursor("/staff?limit=2"), None);
    }
}
