//! Kernel settings, as `sysctl -a` prints them.

use std::{collections::BTreeMap, fmt::Write as _};

use crate::{
    problem::{Problem, Problems},
    words::is_prompt,
};

/// The settings of a node by name: `net.ipv4.ip_forward`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sysctls {
    values: BTreeMap<String, String>,
}

impl Sysctls {
    /// A setting as text; both ways of writing a name are known (`net/ipv4/ip_forward`).
    pub fn get(&self, name: &str) -> Option<&str> {
        // a dot in a device's name is a slash in a setting's
        self.values.get(name).or_else(|| self.values.get(&swap(name))).map(String::as_str)
    }

    /// A setting as a number.
    pub fn number(&self, name: &str) -> Option<i64> {
        self.get(name)?.parse().ok()
    }

    /// A setting that is on for a non-zero number.
    pub fn is_on(&self, name: &str) -> Option<bool> {
        self.number(name).map(|number| number != 0)
    }

    /// Every setting, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.values.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Connections that are tracked, and how many there may be.
    pub fn conntrack(&self) -> crate::conntrack::Use {
        let number = |name: &str| self.number(name).and_then(|n| u64::try_from(n).ok());
        crate::conntrack::Use {
            used: number("net.netfilter.nf_conntrack_count"),
            limit: number("net.netfilter.nf_conntrack_max").or_else(|| number("net.nf_conntrack_max")),
        }
    }

    /// The settings as `sysctl -a` prints them.
    pub fn to_text(&self) -> String {
        self.values.iter().fold(String::new(), |mut out, (name, value)| {
            let gap = if value.is_empty() { "" } else { " " };
            // writing to a String cannot fail
            let _ = writeln!(out, "{name} ={gap}{value}");
            out
        })
    }
}

/// `net/ipv4/conf/eth0.100/rp_filter` is `net.ipv4.conf.eth0/100.rp_filter`.
fn swap(name: &str) -> String {
    let other = |c| match c {
        '/' => '.',
        '.' => '/',
        c => c,
    };
    name.chars().map(other).collect()
}

/// Reads `name = value` lines, and `name=value` as `sysctl.conf` has them; the last of a name counts,
/// and a second value that differs is an error.
pub fn parse(text: &str) -> (Sysctls, Vec<Problem>) {
    let mut found = Sysctls::default();
    let mut problems = Problems::default();
    for (line, content) in (1..).zip(text.lines()) {
        let trimmed = content.trim();
        if trimmed.is_empty() || trimmed.starts_with(['#', ';']) || is_prompt(content) {
            continue;
        }
        // `grep "" -r /proc/sys` prints a file's path before what is in it
        let file = trimmed.strip_prefix("/proc/sys/").and_then(|rest| rest.split_once(':'));
        let pair = file.or_else(|| trimmed.split_once('=')).map(|(name, value)| (name.trim(), value.trim()));
        let Some((name, value)) = pair.filter(|(name, _)| is_name(name)) else {
            problems.unknown(line, content, "a setting: net.ipv4.ip_forward = 1");
            continue;
        };
        let path = file.is_some() || (name.contains('/') && !name.contains('.'));
        let name = if path { swap(name) } else { name.to_owned() };
        let before = found.values.insert(name, value.to_owned());
        if before.is_some_and(|before| before != value) {
            problems.push(Problem::new(line, 1, content, "set twice, to different values; the last counts"));
        }
    }
    (found, problems.into_vec())
}

fn is_name(name: &str) -> bool {
    name.contains(['.', '/']) && !name.contains(char::is_whitespace)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_read_and_printed_back() {
        let text = "net.ipv4.ip_forward = 1\nnet.ipv4.tcp_rmem = 4096\t131072\t6291456\nnet.ipv4.x.empty =\n";
        let (found, errors) = parse(text);
        assert!(errors.is_empty());
        assert_eq!(found.is_on("net/ipv4/ip_forward"), Some(true));
        assert_eq!(found.get("net.ipv4.tcp_rmem"), Some("4096\t131072\t6291456"));
        assert_eq!(found.number("net.ipv4.tcp_rmem"), None);
        assert_eq!(found.to_text(), text);
        assert_eq!(parse(&found.to_text()).0, found);
    }

    #[test]
    fn files_below_proc_are_settings_too() {
        let text = "/proc/sys/net/ipv4/conf/eth0.100/rp_filter:2\n/proc/sys/net/ipv4/tcp_rmem:4096\t131072\t6291456\n";
        let (found, errors) = parse(text);
        assert!(errors.is_empty(), "{errors:?}");
        assert_eq!(found.get("net.ipv4.conf.eth0/100.rp_filter"), Some("2"));
        assert_eq!(found.get("net/ipv4/conf/eth0.100/rp_filter"), Some("2"));
        assert_eq!(found.get("net.ipv4.tcp_rmem"), Some("4096\t131072\t6291456"));
    }

    #[test]
    fn use_and_limit_of_conntrack() {
        let (found, _) = parse("net.netfilter.nf_conntrack_count = 12\nnet.netfilter.nf_conntrack_max = 131072\n");
        assert_eq!(found.conntrack(), crate::conntrack::Use { used: Some(12), limit: Some(131_072) });
        assert_eq!(parse("").0.conntrack(), crate::conntrack::Use::default());
    }

    #[test]
    fn a_failure_and_a_contradiction_are_named() {
        let (found, errors) =
            parse("sysctl: permission denied on key 'net.ipv4.tcp_fastopen_key'\nnet.a = 1\nnet.a = 2\nhello\n");
        assert_eq!(found.get("net.a"), Some("2"));
        let said: Vec<_> = errors.iter().map(|e| (e.line, e.reason.as_str())).collect();
        assert_eq!(said[0], (1, "the command failed"));
        assert_eq!((said[1].0, said[2].0), (3, 4));
    }
}
