//! Imports beside other ways to load the same file: from S3's GET to the last commit.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::data::{Table, Version};
use crate::environment::{BenchEnv, Database, UPLOADS, object_created, queue_event};
use crate::figures::{self, Spread, count, cpu, float, mebibytes, number, whole};
use crate::function::{self, Function, Usage};
use crate::settings::Settings;

/// The mode of the import, and the rows that the table holds before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Into an empty table, where a row that is there would be an error.
    Insert,
    /// Into an empty table, where a row that is there would be updated.
    UpsertNew,
    /// All rows are there already, as they are in the file.
    UpsertSame,
    /// Every other row is there already, with other values.
    UpsertHalf,
    /// All rows are there already, and each is rejected.
    InsertRejected,
}

const MODES: [Mode; 5] =
    [Mode::Insert, Mode::UpsertNew, Mode::UpsertSame, Mode::UpsertHalf, Mode::InsertRejected];

impl Mode {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Insert => "insert",
            Self::UpsertNew => "upsert of new rows",
            Self::UpsertSame => "upsert of identical rows",
            Self::UpsertHalf => "upsert, half new, half changed",
            Self::InsertRejected => "insert, all rejected",
        }
    }

    fn is_upsert(self) -> bool {
        self != Self::Insert
    }
}

/// One file into one table.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scenario {
    pub table: Table,
    pub mode: Mode,
    pub rows: u64,
}

impl Scenario {
    fn name(&self) -> String {
        format!("{}, {} rows, {}", self.table.name(), count(self.rows), self.mode.name())
    }
}

/// A way to load the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    AuroraSync,
    /// psql's `\copy` alone.
    Copy,
    /// psql's `\copy` into a stage table, and one `INSERT … ON CONFLICT` from there.
    CopyStage,
    /// A Python function of `crates/bench/peers/`.
    Peer {
        module: &'static str,
        rows_max: u64,
    },
}

impl Way {
    fn name(self) -> &'static str {
        match self {
            Self::AuroraSync => "aurora-sync",
            Self::Copy => "psql `\\copy`",
            Self::CopyStage => "psql stage table",
            Self::Peer { module: "import_values", .. } => "multi-row `VALUES`",
            Self::Peer { module: "import_batches", .. } => "boto3 batches",
            Self::Peer { .. } => "tutorial",
        }
    }

    /// Slow ways load the first rows only.
    fn rows(self, scenario: &Scenario) -> u64 {
        match self {
            // A wide row is some ten narrow ones.
            Self::Peer { rows_max, .. } => match scenario.table {
                Table::Staff => rows_max.min(scenario.rows),
                Table::Wide => (rows_max / 5).min(scenario.rows),
            },
            _ => scenario.rows,
        }
    }
}

/// Explains the ways and the columns of the tables.
pub(crate) const LEGEND: &str = "\
- **aurora-sync**: the `import` function, with four lanes.
- **psql `\\copy`**: psql alone, without the Data API.
- **psql stage table**: psql's `\\copy` to a temporary table, then one `INSERT … ON CONFLICT` from
  there, without the Data API.
- **multi-row `VALUES`**: a Python function that calls `ExecuteStatement` with as many rows in each
  `INSERT` as 60,000 characters hold.
- **boto3 batches**: a Python function that calls `BatchExecuteStatement` with 1,000 rows in each
  call.
- **tutorial**: a Python function that calls `ExecuteStatement` once for each row, as the tutorial
  does.

Columns: *rows* are the rows of the file that the way loaded; *seconds* and *rows/s* are medians;
*aurora-sync is ×* is the speed of aurora-sync divided by the speed of the way; *calls* are those of
the Data API; *MiB* is the peak memory of the function; *CPU s* is the processor time of the
function + of the Data API server with the fake of S3 + of PostgreSQL.
";

fn ways(mode: Mode) -> Vec<Way> {
    let psql = if mode.is_upsert() { Way::CopyStage } else { Way::Copy };
    if mode == Mode::InsertRejected {
        return vec![Way::AuroraSync, psql];
    }
    vec![
        Way::AuroraSync,
        psql,
        Way::Peer { module: "import_values", rows_max: 10_000 },
        Way::Peer { module: "import_batches", rows_max: 10_000 },
        Way::Peer { module: "import_tutorial", rows_max: 1_000 },
    ]
}

