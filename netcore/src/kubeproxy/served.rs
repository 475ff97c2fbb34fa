//! The addresses that a node's kernel serves for kube-proxy, out of whatever kube-proxy keeps there:
//! rules of iptables, a table of nftables, virtual servers of IPVS.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use crate::{
    iptables::{self, Match, Rule, Verdict},
    ipvs::{IpvsTable, VirtualAddress},
    nft::{self, KubeProxyTable},
};

/// `ClusterIP`s in kube-proxy's rules: destinations of rules of KUBE-SERVICES that lead to a Service's own
/// chain. Older releases have such a rule for external addresses too, and say so in its comment.
pub fn in_rules(rules: &iptables::Ruleset) -> BTreeSet<IpAddr> {
    let tables = rules.tables().filter(|table| table.name() == Some("nat"));
    let entries = tables.filter_map(|table| table.chain("KUBE-SERVICES"));
    entries.flat_map(|chain| chain.rules()).filter_map(|rule| cluster_ip(&rule)).collect()
}

fn cluster_ip(rule: &Rule<'_>) -> Option<IpAddr> {
    let target = match rule.verdict() {
        Verdict::Chain(jump) => jump.chain.name(),
        Verdict::Target(name) => name,
        Verdict::None => return None,
    };
    if !target.starts_with("KUBE-SVC-") && !target.starts_with("KUBE-SVL-") {
        return None;
    }
    if rule.comments().any(|words| words.ends_with("external IP") || words.ends_with("loadbalancer IP")) {
        return None;
    }
    rule.matches().find_map(|part| match part {
        Match::Destination(to) if !to.negated && to.value.prefix() == Some(to.value.family().bits()) => {
            Some(to.value.ip)
        }
        _ => None,
    })
}

/// `ClusterIP`s in kube-proxy's nftables tables of either family: the set `cluster-ips`, and for a release
/// without it the entries of `service-ips` that lead to a Service's own chain.
pub fn in_tables(rules: &nft::Ruleset<'_>) -> BTreeSet<IpAddr> {
    let mut found = BTreeSet::new();
    for family in [nft::Family::Ip, nft::Family::Ip6] {
        let Some(table) = KubeProxyTable::of(rules, family) else { continue };
        if let Some(addresses) = table.cluster_ips {
            found.extend(addresses);
            continue;
        }
        for entry in table.service_ips.into_iter().flatten() {
            let own = entry.verdict.target().is_some_and(|chain| chain.starts_with("service-"));
            found.extend(entry.address.filter(|_| own));
        }
    }
    found
}

/// Addresses of IPVS' virtual servers, each with its ports: `ClusterIP`s, external addresses and the node's
/// own for node ports. Firewall marks have none.
pub fn in_virtual_servers(table: &IpvsTable) -> BTreeMap<IpAddr, BTreeSet<u16>> {
    let mut found: BTreeMap<IpAddr, BTreeSet<u16>> = BTreeMap::new();
    for service in &table.services {
        if let VirtualAddress::Socket(_, endpoint) = &service.address {
            found.entry(endpoint.address).or_default().insert(endpoint.port);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(found: BTreeSet<IpAddr>) -> Vec<String> {
        found.into_iter().map(|ip| ip.to_string()).collect()
    }

    #[test]
    fn rules_of_one_chain_count_and_outside_addresses_do_not() {
        let text = "*nat\n:KUBE-SERVICES - [0:0]\n:KUBE-SVC-A - [0:0]\n:KUBE-EXT-A - [0:0]\n\
            -A KUBE-SERVICES -d 10.96.0.1/32 -p tcp -m comment --comment \"default/kubernetes:https cluster IP\" -m tcp --dport 443 -j KUBE-SVC-A\n\
            -A KUBE-SERVICES -d 203.0.113.1/32 -p tcp -m comment --comment \"a/b external IP\" -j KUBE-SVC-A\n\
            -A KUBE-SERVICES -d 203.0.113.2/32 -p tcp -j KUBE-EXT-A\n\
            -A KUBE-SERVICES ! -d 10.0.0.0/8 -j KUBE-SVC-A\n-A KUBE-SERVICES -d 10.0.0.0/8 -j KUBE-SVC-A\n\
            -A KUBE-SERVICES -d 10.96.0.9/32 -m comment --comment \"x -j KUBE-SVC-A\" -j ACCEPT\n\
            -A OTHER -d 10.96.0.77/32 -j KUBE-SVC-A\nCOMMIT\n*filter\n-A KUBE-SERVICES -d 10.96.0.8/32 -j KUBE-SVC-A\nCOMMIT\n";
        assert_eq!(addresses(in_rules(&iptables::Ruleset::parse(text))), ["10.96.0.1"]);
        let listed = "[3:180] -A KUBE-SERVICES -d fd00::a/128 -p udp -m udp --dport 53 -j KUBE-SVL-X\n";
        assert_eq!(addresses(in_rules(&iptables::Ruleset::parse(format!("*nat\n{listed}COMMIT\n")))), ["fd00::a"]);
    }

    fn table(set: &str) -> String {
        format!(
            "{{\"nftables\": [{{\"table\": {{\"family\": \"ip\", \"name\": \"kube-proxy\", \"handle\": 1}}}}, \
             {set} {{\"map\": {{\"family\": \"ip\", \"name\": \"service-ips\", \"table\": \"kube-proxy\", \
             \"type\": [\"ipv4_addr\", \"inet_proto\", \"inet_service\"], \"handle\": 2, \"map\": \"verdict\", \"elem\": [\
             [{{\"concat\": [\"10.96.0.10\", \"udp\", 53]}}, {{\"goto\": {{\"target\": \"service-A-kube-system/kube-dns/udp/dns\"}}}}], \
             [{{\"concat\": [\"203.0.113.7\", \"tcp\", 80]}}, {{\"goto\": {{\"target\": \"external-B-a/b/tcp/\"}}}}]]}}}}]}}"
        )
    }

    #[test]
    fn a_table_says_which_addresses_are_clusterips() {
        let set = "{\"set\": {\"family\": \"ip\", \"name\": \"cluster-ips\", \"table\": \"kube-proxy\", \"type\": \"ipv4_addr\", \
            \"handle\": 3, \"elem\": [\"10.96.0.1\", \"10.96.0.10\", \"10.96.3.3\"]}},";
        let text = table(set);
        assert_eq!(addresses(in_tables(&nft::parse(text.as_bytes()))), ["10.96.0.1", "10.96.0.10", "10.96.3.3"]);
        let text = table("");
        assert_eq!(addresses(in_tables(&nft::parse(text.as_bytes()))), ["10.96.0.10"]);
        assert!(in_tables(&nft::parse(b"{\"nftables\": []}")).is_empty());
    }

    #[test]
    fn virtual_servers_have_their_ports() {
        let (table, problems) =
            crate::ipvs::parse("-A -t 10.96.0.1:443 -s rr\n-A -u 10.96.0.1:53 -s rr\n-A -f 7 -s rr\n");
        assert!(problems.is_empty());
        let found = in_virtual_servers(&table);
        assert_eq!(found.len(), 1);
        assert_eq!(found["10.96.0.1".parse::<IpAddr>().as_ref().unwrap()], BTreeSet::from([53, 443]));
    }
}
