use std::cell::Cell;

use aurora_sync_catalog::notation::table;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::*;
use crate::domain::field::Field;
use crate::domain::key::Key;

fn tables() -> (Table, Table) {
    let columns = r#"kind text key, id char(4) key, age integer, amount numeric(6,2) not-null,
        is_valid boolean, tags text[], extra json, feeling enum(sad|happy), secret text unread,
        "limit" integer, "a.b,c" text"#;
    (table("thing", columns), table("log", "line text"))
}

fn pairs(query: &[(&str, &str)]) -> Vec<(String, String)> {
    query.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
}

fn sql_of(table: &Table, query: &[(&str, &str)]) -> Result<(String, Vec<String>), String> {
    let query_string = QueryString::of_list(table, &pairs(query), "")
        .map_err(|problem| problem.detail.to_string())?;
    let relation = Relation { table, from: &table.sql_name(), parameters: &[] };
    let (query, _) =
        list(relation, &query_string, Form::Records, &Head::default(), query_string.limit);
    let values = query.parameters.into_iter().map(|parameter| parameter.value.unwrap());
    Ok((query.sql, values.collect()))
}

/// Compares the condition of a query string and its values.
#[track_caller]
fn check(query: &[(&str, &str)], condition: &str, values: &[&str]) {
    let (sql, mut found) = sql_of(&tables().0, query).unwrap();
    let sql = sql.split_once(" WHERE ").unwrap().1;
    assert_eq!(sql.split_once(" ORDER BY").unwrap().0, condition);
    assert_eq!(found.pop().as_deref(), Some("100"), "the limit comes last");
    assert_eq!(found, values);
}

#[track_caller]
fn check_refused(query: &[(&str, &str)], expected: &str) {
    let detail = sql_of(&tables().0, query).unwrap_err();
    assert!(detail.contains(expected), "{detail}");
}

