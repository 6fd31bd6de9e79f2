//! Network addresses.
//!
//! Pure. Complete addresses are checked completely. PostgreSQL also reads shorter forms
//! (`10.1/16`): the checks refuse them only if no reading is valid.

use std::net::IpAddr;

use super::text::trimmed;

/// Checks an address, or a network with its prefix. A `cidr` has no bits set to the right of its
/// prefix.
pub(super) fn network(text: &str, is_cidr: bool) -> Option<&str> {
    let text = trimmed(text);
    let (address, prefix) = match text.split_once('/') {
        None => (text, None),
        Some((address, prefix)) => (address, Some(prefix)),
    };
    let prefix = match prefix {
        None => None,
        Some(prefix) if prefix.bytes().all(|byte| byte.is_ascii_digit()) => {
            Some(prefix.parse::<u32>().ok()?)
        }
        Some(_) => return None,
    };
    let may_be = match address.parse::<IpAddr>() {
        Ok(address) => is_network(address, prefix, is_cidr),
        Err(_) if address.contains(':') => {
            is_colon_form(address) && prefix.is_none_or(|n| n <= 128)
        }
        Err(_) => is_short_form(address, prefix, is_cidr),
    };
    may_be.then_some(text)
}

/// Returns `true` if the address is complete, so that it is checked completely.
pub(super) fn is_whole(text: &str) -> bool {
    let (address, prefix) = text.split_once('/').unwrap_or((text, "0"));
    let has_leading_zero = prefix.len() > 1 && prefix.starts_with('0');
    !has_leading_zero && address.parse::<IpAddr>().is_ok()
}

fn is_network(address: IpAddr, prefix: Option<u32>, is_cidr: bool) -> bool {
    let (bits, all) = match address {
        IpAddr::V4(address) => (u128::from(address.to_bits()) << 96, 32),
        IpAddr::V6(address) => (address.to_bits(), 128),
    };
    let prefix = prefix.unwrap_or(all);
    let right_of_prefix = bits.checked_shl(prefix).unwrap_or(0);
    prefix <= all && (!is_cidr || right_of_prefix == 0)
}

fn is_colon_form(address: &str) -> bool {
    address.bytes().all(|byte| byte.is_ascii_hexdigit() || matches!(byte, b':' | b'.'))
}

/// Returns `true` for fewer than four octets, octets with leading zeros, or hexadecimal digits.
fn is_short_form(address: &str, prefix: Option<u32>, is_cidr: bool) -> bool {
    // PostgreSQL accepts a point at the end.
    let octets: Vec<_> = address.strip_suffix('.').unwrap_or(address).split('.').collect();
    let is_hexadecimal =
        address.strip_prefix("0x").or_else(|| address.strip_prefix("0X")).is_some_and(|digits| {
            !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
        });
    let is_octet = |octet: &&str| {
        !octet.is_empty()
            && octet.bytes().all(|byte| byte.is_ascii_digit())
            && octet.trim_start_matches('0').parse::<u32>().unwrap_or(0) <= 255
            && octet.trim_start_matches('0').len() <= 3
    };
    // An inet without a prefix must have all octets.
    let is_whole = octets.len() == 4 || is_cidr || prefix.is_some();
    prefix.is_none_or(|prefix| prefix <= 32)
        && (is_hexadecimal || (octets.len() <= 4 && is_whole && octets.iter().all(is_octet)))
}
