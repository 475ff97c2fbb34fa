//! Objects as table rows, with the columns of the real server's printers.

use serde_json::{Value, json};

type Cell = fn(&Value) -> Value;

/// name, format, priority, cell.
type Column = (&'static str, &'static str, u8, Cell);

const NAME: Column = ("Name", "name", 0, |object| object["metadata"]["name"].clone());
const AGE: Column = ("Age", "", 0, |_| json!("5d"));

const POD: &[Column] = &[
    NAME,
    ("Ready", "", 0, pod_ready),
    ("Status", "", 0, |pod| or_unknown(&pod["status"]["phase"])),
    ("Restarts", "", 0, |_| json!("0")),
    AGE,
    ("IP", "", 1, |pod| or_none(&pod["status"]["podIP"])),
    ("Node", "", 1, |pod| or_none(&pod["spec"]["nodeName"])),
    ("Nominated Node", "", 1, |pod| or_none(&pod["status"]["nominatedNodeName"])),
    ("Readiness Gates", "", 1, |_| json!("<none>")),
];

const NODE: &[Column] = &[
    NAME,
    ("Status", "", 0, node_status),
    ("Roles", "", 0, node_roles),
    AGE,
    ("Version", "", 0, |node| node["status"]["nodeInfo"]["kubeletVersion"].clone()),
    ("Internal-IP", "", 1, |node| node_address(node, "InternalIP")),
    ("External-IP", "", 1, |node| node_address(node, "ExternalIP")),
    ("OS-Image", "", 1, |node| or_unknown(&node["status"]["nodeInfo"]["osImage"])),
    ("Kernel-Version", "", 1, |node| or_unknown(&node["status"]["nodeInfo"]["kernelVersion"])),
    ("Container-Runtime", "", 1, |node| or_unknown(&node["status"]["nodeInfo"]["containerRuntimeVersion"])),
];

const SERVICE: &[Column] = &[
    NAME,
    ("Type", "", 0, |service| service["spec"]["type"].clone()),
    ("Cluster-IP", "", 0, |service| or_none(&service["spec"]["clusterIPs"][0])),
    ("External-IP", "", 0, external_ip),
    ("Port(s)", "", 0, ports),
    AGE,
    ("Selector", "", 1, |_| json!("<none>")),
];

const IP_ADDRESS: &[Column] = &[NAME, ("ParentRef", "", 0, parent)];
const CONFIG_MAP: &[Column] =
    &[NAME, ("Data", "", 0, |map| json!(map["data"].as_object().map_or(0, serde_json::Map::len))), AGE];
const OTHER: &[Column] = &[NAME, AGE];

fn columns(kind: &str) -> &'static [Column] {
    match kind {
        "Pod" => POD,
        "Node" => NODE,
        "Service" => SERVICE,
        "IPAddress" => IP_ADDRESS,
        "ConfigMap" => CONFIG_MAP,
        _ => OTHER,
    }
}

/// The column definitions of a kind.
pub(crate) fn definitions(kind: &str) -> Value {
    columns(kind)
        .iter()
        .map(|(name, format, priority, _)| {
            json!({"name": name, "type": "string", "format": format, "description": "", "priority": priority})
        })
        .collect()
}

/// The cells of one object.
pub(crate) fn cells(kind: &str, object: &Value) -> Value {
    columns(kind).iter().map(|(_, _, _, cell)| cell(object)).collect()
}

fn or(value: &Value, instead: &str) -> Value {
    if value.as_str().is_some_and(|text| !text.is_empty()) { value.clone() } else { json!(instead) }
}

fn or_none(value: &Value) -> Value {
    or(value, "<none>")
}

fn or_unknown(value: &Value) -> Value {
    or(value, "<unknown>")
}

fn pod_ready(pod: &Value) -> Value {
    let statuses = pod["status"]["containerStatuses"].as_array().map_or(&[][..], Vec::as_slice);
    let ready = statuses.iter().filter(|status| status["ready"] == true).count();
    let all = pod["spec"]["containers"].as_array().map_or(0, Vec::len);
    json!(format!("{ready}/{all}"))
}

fn node_status(node: &Value) -> Value {
    let conditions = node["status"]["conditions"].as_array().map_or(&[][..], Vec::as_slice);
    let ready = conditions.iter().find(|condition| condition["type"] == "Ready");
    json!(match ready.and_then(|condition| condition["status"].as_str()) {
        Some("True") => "Ready",
        Some(_) => "NotReady",
        None => "Unknown",
    })
}

fn node_roles(node: &Value) -> Value {
    let labels = node["metadata"]["labels"].as_object();
    let roles: Vec<&str> =
        labels.into_iter().flatten().filter_map(|(key, _)| key.strip_prefix("node-role.kubernetes.io/")).collect();
    json!(if roles.is_empty() { "<none>".to_owned() } else { roles.join(",") })
}

fn node_address(node: &Value, kind: &str) -> Value {
    let addresses = node["status"]["addresses"].as_array().map_or(&[][..], Vec::as_slice);
    let address = addresses.iter().find(|address| address["type"] == kind);
    address.map_or_else(|| json!("<none>"), |address| address["address"].clone())
}

fn external_ip(service: &Value) -> Value {
    let ingress = service["status"]["loadBalancer"]["ingress"].as_array().map_or(&[][..], Vec::as_slice);
    let external = service["spec"]["externalIPs"].as_array().map_or(&[][..], Vec::as_slice);
    let addresses: Vec<&str> = ingress
        .iter()
        .filter_map(|entry| entry["ip"].as_str())
        .chain(external.iter().filter_map(Value::as_str))
        .collect();
    json!(if addresses.is_empty() { "<none>".to_owned() } else { addresses.join(",") })
}

fn ports(service: &Value) -> Value {
    let ports = service["spec"]["ports"].as_array().map_or(&[][..], Vec::as_slice);
    let ports: Vec<String> = ports
        .iter()
        .map(|port| {
            let protocol = port["protocol"].as_str().unwrap_or("TCP");
            match port["nodePort"].as_u64() {
                Some(node_port) => format!("{}:{node_port}/{protocol}", port["port"]),
                None => format!("{}/{protocol}", port["port"]),
            }
        })
        .collect();
    json!(if ports.is_empty() { "<none>".to_owned() } else { ports.join(",") })
}

fn parent(address: &Value) -> Value {
    let reference = &address["spec"]["parentRef"];
    let part = |field: &str| reference[field].as_str().unwrap_or_default();
    json!(format!("{}/{}/{}", part("resource"), part("namespace"), part("name")))
}
