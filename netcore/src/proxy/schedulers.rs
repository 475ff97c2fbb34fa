//! IPVS' scheduling algorithms: what each does, and which node's kernel has it.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{Facts, Mode, configured, modules::State};

/// An algorithm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scheduler {
    /// As kube-proxy and `ipvsadm` write it.
    pub name: &'static str,
    /// The kernel that it came with.
    pub since: &'static str,
    /// What it does.
    pub summary: &'static str,
}

impl Scheduler {
    /// Its module.
    pub fn module(&self) -> String {
        format!("ip_vs_{}", self.name)
    }
}

/// Every algorithm that kube-proxy may be told.
pub const ALL: [Scheduler; 13] = [
    Scheduler { name: "rr", since: "2.6", summary: "round robin: one after the other; kube-proxy's default" },
    Scheduler {
        name: "wrr",
        since: "2.6",
        summary: "round robin by weight; kube-proxy gives all the same weight, so it is rr",
    },
    Scheduler { name: "lc", since: "2.6", summary: "the fewest connections, as this node alone counts them" },
    Scheduler {
        name: "wlc",
        since: "2.6",
        summary: "the fewest connections by weight; kube-proxy gives all the same weight, so it is lc",
    },
    Scheduler {
        name: "lblc",
        since: "2.6",
        summary: "the same server for the same destination address while it is not overloaded; for caches",
    },
    Scheduler { name: "lblcr", since: "2.6", summary: "as lblc, with a set of servers for each destination address" },
    Scheduler {
        name: "dh",
        since: "2.6",
        summary: "by a hash of the destination address: a Service's address is one, so it is one server",
    },
    Scheduler { name: "sh", since: "2.6", summary: "by a hash of the source address: a client keeps its server" },
    Scheduler { name: "sed", since: "2.6", summary: "the shortest expected delay: connections + 1 by weight" },
    Scheduler { name: "nq", since: "2.6", summary: "an idle server if there is one, else as sed" },
    Scheduler {
        name: "mh",
        since: "4.18",
        summary: "Maglev hashing of the source address: few clients move when servers come and go",
    },
    Scheduler {
        name: "ovf",
        since: "4.3",
        summary: "the heaviest server until its connections reach its weight, then the next; with weight 1, one each",
    },
    Scheduler { name: "fo", since: "3.18", summary: "always the heaviest server that is there; the others wait" },
];

/// The algorithm of that name.
pub fn named(name: &str) -> Option<&'static Scheduler> {
    ALL.iter().find(|scheduler| scheduler.name == name)
}

/// Whether a node has an algorithm.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct SchedulerOnNode {
    /// The node.
    pub name: String,
    /// Whether its kernel has it.
    pub state: State,
    /// How many of its virtual servers use it; null where they were not read.
    pub virtual_servers: Option<u64>,
}

/// An algorithm, and the nodes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct SchedulerRow {
    /// `rr`.
    pub name: String,
    /// `ip_vs_rr`.
    pub module: String,
    /// The kernel that it came with.
    pub since: String,
    /// What it does.
    pub summary: String,
    /// It is the configured one.
    pub configured: bool,
    /// Each node.
    pub nodes: Vec<SchedulerOnNode>,
}

/// The report's own fields.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct SchedulerList {
    /// The mode that is configured.
    pub mode: Option<Mode>,
    /// The algorithm that is configured, in ipvs mode.
    pub configured: Option<String>,
    /// Every algorithm.
    pub items: Vec<SchedulerRow>,
}

/// Whether the kernel of a node has a module of IPVS: by its lists, and by what it does already.
pub fn state(facts: &Facts, node: &str, module: &str) -> State {
    let Some(reading) = facts.readings.get(node) else { return State::Unknown };
    let release = facts.nodes.get(node).map(|node| node.kernel.as_str()).unwrap_or_default();
    let servers = reading.traces.servers.as_ref();
    let in_use = match module.strip_prefix("ip_vs_") {
        Some(name) => servers.is_some_and(|servers| servers.iter().any(|s| s.scheduler.as_deref() == Some(name))),
        // its table in /proc is there where it is
        None => reading.has_ipvs == Some(true),
    };
    match reading.modules.state(module, release) {
        // what is in use and not among the modules is a part of the kernel
        State::Missing | State::Available if in_use => State::Builtin,
        State::Unknown if in_use && reading.modules.is_known() => State::Builtin,
        State::Unknown if in_use => State::Loaded,
        // neither in the kernel nor to be loaded
        State::Unknown if reading.has_ipvs == Some(false) && reading.modules.loads_nothing(release) => State::Missing,
        state => state,
    }
}

/// The report; `shows` picks nodes.
pub fn report(facts: &Facts, shows: &dyn Fn(&str) -> bool) -> SchedulerList {
    let configured = configured::of_all(facts);
    let mut nodes: Vec<&str> = facts.readings.keys().map(String::as_str).collect();
    nodes.extend(facts.nodes.iter().filter(|(_, node)| !node.is_windows()).map(|(name, _)| name.as_str()));
    nodes.retain(|name| {
        (shows(name) || *name == crate::probe::UNNAMED) && facts.nodes.get(*name).is_none_or(|node| !node.is_windows())
    });
    nodes.sort_unstable();
    nodes.dedup();
    let items = ALL.iter().map(|scheduler| {
        let module = scheduler.module();
        let on_node = |name: &&str| {
            let servers = facts.readings.get(*name).and_then(|reading| reading.traces.servers.as_ref());
            let of = |servers: &Vec<super::traces::Server>| {
                servers.iter().filter(|server| server.scheduler.as_deref() == Some(scheduler.name)).count() as u64
            };
            SchedulerOnNode {
                name: (*name).to_owned(),
                state: state(facts, name, &module),
                virtual_servers: servers.map(of),
            }
        };
        SchedulerRow {
            name: scheduler.name.to_owned(),
            since: scheduler.since.to_owned(),
            summary: scheduler.summary.to_owned(),
            configured: configured.scheduler.as_deref() == Some(scheduler.name),
            nodes: nodes.iter().map(on_node).collect(),
            module,
        }
    });
    SchedulerList { mode: configured.mode, items: items.collect(), configured: configured.scheduler.clone() }
}

/// How many nodes are in each state.
pub fn census(row: &SchedulerRow) -> BTreeMap<State, usize> {
    let mut found = BTreeMap::new();
    for node in &row.nodes {
        *found.entry(node.state).or_insert(0) += 1;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::Probe;

    #[test]
    fn what_is_in_use_is_there_whatever_the_lists_say() {
        let mut facts = Facts::default();
        facts.take_probe(Some("n1"), Probe::KernelModules, "ip_vs_sh 16384 0 - Live 0x0\nip_vs 1 1 - Live 0x0\n", "f");
        facts.take_probe(Some("n1"), Probe::IpvsTable, "-A -t 10.96.0.1:443 -s rr\n", "f");
        let list = report(&facts, &|_| true);
        let of = |name: &str| list.items.iter().find(|item| item.name == name).unwrap().nodes[0].clone();
        assert_eq!((of("rr").state, of("rr").virtual_servers), (State::Builtin, Some(1)));
        assert_eq!((of("sh").state, of("sh").virtual_servers), (State::Loaded, Some(0)));
        assert_eq!(of("mh").state, State::Unknown);
        assert_eq!(state(&facts, "n1", "ip_vs"), State::Loaded);
        assert_eq!(list.items.len(), 13);
    }
}
