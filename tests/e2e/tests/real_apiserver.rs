//! The test server against a real kube-apiserver: the same objects, the same questions, the same
//! answers. Runs where `KUBEBUILDER_ASSETS` names a folder with kube-apiserver and etcd.
#![expect(clippy::expect_used, reason = "a test stops at once, with its reason")]

use std::collections::BTreeSet;

use apiserver::{Config, Server, protobuf};
use e2e::{
    Answer, Http, clusters, names, netcidr, netcidr_at,
    real::{RealServer, assets},
    report, timeless,
};
use serde_json::{Value, json};

const RANGES: &str = "10.96.0.0/16,fd00:96::/112";
const JSON: &str = "application/json";
const PROTOBUF: &str = "application/vnd.kubernetes.protobuf";
const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";
const METADATA: &str = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io,application/json";
const COLLECTIONS: [(&str, &str); 6] = [
    ("/api/v1/nodes", "Node"),
    ("/api/v1/pods", "Pod"),
    ("/api/v1/services", "Service"),
    ("/api/v1/configmaps", "ConfigMap"),
    ("/apis/networking.k8s.io/v1/ipaddresses", "IPAddress"),
    ("/apis/networking.k8s.io/v1/servicecidrs", "ServiceCIDR"),
];

/// A real server with a few objects, and the test server with the same ones.
struct Pair {
    real_server: RealServer,
    our_server: Server,
    real: Http,
    ours: Http,
    objects: Vec<Value>,
}

fn pair() -> Option<Pair> {
    let assets = assets()?;
    let real_server = RealServer::start(&assets, RANGES);
    let real = Http::new(&real_server.kubeconfig());
    fill(&real);
    let mut config = Config::new().service_ranges(&clusters::SERVICE_RANGES);
    let mut objects = Vec::new();
    for (path, _) in COLLECTIONS.into_iter().chain([("/api/v1/namespaces", "")]) {
        let list = real.get(path, JSON).json();
        config = config.object(list.clone());
        objects.push(list);
    }
    let our_server = Server::start(config).allow_writes();
    let ours = Http::new(&our_server.kubeconfig());
    Some(Pair { real_server, our_server, real, ours, objects })
}

fn fill(real: &Http) {
    let create = |path: &str, object: &Value| {
        let answer = real.post(path, object);
        assert_eq!(answer.status, 201, "{path}: {}", answer.text());
    };
    for (index, zone) in ["a", "b", "a", "a"].iter().enumerate() {
        let range = format!("10.244.{index}.0/24");
        create(
            "/api/v1/nodes",
            &json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": format!("node{index}"),
                "labels": {"zone": zone}}, "spec": {"podCIDR": range, "podCIDRs": [range]}}),
        );
        create(
            "/api/v1/namespaces/default/pods",
            &json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": format!("pod{index}"),
                "labels": {"app": "web"}}, "spec": {"nodeName": format!("node{index}"), "hostNetwork": index == 0,
                "automountServiceAccountToken": false,
                "containers": [{"name": "web", "image": "registry.example.com/web:1",
                    "resources": {"requests": {"cpu": "100m"}}}]}}),
        );
    }
    // `a-b` stands before `a` in the server's order: keys are compared with their slash.
    for namespace in ["a", "a-b"] {
        create("/api/v1/namespaces", &json!({"metadata": {"name": namespace}}));
        create(&format!("/api/v1/namespaces/{namespace}/configmaps"), &json!({"metadata": {"name": "settings"}}));
    }
    create(
        "/api/v1/namespaces/default/services",
        &json!({"metadata": {"name": "web"}, "spec": {"ipFamilyPolicy": "PreferDualStack",
            "selector": {"app": "web"}, "ports": [{"name": "http", "port": 80, "targetPort": "http"}]}}),
    );
}

/// An error without what names the moment.
fn status(answer: &Answer) -> Value {
    if !answer.content_type().starts_with(JSON) {
        return json!([answer.status.as_u16(), answer.content_type(), answer.text()]);
    }
    let mut status = answer.json();
    status["metadata"] = json!({});
    json!([answer.status.as_u16(), status])
}

fn errors_are_the_same(pair: &Pair) {
    for (path, accept) in [
        ("/nope", JSON),
        ("/api/v1/nope", JSON),
        ("/apis/nope.io/v1", JSON),
        ("/apis/nope.io/v1/things", JSON),
        ("/apis/networking.k8s.io/v9/things", JSON),
        ("/api/v1/nodes/nope", JSON),
        ("/api/v1/namespaces/kube-system/configmaps/nope", JSON),
        ("/apis/networking.k8s.io/v1/servicecidrs/nope", JSON),
        ("/api/v1/configmaps", "text/csv"),
        ("/api/v1/pods?fieldSelector=spec.foo=a", JSON),
        ("/api/v1/pods?labelSelector=a==b==c", JSON),
        ("/flagz", JSON),
    ] {
        assert_eq!(status(&pair.ours.get(path, accept)), status(&pair.real.get(path, accept)), "{path}");
    }
    // The end of this sentence is the JSON parser's.
    let broken_token = |http: &Http| {
        let status = http.get("/api/v1/pods?limit=1&continue=abc", JSON).json();
        let message = status["message"].as_str().unwrap_or_default();
        assert!(message.starts_with("invalid continue token: continue key is not valid: "), "{message}");
        json!([status["code"], status["reason"], status["details"]])
    };
    assert_eq!(broken_token(&pair.ours), broken_token(&pair.real));
}

