//! What every report shows alike: its findings, and what could not be read.

use std::collections::{BTreeMap, BTreeSet};

use netcore::{
    cluster::ReadStatus,
    finding::{Finding, Severity, Unreadable},
    report::ClusterInfo,
};

use super::{Detail, Say, Text, Tone, View};

/// Which cluster it is, in one line; nothing for files that do not say.
pub fn cluster_line(view: &mut View, cluster: &ClusterInfo) {
    let parts: Vec<String> = [
        cluster.context.as_ref().map(|context| format!("context {context}")),
        cluster.server.clone(),
        cluster.version.clone(),
        cluster.distribution.clone(),
    ]
    .into_iter()
    .flatten()
    .collect();
    if !parts.is_empty() {
        view.line(Tone::Faint.paint(parts.join(", ")));
    }
}

/// Each finding: what is wrong, what shows it, and what to do.
pub fn findings(view: &mut View, findings: &[Finding]) {
    for finding in findings {
        view.gap().line(
            Tone::from(finding.severity)
                .paint(severity(finding.severity))
                .then(" ")
                .then_in(Tone::Strong, finding.id.clone())
                .then(format!(" {}: {}", finding.subject, finding.message)),
        );
        for evidence in &finding.evidence {
            view.line(Tone::Faint.paint(format!("    {evidence}")));
        }
        view.line(Text::from(format!("    → {}", finding.remedy)));
    }
}

fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Info => "INFO",
        Severity::Warning => "WARNING",
        Severity::Error => "ERROR",
    }
}

/// Says on stderr what could not be read: in a few lines, or in wide each.
pub fn say_unread(unreadable: &[Unreadable], detail: Detail, say: &Say) {
    if detail == Detail::Wide {
        for entry in unreadable {
            say.warning(format!("{} not read: {}", source_and_node(entry), entry.reason));
        }
        return;
    }
    for line in Unread::of(unreadable).lines() {
        say.warning(line);
    }
}

/// What could not be read, in short.
pub struct Unread<'a> {
    sources: BTreeMap<&'a str, Vec<String>>,
    checks: BTreeSet<&'a str>,
}

impl<'a> Unread<'a> {
    /// Sorts by reason; checks that were not made are kept apart.
    pub fn of(unreadable: &'a [Unreadable]) -> Self {
        let mut unread = Self { sources: BTreeMap::new(), checks: BTreeSet::new() };
        for entry in unreadable {
            if let Some(id) = entry.source.strip_prefix("check ") {
                unread.checks.insert(id);
                continue;
            }
            // what is forbidden is said by name, and by whom in wide
            let reason = if entry.reason.starts_with("forbidden: ") { "forbidden" } else { &entry.reason };
            let source = source_and_node(entry);
            let source = source.split_once(" with ").map_or(source.as_str(), |(kind, _)| kind).to_owned();
            let sources = unread.sources.entry(reason).or_default();
            if !sources.contains(&source) {
                sources.push(source);
            }
        }
        unread
    }

    /// The ids of the checks that were not made.
    pub fn checks(&self) -> &BTreeSet<&'a str> {
        &self.checks
    }

    /// A line per reason, and one for the checks that were not made.
    pub fn lines(&self) -> Vec<String> {
        let line = |(reason, sources): (&&str, &Vec<String>)| match sources.as_slice() {
            // what is wrong with one source reads best after its name
            [source] if reason.contains(' ') && *reason != ReadStatus::NOT_RECORDED => format!("{source}: {reason}"),
            sources => format!("{reason}: {}", in_short(sources)),
        };
        let mut lines: Vec<String> = self.sources.iter().map(line).collect();
        let n = self.checks.len();
        if n > 0 {
            lines.push(format!("{n} {} not made: {}; -o wide says why", plural(n, "check", "checks"), self.ids()));
        }
        lines
    }

    /// `CIDR-007, 012`: the prefix once.
    fn ids(&self) -> String {
        let mut last = "";
        let mut short = Vec::new();
        for id in &self.checks {
            let (prefix, number) = id.split_once('-').unwrap_or(("", id));
            short.push(if prefix == last { number } else { id });
            last = prefix;
        }
        short.join(", ")
    }
}

/// Sources by name; kinds of one API group together where there are several, and not more than a
/// line's worth.
fn in_short(sources: &[String]) -> String {
    const SHOWN: usize = 8;
    let mut groups: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for source in sources {
        let group = match source.split_once('.') {
            Some((_, group)) if !source.contains(['/', ' ']) => group,
            _ => source,
        };
        groups.entry(group).or_default().push(source);
    }
    let mut names: Vec<String> = Vec::new();
    for (group, sources) in groups {
        match sources.as_slice() {
            [one] => names.push((*one).to_owned()),
            [one, two] => names.extend([(*one).to_owned(), (*two).to_owned()]),
            many => names.push(format!("{} kinds of {group}", many.len())),
        }
    }
    let more = names.len().saturating_sub(SHOWN);
    names.truncate(SHOWN);
    let more = if more > 0 { format!(" and {more} more; -o wide names all") } else { String::new() };
    names.join(", ") + &more
}

/// `routes on node1`: the source, and the node where it is a node's own.
pub fn source_and_node(entry: &Unreadable) -> String {
    match &entry.node {
        Some(node) => format!("{} on {node}", entry.source),
        None => entry.source.clone(),
    }
}

/// `one` for 1, else `many`.
pub fn plural<'a>(n: usize, one: &'a str, many: &'a str) -> &'a str {
    if n == 1 { one } else { many }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_sources_make_one_line() {
        let sources = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        assert_eq!(in_short(&sources(&["pods", "nodes"])), "nodes, pods");
        assert_eq!(in_short(&sources(&["a.x.io", "b.x.io", "c.x.io", "a.y.io"])), "3 kinds of x.io, a.y.io");
        assert_eq!(
            in_short(&sources(&["configmap a/b.c", "configmap a/d.c", "/a.b"])),
            "/a.b, configmap a/b.c, configmap a/d.c"
        );
        let many: Vec<String> = (0..11).map(|n| format!("s{n:02}")).collect();
        assert_eq!(in_short(&many), "s00, s01, s02, s03, s04, s05, s06, s07 and 3 more; -o wide names all");
    }
}
