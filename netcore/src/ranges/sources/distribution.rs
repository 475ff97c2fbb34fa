//! Which distribution this is, by what it leaves on its nodes. Its defaults are hints, never facts.

use crate::{
    cluster::distribution::{of_node, of_version},
    ranges::{Facts, Given, Source, Want},
};

/// Signs of distributions.
pub(super) struct Distribution;

impl Source for Distribution {
    fn name(&self) -> &'static str {
        "distribution"
    }

    fn wants(&self, _: &Facts) -> Vec<Want> {
        Vec::new()
    }

    fn take(&self, given: Given<'_>, facts: &mut Facts) {
        let Given::Node(node) = given else { return };
        let Some((name, why)) = of_node(node) else { return };
        if !facts.distributions.iter().any(|(known, _)| *known == name) {
            facts.distributions.push((name, why));
        }
    }

    fn finish(&self, facts: &mut Facts) {
        let version = facts.version.as_deref().and_then(of_version);
        if let (true, Some(name)) = (facts.distributions.is_empty(), version) {
            let why = format!("/version {}", facts.version.as_deref().unwrap_or_default());
            facts.distributions.push((name, why));
        }
        facts.distributions.sort();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::wire;

    fn read(json: &str) -> Vec<(&'static str, String)> {
        let node: wire::Node = serde_json::from_str(json).unwrap();
        let mut facts = Facts::default();
        Distribution.take(Given::Node(&node), &mut facts);
        Distribution.finish(&mut facts);
        facts.distributions
    }

    #[test]
    fn signs_on_nodes() {
        let labelled = read(r#"{"metadata":{"name":"a","labels":{"eks.amazonaws.com/nodegroup":"x"}}}"#);
        assert_eq!(labelled, [("eks", "node a: label eks.amazonaws.com/nodegroup".to_owned())]);
        let kind = r#"{"metadata":{"name":"a","annotations":{"kubeadm.alpha.kubernetes.io/cri-socket":"x"}},"spec":{"providerID":"kind://docker/kind/a"}}"#;
        assert_eq!(read(kind)[0].0, "kind");
        assert_eq!(
            read(r#"{"metadata":{"name":"a"},"status":{"nodeInfo":{"kubeletVersion":"v1.33.1+k3s1"}}}"#)[0].0,
            "k3s"
        );
        assert_eq!(
            read(r#"{"metadata":{"name":"a"},"status":{"nodeInfo":{"osImage":"Talos (v1.9.1)"}}}"#)[0].0,
            "talos"
        );
        assert!(read(r#"{"metadata":{"name":"a"},"status":{"nodeInfo":{"kubeletVersion":"v1.36.2"}}}"#).is_empty());
    }
}
