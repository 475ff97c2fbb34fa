//! `--probe-service-range`: asks the API server by creates that it does not keep.

use std::net::IpAddr;

use netcore::{
    cidr::Family,
    ranges::{
        Facts,
        probe_service::{Answer, Outcome, Request, SOURCE, ServiceProbe},
    },
};
use plugin::cluster::{Cluster, ReadError};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Where a recording keeps the outcome.
const RECORDED: &str = "/service-range-probe.json";

/// The first release whose API server can have several service ranges.
const SEVERAL: u32 = 31;

/// Asks for the service ranges, where that is wanted; files say what was found when they were recorded.
pub(crate) async fn run(cluster: &Cluster, wanted: bool, facts: &mut Facts) {
    if cluster.is_offline() {
        match recorded(cluster).await {
            Some(Recorded { namespace, outcome }) => outcome.add_to(&namespace, facts),
            None if wanted => facts.problem(SOURCE, "not asked: --probe-service-range needs a live cluster"),
            None => {}
        }
    } else if wanted {
        let version = facts.version.as_deref().or_else(|| cluster.version());
        let mut probe = ServiceProbe::new(version.and_then(minor).is_none_or(|minor| minor >= SEVERAL));
        while let Some(request) = probe.next_request() {
            probe.answer(ask(cluster, request).await);
        }
        let done = Recorded { namespace: cluster.namespace().to_owned(), outcome: probe.outcome() };
        if let Ok(text) = serde_json::to_string_pretty(&done) {
            cluster.record(|recorder| recorder.raw(RECORDED, &text));
        }
        done.outcome.add_to(&done.namespace, facts);
    }
}

/// What a recording keeps of it.
#[derive(Serialize, Deserialize)]
struct Recorded {
    namespace: String,
    outcome: Outcome,
}

async fn recorded(cluster: &Cluster) -> Option<Recorded> {
    let text = cluster.raw(RECORDED, "application/json").await.ok().flatten()?;
    serde_json::from_str(&text).ok()
}

/// `36` of `v1.36.3`, `33` of `v1.33+`.
fn minor(version: &str) -> Option<u32> {
    let minor = version.strip_prefix("v1.")?;
    minor.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

async fn ask(cluster: &Cluster, request: Request) -> Answer {
    let path = format!("/api/v1/namespaces/{}/services", cluster.namespace());
    match cluster.create_dry_run(&path, &service(request)).await {
        Ok(bytes) => match serde_json::from_slice::<Value>(&bytes) {
            Ok(service) => Answer::Accepted(address(&service)),
            Err(error) => Answer::Failed(format!("the answer is no JSON: {error}")),
        },
        Err(ReadError::Status { code: 422, message }) => Answer::Refused(message),
        Err(error) => Answer::Failed(error.to_string()),
    }
}

fn address(service: &Value) -> Option<IpAddr> {
    service.pointer("/spec/clusterIP")?.as_str()?.parse().ok()
}

fn service(request: Request) -> Value {
    let mut spec = json!({"ports": [{"port": 80}]});
    match request {
        Request::Named(address) => spec["clusterIP"] = json!(address.to_string()),
        Request::Unnamed(family) => {
            spec["ipFamilyPolicy"] = json!("SingleStack");
            spec["ipFamilies"] = json!([if family == Family::V6 { "IPv6" } else { "IPv4" }]);
        }
    }
    json!({"apiVersion": "v1", "kind": "Service", "metadata": {"generateName": "netcidr-probe-"}, "spec": spec})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_with_one_range_are_known() {
        for (version, expected) in [("v1.36.3", Some(36)), ("v1.30+rke2", Some(30)), ("v1.9", Some(9)), ("2", None)] {
            assert_eq!(minor(version), expected, "{version}");
        }
    }

    #[test]
    fn a_service_asks_for_what_the_request_says() {
        let address = service(Request::Named("::1".parse().unwrap()));
        assert_eq!(
            (address["spec"]["clusterIP"].as_str(), &address["spec"]["ipFamilies"]),
            (Some("::1"), &Value::Null)
        );
        let any = service(Request::Unnamed(Family::V6));
        assert_eq!((&any["spec"]["clusterIP"], &any["spec"]["ipFamilies"][0]), (&Value::Null, &json!("IPv6")));
    }
}
