//! The door: takes writes, refuses what can be known to be wrong, queues the rest, answers 202.
//!
//! Has no access to the database: what only the database knows is settled by [`crate::apply`] and
//! shown at the status URL.

use std::time::{SystemTime, UNIX_EPOCH};

use aurora_sync_catalog::{Catalog, Table};
use aws_lambda_events::apigw::{ApiGatewayProxyRequest, ApiGatewayProxyResponse};
use aws_lambda_events::http::Method;
use aws_lambda_events::http::header::{ALLOW, CONTENT_TYPE, HeaderName, LOCATION};
use serde::Serialize;
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::aws::queue::{Queue, SEND_MAX};
use crate::http::{Request, Response, Route};
use crate::key::Key;
use crate::problem::{FieldFault, Kind, Problem, nearest};
use crate::row::{self, JsonRow};
use crate::write::{MESSAGE_BYTES_MAX, Message, Operation, Write, pack};

/// Most bytes of a body: a Lambda event holds 6 MB, in which a body may be escaped or Base64.
const BODY_BYTES_MAX: usize = 4 * 1024 * 1024;

/// How often a message that the queue did not take is sent again within one request.
const SEND_ATTEMPTS_MAX: usize = 3;

/// What the function needs.
#[derive(Debug)]
pub struct Enqueue {
    pub catalog: Catalog,
    pub queue: Queue,
    /// Number of message groups: the bound on writes applied beside each other.
    pub partitions: u32,
}

/// One accepted write, in an answer.
#[derive(Debug, Serialize)]
struct AcceptedWrite {
    id: Uuid,
    status: String,
}

impl AcceptedWrite {
    fn new(id: Uuid) -> Self {
        Self { id, status: format!("/_sync/writes/{id}") }
    }
}

/// Answers one request. Never fails: an error is an answer too.
pub async fn handle(enqueue: &Enqueue, event: ApiGatewayProxyRequest) -> ApiGatewayProxyResponse {
    let response = match Request::from_event(event) {
        Ok(request) => answer(enqueue, &request).await,
        Err(problem) => problem.into(),
    };
    response.into()
}

async fn answer(enqueue: &Enqueue, request: &Request) -> Response {
    let is_array = first_byte(&request.body) == Some(b'[');
    let writes = match accept(&enqueue.catalog, request, now_ms()) {
        Ok(writes) => writes,
        Err(Refusal { problem, allow }) => {
            tracing::info!(
                status = problem.status,
                faults = problem.errors.len(),
                "request refused"
            );
            let response = Response::from(*problem);
            return match allow {
                Some(allow) => response.with_header(ALLOW, allow),
                None => response,
            };
        }
    };
    let ids: Vec<_> = writes.iter().map(|write| write.id).collect();
    let sent = send(enqueue, pack(writes, enqueue.partitions)).await;
    if !sent.lost.is_empty() {
        tracing::error!(
            accepted = sent.accepted.len(),
            lost = sent.lost.len(),
            "queue did not take all writes"
        );
        return unavailable(&ids, &sent.accepted);
    }
    tracing::info!(writes = ids.len(), first_id = %ids.first().copied().unwrap_or_default(), "writes accepted");
    match ids.as_slice() {
        [id] if !is_array => {
            let accepted = AcceptedWrite::new(*id);
            Response::json(202, &accepted).with_header(LOCATION, &accepted.status)
        }
        _ => Response::json(202, &AcceptedWrites::of(&ids)),
    }
}

/// The answer for an array: an id an item, in the order of the items.
#[derive(Debug, Serialize)]
struct AcceptedWrites {
    writes: Vec<AcceptedWrite>,
}

impl AcceptedWrites {
    fn of(ids: &[Uuid]) -> Self {
        Self { writes: ids.iter().copied().map(AcceptedWrite::new).collect() }
    }
}

/// Why a request is refused.
#[derive(Debug)]
struct Refusal {
    problem: Box<Problem>,
    /// The methods that the path takes, for 405.
    allow: Option<&'static str>,
}

impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Self {
        Self { problem: Box::new(problem), allow: None }
    }
}

