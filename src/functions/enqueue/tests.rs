use std::sync::LazyLock;

use aurora_sync_catalog::notation::table;
use aurora_sync_catalog::{Catalog, Changes, Table};
use aws_lambda_events::http::{HeaderMap, Method};
use proptest::prelude::*;

use super::body::{BODY_BYTES_MAX, ITEMS_MAX};
use super::*;
use crate::domain::caller::Caller;
use crate::domain::write::{MESSAGE_BYTES_MAX, Operation, Precondition};

/// The tables of the tests: one with a simple key, and one each for other features.
static CATALOG: LazyLock<Catalog> = LazyLock::new(|| {
    let tables = [
        ("staff", "id char(4) key, name text not-null, age integer"),
        (
            "measurement",
            "sensor uuid key, taken_at timestamptz key, number bigint identity, \
             amount numeric(10,2) not-null default, is_valid boolean, extra jsonb",
        ),
        ("event", "what text"),
        ("number", "id bigint key identity, value integer"),
        ("versioned", "id integer key, version bigint version, secret text unwritten, name text"),
        ("kept", "id integer key"),
        ("letterbox", "id integer key, note text"),
        ("closed", "id integer key, note text unselected"),
    ];
    let tables = tables.map(|(name, columns)| Table {
        changes: match name {
            "kept" => Changes::default(),
            "letterbox" | "event" => Changes::INSERT,
            _ => Changes::ALL,
        },
        ..table(name, columns)
    });
    Catalog::new(tables.into(), Vec::new())
});

fn request(method: Method, path: &str, body: &str) -> Request {
    let route = match path.trim_start_matches('/').split_once('/') {
        None => Route::Table(path.trim_start_matches('/').into()),
        Some((table, key)) => Route::Row(table.into(), key.into()),
    };
    Request {
        method,
        route,
        query: Vec::new(),
        headers: HeaderMap::new(),
        body: body.into(),
        caller: Caller::default(),
        is_text: true,
    }
}

fn with_header(mut request: Request, name: &'static str, value: &str) -> Request {
    request.headers.append(name, value.parse().unwrap());
    request
}

fn accept_one(request: &Request) -> Result<Accepted, Refusal> {
    accept(&CATALOG, request, 1)
}

fn accepted(method: Method, path: &str, body: &str) -> Vec<Write> {
    let accepted = accept_one(&request(method, path, body)).unwrap();
    accepted.writes.into_iter().map(|(_, write)| write).collect()
}

/// Compares the writes as `operation key column=value …`.
fn check(method: Method, path: &str, body: &str, expected: &[&str]) {
    assert_eq!(shown(&accepted(method, path, body)), expected);
}

fn shown(writes: &[Write]) -> Vec<String> {
    writes
        .iter()
        .map(|write| {
            let key = write.key.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string);
            let cells = write.row.iter().map(|(name, value)| match value {
                Some(value) => format!(" {name}={value}"),
                None => format!(" {name}"),
            });
            format!("{} {key}{}", write.operation.as_str(), cells.collect::<String>())
        })
        .collect()
}

/// Compares the problem as `status word pointer:rule …`.
fn check_refused(method: Method, path: &str, body: &str, expected: &str) {
    check_problem(&request(method, path, body), expected);
}

#[track_caller]
fn check_problem(request: &Request, expected: &str) {
    let Refusal { problem, .. } = accept_one(request).unwrap_err();
    let json = serde_json::to_value(&problem).unwrap();
    let word = json["type"].as_str().unwrap().rsplit(':').next().unwrap();
    let errors = problem.errors.iter().map(|error| format!(" {}:{}", error.pointer, error.rule));
    assert_eq!(format!("{} {word}{}", problem.status, errors.collect::<String>()), expected);
}

#[test]
fn posts_insert_with_the_columns_in_the_tables_order() {
    check(
        Method::POST,
        "/staff",
        r#"{"age":78,"id":"0004","name":"Apigateway"}"#,
        &["insert 0004 id=0004 name=Apigateway age=78"],
    );
    check(
        Method::POST,
        "/staff",
        r#"[{"id":"0004","name":"A","age":null},{"id":"0005","name":""}]"#,
        &["insert 0004 id=0004 name=A age", "insert 0005 id=0005 name="],
    );
}

