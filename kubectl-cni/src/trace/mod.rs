//! `kubectl cni trace SRC DST[:PORT]`: every rule that a packet meets, hook by hook.

mod ends;
mod view;

use std::collections::BTreeMap;

use clap::Args;
use netcore::{
    cluster::{Item, ReadStatus, Resource, resources, wire},
    finding::Unreadable,
    packet::{
        Device, Ends, Flow, Network, Node, Origin,
        report::{PacketTrace, TraceEnd, TracePath},
        texts::{NodeTexts, PROBES},
    },
};
use plugin::{
    cluster::Selection,
    exit::{ExitCode, FailOn},
    nodes::{NodeAnswer, Outcome, Unasked},
    print::{Out, Rows},
    question::{Answer, Error, Question, Session},
};

use self::ends::{End, Objects, Side};
use crate::cli::Cli;

/// Its arguments.
#[derive(Args, Clone, Debug)]
pub(crate) struct TraceArgs {
    /// Who sends: pod/[NAMESPACE/]NAME, node/NAME, external, or an address
    #[arg(value_name = "SRC")]
    source: String,
    /// Who gets it: pod/[NAMESPACE/]NAME[:PORT], svc/[NAMESPACE/]NAME[:PORT], node/NAME[:PORT], external[:PORT], ADDRESS[:PORT], [V6]:PORT
    #[arg(value_name = "DST[:PORT]")]
    target: String,
    /// The protocol: tcp, udp, sctp, icmp, or a number
    #[arg(long, default_value = "tcp", value_name = "PROTOCOL")]
    protocol: String,
    /// The source port; without, one of those that kernels give out
    #[arg(long, value_name = "PORT")]
    sport: Option<u16>,
    /// The interface by which the packet comes in; without, the one behind which the source is
    #[arg(long, value_name = "NAME")]
    iface: Option<String>,
    /// A later packet of a connection that both ends have spoken on
    #[arg(long)]
    established: bool,
    /// In sentences
    #[arg(long)]
    explain: bool,
}

const PATHS: Rows = Rows { list: "paths", kind: "path", name: &["destination"] };
/// More nodes than this are only read where they are named: two are enough for most packets.
const UNASKED: usize = 20;
const WOULD_DO: &str = "a node's iptables-save, nft -j list ruleset or ipvsadm";

/// Answers.
pub(crate) async fn trace(cli: &Cli, args: &TraceArgs, out: &mut Out) -> Result<ExitCode, Error> {
    let protocol = protocol(&args.protocol)?;
    let question = Question {
        kube: &cli.kube,
        input: &cli.input,
        kind: "PacketTrace",
        rows: PATHS,
        fail_on: cli.fail_on.or(FailOn::Never),
        unasked: Unasked::AtMost(UNASKED),
        says_unread: true,
    };
    let gather = async |session: &Session<'_>| read(session, args, protocol).await;
    question.ask(out, gather, |report, detail| view::view(report, detail, args.explain)).await
}

fn protocol(text: &str) -> Result<u8, Error> {
    Ok(match text.to_ascii_lowercase().as_str() {
        "tcp" => 6,
        "udp" => 17,
        "sctp" => 132,
        "icmp" => 1,
        "icmpv6" | "icmp6" => 58,
        other => other.parse().map_err(|_| {
            Error::Usage(format!("--protocol {text}: not tcp, udp, sctp, icmp, or a number from 0 to 255"))
        })?,
    })
}

