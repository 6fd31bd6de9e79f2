//! Look-ups by the URL that a client writes.

use aurora_sync::domain::deadline::Deadline;
use aurora_sync::functions::lookup;
use aurora_sync::functions::runtime::Invocation;
use aws_lambda_events::apigw::ApiGatewayV2httpRequest;
use serde_json::Value;
use url::Url;

use super::{HttpResponse, World, deadline, http_api};

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
        let function = self.lookup_function();
        let event: ApiGatewayV2httpRequest =
            serde_json::from_value(event(method, address, headers)).unwrap();
        lookup::handle(&function, event, Invocation::until(deadline)).await.into()
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
    let target = next_link(response)?;
    let (path, _) = address.split_once('?').unwrap_or((address, ""));
    Some(format!("{path}{target}"))
}

/// Returns the address that a link leads to from the response of another address.
pub(crate) fn resolved(address: &str, reference: &Value) -> String {
    let url = Url::parse("http://api/").unwrap().join(address).unwrap();
    let found = url.join(reference.as_str().unwrap()).unwrap();
    found.as_str().strip_prefix("http://api").unwrap().to_owned()
}

/// Returns the reference to the next page.
pub(crate) fn next_link(response: &HttpResponse) -> Option<String> {
    let link = response.header("link").strip_prefix('<')?;
    let (target, rest) = link.split_once('>').unwrap();
    assert_eq!(rest, "; rel=\"next\"");
    Some(target.to_owned())
}

/// Returns the event that API Gateway makes of a request without a body.
pub(crate) fn event(method: &str, address: &str, headers: &[(&str, &str)]) -> Value {
    http_api::event(method, address, headers, b"")
}
