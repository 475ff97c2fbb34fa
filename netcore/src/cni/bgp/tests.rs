use serde_json::json;

use super::{super::checks::bgp as checks, report};
use crate::{
    cluster::{ReadStatus, resources},
    cni::Facts,
    finding::Finding,
    probe::Probe,
    ranges::Want,
};

/// Three nodes of a mesh, each with a block, all well.
struct Made {
    mesh: bool,
    peers: usize,
    protocols: Vec<String>,
    bird_routes: Vec<String>,
    kernel: Vec<String>,
    affinity_of: [&'static str; 3],
}

const NAMES: [&str; 3] = ["n1", "n2", "n3"];

fn block(n: usize) -> String {
    format!("10.244.{n}.0/26")
}

fn session(to: usize, state: &str, imported: u64, filtered: u64, exported: u64) -> String {
    format!(
        "Mesh_10_0_0_{to} BGP      master   {}     03:44:08    {state}\n  Routes:         {imported} imported, {filtered} filtered, {exported} exported, 1 preferred\n  \
         BGP state:          {state}\n    Neighbor address: 10.0.0.{to}\n    Neighbor AS:      64512\n",
        if state == "Established" { "up" } else { "start" }
    )
}

/// A text without the lines that have a word.
fn without_lines(text: &str, word: &str) -> String {
    text.lines().filter(|line| !line.contains(word)).flat_map(|line| [line, "\n"]).collect()
}

impl Made {
    fn new() -> Self {
        let others = |n: usize| (1..=3).filter(move |other| *other != n);
        Self {
            mesh: true,
            peers: 0,
            protocols: (1..=3)
                .map(|n| {
                    let sessions = others(n).map(|to| session(to, "Established", 1, 0, 1)).collect::<Vec<_>>().concat();
                    format!("BIRD 1.6.8 ready.\nAccess restricted\nname     proto    table    state  since       info\n{sessions}")
                })
                .collect(),
            bird_routes: (1..=3)
                .map(|n| {
                    let learnt = others(n)
                        .map(|from| format!("{:<18} via 10.0.0.{from} on eth0 [Mesh_10_0_0_{from} 03:44:08] * (100/0) [i]\n", block(from)))
                        .collect::<Vec<_>>().concat();
                    format!("BIRD 1.6.8 ready.\nAccess restricted\n{:<18} blackhole [static1 03:44:05] * (200)\n{learnt}", block(n))
                })
                .collect(),
            kernel: (1..=3)
                .map(|n| {
                    let learnt = others(n).map(|from| format!("{} via 10.0.0.{from} dev eth0 proto bird\n", block(from))).collect::<Vec<_>>().concat();
                    format!("default via 10.0.0.254 dev eth0\nblackhole {} proto bird\n{learnt}", block(n))
                })
                .collect(),
            affinity_of: NAMES,
        }
    }

    fn facts(&self) -> Facts {
        let mut facts = Facts::default();
        for (at, name) in NAMES.iter().enumerate() {
            let node = json!({"metadata": {"name": name, "annotations": {"projectcalico.org/IPv4Address": format!("10.0.0.{}/24", at + 1)}},
                "status": {"addresses": [{"type": "InternalIP", "address": format!("10.0.0.{}", at + 1)}]}});
            facts.take_node(&serde_json::from_value(node).unwrap());
            facts.take_object(
                &resources::CALICO_BLOCKAFFINITIES_V1,
                &json!({"metadata": {"name": format!("a{at}")}, "spec": {"cidr": block(at + 1), "node": self.affinity_of[at], "state": "confirmed", "deleted": "false"}}),
            );
            facts.take_probe(Some(name), Probe::BirdProtocols, &self.protocols[at], "birdcl-protocols");
            if !self.bird_routes[at].is_empty() {
                facts.take_probe(Some(name), Probe::BirdRoutes, &self.bird_routes[at], "birdcl-route");
            }
            facts.take_probe(Some(name), Probe::Routes, &self.kernel[at], "ip-route");
        }
        let map = json!({"metadata": {"name": "calico-config", "namespace": "kube-system"}, "data": {"calico_backend": "bird"}});
        facts.take_object(&resources::CONFIGMAPS, &map);
        let configuration =
            json!({"metadata": {"name": "default"}, "spec": {"nodeToNodeMeshEnabled": self.mesh, "asNumber": 64512}});
        facts.take_object(&resources::CALICO_BGPCONFIGURATIONS_V1, &configuration);
        for peer in 0..self.peers {
            facts.take_object(
                &resources::CALICO_BGPPEERS_V1,
                &json!({"metadata": {"name": format!("p{peer}")}, "spec": {"peerIP": "10.9.9.9"}}),
            );
        }
        for kind in [&resources::NODES, &resources::CALICO_BGPPEERS_V1] {
            facts.reads.insert(Want::list(kind), ReadStatus::Complete);
        }
        facts
    }

