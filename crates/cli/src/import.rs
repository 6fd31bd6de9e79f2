//! `aurora-sync import`: uploads files, follows their imports, prints the reports.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, bail};
use bytes::{Bytes, BytesMut};
use tokio::fs::File;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};

use crate::api::{Api, Import};
use crate::arguments;
use crate::aws::{Aws, Objects, Parts, UploadTarget};
use crate::deployment::Deployment;
use crate::follow::{Follower, Patience};
use crate::outcome::{Outcome, failed, wrong_usage};
use crate::progress::{Progress, bytes, error_line, line};
use crate::report::Report;

/// Bytes of a part. Four are under way at a time.
const PART_BYTES: u64 = 16 * 1024 * 1024;

/// S3 takes no more of them ("Amazon S3 multipart upload limits").
const PARTS_MAX: u64 = 10_000;

/// The report is written before the import has ended, but for one whose end was cut short: that
/// one's comes with the next delivery.
const REPORT_WITHIN: Duration = Duration::from_secs(30);

pub(crate) async fn run(arguments: &arguments::Import) -> Outcome {
    let files = match check(arguments) {
        Ok(files) => files,
        Err(error) => return wrong_usage(&error),
    };
    let account = &arguments.deployment.account;
    let aws = Aws::load(account.profile.as_deref(), account.region.as_deref()).await;
    let outputs = match aws.outputs_of(account.stack.as_deref()).await {
        Ok(outputs) => outputs,
        Err(error) => return failed(&error),
    };
    let deployment =
        match Deployment::find(&arguments.deployment, &outputs, |name| std::env::var(name).ok()) {
            Ok(deployment) => deployment,
            Err(error) => return wrong_usage(&error),
        };
    let api = aws
        .signer(&deployment.api_url)
        .and_then(|signer| Api::new(deployment.api_url.clone(), signer));
    let api = match api {
        Ok(api) => api,
        Err(error) => return failed(&error),
    };
    let importer = Importer { arguments, deployment, api, objects: aws.objects() };
    let mut outcome = Outcome::Good;
    for file in &files {
        let ended = importer.import(file).await;
        outcome = outcome.max(ended.unwrap_or_else(|error| failed(&error)));
    }
    outcome
}

/// A file that is there, and the name of its object.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Named {
    /// `None` is standard input.
    path: Option<PathBuf>,
    name: String,
}

fn check(arguments: &arguments::Import) -> anyhow::Result<Vec<Named>> {
    let arguments::Import { files, table, name, rejected, .. } = arguments;
    if files.len() > 1 && (name.is_some() || rejected.is_some()) {
        bail!("--name and --rejected are for one file, and {} are given", files.len());
    }
    if table.is_empty() || table.contains('/') {
        bail!("--table {table:?} is not the name of a table");
    }
    let named = |path: &PathBuf| -> anyhow::Result<Named> {
        if path == Path::new("-") {
            let name = name.clone().unwrap_or_else(|| "stdin.csv".to_owned());
            return Ok(Named { path: None, name });
        }
        let found = std::fs::metadata(path);
        let found = found.with_context(|| format!("cannot read {}", path.display()))?;
        if !found.is_file() && found.is_dir() {
            bail!("{} is a folder", path.display());
        }
        let own =
            path.file_name().map(|own| own.to_string_lossy().into_owned()).unwrap_or_default();
        Ok(Named { path: Some(path.clone()), name: name.clone().unwrap_or(own) })
    };
    let files: Vec<_> = files.iter().map(named).collect::<anyhow::Result<_>>()?;
    if let Some(file) = files.iter().find(|file| file.name.is_empty() || file.name.ends_with('/')) {
        bail!("{:?} is not a name for an object", file.name);
    }
    if files.iter().filter(|file| file.path.is_none()).count() > 1 {
        bail!("standard input can be read once");
    }
    Ok(files)
}

struct Importer<'a> {
    arguments: &'a arguments::Import,
    deployment: Deployment,
    api: Api,
    objects: Objects,
}

