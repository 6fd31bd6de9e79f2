//! One call of an operation, with the faults that befall it.

use std::io;
use std::sync::Arc;

use crate::counters::Call;
use crate::error::ApiError;
use crate::fault::Fault;
use crate::http::{Answer, refusal, response};
use crate::operation::Operation;
use crate::pg_error::SqlError;
use crate::request::Request;
use crate::service::Service;
use crate::validation;

/// A fault that meets a call after its work is done.
#[derive(Debug)]
enum Afterwards {
    Answer,
    Fail(ApiError),
    Drop,
    Cut,
}

/// The effect of the faults on a call: its end before any work, or a fault after it.
#[derive(Debug)]
enum Fate {
    Ended(Answer),
    Work { sql_fault: Option<String>, afterwards: Afterwards },
}

impl Service {
    pub(crate) async fn call(
        self: &Arc<Self>,
        operation: Operation,
        request: &Request<'_>,
        bytes_in: usize,
    ) -> Answer {
        if let Err(error) = validation::check_id(request) {
            return Ok(self.refuse(&error));
        }
        let parameter_sets = request.parameter_sets.as_ref().map_or(0, Vec::len);
        let transaction_id = request.transaction_id.as_deref();
        self.counters.count(operation, &Call { transaction_id, bytes_in, parameter_sets });
        let (sql_fault, afterwards) = match self.befall(operation, transaction_id).await {
            Fate::Ended(answer) => return answer,
            Fate::Work { sql_fault, afterwards } => (sql_fault, afterwards),
        };
        let result = self.perform(operation, request, sql_fault.as_deref()).await;
        match (afterwards, result) {
            (Afterwards::Drop, _) => Err(cut()),
            (Afterwards::Fail(error), _) | (Afterwards::Answer, Err(error)) => {
                Ok(self.refuse(&error))
            }
            (Afterwards::Answer, Ok(value)) => {
                let response = response(200, &value);
                self.counters.count_answer(response.body().len(), None);
                Ok(response)
            }
            (Afterwards::Cut, result) => {
                let mut response = match result {
                    Ok(value) => response(200, &value),
                    Err(error) => refusal(&error),
                };
                response.body_mut().cut();
                Ok(response)
            }
        }
    }

    /// Takes the faults that are due, and does what comes before the work.
    async fn befall(self: &Arc<Self>, operation: Operation, transaction_id: Option<&str>) -> Fate {
        let mut afterwards = Afterwards::Answer;
        let mut sql_fault = None;
        for fault in self.faults.take(operation) {
            match fault {
                Fault::Delay(time) => tokio::time::sleep(time).await,
                Fault::FailBefore(name) => {
                    return Fate::Ended(Ok(self.refuse(&ApiError::injected(&name))));
                }
                Fault::DropRequest => return Fate::Ended(Err(cut())),
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
                Fault::Timeout => sql_fault = Some(SqlError::CANCELED.to_owned()),
                Fault::FailAfter(name) => afterwards = Afterwards::Fail(ApiError::injected(&name)),
                Fault::TimeoutAfter => {
                    afterwards = Afterwards::Fail(ApiError::statement_timeout(None));
                }
                Fault::DropAnswer => afterwards = Afterwards::Drop,
                Fault::CutAnswer => afterwards = Afterwards::Cut,
            }
        }
        Fate::Work { sql_fault, afterwards }
    }
}

fn cut() -> io::Error {
    io::Error::other("cut by a fault")
}
