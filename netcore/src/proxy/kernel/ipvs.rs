//! Virtual servers.

use super::{Backend, KernelService, UNREADABLE};
use crate::ipvs::{IpvsTable, Persistence, RealServer, VirtualAddress, VirtualServer};

/// The virtual servers of addresses and ports; those of firewall marks are never kube-proxy's.
pub fn in_virtual_servers(table: &IpvsTable) -> Vec<KernelService> {
    table.services.iter().filter_map(service).collect()
}

fn service(server: &VirtualServer) -> Option<KernelService> {
    let VirtualAddress::Socket(protocol, endpoint) = server.address else { return None };
    let mut flags = server.flags.clone().unwrap_or_default();
    let mut affinity = None;
    if let Some(Persistence::On { seconds, .. }) = &server.persistence {
        flags.push("persistent".to_owned());
        affinity = *seconds;
    }
    if server.in_part {
        flags.push(UNREADABLE.to_owned());
    }
    Some(KernelService {
        protocol: protocol.to_string(),
        address: Some(endpoint.address),
        port: endpoint.port,
        service: None,
        held_by: "ipvs".to_owned(),
        scheduler: server.scheduler.clone(),
        flags,
        affinity_seconds: affinity,
        backends: server.servers.iter().map(backend).collect(),
    })
}

fn backend(server: &RealServer) -> Backend {
    Backend {
        address: server.endpoint.address,
        port: server.endpoint.port,
        pod: None,
        node: None,
        forward: server.forward.map(|forward| forward.to_string()),
        weight: server.weight,
        probability: None,
        active: server.active,
        inactive: server.inactive,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_could_not_be_read_is_not_called_none() {
        let text = "TCP 10.96.0.3:80 rr\n  -> 10.0.0.5:80 Masq 99999999999 0 0\nTCP 10.96.0.4:80 rr\n";
        let (table, problems) = crate::ipvs::parse(text);
        assert_eq!(problems.len(), 1);
        let flags: Vec<_> = in_virtual_servers(&table).into_iter().map(|service| service.flags).collect();
        assert_eq!(flags, [vec![UNREADABLE.to_owned()], vec![]]);
    }

    #[test]
    fn a_listing_gives_backends_with_connections() {
        let text = "IP Virtual Server version 1.2.1 (size=4096)\nProt LocalAddress:Port Scheduler Flags\n  \
            -> RemoteAddress:Port           Forward Weight ActiveConn InActConn\n\
            TCP  10.233.0.1:443 rr persistent 10800\n  -> 10.0.0.5:6443 Masq 1 49 2\n  -> 10.0.0.6:6443 Masq 0 0 0\n";
        let (table, problems) = crate::ipvs::parse(text);
        assert!(problems.is_empty(), "{problems:?}");
        let found = in_virtual_servers(&table);
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].scheduler.as_deref(), found[0].affinity_seconds), (Some("rr"), Some(10800)));
        let of: Vec<_> = found[0].backends.iter().map(|b| (b.weight, b.active, b.inactive)).collect();
        assert_eq!(of, [(Some(1), Some(49), Some(2)), (Some(0), Some(0), Some(0))]);
        assert_eq!(found[0].backends[0].forward.as_deref(), Some("masquerade"));
    }
}
