//! Settles writes: one transaction that changes the tables and records every outcome.
//!
//! A batch costs one call of the Data API, whatever is in it: a statement that settles all steps of the plan, and is
//! a transaction of its own. Where that cannot be (updates that fold, messages that cannot be read, more than 4 MiB)
//! it costs three: begin, a `BatchExecuteStatement` with a parameter set for each step, commit; one more for each
//! further 4 MiB and where updates fold. A batch with a bad row costs four more.

use std::collections::HashSet;

use aurora_sync_catalog::{Catalog, Column};

use super::batch::Batch;
use crate::array::array_literal;
use crate::aws::data_api::DataApi;
use crate::deadline::Deadline;
use crate::error::{Disposition, SyncError};
use crate::field::{Parameter, encoded_len, null, parameter};
use crate::ledger;
use crate::parameter_set::{column_literals, number_column, text_column};
use crate::plan::CALL_BYTES_MAX;
use crate::plan::writes::{Folding, Step, plan};
use crate::statement::{self, Identity};
use crate::transaction::{End, Transaction, in_one_statement, in_transaction};
use crate::write::Write;

/// Most steps of one statement, lest its text become as long as all others together.
const STEPS_MAX: usize = 16;

/// How often a batch whose commit was not answered is done again at once, where the ledger says that it
/// was not done.
const REPEATS_MAX: usize = 2;

/// How a batch is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// Each step as one statement.
    Whole,
    /// Bad rows are told from good ones (`sync.settle_apart`).
    Apart,
    /// The same, and deferred constraints speak at once.
    ApartImmediately,
}

/// How an attempt ended.
#[derive(Debug)]
enum Attempt {
    Settled,
    /// A row is bad.
    Spoilt,
}

/// Settles a batch.
///
/// Fails as a whole or not at all: after an error nothing has happened, or what happened is in the
/// ledger and found by the next delivery.
pub(super) async fn settle(
    catalog: &Catalog,
    data_api: &DataApi,
    batch: &Batch<'_>,
    deadline: Deadline,
) -> Result<(), SyncError> {
    let alone = one_statement(catalog, batch)?;
    let mut mode = Mode::Whole;
    let mut repeats = 0;
    loop {
        let attempted = match &alone {
            Some(call) if mode == Mode::Whole => attempt_alone(data_api, call, deadline).await,
            _ => {
                in_transaction(data_api, deadline, async |transaction| {
                    attempt(catalog, transaction, batch, mode).await
                })
                .await
            }
        };
        match attempted {
            Ok(Attempt::Settled) => return Ok(()),
            Ok(Attempt::Spoilt) if mode == Mode::Whole => mode = Mode::Apart,
            // What a single row did was caught inside the server; what is left is a defect of ours.
            Ok(Attempt::Spoilt) => {
                let message = "rows that were tried one by one still failed as data".to_owned();
                return Err(SyncError::Inconsistent(message));
            }
            // What a type that we do not know says to a value can look like a mistake of ours.
            Err(SyncError::Database(error))
                if error.may_be_about_a_value()
                    && mode == Mode::Whole
                    && has_unknown_types(catalog, batch) =>
            {
                mode = Mode::Apart;
            }
            // A deferred constraint spoke at the commit, which does not say whose row it was.
            Err(SyncError::Database(error))
                if error.is_refused_commit() && mode != Mode::ApartImmediately =>
            {
                mode = Mode::ApartImmediately;
            }
            Err(error) if error.is_unanswered_commit() => {
                if is_settled(data_api, batch).await? {
                    tracing::info!(reason = %error, "commit was not answered but done");
                    return Ok(());
                }
                if repeats == REPEATS_MAX {
                    return Err(error);
                }
                repeats += 1;
                tracing::info!(reason = %error, "commit was not answered nor done; batch is repeated");
            }
            Err(error) => return Err(error),
        }
    }
}

/// Whether a write gives a value to a column whose type is left to the database.
fn has_unknown_types(catalog: &Catalog, batch: &Batch<'_>) -> bool {
    batch.writes.iter().any(|write| {
        let table = catalog.table(&write.table);
        let columns = write.row.iter().filter_map(|(name, _)| table?.column(name));
        columns.into_iter().any(|column| statement::unknown_type(column).is_some())
    })
}

