//! The test server itself: paging, encodings, errors and faults are what clients meet.

use apiserver::{Allocator, Config, Discovery, Fault, Server, Trouble, User, generate, protobuf};
use e2e::{Http, clusters, names};
use serde_json::{Value, json};

const PROTOBUF: &str = "application/vnd.kubernetes.protobuf";

fn server(config: Config) -> (Server, Http) {
    let server = Server::start(config);
    let http = Http::new(&server.kubeconfig());
    (server, http)
}

#[test]
fn pages_make_up_the_whole_list() {
    let (server, http) = server(clusters::captured());
    let whole = names(&http.get("/api/v1/services", "").json());
    for limit in [1, 2, 7, 1000] {
        let (mut paged, mut token) = (Vec::new(), String::new());
        loop {
            let page = http.get(&format!("/api/v1/services?limit={limit}&continue={token}"), "").json();
            paged.extend(names(&page));
            let left = whole.len() - paged.len();
            let remaining = page["metadata"]["remainingItemCount"].as_u64().unwrap_or_default();
            assert_eq!(remaining, left as u64, "limit {limit}");
            match page["metadata"]["continue"].as_str() {
                Some(next) => next.clone_into(&mut token),
                None => break,
            }
        }
        assert_eq!(paged, whole, "limit {limit}");
    }
    assert!(server.requests().iter().all(|request| request.user.as_deref() == Some("admin")));
}

#[test]
fn generated_objects_are_the_same_in_both_encodings() {
    let size = generate::Size { nodes: 20, pods: 300, services: 60 };
    let (_server, http) = server(generate::cluster(size));
    for (path, kind, api_version) in [
        ("/api/v1/nodes", "Node", "v1"),
        ("/api/v1/pods", "Pod", "v1"),
        ("/api/v1/services", "Service", "v1"),
        ("/apis/networking.k8s.io/v1/ipaddresses", "IPAddress", "networking.k8s.io/v1"),
    ] {
        let list = http.get(path, "application/json").json();
        let items = list["items"].as_array().expect("items");
        let mut sorted = names(&list);
        let mut body = protobuf::list_start(&list["metadata"]);
        for object in items {
            let item = protobuf::encoded(kind, object);
            protobuf::item_start(&mut body, item.len());
            body.extend(item);
        }
        let expected = protobuf::enveloped(api_version, &format!("{kind}List"), &body);
        let binary = http.get(path, PROTOBUF);
        assert_eq!(binary.content_type(), PROTOBUF);
        assert_eq!(binary.body, expected, "{path}");
        sorted.sort();
        sorted.dedup();
        assert_eq!(sorted.len(), items.len(), "{path}: names are unique");
    }
}

#[test]
fn custom_kinds_have_no_protobuf() {
    let pool = json!({"apiVersion": "crd.projectcalico.org/v1", "kind": "IPPool", "metadata": {"name": "default"},
        "spec": {"cidr": "10.0.0.0/16"}});
    let (_server, http) = server(Config::new().object(pool));
    let path = "/apis/crd.projectcalico.org/v1/ippools";
    assert_eq!(http.get(path, PROTOBUF).status, 406);
    let list = http.get(path, &format!("{PROTOBUF}, application/json")).json();
    assert_eq!(list["items"][0]["kind"], "IPPool");
}

#[test]
fn discovery_shows_what_a_release_has() {
    let resources = |minor: u32, version: &str| {
        let (_server, http) = server(Config::new().minor(minor));
        let answer = http.get(&format!("/apis/networking.k8s.io/{version}"), "");
        answer.status.is_success().then(|| answer.text()).is_some_and(|text| text.contains("servicecidrs"))
    };
    assert!(!resources(30, "v1") && !resources(30, "v1beta1"));
    assert!(!resources(31, "v1") && resources(31, "v1beta1"));
    assert!(resources(33, "v1"));

    let accept = "application/json;v=v2;g=apidiscovery.k8s.io;as=APIGroupDiscoveryList,application/json";
    for (mode, kind, status) in [
        (Discovery::Aggregated, "APIGroupDiscoveryList", 200),
        (Discovery::Plain, "APIGroupList", 200),
        (Discovery::NotAcceptable, "Status", 406),
    ] {
        let (_server, http) = server(Config::new().discovery(mode));
        let answer = http.get("/apis", accept);
        assert_eq!((answer.status.as_u16(), answer.json()["kind"].as_str()), (status, Some(kind)));
    }
}

