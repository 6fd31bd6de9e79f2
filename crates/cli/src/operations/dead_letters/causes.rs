//! The causes of dead letters, as the database has them.

use std::collections::HashMap;

use super::DeadLetter;
use crate::api::ApiError;
use crate::operations::Deployed;
use crate::refresh::{self, Task};

/// The causes that are on record.
#[derive(Debug, Default)]
pub(super) struct Causes {
    /// The causes of message groups, once they are read.
    of_groups: Option<HashMap<String, String>>,
    /// The errors of imports, by the keys and versions of their objects.
    of_files: HashMap<String, HashMap<String, String>>,
}

impl Causes {
    /// Adds the cause to a message.
    pub(super) async fn explained(
        &mut self,
        deployed: &Deployed,
        mut letter: DeadLetter,
    ) -> DeadLetter {
        let cause = match &letter.group {
            Some(group) => self.of_group(deployed, group).await,
            None => self.of_import(deployed, &letter).await,
        };
        if let Some(cause) = cause {
            letter.cause = cause;
        }
        letter
    }

    /// Returns the error that blocked the group in the last delivery. Without an answer of the
    /// database, no cause is known.
    async fn of_group(&mut self, deployed: &Deployed, group: &str) -> Option<String> {
        if self.of_groups.is_none() {
            let function = deployed.name("RefreshFunction", "REFRESH_FUNCTION").ok()?;
            let checked = refresh::invoke(&deployed.aws, &function, Task::Check).await.ok();
            let blocked =
                checked.and_then(|checked| checked.checked).map(|checked| checked.blocked);
            let blocked = blocked.unwrap_or_default().into_iter();
            self.of_groups = Some(blocked.map(|known| (known.group, known.cause)).collect());
        }
        self.of_groups.as_ref()?.get(group).cloned()
    }

    async fn of_import(&mut self, deployed: &Deployed, letter: &DeadLetter) -> Option<String> {
        let file = letter.items.first()?.file.as_ref()?;
        if !self.of_files.contains_key(&file.key) {
            let imports = deployed.api.imports_of(&file.key).await.map_err(ApiError::into_error);
            let imports = imports.unwrap_or_default().into_iter();
            let errors = imports.filter_map(|import| Some((import.version, import.error?)));
            self.of_files.insert(file.key.clone(), errors.collect());
        }
        self.of_files.get(&file.key)?.get(&file.version).cloned()
    }
}
