//! Metadata that other programs write, and that is not about an import.
//!
//! Pure. It is a list of names, as ignoring all unknown names would also ignore a misspelt option.

/// Names, and beginnings of names, which end in `*`.
const FOREIGN: [&str; 34] = [
    // rclone; with --metadata also properties of the local file ("mode": see below).
    "mtime",
    "md5chksum",
    "atime",
    "btime",
    "uid",
    "gid",
    "rdev",
    "tier",
    "content-type",
    "cache-control",
    "content-disposition",
    "content-encoding",
    "content-language",
    // s3fs-fuse, goofys.
    "ctime",
    "xattr",
    // s3cmd --preserve.
    "s3cmd-attrs",
    // MinIO's mc --preserve.
    "mc-attrs",
    // S3 Browser.
    "s3b-*",
    // AWS DataSync, AWS Storage Gateway, s5cmd and FSx for Lustre.
    "file-*",
    // AWS Transfer Family, AWS Storage Gateway.
    "user-agent",
    "user-agent-id",
    // gsutil and gcloud storage, to any bucket.
    "goog-reserved-*",
    // MSP360 (CloudBerry).
    "cb-*",
    // Azure's tools.
    "hdi_isfolder",
    "modtime",
    // Apache Hadoop's S3A.
    "x-hadoop-*",
    // Checksums of many tools.
    "md5",
    "md5sum",
    "content-md5",
    "sha1",
    "sha256",
    "sha512",
    "crc32",
    "crc32c",
];

/// Returns `true` if another program wrote this metadata.
pub(in crate::functions::import) fn is_foreign(name: &str, value: &str) -> bool {
    // rclone and s3fs write the permissions of a file under "mode". No value of that option is a
    // number.
    let is_permissions =
        name == "mode" && !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
    is_permissions
        || FOREIGN.iter().any(|foreign| match foreign.strip_suffix('*') {
            Some(beginning) => name.starts_with(beginning),
            None => *foreign == name,
        })
}

/// Returns `true` for metadata of the S3 Encryption Client: the content is encrypted with a key
/// that only the sender has.
pub(in crate::functions::import) fn is_of_encryption(name: &str) -> bool {
    matches!(
        name,
        "x-amz-key"
            | "x-amz-key-v2"
            | "x-amz-iv"
            | "x-amz-matdesc"
            | "x-amz-cek-alg"
            | "x-amz-wrap-alg"
            | "x-amz-tag-len"
            | "x-amz-unencrypted-content-length"
    ) || name.starts_with("x-amz-unencrypted-content")
}