/// The writes that a request asks for, all or none.
fn accept(catalog: &Catalog, request: &Request, now_ms: i64) -> Result<Vec<Write>, Refusal> {
    let (table, path_key) = match &request.route {
        Route::Table(table) => (table, None),
        Route::Row(table, key) => (table, Some(key)),
        _ => {
            return Err(Problem::new(
                Kind::UnknownRoute,
                "Writes go to /{table} or /{table}/{key}.",
            )
            .into());
        }
    };
    let table = find_table(catalog, table)?;
    let operation = operation(request, path_key.is_some())?;
    let key = path_key.map(|path| key_of_path(table, path)).transpose()?;
    if operation == Operation::Delete {
        let key = key
            .ok_or_else(|| Problem::new(Kind::InvalidKey, "DELETE takes a key: /{table}/{key}."))?;
        let cells = table.key_columns().zip(key.parts());
        let row =
            cells.map(|(column, part)| (column.name.clone(), Some(part.to_owned()))).collect();
        return Ok(vec![new_write(table, operation, Some(key), row, now_ms)]);
    }
    if operation == Operation::Update && table.primary_key.is_empty() {
        return Err(Problem::new(
            Kind::InvalidKey,
            "The table has no primary key, so none of its rows can be updated.",
        )
        .into());
    }
    let rows = read_rows(request)?;
    if key.is_some() && rows.is_array {
        return Err(Problem::new(
            Kind::MalformedBody,
            "A path that names one row takes one object, not an array.",
        )
        .into());
    }
    let mut writes = Vec::with_capacity(rows.rows.len());
    let mut faults: Vec<FieldFault> = Vec::new();
    for (place, row) in rows.rows.iter().enumerate() {
        let pointer = if rows.is_array { format!("/{place}") } else { String::new() };
        match row::check(table, operation, key.as_ref(), row, &pointer) {
            Ok(row) => {
                let operation = match operation {
                    // Without a key there is nothing that a new row could meet.
                    Operation::Upsert | Operation::InsertIgnore if row.key.is_none() => {
                        Operation::Insert
                    }
                    other => other,
                };
                writes.push(new_write(table, operation, row.key, row.cells, now_ms));
            }
            Err(found) => faults.extend(found),
        }
    }
    if !faults.is_empty() {
        let detail = format!("{} fault(s); nothing was accepted.", faults.len());
        return Err(Problem::new(Kind::InvalidWrite, detail).with_errors(faults).into());
    }
    if let Some(place) = writes.iter().position(is_too_large) {
        let detail = format!(
            "Row {place} is over the {MESSAGE_BYTES_MAX} bytes that a queue message holds."
        );
        return Err(Problem::new(Kind::TooLarge, detail).into());
    }
    Ok(writes)
}

fn new_write(
    table: &Table,
    operation: Operation,
    key: Option<Key>,
    row: Vec<crate::write::Cell>,
    accepted_at_ms: i64,
) -> Write {
    Write {
        id: Uuid::now_v7(),
        table: table.path(),
        operation,
        key,
        row,
        accepted_at_ms,
        fingerprint: None,
    }
}

fn is_too_large(write: &Write) -> bool {
    serde_json::to_vec(write).is_ok_and(|body| body.len() > MESSAGE_BYTES_MAX)
}

/// The table, or which one may be meant.
pub fn find_table<'a>(catalog: &'a Catalog, name: &str) -> Result<&'a Table, Problem> {
    catalog.table(name).ok_or_else(|| {
        let paths: Vec<_> = catalog.tables().iter().map(Table::path).collect();
        let detail = match nearest(name, paths.iter().map(String::as_str)) {
            Some(near) => format!("Did you mean /{near}?"),
            None => format!("The tables are: {}.", paths.join(", ")),
        };
        Problem::new(Kind::UnknownTable, detail)
    })
}

/// The key that a path names.
pub fn key_of_path(table: &Table, path: &str) -> Result<Key, Problem> {
    Key::from_path(table, path).map_err(|error| Problem::new(Kind::InvalidKey, format!("{error}.")))
}

fn operation(request: &Request, has_key: bool) -> Result<Operation, Refusal> {
    let allow = if has_key { "GET, PUT, PATCH, DELETE" } else { "GET, POST, PUT, PATCH" };
    match (&request.method, has_key) {
        (&Method::POST, false) => Ok(match preferred_resolution(request) {
            Some("merge-duplicates") => Operation::Upsert,
            Some("ignore-duplicates") => Operation::InsertIgnore,
            _ => Operation::Insert,
        }),
        (&Method::PUT | &Method::PATCH, _) => Ok(Operation::Update),
        (&Method::DELETE, true) => Ok(Operation::Delete),
        _ => Err(Refusal {
            problem: Box::new(Problem::new(
                Kind::MethodNotAllowed,
                format!("This path takes {allow}."),
            )),
            allow: Some(allow),
        }),
    }
}

/// `Prefer: resolution=…`, spelt as in PostgREST.
fn preferred_resolution(request: &Request) -> Option<&str> {
    request
        .header(HeaderName::from_static("prefer"))?
        .split([',', ';'])
        .find_map(|preference| preference.trim().strip_prefix("resolution="))
}

/// The rows of a body.
#[derive(Debug)]
struct Rows<'a> {
    rows: Vec<JsonRow<'a>>,
    is_array: bool,
}

