//! Histories: random writes, delivered as SQS may deliver them, under faults. At the end each
//! accepted write has taken effect once, in the order of its key, and nothing else has.
//!
//! A history follows from its seed: the writes, the messages, the redriven ones, the deliveries,
//! the faults of the Data API, the locks of other sessions, the kills and the deadlines.
//! `AURORA_SYNC_SEEDS=1000` tries a thousand of them, `AURORA_SYNC_SEED=17` only that one, with the
//! log of the function.

mod model;
mod queue;
mod writes;

use std::collections::BTreeSet;
use std::time::Duration;

use aurora_sync::domain::deadline::{Deadline, now_ms};
use aurora_sync::functions::apply::{self, Apply};
use aws_lambda_events::sqs::SqsEvent;
use data_api_server::Operation;
use serde_json::Value;

use self::model::Model;
use self::queue::{Queue, messages};
use self::writes::{TABLES, requests};
use crate::support::events::{outbox, prune_telling};
use crate::support::fake_aws::FakeAws;
use crate::support::histories::{
    OtherSession, fault, hang, seeds, wait_for_calls, wait_for_no_transaction,
};
use crate::support::process::Function;
use crate::support::{STAFF, World, deadline};

/// The number of seeds of a plain `cargo test`.
const SEEDS: u64 = 40;

/// The number of seeds with real processes, which take longer.
const PROCESS_SEEDS: u64 = 12;

/// The deliveries after which a history that is not settled fails.
const DELIVERIES_MAX: usize = 300;

/// A time longer than the Data API keeps an idle transaction. SQS hides the messages of a killed
/// function for longer than that (`WritesVisibilityTimeout`).
const UNTIL_NEXT_DELIVERY: Duration = Duration::from_mins(6);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_accepted_write_is_settled_once_under_faults() {
    // Several histories run at once, each on its own database.
    tokio::join!(
        every_fourth_seed(0),
        every_fourth_seed(1),
        every_fourth_seed(2),
        every_fourth_seed(3)
    );
}

