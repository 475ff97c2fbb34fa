//! flannel: `net-conf.json` in its ConfigMap, `subnet.env` on each node.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Ipam, object, object::ConfigMap};
use crate::{
    cidr::{Cidr, parse_cidr},
    cluster::{ReadStatus, resources},
    finding::Unreadable,
    flannel::{NetConf, SubnetEnv, parse_net_conf, parse_subnet_env},
    probe::Probe,
    ranges::{Confidence, Facts, Given, Origin, RangeFact, Role, Source, Want},
    text::scalar,
};

/// A `net-conf.json` and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlannelConf {
    /// What it says.
    pub conf: NetConf,
    /// The networks that are switched on.
    pub networks: Vec<Cidr>,
    /// Where.
    pub origin: Origin,
}

/// A node's `subnet.env`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeSubnetEnv {
    /// What it says.
    pub env: SubnetEnv,
    /// `FLANNEL_NETWORK` and `FLANNEL_IPV6_NETWORK`.
    pub networks: Vec<Cidr>,
    /// `FLANNEL_SUBNET` and `FLANNEL_IPV6_SUBNET`: written as the bridge's address, here the prefix.
    pub subnets: Vec<Cidr>,
    /// The file.
    pub file: String,
}

/// flannel.
pub(super) struct Flannel;

const NAME: &str = "flannel";
const ENV: &str = "subnet.env";
const KEY: &str = "net-conf.json";
/// flannel since 0.20, flannel before, canal. Asked for where DaemonSets cannot be read.
const USUAL: [(&str, &str); 3] =
    [("kube-flannel", "kube-flannel-cfg"), ("kube-system", "kube-flannel-cfg"), ("kube-system", "canal-config")];
const PROGRAMS: [&str; 2] = ["flanneld", "kube-flannel"];

impl Source for Flannel {
    fn name(&self) -> &'static str {
        NAME
    }

    fn wants(&self, facts: &Facts) -> Vec<Want> {
        let mut wants = vec![Want::list(&resources::DAEMONSETS), Want::Node(Probe::FlannelSubnetEnv)];
        if !matches!(facts.list_status(&resources::DAEMONSETS), None | Some(ReadStatus::Complete)) {
            wants.extend(USUAL.map(|(namespace, name)| Want::get(&resources::CONFIGMAPS, namespace, name)));
        }
        let maps = facts.known.flannel_maps.iter();
        wants
            .extend(maps.map(|(namespace, name)| Want::get(&resources::CONFIGMAPS, namespace.as_str(), name.as_str())));
        wants
    }

    fn take(&self, given: Given<'_>, facts: &mut Facts) {
        match given {
            Given::Object(resource, object) if resource == &resources::DAEMONSETS => take_daemonset(object, facts),
            Given::Probe(node, Probe::FlannelSubnetEnv, text, file) => take_subnet_env(node, text, file, facts),
            _ => {
                if let Some(map) = ConfigMap::of(given) {
                    take_config_map(&map, facts);
                }
            }
        }
    }

    fn applies(&self, facts: &Facts) -> Option<String> {
        let known = &facts.known;
        let map = known.flannel_maps.first().map(|(namespace, name)| format!("configmap {namespace}/{name}"));
        map.or_else(|| known.flannel_confs.first().map(|conf| conf.origin.object.clone()))
            .or_else(|| known.subnet_envs.values().next().map(|env| env.file.clone()))
            .or_else(|| annotated(facts))
    }

    fn finish(&self, facts: &mut Facts) {
        add_networks_of_nodes(facts);
        let object = facts.known.flannel_confs.first().map(|conf| conf.origin.clone());
        let file = facts.known.subnet_envs.values().next();
        let file = file.map(|env| Origin::new(ENV, Confidence::A, env.file.as_str(), "FLANNEL_SUBNET"));
        let node = annotated(facts)
            .map(|node| Origin::new(NAME, Confidence::A, node, "flannel.alpha.coreos.com/backend-type"));
        if let Some(origin) = file.or(object).or(node) {
            // in canal, flannel carries what Calico's host-local gives out: the nodes' own ranges, too
            facts.known.says_ipam(Ipam::NodeIpam, origin);
        }
    }
}