/// The figures of one scenario.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Measured {
    pub scenario: String,
    pub table: String,
    pub mode: String,
    pub rows: u64,
    pub bytes: u64,
    pub ways: Vec<MeasuredWay>,
}

/// One way to load the file. Ours comes first.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct MeasuredWay {
    pub name: String,
    /// The loaded rows; fewer than the scenario's where the way is slow.
    pub rows: u64,
    pub seconds: Spread,
    pub rows_per_second: Spread,
    pub rounds: usize,
    /// The speed of aurora-sync divided by the speed of this way, round by round.
    pub ours_is_times: Spread,
    pub peak_mib: Option<f64>,
    /// Processor time: of the function, of the server between (the Data API and S3), and of
    /// PostgreSQL.
    pub cpu_seconds: Option<f64>,
    #[serde(default)]
    pub server_cpu_seconds: f64,
    #[serde(default)]
    pub postgres_cpu_seconds: f64,
    pub calls: u64,
    pub call_bytes: u64,
}

/// One run of one way.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Run {
    pub seconds: f64,
    pub usage: Option<Usage>,
    pub calls: u64,
    pub call_bytes: u64,
    /// The bytes that the function printed.
    pub log_bytes: u64,
    pub server_cpu: Duration,
    pub postgres_cpu: Duration,
}

/// Measures each scenario. Passes all finished scenarios to `done` after each, because a run takes
/// long.
pub(crate) async fn measure(
    env: &BenchEnv,
    settings: &Settings,
    done: &mut dyn FnMut(&[Measured]) -> anyhow::Result<()>,
) -> anyhow::Result<Vec<Measured>> {
    let mut measured = Vec::new();
    for table in [Table::Staff, Table::Wide] {
        for &rows in &settings.sizes(table) {
            for mode in MODES {
                let scenario = Scenario { table, mode, rows };
                if settings.wants(&scenario.name()) {
                    measured.push(measure_scenario(env, settings, &scenario).await?);
                    done(&measured)?;
                }
            }
        }
    }
    Ok(measured)
}

async fn measure_scenario(
    env: &BenchEnv,
    settings: &Settings,
    scenario: &Scenario,
) -> anyhow::Result<Measured> {
    tracing::info!("import: {}", scenario.name());
    let prepared = Prepared::new(env, scenario).await?;
    let ways: Vec<_> =
        ways(scenario.mode).into_iter().filter(|way| settings.wants_way(way.name())).collect();
    let mut expected = Vec::new();
    for way in &ways {
        expected.push(prepared.expected(env, way.rows(scenario)).await?);
    }
    let rounds = settings.rounds_of(scenario.rows);
    let warm_ups = usize::from(scenario.rows <= settings.warm_up_rows_max);
    let mut runs = vec![Vec::new(); ways.len()];
    for round in 0..rounds + warm_ups {
        for index in 0..ways.len() {
            let index = (index + round) % ways.len();
            // A peer takes seconds, so a warm-up would not show.
            if round < warm_ups && matches!(ways[index], Way::Peer { .. }) {
                continue;
            }
            let run = prepared.run(env, ways[index], &expected[index]).await;
            let run =
                run.with_context(|| format!("{}: {}", scenario.name(), ways[index].name()))?;
            tracing::debug!("{}: {:.3} s", ways[index].name(), run.seconds);
            if round >= warm_ups {
                runs[index].push(run);
            }
        }
    }
    let bytes = prepared.file(scenario.rows)?.1;
    let speeds: Vec<Vec<f64>> = ways
        .iter()
        .zip(&runs)
        .map(|(way, runs)| runs.iter().map(|run| float(way.rows(scenario)) / run.seconds).collect())
        .collect();
    let measured = ways.iter().zip(&runs).zip(&speeds).map(|((way, runs), speed)| {
        let usage = runs.last().and_then(|run| run.usage);
        MeasuredWay {
            name: way.name().to_owned(),
            rows: way.rows(scenario),
            seconds: Spread::of(runs.iter().map(|run| run.seconds)),
            rows_per_second: Spread::of(speed.iter().copied()),
            rounds: runs.len(),
            ours_is_times: Spread::of(speeds[0].iter().zip(speed).map(|(ours, its)| ours / its)),
            peak_mib: usage.map(|usage| mebibytes(float(usage.peak_bytes))),
            cpu_seconds: usage.map(|usage| usage.cpu.as_secs_f64()),
            server_cpu_seconds: median(runs, |run| run.server_cpu),
            postgres_cpu_seconds: median(runs, |run| run.postgres_cpu),
            calls: runs.last().map_or(0, |run| run.calls),
            call_bytes: runs.last().map_or(0, |run| run.call_bytes),
        }
    });
    let measured = Measured {
        scenario: scenario.name(),
        table: scenario.table.name().to_owned(),
        mode: scenario.mode.name().to_owned(),
        rows: scenario.rows,
        bytes,
        ways: measured.collect(),
    };
    prepared.remove(env).await?;
    Ok(measured)
}

