//! kube-proxy's names. In iptables mode a chain is a prefix and sixteen letters: the hash of the
//! Service's port with its protocol, and of an endpoint with that too; the same from 1.23 to 1.37. In
//! nftables mode eight letters of another hash stand before the readable name, which may be cut.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use data_encoding::BASE32;
use sha2::{Digest as _, Sha256};

use super::{Name, Names};
use crate::proxy::kernel::ServicePort;

const SERVICE_CHAINS: [&str; 5] = ["KUBE-SVC-", "KUBE-SVL-", "KUBE-EXT-", "KUBE-FW-", "KUBE-XLB-"];
const NFT_CHAINS: [&str; 4] = ["service-", "local-", "external-", "firewall-"];
const NFT_ENDPOINTS: [&str; 2] = ["endpoint-", "affinity-"];

fn letters(text: &str, count: usize) -> String {
    let mut letters = BASE32.encode(&Sha256::digest(text.as_bytes()));
    letters.truncate(count);
    letters
}

/// What follows `KUBE-SVC-`, `-SVL-`, `-EXT-`, `-FW-` and `-XLB-`.
pub fn service_hash(port: &ServicePort, protocol: &str) -> String {
    letters(&format!("{port}{}", protocol.to_lowercase()), 16)
}

/// What follows `KUBE-SEP-`.
pub fn endpoint_hash(port: &ServicePort, protocol: &str, address: IpAddr, number: u16) -> String {
    letters(&format!("{port}{}{}", protocol.to_lowercase(), SocketAddr::new(address, number)), 16)
}

/// What follows `service-`, `local-`, `external-` and `firewall-` in nftables mode.
pub fn nft_hash(port: &ServicePort, protocol: &str) -> String {
    let name = port.port.as_deref().unwrap_or_default();
    letters(&format!("{}/{}/{}/{name}", port.namespace, port.name, protocol.to_lowercase()), 8)
}

impl Names {
    /// Nothing for a name that kube-proxy does not give.
    pub(super) fn kube_proxy_chain(&self, chain: &str) -> Option<Vec<Name>> {
        if let Some(hash) = SERVICE_CHAINS.iter().find_map(|prefix| chain.strip_prefix(prefix)) {
            return Some(self.hashes.get(hash).map(|(port, _)| Name::Service(port.clone())).into_iter().collect());
        }
        if let Some(hash) = chain.strip_prefix("KUBE-SEP-") {
            let (port, end) = self.hashes.get(hash)?;
            let mut names = vec![Name::Service(port.clone())];
            names.extend(end.map(|(address, number)| self.end(address, Some(number))));
            return Some(names);
        }
        self.nft_name(chain)
    }

    /// `service-2QRHZV4L-default/kubernetes/tcp/https`,
    /// `endpoint-2ZNEQWPE-shop/web/tcp/http__10.244.0.11/8080`.
    fn nft_name(&self, chain: &str) -> Option<Vec<Name>> {
        let prefixes = || NFT_CHAINS.iter().chain(&NFT_ENDPOINTS);
        let (hash, rest) = prefixes().find_map(|prefix| chain.strip_prefix(prefix))?.split_once('-')?;
        let is_hash = hash.len() == 8 && hash.bytes().all(|byte| matches!(byte, b'A'..=b'Z' | b'2'..=b'7'));
        if !is_hash || !rest.contains('/') {
            return None;
        }
        let cut = rest.ends_with("...");
        let (service, end) = rest.split_once("__").map_or((rest, None), |(service, end)| (service, Some(end)));
        if cut && end.is_none() {
            return Some(self.hashes.get(hash).map(|(port, _)| Name::Service(port.clone())).into_iter().collect());
        }
        let mut names: Vec<Name> = nft_service(service).map(Name::Service).into_iter().collect();
        let socket = end.filter(|_| !cut).and_then(|end| end.rsplit_once('/'));
        if let Some((address, number)) = socket.and_then(|(address, port)| Some((nft_address(address)?, port))) {
            names.push(self.end(address, number.parse().ok()));
        }
        Some(names)
    }

    pub(super) fn kube_proxy_set(&self, set: &str) -> Option<Vec<Name>> {
        if set.starts_with("affinity-") {
            return self.nft_name(set);
        }
        let words = match set.replacen("KUBE-6-", "KUBE-", 1).as_str() {
            "KUBE-CLUSTER-IP" => "Services' cluster addresses",
            "KUBE-EXTERNAL-IP" => "Services' external addresses",
            "KUBE-EXTERNAL-IP-LOCAL" => "external addresses of Services with local traffic only",
            "KUBE-LOAD-BALANCER" => "Services' load balancer addresses",
            "KUBE-LOAD-BALANCER-LOCAL" => "load balancer addresses of Services with local traffic only",
            "KUBE-LOAD-BALANCER-FW" => "load balancer addresses with source ranges",
            "KUBE-LOAD-BALANCER-SOURCE-IP" | "KUBE-LOAD-BALANCER-SOURCE-CIDR" => "load balancers' source ranges",
            "KUBE-LOOP-BACK" => "endpoints that may reach themselves through their Service",
            "KUBE-IPVS-IPS" => "every Service address",
            "KUBE-HEALTH-CHECK-NODE-PORT" => "health check node ports",
            other if other.starts_with("KUBE-NODE-PORT-LOCAL") => "node ports of Services with local traffic only",
            other if other.starts_with("KUBE-NODE-PORT") => "node ports",
            "service-ips" => "Services' addresses",
            "service-nodeports" => "Services' node ports",
            "cluster-ips" => "Services' cluster addresses",
            "nodeport-ips" => "addresses that take node ports",
            "no-endpoint-services" => "Services without endpoints",
            "no-endpoint-nodeports" => "node ports of Services without endpoints",
            "firewall-ips" => "load balancer addresses with source ranges",
            "hairpin-connections" => "endpoints that may reach themselves through their Service",
            _ => return None,
        };
        Some(vec![Name::Words(words)])
    }
}

/// `shop/web/tcp/http`.
fn nft_service(text: &str) -> Option<ServicePort> {
    let mut parts = text.split('/');
    let (namespace, name, _protocol, port) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let whole = parts.next().is_none() && !namespace.is_empty() && !name.is_empty();
    let port = (!port.is_empty()).then(|| port.to_owned());
    whole.then(|| ServicePort { namespace: namespace.to_owned(), name: name.to_owned(), port })
}

/// A chain's name has dots where an IPv6 address has colons.
fn nft_address(text: &str) -> Option<IpAddr> {
    let v6 = || text.replace('.', ":").parse::<Ipv6Addr>().ok().map(IpAddr::V6);
    text.parse().ok().or_else(v6)
}
