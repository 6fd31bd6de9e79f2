//! Reads the rejected records of an import, page by page, in the order of the file.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use csv_stream::encoding::Encoding;

use crate::domain::error::SyncError;
use crate::domain::field::{Field, Record, parameter};
use crate::functions::import::claim::ImportEntry;

/// The most bytes of contents and reasons in a page, and of a slice of a record that is too large
/// for a page. A response of the Data API holds at most 1 MiB, with the contents in Base64.
const PAGE_BYTES: usize = 400_000;

/// Reads the slices of the next records that begin at this byte. If the first record does not fit
/// into a page, it is alone. `sync.reject_page` leaves out records that are too long for an import:
/// only their beginnings are kept, and they cannot be fixed. A character of a reason may take six
/// bytes in the response.
const PAGE: &str =
    "SELECT record, substr(coalesce(raw_bytes, convert_to(raw, 'UTF8')), :from::integer, :page_bytes::integer),
  raw_bytes IS NULL, concat(column_name || ': ', reason, ' (SQLSTATE ' || sqlstate || ')')
FROM (
  SELECT *, row_number() OVER (ORDER BY record) AS place,
    sum(octet_length(coalesce(raw_bytes, '')) + octet_length(raw) + 6 * octet_length(reason) + 200)
      OVER (ORDER BY record) AS bytes
  FROM sync.reject_page(:import_id::uuid, :after::bigint, 5000)
) AS reject
WHERE place = 1 OR bytes <= :page_bytes::bigint
ORDER BY record";

/// A rejected record with its reason.
#[derive(Debug)]
pub(super) struct RecordedReject {
    record: i64,
    /// The bytes of the file or, if they can be made of it again, its text in UTF-8.
    content: Vec<u8>,
    is_text: bool,
    /// The reason, with the column and the SQLSTATE if they are known.
    pub(super) reason: String,
}

impl RecordedReject {
    /// Returns the bytes of the record in a file of this encoding.
    pub(super) fn raw(&self, encoding: Encoding) -> Cow<'_, [u8]> {
        if self.is_text && !encoding.is_utf_8() {
            Cow::Owned(encoding.encode(&String::from_utf8_lossy(&self.content)))
        } else {
            Cow::Borrowed(&self.content)
        }
    }

    fn of(record: &Record) -> Option<Self> {
        let [Field::Long(record), Field::Blob(content), Field::Boolean(is_text), reason] =
            record.as_slice()
        else {
            return None;
        };
        let reason = reason.as_text().unwrap_or_default().to_owned();
        let content = BASE64.decode(content).ok()?;
        Some(Self { record: *record, content, is_text: *is_text, reason })
    }
}

/// The pages of rejected records.
#[derive(Debug)]
pub(super) struct RejectPages<'a> {
    entry: ImportEntry<'a>,
    /// The number of the last record that was read.
    after: i64,
}

impl<'a> RejectPages<'a> {
    /// Begins at the first rejected record of an import.
    pub(super) fn of(entry: ImportEntry<'a>) -> Self {
        Self { entry, after: 0 }
    }

    /// Returns the next records; none after the last one.
    pub(super) async fn next_page(&mut self) -> Result<Vec<RecordedReject>, SyncError> {
        let mut page = self.slices(0).await?;
        if let [large] = page.as_mut_slice() {
            let mut slice_len = large.content.len();
            while slice_len == PAGE_BYTES {
                let slice = self.slices(large.content.len()).await?.into_iter().next();
                let slice = slice.map(|slice| slice.content).unwrap_or_default();
                slice_len = slice.len();
                large.content.extend(slice);
            }
        }
        self.after = page.last().map_or(i64::MAX, |last| last.record);
        Ok(page)
    }

    /// Reads the slices of the next records from this byte on.
    async fn slices(&self, from: usize) -> Result<Vec<RecordedReject>, SyncError> {
        let parameters = vec![
            self.entry.id(),
            parameter("after", self.after.to_string()),
            parameter("from", (from + 1).to_string()),
            parameter("page_bytes", PAGE_BYTES.to_string()),
        ];
        let records = self.entry.run(PAGE, parameters).await?;
        Ok(records.iter().filter_map(RecordedReject::of).collect())
    }
}
