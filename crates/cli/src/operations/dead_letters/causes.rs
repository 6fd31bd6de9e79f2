//! The causes of dead letters: what the database has on record, else what a message itself shows.

use std::collections::{HashMap, HashSet};

use anyhow::Context as _;

use super::{DeadLetter, Queue};
use crate::api::ApiError;
use crate::operations::{Deployed, tables};
use crate::refresh::{self, Task};

/// The causes that a command has read. Nothing is read twice.
#[derive(Debug, Default)]
pub(crate) struct Causes {
    /// The causes of message groups, once they are read.
    of_groups: Option<HashMap<String, String>>,
    /// The errors of imports, by the keys and versions of their objects.
    of_files: HashMap<String, HashMap<String, String>>,
    /// The names of the tables that the API offers, once they are read.
    offered: Option<HashSet<String>>,
}

impl Causes {
    /// Returns the cause of a message. Fails if the causes, or the tables that the API offers,
    /// cannot be read.
    pub(super) async fn of(
        &mut self,
        deployed: &Deployed,
        letter: &DeadLetter,
    ) -> anyhow::Result<String> {
        let recorded = match &letter.group {
            Some(group) => self.of_group(deployed, group).await?,
            None => self.of_import(deployed, letter).await?,
        };
        if let Some(cause) = recorded {
            return Ok(cause);
        }
        if letter.items.is_empty() {
            return Ok(unreadable(letter.queue).to_owned());
        }
        Ok(of_readable(letter, self.offered(deployed).await?))
    }

    /// Returns the error that blocked the group in the last delivery.
    async fn of_group(
        &mut self,
        deployed: &Deployed,
        group: &str,
    ) -> anyhow::Result<Option<String>> {
        if self.of_groups.is_none() {
            let function = deployed.name("RefreshFunction", "REFRESH_FUNCTION")?;
            let read = refresh::invoke(&deployed.aws, &function, Task::Check).await?;
            let checked = read.checked.with_context(|| {
                format!(
                    "the function {function} tells no causes; deploy this version of aurora-sync"
                )
            })?;
            let blocked = checked.blocked.into_iter();
            self.of_groups = Some(blocked.map(|known| (known.group, known.cause)).collect());
        }
        Ok(self.of_groups.as_ref().and_then(|causes| causes.get(group).cloned()))
    }

    /// Returns the names of the tables that the API offers.
    async fn offered(&mut self, deployed: &Deployed) -> anyhow::Result<&HashSet<String>> {
        let names = match self.offered.take() {
            Some(names) => names,
            None => {
                let offer = tables::of(&deployed.api).await?;
                offer.tables.into_iter().map(|table| table.name).collect()
            }
        };
        Ok(self.offered.insert(names))
    }

    async fn of_import(
        &mut self,
        deployed: &Deployed,
        letter: &DeadLetter,
    ) -> anyhow::Result<Option<String>> {
        let Some(file) = letter.items.first().and_then(|item| item.file.as_ref()) else {
            return Ok(None);
        };
        if !self.of_files.contains_key(&file.key) {
            let imports = deployed.api.imports_of(&file.key).await.map_err(ApiError::into_error)?;
            let errors =
                imports.into_iter().filter_map(|import| Some((import.version, import.error?)));
            self.of_files.insert(file.key.clone(), errors.collect());
        }
        Ok(self.of_files.get(&file.key).and_then(|errors| errors.get(&file.version).cloned()))
    }
}

/// Returns the cause of a message that cannot be read.
fn unreadable(queue: Queue) -> &'static str {
    match queue {
        Queue::Writes => "unreadable: the body, or one of its rows, has another form",
        Queue::Imports => "unreadable: the body names no file",
    }
}

/// Returns the cause of a message that can be read, and has no cause on record.
fn of_readable(letter: &DeadLetter, offered: &HashSet<String>) -> String {
    let mut tables = letter.items.iter().map(|item| &item.table);
    if let Some(table) = tables.find(|table| !offered.contains(*table)) {
        return format!("unknown-table: the API offers no table {table}");
    }
    let function = match letter.queue {
        Queue::Writes => "apply",
        Queue::Imports => "import",
    };
    format!("not on record: try to redrive it; the log of the function {function} has the error")
}

#[cfg(test)]
mod tests {
    use super::super::letter::Item;
    use super::*;

    /// Returns the cause of a message with an item for each of these tables.
    fn cause(queue: Queue, tables: &[&str]) -> String {
        let items = tables.iter().map(|table| Item {
            id: String::new(),
            table: (*table).to_owned(),
            write: None,
            file: None,
        });
        let letter = DeadLetter {
            queue,
            id: "1".to_owned(),
            group: None,
            sent_at: String::new(),
            cause: String::new(),
            table: tables.first().map(|table| (*table).to_owned()),
            items: items.collect(),
            unreadable: None,
        };
        of_readable(&letter, &HashSet::from(["staff".to_owned()]))
    }

    #[test]
    fn a_message_of_a_table_that_the_api_does_not_offer_names_the_table() {
        let expected = "unknown-table: the API offers no table employees";
        for queue in Queue::ALL {
            assert_eq!(cause(queue, &["employees"]), expected);
            assert_eq!(cause(queue, &["staff", "employees"]), expected);
        }
    }

    #[test]
    fn a_good_message_without_a_recorded_cause_names_the_function_whose_log_has_the_error() {
        let expected = |function: &str| {
            format!(
                "not on record: try to redrive it; the log of the function {function} has the error"
            )
        };
        assert_eq!(cause(Queue::Writes, &["staff"]), expected("apply"));
        assert_eq!(cause(Queue::Imports, &["staff"]), expected("import"));
    }

    #[test]
    fn only_the_cause_of_a_message_that_cannot_be_read_begins_with_unreadable() {
        for queue in Queue::ALL {
            assert!(unreadable(queue).starts_with("unreadable: "), "{queue:?}");
            for table in ["staff", "employees"] {
                assert!(!cause(queue, &[table]).starts_with("unreadable"), "{queue:?}");
            }
        }
    }
}
