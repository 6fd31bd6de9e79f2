//! Histories: random writes, delivered as SQS may deliver them, while everything goes wrong. At the end
//! each accepted write has had its effect once, in the order of its key, and nothing else has.
//!
//! A history follows from its seed: the writes, the messages, the deliveries, the faults of the Data API
//! and the moments at which the function is killed. `AURORA_SYNC_SEEDS=1000` tries so many of them,
//! `AURORA_SYNC_SEED=17` that one alone, with the
//! function's log.

mod model;
mod queue;

use std::time::Duration;

use aurora_sync::apply;
use aurora_sync::deadline::now_ms;
use aurora_sync_local::data_api::Operation;
use aws_lambda_events::sqs::SqsEvent;

use self::model::{History, TABLES};
use self::queue::Queue;
use crate::support::process::Function;
use crate::support::trouble::{fault, hang, reached, seeds};
use crate::support::{STAFF, World, deadline};

/// Seeds of a plain `cargo test`.
const SEEDS: u64 = 40;

/// Of those with real processes, which take longer.
const PROCESS_SEEDS: u64 = 12;

/// A history that is not settled after so many deliveries never will be.
const DELIVERIES_MAX: usize = 300;

/// Longer than the Data API keeps an idle transaction. SQS hides the messages of a killed function for
/// longer than that (`WritesVisibilityTimeout`).
const UNTIL_NEXT_DELIVERY: Duration = Duration::from_mins(6);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_accepted_write_is_settled_once_whatever_goes_wrong_on_the_way() {
    // Several at once, each over a database of its own.
    tokio::join!(lane(0), lane(1), lane(2), lane(3));
}

/// Every fourth seed.
async fn lane(lane: u64) {
    let world = World::with(&format!("{STAFF};{TABLES}")).await;
    for seed in seeds(SEEDS).filter(|seed| seed % 4 == lane) {
        run(&world, seed, &mut InProcess).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_accepted_write_is_settled_once_though_its_process_is_killed() {
    let world = World::with(STAFF).await;
    // No queue: the visibility of messages is the business of other tests.
    let url = world.server.url();
    let queue =
        [("AWS_ENDPOINT_URL_SQS", url.clone()), ("WRITES_QUEUE_URL", format!("{url}/queue"))];
    let mut function = Function::new(&world, env!("CARGO_BIN_EXE_apply"), &queue).await;
    for seed in seeds(PROCESS_SEEDS) {
        run(&world, seed, &mut function).await;
    }
}

/// What runs a delivery.
trait Runner {
    /// Whether the tables of the model besides the example's are there.
    const HAS_ALL_TABLES: bool;

    /// Gives the ids of the messages that are left; `None` where the invocation died.
    async fn deliver(&mut self, world: &World, event: SqsEvent) -> Option<Vec<String>>;

    /// Ends the function as `kill -9` does, while a delivery runs.
    async fn kill(&mut self);
}

/// `apply` in the process of the test; a kill drops it where it stands.
struct InProcess;

impl Runner for InProcess {
    const HAS_ALL_TABLES: bool = true;

    async fn deliver(&mut self, world: &World, event: SqsEvent) -> Option<Vec<String>> {
        let function = world.apply_function();
        let response = apply::handle(&function, event, now_ms(), deadline()).await.ok()?;
        Some(response.batch_item_failures.into_iter().map(|left| left.item_identifier).collect())
    }

    async fn kill(&mut self) {}
}

impl Runner for Function {
    const HAS_ALL_TABLES: bool = false;

    async fn deliver(&mut self, _world: &World, event: SqsEvent) -> Option<Vec<String>> {
        self.invoke(&event).await
    }

    async fn kill(&mut self) {
        Function::kill(self).await;
    }
}

/// Lives a history through, and compares its end with the model's.
async fn run<R: Runner>(world: &World, seed: u64, runner: &mut R) {
    let mut random = fastrand::Rng::with_seed(seed);
    let history = History::new(&world.schema.catalog, &mut random, R::HAS_ALL_TABLES);
    history.begin(world).await;
    let mut queue = Queue::of(&history, &mut random);
    let mut log = Vec::new();
    for delivery in 0.. {
        assert!(
            delivery < DELIVERIES_MAX,
            "seed {seed}: not settled\n{}\n{history:#?}",
            log.join("\n")
        );
        let Some(event) = queue.deliver(&mut random) else { break };
        let ids: Vec<_> =
            event.records.iter().filter_map(|message| message.message_id.clone()).collect();
        let trouble = Trouble::new(&mut random);
        log.push(format!("{ids:?} {trouble:?}"));
        let left = suffer(world, runner, event, &trouble).await;
        // The answer does not always get back to SQS.
        if let Some(left) = left.filter(|_| !trouble.loses_answer) {
            queue.acknowledge(&ids, &left);
        }
        world.server.faults().clear();
        world.server.pass(UNTIL_NEXT_DELIVERY);
    }
    history.check(world, seed, &log).await;
}

/// What goes wrong in one delivery.
#[derive(Debug)]
struct Trouble {
    faults: Vec<String>,
    /// The function is killed when it makes this call, from 1.
    killed_at: Option<u64>,
    loses_answer: bool,
}

impl Trouble {
    fn new(random: &mut fastrand::Rng) -> Self {
        let mut faults = Vec::new();
        while faults.len() < 3 && random.u8(..) < 110 {
            let operation =
                random.choice(["any", "any", "begin", "batch", "execute", "commit", "rollback"]);
            let call = random.u64(1..=5);
            faults.push(format!("{}@{call} {}", operation.unwrap(), fault(random)));
        }
        let killed_at = (random.u8(..) < 40).then(|| random.u64(1..=7));
        Self { faults, killed_at, loses_answer: random.u8(..) < 20 }
    }
}

/// Delivers under these troubles.
async fn suffer<R: Runner>(
    world: &World,
    runner: &mut R,
    event: SqsEvent,
    trouble: &Trouble,
) -> Option<Vec<String>> {
    for fault in &trouble.faults {
        world.fault(fault);
    }
    let Some(killed_at) = trouble.killed_at else { return runner.deliver(world, event).await };
    // The call hangs, and is never done: so the moment is the same each time.
    world.server.faults().add(hang(killed_at));
    let calls = world.server.counters().all_calls() + killed_at;
    let left = tokio::select! {
        left = runner.deliver(world, event) => Some(left),
        () = reached(world, calls) => None,
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
async fn a_seed_gives_the_same_history_again() {
    let world = World::with(&format!("{STAFF};{TABLES}")).await;
    let mut seen = Vec::new();
    for _ in 0..2 {
        world.server.counters().reset();
        run(&world, 7, &mut InProcess).await;
        let calls =
            [Operation::Begin, Operation::BatchExecute, Operation::Execute, Operation::Commit]
                .map(|operation| world.server.counters().calls(operation));
        seen.push(calls);
    }
    assert_eq!(seen[0], seen[1]);
}
