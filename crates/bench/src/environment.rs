//! The environment that all measurements share: one PostgreSQL, one Data API server, a fake of S3
//! and SQS, and a fresh database for each run.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context, bail};
use aurora_sync::aws::data_api::{DataApi, DatabaseTarget};
use aurora_sync::database::introspection::read_catalog;
use aurora_sync::domain::deadline::Deadline;
use aurora_sync::functions::migrate::{self, Migrate};
use aurora_sync::functions::tables::CATALOG_KEY;
use bytes::Bytes;
use data_api_server::{Login, Server};
use ephemeral_postgres::{Postgres, RunFolder};
use futures_util::SinkExt as _;
use local_stack::account::{ACCESS_KEY_ID, CLUSTER_ARN, REGION, SECRET_ACCESS_KEY, SECRET_ARN};
use local_stack::{Functions, Kit, sdk_config, workspace};
use serde_json::{Value, json};
use tokio::io::AsyncReadExt as _;
use tokio::sync::OnceCell;

use crate::data::Table;
use crate::fake_aws::FakeAws;
use crate::function::{self, Function};

pub(crate) const UPLOADS: &str = "uploads";
pub(crate) const RESULTS: &str = "results";
const CATALOG: &str = "catalog";

/// The database with the tables and the worker's schema, from which others are copied.
const BASE: &str = "bench_base";

const MIGRATED_WITHIN: Duration = Duration::from_mins(5);

const CERTIFICATES: &str = "/etc/ssl/certs/ca-certificates.crt";

const COPY_BLOCK_BYTES: usize = 1 << 20;

/// The packages that the Python peers import, without those of the emulator.
const PEERS: Kit = Kit {
    name: "python-peers",
    contents: "the benchmark's Python peers",
    file: "crates/bench/requirements.txt",
    requirements: include_str!("../requirements.txt"),
};

/// Everything runs on it until it is dropped. Fields drop in this order.
#[derive(Debug)]
pub(crate) struct BenchEnv {
    pub fake_aws: FakeAws,
    pub data_api: Server,
    pub programs: Functions,
    /// The variables of our functions besides those of the template.
    pub extra_environment: Vec<(String, String)>,
    python: OnceCell<PathBuf>,
    databases: AtomicU32,
    logs: AtomicU32,
    postgres: Postgres,
    pub folder: RunFolder,
}

/// A database for one run. Dropped by [`BenchEnv::remove`], or with the server.
#[derive(Debug, Clone)]
pub(crate) struct Database {
    pub name: String,
    pub url: String,
}

impl BenchEnv {
    /// Lets each call of the Data API take longer.
    pub(crate) fn delay_calls(&self, delay: Duration) {
        let rule = format!("any@1.. delay={}ms", delay.as_millis());
        self.data_api.faults().add(rule.parse().expect("the rule is well-formed"));
    }

    pub(crate) async fn prepare(
        programs: Functions,
        extra_environment: Vec<(String, String)>,
    ) -> anyhow::Result<Self> {
        let folder = RunFolder::new(&workspace::local_folder()?, "bench")?;
        let postgres = Postgres::start().await?;
        let url = postgres.create_database(BASE).await?;
        let data_api = Server::start(data_api_server::Settings {
            cluster_arn: Some(CLUSTER_ARN.to_owned()),
            secrets: vec![(SECRET_ARN.to_owned(), Login::default())],
            ..data_api_server::Settings::new(&url)
        })
        .await?;
        let target = DatabaseTarget {
            cluster_arn: CLUSTER_ARN.to_owned(),
            secret_arn: SECRET_ARN.to_owned(),
            database: BASE.to_owned(),
        };
        let migrate = Migrate {
            sql_folder: sql_folder(folder.path())?,
            data_api: DataApi::new(&sdk_config(&data_api.url()), target),
        };
        let deadline = Deadline::after(MIGRATED_WITHIN);
        migrate::run(&migrate, None, deadline).await?;
        let catalog = read_catalog(&migrate.data_api, deadline).await?;
        let fake_aws = FakeAws::start().await?;
        fake_aws.serve(CATALOG, CATALOG_KEY, serde_json::to_vec(&catalog)?);
        let env = Self {
            fake_aws,
            data_api,
            programs,
            extra_environment,
            python: OnceCell::new(),
            databases: AtomicU32::new(0),
            logs: AtomicU32::new(0),
            postgres,
            folder,
        };
        // The example's rows are not the benchmark's.
        let base = Database { name: BASE.to_owned(), url };
        env.run_sql(&base, "TRUNCATE staff").await?;
        Ok(env)
    }

