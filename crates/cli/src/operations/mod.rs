//! The operations on a deployment, without any output: the commands and the local page use the same
//! ones.

pub(crate) mod dead_letters;
pub(crate) mod imports;
pub(crate) mod tables;
pub(crate) mod writes;

use std::collections::HashMap;

use import_options::Defaults;

use crate::api::Api;
use crate::aws::Aws;
use crate::deployment;
use crate::outcome::WrongUsage;

/// The place of a deployment, as a command line gives it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Place {
    /// The URL of the API, instead of the one that the stack names.
    pub(crate) api_url: Option<String>,
    /// The CloudFormation stack, whose outputs name everything.
    pub(crate) stack: Option<String>,
    pub(crate) profile: Option<String>,
    pub(crate) region: Option<String>,
}

/// A deployment that was found.
#[derive(Debug)]
pub(crate) struct Deployed {
    pub(crate) aws: Aws,
    pub(crate) api: Api,
    pub(crate) stack: Option<String>,
    outputs: HashMap<String, String>,
    /// The options of files by prefix.
    pub(crate) import_defaults: Defaults,
}

/// The reason for which a deployment was not found.
#[derive(Debug)]
pub(crate) enum NotFound {
    /// Nothing says where it is: the command line is incomplete.
    Unknown(anyhow::Error),
    /// AWS did not say it.
    Failed(anyhow::Error),
}

impl Deployed {
    /// Finds a deployment by the flags, else by the outputs of the stack, else by the environment.
    pub(crate) async fn find(place: &Place) -> Result<Self, NotFound> {
        let aws = Aws::load(place.profile.as_deref(), place.region.as_deref()).await;
        let aws = aws.map_err(NotFound::Failed)?;
        let values = aws.values_of(place.stack.as_deref()).await.map_err(NotFound::Failed)?;
        let (import_defaults, outputs) = (values.import_defaults(), values.outputs);
        let api_url = deployment::api_url(place.api_url.as_ref(), &outputs, environment)
            .map_err(NotFound::Unknown)?;
        let api = aws.signer(&api_url).and_then(|signer| Api::new(api_url, signer));
        let api = api.map_err(NotFound::Failed)?;
        Ok(Self { aws, api, stack: place.stack.clone(), outputs, import_defaults })
    }

    /// Returns a name that the stack has as an output, or the environment as a variable. A missing
    /// name is a [`WrongUsage`].
    pub(crate) fn name(&self, output: &str, variable: &str) -> anyhow::Result<String> {
        if let Some(found) = self.outputs.get(output) {
            return Ok(found.clone());
        }
        if let Some(stack) = &self.stack {
            let missing = format!(
                "the stack {stack} has no output {output}; deploy this version of aurora-sync"
            );
            return Err(WrongUsage(missing).into());
        }
        environment(variable).ok_or_else(|| {
            let missing = format!("give --stack NAME, or set {variable} in the environment");
            WrongUsage(missing).into()
        })
    }
}

fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Makes a query string of conditions, each a column with its operator and value.
fn query(conditions: &[(&str, String)]) -> String {
    let encoded = crate::api::encoded;
    let pairs = conditions.iter().map(|(name, value)| format!("{name}={}", encoded(value)));
    pairs.collect::<Vec<_>>().join("&")
}
