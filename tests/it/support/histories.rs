//! The parts of random histories that writes and imports share: seeds, faults, other sessions.

use aurora_sync::functions::config::Config;
use aurora_sync::functions::runtime;
use std::time::Duration;

use data_api_server::Rule;

use super::World;

/// Returns the seeds to try: `AURORA_SYNC_SEED=17` only that one, with the log of the function;
/// `AURORA_SYNC_SEEDS=1000` that number of them.
pub(crate) fn seeds(count: u64) -> std::ops::Range<u64> {
    #[expect(clippy::disallowed_methods, reason = "the seeds come from the command line")]
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    match number("AURORA_SYNC_SEED") {
        Some(seed) => {
            // A replay shows the log of the function.
            static LOGS: std::sync::Once = std::sync::Once::new();
            LOGS.call_once(|| runtime::init_logs(&Config::from_env()));
            seed..seed + 1
        }
        None => 0..number("AURORA_SYNC_SEEDS").unwrap_or(count),
    }
}

/// Returns a text that looks like PostgreSQL's error about a constraint of the worker.
pub(crate) fn imitated_error(random: &mut fastrand::Rng) -> &'static str {
    const TEXTS: [&str; 4] = [
        "1 constraint \"sync_write_settled_once\"",
        "duplicate key value violates unique constraint \"sync_chunk_loaded_once\"",
        "new row for relation \"import_chunk\" violates check constraint \"import_chunk_conserves_rows\"",
        "import 00000000-0000-0000-0000-000000000000 is not running: constraint \"sync_import_is_running\"",
    ];
    random.choice(TEXTS).unwrap()
}

/// Returns a random fault of the Data API.
pub(crate) fn fault(random: &mut fastrand::Rng) -> String {
    const EXCEPTIONS: [&str; 8] = [
        "ThrottlingException",
        "InternalServerErrorException",
        "ServiceUnavailableError",
        "DatabaseUnavailableException",
        "InvalidResourceStateException",
        "ForbiddenException",
        "SecretsErrorException",
        "UnsupportedResultException",
    ];
    const STATES: [&str; 6] = ["40001", "40P01", "53300", "55P03", "57P01", "08006"];
    match random.u8(..12) {
        0 | 1 => format!("fail-before={}", random.choice(EXCEPTIONS).unwrap()),
        2 | 3 => format!("fail-after={}", random.choice(EXCEPTIONS).unwrap()),
        4 => "drop-request".into(),
        5 => "drop-answer".into(),
        6 => "cut-answer".into(),
        7 => "timeout".into(),
        8 => "timeout-after".into(),
        9 => "lose-transaction".into(),
        10 => "restart".into(),
        _ => format!("sql={}", random.choice(STATES).unwrap()),
    }
}

/// Returns a rule for a call that never ends, so that the moment of a kill is the same in every
/// run.
pub(crate) fn hang(call: u64) -> Rule {
    format!("any@{call} delay=1h").parse().unwrap()
}

pub(crate) async fn wait_for_calls(world: &World, calls: u64) {
    super::until(async || world.server.counters().all_calls() >= calls).await;
}

/// Waits until the service has ended all transactions that were cut off. An idle transaction ends
/// after `time`.
pub(crate) async fn wait_for_no_transaction(world: &World, time: Duration) {
    const OPEN: &str = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
        AND xact_start IS NOT NULL AND pid <> pg_backend_pid()";
    super::until(async || {
        let is_over = world.rows(OPEN).await == ["0"];
        if !is_over {
            world.server.pass(time);
        }
        is_over
    })
    .await;
}

/// Another session, with an open transaction.
pub(crate) struct OtherSession {
    client: tokio_postgres::Client,
    ends: &'static str,
}

impl OtherSession {
    /// Begins the transaction and runs these statements in it.
    pub(crate) async fn begin(world: &World, statements: &str, commits: bool) -> Self {
        let client = ephemeral_postgres::connect(&world.database_url).await.unwrap();
        client.batch_execute(&format!("BEGIN; {statements}")).await.unwrap();
        Self { client, ends: if commits { "COMMIT" } else { "ROLLBACK" } }
    }

    /// Tells if the session sees rows of this query.
    pub(crate) async fn sees(&self, rows: &str) -> bool {
        !self.client.query(rows, &[]).await.unwrap().is_empty()
    }

    /// Ends the transaction. A fault of the database may have ended the session already.
    pub(crate) async fn end(self) {
        self.client.batch_execute(self.ends).await.ok();
    }
}