    /// A copy of the migrated database, whose tables are empty.
    pub(crate) async fn fresh(&self) -> anyhow::Result<Database> {
        self.copy_of(BASE).await
    }

    /// A copy of a database, with nobody connected to it.
    pub(crate) async fn copy_of(&self, template: &str) -> anyhow::Result<Database> {
        let name = format!("bench_{}", self.databases.fetch_add(1, Ordering::Relaxed));
        let client = ephemeral_postgres::connect(&self.postgres.database_url("postgres")).await?;
        // PostgreSQL copies no database with sessions, and the Data API server keeps some.
        let terminate = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
             WHERE datname = $1 AND pid <> pg_backend_pid()";
        client.execute(terminate, &[&template]).await?;
        client
            .batch_execute(&format!("CREATE DATABASE {name} TEMPLATE {template}"))
            .await
            .with_context(|| format!("cannot copy the database {template}"))?;
        Ok(Database { url: self.postgres.database_url(&name), name })
    }

    pub(crate) async fn remove(&self, database: Database) -> anyhow::Result<()> {
        let client = ephemeral_postgres::connect(&self.postgres.database_url("postgres")).await?;
        client.batch_execute(&format!("DROP DATABASE {} WITH (FORCE)", database.name)).await?;
        Ok(())
    }

    pub(crate) async fn run_sql(&self, database: &Database, sql: &str) -> anyhow::Result<()> {
        let client = ephemeral_postgres::connect(&database.url).await?;
        client.batch_execute(sql).await.with_context(|| format!("cannot run {sql}"))
    }

    pub(crate) async fn text(&self, database: &Database, sql: &str) -> anyhow::Result<String> {
        let client = ephemeral_postgres::connect(&database.url).await?;
        let row = client.query_one(sql, &[]).await.with_context(|| format!("cannot run {sql}"))?;
        Ok(row.get::<_, Option<String>>(0).unwrap_or_default())
    }

    /// The version of PostgreSQL.
    pub(crate) async fn postgres_version(&self) -> anyhow::Result<String> {
        let base = Database { name: BASE.to_owned(), url: self.postgres.database_url("postgres") };
        self.text(&base, "SHOW server_version").await
    }

    /// Processor time that the server and its sessions have used so far.
    pub(crate) async fn postgres_cpu(&self) -> anyhow::Result<Duration> {
        let base = Database { name: BASE.to_owned(), url: self.postgres.database_url("postgres") };
        let pid = self.text(&base, "SELECT split_part(pg_read_file('postmaster.pid'), E'\\n', 1)");
        function::cpu_of_family(pid.await?.trim().parse().context("postmaster.pid has no number")?)
    }

    /// Loads a CSV file by COPY, in one transaction with the statements before and after it.
    pub(crate) async fn copy_file(
        &self,
        database: &Database,
        [before, copy, after]: [&str; 3],
        path: &Path,
    ) -> anyhow::Result<()> {
        let client = ephemeral_postgres::connect(&database.url).await?;
        client.batch_execute(&format!("BEGIN; {before}")).await?;
        let sink = client.copy_in::<_, Bytes>(copy).await?;
        let mut sink = std::pin::pin!(sink);
        let mut file = tokio::fs::File::open(path).await?;
        loop {
            let mut block = Vec::with_capacity(COPY_BLOCK_BYTES);
            if file.read_buf(&mut block).await? == 0 {
                break;
            }
            sink.send(Bytes::from(block)).await?;
        }
        sink.finish().await?;
        client.batch_execute(&format!("{after}; COMMIT")).await?;
        Ok(())
    }

    /// Rows and a checksum of all their values, whatever their order.
    pub(crate) async fn checksum(
        &self,
        database: &Database,
        table: Table,
    ) -> anyhow::Result<String> {
        let name = table.name();
        let sql = format!(
            "SELECT count(*) || ' rows, ' || coalesce(sum(hashtextextended(t::text, 0)::numeric), 0)
             FROM {name} AS t"
        );
        self.text(database, &sql).await
    }

