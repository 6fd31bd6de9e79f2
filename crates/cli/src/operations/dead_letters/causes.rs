//! The causes of dead letters, as the database has them.

use std::collections::HashMap;

use anyhow::Context as _;

use super::{DeadLetter, UNKNOWN};
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
    /// Returns the cause of a message, which is [`UNKNOWN`] if none is on record. Fails if the
    /// causes cannot be read.
    pub(super) async fn of(
        &mut self,
        deployed: &Deployed,
        letter: &DeadLetter,
    ) -> anyhow::Result<String> {
        let cause = match &letter.group {
            Some(group) => self.of_group(deployed, group).await?,
            None => self.of_import(deployed, letter).await?,
        };
        Ok(cause.unwrap_or_else(|| UNKNOWN.to_owned()))
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
