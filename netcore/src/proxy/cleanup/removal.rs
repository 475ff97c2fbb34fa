//! The removals: a closed list. None of them names a rule by its number, flushes a chain of the kernel,
//! or takes more than it names.

use std::fmt;

use crate::{
    cidr::Family,
    iptables::Backend,
    ipvs::{Endpoint, Protocol},
    proxy::traces::DUMMY,
};

/// Something of kube-proxy's that is taken out of a node's kernel, in one command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Removal {
    /// One virtual server, with its real servers.
    Server(Protocol, Endpoint),
    /// The link that ipvs mode puts Services' addresses on.
    Link,
    /// Chains of one backend and family, with their rules and the rules of the kernel's chains that call
    /// them: all of a table or none.
    Chains {
        /// The backend.
        backend: Backend,
        /// The family.
        family: Family,
        /// What `iptables-restore --noflush` is given.
        script: String,
        /// How many chains.
        chains: usize,
        /// How many rules, in these chains and in the kernel's.
        rules: usize,
    },
    /// Sets, by name; the kernel keeps those that something refers to.
    Sets(Vec<String>),
    /// kube-proxy's table of nftables in one family.
    Table(Family),
}

/// How long a tool waits for another one's lock on the tables, in seconds.
const LOCK: &str = "5";

impl Removal {
    /// The command's words.
    pub fn argv(&self) -> Vec<String> {
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        match self {
            Self::Server(protocol, endpoint) => match protocol {
                Protocol::Tcp => words(&["ipvsadm", "-D", "-t", &endpoint.to_string()]),
                Protocol::Udp => words(&["ipvsadm", "-D", "-u", &endpoint.to_string()]),
                Protocol::Sctp => words(&["ipvsadm", "-D", "--sctp-service", &endpoint.to_string()]),
            },
            Self::Link => words(&["ip", "link", "delete", DUMMY, "type", "dummy"]),
            Self::Chains { backend, family, .. } => words(&[restore(*backend, *family), "--noflush", "--wait", LOCK]),
            Self::Sets(_) => words(&["ipset", "restore"]),
            Self::Table(family) => words(&["nft", "delete", "table", nft_family(*family), "kube-proxy"]),
        }
    }

    /// What the command reads from its standard input.
    pub fn input(&self) -> Option<String> {
        match self {
            Self::Chains { script, .. } => Some(script.clone()),
            Self::Sets(names) => Some(format!("destroy {}\n", names.join("\ndestroy "))),
            Self::Server(..) | Self::Link | Self::Table(_) => None,
        }
    }

    /// The program that it takes.
    pub const fn program(&self) -> &'static str {
        match self {
            Self::Server(..) => "ipvsadm",
            Self::Link => "ip",
            Self::Chains { backend, family, .. } => restore(*backend, *family),
            Self::Sets(_) => "ipset",
            Self::Table(_) => "nft",
        }
    }

    /// What it takes away, in few words.
    pub fn what(&self) -> String {
        let counted = |count: usize, one: &str| format!("{count} {one}{}", if count == 1 { "" } else { "s" });
        match self {
            Self::Server(protocol, endpoint) => format!("virtual server {protocol} {endpoint}"),
            Self::Link => format!("link {DUMMY}"),
            Self::Chains { backend, family, chains, rules, .. } => format!(
                "{} with {} of {}",
                counted(*chains, "chain"),
                counted(*rules, "rule"),
                place(*backend, *family)
            ),
            Self::Sets(names) => counted(names.len(), "set"),
            Self::Table(family) => format!("table {} kube-proxy", nft_family(*family)),
        }
    }
}

impl fmt::Display for Removal {
    /// As a shell takes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.argv().join(" "))?;
        match self.input() {
            Some(input) => write!(f, " <<'END'\n{input}END"),
            None => Ok(()),
        }
    }
}

/// `iptables-nft IPv4`.
pub(super) fn place(backend: Backend, family: Family) -> String {
    format!("iptables-{} {family}", backend.name())
}

const fn restore(backend: Backend, family: Family) -> &'static str {
    match (backend, family) {
        (Backend::Nft, Family::V4) => "iptables-nft-restore",
        (Backend::Nft, Family::V6) => "ip6tables-nft-restore",
        (Backend::Legacy, Family::V4) => "iptables-legacy-restore",
        (Backend::Legacy, Family::V6) => "ip6tables-legacy-restore",
    }
}

const fn nft_family(family: Family) -> &'static str {
    match family {
        Family::V4 => "ip",
        Family::V6 => "ip6",
    }
}
