//! The only module that names AWS crates.

pub(crate) mod data_api;
pub(crate) mod deployed;
pub(crate) mod messages;
pub(crate) mod storage;

use std::collections::HashMap;
use std::fmt;
use std::path::Path;
use std::time::{Duration, SystemTime};

use anyhow::{Context, anyhow};
use aws_config::profile::ProfileFileCredentialsProvider;
use aws_config::provider_config::ProviderConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials as _, SharedCredentialsProvider};
use aws_sdk_lambda::primitives::Blob;
use aws_sdk_s3::Client;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart, MetadataDirective};
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4::SigningParams;
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use bytes::Bytes;
use hyper::Request;
use import_options::Defaults;
use tokio::fs::File;
use tokio::io::AsyncWriteExt as _;
use tokio::sync::Mutex;
use tokio::task::JoinSet;

/// Parts that are under way at a time.
const PARTS_AT_ONCE: usize = 4;

/// The most bytes that S3 copies at once (Amazon S3 API Reference, "Copy an object").
const COPIED_BYTES_MAX: i64 = 5 * 1024 * 1024 * 1024;

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

/// The identity of one upload of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Uploaded {
    /// The version where the bucket keeps versions, else the `ETag`, as `sync.import` names it.
    pub(crate) version: String,
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

    pub(crate) fn objects(&self) -> Objects {
        Objects { client: Client::new(&self.config) }
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

/// S3.
#[derive(Debug, Clone)]
pub(crate) struct Objects {
    client: Client,
}

/// An object that is to be.
#[derive(Debug, Clone)]
pub(crate) struct UploadTarget {
    pub(crate) bucket: String,
    pub(crate) key: String,
    pub(crate) metadata: Vec<(&'static str, String)>,
}

impl UploadTarget {
    fn cannot(&self) -> String {
        format!("cannot upload to s3://{}/{}", self.bucket, self.key)
    }
}

/// An upload in parts that has begun.
#[derive(Debug)]
pub(crate) struct Begun {
    id: String,
    /// The first parts, which have arrived.
    parts: Vec<CompletedPart>,
    bytes: u64,
}

impl Begun {
    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// Returns the bytes that have arrived, from the first one on.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }
}

/// Bytes of a file, part by part.
pub(crate) trait Parts {
    /// The next part; `None` at the end. Only the last is smaller than the others.
    async fn next(&mut self) -> anyhow::Result<Option<Bytes>>;
}

/// Parts that were taken already, and the others.
struct WithHead<'a, P> {
    head: std::array::IntoIter<Bytes, 2>,
    rest: &'a mut P,
}

impl<P: Parts> Parts for WithHead<'_, P> {
    async fn next(&mut self) -> anyhow::Result<Option<Bytes>> {
        match self.head.next() {
            Some(part) => Ok(Some(part)),
            None => self.rest.next().await,
        }
    }
}

impl Objects {
    /// Writes an object of one part, or of several at a time; tells `sent` how many bytes have
    /// arrived. After an error nothing is left of it.
    pub(crate) async fn upload(
        &self,
        target: &UploadTarget,
        parts: &mut impl Parts,
        sent: impl Fn(u64),
    ) -> anyhow::Result<Uploaded> {
        let first = parts.next().await?.unwrap_or_default();
        let Some(second) = parts.next().await? else {
            return self.put(target, first, sent).await.with_context(|| target.cannot());
        };
        let begun = self.begin(target).await?;
        let id = begun.id.clone();
        let mut parts = WithHead { head: [first, second].into_iter(), rest: parts };
        let finished = self.finish(target, begun, &mut parts, sent).await;
        if finished.is_err() {
            // A lifecycle rule of the bucket removes the rest.
            let abort = self.client.abort_multipart_upload().bucket(&target.bucket);
            drop(abort.key(&target.key).upload_id(id).send().await);
        }
        finished
    }

    async fn put(
        &self,
        target: &UploadTarget,
        bytes: Bytes,
        sent: impl Fn(u64),
    ) -> anyhow::Result<Uploaded> {
        let len = bytes.len() as u64;
        let put = self.client.put_object().bucket(&target.bucket).key(&target.key);
        let put = put.set_metadata(Some(metadata(target))).body(ByteStream::from(bytes));
        let put = put.send().await.map_err(explained)?;
        sent(len);
        uploaded(put.version_id, put.e_tag)
    }

    /// Begins an upload in parts.
    pub(crate) async fn begin(&self, target: &UploadTarget) -> anyhow::Result<Begun> {
        let begun = async {
            let create =
                self.client.create_multipart_upload().bucket(&target.bucket).key(&target.key);
            let created = create.set_metadata(Some(metadata(target))).send().await;
            created.map_err(explained)?.upload_id.context("S3 names no upload")
        };
        let id = begun.await.with_context(|| target.cannot())?;
        Ok(Begun { id, parts: Vec::new(), bytes: 0 })
    }

