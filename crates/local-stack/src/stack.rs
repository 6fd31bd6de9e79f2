//! The whole of aurora-sync on one machine: `template.yaml` as it is, the seven functions, a real
//! PostgreSQL behind the Data API server, and an emulator for the rest of AWS.
//!
//! Owns everything that it starts, and stops it when it is dropped or when this process is killed.
//! Never edits the template but for the code locations, and holds nothing that a function would
//! need to know of: what differs from AWS is in the parameters.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::Context;
use aws_config::SdkConfig;
use bytes::Bytes;
use data_api_server::{Login, Server, Settings};
use ephemeral_postgres::{Postgres, RunFolder};
use hyper::Method;
use serde_json::Value;
use url::Url;

use crate::account::{CLUSTER_ARN, DATABASE, REGION, SECRET_ARN};
use crate::cors;
use crate::deploy::{self, Code, Deployed, deploy};
use crate::emulator::Emulator;
use crate::functions::Functions;
use crate::http::{Answer, Http};
use crate::logs::{self, Follower, Sink, Sources};
use crate::mapping;
use crate::progress::step;
use crate::python::Python;
use crate::token_issuer::{AUDIENCE, TokenIssuer};
use crate::workspace;

/// The functions' logs, with the log groups that the template makes for them.
const LOGS: [(&str, &str); 7] = [
    ("enqueue", "EnqueueLogs"),
    ("apply", "ApplyLogs"),
    ("import", "ImportLogs"),
    ("lookup", "LookupLogs"),
    ("migrate", "MigrateLogs"),
    ("prune", "PruneLogs"),
    ("refresh", "RefreshLogs"),
];

/// The database of a stack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Database {
    /// A new one, which ends with the stack.
    New,
    /// One whose data stays for the next stack with `Kept`.
    Kept,
    /// A running one, by its URL. The stack makes the schema `sync`, two roles and two users in it.
    Running(String),
}

/// The options of a stack.
#[expect(missing_debug_implementations, reason = "a sink is a closure")]
pub struct Options {
    pub code: Code,
    pub database: Database,
    /// The folder of the files that `migrate` applies; without one, there are none. A dist has its
    /// own.
    pub sql: Option<PathBuf>,
    /// Values for the template's parameters besides those that the stack sets itself.
    pub parameters: Vec<(String, String)>,
    /// Callers have tokens of an issuer that the stack starts, and do not sign requests.
    pub takes_tokens: bool,
    /// A function that gets the lines of the functions' logs besides their file.
    pub log_sink: Option<Sink>,
}

impl Options {
    /// Makes options for a new database with the tables of this checkout's `sql/`.
    pub fn new(functions: Functions) -> anyhow::Result<Self> {
        let sql = Some(workspace::root()?.join("sql"));
        let code = Code::Programs(functions);
        Ok(Self {
            code,
            database: Database::New,
            sql,
            parameters: Vec::new(),
            takes_tokens: false,
            log_sink: None,
        })
    }

    /// Makes options for a folder that `cargo local package` made, and a running database.
    pub fn dist(folder: &Path, database_url: &str) -> Self {
        Self {
            code: Code::Dist(folder.to_owned()),
            database: Database::Running(database_url.to_owned()),
            sql: None,
            parameters: Vec::new(),
            takes_tokens: false,
            log_sink: None,
        }
    }

    /// Sets a parameter of the template.
    #[must_use]
    pub fn parameter(mut self, name: &str, value: &str) -> Self {
        self.parameters.push((name.to_owned(), value.to_owned()));
        self
    }
}

/// The addresses and names of a running stack.
#[derive(Debug, Clone)]
pub struct Addresses {
    /// The URL of the API, without a slash at its end.
    pub api_url: String,
    pub uploads_bucket: String,
    pub results_bucket: String,
    pub catalog_bucket: String,
    /// The function that reads the tables again.
    pub refresh_function: String,
    /// The function that imports files.
    pub import_function: String,
    pub writes_queue_url: String,
    pub writes_dead_letter_queue_url: String,
    pub imports_queue_url: String,
    pub imports_dead_letter_queue_url: String,
    pub cluster_arn: String,
    pub secret_arn: String,
    pub database: String,
    pub database_url: String,
    /// The issuer of tokens, if the API takes them. A POST of claims returns a token.
    pub token_url: Option<String>,
    /// Every AWS service but the Data API.
    pub endpoint_url: String,
    pub data_api_endpoint_url: String,
}

