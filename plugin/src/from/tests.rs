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

const NODE: &str = "apiVersion: v1\nkind: Node\nmetadata:\n  name: n1\nstatus:\n  addresses:\n  - type: InternalIP\n    address: 192.168.0.1\n";

fn problems(snapshot: &Snapshot) -> Vec<String> {
    snapshot.problems().iter().map(ToString::to_string).collect()
}

fn open_file(name: &str, bytes: &[u8]) -> Snapshot {
    let dir = folder(&[(name, bytes)]);
    open(dir.path().join(name).to_str().unwrap(), &Options::default()).unwrap()
}

#[test]
fn yaml_lists_documents_and_single_objects_are_objects() {
    let list = "apiVersion: v1\nitems:\n- apiVersion: v1\n  kind: Service\n  metadata:\n    name: s1\n    namespace: x\n- apiVersion: v1\n  kind: Service\n  metadata:\n    name: s2\n    namespace: x\nkind: List\nmetadata: {}\n";
    let documents = format!(
        "# a comment\n---\n{NODE}---\napiVersion: apps/v1\nkind: DaemonSet\nmetadata:\n  name: kube-proxy\n  namespace: kube-system\n"
    );
    let typed = "kind: PodList\napiVersion: v1\nitems:\n  - metadata:\n      name: p\n      namespace: y\n";
    let (_dir, snapshot) =
        snapshot(&[("a.yaml", list.as_bytes()), ("b.yml", documents.as_bytes()), ("c.yaml", typed.as_bytes())]);
    assert_eq!(names(&json(&snapshot, "/api/v1/services")), ["s1", "s2"]);
    assert_eq!(names(&json(&snapshot, "/api/v1/nodes")), ["n1"]);
    assert_eq!(names(&json(&snapshot, "/apis/apps/v1/daemonsets")), ["kube-proxy"]);
    assert_eq!(names(&json(&snapshot, "/api/v1/namespaces/y/pods")), ["p"]);
    assert!(problems(&snapshot).is_empty() && snapshot.notices().is_empty());
}

#[test]
fn a_broken_document_costs_no_other_and_names_its_line() {
    let text =
        format!("{NODE}---\nkind: Pod\nmetadata:\n\tname: tabbed\n---\nkind: [\n---\n{}", NODE.replace("n1", "n2"));
    let (_dir, snapshot) = snapshot(&[("dump.yaml", text.as_bytes())]);
    assert_eq!(names(&json(&snapshot, "/api/v1/nodes")), ["n1", "n2"]);
    let problems = problems(&snapshot);
    assert_eq!(problems.len(), 2, "{problems:?}");
    assert!(problems[0].starts_with("dump.yaml:12: a tab"), "{problems:?}");
    assert!(problems[1].starts_with("dump.yaml:1"), "{problems:?}");
}

#[test]
fn a_half_written_dump_keeps_what_came_before() {
    let (_dir, snapshot) = snapshot(&[("pods.json", &PODS.as_bytes()[..PODS.len() - 60])]);
    assert_eq!(names(&json(&snapshot, "/api/v1/pods")), ["a", "b"]);
    let problems = problems(&snapshot);
    assert!(problems[0].starts_with("pods.json:4: the file ends inside"), "{problems:?}");
    // a reader of the list must not take it for the whole
    let token = json(&snapshot, "/api/v1/pods")["metadata"]["continue"].as_str().unwrap().to_owned();
    let (status, body) = get(&snapshot, &format!("/api/v1/pods?continue={token}"));
    assert!(status == 500 && body.contains("Incomplete") && body.contains("pods.json:4"), "{body}");
}

#[test]
fn documents_arrays_and_the_file_form_of_cluster_info_dump_are_scanned() {
    let dump = format!(
        "{PODS}\n==== START logs for container web of pod x/a ====\n{{\"kind\":\"Pod\",\"apiVersion\":\"v1\",\"metadata\":{{\"name\":\"log\"}}}}\n[INFO] hello {{\n==== END logs for container web of pod x/a ====\n{{\n  \"kind\": \"ServiceList\",\n  \"apiVersion\": \"v1\",\n  \"items\": []\n}}\n[{{\"kind\":\"Node\",\"apiVersion\":\"v1\",\"metadata\":{{\"name\":\"n\"}}}}]\n"
    );
    let (_dir, snapshot) = snapshot(&[("dump.txt", dump.as_bytes())]);
    assert_eq!(names(&json(&snapshot, "/api/v1/pods")), ["a", "b", "c"]);
    assert_eq!(names(&json(&snapshot, "/api/v1/nodes")), ["n"]);
    assert!(problems(&snapshot).is_empty(), "{:?}", problems(&snapshot));
}

