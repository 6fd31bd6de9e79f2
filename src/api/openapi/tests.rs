use aurora_sync_catalog::ddl;

use super::*;

fn described(ddl: &str) -> Value {
    let schema = ddl::parse(&[("t.sql".into(), ddl.into())]).unwrap();
    document(&schema.catalog, ".")
}

#[test]
fn the_schemas_have_types_nullability_and_access() {
    let document = described(
        "CREATE TYPE mood AS ENUM ('sad');
         CREATE TABLE t (
            id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name varchar(5) NOT NULL, feeling mood,
            tags text[], secret text
         );
         COMMENT ON COLUMN t.secret IS '@sync:no-read'",
    );
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
    let document = described(
        "CREATE TABLE \"a b\" (id int PRIMARY KEY);
         CREATE TABLE log (line text);
         CREATE TABLE inbox (id int PRIMARY KEY); COMMENT ON TABLE inbox IS '@sync:no-read';
         CREATE TABLE archive (id int PRIMARY KEY); COMMENT ON TABLE archive IS '@sync:no-write';
         CREATE TABLE closed (id int PRIMARY KEY); COMMENT ON TABLE closed IS '@sync:no-read @sync:no-write'",
    );
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
    check("/archive/{key}", Some("get head"));
    check("/closed", None);
    assert!(!document.to_string().contains("closed"));
}

#[test]
fn names_of_components_are_valid_and_unique() {
    let ddl = r#"CREATE TABLE "a b" (i int); CREATE TABLE "a-20-b" (i int); CREATE TABLE "é" (i int); CREATE TABLE s.t (i int)"#;
    let schema = ddl::parse(&[("t.sql".into(), ddl.into())]).unwrap();
    let names: Vec<_> = schema.catalog.tables().iter().map(component_name).collect();
    assert_eq!(names, ["a-20-b", "a-2d-20-2d-b", "-e9-", "s.t"]);
}