fn annotated(facts: &Facts) -> Option<String> {
    let has = |key: &String| key.ends_with("/backend-type");
    let node = facts.nodes.values().find(|node| node.annotations.keys().any(has))?;
    Some(format!("node {}", node.name))
}

fn take_daemonset(daemonset: &Value, facts: &mut Facts) {
    let containers = object::containers(daemonset);
    if !containers.iter().any(|(_, c)| PROGRAMS.iter().any(|program| object::runs(c, program))) {
        return;
    }
    let volumes = daemonset.pointer("/spec/template/spec/volumes").and_then(Value::as_array);
    for name in volumes.into_iter().flatten().map(|v| scalar(v.pointer("/configMap/name"))) {
        let map = (object::namespace(daemonset).to_owned(), name);
        if !map.1.is_empty() && !facts.known.flannel_maps.contains(&map) {
            facts.known.flannel_maps.push(map);
        }
    }
}

fn take_config_map(map: &ConfigMap<'_>, facts: &mut Facts) {
    let Some(text) = map.entry(KEY) else { return };
    let conf = match parse_net_conf(text) {
        Ok(conf) => conf,
        Err(error) => {
            let place = map.place(KEY, error.line);
            facts.problem(&map.title(), format!("{place}: {}: `{}`", error.reason, error.token));
            return;
        }
    };
    let origin = map.origin(NAME, Confidence::B, KEY, conf.network_line, "Network");
    if facts.known.flannel_confs.iter().any(|known| known.origin == origin) {
        return;
    }
    let mut networks = Vec::new();
    if conf.enable_ipv4 {
        networks.extend(facts.add_ranges(Role::Pod, &conf.network, &origin));
    }
    if conf.enable_ipv6 {
        let v6 = map.origin(NAME, Confidence::B, KEY, conf.ipv6_network_line, "IPv6Network");
        networks.extend(facts.add_ranges(Role::Pod, &conf.ipv6_network, &v6));
    }
    facts.known.flannel_confs.push(FlannelConf { conf, networks, origin });
}

fn take_subnet_env(node: Option<&str>, text: &str, file: &str, facts: &mut Facts) {
    let (env, problems) = parse_subnet_env(text);
    facts.unreadable.extend(Unreadable::lines(file, node, problems));
    let mut problem = |reason: String| {
        facts.unreadable.push(Unreadable { source: file.to_owned(), node: node.map(str::to_owned), reason });
    };
    let mut read = |fields: [(&Option<String>, &str, usize); 2]| -> Vec<Cidr> {
        let mut cidrs = Vec::new();
        for (value, name, line) in fields {
            let Some(value) = value else { continue };
            // FLANNEL_NETWORK is a list since flannel gives out several
            for part in value.split(',') {
                match parse_cidr(part) {
                    Ok(written) => cidrs.push(written.cidr),
                    Err(error) => problem(format!("line {line}: {name}: {error}")),
                }
            }
        }
        cidrs
    };
    let networks = read([
        (&env.network, "FLANNEL_NETWORK", env.lines[0]),
        (&env.ipv6_network, "FLANNEL_IPV6_NETWORK", env.lines[2]),
    ]);
    let subnets =
        read([(&env.subnet, "FLANNEL_SUBNET", env.lines[1]), (&env.ipv6_subnet, "FLANNEL_IPV6_SUBNET", env.lines[3])]);
    let node = node.unwrap_or(super::UNNAMED).to_owned();
    facts.known.subnet_envs.insert(node, NodeSubnetEnv { env, networks, subnets, file: file.to_owned() });
}

