//! Histories of imports: random files, whose messages are delivered as SQS may deliver them, under
//! faults. At the end each row of the file has taken effect once, in the order of its key, and is
//! counted by its outcome.
//!
//! A history follows from its seed, as those of writes do (`histories`): `AURORA_SYNC_SEEDS=1000`
//! tries a thousand of them, `AURORA_SYNC_SEED=17` only that one, with the log of the function.
//! Short deadlines depend on the clock, so that two runs of a seed may make different calls, but
//! their ends are the same.

mod file;
mod model;
mod queue;
mod tables;

use std::time::Duration;

use aurora_sync::api::caller::RowSecurity;
use aurora_sync::aws::objects::Objects;
use aurora_sync::aws::queue::Queue as Sqs;
use aurora_sync::domain::deadline::Deadline;
use aurora_sync::functions::import::read::chunk::Limits;
use aurora_sync::functions::import::read::source::{self, Source};
use aurora_sync::functions::import::{self, Import};
use aws_lambda_events::sqs::SqsEvent;
use import_options::Defaults;
use serde_json::{Value, json};

use self::file::{File, Size, row};
use self::model::{Expected, Mode, Options, OtherTransaction, Row, expect, sorted};
use self::queue::Queue;
use self::tables::{GUARD, Kind, OTHERS, TABLES};
use crate::support::fake_aws::{CallFault, FakeAws};
use crate::support::histories::{OtherSession, fault, hang, seeds, wait_for_calls};
use crate::support::process::Function;
use crate::support::{STAFF, World, deadline, sqs_event};

/// The number of seeds of a plain `cargo test`.
const SEEDS: u64 = 40;

/// The number of seeds with real processes, which take longer.
const PROCESS_SEEDS: u64 = 12;

/// The number of seeds with two concurrent workers.
const PAIR_SEEDS: u64 = 16;

/// The deliveries after which a history that has not ended fails.
const DELIVERIES_MAX: usize = 300;

/// A time longer than the Data API keeps an idle transaction.
const UNTIL_NEXT_DELIVERY: Duration = Duration::from_mins(6);

const BUCKET: &str = "uploads";
const RESULTS: &str = "results";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_row_of_a_file_is_loaded_once_under_faults() {
    // Several histories run at once, each on its own database.
    tokio::join!(
        Box::pin(every_fourth_seed(0)),
        Box::pin(every_fourth_seed(1)),
        Box::pin(every_fourth_seed(2)),
        Box::pin(every_fourth_seed(3))
    );
}

