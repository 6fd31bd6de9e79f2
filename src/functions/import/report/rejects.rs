//! Reads the rejected records of an import, page by page, in the order of the file.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use csv_stream::encoding::Encoding;
use uuid::Uuid;

use crate::aws::data_api::DataApi;
use crate::database::transaction::awake;
use crate::domain::deadline::Deadline;
use crate::domain::error::{DataApiError, DataApiFault};
use crate::domain::field::{Field, Parameter, Record, parameter};

/// The records of the first page.
const PAGE_ROWS: u32 = 500;

/// Most records of a page.
const PAGE_ROWS_MAX: u32 = 5_000;

/// The bytes of contents and reasons that a page should hold. A response of the Data API holds at
/// most 1 MiB, in which JSON takes its share. A larger page is read again with half of its records.
const PAGE_BYTES: usize = 500_000;

/// The bytes of a slice of a record that is too large for a response. A character may take six
/// bytes in the response.
const SLICE_BYTES: usize = 100_000;

/// Reads a page. `sync.reject_page` leaves out records that are too long for an import: only their
/// beginnings are kept, and they cannot be fixed.
const PAGE: &str = "SELECT record, CASE WHEN raw_bytes IS NULL THEN raw END, raw_bytes, column_name, sqlstate, reason
FROM sync.reject_page(:import_id::uuid, :after::bigint, :rows::bigint)
ORDER BY record";

/// Reads the next record without its contents.
const ALONE: &str =
    "SELECT record, NULL::text, NULL::bytea, column_name, sqlstate, left(reason, :slice::integer)
FROM sync.reject_page(:import_id::uuid, :after::bigint, 1)";

/// Reads a slice of a record.
const SLICE: &str =
    "SELECT substr(coalesce(raw_bytes, convert_to(raw, 'UTF8')), :from::integer, :slice::integer),
  raw_bytes IS NULL
FROM sync.import_reject WHERE import_id = :import_id::uuid AND record = :record::bigint";

/// A rejected record with its reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RecordedReject {
    content: RawContent,
    column: Option<String>,
    sqlstate: Option<String>,
    reason: String,
}

/// The contents of a record in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
enum RawContent {
    Text(String),
    Bytes(Vec<u8>),
}

impl RecordedReject {
    /// Returns the bytes of the contents and the reason.
    fn size_bytes(&self) -> usize {
        let content = match &self.content {
            RawContent::Text(text) => text.len(),
            RawContent::Bytes(bytes) => bytes.len(),
        };
        content + self.reason.len()
    }

    /// Returns the bytes of the record in a file of this encoding.
    pub(super) fn raw(&self, encoding: Encoding) -> Cow<'_, [u8]> {
        match &self.content {
            RawContent::Bytes(bytes) => Cow::Borrowed(bytes),
            RawContent::Text(text) if encoding.is_utf_8() => Cow::Borrowed(text.as_bytes()),
            RawContent::Text(text) => Cow::Owned(encoding.encode(text)),
        }
    }

    /// Returns the reason, with the column and the SQLSTATE if they are known.
    pub(super) fn reason(&self) -> String {
        let mut reason = String::new();
        if let Some(column) = &self.column {
            reason.push_str(column);
            reason.push_str(": ");
        }
        reason.push_str(&self.reason);
        if let Some(sqlstate) = &self.sqlstate {
            reason.push_str(" (SQLSTATE ");
            reason.push_str(sqlstate);
            reason.push(')');
        }
        reason
    }

    /// Reads a record of a page.
    fn of(record: &Record) -> Option<Self> {
        let text = |index: usize| record.get(index).and_then(Field::as_text);
        let content = match record.get(2) {
            Some(Field::Blob(bytes)) => RawContent::Bytes(BASE64.decode(bytes).ok()?),
            _ => RawContent::Text(text(1).unwrap_or_default().to_owned()),
        };
        Some(Self {
            content,
            column: text(3).map(str::to_owned),
            sqlstate: text(4).map(str::to_owned),
            reason: text(5).unwrap_or_default().to_owned(),
        })
    }
}

