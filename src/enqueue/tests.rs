use aurora_sync_catalog::ddl;
use aws_lambda_events::http::HeaderMap;

use super::*;

/// The tables of the tests: one with a simple key, one with everything else.
fn catalog() -> Catalog {
    let ddl = "CREATE TABLE Staff (id CHAR(4) NOT NULL, name TEXT NOT NULL, age INTEGER, PRIMARY KEY (id));
        CREATE TABLE measurement (
            sensor uuid, taken_at timestamptz, number bigint GENERATED ALWAYS AS IDENTITY,
            amount numeric(10,2) NOT NULL DEFAULT 0, is_valid boolean, extra jsonb,
            PRIMARY KEY (sensor, taken_at));
        CREATE TABLE event (what text)";
    ddl::parse(&[("test.sql".into(), ddl.into())]).unwrap().catalog
}

fn request(method: Method, path: &str, body: &str) -> Request {
    let route = match path.trim_start_matches('/').split_once('/') {
        None => Route::Table(path.trim_start_matches('/').into()),
        Some((table, key)) => Route::Row(table.into(), key.into()),
    };
    Request { method, route, query: Vec::new(), headers: HeaderMap::new(), body: body.into() }
}

fn accepted(method: Method, path: &str, body: &str) -> Vec<Write> {
    accept(&catalog(), &request(method, path, body), 1).unwrap()
}

/// The writes as `operation key column=value …`.
fn check(method: Method, path: &str, body: &str, expected: &[&str]) {
    let shown: Vec<_> = accepted(method, path, body)
        .iter()
        .map(|write| {
            let key = write.key.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string);
            let cells = write.row.iter().map(|(name, value)| match value {
                Some(value) => format!(" {name}={value}"),
                None => format!(" {name}"),
            });
            format!("{} {key}{}", write.operation.as_str(), cells.collect::<String>())
        })
        .collect();
    assert_eq!(shown, expected);
}

/// The problem as `status word pointer:rule …`.
fn check_refused(method: Method, path: &str, body: &str, expected: &str) {
    let Refusal { problem, .. } = accept(&catalog(), &request(method, path, body), 1).unwrap_err();
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
fn numbers_are_never_made_floats() {
    let row = r#"{"sensor":"6f9619ff-8b86-d011-b42d-00c04fc964ff","taken_at":"2026-11-23T00:00:00Z",
        "amount":12345678.90,"extra":{"big":123456789012345678901234567890.10}}"#;
    let writes = accepted(Method::POST, "/measurement", row);
    assert_eq!(writes[0].cell("amount"), Some(Some("12345678.90")));
    assert_eq!(writes[0].cell("extra"), Some(Some(r#"{"big":123456789012345678901234567890.10}"#)));
}

#[test]
fn a_table_without_a_key_takes_new_rows_only() {
    check(Method::POST, "/event", r#"{"what":"x"}"#, &["insert - what=x"]);
    check_refused(Method::PUT, "/event", r#"{"what":"x"}"#, "400 invalid-key");
    check_refused(Method::DELETE, "/event/x", "", "400 invalid-key");
}

#[test]
fn prefer_chooses_what_a_known_key_means() {
    for (resolution, operation) in [
        ("merge-duplicates", Operation::Upsert),
        ("ignore-duplicates", Operation::InsertIgnore),
        ("other", Operation::Insert),
    ] {
        let mut request = request(Method::POST, "/staff", r#"{"id":"1","name":"x"}"#);
        let value = format!("return=minimal, resolution={resolution}");
        request.headers.insert("prefer", value.parse().unwrap());
        assert_eq!(accept(&catalog(), &request, 1).unwrap()[0].operation, operation);
    }
}

#[test]
fn every_fault_of_a_body_is_named_at_once() {
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
fn bodies_that_cannot_be_read_are_refused() {
    for body in ["", "{", "1", "\"x\"", "null", "{\"id\":1}}", "[1]", "[]", "[{},", "{'id':1}"] {
        check_refused(Method::POST, "/staff", body, "400 malformed-body");
    }
    let mut not_utf8 = request(Method::POST, "/staff", "");
    not_utf8.body = b"{\"id\":\"\xff\"}".to_vec();
    assert_eq!(accept(&catalog(), &not_utf8, 1).unwrap_err().problem.status, 400);
}

#[test]
fn paths_and_methods_that_are_not_there_are_refused() {
    check_refused(Method::POST, "/stuff", "{}", "404 unknown-table");
    check_refused(Method::POST, "/staff/0001", "{}", "405 method-not-allowed");
    check_refused(Method::DELETE, "/staff", "", "405 method-not-allowed");
    check_refused(Method::PUT, "/staff/00001", "{}", "400 invalid-key");
}

#[test]
fn only_json_of_a_bounded_size_is_read() {
    let mut form = request(Method::POST, "/staff", "id=1");
    form.headers.insert(CONTENT_TYPE, "application/x-www-form-urlencoded".parse().unwrap());
    assert_eq!(accept(&catalog(), &form, 1).unwrap_err().problem.status, 415);
    let large = format!(r#"{{"id":"1","name":"{}"}}"#, "x".repeat(BODY_BYTES_MAX));
    check_refused(Method::POST, "/staff", &large, "413 too-large");
    let large = format!(r#"{{"id":"1","name":"{}"}}"#, "x".repeat(MESSAGE_BYTES_MAX));
    check_refused(Method::POST, "/staff", &large, "413 too-large");
}
