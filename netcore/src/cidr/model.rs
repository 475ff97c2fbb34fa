//! The value types. Addresses are held as `u128` beside a family, so that one arithmetic serves
//! both and the families never mix.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    str::FromStr,
};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::parse::{CidrError, parse_cidr};

/// An address family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum Family {
    /// 32-bit addresses.
    #[serde(rename = "IPv4")]
    V4,
    /// 128-bit addresses.
    #[serde(rename = "IPv6")]
    V6,
}

impl Family {
    /// The address length in bits: 32 or 128.
    pub const fn bits(self) -> u8 {
        match self {
            Self::V4 => 32,
            Self::V6 => 128,
        }
    }

    /// The family of an address. A v4-mapped v6 address is v6.
    pub const fn of(ip: IpAddr) -> Self {
        match ip {
            IpAddr::V4(_) => Self::V4,
            IpAddr::V6(_) => Self::V6,
        }
    }

    /// The highest address, as a number.
    pub const fn max(self) -> u128 {
        match self {
            Self::V4 => u32::MAX as u128,
            Self::V6 => u128::MAX,
        }
    }

    /// The address that a number stands for; bits above the family's length are cut off.
    pub fn address(self, number: u128) -> IpAddr {
        match self {
            Self::V4 => {
                let [.., a, b, c, d] = number.to_be_bytes();
                IpAddr::V4(Ipv4Addr::new(a, b, c, d))
            }
            Self::V6 => IpAddr::V6(Ipv6Addr::from_bits(number)),
        }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V4 => "IPv4",
            Self::V6 => "IPv6",
        })
    }
}

/// The number that an address stands for.
pub(crate) fn number(ip: IpAddr) -> u128 {
    match ip {
        IpAddr::V4(ip) => u128::from(ip.to_bits()),
        IpAddr::V6(ip) => ip.to_bits(),
    }
}

/// A number of addresses, 0 to 2^128.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Count {
    // 2^128 does not fit: it is `u128::MAX` with `full` set, which sorts above every other value.
    low: u128,
    full: bool,
}

impl Count {
    /// No address.
    pub const ZERO: Self = Self { low: 0, full: false };
    /// Every IPv6 address.
    pub const ALL: Self = Self { low: u128::MAX, full: true };

    /// A count that fits 128 bits.
    pub const fn new(count: u128) -> Self {
        Self { low: count, full: false }
    }

    /// 2^bits addresses, `bits` 0 to 128.
    pub const fn power(bits: u8) -> Self {
        if bits >= 128 { Self::ALL } else { Self::new(1 << bits) }
    }

    /// The count, or nothing for 2^128.
    pub const fn get(self) -> Option<u128> {
        if self.full { None } else { Some(self.low) }
    }

    /// The count as a JSON number may carry it: nothing above 2^53-1.
    pub fn small(self) -> Option<u64> {
        self.get().and_then(|n| u64::try_from(n).ok()).filter(|n| *n < 1 << 53)
    }

    /// The count less `other`, zero at the least.
    #[must_use]
    pub fn less(self, other: u128) -> Self {
        match (self.full, other) {
            (true, 0) => self,
            (true, n) => Self::new(u128::MAX - n + 1),
            (false, n) => Self::new(self.low.saturating_sub(n)),
        }
    }

    /// The sum, 2^128 at the most.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        if self.full || other.full {
            return Self::ALL;
        }
        self.low.checked_add(other.low).map_or(Self::ALL, Self::new)
    }
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.full { f.write_str("340282366920938463463374607431768211456") } else { fmt::Display::fmt(&self.low, f) }
    }
}

/// A prefix without host bits: `10.244.0.0/16`. Sorts by family, then address, then the shorter
/// prefix first, so that a prefix comes right before those inside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cidr {
    family: Family,
    first: u128,
    prefix: u8,
}

impl Cidr {
    /// The prefix of `prefix` bits that holds `ip`; host bits are dropped. Nothing when the length
    /// is above the family's.
    pub fn covering(ip: IpAddr, prefix: u8) -> Option<Self> {
        let family = Family::of(ip);
        (prefix <= family.bits()).then(|| {
            let host = host_mask(family, prefix);
            Self { family, first: number(ip) & !host, prefix }
        })
    }

    /// The prefix of one address: /32 or /128.
    pub fn host(ip: IpAddr) -> Self {
        let family = Family::of(ip);
        Self { family, first: number(ip), prefix: family.bits() }
    }

    /// From numbers; the caller vouches that `first` has no host bits and `prefix` fits.
    pub(crate) fn from_parts(family: Family, first: u128, prefix: u8) -> Self {
        debug_assert!(prefix <= family.bits() && first & host_mask(family, prefix) == 0);
        Self { family, first, prefix }
    }

    /// The family.
    pub const fn family(&self) -> Family {
        self.family
    }

    /// The prefix length in bits.
    pub const fn prefix_len(&self) -> u8 {
        self.prefix
    }

    /// The host bits: the family's length less the prefix length.
    pub const fn host_bits(&self) -> u8 {
        self.family.bits() - self.prefix
    }

    /// The lowest address.
    pub fn first(&self) -> IpAddr {
        self.family.address(self.first)
    }

    /// The highest address.
    pub fn last(&self) -> IpAddr {
        self.family.address(self.last_number())
    }

    /// The lowest address as a number.
    pub const fn first_number(&self) -> u128 {
        self.first
    }

