//! `aurora-sync import`: checks files, uploads them, follows their imports, prints the reports.

pub(crate) mod check;
mod files;
mod resume;
pub(crate) mod stage;
mod upload;

use std::time::Duration;

use anyhow::{Context, bail};
use bytes::Bytes;
use hyper::Method;
use import_options::{Defaults, Settings};

use self::files::{Head, Named};
use self::stage::Stage;
use crate::api::{Api, ApiError, Import, encoded};
use crate::arguments;
use crate::aws::Aws;
use crate::aws::objects::{Objects, UploadTarget};
use crate::commands::output::has_colours;
use crate::deployment::Deployment;
use crate::follow::{Follower, Patience};
use crate::operations::tables::{self, Table};
use crate::outcome::{Outcome, failed, wrong_usage};
use crate::preview;
use crate::progress::{Progress, error_line, line};
use crate::report::Report;

/// The report is written before the import has ended, but for one whose end was cut short: that
/// one's comes with the next delivery.
const REPORT_WITHIN: Duration = Duration::from_secs(30);

pub(crate) async fn run(arguments: &arguments::Import) -> Outcome {
    let files = match files::named(arguments) {
        Ok(files) => files,
        Err(error) => return wrong_usage(&error),
    };
    let account = &arguments.deployment.account;
    let aws = match Aws::load(account.profile.as_deref(), account.region.as_deref()).await {
        Ok(aws) => aws,
        Err(error) => return failed(&error),
    };
    let stack = match aws.values_of(account.stack.as_deref()).await {
        Ok(stack) => stack,
        Err(error) => return failed(&error),
    };
    let deployment = match Deployment::find(&arguments.deployment, &stack.outputs, |name| {
        std::env::var(name).ok()
    }) {
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
    let (defaults, objects) = (stack.import_defaults(), aws.objects());
    let importer = Importer { arguments, deployment, defaults, api, objects };
    match Box::pin(importer.check_all(&files)).await {
        Ok(heads) => importer.import_all(&files, &heads).await,
        Err(outcome) => outcome,
    }
}

struct Importer<'a> {
    arguments: &'a arguments::Import,
    deployment: Deployment,
    /// The options of files by prefix.
    defaults: Defaults,
    api: Api,
    objects: Objects,
}