#[test]
fn users_may_what_they_may() {
    let config =
        clusters::captured().user(User::new("viewer").allow("list", "pods").allow_in("shop", "list", "services"));
    let server = Server::start(config);
    for kubeconfig in [server.kubeconfig_for("viewer"), server.kubeconfig_with_certificate("viewer")] {
        let http = Http::new(&kubeconfig);
        assert_eq!(http.get("/api/v1/pods", "").status, 200);
        assert_eq!(http.get("/api/v1/namespaces/shop/services", "").status, 200);
        let refused = http.get("/api/v1/services", "").json();
        let message = r#"services is forbidden: User "viewer" cannot list resource "services" in API group "" at the cluster scope"#;
        assert_eq!((refused["code"].as_u64(), refused["message"].as_str()), (Some(403), Some(message)));
        let refused = http.get("/flagz", "text/plain").json();
        assert_eq!(refused["message"], r#"forbidden: User "viewer" cannot get path "/flagz""#);
    }
    assert_eq!(Http::new(&server.kubeconfig_for("nobody")).get("/api/v1/pods", "").status, 401);
}

fn create(minor: u32, allocator: Option<Allocator>, ranges: &[&str], address: Option<&str>, query: &str) -> Value {
    let mut config = Config::new().minor(minor).service_ranges(ranges);
    if let Some(allocator) = allocator {
        config = config.allocator(allocator);
    }
    let server = Server::start(config).allow_writes();
    let http = Http::new(&server.kubeconfig());
    let service = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "probe"},
        "spec": {"clusterIP": address, "ports": [{"port": 1}]}});
    http.post(&format!("/api/v1/namespaces/default/services{query}"), &service).json()
}

#[test]
fn every_release_refuses_in_its_own_words() {
    let ranges = ["10.96.0.0/16"];
    for (minor, allocator, query, expected) in [
        (19, None, "", "provided IP is not in the valid range. The range of valid IPs is 10.96.0.0/16"),
        (
            21,
            None,
            "",
            "failed to allocated ip:1.1.1.1 with error:provided IP is not in the valid range. The range of valid IPs is 10.96.0.0/16",
        ),
        (
            25,
            None,
            "?dryRun=All",
            "failed to allocate IP 1.1.1.1: provided IP is not in the valid range. The range of valid IPs is 10.96.0.0/16",
        ),
        (
            30,
            None,
            "?dryRun=All",
            "failed to allocate IP 1.1.1.1: the provided IP (1.1.1.1) is not in the valid range. The range of valid IPs is 10.96.0.0/16",
        ),
        (33, None, "", "failed to allocate IP 1.1.1.1: the provided network does not match the current range"),
        (
            36,
            None,
            "?dryRun=All",
            "failed to allocate IP 1.1.1.1: the provided IP (1.1.1.1) is not in the valid range. The range of valid IPs is 10.96.0.0/16",
        ),
        (
            38,
            Some(Allocator::Stripped),
            "?dryRun=All",
            "failed to allocate IP 1.1.1.1: the provided IP (1.1.1.1) is not in the valid range",
        ),
    ] {
        let status = create(minor, allocator, &ranges, Some("1.1.1.1"), query);
        let message = status["message"].as_str().expect("a message");
        assert!(message.ends_with(expected), "1.{minor}{query}: {message}");
        assert_eq!(status["code"], 422);
    }
    let other = create(36, None, &ranges, Some("2001:db8::1"), "?dryRun=All");
    assert!(other["message"].as_str().expect("a message").ends_with("IPv6 is not configured on this cluster"));
}

#[test]
fn a_dry_run_without_an_address_gives_the_base() {
    let service = create(36, None, &["10.96.0.0/16"], None, "?dryRun=All");
    assert_eq!(service["spec"]["clusterIP"], "10.96.0.0");
    for (address, kind) in
        [("10.96.0.0", "Status"), ("10.96.255.255", "Status"), ("10.96.255.254", "Service"), ("10.96.0.1", "Service")]
    {
        assert_eq!(create(36, None, &["10.96.0.0/16"], Some(address), "?dryRun=All")["kind"], kind, "{address}");
    }
}

