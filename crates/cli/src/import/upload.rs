//! Uploads a file, or the rest of it.

use std::io::SeekFrom;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Context as _;
use tokio::fs::File;
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _};

use super::files::{Head, Named, PartsOf};
use super::resume::Memory;
use super::stage::Stage;
use crate::aws::objects::{Objects, UploadTarget, Uploaded};
use crate::progress::{Progress, bytes};

/// The bytes of a part. Four are under way at a time.
const PART_BYTES: u64 = 16 * 1024 * 1024;

/// S3 takes no more of them ("Amazon S3 multipart upload limits").
const PARTS_MAX: u64 = 10_000;

/// Uploads a file and shows the progress. `head` is its beginning, which standard input does not
/// give again.
pub(super) async fn upload(
    objects: &Objects,
    target: &UploadTarget,
    file: &Named,
    head: &Head,
    progress: &Progress,
) -> anyhow::Result<Uploaded> {
    let Some(path) = &file.path else {
        progress.enter(Stage::Uploading { can_resume: false });
        let show = Show { progress, sent: AtomicU64::new(0), total: None };
        let input = head.bytes.as_ref().chain(tokio::io::stdin());
        let mut parts = PartsOf { input, part_bytes: PART_BYTES };
        return objects.upload(target, &mut parts, |len| show.sent(len)).await;
    };
    let cannot = || format!("cannot read {}", path.display());
    let input = File::open(path).await.with_context(cannot)?;
    let total = input.metadata().await.with_context(cannot)?.len();
    let show = Show { progress, sent: AtomicU64::new(0), total: Some(total) };
    let part_bytes = PART_BYTES.max(total.div_ceil(PARTS_MAX));
    if total <= part_bytes {
        progress.enter(Stage::Uploading { can_resume: false });
        let mut parts = PartsOf { input, part_bytes };
        return objects.upload(target, &mut parts, |len| show.sent(len)).await;
    }
    in_parts(objects, target, path, PartsOf { input, part_bytes }, &show).await
}

/// Uploads a file in parts. Those of an upload that was interrupted are not sent again.
async fn in_parts(
    objects: &Objects,
    target: &UploadTarget,
    path: &Path,
    mut parts: PartsOf<File>,
    show: &Show<'_>,
) -> anyhow::Result<Uploaded> {
    let memory = Memory::of(path, parts.part_bytes, target);
    let known = memory.as_ref().and_then(Memory::upload_id);
    let resumed = match known {
        Some(id) => objects.resume(target, &id, parts.part_bytes).await?,
        None => None,
    };
    let begun = match resumed {
        Some(begun) => begun,
        None => objects.begin(target).await?,
    };
    let can_resume = memory.as_ref().is_some_and(|memory| memory.remember(begun.id()));
    show.progress.enter(Stage::Uploading { can_resume });
    let there = begun.bytes();
    if there > 0 {
        show.progress.note(&format!("{} were uploaded before", bytes(there)));
        show.sent(there);
        parts
            .input
            .seek(SeekFrom::Start(there))
            .await
            .context("cannot read the rest of the file")?;
    }
    let uploaded = objects.finish(target, begun, &mut parts, |len| show.sent(len)).await?;
    if let Some(memory) = memory {
        memory.forget();
    }
    Ok(uploaded)
}

/// Shows the bytes that have arrived.
#[derive(Debug)]
struct Show<'a> {
    progress: &'a Progress,
    sent: AtomicU64,
    total: Option<u64>,
}

impl Show<'_> {
    fn sent(&self, len: u64) {
        let sent = self.sent.fetch_add(len, Ordering::Relaxed) + len;
        #[expect(clippy::cast_precision_loss, reason = "a share")]
        let part = self.total.filter(|total| *total > 0).map(|total| sent as f64 / total as f64);
        self.progress.at(part, &format!("{} uploaded", bytes(sent)));
    }
}
