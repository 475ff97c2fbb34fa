//! Reading ranges as people and programs write them: sloppy where Kubernetes is sloppy, and never
//! silent about it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::model::{Cidr, Family, IpRange};

/// What is odd about a prefix or address that could still be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Flaw {
    /// Host bits are set: `10.97.0.0/12` is `10.96.0.0/12`.
    HostBits,
    /// An octet or the prefix length has leading zeros: `010.0.0.0/8`.
    LeadingZeros,
    /// A v4 address written as v6: `::ffff:10.0.0.0/104`.
    MappedV4,
}

/// A prefix as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// The canonical prefix.
    pub cidr: Cidr,
    /// The text as found, trimmed.
    pub text: String,
    /// The addresses meant: the prefix's own, or the start–end range it is part of.
    pub range: IpRange,
    /// The per-node length of `10.244.0.0/16/24`.
    pub host_prefix: Option<u8>,
    /// What is odd, in the order above, each once.
    pub flaws: Vec<Flaw>,
}

/// Why a text is no range.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no address range: {reason}")]
pub struct CidrError {
    /// The offending text.
    pub text: String,
    /// What is wrong and what would be valid.
    pub reason: String,
}

impl CidrError {
    fn new(text: &str, reason: impl Into<String>) -> Self {
        Self { text: text.to_owned(), reason: reason.into() }
    }

    pub(crate) fn not_canonical(text: &str, flaw: Flaw, cidr: Cidr) -> Self {
        let what = match flaw {
            Flaw::HostBits => "host bits are set",
            Flaw::LeadingZeros => "leading zeros",
            Flaw::MappedV4 => "an IPv4 address written as IPv6",
        };
        Self::new(text, format!("{what}; write {cidr}"))
    }

    pub(crate) fn second_length(text: &str, cidr: Cidr) -> Self {
        Self::new(text, format!("a second prefix length; write {cidr}"))
    }
}

/// Reads one prefix, one bare address (a /32 or /128), or `CIDR/HOSTPREFIX`.
pub fn parse_cidr(text: &str) -> Result<Written, CidrError> {
    let text = text.trim();
    let mut parts = text.split('/');
    let address = parts.next().unwrap_or_default();
    let (ip, mut flaws) = parse_address(address).map_err(|e| CidrError::new(text, e.reason))?;
    let bits = Family::of(ip).bits();
    let (prefix, zeros) = match parts.next() {
        None => (bits, false),
        Some(length) => parse_length(text, length, bits)?,
    };
    let host_prefix = match parts.next() {
        None => None,
        Some(length) => {
            let (host, _) = parse_length(text, length, bits)?;
            if host < prefix {
                let reason = format!("the per-node prefix length /{host} is shorter than /{prefix}");
                return Err(CidrError::new(text, reason));
            }
            Some(host)
        }
    };
    if parts.next().is_some() {
        return Err(CidrError::new(text, "too many slashes; write ADDRESS/LENGTH"));
    }
    let cidr =
        Cidr::covering(ip, prefix).ok_or_else(|| CidrError::new(text, format!("the prefix length is above {bits}")))?;
    if cidr.first() != ip {
        flaws.push(Flaw::HostBits);
    }
    if zeros {
        flaws.push(Flaw::LeadingZeros);
    }
    flaws.sort_unstable();
    flaws.dedup();
    Ok(Written { cidr, text: text.to_owned(), range: cidr.into(), host_prefix, flaws })
}

fn parse_length(text: &str, length: &str, bits: u8) -> Result<(u8, bool), CidrError> {
    let digits = !length.is_empty() && length.bytes().all(|b| b.is_ascii_digit());
    let value = if digits { length.parse::<u8>().ok() } else { None };
    match value {
        Some(value) if value <= bits => Ok((value, length.len() > 1 && length.starts_with('0'))),
        _ => Err(CidrError::new(text, format!("the prefix length `{length}` is not a number from 0 to {bits}"))),
    }
}

