//! Deploys the template through CloudFormation, as `sam deploy` does: the code into a bucket, the
//! stack with its parameters, and then the wait for it.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, bail};
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_cloudformation::Client;
use aws_sdk_cloudformation::config::{Credentials, SharedCredentialsProvider};
use aws_sdk_cloudformation::types::{Capability, OnFailure, Parameter, StackStatus};
use aws_sdk_s3::config::RequestChecksumCalculation;
use aws_sdk_s3::primitives::ByteStream;
use tokio::process::Command;
use zip::CompressionMethod;

use crate::account::{ACCESS_KEY_ID, REGION, SECRET_ACCESS_KEY};
use crate::architecture::Architecture;
use crate::emulator::Emulator;
use crate::functions::{Functions, zip_program};
use crate::python::Python;
use crate::{template, workspace};

pub(crate) const STACK_NAME: &str = "aurora-sync";
const CODE_BUCKET: &str = "code";

/// It takes two seconds. The migrations are part of it.
const DEPLOYED_WITHIN: Duration = Duration::from_mins(2);
const POLL_EVERY: Duration = Duration::from_millis(100);

/// Outputs by name, and physical ids by logical id.
#[derive(Debug)]
pub(crate) struct Deployed {
    pub(crate) outputs: HashMap<String, String>,
    pub(crate) resources: HashMap<String, String>,
}

/// Returns the configuration of AWS SDKs for the emulator; reads nothing from the environment.
pub fn sdk_config(endpoint_url: &str) -> SdkConfig {
    let credentials = Credentials::new(ACCESS_KEY_ID, SECRET_ACCESS_KEY, None, None, "local");
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::from_static(REGION))
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .endpoint_url(endpoint_url)
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .build()
}

/// The code of the functions.
#[derive(Debug, Clone)]
pub enum Code {
    /// Programs, deployed with the template of this checkout.
    Programs(Functions),
    /// A folder that `cargo local package` made, deployed with its own template.
    Dist(PathBuf),
}

pub(crate) async fn deploy(
    emulator: &mut Emulator,
    python: &Python,
    folder: &Path,
    (code, sql): (&Code, Option<&Path>),
    parameters: &[(String, String)],
) -> anyhow::Result<Deployed> {
    let config = sdk_config(emulator.url());
    let s3 = aws_sdk_s3::Client::new(&config);
    s3.create_bucket().bucket(CODE_BUCKET).send().await.context("cannot make a bucket")?;
    let template = match code {
        Code::Programs(functions) => {
            let locations = upload(&s3, folder, functions, sql).await?;
            template::with_code(&read_template()?, Architecture::HOST, &locations)?
        }
        Code::Dist(dist) => package(python, emulator.url(), folder, dist).await?,
    };
    let client = Client::new(&config);
    client
        .create_stack()
        .stack_name(STACK_NAME)
        .template_url(upload_template(&s3, emulator, template).await?)
        .set_parameters(Some(sdk_parameters(parameters)))
        .capabilities(Capability::CapabilityIam)
        .capabilities(Capability::CapabilityAutoExpand)
        // The resources that failed stay for inspection.
        .on_failure(OnFailure::DoNothing)
        .send()
        .await
        .context("CloudFormation refuses template.yaml")?;
    let log = emulator.log().to_owned();
    let outputs = wait(&client, &log, || emulator.has_ended()).await?;
    let resources = client
        .describe_stack_resources()
        .stack_name(STACK_NAME)
        .send()
        .await
        .context("cannot read the stack's resources")?;
    let resources = resources
        .stack_resources()
        .iter()
        .filter_map(|resource| {
            Some((
                resource.logical_resource_id()?.to_owned(),
                resource.physical_resource_id()?.to_owned(),
            ))
        })
        .collect();
    Ok(Deployed { outputs, resources })
}