/// Whether the ledger holds all of a batch: one transaction settles all of it or nothing.
async fn is_settled(data_api: &DataApi, batch: &Batch<'_>) -> Result<bool, SyncError> {
    let ids: HashSet<_> = batch.writes.iter().map(|write| write.id).collect();
    let ids = ids.into_iter().chain(batch.entries.iter().map(ledger::Entry::id));
    let ids: Vec<_> = ids.collect();
    let settled = ledger::settled_outside(data_api, ids.iter().copied()).await?;
    Ok(ids.iter().all(|id| settled.contains(id)))
}

/// The statement that settles a batch alone, and its parameters; `None` where it takes more than that.
fn one_statement(
    catalog: &Catalog,
    batch: &Batch<'_>,
) -> Result<Option<(String, Vec<Parameter>)>, SyncError> {
    let steps = plan(catalog, &batch.writes, Folding::Neighbours);
    if !batch.entries.is_empty() || steps.len() > STEPS_MAX || folds(&steps) {
        return Ok(None);
    }
    let columns_max = columns_max(&steps);
    let mut parameters = Vec::new();
    for (place, step) in steps.iter().enumerate() {
        let set = parameter_set(catalog, &batch.writes, step, columns_max, Mode::Whole)?;
        parameters.extend(set.into_iter().map(|Parameter { name, value }| Parameter {
            name: ledger::of_set(&name, place).into(),
            value,
        }));
    }
    let fits = encoded_len(&parameters) <= CALL_BYTES_MAX;
    Ok(fits.then(|| (ledger::settle_sets_sql(steps.len(), columns_max), parameters)))
}

async fn attempt_alone(
    data_api: &DataApi,
    (sql, parameters): &(String, Vec<Parameter>),
    deadline: Deadline,
) -> Result<Attempt, SyncError> {
    let call = async || data_api.execute(None, sql, parameters.clone()).await;
    match in_one_statement(deadline, call).await {
        Ok(_) => Ok(Attempt::Settled),
        Err(SyncError::Database(error)) if error.disposition() == Disposition::Reject => {
            Ok(Attempt::Spoilt)
        }
        Err(error) => Err(error),
    }
}

async fn attempt(
    catalog: &Catalog,
    transaction: &Transaction<'_>,
    batch: &Batch<'_>,
    mode: Mode,
) -> Result<End<Attempt>, SyncError> {
    ledger::record(transaction, &batch.entries).await?;
    let (writes, steps) = steps(catalog, transaction, batch, mode).await?;
    for (sql, sets) in calls(catalog, &writes, &steps, mode)? {
        match transaction.batch_execute(&sql, sets).await {
            Ok(()) => {}
            Err(error) if error.disposition() == Disposition::Reject => {
                return Ok(End::Rollback(Attempt::Spoilt));
            }
            Err(error) => return Err(error.into()),
        }
    }
    if mode != Mode::Whole {
        for rejected in ledger::rejected(transaction, writes.iter().map(|write| write.id)).await? {
            tracing::warn!(
                write_id = %rejected.id,
                table = rejected.table,
                sqlstate = rejected.sqlstate,
                rule = rejected.rule,
                "write rejected"
            );
        }
    }
    Ok(End::Commit(Attempt::Settled))
}

/// The steps of a batch and the writes that they are about.
async fn steps<'a>(
    catalog: &Catalog,
    transaction: &Transaction<'_>,
    batch: &Batch<'a>,
    mode: Mode,
) -> Result<(Vec<&'a Write>, Vec<Step>), SyncError> {
    if mode != Mode::Whole {
        return Ok((batch.writes.clone(), plan(catalog, &batch.writes, Folding::None)));
    }
    let steps = plan(catalog, &batch.writes, Folding::Neighbours);
    if !folds(&steps) {
        return Ok((batch.writes.clone(), steps));
    }
    // A settled write must not be done again as a part of the change into which it folds.
    let settled = ledger::settled(transaction, batch.writes.iter().map(|write| write.id)).await?;
    if settled.is_empty() {
        return Ok((batch.writes.clone(), steps));
    }
    let is_keyed = |write: &&&Write| write.fingerprint.is_some();
    let writes: Vec<_> = batch
        .writes
        .iter()
        // Those under an Idempotency-Key never fold, and their statement compares fingerprints.
        .filter(|write| is_keyed(write) || !settled.contains(&write.id))
        .copied()
        .collect();
    let steps = plan(catalog, &writes, Folding::Neighbours);
    Ok((writes, steps))
}

