//! Cold starts: from exec to the first `next` and to the first response, of the deployed programs
//! and of a function that does nothing.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, bail};
use aurora_sync::domain::write::{Operation, pack};
use flate2::Compression;
use flate2::write::DeflateEncoder;
use local_stack::{Profile, build_functions, workspace};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::data::{Table, Version};
use crate::environment::{BenchEnv, Database, UPLOADS, api_event, object_created, queue_event};
use crate::figures::{self, Spread, float, mebibytes, number};
use crate::function::Function;
use crate::settings::Settings;
use crate::writes::write;

const ROUNDS: usize = 20;

/// Explains the functions and the columns of the table.
pub(crate) const LEGEND: &str = "\
- **empty**: a function of the `lambda_runtime` crate that does nothing.
- **tutorial look-up**: the tutorial's Python function, with boto3.

Columns: *`next`* is the time from exec to the first request for an event; *× empty* is that time
divided by the time of the empty function; *response* is the time from exec to the first response;
*at rest* is the resident memory before the first event; *zipped* is the size of the program as
Lambda stores it.
";

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Measured {
    pub name: String,
    pub ready_ms: Spread,
    /// The time to the first response, that until `next` included; `None` where no event is sent.
    pub response_ms: Option<Spread>,
    /// Its time until `next` divided by that of the function that does nothing.
    pub is_times_empty: f64,
    /// Resident when it waits for its first event.
    pub resident_mib: f64,
    /// The size as a compressed Lambda archive; `None` for Python, whose packages are Lambda's in
    /// part.
    pub zipped_mib: Option<f64>,
}

#[derive(Debug)]
struct Candidate {
    name: &'static str,
    start: Start,
    event: Option<Value>,
    ready: Vec<f64>,
    response: Vec<f64>,
    resident: u64,
}