#[test]
fn text_that_a_terminal_wrapped_is_joined_where_nothing_is_guessed() {
    let long = format!("{NODE}  images: \"{}\"\n", "x".repeat(300));
    let wrap = |text: &str, width: usize| -> String {
        let mut out = String::new();
        for line in text.lines() {
            let chars: Vec<char> = line.chars().collect();
            for (i, part) in chars.chunks(width.max(1)).enumerate() {
                out.push_str(if i > 0 { "\n" } else { "" });
                out.extend(part);
            }
            out.push('\n');
        }
        out
    };
    let snapshot = open_file("n.yaml", wrap(&long, 100).as_bytes());
    let node = json(&snapshot, "/api/v1/nodes/n1");
    assert_eq!(node["status"]["images"], "x".repeat(300));
    assert!(snapshot.notices()[0].starts_with("n.yaml:9: a terminal broke 3 long lines"), "{:?}", snapshot.notices());

    let object = format!(
        "{{\"kind\":\"Node\",\"apiVersion\":\"v1\",\n\"metadata\":{{\"name\":\"n1\"}},\"x\":\"{}\"}}\n",
        "y".repeat(200)
    );
    let snapshot = open_file("n.json", wrap(&object, 80).as_bytes());
    assert_eq!(json(&snapshot, "/api/v1/nodes/n1")["x"], "y".repeat(200));
    assert!(snapshot.notices()[0].starts_with("n.json:2: a terminal broke 2"), "{:?}", snapshot.notices());

    let ragged = object.replace("yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy", "yyyyyyyyyyyyyyyy\nyyyyyy");
    let (_dir, snapshot) = snapshot_of_two("n.json", &ragged);
    assert!(
        problems(&snapshot)[0].starts_with("n.json:2: a line break inside of a string"),
        "{:?}",
        problems(&snapshot)
    );
}

fn snapshot_of_two(name: &str, text: &str) -> (tempfile::TempDir, Snapshot) {
    snapshot(&[(name, text.as_bytes()), ("pods.json", PODS.as_bytes())])
}

#[test]
fn a_template_is_not_called_wrapped() {
    let text = "apiVersion: v1\nkind: Pod\n{% if x %}\nmetadata:\n  name: a\n{% endif %}\n";
    let (_dir, snapshot) = snapshot_of_two("t.yaml", text);
    assert!(problems(&snapshot)[0].starts_with("t.yaml:3: not valid YAML"), "{:?}", problems(&snapshot));
    let (_dir, snapshot) = snapshot_of_two("session.txt", "[root@node ~]# date\n");
    assert_eq!(snapshot.notices(), ["not recognised: session.txt"]);
}

#[test]
fn an_empty_list_that_says_its_kind_is_an_answer() {
    let empty = "{\"kind\":\"ServiceCIDRList\",\"apiVersion\":\"networking.k8s.io/v1\",\"items\":[]}";
    let yaml = "kind: IPAddressList\napiVersion: networking.k8s.io/v1\nitems: []\n";
    let (_dir, snapshot) =
        snapshot(&[("a.json", empty.as_bytes()), ("b.yaml", yaml.as_bytes()), ("p.json", PODS.as_bytes())]);
    assert_eq!(names(&json(&snapshot, "/apis/networking.k8s.io/v1/servicecidrs")), [] as [&str; 0]);
    assert_eq!(names(&json(&snapshot, "/apis/networking.k8s.io/v1/ipaddresses")), [] as [&str; 0]);
    assert!(snapshot.notices().is_empty(), "{:?}", snapshot.notices());
}

