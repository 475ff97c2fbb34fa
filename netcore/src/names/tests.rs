//! Names of single chains, sets, interfaces and comments. That every chain of a node has the name that
//! the API gives it is tried on captures in `tests/names.rs`.

use super::*;
use crate::{iptables::Ruleset, nft};

fn shown(names: &[Name]) -> String {
    names.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

fn service(namespace: &str, name: &str, port: Option<&str>) -> ServicePort {
    ServicePort { namespace: namespace.to_owned(), name: name.to_owned(), port: port.map(str::to_owned) }
}

fn pod(namespace: &str, name: &str, ip: &str) -> wire::Pod {
    let text = format!(
        r#"{{"metadata": {{"namespace": "{namespace}", "name": "{name}"}}, "spec": {{"nodeName": "n", "serviceAccountName": "runner"}},
            "status": {{"phase": "Running", "podIP": "{ip}"}}}}"#
    );
    serde_json::from_str(&text).unwrap()
}

// hashes of real clusters: kube-proxy 1.36 (captures), Felix 3.32 (generated), and `default/kubernetes:https`, which
// has the same chain on every cluster of the world
#[test]
fn hashes_are_those_of_the_programs() {
    assert_eq!(service_hash(&service("default", "kubernetes", Some("https")), "TCP"), "NPX46M4PTMTKRN6Y");
    assert_eq!(service_hash(&service("kube-system", "kube-dns", Some("dns")), "UDP"), "TCOU7JCQXEZGVUNU");
    assert_eq!(nft_hash(&service("default", "kubernetes", Some("https")), "TCP"), "2QRHZV4L");
    assert_eq!(interface_hash("default", "app0-0"), "4d9e5afa321");
}

#[test]
fn chains_of_kube_proxy() {
    let mut names = Names::new();
    names.service_port(service("default", "kubernetes", Some("https")), "TCP");
    names.pod(&pod("shop", "web-1", "10.244.0.11"));
    names.endpoint(&service("default", "kubernetes", Some("https")), "TCP", "10.0.0.1".parse().unwrap(), 6443);
    for prefix in ["KUBE-SVC-", "KUBE-SVL-", "KUBE-EXT-", "KUBE-FW-", "KUBE-XLB-"] {
        let chain = format!("{prefix}NPX46M4PTMTKRN6Y");
        assert_eq!(shown(&names.of_chain(&chain)), "svc/default/kubernetes:https");
    }
    let hash =
        endpoint_hash(&service("default", "kubernetes", Some("https")), "tcp", "10.0.0.1".parse().unwrap(), 6443);
    assert_eq!(shown(&names.of_chain(&format!("KUBE-SEP-{hash}"))), "svc/default/kubernetes:https 10.0.0.1:6443");
    assert_eq!(names.of_chain("KUBE-SVC-AAAAAAAAAAAAAAAA"), []);
    assert_eq!(names.of_chain("KUBE-SERVICES"), []);
}

#[test]
fn chains_of_kube_proxy_in_nftables_mode_can_be_read() {
    let mut names = Names::new();
    let of = |names: &Names, chain: &str| shown(&names.of_chain(chain));
    assert_eq!(of(&names, "service-2QRHZV4L-default/kubernetes/tcp/https"), "svc/default/kubernetes:https");
    assert_eq!(of(&names, "external-IAJ6XQXF-shop/udp/udp/"), "svc/shop/udp");
    assert_eq!(
        of(&names, "endpoint-NEWMIKSW-default/web/tcp/http__fd00.244.0.1..2/8080"),
        "svc/default/web:http [fd00:244:0:1::2]:8080"
    );
    names.pod(&pod("shop", "web-1", "10.244.0.11"));
    assert_eq!(
        of(&names, "endpoint-2ZNEQWPE-shop/affinity/tcp/http__10.244.0.11/8080"),
        "svc/shop/affinity:http pod/shop/web-1"
    );
    assert_eq!(
        shown(&names.of_set("affinity-2ZNEQWPE-shop/affinity/tcp/http__10.244.0.11/8080")),
        "svc/shop/affinity:http pod/shop/web-1"
    );
    // cut names are known by their hash alone
    assert_eq!(of(&names, "service-2QRHZV4L-default/kubern..."), "");
    names.service_port(service("default", "kubernetes", Some("https")), "TCP");
    assert_eq!(of(&names, "service-2QRHZV4L-default/kubern..."), "svc/default/kubernetes:https");
    assert_eq!(of(&names, "services"), "");
    assert_eq!(of(&names, "local-chain-of-somebody/else"), "");
}

