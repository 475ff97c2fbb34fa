//! Checks of the CNI files on nodes.

use super::{Check, Cluster};
use crate::{
    cni::{
        catalogue::Kind,
        conf::{Choice, Runtime, choose, is_conf_name},
        detect::{chosen, kind_of_conf, runtime},
        files::groups,
    },
    finding::{FindingDoc, Severity},
    ranges::checks::Findings,
};

/// The checks of this file.
pub(super) static CHECKS: &[Check] = &[
    Check {
        doc: FindingDoc {
            id: "CNI-040",
            title: "a CNI file cannot be read",
            severity: "error where it comes first and the runtime is containerd, which stops there; else warning",
            formula: "a file of the node's CNI folder with the ending .conf, .conflist or .json is no CNI configuration",
            example: "node-3: 05-x.conf line 3: not valid JSON; containerd stops there",
            remedy: "restart the plugin's agent, which writes its file anew, or delete the file that nobody needs",
        },
        run: broken,
    },
    Check {
        doc: FindingDoc {
            id: "CNI-041",
            title: "nodes take different CNI configurations",
            severity: "warning",
            formula: "the file that the runtime takes, its programs, their address management or MTU differ between Linux nodes",
            example: "10-calico.conflist on node-1, node-2; 10-flannel.conflist on node-3",
            remedy: "where no migration is under way, restart the plugin's agent on the nodes that differ and delete what others left",
        },
        run: differ,
    },
    Check {
        doc: FindingDoc {
            id: "CNI-042",
            title: "another CNI file waits behind the one that is taken",
            severity: "info",
            formula: "more than one readable file of different plugins in a node's CNI folder",
            example: "node-1: 10-calico.conflist is taken, 10-flannel.conflist waits",
            remedy: "it is taken as soon as the first is gone, also for the moment of an upgrade: delete it if its plugin is not meant",
        },
        run: waiting,
    },
    Check {
        doc: FindingDoc {
            id: "CNI-043",
            title: "a node without CNI configuration",
            severity: "error",
            formula: "the node's CNI folder was read and holds no file that a runtime reads",
            example: "node-4: no file with the ending .conf, .conflist or .json",
            remedy: "new pods get no network there: the plugin's agent writes its file when it is ready; see its init containers' logs",
        },
        run: none,
    },
    Check {
        doc: FindingDoc {
            id: "CNI-044",
            title: "the CNI file that is taken is of a plugin that does not run",
            severity: "error",
            formula: "the file that the runtime takes is of a plugin with an agent, every DaemonSet was read, and none runs that agent",
            example: "node-2: 10-flannel.conflist is taken, flannel does not run",
            remedy: "new pods get an address that nobody routes: delete the file, so that the next one is taken, and restart pods that \
                     were started since",
        },
        run: of_nobody,
    },
];

fn broken(cluster: Cluster<'_>, findings: &mut Findings<'_>) {
    for (name, reading) in &cluster.facts.readings {
        let Some(files) = &reading.conf else { continue };
        let runtime = runtime(cluster.facts, name);
        let stops = match choose(files, runtime) {
            Choice::Broken(file) => Some(file.name.as_str()),
            _ => None,
        };
        for file in files.iter().filter(|file| is_conf_name(&file.name)) {
            let Err(problem) = &file.conf else { continue };
            let first = stops == Some(file.name.as_str());
            let (severity, then) = match (first, runtime) {
                (true, _) => (Severity::Error, "containerd stops there, and new pods get no network"),
                (false, Runtime::CriO) => (Severity::Warning, "CRI-O passes it over"),
                (false, Runtime::Containerd) => (Severity::Warning, "another comes before it"),
            };
            findings.add(severity, name.as_str(), format!("{}: {problem}; {then}", file.name), Vec::new());
        }
    }
}

fn differ(cluster: Cluster<'_>, findings: &mut Findings<'_>) {
    let groups = groups(cluster.facts);
    if groups.len() > 1 {
        let nodes = |nodes: &Vec<&str>| match nodes.len() {
            0..=3 => nodes.join(", "),
            n => format!("{} and {} more", nodes.iter().take(3).copied().collect::<Vec<_>>().join(", "), n - 3),
        };
        let evidence = groups.iter().map(|(what, on)| format!("{what} on {}", nodes(on))).collect();
        findings.add(
            Severity::Warning,
            "CNI configuration",
            format!("nodes take {} different ones", groups.len()),
            evidence,
        );
    }
}

fn waiting(cluster: Cluster<'_>, findings: &mut Findings<'_>) {
    let found = cluster.facts.readings.iter().filter_map(|(name, reading)| {
        let (taken, conf) = chosen(cluster.facts, name, reading)?;
        let own = conf.plugins.first().map(|plugin| plugin.kind.as_str());
        let others = reading.conf.iter().flatten().filter(|file| {
            let first = file.conf.as_ref().ok().and_then(|conf| conf.plugins.first());
            is_conf_name(&file.name)
                && file.name != taken.name
                && first.is_some_and(|plugin| Some(plugin.kind.as_str()) != own)
        });
        let others: Vec<&str> = others.map(|file| file.name.as_str()).collect();
        // what Multus takes the main network from waits on purpose
        let meta = kind_of_conf(conf) == Some(Kind::Multus)
            || conf.plugins.first().is_some_and(|plugin| plugin.kind.starts_with("multus"));
        (!others.is_empty() && !meta).then(|| {
            (name.as_str(), format!("{} is taken, {} waits behind it", taken.name, others.join(", ")), Vec::new())
        })
    });
    findings.add_of_nodes(Severity::Info, found);
}

fn none(cluster: Cluster<'_>, findings: &mut Findings<'_>) {
    let found = cluster.facts.readings.iter().filter(|(_, reading)| {
        reading.conf.as_ref().is_some_and(|files| !files.iter().any(|file| is_conf_name(&file.name)))
    });
    findings.add_of_nodes(
        Severity::Error,
        found.map(|(name, _)| (name.as_str(), "has no CNI configuration".to_owned(), Vec::new())),
    );
}

fn of_nobody(cluster: Cluster<'_>, findings: &mut Findings<'_>) {
    if !cluster.facts.workloads_were_read() {
        return;
    }
    let found = cluster.facts.readings.iter().filter_map(|(name, reading)| {
        let (file, conf) = chosen(cluster.facts, name, reading)?;
        let kind = kind_of_conf(conf)?;
        let row = kind.row();
        let canal = kind == Kind::Calico && cluster.facts.agents.iter().any(|agent| agent.kind == Kind::Canal);
        let runs = canal
            || cluster.facts.agents.iter().any(|agent| agent.kind == kind)
            || cluster.facts.pods.iter().any(|pod| pod.kind == kind);
        let embedded = kind == Kind::Flannel && cluster.facts.nodes.get(name).is_some_and(|node| node.embeds);
        (!row.agents.is_empty() && !runs && !embedded)
            .then(|| (name.as_str(), format!("{} is taken, and {kind} does not run", file.name), Vec::new()))
    });
    findings.add_of_nodes(Severity::Error, found);
}
