use serde_json::Value;

use super::*;
use crate::cluster::wire;

/// A node that was captured: what the API had, and what its kernel had.
struct Captured {
    node: NodeFacts,
    kernel: KernelTexts,
    desired: Desired,
}

macro_rules! capture {
    ($folder:literal, $($probe:ident = $file:literal),*) => {
        Captured::read(
            include_str!(concat!("../../../../tests/fixtures/captures/", $folder, "/services.json")),
            include_str!(concat!("../../../../tests/fixtures/captures/", $folder, "/endpointslices.json")),
            include_str!(concat!("../../../../tests/fixtures/captures/", $folder, "/nodes.json")),
            &[
                (Probe::Configz, include_str!(concat!("../../../../tests/fixtures/captures/", $folder, "/configz.json"))),
                $((Probe::$probe, include_str!(concat!("../../../../tests/fixtures/captures/", $folder, "/", $file))),)*
            ],
        )
    };
}

fn items(text: &str) -> Vec<Value> {
    let list: Value = serde_json::from_str(text).unwrap();
    list["items"].as_array().unwrap().clone()
}

impl Captured {
    fn read(services: &str, slices: &str, nodes: &str, probes: &[(Probe, &str)]) -> Self {
        let mut desired = Desired::default();
        for object in items(services) {
            desired.take_service(&serde_json::from_value::<wire::Service>(object).unwrap());
        }
        for object in items(slices) {
            desired.take_slice(&serde_json::from_value::<wire::EndpointSlice>(object).unwrap());
        }
        let mut facts = Facts::default();
        for object in items(nodes) {
            facts.take_node(&serde_json::from_value::<wire::Node>(object).unwrap());
        }
        let mut kernel = KernelTexts::default();
        for (probe, text) in probes {
            facts.take_probe(Some("node1"), *probe, text, probe.file());
            if PROBES.contains(probe) {
                kernel.take(*probe, (*text).to_owned());
            }
        }
        Self { node: NodeFacts::of(&facts, "node1"), kernel, desired }
    }

    fn verdict(&self) -> NodeVerdict {
        verify(&self.node, self.kernel.clone(), &self.desired)
    }

    /// What verifying says after one text was changed; the change must fit exactly once.
    fn after(&self, probe: Probe, from: &str, to: &str) -> NodeVerdict {
        let mut kernel = self.kernel.clone();
        let text = kernel.texts.get_mut(&probe).unwrap();
        assert_eq!(text.matches(from).count(), 1, "{from}");
        *text = text.replace(from, to);
        verify(&self.node, kernel, &self.desired)
    }
}

fn iptables() -> Captured {
    capture!("iptables-nft-variety", IptablesSave = "iptables-save-c.txt", Ip6tablesSave = "ip6tables-save-c.txt")
}

fn nftables() -> Captured {
    capture!("nftables-variety", NftRuleset = "nft-ruleset.json")
}

fn words(entries: &[Entry]) -> Vec<String> {
    entries.iter().map(Entry::in_short).collect()
}

#[test]
fn healthy_nodes_verify_clean() {
    for (captured, mode) in [(iptables(), Mode::Iptables), (nftables(), Mode::Nftables)] {
        let verdict = captured.verdict();
        assert_eq!((verdict.state, verdict.mode, verdict.checked), (VerifyState::Verified, Some(mode), 39));
        assert!(verdict.agrees() && verdict.reason.is_none(), "{verdict:#?}");
        assert_eq!(findings(&[verdict]), []);
    }
}

#[test]
fn what_is_missing_stale_or_wrong_is_found_in_rules() {
    let captured = iptables();
    let entry = ":KUBE-SVC-P4IC7LN77ODNXKIX";
    let verdict = captured.after(
        Probe::IptablesSave,
        "-m tcp --dport 80 -j KUBE-SVC-P4IC7LN77ODNXKIX",
        "-m tcp --dport 81 -j KUBE-SVC-P4IC7LN77ODNXKIX",
    );
    assert_eq!(
        words(&verdict.missing),
        [
            "shop/one-ep:http TCP 10.96.117.252:80: not translated, from 10.243.255.255; expected: 10.244.0.11:8080 100.0%"
        ],
        "{entry}"
    );
    assert_eq!(
        words(&verdict.stale),
        ["shop/one-ep:http TCP 10.96.117.252:81: 10.244.0.11:8080 100.0%; expected: nothing"]
    );
    assert_eq!(findings(&[verdict]).iter().map(|f| f.id.as_str()).collect::<Vec<_>>(), ["PROXY-201", "PROXY-203"]);

    let verdict = captured.after(
        Probe::IptablesSave,
        "-j DNAT --to-destination 172.31.77.3:8080",
        "-j DNAT --to-destination 172.31.77.3:8081",
    );
    let found = "shop/hostnet-ep:http TCP 10.96.218.168:80: 172.31.77.3:8081 100.0%, from 10.243.255.255; expected: 172.31.77.3:8080 100.0%";
    assert_eq!(words(&verdict.wrong), [found]);
    assert_eq!(findings(&[verdict]).iter().map(|f| f.id.as_str()).collect::<Vec<_>>(), ["PROXY-202"]);
}

