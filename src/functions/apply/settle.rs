//! Settles writes: one transaction that changes the tables and records every outcome.
//!
//! A delivery takes three calls of the Data API: begin, a `BatchExecuteStatement` with a parameter
//! set for each step of the plan, commit. Each further 4 MiB, unreadable messages and updates that
//! fold take one more. A delivery with bad rows takes seven.

use std::collections::HashSet;

use aurora_sync_catalog::{Catalog, Column, Table};
use uuid::Uuid;

use super::batch::Batch;
use crate::aws::data_api::DataApi;
use crate::database::batch::{self, Attempt, Work};
use crate::database::ledger::{self, Entry};
use crate::database::parameter_set::{column_literals, number_column, text_column};
use crate::database::plan::CALL_BYTES_MAX;
use crate::database::plan::writes::{Folding, Group, Step, plan};
use crate::database::statement::{self, Identity};
use crate::database::transaction::{BegunAhead, Transaction};
use crate::domain::caller::Caller;
use crate::domain::deadline::Deadline;
use crate::domain::error::SyncError;
use crate::domain::field::{Parameter, encoded_len, null, parameter, storable};
use crate::domain::value::array_literal::array_literal;
use crate::domain::write::{Precondition, Write};
use crate::functions::metrics;
use crate::functions::outbox::Outbox;

/// Settles a batch.
///
/// After an error, either nothing was changed, or the next delivery finds the change in the ledger.
pub(super) async fn settle(
    catalog: &Catalog,
    data_api: &DataApi,
    outbox: Option<&Outbox>,
    batch: &Batch<'_>,
    deadline: Deadline,
) -> Result<(), SyncError> {
    let settling = Settling { catalog, data_api, outbox, batch };
    batch::run(data_api, deadline, &BegunAhead::default(), &settling).await
}

/// Returns the writes in the order in which a batch of them all would settle them: parents before
/// their children, and the writes of a key in their own order.
pub(super) fn in_order_of_steps<'a>(catalog: &Catalog, writes: &[&'a Write]) -> Vec<&'a Write> {
    let steps = plan(catalog, writes, Folding::None);
    let changes = steps.iter().flat_map(|step| &step.changes);
    changes.flat_map(|change| &change.writes).map(|&index| writes[index]).collect()
}

/// The work of settling one batch.
#[derive(Debug)]
struct Settling<'a> {
    catalog: &'a Catalog,
    data_api: &'a DataApi,
    outbox: Option<&'a Outbox>,
    batch: &'a Batch<'a>,
}

impl Work for Settling<'_> {
    type Done = ();

    async fn run(&self, transaction: &Transaction<'_>, attempt: Attempt) -> Result<(), SyncError> {
        ledger::record(transaction, &self.batch.entries).await?;
        ledger::record_resends(transaction, &self.resends()).await?;
        let (writes, steps) = self.steps(transaction, attempt).await?;
        for (sql, sets) in self.calls(&writes, &steps, attempt, transaction.time_ms())? {
            transaction.change_rows(&sql, sets).await?;
        }
        if attempt == Attempt::BisectedImmediately {
            let set = self.together(&writes, &steps)?;
            if encoded_len(&set) <= CALL_BYTES_MAX {
                transaction.change_rows(ledger::SETTLE_TOGETHER, vec![set]).await?;
            }
        }
        if attempt.is_bisected() {
            log_rejected(transaction, &writes).await?;
        }
        self.tell_rejected(transaction, attempt).await
    }

    /// Looks for all writes, since one transaction settles all or none. Those under an
    /// Idempotency-Key are looked for by their fingerprints too: another payload may be settled
    /// under their ids.
    async fn on_record(&self, _: Attempt) -> Result<Option<()>, SyncError> {
        let writes = self.batch.writes.iter();
        let asked: HashSet<(Uuid, Option<&str>)> = writes
            .map(|write| (write.id, write.fingerprint.as_deref()))
            .chain(self.batch.entries.iter().map(|entry| (entry.id(), entry.fingerprint())))
            .collect();
        Ok(ledger::are_settled(self.data_api, asked).await?.then_some(()))
    }

    fn has_unknown_types(&self) -> bool {
        self.batch.writes.iter().any(|write| {
            let table = self.catalog.table(&write.table);
            let columns = write.row.iter().filter_map(|(name, _)| table?.column(name));
            columns.into_iter().any(|column| statement::unknown_type(column).is_some())
        })
    }
}