    /// Returns the columns of a table with their types, for the peers.
    pub(crate) async fn columns(
        &self,
        database: &Database,
        table: Table,
    ) -> anyhow::Result<Vec<(String, String)>> {
        let client = ephemeral_postgres::connect(&database.url).await?;
        let sql = "SELECT attname::text, format_type(atttypid, atttypmod) FROM pg_attribute
             WHERE attrelid = $1::text::regclass AND attnum > 0 ORDER BY attnum";
        let rows = client.query(sql, &[&table.name()]).await?;
        Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
    }

    /// One of our programs as Lambda runs it, on this database.
    pub(crate) async fn function(
        &self,
        program: &Path,
        database: &Database,
    ) -> anyhow::Result<Function> {
        let mut command = Command::new(program);
        command.env_clear().envs(self.environment(database));
        // As in template.yaml.
        if program.file_name().is_some_and(|name| name == "import") {
            command.env("MALLOC_MMAP_THRESHOLD_", "131072");
        }
        command.envs(self.extra_environment.iter().map(|(name, value)| (name, value)));
        Function::start(command, &self.next_log()).await
    }

    /// A Python function of `crates/bench/peers/` as Lambda runs it, on this database.
    pub(crate) async fn peer(&self, module: &str, database: &Database) -> anyhow::Result<Function> {
        let peers = workspace::root()?.join("crates/bench/peers");
        let mut command = Command::new(self.python().await?);
        command
            .env_clear()
            .envs(self.environment(database))
            .env("PYTHONPYCACHEPREFIX", self.folder.path().join("pycache"))
            // As in the template of Powertools' own example; traces would need a daemon.
            .env("POWERTOOLS_SERVICE_NAME", "peer")
            .env("POWERTOOLS_TRACE_DISABLED", "1")
            .current_dir(&peers)
            .args(["runtime.py", module]);
        Function::start(command, &self.next_log()).await
    }

    pub(crate) async fn python(&self) -> anyhow::Result<&PathBuf> {
        self.python.get_or_try_init(|| PEERS.interpreter()).await
    }

    pub(crate) fn next_log(&self) -> PathBuf {
        let number = self.logs.fetch_add(1, Ordering::Relaxed);
        self.folder.path().join(format!("function-{number}.log"))
    }

    /// The environment variables that template.yaml and Lambda give a function.
    pub(crate) fn environment(&self, database: &Database) -> Vec<(&'static str, String)> {
        // One file of certificates, as Lambda's system has it: many systems have a folder of
        // hundreds.
        let certificates = Some(CERTIFICATES).filter(|path| Path::new(path).exists());
        let certificates = certificates.map(|path| ("SSL_CERT_FILE", path.to_owned()));
        let queue = |name| format!("{}/000000000000/{name}", self.fake_aws.url());
        let variables = [
            ("AWS_LAMBDA_FUNCTION_NAME", "measured".into()),
            ("AWS_LAMBDA_FUNCTION_VERSION", "1".into()),
            ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "1769".into()),
            ("LAMBDA_TASK_ROOT", self.folder.path().display().to_string()),
            ("AWS_REGION", REGION.into()),
            ("AWS_DEFAULT_REGION", REGION.into()),
            ("AWS_ACCESS_KEY_ID", ACCESS_KEY_ID.into()),
            ("AWS_SECRET_ACCESS_KEY", SECRET_ACCESS_KEY.into()),
            ("AWS_ENDPOINT_URL", self.fake_aws.url().into()),
            ("AWS_ENDPOINT_URL_RDS_DATA", self.data_api.url()),
            ("CLUSTER_ARN", CLUSTER_ARN.into()),
            ("SECRET_ARN", SECRET_ARN.into()),
            ("DATABASE", database.name.clone()),
            ("WRITES_QUEUE_URL", queue("writes.fifo")),
            ("IMPORTS_QUEUE_URL", queue("imports")),
            ("RESULTS_BUCKET", RESULTS.into()),
            ("IMPORT_LANES", "4".into()),
            ("PARTITIONS", "32".into()),
            ("ROW_SECURITY", "none".into()),
            ("LEDGER_RETENTION_DAYS", "35".into()),
            ("LOG_LEVEL", "info".into()),
            ("CATALOG_BUCKET", CATALOG.into()),
            ("REFRESH_FUNCTION", "refresh".into()),
        ];
        variables.into_iter().chain(certificates).collect()
    }

    /// The seconds that psql says its statements took, all together; `None` where there is no psql.
    pub(crate) async fn psql(
        &self,
        database: &Database,
        script: &str,
    ) -> anyhow::Result<Option<f64>> {
        let Some(mut command) = ephemeral_postgres::program("psql")? else { return Ok(None) };
        command
            .args(["--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", "--dbname"])
            .arg(&database.url);
        for line in std::iter::once("\\timing on").chain(script.lines()) {
            command.args(["--command", line]);
        }
        let output = tokio::task::spawn_blocking(move || command.output()).await?;
        let output = output.context("cannot run psql")?;
        if !output.status.success() {
            bail!("psql failed: {}", String::from_utf8_lossy(&output.stderr));
        }
        let text = String::from_utf8_lossy(&output.stdout);
        let times = text.lines().filter_map(|line| line.strip_prefix("Time: "));
        let milliseconds = times.filter_map(|time| time.split(' ').next()?.parse::<f64>().ok());
        Ok(Some(milliseconds.sum::<f64>() / 1_000.0))
    }
}