/// A running stack. Fields drop in this order.
#[derive(Debug)]
pub struct Stack {
    addresses: Addresses,
    code: Code,
    parameters: Vec<(String, String)>,
    updates: AtomicUsize,
    http: Http,
    function_log: PathBuf,
    python_bin: PathBuf,
    _follower: Follower,
    _tokens: Option<TokenIssuer>,
    emulator: Emulator,
    data_api: Server,
    _postgres: Option<Postgres>,
    folder: RunFolder,
}

impl Stack {
    /// Starts and deploys everything; several stacks can run at once.
    pub async fn start(options: Options) -> anyhow::Result<Self> {
        let local = workspace::local_folder()?;
        let folder = RunFolder::new(&local, "stack")?;
        let http = Http::default();

        // PostgreSQL's first start and Python's installation take their time, so side by side.
        let (python, (postgres, database_url)) =
            tokio::try_join!(Python::ensure(&local), start_database(&options.database))?;
        if options.database != Database::New {
            take_over(&database_url).await?;
        }
        let database = database_name(&database_url)?;
        let starting = Emulator::start(&python, folder.path(), &http);
        let mut emulator = step("starting the AWS emulator", starting).await?;
        let data_api = Server::start(Settings {
            cluster_arn: Some(CLUSTER_ARN.to_owned()),
            // The owner is the user of the URL. The stack makes the secrets of the others.
            secrets: vec![(SECRET_ARN.to_owned(), Login::default())],
            secrets_manager: Some(emulator.url().to_owned()),
            ..Settings::new(&database_url)
        })
        .await?;

        let data_api_endpoint_url = data_api.url();
        let endpoint_url = emulator.url().to_owned();
        let mut parameters: Vec<_> = [
            ("ClusterArn", CLUSTER_ARN),
            ("SecretArn", SECRET_ARN),
            ("Database", &database),
            ("EndpointUrl", &endpoint_url),
            ("DataApiEndpointUrl", &data_api_endpoint_url),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
        let tokens = if options.takes_tokens {
            Some(TokenIssuer::start(&python, folder.path()).await?)
        } else {
            None
        };
        let token_url = tokens.as_ref().map(|tokens| tokens.url().to_owned());
        if let Some(url) = &token_url {
            let own = [("Authorization", "JWT"), ("JwtIssuer", url), ("JwtAudience", AUDIENCE)];
            parameters.extend(own.map(|(name, value)| (name.to_owned(), value.to_owned())));
        }
        parameters.extend(options.parameters);
        let code = (&options.code, options.sql.as_deref());
        let deploying = Box::pin(deploy(&mut emulator, &python, folder.path(), code, &parameters));
        let deployed = step("deploying template.yaml", deploying).await?;

        cors::hand_over(&http, &endpoint_url, &deployed.resource("Api")?).await?;
        mapping::hand_over(&http, &endpoint_url, &deployed.resource("ApplyMapping")?).await?;
        let function_log = folder.path().join("functions.log");
        let sources = Sources {
            endpoint_url: endpoint_url.clone(),
            groups: LOGS
                .into_iter()
                .map(|(name, id)| Ok((name, deployed.resource(id)?)))
                .collect::<anyhow::Result<_>>()?,
            emulator_log: emulator.log().to_owned(),
        };
        let follower = logs::follow(http.clone(), sources, &function_log, options.log_sink)?;
        let addresses = Addresses {
            api_url: local_api_url(&endpoint_url, &deployed.output("ApiUrl")?)?,
            uploads_bucket: deployed.output("UploadsBucket")?,
            results_bucket: deployed.output("ResultsBucket")?,
            catalog_bucket: deployed.output("CatalogBucket")?,
            refresh_function: deployed.output("RefreshFunction")?,
            import_function: deployed.output("ImportFunction")?,
            writes_queue_url: deployed.output("WritesQueueUrl")?,
            writes_dead_letter_queue_url: deployed.output("WritesDeadLetterQueueUrl")?,
            imports_queue_url: deployed.output("ImportsQueueUrl")?,
            imports_dead_letter_queue_url: deployed.output("ImportsDeadLetterQueueUrl")?,
            cluster_arn: deployed.output("ClusterArn")?,
            secret_arn: deployed.output("SecretArn")?,
            database: deployed.output("Database")?,
            database_url,
            token_url,
            endpoint_url,
            data_api_endpoint_url,
        };
        Ok(Self {
            addresses,
            code: options.code,
            parameters,
            updates: AtomicUsize::new(0),
            http,
            function_log,
            python_bin: python.bin(),
            _follower: follower,
            _tokens: tokens,
            emulator,
            data_api,
            _postgres: postgres,
            folder,
        })
    }

    /// Deploys the same programs again with the files of another folder for `migrate`. An error has
    /// the reasons for which CloudFormation has rolled the stack back.
    pub async fn update(&self, sql: &Path) -> anyhow::Result<()> {
        let Code::Programs(functions) = &self.code else {
            anyhow::bail!("only a stack of programs can be updated");
        };
        let nth = self.updates.fetch_add(1, Ordering::Relaxed);
        let folder = self.folder.path();
        deploy::update(&self.emulator, folder, (functions, sql), &self.parameters, nth).await
    }

    pub fn addresses(&self) -> &Addresses {
        &self.addresses
    }

    /// Returns the file of the functions' logs; written until the stack is dropped, and removed
    /// with it.
    pub fn function_log(&self) -> &Path {
        &self.function_log
    }

    /// The folder with `aws`, for those who have none.
    pub fn python_bin(&self) -> &Path {
        &self.python_bin
    }

    /// The Data API server, whose faults can be ordered and whose calls are counted.
    pub fn data_api(&self) -> &Server {
        &self.data_api
    }

    /// Returns the configuration of AWS SDKs for the emulator: S3, SQS.
    pub fn sdk_config(&self) -> SdkConfig {
        deploy::sdk_config(&self.addresses.endpoint_url)
    }

    /// A signed request to the API; `path` begins with a slash.
    pub async fn request(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> anyhow::Result<Answer> {
        let url = format!("{}{path}", self.addresses.api_url);
        self.http.signed("execute-api", method, &url, headers, body.into()).await
    }

    /// Returns a token of these claims, which take precedence over those of the issuer.
    pub async fn token(&self, claims: &Value) -> anyhow::Result<String> {
        let url = self.addresses.token_url.as_ref().context("the stack takes no tokens")?;
        let answer = self.http.unsigned(Method::POST, url, &[], claims.to_string().into()).await?;
        Ok(answer.text())
    }

    /// Sends a request that is not signed.
    pub async fn unsigned(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> anyhow::Result<Answer> {
        let url = format!("{}{path}", self.addresses.api_url);
        self.http.unsigned(method, &url, headers, body.into()).await
    }

    /// Sends a signed `GET` to a URL that a response links to. `path` is that of the request, and
    /// begins with a slash; `reference` is the link.
    pub async fn follow(&self, path: &str, reference: &str) -> anyhow::Result<(Url, Answer)> {
        let base = Url::parse(&format!("{}{path}", self.addresses.api_url))?;
        let url =
            base.join(reference).with_context(|| format!("{reference} is not a reference"))?;
        let signed = self.http.signed("execute-api", Method::GET, url.as_str(), &[], Bytes::new());
        let answer = signed.await?;
        Ok((url, answer))
    }

    /// An error when a part of the stack has ended by itself.
    pub fn check(&mut self) -> anyhow::Result<()> {
        if self.emulator.has_ended() {
            anyhow::bail!("the AWS emulator has ended by itself");
        }
        Ok(())
    }
}

/// Starts the database, or finds it; returns its URL.
async fn start_database(database: &Database) -> anyhow::Result<(Option<Postgres>, String)> {
    const STEP: &str = "starting PostgreSQL";
    let postgres = match database {
        Database::New => step(STEP, Postgres::start()).await?,
        Database::Kept => step(STEP, Postgres::start_kept("aurora-sync")).await?,
        Database::Running(url) => return Ok((None, url.clone())),
    };
    let url = postgres.database_url(DATABASE);
    if *database == Database::New || ephemeral_postgres::connect(&url).await.is_err() {
        postgres.create_database(DATABASE).await?;
    }
    Ok((Some(postgres), url))
}

/// Takes the database over from an earlier local stack: it ended without being deleted.
async fn take_over(url: &str) -> anyhow::Result<()> {
    let client =
        ephemeral_postgres::connect(url).await.context("cannot connect to the database")?;
    let sql = format!(
        "DO $$ BEGIN
            IF to_regclass('sync.deployment') IS NOT NULL THEN
                DELETE FROM sync.deployment
                WHERE stack_id LIKE 'arn:aws:cloudformation:{REGION}:000000000000:stack/%';
            END IF;
        END $$"
    );
    client.batch_execute(&sql).await.context("cannot take the database over")
}

fn database_name(url: &str) -> anyhow::Result<String> {
    let config: tokio_postgres::Config = url.parse().context(
        "the database's URL cannot be read; expected postgres://user:password@host:port/database",
    )?;
    let name = config.get_dbname().context("the database's URL names no database")?;
    Ok(name.to_owned())
}

impl Deployed {
    fn output(&self, name: &str) -> anyhow::Result<String> {
        let value = self.outputs.get(name);
        value.cloned().with_context(|| format!("template.yaml has no output {name}"))
    }

    fn resource(&self, id: &str) -> anyhow::Result<String> {
        let physical_id = self.resources.get(id);
        physical_id.cloned().with_context(|| format!("template.yaml has no resource {id}"))
    }
}

/// `https://<api>.execute-api.<region>.amazonaws.com` as the emulator serves it.
fn local_api_url(endpoint_url: &str, api_url: &str) -> anyhow::Result<String> {
    let parts = || {
        let (api, host) = api_url.strip_prefix("https://")?.split_once(".execute-api.")?;
        let stage = host.split_once('/').map(|(_, stage)| format!("/{stage}")).unwrap_or_default();
        Some(format!("{endpoint_url}/_aws/execute-api/{api}{stage}"))
    };
    parts().with_context(|| format!("the stack's ApiUrl is not an API's address: {api_url}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_database_is_taken_over_from_a_local_stack_only() {
        let postgres = Postgres::shared().await.unwrap();
        let name = format!("take_over_{}", std::process::id());
        let url = postgres.create_database(&name).await.unwrap();
        take_over(&url).await.unwrap();
        let client = ephemeral_postgres::connect(&url).await.unwrap();
        let stacks = "CREATE SCHEMA sync; CREATE TABLE sync.deployment (stack_id text);
            INSERT INTO sync.deployment VALUES
                ('arn:aws:cloudformation:us-east-1:000000000000:stack/aurora-sync/1'),
                ('arn:aws:cloudformation:us-east-1:123456789012:stack/aurora-sync/2')";
        client.batch_execute(stacks).await.unwrap();
        take_over(&url).await.unwrap();
        let left =
            client.query("SELECT right(stack_id, 1) FROM sync.deployment", &[]).await.unwrap();
        assert_eq!(left.iter().map(|row| row.get(0)).collect::<Vec<String>>(), ["2"]);
    }

    #[test]
    fn the_api_is_found_on_the_emulator() {
        let url = "https://a1b2.execute-api.us-east-1.amazonaws.com";
        let local = local_api_url("http://127.0.0.1:4566", url).unwrap();
        assert_eq!(local, "http://127.0.0.1:4566/_aws/execute-api/a1b2");
        let local = local_api_url("http://127.0.0.1:4566", &format!("{url}/v1")).unwrap();
        assert_eq!(local, "http://127.0.0.1:4566/_aws/execute-api/a1b2/v1");
        assert!(local_api_url("http://127.0.0.1:4566", "elsewhere").is_err());
    }
}
