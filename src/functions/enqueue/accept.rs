//! Request validation: from a request to its writes, or to all its faults.
//!
//! Pure. The time grows with the body only.

use std::sync::Arc;

use aurora_sync_catalog::{Catalog, Table};
use aws_lambda_events::http::Method;
use aws_lambda_events::http::header::{ACCEPT_ENCODING, ALLOW, HeaderName, IF_NONE_MATCH};

use super::body::{self, Body, Item};
use super::coding;
use super::idempotency::{self, Ids};
use super::parameters;
use super::precondition;
use super::prefer::{Handling, Preferences, Resolution};
use crate::api::http::{Request, Route};
use crate::api::methods;
use crate::api::offered;
use crate::api::problem::{Kind, Problem};
use crate::domain::caller::Caller;
use crate::domain::fault::{Faults, FieldFault, pointer_step};
use crate::domain::key::Key;
use crate::domain::row::{self, CheckedRow, Columns, JsonRow};
use crate::domain::value::kind_of_json;
use crate::domain::write::{MESSAGE_BYTES_MAX, Operation, Precondition, Write, fingerprint};

/// The result of a valid request: at least one write.
#[derive(Debug)]
pub(super) struct Accepted {
    /// The writes, each with the number of its item.
    pub(super) writes: Vec<(usize, Write)>,
    /// The faults of the other items, if the client prefers partial handling.
    pub(super) faults: Faults,
    /// `true` if the body may have several items.
    pub(super) is_list: bool,
    /// The applied preferences.
    pub(super) applied: Option<String>,
}

/// The refusal of a request.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) problem: Box<Problem>,
    /// The header that says what is supported, for status 405 and 415.
    pub(super) header: Option<(HeaderName, String)>,
}

impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Self {
        Self { problem: Box::new(problem), header: None }
    }
}

/// The properties that all items of a request share.
#[derive(Debug)]
struct ItemContext<'a> {
    columns: Columns<'a>,
    operation: Operation,
    /// The key in the path.
    path_key: Option<Key>,
    /// The only columns that count, if the request names some.
    named: Option<Vec<String>>,
    ids: Ids,
    precondition: Option<Precondition>,
    caller: Arc<Caller>,
    now_ms: i64,
}

/// Returns the writes of a request: all or none, unless it prefers partial handling.
pub(super) fn accept(
    catalog: &Catalog,
    request: &Request,
    now_ms: i64,
) -> Result<Accepted, Refusal> {
    let (table, path_key) = match &request.route {
        Route::Table(table) => (table, None),
        Route::Row(table, key) => (table, Some(key)),
        Route::Unknown => {
            let detail = "Writes go to /{table} or /{table}/{key}.";
            return Err(Problem::new(Kind::UnknownRoute, detail).into());
        }
        _ => {
            return Err(not_allowed(
                format!("This path supports {}.", methods::READ),
                methods::READ,
            ));
        }
    };
    let table = offered::table(catalog, table)?;
    let mut preferences = Preferences::of(&request.headers);
    if request.method == Method::POST && preferences.has_unknown_resolution {
        let detail = "Prefer: resolution= is merge-duplicates or ignore-duplicates. Without it, a row whose key exists is \
                      rejected.";
        return Err(Problem::new(Kind::InvalidPreference, detail).into());
    }
    if request.method != Method::POST
        || table.primary_key.is_empty()
        || request.headers.contains_key(IF_NONE_MATCH)
    {
        // A new row has no existing row with its key, or the request wants that there is none.
        preferences.resolution = None;
    }
    let operation = operation(request, table, path_key.is_some(), preferences)?;
    let named = parameters::columns(request, table)?;
    let precondition = precondition::of(request, table)?;
    let path_key = path_key.map(|path| offered::key(table, path)).transpose()?;
    let mut caller = request.caller.clone();
    let ids = match idempotency::key(&request.headers)? {
        None => Ids::New,
        Some(key) => {
            caller.resend_of = idempotency::resend_of(&key);
            let path_key = path_key.as_ref().map(Key::to_string).unwrap_or_default();
            let principal = request.caller.principal.as_deref();
            Ids::derived(principal, &request.method, &table.path(), &path_key, &key)
        }
    };
    let context = ItemContext {
        columns: Columns::of(table),
        operation,
        path_key,
        named,
        ids,
        precondition,
        caller: Arc::new(caller),
        now_ms,
    };
    if operation == Operation::Delete && context.path_key.is_some() {
        return context.deletion(request).map_err(Refusal::from);
    }
    let body = coding::decoded(request).map_err(|problem| Refusal {
        header: (problem.status == 415).then(|| (ACCEPT_ENCODING, coding::CODINGS.to_owned())),
        ..problem.into()
    })?;
    let is_patch = request.method == Method::PATCH;
    let is_row = context.path_key.is_some();
    let items = body::read(&request.headers, is_patch, &body).map_err(|problem| Refusal {
        header: (problem.status == 415 && is_patch)
            .then(|| (methods::ACCEPT_PATCH, methods::patch_types(is_row).to_owned())),
        ..problem.into()
    })?;
    context.check_kind(&items)?;
    let is_merge_patch = items.is_merge_patch;
    let mut faults = Faults::default();
    let mut writes = Vec::with_capacity(items.items.len());
    for (number, item) in items.items.iter().enumerate() {
        let pointer = if items.is_list { format!("/{number}") } else { String::new() };
        let write = context.write(number, item, is_merge_patch, &pointer, &mut faults);
        writes.extend(write.map(|write| (number, write)));
    }
    let is_partial = preferences.handling == Some(Handling::Partial);
    if faults.total() > 0 && (!is_partial || writes.is_empty()) {
        let plural = if faults.total() == 1 { "" } else { "s" };
        let detail =
            format!("The body has {} fault{plural}; nothing was accepted.", faults.total());
        return Err(Problem::new(Kind::InvalidWrite, detail).with_faults(faults).into());
    }
    Ok(Accepted { writes, faults, is_list: items.is_list, applied: preferences.applied() })
}

