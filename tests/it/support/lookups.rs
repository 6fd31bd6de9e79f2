//! Look-ups by the URL that a client writes.

use aurora_sync::domain::deadline::Deadline;
use aurora_sync::functions::lookup::{self, Lookup};
use aws_lambda_events::apigw::ApiGatewayProxyRequest;
use percent_encoding::percent_decode_str;
use serde_json::{Map, Value, json};

use super::{HttpResponse, World, deadline};

impl World {
    /// Sends a `GET` for an address such as `/staff?age=gte.3`.
    pub(crate) async fn read(&self, address: &str, headers: &[(&str, &str)]) -> HttpResponse {
        self.request("GET", address, headers, deadline()).await
    }

    /// Sends a request with this method and deadline.
    pub(crate) async fn request(
        &self,
        method: &str,
        address: &str,
        headers: &[(&str, &str)],
        deadline: Deadline,
    ) -> HttpResponse {
        let function = Lookup { tables: self.tables(), data_api: self.reader.clone() };
        let event = event(method, address, headers);
        let event: ApiGatewayProxyRequest = serde_json::from_value(event).unwrap();
        lookup::handle(&function, event, deadline).await.into()
    }

    /// Reads all rows of an address, page by page. Returns them with the sizes of the pages.
    pub(crate) async fn walk(&self, address: &str) -> (Vec<Value>, Vec<usize>) {
        let (mut rows, mut sizes) = (Vec::new(), Vec::new());
        let mut next = Some(address.to_owned());
        while let Some(address) = next {
            let response = self.read(&address, &[]).await;
            assert_eq!(response.status, 200, "{}", response.body);
            let page = response.json().as_array().unwrap().clone();
            sizes.push(page.len());
            rows.extend(page);
            next = next_page(&address, &response);
        }
        (rows, sizes)
    }
}

/// Returns the address of the next page as a client resolves it.
pub(crate) fn next_page(address: &str, response: &HttpResponse) -> Option<String> {
    let link = response.header("link").strip_prefix('<')?;
    let (target, rest) = link.split_once('>').unwrap();
    assert_eq!(rest, "; rel=\"next\"");
    let (path, _) = address.split_once('?').unwrap_or((address, ""));
    Some(format!("{path}{target}"))
}

/// Returns the event that API Gateway makes of a request.
pub(crate) fn event(method: &str, address: &str, headers: &[(&str, &str)]) -> Value {
    let decode =
        |text: &str| percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned();
    let (path, query) = address.split_once('?').unwrap_or((address, ""));
    let mut parameters: Map<String, Value> = Map::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, text) = pair.split_once('=').unwrap_or((pair, ""));
        let values = parameters.entry(decode(name)).or_insert_with(|| json!([]));
        values.as_array_mut().unwrap().push(decode(text).into());
    }
    let steps: Vec<_> = path.split('/').skip(1).map(decode).collect();
    let steps: Vec<_> = steps.iter().map(String::as_str).collect();
    let (resource, path_parameters) = match steps.as_slice() {
        [""] => ("/", json!({})),
        ["_sync", "writes", id] => ("/_sync/writes/{id}", json!({ "id": id })),
        ["_sync", "imports"] => ("/_sync/imports", json!({})),
        ["_sync", "imports", id] => ("/_sync/imports/{id}", json!({ "id": id })),
        ["_sync", "imports", id, "rejects"] => ("/_sync/imports/{id}/rejects", json!({ "id": id })),
        [table] => ("/{table}", json!({ "table": table })),
        [table, key] => ("/{table}/{key}", json!({ "table": table, "key": key })),
        _ => panic!("{path}"),
    };
    let mut lines: Map<String, Value> = Map::new();
    for (name, value) in headers {
        let values = lines.entry((*name).to_owned()).or_insert_with(|| json!([]));
        values.as_array_mut().unwrap().push((*value).into());
    }
    json!({
        "resource": resource,
        "path": path,
        "httpMethod": method,
        "multiValueHeaders": lines,
        "pathParameters": path_parameters,
        "multiValueQueryStringParameters": parameters,
        "requestContext": { "httpMethod": method, "path": format!("/v1{path}") },
    })
}
