//! The only module that names AWS crates.

pub(crate) mod data_api;
pub(crate) mod deployed;
pub(crate) mod messages;
pub(crate) mod objects;
pub(crate) mod storage;

use std::collections::HashMap;
use std::fmt;
use std::time::{Duration, SystemTime};

use anyhow::{Context, anyhow};
use aws_config::profile::ProfileFileCredentialsProvider;
use aws_config::provider_config::ProviderConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials as _, SharedCredentialsProvider};
use aws_sdk_lambda::primitives::Blob;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4::SigningParams;
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use bytes::Bytes;
use hyper::Request;
use import_options::Defaults;
use tokio::sync::Mutex;

/// Credentials that end within this time are asked for anew.
const RENEWED_BEFORE: Duration = Duration::from_mins(2);

/// Region, credentials and endpoints of the caller.
#[derive(Debug)]
pub(crate) struct Aws {
    config: SdkConfig,
}

/// The values of a stack, by name.
#[derive(Debug, Default)]
pub(crate) struct StackValues {
    pub(crate) outputs: HashMap<String, String>,
    pub(crate) parameters: HashMap<String, String>,
}

impl StackValues {
    /// Returns the default options of files by prefix: the parameter `ImportDefaults`.
    pub(crate) fn import_defaults(&self) -> Defaults {
        // One that cannot be read would have failed when it was deployed.
        let json = self.parameters.get("ImportDefaults");
        json.and_then(|json| Defaults::parse(json).ok()).unwrap_or_default()
    }
}

impl Aws {
    /// Loads the configuration. Fails if a profile is named that has no credentials: those of the
    /// environment are not meant then.
    pub(crate) async fn load(profile: Option<&str>, region: Option<&str>) -> anyhow::Result<Self> {
        let http_client = aws_smithy_http_client::Builder::new()
            .tls_provider(Provider::Rustls(CryptoMode::Ring))
            .build_https();
        let mut loader =
            aws_config::defaults(BehaviorVersion::latest()).http_client(http_client.clone());
        if let Some(profile) = profile {
            loader = loader.profile_name(profile);
        }
        if let Some(region) = region {
            loader = loader.region(Region::new(region.to_owned()));
        }
        let config = loader.load().await;
        let Some(profile) = profile else { return Ok(Self { config }) };
        let services = ProviderConfig::empty()
            .with_http_client(http_client)
            .with_region(config.region().cloned());
        let provider = ProfileFileCredentialsProvider::builder()
            .profile_name(profile)
            .configure(&services)
            .build();
        provider.provide_credentials().await.map_err(anyhow::Error::from).with_context(|| {
            format!(
                "the profile {profile} has no credentials; is it in ~/.aws/config or ~/.aws/credentials?"
            )
        })?;
        let provider = SharedCredentialsProvider::new(provider);
        Ok(Self { config: config.into_builder().credentials_provider(provider).build() })
    }

    /// The outputs and parameters of a stack; none without a stack.
    pub(crate) async fn values_of(&self, stack: Option<&str>) -> anyhow::Result<StackValues> {
        let Some(stack) = stack else { return Ok(StackValues::default()) };
        let client = aws_sdk_cloudformation::Client::new(&self.config);
        let found = client.describe_stacks().stack_name(stack).send().await;
        let found = found
            .map_err(explained)
            .with_context(|| format!("cannot read the outputs of the stack {stack}"))?;
        let mut values = StackValues::default();
        for stack in found.stacks.unwrap_or_default() {
            let outputs = stack.outputs.unwrap_or_default().into_iter();
            let outputs = outputs.filter_map(|one| Some((one.output_key?, one.output_value?)));
            values.outputs.extend(outputs);
            let parameters = stack.parameters.unwrap_or_default().into_iter();
            let parameters =
                parameters.filter_map(|one| Some((one.parameter_key?, one.parameter_value?)));
            values.parameters.extend(parameters);
        }
        Ok(values)
    }

    /// The outputs of a stack; none without a stack.
    pub(crate) async fn outputs_of(
        &self,
        stack: Option<&str>,
    ) -> anyhow::Result<HashMap<String, String>> {
        Ok(self.values_of(stack).await?.outputs)
    }

    /// Invokes a function with an event, and waits for its response.
    pub(crate) async fn invoke(&self, function: &str, event: &str) -> anyhow::Result<Invoked> {
        let client = aws_sdk_lambda::Client::new(&self.config);
        let response =
            client.invoke().function_name(function).payload(Blob::new(event)).send().await;
        let response = response
            .map_err(explained)
            .with_context(|| format!("cannot invoke the function {function}"))?;
        let payload = response.payload.map(Blob::into_inner).unwrap_or_default();
        let error = response.function_error.map(|_| error_message(&payload));
        Ok(Invoked { payload, error })
    }

    /// Returns a signer for the API at this address.
    pub(crate) fn signer(&self, api_url: &str) -> anyhow::Result<Signer> {
        self.signer_of("execute-api", region_of(api_url))
    }

    /// Returns a signer for a service, in this region or else in the configured one.
    fn signer_of(&self, service: &'static str, region: Option<String>) -> anyhow::Result<Signer> {
        let region = region.map_or_else(|| self.region(), Ok)?;
        let provider = self.config.credentials_provider();
        let provider = provider
            .context("no credentials of AWS are set: give --profile, or set AWS_ACCESS_KEY_ID")?;
        Ok(Signer { service, region, provider, credentials: Mutex::new(None) })
    }

