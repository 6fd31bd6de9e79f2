//! The tables that the API offers, and the changes that it takes.

use serde::Serialize;
use serde_json::{Map, Value};

use super::Deployed;
use crate::api::{Api, ApiError};

/// The offer of the API.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Offer {
    /// The version of aurora-sync.
    pub(crate) version: String,
    /// The version of the catalog of the tables.
    pub(crate) catalog_version: String,
    pub(crate) tables: Vec<Table>,
}

/// A table by its name in URLs, and the rights of the two roles on it.
#[expect(clippy::struct_excessive_bools, reason = "each is a right of its own")]
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Table {
    pub(crate) name: String,
    pub(crate) comment: Option<String>,
    /// The columns of the primary key. Empty for a table without one, or whose rows cannot be
    /// named by a write.
    pub(crate) key: Vec<String>,
    /// The columns, in the order of the table.
    pub(crate) columns: Vec<Column>,
    /// `sync_reader` may read it.
    pub(crate) is_read: bool,
    /// `sync_writer` may insert rows, and so for the others.
    pub(crate) is_inserted: bool,
    pub(crate) is_updated: bool,
    pub(crate) is_deleted: bool,
}

/// A column of a table.
#[expect(clippy::struct_excessive_bools, reason = "each is a right of its own")]
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Column {
    pub(crate) name: String,
    /// The values in words, such as `integer` or `text, at most 4 characters`.
    pub(crate) kind: String,
    pub(crate) is_nullable: bool,
    /// An insert must name it.
    pub(crate) is_required: bool,
    pub(crate) is_read: bool,
    pub(crate) is_inserted: bool,
    pub(crate) is_updated: bool,
    /// The JSON Schema of its values.
    pub(crate) schema: Value,
}

/// Tables of tests: all rights, and a key of one column.
#[cfg(test)]
impl Table {
    pub(crate) fn named(name: &str, key: &str, columns: Vec<Column>) -> Self {
        Self {
            name: name.to_owned(),
            comment: None,
            key: vec![key.to_owned()],
            columns,
            is_read: true,
            is_inserted: true,
            is_updated: true,
            is_deleted: true,
        }
    }
}

#[cfg(test)]
impl Column {
    pub(crate) fn named(name: &str, is_nullable: bool, schema: Value) -> Self {
        Self {
            name: name.to_owned(),
            kind: String::new(),
            is_nullable,
            is_required: !is_nullable,
            is_read: true,
            is_inserted: true,
            is_updated: true,
            schema,
        }
    }
}

/// Reads the offer from the API's description of itself, which has the tables read again.
pub(crate) async fn read(deployed: &Deployed) -> anyhow::Result<Offer> {
    of(&deployed.api).await
}

/// Reads the offer of an API.
pub(crate) async fn of(api: &Api) -> anyhow::Result<Offer> {
    let document: Value = api.get("/").await.map_err(ApiError::into_error)?;
    Ok(offer(&document))
}

/// Reads an offer from a description in `OpenAPI`.
fn offer(document: &Value) -> Offer {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let no_paths = Map::new();
    let paths = document["paths"].as_object().unwrap_or(&no_paths);
    let is_of_rows = |path: &&String| !path.contains('{') && !path.starts_with("/_sync/");
    let tables = paths.iter().filter(|(path, _)| is_of_rows(path));
    Offer {
        version: text(&document["info"]["version"]),
        catalog_version: text(&document["info"]["x-catalog-version"]),
        tables: tables.filter_map(|(_, methods)| table(document, methods)).collect(),
    }
}

