//! Takes a file from the browser and sends it on to S3, part by part.

use anyhow::{Context as _, ensure};
use axum::body::Body;
use axum::extract::{Query, State};
use axum::http::HeaderMap;
use axum::http::header::CONTENT_LENGTH;
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;

use super::import_page::options;
use super::site::{Failure, Shared, Site};
use crate::api::encoded;
use crate::aws::objects::{Parts, UploadTarget};

/// Bytes of a part. S3 takes at most 10,000 of them.
const PART_BYTES: u64 = 8 * 1024 * 1024;
const PARTS_MAX: u64 = 10_000;

/// Takes a file, and answers the page that follows its import.
pub(super) async fn receive(
    State(site): Shared,
    Query(query): Query<Vec<(String, String)>>,
    headers: HeaderMap,
    body: Body,
) -> Result<String, Failure> {
    let field = |name: &str| {
        query.iter().find(|(found, _)| found == name).map_or("", |(_, value)| value.as_str())
    };
    let table = site.table(field("table")).await?;
    let name = file_name(field("name"));
    let length = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    let Some(length) = length else {
        return Err(Failure::wrong("The browser does not say how long the file is."));
    };
    let mut parts = BodyParts {
        body,
        rest: BytesMut::new(),
        part_bytes: PART_BYTES.max(u64::div_ceil(length, PARTS_MAX)),
        missing: length,
    };
    Ok(upload(&site, &table.name, &name, options(&query), &mut parts).await?)
}

/// Uploads a file for a table. Returns the page that follows its import.
pub(super) async fn upload(
    site: &Site,
    table: &str,
    name: &str,
    options: Vec<(&'static str, String)>,
    parts: &mut (impl Parts + Send),
) -> anyhow::Result<String> {
    let target = UploadTarget {
        bucket: site.places.uploads_bucket.clone(),
        key: format!("imports/{table}/{name}"),
        metadata: options,
    };
    let uploaded = Box::pin(site.objects.upload(&target, parts, |_| {})).await?;
    Ok(following(&target.key, &uploaded.version))
}

/// Returns the page that follows the import of an object.
pub(super) fn following(key: &str, version: &str) -> String {
    format!("/imports/of?key={}&version={}", encoded(key), encoded(version))
}

/// Returns the last part of a name, so that the object lies in the folder of its table.
fn file_name(name: &str) -> String {
    let last = name.rsplit(['/', '\\']).next().unwrap_or_default().trim();
    if last.is_empty() { "file.csv".to_owned() } else { last.to_owned() }
}

/// Cuts the body of a request into parts.
struct BodyParts {
    body: Body,
    rest: BytesMut,
    part_bytes: u64,
    /// The bytes that are still to come.
    missing: u64,
}

impl Parts for BodyParts {
    async fn next(&mut self) -> anyhow::Result<Option<Bytes>> {
        let wanted = usize::try_from(self.part_bytes)?;
        while self.rest.len() < wanted {
            let Some(frame) = self.body.frame().await else {
                // A browser that goes away must not leave half a file.
                ensure!(self.missing == 0, "the browser ended the upload before the file's end");
                break;
            };
            let frame = frame.context("the upload was interrupted")?;
            let Ok(data) = frame.into_data() else { continue };
            self.missing = self.missing.saturating_sub(data.len() as u64);
            self.rest.extend_from_slice(&data);
        }
        let part = self.rest.split_to(wanted.min(self.rest.len()));
        Ok((!part.is_empty()).then(|| part.freeze()))
    }
}

/// The parts of a file that is in memory: there is one.
pub(super) struct Whole(pub(super) Option<Bytes>);

impl Parts for Whole {
    async fn next(&mut self) -> anyhow::Result<Option<Bytes>> {
        Ok(self.0.take())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_lies_in_the_folder_of_its_table() {
        for (name, expected) in [
            ("june.csv", "june.csv"),
            ("../../x.csv", "x.csv"),
            ("C:\\a.csv", "a.csv"),
            ("a/", "file.csv"),
        ] {
            assert_eq!(file_name(name), expected);
        }
    }

    #[tokio::test]
    async fn a_body_is_cut_into_parts_of_one_size() {
        for (len, expected) in [(0_u8, vec![]), (4, vec![4]), (9, vec![4, 4, 1])] {
            let mut parts = BodyParts {
                body: Body::from(vec![b'x'; usize::from(len)]),
                rest: BytesMut::new(),
                part_bytes: 4,
                missing: len.into(),
            };
            let mut found = Vec::new();
            while let Some(part) = parts.next().await.unwrap() {
                found.push(part.len());
            }
            assert_eq!(found, expected);
        }
    }

    #[tokio::test]
    async fn half_a_file_is_an_error() {
        let mut parts = BodyParts {
            body: Body::from("half"),
            rest: BytesMut::new(),
            part_bytes: 100,
            missing: 8,
        };
        assert!(parts.next().await.unwrap_err().to_string().contains("before the file's end"));
    }
}