#[test]
fn a_cluster_info_dump_in_folders_says_that_it_holds_two_namespaces() {
    let pods = PODS.replace("\"x\"", "\"default\"").replace("\"y\"", "\"kube-system\"");
    let (_dir, snapshot) = snapshot(&[
        ("nodes.json", b"{\"kind\":\"NodeList\",\"apiVersion\":\"v1\",\"items\":[]}"),
        ("default/pods.json", pods.as_bytes()),
        ("default/a/logs.txt", b"{ not json\n"),
    ]);
    assert_eq!(names(&json(&snapshot, "/api/v1/pods")).len(), 3);
    assert!(
        snapshot.notices().len() == 1 && snapshot.notices()[0].contains("--all-namespaces"),
        "{:?}",
        snapshot.notices()
    );
}

#[test]
fn the_same_object_twice_is_there_once_with_the_higher_resource_version() {
    let object = |version: &str, rv: &str| {
        format!(
            "{{\"apiVersion\":\"discovery.k8s.io/{version}\",\"kind\":\"EndpointSlice\",\"metadata\":{{\"name\":\"e\",\"namespace\":\"x\",\"resourceVersion\":\"{rv}\"}}}}"
        )
    };
    let files = [("a.json", object("v1", "20")), ("b.json", object("v1beta1", "9"))];
    let (_dir, snapshot) = snapshot(&files.each_ref().map(|(name, text)| (*name, text.as_bytes())));
    let list = json(&snapshot, "/apis/discovery.k8s.io/v1beta1/endpointslices");
    assert_eq!(list["items"].as_array().unwrap().len(), 1);
    assert_eq!(list["items"][0]["metadata"]["resourceVersion"], "20");
    assert_eq!(list["items"][0]["apiVersion"], "discovery.k8s.io/v1", "an object keeps its own version");
}

#[test]
fn secrets_are_never_served_in_any_form() {
    let secret =
        "{\"apiVersion\":\"v1\",\"kind\":\"Secret\",\"metadata\":{\"name\":\"s\",\"namespace\":\"x\"},\"data\":{}}";
    let list = "{\"kind\":\"SecretList\",\"apiVersion\":\"v1\",\"items\":[{\"metadata\":{\"name\":\"s\",\"namespace\":\"x\"}}]}";
    let yaml = "items:\n- apiVersion: v1\n  kind: Secret\n  metadata:\n    name: t\nkind: List\napiVersion: v1\n";
    let (_dir, snapshot) = snapshot(&[
        ("a.json", secret.as_bytes()),
        ("b.json", list.as_bytes()),
        ("c.yaml", yaml.as_bytes()),
        ("pods.json", PODS.as_bytes()),
    ]);
    assert_eq!(get(&snapshot, "/api/v1/secrets").0, 404);
    assert_eq!(get(&snapshot, "/api/v1/namespaces/x/secrets/s").0, 404);
    assert_eq!(snapshot.info().objects, 3);
}

#[test]
fn utf16_byte_order_marks_and_crlf_are_read() {
    let text = format!("{NODE}  note: \"grüße 😀\"\n").replace('\n', "\r\n");
    for endian in [u16::to_le_bytes, u16::to_be_bytes] {
        let units = std::iter::once(0xFEFF).chain(text.encode_utf16());
        let bytes: Vec<u8> = units.flat_map(endian).collect();
        let node = json(&open_file("n.txt", &bytes), "/api/v1/nodes/n1");
        assert_eq!(node["status"]["note"], "grüße 😀");
    }
    let marked = [b"\xEF\xBB\xBF", text.as_bytes()].concat();
    assert_eq!(json(&open_file("n.yaml", &marked), "/api/v1/nodes/n1")["metadata"]["name"], "n1");
    let marked = [b"\xEF\xBB\xBF", PODS.as_bytes()].concat();
    assert_eq!(names(&json(&open_file("p.json", &marked), "/api/v1/pods")).len(), 3);
}