/// Runs every fourth seed from `first` on.
async fn every_fourth_seed(first: u64) {
    let world = World::with(&format!("{STAFF};{TABLES}")).await;
    let mut runner = InProcess::new(true).await;
    for seed in seeds(SEEDS).filter(|seed| seed % 4 == first) {
        run(&world, seed, &mut runner).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_accepted_write_is_settled_once_when_its_process_is_killed() {
    let (world, aws) = (World::with(STAFF).await, FakeAws::new().await);
    // There is no queue: other tests check the visibility of messages.
    let url = world.server.url();
    let queue =
        [("AWS_ENDPOINT_URL_SQS", url.clone()), ("WRITES_QUEUE_URL", format!("{url}/queue"))];
    let mut function = Function::new(&world, &aws, env!("CARGO_BIN_EXE_apply"), &queue).await;
    for seed in seeds(PROCESS_SEEDS) {
        run(&world, seed, &mut function).await;
    }
}

/// Runs deliveries.
trait Runner {
    /// Tells if the model has its own tables besides the example's.
    const HAS_ALL_TABLES: bool;

    /// Tells if a deadline may be earlier than the calls of a delivery need.
    fn has_deadlines(&self) -> bool {
        false
    }

    /// Returns the ids of the messages that are left, or `None` if the invocation died.
    async fn deliver(
        &mut self,
        world: &World,
        event: SqsEvent,
        deadline: Deadline,
    ) -> Option<Vec<String>>;

    /// Ends the function as `kill -9` does, during a delivery.
    async fn kill(&mut self);

    /// Checks the end of a history besides its rows and its ledger.
    async fn check(&mut self, _world: &World, _about: &dyn Fn() -> String) {}
}

/// `apply` in the process of the test, which publishes events. A kill drops its future.
struct InProcess {
    has_deadlines: bool,
    aws: FakeAws,
}

impl InProcess {
    async fn new(has_deadlines: bool) -> Self {
        Self { has_deadlines, aws: FakeAws::new().await }
    }
}

impl Runner for InProcess {
    const HAS_ALL_TABLES: bool = true;

    fn has_deadlines(&self) -> bool {
        self.has_deadlines
    }

    async fn deliver(
        &mut self,
        world: &World,
        event: SqsEvent,
        deadline: Deadline,
    ) -> Option<Vec<String>> {
        let outbox = Some(outbox(world, &self.aws));
        let function = Apply { outbox, ..world.apply_function() };
        let response = apply::handle(&function, event, now_ms(), deadline).await.ok()?;
        Some(response.batch_item_failures.into_iter().map(|left| left.item_identifier).collect())
    }

    async fn kill(&mut self) {}

    /// Checks that an event tells of each rejected write, and of no other. Those that a fault left
    /// in the outbox are published by `prune`.
    async fn check(&mut self, world: &World, about: &dyn Fn() -> String) {
        world.rows("UPDATE sync.event SET created_at = created_at - interval '61 seconds'").await;
        prune_telling(world, &self.aws).await;
        assert_eq!(world.rows("SELECT count(*) FROM sync.event").await, ["0"], "{}", about());
        let mut told = BTreeSet::new();
        for entry in self.aws.take_events() {
            let detail: Value = serde_json::from_str(entry["Detail"].as_str().unwrap()).unwrap();
            let writes = detail["writes"].as_array().unwrap().iter();
            told.extend(writes.map(|write| write["id"].as_str().unwrap().to_owned()));
        }
        let rejected = "SELECT id::text FROM sync.write WHERE outcome = 'rejected'";
        let rejected: BTreeSet<_> = world.rows(rejected).await.into_iter().collect();
        assert_eq!(told, rejected, "{}", about());
    }
}

impl Runner for Function {
    const HAS_ALL_TABLES: bool = false;

    async fn deliver(
        &mut self,
        _world: &World,
        event: SqsEvent,
        _deadline: Deadline,
    ) -> Option<Vec<String>> {
        self.invoke(&event).await
    }

    async fn kill(&mut self) {
        Function::kill(self).await;
    }
}

/// Runs a history and compares its end with the model.
async fn run<R: Runner>(world: &World, seed: u64, runner: &mut R) {
    let mut random = fastrand::Rng::with_seed(seed);
    let requests = requests(&world.catalog, &mut random, R::HAS_ALL_TABLES);
    let messages = messages(&requests, &mut random);
    let model = Model::of(&messages, R::HAS_ALL_TABLES);
    model.begin(world).await;
    let mut queue = Queue::of(&messages);
    let mut log = Vec::new();
    for delivery in 0.. {
        let about = || format!("seed {seed}: not settled\n{}\n{messages:#?}", log.join("\n"));
        assert!(delivery < DELIVERIES_MAX, "{}", about());
        let Some(event) = queue.deliver(&mut random) else { break };
        let ids: Vec<_> =
            event.records.iter().filter_map(|message| message.message_id.clone()).collect();
        let disruption = Disruption::new(&mut random, runner.has_deadlines());
        log.push(format!("{ids:?} {disruption:?}"));
        let left = deliver_under(world, runner, event, &disruption).await;
        // The response may not reach SQS.
        if let Some(left) = left.filter(|_| !disruption.loses_response) {
            queue.acknowledge(&ids, &left);
        }
        world.server.faults().clear();
        world.server.pass(UNTIL_NEXT_DELIVERY);
        if disruption.time.is_some() {
            wait_for_no_transaction(world, UNTIL_NEXT_DELIVERY).await;
        }
    }
    let about = || format!("seed {seed}\n{}\n{messages:#?}", log.join("\n"));
    model.check(world, &about).await;
    runner.check(world, &about).await;
}

/// The faults of one delivery.
#[derive(Debug)]
struct Disruption {
    faults: Vec<String>,
    /// The number of the call at which the function is killed, from 1.
    killed_at: Option<u64>,
    /// An invocation shorter than its calls need.
    time: Option<Duration>,
    other_transaction: Option<OtherTransaction>,
    loses_response: bool,
}

/// A transaction of another session that is open for this time. In the end it changes nothing.
#[derive(Debug)]
struct OtherTransaction {
    statements: &'static str,
    commits: bool,
    time: Duration,
}

impl Disruption {
    fn new(random: &mut fastrand::Rng, has_deadlines: bool) -> Self {
        let mut faults = Vec::new();
        while faults.len() < 3 && random.u8(..) < 110 {
            let operation =
                random.choice(["any", "any", "begin", "batch", "execute", "commit", "rollback"]);
            let call = random.u64(1..=5);
            faults.push(format!("{}@{call} {}", operation.unwrap(), fault(random)));
        }
        let killed_at = (random.u8(..) < 40).then(|| random.u64(1..=7));
        let is_slow = has_deadlines && killed_at.is_none() && random.u8(..30) == 0;
        if is_slow {
            let operation = random.choice(["any", "begin", "batch", "batch", "execute", "commit"]);
            let call = random.u64(1..=3);
            faults.push(format!("{}@{call}.. delay=200ms", operation.unwrap()));
        }
        let time = is_slow.then(|| Duration::from_millis(random.u64(100..500)));
        let other_transaction = (random.u8(..20) == 0).then(|| OtherTransaction::new(random));
        Self { faults, killed_at, time, other_transaction, loses_response: random.u8(..) < 20 }
    }
}

impl OtherTransaction {
    fn new(random: &mut fastrand::Rng) -> Self {
        let (statements, commits) = random
            .choice([
                ("UPDATE staff SET age = age", true),
                ("UPDATE staff SET age = age + 1", false),
                ("SELECT FROM staff FOR UPDATE", true),
                ("DELETE FROM staff", false),
                (
                    "INSERT INTO staff SELECT lpad(n::text, 4, '0'), 'other' FROM generate_series(0, 4) AS n
                    ON CONFLICT (id) DO UPDATE SET name = 'other'",
                    false,
                ),
            ])
            .unwrap();
        Self { statements, commits, time: Duration::from_millis(random.u64(5..60)) }
    }

    /// Waits, and ends the transaction.
    async fn happen(&self, other: OtherSession) {
        tokio::time::sleep(self.time).await;
        other.end().await;
    }
}

/// Delivers under these faults.
async fn deliver_under<R: Runner>(
    world: &World,
    runner: &mut R,
    event: SqsEvent,
    disruption: &Disruption,
) -> Option<Vec<String>> {
    let Some(other_transaction) = &disruption.other_transaction else {
        return deliver_with_faults(world, runner, event, disruption).await;
    };
    let other =
        OtherSession::begin(world, other_transaction.statements, other_transaction.commits).await;
    let delivered = deliver_with_faults(world, runner, event, disruption);
    let (left, ()) = tokio::join!(delivered, other_transaction.happen(other));
    left
}

async fn deliver_with_faults<R: Runner>(
    world: &World,
    runner: &mut R,
    event: SqsEvent,
    disruption: &Disruption,
) -> Option<Vec<String>> {
    for fault in &disruption.faults {
        world.fault(fault);
    }
    let deadline = disruption.time.map_or_else(deadline, Deadline::after);
    let Some(killed_at) = disruption.killed_at else {
        return runner.deliver(world, event, deadline).await;
    };
    // The call never ends, so that the moment of the kill is the same in every run.
    world.server.faults().add(hang(killed_at));
    let calls = world.server.counters().all_calls() + killed_at;
    let left = tokio::select! {
        left = runner.deliver(world, event, deadline) => Some(left),
        () = wait_for_calls(world, calls) => None,
    };
    match left {
        Some(left) => left,
        None => {
            runner.kill().await;
            None
        }
    }
}

#[tokio::test]
async fn a_seed_repeats_its_history() {
    let world = World::with(&format!("{STAFF};{TABLES}")).await;
    let mut seen = Vec::new();
    for _ in 0..2 {
        world.server.counters().reset();
        // The progress until a deadline depends on the clock.
        run(&world, 8, &mut InProcess::new(false).await).await;
        let calls =
            [Operation::Begin, Operation::BatchExecute, Operation::Execute, Operation::Commit]
                .map(|operation| world.server.counters().calls(operation));
        seen.push(calls);
    }
    assert_eq!(seen[0], seen[1]);
}
