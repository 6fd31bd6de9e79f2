//! Records the rejects of an import: all are counted, the first ones kept.

use std::collections::BTreeMap;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use super::Loader;
use crate::csv::encoding::Encoding;
use crate::error::{DataApiError, SyncError};
use crate::field::{Parameter, Record, parameter, storable};
use crate::import::part::{Origin, Part, Reject};
use crate::parameter_set::{number_column, text_column};
use crate::plan::CALL_BYTES_MAX;

/// Rejected rows that are kept of an import, at least: those that come first in each lane. The others are
/// counted.
pub const REJECTS_KEPT: u64 = 100_000;

/// The bytes that are kept of a record that is too long to be one.
const TOO_LONG_KEPT: usize = 1_000;

const ADD_REJECTS: &str = "INSERT INTO sync.import_reject (import_id, record, line, byte_offset, column_name, rule, sqlstate,
  reason, raw, raw_bytes)
SELECT :import_id::uuid, record, line, byte_offset, column_name, rule, sqlstate, reason, raw,
  decode(raw_bytes, 'base64')
FROM unnest(:record::bigint[], :line::bigint[], :byte_offset::bigint[], :column_name::text[],
  :rule::text[], :sqlstate::text[], :reason::text[], :raw::text[], :raw_bytes::text[])
  WITH ORDINALITY AS reject (record, line, byte_offset, column_name, rule, sqlstate, reason, raw, raw_bytes, place)
WHERE place + :before::bigint + coalesce((
    SELECT sum(kind.rows) FROM sync.import_reject_kind AS kind
    WHERE kind.import_id = :import_id::uuid AND kind.lane = :lane::smallint
  ), 0) <= :kept::bigint";

const COUNT_REJECTS: &str =
    "INSERT INTO sync.import_reject_kind AS kind (import_id, lane, rule, sqlstate, column_name, rows)
SELECT :import_id::uuid, :lane::smallint, rule, sqlstate, column_name, rows
FROM unnest(:rule::text[], :sqlstate::text[], :column_name::text[], :rows::bigint[])
  AS counted (rule, sqlstate, column_name, rows)
ON CONFLICT (import_id, lane, rule, sqlstate, column_name) DO UPDATE SET rows = kind.rows + EXCLUDED.rows";

impl Loader<'_> {
    /// Records rejects, which are in the order of the file: all of them are counted, and kept as far as there
    /// is room.
    pub async fn add_rejects(
        &self,
        execute: impl AsyncFn(&str, Vec<Parameter>) -> Result<Vec<Record>, DataApiError>,
        lane: usize,
        rejects: &[&Reject],
    ) -> Result<(), SyncError> {
        let rows: Vec<_> =
            rejects.iter().map(|reject| RejectRow::of(reject, self.encoding)).collect();
        let mut before = 0;
        while before < rows.len() {
            let mut bytes = 0;
            let rest = &rows[before..];
            let fitting = rest.iter().take_while(|row| {
                bytes += row.size_bytes();
                bytes <= CALL_BYTES_MAX
            });
            let piece = &rest[..fitting.count().max(1)];
            let mut parameters = self.reject_parameters(piece);
            parameters.push(parameter("lane", lane.to_string()));
            parameters.push(parameter("before", before.to_string()));
            parameters.push(parameter("kept", REJECTS_KEPT.to_string()));
            execute(ADD_REJECTS, parameters).await?;
            before += piece.len();
        }
        if !rejects.is_empty() {
            execute(COUNT_REJECTS, self.kind_parameters(lane, rejects)).await?;
        }
        Ok(())
    }

    fn reject_parameters(&self, rows: &[RejectRow<'_>]) -> Vec<Parameter> {
        let number = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        let origin = |row: &RejectRow<'_>| row.reject.origin.place;
        let rejection = |row: &RejectRow<'_>| row.reject.rejection.clone();
        let rejections: Vec<_> = rows.iter().map(rejection).collect();
        vec![
            parameter("import_id", self.import_id.to_string()),
            number_column("record", rows.iter().map(|row| number(row.reject.origin.record))),
            number_column("line", rows.iter().map(|row| number(origin(row).line))),
            number_column("byte_offset", rows.iter().map(|row| number(origin(row).byte_offset))),
            text_column("column_name", rejections.iter().map(|of| of.column.as_deref())),
            text_column("rule", rejections.iter().map(|of| Some(of.rule.as_str()))),
            text_column("sqlstate", rejections.iter().map(|of| of.sqlstate.as_deref())),
            text_column("reason", rows.iter().map(|row| Some(row.reason.as_str()))),
            text_column("raw", rows.iter().map(|row| Some(row.raw.as_str()))),
            text_column("raw_bytes", rows.iter().map(|row| row.raw_bytes.as_deref())),
        ]
    }

    fn kind_parameters(&self, lane: usize, rejects: &[&Reject]) -> Vec<Parameter> {
        let mut kinds: BTreeMap<(&str, &str, &str), i64> = BTreeMap::new();
        for Reject { rejection, .. } in rejects {
            let sqlstate = rejection.sqlstate.as_deref().unwrap_or_default();
            let column = rejection.column.as_deref().unwrap_or_default();
            *kinds.entry((&rejection.rule, sqlstate, column)).or_default() += 1;
        }
        vec![
            parameter("import_id", self.import_id.to_string()),
            parameter("lane", lane.to_string()),
            text_column("rule", kinds.keys().map(|(rule, _, _)| Some(*rule))),
            text_column("sqlstate", kinds.keys().map(|(_, sqlstate, _)| Some(*sqlstate))),
            text_column("column_name", kinds.keys().map(|(_, _, column)| Some(*column))),
            number_column("rows", kinds.values().copied()),
        ]
    }
}

/// All rejects of a part in the order of the file.
pub fn in_order<'a>(part: &'a Part, loaded: &'a [Reject]) -> Vec<&'a Reject> {
    let mut rejects: Vec<_> = part.rejects.iter().chain(loaded).collect();
    rejects.sort_by_key(|reject| reject.origin.record);
    rejects
}

/// A row of `sync.import_reject`.
#[derive(Debug)]
struct RejectRow<'a> {
    reject: &'a Reject,
    reason: String,
    raw: String,
    /// In Base64, where the text is not all of it.
    raw_bytes: Option<String>,
}

impl<'a> RejectRow<'a> {
    fn of(reject: &'a Reject, encoding: Encoding) -> Self {
        let Origin { raw, .. } = &reject.origin;
        let is_too_long = reject.rejection.rule == "too-long";
        let raw = if is_too_long { raw.get(..TOO_LONG_KEPT).unwrap_or(raw) } else { raw };
        let text = encoding.decode(raw);
        let is_whole = !text.contains('\0') && encoding.encode(&text) == raw;
        Self {
            reject,
            reason: storable(&reject.rejection.reason),
            raw: storable(&text),
            raw_bytes: (!is_whole).then(|| BASE64_STANDARD.encode(raw)),
        }
    }

    /// What it adds to a request, at most.
    fn size_bytes(&self) -> usize {
        const OTHER_COLUMNS: usize = 300;
        let texts = [&self.reason, &self.raw];
        let texts: usize = texts.iter().map(|text| crate::array::encoded_len(Some(text))).sum();
        texts + self.raw_bytes.as_ref().map_or(0, String::len) + OTHER_COLUMNS
    }
}