/// One `BatchExecuteStatement`: an SQL text and its parameter sets.
type Call = (String, Vec<Vec<Parameter>>);

impl<'a> Settling<'a> {
    /// Returns the writes whose payload was sent before, with the rejected writes that had it.
    fn resends(&self) -> Vec<(Uuid, Uuid)> {
        let writes = self.batch.writes.iter();
        let writes = writes.filter_map(|write| Some((write.id, write.caller.resend_of?)));
        writes.chain(self.batch.entries.iter().filter_map(Entry::resend)).collect()
    }

    /// Makes the event of the rejected writes, if events are published. Whole sets reject nothing.
    async fn tell_rejected(
        &self,
        transaction: &Transaction<'_>,
        attempt: Attempt,
    ) -> Result<(), SyncError> {
        let Batch { writes, entries } = self.batch;
        match self.outbox {
            Some(outbox) if attempt.is_bisected() || !entries.is_empty() => {
                let ids = writes.iter().map(|write| write.id);
                outbox.tell_rejected(transaction, ids.chain(entries.iter().map(Entry::id))).await
            }
            _ => Ok(()),
        }
    }

    /// Returns the steps of the batch, and the writes to which they point.
    async fn steps(
        &self,
        transaction: &Transaction<'_>,
        attempt: Attempt,
    ) -> Result<(Vec<&'a Write>, Vec<Step>), SyncError> {
        let writes = &self.batch.writes;
        if attempt.is_bisected() {
            return Ok((writes.clone(), plan(self.catalog, writes, Folding::None)));
        }
        let steps = plan(self.catalog, writes, Folding::Neighbours);
        if !folds(&steps) {
            return Ok((writes.clone(), steps));
        }
        // A settled write must not run again as a part of the change into which it folds.
        let settled = ledger::settled(transaction, writes.iter().map(|write| write.id)).await?;
        if settled.is_empty() {
            return Ok((writes.clone(), steps));
        }
        let is_keyed = |write: &&&Write| write.fingerprint.is_some();
        let writes: Vec<_> = writes
            .iter()
            // Writes under an Idempotency-Key never fold, and their statement compares
            // fingerprints.
            .filter(|write| is_keyed(write) || !settled.contains(&write.id))
            .copied()
            .collect();
        let steps = plan(self.catalog, &writes, Folding::Neighbours);
        Ok((writes, steps))
    }

