//! The emulator alone, nothing deployed: S3 and SQS for tests of single functions.

use aws_config::SdkConfig;
use ephemeral_postgres::RunFolder;

use crate::deploy;
use crate::emulator::Emulator;
use crate::http::Http;
use crate::python::Python;
use crate::workspace;

/// Running services. Fields drop in this order.
#[derive(Debug)]
pub struct Services {
    emulator: Emulator,
    _folder: RunFolder,
}

impl Services {
    pub async fn start() -> anyhow::Result<Self> {
        let local = workspace::local_folder()?;
        let folder = RunFolder::new(&local, "services")?;
        let python = Python::ensure(&local).await?;
        let emulator = Emulator::start(&python, folder.path(), &Http::default()).await?;
        Ok(Self { emulator, _folder: folder })
    }

    /// Returns the configuration of AWS SDKs for the emulator.
    pub fn sdk_config(&self) -> SdkConfig {
        deploy::sdk_config(self.emulator.url())
    }
}
