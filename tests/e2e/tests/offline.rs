//! Files as people have them: broken in every way that was met.
#![expect(clippy::expect_used, reason = "a test stops where its set-up is wrong")]

use std::{fs, path::Path, process::Output};

use e2e::{fixtures, netcidr, ranges, report, stderr, stdout};
use serde_json::json;

fn from(path: &Path, arguments: &[&str]) -> Output {
    netcidr().arg("--from").arg(path).args(arguments).output().expect("it runs")
}

/// Runs on one file of that name and content.
fn with_file(name: &str, content: &[u8]) -> Output {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join(name);
    fs::write(&path, content).expect("a file");
    from(&path, &["-o", "json"])
}

const KUBEADM: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: kubeadm-config\n  namespace: kube-system\ndata:\n  \
    ClusterConfiguration: |\n    kind: ClusterConfiguration\n    apiVersion: kubeadm.k8s.io/v1beta4\n    networking:\n      \
    podSubnet: 10.244.0.0/16\n      serviceSubnet: 10.96.0.0/12\n";

fn node(name: &str, range: &serde_json::Value) -> serde_json::Value {
    json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name},
        "spec": {"podCIDR": range, "podCIDRs": [range]},
        "status": {"addresses": [{"type": "InternalIP", "address": "192.168.1.1"}]}})
}

/// Everything that was said, on either stream.
fn said(output: &Output) -> String {
    stdout(output) + &stderr(output)
}

#[test]
fn a_clean_file_is_the_measure() {
    let output = with_file("cm.yaml", KUBEADM.as_bytes());
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let report = report(&output);
    assert_eq!(
        (ranges(&report, "pod"), ranges(&report, "service")),
        (vec!["10.244.0.0/16".into()], vec!["10.96.0.0/12".into()])
    );
}

#[test]
fn a_tab_in_yaml_is_shown_with_its_line() {
    let broken = format!("{KUBEADM}---\napiVersion: v1\nkind: Node\nmetadata:\n\tname: a\n");
    let output = with_file("cm.yaml", broken.as_bytes());
    let said = said(&output);
    assert!(said.contains("tab") && said.contains("cm.yaml") && said.contains("17"), "{said}");
    assert!(said.contains("10.244.0.0/16"), "the other document stands: {said}");
}

#[test]
fn broken_yaml_within_a_config_map_names_object_and_line() {
    let broken = KUBEADM.replace("      podSubnet: 10.244.0.0/16", "      podSubnet: [10.244.0.0/16");
    let said = said(&with_file("cm.yaml", broken.as_bytes()));
    assert!(said.contains("kubeadm-config") && said.contains("line"), "{said}");
}

#[test]
fn odd_ranges_are_parsed_and_reported() {
    for (text, canonical) in [
        ("10.244.1.7/24", Some("10.244.1.0/24")),
        ("010.244.1.0/24", None),
        ("::ffff:10.244.1.0/120", None),
        ("10.244.1.0/33", None),
    ] {
        let list = json!({"apiVersion": "v1", "kind": "List", "items": [node("n1", &json!(text)), node("n2", &json!("10.244.2.0/24"))]});
        let output = with_file("nodes.json", list.to_string().as_bytes());
        let report = report(&output);
        let shown = report.to_string();
        assert!(shown.contains(text), "{text} is not reported: {report:#}");
        assert!(report["nodes"].as_array().is_some_and(|nodes| nodes.len() == 2), "{text}: {report:#}");
        if let Some(canonical) = canonical {
            assert!(shown.contains(canonical), "{text}: {report:#}");
        }
    }
}

#[test]
fn a_node_without_a_range_is_a_node() {
    let bare = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n1"}, "spec": {}});
    let output = with_file("node.json", bare.to_string().as_bytes());
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(report(&output)["nodes"][0]["podCIDRs"], json!([]));
}

#[test]
fn half_a_json_dump_is_told_and_used_as_far_as_it_goes() {
    let list = json!({"apiVersion": "v1", "kind": "List",
        "items": (0..50).map(|index| node(&format!("n{index}"), &json!(format!("10.244.{index}.0/24")))).collect::<Vec<_>>()});
    let text = list.to_string();
    let output = with_file("nodes.json", &text.as_bytes()[..text.len() / 2]);
    let said = said(&output);
    assert!(said.contains("nodes.json"), "{said}");
    assert!(matches!(output.status.code(), Some(0 | 2)), "{said}");
    assert!(!said.contains("panicked"));
}

#[test]
fn a_truncated_archive_is_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let whole = folder.path().join("whole.tar.gz");
    let packed = std::process::Command::new("tar")
        .arg("-czf")
        .arg(&whole)
        .arg("-C")
        .arg(fixtures().join("captures"))
        .arg("cluster3-exec")
        .status()
        .expect("tar starts");
    assert!(packed.success());
    let output = from(&whole, &["-o", "json"]);
    assert_eq!(report(&output)["nodes"].as_array().map(Vec::len), Some(3), "{}", stderr(&output));
    let bytes = fs::read(&whole).expect("the archive");
    let cut = folder.path().join("cut.tar.gz");
    fs::write(&cut, &bytes[..bytes.len() / 2]).expect("half of it");
    let output = from(&cut, &["-o", "json"]);
    let said = said(&output);
    assert!(said.contains("cut.tar.gz") && !said.contains("panicked"), "{said}");
    assert!(matches!(output.status.code(), Some(0 | 2)), "{said}");
}

#[test]
fn unknown_files_are_listed_once_and_do_no_harm() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("cm.yaml"), KUBEADM).expect("a file");
    fs::write(folder.path().join("holiday.jpg"), b"\xff\xd8\xff\xe0 no picture").expect("a file");
    fs::write(folder.path().join("empty.yaml"), b"").expect("a file");
    let output = from(folder.path(), &["-o", "json"]);
    assert_eq!(ranges(&report(&output), "pod"), ["10.244.0.0/16"]);
    assert_eq!(stderr(&output).matches("holiday.jpg").count(), 1, "{}", stderr(&output));
}

#[test]
fn nothing_usable_is_no_report() {
    let output = with_file("holiday.jpg", b"\xff\xd8\xff\xe0 no picture");
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    let output = from(Path::new("/nonexistent/dump.yaml"), &[]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("/nonexistent/dump.yaml"), "{}", stderr(&output));
}

#[test]
fn a_huge_object_is_borne() {
    let huge = apiserver::with_huge_annotation(node("n1", &json!("10.244.1.0/24")), 2_000_000);
    for (name, text) in [("node.json", huge.to_string()), ("node.yaml", format!("---\n{huge}\n"))] {
        let output = with_file(name, text.as_bytes());
        assert_eq!(report(&output)["nodes"].as_array().map(Vec::len), Some(1), "{name}: {}", stderr(&output));
    }
}

#[test]
fn the_captured_cluster_is_read_from_its_folder() {
    let output = from(&fixtures().join("captures/cluster3-exec"), &["-o", "json"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let report = report(&output);
    assert_eq!(report["nodes"].as_array().map(Vec::len), Some(3));
    let families: std::collections::BTreeSet<&str> =
        report["ranges"].as_array().into_iter().flatten().filter_map(|range| range["family"].as_str()).collect();
    assert_eq!(families.len(), 2, "both families: {:#}", report["ranges"]);
}