#[test]
fn a_path_names_the_row_of_an_update_or_delete() {
    check(
        Method::PUT,
        "/staff/0001",
        r#"{"name":"Aurora!"}"#,
        &["update 0001 id=0001 name=Aurora!"],
    );
    check(Method::PATCH, "/staff/0001", r#"{"age":null}"#, &["update 0001 id=0001 age"]);
    check(Method::DELETE, "/staff/0001", "", &["delete 0001 id=0001"]);
    check(
        Method::DELETE,
        "/measurement/6F9619FF-8B86-D011-B42D-00C04FC964FF,2026-11-23T00:00:00Z",
        "",
        &["delete 6f9619ff-8b86-d011-b42d-00c04fc964ff,2026-11-23T00:00:00Z \
           sensor=6f9619ff-8b86-d011-b42d-00c04fc964ff taken_at=2026-11-23T00:00:00Z"],
    );
}

#[test]
fn any_text_can_be_a_key_and_names_its_own_row() {
    let note = |method: Method, path: &str, body: &str| {
        let note = Table { changes: Changes::ALL, ..table("note", "path text key, text text") };
        let catalog = Catalog::new(vec![note], Vec::new());
        accept(&catalog, &request(method, path, body), 1).map(|accepted| {
            let writes: Vec<_> = accepted.writes.into_iter().map(|(_, write)| write).collect();
            shown(&writes).join("; ")
        })
    };
    for key in ["a/b", "", "/", "a,b", "\"a\"", "?", "#", "a b", "..", "é"] {
        let expected = format!("delete {key} path={key}");
        assert_eq!(note(Method::DELETE, &format!("/note/{key}"), "").unwrap(), expected);
        let list = serde_json::to_string(&[key]).unwrap();
        assert_eq!(note(Method::DELETE, "/note", &list).unwrap(), expected);
    }
    // A client or a gateway may drop the slash before an empty key. No row is named then.
    let refused =
        |method: Method, body: &str| note(method, "/note", body).unwrap_err().problem.status;
    assert_eq!(refused(Method::DELETE, ""), 400);
    assert_eq!(refused(Method::PUT, r#"{"text":"x"}"#), 422);
    assert_eq!(refused(Method::PATCH, r#"{"text":"x"}"#), 422);
}

#[test]
fn a_deletion_accepts_a_list_of_keys() {
    let rows = ["delete 0001 id=0001", "delete 0002 id=0002"];
    check(Method::DELETE, "/staff", r#"["0001","0002"]"#, &rows);
    check(Method::DELETE, "/staff", r#"[{"id":"0001"},"0002"]"#, &rows);
    check(Method::DELETE, "/staff", r#"{"id":"0001"}"#, &rows[..1]);
    check(Method::DELETE, "/number", "[1,\"2\"]", &["delete 1 id=1", "delete 2 id=2"]);
    check(Method::DELETE, "/number/7", "", &["delete 7 id=7"]);
    check_refused(
        Method::DELETE,
        "/staff",
        r#"["00001",null,["0001"],{"id":"1","name":"x"},{}]"#,
        "422 invalid-write /0:length /1:not-null /2:type /3/name:not-key /4/id:required",
    );
    check_refused(Method::DELETE, "/measurement", "[1]", "422 invalid-write /0:type");
    check_refused(Method::DELETE, "/staff/0001", "{}", "400 malformed-body");
    for nothing in ["", "[]"] {
        check_refused(Method::DELETE, "/staff", nothing, "400 malformed-body");
    }
}

#[test]
fn lines_of_ndjson_are_items() {
    let lines = |body: &str| {
        with_header(request(Method::POST, "/staff", body), "content-type", "application/x-ndjson")
    };
    let good =
        accept_one(&lines("{\"id\":\"1\",\"name\":\"a\"}\r\n\n {\"id\":\"2\",\"name\":\"b\"}\n"));
    let good = good.unwrap();
    assert!(good.is_list);
    assert_eq!(good.writes.iter().map(|(item, _)| *item).collect::<Vec<_>>(), [0, 1]);
    check_problem(
        &lines("{\"id\":\"1\",\"name\":\"a\"}\n\n{\"id\":}\n[]\n{\"id\":\"3\"}\n{} {}"),
        "422 invalid-write /1:malformed /2:type /3/name:required /4:malformed",
    );
    let problem = accept_one(&lines("\n\n{]")).unwrap_err().problem;
    assert!(problem.errors[0].detail.contains("line 3"), "{}", problem.errors[0].detail);
    check_problem(&lines("\n"), "400 malformed-body");
    let with_key = lines("{\"age\":1}");
    let with_key =
        Request { route: Route::Row("staff".into(), "1".into()), method: Method::PUT, ..with_key };
    check_problem(&with_key, "400 malformed-body");
}

#[test]
fn a_part_is_accepted_if_the_client_prefers_it() {
    let body = r#"[{"id":"1","name":"a"},{"id":"2"},7,{"id":"4","name":"d"}]"#;
    check_refused(Method::POST, "/staff", body, "422 invalid-write /1/name:required /2:type");
    let partial = |body: &str| {
        with_header(request(Method::POST, "/staff", body), "prefer", "handling=partial")
    };
    let accepted = accept_one(&partial(body)).unwrap();
    assert_eq!(accepted.writes.iter().map(|(item, _)| *item).collect::<Vec<_>>(), [0, 3]);
    assert_eq!(accepted.faults.total(), 2);
    assert_eq!(accepted.applied.as_deref(), Some("handling=partial"));
    check_problem(
        &partial("[{},1]"),
        "422 invalid-write /0/id:required /0/name:required /0:empty /1:type",
    );
}

#[test]
fn an_idempotency_key_makes_the_same_ids_and_distinguishes_payloads() {
    let ids =
        |method: Method, path: &str, body: &str, key: &str| -> Vec<(String, Option<String>)> {
            let request = with_header(request(method, path, body), "idempotency-key", key);
            let accepted = accept_one(&request).unwrap();
            let writes = accepted.writes.into_iter();
            writes.map(|(_, write)| (write.id.to_string(), write.fingerprint)).collect()
        };
    let post = |body: &str| ids(Method::POST, "/staff", body, "k");
    let two = post(r#"[{"id":"1","name":"a"},{"id":"2","name":"b"}]"#);
    assert_eq!(two, post(r#"[{"name":"a","id":"1"},{"id":"2","name":"b"}]"#));
    let other = post(r#"[{"id":"1","name":"a"},{"id":"2","name":"c"}]"#);
    assert_eq!(two[0], other[0]);
    assert_eq!(two[1].0, other[1].0);
    assert_ne!(two[1].1, other[1].1);
    // An array of one object makes the same write as the object.
    assert_eq!(two[..1], post(r#"{"id":"1","name":"a"}"#));
    let update = |path: &str| ids(Method::PUT, path, r#"{"name":"a"}"#, "\"k\"");
    assert_ne!(update("/staff/1")[0].0, update("/staff/2")[0].0);
    assert_eq!(update("/staff/1"), update("/staff/1"));
    assert_eq!(accepted(Method::POST, "/event", r#"{"what":"x"}"#)[0].fingerprint, None);
    let bad =
        with_header(request(Method::POST, "/event", r#"{"what":"x"}"#), "idempotency-key", "a b");
    check_problem(&bad, "400 invalid-idempotency-key");
}

#[test]
fn a_fixed_item_may_be_sent_again_with_the_same_key() {
    let partial = |body: &str| {
        let request =
            with_header(request(Method::POST, "/staff", body), "prefer", "handling=partial");
        accept_one(&with_header(request, "idempotency-key", "k")).unwrap().writes
    };
    let first = partial(r#"[{"id":"1"},{"id":"2","name":"b"}]"#);
    let second = partial(r#"[{"id":"1","name":"a"},{"id":"2","name":"b"}]"#);
    assert_eq!(first[0], second[1]);
}

#[test]
fn columns_that_ddl_comments_exclude_from_writes_are_refused() {
    check_refused(Method::POST, "/kept", r#"{"id":1}"#, "405 method-not-allowed");
    check_refused(
        Method::PUT,
        "/versioned/1",
        r#"{"secret":"x","name":"y"}"#,
        "422 invalid-write /secret:read-only /version:required",
    );
    check(Method::PUT, "/versioned/1", r#"{"version":2}"#, &["update 1 id=1 version=2"]);
}

#[test]
fn a_key_that_the_database_generates_names_rows() {
    check(Method::PUT, "/number/7", r#"{"value":1}"#, &["update 7 id=7 value=1"]);
    check(Method::PATCH, "/number", r#"[{"id":7,"value":1}]"#, &["update 7 id=7 value=1"]);
    check(Method::POST, "/number", r#"{"value":1}"#, &["insert - value=1"]);
    check_refused(Method::POST, "/number", r#"{"id":7}"#, "422 invalid-write /id:generated");
}

/// Returns a request with these query parameters.
fn with_query(mut request: Request, query: &[(&str, &str)]) -> Request {
    let pairs = query.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    request.query.extend(pairs);
    request
}

#[test]
fn a_query_parameter_is_refused_not_ignored() {
    let detail = |method: Method, query: &[(&str, &str)]| {
        let request = with_query(request(method, "/staff", r#"{"id":"1","name":"x"}"#), query);
        check_problem(&request, "400 unknown-parameter");
        accept_one(&request).unwrap_err().problem.detail
    };
    for (method, query, expected) in [
        (Method::PATCH, ("id", "eq.1"), "not in the query; remove: id."),
        (Method::PATCH, ("columns", "id"), "remove: columns."),
        (Method::POST, ("on_conflikt", "id"), "remove: on_conflikt."),
        (Method::POST, ("on_conflict", "name"), "expected on_conflict=id, or nothing."),
        (Method::POST, ("columns", "id,nmae"), "did you mean \"name\"?"),
        (Method::POST, ("columns", "id,"), "expected columns separated by commas."),
        (Method::POST, ("select", "*"), "so that it returns no rows."),
    ] {
        let detail = detail(method, &[query]);
        assert!(detail.ends_with(expected) || detail.contains(expected), "{detail}");
    }
}

#[test]
fn the_parameters_of_postgrest_clients_are_taken() {
    let rows = r#"[{"id":"1","name":"x","age":1},{"id":"2","name":"y"}]"#;
    let shown_with = |query: &[(&str, &str)]| {
        let request = with_query(request(Method::POST, "/staff", rows), query);
        let request = with_header(request, "prefer", "resolution=merge-duplicates");
        let accepted = accept_one(&request).unwrap();
        shown(&accepted.writes.into_iter().map(|(_, write)| write).collect::<Vec<_>>())
    };
    let all = ["upsert 1 id=1 name=x age=1", "upsert 2 id=2 name=y"];
    assert_eq!(shown_with(&[("on_conflict", "id"), ("columns", r#""id","name","age""#)]), all);
    let named = ["upsert 1 id=1 name=x", "upsert 2 id=2 name=y"];
    assert_eq!(shown_with(&[("columns", "id,name")]), named);
}

#[test]
fn rows_may_name_their_key_themselves() {
    check(Method::PATCH, "/staff", r#"[{"id":"0001","age":1}]"#, &["update 0001 id=0001 age=1"]);
    check(Method::PUT, "/staff/0001", r#"{"id":"0001","age":1}"#, &["update 0001 id=0001 age=1"]);
    check_refused(
        Method::PUT,
        "/staff/0001",
        r#"{"id":"0002","age":1}"#,
        "422 invalid-write /id:key",
    );
}

#[test]
fn numbers_never_become_floats() {
    let row = r#"{"sensor":"6f9619ff-8b86-d011-b42d-00c04fc964ff","taken_at":"2026-11-23T00:00:00Z",
        "amount":12345678.90,"extra":{"big":123456789012345678901234567890.10}}"#;
    let writes = accepted(Method::POST, "/measurement", row);
    assert_eq!(writes[0].cell("amount"), Some(Some("12345678.90")));
    assert_eq!(writes[0].cell("extra"), Some(Some(r#"{"big":123456789012345678901234567890.10}"#)));
}

#[test]
fn a_table_without_a_key_accepts_new_rows_only() {
    check(Method::POST, "/event", r#"{"what":"x"}"#, &["insert - what=x"]);
    check_refused(Method::PUT, "/event", r#"{"what":"x"}"#, "400 invalid-key");
    check_refused(Method::DELETE, "/event/x", "", "400 invalid-key");
}

#[test]
fn a_precondition_travels_with_the_write() {
    let check = |method: Method, path: &str, header: (&'static str, &str), expected: &str| {
        let body = if method == Method::DELETE { "" } else { r#"{"name":"x"}"# };
        let request = with_header(request(method, path, body), header.0, header.1);
        let accepted = accept_one(&request).unwrap();
        let [(_, write)] = accepted.writes.as_slice() else { panic!("{}", accepted.writes.len()) };
        let condition = write.precondition.as_ref();
        let condition = condition.map(|known| format!("{} {}", known.header(), known.value()));
        let found = format!("{}, {}", write.operation.as_str(), condition.unwrap_or_default());
        assert_eq!(found, expected);
    };
    let if_match = |value| ("if-match", value);
    check(Method::PATCH, "/staff/0001", if_match("\"a\""), "update, If-Match \"a\"");
    check(Method::PUT, "/staff/0001", if_match("*"), "update, If-Match *");
    check(
        Method::DELETE,
        "/staff/0001",
        if_match("\"a-gzip\",\"b\""),
        "delete, If-Match \"a\", \"b\"",
    );
    check(Method::DELETE, "/staff/0001", if_match("W/\"a\""), "delete, If-Match ");
    check(Method::DELETE, "/closed/1", if_match("*"), "delete, If-Match *");
    let absent = ("if-none-match", "*");
    check(Method::PUT, "/staff/0001", absent, "insert, If-None-Match *");
    // There are no dates with which a row could be compared.
    let date = "Mon, 23 Nov 2026 09:30:00 GMT";
    check(Method::DELETE, "/staff/0001", ("if-unmodified-since", date), "delete, ");
    let post = |path: &str, body: &str| {
        let request = with_header(request(Method::POST, path, body), absent.0, absent.1);
        let request = with_header(request, "prefer", "resolution=merge-duplicates");
        let accepted = accept_one(&request).unwrap();
        let (_, write) = &accepted.writes[0];
        assert_eq!((write.operation, accepted.applied), (Operation::Insert, None));
        write.precondition.clone()
    };
    let precondition = post("/staff", r#"{"id":"0004","name":"x"}"#);
    assert_eq!(precondition, Some(Precondition::IfNoneMatch));
    // The database makes the key, so that no row can have it.
    assert_eq!(post("/number", r#"{"value":1}"#), None);
}

#[test]
fn a_precondition_that_cannot_be_evaluated_is_refused() {
    let check = |method: Method, path: &str, body: &str, headers: &[(&'static str, &str)]| {
        let request = headers.iter().fold(request(method, path, body), |request, (name, value)| {
            with_header(request, name, value)
        });
        check_problem(&request, "400 invalid-precondition");
    };
    let (row, tag, absent) =
        (r#"{"id":"0001","name":"x"}"#, ("if-match", "\"a\""), ("if-none-match", "*"));
    check(Method::PATCH, "/staff", row, &[tag]);
    check(Method::PATCH, "/staff", &format!("[{row}]"), &[tag]);
    check(Method::DELETE, "/staff", r#"["0001"]"#, &[tag]);
    check(Method::POST, "/staff", row, &[tag]);
    check(Method::POST, "/staff", &format!("[{row}]"), &[absent]);
    check(Method::PATCH, "/staff/0001", r#"{"age":1}"#, &[absent]);
    check(Method::PUT, "/staff", row, &[absent]);
    check(Method::DELETE, "/staff/0001", "", &[absent]);
    check(Method::DELETE, "/staff/0001", "", &[tag, absent]);
    check(Method::DELETE, "/staff/0001", "", &[("if-match", "a")]);
    check(Method::DELETE, "/staff/0001", "", &[("if-match", "")]);
    check(Method::PUT, "/staff/0001", r#"{"name":"x"}"#, &[("if-none-match", "\"a\"")]);
    check(Method::POST, "/event", r#"{"what":"x"}"#, &[absent]);
    check(Method::DELETE, "/closed/1", "", &[tag]);
}

#[test]
fn another_precondition_under_an_idempotency_key_is_another_payload() {
    let fingerprint = |tag: &str| {
        let request = with_header(request(Method::DELETE, "/staff/0001", ""), "if-match", tag);
        let accepted = accept_one(&with_header(request, "idempotency-key", "k")).unwrap();
        accepted.writes[0].1.fingerprint.clone().unwrap()
    };
    assert_eq!(fingerprint("\"a\""), fingerprint("\"a\""));
    assert_ne!(fingerprint("\"a\""), fingerprint("\"b\""));
}

#[test]
fn prefer_selects_the_handling_of_an_existing_key() {
    for (resolution, operation) in
        [("merge-duplicates", Operation::Upsert), ("ignore-duplicates", Operation::InsertIgnore)]
    {
        let value = format!("return=minimal, resolution={resolution}");
        let request = request(Method::POST, "/staff", r#"{"id":"1","name":"x"}"#);
        let accepted = accept_one(&with_header(request, "prefer", &value)).unwrap();
        assert_eq!(accepted.writes[0].1.operation, operation);
    }
    // Without a key there is nothing to merge, and the response does not claim it.
    let request = request(Method::POST, "/event", r#"{"what":"x"}"#);
    let accepted = accept_one(&with_header(request, "prefer", "resolution=merge-duplicates"));
    assert_eq!(accepted.unwrap().applied, None);
}

#[test]
fn a_misspelt_resolution_is_refused_not_inserted() {
    let post = |value: &str| {
        with_header(request(Method::POST, "/staff", r#"{"id":"1","name":"x"}"#), "prefer", value)
    };
    for value in
        ["resolution=merge-duplicate", "return=minimal, resolution=Merge-Duplicates", "resolution"]
    {
        check_problem(&post(value), "400 invalid-preference");
    }
    // Unknown preferences are ignored (RFC 7240), and an update has no resolution.
    assert!(accept_one(&post("resolutions=x")).is_ok());
    let update = request(Method::PUT, "/staff/0001", r#"{"age":1}"#);
    assert!(accept_one(&with_header(update, "prefer", "resolution=x")).is_ok());
}

/// Returns the details of a refusal: that of the problem and those of its faults.
#[track_caller]
fn details(method: Method, path: &str, body: &str) -> Vec<String> {
    let Refusal { problem, .. } = accept_one(&request(method, path, body)).unwrap_err();
    let faults = problem.errors.iter().map(|fault| format!("{}: {}", fault.pointer, fault.detail));
    std::iter::once(problem.detail.to_string()).chain(faults).collect()
}

#[test]
fn a_message_says_what_came_and_why_it_does_not_fit() {
    let one = "The body has 1 fault; nothing was accepted.";
    let check = |column: &str, value: &str, expected: &str| {
        let body = format!("{{\"{column}\":{value}}}");
        assert_eq!(
            details(Method::PATCH, "/staff/0001", &body),
            [one, &format!("/{column}: {expected}")]
        );
    };
    let integer = "expected an integer from -2147483648 to 2147483647";
    check("age", "true", &format!("{integer}, not a boolean"));
    check("age", "\"\"", &format!("{integer}, not an empty string"));
    check("age", "\"  \"", &format!("{integer}, not a string of blanks"));
    check("age", "1.5", &format!("{integer}, not a fraction"));
    check("age", "[1]", &format!("{integer}, not an array"));
    check("age", "3000000000", &format!("{integer}, not a larger number"));
    check("age", "-1e99", &format!("{integer}, not a smaller number"));
    check("age", "\"old\"", integer);
    check("name", "7", "expected a string, not a number: a number would lose its leading zeros");
    check("name", "{}", "expected a string, not an object");
    check("name", "null", "expected a value, not null: the column is NOT NULL");
    for misspelt in ["nmae", "NAMES"] {
        let body = format!("{{\"{misspelt}\":\"x\",\"age\":1}}");
        let expected =
            format!("/{misspelt}: expected a column of the table; did you mean \"name\"?");
        assert_eq!(details(Method::PATCH, "/staff/0001", &body), [one, &expected]);
    }
    let amount = |value: &str| {
        let path = "/measurement/6f9619ff-8b86-d011-b42d-00c04fc964ff,2026-11-23T00:00:00Z";
        details(Method::PATCH, path, &format!("{{\"amount\":{value}}}")).pop().unwrap()
    };
    let digits = "/amount: expected at most 8 digits before and 2 after the point";
    assert_eq!(amount("0.125"), format!("{digits}, not 3 after it"));
    assert_eq!(amount("123456789.5"), format!("{digits}, not 9 before it"));
}

#[test]
fn a_message_about_a_body_or_a_key_says_what_came() {
    let check = |method: Method, path: &str, body: &str, expected: &str| {
        assert_eq!(details(method, path, body)[0], expected, "{body}");
    };
    for body in ["", " \n", "\u{feff}"] {
        check(Method::POST, "/staff", body, "The body is empty.");
    }
    check(Method::POST, "/staff", "[]", "The body is an empty array: it has no row.");
    let kind = "The body is an object or an array of objects, not";
    check(Method::POST, "/staff", "\"x\"", &format!("{kind} a string."));
    check(Method::POST, "/staff", "null", &format!("{kind} null."));
    check(Method::POST, "/staff", "{\"id\":}", "The body is not JSON: see line 1, column 7.");
    let one =
        "The path names one row, so the body is one object, not a list. /{table} takes a list.";
    check(Method::PUT, "/staff/0001", "[{}]", one);
    check(Method::PUT, "/staff/00001", "{}", "The key's id: expected at most 4 characters, not 5.");
    let parts = "The table's key has 2 parts, separated by commas; the path has 1.";
    check(Method::PUT, "/measurement/x", "{}", parts);
    let faults = details(Method::POST, "/staff", "[1,{\"id\":\"1\"}]");
    assert_eq!(faults[0], "The body has 2 faults; nothing was accepted.");
    assert_eq!(faults[1], "/0: expected an object, not a number");
    assert_eq!(
        faults[2],
        "/1/name: expected a value: the row leaves out the column, which is NOT NULL and has no default"
    );
}

#[test]
fn a_table_that_is_not_offered_is_unknown_to_every_method() {
    let hidden = table("secrets", "id integer key unread, note text unread");
    let hidden = Table { changes: Changes::default(), ..hidden };
    let catalog = Catalog::new(vec![hidden, table("staff", "id char(4) key")], Vec::new());
    for method in [Method::POST, Method::PUT, Method::PATCH, Method::DELETE] {
        for path in ["/secrets", "/secret", "/secrets/1"] {
            let request = request(method.clone(), path, "{}");
            let Refusal { problem, header } = accept(&catalog, &request, 1).unwrap_err();
            assert_eq!(
                (problem.status, &*problem.detail, header),
                (404, "The tables are: staff.", None)
            );
        }
    }
}

#[test]
fn a_column_that_is_not_offered_is_unknown() {
    let staff = table("staff", "id char(4) key, salary integer unread unwritten");
    let catalog = Catalog::new(vec![staff], Vec::new());
    let request = request(Method::POST, "/staff", r#"{"id":"1","salary":1}"#);
    let Refusal { problem, .. } = accept(&catalog, &request, 1).unwrap_err();
    assert_eq!(problem.errors[0].rule, "unknown-column");
    assert_eq!(problem.errors[0].detail, "expected a column of the table: id");
}

#[test]
fn all_faults_of_a_body_are_reported_together() {
    check_refused(
        Method::POST,
        "/staff",
        r#"[{"id":"00005","nmae":"x","age":"old"},{"id":"1","name":"ok"},{"id":null,"name":"x","name":"y"}]"#,
        "422 invalid-write /0/id:length /0/nmae:unknown-column /0/age:format /0/name:required \
         /2/id:not-null /2/name:duplicate-member",
    );
    check_refused(
        Method::POST,
        "/staff",
        "{}",
        "422 invalid-write /id:required /name:required :empty",
    );
    check_refused(Method::PUT, "/staff/0001", "{}", "422 invalid-write :empty");
    check_refused(
        Method::POST,
        "/measurement",
        r#"{"number":1}"#,
        "422 invalid-write /number:generated /sensor:required /taken_at:required",
    );
}

#[test]
fn unreadable_bodies_are_refused() {
    for body in ["", "{", "1", "\"x\"", "null", "{\"id\":1}}", "[]", "[{},", "{'id':1}"] {
        check_refused(Method::POST, "/staff", body, "400 malformed-body");
    }
    let mut not_utf8 = request(Method::POST, "/staff", "");
    not_utf8.body = b"{\"id\":\"\xff\"}".to_vec();
    check_problem(&not_utf8, "400 malformed-body");
    check_refused(Method::POST, "/staff", "[1,[[]]]", "422 invalid-write /0:type /1:type");
    let surrogate = r#"[{"\ud800":1},{"id":"\udc00","name":"x"}]"#;
    let expected = "422 invalid-write /0:unsupported-character /1/id:unsupported-character";
    check_refused(Method::POST, "/staff", surrogate, expected);
    check(Method::POST, "/event", "\u{feff}{\"what\":\"x\"}", &["insert - what=x"]);
}

#[test]
fn deep_bodies_cost_neither_stack_nor_time() {
    let open = "[".repeat(100_000);
    check_refused(Method::POST, "/staff", &open, "400 malformed-body");
    let nested = format!("{open}{}", "]".repeat(100_000));
    check_refused(Method::POST, "/staff", &nested, "422 invalid-write /0:type");
    let within = format!(
        r#"{{"sensor":"6f9619ff-8b86-d011-b42d-00c04fc964ff","taken_at":"2026-11-23T00:00:00Z","extra":{nested}}}"#
    );
    check_refused(Method::POST, "/measurement", &within, "422 invalid-write /extra:depth");
}

#[test]
fn long_names_are_not_repeated_and_near_names_are_found_fast() {
    let long = format!("{{\"{}\":1}}", "n".repeat(1_000_000));
    check_refused(Method::POST, "/event", &long, "422 invalid-write :unknown-column");
    check_refused(Method::POST, "/event", r#"{"":1}"#, "422 invalid-write /:unknown-column");
}

#[test]
fn unknown_paths_and_methods_are_refused() {
    check_refused(Method::POST, "/stuff", "{}", "404 unknown-table");
    check_refused(Method::POST, "/staff/0001", "{}", "405 method-not-allowed");
    check_refused(Method::PUT, "/staff/00001", "{}", "400 invalid-key");
}

#[test]
fn only_json_of_a_limited_size_is_read() {
    for media_type in ["application/x-www-form-urlencoded", "application/json; charset=latin1"] {
        let request = request(Method::POST, "/event", r#"{"what":"x"}"#);
        check_problem(
            &with_header(request, "content-type", media_type),
            "415 unsupported-media-type",
        );
    }
    for media_type in ["application/json;charset=\"UTF-8\"", "Application/JSONL"] {
        let request = request(Method::POST, "/event", r#"{"what":"x"}"#);
        assert!(accept_one(&with_header(request, "content-type", media_type)).is_ok());
    }
    let body = |bytes: usize| format!("{{\"what\":\"x\"}}{}", " ".repeat(bytes - 12));
    assert!(accept_one(&request(Method::POST, "/event", &body(BODY_BYTES_MAX))).is_ok());
    check_refused(Method::POST, "/event", &body(BODY_BYTES_MAX + 1), "413 too-large");
    let items = |count: usize| format!("[{}]", vec!["{\"what\":\"x\"}"; count].join(","));
    assert!(accept_one(&request(Method::POST, "/event", &items(ITEMS_MAX))).is_ok());
    check_refused(Method::POST, "/event", &items(ITEMS_MAX + 1), "413 too-large");
    let large = format!(r#"[{{"what":"x"}},{{"what":"{}"}}]"#, "x".repeat(MESSAGE_BYTES_MAX));
    check_refused(Method::POST, "/event", &large, "422 invalid-write /1:row-too-large");
}

#[test]
fn the_limits_fit_those_of_lambda_and_api_gateway() {
    const EVENT_BYTES_MAX: usize = 6 * 1024 * 1024;
    const HEADER_BYTES_MAX: usize = 10_240;
    assert!(BODY_BYTES_MAX.div_ceil(3) * 4 + 4 * HEADER_BYTES_MAX < EVENT_BYTES_MAX);
    let mut write = accepted(Method::POST, "/event", r#"{"what":"x"}"#).remove(0);
    write.fingerprint = Some("0".repeat(32));
    let entry =
        serde_json::to_string(&entry(&Route::Table("event".into()), ITEMS_MAX, &write, true))
            .unwrap();
    let in_the_response = serde_json::to_string(&entry).unwrap().len();
    assert!(in_the_response * ITEMS_MAX < EVENT_BYTES_MAX - 900_000, "{in_the_response}");
}

/// Generates bodies that are nearly valid, so that checks after the parser run.
fn nearly_json() -> impl Strategy<Value = Vec<u8>> {
    let token = prop_oneof![
        Just("{".to_owned()),
        Just("}".into()),
        Just("[".into()),
        Just("]".into()),
        Just(",".into()),
        Just(":".into()),
        Just("\n".into()),
        Just("null".into()),
        Just("1e999".into()),
        Just("\"id\":".into()),
        Just("\"name\":".into()),
        Just("\"age\":".into()),
        Just("\"amount\":".into()),
        Just("\"extra\":".into()),
        Just("\"sensor\":".into()),
        Just("\"\\ud800\"".into()),
        Just("\"2026-11-23\"".into()),
        "[0-9.e+-]{1,5}",
        "\"[ -~]{0,6}\"",
    ];
    prop::collection::vec(token, 0..24).prop_map(|tokens| tokens.concat().into_bytes())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn any_bytes_give_writes_or_a_problem(
        body in prop_oneof![prop::collection::vec(any::<u8>(), 0..200), nearly_json()],
        method in prop_oneof![Just(Method::POST), Just(Method::PUT), Just(Method::DELETE)],
        path in prop_oneof![Just("/staff"), Just("/staff/1"), Just("/measurement"), Just("/event")],
        is_lines: bool,
        is_partial: bool,
    ) {
        let mut request = request(method, path, "");
        request.body = body;
        if is_lines {
            request = with_header(request, "content-type", "application/x-ndjson");
        }
        if is_partial {
            request = with_header(request, "prefer", "handling=partial");
        }
        match accept_one(&request) {
            Ok(accepted) => {
                prop_assert!(!accepted.writes.is_empty());
                prop_assert!(accepted.faults.total() == 0 || is_partial);
            }
            Err(Refusal { problem, .. }) => {
                prop_assert!((400..500).contains(&problem.status));
                prop_assert!(problem.status != 422 || !problem.errors.is_empty());
            }
        }
    }
}
