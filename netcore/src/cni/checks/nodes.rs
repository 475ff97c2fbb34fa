//! Checks of single nodes; equal findings of many nodes are one.

use super::{Check, Cluster};
use crate::{
    cni::{catalogue::Kind, report::NodeRow, tunnels::TunnelRow},
    finding::{FindingDoc, Severity},
    ranges::checks::Findings,
};

/// The checks of this file.
pub(super) static CHECKS: &[Check] = &[
    Check {
        doc: FindingDoc {
            id: "CNI-020",
            title: "the network plugin's agent is not ready on a node",
            severity: "error",
            formula: "a container of the plugin's agent pod on the node is not ready",
            example: "node-7: pod kube-system/calico-node-x2x4q: CrashLoopBackOff, 14 restarts",
            remedy: "pods that run keep their network, new ones get none and policies stand still: kubectl -n NAMESPACE logs POD \
                     --previous, and describe pod for the probe that fails",
        },
        run: not_ready,
    },
    Check {
        doc: FindingDoc {
            id: "CNI-021",
            title: "a node without the network plugin's agent",
            severity: "error where the node is Ready, info where it is not",
            formula: "a Linux node without a pod of the agent that makes the pods' network, where a DaemonSet runs it, all its pods \
                      were read and it has one elsewhere",
            example: "node-7 has no pod of calico-node",
            remedy: "see why the DaemonSet has none there: kubectl describe ds (node selector, tolerations), and the node's conditions",
        },
        run: absent,
    },
    Check {
        doc: FindingDoc {
            id: "CNI-022",
            title: "pods' packets do not fit the network below",
            severity: "warning",
            formula: "the pods' MTU, or a tunnel's, is larger than the MTU of the link below less what the tunnel adds: IPIP 20, \
                      VXLAN and Geneve 50, WireGuard 60, flannel's UDP 28; 20 more where the nodes talk over IPv6",
            example: "node-3: pods' MTU 1500, vxlan.calico over eth0 (1500) fits 1450",
            remedy: "large packets are fragmented or dropped between nodes. Set the plugin's MTU (calico: veth_mtu or Installation \
                     spec.calicoNetwork.mtu; flannel takes it from the interface when it starts) and restart pods",
        },
        run: too_large,
    },
    Check {
        doc: FindingDoc {
            id: "CNI-023",
            title: "pods' MTU differs between nodes",
            severity: "warning",
            formula: "the most common MTU of pods' links is not the same on all nodes that were read",
            example: "1450 on node-1, node-2; 8950 on node-3",
            remedy: "packets of the larger size are lost on the way to the smaller where ICMP is filtered: set one MTU for the \
                     cluster, that of the smallest underlay",
        },
        run: different,
    },
    Check {
        doc: FindingDoc {
            id: "CNI-024",
            title: "connection tracking is nearly full",
            severity: "error from 95 % on, warning from 80 %",
            formula: "nf_conntrack_count against nf_conntrack_max",
            example: "node-3: 131000 of 131072 connections",
            remedy: "new connections are dropped when it is full (dmesg: nf_conntrack: table full). Raise \
                     net.netfilter.nf_conntrack_max or kube-proxy's conntrack.maxPerCore, and look for what opens so many",
        },
        run: conntrack,
    },
    Check {
        doc: FindingDoc {
            id: "CNI-025",
            title: "a route into a tunnel leads nowhere",
            severity: "error",
            formula: "a node's route goes through a VXLAN link to an address that has no neighbour entry there, or whose link address \
                      has no forwarding entry",
            example: "node-1: flannel.1: 10.244.2.0 has no neighbour entry",
            remedy: "restart the plugin's agent on that node, which writes both anew; until then pods there do not reach that node's",
        },
        run: nowhere,
    },
    Check {
        doc: FindingDoc {
            id: "CNI-026",
            title: "a tunnel sends to an address of no node",
            severity: "error",
            formula: "a forwarding entry that a route needs has a destination that is no address of any Node nor its public-ip or \
                      projectcalico.org address",
            example: "node-1: flannel.1: 10.244.2.0 → 10.9.9.9",
            remedy: "the node behind it was given another address: restart the plugin's agent there so that it says so, then here",
        },
        run: astray,
    },
    Check {
        doc: FindingDoc {
            id: "CNI-027",
            title: "a node does not forward packets",
            severity: "error",
            formula: "net.ipv4.ip_forward is 0, or the node has an IPv6 pod range and net.ipv6.conf.all.forwarding is 0",
            example: "node-4: net.ipv4.ip_forward = 0",
            remedy: "sysctl -w net.ipv4.ip_forward=1, and in /etc/sysctl.d so that it stays; another program (a firewall, a hardening \
                     role) sets it back",
        },
        run: no_forwarding,
    },
    Check {
        doc: FindingDoc {
            id: "CNI-028",
            title: "packets between pods of one bridge pass by iptables",
            severity: "warning",
            formula: "net.bridge.bridge-nf-call-iptables is 0 on a node whose pods are on a bridge (cni0, kube-bridge, weave) and \
                      kube-proxy is in iptables or ipvs mode",
            example: "node-4: net.bridge.bridge-nf-call-iptables = 0, bridge cni0",
            remedy: "answers of a Service's pod on the same node are not translated back: sysctl -w \
                     net.bridge.bridge-nf-call-iptables=1, and load br_netfilter at boot",
        },
        run: bridge,
    },
    Check {
        doc: FindingDoc {
            id: "CNI-029",
            title: "a node has no pod range",
            severity: "error",
            formula: "a Linux node's spec.podCIDR is empty, and the plugin gives addresses out of it (flannel, canal, kindnet)",
            example: "node-9: spec.podCIDR is empty",
            remedy: "the controller manager gives ranges: --allocate-node-cidrs=true and a --cluster-cidr with room; `kubectl netcidr` \
                     says whether it is used up",
        },
        run: no_range,
    },
    Check {
        doc: FindingDoc {
            id: "CNI-030",
            title: "the plugin reaches a node at an address that is not its own",
            severity: "warning",
            formula: "flannel's public-ip (where no public-ip-overwrite is set), or projectcalico.org/IPv4Address without its mask, is \
                      none of the Node's InternalIP and ExternalIP addresses",
            example: "node-2: flannel.alpha.coreos.com/public-ip 10.0.2.15, InternalIP 192.168.56.12",
            remedy: "the wrong interface was taken: flannel --iface or --iface-can-reach, Calico IP_AUTODETECTION_METHOD (can-reach=, \
                     kubernetes-internal-ip), then restart the agents",
        },
        run: other_address,
    },
];