fn operation(
    request: &Request,
    table: &Table,
    has_key: bool,
    preferences: Preferences,
) -> Result<Operation, Refusal> {
    let not_allowed = |detail: String| not_allowed(detail, &methods::of_table(table, has_key));
    if !table.is_writable() {
        let reason = table.read_only.map(|reason| format!(": {reason}")).unwrap_or_default();
        return Err(not_allowed(format!("The table is read-only{reason}.")));
    }
    let operation = match (&request.method, has_key) {
        (&Method::POST, false) => match preferences.resolution {
            Some(Resolution::MergeDuplicates) => Operation::Upsert,
            Some(Resolution::IgnoreDuplicates) => Operation::InsertIgnore,
            None => Operation::Insert,
        },
        (&Method::PUT, true) if request.headers.contains_key(IF_NONE_MATCH) => Operation::Insert,
        (&Method::PUT | &Method::PATCH, _) => Operation::Update,
        (&Method::DELETE, _) => Operation::Delete,
        _ => {
            let supported = methods::of_table(table, has_key);
            return Err(not_allowed(format!("This path supports {supported}.")));
        }
    };
    if table.primary_key.is_empty() && matches!(operation, Operation::Update | Operation::Delete) {
        let detail = "The table has no primary key, so none of its rows can be named.";
        return Err(Problem::new(Kind::InvalidKey, detail).into());
    }
    if !table.permits(operation.changes()) {
        let verb = match operation {
            Operation::Insert | Operation::InsertIgnore => "insert",
            Operation::Upsert => "insert and update",
            Operation::Update => "update",
            Operation::Delete => "delete",
        };
        let detail = format!(
            "The API may not {verb} rows of this table: sync_writer has no right to. The owner of the table can GRANT it."
        );
        return Err(not_allowed(detail));
    }
    Ok(operation)
}

fn not_allowed(detail: String, allow: &str) -> Refusal {
    let problem = Box::new(Problem::new(Kind::MethodNotAllowed, detail));
    Refusal { problem, header: Some((ALLOW, allow.to_owned())) }
}

