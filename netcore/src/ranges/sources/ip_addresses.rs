//! `IPAddress` objects: one per allocated ClusterIP and family.

use crate::{
    cidr::parse_ip,
    cluster::resources,
    ranges::{ClusterIp, Facts, Given, Source, Want},
};

/// `IPAddress` objects.
pub(super) struct IpAddresses;

impl Source for IpAddresses {
    fn name(&self) -> &'static str {
        "ipaddress"
    }

    fn wants(&self, _: &Facts) -> Vec<Want> {
        vec![Want::list(&resources::IPADDRESSES)]
    }

    fn take(&self, given: Given<'_>, facts: &mut Facts) {
        let Given::IpAddress(address) = given else { return };
        let Some(metadata) = &address.metadata else { return };
        let parent = address.spec.as_ref().and_then(|spec| spec.parent_ref.as_ref());
        let parent = parent.map(|p| format!("{}/{}", p.namespace, p.name)).unwrap_or_default();
        match parse_ip(&metadata.name) {
            Ok((ip, _)) => facts.cluster_ips.push(ClusterIp { ip, parent }),
            Err(error) => facts.problem(&format!("ipaddress {}", metadata.name), format!("metadata.name: {error}")),
        }
    }

    fn finish(&self, facts: &mut Facts) {
        facts.cluster_ips.sort_by(|a, b| (a.ip, &a.parent).cmp(&(b.ip, &b.parent)));
        facts.cluster_ips.dedup();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::wire;

    #[test]
    fn the_name_is_the_address() {
        let mut facts = Facts::default();
        for json in [
            r#"{"metadata":{"name":"fd00:96::a"},"spec":{"parentRef":{"resource":"services","namespace":"x","name":"a"}}}"#,
            r#"{"metadata":{"name":"10.96.0.10"}}"#,
            r#"{"metadata":{"name":"nonsense"}}"#,
        ] {
            let address: wire::IpAddress = serde_json::from_str(json).unwrap();
            IpAddresses.take(Given::IpAddress(&address), &mut facts);
        }
        IpAddresses.finish(&mut facts);
        assert_eq!(facts.cluster_ips.len(), 2);
        assert_eq!(facts.cluster_ips[1].parent, "x/a");
        assert_eq!(facts.unreadable.len(), 1);
    }
}
