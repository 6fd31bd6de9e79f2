//! The driver of row changes: a whole batch, a bisected one, a bisected one with immediate
//! constraints, repeats and look-ups of commits.

use std::cell::{Cell, RefCell};

use aurora_sync::database::batch::{self, Attempt, Work};
use aurora_sync::database::transaction::{BegunAhead, Transaction};
use aurora_sync::domain::error::SyncError;
use aurora_sync::domain::field::{Parameter, parameter};
use data_api_server::Operation;

use crate::support::{World, deadline};

/// Inserts rows; a bisected batch inserts only the good ones.
struct Adding<'a> {
    world: &'a World,
    rows: &'a [&'a str],
    good: &'a [&'a str],
    attempts: RefCell<Vec<Attempt>>,
    looks: Cell<u32>,
}

impl<'a> Adding<'a> {
    fn new(world: &'a World, rows: &'a [&'a str], good: &'a [&'a str]) -> Self {
        Self { world, rows, good, attempts: RefCell::default(), looks: Cell::new(0) }
    }

    async fn run(&self) -> Result<usize, SyncError> {
        batch::run(&self.world.data_api, deadline(), &BegunAhead::default(), self).await
    }
}

fn set(row: &str) -> Vec<Parameter> {
    vec![parameter("row", row)]
}

impl Work for Adding<'_> {
    type Done = usize;

    async fn run(
        &self,
        transaction: &Transaction<'_>,
        attempt: Attempt,
    ) -> Result<usize, SyncError> {
        self.attempts.borrow_mut().push(attempt);
        let rows = if attempt.is_bisected() { self.good } else { self.rows };
        let sets = rows.iter().map(|row| set(row)).collect();
        transaction.change_rows("INSERT INTO t (id) VALUES (:row::integer)", sets).await?;
        Ok(rows.len())
    }

    async fn on_record(&self, _: Attempt) -> Result<Option<usize>, SyncError> {
        self.looks.set(self.looks.get() + 1);
        let count = self.world.rows("SELECT count(*) FROM t").await.remove(0);
        Ok(count.parse().ok().filter(|count| *count > 0))
    }

    fn has_unknown_types(&self) -> bool {
        false
    }
}

async fn world() -> World {
    World::with("CREATE TABLE t (id integer PRIMARY KEY)").await
}

async fn deferring() -> World {
    World::with(
        "CREATE TABLE t (id integer PRIMARY KEY, other integer UNIQUE DEFERRABLE INITIALLY DEFERRED DEFAULT 1)",
    )
    .await
}

#[tokio::test]
async fn a_good_batch_is_one_transaction_of_three_calls() {
    let world = world().await;
    let adding = Adding::new(&world, &["1", "2"], &[]);
    world.server.counters().reset();
    assert_eq!(adding.run().await.unwrap(), 2);
    assert_eq!(world.server.counters().all_calls(), 3);
    assert_eq!(*adding.attempts.borrow(), [Attempt::Whole]);
}

#[tokio::test]
async fn a_refused_batch_is_rolled_back_and_bisected() {
    let world = world().await;
    let adding = Adding::new(&world, &["1", "x", "2"], &["1", "2"]);
    assert_eq!(adding.run().await.unwrap(), 2);
    assert_eq!(*adding.attempts.borrow(), [Attempt::Whole, Attempt::Bisected]);
    assert_eq!(world.rows("SELECT id FROM t ORDER BY id").await, ["1", "2"]);
}

#[tokio::test]
async fn a_batch_whose_commit_fails_a_deferred_constraint_is_bisected_with_immediate_constraints() {
    let world = deferring().await;
    let adding = Adding::new(&world, &["1", "2"], &["1"]);
    assert_eq!(adding.run().await.unwrap(), 1);
    assert_eq!(*adding.attempts.borrow(), [Attempt::Whole, Attempt::BisectedImmediately]);
    assert_eq!(world.rows("SELECT id FROM t").await, ["1"]);
}

#[tokio::test]
async fn a_bisected_batch_that_is_refused_too_is_an_error() {
    let world = world().await;
    let adding = Adding::new(&world, &["x"], &["y"]);
    assert!(matches!(adding.run().await, Err(SyncError::Refused(_))));
    assert_eq!(world.rows("SELECT count(*) FROM t").await, ["0"]);
}

#[tokio::test]
async fn a_batch_that_loses_a_conflict_is_repeated_whole() {
    let world = world().await;
    world.fault("batch@1..2 sql=40P01");
    let adding = Adding::new(&world, &["1"], &[]);
    assert_eq!(adding.run().await.unwrap(), 1);
    assert_eq!(*adding.attempts.borrow(), [Attempt::Whole; 3]);
    assert_eq!(adding.looks.get(), 0);
}

#[tokio::test]
async fn a_commit_without_a_response_is_looked_up_and_repeated_only_if_it_failed() {
    for (fault, attempts) in [("commit drop-answer", 1), ("commit drop-request", 2)] {
        let world = world().await;
        world.fault(fault);
        let adding = Adding::new(&world, &["1"], &[]);
        assert_eq!(adding.run().await.unwrap(), 1, "{fault}");
        assert_eq!(adding.attempts.borrow().len(), attempts, "{fault}");
        assert_eq!(adding.looks.get(), 1, "{fault}");
    }
}

#[tokio::test]
async fn a_transaction_begun_ahead_is_used_or_ended() {
    let world = world().await;
    let begun = BegunAhead::default();
    begun.begin(&world.data_api, deadline()).await;
    let adding = Adding::new(&world, &["1"], &[]);
    world.server.counters().reset();
    batch::run(&world.data_api, deadline(), &begun, &adding).await.unwrap();
    assert_eq!(world.server.counters().calls(Operation::Begin), 0);
    // The service has ended the transaction: another one is begun.
    begun.begin(&world.data_api, deadline()).await;
    world.server.pass(std::time::Duration::from_mins(4));
    let adding = Adding::new(&world, &["2"], &[]);
    batch::run(&world.data_api, deadline(), &begun, &adding).await.unwrap();
    assert_eq!(world.rows("SELECT id FROM t ORDER BY id").await, ["1", "2"]);
    begun.begin(&world.data_api, deadline()).await;
    begun.discard(&world.data_api, deadline()).await;
    let open = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND xact_start IS NOT NULL
        AND pid <> pg_backend_pid()";
    assert_eq!(world.rows(open).await, ["0"]);
}