    /// Returns the calls that run these steps, each under 4 MiB. The first set only limits the time
    /// of the others.
    fn calls(
        &self,
        writes: &[&Write],
        steps: &[Step],
        attempt: Attempt,
        time_ms: i32,
    ) -> Result<Vec<Call>, SyncError> {
        // All steps have as many parameters as the widest one, so that they share an SQL text.
        let columns_max = steps.iter().map(|step| sent_columns(&step.group)).max();
        let columns_max = columns_max.unwrap_or_default();
        let sql = match attempt {
            Attempt::Whole => ledger::settle_sql(columns_max),
            Attempt::Bisected | Attempt::BisectedImmediately => {
                ledger::settle_bisected_sql(columns_max)
            }
        };
        let mut calls: Vec<Call> = Vec::new();
        let mut bytes = 0;
        for step in steps {
            let mut set = self.parameter_set(writes, step, columns_max, attempt)?;
            set.push(parameter(TIME_MS, time_ms.to_string()));
            let set_bytes = encoded_len(&set);
            if calls.is_empty() {
                let first = without_statement(&set);
                bytes = encoded_len(&first);
                calls.push((sql.clone(), vec![first]));
            }
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
        &self,
        writes: &[&Write],
        step: &Step,
        columns_max: usize,
        attempt: Attempt,
    ) -> Result<Vec<Parameter>, SyncError> {
        let group = &step.group;
        let (table, columns) = self.columns(group)?;
        // The first write of each change comes with its cells, then come the writes that were
        // folded into it.
        let first = step.changes.iter().map(|change| change.writes[0]);
        let folded = step.changes.iter().flat_map(|change| change.writes.iter().skip(1).copied());
        let writes: Vec<_> = first.chain(folded).map(|index| writes[index]).collect();
        let is_keyed = writes.iter().any(|write| write.fingerprint.is_some());
        let identity = if is_keyed { Identity::IdAndFingerprint } else { Identity::Id };
        let ids: Vec<_> = writes.iter().map(|write| write.id.to_string()).collect();
        let keys: Vec<_> =
            writes.iter().map(|write| write.key.as_ref().map(ToString::to_string)).collect();
        let mut set = vec![
            parameter(
                "statement",
                statement::settle(table, group.operation, &columns, identity, group.precondition),
            ),
            parameter("table_path", group.table.as_str()),
            parameter("operation", group.operation.as_str()),
            text_column("ids", ids.iter().map(|id| Some(id.as_str()))),
            number_column("accepted_at_ms", writes.iter().map(|write| write.accepted_at_ms)),
            text_column("keys", keys.iter().map(Option::as_deref)),
            text_column("fingerprints", writes.iter().map(|write| write.fingerprint.as_deref())),
            parameter("callers", one_or_all(&writes, |caller| caller.principal.clone())),
            parameter(
                "request_ids",
                one_or_all(&writes, |caller| Some(caller.request_id?.to_string())),
            ),
            match &group.claims {
                Some(claims) => parameter("claims", &**claims),
                None => null("claims"),
            },
        ];
        if attempt.is_bisected() {
            set.push(parameter("column_names", column_names(group)));
            let precondition = group.precondition.map(|_| None);
            let types = columns.iter().map(|column| statement::unknown_type(column));
            let types: Vec<_> = precondition.into_iter().chain(types).collect();
            set.push(parameter("types", array_literal(types.iter().map(Option::as_deref))));
            let is_immediate = attempt == Attempt::BisectedImmediately;
            set.push(parameter("is_immediate", is_immediate.to_string()));
            set.push(parameter("of_table", table.sql_name()));
            // The effect of a precondition depends on the row that exists.
            let adds = match group.precondition {
                None => statement::adds(table, group.operation),
                Some(_) => "",
            };
            set.push(parameter("adds", adds));
        }
        let cells: Vec<_> = step.changes.iter().map(|change| &change.cells).collect();
        let preconditions = group.precondition.map(|_| {
            let values = step.changes.iter().map(|change| change.precondition.as_ref());
            array_literal(values.map(|value| value.map(Precondition::value)))
        });
        let mut literals = preconditions.into_iter().chain(column_literals(&cells));
        set.extend((1..=columns_max).map(|index| {
            let name = format!("c{index}");
            match literals.next() {
                Some(literal) => parameter(name, literal),
                None => null(name),
            }
        }));
        Ok(set)
    }

    /// Returns the parameters of `sync.settle_together`: all writes, each with the number of its
    /// claims, and the statement of each group of them.
    fn together(&self, writes: &[&Write], steps: &[Step]) -> Result<Vec<Parameter>, SyncError> {
        let groups: HashSet<_> = steps.iter().map(|step| &step.group).collect();
        let mut columns: [Vec<String>; 5] = Default::default();
        for group in groups {
            let (table, of_group) = self.columns(group)?;
            let identity = Identity::IdAndFingerprint;
            let statement =
                statement::settle(table, group.operation, &of_group, identity, group.precondition);
            let of_group = [
                group.table.clone(),
                group.operation.as_str().to_owned(),
                column_names(group),
                statement,
                table.sql_name(),
            ];
            columns.iter_mut().zip(of_group).for_each(|(column, text)| column.push(text));
        }
        let ids: Vec<_> = writes.iter().map(|write| write.id.to_string()).collect();
        let mut claims: Vec<&str> = Vec::new();
        let claims_of = writes.iter().map(|write| {
            let own = write.caller.claims.as_deref()?;
            let known = claims.iter().position(|claims| *claims == own);
            Some(known.unwrap_or_else(|| {
                claims.push(own);
                claims.len() - 1
            }))
        });
        let claims_of: Vec<_> = claims_of.map(|index| Some((index? + 1).to_string())).collect();
        let names = ["table_paths", "operations", "column_names", "statements", "of_tables"];
        let texts =
            |texts: &'_ [String]| array_literal(texts.iter().map(|text| Some(text.as_str())));
        let mut set = vec![
            parameter("ids", texts(&ids)),
            text_column("claims_of", claims_of.iter().map(Option::as_deref)),
            text_column("claims", claims.into_iter().map(Some)),
        ];
        set.extend(
            names.iter().zip(&columns).map(|(name, column)| parameter(*name, texts(column))),
        );
        Ok(set)
    }

    /// Returns the table of a group and its columns.
    fn columns(&self, group: &Group) -> Result<(&'a Table, Vec<&'a Column>), SyncError> {
        let table = self.catalog.table(&group.table);
        let columns = table.and_then(|table| {
            let columns = group.columns.iter().map(|name| table.column(name));
            Some((table, columns.collect::<Option<_>>()?))
        });
        columns.ok_or_else(|| {
            SyncError::Inconsistent("a planned column is not in the catalog".to_owned())
        })
    }
}

/// The parameter that limits the time of the following sets.
const TIME_MS: &str = "time_ms";

/// Returns a parameter set that limits the time of the following ones, and does nothing else.
fn without_statement(set: &[Parameter]) -> Vec<Parameter> {
    set.iter()
        .map(|parameter| match &*parameter.name {
            TIME_MS => parameter.clone(),
            _ => null(parameter.name.clone()),
        })
        .collect()
}

/// Returns the number of columns that a set of the group sends besides the worker's own.
fn sent_columns(group: &Group) -> usize {
    group.columns.len() + usize::from(group.precondition.is_some())
}

/// Returns the names of these columns, as the payload of a rejected write has them: the header of
/// the precondition comes first.
fn column_names(group: &Group) -> String {
    let columns = group.columns.iter().map(String::as_str);
    array_literal(group.precondition.into_iter().chain(columns).map(Some))
}

/// Returns the literal of a property of the writes' requests, or of one if it is that of all.
fn one_or_all(writes: &[&Write], of: impl Fn(&Caller) -> Option<String>) -> String {
    let texts = || writes.iter().map(|write| of(&write.caller).as_deref().map(storable));
    let mut distinct = texts().collect::<Vec<_>>();
    distinct.dedup();
    let texts = if distinct.len() == 1 { distinct } else { texts().collect() };
    array_literal(texts.iter().map(Option::as_deref))
}

/// Tells if some change stands for several writes.
fn folds(steps: &[Step]) -> bool {
    steps.iter().flat_map(|step| &step.changes).any(|change| change.writes.len() > 1)
}

async fn log_rejected(transaction: &Transaction<'_>, writes: &[&Write]) -> Result<(), SyncError> {
    for rejected in ledger::rejected(transaction, writes.iter().map(|write| write.id)).await? {
        tracing::warn!(
            target: metrics::TARGET,
            write_id = %rejected.id,
            table = rejected.table,
            sqlstate = rejected.sqlstate,
            rule = rejected.rule,
            caller = rejected.caller,
            accepted_by = rejected.request_id,
            "write rejected"
        );
    }
    Ok(())
}