/// Deploys the programs again, with other files for `migrate`. An error means that the stack is
/// rolled back.
pub(crate) async fn update(
    emulator: &Emulator,
    folder: &Path,
    (functions, sql): (&Functions, &Path),
    parameters: &[(String, String)],
    nth: usize,
) -> anyhow::Result<()> {
    let config = sdk_config(emulator.url());
    let s3 = aws_sdk_s3::Client::new(&config);
    let mut locations: HashMap<_, _> =
        functions.iter().map(|(name, _)| (name, location(&key(name)))).collect();
    // CloudFormation runs the migrations only if the location differs.
    let key = format!("migrate-{nth}.zip");
    upload_program(&s3, folder, &functions.migrate, Some(sql), &key).await?;
    locations.insert("migrate", location(&key));
    let template = template::with_code(&read_template()?, Architecture::HOST, &locations)?;
    let client = Client::new(&config);
    client
        .update_stack()
        .stack_name(STACK_NAME)
        .template_url(upload_template(&s3, emulator, template).await?)
        .set_parameters(Some(sdk_parameters(parameters)))
        .capabilities(Capability::CapabilityIam)
        .capabilities(Capability::CapabilityAutoExpand)
        .send()
        .await
        .context("CloudFormation refuses template.yaml")?;
    wait(&client, emulator.log(), || false).await?;
    Ok(())
}

/// Puts the template into the bucket, as SAM CLI does, and returns its URL: a request holds 51,200
/// bytes of a template (CloudFormation User Guide, "Quotas").
async fn upload_template(
    client: &aws_sdk_s3::Client,
    emulator: &Emulator,
    template: String,
) -> anyhow::Result<String> {
    const KEY: &str = "template.yaml";
    let put = client.put_object().bucket(CODE_BUCKET).key(KEY).body(template.into_bytes().into());
    put.send().await.context("cannot upload the template")?;
    Ok(format!("{}/{CODE_BUCKET}/{KEY}", emulator.url()))
}

fn sdk_parameters(parameters: &[(String, String)]) -> Vec<Parameter> {
    let parameter = |(key, value): &(String, String)| {
        Parameter::builder().parameter_key(key).parameter_value(value).build()
    };
    parameters.iter().map(parameter).collect()
}

fn key(name: &str) -> String {
    format!("{name}.zip")
}

fn location(key: &str) -> String {
    format!("s3://{CODE_BUCKET}/{key}")
}

/// Zips the programs and puts them into a bucket; their locations by name.
async fn upload<'f>(
    client: &aws_sdk_s3::Client,
    folder: &Path,
    functions: &'f Functions,
    sql: Option<&Path>,
) -> anyhow::Result<HashMap<&'f str, String>> {
    let mut locations = HashMap::new();
    for (name, program) in functions.iter() {
        let key = key(name);
        // The files that `migrate` applies are beside its program.
        let sql = sql.filter(|_| name == "migrate");
        upload_program(client, folder, program, sql, &key).await?;
        locations.insert(name, location(&key));
    }
    Ok(locations)
}

async fn upload_program(
    client: &aws_sdk_s3::Client,
    folder: &Path,
    program: &Path,
    sql: Option<&Path>,
    key: &str,
) -> anyhow::Result<()> {
    let archive = folder.join(key);
    let (program, zipped, sql) = (program.to_owned(), archive.clone(), sql.map(Path::to_path_buf));
    // Uncompressed: the way is short.
    let stored = CompressionMethod::Stored;
    let zip = move || zip_program(&program, sql.as_deref(), &zipped, stored);
    tokio::task::spawn_blocking(zip).await??;
    let body = ByteStream::from_path(&archive).await.context("cannot read the archive")?;
    client
        .put_object()
        .bucket(CODE_BUCKET)
        .key(key)
        .body(body)
        .customize()
        // A debug build of this program would take a second to hash each of them.
        .disable_payload_signing()
        .config_override(unchecked())
        .send()
        .await
        .with_context(|| format!("cannot upload {}", archive.display()))?;
    std::fs::remove_file(&archive).with_context(|| format!("cannot remove {}", archive.display()))
}

