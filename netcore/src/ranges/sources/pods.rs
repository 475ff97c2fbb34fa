//! Pods: the addresses in use.

use std::net::IpAddr;

use crate::{
    cidr::parse_ip,
    cluster::{resources, wire},
    ranges::{Facts, Given, PodAddress, Source, Want},
};

/// `Pod` objects.
pub(super) struct Pods;

impl Source for Pods {
    fn name(&self) -> &'static str {
        "pod"
    }

    fn wants(&self, _: &Facts) -> Vec<Want> {
        vec![Want::list(&resources::PODS)]
    }

    fn take(&self, given: Given<'_>, facts: &mut Facts) {
        if let Given::Pod(pod) = given {
            take_pod(pod, facts);
        }
    }

    fn finish(&self, facts: &mut Facts) {
        facts.pods.sort();
    }
}

fn take_pod(pod: &wire::Pod, facts: &mut Facts) {
    facts.pods.total += 1;
    let (Some(metadata), Some(spec), Some(status)) = (&pod.metadata, &pod.spec, &pod.status) else { return };
    if matches!(status.phase.as_str(), "Succeeded" | "Failed") {
        return;
    }
    if spec.host_network {
        facts.pods.host_network += 1;
        return;
    }
    let texts = status.pod_ips.iter().map(|ip| ip.ip.as_str());
    let texts: Vec<&str> = texts.chain(Some(status.pod_ip.as_str()).filter(|_| status.pod_ips.is_empty())).collect();
    let mut ips: Vec<IpAddr> = Vec::with_capacity(2);
    for text in texts.into_iter().filter(|text| !text.is_empty()) {
        match parse_ip(text) {
            Ok((ip, _)) if !ips.contains(&ip) => ips.push(ip),
            Ok(_) => {}
            Err(error) => {
                facts.problem(&format!("pod {}/{}", metadata.namespace, metadata.name), format!("status: {error}"));
            }
        }
    }
    if ips.is_empty() {
        // a pod that is on its way out has given its address back
        facts.pods.without_address += u64::from(metadata.deletion_timestamp.is_none());
        return;
    }
    let node = facts.pods.node_index(&spec.node_name);
    if let Some(count) = facts.pods.per_node.get_mut(node as usize) {
        *count += 1;
    }
    let pod = facts.pods.names.push(&format!("{}/{}", metadata.namespace, metadata.name));
    facts.pods.addresses.extend(ips.into_iter().map(|ip| PodAddress { ip, pod, node }));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pods: &[&str]) -> Facts {
        let mut facts = Facts::default();
        for pod in pods {
            let pod: wire::Pod = serde_json::from_str(pod).unwrap();
            Pods.take(Given::Pod(&pod), &mut facts);
        }
        Pods.finish(&mut facts);
        facts
    }

    #[test]
    fn only_live_addresses_of_the_pod_network_count() {
        let facts = read(&[
            r#"{"metadata":{"name":"b","namespace":"x"},"spec":{"nodeName":"n1"},"status":{"phase":"Running","podIP":"10.244.0.9","podIPs":[{"ip":"10.244.0.9"},{"ip":"fd00:244::9"}]}}"#,
            r#"{"metadata":{"name":"a","namespace":"x"},"spec":{"nodeName":"n1"},"status":{"phase":"Pending","podIP":"10.244.0.3"}}"#,
            r#"{"metadata":{"name":"host","namespace":"x"},"spec":{"nodeName":"n1","hostNetwork":true},"status":{"phase":"Running","podIP":"172.31.77.2"}}"#,
            r#"{"metadata":{"name":"done","namespace":"x"},"spec":{"nodeName":"n1"},"status":{"phase":"Succeeded","podIP":"10.244.0.4"}}"#,
            r#"{"metadata":{"name":"new","namespace":"x"},"spec":{},"status":{"phase":"Pending"}}"#,
            r#"{"metadata":{"name":"going","namespace":"x","deletionTimestamp":"2026-11-23T00:00:00Z"},"spec":{"nodeName":"n1"},"status":{"phase":"Running"}}"#,
        ]);
        let pods = &facts.pods;
        let found: Vec<String> = pods.addresses.iter().map(|a| a.ip.to_string()).collect();
        assert_eq!(found, ["10.244.0.3", "10.244.0.9", "fd00:244::9"], "sorted, v4 first");
        assert_eq!(pods.names.get(pods.addresses[1].pod), "x/b");
        assert_eq!((pods.total, pods.host_network, pods.without_address), (6, 1, 1));
        assert_eq!((pods.on_node("n1"), pods.on_node("n2")), (2, 0));
    }

    #[test]
    fn a_pod_given_twice_has_one_address() {
        let pod = r#"{"metadata":{"name":"b","namespace":"x"},"spec":{"nodeName":"n1"},"status":{"phase":"Running","podIP":"10.244.0.9"}}"#;
        assert_eq!(read(&[pod, pod]).pods.addresses.len(), 1);
    }

    #[test]
    fn a_broken_address_is_named() {
        let facts = read(&[
            r#"{"metadata":{"name":"b","namespace":"x"},"spec":{},"status":{"phase":"Running","podIP":"10.244.0.999"}}"#,
        ]);
        assert_eq!(facts.unreadable[0].source, "pod x/b");
    }
}
