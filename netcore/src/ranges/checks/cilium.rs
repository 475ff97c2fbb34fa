//! Checks of what Cilium's operator says.

use super::{Check, Findings};
use crate::{
    cluster::resources,
    finding::{FindingDoc, Severity},
    ranges::Facts,
};

/// The checks of this file.
pub(super) static CHECKS: &[Check] = &[Check {
    doc: FindingDoc {
        id: "CIDR-047",
        title: "Cilium's operator could not give a node its range",
        severity: "error: the node's pods get no addresses, or keep those of a range that is gone",
        formula: "status.ipam.operator-status.error of a CiliumNode is not empty",
        example: "node3: unable to allocate podCIDR 10.0.3.0/24: not in the cluster's range",
        remedy: "after a change of the address management or its pools the old range stays in the CiliumNode: restore \
                 the pool, or drain the node and delete its CiliumNode so that it gets a range anew; if the pool is \
                 used up, append a range to it",
    },
    needs: &[&resources::CILIUM_NODES],
    run: operator_errors,
}];

fn operator_errors(facts: &Facts, findings: &mut Findings<'_>) {
    for (name, node) in &facts.known.cilium.nodes {
        if let Some(error) = &node.operator_error {
            let evidence = vec![format!("ciliumnode {name} status.ipam.operator-status.error: {error}")];
            findings.add(Severity::Error, format!("node {name}"), format!("Cilium's operator says: {error}"), evidence);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::ranges::sources::calico::tests::read;

    fn node(error: &str) -> Facts {
        read(&[json!({"apiVersion": "cilium.io/v2", "kind": "CiliumNode", "metadata": {"name": "a"},
            "spec": {"ipam": {"podCIDRs": ["10.0.0.0/24"]}},
            "status": {"ipam": {"operator-status": {"error": error}}}})])
    }

    #[test]
    fn an_operator_error_is_shown() {
        let (found, _) = super::super::run_one("CIDR-047", &node("no CIDR left"));
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].severity, found[0].subject.as_str()), (Severity::Error, "node a"));
        assert!(found[0].evidence[0].contains("no CIDR left"));
        assert!(super::super::run_one("CIDR-047", &node("")).0.is_empty());
    }
}
