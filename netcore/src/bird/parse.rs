//! `show protocols [all]`, `show route [all]`, `show status`.

use super::{
    model::{Bird, Channel, Limit, Protocol},
    routes,
};
use crate::{
    problem::{Problem, Problems, is_failure},
    words::Words,
};

/// Reads what `birdcl` or the daemon's socket printed, any of its commands one after the other, with
/// what was not understood.
pub fn parse(text: &str) -> (Bird, Vec<Problem>) {
    let mut reader = Reader::default();
    let mut problems = Problems::default();
    let mut tables = Table::None;
    for (line, content) in (1..).zip(text.lines()) {
        let content = unframed(content);
        if content.trim().is_empty() {
            continue;
        }
        if is_header(content) {
            tables = Table::Protocols;
            continue;
        }
        if content.starts_with(['|', '+']) || is_of_calicoctl(content) {
            reader.bird.protocols.extend(calicoctl(content, line));
            continue;
        }
        if reader.preamble(content) {
            continue;
        }
        if content.starts_with(char::is_whitespace) || reader.continues(content) {
            if !routes::continues(&mut reader.bird.routes, content, line, reader.in_routes) {
                reader.detail(content, line, &mut problems);
            }
            continue;
        }
        if is_failure(content) || content.starts_with("Access") {
            problems.unknown(line, content, "");
            continue;
        }
        reader.top(content, line, tables, &mut problems);
    }
    (reader.bird, problems.into_vec())
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Table {
    None,
    Protocols,
}

/// What a line of the preamble begins with.
const SAID: [&str; 9] = [
    "Access restricted",
    "Hostname is",
    "Current server time is",
    "Last reboot on",
    "Last reconfiguration on",
    "Daemon is up",
    "We never get here",
    ">>> ",
    "bird>",
];

#[derive(Default)]
struct Reader {
    bird: Bird,
    in_routes: bool,
    /// Whether the details are the last protocol's.
    in_protocol: bool,
}

/// The socket writes a code before each line, or a blank where it is the last one's.
fn unframed(line: &str) -> &str {
    let code = line.get(..4).filter(|code| code.bytes().all(|b| b.is_ascii_digit()));
    match (code, line.as_bytes().get(4)) {
        (Some(_), Some(b'-' | b' ')) => line.get(5..).unwrap_or_default(),
        (Some(_), None) => "",
        _ => line,
    }
}

fn is_header(line: &str) -> bool {
    let words: Vec<String> = line.split_whitespace().map(str::to_lowercase).collect();
    words == ["name", "proto", "table", "state", "since", "info"]
}

/// What `calicoctl node status` says beside its tables.
fn is_of_calicoctl(line: &str) -> bool {
    [
        "Calico process is ",
        "IPv4 BGP status",
        "IPv6 BGP status",
        "No IPv4 peers found",
        "No IPv6 peers found",
        "The BGP backend process",
    ]
    .iter()
    .any(|start| line.starts_with(start))
}

/// A row of `calicoctl node status`: `| 10.0.0.12 | node-to-node mesh | up | 17:38:47 | Established |`.
fn calicoctl(row: &str, line: usize) -> Option<Protocol> {
    let cells: Vec<&str> = row.trim().trim_matches('|').split('|').map(str::trim).collect();
    let [peer, kind, state, since, info] = cells.as_slice() else { return None };
    let address = peer.parse::<std::net::IpAddr>().ok()?;
    let kind = match *kind {
        "node-to-node mesh" => "Mesh",
        "node specific" => "Node",
        "global" => "Global",
        other => other,
    };
    Some(Protocol {
        name: format!("{kind}_{}", peer.replace(['.', ':'], "_")),
        kind: "BGP".to_owned(),
        state: (*state).to_owned(),
        since: (*since).to_owned(),
        info: (*info).to_owned(),
        bgp_state: info.split_whitespace().next().map(str::to_owned),
        neighbor: Some(address),
        last_error: info.split_once(' ').map(|(_, error)| error.trim().to_owned()),
        line,
        ..Protocol::default()
    })
}

impl Reader {
    /// What the daemon says before and between the tables.
    fn preamble(&mut self, line: &str) -> bool {
        let line = line.trim();
        if let Some(version) = line.strip_prefix("BIRD ") {
            self.bird.version = Some(version.trim_end_matches("ready.").trim().to_owned());
            return true;
        }
        if let Some(id) = line.strip_prefix("Router ID is ") {
            self.bird.router_id = Some(id.to_owned());
            return true;
        }
        if let Some(said) = SAID.iter().find(|said| line.starts_with(**said)) {
            // a prompt is followed by another table
            if matches!(*said, ">>> " | "bird>") {
                (self.in_routes, self.in_protocol) = (false, false);
            }
            return true;
        }
        (line.starts_with("Table ") && line.ends_with(':'))
            || (line.contains(" routes for ") && line.contains(" networks"))
            || (line.ends_with("birdcl") && line.starts_with(['[', '#', '$']))
    }

    /// Some programs take away the indentation of a protocol's details.
    fn continues(&self, line: &str) -> bool {
        const KEYS: [&str; 7] = [
            "Description:",
            "Preference:",
            "Input filter:",
            "Output filter:",
            "Routes:",
            "Route change stats:",
            "BGP state:",
        ];
        self.in_protocol && KEYS.iter().any(|key| line.starts_with(key))
    }

    fn top(&mut self, content: &str, line: usize, table: Table, problems: &mut Problems) {
        if let Some(route) = routes::begins(content, line) {
            (self.in_routes, self.in_protocol) = (true, false);
            if let Some(route) = problems.ok(route) {
                self.bird.routes.push(route);
            }
            return;
        }
        self.in_routes = false;
        self.in_protocol = false;
        let first = content.split_whitespace().next().unwrap_or_default();
        // without its header a line must look like a protocol's
        let known = table == Table::Protocols || content.split_whitespace().any(|w| STATES.contains(&w));
        if !known || first.is_empty() {
            problems.unknown(line, content, "a protocol or a route of BIRD");
            return;
        }
        if let Some(protocol) = problems.ok(protocol(Words::new(line, content))) {
            self.bird.protocols.push(protocol);
            self.in_protocol = true;
        }
    }

    fn detail(&mut self, content: &str, line: usize, problems: &mut Problems) {
        let is_protocol = !self.in_routes && content.split_whitespace().nth(3).is_some_and(|w| STATES.contains(&w));
        if is_protocol && !content.contains(':')
            || (is_protocol && content.starts_with(' ') && !content.starts_with("  "))
        {
            // the socket's second and later lines of one code
            if let Some(protocol) = problems.ok(protocol(Words::new(line, content))) {
                self.bird.protocols.push(protocol);
                self.in_protocol = true;
            }
            return;
        }
        let Some(protocol) = self.bird.protocols.last_mut().filter(|_| self.in_protocol) else {
            if !self.in_routes {
                problems.unknown(line, content, "a detail of a protocol or a route before it");
            }
            return;
        };
        let trimmed = content.trim();
        if let Some(name) = trimmed.strip_prefix("Channel ") {
            protocol.channels.push(Channel { name: name.to_owned(), ..Channel::default() });
            return;
        }
        let Some((key, value)) = trimmed.split_once(':') else { return };
        describe(protocol, key, value.trim());
    }
}

const STATES: [&str; 6] = ["up", "start", "down", "stop", "flush", "feed"];

/// `Mesh_172_18_0_3 BGP      master   up     03:44:08    Established   `.
fn protocol(mut words: Words<'_>) -> Result<Protocol, Problem> {
    let line = words.line();
    let name = words.need("a protocol's name")?.to_owned();
    let kind = words.need("a kind such as BGP")?.to_owned();
    let table = words.need("a table")?.to_owned();
    let mut state = words.need("a state: up, start or down")?.to_owned();
    let mut since = words.next().unwrap_or_default().to_owned();
    if !STATES.contains(&state.as_str()) {
        // a line from which the state was cut out
        if !state.starts_with(|c: char| c.is_ascii_digit()) {
            return Err(words.error("not a state: up, start or down").clone());
        }
        since = format!("{state} {since}");
        state = String::new();
    } else if is_date(&since) && words.peek().is_some_and(is_time) {
        since = format!("{since} {}", words.next().unwrap_or_default());
    }
    let info = words.rest().to_owned();
    let bgp_state =
        info.split_whitespace().next().filter(|word| kind == "BGP" && BGP.contains(word)).map(str::to_owned);
    let table = if table == "---" { String::new() } else { table };
    Ok(Protocol {
        name,
        kind,
        table,
        state,
        since: since.trim().to_owned(),
        info,
        bgp_state,
        line,
        ..Protocol::default()
    })
}

const BGP: [&str; 9] =
    ["Idle", "Connect", "Active", "OpenSent", "OpenConfirm", "Established", "Close", "Passive", "Down"];

fn is_date(word: &str) -> bool {
    word.len() == 10 && word.bytes().filter(|b| *b == b'-').count() == 2
}

fn is_time(word: &str) -> bool {
    word.starts_with(|c: char| c.is_ascii_digit()) && word.bytes().filter(|b| *b == b':').count() == 2
}

fn describe(protocol: &mut Protocol, key: &str, value: &str) {
    let text = || Some(value.to_owned()).filter(|value| !value.is_empty());
    match key {
        "BGP state" => protocol.bgp_state = text(),
        "Neighbor address" => protocol.neighbor = value.split('%').next().and_then(|ip| ip.parse().ok()),
        "Neighbor AS" => protocol.neighbor_as = value.parse().ok(),
        "Local AS" => protocol.local_as = value.parse().ok(),
        "Neighbor ID" => protocol.neighbor_id = text(),
        "Source address" => protocol.source = value.parse().ok(),
        "Last error" => protocol.last_error = text(),
        "State" | "Table" | "Input filter" | "Output filter" | "Routes" | "Import limit" | "Receive limit"
        | "Export limit" | "Action" => in_channel(protocol, key, value),
        _ => {}
    }
}

fn in_channel(protocol: &mut Protocol, key: &str, value: &str) {
    if protocol.channels.is_empty() {
        protocol.channels.push(Channel { table: protocol.table.clone(), ..Channel::default() });
    }
    let Some(channel) = protocol.channels.last_mut() else { return };
    match key {
        "State" => value.clone_into(&mut channel.state),
        "Table" => value.clone_into(&mut channel.table),
        "Input filter" => value.clone_into(&mut channel.input_filter),
        "Output filter" => value.clone_into(&mut channel.output_filter),
        "Routes" => counts(channel, value),
        "Action" => {
            if let Some(limit) = channel.limits.last_mut() {
                value.clone_into(&mut limit.action);
            }
        }
        _ => {
            let number = value.split_whitespace().next().and_then(|number| number.parse().ok());
            let direction = key.split(' ').next().unwrap_or_default().to_lowercase();
            let hit = value.contains("[HIT]");
            let action = String::new();
            channel.limits.extend(number.map(|routes| Limit { direction, routes, action, hit }));
        }
    }
}

/// `2 imported, 0 filtered, 2 exported, 1 preferred`.
fn counts(channel: &mut Channel, value: &str) {
    for part in value.split(',') {
        let Some((number, name)) = part.trim().split_once(' ') else { continue };
        let number = number.parse().ok();
        match name.trim() {
            "imported" => channel.routes.imported = number,
            "filtered" => channel.routes.filtered = number,
            "exported" => channel.routes.exported = number,
            "preferred" => channel.routes.preferred = number,
            _ => {}
        }
    }
}
