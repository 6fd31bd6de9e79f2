//! Look-ups compared with plain SQL, for random tables, filters and orders.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed, TestCaseError, TestRunner};
use serde_json::Value;

use crate::support::World;
use crate::support::lookups::next_page;

/// The columns of the tables: name, type, and values.
const COLUMNS: [(&str, &str, &[&str]); 9] = [
    ("n", "integer", &["-1", "0", "7", "2147483647"]),
    ("t", "text", &["", "a", "B", "a,b", "say \"hi\"", "(x)", "eq.a", "é\\"]),
    ("c", "char(3)", &["", "a", "abc"]),
    ("d", "numeric(8,2)", &["0", "1.50", "-99.99"]),
    ("f", "double precision", &["0", "1e300", "-2.5", "NaN", "Infinity"]),
    ("b", "boolean", &["true", "false"]),
    ("at", "timestamptz", &["2026-11-23T09:30:00Z", "2026-11-23T09:30:00.000001Z", "infinity"]),
    ("limit", "date", &["2026-11-23", "1999-01-01"]),
    (
        "a b",
        "uuid",
        &["6f9619ff-8b86-d011-b42d-00c04fc964ff", "00000000-0000-0000-0000-000000000000"],
    ),
];

/// A condition.
#[derive(Debug, Clone)]
enum Filter {
    /// The indexes of the column, the operator and the value.
    Compare(usize, usize, usize),
    In(usize, Vec<usize>),
    IsNull(usize),
    Not(Box<Filter>),
    Group(bool, Vec<Filter>),
}

const COMPARISONS: [(&str, &str); 6] =
    [("eq", "="), ("neq", "<>"), ("gt", ">"), ("gte", ">="), ("lt", "<"), ("lte", "<=")];

fn filter() -> impl Strategy<Value = Filter> {
    let column = 0..COLUMNS.len();
    let leaf = prop_oneof![
        4 => (column.clone(), 0..COMPARISONS.len(), 0..8_usize).prop_map(|(c, o, v)| Filter::Compare(c, o, v)),
        1 => (column.clone(), prop::collection::vec(0..8_usize, 0..4)).prop_map(|(c, v)| Filter::In(c, v)),
        1 => column.prop_map(Filter::IsNull),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            inner.clone().prop_map(|filter| Filter::Not(Box::new(filter))),
            (any::<bool>(), prop::collection::vec(inner, 1..4))
                .prop_map(|(any, members)| Filter::Group(any, members)),
        ]
    })
}

fn value(column: usize, value: usize) -> &'static str {
    let (_, _, values) = COLUMNS[column];
    values[value % values.len()]
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

impl Filter {
    /// Returns the condition as a member of a group.
    fn query(&self) -> String {
        let name = |column: &usize| quoted(COLUMNS[*column].0);
        match self {
            Self::Compare(column, operator, index) => format!(
                "{}.{}.{}",
                name(column),
                COMPARISONS[*operator].0,
                quoted(value(*column, *index))
            ),
            Self::In(column, indexes) => {
                let values: Vec<_> =
                    indexes.iter().map(|index| quoted(value(*column, *index))).collect();
                format!("{}.in.({})", name(column), values.join(","))
            }
            Self::IsNull(column) => format!("{}.is.null", name(column)),
            Self::Not(inner) => match inner.as_ref() {
                Self::Group(..) => format!("not.{}", inner.query()),
                // Two negations are none.
                Self::Not(inner) => inner.query(),
                other => {
                    let text = other.query();
                    let (name, rest) = text.split_at(text.find("\".").unwrap() + 2);
                    format!("{name}not.{rest}")
                }
            },
            Self::Group(any, members) => {
                let members: Vec<_> = members.iter().map(Self::query).collect();
                format!("{}({})", if *any { "or" } else { "and" }, members.join(","))
            }
        }
    }