fn add<'a>(
    findings: &mut Findings<'_>,
    severity: Severity,
    found: impl IntoIterator<Item = (&'a NodeRow, String, Vec<String>)>,
) {
    findings
        .add_of_nodes(severity, found.into_iter().map(|(node, message, evidence)| (&*node.name, message, evidence)));
}

fn not_ready(cluster: Cluster<'_>, findings: &mut Findings<'_>) {
    let found = cluster.report.nodes.iter().filter(|node| node.agent_ready == Some(false)).filter_map(|node| {
        let plugin = node.plugin.as_ref()?;
        let evidence = node.agent_problem.iter().map(|problem| format!("{}: {problem}", node.name)).collect();
        Some((node, format!("the agent of {plugin} is not ready"), evidence))
    });
    add(findings, Severity::Error, found);
}

fn network(cluster: Cluster<'_>) -> Option<Kind> {
    let name = cluster.report.pod_network.as_deref()?;
    crate::cni::catalogue::ROWS.iter().map(|row| row.kind).find(|kind| kind.name() == name)
}

fn absent(cluster: Cluster<'_>, findings: &mut Findings<'_>) {
    let Some(kind) = network(cluster) else { return };
    let has = cluster.facts.agents.iter().any(|agent| agent.kind == kind);
    if !has || !cluster.facts.pods_were_read(kind) {
        return;
    }
    for ready in [true, false] {
        let found = cluster.report.nodes.iter().filter(|row| {
            let node = cluster.facts.nodes.get(&row.name);
            node.is_some_and(|node| !node.is_windows() && node.ready == ready)
                && cluster.facts.pod_on(kind, &row.name).is_none()
        });
        let found = found.map(|row| (row, format!("has no pod of {kind}'s agent"), Vec::new()));
        add(findings, if ready { Severity::Error } else { Severity::Info }, found);
    }
}

