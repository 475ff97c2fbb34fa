//! Debian's `bridge` and `host-local` plugins with each node's own ranges, and a static route to each other node.

use serde_json::json;

use crate::{Error, node, plan::Machine, supervise::Cluster};

/// Writes each node's configuration and every machine's routes.
pub(crate) fn install(cluster: &mut Cluster) -> Result<(), Error> {
    let nodes = cluster.nodes();
    for node in &nodes {
        let ranges = node::pod_ranges(cluster, node)?;
        cluster.write(node, "/etc/cni/net.d/10-bridge.conflist", &configuration(&ranges))?;
        let others = std::iter::once(Machine::control()).chain(nodes.iter().filter(|other| *other != node).cloned());
        for other in others {
            for range in &ranges {
                let via = if range.contains(':') { node.v6().to_string() } else { node.v4().to_string() };
                cluster.must(&other, &["ip", "route", "replace", range, "via", &via])?;
            }
        }
    }
    Ok(())
}

/// Routes alone, no `isDefaultGateway`: with both, version 1.1 of the plugin stops at "file exists".
fn configuration(ranges: &[String]) -> String {
    let ranges: Vec<_> = ranges.iter().map(|range| json!([{"subnet": range}])).collect();
    json!({
        "cniVersion": "1.0.0",
        "name": "lab",
        "plugins": [
            {
                "type": "bridge",
                "bridge": "cni0",
                "isGateway": true,
                "ipMasq": false,
                "hairpinMode": true,
                "ipam": {
                    "type": "host-local",
                    "ranges": ranges,
                    "routes": [{"dst": "0.0.0.0/0"}, {"dst": "::/0"}],
                },
            },
            {"type": "portmap", "capabilities": {"portMappings": true}, "snat": true},
        ],
    })
    .to_string()
}
