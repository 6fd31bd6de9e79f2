//! The records of a file in the form in which they are kept when they are rejected.
//!
//! Pure.

use std::borrow::Cow;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use csv_stream::encoding::Encoding;

use crate::database::parameter_set::{number_column, text_column};
use crate::domain::field::{Parameter, storable};
use crate::functions::import::read::part::{Origin, Reject};

/// The number of rejected rows that are kept of each lane, and of an import: the first ones. The
/// others are counted only.
pub const REJECTS_KEPT: u64 = 100_000;

/// The bytes of rejected rows that are kept of each lane.
pub(in crate::functions::import) const REJECT_BYTES_KEPT: u64 = 64 * 1024 * 1024;

/// The bytes that are kept of a record that is too long.
const TOO_LONG_KEPT: usize = 1_000;

/// The characters that are kept of a reason.
const REASON_MAX: usize = 1_000;

/// The SQL expression of the rejects that [`parameters`] makes, as `sync.add_rejects` takes them.
pub(in crate::functions::import) const ROWS: &str = "ARRAY(
    SELECT (NULL, NULL, record, line, byte_offset, column_name, rule, sqlstate, reason,
      convert_from(decode(raw, 'base64'), 'UTF8'), decode(raw_bytes, 'base64'))::sync.import_reject
    FROM unnest(:record::bigint[], :line::bigint[], :byte_offset::bigint[], :column_name::text[], :rule::text[],
      :sqlstate::text[], :reason::text[], :raw::text[], :raw_bytes::text[]) WITH ORDINALITY
      AS of_file (record, line, byte_offset, column_name, rule, sqlstate, reason, raw, raw_bytes, number)
    ORDER BY number)";

/// The SQL expression of the rows that [`file_parameters`] makes, as `sync.load_bisected` takes
/// them: a rule and a reason come if the database refuses the row.
pub(in crate::functions::import) const FILE_ROWS: &str = "ARRAY(
    SELECT (NULL, NULL, record, line, byte_offset, NULL, '', NULL, '',
      convert_from(decode(raw, 'base64'), 'UTF8'), decode(raw_bytes, 'base64'))::sync.import_reject
    FROM unnest(:record::bigint[], :line::bigint[], :byte_offset::bigint[], :raw::text[], :raw_bytes::text[])
      WITH ORDINALITY AS of_file (record, line, byte_offset, raw, raw_bytes, number)
    ORDER BY number)";

/// A record as it is in the file, and the reason of its rejection, if it is known.
#[derive(Debug)]
pub(in crate::functions::import) struct FileRow<'a> {
    origin: Cow<'a, Origin>,
    column: Option<&'a str>,
    rule: &'a str,
    sqlstate: Option<&'a str>,
    reason: String,
    /// The text of the record, in Base64, whose length does not depend on characters to escape.
    raw: String,
    /// The bytes of the record, in Base64, if they cannot be made of the text again.
    raw_bytes: Option<String>,
}

impl<'a> FileRow<'a> {
    /// Makes a row of a record that does not fit the table, with its reason.
    pub(in crate::functions::import) fn of_reject(reject: &'a Reject, encoding: Encoding) -> Self {
        let rejection = &reject.rejection;
        Self {
            column: rejection.column.as_deref(),
            rule: &rejection.rule,
            sqlstate: rejection.sqlstate.as_deref(),
            reason: storable(&rejection.reason).chars().take(REASON_MAX).collect(),
            ..Self::of(Cow::Borrowed(&reject.origin), rejection.rule == "too-long", encoding)
        }
    }

    /// Makes a row of a record that the database may refuse.
    pub(in crate::functions::import) fn of_row(origin: Origin, encoding: Encoding) -> Self {
        Self::of(Cow::Owned(origin), false, encoding)
    }

    fn of(origin: Cow<'a, Origin>, is_too_long: bool, encoding: Encoding) -> Self {
        let raw = origin.raw.as_slice();
        let raw = if is_too_long { raw.get(..TOO_LONG_KEPT).unwrap_or(raw) } else { raw };
        let text = encoding.decode(raw);
        let is_whole = !text.contains('\0') && encoding.encode(&text) == raw;
        Self {
            raw: BASE64_STANDARD.encode(storable(&text)),
            raw_bytes: (!is_whole).then(|| BASE64_STANDARD.encode(raw)),
            origin,
            column: None,
            rule: "",
            sqlstate: None,
            reason: String::new(),
        }
    }

    /// Returns the most bytes that the row adds to a request.
    pub(in crate::functions::import) fn size_bytes(&self) -> usize {
        const OTHER_COLUMNS: usize = 300;
        let reason = crate::domain::value::array_literal::encoded_len(Some(&self.reason));
        let raw_bytes = self.raw_bytes.as_ref().map_or(0, String::len);
        reason + self.raw.len() + raw_bytes + OTHER_COLUMNS
    }
}

/// Returns the parameters of [`ROWS`].
pub(in crate::functions::import) fn parameters(rows: &[&FileRow<'_>]) -> Vec<Parameter> {
    let mut parameters = file_parameters(rows);
    parameters.extend([
        text_column("column_name", rows.iter().map(|row| row.column)),
        text_column("rule", rows.iter().map(|row| Some(row.rule))),
        text_column("sqlstate", rows.iter().map(|row| row.sqlstate)),
        text_column("reason", rows.iter().map(|row| Some(row.reason.as_str()))),
    ]);
    parameters
}

/// Returns the parameters of [`FILE_ROWS`].
pub(in crate::functions::import) fn file_parameters(rows: &[&FileRow<'_>]) -> Vec<Parameter> {
    let number = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
    let position = |row: &&FileRow<'_>| row.origin.position;
    vec![
        number_column("record", rows.iter().map(|row| number(row.origin.record))),
        number_column("line", rows.iter().map(|row| number(position(row).line))),
        number_column("byte_offset", rows.iter().map(|row| number(position(row).byte_offset))),
        text_column("raw", rows.iter().map(|row| Some(row.raw.as_str()))),
        text_column("raw_bytes", rows.iter().map(|row| row.raw_bytes.as_deref())),
    ]
}
