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
