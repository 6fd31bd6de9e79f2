//! A program behind a Runtime API of its own, as Lambda runs it, and the resources of its process.
//!
//! The interface is that of AWS Lambda's guide, "Using the Lambda runtime API": `next`, `response`,
//! `error`. Rust and Python functions are run and timed by the same code.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, anyhow, bail};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::{Request, Response};
use local_stack::http_server::HttpServer;
use rustix::process::Signal;
use serde_json::Value;
use tokio::sync::{Mutex, mpsc, oneshot, watch};

use ephemeral_postgres::process::Child;

/// The longest timeout of a Lambda function.
const TIMEOUT: Duration = Duration::from_mins(15);

/// A program that has not asked for work by then hangs.
const READY_WITHIN: Duration = Duration::from_mins(1);

const LOOK_EVERY: Duration = Duration::from_millis(50);

/// A running function; its process ends when it is dropped.
#[derive(Debug)]
pub(crate) struct Function {
    child: std::sync::Mutex<Child>,
    pid: u32,
    invocations: mpsc::Sender<Invocation>,
    _server: HttpServer,
    log: PathBuf,
    /// The time from exec to the first `next`.
    pub ready_after: Duration,
}

#[derive(Debug)]
struct Invocation {
    event: Bytes,
    reply: oneshot::Sender<Outcome>,
}

/// The body of the response or of the error, and the time since the event was sent.
#[derive(Debug)]
struct Outcome {
    body: Bytes,
    is_error: bool,
    took: Duration,
}

/// A response, and the time from the sending of the event to its arrival.
#[derive(Debug)]
pub(crate) struct FunctionResponse {
    pub value: Value,
    pub took: Duration,
}

/// The memory and the processor time that a process has used.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Usage {
    /// The most memory that was resident (`VmHWM`).
    pub peak_bytes: u64,
    /// Resident now (`VmRSS`).
    pub resident_bytes: u64,
    /// Processor time, in the program and for it in the kernel.
    pub cpu: Duration,
}

impl Usage {
    /// The same, but for the processor time that was used before.
    pub(crate) fn since(self, before: Self) -> Self {
        Self { cpu: self.cpu.saturating_sub(before.cpu), ..self }
    }
}

#[derive(Debug)]
struct RuntimeApi {
    waiting: Mutex<mpsc::Receiver<Invocation>>,
    running: Mutex<Option<(oneshot::Sender<Outcome>, Instant)>>,
    polled: watch::Sender<Option<Instant>>,
}

impl Function {
    /// Starts a program and waits until it asks for work. Its output goes to `log`.
    pub(crate) async fn start(mut command: Command, log: &Path) -> anyhow::Result<Self> {
        let (invocations, waiting) = mpsc::channel(1);
        let (polled, mut first_poll) = watch::channel(None);
        let api = Arc::new(RuntimeApi { waiting: waiting.into(), running: None.into(), polled });
        let server = HttpServer::start(move |request| {
            let api = Arc::clone(&api);
            async move { api.respond(request).await }
        })
        .await?;
        let output = std::fs::File::create(log)
            .with_context(|| format!("cannot write {}", log.display()))?;
        command
            .env("AWS_LAMBDA_RUNTIME_API", server.address().to_string())
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output);
        let program = command.get_program().to_string_lossy().into_owned();
        let started = Instant::now();
        let mut child = Child::spawn(command, Signal::KILL)
            .with_context(|| format!("cannot start {program}"))?;
        let polled_at = loop {
            let poll = first_poll.wait_for(Option::is_some);
            if let Ok(poll) = tokio::time::timeout(LOOK_EVERY, poll).await {
                break *poll?;
            }
            if let Some(status) = child.exit_status()? {
                bail!("{program} ended at once ({status}): {}", last_lines(log));
            }
            if started.elapsed() > READY_WITHIN {
                bail!("{program} asks for no work: {}", last_lines(log));
            }
        };
        let ready_after = polled_at.context("no poll")?.duration_since(started);
        let pid = child.id();
        let log = log.to_owned();
        Ok(Self { child: child.into(), pid, invocations, _server: server, log, ready_after })
    }

    /// Sends an event and waits for the response. Fails if the function fails.
    pub(crate) async fn invoke(&self, event: impl Into<Bytes>) -> anyhow::Result<FunctionResponse> {
        let (reply, mut replied) = oneshot::channel();
        let invocation = Invocation { event: event.into(), reply };
        self.invocations.send(invocation).await.map_err(|_| anyhow!("the Runtime API is gone"))?;
        let outcome = loop {
            match tokio::time::timeout(LOOK_EVERY, &mut replied).await {
                Ok(outcome) => break outcome.context("the invocation has no response")?,
                Err(_) => {
                    let status = self.with_child(Child::exit_status)?;
                    if let Some(status) = status {
                        bail!("the function ended ({status}): {}", last_lines(&self.log));
                    }
                }
            }
        };
        if outcome.is_error {
            let error = String::from_utf8_lossy(&outcome.body).into_owned();
            bail!("the function failed: {error}\n{}", last_lines(&self.log));
        }
        let value = serde_json::from_slice(&outcome.body).context("the response is not JSON")?;
        Ok(FunctionResponse { value, took: outcome.took })
    }

    pub(crate) fn usage(&self) -> anyhow::Result<Usage> {
        usage(self.pid)
    }

    /// Returns the output of the function so far.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    fn with_child<T>(&self, ask: impl FnOnce(&mut Child) -> T) -> T {
        ask(&mut self.child.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
    }
}