    /// The highest address as a number.
    pub const fn last_number(&self) -> u128 {
        self.first | host_mask(self.family, self.prefix)
    }

    /// The `n`th address from 0, where the prefix has so many.
    pub fn nth(&self, n: u128) -> Option<IpAddr> {
        (n <= host_mask(self.family, self.prefix)).then(|| self.family.address(self.first + n))
    }

    /// How many addresses: 2^host bits.
    pub const fn size(&self) -> Count {
        Count::power(self.host_bits())
    }

    /// Whether `ip` is inside.
    pub fn contains_ip(&self, ip: IpAddr) -> bool {
        Family::of(ip) == self.family && number(ip) & !host_mask(self.family, self.prefix) == self.first
    }

    /// Whether all of `other` is inside; a prefix contains itself.
    pub fn contains(&self, other: &Self) -> bool {
        self.family == other.family
            && self.prefix <= other.prefix
            && other.first & !host_mask(self.family, self.prefix) == self.first
    }

    /// Whether any address is in both.
    pub fn overlaps(&self, other: &Self) -> bool {
        self.contains(other) || other.contains(self)
    }
}

const fn host_mask(family: Family, prefix: u8) -> u128 {
    match family.bits() - prefix {
        128 => u128::MAX,
        bits => (1 << bits) - 1,
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}/{}", self.first(), self.prefix))
    }
}

impl FromStr for Cidr {
    type Err = CidrError;

    /// Strict: a canonical prefix, or one address, which is its /32 or /128. [`parse_cidr`] reads
    /// what people really write.
    fn from_str(text: &str) -> Result<Self, CidrError> {
        let written = parse_cidr(text)?;
        match (written.flaws.first(), written.host_prefix) {
            (None, None) => Ok(written.cidr),
            (None, Some(_)) => Err(CidrError::second_length(text, written.cidr)),
            (Some(flaw), _) => Err(CidrError::not_canonical(text, *flaw, written.cidr)),
        }
    }
}

impl Serialize for Cidr {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Cidr {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for Cidr {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Cidr".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({"type": "string", "description": "canonical prefix, e.g. 10.244.0.0/16"})
    }
}

/// Addresses from `first` to `last`, both included, of one family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IpRange {
    family: Family,
    first: u128,
    last: u128,
}

impl IpRange {
    /// Nothing when the families differ or `last` comes before `first`.
    pub fn new(first: IpAddr, last: IpAddr) -> Option<Self> {
        let family = Family::of(first);
        let (first, last) = (number(first), (Family::of(last), number(last)));
        (last.0 == family && first <= last.1).then_some(Self { family, first, last: last.1 })
    }

    /// From numbers; the caller vouches that `first` ≤ `last` and both fit the family.
    pub(crate) fn from_numbers(family: Family, first: u128, last: u128) -> Self {
        debug_assert!(first <= last && last <= family.max());
        Self { family, first, last }
    }

    /// The family.
    pub const fn family(&self) -> Family {
        self.family
    }

    /// The lowest address.
    pub fn first(&self) -> IpAddr {
        self.family.address(self.first)
    }

    /// The highest address.
    pub fn last(&self) -> IpAddr {
        self.family.address(self.last)
    }

    /// The lowest address as a number.
    pub const fn first_number(&self) -> u128 {
        self.first
    }

    /// The highest address as a number.
    pub const fn last_number(&self) -> u128 {
        self.last
    }

    /// Whether `ip` is inside.
    pub fn contains_ip(&self, ip: IpAddr) -> bool {
        Family::of(ip) == self.family && (self.first..=self.last).contains(&number(ip))
    }

    /// Whether all of `other` is inside; a range contains itself.
    pub fn contains(&self, other: &Self) -> bool {
        self.family == other.family && self.first <= other.first && other.last <= self.last
    }

    /// Whether any address is in both.
    pub fn overlaps(&self, other: &Self) -> bool {
        self.family == other.family && self.first <= other.last && other.first <= self.last
    }

    /// The addresses that are in both.
    pub fn intersection(&self, other: &Self) -> Option<Self> {
        self.overlaps(other).then(|| Self {
            family: self.family,
            first: self.first.max(other.first),
            last: self.last.min(other.last),
        })
    }

    /// The one prefix that has just these addresses, where there is one.
    pub fn as_cidr(&self) -> Option<Cidr> {
        let host_bits = match self.last - self.first {
            u128::MAX => 128,
            distance => u8::try_from((distance + 1).ilog2()).ok()?,
        };
        let prefix = self.family.bits().checked_sub(host_bits)?;
        Cidr::covering(self.first(), prefix).filter(|cidr| Self::from(*cidr) == *self)
    }

    /// How many addresses.
    pub fn size(&self) -> Count {
        Count::new(self.last - self.first).plus(Count::new(1))
    }
}

impl From<Cidr> for IpRange {
    fn from(cidr: Cidr) -> Self {
        Self { family: cidr.family, first: cidr.first, last: cidr.last_number() }
    }
}

impl From<&Cidr> for IpRange {
    fn from(cidr: &Cidr) -> Self {
        (*cidr).into()
    }
}

impl From<IpAddr> for IpRange {
    fn from(ip: IpAddr) -> Self {
        Self { family: Family::of(ip), first: number(ip), last: number(ip) }
    }
}

impl fmt::Display for IpRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.first(), self.last())
    }
}