    fn found(&self) -> Vec<Finding> {
        let facts = self.facts();
        checks::run(&facts, &report(&facts, &|_| true)).0
    }

    fn told(&self) -> Vec<String> {
        self.found().iter().map(|finding| format!("{} {}: {}", finding.id, finding.subject, finding.message)).collect()
    }
}

#[test]
fn a_mesh_that_is_well_is_silent_and_told_whole() {
    let made = Made::new();
    assert_eq!(made.told(), [""; 0]);
    let facts = made.facts();
    assert!(facts.unreadable.is_empty(), "{:?}", facts.unreadable);
    let report = report(&facts, &|_| true);
    assert_eq!(
        (report.backend.as_deref(), report.asn, report.mesh, report.mesh_sessions),
        (Some("bird"), Some(64_512), Some(true), Some(3))
    );
    let first = &report.nodes[0];
    assert_eq!(
        (first.version.as_deref(), first.sessions.len(), first.sessions[0].node.as_deref()),
        (Some("1.6.8"), 2, Some("n2"))
    );
    let own = &first.blocks[0];
    assert_eq!((own.announced, own.exported, own.in_origins_kernel), (Some(true), Some(true), Some(true)));
    assert_eq!(
        (own.learnt_by.as_slice(), own.in_kernel_of.as_slice()),
        (["n2".to_owned(), "n3".to_owned()].as_slice(), ["n2".to_owned(), "n3".to_owned()].as_slice())
    );
}

#[test]
fn a_session_that_is_cut() {
    let mut made = Made::new();
    for (at, to) in [(0, 2), (1, 1)] {
        made.protocols[at] =
            made.protocols[at].replace(&session(to, "Established", 1, 0, 1), &session(to, "Active", 0, 0, 0));
        made.bird_routes[at] = without_lines(&made.bird_routes[at], &format!("Mesh_10_0_0_{to} "));
        made.kernel[at] = without_lines(&made.kernel[at], &format!("via 10.0.0.{to} "));
    }
    assert_eq!(
        made.told(),
        [
            "CNI-060 n1: session with 10.0.0.2 (n2) is Active",
            "CNI-060 n2: session with 10.0.0.1 (n1) is Active",
            "CNI-065 block 10.244.1.0/26: of n1: session: n1 and n2 have none that is established",
            "CNI-065 block 10.244.2.0/26: of n2: session: n2 and n1 have none that is established",
        ]
    );
}

#[test]
fn a_route_that_is_withdrawn() {
    let mut made = Made::new();
    for at in 0..3 {
        let keep = |text: &str| without_lines(text, &block(1));
        made.bird_routes[at] = keep(&made.bird_routes[at]);
        made.kernel[at] = keep(&made.kernel[at]);
    }
    assert_eq!(
        made.told(),
        ["CNI-065 block 10.244.1.0/26: of n1: announced: BIRD of n1 has no route of it, nor has its kernel"]
    );
}

#[test]
fn filters_of_either_side() {
    // n2 and n3 do not have n1's block any more
    let without = |made: &mut Made, at: usize| {
        let keep = |text: &str| without_lines(text, &block(1));
        made.bird_routes[at] = keep(&made.bird_routes[at]);
        made.kernel[at] = keep(&made.kernel[at]);
    };
    let mut exports = Made::new();
    exports.protocols[0] = exports.protocols[0].replace("1 exported", "0 exported");
    without(&mut exports, 1);
    without(&mut exports, 2);
    assert_eq!(
        exports.told(),
        ["CNI-065 block 10.244.1.0/26: of n1: exported: n1 tells n2 nothing: its export filter, and 1 more"]
    );
    let mut imports = Made::new();
    imports.protocols[1] =
        imports.protocols[1].replace(&session(1, "Established", 1, 0, 1), &session(1, "Established", 0, 1, 1));
    without(&mut imports, 1);
    assert_eq!(
        imports.told(),
        ["CNI-065 block 10.244.1.0/26: of n1: learnt: n2 refuses 1 routes of n1 by its import filter"]
    );
    let mut kernel = Made::new();
    kernel.kernel[2] = without_lines(&kernel.kernel[2], &block(1));
    assert_eq!(kernel.told(), ["CNI-065 block 10.244.1.0/26: of n1: kernel: learnt, and not in the kernel of n3"]);
}

#[test]
fn what_was_not_read_breaks_nothing() {
    let mut made = Made::new();
    made.bird_routes = vec![String::new(); 3];
    assert_eq!(made.told(), [""; 0]);
    let facts = made.facts();
    let own = report(&facts, &|_| true).nodes[0].blocks[0].clone();
    assert_eq!((own.announced, own.learnt_by.len(), own.in_kernel_of.len()), (None, 0, 2));
}

#[test]
fn a_mesh_with_a_hole_and_another_as() {
    let mut made = Made::new();
    made.protocols[0] = made.protocols[0].replace(&session(3, "Established", 1, 0, 1), "");
    assert_eq!(made.told(), ["CNI-061 n1: has no session with n3"]);
    let mut made = Made::new();
    made.protocols[0] = made.protocols[0].replacen("64512", "64513", 1);
    assert_eq!(made.told(), ["CNI-062 n1: expects AS 64513 of n2, which is in 64512"]);
}

#[test]
fn no_mesh_and_no_peer() {
    let made = Made { mesh: false, ..Made::new() };
    assert_eq!(made.told(), ["CNI-063 BGP: the mesh is off and there is no BGPPeer: no node learns another's blocks"]);
    assert_eq!(Made { mesh: false, peers: 1, ..Made::new() }.told(), [""; 0]);
}

#[test]
fn many_nodes_one_id_and_no_daemon() {
    let mut facts = Made::new().facts();
    for n in 0..100 {
        let node = json!({"metadata": {"name": format!("x{n}")}});
        facts.take_node(&serde_json::from_value(node).unwrap());
    }
    let ids = |facts: &Facts| -> Vec<String> {
        checks::run(facts, &report(facts, &|_| true)).0.into_iter().map(|finding| finding.id).collect()
    };
    assert_eq!(ids(&facts), ["CNI-064"]);
    let mut made = Made::new();
    for at in [0, 1] {
        made.protocols[at] =
            made.protocols[at].replace("Access restricted\n", "Access restricted\nRouter ID is 10.0.0.1\n");
    }
    assert_eq!(made.told(), ["CNI-066 n1, n2: all have router id 10.0.0.1"]);
    let mut facts = Made::new().facts();
    facts.take_absent(Some("n9"), Probe::BirdProtocols);
    assert_eq!(ids(&facts), ["CNI-067"]);
}

#[test]
fn a_block_of_nobody() {
    let made = Made { affinity_of: ["n1", "n2", "gone"], ..Made::new() };
    let told = made.told();
    assert_eq!(told, ["CNI-068 block 10.244.3.0/26: of gone, which is no Node"]);
}

#[test]
fn what_calico_and_calicoctl_say_themselves() {
    let mut facts = Facts::default();
    for (name, address) in [("n1", "10.0.0.1"), ("n2", "10.0.0.2")] {
        let node =
            json!({"metadata": {"name": name}, "status": {"addresses": [{"type": "InternalIP", "address": address}]}});
        facts.take_node(&serde_json::from_value(node).unwrap());
    }
    let status = json!({"metadata": {"name": "s"}, "spec": {"node": "n1"}, "status": {"bgp": {"peersV4": [
        {"peerIP": "10.0.0.2", "type": "NodeMesh", "state": "Established", "since": "09:19:28"}]}}});
    facts.take_object(&resources::CALICO_NODESTATUSES_V3, &status);
    let text = "Calico process is running.\n\nIPv4 BGP status\n+---+\n| PEER ADDRESS |     PEER TYPE     | STATE |  SINCE   |    INFO     |\n+---+\n\
        | 10.0.0.1 | node-to-node mesh | start | 17:38:47 | Idle BGP Error: Bad peer AS |\n+---+\n\nIPv6 BGP status\nNo IPv6 peers found.\n";
    facts.take_probe(Some("n2"), Probe::BirdProtocols, text, "status.txt");
    assert!(facts.unreadable.is_empty(), "{:?}", facts.unreadable);
    let report = report(&facts, &|_| true);
    assert_eq!(
        (report.nodes[0].source, report.nodes[0].sessions[0].is_established()),
        (Some("CalicoNodeStatus"), true)
    );
    let other = &report.nodes[1].sessions[0];
    assert_eq!(
        (other.state.as_str(), other.error.as_deref(), other.kind),
        ("Idle", Some("BGP Error: Bad peer AS"), "mesh")
    );
}