#[test]
fn chains_of_calico() {
    let mut names = Names::new();
    let of = |names: &Names, chain: &str| shown(&names.of_chain(chain));
    names.pod(&pod("default", "app0-0", "10.244.1.2"));
    assert_eq!(of(&names, "cali-tw-cali4d9e5afa321"), "pod/default/app0-0");
    assert_eq!(of(&names, "filter-cali-fw-cali4d9e5afa321"), "pod/default/app0-0");
    assert_eq!(of(&names, "cali-fw-califfffffffff0"), "");
    assert_eq!(names.of_interface("eni4d9e5afa321").map(|n| n.to_string()).as_deref(), Some("pod/default/app0-0"));
    // what can be read needs no object
    assert_eq!(of(&names, "cali-pi-np/default/allow-0-0"), "networkpolicy.projectcalico.org/default/allow-0-0");
    assert_eq!(of(&names, "cali-po-knp/shop/deny"), "networkpolicy/shop/deny");
    assert_eq!(of(&names, "cali-pi-gnp/deny-all"), "globalnetworkpolicy.projectcalico.org/deny-all");
    assert_eq!(of(&names, "cali-pi-shop/knp.default.web"), "networkpolicy/shop/web");
    assert_eq!(of(&names, "cali-pi-default/shop/knp.default.web"), "networkpolicy/shop/web");
    assert_eq!(of(&names, "cali-pri-kns.default"), "namespace/default");
    assert_eq!(of(&names, "cali-pro-ksa.default.runner"), "serviceaccount/default/runner");
    // a namespace with a policy, or a tier with one: the API decides
    assert_eq!(of(&names, "cali-pi-security/web"), "");
    names.policy(PolicyKind::CalicoGlobalNetworkPolicy, Some("security"), None, "security.web");
    assert_eq!(of(&names, "cali-pi-security/web"), "globalnetworkpolicy.projectcalico.org/security.web");
}

#[test]
fn ids_that_are_too_long_are_found_by_their_hash() {
    let mut names = Names::new();
    names.policy(PolicyKind::NetworkPolicy, None, Some("a-namespace-with-a-name"), "a-policy");
    for id in [
        "a-namespace-with-a-name/knp.default.a-policy",
        "default/a-namespace-with-a-name/knp.default.a-policy",
        "knp/a-namespace-with-a-name/a-policy",
    ] {
        let hash = data_encoding::BASE64URL_NOPAD.encode(&<sha2::Sha256 as sha2::Digest>::digest(id.as_bytes()));
        let chain = format!("cali-pi-_{}", &hash[..19]);
        assert_eq!(chain.len(), 28);
        assert_eq!(shown(&names.of_chain(&chain)), "networkpolicy/a-namespace-with-a-name/a-policy", "{id}");
    }
    assert_eq!(names.of_chain("cali-pi-_AAAAAAAAAAAAAAAAAAA"), []);
    assert_eq!(names.of_chain("cali-pi-_"), []);
    names.profile(Name::Namespace("a-namespace-with-a-long-name".to_owned()));
    let id = "kns.a-namespace-with-a-long-name";
    let hash = data_encoding::BASE64URL_NOPAD.encode(&<sha2::Sha256 as sha2::Digest>::digest(id.as_bytes()));
    assert_eq!(shown(&names.of_chain(&format!("cali-pri-_{}", &hash[..18]))), "namespace/a-namespace-with-a-long-name");
}

#[test]
fn sets_are_of_the_policies_that_look_into_them() {
    let mut names = Names::new();
    assert_eq!(shown(&names.of_set("cali40network-ip-pools")), "every address pool");
    assert_eq!(shown(&names.of_set("cali60all-ipam-pools")), "every address pool");
    assert_eq!(shown(&names.of_set("KUBE-6-CLUSTER-IP")), "Services' cluster addresses");
    assert_eq!(shown(&names.of_set("cali40s:ccDj6qwwbD0Q5ro2UC8GMaf")), "");
    names.learn_sets(&Ruleset::parse(
        "*filter\n:cali-pi-knp/shop/web - [0:0]\n\
         -A cali-pi-knp/shop/web -m set --match-set cali40s:ccDj6qwwbD0Q5ro2UC8GMaf src -j ACCEPT\nCOMMIT\n",
    ));
    assert_eq!(shown(&names.of_set("cali40s:ccDj6qwwbD0Q5ro2UC8GMaf")), "networkpolicy/shop/web");
    // the same set in nftables mode
    assert_eq!(shown(&names.of_set("cali40s-ccDj6qwwbD0Q5ro2UC8GMaf")), "networkpolicy/shop/web");
    let text = r#"{"nftables": [{"rule": {"family": "ip", "table": "calico", "chain": "filter-cali-po-knp/shop/out", "expr": [
        {"match": {"op": "==", "left": {"payload": {"protocol": "ip", "field": "daddr"}}, "right": "@cali40s-AAAAAAAAAAAAAAAAAAAAAAA"}}]}}]}"#;
    names.learn_nft_sets(&nft::parse(text.as_bytes()));
    assert_eq!(shown(&names.of_set("cali40s-AAAAAAAAAAAAAAAAAAAAAAA")), "networkpolicy/shop/out");
}

