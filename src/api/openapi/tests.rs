use aurora_sync_catalog::notation::table;
use aurora_sync_catalog::{Access, Changes};

use super::*;

fn described(tables: Vec<Table>) -> Value {
    document(&Catalog::new(tables, Vec::new()))
}

#[test]
fn the_schemas_have_types_nullability_and_access() {
    let columns = "id bigint key identity, name varchar(5) not-null, feeling enum(sad), tags text[], \
                   secret text unread";
    let document = described(vec![table("t", columns)]);
    let schemas = &document["components"]["schemas"];
    assert_eq!(
        schemas["t"]["properties"],
        json!({
            "id": {"type": "integer", "format": "int64", "readOnly": true},
            "name": {"type": "string", "maxLength": 5},
            "feeling": {"type": ["string", "null"], "enum": ["sad", null]},
            "tags": {
                "type": ["array", "null"],
                "items": {"anyOf": [{"type": ["string", "null"]}, {"type": "array", "items": {}}]},
            },
        })
    );
    assert_eq!(schemas["t_insert"]["required"], json!(["name"]));
    let written = &schemas["t_insert"]["properties"];
    assert_eq!(written["secret"], json!({"type": ["string", "null"], "writeOnly": true}));
    assert_eq!(written.get("id"), None);
}

#[test]
fn hidden_tables_and_columns_are_not_described() {
    let read_only = |name| Table { changes: Changes::default(), ..table(name, "id int key") };
    let mut closed = read_only("closed");
    closed.columns[0].access = Access::NONE;
    let document = described(vec![
        table("a b", "id int key"),
        table("log", "line text"),
        table("inbox", "id int key unread"),
        Table { changes: Changes::INSERT, ..table("letterbox", "id int key") },
        read_only("archive"),
        closed,
    ]);
    let methods = |path: &str| {
        let path = document["paths"].get(path).and_then(Value::as_object);
        let methods = path.map(|path| path.keys().filter(|key| *key != "parameters"));
        methods.map(|methods| methods.map(String::as_str).collect::<Vec<_>>().join(" "))
    };
    let check = |path: &str, expected: Option<&str>| {
        assert_eq!(methods(path).as_deref(), expected, "{path}");
    };
    check("/a%20b", Some("get head post put patch delete"));
    check("/a%20b/{key}", Some("get head put patch delete"));
    check("/log", Some("get head post"));
    check("/log/{key}", None);
    check("/inbox", Some("post put patch delete"));
    check("/letterbox", Some("get head post"));
    check("/archive/{key}", Some("get head"));
    check("/closed", None);
    assert!(!document.to_string().contains("closed"));
}

#[test]
fn names_of_components_are_valid_and_unique() {
    let elsewhere = Table { schema: "s".to_owned(), ..table("t", "i int") };
    let others = ["a b", "a-20-b", "é"].map(|name| table(name, "i int"));
    let tables: Vec<_> = others.into_iter().chain([elsewhere]).collect();
    let names: Vec<_> = tables.iter().map(component_name).collect();
    assert_eq!(names, ["a-20-b", "a-2d-20-2d-b", "-e9-", "s.t"]);
}

#[test]
fn the_schemas_of_writes_say_what_validation_does() {
    let columns = "id bigint key=1 identity, at date key=2, version int version, name text";
    let document = described(vec![table("t", columns)]);
    let schema = |name: &str| document["components"]["schemas"][name].clone();
    let check = |name: &str, columns: &[&str], required: &[&str], members: usize| {
        let schema = schema(name);
        let found: Vec<_> = schema["properties"].as_object().unwrap().keys().cloned().collect();
        assert_eq!(found, columns, "{name}");
        assert_eq!(schema["required"], json!(required), "{name}");
        assert_eq!(schema["minProperties"], members, "{name}");
    };
    check("t_update", &["version", "name"], &["version"], 1);
    check("t_update_by_key", &["id", "at", "version", "name"], &["id", "at", "version"], 3);
    check("t_key", &["id", "at"], &["id", "at"], 2);
    // It names the row, although the database makes it.
    assert_eq!(schema("t_key")["properties"]["id"], json!({"type": "integer", "format": "int64"}));
}

#[test]
fn the_keys_of_a_deletion_have_the_type_of_their_column() {
    let document =
        described(vec![table("t", "id bigint key"), table("u", "a text key=1, b text key=2")]);
    let keys = |path: &str| {
        let body = &document["paths"][path]["delete"]["requestBody"]["content"];
        body["application/json"]["schema"]["anyOf"][1]["items"].clone()
    };
    let row = json!({"$ref": "#/components/schemas/t_key"});
    assert_eq!(keys("/t"), json!({"anyOf": [row, {"type": "integer", "format": "int64"}]}));
    assert_eq!(keys("/u"), json!({"$ref": "#/components/schemas/u_key"}));
}

#[test]
fn every_operation_has_a_summary_and_its_errors() {
    let document = described(vec![table("t", "id bigint key")]);
    let mut operations = 0;
    for path in document["paths"].as_object().unwrap().values() {
        for (_, operation) in
            path.as_object().unwrap().iter().filter(|(key, _)| *key != "parameters")
        {
            assert!(operation["summary"].is_string(), "{operation}");
            assert!(operation["responses"]["4XX"].is_object(), "{operation}");
            operations += 1;
        }
    }
    assert_eq!(operations, 16);
}