/// One statement per network, however many nodes make it; and each node's own share.
fn add_networks_of_nodes(facts: &mut Facts) {
    let mut stated: BTreeMap<Cidr, (String, String, usize)> = BTreeMap::new();
    let mut shares = Vec::new();
    for (node, known) in &facts.known.subnet_envs {
        for cidr in &known.networks {
            let name =
                if cidr.family() == crate::cidr::Family::V4 { "FLANNEL_NETWORK" } else { "FLANNEL_IPV6_NETWORK" };
            let line = if name == "FLANNEL_NETWORK" { known.env.lines[0] } else { known.env.lines[2] };
            let first = || (known.file.clone(), format!("line {line}: {name}"), 0);
            stated.entry(*cidr).or_insert_with(first).2 += 1;
        }
        shares.extend(known.subnets.iter().map(|cidr| (node.clone(), *cidr, known.file.clone())));
    }
    for (cidr, (file, field, nodes)) in stated {
        let field = if nodes > 1 { format!("{field}, and {} more nodes", nodes - 1) } else { field };
        facts.add_ranges(Role::Pod, &cidr.to_string(), &Origin::new(ENV, Confidence::A, file, field));
    }
    facts.ranges.extend(shares.into_iter().map(|(node, cidr, file)| RangeFact {
        role: Role::Pod,
        cidr,
        range: cidr.into(),
        text: cidr.to_string(),
        // the bridge's address, which flannel writes on purpose, is no flaw
        flaws: Vec::new(),
        origin: Origin::new(ENV, Confidence::A, file, "FLANNEL_SUBNET"),
        lower_bound: false,
        share_of: Some(node),
    }));
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_map_of_whoever_runs_flanneld() {
        let mut facts = Facts::default();
        let daemonset = json!({"metadata": {"name": "f", "namespace": "net"}, "spec": {"template": {"spec": {
            "containers": [{"name": "main", "command": ["/opt/bin/flanneld", "--ip-masq"]}],
            "volumes": [{"configMap": {"name": "conf"}}, {"hostPath": {"path": "/run"}}]}}}});
        Flannel.take(Given::Object(&resources::DAEMONSETS, &daemonset), &mut facts);
        assert!(Flannel.wants(&facts).contains(&Want::get(&resources::CONFIGMAPS, "net", "conf")));
        let map = json!({"metadata": {"name": "conf", "namespace": "net"},
            "data": {KEY: "{\n \"Network\": \"10.244.0.0/16\",\n \"EnableIPv6\": true,\n \"IPv6Network\": \"fd00:244::/56\"}"}});
        Flannel.take(Given::Object(&resources::CONFIGMAPS, &map), &mut facts);
        Flannel.finish(&mut facts);
        let origins: Vec<String> = facts.ranges.iter().map(|r| r.origin.to_string()).collect();
        assert_eq!(
            origins,
            [
                "configmap net/conf data.net-conf.json line 2: Network",
                "configmap net/conf data.net-conf.json line 4: IPv6Network"
            ]
        );
        assert_eq!(facts.known.ipam(), Some(Ipam::NodeIpam));
    }

    #[test]
    fn equal_nodes_state_their_network_once() {
        let mut facts = Facts::default();
        for (node, subnet) in [("n1", "10.244.0.1/24"), ("n2", "10.244.1.1/24")] {
            let text = format!("FLANNEL_NETWORK=10.244.0.0/16\nFLANNEL_SUBNET={subnet}\n");
            let file = format!("nodes/{node}/subnet.env");
            Flannel.take(Given::Probe(Some(node), Probe::FlannelSubnetEnv, &text, &file), &mut facts);
        }
        Flannel.finish(&mut facts);
        let [network, first, second] = facts.ranges.as_slice() else { panic!("{:?}", facts.ranges) };
        assert_eq!(network.origin.to_string(), "nodes/n1/subnet.env line 1: FLANNEL_NETWORK, and 1 more nodes");
        assert_eq!((first.share_of.as_deref(), first.cidr.to_string().as_str()), (Some("n1"), "10.244.0.0/24"));
        assert!(second.flaws.is_empty());
    }

    #[test]
    fn a_broken_conf_is_named() {
        let mut facts = Facts::default();
        let map = json!({"metadata": {"name": "kube-flannel-cfg", "namespace": "kube-flannel"}, "data": {KEY: "{\n\"Network\" 1}"}});
        Flannel.take(Given::Object(&resources::CONFIGMAPS, &map), &mut facts);
        assert!(facts.unreadable[0].reason.starts_with("data.net-conf.json line 2: "));
    }
}
