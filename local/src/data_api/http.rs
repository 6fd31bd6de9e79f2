//! HTTP: requests in, answers out, and the faults that befall both.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Limited};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::service::service_fn;
use hyper::{Method, Response, StatusCode, http};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};

use super::counters::Call;
use super::error::ApiError;
use super::fault::Fault;
use super::operation::Operation;
use super::request::{self, Request};
use super::{Service, control};

/// Most bytes of a request, its headers and JSON included.
const REQUEST_BYTES_MAX: usize = 4 * 1024 * 1024;

pub(super) async fn accept(listener: TcpListener, service: Arc<Service>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                tokio::spawn(serve_connection(stream, Arc::clone(&service)));
            }
            Err(error) => {
                tracing::warn!(%error, "connection not accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

async fn serve_connection(stream: TcpStream, service: Arc<Service>) {
    // Answers are small and their readers wait for them.
    stream.set_nodelay(true).ok();
    let serve = service_fn(move |request| {
        let service = Arc::clone(&service);
        // A client that goes away does not end what it asked for.
        async move {
            let answer = tokio::spawn(async move { service.receive(request).await });
            answer.await.unwrap_or_else(|_| Err(io::Error::other("the call panicked")))
        }
    });
    // An error here is a connection that was cut, by the client or by a fault.
    hyper::server::conn::http1::Builder::new()
        .serve_connection(TokioIo::new(stream), serve)
        .await
        .ok();
}

/// An answer, or the connection closed without one.
type Answer = io::Result<Response<AnswerBody>>;

/// What befalls a call after its work is done.
#[derive(Debug)]
enum Afterwards {
    Answer,
    Fail(ApiError),
    Drop,
    Cut,
}

impl Service {
    async fn receive(self: &Arc<Self>, request: http::Request<Incoming>) -> Answer {
        let (head, body) = request.into_parts();
        let limit = REQUEST_BYTES_MAX.saturating_sub(head_bytes(&head));
        let Ok(body) = Limited::new(body, limit).collect().await else {
            let error = ApiError::bad_request("The request exceeds the size limit 4 MB.");
            return Ok(self.refuse(&error));
        };
        let body = body.to_bytes();
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

    async fn call(
        self: &Arc<Self>,
        operation: Operation,
        request: &Request<'_>,
        bytes_in: usize,
    ) -> Answer {
        let parameter_sets = request.parameter_sets.as_ref().map_or(0, Vec::len);
        let transaction_id = request.transaction_id.as_deref();
        self.counters.count(operation, &Call { transaction_id, bytes_in, parameter_sets });
        let mut afterwards = Afterwards::Answer;
        let mut sql_fault = None;
        for fault in self.faults.take(operation) {
            match fault {
                Fault::Delay(time) => tokio::time::sleep(time).await,
                Fault::FailBefore(name) => return Ok(self.refuse(&ApiError::injected(&name))),
                Fault::Timeout => return Ok(self.refuse(&ApiError::statement_timeout(None))),
                Fault::DropRequest => return Err(cut()),
                Fault::Resume(takes) => self.pause.pause(takes),
                Fault::LoseTransaction => {
                    if let Some(id) = transaction_id {
                        self.sessions.lose(id).await;
                    }
                }
                Fault::Restart => {
                    if self.sessions.terminate().await.is_err() {
                        tracing::warn!("sessions could not be ended");
                    }
                }
                Fault::Sql(state) => sql_fault = Some(state),
                Fault::FailAfter(name) => afterwards = Afterwards::Fail(ApiError::injected(&name)),
                Fault::TimeoutAfter => {
                    afterwards = Afterwards::Fail(ApiError::statement_timeout(None));
                }
                Fault::DropAnswer => afterwards = Afterwards::Drop,
                Fault::CutAnswer => afterwards = Afterwards::Cut,
            }
        }
        let result = self.perform(operation, request, sql_fault.as_deref()).await;
        match (afterwards, result) {
            (Afterwards::Drop, _) => Err(cut()),
            (Afterwards::Fail(error), _) | (Afterwards::Answer, Err(error)) => {
                Ok(self.refuse(&error))
            }
            (Afterwards::Answer, Ok(value)) => {
                let response = response(200, &value);
                self.counters.count_answer(response.body().bytes.len(), None);
                Ok(response)
            }
            (Afterwards::Cut, result) => {
                let mut response = match result {
                    Ok(value) => response(200, &value),
                    Err(error) => self.refuse(&error),
                };
                response.body_mut().is_cut = true;
                Ok(response)
            }
        }
    }

    fn refuse(&self, error: &ApiError) -> Response<AnswerBody> {
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
        self.counters.count_answer(response.body().bytes.len(), Some(&error.name));
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

fn cut() -> io::Error {
    io::Error::other("cut by a fault")
}

fn response(status: u16, value: &Value) -> Response<AnswerBody> {
    let body = AnswerBody { bytes: value.to_string().into(), is_cut: false };
    let mut response = Response::new(body);
    *response.status_mut() =
        StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if let Ok(id) = uuid::Uuid::new_v4().to_string().parse() {
        headers.insert(HeaderName::from_static("x-amzn-requestid"), id);
    }
    response
}

/// The bytes of an answer, or only the first half of them.
#[derive(Debug)]
pub(super) struct AnswerBody {
    bytes: Bytes,
    is_cut: bool,
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if self.bytes.is_empty() {
            return Poll::Ready(None);
        }
        if !self.is_cut {
            let bytes = std::mem::take(&mut self.bytes);
            return Poll::Ready(Some(Ok(Frame::data(bytes))));
        }
        let half = self.bytes.len() / 2;
        Poll::Ready(Some(match half {
            0 => Err(cut()),
            half => {
                let first = self.bytes.split_to(half);
                // One byte stays, so that the body does not seem to be at its end.
                self.bytes.truncate(1);
                Ok(Frame::data(first))
            }
        }))
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.bytes.len() as u64)
    }
}
