//! The secrets that requests name, and the logins in them.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::error::ApiError;
use crate::login::{Credentials, Login};
use crate::secrets_manager::SecretsManager;

/// All secrets of a server.
#[derive(Debug)]
pub(crate) struct Secrets {
    config: tokio_postgres::Config,
    known: HashMap<String, Credentials>,
    manager: Option<SecretsManager>,
    /// The secrets that were looked up.
    cached: Mutex<HashMap<String, Credentials>>,
}

impl Secrets {
    pub(crate) fn new(
        known: Vec<(String, Login)>,
        manager_url: Option<&str>,
        config: &tokio_postgres::Config,
    ) -> anyhow::Result<Self> {
        let known = known.into_iter().map(|(arn, login)| (arn, Credentials::new(login, config)));
        Ok(Self {
            known: known.collect(),
            config: config.clone(),
            manager: manager_url.map(SecretsManager::new).transpose()?,
            cached: Mutex::default(),
        })
    }

    /// Returns the login of a secret.
    pub(crate) async fn credentials(&self, arn: &str) -> Result<Credentials, ApiError> {
        if let Some(credentials) = self.known.get(arn) {
            return Ok(credentials.clone());
        }
        match &self.manager {
            Some(manager) => {
                let cached = self.cached().get(arn).cloned();
                match cached {
                    Some(credentials) => Ok(credentials),
                    None => self.look_up(manager, arn).await,
                }
            }
            None if self.known.is_empty() => Ok(Credentials::new(Login::default(), &self.config)),
            None => Err(ApiError::secret_not_found()),
        }
    }

    /// Looks up once more a secret whose login PostgreSQL has refused. Returns the login if it is
    /// another one now.
    pub(crate) async fn rotated(
        &self,
        arn: &str,
        refused: &Credentials,
    ) -> Result<Option<Credentials>, ApiError> {
        let Some(manager) = self.manager.as_ref().filter(|_| !self.known.contains_key(arn)) else {
            return Ok(None);
        };
        self.cached().remove(arn);
        let credentials = self.look_up(manager, arn).await?;
        Ok(Some(credentials).filter(|credentials| credentials != refused))
    }

    async fn look_up(&self, manager: &SecretsManager, arn: &str) -> Result<Credentials, ApiError> {
        let login = manager.get_secret_value(arn).await?;
        let credentials = Credentials::new(login, &self.config);
        self.cached().insert(arn.to_owned(), credentials.clone());
        Ok(credentials)
    }

    fn cached(&self) -> MutexGuard<'_, HashMap<String, Credentials>> {
        self.cached.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
