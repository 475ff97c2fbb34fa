//! A node's state as packets meet it, and what they pass there.

use std::collections::BTreeSet;

use netcore::{
    cidr::Family,
    compare::{Walked, walk},
    ipset,
    iptables::Backend,
    ipvs::IpvsTable,
    nft,
    packet::{Network, Node, NodeState, Part},
    probe::Probe,
    route, sysctl,
};

use crate::{kernel::Kernel, named::Objects};

/// The rules that packets from the node's pods to every Service pass.
pub(crate) fn walked(kernel: &Kernel, node: Option<&str>, objects: &Objects, servers: &IpvsTable) -> Walked {
    let unknown = |reason: &str| Walked { unknown: Some(reason.to_owned()), ..Walked::default() };
    let Some(name) = node else { return unknown("the files do not name the node, so its pods are not known") };
    let pods = objects.pods.get(name).map_or(&[][..], Vec::as_slice);
    if objects.fronts.is_empty() {
        return unknown("no Service was read");
    }
    if pods.is_empty() {
        return unknown("no pod with an address of its own is known on the node");
    }
    let texts = |probe: Probe| kernel.around.iter().filter(move |(of, _)| *of == probe).map(|(_, text)| text.as_str());
    let routes: Vec<route::Route> = texts(Probe::Routes).flat_map(|text| route::parse_routes(text).0).collect();
    let rules: Vec<route::Rule> = texts(Probe::Rules).flat_map(|text| route::parse_rules(text).0).collect();
    let interfaces: Vec<route::Interface> =
        texts(Probe::Addresses).flat_map(|text| route::parse_addresses(text).0).collect();
    let settings = texts(Probe::Sysctls).next().map(|text| sysctl::parse(text).0);
    let ruleset = kernel.nft.as_ref().map(|text| nft::parse(text.as_bytes()));
    let sets = kernel.ipset.as_ref().map(|text| ipset::parse(text.as_bytes()));
    let absent = |probe: Probe| kernel.absent.contains(&probe);
    let without = [
        (Probe::IptablesSave, Family::V4, Backend::Nft),
        (Probe::Ip6tablesSave, Family::V6, Backend::Nft),
        (Probe::IptablesLegacySave, Family::V4, Backend::Legacy),
        (Probe::Ip6tablesLegacySave, Family::V6, Backend::Legacy),
    ];
    let known = |is_there: bool| is_there.then_some(());
    let others = objects.nodes.iter().filter(|(other, _)| *other != name).flat_map(|(_, addresses)| addresses);
    let state = NodeState {
        name: name.to_owned(),
        iptables: dumps(kernel),
        without: without
            .iter()
            .filter(|(probe, ..)| absent(*probe))
            .map(|(_, family, with)| (*family, *with))
            .collect(),
        nft: ruleset.as_ref().map_or(part(absent(Probe::NftRuleset)), Part::Known),
        sets: sets.as_ref().map_or(part(absent(Probe::IpsetSave)), Part::Known),
        ipvs: known(!kernel.ipvs.is_empty()).map_or(part(absent(Probe::IpvsTable)), |()| Part::Known(servers)),
        routes: known(!routes.is_empty()).map_or(Part::Unread, |()| Part::Known(routes.as_slice())),
        rules: known(!rules.is_empty()).map_or(Part::Unread, |()| Part::Known(rules.as_slice())),
        interfaces: known(!interfaces.is_empty()).map_or(Part::Unread, |()| Part::Known(interfaces.as_slice())),
        settings: settings.as_ref().map_or(Part::Unread, Part::Known),
        own_addresses: objects.nodes.get(name).into_iter().flatten().copied().collect(),
        foreign_addresses: objects.pods.values().flatten().chain(others).copied().collect::<BTreeSet<_>>(),
        ..NodeState::default()
    };
    let network = Network::new(vec![Node::new(&state)]);
    walk(&network, pods, &objects.fronts)
}

/// The texts that count: each that has a table which does.
fn dumps(kernel: &Kernel) -> Vec<(Family, Backend, &netcore::iptables::Ruleset)> {
    let mut files: Vec<&str> = Vec::new();
    for seen in kernel.dumps.tables() {
        if !files.contains(&seen.file) {
            files.push(seen.file);
        }
    }
    let counted = kernel.dumps.texts.iter().filter(|text| files.contains(&text.file.as_str()));
    counted
        .filter_map(|text| {
            let dump = text.rules.dumps().next()?;
            let (family, backend) = match text.probe {
                Probe::IptablesSave => (Family::V4, Backend::Nft),
                Probe::Ip6tablesSave => (Family::V6, Backend::Nft),
                Probe::IptablesLegacySave => (Family::V4, Backend::Legacy),
                Probe::Ip6tablesLegacySave => (Family::V6, Backend::Legacy),
                _ => return None,
            };
            Some((dump.family().unwrap_or(family), dump.backend().unwrap_or(backend), &text.rules))
        })
        .collect()
}

const fn part<T>(is_absent: bool) -> Part<T> {
    if is_absent { Part::Absent } else { Part::Unread }
}