/// The pages of rejected records.
#[derive(Debug)]
pub(super) struct RejectPages<'a> {
    data_api: &'a DataApi,
    import_id: Uuid,
    deadline: Deadline,
    /// The number of the last record that was read.
    after: i64,
    rows: u32,
}

impl<'a> RejectPages<'a> {
    /// Begins at the first rejected record of an import.
    pub(super) fn of(data_api: &'a DataApi, import_id: Uuid, deadline: Deadline) -> Self {
        Self { data_api, import_id, deadline, after: 0, rows: PAGE_ROWS }
    }

    /// Returns the next records, or `None` after the last one.
    pub(super) async fn next_page(&mut self) -> Result<Option<Vec<RecordedReject>>, DataApiError> {
        let page = loop {
            match self.execute(PAGE, &[("after", self.after), ("rows", self.rows.into())]).await {
                Err(error) if error.fault == DataApiFault::UnsupportedResult => {
                    if self.rows == 1 {
                        return self.in_slices().await.map(Some);
                    }
                    self.rows /= 2;
                }
                page => break page?,
            }
        };
        let Some(last) = page.last() else { return Ok(None) };
        self.after = number(last);
        let rejects: Vec<_> = page.iter().filter_map(RecordedReject::of).collect();
        self.rows = next_rows(&rejects);
        Ok(Some(rejects))
    }

    /// Reads the next record, which alone is too large for a response.
    async fn in_slices(&mut self) -> Result<Vec<RecordedReject>, DataApiError> {
        let slice = i64::try_from(SLICE_BYTES).unwrap_or(i64::MAX);
        let alone = self.execute(ALONE, &[("after", self.after), ("slice", slice)]).await?;
        let Some(mut reject) = alone.first().and_then(RecordedReject::of) else {
            return Ok(Vec::new());
        };
        self.after = alone.first().map_or(i64::MAX, number);
        let mut bytes = Vec::new();
        let is_text = loop {
            let from = i64::try_from(bytes.len() + 1).unwrap_or(i64::MAX);
            let parameters = [("record", self.after), ("from", from), ("slice", slice)];
            let found = self.execute(SLICE, &parameters).await?;
            let Some([Field::Blob(slice_of_record), Field::Boolean(is_text)]) =
                found.first().map(Vec::as_slice)
            else {
                break false;
            };
            let slice_of_record = BASE64.decode(slice_of_record).unwrap_or_default();
            bytes.extend_from_slice(&slice_of_record);
            if slice_of_record.len() < SLICE_BYTES {
                break *is_text;
            }
        };
        reject.content = if is_text {
            RawContent::Text(String::from_utf8_lossy(&bytes).into_owned())
        } else {
            RawContent::Bytes(bytes)
        };
        Ok(vec![reject])
    }

    async fn execute(
        &self,
        sql: &str,
        numbers: &[(&'static str, i64)],
    ) -> Result<Vec<Record>, DataApiError> {
        let mut parameters: Vec<Parameter> =
            numbers.iter().map(|(name, number)| parameter(*name, number.to_string())).collect();
        parameters.push(parameter("import_id", self.import_id.to_string()));
        awake(self.deadline, async || self.data_api.execute(None, sql, parameters.clone()).await)
            .await
    }
}

/// Returns the number of records of the next page, if they are as large as those of this one.
fn next_rows(page: &[RecordedReject]) -> u32 {
    // The numbers, names and punctuation of a record take less than 100 bytes.
    let bytes: usize = page.iter().map(|reject| 100 + reject.size_bytes()).sum();
    let rows = PAGE_BYTES * page.len() / bytes.max(1);
    u32::try_from(rows).unwrap_or(PAGE_ROWS_MAX).clamp(1, PAGE_ROWS_MAX)
}

/// Returns the number of a record.
fn number(record: &Record) -> i64 {
    record.first().and_then(Field::as_long).unwrap_or(i64::MAX)
}