fn archive(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, bytes) in entries {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        // the name as it is: a hostile archive is not made by a careful library
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_cksum();
        builder.append(&header, *bytes).unwrap();
    }
    let mut link = tar::Header::new_gnu();
    link.set_entry_type(tar::EntryType::Symlink);
    link.set_size(0);
    builder.append_link(&mut link, "link.yaml", "/etc/hostname").unwrap();
    builder.into_inner().unwrap()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut encoder, bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn archives_plain_or_packed_are_read_and_nothing_in_them_leads_out() {
    let plain = archive(&[
        ("d/n.yaml", NODE.as_bytes()),
        ("../out.json", PODS.as_bytes()),
        ("d/p.json.gz", &gzip(PODS.as_bytes())),
    ]);
    for (name, bytes) in [("a.tar", plain.clone()), ("a.tar.gz", gzip(&plain)), ("renamed", gzip(&plain))] {
        let snapshot = open_file_kept(name, &bytes);
        assert_eq!(names(&json(&snapshot.1, "/api/v1/nodes")), ["n1"]);
        assert_eq!(names(&json(&snapshot.1, "/api/v1/pods")).len(), 3);
        let notices = snapshot.1.notices().join("\n");
        assert!(notices.contains("../out.json: refused") && notices.contains("link.yaml: a link"), "{notices}");
    }
}

fn open_file_kept(name: &str, bytes: &[u8]) -> (tempfile::TempDir, Snapshot) {
    let dir = folder(&[(name, bytes)]);
    let snapshot = open(dir.path().join(name).to_str().unwrap(), &Options::default()).unwrap();
    (dir, snapshot)
}

/// `xz` of a Node called n1.
const XZ: &[u8] = b"\xfd\x37\x7a\x58\x5a\x00\x00\x04\xe6\xd6\xb4\x46\x02\x00\x21\x01\x16\x00\x00\x00\x74\x2f\xe5\xa3\
    \x01\x00\x2e\x61\x70\x69\x56\x65\x72\x73\x69\x6f\x6e\x3a\x20\x76\x31\x0a\x6b\x69\x6e\x64\x3a\x20\
    \x4e\x6f\x64\x65\x0a\x6d\x65\x74\x61\x64\x61\x74\x61\x3a\x0a\x20\x20\x6e\x61\x6d\x65\x3a\x20\x6e\
    \x31\x0a\x00\x00\x74\x4e\x15\xe4\x00\x52\x1a\x4e\x00\x01\x47\x2f\xb0\x51\x6f\x34\x1f\xb6\xf3\x7d\
    \x01\x00\x00\x00\x00\x04\x59\x5a";

#[test]
fn xz_is_unpacked_and_a_cut_one_says_so() {
    let (_dir, snapshot) = open_file_kept("n.yaml.xz", XZ);
    assert_eq!(names(&json(&snapshot, "/api/v1/nodes")), ["n1"]);
    let dir = folder(&[("n.yaml.xz", &XZ[..XZ.len() / 2]), ("pods.json", PODS.as_bytes())]);
    let snapshot = open(dir.path().to_str().unwrap(), &Options::default()).unwrap();
    assert!(problems(&snapshot)[0].starts_with("n.yaml.xz: damaged or cut off"), "{:?}", problems(&snapshot));
}

#[test]
fn a_truncated_archive_keeps_what_came_before() {
    let filler = format!("{NODE}#{}", "0123456789".repeat(2000));
    let whole = archive(&[("n.yaml", NODE.as_bytes()), ("m.yaml", filler.replace("n1", "n2").as_bytes())]);
    let (_dir, snapshot) = open_file_kept("a.tar", &whole[..6000]);
    assert_eq!(names(&json(&snapshot, "/api/v1/nodes")), ["n1", "n2"]);
    assert!(problems(&snapshot)[0].starts_with("a.tar: damaged or cut off"), "{:?}", problems(&snapshot));
    let noise: Vec<String> = (0..20_000_u64).map(|i| format!("#{:x}", i.wrapping_mul(0x9E37_79B9_7F4A_7C15))).collect();
    let noise = noise.join("\n");
    let packed = gzip(&archive(&[("n.yaml", NODE.as_bytes()), ("noise.yaml", noise.as_bytes())]));
    let (_dir, snapshot) = open_file_kept("a.tgz", &packed[..packed.len() / 2]);
    assert_eq!(json(&snapshot, "/api/v1/nodes/n1")["metadata"]["name"], "n1");
    assert!(!problems(&snapshot).is_empty());
}

