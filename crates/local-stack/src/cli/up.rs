//! `cargo local up`: the stack until Ctrl-C, with what one needs to try it.

use std::fs::{self, File, TryLockError};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use aurora_sync::aws::data_api::{DataApi, DatabaseTarget};
use aurora_sync::database::introspection::read_catalog;
use aurora_sync::domain::deadline::Deadline;
use ephemeral_postgres::signals;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use rustix::process::{Pid, test_kill_process};
use tokio::process::Command;

use super::{page, print};
use crate::account::{ACCESS_KEY_ID, REGION, SECRET_ACCESS_KEY};
use crate::deploy::sdk_config;
use crate::example;
use crate::functions::{Profile, build_command, build_functions};
use crate::progress::step;
use crate::stack::{Addresses, Database, Options, Stack};
use crate::{needs, workspace};

/// The characters that are not percent-encoded in a path (RFC 3986, "unreserved").
const PATH_SEGMENT: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

const READ_WITHIN: Duration = Duration::from_secs(30);

const CHECK_EVERY: Duration = Duration::from_millis(500);

/// The options of `cargo local up`.
#[derive(Debug, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
pub struct Arguments {
    /// Build the functions as they are deployed on AWS: slow to build, fast to run
    #[arg(long)]
    release: bool,
    /// Keep the data of the database for the next `up --keep`
    #[arg(long, conflicts_with = "database_url")]
    keep: bool,
    /// Use this running PostgreSQL, and apply no files unless --sql names some. The schema sync,
    /// two roles and two users are made in it
    #[arg(long, value_name = "URL")]
    database_url: Option<String>,
    /// The folder of the files to apply; `sql` of this checkout by default
    #[arg(long, value_name = "FOLDER")]
    sql: Option<PathBuf>,
    /// A parameter of template.yaml, such as LogLevel=debug
    #[arg(long = "parameter", value_name = "NAME=VALUE", value_parser = parse_parameter)]
    parameters: Vec<(String, String)>,
    /// Take tokens instead of signed requests. The stack starts an issuer that signs any claims
    #[arg(long)]
    tokens: bool,
    /// Open the page of `aurora-sync studio` in a browser
    #[arg(long, conflicts_with = "tokens")]
    open: bool,
}