/// Uploads the code of a dist with the AWS command line, as a user does; the template with its
/// locations.
async fn package(
    python: &Python,
    endpoint_url: &str,
    folder: &Path,
    dist: &Path,
) -> anyhow::Result<String> {
    let packaged = folder.join("packaged.yaml");
    // As a module: the script `aws` holds the path that its environment was made at.
    let mut aws = Command::new(python.interpreter());
    aws.args(["-m", "awscli"])
        .args(["cloudformation", "package", "--s3-bucket", CODE_BUCKET, "--template-file"])
        .arg(dist.join(Architecture::HOST.template()))
        .arg("--output-template-file")
        .arg(&packaged)
        // No cargo is in reach.
        .env_clear()
        .env("HOME", folder)
        .env("AWS_ENDPOINT_URL", endpoint_url)
        .env("AWS_DEFAULT_REGION", REGION)
        .env("AWS_ACCESS_KEY_ID", ACCESS_KEY_ID)
        .env("AWS_SECRET_ACCESS_KEY", SECRET_ACCESS_KEY)
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let output = aws.output().await.context("cannot run aws")?;
    if !output.status.success() {
        let error = String::from_utf8_lossy(&output.stderr);
        bail!("aws cloudformation package refuses {}: {}", dist.display(), error.trim());
    }
    std::fs::read_to_string(&packaged)
        .with_context(|| format!("cannot read {}", packaged.display()))
}

fn read_template() -> anyhow::Result<String> {
    let path = workspace::root()?.join(Architecture::Arm64.template());
    std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
}

/// Returns a configuration without optional checksums.
fn unchecked() -> aws_sdk_s3::config::Builder {
    aws_sdk_s3::config::Builder::new()
        .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
}

/// Waits for the stack's end, good or bad; its outputs.
async fn wait(
    client: &Client,
    log: &Path,
    mut has_ended: impl FnMut() -> bool,
) -> anyhow::Result<HashMap<String, String>> {
    let started = Instant::now();
    loop {
        let answer = client
            .describe_stacks()
            .stack_name(STACK_NAME)
            .send()
            .await
            .context("cannot read the stack's state")?;
        let stack = answer.stacks().first().context("CloudFormation has lost the stack")?;
        match stack.stack_status() {
            Some(StackStatus::CreateComplete | StackStatus::UpdateComplete) => {
                let outputs = stack.outputs().iter().filter_map(|output| {
                    Some((output.output_key()?.to_owned(), output.output_value()?.to_owned()))
                });
                return Ok(outputs.collect());
            }
            Some(status) if status.as_str().ends_with("IN_PROGRESS") => {}
            status => {
                let reasons = failures(client).await?;
                let status = status.map_or("no status", StackStatus::as_str);
                bail!("template.yaml was not deployed ({status}):\n{reasons}");
            }
        }
        // A dead migrate function never answers, and CloudFormation would wait for it for long.
        let lines = std::fs::read_to_string(log).unwrap_or_default();
        if let Some(error) = lines.lines().find(|line| is_function_failure(line)) {
            bail!("a function failed during the deployment:\n{error}");
        }
        if has_ended() {
            bail!("the AWS emulator ended during the deployment; see {}", log.display());
        }
        if started.elapsed() > DEPLOYED_WITHIN {
            let reasons = failures(client).await?;
            return Err(anyhow!(
                "template.yaml is not deployed after {DEPLOYED_WITHIN:?}\n{reasons}"
            ));
        }
        tokio::time::sleep(POLL_EVERY).await;
    }
}

/// Returns whether a line of the emulator's log says that `migrate` did not live to answer.
fn is_function_failure(line: &str) -> bool {
    line.contains("MigrateFunction")
        && ["ERROR [lambda", "WARNING [lambda"].iter().any(|level| line.contains(level))
}

/// The resources that failed, and why.
async fn failures(client: &Client) -> anyhow::Result<String> {
    let events = client
        .describe_stack_events()
        .stack_name(STACK_NAME)
        .send()
        .await
        .context("cannot read the stack's events")?;
    let failed = events.stack_events().iter().filter_map(|event| {
        let status = event.resource_status()?.as_str();
        status.contains("FAILED").then(|| {
            let id = event.logical_resource_id().unwrap_or_default();
            format!("{id} {status}: {}", event.resource_status_reason().unwrap_or_default())
        })
    });
    Ok(failed.collect::<Vec<_>>().join("\n"))
}
