//! The records that a statement of a look-up gives, taken apart.
//!
//! Pure.

use crate::domain::field::{Field, Record};

/// How a statement's records are taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    pub(super) fields: usize,
    pub(super) order: usize,
    pub(super) has_head: bool,
}

/// The records of a statement, taken apart.
#[derive(Debug, Default)]
pub struct Page {
    /// The fields of the response's form, row by row.
    pub rows: Vec<Record>,
    /// The last row's values in the order's columns.
    pub last: Vec<Option<String>>,
    /// Whether there were more rows than the page keeps.
    pub has_more: bool,
    pub total: Option<i64>,
    /// What the ledger holds of the writes that were asked for, as JSON.
    pub settled: Option<String>,
}

impl Shape {
    /// Takes records apart, and keeps `rows_max` rows of them at most.
    pub fn page(self, records: Vec<Record>, rows_max: usize) -> Page {
        let mut page = Page::default();
        for mut record in records {
            if self.has_head {
                let mut head = record.split_off((self.fields + self.order).min(record.len()));
                page.total = head.first().and_then(Field::as_long);
                page.settled = head.get(1).and_then(Field::as_text).map(ToOwned::to_owned);
                // A head without rows is one record too.
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
            page.rows.push(record);
        }
        page
    }
}