pub fn parse_parameter(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("expected NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

pub async fn run(arguments: Arguments) -> anyhow::Result<()> {
    // The one that is dropped stops what it has started.
    tokio::select! {
        ended = serve(arguments) => ended,
        interrupted = signals::interrupted() => {
            tracing::info!("stopping");
            interrupted.context("cannot listen for signals")
        }
    }
}

async fn serve(arguments: Arguments) -> anyhow::Result<()> {
    let env_file = EnvFile::claim(&workspace::local_folder()?)?;
    let profile = if arguments.release { Profile::Release } else { Profile::Dev };
    needs::check().await?;
    let root = workspace::root()?;
    let functions = step("building the functions", build_functions(&root, profile)).await?;
    // The page signs its requests.
    let command = if arguments.tokens {
        None
    } else {
        Some(step("building the page", build_command(&root)).await?)
    };
    let defaults = Options::new(functions)?;
    let (database, sql) = match arguments.database_url {
        Some(url) => (Database::Running(url), arguments.sql),
        None if arguments.keep => (Database::Kept, arguments.sql.or(defaults.sql)),
        None => (Database::New, arguments.sql.or(defaults.sql)),
    };
    let options = Options {
        code: defaults.code,
        database,
        sql,
        parameters: arguments.parameters,
        takes_tokens: arguments.tokens,
        log_sink: Some(Box::new(|name, line| print(&format!("{name:8} {line}")))),
    };
    let mut stack = Stack::start(options).await?;
    let example = example(stack.addresses()).await?;
    let aws = aws_command(stack.python_bin()).await;
    let variables = environment(stack.addresses());
    env_file.write(&variables)?;
    // It ends when it is dropped.
    let page = match &command {
        Some(command) => {
            match page::start(command, &variables, &stack.addresses().api_url, arguments.open).await
            {
                Ok(page) => Some(page),
                Err(error) if !arguments.open => {
                    tracing::warn!("{error:#}");
                    None
                }
                Err(error) => return Err(error),
            }
        }
        None => None,
    };
    let page_url = page.as_ref().map(|page| page.url.as_str());
    print(&introduction(&stack, &env_file.path, example.as_ref(), &aws, page_url));
    loop {
        stack.check()?;
        tokio::time::sleep(CHECK_EVERY).await;
    }
}

/// A table for the examples.
#[derive(Debug)]
struct Example {
    table: String,
    /// The table as URLs name it.
    path: String,
    /// A new row of it as JSON.
    row: String,
}

/// Returns an example with a table of the database, unless it has none that can be written to.
async fn example(addresses: &Addresses) -> anyhow::Result<Option<Example>> {
    let target = DatabaseTarget {
        cluster_arn: addresses.cluster_arn.clone(),
        secret_arn: addresses.secret_arn.clone(),
        database: addresses.database.clone(),
    };
    let data_api = DataApi::new(&sdk_config(&addresses.data_api_endpoint_url), target);
    let catalog = read_catalog(&data_api, Deadline::after(READ_WITHIN)).await?;
    let Some(table) = example::table(&catalog) else { return Ok(None) };
    let row = example::row(table, 9001, |_| None).context("the table of the example has no row")?;
    let path = utf8_percent_encode(&table.path(), PATH_SEGMENT).to_string();
    Ok(Some(Example { table: table.path(), path, row: serde_json::to_string(&row)? }))
}

/// The variables that the AWS SDKs and the examples read.
fn environment(addresses: &Addresses) -> Vec<(&'static str, &str)> {
    let mut variables: Vec<(_, &str)> = vec![
        ("API_URL", &addresses.api_url),
        ("UPLOADS_BUCKET", &addresses.uploads_bucket),
        ("RESULTS_BUCKET", &addresses.results_bucket),
        ("CATALOG_BUCKET", &addresses.catalog_bucket),
        ("REFRESH_FUNCTION", &addresses.refresh_function),
        ("IMPORT_FUNCTION", &addresses.import_function),
        ("WRITES_QUEUE_URL", &addresses.writes_queue_url),
        ("WRITES_DEAD_LETTER_QUEUE_URL", &addresses.writes_dead_letter_queue_url),
        ("IMPORTS_QUEUE_URL", &addresses.imports_queue_url),
        ("IMPORTS_DEAD_LETTER_QUEUE_URL", &addresses.imports_dead_letter_queue_url),
        ("CLUSTER_ARN", &addresses.cluster_arn),
        ("SECRET_ARN", &addresses.secret_arn),
        ("DATABASE", &addresses.database),
        ("DATABASE_URL", &addresses.database_url),
        ("AWS_ENDPOINT_URL", &addresses.endpoint_url),
        ("AWS_ENDPOINT_URL_RDS_DATA", &addresses.data_api_endpoint_url),
        ("AWS_ACCESS_KEY_ID", ACCESS_KEY_ID),
        ("AWS_SECRET_ACCESS_KEY", SECRET_ACCESS_KEY),
        ("AWS_DEFAULT_REGION", REGION),
        ("AWS_REGION", REGION),
    ];
    variables.extend(addresses.token_url.iter().map(|url| ("TOKEN_URL", url.as_str())));
    variables
}

fn introduction(
    stack: &Stack,
    env_file: &Path,
    example: Option<&Example>,
    aws: &str,
    page_url: Option<&str>,
) -> String {
    let Addresses {
        api_url,
        uploads_bucket,
        database_url,
        data_api_endpoint_url,
        endpoint_url,
        token_url,
        ..
    } = stack.addresses();
    let env_file = quoted(&env_file.display().to_string());
    let page = page_url.unwrap_or("none");
    let curl = match token_url {
        None => format!(
            "curl --aws-sigv4 aws:amz:{REGION}:execute-api --user {ACCESS_KEY_ID}:{SECRET_ACCESS_KEY}"
        ),
        Some(url) => {
            format!("curl -H \"authorization: Bearer $(curl -sS -d '{{\"sub\":\"ann\"}}' {url})\"")
        }
    };
    let commands = match example {
        None => format!(
            "  psql \"$DATABASE_URL\"
  {curl} \"$API_URL/\"

The API offers no table that can be written to. Grant the roles their rights, and look again:

  GRANT SELECT ON my_table TO sync_reader;
  GRANT SELECT, INSERT, UPDATE, DELETE ON my_table TO sync_writer;
"
        ),
        Some(Example { table, path, row }) => format!(
            "  {curl} \"$API_URL/{path}\"
  {curl} -i -X POST \"$API_URL/{path}\" -H 'content-type: application/json' \\
      -d {row}
  {aws} s3 cp FILE.csv \"s3://$UPLOADS_BUCKET/imports/{table}/\"
  {aws} s3 ls --recursive \"s3://$RESULTS_BUCKET\"
  psql \"$DATABASE_URL\"

Without the file:

  {curl} '{api_url}/{path}'
  AWS_ENDPOINT_URL={endpoint_url} AWS_DEFAULT_REGION={REGION} \\
      AWS_ACCESS_KEY_ID={ACCESS_KEY_ID} AWS_SECRET_ACCESS_KEY={SECRET_ACCESS_KEY} \\
      {aws} s3 cp FILE.csv 's3://{uploads_bucket}/imports/{table}/'
",
            row = quoted(row),
        ),
    };
    format!(
        "
aurora-sync is up. Ctrl-C stops it.

  API          {api_url}
  described at {api_url}/  (OpenAPI 3.1)
  AWS          {endpoint_url}
  Data API     {data_api_endpoint_url}
  PostgreSQL   {database_url}
  page         {page}

In another terminal:

  source {env_file}
{commands}
The functions' logs follow, each invocation's when it has ended.
"
    )
}

/// Quotes a text for a shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

/// `aws` where that works, else our own.
async fn aws_command(python_bin: &Path) -> String {
    let version = Command::new("aws").arg("--version").kill_on_drop(true).output().await;
    if version.is_ok_and(|version| version.status.success()) {
        "aws".to_owned()
    } else {
        format!("{} -m awscli", python_bin.join("python").display())
    }
}

/// `.local/env`, or `.local/env-<process id>` when another `up` has the first. Removed at the end.
#[derive(Debug)]
struct EnvFile {
    path: PathBuf,
    /// The lock that goes with `.local/env`. It ends with its process, in whatever way.
    _lock: File,
}

impl EnvFile {
    fn claim(local: &Path) -> anyhow::Result<Self> {
        let lock_path = local.join("env.lock");
        let cannot = || format!("cannot lock {}", lock_path.display());
        let lock = File::options().create(true).truncate(false).write(true).open(&lock_path);
        let lock = lock.with_context(cannot)?;
        let path = match lock.try_lock() {
            Ok(()) => local.join("env"),
            Err(TryLockError::WouldBlock) => {
                let path = local.join(format!("env-{}", std::process::id()));
                tracing::info!(
                    "another `cargo local up` is running; this one is independent of it and writes {}",
                    path.display()
                );
                path
            }
            Err(TryLockError::Error(error)) => return Err(error).with_context(cannot),
        };
        remove_stale(local)?;
        let file = Self { path, _lock: lock };
        // One that was killed has left it. It must not be there before all is ready.
        file.remove();
        Ok(file)
    }

    /// Writes all of it at once.
    fn write(&self, variables: &[(&str, &str)]) -> anyhow::Result<()> {
        let cannot = || format!("cannot write {}", self.path.display());
        let folder = self.path.parent().with_context(cannot)?;
        let mut file = tempfile::NamedTempFile::new_in(folder).with_context(cannot)?;
        for (name, value) in variables {
            writeln!(file, "export {name}={}", quoted(value)).with_context(cannot)?;
        }
        file.persist(&self.path).with_context(cannot)?;
        Ok(())
    }

    fn remove(&self) {
        if let Err(error) = fs::remove_file(&self.path)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            tracing::warn!("cannot remove {}: {error}", self.path.display());
        }
    }
}

impl Drop for EnvFile {
    fn drop(&mut self) {
        self.remove();
    }
}

/// Removes the files of processes that were killed.
fn remove_stale(local: &Path) -> anyhow::Result<()> {
    let entries =
        fs::read_dir(local).with_context(|| format!("cannot read {}", local.display()))?;
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name();
        let process = name.to_str().and_then(|name| name.strip_prefix("env-")?.parse().ok());
        if let Some(process) = process.and_then(Pid::from_raw)
            && test_kill_process(process).is_err()
        {
            drop(fs::remove_file(entry.path()));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_up_gets_a_file_of_its_own_and_each_removes_its_own() {
        let local = tempfile::tempdir().unwrap();
        fs::write(local.path().join("env"), "export API_URL='left behind'").unwrap();
        let first = EnvFile::claim(local.path()).unwrap();
        assert_eq!(first.path, local.path().join("env"));
        assert!(!first.path.exists(), "nothing before all is ready");

        let second = EnvFile::claim(local.path()).unwrap();
        assert_ne!(second.path, first.path);
        first.write(&[("API_URL", "http://one")]).unwrap();
        second.write(&[("API_URL", "http://two")]).unwrap();
        assert_eq!(fs::read_to_string(&first.path).unwrap(), "export API_URL='http://one'\n");

        let paths = [first.path.clone(), second.path.clone()];
        drop(second);
        assert!(paths[0].exists() && !paths[1].exists());
        drop(first);
        assert!(!paths[0].exists());
    }
}