#[test]
fn comments_of_kube_proxy() {
    let names = Names::new();
    for (comment, expected) in [
        ("shop/web:http cluster IP", "svc/shop/web:http"),
        ("shop/web has no endpoints", "svc/shop/web"),
        ("shop/web:http -> 10.244.0.2:8080", "svc/shop/web:http 10.244.0.2:8080"),
        ("shop/web:http -> [fd00::2]:8080", "svc/shop/web:http [fd00::2]:8080"),
        ("masquerade traffic for shop/web:http external destinations", "svc/shop/web:http"),
        ("route LOCAL traffic for shop/web:http external destinations", "svc/shop/web:http"),
        ("kubernetes service portals", ""),
        ("Policy shop/knp.default.web ingress", "networkpolicy/shop/web"),
        ("either/Or not", ""),
        ("http://example.com/a", ""),
    ] {
        assert_eq!(shown(&names.of_comment(comment)), expected, "{comment}");
    }
}

#[test]
fn a_rule_has_the_names_of_its_chain_and_of_what_it_says() {
    let mut names = Names::new();
    names.pod(&pod("shop", "web-1", "10.244.0.2"));
    let rules = Ruleset::parse(
        "*nat\n:KUBE-SEP-X - [0:0]\n:CNI-DN-1 - [0:0]\n:PREROUTING ACCEPT [0:0]\n\
         -A KUBE-SEP-X -s 10.244.0.2/32 -m comment --comment \"shop/web:http\" -j KUBE-MARK-MASQ\n\
         -A CNI-DN-1 -p tcp -m tcp --dport 80 -j DNAT --to-destination 10.244.0.2:8080\n\
         -A CNI-DN-1 -p tcp -m tcp --dport 81 -j DNAT --to-destination 10.244.0.9:8080\n\
         -A PREROUTING -m comment --comment \"shop/web:http\" -j ACCEPT\nCOMMIT\n",
    );
    let all: Vec<String> = rules.rules().map(|rule| shown(&names.of_rule(&rule))).collect();
    // an administrator's comment that looks like kube-proxy's is none
    assert_eq!(all, ["pod/shop/web-1 svc/shop/web:http", "pod/shop/web-1", "10.244.0.9:8080", ""]);
}

#[test]
fn a_name_answers_to_what_users_write() {
    let web = Name::Service(service("shop", "web", Some("http")));
    for wanted in ["web", "shop/web", "shop/web:http", "web:http"] {
        assert!(web.is_service(wanted), "{wanted}");
    }
    assert!(!web.is_service("shop/web:grpc") && !web.is_service("other/web") && !web.is_pod("web"));
    let pod = Name::Pod { namespace: "shop".to_owned(), name: "web-1".to_owned() };
    assert!(pod.is_pod("web-1") && pod.is_pod("shop/web-1") && !pod.is_pod("a/web-1") && !pod.is_service("web-1"));
}

#[test]
fn pods_on_the_nodes_network_and_ended_ones_have_no_interface_and_no_address() {
    let mut names = Names::new();
    let mut host = pod("kube-system", "proxy", "192.168.0.1");
    host.spec.as_mut().unwrap().host_network = true;
    names.pod(&host);
    let mut done = pod("shop", "job", "10.244.0.7");
    done.status.as_mut().unwrap().phase = "Succeeded".to_owned();
    names.pod(&done);
    assert!(names.of_address("10.244.0.7".parse().unwrap()).is_none());
    assert!(names.of_address("192.168.0.1".parse().unwrap()).is_none());
    // its profile is there all the same
    assert_eq!(shown(&names.of_chain("cali-pri-kns.shop")), "namespace/shop");
}
