//! An RDS Data API over a real PostgreSQL, as the service answers for Aurora PostgreSQL.
//!
//! Follows the public documentation and what others measured on real clusters; where the truth is
//! not known, it takes the harsher reading (`DATA_API_SERVER.md` lists both). Owns no data: what it is
//! told goes to PostgreSQL.

pub mod cli;
mod connection;
mod error;
mod faults;
mod operation;
mod placeholder;
mod request;
mod result;
mod sessions;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Method, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use self::error::ApiError;
pub use self::faults::{Counters, Fault, Faults};
use self::operation::Operation;
use self::request::Request;
use self::sessions::Sessions;

/// Most bytes of a request, its headers included.
const REQUEST_BYTES_MAX: usize = 4 * 1024 * 1024;

/// What a server needs to know.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// The server, and the database of requests that name none.
    pub database_url: String,
    /// Where set, no other is accepted.
    pub cluster_arn: Option<String>,
    pub secret_arn: Option<String>,
}

/// A running server; stops when it is dropped.
#[derive(Debug)]
pub struct DataApi {
    address: SocketAddr,
    service: Arc<Service>,
    task: JoinHandle<()>,
}

/// What all connections share.
#[derive(Debug)]
struct Service {
    sessions: Sessions,
    cluster_arn: Option<String>,
    secret_arn: Option<String>,
    faults: Faults,
    counters: Counters,
}

impl DataApi {
    /// Listens, and makes sure that PostgreSQL answers.
    pub async fn start(settings: Settings) -> anyhow::Result<Self> {
        let config: tokio_postgres::Config =
            settings.database_url.parse().context("the database's URL cannot be read")?;
        let sessions = Sessions::new(config);
        match sessions.take(None).await {
            Ok(pooled) => pooled.release().await,
            Err(connection::PgError::Sql(error)) => {
                anyhow::bail!("PostgreSQL refuses: {}", error.message)
            }
            Err(connection::PgError::Connection(error)) => {
                return Err(error).context("PostgreSQL does not answer");
            }
        }
        let listener = TcpListener::bind(settings.listen).await;
        let listener = listener.with_context(|| format!("cannot listen on {}", settings.listen))?;
        let address = listener.local_addr()?;
        let service = Arc::new(Service {
            sessions,
            cluster_arn: settings.cluster_arn,
            secret_arn: settings.secret_arn,
            faults: Faults::default(),
            counters: Counters::default(),
        });
        let task = tokio::spawn(accept(listener, Arc::clone(&service)));
        Ok(Self { address, service, task })
    }

    /// Such as `http://127.0.0.1:8123`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn faults(&self) -> &Faults {
        &self.service.faults
    }

    pub fn counters(&self) -> &Counters {
        &self.service.counters
    }

    /// Moves the clock of transactions on.
    pub fn pass(&self, time: Duration) {
        self.service.sessions.pass(time);
    }

    /// Runs until it fails.
    pub async fn join(mut self) {
        (&mut self.task).await.ok();
    }
}

impl Drop for DataApi {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, service: Arc<Service>) {
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

type Answer = Result<Response<Full<Bytes>>, io::Error>;

impl Service {
    /// One request, from receiving it to its answer. An error closes the connection.
    async fn receive(&self, request: hyper::Request<Incoming>) -> Answer {
        let (head, body) = request.into_parts();
        let head_bytes: usize =
            head.headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
        let limit = REQUEST_BYTES_MAX.saturating_sub(head_bytes);
        let Ok(body) = Limited::new(body, limit).collect().await else {
            return Ok(error_answer(&ApiError::bad_request(
                "The request exceeds the size limit 4 MB.",
            )));
        };
        let body = body.to_bytes();
        match (&head.method, head.uri.path()) {
            (&Method::GET, "/_control/counters") => Ok(answer(200, &json(&self.counters.counts()))),
            (&Method::POST, "/_control/faults") => Ok(self.add_fault(&body)),
            (&Method::POST, path) => match Operation::of_path(path) {
                Some(operation) => self.call(operation, &body).await,
                None => Ok(error_answer(&ApiError::new("UnknownOperationException", ""))),
            },
            _ => Ok(error_answer(&ApiError::new("UnknownOperationException", ""))),
        }
    }

    async fn call(&self, operation: Operation, body: &[u8]) -> Answer {
        let fault = self.faults.take(operation.name());
        match &fault {
            Some(Fault::DropRequest) => return Err(io::Error::other("fault")),
            Some(Fault::FailBefore(exception)) => {
                self.counters.count(operation.name(), body.len(), 0);
                return Ok(error_answer(&injected(exception)));
            }
            _ => {}
        }
        let result = match serde_json::from_slice::<Request>(body) {
            Ok(request) => {
                let sets = request.parameter_sets.as_ref().map_or(0, Vec::len);
                self.counters.count(operation.name(), body.len(), sets);
                self.perform(operation, &request).await
            }
            Err(_) => Err(ApiError::new(
                "SerializationException",
                "The request is not what the model says",
            )),
        };
        match fault {
            Some(Fault::DropAnswer) => Err(io::Error::other("fault")),
            Some(Fault::FailAfter(exception)) => Ok(error_answer(&injected(&exception))),
            _ => {
                let answer = match result {
                    Ok(value) => answer(200, &value),
                    Err(error) => error_answer(&error),
                };
                self.counters.count_answer(hyper::body::Body::size_hint(answer.body()).lower());
                Ok(answer)
            }
        }
    }

    fn add_fault(&self, body: &[u8]) -> Response<Full<Bytes>> {
        #[derive(serde::Deserialize)]
        struct Order {
            operation: String,
            fault: Fault,
        }
        match serde_json::from_slice::<Order>(body) {
            Ok(order) => {
                self.faults.add(&order.operation, order.fault);
                answer(200, &Value::Object(serde_json::Map::new()))
            }
            Err(error) => error_answer(&ApiError::validation(error.to_string())),
        }
    }
}

fn injected(exception: &str) -> ApiError {
    let message = match exception {
        "DatabaseResumingException" => {
            "The Aurora DB instance db-LOCAL is resuming after being auto-paused. Please wait a few seconds and try again."
        }
        "ThrottlingException" => "Rate exceeded",
        "DatabaseErrorException" => "ERROR: deadlock detected; SQLState: 40P01",
        _ => "injected fault",
    };
    ApiError::new(exception, message)
}

fn json(value: &impl serde::Serialize) -> Value {
    serde_json::to_value(value).unwrap_or_default()
}

fn answer(status: u16, value: &Value) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(value.to_string())));
    *response.status_mut() =
        StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert("content-type", hyper::header::HeaderValue::from_static("application/json"));
    if let Ok(id) = uuid::Uuid::new_v4().to_string().parse() {
        headers.insert("x-amzn-requestid", id);
    }
    response
}

fn error_answer(error: &ApiError) -> Response<Full<Bytes>> {
    let body = match &error.message {
        Some(message) => serde_json::json!({ "message": message }),
        None => Value::Object(serde_json::Map::new()),
    };
    let mut response = answer(error.status, &body);
    let type_name =
        format!("{}:http://internal.amazon.com/coral/com.amazon.rdsdataservice/", error.name);
    if let Ok(value) = type_name.parse() {
        response.headers_mut().insert("x-amzn-errortype", value);
    }
    response
}
