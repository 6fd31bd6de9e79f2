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
                "items": {"anyOf": [{"type": ["string", "null"]}, {"type": "array"}]},
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
