//! Finds the deployment that files go to.

use std::collections::HashMap;

use anyhow::bail;

use crate::arguments;

/// The buckets and the API of a deployed aurora-sync.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Deployment {
    pub(crate) uploads_bucket: String,
    pub(crate) results_bucket: String,
    /// The URL of the API, without a slash at its end.
    pub(crate) api_url: String,
}

impl Deployment {
    /// Reads each name from the flags, else from the outputs of a stack, else from the environment.
    pub(crate) fn find(
        flags: &arguments::Deployment,
        outputs: &HashMap<String, String>,
        environment: impl Fn(&str) -> Option<String>,
    ) -> anyhow::Result<Self> {
        let mut missing = Vec::new();
        let mut find = |flag: &Option<String>, name: &str, output: &str, variable: &str| {
            let found = flag.clone().or_else(|| outputs.get(output).cloned());
            let found = found.or_else(|| environment(variable)).filter(|found| !found.is_empty());
            found.unwrap_or_else(|| {
                missing.push(format!("{name} (or {variable} in the environment)"));
                String::new()
            })
        };
        let deployment = Self {
            uploads_bucket: find(&flags.bucket, "--bucket", "UploadsBucket", "UPLOADS_BUCKET"),
            results_bucket: find(&flags.results, "--results", "ResultsBucket", "RESULTS_BUCKET"),
            api_url: find(&flags.api, "--api", "ApiUrl", "API_URL")
                .trim_end_matches('/')
                .to_owned(),
        };
        if !missing.is_empty() {
            let missing = missing.join(", ");
            bail!(
                "where aurora-sync is deployed is not known: give {missing}, or all of them by --stack NAME"
            );
        }
        Ok(deployment)
    }
}

/// Finds the URL of the API, without a slash at its end, in the same order.
pub(crate) fn api_url(
    flag: Option<&String>,
    outputs: &HashMap<String, String>,
    environment: impl Fn(&str) -> Option<String>,
) -> anyhow::Result<String> {
    let found = flag.or_else(|| outputs.get("ApiUrl")).cloned().or_else(|| environment("API_URL"));
    let Some(url) = found.filter(|url| !url.is_empty()) else {
        bail!(
            "where aurora-sync is deployed is not known: give --api (or API_URL in the environment), or \
             --stack NAME"
        );
    };
    Ok(url.trim_end_matches('/').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_come_before_the_stack_and_the_stack_before_the_environment() {
        let flags = arguments::Deployment {
            bucket: Some("flag".into()),
            ..arguments::Deployment::default()
        };
        let outputs = HashMap::from([
            ("UploadsBucket".to_owned(), "stack".to_owned()),
            ("ResultsBucket".to_owned(), "stack".to_owned()),
        ]);
        let environment = |name: &str| (name == "API_URL").then(|| "http://env/v1/".to_owned());
        let deployment = Deployment::find(&flags, &outputs, environment).unwrap();
        assert_eq!(
            (
                deployment.uploads_bucket.as_str(),
                deployment.results_bucket.as_str(),
                deployment.api_url.as_str()
            ),
            ("flag", "stack", "http://env/v1")
        );
        let error = Deployment::find(&flags, &HashMap::new(), |_| None).unwrap_err().to_string();
        assert!(
            error.contains("--results (or RESULTS_BUCKET in the environment), --api"),
            "{error}"
        );
    }
}