/// Makes a folder of the example's table and the benchmark's.
fn sql_folder(run: &Path) -> anyhow::Result<PathBuf> {
    let (root, folder) = (workspace::root()?, run.join("sql"));
    std::fs::create_dir(&folder).context("cannot make the folder of tables")?;
    for file in ["sql/0001_staff.sql", "crates/bench/sql/0002_wide.sql"] {
        let name = Path::new(file).file_name().context("a file has a name")?;
        let copied = std::fs::copy(root.join(file), folder.join(name));
        copied.with_context(|| format!("cannot copy {file}"))?;
    }
    Ok(folder)
}

/// The event that SQS delivers for an object that was put, as S3 reports it.
pub(crate) fn object_created(key: &str, etag: &str, size_bytes: u64) -> Value {
    let body = json!({ "Records": [{
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "awsRegion": REGION,
        "eventTime": "2026-11-23T10:15:30.000Z",
        "eventName": "ObjectCreated:Put",
        "s3": {
            "s3SchemaVersion": "1.0",
            "configurationId": "bench",
            "bucket": { "name": UPLOADS, "arn": format!("arn:aws:s3:::{UPLOADS}") },
            "object": { "key": key, "size": size_bytes, "eTag": etag, "sequencer": "006922DF42A1B2C3D4" },
        },
    }] });
    queue_event(&[(body.to_string(), None)], "imports")
}

/// An event of an HTTP API, for a path without a slash at its beginning; a body is JSON.
pub(crate) fn api_event(method: &str, path: &str, query: &str, body: Option<&str>) -> Value {
    let headers = match body {
        Some(_) => json!({ "accept": "application/json", "content-type": "application/json" }),
        None => json!({ "accept": "application/json" }),
    };
    json!({
        "version": "2.0",
        "rawPath": format!("/{path}"),
        "rawQueryString": query,
        "headers": headers,
        "requestContext": { "http": { "method": method, "path": format!("/{path}") } },
        "pathParameters": { "proxy": path },
        "body": body,
        "isBase64Encoded": false,
    })
}

/// An event of SQS: bodies, each with its message group.
pub(crate) fn queue_event(messages: &[(String, Option<String>)], queue: &str) -> Value {
    let sent = jiff::Timestamp::now().as_millisecond().to_string();
    let records = messages.iter().map(|(body, group)| {
        let id = uuid::Uuid::now_v7().to_string();
        let mut attributes = json!({
            "ApproximateReceiveCount": "1",
            "SentTimestamp": sent,
            "SenderId": "AIDAEXAMPLE7EXAMPLES3",
            "ApproximateFirstReceiveTimestamp": sent,
        });
        if let Some(group) = group {
            attributes["MessageGroupId"] = json!(group);
            attributes["MessageDeduplicationId"] = json!(id);
            attributes["SequenceNumber"] = json!("18849496460467696128");
        }
        json!({
            "messageId": id,
            "receiptHandle": id,
            "body": body,
            "attributes": attributes,
            "messageAttributes": {},
            "md5OfBody": "00000000000000000000000000000000",
            "eventSource": "aws:sqs",
            "eventSourceARN": format!("arn:aws:sqs:{REGION}:000000000000:{queue}"),
            "awsRegion": REGION,
        })
    });
    json!({ "Records": records.collect::<Vec<_>>() })
}