    fn sql(&self) -> String {
        let name = |column: &usize| format!("\"{}\"", COLUMNS[*column].0);
        match self {
            Self::Compare(column, operator, index) => format!(
                "{} {} {}",
                name(column),
                COMPARISONS[*operator].1,
                literal(value(*column, *index))
            ),
            Self::In(_, indexes) if indexes.is_empty() => "false".to_owned(),
            Self::In(column, indexes) => {
                let values: Vec<_> =
                    indexes.iter().map(|index| literal(value(*column, *index))).collect();
                format!("{} IN ({})", name(column), values.join(","))
            }
            Self::IsNull(column) => format!("{} IS NULL", name(column)),
            Self::Not(inner) => format!("NOT ({})", inner.sql()),
            Self::Group(any, members) => {
                let members: Vec<_> =
                    members.iter().map(|member| format!("({})", member.sql())).collect();
                members.join(if *any { " OR " } else { " AND " })
            }
        }
    }
}

/// Columns with their directions and the positions of their nulls.
type Order = Vec<(usize, bool, Option<bool>)>;

fn order() -> impl Strategy<Value = Order> {
    prop::collection::vec((0..COLUMNS.len(), any::<bool>(), any::<Option<bool>>()), 0..4).prop_map(
        |mut order| {
            let mut seen = BTreeSet::new();
            order.retain(|(column, ..)| seen.insert(*column));
            order
        },
    )
}

fn order_query(order: &Order) -> String {
    let terms = order.iter().map(|(column, is_descending, nulls_first)| {
        let direction = if *is_descending { ".desc" } else { "" };
        let nulls =
            nulls_first.map_or("", |first| if first { ".nullsfirst" } else { ".nullslast" });
        format!("{}{direction}{nulls}", quoted(COLUMNS[*column].0))
    });
    terms.collect::<Vec<_>>().join(",")
}

fn order_sql(order: &Order) -> String {
    let terms = order.iter().map(|(column, is_descending, nulls_first)| {
        let direction = if *is_descending { " DESC" } else { "" };
        let nulls =
            nulls_first.map_or("", |first| if first { " NULLS FIRST" } else { " NULLS LAST" });
        format!("\"{}\"{direction}{nulls}, ", COLUMNS[*column].0)
    });
    terms.collect()
}

/// Returns a strategy of rows, given by the indexes of their values. An index beyond the values is
/// NULL.
fn rows() -> impl Strategy<Value = Vec<Vec<usize>>> {
    let row = COLUMNS.iter().map(|(_, _, values)| 0..=values.len()).collect::<Vec<_>>();
    prop::collection::vec(row, 0..40)
}

fn insert(first_id: usize, rows: &[Vec<usize>]) -> String {
    let rows = rows.iter().enumerate().map(|(n, row)| {
        let cells = row.iter().enumerate().map(|(column, index)| {
            COLUMNS[column].2.get(*index).map_or_else(|| "NULL".to_owned(), |text| literal(text))
        });
        // A key of two columns with different orders.
        let id = first_id + n;
        format!("({}, 'k{}', {})", id % 3, id, cells.collect::<Vec<_>>().join(", "))
    });
    format!("INSERT INTO t VALUES {}", rows.collect::<Vec<_>>().join(", "))
}

fn create(not_null: &[bool]) -> String {
    let columns = COLUMNS.iter().zip(not_null).map(|((name, sql, _), not_null)| {
        format!("\"{name}\" {sql}{}", if *not_null { " NOT NULL" } else { "" })
    });
    format!(
        "CREATE TABLE t (k1 integer, k2 text, {}, PRIMARY KEY (k1, k2))",
        columns.collect::<Vec<_>>().join(", ")
    )
}

fn encode(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}

fn address(filter: Option<&Filter>, order: &Order, limit: usize) -> String {
    let mut address = format!("/t?limit={limit}&select=k2");
    if let Some(filter) = filter {
        address.push_str(&format!("&and={}", encode(&format!("({})", filter.query()))));
    }
    if !order.is_empty() {
        address.push_str(&format!("&order={}", encode(&order_query(order))));
    }
    address
}

fn keys(rows: &[Value]) -> Vec<String> {
    rows.iter().map(|row| row["k2"].as_str().unwrap().to_owned()).collect()
}

