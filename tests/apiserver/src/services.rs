//! Creating a Service with `dryRun=All`, as each release of Kubernetes answers it.

use std::net::IpAddr;

use http::StatusCode;
use serde_json::{Value, json};

use crate::reply::{self, Reply};

/// What a release says to an address outside of the service range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Allocator {
    /// 1.8 to 1.19: one range, `clusterIP`.
    Until19,
    /// 1.20 and 1.21: a sentence of its own.
    Until21,
    /// 1.22 to 1.26.
    Until26,
    /// 1.27 to 1.32: the last of the bitmap.
    Until32,
    /// 1.33 and later: several ranges, of which a dry run asks any one.
    Several,
    /// The same without the range in the text.
    Stripped,
}

impl Allocator {
    /// What a release has by default.
    pub const fn of(minor: u32) -> Self {
        match minor {
            0..=19 => Self::Until19,
            20..=21 => Self::Until21,
            22..=26 => Self::Until26,
            27..=32 => Self::Until32,
            _ => Self::Several,
        }
    }

    fn not_in_range(self, address: IpAddr, range: &Range) -> String {
        let range = &range.text;
        match self {
            Self::Until19 => format!("provided IP is not in the valid range. The range of valid IPs is {range}"),
            Self::Until21 => format!(
                "failed to allocated ip:{address} with error:provided IP is not in the valid range. \
                 The range of valid IPs is {range}"
            ),
            Self::Until26 => format!(
                "failed to allocate IP {address}: provided IP is not in the valid range. \
                 The range of valid IPs is {range}"
            ),
            Self::Until32 | Self::Several => format!(
                "failed to allocate IP {address}: the provided IP ({address}) is not in the valid range. \
                 The range of valid IPs is {range}"
            ),
            Self::Stripped => {
                format!("failed to allocate IP {address}: the provided IP ({address}) is not in the valid range")
            }
        }
    }

    /// How the refused value is shown: text, Go's syntax, JSON.
    fn invalid(self, addresses: &[String]) -> (&'static str, String) {
        let quoted: Vec<String> = addresses.iter().map(|address| format!("{address:?}")).collect();
        match self {
            Self::Until19 => ("spec.clusterIP", quoted.first().cloned().unwrap_or_default()),
            Self::Until21 | Self::Until26 | Self::Until32 => {
                ("spec.clusterIPs", format!("[]string{{{}}}", quoted.join(", ")))
            }
            Self::Several | Self::Stripped => ("spec.clusterIPs", format!("[{}]", quoted.join(","))),
        }
    }
}

/// A service range.
#[derive(Clone, Debug)]
struct Range {
    text: String,
    ipv6: bool,
    base: u128,
    last: u128,
}

impl Range {
    fn parse(text: &str) -> Self {
        let (address, length) = text.split_once('/').unwrap_or_else(|| panic!("{text}: a range has a /length"));
        let length: u32 = length.parse().unwrap_or_else(|_| panic!("{text}: a length is a number"));
        let address: IpAddr = address.parse().unwrap_or_else(|_| panic!("{text}: no address"));
        let (ipv6, number, width) = number(address);
        let host = if length == 0 && width == 128 { u128::MAX } else { (1_u128 << (width - length)) - 1 };
        let base = number & !host;
        Self { text: text.to_owned(), ipv6, base, last: base | host }
    }

    /// Kubernetes never gives out the first address, nor the last of IPv4.
    fn allows(&self, address: u128) -> bool {
        address > self.base && address <= if self.ipv6 { self.last } else { self.last - 1 }
    }

    fn base_text(&self) -> String {
        address_text(self.ipv6, self.base)
    }

    fn first_text(&self) -> String {
        address_text(self.ipv6, self.base + 1)
    }
}

fn address_text(ipv6: bool, number: u128) -> String {
    if ipv6 {
        std::net::Ipv6Addr::from(number).to_string()
    } else {
        std::net::Ipv4Addr::from(u32::try_from(number).unwrap_or_default()).to_string()
    }
}

fn number(address: IpAddr) -> (bool, u128, u32) {
    match address {
        IpAddr::V4(address) => (false, u128::from(u32::from(address)), 32),
        IpAddr::V6(address) => (true, u128::from(address), 128),
    }
}

/// The first address of each range: where the `kubernetes` Service is.
pub(crate) fn first_addresses(ranges: &[String]) -> Vec<String> {
    ranges.iter().map(|text| Range::parse(text).first_text()).collect()
}

