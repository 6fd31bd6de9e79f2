//! HTTP: requests in, answers out. A client that hangs holds nothing for ever.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderName, HeaderValue, ORIGIN};
use hyper::service::service_fn;
use hyper::{HeaderMap, Method, Response, StatusCode, http};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_io_timeout::TimeoutStream;

use crate::answer_body::AnswerBody;
use crate::error::ApiError;
use crate::operation::Operation;
use crate::service::Service;
use crate::{control, request};

/// Most bytes of a request, its headers and JSON included.
const REQUEST_BYTES_MAX: usize = 4 * 1024 * 1024;

/// The most bytes that are read, and thrown away, of a request that is too large: most clients read
/// the response only when they have sent everything.
const THROWN_AWAY_BYTES_MAX: usize = 64 * 1024 * 1024;

/// The time limit for the head of a connection's next request. Clients keep theirs for shorter,
/// so that it is not us who close one that is about to be used.
const HEAD_WITHIN: Duration = Duration::from_mins(2);

/// The time limit of a body.
const BODY_WITHIN: Duration = Duration::from_mins(1);

/// The time limit for a client to read a response.
const READ_WITHIN: Duration = Duration::from_mins(1);

/// An answer, or the connection closed without one.
pub(crate) type Answer = io::Result<Response<AnswerBody>>;

/// Serves until it is dropped, and all connections with it.
pub(crate) async fn accept(listener: TcpListener, service: Arc<Service>) {
    let mut connections = JoinSet::new();
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                connections.spawn(serve_connection(stream, Arc::clone(&service)));
            }
            Err(error) => {
                tracing::warn!(%error, "connection not accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
        while connections.try_join_next().is_some() {}
    }
}

async fn serve_connection(stream: TcpStream, service: Arc<Service>) {
    // Answers are small and their readers wait for them.
    stream.set_nodelay(true).ok();
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(READ_WITHIN));
    let serve = service_fn(move |request| {
        let service = Arc::clone(&service);
        // A client that goes away does not end what it asked for.
        async move {
            let answer = tokio::spawn({
                let service = Arc::clone(&service);
                async move { service.receive(request).await }
            });
            let failure = |_| Ok(service.refuse(&ApiError::new("InternalFailure", "")));
            answer.await.unwrap_or_else(failure)
        }
    });
    // An error here is a connection that was cut, by the client, by its time or by a fault.
    hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_WITHIN)
        // A client that has said all it has to say still listens.
        .half_close(true)
        .serve_connection(TokioIo::new(Box::pin(stream)), serve)
        .await
        .ok();
}

impl Service {
    async fn receive(self: &Arc<Self>, request: http::Request<Incoming>) -> Answer {
        let (head, body) = request.into_parts();
        let limit = REQUEST_BYTES_MAX.saturating_sub(head_bytes(&head));
        let body = tokio::time::timeout(BODY_WITHIN, read_body(body, limit)).await;
        let Some(body) = body.map_err(|_| io::ErrorKind::TimedOut)?? else {
            let error = ApiError::bad_request("The request exceeds the size limit 4 MB.");
            return Ok(self.refuse(&error));
        };
        if is_from_another_page(&head.headers) {
            let message = "A web page may only ask with a signature";
            return Ok(self.refuse(&ApiError::new("AccessDeniedException", message)));
        }
        if let Some((status, value)) = control::answer(self, &head.method, head.uri.path(), &body) {
            return Ok(response(status, &value));
        }
        let operation = Some(head.uri.path()).filter(|_| head.method == Method::POST);
        let Some(operation) = operation.and_then(Operation::of_path) else {
            return Ok(self.refuse(&ApiError::new("UnknownOperationException", "")));
        };
        match request::read(&body) {
            Ok(request) => self.call(operation, &request, body.len()).await,
            Err(_) => Ok(self.refuse(&ApiError::serialization())),
        }
    }

    pub(crate) fn refuse(&self, error: &ApiError) -> Response<AnswerBody> {
        let response = refusal(error);
        self.counters.count_answer(response.body().len(), Some(&error.name));
        response
    }
}

/// The bytes of a request's head, as HTTP/1.1 has them.
fn head_bytes(head: &http::request::Parts) -> usize {
    let path = head.uri.path_and_query().map_or(1, |path| path.as_str().len());
    let line = head.method.as_str().len() + path + "  HTTP/1.1\r\n".len();
    let headers: usize =
        head.headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
    line + headers + "\r\n".len()
}

/// A whole body; `None` where it is too large, an error where the client does not end it.
async fn read_body(mut body: Incoming, limit: usize) -> io::Result<Option<Bytes>> {
    let declared = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    let mut bytes = BytesMut::with_capacity(if declared > limit { 0 } else { declared });
    let mut n_read = 0;
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(io::Error::other)?.into_data() else { continue };
        n_read += data.len();
        if n_read <= limit {
            bytes.extend_from_slice(&data);
        } else if n_read <= THROWN_AWAY_BYTES_MAX {
            bytes = BytesMut::new();
        } else {
            break;
        }
    }
    Ok((n_read <= limit).then(|| bytes.freeze()))
}

/// Returns whether the request comes from a web page of another site: any page can send a request
/// to this machine, but none can sign it without being allowed to first.
fn is_from_another_page(headers: &HeaderMap) -> bool {
    headers.contains_key(ORIGIN) && !headers.contains_key(AUTHORIZATION)
}

/// An exception as the service sends it.
pub(crate) fn refusal(error: &ApiError) -> Response<AnswerBody> {
    let mut body = json!({});
    if let (Some(message), Some(members)) = (&error.message, body.as_object_mut()) {
        members.insert("message".to_owned(), json!(message));
        if let Some(id) = error.connection_id {
            members.insert("dbConnectionId".to_owned(), json!(id));
        }
    }
    let mut response = response(error.status(), &body);
    let type_name =
        format!("{}:http://internal.amazon.com/coral/com.amazon.rdsdataservice/", error.name);
    if let Ok(value) = type_name.parse() {
        response.headers_mut().insert(HeaderName::from_static("x-amzn-errortype"), value);
    }
    response
}

pub(crate) fn response(status: u16, value: &Value) -> Response<AnswerBody> {
    let mut response = Response::new(AnswerBody::new(value.to_string()));
    *response.status_mut() =
        StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if let Ok(id) = uuid::Uuid::new_v4().to_string().parse() {
        headers.insert(HeaderName::from_static("x-amzn-requestid"), id);
    }
    response
}