/// Reads one address. Leading zeros are read as decimal, as Kubernetes' sloppy parsers do, and
/// reported; a v4-mapped v6 address stays v6 and is reported.
pub fn parse_ip(text: &str) -> Result<(IpAddr, Vec<Flaw>), CidrError> {
    parse_address(text.trim())
}

fn parse_address(text: &str) -> Result<(IpAddr, Vec<Flaw>), CidrError> {
    if text.contains(':') {
        let ip: Ipv6Addr =
            text.parse().map_err(|_| CidrError::new(text, "not an IPv6 address; fd00:10:244:: would be one"))?;
        let flaws = if ip.to_ipv4_mapped().is_some() { vec![Flaw::MappedV4] } else { Vec::new() };
        return Ok((IpAddr::V6(ip), flaws));
    }
    let not_v4 = || CidrError::new(text, "not an address; 10.244.0.0 or fd00:10:244:: would be one");
    let mut octets = [0u8; 4];
    let mut zeros = false;
    let mut count = 0;
    for part in text.split('.') {
        let digits = (1..=16).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit());
        let octet = octets.get_mut(count).filter(|_| digits).ok_or_else(not_v4)?;
        zeros |= part.len() > 1 && part.starts_with('0');
        let value = part.trim_start_matches('0');
        *octet = if value.is_empty() { 0 } else { value.parse().map_err(|_| not_v4())? };
        count += 1;
    }
    if count != 4 {
        return Err(not_v4());
    }
    let flaws = if zeros { vec![Flaw::LeadingZeros] } else { Vec::new() };
    Ok((IpAddr::V4(Ipv4Addr::from(octets)), flaws))
}

/// Reads a list separated by commas or blanks: prefixes, bare addresses, `start-end` and
/// `start..end` ranges, the last two also with blanks around the sign, as `MetalLB` takes them. A
/// range becomes its covering prefixes, each with the whole range beside it. One bad entry does not
/// spoil the others.
pub fn parse_list(text: &str) -> Vec<Result<Written, CidrError>> {
    text.split(',').flat_map(entries).flat_map(parse_entry).collect()
}

/// The entries between blanks; `a - b` stays one.
fn entries(part: &str) -> Vec<&str> {
    let opens = |word: &str| word.ends_with('-') || word.ends_with("..");
    let continues = |word: &str| word.starts_with('-') || word.starts_with("..");
    let mut found: Vec<(usize, usize)> = Vec::new();
    let mut open = false;
    for word in part.split_whitespace() {
        // both are slices of one text: their distance is the offset
        let start = word.as_ptr().addr() - part.as_ptr().addr();
        let end = start + word.len();
        match found.last_mut().filter(|_| open || continues(word)) {
            Some(entry) => entry.1 = end,
            None => found.push((start, end)),
        }
        open = opens(word);
    }
    found.into_iter().filter_map(|(start, end)| part.get(start..end)).collect()
}

fn parse_entry(entry: &str) -> Vec<Result<Written, CidrError>> {
    let ends = entry.split_once("..").or_else(|| entry.split_once('-'));
    let Some((first, last)) = ends else { return vec![parse_cidr(entry)] };
    let both = parse_ip(first).and_then(|(first, mut flaws)| {
        let (last, more) = parse_ip(last)?;
        flaws.extend(more);
        flaws.sort_unstable();
        flaws.dedup();
        let range = IpRange::new(first, last).ok_or_else(|| {
            CidrError::new(entry, "the last address comes before the first, or is of the other family")
        })?;
        Ok((range, flaws))
    });
    match both {
        Err(error) => vec![Err(CidrError::new(entry, error.reason))],
        Ok((range, flaws)) => super::cover(range)
            .into_iter()
            .map(|cidr| Ok(Written { cidr, text: entry.to_owned(), range, host_prefix: None, flaws: flaws.clone() }))
            .collect(),
    }
}