#[derive(Debug)]
enum Start {
    Program(PathBuf),
    Peer(&'static str),
}

pub(crate) async fn measure(env: &BenchEnv, settings: &Settings) -> anyhow::Result<Vec<Measured>> {
    let programs = if settings.is_smoke() {
        // Any profile: a smoke test claims nothing.
        env.programs.clone()
    } else {
        tracing::info!("building the release programs");
        build_functions(&workspace::root()?, Profile::Release).await?
    };
    let empty = if settings.is_smoke() { None } else { Some(build_empty()?) };
    let database = env.fresh().await?;
    let lookup = api_event("GET", "staff/0000", "", None);
    let post = api_event("POST", "staff", "", Some(r#"{"id":"0001","name":"New"}"#));
    let mut candidates = vec![
        Candidate::program("apply", &programs.apply, None),
        Candidate::program("enqueue", &programs.enqueue, Some(post)),
        Candidate::program("import", &programs.import, None),
        Candidate::program("lookup", &programs.lookup, Some(lookup)),
        Candidate::program("migrate", &programs.migrate, None),
        Candidate::program("prune", &programs.prune, None),
        Candidate::new(
            "tutorial look-up",
            Start::Peer("lookup_tutorial"),
            Some(json!({ "queryStringParameters": { "id": "0000" } })),
        ),
    ];
    if let Some(empty) = &empty {
        let empty = Candidate::program("empty", empty, Some(json!({})));
        candidates.insert(0, empty);
    }
    let rounds = if settings.is_smoke() { 1 } else { settings.rounds.unwrap_or(ROUNDS) };
    // One more round, so that all programs are in the cache of the system.
    for round in 0..=rounds {
        tracing::info!("cold start: round {round} of {rounds}");
        for index in 0..candidates.len() {
            let index = (index + round) % candidates.len();
            let event = event(env, &candidates[index], round)?;
            candidates[index].start(env, &database, event, round > 0).await?;
        }
    }
    env.remove(database).await?;
    let base = empty.map(|_| Spread::of(candidates[0].ready.iter().copied()).median);
    // An unoptimized program is many times as large, and takes minutes to compress.
    let is_deployed = !settings.is_smoke();
    candidates.into_iter().map(|candidate| candidate.measured(base, is_deployed)).collect()
}

/// Returns the event of a first invocation, with new data each time.
fn event(env: &BenchEnv, candidate: &Candidate, round: usize) -> anyhow::Result<Option<Value>> {
    Ok(match candidate.name {
        "apply" => {
            let write = write(round as u64 + 1_000, Operation::Upsert);
            let messages = pack(vec![write], 1).into_iter();
            let messages: Vec<_> =
                messages.map(|message| (message.body, Some(message.group))).collect();
            Some(queue_event(&messages, "writes.fifo"))
        }
        "import" => {
            let path = env.folder.path().join("startup.csv");
            Table::Staff.write_csv(&path, 0..10, Version::New)?;
            let key = format!("imports/staff/startup-{round}.csv");
            env.fake_aws.serve_file(UPLOADS, &key, &path, &[])?;
            let etag = env.fake_aws.etag(UPLOADS, &key).context("the file is not served")?;
            Some(object_created(&key, &etag, std::fs::metadata(&path)?.len()))
        }
        _ => candidate.event.clone(),
    })
}

impl Candidate {
    fn new(name: &'static str, start: Start, event: Option<Value>) -> Self {
        Self { name, start, event, ready: Vec::new(), response: Vec::new(), resident: 0 }
    }

    fn program(name: &'static str, path: &Path, event: Option<Value>) -> Self {
        Self::new(name, Start::Program(path.to_owned()), event)
    }

    async fn start(
        &mut self,
        env: &BenchEnv,
        database: &Database,
        event: Option<Value>,
        counts: bool,
    ) -> anyhow::Result<()> {
        let function: Function = match &self.start {
            Start::Program(path) => env.function(path, database).await?,
            Start::Peer(module) => env.peer(module, database).await?,
        };
        let resident = function.usage()?.resident_bytes;
        let mut whole = None;
        if let Some(event) = event {
            let response = function.invoke(event.to_string()).await;
            let response =
                response.with_context(|| format!("the first response of {}", self.name))?;
            whole = Some(function.ready_after + response.took);
        }
        if counts {
            self.ready.push(milliseconds(function.ready_after));
            self.response.extend(whole.map(milliseconds));
            self.resident = resident;
        }
        Ok(())
    }

    fn measured(self, base: Option<f64>, is_deployed: bool) -> anyhow::Result<Measured> {
        let ready_ms = Spread::of(self.ready);
        let zipped = match &self.start {
            Start::Program(path) if is_deployed => Some(zipped_bytes(path)?),
            Start::Program(_) | Start::Peer(_) => None,
        };
        Ok(Measured {
            name: self.name.to_owned(),
            ready_ms,
            response_ms: (!self.response.is_empty()).then(|| Spread::of(self.response)),
            is_times_empty: base.map_or(f64::NAN, |base| ready_ms.median / base),
            resident_mib: mebibytes(float(self.resident)),
            zipped_mib: zipped.map(|bytes| mebibytes(float(bytes))),
        })
    }
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1_000.0
}

fn zipped_bytes(program: &Path) -> anyhow::Result<u64> {
    let content =
        std::fs::read(program).with_context(|| format!("cannot read {}", program.display()))?;
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(&content)?;
    Ok(encoder.finish()?.len() as u64)
}

fn build_empty() -> anyhow::Result<PathBuf> {
    let root = workspace::root()?;
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(&root).args(["build", "--release", "--package", "empty-function"]);
    if !command.status().context("cannot run cargo")?.success() {
        bail!("cargo could not build the empty function; its messages are above");
    }
    Ok(super::programs::target_folder(&root).join("release/empty-function"))
}

pub(crate) fn tables(measured: &[Measured]) -> Vec<figures::Table> {
    let columns =
        ["function", "`next`, ms", "× empty", "response, ms", "at rest, MiB", "zipped, MiB"];
    let mut table = figures::Table::new("Cold start", &columns);
    for one in measured {
        table.push([
            one.name.clone(),
            one.ready_ms.show(),
            number(one.is_times_empty),
            one.response_ms.map_or("–".to_owned(), |spread| spread.show()),
            number(one.resident_mib),
            one.zipped_mib.map_or("–".to_owned(), number),
        ]);
    }
    vec![table]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_size_of_a_program_is_compressed() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), vec![b'a'; 100_000]).unwrap();
        let bytes = zipped_bytes(file.path()).unwrap();
        assert!((1..1_000).contains(&bytes), "{bytes}");
    }
}