    /// The domain of AWS's services in this region.
    fn domain(&self) -> anyhow::Result<&'static str> {
        Ok(if self.region()?.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" })
    }

    fn region(&self) -> anyhow::Result<String> {
        let region = self.config.region().map(ToString::to_string);
        region.context("no AWS region is set: give --region, or set AWS_REGION")
    }
}

/// The response of a function.
#[derive(Debug)]
pub(crate) struct Invoked {
    pub(crate) payload: Vec<u8>,
    /// The message of the function's error, if it failed.
    pub(crate) error: Option<String>,
}

/// The message of an error, as Lambda reports it (Lambda Developer Guide, "Using the Lambda runtime
/// API").
fn error_message(payload: &[u8]) -> String {
    let error: Option<serde_json::Value> = serde_json::from_slice(payload).ok();
    let message = error.as_ref().and_then(|error| error["errorMessage"].as_str());
    message.unwrap_or("its log says why").to_owned()
}

/// Explains an error of the SDK by the code and the message of the service, or by what kept the
/// request from the service.
fn explained<E, R>(error: SdkError<E, R>) -> anyhow::Error
where
    E: std::error::Error + ProvideErrorMetadata + Send + Sync + 'static,
    R: fmt::Debug + Send + Sync + 'static,
{
    let service = error.as_service_error().map(|error| (error.code(), error.message()));
    if let Some((Some(code), message)) = service {
        let message = message.map_or_else(String::new, |message| format!(": {message}"));
        let help = help(code).map_or_else(String::new, |help| format!(" ({help})"));
        return anyhow!("{code}{message}{help}");
    }
    let error = anyhow::Error::from(error);
    let is_missing = |cause: &(dyn std::error::Error + 'static)| {
        matches!(cause.downcast_ref(), Some(CredentialsError::CredentialsNotLoaded(..)))
    };
    if error.chain().any(is_missing) {
        return anyhow!(
            "there are no AWS credentials; give --profile, set AWS_PROFILE, or log in with the AWS CLI"
        );
    }
    error
}

/// Returns what helps against an error of AWS.
fn help(code: &str) -> Option<&'static str> {
    Some(match code {
        "ExpiredToken" | "ExpiredTokenException" | "RequestExpired" => {
            "the credentials have expired: log in again"
        }
        "InvalidAccessKeyId" | "InvalidClientTokenId" | "UnrecognizedClientException" => {
            "AWS does not know the credentials: is it the right --profile?"
        }
        "SignatureDoesNotMatch" => "the secret access key is not that of the access key",
        "AccessDenied" | "AccessDeniedException" => {
            "the caller lacks a permission: see \"Permissions\" in the guide, or use another --profile"
        }
        "NoSuchBucket" => "is it the right --stack or --bucket, and the right account?",
        "PermanentRedirect" | "AuthorizationHeaderMalformed" => "give the --region of the bucket",
        "ResourceNotFoundException" | "ValidationError" => {
            "is it the right --stack, --region and account?"
        }
        _ => return None,
    })
}

/// The region in the name of an API's host.
fn region_of(api_url: &str) -> Option<String> {
    let (_, rest) = api_url.split_once(".execute-api.")?;
    rest.split_once(".amazonaws.").map(|(region, _)| region.to_owned())
}

/// Signs requests to a service.
#[derive(Debug)]
pub(crate) struct Signer {
    /// The name of the service in signatures.
    service: &'static str,
    region: String,
    provider: SharedCredentialsProvider,
    credentials: Mutex<Option<Credentials>>,
}

impl Signer {
    /// Signs a request.
    pub(crate) async fn sign(&self, request: &mut Request<Bytes>) -> anyhow::Result<()> {
        let identity = self.credentials().await?.into();
        let parameters = SigningParams::builder()
            .identity(&identity)
            .region(&self.region)
            .name(self.service)
            .time(SystemTime::now())
            .settings(SigningSettings::default())
            .build()?
            .into();
        let url = request.uri().to_string();
        let body = SignableBody::Bytes(request.body());
        let headers = request.headers().iter();
        let headers =
            headers.filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)));
        let signable = SignableRequest::new(request.method().as_str(), url, headers, body)?;
        let (signature, _) = sign(signable, &parameters)?.into_parts();
        signature.apply_to_request_http1x(request);
        Ok(())
    }

    /// A long import outlives the credentials of a role.
    async fn credentials(&self) -> anyhow::Result<Credentials> {
        let mut known = self.credentials.lock().await;
        let renewed_at = SystemTime::now() + RENEWED_BEFORE;
        if let Some(credentials) = known.as_ref()
            && credentials.expiry().is_none_or(|expiry| expiry > renewed_at)
        {
            return Ok(credentials.clone());
        }
        let credentials = self.provider.provide_credentials().await;
        let credentials = credentials
            .map_err(anyhow::Error::from)
            .context("cannot get credentials of AWS: give --profile, or set AWS_ACCESS_KEY_ID")?;
        *known = Some(credentials.clone());
        Ok(credentials)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_region_of_an_api_is_in_its_name() {
        let region = |url| region_of(url);
        assert_eq!(
            region("https://a1.execute-api.eu-west-1.amazonaws.com").as_deref(),
            Some("eu-west-1")
        );
        assert_eq!(
            region("https://a1.execute-api.cn-north-1.amazonaws.com.cn").as_deref(),
            Some("cn-north-1")
        );
        assert_eq!(region("http://127.0.0.1:4566/_aws/execute-api/a1"), None);
    }
}