    /// Finds an upload that was begun before, with the first parts of this size that have arrived.
    /// Returns `None` if S3 does not know it any more, or if
    /// the caller may not list its parts.
    pub(crate) async fn resume(
        &self,
        target: &UploadTarget,
        id: &str,
        part_bytes: u64,
    ) -> anyhow::Result<Option<Begun>> {
        let list = self.client.list_parts().bucket(&target.bucket).key(&target.key).upload_id(id);
        let mut pages = list.into_paginator().send();
        let mut begun = Begun { id: id.to_owned(), parts: Vec::new(), bytes: 0 };
        while let Some(page) = pages.next().await {
            let page = match page {
                Ok(page) => page,
                Err(error)
                    if matches!(
                        error.as_service_error().and_then(ProvideErrorMetadata::code),
                        Some("NoSuchUpload" | "AccessDenied")
                    ) =>
                {
                    return Ok(None);
                }
                Err(error) => return Err(explained(error)).with_context(|| target.cannot()),
            };
            for part in page.parts.unwrap_or_default() {
                let number = i32::try_from(begun.parts.len() + 1).ok();
                let len = part.size.and_then(|size| u64::try_from(size).ok());
                if part.part_number != number || len != Some(part_bytes) {
                    return Ok(Some(begun));
                }
                begun.bytes += part_bytes;
                let part = CompletedPart::builder()
                    .set_part_number(number)
                    .set_e_tag(part.e_tag)
                    .set_checksum_crc32(part.checksum_crc32)
                    .set_checksum_crc32_c(part.checksum_crc32_c)
                    .set_checksum_crc64_nvme(part.checksum_crc64_nvme);
                begun.parts.push(part.build());
            }
        }
        Ok(Some(begun))
    }

    /// Sends the parts after those that have arrived, and completes the object. After an error the
    /// upload can be resumed.
    pub(crate) async fn finish(
        &self,
        target: &UploadTarget,
        begun: Begun,
        parts: &mut impl Parts,
        sent: impl Fn(u64),
    ) -> anyhow::Result<Uploaded> {
        let id = begun.id.clone();
        let finished = async {
            let parts = self.send_parts(target, begun, parts, sent).await?;
            self.complete(target, &id, parts).await
        };
        finished.await.with_context(|| target.cannot())
    }

    async fn send_parts(
        &self,
        target: &UploadTarget,
        begun: Begun,
        parts: &mut impl Parts,
        sent: impl Fn(u64),
    ) -> anyhow::Result<Vec<CompletedPart>> {
        let mut under_way = JoinSet::new();
        let mut done = begun.parts;
        let mut number = i32::try_from(done.len())?;
        loop {
            let next = parts.next().await?;
            if next.is_none() || under_way.len() == PARTS_AT_ONCE {
                match under_way.join_next().await {
                    Some(part) => {
                        let (part, len) = part.context("a part was not sent")??;
                        done.push(part);
                        sent(len);
                    }
                    None => break,
                }
            }
            let Some(bytes) = next else { continue };
            number += 1;
            under_way.spawn(send_part(
                self.client.clone(),
                target.clone(),
                begun.id.clone(),
                number,
                bytes,
            ));
        }
        done.sort_by_key(|part| part.part_number);
        Ok(done)
    }

    async fn complete(
        &self,
        target: &UploadTarget,
        id: &str,
        parts: Vec<CompletedPart>,
    ) -> anyhow::Result<Uploaded> {
        let parts = CompletedMultipartUpload::builder().set_parts(Some(parts)).build();
        let complete =
            self.client.complete_multipart_upload().bucket(&target.bucket).key(&target.key);
        let completed = complete.upload_id(id).multipart_upload(parts).send().await;
        let completed = completed.map_err(explained)?;
        uploaded(completed.version_id, completed.e_tag)
    }

    /// Copies an object onto itself with its metadata, so that S3 notifies of it again. Fails if
    /// another version than this one, or another `ETag`, is there now.
    pub(crate) async fn upload_again(
        &self,
        bucket: &str,
        key: &str,
        version: &str,
        options: &[(&str, &str)],
    ) -> anyhow::Result<Uploaded> {
        let cannot = || format!("cannot upload s3://{bucket}/{key} again");
        let head = self.client.head_object().bucket(bucket).key(key).send().await;
        let head = head.map_err(explained).with_context(cannot)?;
        let current = uploaded(head.version_id, head.e_tag.clone())?;
        if current.version != version {
            anyhow::bail!("{}: a newer file is in its place, which has its own import", cannot());
        }
        if head.content_length.unwrap_or_default() > COPIED_BYTES_MAX {
            anyhow::bail!("{}: S3 copies 5 GiB at most. Upload the file itself", cannot());
        }
        let source = format!(
            "{bucket}/{}",
            percent_encoding::utf8_percent_encode(key, percent_encoding::NON_ALPHANUMERIC)
        );
        let mut metadata = head.metadata.unwrap_or_default();
        metadata.extend(options.iter().map(|(name, value)| ((*name).into(), (*value).into())));
        let copy = self.client.copy_object().bucket(bucket).key(key).copy_source(source);
        let copy = copy
            .metadata_directive(MetadataDirective::Replace)
            .set_metadata(Some(metadata))
            .set_content_type(head.content_type)
            .set_content_encoding(head.content_encoding)
            .set_copy_source_if_match(head.e_tag);
        let copied = copy.send().await.map_err(explained).with_context(cannot)?;
        uploaded(copied.version_id, copied.copy_object_result.and_then(|copied| copied.e_tag))
    }

