use std::{fs, path::PathBuf};

use http::Request;

use super::{Options, Snapshot, open};

fn folder(files: &[(&str, &[u8])]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, bytes) in files {
        let path: PathBuf = dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
    dir
}

fn snapshot(files: &[(&str, &[u8])]) -> (tempfile::TempDir, Snapshot) {
    let dir = folder(files);
    let snapshot = open(dir.path().to_str().unwrap(), &Options::default()).unwrap();
    (dir, snapshot)
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

/// Status and body of a GET.
fn get(snapshot: &Snapshot, path: &str) -> (u16, String) {
    get_as(snapshot, path, "application/json")
}

fn get_as(snapshot: &Snapshot, path: &str, accept: &str) -> (u16, String) {
    block_on(async {
        let request = Request::get(path).header("accept", accept).body(kube::client::Body::empty()).unwrap();
        let response = snapshot.client().send(request).await.unwrap();
        let status = response.status().as_u16();
        let bytes = response.into_body().collect_bytes().await.unwrap();
        (status, String::from_utf8(bytes.to_vec()).unwrap())
    })
}

fn json(snapshot: &Snapshot, path: &str) -> serde_json::Value {
    let (status, body) = get(snapshot, path);
    assert_eq!(status, 200, "{body}");
    serde_json::from_str(&body).unwrap()
}

fn names(list: &serde_json::Value) -> Vec<String> {
    let items = list["items"].as_array().unwrap();
    items.iter().map(|item| item["metadata"]["name"].as_str().unwrap().to_owned()).collect()
}

const PODS: &str = r#"{"kind":"PodList","apiVersion":"v1","metadata":{"resourceVersion":"9"},"items":[
 {"metadata":{"name":"a","namespace":"x","labels":{"app":"web"}},"spec":{"nodeName":"n1"}},
 {"metadata":{"name":"b","namespace":"x"},"spec":{"nodeName":"n2"}},
 {"metadata":{"name":"c","namespace":"y","labels":{"app":"db"}},"spec":{"nodeName":"n1"}}]}"#;

#[test]
fn a_list_is_served_whole_in_pages_by_namespace_and_by_selector() {
    let (_dir, snapshot) = snapshot(&[("pods.json", PODS.as_bytes())]);
    let all = json(&snapshot, "/api/v1/pods");
    assert_eq!(all["kind"], "PodList");
    assert_eq!(names(&all), ["a", "b", "c"]);
    assert_eq!(all["items"][0]["kind"], "Pod", "items say their kind");
    assert_eq!(names(&json(&snapshot, "/api/v1/namespaces/x/pods")), ["a", "b"]);
    assert_eq!(names(&json(&snapshot, "/api/v1/pods?labelSelector=app%20in%20(web%2Cdb)")), ["a", "c"]);
    assert_eq!(names(&json(&snapshot, "/api/v1/pods?fieldSelector=spec.nodeName%3Dn1")), ["a", "c"]);
    let first = json(&snapshot, "/api/v1/pods?limit=2");
    assert_eq!(names(&first), ["a", "b"]);
    let token = first["metadata"]["continue"].as_str().unwrap();
    let second = json(&snapshot, &format!("/api/v1/pods?limit=2&continue={token}"));
    assert_eq!(names(&second), ["c"]);
    assert_eq!(second["metadata"]["continue"], "");
    let (status, body) = get(&snapshot, "/api/v1/pods?continue=0000000000000001.2");
    assert_eq!(status, 410, "{body}");
}

#[test]
fn single_objects_missing_ones_and_kinds_that_no_file_holds_differ() {
    let (_dir, snapshot) = snapshot(&[("pods.json", PODS.as_bytes())]);
    let pod = json(&snapshot, "/api/v1/namespaces/x/pods/b");
    assert_eq!(
        (&pod["kind"], &pod["apiVersion"], &pod["spec"]["nodeName"]),
        (&"Pod".into(), &"v1".into(), &"n2".into())
    );
    let (status, body) = get(&snapshot, "/api/v1/namespaces/y/pods/b");
    assert!(status == 404 && body.contains("\"NotFound\""), "{body}");
    let (status, body) = get(&snapshot, "/api/v1/nodes");
    assert!(status == 404 && body.contains("\"NotRecorded\"") && body.contains("not recorded"), "{body}");
    assert_eq!(get(&snapshot, "/flagz").0, 404);
}

#[test]
fn the_seed_cluster_reads_as_people_paste_it() {
    let seed = "    networking:\n      dnsDomain: cluster.local\n      podSubnet: 10.244.0.0/16\n      serviceSubnet: 10.96.0.0/12\n";
    let (_dir, snapshot) = snapshot(&[
        ("kubeadm-config-excerpt.yaml", seed.as_bytes()),
        ("subnet.env", b"FLANNEL_NETWORK=10.244.0.0/16\n"),
        ("ip-route.txt", b"default via 192.168.146.2 dev ens33\n10.244.0.0/24 dev cni0\n"),
    ]);
    let map = json(&snapshot, "/api/v1/namespaces/kube-system/configmaps/kubeadm-config");
    assert_eq!(
        map["data"]["ClusterConfiguration"],
        "networking:\n  dnsDomain: cluster.local\n  podSubnet: 10.244.0.0/16\n  serviceSubnet: 10.96.0.0/12\n"
    );
    assert_eq!(map["metadata"]["annotations"]["kubectl-net/file"], "kubeadm-config-excerpt.yaml:1");
    let probes: Vec<_> = snapshot.node_files().iter().map(|file| file.probe).collect();
    assert_eq!(probes, [netcore::probe::Probe::Routes, netcore::probe::Probe::FlannelSubnetEnv]);
    assert!(snapshot.notices().is_empty(), "{:?}", snapshot.notices());
}
