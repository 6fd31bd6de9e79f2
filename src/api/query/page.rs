//! The records of a look-up's statement, split into rows, cursor values and head.
//!
//! Pure.

use crate::domain::field::{Field, Record};

/// The layout of a statement's records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// The number of a row's fields, its tag included.
    pub(super) fields: usize,
    pub(super) has_tag: bool,
    pub(super) order: usize,
    pub(super) has_head: bool,
}

/// The records of a statement, split.
#[derive(Debug, Default)]
pub struct Page {
    /// The fields of each row in the response's form.
    pub rows: Vec<Record>,
    /// The tag of the last row, if the statement returns tags.
    pub tag: Option<String>,
    /// The values of the last row in the order's columns.
    pub last: Vec<Option<String>>,
    /// `true` if the statement returned more rows than the page keeps.
    pub has_more: bool,
    pub total: Option<i64>,
    /// The ledger's entries for the writes in question, as a JSON array.
    pub settled: Option<String>,
}

impl Shape {
    /// Splits records, and keeps at most `rows_max` rows.
    pub fn page(self, records: Vec<Record>, rows_max: usize) -> Page {
        let mut page = Page::default();
        for mut record in records {
            if self.has_head {
                let mut head = record.split_off((self.fields + self.order).min(record.len()));
                page.total = head.first().and_then(Field::as_long);
                page.settled = head.get(1).and_then(Field::as_text).map(ToOwned::to_owned);
                // A head without rows is also one record.
                if head.pop() != Some(Field::Boolean(true)) {
                    continue;
                }
            }
            if page.rows.len() == rows_max {
                page.has_more = true;
                continue;
            }
            let order = record.split_off(self.fields.min(record.len()));
            page.last = order.iter().map(|field| field.as_text().map(ToOwned::to_owned)).collect();
            if self.has_tag {
                page.tag = record.pop().and_then(|tag| tag.as_text().map(ToOwned::to_owned));
            }
            page.rows.push(record);
        }
        page
    }
}