/// Runs every fourth seed from `first` on.
async fn every_fourth_seed(first: u64) {
    let env = ImportEnv::new().await;
    for seed in seeds(SEEDS).filter(|seed| seed % 4 == first) {
        let mut random = fastrand::Rng::with_seed(seed);
        let size =
            Size { records: random.usize(0..100), keys: random.choice([3, 15, 200]).unwrap() };
        let history = History::new(&mut random, size).beside_others(&mut random);
        Box::pin(run(&env, seed, &history, &mut random, &mut InProcess)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_row_of_a_file_is_loaded_once_when_its_process_is_killed() {
    let env = ImportEnv::new().await;
    let mut function = env.function().await;
    for seed in seeds(PROCESS_SEEDS) {
        let mut random = fastrand::Rng::with_seed(seed);
        // The chunks of the program have 15,000 records.
        let size = Size {
            records: random.usize(16_500..30_000),
            keys: random.choice([1_000, 9_000]).unwrap(),
        };
        let history = History::of(Kind::Staff, &mut random, size).beside_others(&mut random);
        Box::pin(run(&env, seed, &history, &mut random, &mut function)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_workers_on_one_import_never_load_a_chunk_twice() {
    let env = ImportEnv::new().await;
    for seed in seeds(PAIR_SEEDS) {
        let mut random = fastrand::Rng::with_seed(seed);
        let size = Size { records: random.usize(20..200), keys: 50 };
        let history = History::new(&mut random, size);
        history.begin(&env).await;
        let body = history.notification(&env);
        let event = sqs_event(&[("m1", "", &body)]);
        let mut log = Vec::new();
        while history.is_running(&env).await {
            assert!(log.len() < DELIVERIES_MAX, "seed {seed}: not over\n{history:#?}");
            let (one, other) = (env.import(&history), env.import(&history));
            let done = tokio::join!(
                Box::pin(import::handle(&one, event.clone(), deadline())),
                Box::pin(import::handle(&other, event.clone(), deadline())),
            );
            log.push(format!("{done:?}"));
        }
        history.check(&env, seed, &log).await;
    }
}

/// The environment of histories.
struct ImportEnv {
    world: World,
    aws: FakeAws,
}

impl ImportEnv {
    async fn new() -> Self {
        let (world, aws) = (World::with(&format!("{STAFF};{TABLES}")).await, FakeAws::new().await);
        for sql in GUARD {
            world.rows(sql).await;
        }
        Self { world, aws }
    }

    fn import(&self, history: &History) -> Import {
        Import {
            tables: self.world.tables(),
            data_api: self.world.writer.clone(),
            outbox: None,
            objects: Objects::new(&self.aws.sdk_config),
            queue: Sqs::new(&self.aws.sdk_config, self.aws.queue_url()),
            results_bucket: RESULTS.into(),
            row_security: RowSecurity::Off,
            defaults: Defaults::none(),
            lanes: history.lanes,
            limits: history.limits,
            full_invocation: aurora_sync::functions::import::FULL_INVOCATION,
            heartbeat_every: aurora_sync::functions::import::HEARTBEAT_EVERY,
        }
    }

    /// Returns the program as Lambda runs it.
    async fn function(&self) -> Function {
        let more = [
            ("AWS_ENDPOINT_URL_SQS", self.aws.url.clone()),
            ("IMPORTS_QUEUE_URL", self.aws.queue_url()),
            ("RESULTS_BUCKET", RESULTS.into()),
            ("IMPORT_LANES", "3".into()),
        ];
        Function::new(&self.world, &self.aws, env!("CARGO_BIN_EXE_import"), &more).await
    }
}

/// Runs deliveries.
trait Runner {
    /// Returns the ids of the messages that are left, or `None` if the invocation died.
    async fn deliver(
        &mut self,
        env: &ImportEnv,
        history: &History,
        event: SqsEvent,
        deadline: Deadline,
    ) -> Option<Vec<String>>;

    /// Ends the function as `kill -9` does, during a delivery.
    async fn kill(&mut self);
}

/// `import` in the process of the test. A kill drops its future.
struct InProcess;

impl Runner for InProcess {
    async fn deliver(
        &mut self,
        env: &ImportEnv,
        history: &History,
        event: SqsEvent,
        deadline: Deadline,
    ) -> Option<Vec<String>> {
        let response =
            Box::pin(import::handle(&env.import(history), event, deadline)).await.ok()?;
        Some(response.batch_item_failures.into_iter().map(|left| left.item_identifier).collect())
    }

    async fn kill(&mut self) {}
}

impl Runner for Function {
    async fn deliver(
        &mut self,
        _env: &ImportEnv,
        _history: &History,
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
async fn run<R: Runner>(
    env: &ImportEnv,
    seed: u64,
    history: &History,
    random: &mut fastrand::Rng,
    runner: &mut R,
) {
    history.begin(env).await;
    let mut log = Vec::new();
    let other = history.begin_other_transaction(&env.world).await;
    tokio::join!(
        end_once_begun(other),
        Box::pin(deliver_all(env, seed, history, random, runner, &mut log)),
    );
    history.check(env, seed, &log).await;
}

/// Ends the transaction of the other session after the import has begun.
async fn end_once_begun(other: Option<OtherSession>) {
    let Some(other) = other else { return };
    crate::support::until(async || other.sees("SELECT FROM sync.import").await).await;
    tokio::time::sleep(Duration::from_millis(10)).await;
    other.end().await;
}

/// Delivers messages until none is left.
async fn deliver_all<R: Runner>(
    env: &ImportEnv,
    seed: u64,
    history: &History,
    random: &mut fastrand::Rng,
    runner: &mut R,
    log: &mut Vec<String>,
) {
    let mut queue = Queue::of(history.notification(env));
    for delivery in 0.. {
        let about = || format!("seed {seed}: not over\n{}\n{history:#?}", log.join("\n"));
        assert!(delivery < DELIVERIES_MAX, "{}", about());
        let Some(event) = queue.deliver(random) else { break };
        let ids: Vec<_> =
            event.records.iter().filter_map(|message| message.message_id.clone()).collect();
        let disruption = Disruption::new(random, history);
        let left = deliver_under(env, history, runner, event, &disruption).await;
        log.push(format!("{ids:?} {disruption:?}: {left:?} left"));
        // The response may not reach SQS.
        if let Some(left) = left.filter(|_| !disruption.loses_response) {
            queue.acknowledge(&ids, &left);
        }
        queue.send(env.aws.take_sent());
        env.world.server.faults().clear();
        env.aws.clear_faults();
        env.world.server.pass(UNTIL_NEXT_DELIVERY);
    }
}

/// The faults of one delivery.
#[derive(Debug)]
struct Disruption {
    faults: Vec<String>,
    aws_faults: Vec<(u64, CallFault)>,
    /// The service and the number of the call, from 1, at which the function is killed.
    killed_at: Option<(Service, u64)>,
    /// An invocation shorter than the file needs.
    time: Option<Duration>,
    loses_response: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Service {
    DataApi,
    S3AndSqs,
}

impl Disruption {
    fn new(random: &mut fastrand::Rng, history: &History) -> Self {
        // Early and late calls are equally frequent.
        let call = |random: &mut fastrand::Rng| {
            let most = 1 << random.u32(2..=7);
            random.u64(1..=most)
        };
        let mut faults = Vec::new();
        while faults.len() < 3 && random.u8(..) < 110 {
            let operation =
                random.choice(["any", "any", "begin", "batch", "execute", "commit", "rollback"]);
            let call = call(random);
            let mut fault = if random.u8(..30) == 0 { "resume=1s".into() } else { fault(random) };
            // A restart would also end the other session.
            if fault == "restart" && history.other_transaction.is_some() {
                fault = "drop-answer".into();
            }
            faults.push(format!("{}@{call} {fault}", operation.unwrap()));
        }
        let mut aws_faults = Vec::new();
        if random.u8(..10) == 0 {
            let mishap = random.choice([CallFault::Fail, CallFault::LoseResponse]).unwrap();
            aws_faults.push((random.u64(1..=6), mishap));
        }
        let killed_at = match random.u8(..12) {
            0 | 1 => Some((Service::DataApi, call(random))),
            2 => Some((Service::S3AndSqs, random.u64(1..=6))),
            _ => None,
        };
        let is_short =
            random.u8(..4) == 0 && !history.options.is_atomic && !history.options.is_dry_run;
        let time = is_short.then(|| Duration::from_millis(random.u64(20..400)));
        Self { faults, aws_faults, killed_at, time, loses_response: random.u8(..) < 20 }
    }
}

/// Delivers under these faults.
async fn deliver_under<R: Runner>(
    env: &ImportEnv,
    history: &History,
    runner: &mut R,
    event: SqsEvent,
    disruption: &Disruption,
) -> Option<Vec<String>> {
    let ImportEnv { world, aws } = env;
    for fault in &disruption.faults {
        world.fault(fault);
    }
    for (call, mishap) in &disruption.aws_faults {
        aws.inject(*call, *mishap);
    }
    let deadline = disruption.time.map_or_else(deadline, Deadline::after);
    let Some((service, call)) = disruption.killed_at else {
        return runner.deliver(env, history, event, deadline).await;
    };
    // The call never ends, so that the moment of the kill is the same in every run.
    let killed = async {
        match service {
            Service::DataApi => {
                let calls = world.server.counters().all_calls() + call;
                world.server.faults().add(hang(call));
                wait_for_calls(world, calls).await;
            }
            Service::S3AndSqs => {
                let calls = aws.calls() + call;
                aws.inject(call, CallFault::Hang);
                crate::support::until(async || aws.calls() >= calls).await;
            }
        }
    };
    let left = tokio::select! {
        biased;
        () = killed => None,
        left = runner.deliver(env, history, event, deadline) => Some(left),
    };
    match left {
        Some(left) => left,
        None => {
            runner.kill().await;
            None
        }
    }
}

/// A file, the rows that exist before it, and the options of its import.
struct History {
    options: Options,
    before: Vec<Row>,
    other_transaction: Option<OtherTransaction>,
    file: File,
    lanes: usize,
    limits: Limits,
}

impl std::fmt::Debug for History {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let file = String::from_utf8_lossy(&self.file.content);
        let records: Vec<_> = self.file.records.iter().take(300).collect();
        f.debug_struct("History")
            .field("options", &self.options)
            .field("lanes", &self.lanes)
            .field("limits", &self.limits)
            .field("file_options", &self.file.options)
            .field("before", &format!("{:?}", self.before))
            .field("other_transaction", &format!("{:?}", self.other_transaction))
            .field("records", &format!("{records:?}"))
            .field("file", &file.chars().take(10_000).collect::<String>())
            .finish()
    }
}

impl History {
    fn new(random: &mut fastrand::Rng, size: Size) -> Self {
        let kind = random.choice(Kind::ALL).unwrap();
        Self::of(kind, random, size)
    }

    fn of(kind: Kind, random: &mut fastrand::Rng, size: Size) -> Self {
        let modes =
            [Mode::Upsert, Mode::Upsert, Mode::Insert, Mode::Ignore, Mode::Replace, Mode::Delete];
        let mode = random.choice(modes).unwrap();
        // Rows without a key can only be inserted.
        let needs_key = matches!(mode, Mode::Replace | Mode::Delete);
        let mode = if needs_key && !kind.has_key() { Mode::Upsert } else { mode };
        let (is_atomic, is_dry_run) = (random.u8(..8) == 0, random.u8(..8) == 0);
        let allows_rejects = is_atomic && random.bool();
        let options = Options { kind, mode, is_atomic, allows_rejects, is_dry_run };
        // In one transaction, a deferred constraint refuses the file as a whole.
        let is_one = is_atomic || is_dry_run;
        let allows_refusals = random.bool() && !(kind == Kind::Deferred && is_one);
        let refused_in = random.choice([2, 12]).filter(|_| allows_refusals);
        let mut file = File::new(random, kind, mode, size, refused_in);
        let mut set = |name: &str, value: &str| file.options.insert(name.into(), value.into());
        if mode == Mode::Replace {
            set("max-deletes", "100%");
        }
        if is_atomic {
            set("atomic", "true");
        }
        if allows_rejects {
            set("max-rejects", "100000");
        }
        if is_dry_run {
            set("dry-run", "true");
        }
        let before = before(random, kind, &file);
        let is_one_transaction = options.is_atomic || options.is_dry_run;
        let bytes = if random.u8(..4) == 0 && !is_one_transaction {
            random.usize(20..2_000)
        } else {
            BYTES_WITHOUT_LIMIT
        };
        Self {
            options,
            before,
            other_transaction: None,
            file,
            lanes: random.usize(1..=4),
            limits: Limits { records: random.usize(1..=50), bytes },
        }
    }

    /// Adds the rows of a transaction that another session has open when the import begins:
    /// sometimes, and always in mode `replace`.
    fn beside_others(mut self, random: &mut fastrand::Rng) -> Self {
        if self.options.mode != Mode::Replace && random.u8(..8) > 0 {
            return self;
        }
        let kind = self.options.kind;
        let touched = self.before.iter().filter(|_| random.bool()).map(|row| row.key.clone());
        let touched = touched.collect();
        let key = if kind == Kind::Staff { kind.key(9_500) } else { kind.key(OTHERS - 50) };
        let key = if kind == Kind::Paired { format!("{key}/x") } else { key };
        let a = (kind != Kind::Single).then(|| "other".to_owned());
        let added = vec![Row { key, a, b: Some(1) }];
        let added = if random.bool() { added } else { Vec::new() };
        self.other_transaction = Some(OtherTransaction { touched, added });
        self
    }

    /// Begins the transaction of the other session.
    async fn begin_other_transaction(&self, world: &World) -> Option<OtherSession> {
        let OtherTransaction { touched, added } = self.other_transaction.as_ref()?;
        let (kind, table) = (self.options.kind, self.options.kind.table());
        let number = kind.columns()[2];
        let key = kind.key_sql();
        let touched = quoted(&serde_json::to_string(touched).unwrap());
        let touch = format!(
            "UPDATE {table} SET {number} = {number}
            WHERE {key} IN (SELECT json_array_elements_text({touched}::json))"
        );
        let add = insert(kind, &quoted(&rows_as_json(kind, added)));
        Some(OtherSession::begin(world, &format!("{touch}; {add}"), true).await)
    }

    fn key(&self) -> String {
        format!("imports/{}/file.csv", self.options.kind.table())
    }

    fn source(&self, env: &ImportEnv) -> Source {
        let notification = source::read(&self.notification(env)).unwrap();
        notification.requests.into_iter().next().unwrap().source
    }

    /// Empties the tables and inserts the rows that exist before the import.
    async fn begin(&self, env: &ImportEnv) {
        let ImportEnv { world, aws } = env;
        let table = self.options.kind.table();
        world
            .rows(&format!(
                "TRUNCATE sync.import, sync.import_key, sync.import_reject, {table} CASCADE"
            ))
            .await;
        let sql = insert(self.options.kind, ":rows");
        let rows = rows_as_json(self.options.kind, &self.before);
        let rows = vec![aurora_sync::domain::field::parameter("rows", rows)];
        world.data_api.execute(None, &sql, rows).await.unwrap();
        aws.forget_objects();
        aws.put(BUCKET, &self.key(), self.file.content.clone(), self.file.options.clone());
        aws.take_sent();
    }

    /// Returns the notification of S3.
    fn notification(&self, env: &ImportEnv) -> String {
        let etag =
            env.aws.put(BUCKET, &self.key(), self.file.content.clone(), self.file.options.clone());
        json!({ "Records": [{
            "eventName": "ObjectCreated:Put",
            "s3": {
                "bucket": { "name": BUCKET },
                "object": { "key": self.key(), "eTag": etag, "sequencer": "01" },
            },
        }]})
        .to_string()
    }

    async fn is_running(&self, env: &ImportEnv) -> bool {
        let states = env.world.rows("SELECT state FROM sync.import").await;
        states.is_empty() || states == ["running"]
    }

    /// Compares the database and the results with the model.
    async fn check(&self, env: &ImportEnv, seed: u64, log: &[String]) {
        let ImportEnv { world, aws } = env;
        let about = || format!("seed {seed}\n{}\n{self:#?}", log.join("\n"));
        let chunk_ends = self.chunk_ends(world).await;
        let other_transaction = self.other_transaction.as_ref();
        let expected =
            expect(self.options, &self.before, other_transaction, &self.file.records, &chunk_ends);
        let Expected { state, counts, .. } = &expected;
        let found = world
            .rows(
                "SELECT state, rows_read, rows_written, rows_unchanged, rows_superseded, rows_rejected,
                rows_deleted FROM sync.import",
            )
            .await;
        let line = format!(
            "{state}|{}|{}|{}|{}|{}|{}",
            counts.read,
            counts.written,
            counts.unchanged,
            counts.superseded,
            counts.rejected,
            counts.deleted
        );
        let error = world.rows("SELECT error FROM sync.import").await;
        assert_eq!(found, [line], "{error:?} {}", about());
        let key = self.options.kind.key_sql();
        let [_, text, number, ..] = self.options.kind.columns() else { unreachable!() };
        let table = self.options.kind.table();
        let found = world
            .rows(&format!(
                "SELECT json_agg(json_build_object('key', {key}, 'a', {text}, 'b', {number}))::text FROM {table}"
            ))
            .await;
        let found: Value = serde_json::from_str(&found[0]).unwrap_or_default();
        let found = found.as_array().into_iter().flatten().map(|row| Row {
            key: row["key"].as_str().unwrap().to_owned(),
            a: row["a"].as_str().map(str::to_owned),
            b: row["b"].as_i64(),
        });
        assert!(sorted(found.collect()) == expected.rows, "rows differ: {}", about());
        let rejects =
            world.rows("SELECT record, byte_offset FROM sync.import_reject ORDER BY record").await;
        let expected_rejects: Vec<_> = expected
            .rejected
            .iter()
            .map(|number| format!("{number}|{}", self.file.offsets[number - 1]))
            .collect();
        assert_eq!(rejects, expected_rejects, "{}", about());
        let kinds =
            world.rows("SELECT coalesce(sum(rows), 0)::bigint FROM sync.import_reject_kind").await;
        assert_eq!(kinds, [counts.rejected.to_string()], "{}", about());
        let left = world.rows("SELECT count(*) FROM sync.import_key").await;
        assert_eq!(left, ["0"], "{}", about());
        self.check_report(env, &expected, &about);
        drop(aws.take_sent());
    }

    /// Returns the ends of the chunks. A rolled back import has left no chunks, and its chunks are
    /// not limited by bytes.
    async fn chunk_ends(&self, world: &World) -> Vec<usize> {
        let ends = "SELECT DISTINCT next_record - 1 FROM sync.import_chunk ORDER BY 1";
        let ends = world.rows(ends).await;
        if !ends.is_empty() {
            return ends.iter().map(|end| end.parse().unwrap()).collect();
        }
        // The limits of the program are higher than any of these files needs.
        let records =
            if self.options.kind == Kind::Staff { usize::MAX } else { self.limits.records };
        let all = self.file.records.len();
        (1..=all.div_ceil(records)).map(|chunk| chunk.saturating_mul(records).min(all)).collect()
    }

    fn check_report(&self, env: &ImportEnv, expected: &Expected, about: &dyn Fn() -> String) {
        let Expected { state, counts, .. } = expected;
        let folder = format!("{}/{}", self.options.kind.table(), self.source(env).import_id());
        let report = env.aws.get(RESULTS, &format!("{folder}/report.json"));
        let report = report.unwrap_or_else(|| panic!("no report: {}", about()));
        let report: Value = serde_json::from_slice(&report).unwrap();
        assert_eq!(report["state"], *state, "{}", about());
        assert_eq!(
            report["rows"],
            json!({
                "read": counts.read,
                "written": counts.written,
                "unchanged": counts.unchanged,
                "superseded": counts.superseded,
                "rejected": counts.rejected,
            }),
            "{}",
            about()
        );
        assert_eq!(report["rows_deleted"], counts.deleted, "{}", about());
        let shown =
            report["rejects"].as_array().unwrap().iter().map(|reject| reject["record"].as_u64());
        let shown: Vec<_> = shown.flatten().collect();
        let first: Vec<_> =
            expected.rejected.iter().take(100).map(|number| *number as u64).collect();
        assert_eq!(shown, first, "{}", about());
        assert_eq!(report["rejected_file_rows"], counts.rejected, "{}", about());
        let rejected = env.aws.get(RESULTS, &format!("{folder}/rejected.csv"));
        assert_eq!(rejected.is_some(), counts.rejected > 0, "{}", about());
    }
}

/// Returns the statement that inserts the rows of a JSON text.
fn insert(kind: Kind, json: &str) -> String {
    let (table, columns) = (kind.table(), kind.columns().join(", "));
    format!(
        "INSERT INTO {table} ({columns}) SELECT {columns}
        FROM json_populate_recordset(NULL::{table}, {json}::json)"
    )
}

fn rows_as_json(kind: Kind, rows: &[Row]) -> String {
    let [_, text, number, ..] = kind.columns() else { unreachable!() };
    let row = |row: &Row| {
        let (id, c) = row.key.split_once('/').unwrap_or((&row.key, ""));
        json!({ "id": id, "c": c, *text: row.a, *number: row.b })
    };
    Value::Array(rows.iter().map(row).collect()).to_string()
}

/// Returns a text as an SQL literal.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// More bytes than any chunk of these files has.
const BYTES_WITHOUT_LIMIT: usize = 1_000_000;

/// Returns the rows that exist before the import: some of the file, other rows of its keys, and
/// rows that are in no file.
fn before(random: &mut fastrand::Rng, kind: Kind, file: &File) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    let mut add = |row: Row| {
        let is_refused = kind.refuses_always(&row)
            || kind.refuses_where_stored(&row)
            || kind.skips(&row)
            || kind == Kind::Checked && row.b.is_none();
        let is_there = kind.has_key() && rows.iter().any(|other| other.key == row.key);
        if !is_refused && !is_there {
            rows.push(row);
        }
    };
    let share = random.u8(..4);
    for record in file.records.iter().take(200) {
        if let model::Record::Row(known) = record
            && random.u8(..4) < share
        {
            let mut known = known.clone();
            if random.bool() {
                known.b = Some(random.i64(0..3));
            }
            add(known);
        }
    }
    for number in 0..random.u32(..4) {
        add(Row { b: Some(1), ..row(random, kind, Mode::Upsert, 3, &[Some("z")], None) });
        let key = match kind {
            Kind::Paired => format!("{}/x", OTHERS - 1 - number),
            Kind::Staff => format!("{}", 9_000 + number),
            _ => kind.key(OTHERS - 1 - number),
        };
        let a = (kind != Kind::Single).then(|| "other".to_owned());
        add(Row { key, a, b: Some(1) });
    }
    if kind == Kind::Single {
        for number in 0..2 {
            let key = (OTHERS + 50 + number).to_string();
            rows.push(Row { key, a: Some(format!("taken-{number}")), b: None });
        }
    }
    rows
}