fn lists_are_the_same(pair: &Pair) {
    for (path, kind) in COLLECTIONS {
        let (ours, real) = (pair.ours.get(path, JSON).json(), pair.real.get(path, JSON).json());
        assert_eq!(ours["items"], real["items"], "{path}");
        assert_eq!((&ours["kind"], &ours["apiVersion"]), (&real["kind"], &real["apiVersion"]));

        let items: usize =
            ours["items"].as_array().into_iter().flatten().map(|object| protobuf::encoded(kind, object).len()).sum();
        let (ours, real) = (pair.ours.get(path, PROTOBUF).body, pair.real.get(path, PROTOBUF).body);
        let end = |body: &[u8]| body[body.len() - items..].to_vec();
        assert!(items > 0 && end(&ours) == end(&real), "{path}: the protobuf differs");

        let (ours, real) = (pair.ours.get(path, METADATA).json(), pair.real.get(path, METADATA).json());
        assert_eq!(ours["items"], real["items"], "{path}: metadata");
    }
}

fn tables_have_the_same_columns(pair: &Pair) {
    for (path, _) in &COLLECTIONS[..5] {
        let columns = |http: &Http| {
            let table = http.get(path, TABLE).json();
            let columns = table["columnDefinitions"].as_array().cloned().unwrap_or_default();
            columns
                .iter()
                .map(|column| json!([column["name"], column["format"], column["priority"]]))
                .collect::<Vec<_>>()
        };
        assert_eq!(columns(&pair.ours), columns(&pair.real), "{path}");
    }
    let cells = |http: &Http| http.get("/api/v1/services", TABLE).json()["rows"][0]["cells"][2].clone();
    assert_eq!(cells(&pair.ours), cells(&pair.real));
}

fn pages_are_the_same(pair: &Pair) {
    let pages = |http: &Http, path: &str, limit: usize| {
        let (mut pages, mut token) = (Vec::new(), String::new());
        loop {
            let page = http.get(&format!("{path}?limit={limit}&continue={token}"), JSON).json();
            pages.push((names(&page), page["metadata"]["remainingItemCount"].clone()));
            match page["metadata"]["continue"].as_str() {
                Some(next) => next.clone_into(&mut token),
                None => return pages,
            }
        }
    };
    for (path, _) in COLLECTIONS {
        for limit in [1, 3] {
            assert_eq!(pages(&pair.ours, path, limit), pages(&pair.real, path, limit), "{path} by {limit}");
        }
    }
    for query in [
        "nodes?labelSelector=zone%3Da",
        "nodes?labelSelector=zone+notin+(a)",
        "nodes?labelSelector=!zone",
        "nodes?labelSelector=zone%3Da&limit=1",
        "pods?fieldSelector=spec.nodeName%3Dnode1",
        "pods?fieldSelector=spec.hostNetwork%3Dfalse",
        "pods?fieldSelector=status.phase!%3DFailed,metadata.name%3Dpod2",
        "namespaces/a/configmaps?labelSelector=none",
        "namespaces/a/configmaps",
    ] {
        let get = |http: &Http| {
            let list = http.get(&format!("/api/v1/{query}"), JSON).json();
            (names(&list), list["metadata"]["remainingItemCount"].clone(), list["metadata"]["continue"].is_string())
        };
        assert_eq!(get(&pair.ours), get(&pair.real), "{query}");
    }
}

fn own_pages_are_the_same(pair: &Pair) {
    let first_lines = |http: &Http| {
        let text = http.get("/flagz", "text/plain").text();
        let range =
            text.lines().find(|line| line.starts_with("service-cluster-ip-range")).map(|line| line.contains(RANGES));
        (text.lines().take(3).map(str::to_owned).collect::<Vec<_>>(), range)
    };
    assert_eq!(first_lines(&pair.ours), first_lines(&pair.real));
    let gauges = |http: &Http| {
        let text = http.get("/metrics", "text/plain").text();
        let lines = text.lines().filter(|line| line.starts_with("kube_apiserver_clusterip_allocator_available_ips{"));
        lines.filter_map(|line| line.split(' ').next()).map(str::to_owned).collect::<BTreeSet<_>>()
    };
    assert_eq!(gauges(&pair.ours), gauges(&pair.real));
    let version = pair.real.get("/version", JSON).json();
    for field in ["major", "minor", "gitVersion", "platform"] {
        assert_eq!(pair.ours.get("/version", JSON).json()[field].is_string(), version[field].is_string());
    }
}