fn table(document: &Value, methods: &Value) -> Option<Table> {
    let methods = methods.as_object()?;
    let (method, first) = methods.iter().next()?;
    let name = first["tags"][0].as_str()?.to_owned();
    // An operation is named by its word and the component of the table.
    let word = match method.as_str() {
        "get" => "list_",
        "post" => "insert_",
        "put" => "put_rows_",
        _ => "delete_rows_",
    };
    let component = first["operationId"].as_str()?.strip_prefix(word)?;
    let schema = |kind: &str| &document["components"]["schemas"][format!("{component}{kind}")];
    let has = |method: &str| methods.contains_key(method);
    let (read, inserted, updated) = (schema(""), schema("_insert"), schema("_update_by_key"));
    let settable = schema("_update");
    let names = |schema: &Value| -> Vec<String> {
        let names = schema["required"].as_array().into_iter().flatten();
        names.filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let mut key = names(schema("_key"));
    if key.is_empty() {
        // The key of an update is all that it needs, besides a version, which can be set.
        key = names(updated);
        key.retain(|name| settable["properties"].get(name).is_none());
    }
    let required = names(inserted);
    let mut columns: Vec<Column> = Vec::new();
    for source in [read, inserted, updated, schema("_key")] {
        for (name, schema) in source["properties"].as_object().into_iter().flatten() {
            if columns.iter().any(|column| column.name == *name) {
                continue;
            }
            let is_in = |source: &Value| source["properties"].get(name).is_some();
            columns.push(Column {
                name: name.clone(),
                kind: kind(schema),
                is_nullable: is_nullable(schema),
                is_required: required.contains(name),
                is_read: is_in(read),
                is_inserted: is_in(inserted),
                is_updated: is_in(settable),
                schema: schema.clone(),
            });
        }
    }
    let tags = document["tags"].as_array().into_iter().flatten();
    let comment = tags
        .filter(|tag| tag["name"] == name.as_str())
        .filter_map(|tag| tag["description"].as_str())
        .find(|text| *text != format!("The rows of {name}."))
        .map(str::to_owned);
    Some(Table {
        comment,
        key,
        columns,
        is_read: has("get"),
        is_inserted: has("post"),
        is_updated: has("patch"),
        is_deleted: has("delete"),
        name,
    })
}

fn is_nullable(schema: &Value) -> bool {
    match &schema["type"] {
        Value::Array(kinds) => kinds.iter().any(|kind| kind == "null"),
        // A schema without a type allows every value.
        Value::Null => true,
        _ => false,
    }
}

/// Describes the values of a column.
fn kind(schema: &Value) -> String {
    let kind = match &schema["type"] {
        Value::Array(kinds) => {
            kinds.iter().find_map(|kind| kind.as_str().filter(|kind| *kind != "null"))
        }
        other => other.as_str(),
    };
    let Some(kind) = kind else { return "any".to_owned() };
    let named = match (kind, schema["format"].as_str()) {
        ("string", None) => "text",
        ("string" | "number", Some(format)) => format,
        (kind, _) => kind,
    };
    if let Some(labels) = schema["enum"].as_array() {
        let labels: Vec<_> = labels.iter().filter_map(Value::as_str).collect();
        return format!("one of {}", labels.join(", "));
    }
    match schema["maxLength"].as_u64() {
        Some(length) => format!("{named}, at most {length} characters"),
        None => named.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_offer_has_the_rights_the_key_and_the_columns_of_each_table() {
        let properties = json!({
            "id": { "type": "string", "maxLength": 4 },
            "age": { "type": ["integer", "null"], "format": "int32" },
        });
        let operation = |id: &str| json!({ "operationId": id, "tags": ["staff"] });
        let document = json!({
            "info": { "version": "1.0.0", "x-catalog-version": "ab" },
            "tags": [{ "name": "staff", "description": "The people." }],
            "paths": {
                "/staff": {
                    "get": operation("list_staff"),
                    "post": operation("insert_staff"),
                    "patch": operation("patch_rows_staff"),
                },
                "/staff/{key}": {},
                "/_sync/writes": { "get": operation("list__sync_write") },
            },
            "components": { "schemas": {
                "staff": { "properties": properties },
                "staff_insert": { "properties": properties, "required": ["id"] },
                "staff_update": { "properties": { "age": {} } },
                "staff_update_by_key": { "properties": properties, "required": ["id"] },
            } },
        });
        let offer = offer(&document);
        assert_eq!((offer.version.as_str(), offer.tables.len()), ("1.0.0", 1));
        let table = &offer.tables[0];
        assert_eq!((table.name.as_str(), table.comment.as_deref()), ("staff", Some("The people.")));
        assert_eq!(table.key, ["id"]);
        assert!(table.is_read && table.is_inserted && table.is_updated && !table.is_deleted);
        let kinds: Vec<_> = table.columns.iter().map(|column| column.kind.as_str()).collect();
        assert_eq!(kinds, ["text, at most 4 characters", "integer"]);
        let [id, age] = &table.columns[..] else { panic!("two columns: {table:?}") };
        assert!(id.is_required && !id.is_nullable && !id.is_updated);
        assert!(!age.is_required && age.is_nullable && age.is_updated);
    }
}
