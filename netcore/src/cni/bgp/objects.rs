//! Objects about BGP: peers, affinities of blocks, what nodes say of themselves.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use serde_json::Value;

use crate::{bird::Protocol, calico, cidr::Cidr, cluster::Resource, ranges::sources::object, text::scalar};

/// A `BGPPeer`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Peer {
    /// `bgppeer rack-1`.
    pub title: String,
    /// The node that it is for; empty for all, or those of the selector.
    pub node: String,
    /// Which nodes it is for.
    pub node_selector: String,
    /// The peer's address; none where nodes are the peers.
    pub ip: Option<IpAddr>,
    /// Which nodes are the peers.
    pub peer_selector: String,
    /// The AS that it is to have.
    pub asn: Option<u32>,
}

/// All of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Objects {
    /// Peers by name.
    pub peers: BTreeMap<String, Peer>,
    /// Blocks that a node has, confirmed.
    pub blocks: BTreeMap<Cidr, String>,
    /// Ranges of pools whose blocks are told nobody.
    pub unexported: BTreeSet<Cidr>,
    /// What `CalicoNodeStatus` says of a node's sessions.
    pub statuses: BTreeMap<String, Vec<Protocol>>,
}

impl Objects {
    /// Takes an object that may tell.
    pub(in crate::cni) fn take(&mut self, resource: &'static Resource, whole: &Value) {
        let text = |path: &str| scalar(whole.pointer(path));
        match resource.kind {
            "BGPPeer" => {
                let ip = text("/spec/peerIP");
                // `10.0.0.1:179`, `[fd00::1]:179`
                let bare = ip.parse().ok().or_else(|| ip.parse::<std::net::SocketAddr>().ok().map(|at| at.ip()));
                self.peers.insert(
                    object::name(whole).to_owned(),
                    Peer {
                        title: object::title(resource, whole),
                        node: text("/spec/node"),
                        node_selector: text("/spec/nodeSelector"),
                        ip: bare,
                        peer_selector: text("/spec/peerSelector"),
                        asn: text("/spec/asNumber").parse().ok(),
                    },
                );
            }
            "BlockAffinity" => {
                if let Ok(Some(affinity)) = calico::affinity(whole)
                    && matches!(affinity.state.as_str(), "confirmed" | "")
                {
                    self.blocks.insert(affinity.cidr, affinity.node);
                }
            }
            "IPPool" if whole.pointer("/spec/disableBGPExport") == Some(&Value::Bool(true)) => {
                let cidr = crate::cidr::parse_cidr(&text("/spec/cidr"));
                self.unexported.extend(cidr.ok().map(|written| written.cidr));
            }
            "CalicoNodeStatus" => {
                let mut sessions = Vec::new();
                for list in ["/status/bgp/peersV4", "/status/bgp/peersV6"] {
                    for peer in whole.pointer(list).and_then(Value::as_array).into_iter().flatten() {
                        sessions.extend(session(peer));
                    }
                }
                let node = text("/spec/node");
                if !node.is_empty() && !sessions.is_empty() {
                    self.statuses.insert(node, sessions);
                }
            }
            _ => {}
        }
    }
}

fn session(peer: &Value) -> Option<Protocol> {
    let address = scalar(peer.get("peerIP"));
    let kind = match scalar(peer.get("type")).as_str() {
        "NodeMesh" => "Mesh",
        "GlobalPeer" => "Global",
        _ => "Node",
    };
    let state = scalar(peer.get("state"));
    Some(Protocol {
        name: format!("{kind}_{}", address.replace(['.', ':'], "_")),
        kind: "BGP".to_owned(),
        neighbor: Some(address.parse().ok()?),
        bgp_state: Some(state.clone()),
        info: state,
        since: scalar(peer.get("since")),
        ..Protocol::default()
    })
}
