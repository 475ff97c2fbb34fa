//! Services: ClusterIPs and the addresses that lead to them from outside.

use std::net::IpAddr;

use crate::{
    cidr::parse_ip,
    cluster::{resources, wire},
    ranges::{Facts, Given, ServiceFacts, Source, Want},
};

/// `Service` objects.
pub(super) struct Services;

impl Source for Services {
    fn name(&self) -> &'static str {
        "service"
    }

    fn wants(&self, _: &Facts) -> Vec<Want> {
        vec![Want::list(&resources::SERVICES)]
    }

    fn take(&self, given: Given<'_>, facts: &mut Facts) {
        if let Given::Service(service) = given {
            take_service(service, facts);
        }
    }

    fn finish(&self, facts: &mut Facts) {
        facts.services.sort_by(|a, b| (&a.namespace, &a.name).cmp(&(&b.namespace, &b.name)));
        facts.services.dedup_by(|a, b| a.namespace == b.namespace && a.name == b.name);
    }
}

fn take_service(service: &wire::Service, facts: &mut Facts) {
    let (Some(metadata), Some(spec)) = (&service.metadata, &service.spec) else { return };
    let object = format!("service {}/{}", metadata.namespace, metadata.name);
    let mut addresses = |field: &str, texts: &mut dyn Iterator<Item = &str>| {
        let mut ips: Vec<IpAddr> = Vec::new();
        for text in texts.filter(|text| !text.is_empty() && *text != "None") {
            match parse_ip(text) {
                Ok((ip, _)) if !ips.contains(&ip) => ips.push(ip),
                Ok(_) => {}
                Err(error) => facts.problem(&object, format!("{field}: {error}")),
            }
        }
        ips
    };
    let single = Some(spec.cluster_ip.as_str()).filter(|_| spec.cluster_ips.is_empty());
    let cluster_ips = addresses("spec.clusterIPs", &mut spec.cluster_ips.iter().map(String::as_str).chain(single));
    let external_ips = addresses("spec.externalIPs", &mut spec.external_ips.iter().map(String::as_str));
    let ingress = service.status.as_ref().and_then(|status| status.load_balancer.as_ref());
    let load_balancer_ips = addresses(
        "status.loadBalancer.ingress",
        &mut ingress.into_iter().flat_map(|lb| &lb.ingress).map(|ingress| ingress.ip.as_str()),
    );
    facts.services.push(ServiceFacts {
        namespace: metadata.namespace.clone(),
        name: metadata.name.clone(),
        kind: if spec.r#type.is_empty() { "ClusterIP".to_owned() } else { spec.r#type.clone() },
        // an ExternalName Service has none, whatever an old object still says
        cluster_ips: if spec.r#type == "ExternalName" { Vec::new() } else { cluster_ips },
        external_ips,
        load_balancer_ips,
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(services: &[&str]) -> Facts {
        let mut facts = Facts::default();
        for service in services {
            let service: wire::Service = serde_json::from_str(service).unwrap();
            Services.take(Given::Service(&service), &mut facts);
        }
        Services.finish(&mut facts);
        facts
    }

    #[test]
    fn every_kind_of_address() {
        let facts = read(&[
            r#"{"metadata":{"name":"lb","namespace":"x"},"spec":{"type":"LoadBalancer","clusterIP":"10.96.0.9","clusterIPs":["10.96.0.9","fd00:96::9"],"externalIPs":["192.0.2.9"]},
                "status":{"loadBalancer":{"ingress":[{"ip":"198.51.100.9"},{"hostname":"a.example"}]}}}"#,
            r#"{"metadata":{"name":"headless","namespace":"x"},"spec":{"clusterIP":"None","clusterIPs":["None"]}}"#,
        ]);
        let [headless, lb] = facts.services.as_slice() else { panic!("two services") };
        assert_eq!((headless.name.as_str(), headless.cluster_ips.len()), ("headless", 0));
        assert_eq!(lb.cluster_ips.len(), 2);
        assert_eq!(lb.external_ips, ["192.0.2.9".parse::<IpAddr>().unwrap()]);
        assert_eq!(lb.load_balancer_ips, ["198.51.100.9".parse::<IpAddr>().unwrap()]);
        assert!(facts.unreadable.is_empty());
    }

    #[test]
    fn an_old_object_has_only_the_single_field() {
        let facts = read(&[r#"{"metadata":{"name":"a","namespace":"x"},"spec":{"clusterIP":"10.96.0.1"}}"#]);
        assert_eq!(facts.services[0].cluster_ips.len(), 1);
    }
}