fn too_large(cluster: Cluster<'_>, findings: &mut Findings<'_>) {
    let found = cluster.report.nodes.iter().filter_map(|node| {
        let tight = |tunnel: &&TunnelRow| {
            tunnel.fits.is_some_and(|fits| tunnel.mtu > fits || node.mtu.is_some_and(|mtu| mtu > fits))
        };
        let tunnel = node.tunnels.iter().find(tight);
        let Some(tunnel) = tunnel else {
            let (mtu, below) = (node.mtu?, node.underlay_mtu.filter(|_| node.tunnels.is_empty())?);
            let message = format!("pods' MTU is {mtu}, that of the network below {below}");
            return (mtu > below).then(|| (node, message, Vec::new()));
        };
        let own = node.mtu.map(|mtu| format!("pods' MTU {mtu}, ")).unwrap_or_default();
        let fits = tunnel.fits?;
        let below = tunnel.below.as_deref().unwrap_or("?");
        let message = format!("{own}{} has {}: {fits} is what fits {below} below it", tunnel.link, tunnel.mtu);
        let below = node.underlay_mtu.map_or_else(|| "?".to_owned(), |mtu| mtu.to_string());
        Some((node, message, vec![format!("{}: {} over an MTU of {below}", node.name, tunnel.encapsulation)]))
    });
    add(findings, Severity::Warning, found);
}

fn different(cluster: Cluster<'_>, findings: &mut Findings<'_>) {
    let mut groups: std::collections::BTreeMap<u32, Vec<&str>> = std::collections::BTreeMap::new();
    for node in &cluster.report.nodes {
        if let Some(mtu) = node.mtu {
            groups.entry(mtu).or_default().push(&node.name);
        }
    }
    if groups.len() > 1 {
        let evidence = groups
            .iter()
            .map(|(mtu, nodes)| format!("{mtu} on {}", nodes.iter().take(5).copied().collect::<Vec<_>>().join(", ")))
            .collect();
        let sizes: Vec<String> = groups.keys().map(u32::to_string).collect();
        findings.add(Severity::Warning, "pods' MTU", format!("differs between nodes: {}", sizes.join(", ")), evidence);
    }
}

fn conntrack(cluster: Cluster<'_>, findings: &mut Findings<'_>) {
    for (severity, from, below) in [(Severity::Error, 95, u64::MAX), (Severity::Warning, 80, 95)] {
        let found = cluster.report.nodes.iter().filter_map(|node| {
            let (used, max) = (node.conntrack.used?, node.conntrack.max.filter(|max| *max > 0)?);
            let share = used.saturating_mul(100) / max;
            let word = if from == 95 { "full, or will be any moment" } else { "nearly full" };
            ((from..below).contains(&share)).then(|| {
                (
                    node,
                    format!("connection tracking is {word}"),
                    vec![format!("{}: {used} of {max} connections", node.name)],
                )
            })
        });
        add(findings, severity, found);
    }
}

fn nowhere(cluster: Cluster<'_>, findings: &mut Findings<'_>) {
    let found = cluster.report.nodes.iter().flat_map(|node| node.tunnels.iter().map(move |tunnel| (node, tunnel)));
    let found = found.flat_map(|(node, tunnel)| {
        let silent = tunnel
            .without_neighbour
            .iter()
            .flatten()
            .map(move |end| format!("{}: {end} has no neighbour entry", tunnel.link));
        let lost = tunnel
            .without_fdb
            .iter()
            .flatten()
            .map(move |end| format!("{}: {end} has no forwarding entry", tunnel.link));
        silent.chain(lost).map(move |message| (node, message, Vec::new()))
    });
    add(findings, Severity::Error, found);
}

fn astray(cluster: Cluster<'_>, findings: &mut Findings<'_>) {
    let found = cluster.report.nodes.iter().flat_map(|node| node.tunnels.iter().map(move |tunnel| (node, tunnel)));
    let found = found.flat_map(|(node, tunnel)| {
        let ends = tunnel.astray.iter().flatten();
        ends.map(move |end| (node, format!("{}: {end}, which is an address of no node", tunnel.link), Vec::new()))
    });
    add(findings, Severity::Error, found);
}