impl ItemContext<'_> {
    /// Makes the write that deletes the row of the path.
    fn deletion(&self, request: &Request) -> Result<Accepted, Problem> {
        if !request.body.trim_ascii().is_empty() {
            let detail = "DELETE /{table}/{key} has no body; DELETE /{table} has a list of keys.";
            return Err(Problem::new(Kind::MalformedBody, detail));
        }
        let mut faults = Faults::default();
        let none = serde_json::from_str::<JsonRow<'_>>("{}").ok();
        let row = none.and_then(|none| {
            row::check(
                &self.columns,
                self.operation,
                self.path_key.as_ref(),
                &none,
                "",
                &mut faults,
            )
        });
        let writes = row.map(|row| (0, self.finish(0, row))).into_iter().collect();
        Ok(Accepted { writes, faults, is_list: false, applied: None })
    }

    /// Refuses bodies of a kind that the request does not support.
    fn check_kind(&self, items: &Body<'_>) -> Result<(), Problem> {
        if items.is_list && self.precondition.is_some() {
            return Err(precondition::of_list());
        }
        let detail = match items.items.as_slice() {
            _ if items.is_list && self.path_key.is_some() => {
                "The path names one row, so the body is one object, not a list. /{table} takes a list.".to_owned()
            }
            [Item::Json(item)]
                if !items.is_list && !item.get().starts_with('{') && !self.takes_values() =>
            {
                format!("The body is an object or an array of objects, not {}.", kind_of_json(item.get()))
            }
            _ => return Ok(()),
        };
        Err(Problem::new(Kind::MalformedBody, detail))
    }

    /// Returns `true` if an item may be the bare value of the key instead of an object.
    fn takes_values(&self) -> bool {
        self.operation == Operation::Delete && self.columns.table.primary_key.len() == 1
    }

    /// Makes the write of an item, or adds its faults to `faults`.
    fn write(
        &self,
        number: usize,
        item: &Item<'_>,
        is_merge_patch: bool,
        pointer: &str,
        faults: &mut Faults,
    ) -> Option<Write> {
        let mut fault = |rule: &str, detail: String| {
            faults.push(|| FieldFault {
                pointer: pointer.to_owned(),
                rule: rule.to_owned(),
                detail,
            });
            None
        };
        let raw = match item {
            Item::Json(raw) => *raw,
            Item::Malformed { line, column } => {
                return fault(
                    "malformed",
                    format!("expected one JSON object on line {line}: see its column {column}"),
                );
            }
        };
        let row: JsonRow<'_> = match raw.get().as_bytes().first() {
            Some(b'{') => match serde_json::from_str(raw.get()) {
                Ok(row) => row,
                // Well-formed JSON can still contain half of a surrogate pair.
                Err(_) => {
                    return fault(
                        "unsupported-character",
                        "expected names without halves of surrogate pairs".to_owned(),
                    );
                }
            },
            Some(b'[') | None => {
                return fault(
                    "type",
                    format!("expected an object, not {}", kind_of_json(raw.get())),
                );
            }
            Some(_) => match self.columns.table.key_columns().next() {
                Some(column) if self.takes_values() => JsonRow::of_value(column, raw),
                _ => {
                    return fault(
                        "type",
                        format!("expected an object, not {}", kind_of_json(raw.get())),
                    );
                }
            },
        };
        if is_merge_patch && let Some(name) = row.object() {
            // RFC 7396 merges the members of the object into those of the stored one.
            faults.push(|| FieldFault {
                pointer: format!("{pointer}{}", pointer_step(name)),
                rule: "type".to_owned(),
                detail: "expected no object, since a merge patch merges its members; application/json replaces the \
                         whole value"
                    .to_owned(),
            });
            return None;
        }
        let row = match &self.named {
            Some(named) => row.of_columns(named),
            None => row,
        };
        let path_key = self.path_key.as_ref();
        let row = row::check(&self.columns, self.operation, path_key, &row, pointer, faults)?;
        let write = self.finish(number, row);
        // Counted as in the message, so that a message can hold every accepted write.
        if write.encode().len() > MESSAGE_BYTES_MAX {
            faults.push(|| FieldFault {
                pointer: pointer.to_owned(),
                rule: "row-too-large".to_owned(),
                detail: format!("expected a row of at most {MESSAGE_BYTES_MAX} bytes"),
            });
            return None;
        }
        Some(write)
    }

    fn finish(&self, number: usize, row: CheckedRow) -> Write {
        let table = self.columns.table.path();
        let operation = self.operation.of_row(row.key.as_ref());
        // No row has a key that the database has yet to make.
        let precondition = self.precondition.clone().filter(|_| row.key.is_some());
        let fingerprint = match self.ids {
            Ids::New => None,
            Ids::Derived(_) => {
                let (key, precondition) = (row.key.as_ref(), precondition.as_ref());
                Some(fingerprint(&table, operation, key, &row.cells, precondition))
            }
        };
        Write {
            id: self.ids.id(number),
            table,
            operation,
            key: row.key,
            row: row.cells,
            accepted_at_ms: self.now_ms,
            fingerprint,
            precondition,
            caller: Arc::clone(&self.caller),
        }
    }
}