impl Importer<'_> {
    /// Checks the table and all files before anything is uploaded. Returns the beginnings of the
    /// files.
    async fn check_all(&self, files: &[Named]) -> Result<Vec<Head>, Outcome> {
        let mut heads = Vec::new();
        for file in files {
            heads.push(files::head(file).await.map_err(|error| wrong_usage(&error))?);
        }
        if self.arguments.no_check {
            return Ok(heads);
        }
        let mut refusals = self.refusals(files, &heads).await.map_err(|error| failed(&error))?;
        if !refusals.is_empty() {
            self.look_again().await.map_err(|error| failed(&error))?;
            refusals = self.refusals(files, &heads).await.map_err(|error| failed(&error))?;
        }
        if refusals.is_empty() {
            return Ok(heads);
        }
        for refusal in refusals {
            error_line(&format!("error: {refusal}"));
        }
        error_line(
            "nothing was uploaded; --no-check uploads it as it is, and the import judges it",
        );
        Err(Outcome::Usage)
    }

    /// Returns why files are not to be uploaded.
    async fn refusals(&self, files: &[Named], heads: &[Head]) -> anyhow::Result<Vec<String>> {
        let offer = tables::of(&self.api).await?;
        let table = match check::table(&offer, &self.arguments.table) {
            Ok(table) => table,
            Err(error) => return Ok(vec![error]),
        };
        let of_file = |(file, head): (&Named, &Head)| {
            let reason = self.refusal(file, head, table)?;
            Some(format!("{} was not uploaded: {reason}", file.name))
        };
        Ok(files.iter().zip(heads).filter_map(of_file).collect())
    }

    /// Has the API look for a schema change: it reads its tables again before it refuses a name.
    async fn look_again(&self) -> anyhow::Result<()> {
        let path = format!("/{}?select=aurora_sync_check", encoded(&self.arguments.table));
        let asked = self.api.request(Method::GET, &path, &[], Bytes::new()).await;
        asked.map(drop).map_err(ApiError::into_error)
    }

    fn refusal(&self, file: &Named, head: &Head, table: &Table) -> Option<String> {
        let beginning = preview::Head { bytes: &head.bytes, is_whole: head.is_whole };
        let given = self.arguments.options.given();
        let given = Settings::read(&self.defaults, &self.key(file), given.into_iter());
        check::refusal(&preview::preview(beginning, table, &given))
    }

    /// Returns the key of a file in the bucket of uploads.
    fn key(&self, file: &Named) -> String {
        format!("imports/{}/{}", self.arguments.table, file.name)
    }

    /// Imports the files one after the other, until all are done or the user interrupts it.
    async fn import_all(&self, files: &[Named], heads: &[Head]) -> Outcome {
        let patience = Patience::new(self.arguments.timeout);
        let mut outcome = Outcome::Good;
        for (number, (file, head)) in (1..).zip(files.iter().zip(heads)) {
            let place = if files.len() > 1 {
                format!("[{number}/{}] ", files.len())
            } else {
                String::new()
            };
            let progress = Progress::new(&format!("{place}{}", file.name));
            let ended = tokio::select! {
                ended = Box::pin(self.import(file, head, &progress, patience)) => ended,
                signal = tokio::signal::ctrl_c() => {
                    if let Err(error) = signal {
                        return failed(&anyhow::Error::from(error).context("cannot wait for Ctrl-C"));
                    }
                    progress.note(&format!("interrupted: {}", progress.stage().rest()));
                    let left = files.len() - number;
                    if left > 0 {
                        error_line(&format!("not begun: {left} of {} files", files.len()));
                    }
                    return Outcome::Interrupted;
                }
            };
            drop(progress);
            outcome = outcome.max(ended.unwrap_or_else(|error| failed(&error)));
        }
        outcome
    }

    async fn import(
        &self,
        file: &Named,
        head: &Head,
        progress: &Progress,
        patience: Patience,
    ) -> anyhow::Result<Outcome> {
        let follower = Follower { api: &self.api, progress, patience };
        let options = self.arguments.options.given();
        let table = &self.arguments.table;
        let target = UploadTarget {
            bucket: self.deployment.uploads_bucket.clone(),
            key: self.key(file),
            metadata: options.into_iter().map(|(name, value)| (name, value.to_owned())).collect(),
        };
        // Also finds out whether the API can be asked, before anything is uploaded.
        let known = follower.known(&target.key).await?;
        let uploaded = upload::upload(&self.objects, &target, file, head, progress).await;
        let uploaded = uploaded.with_context(|| progress.stage().rest())?;
        progress.enter(Stage::Uploaded { table: table.clone() });
        let import = follower.begun(&target.key, &uploaded.version, &known).await?;
        progress.enter(Stage::Begun { id: import.id.clone() });
        progress.note(&format!("import {} began", import.id));
        let import = follower.ended(import).await?;
        progress.enter(Stage::Ended { id: import.id.clone() });
        let report = self.report(&import).await?;
        progress.clear();
        self.show_report(file, &import, report).await
    }

    /// The text of the report, once it is there.
    async fn report(&self, import: &Import) -> anyhow::Result<Option<String>> {
        let key = format!("{}/{}/report.json", self.arguments.table, import.id);
        let deadline = tokio::time::Instant::now() + REPORT_WITHIN;
        loop {
            if let Some(text) = self.objects.read(&self.deployment.results_bucket, &key).await? {
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
            line(parsed.text(bucket, has_colours()).trim_end());
            line(&format!("report: s3://{bucket}/{folder}/report.json"));
        }
        if let (Some(path), Some(key)) = (&self.arguments.rejected, &parsed.rejected_file) {
            self.objects.save(bucket, key, path).await?;
            error_line(&format!("{}: rejected rows are in {}", file.name, path.display()));
        }
        Ok(match parsed.state.as_str() {
            "completed" if parsed.rows.rejected == 0 => Outcome::Good,
            "completed" => Outcome::Attention,
            _ => Outcome::Failed,
        })
    }
}