/// The parts that the runs of a scenario share.
#[derive(Debug)]
pub(crate) struct Prepared {
    scenario: Scenario,
    /// The database with the table as it is before the load.
    template: Database,
    /// The columns with their types.
    columns: Vec<(String, String)>,
    folder: PathBuf,
}

impl Prepared {
    pub(crate) async fn new(env: &BenchEnv, scenario: &Scenario) -> anyhow::Result<Self> {
        let Scenario { table, mode, rows } = *scenario;
        let folder = env.folder.path().to_owned();
        let template = env.fresh().await?;
        let columns = env.columns(&template, table).await?;
        let rows_there = match mode {
            Mode::Insert | Mode::UpsertNew => None,
            Mode::UpsertSame | Mode::InsertRejected => Some((1, Version::New)),
            Mode::UpsertHalf => Some((2, Version::Old)),
        };
        if let Some((step, version)) = rows_there {
            let path = folder.join("there.csv");
            table.write_csv(&path, (0..rows).step_by(step), version)?;
            let name = table.name();
            let copy = format!("COPY {name} FROM STDIN WITH (FORMAT csv, HEADER)");
            env.copy_file(&template, ["", &copy, ""], &path).await?;
            // As autovacuum would have left it.
            env.run_sql(&template, &format!("VACUUM (FREEZE, ANALYZE) {name}")).await?;
        }
        Ok(Self { scenario: *scenario, template, columns, folder })
    }

    /// The file with the first rows, and its size. Written once.
    pub(crate) fn file(&self, rows: u64) -> anyhow::Result<(PathBuf, u64)> {
        let table = self.scenario.table;
        let path = self.folder.join(format!("{}-{rows}.csv", table.name()));
        if !path.exists() {
            table.write_csv(&path, 0..rows, Version::New)?;
        }
        let size_bytes = std::fs::metadata(&path)?.len();
        Ok((path, size_bytes))
    }

    /// Returns the checksum of the rows that the table must hold afterwards, computed by PostgreSQL
    /// alone.
    pub(crate) async fn expected(&self, env: &BenchEnv, rows: u64) -> anyhow::Result<String> {
        let database = env.copy_of(&self.template.name).await?;
        let name = self.scenario.table.name();
        let stage = format!("CREATE TEMP TABLE stage (LIKE {name}) ON COMMIT DROP");
        let copy = "COPY stage FROM STDIN WITH (FORMAT csv, HEADER)";
        let (path, _) = self.file(rows)?;
        let delete = format!(
            "DELETE FROM {name} USING stage WHERE {name}.id = stage.id;
             INSERT INTO {name} SELECT * FROM stage"
        );
        env.copy_file(&database, [&stage, copy, &delete], &path).await?;
        let checksum = env.checksum(&database, self.scenario.table).await?;
        env.remove(database).await?;
        Ok(checksum)
    }

    async fn run(&self, env: &BenchEnv, way: Way, expected: &str) -> anyhow::Result<Run> {
        let database = env.copy_of(&self.template.name).await?;
        let rows = way.rows(&self.scenario);
        let run = match way {
            Way::AuroraSync => self.run_ours(env, &database, rows).await?,
            Way::Copy | Way::CopyStage => self.run_psql(env, &database, rows).await?,
            Way::Peer { module, .. } => self.run_peer(env, &database, module, rows).await?,
        };
        self.check(env, database, expected).await?;
        Ok(run)
    }

