//! Metadata that other programs write, and that is not about an import.
//!
//! Pure. It is a list of names, as ignoring all unknown names would also ignore a misspelt option.

/// Names, and beginnings of names, which end in `*`.
const FOREIGN: &str = include_str!("foreign.txt");

/// Returns `true` if another program wrote this metadata.
pub(crate) fn is_foreign(name: &str, value: &str) -> bool {
    // rclone and s3fs write the permissions of a file under "mode". No value of that option is a
    // number.
    let is_permissions =
        name == "mode" && !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
    is_permissions
        || FOREIGN.lines().any(|foreign| match foreign.strip_suffix('*') {
            Some(beginning) => name.starts_with(beginning),
            None => foreign == name,
        })
}

/// Returns `true` for metadata of the S3 Encryption Client: the content is encrypted with a key
/// that only the sender has.
pub(crate) fn is_of_encryption(name: &str) -> bool {
    const NAMES: [&str; 7] = ["key", "key-v2", "iv", "matdesc", "cek-alg", "wrap-alg", "tag-len"];
    name.strip_prefix("x-amz-")
        .is_some_and(|name| NAMES.contains(&name) || name.starts_with("unencrypted-content"))
}
