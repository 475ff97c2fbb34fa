//! The small pieces: endpoints in both notations, counters, masks.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::model::{Checksum, Counter, Counters, Endpoint, Mask, Protocol, Tunnel};
use crate::{problem::Problem, words::Words};

/// `10.0.0.1:80`, `[fd00::1]:80`.
pub(super) fn endpoint(text: &str) -> Option<Endpoint> {
    let (address, port) = text.rsplit_once(':')?;
    let address = match address.strip_prefix('[') {
        Some(inside) => IpAddr::V6(inside.strip_suffix(']')?.parse().ok()?),
        None => IpAddr::V4(address.parse().ok()?),
    };
    Some(Endpoint { address, port: decimal(port)? })
}

fn decimal(port: &str) -> Option<u16> {
    port.bytes().all(|b| b.is_ascii_digit()).then(|| port.parse().ok())?
}

/// `0A60000A:0035`, `[fd00:0096:…:000a]:0050`.
pub(super) fn hex_endpoint(text: &str) -> Option<Endpoint> {
    let (address, port) = text.rsplit_once(':')?;
    let port = hex(port, 4).and_then(|n| u16::try_from(n).ok())?;
    Some(Endpoint { address: hex_address(address)?, port })
}

/// `0A60000A`, `[fd00:0096:…:000a]`, or the latter without brackets.
pub(super) fn hex_address(text: &str) -> Option<IpAddr> {
    let inside = text.strip_prefix('[').map_or(Some(text), |inside| inside.strip_suffix(']'))?;
    if inside.contains(':') {
        return inside.parse::<Ipv6Addr>().ok().map(IpAddr::V6);
    }
    hex(inside, 8).map(|n| IpAddr::V4(Ipv4Addr::from_bits(n)))
}

/// Just so many hexadecimal digits.
pub(super) fn hex(text: &str, digits: usize) -> Option<u32> {
    let fits = text.len() == digits && text.bytes().all(|b| b.is_ascii_hexdigit());
    fits.then(|| u32::from_str_radix(text, 16).ok())?
}

/// Whether `/proc` wrote this: hexadecimal, or an IPv6 address with every digit.
pub(super) fn looks_hex(text: &str) -> bool {
    match text.strip_prefix('[') {
        Some(_) => text.len() == 46 && hex_endpoint(text).is_some(),
        None => !text.contains('.') && hex_endpoint(text).is_some(),
    }
}

pub(super) fn protocol(text: &str) -> Option<Protocol> {
    Some(match text {
        "TCP" => Protocol::Tcp,
        "UDP" => Protocol::Udp,
        "SCTP" => Protocol::Sctp,
        _ => return None,
    })
}

/// `255.255.255.0`, or a length for IPv6; nothing where every bit counts.
pub(super) fn mask(words: &mut Words<'_>) -> Result<Option<Mask>, Problem> {
    let text = words.need("a netmask or a prefix length")?;
    if let Ok(mask) = text.parse::<Ipv4Addr>() {
        return Ok((mask != Ipv4Addr::BROADCAST).then_some(Mask::V4(mask)));
    }
    match text.parse::<u8>() {
        Ok(length) if length <= 128 => Ok((length != 128).then_some(Mask::V6(length))),
        _ => Err(words.error("not a netmask or a prefix length of 0 to 128")),
    }
}

/// The mask in `/proc`: a netmask for IPv4; for IPv6 a length whose bytes a little-endian kernel swaps.
#[expect(clippy::option_option, reason = "outside: not understood; inside: no mask")]
pub(super) fn hex_mask(number: u32, v6: bool) -> Option<Option<Mask>> {
    if !v6 {
        return Some((number != u32::MAX).then(|| Mask::V4(Ipv4Addr::from_bits(number))));
    }
    let lengths = [number.swap_bytes(), number];
    let length = lengths.into_iter().find_map(|n| u8::try_from(n).ok().filter(|n| *n <= 128))?;
    Some((length != 128).then_some(Mask::V6(length)))
}

/// A number that may end in `K`, `M`, `G` or `T`.
pub(super) fn counter(words: &mut Words<'_>) -> Result<Counter, Problem> {
    let what = "a count such as 12 or 12K";
    let text = words.need(what)?;
    let digits = text.trim_end_matches(['K', 'M', 'G', 'T']);
    let unit = match text.get(digits.len()..).unwrap_or_default() {
        "" => 1,
        "K" => 1_000,
        "M" => 1_000_000,
        "G" => 1_000_000_000,
        "T" => 1_000_000_000_000,
        _ => return Err(words.error(format!("not {what}"))),
    };
    let value = digits.parse::<u64>().ok().and_then(|n| n.checked_mul(unit));
    value.map(|value| Counter { value, unit }).ok_or_else(|| words.error(format!("not {what}")))
}

pub(super) fn counters(words: &mut Words<'_>) -> Result<Counters, Problem> {
    Ok(Counters {
        connections: counter(words)?,
        packets_in: counter(words)?,
        packets_out: counter(words)?,
        bytes_in: counter(words)?,
        bytes_out: counter(words)?,
    })
}

/// `ipip`, `gue:6080:+c`, `gre:-c`, `n/a`.
#[expect(clippy::option_option, reason = "outside: not understood; inside: not told")]
pub(super) fn tunnel(text: &str) -> Option<Option<Tunnel>> {
    let checksum = |text: &str| {
        Some(match text {
            "-c" => Checksum::Without,
            "+c" => Checksum::With,
            "r+c" => Checksum::Remote,
            _ => return None,
        })
    };
    let mut parts = text.splitn(3, ':');
    Some(Some(match (parts.next()?, parts.next(), parts.next()) {
        ("n/a", None, None) => return Some(None),
        ("ipip", None, None) => Tunnel::Ipip,
        ("gue", Some(port), Some(flags)) => Tunnel::Gue(decimal(port)?, checksum(flags)?),
        ("gre", Some(flags), None) => Tunnel::Gre(checksum(flags)?),
        _ => return None,
    }))
}