/// Answers a create. `pick` chooses one of several ranges.
pub(crate) fn create(
    allocator: Allocator,
    ranges: &[String],
    dry_run: bool,
    mut service: Value,
    namespace: &str,
    mut pick: impl FnMut(usize) -> usize,
) -> Reply {
    let ranges: Vec<Range> = ranges.iter().map(|text| Range::parse(text)).collect();
    let name = service["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    let addresses = asked_for(&service);
    let families = match families(&service, &addresses, &ranges, allocator) {
        Ok(families) => families,
        Err((field, value, text)) => return invalid(&name, &field, &value, &text),
    };
    let mut given = Vec::new();
    for (index, ipv6) in families.iter().enumerate() {
        let family: Vec<&Range> = ranges.iter().filter(|range| range.ipv6 == *ipv6).collect();
        let range = family[pick(family.len()) % family.len()];
        let Some(asked) = addresses.get(index) else {
            given.push(range.base_text());
            continue;
        };
        let Ok(address) = asked.parse::<IpAddr>() else {
            return invalid(&name, "spec.clusterIPs[0]", &format!("{asked:?}"), "must be a valid IP address");
        };
        let inside = |range: &&Range| range.allows(number(address).1);
        let (field, value) = allocator.invalid(&addresses);
        let several = matches!(allocator, Allocator::Several | Allocator::Stripped);
        if several && !dry_run {
            if !family.iter().any(inside) {
                let text =
                    format!("failed to allocate IP {address}: the provided network does not match the current range");
                return invalid(&name, field, &value, &text);
            }
        } else if !inside(&range) {
            return invalid(&name, field, &value, &allocator.not_in_range(address, range));
        }
        given.push(address.to_string());
    }
    let spec = &mut service["spec"];
    spec["clusterIP"] = json!(given.first());
    spec["clusterIPs"] = json!(given);
    spec["ipFamilies"] = json!(families.iter().map(|ipv6| family_name(*ipv6)).collect::<Vec<_>>());
    for (field, value) in [
        ("ipFamilyPolicy", "SingleStack"),
        ("type", "ClusterIP"),
        ("sessionAffinity", "None"),
        ("internalTrafficPolicy", "Cluster"),
    ] {
        if spec[field].is_null() {
            spec[field] = json!(value);
        }
    }
    service["kind"] = json!("Service");
    service["apiVersion"] = json!("v1");
    service["status"] = json!({"loadBalancer": {}});
    let meta = &mut service["metadata"];
    meta["namespace"] = json!(namespace);
    meta["uid"] = json!("00000000-0000-4000-8000-00000000d17d");
    meta["creationTimestamp"] = json!("2026-01-01T00:00:00Z");
    reply::json(StatusCode::CREATED, &service)
}

fn asked_for(service: &Value) -> Vec<String> {
    let listed: Vec<String> = service["spec"]["clusterIPs"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect();
    if listed.is_empty() {
        return service["spec"]["clusterIP"]
            .as_str()
            .filter(|ip| !ip.is_empty())
            .map(str::to_owned)
            .into_iter()
            .collect();
    }
    listed
}

fn family_name(ipv6: bool) -> &'static str {
    if ipv6 { "IPv6" } else { "IPv4" }
}

/// The families that the Service gets (true: IPv6), or field, value and text of the refusal.
fn families(
    service: &Value,
    addresses: &[String],
    ranges: &[Range],
    allocator: Allocator,
) -> Result<Vec<bool>, (String, String, String)> {
    let has = |ipv6: bool| ranges.iter().any(|range| range.ipv6 == ipv6);
    let policy = service["spec"]["ipFamilyPolicy"].as_str().unwrap_or("SingleStack");
    let mut families: Vec<bool> = service["spec"]["ipFamilies"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|family| family.as_str() == Some("IPv6"))
        .collect();
    for (index, address) in addresses.iter().enumerate().skip(families.len()) {
        let ipv6 = address.contains(':');
        if !has(ipv6) {
            let (_, value) = allocator.invalid(addresses);
            let text = format!("{} is not configured on this cluster", family_name(ipv6));
            return Err((format!("spec.clusterIPs[{index}]"), value, text));
        }
        families.push(ipv6);
    }
    for (index, ipv6) in families.iter().enumerate() {
        if !has(*ipv6) {
            let value = format!("{:?}", family_name(*ipv6));
            return Err((format!("spec.ipFamilies[{index}]"), value, "not configured on this cluster".to_owned()));
        }
    }
    if policy == "RequireDualStack" && !(has(false) && has(true)) {
        let text = "this cluster is not configured for dual-stack services";
        return Err(("spec.ipFamilyPolicy".to_owned(), format!("{policy:?}"), text.to_owned()));
    }
    if families.is_empty() {
        families.push(ranges.first().is_some_and(|range| range.ipv6));
    }
    let other = families.first().is_none_or(|ipv6| !ipv6);
    if policy != "SingleStack" && families.len() == 1 && has(other) {
        families.push(other);
    }
    Ok(families)
}

fn invalid(name: &str, field: &str, value: &str, text: &str) -> Reply {
    let cause = format!("Invalid value: {value}: {text}");
    reply::failure(
        422,
        "Invalid",
        &format!("Service {name:?} is invalid: {field}: {cause}"),
        Some(json!({
            "name": name, "kind": "Service",
            "causes": [{"reason": "FieldValueInvalid", "message": cause, "field": field}],
        })),
    )
}