#[cfg(unix)]
#[test]
fn links_are_followed_in_a_folder_and_cycles_end() {
    let dir = folder(&[("real/n.yaml", NODE.as_bytes())]);
    let root = dir.path().join("root");
    fs::create_dir(&root).unwrap();
    std::os::unix::fs::symlink(dir.path().join("real"), root.join("linked")).unwrap();
    std::os::unix::fs::symlink(&root, root.join("self")).unwrap();
    let snapshot = open(root.to_str().unwrap(), &Options::default()).unwrap();
    assert_eq!(names(&json(&snapshot, "/api/v1/nodes")), ["n1"]);
    assert!(snapshot.notices()[0].contains("not followed"), "{:?}", snapshot.notices());
}

#[test]
fn node_files_find_their_node() {
    use netcore::probe::Probe;
    let addresses = br#"[{"ifname":"lo","addr_info":[{"local":"127.0.0.1"}]},{"ifname":"eth0","addr_info":[{"local":"192.168.0.1"}]}]"#;
    let files: &[(&str, &[u8])] = &[
        ("n.yaml", NODE.as_bytes()),
        ("nodes/w7/proxyMode", b"ipvs"),
        ("n1/subnet.env", b"FLANNEL_MTU=1450\n"),
        ("host/ip-addr.json", addresses),
        ("host/routes.out", b"default via 10.0.0.1 dev eth0\n"),
        ("cfg/configz.json", br#"{"kubeletconfig":{"hostnameOverride":"n9"}}"#),
        ("cfg/ipset-save.txt", b""),
        ("lost/iptables-save.txt", b"# Generated by iptables-save v1.8.9\n*nat\n"),
        ("lost/junk.bin", b"\x00\x01\x02"),
    ];
    let dir = folder(files);
    let found = |node: Option<&str>| {
        let options = Options { node: node.map(str::to_owned) };
        let snapshot = open(dir.path().to_str().unwrap(), &options).unwrap();
        let files = snapshot.node_files().iter().map(|file| (file.name.clone(), file.probe, file.node.clone()));
        (files.collect::<Vec<_>>(), snapshot.notices().to_vec())
    };
    let (files, notices) = found(None);
    let node = |name: &str| {
        files.iter().find(|(own, ..)| own == name).map(|(_, probe, node)| (*probe, node.as_deref())).unwrap()
    };
    assert_eq!(node("nodes/w7/proxyMode"), (Probe::ProxyMode, Some("w7")));
    assert_eq!(node("n1/subnet.env"), (Probe::FlannelSubnetEnv, Some("n1")));
    assert_eq!(node("host/routes.out"), (Probe::Routes, Some("n1")));
    assert_eq!(node("cfg/ipset-save.txt"), (Probe::IpsetSave, Some("n9")));
    assert_eq!(node("lost/iptables-save.txt"), (Probe::IptablesSave, None));
    assert_eq!(notices, ["not recognised: lost/junk.bin"]);
    let (files, _) = found(Some("given"));
    assert!(files.iter().any(|(name, _, node)| name == "lost/iptables-save.txt" && node.as_deref() == Some("given")));
    assert!(files.iter().any(|(name, _, node)| name == "n1/subnet.env" && node.as_deref() == Some("n1")));
}

#[test]
fn a_recording_replays_failures_empty_lists_and_raw_answers() {
    let recording = r#"{"version":1,"window":{"start":"2026-01-01T00:00:00Z","end":"2026-01-01T00:00:02Z"},
      "cluster":{"context":"c"},
      "lists":["/api/v1/namespaces/x/services"],
      "answers":[
        {"path":"/api/v1/nodes","status":403,"reason":"Forbidden","message":"nodes is forbidden"},
        {"path":"/api/v1/namespaces/kube-system/configmaps/kubeadm-config","status":404,"reason":"NotFound","message":"gone"},
        {"path":"/api/v1/pods","status":500,"reason":"InternalError","message":"etcd","after":3}]}"#;
    let (_dir, snapshot) = snapshot(&[
        ("rec/recording.json", recording.as_bytes()),
        ("rec/objects/core/pods.json", PODS.as_bytes()),
        ("rec/raw/flagz", b"--service-cluster-ip-range=10.96.0.0/12\n"),
        ("rec/raw/serving-certificate.pem", b"-----BEGIN CERTIFICATE-----\n"),
    ]);
    let info = snapshot.info();
    assert_eq!(info.kind, super::Kind::Recording);
    assert_eq!(info.recording.as_ref().unwrap().cluster.context.as_deref(), Some("c"));
    let (status, body) = get(&snapshot, "/api/v1/nodes?limit=500");
    assert!(status == 403 && body.contains("nodes is forbidden"), "{body}");
    assert!(get(&snapshot, "/api/v1/namespaces/kube-system/configmaps/kubeadm-config").1.contains("gone"));
    assert!(get(&snapshot, "/api/v1/namespaces/kube-system/configmaps/other").1.contains("NotRecorded"));
    assert_eq!(names(&json(&snapshot, "/api/v1/namespaces/x/services")), [] as [&str; 0]);
    assert!(get(&snapshot, "/api/v1/services").1.contains("NotRecorded"));
    let page = json(&snapshot, "/api/v1/pods?limit=500");
    assert_eq!(names(&page), ["a", "b", "c"]);
    let token = page["metadata"]["continue"].as_str().unwrap();
    assert_eq!(get(&snapshot, &format!("/api/v1/pods?limit=500&continue={token}")).0, 500);
    assert_eq!(get(&snapshot, "/flagz"), (200, "--service-cluster-ip-range=10.96.0.0/12\n".to_owned()));
    assert_eq!(get(&snapshot, "/serving-certificate.pem").0, 200);
    assert!(get(&snapshot, "/version").1.contains("NotRecorded"));
}

