//! Verifying a node against 10,000 Services of 10 endpoints in iptables mode, once its bytes are read. Prints a table;
//! asserts nothing.
#![expect(clippy::print_stdout, clippy::expect_used, reason = "a bench prints, and stops at a wrong set-up")]

use std::{net::IpAddr, time::Instant};

use netcore::{
    kubeproxy::KubeProxyConfig,
    probe::Probe,
    proxy::{
        Mode, Version,
        traces::Traces,
        verify::{self, Desired, KernelTexts, NodeFacts},
    },
};

const SERVICES: u32 = 10_000;
const ENDPOINTS: u32 = 10;

fn main() {
    let text = e2e::kube_proxy_rules::save(SERVICES, ENDPOINTS);
    let mut desired = Desired::default();
    for (service, slice) in e2e::kube_proxy_rules::objects(SERVICES, ENDPOINTS) {
        desired.take_service(&serde_json::from_value(service).expect("a Service"));
        desired.take_slice(&serde_json::from_value(slice).expect("a slice"));
    }
    let node = NodeFacts {
        name: "node-1".to_owned(),
        mode: Some(Mode::Iptables),
        version: Some(Version::new(1, 36)),
        config: Some(KubeProxyConfig {
            cluster_cidr: "10.244.0.0/14".to_owned(),
            tcp_be_liberal: true,
            ..KubeProxyConfig::default()
        }),
        addresses: vec![IpAddr::from([192, 0, 2, 1])],
        ..NodeFacts::default()
    };
    let size = text.len();
    for _ in 0..3 {
        let mut kernel = KernelTexts { traces: Some(Traces::default()), ..KernelTexts::default() };
        kernel.take(Probe::IptablesSave, text.clone());
        kernel.take(Probe::Ip6tablesSave, "*nat\nCOMMIT\n".to_owned());
        let start = Instant::now();
        let verdict = verify::verify(&node, kernel, &desired);
        let seconds = start.elapsed().as_secs_f64();
        println!(
            "{} addresses of {:.1} MB of rules: {seconds:.3} s, {} missing, {} stale, {} wrong, {:?} {}",
            verdict.checked,
            f64::from(u32::try_from(size / 1000).expect("a size")) / 1000.0,
            verdict.missing.len(),
            verdict.stale.len(),
            verdict.wrong.len(),
            verdict.state,
            verdict.reason.unwrap_or_default()
        );
    }
}