/// A create's answer: the addresses given, or the refusal.
fn created(http: &Http, spec: &Value, dry_run: bool) -> Value {
    let service = json!({"metadata": {"name": "probe"}, "spec": spec});
    let query = if dry_run { "?dryRun=All" } else { "" };
    let answer = http.post(&format!("/api/v1/namespaces/default/services{query}"), &service).json();
    match answer["kind"].as_str() {
        Some("Service") => json!([answer["spec"]["clusterIPs"], answer["spec"]["ipFamilies"]]),
        _ => json!([answer["code"], answer["reason"], answer["message"], answer["details"]]),
    }
}

fn creates_are_the_same(pair: &Pair) {
    let ports = json!([{"port": 1}]);
    for address in [
        "0.0.0.0",
        "1.1.1.1",
        "10.96.0.0",
        "10.96.0.1",
        "10.96.255.254",
        "10.96.255.255",
        "10.97.0.1",
        "::1",
        "2001:db8::1",
        "fd00:96::",
        "fd00:96::ffff",
    ] {
        let spec = json!({"clusterIP": address, "ports": ports});
        assert_eq!(created(&pair.ours, &spec, true), created(&pair.real, &spec, true), "{address}");
    }
    for spec in [
        json!({"ports": ports}),
        json!({"ports": ports, "ipFamilyPolicy": "PreferDualStack"}),
        json!({"ports": ports, "ipFamilies": ["IPv6"]}),
    ] {
        assert_eq!(created(&pair.ours, &spec, true), created(&pair.real, &spec, true), "{spec}");
    }
    let kept = json!({"clusterIP": "1.1.1.1", "ports": ports});
    assert_eq!(created(&pair.ours, &kept, false), created(&pair.real, &kept, false));
}

/// With a second range, both answer for either one by chance.
fn several_ranges_are_asked_by_chance(pair: &Pair) {
    let second = json!({"apiVersion": "networking.k8s.io/v1", "kind": "ServiceCIDR", "metadata": {"name": "second"},
        "spec": {"cidrs": ["10.97.0.0/24"]}});
    assert_eq!(pair.real.post("/apis/networking.k8s.io/v1/servicecidrs", &second).status, 201);
    let server = Server::start(Config::new().service_ranges(&["10.96.0.0/16", "10.97.0.0/24", "fd00:96::/112"]));
    let ours = Http::new(&server.kubeconfig());
    let spec = json!({"clusterIP": "10.97.0.9", "ports": [{"port": 1}]});
    let answers =
        |http: &Http| -> BTreeSet<String> { (0..200).map(|_| created(http, &spec, true).to_string()).collect() };
    assert_eq!(answers(&ours), answers(&pair.real));
}

/// One cluster, read from a real server, from the test server and from a file.
fn the_plugin_sees_the_same(pair: &Pair) {
    let live = |kubeconfig: &std::path::Path| {
        let output = netcidr_at(kubeconfig).args(["-o", "json"]).output().expect("it runs");
        timeless(report(&output))
    };
    let (real, ours) = (live(&pair.real_server.kubeconfig()), live(&pair.our_server.kubeconfig()));
    assert_eq!(ours["nodes"], real["nodes"]);
    let file = pair.our_server.folder().join("objects.json");
    let items: Vec<Value> = pair
        .objects
        .iter()
        .flat_map(|list| {
            let kind = list["kind"].as_str().and_then(|kind| kind.strip_suffix("List")).unwrap_or_default().to_owned();
            let api_version = list["apiVersion"].clone();
            list["items"].as_array().cloned().unwrap_or_default().into_iter().map(move |mut object| {
                object["kind"] = json!(kind);
                object["apiVersion"] = api_version.clone();
                object
            })
        })
        .collect();
    std::fs::write(&file, json!({"apiVersion": "v1", "kind": "List", "items": items}).to_string()).expect("a file");
    let output = netcidr().arg("--from").arg(&file).args(["-o", "json"]).output().expect("it runs");
    let from_file = report(&output);
    assert_eq!(from_file["nodes"], real["nodes"]);
    let rows = |report: &Value| {
        let rows = report["ranges"].as_array().cloned().unwrap_or_default();
        rows.iter().map(|row| json!([row["role"], row["cidr"], row["used"], row["capacity"]])).collect::<Vec<_>>()
    };
    assert_eq!(rows(&ours), rows(&real));
    assert_eq!(rows(&from_file), rows(&real));
}

#[test]
fn the_test_server_answers_like_the_real_one() {
    let Some(pair) = pair() else {
        println!("skipped: KUBEBUILDER_ASSETS names no folder with kube-apiserver and etcd");
        return;
    };
    errors_are_the_same(&pair);
    lists_are_the_same(&pair);
    tables_have_the_same_columns(&pair);
    pages_are_the_same(&pair);
    own_pages_are_the_same(&pair);
    creates_are_the_same(&pair);
    the_plugin_sees_the_same(&pair);
    several_ranges_are_asked_by_chance(&pair);
}