#[test]
fn a_recording_of_another_form_is_refused() {
    let dir = folder(&[("recording.json", br#"{"version":7}"#)]);
    let error = open(dir.path().to_str().unwrap(), &Options::default()).unwrap_err().to_string();
    assert_eq!(error, "recording.json: version 7 of the form is not known; 1 and below are");
}

#[test]
fn nothing_recognised_is_an_error_that_says_what_would_be() {
    let dir = folder(&[("notes.txt", b"hello\n"), ("half.json", b"{\"kind\":\"Pod\"")]);
    let error = open(dir.path().to_str().unwrap(), &Options::default()).unwrap_err().to_string();
    assert!(error.contains("nothing here was recognised") && error.contains("half.json:1"), "{error}");
    assert!(open("/no/such/path", &Options::default()).unwrap_err().to_string().starts_with("/no/such/path: "));
}

#[test]
fn metadata_discovery_and_typed_lists_answer_like_a_server() {
    let slice =
        "apiVersion: crd.projectcalico.org/v1\nkind: IPPool\nmetadata:\n  name: p\nspec:\n  cidr: 10.0.0.0/16\n";
    let (_dir, snapshot) = snapshot(&[("pods.json", PODS.as_bytes()), ("pool.yaml", slice.as_bytes())]);
    let accept = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";
    let (_, body) = get_as(&snapshot, "/api/v1/pods", accept);
    let list: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!(list["kind"], "PartialObjectMetadataList");
    assert!(list["items"][0]["spec"].is_null() && list["items"][0]["metadata"]["labels"]["app"] == "web");
    let groups = block_on(async { snapshot.client().list_api_groups().await }).unwrap();
    assert_eq!(groups.groups[0].name, "crd.projectcalico.org");
    let kinds =
        block_on(async { snapshot.client().list_api_group_resources("crd.projectcalico.org/v1").await }).unwrap();
    assert_eq!(kinds.resources[0].name, "ippools");
    let pods = block_on(async {
        let pods: kube::Api<k8s_openapi::api::core::v1::Pod> = kube::Api::all(snapshot.client());
        pods.list(&kube::api::ListParams::default().limit(2)).await
    });
    assert_eq!(pods.unwrap().items.len(), 2);
    let missing = block_on(async {
        let maps: kube::Api<k8s_openapi::api::core::v1::ConfigMap> = kube::Api::namespaced(snapshot.client(), "x");
        maps.get("m").await.unwrap_err().to_string()
    });
    assert!(missing.contains("not recorded"), "{missing}");
    assert_eq!(get_as(&snapshot, "/api/v1/pods", "application/vnd.kubernetes.protobuf").0, 200);
}

#[test]
fn objects_longer_than_a_piece_and_many_small_ones_come_whole() {
    let mut items = Vec::new();
    for i in 0..3000 {
        let size = if i % 500 == 0 { 600_000 } else { 10 };
        items
            .push(format!("{{\"metadata\":{{\"name\":\"p{i}\",\"namespace\":\"x\"}},\"v\":\"{}\"}}", "z".repeat(size)));
    }
    let text = format!("{{\"kind\":\"PodList\",\"apiVersion\":\"v1\",\"items\":[{}]}}", items.join(",\n  "));
    let (_dir, snapshot) = snapshot(&[("pods.json", text.as_bytes())]);
    let list = json(&snapshot, "/api/v1/pods");
    assert_eq!(list["items"].as_array().unwrap().len(), 3000);
    assert_eq!(list["items"][2500]["v"].as_str().unwrap().len(), 600_000);
}

/// The folder of samples that `NET_CORPUS` names, when it is set.
#[test]
fn every_folder_and_file_of_the_corpus_is_read_or_explained() {
    let Some(root) = std::env::var_os("NET_CORPUS") else {
        println!("skipped: NET_CORPUS names no folder of samples");
        return;
    };
    let mut queue = vec![PathBuf::from(root)];
    let mut read = 0;
    while let Some(path) = queue.pop() {
        match open(path.to_str().unwrap(), &Options::default()) {
            Ok(snapshot) => {
                for (group, kind, ids) in snapshot.inner.index.collections() {
                    for id in ids {
                        let entry = snapshot.inner.index.entry(*id).unwrap();
                        let bytes =
                            snapshot.inner.store.read_exact(entry.file, entry.offset, entry.len as usize).unwrap();
                        serde_json::from_slice::<serde_json::Value>(&bytes)
                            .unwrap_or_else(|error| panic!("{}: {group}/{kind}: {error}", path.display()));
                    }
                }
                read += 1;
            }
            Err(error) => assert!(error.to_string().contains("nothing here was recognised"), "{error}"),
        }
        if path.is_dir() {
            queue.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        }
    }
    assert!(read > 0, "nothing in the corpus was read");
}

mod arbitrary {
    use proptest::prelude::*;

    use super::*;

    /// Pieces of what real inputs are made of, in any order.
    fn fragments() -> impl Strategy<Value = Vec<u8>> {
        let words = prop_oneof![
            Just("{\"kind\":\"PodList\",\"apiVersion\":\"v1\",\"items\":["),
            Just("{\"metadata\":{\"name\":\"a\"}}"),
            Just("]"),
            Just("}"),
            Just("["),
            Just("\""),
            Just("\\"),
            Just(","),
            Just("\n"),
            Just("---\n"),
            Just("items:\n"),
            Just("- apiVersion: v1\n  kind: Pod\n  metadata:\n    name: b\n"),
            Just("kind: List\n"),
            Just("\t"),
            Just("  "),
            Just("==== START logs for container\n"),
            Just("\u{feff}"),
            Just("&a [*a, *a]"),
            Just("networking:\n  podSubnet: x\n"),
        ];
        prop_oneof![
            proptest::collection::vec(words, 0..24).prop_map(|words| words.concat().into_bytes()),
            proptest::collection::vec(any::<u8>(), 0..600),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(400))]

        #[test]
        fn bytes_never_panic_and_what_is_indexed_is_an_object(bytes in fragments(), name in "[a-z]{1,4}\\.(json|yaml|txt|tar)") {
            let dir = folder(&[(name.as_str(), &bytes)]);
            if let Ok(snapshot) = open(dir.path().to_str().unwrap(), &Options::default()) {
                for (_, _, ids) in snapshot.inner.index.collections() {
                    for id in ids {
                        let entry = snapshot.inner.index.entry(*id).unwrap();
                        let object = snapshot.inner.store.read_exact(entry.file, entry.offset, entry.len as usize).unwrap();
                        let whole = object.starts_with(b"{") && object.ends_with(b"}");
                        prop_assert!(whole);
                    }
                }
            }
        }
    }
}