#[test]
fn what_all_services_need_is_said_once() {
    let captured = iptables();
    let verdict =
        captured.after(Probe::IptablesSave, "-j MARK --set-xmark 0x4000/0x4000", "-j MARK --set-xmark 0x8000/0x8000");
    assert_eq!(
        words(&verdict.wrong),
        ["every Service: they are not; expected: packets that KUBE-MARK-MASQ marks are masqueraded, and no others"]
    );
    assert!(verdict.missing.is_empty() && verdict.stale.is_empty());
}

#[test]
fn a_table_that_ends_early_is_no_finding() {
    let mut captured = iptables();
    let text = captured.kernel.texts.get_mut(&Probe::IptablesSave).unwrap();
    let end = text.rfind("-A KUBE-SVC-V3X3FH6XNOE3522F").unwrap();
    text.truncate(end);
    let verdict = captured.verdict();
    assert_eq!(verdict.state, VerifyState::Partial);
    assert_eq!(verdict.reason.as_deref(), Some("iptables-save ends before its last COMMIT: rules are missing"));
    assert!(verdict.agrees(), "{verdict:#?}");
    captured.kernel.texts.clear();
    captured.kernel.take_unread(Probe::IptablesSave, "timed out after 10s".to_owned());
    let verdict = captured.verdict();
    assert_eq!((verdict.state, verdict.checked), (VerifyState::Unreadable, 0));
    assert!(verdict.reason.unwrap().starts_with("iptables-save: timed out after 10s"));
}

#[test]
fn a_rule_that_is_not_understood_is_no_finding() {
    let captured = iptables();
    let verdict = captured.after(
        Probe::IptablesSave,
        "-A KUBE-SVC-P4IC7LN77ODNXKIX -m comment --comment \"shop/one-ep:http -> 10.244.0.11:8080\" -j",
        "-A KUBE-SVC-P4IC7LN77ODNXKIX -m comment --comment \"shop/one-ep:http -> 10.244.0.11:8080\" -m quantum --spin up -j",
    );
    assert_eq!((verdict.state, verdict.checked), (VerifyState::Partial, 38));
    assert!(verdict.reason.as_deref().unwrap().starts_with("layout not known for 1 addresses"), "{verdict:#?}");
    assert!(verdict.agrees(), "{verdict:#?}");
}

#[test]
fn what_moves_between_two_looks_is_not_called_wrong() {
    let captured = iptables();
    let broken =
        captured.after(Probe::IptablesSave, "--to-destination 172.31.77.3:8080", "--to-destination 172.31.77.3:8081");
    let nothing = |_: &ServicePort| false;
    let stays = settle(broken.clone(), broken.clone(), &nothing);
    assert_eq!((stays.state, stays.wrong.len()), (VerifyState::Verified, 1));
    let healed = settle(broken.clone(), captured.verdict(), &nothing);
    assert_eq!((healed.state, healed.agrees()), (VerifyState::Verified, true));
    let moved = settle(broken.clone(), broken.clone(), &|port| port.name == "hostnet-ep");
    assert_eq!((moved.state, moved.agrees()), (VerifyState::Unstable, true));
    let new = settle(captured.verdict(), broken, &nothing);
    assert_eq!((new.state, new.agrees()), (VerifyState::Unstable, true));
}

#[test]
fn without_a_configuration_the_rules_tell_whose_traffic_is_local() {
    for captured in [iptables(), nftables()] {
        let node = NodeFacts { config: None, ..captured.node.clone() };
        let verdict = verify(&node, captured.kernel.clone(), &captured.desired);
        assert!(verdict.agrees() && verdict.checked == 39, "{verdict:#?}");
    }
    let mut captured = iptables();
    captured.node.config = None;
    let own = "-A KUBE-SVC-P4IC7LN77ODNXKIX ! -s 10.244.0.0/16";
    let verdict = captured.after(Probe::IptablesSave, own, "-A KUBE-SVC-P4IC7LN77ODNXKIX ! -s 10.244.0.0/17");
    assert_eq!(verdict.wrong.len(), 1, "{verdict:#?}");
}