fn no_forwarding(cluster: Cluster<'_>, findings: &mut Findings<'_>) {
    let v4 = cluster.report.nodes.iter().filter(|node| node.kernel.ip_forward == Some(false));
    add(findings, Severity::Error, v4.map(|node| (node, "net.ipv4.ip_forward is 0".to_owned(), Vec::new())));
    let v6 = cluster.report.nodes.iter().filter(|row| {
        let node = cluster.facts.nodes.get(&row.name);
        row.kernel.ip6_forward == Some(false)
            && node.is_some_and(|node| node.pod_cidrs.iter().any(|cidr| cidr.contains(':')))
    });
    add(
        findings,
        Severity::Error,
        v6.map(|node| (node, "net.ipv6.conf.all.forwarding is 0, and it has an IPv6 pod range".to_owned(), Vec::new())),
    );
}

fn bridge(cluster: Cluster<'_>, findings: &mut Findings<'_>) {
    use crate::proxy::Mode;
    let found = cluster.report.nodes.iter().filter_map(|node| {
        let mode = node.proxy_mode.or(cluster.report.services.mode)?;
        let off = node.kernel.bridge_nf_call == Some(false) && matches!(mode, Mode::Iptables | Mode::Ipvs);
        let reading = cluster.facts.readings.get(&node.name)?;
        let bridge = ["cni0", "kube-bridge", "weave", "cbr0"].into_iter().find(|name| reading.link(name).is_some())?;
        off.then(|| {
            (node, format!("net.bridge.bridge-nf-call-iptables is 0, and pods are on bridge {bridge}"), Vec::new())
        })
    });
    add(findings, Severity::Warning, found);
}

fn no_range(cluster: Cluster<'_>, findings: &mut Findings<'_>) {
    if !matches!(network(cluster), Some(Kind::Flannel | Kind::Canal | Kind::Kindnet)) {
        return;
    }
    let found = cluster.report.nodes.iter().filter(|row| {
        let node = cluster.facts.nodes.get(&row.name);
        // a flannel of etcd's keeps ranges of its own, and annotates nothing
        let annotated =
            node.is_some_and(|node| node.annotations.keys().any(|key| key.ends_with("/kube-subnet-manager")));
        node.is_some_and(|node| !node.is_windows() && node.pod_cidrs.is_empty() && annotated)
    });
    add(
        findings,
        Severity::Error,
        found
            .map(|node| (node, "spec.podCIDR is empty, and its pods' addresses come out of it".to_owned(), Vec::new())),
    );
}

fn other_address(cluster: Cluster<'_>, findings: &mut Findings<'_>) {
    const PUBLIC: &str = "flannel.alpha.coreos.com/public-ip";
    const CALICO: &str = "projectcalico.org/IPv4Address";
    let runs = |name: &str| {
        cluster
            .report
            .plugins
            .iter()
            .any(|row| row.name == name && row.state != Some(crate::cni::detect::State::Leftover))
    };
    let (flannel, calico) = (runs("flannel") || runs("canal"), runs("calico") || runs("canal"));
    let found = cluster.report.nodes.iter().flat_map(|row| {
        let node = cluster.facts.nodes.get(&row.name);
        [(PUBLIC, flannel), (CALICO, calico)].into_iter().filter(|(_, runs)| *runs).filter_map(
            move |(annotation, _)| {
                let node = node?;
                let text = node.annotations.get(annotation)?;
                let address = text.split('/').next()?.parse().ok()?;
                let told = node.annotations.keys().any(|key| key.ends_with("public-ip-overwrite"));
                let meant = told && annotation == PUBLIC;
                let other = !(meant || node.addresses.is_empty() || node.addresses.contains(&address));
                let own: Vec<String> = node.addresses.iter().map(ToString::to_string).collect();
                let evidence = vec![
                    format!("node {} {annotation}: {text}", row.name),
                    format!("its addresses: {}", own.join(", ")),
                ];
                other.then(|| (row, format!("{annotation} is {address}, which is none of its addresses"), evidence))
            },
        )
    });
    add(findings, Severity::Warning, found);
}