impl Importer<'_> {
    async fn import(&self, file: &Named) -> anyhow::Result<Outcome> {
        let progress = Progress::new(&file.name);
        let patience = Patience::new(self.arguments.timeout);
        let follower = Follower { api: &self.api, progress: &progress, patience };
        let options = self.arguments.options.given();
        let target = UploadTarget {
            bucket: self.deployment.uploads_bucket.clone(),
            key: format!("imports/{}/{}", self.arguments.table, file.name),
            metadata: options.into_iter().map(|(name, value)| (name, value.to_owned())).collect(),
        };
        // Also finds out whether the API can be asked, before anything is uploaded.
        let known = follower.known(&target.key).await?;
        let version = self.upload(file, &target, &progress).await?;
        let import = follower.begun(&target.key, &version, &known).await?;
        progress.note(&format!("import {} began", import.id));
        let import = follower.ended(import).await?;
        let report = self.report(&import).await?;
        drop(progress);
        self.show_report(file, &import, report).await
    }

    /// Uploads the file, and gives the version that it is.
    async fn upload(
        &self,
        file: &Named,
        target: &UploadTarget,
        progress: &Progress,
    ) -> anyhow::Result<String> {
        let sent = AtomicU64::new(0);
        let show = |total: Option<u64>, len: u64| {
            let sent = sent.fetch_add(len, Ordering::Relaxed) + len;
            #[expect(clippy::cast_precision_loss, reason = "a share")]
            let part = total.filter(|total| *total > 0).map(|total| sent as f64 / total as f64);
            progress.at(part, &format!("{} uploaded", bytes(sent)));
        };
        let uploaded = match &file.path {
            None => {
                let mut parts = PartsOf { input: tokio::io::stdin(), part_bytes: PART_BYTES };
                self.objects.upload(target, &mut parts, |len| show(None, len)).await?
            }
            Some(path) => {
                let cannot = || format!("cannot read {}", path.display());
                let input = File::open(path).await.with_context(cannot)?;
                let total = input.metadata().await.with_context(cannot)?.len();
                let part_bytes = PART_BYTES.max(total.div_ceil(PARTS_MAX));
                let mut parts = PartsOf { input, part_bytes };
                self.objects.upload(target, &mut parts, |len| show(Some(total), len)).await?
            }
        };
        Ok(uploaded.version)
    }

    /// The text of the report, once it is there.
    async fn report(&self, import: &Import) -> anyhow::Result<Option<String>> {
        let key = format!("{}/{}/report.json", self.arguments.table, import.id);
        let deadline = tokio::time::Instant::now() + REPORT_WITHIN;
        loop {
            if let Some(mut body) = self.objects.get(&self.deployment.results_bucket, &key).await? {
                let mut text = Vec::new();
                while let Some(bytes) = body.next().await? {
                    text.extend_from_slice(&bytes);
                }
                return Ok(Some(String::from_utf8(text).context("report.json is not UTF-8")?));
            }
            if tokio::time::Instant::now() >= deadline {
                return Ok(None);
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }

    async fn show_report(
        &self,
        file: &Named,
        import: &Import,
        report: Option<String>,
    ) -> anyhow::Result<Outcome> {
        let bucket = &self.deployment.results_bucket;
        let folder = format!("{}/{}", self.arguments.table, import.id);
        let Some(report) = report else {
            let error = import.error.as_deref().unwrap_or("the API has its counts");
            bail!(
                "import {} {}, but s3://{bucket}/{folder}/report.json is not there: {error}",
                import.id,
                import.state
            );
        };
        let parsed: Report = serde_json::from_str(&report).with_context(|| {
            format!("s3://{bucket}/{folder}/report.json is not a report that is known here")
        })?;
        if self.arguments.json {
            let value: serde_json::Value = serde_json::from_str(&report)?;
            line(&value.to_string());
        } else {
            line(&format!("{}: import {}", file.name, import.id));
            line(parsed.text(bucket).trim_end());
            line(&format!("report: s3://{bucket}/{folder}/report.json"));
        }
        if let (Some(path), Some(key)) = (&self.arguments.rejected, &parsed.rejected_file) {
            self.save(key, path).await?;
            error_line(&format!("{}: rejected rows are in {}", file.name, path.display()));
        }
        Ok(match parsed.state.as_str() {
            "completed" if parsed.rows.rejected == 0 => Outcome::Good,
            "completed" => Outcome::Attention,
            _ => Outcome::Failed,
        })
    }

    /// Saves an object of the results bucket, byte by byte as it is there.
    async fn save(&self, key: &str, path: &Path) -> anyhow::Result<()> {
        let cannot = || format!("cannot write {}", path.display());
        let body = self.objects.get(&self.deployment.results_bucket, key).await?;
        let mut body = body.with_context(|| format!("{key} is not in the results bucket"))?;
        let mut file = File::create(path).await.with_context(cannot)?;
        while let Some(bytes) = body.next().await? {
            file.write_all(&bytes).await.with_context(cannot)?;
        }
        file.flush().await.with_context(cannot)
    }
}

/// Cuts what is read into parts.
#[derive(Debug)]
struct PartsOf<R> {
    input: R,
    part_bytes: u64,
}

impl<R: AsyncRead + Unpin> Parts for PartsOf<R> {
    async fn next(&mut self) -> anyhow::Result<Option<Bytes>> {
        let mut part = BytesMut::new();
        let mut input = (&mut self.input).take(self.part_bytes);
        while input.read_buf(&mut part).await.context("cannot read the file to its end")? > 0 {}
        Ok((!part.is_empty()).then(|| part.freeze()))
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::arguments::{Arguments, Command};

    fn checked(line: &str) -> Result<Vec<String>, String> {
        let words = ["aurora-sync", "import"].into_iter().chain(line.split(' '));
        let Command::Import(arguments) = Arguments::parse_from(words).command else {
            panic!("the command is import");
        };
        let files = check(&arguments).map_err(|error| format!("{error:#}"))?;
        Ok(files.into_iter().map(|file| file.name).collect())
    }

    #[test]
    fn objects_are_named_like_their_files() {
        assert_eq!(checked("-t t Cargo.toml src/main.rs").unwrap(), ["Cargo.toml", "main.rs"]);
        assert_eq!(checked("-t t src/main.rs --name 2026/a.csv").unwrap(), ["2026/a.csv"]);
        assert_eq!(checked("-t t -").unwrap(), ["stdin.csv"]);
    }

    #[test]
    fn a_command_line_that_cannot_be_meant_is_refused() {
        for (line, expected) in [
            ("-t t src", "src is a folder"),
            ("-t t missing.csv", "cannot read missing.csv"),
            ("-t a/b -", "is not the name of a table"),
            ("-t t - -", "standard input can be read once"),
            ("-t t Cargo.toml - --name a.csv", "are for one file"),
            ("-t t - --name a/", "is not a name for an object"),
        ] {
            let error = checked(line).unwrap_err();
            assert!(error.contains(expected), "{line}: {error}");
        }
    }

    #[tokio::test]
    async fn a_file_is_cut_into_parts_of_one_size() {
        for (len, expected) in [(0, vec![]), (4, vec![4]), (9, vec![4, 4, 1])] {
            let content = vec![b'x'; len];
            let mut parts = PartsOf { input: content.as_slice(), part_bytes: 4 };
            let mut found = Vec::new();
            while let Some(part) = parts.next().await.unwrap() {
                found.push(part.len());
            }
            assert_eq!(found, expected);
        }
    }
}
