//! What random histories share: their seeds, and what goes wrong in them.

use std::time::Duration;

use data_api_server::Rule;

use super::World;

/// The seeds to be tried: `AURORA_SYNC_SEED=17` that one alone, with the function's log,
/// `AURORA_SYNC_SEEDS=1000` so many of them.
pub(crate) fn seeds(count: u64) -> std::ops::Range<u64> {
    #[expect(clippy::disallowed_methods, reason = "what to try is asked for on the command line")]
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    match number("AURORA_SYNC_SEED") {
        Some(seed) => {
            // What the function says belongs to a replay.
            static LOGS: std::sync::Once = std::sync::Once::new();
            LOGS.call_once(|| aurora_sync::functions::runtime::init_logs("info"));
            seed..seed + 1
        }
        None => 0..number("AURORA_SYNC_SEEDS").unwrap_or(count),
    }
}

/// A text that says what PostgreSQL says of the worker's own constraints.
pub(crate) fn imitation(random: &mut fastrand::Rng) -> &'static str {
    const TEXTS: [&str; 4] = [
        "1 constraint \"sync_write_settled_once\"",
        "duplicate key value violates unique constraint \"sync_chunk_loaded_once\"",
        "new row for relation \"import_chunk\" violates check constraint \"import_chunk_conserves_rows\"",
        "import 00000000-0000-0000-0000-000000000000 is not running: constraint \"sync_import_is_running\"",
    ];
    random.choice(TEXTS).unwrap()
}

/// A fault of the Data API.
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

/// A call that is never done: so the moment of a kill is the same each time.
pub(crate) fn hang(call: u64) -> Rule {
    format!("any@{call} delay=1h").parse().unwrap()
}

pub(crate) async fn reached(world: &World, calls: u64) {
    while world.server.counters().all_calls() < calls {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// Waits until the service has ended what was cut off. An idle transaction ends after `time`.
pub(crate) async fn nothing_is_open(world: &World, time: Duration) {
    const OPEN: &str = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
        AND xact_start IS NOT NULL AND pid <> pg_backend_pid()";
    while world.rows(OPEN).await != ["0"] {
        tokio::time::sleep(Duration::from_millis(10)).await;
        world.server.pass(time);
    }
}

/// A session of others, which has a transaction open for a while.
pub(crate) struct Other {
    client: tokio_postgres::Client,
    ends: &'static str,
}

impl Other {
    /// Begins the transaction, and runs these statements in it.
    pub(crate) async fn begin(world: &World, statements: &str, commits: bool) -> Self {
        let client = ephemeral_postgres::connect(&world.database_url).await.unwrap();
        client.batch_execute(&format!("BEGIN; {statements}")).await.unwrap();
        Self { client, ends: if commits { "COMMIT" } else { "ROLLBACK" } }
    }

    /// Whether it sees such rows.
    pub(crate) async fn sees(&self, rows: &str) -> bool {
        !self.client.query(rows, &[]).await.unwrap().is_empty()
    }

    /// Ends it. A fault of the database may have ended the session before.
    pub(crate) async fn end(self) {
        self.client.batch_execute(self.ends).await.ok();
    }
}