#[test]
fn what_another_mode_left_is_told_and_is_no_difference() {
    let mut captured = iptables();
    captured.kernel.take(
        Probe::IpvsTable,
        "-A -t 10.96.50.47:80 -s rr\n-a -t 10.96.50.47:80 -r 10.244.0.11:8080 -m -w 1\n".to_owned(),
    );
    let links = "2: eth0: <UP> mtu 1500\n    inet 172.31.77.2/24 scope global eth0\n4: kube-ipvs0: <BROADCAST,NOARP> mtu 1500\n    inet 10.96.50.47/32 scope global kube-ipvs0\n";
    captured.kernel.take(Probe::Addresses, links.to_owned());
    let verdict = captured.verdict();
    assert!(verdict.agrees() && verdict.state == VerifyState::Verified, "{verdict:#?}");
    let left: Vec<String> = verdict.leftovers.iter().map(Leftover::in_short).collect();
    assert_eq!(left, ["link kube-ipvs0", "1 virtual server in ipvs"]);
    let found = findings(&[verdict]);
    assert_eq!(found.iter().map(|f| f.id.as_str()).collect::<Vec<_>>(), ["PROXY-005"]);
}

/// A Service with two virtual servers' worth of trouble, made up: ipvs mode without rules around.
const SERVERS: &str = "-A -t 10.96.7.7:80 -s rr\n-a -t 10.96.7.7:80 -r 10.244.0.5:8080 -m -w 1\n-a -t 10.96.7.7:80 -r 10.244.0.6:8080 -m -w 1\n";

fn servers(text: &str) -> NodeVerdict {
    let mut desired = Desired::default();
    let service = serde_json::json!({"metadata": {"namespace": "shop", "name": "web"},
        "spec": {"type": "ClusterIP", "clusterIP": "10.96.7.7", "clusterIPs": ["10.96.7.7"], "ports": [{"port": 80, "protocol": "TCP"}]}});
    let slice = serde_json::json!({"metadata": {"namespace": "shop", "name": "web-x", "labels": {"kubernetes.io/service-name": "web"}},
        "addressType": "IPv4", "ports": [{"port": 8080, "protocol": "TCP"}],
        "endpoints": [{"addresses": ["10.244.0.5"]}, {"addresses": ["10.244.0.6"], "conditions": {"ready": true}},
            {"addresses": ["10.244.0.7"], "conditions": {"ready": false}}]});
    desired.take_service(&serde_json::from_value(service).unwrap());
    desired.take_slice(&serde_json::from_value(slice).unwrap());
    let node = NodeFacts { name: "n".to_owned(), mode: Some(Mode::Ipvs), ..NodeFacts::default() };
    let mut kernel = KernelTexts::default();
    kernel.take(Probe::IpvsTable, text.to_owned());
    verify(&node, kernel, &desired)
}

#[test]
fn virtual_servers_are_compared_also_without_the_rules_around() {
    let verdict = servers(SERVERS);
    assert_eq!((verdict.state, verdict.checked, verdict.agrees()), (VerifyState::Partial, 1, true), "{verdict:#?}");
    // a server without weight is on its way out
    assert!(servers(&format!("{SERVERS}-a -t 10.96.7.7:80 -r 10.244.0.7:8080 -m -w 0\n")).agrees());
    let wrong = |text: &str| words(&servers(text).wrong);
    assert_eq!(
        wrong(&SERVERS.replace("0.6:8080 -m -w 1", "0.6:8080 -m -w 0")),
        [
            "shop/web TCP 10.96.7.7:80: 10.244.0.5:8080 weight 1, 10.244.0.6:8080 weight 0; expected: 10.244.0.5:8080, 10.244.0.6:8080"
        ]
    );
    assert_eq!(
        wrong(&SERVERS.replace("-m -w 1\n-a", "-g -w 1\n-a")),
        ["shop/web TCP 10.96.7.7:80: forwarded by route; expected: forwarded by masquerade"]
    );
    assert_eq!(
        wrong(&SERVERS.replace("-s rr", "-s rr -p 60")),
        ["shop/web TCP 10.96.7.7:80: affinity 60s; expected: no affinity"]
    );
    let gone = servers("-A -t 10.96.8.8:80 -s rr\n");
    assert_eq!(
        words(&gone.missing),
        ["shop/web TCP 10.96.7.7:80: no virtual server; expected: 10.244.0.5:8080, 10.244.0.6:8080"]
    );
    assert_eq!(words(&gone.stale), ["TCP 10.96.8.8:80: a virtual server with 0 servers; expected: nothing"]);
}