    pub(crate) async fn check(
        &self,
        env: &BenchEnv,
        database: Database,
        expected: &str,
    ) -> anyhow::Result<()> {
        let found = env.checksum(&database, self.scenario.table).await?;
        ensure!(found == expected, "the table holds {found}, expected {expected}");
        env.remove(database).await
    }

    /// Runs our import, in a process that has imported a file without rows before. It has its
    /// connections then, as psql has when its time begins.
    pub(crate) async fn run_ours(
        &self,
        env: &BenchEnv,
        database: &Database,
        rows: u64,
    ) -> anyhow::Result<Run> {
        let function = env.function(&env.programs.import, database).await?;
        self.drop_file(env, database, &function, "empty", 0).await?;
        let before = Before::of(env, Some(&function)).await?;
        let took = self.drop_file(env, database, &function, "file", rows).await?;
        before.run(env, Some(&function), took).await
    }

    /// Imports the first rows of the file under this name.
    async fn drop_file(
        &self,
        env: &BenchEnv,
        database: &Database,
        function: &Function,
        name: &str,
        rows: u64,
    ) -> anyhow::Result<Duration> {
        let (path, size_bytes) = self.file(rows)?;
        let key = format!("imports/{}/{name}.csv", self.scenario.table.name());
        let metadata: &[(&str, &str)] = match self.scenario.mode {
            Mode::Insert | Mode::InsertRejected => &[("mode", "insert")],
            _ => &[],
        };
        env.fake_aws.serve_file(UPLOADS, &key, &path, metadata)?;
        let etag = env.fake_aws.etag(UPLOADS, &key).context("the file is not served")?;
        let event = object_created(&key, &etag, size_bytes);
        let took = deliver(env, function, event.to_string()).await?;
        let outcome =
            "SELECT state || ' ' || coalesce(error, '') || ' ' || rows_read || ' ' || rows_rejected
             FROM sync.import ORDER BY started_at DESC LIMIT 1";
        let outcome = env.text(database, outcome).await?;
        let rejected = if self.scenario.mode == Mode::InsertRejected { rows } else { 0 };
        let expected = format!("completed  {rows} {rejected}");
        ensure!(outcome == expected, "the import ended as {outcome}");
        Ok(took)
    }

    async fn run_psql(
        &self,
        env: &BenchEnv,
        database: &Database,
        rows: u64,
    ) -> anyhow::Result<Run> {
        let (path, _) = self.file(rows)?;
        let name = self.scenario.table.name();
        let options = "WITH (FORMAT csv, HEADER)";
        let upsert = self.scenario.mode.is_upsert();
        let target = if upsert { "stage" } else { name };
        let merge = self.merge();
        let stage = format!("CREATE TEMP TABLE stage (LIKE {name}) ON COMMIT DROP;");
        let mut script = format!("\\copy {target} FROM '{}' {options}", path.display());
        if upsert {
            script = format!("BEGIN;\n{stage}\n{script}\n{merge};\nCOMMIT;");
        }
        let before_all = Before::of(env, None).await?;
        if let Some(seconds) = env.psql(database, &script).await? {
            return before_all.run(env, None, Duration::from_secs_f64(seconds)).await;
        }
        // Without psql: the same statements by our own client.
        let copy = format!("COPY {target} FROM STDIN {options}");
        let (before, after) = if upsert { (stage.as_str(), merge.as_str()) } else { ("", "") };
        let started = Instant::now();
        env.copy_file(database, [before, &copy, after], &path).await?;
        before_all.run(env, None, started.elapsed()).await
    }

    /// Returns the usual statement, which updates every row, changed or not.
    fn merge(&self) -> String {
        let name = self.scenario.table.name();
        let changes = self.columns.iter().filter(|(column, _)| column != "id");
        let changes: Vec<_> =
            changes.map(|(column, _)| format!("{column} = EXCLUDED.{column}")).collect();
        format!(
            "INSERT INTO {name} SELECT * FROM stage ON CONFLICT (id) DO UPDATE SET {}",
            changes.join(", ")
        )
    }