#[test]
fn operators_become_conditions() {
    check(&[("age", "12")], r#"(t."age" = :p1::integer)"#, &["12"]);
    check(&[("id", "0001")], r#"(t."id" = :p1::bpchar)"#, &["0001"]);
    check(&[("age", "not.eq.12")], r#"(NOT (t."age" = :p1::integer))"#, &["12"]);
    check(
        &[("age", "gte.3"), ("age", "lt.9")],
        r#"(t."age" >= :p1::integer) AND (t."age" < :p2::integer)"#,
        &["3", "9"],
    );
    check(&[("id", r#"in.(a,"b,c")"#)], r#"(t."id" = ANY (:p1::bpchar[]))"#, &[r#"{a,"b,c"}"#]);
    check(&[("age", "is.null")], r#"(t."age" IS NULL)"#, &[]);
    check(&[("is_valid", "not.is.true")], r#"(NOT (t."is_valid" IS TRUE))"#, &[]);
    check(&[("extra", "is.not_null")], r#"(t."extra" IS NOT NULL)"#, &[]);
    check(&[("kind", "like.*a%")], r#"(t."kind"::text LIKE :p1::text)"#, &["%a%"]);
    check(&[("id", "ilike.A*")], r#"(t."id"::text ILIKE :p1::text)"#, &["A%"]);
    check(&[("tags", r#"eq.{a,"b,c"}"#)], r#"(t."tags" = :p1::text[])"#, &[r#"{a,"b,c"}"#]);
    check(&[("feeling", "gt.sad")], r#"(t."feeling" > :p1::"public"."mood")"#, &["sad"]);
    // A bound may have more digits than the column holds, since it may lie between two values.
    check(&[("amount", "lt.1.2345")], r#"(t."amount" < :p1::numeric)"#, &["1.2345"]);
}

#[test]
fn groups_contain_groups() {
    check(
        &[(
            "or",
            r#"(age.gte.30,and(kind.eq."a,b",not.or(id.in.(x,y),tags.eq.{1,2})),age.not.is.null)"#,
        )],
        r#"((t."age" >= :p1::integer) OR ((t."kind" = :p2::text) AND (NOT ((t."id" = ANY (:p3::bpchar[])) OR (t."tags" = :p4::text[])))) OR (NOT (t."age" IS NULL)))"#,
        &["30", "a,b", "{x,y}", "{1,2}"],
    );
    check(&[("not.and", "(age.eq.1)")], r#"(NOT ((t."age" = :p1::integer)))"#, &["1"]);
}

#[test]
fn columns_named_like_parameters_are_quoted() {
    check(&[("\"limit\"", "eq.5")], r#"(t."limit" = :p1::integer)"#, &["5"]);
    check(&[("a.b,c", "eq.5")], r#"(t."a.b,c" = :p1::text)"#, &["5"]);
    check(
        &[("or", r#"("a.b,c".eq.x,limit.eq.1)"#)],
        r#"((t."a.b,c" = :p1::text) OR (t."limit" = :p2::integer))"#,
        &["x", "1"],
    );
    let (sql, _) =
        sql_of(&tables().0, &[("select", r#"limit,"a.b,c""#), ("order", "limit")]).unwrap();
    assert!(sql.starts_with(r#"SELECT t."limit", t."a.b,c", t."limit"::text,"#), "{sql}");
}

#[test]
fn a_refused_query_names_the_valid_choices() {
    for (query, expected) in [
        (("knid", "x"), "there is no column knid; did you mean kind?"),
        (("nothing", "x"), "expected one of kind, id, age,"),
        (("secret", "x"), "there is no column secret; expected one of"),
        (("select", "secret"), "there is no column secret"),
        (("order", "secret"), "there is no column secret"),
        (("or", "(secret.eq.x)"), "there is no column secret"),
        (("age", "old"), "age: expected an integer"),
        (("age", "eq.old"), "age: expected an integer"),
        (("age", "in.(1,old)"), "age: expected an integer"),
        (("age", "in.1"), "age: expected a list in parentheses"),
        (
            ("age", "foo.3"),
            "age: expected one of the operators eq, neq, gt, gte, lt, lte, in, is, not and",
        ),
        (("kind", "john.doe"), "needs the prefix eq."),
        (("age", "like.3"), "age: its type has the operators eq,"),
        (("extra", "eq.{}"), "extra: its type has the operators is, not"),
        (("extra", "{}"), "extra: its type has the operators is, not"),
        (("tags", "in.({a})"), "tags: its type has the operators eq,"),
        (("age", "is.true"), "age: expected null or not_null"),
        (("id", "00001"), "id: expected at most 4 characters"),
        (("kind", "like.a\\"), "kind: expected a pattern that does not end"),
        (("or", "age.eq.1"), "or: a group is a list in parentheses"),
        (("or", "(age.eq.1"), "or: in a group, a comma or a closing parenthesis"),
        (("or", "(age.eq.1))"), "or: a group must end with its closing parenthesis"),
        (("or", "()"), "or: in a group, a condition is a column"),
        (("or", "(kind.eq.\"a)"), "kind: a quote or a brace is not closed"),
        (("order", "age.up"), "order: after age expected"),
        (("order", "age,age"), "order: age occurs twice"),
        (("order", "extra"), "order: extra has a type without an order"),
        (("select", "id,id"), "select: id occurs twice"),
        (("select", "x:id"), "there is no column x"),
        (("select", "id::text"), "select: after id expected a comma"),
        (("limit", "0"), "from 1 to 1000"),
        (("limit", "1001"), "from 1 to 1000"),
        (("select", "*,other(*)"), "select: * stands alone"),
        (("after", "x"), "after: expected ids of writes"),
        (("offset", "10"), "pages begin after a cursor"),
        (("selct", "id"), "or one of the parameters select, order,"),
    ] {
        check_refused(&[query], expected);
    }
    check_refused(&[("limit", "1"), ("limit", "2")], "limit: may occur only once");
}

#[test]
fn the_depth_of_groups_is_limited() {
    let deep =
        |depth: usize| format!("{}(age.eq.1){}", "(or".repeat(depth - 1), ")".repeat(depth - 1));
    sql_of(&tables().0, &[("or", &deep(8))]).unwrap();
    check_refused(&[("or", &deep(9))], "at most 8 levels");
    check_refused(&[("or", &"(or".repeat(100_000))], "at most 8 levels");
    let many = format!("({})", vec!["age.eq.1"; 101].join(","));
    check_refused(&[("or", &many)], "at most 100 comparisons");
}

#[test]
fn an_order_ends_with_the_key() {
    let (table, log) = tables();
    let check = |table: &Table, order: &[(&str, &str)], expected: &str| {
        let (sql, _) = sql_of(table, order).unwrap();
        let (_, order) = sql.split_once(" AS t").unwrap();
        assert_eq!(order.split_once(" LIMIT").unwrap().0, expected);
    };
    check(&table, &[], r#" ORDER BY t."kind", t."id""#);
    check(&table, &[("order", "age")], r#" ORDER BY t."age", t."kind", t."id""#);
    check(
        &table,
        &[("order", "age.desc")],
        r#" ORDER BY t."age" DESC, t."kind" DESC, t."id" DESC"#,
    );
    check(
        &table,
        &[("order", "age.desc.nullslast,amount.asc.nullsfirst,id")],
        r#" ORDER BY t."age" DESC NULLS LAST, t."amount", t."id", t."kind""#,
    );
    check(
        &table,
        &[("order", "age.nullsfirst")],
        r#" ORDER BY t."age" NULLS FIRST, t."kind", t."id""#,
    );
    check(&log, &[], "");
}

/// Compares the conditions of the page after a row with these values, in the order of their rows.
#[track_caller]
fn check_next(order: &str, values: &[Option<&str>], conditions: &[&str]) {
    let (table, _) = tables();
    let query_string = QueryString::of_list(&table, &pairs(&[("order", order)]), "").unwrap();
    let values: Vec<_> = values.iter().map(|value| value.map(ToOwned::to_owned)).collect();
    let cursor = query_string.cursor(&values);
    let (sql, _) = sql_of(&table, &[("order", order), ("cursor", &cursor)]).unwrap();
    let parts = sql.split(" WHERE ").skip(1);
    let found: Vec<_> = parts.map(|part| part.split_once(" ORDER BY").unwrap().0).collect();
    assert_eq!(found, conditions);
}

#[test]
fn the_next_page_begins_after_the_last_row() {
    check_next(
        "kind",
        &[Some("a"), Some("1")],
        &[r#"(t."kind", t."id") > (:p1::text, :p2::bpchar)"#],
    );
    check_next(
        "amount.desc",
        &[Some("1"), Some("a"), Some("1")],
        &[r#"(t."amount", t."kind", t."id") < (:p1::numeric, :p2::text, :p3::bpchar)"#],
    );
    check_next(
        "kind.desc,id",
        &[Some("a"), Some("1")],
        &[r#"t."kind" = :p2::text AND t."id" > :p3::bpchar"#, r#"t."kind" < :p1::text"#],
    );
    check_next(
        "age",
        &[Some("7"), Some("a"), Some("1")],
        &[
            r#"t."age" = :p2::integer AND (t."kind", t."id") > (:p3::text, :p4::bpchar)"#,
            r#"t."age" > :p1::integer"#,
            r#"t."age" IS NULL"#,
        ],
    );
    check_next(
        "age",
        &[None, Some("a"), Some("1")],
        &[r#"t."age" IS NULL AND (t."kind", t."id") > (:p1::text, :p2::bpchar)"#],
    );
    check_next(
        "age.desc",
        &[None, Some("a"), Some("1")],
        &[
            r#"t."age" IS NULL AND (t."kind", t."id") < (:p1::text, :p2::bpchar)"#,
            r#"t."age" IS NOT NULL"#,
        ],
    );
}

#[test]
fn a_cursor_is_valid_for_its_own_query_only() {
    let (table, log) = tables();
    let query = [("age", "gte.3"), ("order", "age")];
    let query_string = QueryString::of_list(&table, &pairs(&query), "").unwrap();
    let cursor = query_string.cursor(&[Some("3".into()), Some("a".into()), Some("1".into())]);
    let kind = |table: &Table, query: &[(&str, &str)]| {
        QueryString::of_list(table, &pairs(query), "").map(|_| ()).map_err(|problem| problem.title)
    };
    let cursor = ("cursor", cursor.as_str());
    assert_eq!(kind(&table, &[query[0], query[1], cursor]), Ok(()));
    // Parameters that do not change the set of rows may change between pages.
    assert_eq!(
        kind(&table, &[("limit", "3"), ("select", "id"), query[0], query[1], cursor]),
        Ok(())
    );
    let refused = Err("The cursor does not match the query");
    assert_eq!(kind(&table, &[query[1], cursor]), refused);
    assert_eq!(kind(&table, &[query[0], cursor]), refused);
    assert_eq!(kind(&table, &[query[0], ("order", "age.desc"), cursor]), refused);
    assert_eq!(kind(&log, &[cursor]), refused);
    assert_eq!(kind(&table, &[("cursor", "x")]), refused);
}

#[test]
fn a_statement_returns_its_head_even_without_rows() {
    let (table, _) = tables();
    let query_string =
        QueryString::of_list(&table, &pairs(&[("age", "3"), ("select", "age")]), "").unwrap();
    let relation = Relation { table: &table, from: &table.sql_name(), parameters: &[] };
    let head = Head {
        counts: true,
        after: vec![WriteRef { id: uuid::Uuid::nil(), fingerprint: None, caller: None }],
    };
    let (query, shape) = list(relation, &query_string, Form::Json, &head, 2);
    assert_eq!(
        query.sql,
        r#"SELECT page.f1, page.f2, page.f3, head.total, head.settled, page.f4
FROM (SELECT (SELECT count(*) FROM "public"."thing" AS t WHERE (t."age" = :p1::integer)) AS total, (SELECT json_agg(json_build_object('number', asked.number, 'outcome', write.outcome))::text
FROM unnest(:p2::uuid[], :p3::text[]) WITH ORDINALITY AS asked (id, fingerprint, number)
JOIN sync.write AS write ON write.id IN (asked.id, sync.reused_id(asked.id, asked.fingerprint))
  AND (asked.fingerprint IS NULL OR write.fingerprint = asked.fingerprint)) AS settled) AS head
LEFT JOIN (SELECT (SELECT row_to_json(shown.*)::text FROM (SELECT t."age") AS shown) AS f1, t."kind"::text AS f2, t."id"::text AS f3, true AS f4, t."kind" AS o1, t."id" AS o2 FROM "public"."thing" AS t WHERE (t."age" = :p4::integer) ORDER BY t."kind", t."id" LIMIT :p5::bigint) AS page ON true ORDER BY page.o1, page.o2"#
    );
    let empty =
        vec![Field::Null, Field::Null, Field::Null, Field::Long(0), Field::Null, Field::Null];
    let page = shape.page(vec![empty], 1);
    assert_eq!((page.rows.len(), page.total, page.settled), (0, Some(0), None));
}

#[test]
fn csv_can_be_imported_again() {
    let table = &table("t", "id int key, n int generated, at timestamp");
    let names = |query: &[(&str, &str)]| {
        let query_string = QueryString::of_list(table, &pairs(query), "").unwrap();
        let columns = columns(table, &query_string, Form::Csv);
        columns.iter().map(|column| column.name.clone()).collect::<Vec<_>>()
    };
    assert_eq!(names(&[]), ["id", "at"]);
    assert_eq!(names(&[("select", "n,id")]), ["n", "id"]);
}

#[test]
fn a_row_is_read_by_its_key() {
    let (table, _) = tables();
    let key = Key::from_path(&table, "a,0001").unwrap();
    let query_string = QueryString::of_row(&table, &pairs(&[("select", "age")])).unwrap();
    let relation = Relation { table: &table, from: &table.sql_name(), parameters: &[] };
    let (query, _) = by_key(relation, &key, &query_string, Form::Records, &Head::default());
    assert_eq!(
        query.sql,
        r#"SELECT t."age", (SELECT sync.row_tag(image) FROM (SELECT t."kind", t."id", t."age", t."amount", t."is_valid", t."tags", t."extra", t."feeling", t."limit", t."a.b,c") AS image) FROM "public"."thing" AS t WHERE (t."kind" = :p1::text) AND (t."id" = :p2::bpchar) LIMIT :p3::bigint"#
    );
    assert!(QueryString::of_row(&table, &pairs(&[("age", "3")])).is_err());
}

/// Generates texts that are similar to the language of queries.
fn text() -> impl Strategy<Value = String> {
    let pieces = vec![
        "age",
        "kind",
        "id",
        "limit",
        "a.b,c",
        "secret",
        "extra",
        "tags",
        "eq.",
        "gte.",
        "in.(",
        "is.",
        "null",
        "true",
        "like.",
        "not.",
        "and(",
        "or(",
        "(",
        ")",
        ",",
        ".",
        "\"",
        "\\",
        "{",
        "}",
        "1",
        "0001",
        "*",
        ".desc",
        ".nullsfirst",
        "::text",
        ":p1",
        "'",
        "--",
        ";",
        "$1",
        "\0",
    ];
    let piece = prop_oneof![
        4 => prop::sample::select(pieces).prop_map(ToOwned::to_owned),
        1 => ".{0,8}",
    ];
    prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

/// Generates parameters whose texts are well-formed.
fn sound_parameter() -> impl Strategy<Value = (String, String)> {
    let quoted = |text: &str| format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""));
    let operators = vec!["eq.", "neq.", "gt.", "lte.", "like.", "ilike.", "not.eq."];
    let compared = (prop::sample::select(operators), text());
    prop_oneof![
        3 => compared.prop_map(|(operator, text)| ("kind".to_owned(), format!("{operator}{text}"))),
        1 => text().prop_map(|text| ("\"a.b,c\"".to_owned(), format!("eq.{text}"))),
        1 => (text(), text()).prop_map(move |(one, other)| {
            ("kind".to_owned(), format!("in.({},{})", quoted(&one), quoted(&other)))
        }),
        1 => (text(), any::<bool>()).prop_map(move |(text, is_negated)| {
            let name = if is_negated { "not.or" } else { "and" };
            (name.to_owned(), format!("(kind.eq.{},or(age.is.null,kind.gt.{}))", quoted(&text), quoted(&text)))
        }),
    ]
}

fn any_parameter() -> impl Strategy<Value = (String, String)> {
    let names = vec![
        "age",
        "kind",
        "id",
        "\"limit\"",
        "a.b,c",
        "is_valid",
        "tags",
        "select",
        "order",
        "limit",
        "cursor",
        "after",
        "and",
        "or",
        "not.and",
        "not.or",
    ];
    let name = prop_oneof![
        3 => prop::sample::select(names).prop_map(ToOwned::to_owned),
        1 => text(),
    ];
    (name, text())
}

/// Removes the catalog's names and the fixed words from a statement.
fn foreign(table: &Table, sql: &str) -> String {
    let mut left = sql.to_owned();
    for column in &table.columns {
        left = left.replace(&quote_identifier(&column.name), "");
    }
    for quoted in ["\"public\".\"thing\"", "\"public\"", "\"mood\"", "'id'", "'outcome'", "'{}'"] {
        left = left.replace(quoted, "");
    }
    left.chars()
        .filter(|c| !c.is_ascii_alphanumeric() && !" \n.,:()_=<>*[]#".contains(*c))
        .collect()
}

/// Every query string is refused, or becomes a statement of the catalog's names and fixed words.
#[test]
fn no_text_of_a_query_reaches_the_sql() {
    let (table, _) = tables();
    let relation = Relation { table: &table, from: &table.sql_name(), parameters: &[] };
    let parameters = (
        prop::collection::vec(sound_parameter(), 0..3),
        prop::collection::vec(any_parameter(), 0..3),
    );
    let (answered, refused) = (Cell::new(0), Cell::new(0));
    let config = Config { cases: 3_000, failure_persistence: None, ..Config::default() };
    TestRunner::new(config)
        .run(&parameters, |(sound, others)| {
            let query = [sound, others].concat();
            let Ok(query_string) = QueryString::of_list(&table, &query, "") else {
                refused.set(refused.get() + 1);
                return Ok(());
            };
            answered.set(answered.get() + usize::from(!query.is_empty()));
            for form in Form::ALL {
                let head = Head { counts: true, after: query_string.after.clone() };
                let (statement, _) = list(relation, &query_string, form, &head, query_string.limit);
                prop_assert_eq!(foreign(&table, &statement.sql), "", "{:?}", &query);
            }
            Ok(())
        })
        .unwrap();
    assert!(answered.get() > 500, "{} queries are answered", answered.get());
    assert!(refused.get() > 500, "{} queries are refused", refused.get());
}

#[test]
fn ids_of_writes_come_in_one_parameter_or_in_several() {
    let (table, _) = tables();
    let [one, two] =
        ["00000000-0000-7000-8000-000000000001", "00000000-0000-7000-8000-000000000002"];
    let after = |values: &[&str]| {
        let query: Vec<_> =
            values.iter().map(|id| ("after".to_owned(), (*id).to_owned())).collect();
        QueryString::of_list(&table, &query, "").unwrap().after
    };
    assert_eq!(after(&[one, two]), after(&[&format!("{one},{two}")]));
    assert_eq!(after(&[one, two]).len(), 2);
}