/// Whether some change stands for several writes.
fn folds(steps: &[Step]) -> bool {
    steps.iter().flat_map(|step| &step.changes).any(|change| change.writes.len() > 1)
}

/// All steps have the parameters of the one with most columns, so that they share an SQL text.
fn columns_max(steps: &[Step]) -> usize {
    steps.iter().map(|step| step.group.columns.len()).max().unwrap_or_default()
}

/// One `BatchExecuteStatement`: an SQL text and its parameter sets.
type Call = (String, Vec<Vec<Parameter>>);

/// The calls that run these steps: each an SQL text and its parameter sets, under 4 MiB.
fn calls(
    catalog: &Catalog,
    writes: &[&Write],
    steps: &[Step],
    mode: Mode,
) -> Result<Vec<Call>, SyncError> {
    let columns_max = columns_max(steps);
    let sql = match mode {
        Mode::Whole => ledger::settle_sql(columns_max),
        Mode::Apart | Mode::ApartImmediately => ledger::settle_apart_sql(columns_max),
    };
    let mut calls: Vec<Call> = Vec::new();
    let mut bytes = 0;
    for step in steps {
        let set = parameter_set(catalog, writes, step, columns_max, mode)?;
        let set_bytes = encoded_len(&set);
        match calls.last_mut() {
            Some((_, sets)) if bytes + set_bytes <= CALL_BYTES_MAX => {
                sets.push(set);
                bytes += set_bytes;
            }
            _ => {
                calls.push((sql.clone(), vec![set]));
                bytes = set_bytes;
            }
        }
    }
    Ok(calls)
}

fn parameter_set(
    catalog: &Catalog,
    writes: &[&Write],
    step: &Step,
    columns_max: usize,
    mode: Mode,
) -> Result<Vec<Parameter>, SyncError> {
    let group = &step.group;
    let unknown = || SyncError::Inconsistent("a planned column is not in the catalog".to_owned());
    let table = catalog.table(&group.table).ok_or_else(unknown)?;
    let columns: Vec<&Column> = group
        .columns
        .iter()
        .map(|name| table.column(name))
        .collect::<Option<_>>()
        .ok_or_else(unknown)?;
    // First the write of each change whose cells travel with it, then those that were folded into them.
    let first = step.changes.iter().map(|change| change.writes[0]);
    let folded = step.changes.iter().flat_map(|change| change.writes.iter().skip(1).copied());
    let writes: Vec<_> = first.chain(folded).map(|place| writes[place]).collect();
    let is_keyed = writes.iter().any(|write| write.fingerprint.is_some());
    let identity = if is_keyed { Identity::IdAndFingerprint } else { Identity::Id };
    let ids: Vec<_> = writes.iter().map(|write| write.id.to_string()).collect();
    let keys: Vec<_> =
        writes.iter().map(|write| write.key.as_ref().map(ToString::to_string)).collect();
    let mut set = vec![
        parameter("statement", statement::settle(table, group.operation, &columns, identity)),
        parameter("table_path", group.table.as_str()),
        parameter("operation", group.operation.as_str()),
        text_column("ids", ids.iter().map(|id| Some(id.as_str()))),
        number_column("accepted_at_ms", writes.iter().map(|write| write.accepted_at_ms)),
        text_column("keys", keys.iter().map(Option::as_deref)),
        if is_keyed {
            text_column("fingerprints", writes.iter().map(|write| write.fingerprint.as_deref()))
        } else {
            null("fingerprints")
        },
    ];
    if mode != Mode::Whole {
        let names = group.columns.iter().map(|name| Some(name.as_str()));
        set.push(parameter("column_names", array_literal(names)));
        let types: Vec<_> = columns.iter().map(|column| statement::unknown_type(column)).collect();
        set.push(parameter("types", array_literal(types.iter().map(Option::as_deref))));
        set.push(parameter("is_immediate", (mode == Mode::ApartImmediately).to_string()));
    }
    let cells: Vec<_> = step.changes.iter().map(|change| &change.cells).collect();
    let mut literals = column_literals(&cells).into_iter();
    set.extend((1..=columns_max).map(|place| {
        let name = format!("c{place}");
        match literals.next() {
            Some(literal) => parameter(name, literal),
            None => null(name),
        }
    }));
    Ok(set)
}
