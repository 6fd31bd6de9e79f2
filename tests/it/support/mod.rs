//! The environment of a test: its own database behind its own Data API server.

#[expect(dead_code, reason = "the tests of the command use the rest")]
pub(crate) mod browser;
pub(crate) mod events;
pub(crate) mod fake_aws;
pub(crate) mod faulty_store;
pub(crate) mod flaky_queue;
pub(crate) mod histories;
pub(crate) mod http_api;
pub(crate) mod logs;
pub(crate) mod lookups;
pub(crate) mod process;
pub(crate) mod services;
pub(crate) mod write_api;
pub(crate) mod writes;

use std::time::{Duration, Instant};

use aurora_sync::api::caller::RowSecurity;
use aurora_sync::aws::data_api::{DataApi, DatabaseTarget};
use aurora_sync::aws::objects::Objects;
use aurora_sync::aws::queue::Queue;
use aurora_sync::database::introspection::read_catalog;
use aurora_sync::domain::deadline::{Deadline, now_ms};
use aurora_sync::domain::error::SyncError;
use aurora_sync::domain::field::{Field, Record};
use aurora_sync::domain::write::{Message, Write, pack};
use aurora_sync::functions::apply::{self, Apply};
use aurora_sync::functions::import::Import;
use aurora_sync::functions::import::read::chunk;
use aurora_sync::functions::lookup::{self, Lookup};
use aurora_sync::functions::migrate::{self, Migrate, MigrateError};
use aurora_sync::functions::runtime::Invocation;
use aurora_sync::functions::tables::Tables;
use aurora_sync_catalog::Catalog;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_lambda_events::apigw::{ApiGatewayV2httpRequest, ApiGatewayV2httpResponse};
use aws_lambda_events::encodings::Body;
use aws_lambda_events::http::HeaderMap;
use aws_lambda_events::sqs::{SqsBatchResponse, SqsEvent};
use data_api_server::{Login, Server as DataApiServer, Settings};
use ephemeral_postgres::Postgres;
use import_options::Defaults;
use serde_json::{Value, json};
use tempfile::TempDir;
use uuid::Uuid;

use self::write_api::encoded;

/// The tutorial's table.
pub(crate) const STAFF: &str = include_str!("../../../sql/0001_staff.sql");

/// A table with column types and a composite key that the tutorial's table does not have.
pub(crate) const MEASUREMENT: &str = r#"
CREATE TABLE "Measurement" (
    sensor uuid NOT NULL,
    "taken at" timestamptz NOT NULL,
    number bigint GENERATED ALWAYS AS IDENTITY,
    amount numeric(12,4) NOT NULL DEFAULT 1.5,
    is_valid boolean,
    extra jsonb,
    tags text[],
    note varchar(5) CHECK (note <> 'never'),
    PRIMARY KEY (sensor, "taken at")
);"#;

/// The time limit of a call of the Data API.
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(45);

const WRITER_SECRET: &str = "arn:aws:secretsmanager:us-east-1:000000000000:secret:writer";
const READER_SECRET: &str = "arn:aws:secretsmanager:us-east-1:000000000000:secret:reader";

/// Make the users of the functions. They belong to the cluster of all tests.
const USERS: [&str; 2] = [
    "DO 'BEGIN CREATE ROLE test_writer LOGIN; GRANT sync_writer TO test_writer;
         EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END'",
    "DO 'BEGIN CREATE ROLE test_reader LOGIN; GRANT sync_reader TO test_reader;
         EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END'",
];

/// A database and the functions on it.
#[derive(Debug)]
pub(crate) struct World {
    /// The tables of the database, as they were after the migrations.
    pub catalog: Catalog,
    /// The Data API as the owner of the tables.
    pub data_api: DataApi,
    /// The Data API as the functions that write use it.
    pub writer: DataApi,
    /// The Data API as look-ups use it.
    pub reader: DataApi,
    pub server: DataApiServer,
    pub database_url: String,
    /// The use of row policies by the functions.
    pub row_security: RowSecurity,
    /// The folder of the user's files.
    sql_folder: TempDir,
    target: DatabaseTarget,
}

