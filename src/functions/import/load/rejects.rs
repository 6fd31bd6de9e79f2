//! The records of a file in the form in which they are kept when they are rejected.
//!
//! Pure.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use csv_stream::encoding::Encoding;

use crate::database::parameter_set::{number_column, text_column};
use crate::domain::field::{Parameter, storable};
use crate::domain::value::array_literal::encoded_len;
use crate::functions::import::read::part::{Origin, Reject};

/// The bytes that are kept of a record that is too long.
const TOO_LONG_KEPT: usize = 1_000;

/// A record as it is in the file, and the reason of its rejection. Rule and reason are empty as
/// long as the database may take the row.
#[derive(Debug)]
pub(in crate::functions::import) struct FileRow {
    reject: Reject,
    /// The text of the record, in Base64, whose length does not depend on characters to escape.
    raw: String,
    /// The bytes of the record, in Base64, if they cannot be made of the text again.
    raw_bytes: Option<String>,
}

impl FileRow {
    pub(in crate::functions::import) fn of(mut reject: Reject, encoding: Encoding) -> Self {
        let mut raw = std::mem::take(&mut reject.origin.raw);
        if reject.rejection.rule == "too-long" {
            raw.truncate(TOO_LONG_KEPT);
        }
        reject.rejection.reason = storable(&reject.rejection.reason);
        let text = encoding.decode(&raw);
        let is_whole = !text.contains('\0') && encoding.encode(&text) == raw;
        Self {
            reject,
            raw: BASE64_STANDARD.encode(storable(&text)),
            raw_bytes: (!is_whole).then(|| BASE64_STANDARD.encode(&raw)),
        }
    }

    /// Returns the most bytes that the row adds to a request.
    pub(in crate::functions::import) fn size_bytes(&self) -> usize {
        const OTHER_COLUMNS: usize = 300;
        let reason = encoded_len(Some(&self.reject.rejection.reason));
        let raw_bytes = self.raw_bytes.as_ref().map_or(0, String::len);
        reason + self.raw.len() + raw_bytes + OTHER_COLUMNS
    }
}

/// Returns the parameters of these rows, as [`crate::database::statement::chunk`] takes them.
pub(in crate::functions::import) fn parameters(rows: &[&FileRow]) -> Vec<Parameter> {
    let numbers = |name, number: fn(&Origin) -> u64| {
        let numbers = rows.iter().map(|row| number(&row.reject.origin));
        number_column(name, numbers.map(|number| i64::try_from(number).unwrap_or(i64::MAX)))
    };
    let reasons = || rows.iter().map(|row| &row.reject.rejection);
    vec![
        numbers("record", |origin| origin.record),
        numbers("line", |origin| origin.position.line),
        numbers("byte_offset", |origin| origin.position.byte_offset),
        text_column("column_name", reasons().map(|reason| reason.column.as_deref())),
        text_column("rule", reasons().map(|reason| Some(reason.rule.as_str()))),
        text_column("sqlstate", reasons().map(|reason| reason.sqlstate.as_deref())),
        text_column("reason", reasons().map(|reason| Some(reason.reason.as_str()))),
        text_column("raw", rows.iter().map(|row| Some(row.raw.as_str()))),
        text_column("raw_bytes", rows.iter().map(|row| row.raw_bytes.as_deref())),
    ]
}