async fn read(session: &Session<'_>, args: &TraceArgs, protocol: u8) -> Result<Answer<PacketTrace>, Error> {
    let mut unreadable = Vec::new();
    let mut missing = Vec::new();
    let objects = objects(session, &mut unreadable).await;
    let source = objects.end(&args.source, Side::Source, session.cluster.namespace()).map_err(Error::Usage)?;
    let target = objects.end(&args.target, Side::Target, session.cluster.namespace()).map_err(Error::Usage)?;
    let (from, to) = ends::addresses(&source, &target).map_err(Error::Usage)?;
    let protocol = match (protocol, to.is_ipv6()) {
        (1, true) => 58,
        (58, false) => 1,
        (protocol, _) => protocol,
    };
    let has_ports = matches!(protocol, 6 | 17 | 132 | 136 | 33);
    if has_ports && target.port(protocol).is_none() {
        return Err(Error::Usage(format!("{}: a port is needed: {0}:PORT{}", args.target, target.ports_hint())));
    }

    let mut texts: BTreeMap<Option<String>, NodeTexts> = BTreeMap::new();
    for answer in session.nodes.read_all(PROBES).await? {
        take(answer, &mut texts, &mut unreadable);
    }
    texts.retain(|_, node| node.has_rules());
    if texts.is_empty() {
        let reason = unreadable.first().map_or(ReadStatus::NOT_RECORDED, |entry: &Unreadable| entry.reason.as_str());
        return Err(Error::nothing(reason, session.input, "a node's rules", WOULD_DO));
    }
    for (name, node) in &mut texts {
        objects.tell(name.as_deref(), node);
        for (probe, reason) in &node.problems {
            let node = name.clone();
            missing.push(Unreadable { source: probe.file().to_owned(), node, reason: reason.clone() });
        }
    }
    let nodes: Vec<NodeTexts> = texts.into_values().collect();
    let parts: Vec<_> = nodes.iter().map(NodeTexts::parse).collect();
    let states: Vec<_> = parts.iter().map(netcore::packet::texts::NodeParts::state).collect();
    let network = Network::new(states.iter().map(Node::new).collect());

    let at = start(&network, &objects, (&source, from), (&target, to), &session.input.nodes).map_err(Error::Usage)?;
    let Some(node) = network.nodes().get(at) else { return Err(Error::Usage("no node was read".to_owned())) };
    let own = source.is_host() || source.node().is_none() && node.is_own(from) == Some(true);
    // a node's own packet has the address that its route asks for, unless one is given
    let from = if source.is_node() { node.source_towards(to).unwrap_or(from) } else { from };
    let origin = match (&args.iface, own) {
        (Some(name), _) => Origin::Arrives(Device::named(name)),
        (None, true) => Origin::Host,
        (None, false) => Origin::Arrives(node.device_of(from)),
    };
    let ends = Ends {
        source: from,
        destination: to,
        source_port: args.sport.filter(|_| has_ports),
        destination_port: target.port(protocol).filter(|_| has_ports),
    };
    let flow = Flow { node: at, origin, protocol, ends, mark: 0, established: args.established };
    let paths = network.trace(&flow);
    let mut report: Vec<TracePath> = paths.iter().map(|path| TracePath::new(&network, path)).collect();
    for (path, walked) in report.iter_mut().zip(&paths) {
        path.destination_pod = objects.pod_at(walked.ends.destination);
    }
    let body = PacketTrace {
        source: TraceEnd {
            asked: args.source.clone(),
            address: from.to_string(),
            port: ends.source_port,
            node: Some(node.name().to_owned()).filter(|_| own || source.node().is_some()),
        },
        target: TraceEnd {
            asked: args.target.clone(),
            address: to.to_string(),
            port: ends.destination_port,
            node: target.node().map(str::to_owned),
        },
        protocol: args.protocol.to_ascii_lowercase(),
        established: args.established,
        paths: report,
    };
    Ok(Answer { body, findings: Vec::new(), unreadable, version: None, uid: None, distribution: None, missing })
}

/// The node that the packet is met on first.
fn start(
    network: &Network<'_>,
    objects: &Objects,
    (source, from): (&End, std::net::IpAddr),
    (target, to): (&End, std::net::IpAddr),
    asked_for: &[String],
) -> Result<usize, String> {
    let names: Vec<&str> = network.nodes().iter().map(Node::name).collect();
    let place = |name: &str| names.iter().position(|known| *known == name);
    if let Some(node) = source.node() {
        // files of one node may not say which
        return place(node).or((names.len() == 1 && names == ["-"]).then_some(0)).ok_or_else(|| {
            format!(
                "{} is on the node {node}, whose rules were not read; read are {}",
                source.asked(),
                names.join(", ")
            )
        });
    }
    let holder = network.nodes().iter().position(|node| node.is_own(from) == Some(true) && !from.is_loopback());
    let of_target = target.node().or_else(|| objects.node_at(to)).and_then(place);
    match (asked_for, names.len()) {
        ([node], _) => place(node).ok_or_else(|| format!("the rules of the node {node} were not read")),
        (_, 1) => Ok(0),
        _ => holder.or(of_target).ok_or_else(|| {
            format!(
                "{} is on no node that is known: --node says which one its packet comes in by ({})",
                source.asked(),
                names.join(", ")
            )
        }),
    }
}

fn take(answer: NodeAnswer, texts: &mut BTreeMap<Option<String>, NodeTexts>, unreadable: &mut Vec<Unreadable>) {
    let NodeAnswer { node, probe, outcome, .. } = answer;
    let text = match outcome {
        Outcome::Text(text) => Some(text),
        Outcome::Absent(_) => None,
        Outcome::Unseen(reason) | Outcome::Unreadable(reason) => {
            unreadable.push(Unreadable { source: probe.file().to_owned(), node, reason });
            return;
        }
    };
    let name = node.clone().unwrap_or_else(|| netcore::probe::UNNAMED.to_owned());
    texts.entry(node).or_insert_with(|| NodeTexts::new(name)).take(probe, text);
}

async fn objects(session: &Session<'_>, unreadable: &mut Vec<Unreadable>) -> Objects {
    let mut found = Objects::default();
    let wanted: [&'static Resource; 3] = [&resources::NODES, &resources::PODS, &resources::SERVICES];
    for resource in wanted {
        let mut bad = None;
        let each = &mut |item: Item<'_>| {
            let taken = match resource.kind {
                "Node" => item.lean::<wire::Node>().map(|node| found.node(&node)),
                "Pod" => item.lean::<wire::Pod>().map(|pod| found.pod(&pod)),
                _ => item.lean::<wire::Service>().map(|service| found.service(&service)),
            };
            if let Err(error) = taken {
                bad = Some(error.to_string());
            }
        };
        let status = session.cluster.list(resource, Selection::default(), each).await;
        let reason = match (bad, &status) {
            (Some(reason), _) => Some(reason),
            (None, ReadStatus::Unreadable(reason) | ReadStatus::Partial(reason)) => {
                found.unread(resource.plural, reason);
                (!status.is_unrecorded()).then(|| reason.clone())
            }
            _ => None,
        };
        unreadable.extend(reason.map(|reason| Unreadable { source: resource.plural.to_owned(), node: None, reason }));
    }
    found
}