#[test]
fn a_dry_run_asks_any_one_of_several_ranges() {
    let server = Server::start(Config::new().service_ranges(&["10.96.0.0/16", "10.97.0.0/24"]));
    let http = Http::new(&server.kubeconfig());
    let service = json!({"metadata": {"name": "probe"}, "spec": {}});
    let bases: std::collections::BTreeSet<String> = (0..40)
        .map(|_| http.post("/api/v1/namespaces/default/services?dryRun=All", &service).json())
        .map(|service| service["spec"]["clusterIP"].as_str().expect("an address").to_owned())
        .collect();
    assert_eq!(bases.into_iter().collect::<Vec<_>>(), ["10.96.0.0", "10.97.0.0"]);
}

#[test]
fn flags_are_shown_as_text_only() {
    for delimiter in [":", ": ", "=", " "] {
        let (_server, http) = server(Config::new().flag_delimiter(delimiter));
        let text = http.get("/flagz", "text/plain").text();
        assert!(text.contains(&format!("\nservice-cluster-ip-range{delimiter}10.96.0.0/12\n")), "{text}");
        assert_eq!(http.get("/flagz", "application/json").status, 406);
    }
    let (_server, http) = server(Config::new().minor(35));
    assert_eq!(http.get("/flagz", "text/plain").status, 404);
}

#[test]
fn faults_strike_where_they_are_told_to() {
    let config = clusters::captured()
        .fault(Fault::at("/api/v1/pods", Trouble::Internal).after(1).times(1))
        .fault(Fault::under("/apis/apps", Trouble::TooManyRequests { retry_after: 7 }))
        .fault(Fault::at("/api/v1/services", Trouble::TruncatedJson))
        .fault(Fault::at("/api/v1/nodes", Trouble::CloseMidBody))
        .fault(Fault::at("/api/v1/configmaps", Trouble::Trickle));
    let (_server, http) = server(config);
    let statuses: Vec<u16> = (0..3).map(|_| http.get("/api/v1/pods", "").status.as_u16()).collect();
    assert_eq!(statuses, [200, 500, 200]);
    let busy = http.get("/apis/apps/v1/deployments", "");
    assert_eq!((busy.status.as_u16(), busy.headers["retry-after"].as_bytes()), (429, &b"7"[..]));
    let truncated = http.get("/api/v1/services", "");
    assert!(truncated.status.is_success() && serde_json::from_slice::<Value>(&truncated.body).is_err());
    let nodes = http::Request::get("/api/v1/nodes").body(kube::client::Body::empty()).expect("a request");
    assert!(http.send(nodes).is_err(), "the connection breaks");
    assert_eq!(http.get("/api/v1/configmaps", "").json()["kind"], "ConfigMapList");
}

#[test]
fn an_old_token_is_gone_with_or_without_a_way_on() {
    for token in [true, false] {
        let (_server, http) =
            server(clusters::captured().fault(Fault::at("/api/v1/services", Trouble::Expired { token })));
        let first = http.get("/api/v1/services?limit=3", "").json();
        let next = first["metadata"]["continue"].as_str().expect("a token");
        let gone = http.get(&format!("/api/v1/services?limit=3&continue={next}"), "").json();
        assert_eq!((gone["code"].as_u64(), gone["reason"].as_str()), (Some(410), Some("Expired")));
        match gone["metadata"]["continue"].as_str() {
            Some(on) if token => {
                let page = http.get(&format!("/api/v1/services?limit=1000&continue={on}"), "").json();
                assert_eq!(names(&page).first(), names(&http.get("/api/v1/services", "").json()).get(3));
            }
            other => assert!(!token && other.is_none(), "{gone}"),
        }
    }
}

#[test]
#[expect(clippy::should_panic_without_expect, reason = "the message lists the request")]
#[should_panic]
fn a_write_fails_the_test() {
    let server = Server::start(Config::new());
    let service = json!({"metadata": {"name": "probe"}, "spec": {}});
    Http::new(&server.kubeconfig()).post("/api/v1/namespaces/default/services", &service);
    drop(server);
}
