//! The lab's wire: a bridge in the control plane's namespace and a cable from there to each node.

use crate::{Error, plan::Machine, supervise::Cluster};

/// The bridge.
pub(crate) const BRIDGE: &str = "kbr0";

/// Makes the control plane's machine and the bridge.
pub(crate) fn control(cluster: &mut Cluster) -> Result<(), Error> {
    let control = Machine::control();
    cluster.boot(&control)?;
    let script = format!(
        "set -e\nip link set lo up\nip link add {BRIDGE} type bridge\nip addr add {v4}/24 dev {BRIDGE}\n\
         ip addr add {v6}/64 dev {BRIDGE} nodad\nip link set {BRIDGE} up\n\
         sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1\n",
        v4 = control.v4(),
        v6 = control.v6(),
    );
    cluster.must(&control, &["sh", "-c", &script]).map(drop)
}

/// Makes a node's machine and its cable.
pub(crate) fn node(cluster: &mut Cluster, machine: &Machine) -> Result<(), Error> {
    cluster.boot(machine)?;
    let control = Machine::control();
    let port = port(machine);
    let script = format!(
        "set -e\nip link add {port} type veth peer name eth0 netns {pid}\nip link set {port} master {BRIDGE} up\n",
        pid = cluster.netns(machine)?,
    );
    cluster.must(&control, &["sh", "-c", &script])?;
    let script = format!(
        "set -e\nip link set lo up\nip addr add {v4}/24 dev eth0\nip addr add {v6}/64 dev eth0 nodad\n\
         ip link set eth0 up\nip route add default via {via4}\nip -6 route add default via {via6}\n\
         sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1\n\
         sysctl -qw net.bridge.bridge-nf-call-iptables=1 net.bridge.bridge-nf-call-ip6tables=1 2>/dev/null || true\n",
        v4 = machine.v4(),
        v6 = machine.v6(),
        via4 = control.v4(),
        via6 = control.v6(),
    );
    cluster.must(machine, &["sh", "-c", &script]).map(drop)
}

/// The bridge's end of a node's cable.
fn port(machine: &Machine) -> String {
    format!("v{}", machine.name)
}