/// Waits until a condition holds. Panics after five minutes, so that no test waits forever.
pub(crate) async fn until(condition: impl AsyncFn() -> bool) {
    let started = Instant::now();
    while !condition().await {
        assert!(
            started.elapsed() < Duration::from_mins(5),
            "what the test waits for does not come"
        );
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

impl World {
    /// Creates a migrated database with these tables.
    pub(crate) async fn with(tables: &str) -> Self {
        let mut world = Self::unmigrated(tables).await;
        world.migrated(None).await.unwrap();
        for user in USERS {
            world.rows(user).await;
        }
        world.read_catalog().await;
        world
    }

    /// Creates a database with these tables as another tool leaves it: nothing is a file of the
    /// user, and nothing is granted.
    pub(crate) async fn existing(tables: &[String]) -> Self {
        let world = Self::empty(STATEMENT_TIMEOUT).await;
        for tables in tables {
            world.run(tables).await;
        }
        world.migrated(None).await.unwrap();
        for user in USERS {
            world.rows(user).await;
        }
        world
    }

    /// Runs statements as the owner, in a session of their own.
    pub(crate) async fn run(&self, statements: &str) {
        let client = ephemeral_postgres::connect(&self.database_url).await.unwrap();
        client.batch_execute(statements).await.unwrap_or_else(|error| panic!("{error:?}"));
    }

    /// Grants everything in all schemas of the user, as the documentation says.
    pub(crate) async fn grant_all(&self) {
        self.run(
            r"DO $$ DECLARE s name; BEGIN
                FOR s IN SELECT nspname FROM pg_namespace
                    WHERE nspname NOT LIKE 'pg\_%' AND nspname NOT IN ('information_schema', 'sync')
                LOOP
                    EXECUTE format('GRANT USAGE ON SCHEMA %I TO sync_reader, sync_writer', s);
                    EXECUTE format('GRANT SELECT ON ALL TABLES IN SCHEMA %I TO sync_reader', s);
                    EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA %I TO sync_writer', s);
                    EXECUTE format('GRANT USAGE ON ALL SEQUENCES IN SCHEMA %I TO sync_writer', s);
                END LOOP;
            END $$",
        )
        .await;
    }

    /// Reads the tables again, as `refresh` does.
    pub(crate) async fn read_catalog(&mut self) {
        self.catalog = read_catalog(&self.reader, deadline()).await.unwrap();
    }

    pub(crate) async fn unmigrated(tables: &str) -> Self {
        let world = Self::empty(STATEMENT_TIMEOUT).await;
        world.file("0001_tables.sql", tables);
        world
    }

    /// Creates a database without files, whose calls may take this long.
    pub(crate) async fn with_statement_timeout(timeout: Duration) -> Self {
        Self::empty(timeout).await
    }

    async fn empty(statement_timeout: Duration) -> Self {
        let postgres = Postgres::shared().await.unwrap();
        let name = format!("test_{}", Uuid::now_v7().simple());
        let database_url = postgres.create_database(&name).await.unwrap();
        let target = DatabaseTarget {
            cluster_arn: "arn:aws:rds:us-east-1:000000000000:cluster:test".into(),
            secret_arn: "arn:aws:secretsmanager:us-east-1:000000000000:secret:test".into(),
            database: name,
        };
        Self::on(database_url, target, statement_timeout).await
    }

    /// Returns the same database for new sessions, which have the settings of now.
    pub(crate) async fn with_new_sessions(&self) -> Self {
        let world = Self::on(self.database_url.clone(), self.target.clone(), STATEMENT_TIMEOUT);
        Self { catalog: self.catalog.clone(), ..world.await }
    }

    async fn on(database_url: String, target: DatabaseTarget, statement_timeout: Duration) -> Self {
        let user = |user: &str| Login { user: Some(user.to_owned()), password: None };
        let server = DataApiServer::start(Settings {
            cluster_arn: Some(target.cluster_arn.clone()),
            secrets: vec![
                (target.secret_arn.clone(), Login::default()),
                (WRITER_SECRET.to_owned(), user("test_writer")),
                (READER_SECRET.to_owned(), user("test_reader")),
            ],
            statement_timeout,
            ..Settings::new(&database_url)
        })
        .await
        .unwrap();
        let sdk_config = sdk_config(&server.url());
        let as_user = |secret_arn: &str| {
            DataApi::new(
                &sdk_config,
                DatabaseTarget { secret_arn: secret_arn.to_owned(), ..target.clone() },
            )
        };
        let (writer, reader) = (as_user(WRITER_SECRET), as_user(READER_SECRET));
        let data_api = DataApi::new(&sdk_config, target.clone());
        let catalog = Catalog::default();
        let sql_folder = tempfile::tempdir().unwrap();
        let row_security = RowSecurity::Off;
        Self {
            catalog,
            data_api,
            writer,
            reader,
            server,
            database_url,
            row_security,
            sql_folder,
            target,
        }
    }

    /// Returns the database as the functions that write reach it.
    pub(crate) fn target(&self) -> DatabaseTarget {
        DatabaseTarget { secret_arn: WRITER_SECRET.to_owned(), ..self.target.clone() }
    }

    /// Adds a fault of the Data API, such as `commit@2 drop-answer`.
    pub(crate) fn fault(&self, rule: &str) {
        self.server.faults().add(rule.parse().unwrap());
    }

    /// Returns the tables for a function.
    pub(crate) fn tables(&self) -> Tables {
        Tables::fixed(self.catalog.clone())
    }

    pub(crate) fn migrate(&self) -> Migrate {
        Migrate { sql_folder: self.sql_folder.path().to_owned(), data_api: self.data_api.clone() }
    }

    /// Writes a file of the user.
    pub(crate) fn file(&self, name: &str, text: &str) {
        std::fs::write(self.sql_folder.path().join(name), text).unwrap();
    }

    pub(crate) async fn migrated(
        &self,
        baseline: Option<&str>,
    ) -> Result<Vec<String>, MigrateError> {
        migrate::run(&self.migrate(), baseline, deadline()).await
    }

    /// Delivers messages to `apply`.
    pub(crate) async fn apply(&self, event: SqsEvent) -> Result<SqsBatchResponse, SyncError> {
        self.apply_within(event, deadline()).await
    }

    pub(crate) async fn apply_within(
        &self,
        event: SqsEvent,
        deadline: Deadline,
    ) -> Result<SqsBatchResponse, SyncError> {
        apply::handle(&self.apply_function(), event, now_ms(), deadline).await
    }

    /// Delivers messages to `apply` at this time, in milliseconds since 1970.
    pub(crate) async fn apply_at(&self, event: SqsEvent, now_ms: i64) -> SqsBatchResponse {
        apply::handle(&self.apply_function(), event, now_ms, deadline()).await.unwrap()
    }

    /// Returns `apply` with a queue that does not exist. Other tests check the visibility of
    /// messages.
    pub(crate) fn apply_function(&self) -> Apply {
        let url = self.server.url();
        let queue = Queue::new(&sdk_config(&url), format!("{url}/queue"));
        Apply { tables: self.tables(), data_api: self.writer.clone(), outbox: None, queue }
    }

    /// Delivers writes to `apply` in one batch.
    pub(crate) async fn apply_writes(&self, writes: Vec<Write>) -> SqsBatchResponse {
        self.apply(delivery(&pack(writes, 1))).await.unwrap()
    }

    pub(crate) fn lookup_function(&self) -> Lookup {
        let data_api = self.reader.clone();
        Lookup { tables: self.tables(), data_api, row_security: self.row_security }
    }

    pub(crate) async fn lookup(&self, event: Value) -> HttpResponse {
        let function = self.lookup_function();
        let event: ApiGatewayV2httpRequest = serde_json::from_value(event).unwrap();
        lookup::handle(&function, event, Invocation::until(deadline())).await.into()
    }

    /// Returns `import` with its objects on this S3.
    pub(crate) fn import(&self, s3: &SdkConfig, results_bucket: &str) -> Import {
        Import {
            tables: self.tables(),
            data_api: self.writer.clone(),
            outbox: None,
            objects: Objects::new(s3),
            queue: Queue::new(s3, "http://localhost:1/queue".to_owned()),
            results_bucket: results_bucket.into(),
            defaults: Defaults::none(),
            row_security: self.row_security,
            lanes: 3,
            limits: chunk::LIMITS,
            full_invocation: aurora_sync::functions::import::FULL_INVOCATION,
            heartbeat_every: aurora_sync::functions::import::HEARTBEAT_EVERY,
        }
    }

    /// Returns the rows of a query as lines, their fields separated by `|`.
    pub(crate) async fn rows(&self, sql: &str) -> Vec<String> {
        let records = self.data_api.execute(None, sql, Vec::new()).await.unwrap();
        records.iter().map(show).collect()
    }
}

fn show(record: &Record) -> String {
    let fields = record.iter().map(|field| match field {
        Field::Null => "-".to_owned(),
        Field::Boolean(value) => value.to_string(),
        Field::Long(value) => value.to_string(),
        Field::Double(value) => value.to_string(),
        Field::Text(value) | Field::Blob(value) => value.clone(),
        Field::Array(value) => serde_json::to_string(value).unwrap(),
    });
    fields.collect::<Vec<_>>().join("|")
}

/// Returns the catalog of a database with these tables.
pub(crate) async fn catalog_of(tables: &str) -> Catalog {
    World::with(tables).await.catalog
}

pub(crate) fn sdk_config(endpoint_url: &str) -> SdkConfig {
    let credentials = aws_sdk_s3::config::Credentials::new("test", "test", None, None, "test");
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .credentials_provider(aws_sdk_s3::config::SharedCredentialsProvider::new(credentials))
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .endpoint_url(endpoint_url)
        .build()
}

pub(crate) fn deadline() -> Deadline {
    Deadline::after(Duration::from_mins(2))
}

/// Returns messages as SQS delivers them.
pub(crate) fn delivery(messages: &[Message]) -> SqsEvent {
    let ids: Vec<_> = (0..messages.len()).map(|n| format!("m{n}")).collect();
    let messages: Vec<_> = messages
        .iter()
        .zip(&ids)
        .map(|(message, id)| (id.as_str(), message.group.as_str(), message.body.as_str()))
        .collect();
    sqs_event(&messages)
}

/// Returns an event of messages with these ids, groups and bodies.
pub(crate) fn sqs_event(messages: &[(&str, &str, &str)]) -> SqsEvent {
    let records: Vec<_> = messages
        .iter()
        .map(|(id, group, body)| {
            json!({
                "messageId": id,
                "receiptHandle": "handle",
                "body": body,
                "attributes": { "MessageGroupId": group, "SentTimestamp": "1763856000000" },
                "messageAttributes": {},
                "eventSource": "aws:sqs",
                "awsRegion": "us-east-1",
            })
        })
        .collect();
    serde_json::from_value(json!({ "Records": records })).unwrap()
}

/// Returns a sample event of `events/`.
pub(crate) fn sample(name: &str) -> Value {
    let path = format!("events/{name}.json");
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Returns the event of a GET request for a path such as `/{table}/{key}` with these parameters.
pub(crate) fn get(path: &str, path_parameters: &Value, query: &Value, accept: &str) -> Value {
    let text = |value: &Value| encoded(value.as_str().unwrap());
    let parameters = path_parameters.as_object().into_iter().flatten();
    let path = parameters.fold(path.to_owned(), |path, (name, value)| {
        path.replace(&format!("{{{name}}}"), &text(value))
    });
    let query = query.as_object().into_iter().flatten();
    let query: Vec<_> =
        query.map(|(name, value)| format!("{}={}", encoded(name), text(value))).collect();
    let address = format!("{path}?{}", query.join("&"));
    http_api::event("GET", &address, &[("accept", accept)], b"")
}

/// A response of a function to API Gateway.
#[derive(Debug)]
pub(crate) struct HttpResponse {
    pub status: i64,
    pub content_type: String,
    pub headers: HeaderMap,
    pub body: String,
    pub is_base64: bool,
}

impl HttpResponse {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    /// Returns the value of a header, or an empty text.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

impl From<ApiGatewayV2httpResponse> for HttpResponse {
    fn from(response: ApiGatewayV2httpResponse) -> Self {
        let Some(Body::Text(body)) = response.body else { panic!("an response has a text") };
        let content_type = response.headers.get("content-type");
        let content_type =
            content_type.map_or_else(String::new, |value| value.to_str().unwrap().to_owned());
        Self {
            status: response.status_code,
            content_type,
            headers: response.headers,
            body,
            is_base64: response.is_base64_encoded,
        }
    }
}