/// Runs cases on one of three tables, which differ in their NOT NULL columns: these decide the
/// conditions between pages.
fn check<S: Strategy>(
    cases: u32,
    strategy: S,
    case: &impl AsyncFn(
        &World,
        S::Value,
        &dyn Fn(Vec<Vec<usize>>) -> Vec<Vec<usize>>,
    ) -> Result<(), TestCaseError>,
) {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    for not_null in [
        [false; COLUMNS.len()],
        [true; COLUMNS.len()],
        [true, false, true, false, true, false, true, false, true],
    ] {
        let world = runtime.block_on(World::with(&create(&not_null)));
        // In a NOT NULL column, the first value replaces NULL.
        let fit = |mut rows: Vec<Vec<usize>>| {
            for row in &mut rows {
                for (column, index) in row.iter_mut().enumerate() {
                    if not_null[column] && *index == COLUMNS[column].2.len() {
                        *index = 0;
                    }
                }
            }
            rows
        };
        let config = Config {
            cases,
            failure_persistence: None,
            rng_seed: RngSeed::Random,
            ..Config::default()
        };
        TestRunner::new(config)
            .run(&strategy, |value| runtime.block_on(case(&world, value, &fit)))
            .unwrap();
    }
}

#[test]
fn a_look_up_returns_the_rows_of_plain_sql_in_its_order() {
    let strategy = (rows(), prop::collection::vec((filter(), order(), 1..50_usize), 8));
    check(8, strategy, &async |world, (rows, queries), fit| {
        world.rows("TRUNCATE t").await;
        let rows = fit(rows);
        if !rows.is_empty() {
            world.rows(&insert(0, &rows)).await;
        }
        for (filter, order, limit) in queries {
            let last_is_descending =
                order.last().is_some_and(|(_, is_descending, _)| *is_descending);
            let direction = if last_is_descending { " DESC" } else { "" };
            let expected = world
                .rows(&format!(
                    "SELECT k2 FROM t WHERE {} ORDER BY {}k1{direction}, k2{direction}",
                    filter.sql(),
                    order_sql(&order)
                ))
                .await;
            let (found, sizes) = world.walk(&address(Some(&filter), &order, limit)).await;
            prop_assert_eq!(keys(&found), expected, "{:?} {:?}", filter, order);
            prop_assert!(sizes.iter().rev().skip(1).all(|size| *size == limit));
        }
        Ok(())
    });
}

/// A change of the table between two pages.
#[derive(Debug, Clone)]
struct Beside {
    inserted: Vec<Vec<usize>>,
    /// The indexes of the keys to delete, among all keys so far.
    deleted: Vec<prop::sample::Index>,
}

#[test]
fn a_row_that_stays_is_listed_once_while_others_come_and_go() {
    let beside = (rows(), prop::collection::vec(any::<prop::sample::Index>(), 0..4)).prop_map(
        |(inserted, deleted)| Beside { inserted: inserted.into_iter().take(4).collect(), deleted },
    );
    let strategy = (rows(), order(), 1..7_usize, prop::collection::vec(beside, 12));
    check(12, strategy, &async |world, (rows, order, limit, besides), fit| {
        world.rows("TRUNCATE t").await;
        let rows = fit(rows);
        let mut next_id = rows.len();
        if !rows.is_empty() {
            world.rows(&insert(0, &rows)).await;
        }
        let mut throughout: BTreeSet<String> = (0..rows.len()).map(|id| format!("k{id}")).collect();
        let mut met: BTreeMap<String, usize> = BTreeMap::new();
        let mut besides = besides.into_iter();
        let mut next = Some(address(None, &order, limit));
        while let Some(address) = next {
            let response = world.read(&address, &[]).await;
            prop_assert_eq!(response.status, 200, "{}", &response.body);
            for key in keys(response.json().as_array().unwrap()) {
                *met.entry(key).or_default() += 1;
            }
            next = next_page("/t", &response);
            let Some(Beside { inserted, deleted }) = besides.next() else { continue };
            if !inserted.is_empty() {
                world.rows(&insert(next_id, &fit(inserted.clone()))).await;
                next_id += inserted.len();
            }
            for index in deleted {
                let key = format!("k{}", index.index(next_id.max(1)));
                world.rows(&format!("DELETE FROM t WHERE k2 = '{key}'")).await;
                throughout.remove(&key);
            }
        }
        prop_assert!(met.values().all(|times| *times == 1), "{:?}", met);
        for key in &throughout {
            prop_assert!(met.contains_key(key), "{} is missing", key);
        }
        Ok(())
    });
}
