//! A real program in its own process, behind a Lambda Runtime API. Tests can kill it.

use std::collections::BTreeMap;
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lambda_events::sqs::SqsEvent;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::{Request, Response};
use local_stack::http_server::HttpServer;
use serde_json::Value;
use tokio::process::{Child, Command};
use tokio::sync::{Mutex, mpsc, oneshot};

use aurora_sync::functions::tables::CATALOG_KEY;

use super::World;
use super::fake_aws::{CATALOG, FakeAws};

/// An invocation: the event, and the channel of its response.
type Invocation = (String, oneshot::Sender<Value>);

/// A program as Lambda runs it.
pub(crate) struct Function {
    program: &'static str,
    environment: Vec<(&'static str, String)>,
    invocations: mpsc::Sender<Invocation>,
    process: Option<Child>,
    _server: HttpServer,
}

/// The state that the connections of the Runtime API share.
struct RuntimeApi {
    waiting: Mutex<mpsc::Receiver<Invocation>>,
    running: Mutex<Option<oneshot::Sender<Value>>>,
}

impl Function {
    /// Prepares a program at a path such as `CARGO_BIN_EXE_apply`. `more` is its environment
    /// besides the database and the catalog.
    pub(crate) async fn new(
        world: &World,
        aws: &FakeAws,
        program: &'static str,
        more: &[(&'static str, String)],
    ) -> Self {
        let (invocations, waiting) = mpsc::channel(1);
        let api = Arc::new(RuntimeApi { waiting: Mutex::new(waiting), running: Mutex::new(None) });
        let handle = move |request| {
            let api = Arc::clone(&api);
            async move { Ok(api.respond(request).await) }
        };
        let server = HttpServer::start(handle).await.unwrap();
        let target = world.target();
        aws.put(CATALOG, CATALOG_KEY, serde_json::to_vec(&world.catalog).unwrap(), BTreeMap::new());
        let environment = [
            ("AWS_LAMBDA_RUNTIME_API", server.address().to_string()),
            ("AWS_LAMBDA_FUNCTION_NAME", "test".into()),
            ("AWS_LAMBDA_FUNCTION_VERSION", "1".into()),
            ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "512".into()),
            ("AWS_REGION", "us-east-1".into()),
            ("AWS_ACCESS_KEY_ID", "test".into()),
            ("AWS_SECRET_ACCESS_KEY", "test".into()),
            ("AWS_ENDPOINT_URL_RDS_DATA", world.server.url()),
            ("CLUSTER_ARN", target.cluster_arn),
            ("SECRET_ARN", target.secret_arn),
            ("DATABASE", target.database),
            ("ROW_SECURITY", "none".into()),
            ("LOG_LEVEL", "warn".into()),
            ("AWS_ENDPOINT_URL_S3", aws.url.clone()),
            ("CATALOG_BUCKET", CATALOG.into()),
            // Nobody invokes it: the catalog is always new.
            ("REFRESH_FUNCTION", "refresh".into()),
        ];
        let environment = environment.into_iter().chain(more.iter().cloned()).collect();
        Self { program, environment, invocations, process: None, _server: server }
    }

    fn start(&self) -> Child {
        Command::new(self.program)
            .env_clear()
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdout(Stdio::null())
            .stderr(Stdio::inherit())
            .kill_on_drop(true)
            .spawn()
            .unwrap()
    }

    /// Returns the ids of the messages that are left, or `None` if the invocation failed.
    ///
    /// Panics if the program ends by itself.
    pub(crate) async fn invoke(&mut self, event: &SqsEvent) -> Option<Vec<String>> {
        let started = self.process.take().unwrap_or_else(|| self.start());
        let process = self.process.insert(started);
        let (response, answered) = oneshot::channel();
        let event = serde_json::to_string(event).unwrap();
        let respond = async {
            self.invocations.send((event, response)).await.unwrap();
            answered.await
        };
        let response = tokio::select! {
            response = respond => response.ok()?,
            status = process.wait() => panic!("{} ended by itself: {}", self.program, status.unwrap()),
        };
        let left = response["batchItemFailures"].as_array()?;
        Some(left.iter().map(|left| left["itemIdentifier"].as_str().unwrap().to_owned()).collect())
    }

    /// Ends the process as `kill -9` does.
    pub(crate) async fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().await.unwrap();
        }
    }
}

impl RuntimeApi {
    async fn respond(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let path = request.uri().path().to_owned();
        if path.ends_with("/invocation/next") {
            let (event, response) = self.waiting.lock().await.recv().await.unwrap();
            *self.running.lock().await = Some(response);
            let deadline = SystemTime::now() + Duration::from_mins(1);
            let deadline_ms = deadline.duration_since(UNIX_EPOCH).unwrap().as_millis();
            return Response::builder()
                .header("lambda-runtime-aws-request-id", uuid::Uuid::now_v7().to_string())
                .header("lambda-runtime-deadline-ms", deadline_ms.to_string())
                .header(
                    "lambda-runtime-invoked-function-arn",
                    "arn:aws:lambda:us-east-1:0:function:test",
                )
                .body(Full::new(event.into()))
                .unwrap();
        }
        let body = request.into_body().collect().await.unwrap().to_bytes();
        if path.ends_with("/response") {
            if let Some(response) = self.running.lock().await.take() {
                response.send(serde_json::from_slice(&body).unwrap()).ok();
            }
        } else {
            // An error: the invocation has no response.
            self.running.lock().await.take();
        }
        Response::builder().status(202).body(Full::default()).unwrap()
    }
}