    /// Reads a whole object; `None` where it is not there.
    pub(crate) async fn read(&self, bucket: &str, key: &str) -> anyhow::Result<Option<Vec<u8>>> {
        let Some(mut body) = self.get(bucket, key).await? else { return Ok(None) };
        let mut bytes = Vec::new();
        while let Some(part) = body.next().await? {
            bytes.extend_from_slice(&part);
        }
        Ok(Some(bytes))
    }

    /// Saves an object as it is, byte by byte. Fails if it is not there.
    pub(crate) async fn save(&self, bucket: &str, key: &str, path: &Path) -> anyhow::Result<()> {
        let cannot = || format!("cannot write {}", path.display());
        let body = self.get(bucket, key).await?;
        let mut body = body.with_context(|| format!("s3://{bucket}/{key} is not there"))?;
        let mut file = File::create(path).await.with_context(cannot)?;
        while let Some(bytes) = body.next().await? {
            file.write_all(&bytes).await.with_context(cannot)?;
        }
        file.flush().await.with_context(cannot)
    }

    /// Reads an object; `None` where it is not there.
    pub(crate) async fn get(&self, bucket: &str, key: &str) -> anyhow::Result<Option<Body>> {
        match self.client.get_object().bucket(bucket).key(key).send().await {
            Ok(object) => Ok(Some(Body(object.body))),
            Err(error)
                if error.as_service_error().is_some_and(
                    aws_sdk_s3::operation::get_object::GetObjectError::is_no_such_key,
                ) =>
            {
                Ok(None)
            }
            Err(error) => {
                Err(explained(error)).with_context(|| format!("cannot read s3://{bucket}/{key}"))
            }
        }
    }
}

/// The bytes of an object.
#[derive(Debug)]
pub(crate) struct Body(ByteStream);

impl Body {
    pub(crate) async fn next(&mut self) -> anyhow::Result<Option<Bytes>> {
        self.0.try_next().await.context("the object cannot be read to its end")
    }
}

async fn send_part(
    client: Client,
    target: UploadTarget,
    id: String,
    number: i32,
    bytes: Bytes,
) -> anyhow::Result<(CompletedPart, u64)> {
    let len = bytes.len() as u64;
    let part = client.upload_part().bucket(target.bucket).key(target.key).upload_id(id);
    let sent = part.part_number(number).body(ByteStream::from(bytes)).send().await;
    let sent = sent.map_err(explained)?;
    let part = CompletedPart::builder()
        .part_number(number)
        .set_e_tag(sent.e_tag)
        .set_checksum_crc32(sent.checksum_crc32)
        .set_checksum_crc32_c(sent.checksum_crc32_c)
        .set_checksum_crc64_nvme(sent.checksum_crc64_nvme);
    Ok((part.build(), len))
}

fn uploaded(version_id: Option<String>, etag: Option<String>) -> anyhow::Result<Uploaded> {
    let version = version_id.filter(|version| version != "null");
    let version = version.or_else(|| etag.map(|etag| etag.trim_matches('"').to_owned()));
    version.map(|version| Uploaded { version }).context("S3 does not say what it has stored")
}

fn metadata(target: &UploadTarget) -> HashMap<String, String> {
    let header = |(name, value): &(&str, String)| ((*name).to_owned(), header_value(value));
    target.metadata.iter().map(header).collect()
}

/// A text as the value of a header: as it is where it is plain ASCII, else in encoded words (RFC
/// 2047).
fn header_value(text: &str) -> String {
    let is_plain = text.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic())
        && text.trim_matches(' ') == text
        && !text.contains("=?");
    if is_plain {
        return text.to_owned();
    }
    // 75 characters are the longest word: "=?UTF-8?B?", 60 of Base64, "?=".
    let mut words = vec![String::new()];
    for character in text.chars() {
        match words.last_mut() {
            Some(word) if word.len() + character.len_utf8() <= 45 => word.push(character),
            _ => words.push(character.to_string()),
        }
    }
    let encode = |word: &String| format!("=?UTF-8?B?{}?=", aws_smithy_types::base64::encode(word));
    words.iter().map(encode).collect::<Vec<_>>().join(" ")
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

    #[test]
    fn values_that_a_header_cannot_hold_are_encoded() {
        assert_eq!(header_value("id,full name;5%"), "id,full name;5%");
        assert_eq!(header_value("名"), "=?UTF-8?B?5ZCN?=");
        assert_eq!(header_value(" "), "=?UTF-8?B?IA==?=");
        let long = header_value(&"é".repeat(50));
        assert_eq!(long.split(' ').count(), 3);
        assert!(long.split(' ').all(|word| word.len() <= 75));
    }
}