    async fn run_peer(
        &self,
        env: &BenchEnv,
        database: &Database,
        module: &str,
        rows: u64,
    ) -> anyhow::Result<Run> {
        let function = env.peer(module, database).await?;
        let load = async |rows| {
            let (path, _) = self.file(rows)?;
            env.fake_aws.serve_file(UPLOADS, "peer.csv", &path, &[])?;
            let event = json!({
                "bucket": UPLOADS,
                "key": "peer.csv",
                "table": self.scenario.table.name(),
                "columns": self.columns,
                "upsert": self.scenario.mode.is_upsert(),
            });
            function.invoke(event.to_string()).await
        };
        // As ours.
        load(0).await?;
        let before = Before::of(env, Some(&function)).await?;
        let response = load(rows).await?;
        before.run(env, Some(&function), response.took).await
    }

    pub(crate) async fn remove(self, env: &BenchEnv) -> anyhow::Result<()> {
        env.remove(self.template).await
    }

    pub(crate) fn template(&self) -> &str {
        &self.template.name
    }
}

/// The resources that each process had used before a run.
#[derive(Debug)]
struct Before {
    server_cpu: Duration,
    postgres_cpu: Duration,
    usage: Usage,
    log_bytes: usize,
}

impl Before {
    async fn of(env: &BenchEnv, function: Option<&Function>) -> anyhow::Result<Self> {
        env.data_api.counters().reset();
        env.fake_aws.reset_counts();
        Ok(Self {
            server_cpu: function::own_cpu()?,
            postgres_cpu: env.postgres_cpu().await?,
            usage: function.map(Function::usage).transpose()?.unwrap_or_default(),
            log_bytes: function.map_or(0, |function| function.log().len()),
        })
    }

    /// Returns the resources that a run has used, once it is over.
    async fn run(
        self,
        env: &BenchEnv,
        function: Option<&Function>,
        took: Duration,
    ) -> anyhow::Result<Run> {
        let counters = env.data_api.counters();
        let usage = function.map(Function::usage).transpose()?;
        let log_bytes = function.map_or(0, |function| function.log().len()) - self.log_bytes;
        Ok(Run {
            seconds: took.as_secs_f64(),
            usage: usage.map(|usage| usage.since(self.usage)),
            calls: counters.all_calls(),
            call_bytes: counters.bytes_in(),
            log_bytes: log_bytes as u64,
            server_cpu: function::own_cpu()?.saturating_sub(self.server_cpu),
            postgres_cpu: env.postgres_cpu().await?.saturating_sub(self.postgres_cpu),
        })
    }
}

fn median(runs: &[Run], time: impl Fn(&Run) -> Duration) -> f64 {
    Spread::of(runs.iter().map(|run| time(run).as_secs_f64())).median
}

/// Delivers an event, and then every message that the function has left for itself.
pub(crate) async fn deliver(
    env: &BenchEnv,
    function: &Function,
    event: String,
) -> anyhow::Result<Duration> {
    env.fake_aws.take_sent();
    let mut took = Duration::ZERO;
    let mut event = event;
    loop {
        let response = function.invoke(event).await?;
        took += response.took;
        let failures = response.value["batchItemFailures"].as_array().map_or(0, Vec::len);
        ensure!(failures == 0, "the message is to be retried later: {}", function.log());
        match env.fake_aws.take_sent().as_slice() {
            [] => return Ok(took),
            sent => {
                let messages: Vec<_> = sent.iter().map(|body| (body.clone(), None)).collect();
                event = queue_event(&messages, "imports").to_string();
            }
        }
    }
}

/// Returns one table for each scenario.
pub(crate) fn tables(measured: &[Measured]) -> Vec<figures::Table> {
    measured.iter().map(shown).collect()
}

fn shown(measured: &Measured) -> figures::Table {
    let title =
        format!("Import: {} ({} MiB)", measured.scenario, number(mebibytes(float(measured.bytes))));
    let columns = ["way", "rows", "seconds", "rows/s", "aurora-sync is ×", "calls", "MiB", "CPU s"];
    let mut table = figures::Table::new(title, &columns);
    for way in &measured.ways {
        table.push([
            way.name.clone(),
            count(way.rows),
            number(way.seconds.median),
            number(way.rows_per_second.median),
            way.ours_is_times.show(),
            if way.calls == 0 { "–".to_owned() } else { whole(way.calls) },
            way.peak_mib.map_or("–".to_owned(), number),
            format!(
                "{} + {} + {}",
                way.cpu_seconds.map_or("–".to_owned(), cpu),
                cpu(way.server_cpu_seconds),
                cpu(way.postgres_cpu_seconds)
            ),
        ]);
    }
    table
}