fn last_lines(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<_> = text.lines().collect();
    lines[lines.len().saturating_sub(8)..].join("\n")
}

/// Reads `/proc`, so it works on Linux only, as Lambda does.
fn usage(pid: u32) -> anyhow::Result<Usage> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))
        .context("cannot read the process's status; figures need Linux")?;
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.split_whitespace().next()?.parse::<u64>().ok().map(|kib| kib * 1024)
    };
    Ok(Usage {
        peak_bytes: field("VmHWM:").context("no VmHWM")?,
        resident_bytes: field("VmRSS:").context("no VmRSS")?,
        cpu: times(pid)?.own,
    })
}

/// The times in `/proc/PID/stat`.
#[derive(Debug)]
struct Times {
    parent: u32,
    /// The time in the program and for it in the kernel.
    own: Duration,
    /// The processor time of its children that have ended.
    of_ended_children: Duration,
}

fn times(pid: u32) -> anyhow::Result<Times> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The program's name, in parentheses, may hold blanks. After it: the state, the parent (2nd),
    // utime and stime (12th, 13th), cutime and cstime (14th, 15th; proc(5)).
    let (_, rest) = stat.rsplit_once(')').context("/proc/PID/stat has another format")?;
    let fields: Vec<u64> =
        rest.split_whitespace().map(|field| field.parse().unwrap_or_default()).collect();
    let field = |index: usize| fields.get(index - 1).copied().unwrap_or_default();
    let time =
        |ticks| Duration::from_millis(ticks * 1_000 / rustix::param::clock_ticks_per_second());
    Ok(Times {
        parent: u32::try_from(field(2)).unwrap_or_default(),
        own: time(field(12) + field(13)),
        of_ended_children: time(field(14) + field(15)),
    })
}

/// Processor time of this process: of the Data API server and the fake of S3.
pub(crate) fn own_cpu() -> anyhow::Result<Duration> {
    Ok(times(std::process::id())?.own)
}

/// Processor time of a process and its children, those that have ended too.
pub(crate) fn cpu_of_family(pid: u32) -> anyhow::Result<Duration> {
    loop {
        let Times { own, of_ended_children, .. } = times(pid)?;
        let mut cpu = own + of_ended_children;
        for entry in std::fs::read_dir("/proc")?.flatten() {
            let child = entry.file_name().to_str().and_then(|name| name.parse().ok());
            if let Some(Ok(child)) = child.map(times)
                && child.parent == pid
            {
                cpu += child.own;
            }
        }
        // One that ended meanwhile was counted nowhere, or twice.
        if times(pid)?.of_ended_children == of_ended_children {
            return Ok(cpu);
        }
    }
}

impl RuntimeApi {
    async fn respond(&self, request: Request<Incoming>) -> anyhow::Result<Response<Full<Bytes>>> {
        let path = request.uri().path().to_owned();
        if path.ends_with("/invocation/next") {
            self.polled.send_if_modified(|first| {
                let is_first = first.is_none();
                first.get_or_insert_with(Instant::now);
                is_first
            });
            let invocation = self.waiting.lock().await.recv().await;
            let Invocation { event, reply } = invocation.context("no more work")?;
            let deadline = SystemTime::now() + TIMEOUT;
            let deadline_ms = deadline.duration_since(UNIX_EPOCH)?.as_millis();
            let response = Response::builder()
                .header("content-type", "application/json")
                .header("lambda-runtime-aws-request-id", uuid::Uuid::now_v7().to_string())
                .header("lambda-runtime-deadline-ms", deadline_ms.to_string())
                .header(
                    "lambda-runtime-invoked-function-arn",
                    "arn:aws:lambda:us-east-1:000000000000:function:measured",
                )
                .body(Full::new(event))?;
            *self.running.lock().await = Some((reply, Instant::now()));
            return Ok(response);
        }
        let is_error = path.ends_with("/error");
        let body = request.into_body().collect().await?.to_bytes();
        let arrived = Instant::now();
        if let Some((reply, since)) = self.running.lock().await.take() {
            let outcome = Outcome { body, is_error, took: arrived.duration_since(since) };
            // Nobody waits where the run was interrupted.
            drop(reply.send(outcome));
        }
        Ok(Response::builder().status(202).body(Full::default())?)
    }
}
