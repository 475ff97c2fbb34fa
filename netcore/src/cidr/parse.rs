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

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(text: &str) -> String {
        parse_cidr(text).unwrap_err().reason
    }

    #[test]
    fn what_people_write_is_read_and_its_oddities_told() {
        use Flaw::{HostBits, LeadingZeros, MappedV4};
        for (text, cidr, flaws) in [
            ("10.244.0.0/16", "10.244.0.0/16", vec![]),
            (" 10.244.0.0/16\n", "10.244.0.0/16", vec![]),
            ("10.97.0.0/12", "10.96.0.0/12", vec![HostBits]),
            ("010.0.0.0/8", "10.0.0.0/8", vec![LeadingZeros]),
            ("10.0.0.0/08", "10.0.0.0/8", vec![LeadingZeros]),
            ("010.00.0.5/024", "10.0.0.0/24", vec![HostBits, LeadingZeros]),
            ("::ffff:10.0.0.0/104", "::ffff:10.0.0.0/104", vec![MappedV4]),
            ("::ffff:10.0.0.1/104", "::ffff:10.0.0.0/104", vec![HostBits, MappedV4]),
            ("FD00:10:0244:0::/56", "fd00:10:244::/56", vec![]),
            ("10.0.0.1", "10.0.0.1/32", vec![]),
            ("fd00::1", "fd00::1/128", vec![]),
            ("0.0.0.0/0", "0.0.0.0/0", vec![]),
            ("::/0", "::/0", vec![]),
        ] {
            let written = parse_cidr(text).unwrap();
            assert_eq!((written.cidr.to_string(), written.flaws), (cidr.to_owned(), flaws), "{text}");
            assert_eq!(written.text, text.trim());
        }
    }

    #[test]
    fn the_per_node_length_stands_behind_the_range() {
        let written = parse_cidr("10.128.0.0/14/23").unwrap();
        assert_eq!((written.cidr.to_string().as_str(), written.host_prefix), ("10.128.0.0/14", Some(23)));
        assert_eq!(reason("10.128.0.0/14/12"), "the per-node prefix length /12 is shorter than /14");
        assert_eq!(reason("10.128.0.0/14/23/1"), "too many slashes; write ADDRESS/LENGTH");
    }

    #[test]
    fn what_is_no_range_is_refused_with_what_would_be() {
        let length = "the prefix length `33` is not a number from 0 to 32";
        assert_eq!(reason("10.0.0.0/33"), length);
        assert_eq!(
            parse_cidr("10.0.0.0/33").unwrap_err().to_string(),
            format!("`10.0.0.0/33` is no address range: {length}")
        );
        for text in [
            "",
            "/",
            "10.0.0.0/",
            "10.0.0.0/-1",
            "10.0.0.0/+8",
            "10.0.0.0/8a",
            "10.0.0.0 /8",
            "10.0.0.0/ 8",
            "10.0.0/8",
            "10.0.0.0.0/8",
            "10.0.0.256/8",
            "10.0.0.x/8",
            "10..0.0/8",
            "fd00::/129",
            "fd00:/8",
            "fe80::1%eth0/64",
            "1000.0.0.0/8",
            "10.0.0.0/300",
            "<nil>",
            "１０.0.0.0/8",
        ] {
            assert!(parse_cidr(text).is_err(), "{text}");
        }
    }

    #[test]
    fn strict_reading_names_the_flaw_and_the_right_form() {
        let strict = |text: &str| text.parse::<Cidr>().map_err(|e| e.reason);
        assert_eq!(strict("10.96.0.0/12").unwrap().to_string(), "10.96.0.0/12");
        assert_eq!(strict("10.97.0.0/12").unwrap_err(), "host bits are set; write 10.96.0.0/12");
        assert_eq!(strict("010.0.0.0/8").unwrap_err(), "leading zeros; write 10.0.0.0/8");
        assert_eq!(
            strict("::ffff:a00:0/104").unwrap_err(),
            "an IPv4 address written as IPv6; write ::ffff:10.0.0.0/104"
        );
        assert_eq!(strict("10.128.0.0/14/23").unwrap_err(), "a second prefix length; write 10.128.0.0/14");
    }

    #[test]
    fn lists_hold_prefixes_addresses_and_start_end_ranges() {
        let read = |text: &str| -> Vec<String> {
            parse_list(text)
                .into_iter()
                .map(|entry| match entry {
                    Ok(w) if w.range == w.cidr.into() => w.cidr.to_string(),
                    Ok(w) => format!("{} of {}", w.cidr, w.text),
                    Err(error) => format!("! {}", error.text),
                })
                .collect()
        };
        assert_eq!(read("10.0.0.0/24,fd00::/64"), ["10.0.0.0/24", "fd00::/64"]);
        assert_eq!(read(" 10.0.0.0/24 ,\tfd00::1\n"), ["10.0.0.0/24", "fd00::1/128"]);
        assert_eq!(read("10.0.0.4-10.0.0.9"), ["10.0.0.4/30 of 10.0.0.4-10.0.0.9", "10.0.0.8/31 of 10.0.0.4-10.0.0.9"]);
        assert_eq!(read("10.0.0.0..10.0.0.255"), ["10.0.0.0/24"]);
        for text in ["10.0.0.4 - 10.0.0.6", "10.0.0.4- 10.0.0.6", "10.0.0.4 -10.0.0.6", "10.0.0.4 .. 10.0.0.6"] {
            assert_eq!(read(text), [format!("10.0.0.4/31 of {text}"), format!("10.0.0.6/32 of {text}")]);
        }
        assert_eq!(
            read("fd00::1-fd00::2 10.0.0.0/8"),
            ["fd00::1/128 of fd00::1-fd00::2", "fd00::2/128 of fd00::1-fd00::2", "10.0.0.0/8"]
        );
        assert_eq!(
            read("10.0.0.9-10.0.0.4,10.0.0.1-fd00::1,nonsense,10.0.0.0/8,-"),
            ["! 10.0.0.9-10.0.0.4", "! 10.0.0.1-fd00::1", "! nonsense", "10.0.0.0/8", "! -"]
        );
        assert_eq!(read(""), [""; 0]);
        assert_eq!(read(" , ,"), [""; 0]);
    }

    #[test]
    fn a_bad_entry_in_a_list_does_not_spoil_the_rest() {
        let read = parse_list("10.0.0.0/8,10.0.0.0/99,10.1.0.0/16");
        assert_eq!(read.iter().filter(|entry| entry.is_ok()).count(), 2);
    }
}
