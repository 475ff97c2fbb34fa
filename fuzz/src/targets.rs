//! The targets.

use netcore::{
    bird, cidr,
    cluster::resources,
    cni, conntrack, flannel, ipset, iptables, ipvs, kmod, kubeproxy, link, nft,
    ranges::{Facts, Given, sources},
    route, sysctl,
};
use plugin::{from::fuzzing, print::Template};
use serde_json::json;

use crate::Target;

/// All of them, in the order of their names.
pub const ALL: &[Target] = &[
    ("bird", |bytes| text(bytes, |text| drop(bird::parse(text)))),
    ("cidr_list", |bytes| text(bytes, cidr_list)),
    ("cni", |bytes| text(bytes, |text| drop(cni::parse_files(text, "10-x.conflist")))),
    ("conntrack", |bytes| text(bytes, |text| _ = conntrack::parse_use(text))),
    ("flagz", |bytes| text(bytes, |text| raw("/flagz", text))),
    ("ipset", |bytes| drop(ipset::parse(bytes))),
    ("iptables", |bytes| {
        let rules = iptables::Ruleset::parse(bytes.to_vec());
        drop(rules.check());
        drop(rules.print());
    }),
    ("ipvs", |bytes| text(bytes, |text| drop(ipvs::parse(text)))),
    ("json_spans", |bytes| _ = fuzzing::scan_json(bytes)),
    ("jsonpath", |bytes| text(bytes, jsonpath)),
    ("kube_proxy", |bytes| text(bytes, |text| drop(kubeproxy::parse(text)))),
    ("kubeadm", |bytes| text(bytes, kubeadm)),
    ("links", |bytes| text(bytes, links)),
    ("metrics", |bytes| text(bytes, |text| raw("/metrics", text))),
    ("modules", |bytes| text(bytes, |text| drop(kmod::parse(text)))),
    ("nft_json", |bytes| drop(nft::parse(bytes))),
    ("nft_text", |bytes| drop(nft::parse_text(bytes))),
    ("routes", |bytes| text(bytes, routes)),
    ("subnet_env", |bytes| text(bytes, subnet_env)),
    ("sysctls", |bytes| text(bytes, |text| drop(sysctl::parse(text)))),
    ("yaml_split", |bytes| _ = fuzzing::split_yaml(bytes)),
];

/// For what reads text, whose bytes were checked before it is called.
fn text(bytes: &[u8], read: impl FnOnce(&str)) {
    if let Ok(text) = std::str::from_utf8(bytes) {
        read(text);
    }
}

/// Lists of ranges as people and programs write them: what is read is canonical and reads back.
fn cidr_list(text: &str) {
    for written in cidr::parse_list(text).into_iter().flatten() {
        let range = written.cidr;
        assert_eq!(range.to_string().parse::<cidr::Cidr>().ok(), Some(range));
        assert!(range.contains_ip(range.first()) && range.contains_ip(range.last()));
    }
}

/// An answer of the API server that is no object, for every source of ranges.
fn raw(path: &str, text: &str) {
    let mut facts = Facts::default();
    for source in sources::ALL {
        source.take(Given::Raw(path, text), &mut facts);
        source.finish(&mut facts);
    }
}

/// Templates of `-o jsonpath`, read and applied to a small report.
fn jsonpath(text: &str) {
    // a template of nothing but wildcards and descents multiplies what it finds
    if text.len() > 256 {
        return;
    }
    let Ok(template) = Template::parse(text) else { return };
    let report = json!({"kind": "CidrReport", "dnsDomain": null, "ranges": [
        {"role": "pod", "cidr": "10.244.0.0/16", "used": 6, "percentUsed": 0.5, "sources": [{"source": "flagz"}]},
        {"role": "service", "cidr": "10.96.0.0/12", "used": null, "sources": []}]});
    drop(template.print(&report));
}

/// kubeadm's configuration inside of its ConfigMap.
fn kubeadm(text: &str) {
    let object = json!({"apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"namespace": "kube-system", "name": "kubeadm-config"}, "data": {"ClusterConfiguration": text}});
    let mut facts = Facts::default();
    for source in sources::ALL {
        source.take(Given::Object(&resources::CONFIGMAPS, &object), &mut facts);
    }
}

/// Links, neighbours and forwarding entries.
fn links(text: &str) {
    drop((link::parse_links(text), link::parse_neighbours(text), link::parse_fdb(text)));
}

/// Routes and addresses, as text and as JSON.
fn routes(text: &str) {
    drop((route::parse_routes(text), route::parse_addresses(text)));
}

/// flannel's subnet.env and net-conf.json.
fn subnet_env(text: &str) {
    drop((flannel::parse_subnet_env(text), flannel::parse_net_conf(text).ok()));
}