fn read_rows(request: &Request) -> Result<Rows<'_>, Problem> {
    let media_type = request.header(CONTENT_TYPE).unwrap_or("application/json");
    let essence = media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if essence != "application/json" {
        return Err(Problem::new(
            Kind::UnsupportedMediaType,
            "Send Content-Type: application/json.",
        ));
    }
    if request.body.len() > BODY_BYTES_MAX {
        let detail =
            format!("A body holds at most {BODY_BYTES_MAX} bytes; send more rows as a CSV file.");
        return Err(Problem::new(Kind::TooLarge, detail));
    }
    let text = std::str::from_utf8(&request.body).map_err(|error| {
        let detail = format!("The body is not UTF-8: see byte {}.", error.valid_up_to());
        Problem::new(Kind::MalformedBody, detail)
    })?;
    if first_byte(&request.body) == Some(b'[') {
        // Item by item, so that a fault names the item.
        let items: Vec<&RawValue> = serde_json::from_str(text).map_err(|error| not_json(&error))?;
        if items.is_empty() {
            return Err(Problem::new(Kind::MalformedBody, "The array holds no row."));
        }
        let rows = items
            .iter()
            .enumerate()
            .map(|(place, item)| {
                serde_json::from_str(item.get()).map_err(|_| {
                    Problem::new(
                        Kind::MalformedBody,
                        format!("Item {place} of the array is not an object."),
                    )
                })
            })
            .collect::<Result<_, _>>()?;
        Ok(Rows { rows, is_array: true })
    } else {
        let row = serde_json::from_str(text).map_err(|error| not_json(&error))?;
        Ok(Rows { rows: vec![row], is_array: false })
    }
}

/// Says where a body stops being JSON, without repeating what stands there.
fn not_json(error: &serde_json::Error) -> Problem {
    let detail = if error.is_data() {
        "The body is neither an object nor an array of objects.".to_owned()
    } else {
        format!("The body is not JSON: see line {}, column {}.", error.line(), error.column())
    };
    Problem::new(Kind::MalformedBody, detail)
}

fn first_byte(body: &[u8]) -> Option<u8> {
    body.iter().copied().find(|byte| !byte.is_ascii_whitespace())
}

fn now_ms() -> i64 {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since_1970.as_millis()).unwrap_or(i64::MAX)
}

/// What became of messages.
#[derive(Debug, Default)]
struct Sent {
    accepted: Vec<Uuid>,
    lost: Vec<Uuid>,
}

/// Sends messages so that each group's stay in order: a group's next message goes only when the
/// queue has taken the one before it. A group whose message is not taken is given up as a whole.
async fn send(enqueue: &Enqueue, messages: Vec<Message>) -> Sent {
    let mut sent = Sent::default();
    let mut waiting: Vec<Message> = messages;
    while !waiting.is_empty() {
        let (round, rest) = first_of_each_group(waiting);
        waiting = rest;
        for lost in send_round(enqueue, &round, &mut sent).await {
            sent.lost.extend(&lost.ids);
            waiting.retain(|message| {
                let goes_on = message.group != lost.group;
                if !goes_on {
                    sent.lost.extend(&message.ids);
                }
                goes_on
            });
        }
    }
    sent
}

fn first_of_each_group(messages: Vec<Message>) -> (Vec<Message>, Vec<Message>) {
    let mut seen = std::collections::HashSet::new();
    messages.into_iter().partition(|message| seen.insert(message.group.clone()))
}

/// Sends one message of each group, and gives those that could not be sent.
async fn send_round<'a>(
    enqueue: &Enqueue,
    round: &'a [Message],
    sent: &mut Sent,
) -> Vec<&'a Message> {
    let mut lost = Vec::new();
    for batch in batches(round) {
        let mut open = batch;
        for _ in 0..SEND_ATTEMPTS_MAX {
            let failed = match enqueue.queue.send(&open).await {
                Ok(failed) => failed,
                Err(error) => {
                    tracing::warn!(%error, "messages not sent");
                    (0..open.len()).collect()
                }
            };
            let (again, taken): (Vec<_>, Vec<_>) =
                open.iter().enumerate().partition(|(place, _)| failed.contains(place));
            sent.accepted
                .extend(taken.into_iter().flat_map(|(_, message)| message.ids.iter().copied()));
            open = again.into_iter().map(|(_, message)| *message).collect();
            if open.is_empty() {
                break;
            }
        }
        lost.extend(open);
    }
    lost
}

/// Batches within SQS's two bounds: ten messages, and a payload of 256 KiB (1 MiB since 2025).
fn batches(round: &[Message]) -> Vec<Vec<&Message>> {
    let mut batches: Vec<Vec<&Message>> = Vec::new();
    let mut bytes = 0;
    for message in round {
        match batches.last_mut() {
            Some(batch)
                if batch.len() < SEND_MAX && bytes + message.body.len() <= MESSAGE_BYTES_MAX =>
            {
                batch.push(message);
                bytes += message.body.len();
            }
            _ => {
                batches.push(vec![message]);
                bytes = message.body.len();
            }
        }
    }
    batches
}

/// 503 that says which writes were accepted all the same.
fn unavailable(ids: &[Uuid], accepted: &[Uuid]) -> Response {
    let detail = if accepted.is_empty() {
        "The queue did not take the writes; none was accepted. Send them again.".to_owned()
    } else {
        let accepted: Vec<_> = ids
            .iter()
            .enumerate()
            .filter(|(_, id)| accepted.contains(id))
            .map(|(place, id)| format!("item {place} as {id}"))
            .collect();
        format!("The queue took only these writes: {}. Send the others again.", accepted.join(", "))
    };
    Problem::new(Kind::Unavailable, detail).with_retry_after(5).into()
}

#[cfg(test)]
mod tests;
