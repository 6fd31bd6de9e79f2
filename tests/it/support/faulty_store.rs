//! S3 with one object, behind HTTP: it serves ranges, and has faults on demand.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use aws_config::SdkConfig;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::sdk_config;

/// The behavior of one `GetObject` call.
#[derive(Debug, Clone)]
pub(crate) enum Behavior {
    /// The response has the whole range.
    Whole,
    /// The connection breaks after this many bytes.
    Break(usize),
    /// The response is a shorter range of this many bytes.
    Short(usize),
    /// The connection closes without a response.
    Hang,
    /// The call fails with this status and code.
    Fail(u16, &'static str),
    /// The range is of another object.
    OtherETag,
    /// The object has grown.
    Grown,
    /// The range is ignored, and the response has the whole object.
    All,
}

#[derive(Debug, Default)]
struct State {
    behaviors: VecDeque<Behavior>,
    /// The requested ranges, in order of arrival.
    requested: Vec<Range<usize>>,
    /// The `If-Match` header of each request.
    if_match: Vec<Option<String>>,
    /// The path and query of each request.
    paths: Vec<String>,
}

/// One object under every key.
#[derive(Debug)]
pub(crate) struct FaultyStore {
    pub sdk_config: SdkConfig,
    state: Arc<Mutex<State>>,
}

impl FaultyStore {
    /// The first calls behave in these ways, in order. All later calls return their range.
    pub(crate) async fn of(content: Vec<u8>, behaviors: &[Behavior]) -> Self {
        let state = State { behaviors: behaviors.iter().cloned().collect(), ..State::default() };
        let state = Arc::new(Mutex::new(state));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (shared, content) = (state.clone(), Arc::new(content));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, shared.clone(), content.clone()));
            }
        });
        let config = sdk_config(&format!("http://{address}"));
        Self { sdk_config: config, state }
    }

    pub(crate) fn requested(&self) -> Vec<Range<usize>> {
        self.locked(|state| state.requested.clone())
    }

    pub(crate) fn if_match(&self) -> Vec<Option<String>> {
        self.locked(|state| state.if_match.clone())
    }

    pub(crate) fn paths(&self) -> Vec<String> {
        self.locked(|state| state.paths.clone())
    }

    /// Returns the number of behaviors that no call has had.
    pub(crate) fn left(&self) -> usize {
        self.locked(|state| state.behaviors.len())
    }

    fn locked<T>(&self, ask: impl FnOnce(&State) -> T) -> T {
        ask(&self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Serves one call a connection.
async fn serve(mut stream: TcpStream, state: Arc<Mutex<State>>, content: Arc<Vec<u8>>) {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => request.push(byte),
            Err(_) => return,
        }
    }
    let request = String::from_utf8(request).unwrap();
    let header = |name: &str| {
        let line = request.lines().find(|line| {
            line.split_once(':').is_some_and(|(found, _)| found.eq_ignore_ascii_case(name))
        });
        line.and_then(|line| line.split_once(": ")).map(|(_, value)| value.to_owned())
    };
    let range = header("range").unwrap();
    let (start, end) = range.strip_prefix("bytes=").unwrap().split_once('-').unwrap();
    let range = start.parse().unwrap()..end.parse::<usize>().unwrap() + 1;
    let behavior = {
        let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
        state.requested.push(range.clone());
        state.if_match.push(header("if-match"));
        state.paths.push(request.split(' ').nth(1).unwrap().to_owned());
        state.behaviors.pop_front().unwrap_or(Behavior::Whole)
    };
    let size = content.len();
    let (mut etag, mut total, mut range) = ("one", size, range);
    let mut sent = range.len();
    let mut is_whole = false;
    match behavior {
        Behavior::Whole => {}
        Behavior::Break(bytes) => sent = bytes,
        Behavior::Short(bytes) => {
            range.end = range.start + bytes;
            sent = bytes;
        }
        Behavior::Hang => return,
        Behavior::Fail(status, code) => {
            let body = format!("<Error><Code>{code}</Code><Message>no</Message></Error>");
            let length = body.len();
            let response = format!(
                "HTTP/1.1 {status} No\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
            );
            stream.write_all(response.as_bytes()).await.ok();
            return;
        }
        Behavior::OtherETag => etag = "other",
        Behavior::Grown => total += 1,
        Behavior::All => {
            range = 0..size;
            sent = size;
            is_whole = true;
        }
    }
    let content_range =
        format!("content-range: bytes {}-{}/{total}\r\n", range.start, range.end - 1);
    let (status, content_range) =
        if is_whole { ("200 OK", "") } else { ("206 Partial Content", content_range.as_str()) };
    let head = format!(
        "HTTP/1.1 {status}\r\ncontent-length: {}\r\n{content_range}etag: \"{etag}\"\r\nconnection: close\r\n\r\n",
        range.len(),
    );
    stream.write_all(head.as_bytes()).await.ok();
    let body = content.get(range).unwrap_or_default();
    stream.write_all(body.get(..sent).unwrap_or(body)).await.ok();
}
