//! How each probe is read: every command that may ever be run on a node is written here.
//!
//! None of them changes anything, and none makes the kernel load a module: what would is asked only
//! where its [`Gate`] shows that the kernel has it already.

use super::Probe;

/// The port of kube-proxy's own metrics, on the node's loopback address.
pub const KUBE_PROXY_PORT: u16 = 10249;

/// Stands in a command for the place of [`Sees::Path`] where the command runs.
const PATH: &str = "{path}";

/// One way to read a probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// What a command prints.
    Run(Command),
    /// What kube-proxy answers to a GET of this path at [`KUBE_PROXY_PORT`].
    KubeProxy(&'static str),
}

/// A command that may be run on a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Command {
    words: &'static [&'static str],
    /// What of the node must be seen where it runs.
    pub sees: Sees,
    /// What the kernel must have beforehand.
    pub gate: Gate,
    /// How a whole answer ends.
    pub end: End,
    /// The exit code, other than 0, with which what was printed stands nevertheless.
    pub tolerates: Option<i32>,
}

/// What of a node must be seen from where a command runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sees {
    /// The kernel; any container sees it.
    Kernel,
    /// The node's own network namespace.
    Network,
    /// A file or folder of the node; a container sees it where it is mounted.
    Path(&'static str),
}

/// What must be there before a command is run, for else it would make the kernel load it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gate {
    /// Nothing.
    Open,
    /// A function in the kernel's own list, [`SYMBOLS`]: the part is built in or loaded.
    Symbol(&'static str),
    /// A file of [`LEGACY`] that names at least one table.
    Legacy(&'static str),
}

/// How a whole answer ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Anyhow.
    Any,
    /// Every table of an `iptables-save` with its `COMMIT`.
    Commit,
    /// As JSON does.
    Json,
}

/// Asks the kernel which of the functions that gates name it has.
pub const SYMBOLS: Command =
    run(&["grep", "-w", "-e", "nft_register_expr", "-e", "ip_set_type_register", "/proc/kallsyms"], Sees::Kernel)
        .tolerating(1);

/// Names the tables of the legacy backend, without making any.
pub const LEGACY: [(&str, Command); 2] = [
    ("ip_tables_names", run(&["cat", "/proc/net/ip_tables_names"], Sees::Network)),
    ("ip6_tables_names", run(&["cat", "/proc/net/ip6_tables_names"], Sees::Network)),
];

/// How much memory the container that a command runs in uses: cgroup v2, then v1.
pub const MEMORY: [Command; 2] = [
    run(&["cat", "/sys/fs/cgroup/memory.current", "/sys/fs/cgroup/memory.stat"], Sees::Kernel),
    run(&["cat", "/sys/fs/cgroup/memory/memory.usage_in_bytes", "/sys/fs/cgroup/memory/memory.stat"], Sees::Kernel),
];

/// Prints every configuration file of a folder below a line with its name, as `tail -n +1` does;
/// credentials that lie beside them are not read.
const CNI_FILES: &str = r#"cd "$0" || exit 3
for file in *.conf *.conflist *.json; do
  [ -f "$file" ] || continue
  printf '==> %s <==\n' "$file"
  cat "$file"
  printf '\n'
done"#;

/// Prints what the folder of each kernel says of the modules that Services' traffic goes through; every
/// kernel's, for the release that runs is known from elsewhere.
const MODULE_FILES: &str = r#"cd "$0" || exit 3
for file in */modules.builtin */modules.dep; do
  [ -f "$file" ] || continue
  printf '==> %s <==\n' "$file"
  grep -e /ip_vs -e /nf_tables -e /nft_ -e /nf_conntrack -e /ip_tables -e /ip_set "$file"
done
exit 0"#;

const NFT: Gate = Gate::Symbol("nft_register_expr");
const IPSET: Gate = Gate::Symbol("ip_set_type_register");
const TABLES: Gate = Gate::Legacy("ip_tables_names");
const TABLES6: Gate = Gate::Legacy("ip6_tables_names");

const fn run(words: &'static [&'static str], sees: Sees) -> Command {
    Command { words, sees, gate: Gate::Open, end: End::Any, tolerates: None }
}

impl Command {
    const fn gate(self, gate: Gate) -> Self {
        Self { gate, ..self }
    }

    const fn end(self, end: End) -> Self {
        Self { end, ..self }
    }

    const fn tolerating(self, code: i32) -> Self {
        Self { tolerates: Some(code), ..self }
    }

    const fn way(self) -> Way {
        Way::Run(self)
    }

    /// The program.
    pub fn program(&self) -> &'static str {
        self.words.first().copied().unwrap_or_default()
    }

    /// The words of the command; `path` is where [`Sees::Path`] is found where it runs, if elsewhere.
    pub fn argv(&self, path: Option<&str>) -> Vec<String> {
        let own = if let Sees::Path(own) = self.sees { own } else { "" };
        let word = |word: &&str| if *word == PATH { path.unwrap_or(own).to_owned() } else { (*word).to_owned() };
        self.words.iter().map(word).collect()
    }
}

const IPTABLES: &[Way] = &[
    run(&["iptables-nft-save", "-c"], Sees::Network).gate(NFT).end(End::Commit).way(),
    run(&["xtables-nft-multi", "iptables-save", "-c"], Sees::Network).gate(NFT).end(End::Commit).way(),
];

const IP6TABLES: &[Way] = &[
    run(&["ip6tables-nft-save", "-c"], Sees::Network).gate(NFT).end(End::Commit).way(),
    run(&["xtables-nft-multi", "ip6tables-save", "-c"], Sees::Network).gate(NFT).end(End::Commit).way(),
];

const IPTABLES_LEGACY: &[Way] = &[
    run(&["iptables-legacy-save", "-c"], Sees::Network).gate(TABLES).end(End::Commit).way(),
    run(&["xtables-legacy-multi", "iptables-save", "-c"], Sees::Network).gate(TABLES).end(End::Commit).way(),
];

const IP6TABLES_LEGACY: &[Way] = &[
    run(&["ip6tables-legacy-save", "-c"], Sees::Network).gate(TABLES6).end(End::Commit).way(),
    run(&["xtables-legacy-multi", "ip6tables-save", "-c"], Sees::Network).gate(TABLES6).end(End::Commit).way(),
];

const IPSETS: &[Way] = &[run(&["ipset", "save"], Sees::Network).gate(IPSET).way()];

const RULESET: &[Way] = &[run(&["nft", "-j", "list", "ruleset"], Sees::Network).gate(NFT).end(End::Json).way()];

/// The file is there where IPVS is; `ipvsadm` would load it.
const IPVS: &[Way] = &[run(&["cat", "/proc/net/ip_vs"], Sees::Network).way()];

const ADDRESSES: &[Way] =
    &[run(&["ip", "-j", "-d", "addr"], Sees::Network).end(End::Json).way(), run(&["ip", "addr"], Sees::Network).way()];

const ROUTES: &[Way] = &[
    run(&["ip", "-j", "route", "show", "table", "all"], Sees::Network).end(End::Json).way(),
    run(&["ip", "route", "show", "table", "all"], Sees::Network).way(),
    run(&["cat", "/proc/net/route"], Sees::Network).way(),
];

const CNI_CONF: &[Way] = &[run(&["sh", "-c", CNI_FILES, PATH], Sees::Path("/etc/cni/net.d")).way()];

const SUBNET_ENV: &[Way] = &[run(&["cat", PATH], Sees::Path("/run/flannel/subnet.env")).way()];

const BIRD: &[Way] = &[
    run(&["birdcl", "-r", "-s", PATH, "show", "protocols", "all"], Sees::Path("/var/run/calico/bird.ctl")).way(),
    run(&["birdcl", "-r", "-s", PATH, "show", "protocols", "all"], Sees::Path("/run/bird/bird.ctl")).way(),
];

const BIRD_ROUTES: &[Way] = &[
    run(&["birdcl", "-r", "-s", PATH, "show", "route"], Sees::Path("/var/run/calico/bird.ctl")).way(),
    run(&["birdcl", "-r", "-s", PATH, "show", "route"], Sees::Path("/run/bird/bird.ctl")).way(),
];

const BIRD6: &[Way] = &[
    run(&["birdcl", "-r", "-s", PATH, "show", "protocols", "all"], Sees::Path("/var/run/calico/bird6.ctl")).way(),
    run(&["birdcl", "-r", "-s", PATH, "show", "protocols", "all"], Sees::Path("/run/bird/bird6.ctl")).way(),
];

const BIRD6_ROUTES: &[Way] = &[
    run(&["birdcl", "-r", "-s", PATH, "show", "route"], Sees::Path("/var/run/calico/bird6.ctl")).way(),
    run(&["birdcl", "-r", "-s", PATH, "show", "route"], Sees::Path("/run/bird/bird6.ctl")).way(),
];

const MODULES: &[Way] = &[run(&["cat", "/proc/modules"], Sees::Kernel).way()];

const AVAILABLE: &[Way] = &[run(&["sh", "-c", MODULE_FILES, PATH], Sees::Path("/lib/modules")).way()];

/// Only how many there are: the table itself may have hundreds of thousands of entries.
const CONNTRACK: &[Way] = &[run(
    &["grep", "", "/proc/sys/net/netfilter/nf_conntrack_count", "/proc/sys/net/netfilter/nf_conntrack_max"],
    Sees::Network,
)
.way()];

const NEIGHBOURS: &[Way] =
    &[run(&["ip", "-j", "neigh"], Sees::Network).end(End::Json).way(), run(&["ip", "neigh"], Sees::Network).way()];

const FDB: &[Way] =
    &[run(&["bridge", "-j", "fdb"], Sees::Network).end(End::Json).way(), run(&["bridge", "fdb"], Sees::Network).way()];

const RULES: &[Way] =
    &[run(&["ip", "-j", "rule"], Sees::Network).end(End::Json).way(), run(&["ip", "rule"], Sees::Network).way()];

/// Some files there can only be written, which `grep` minds and goes on.
const SYSCTLS: &[Way] = &[run(
    &[
        "grep",
        "-r",
        "",
        "/proc/sys/net/ipv4",
        "/proc/sys/net/ipv6/conf/all",
        "/proc/sys/net/netfilter",
        "/proc/sys/net/bridge",
    ],
    Sees::Network,
)
.tolerating(2)
.way()];

/// The ways to read a probe, in the order in which they are tried.
pub(super) const fn ways(probe: Probe) -> &'static [Way] {
    match probe {
        Probe::IptablesSave => IPTABLES,
        Probe::Ip6tablesSave => IP6TABLES,
        Probe::IptablesLegacySave => IPTABLES_LEGACY,
        Probe::Ip6tablesLegacySave => IP6TABLES_LEGACY,
        Probe::IpsetSave => IPSETS,
        Probe::NftRuleset => RULESET,
        Probe::IpvsTable => IPVS,
        Probe::Addresses => ADDRESSES,
        Probe::Routes => ROUTES,
        Probe::ProxyMode => &[Way::KubeProxy("/proxyMode")],
        Probe::Configz => &[Way::KubeProxy("/configz")],
        Probe::CniConf => CNI_CONF,
        Probe::FlannelSubnetEnv => SUBNET_ENV,
        Probe::BirdProtocols => BIRD,
        Probe::BirdRoutes => BIRD_ROUTES,
        Probe::Bird6Protocols => BIRD6,
        Probe::Bird6Routes => BIRD6_ROUTES,
        Probe::KernelModules => MODULES,
        Probe::Conntrack => CONNTRACK,
        Probe::Neighbours => NEIGHBOURS,
        Probe::Fdb => FDB,
        Probe::Rules => RULES,
        Probe::Sysctls => SYSCTLS,
        Probe::ProxyMetrics => &[Way::KubeProxy("/metrics")],
        Probe::ModuleFiles => AVAILABLE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every command there is.
    fn commands() -> Vec<Command> {
        let of_probes = Probe::ALL.into_iter().flat_map(Probe::ways).filter_map(|way| match way {
            Way::Run(command) => Some(*command),
            Way::KubeProxy(_) => None,
        });
        of_probes.chain([SYMBOLS]).chain(LEGACY.map(|(_, command)| command)).chain(MEMORY).collect()
    }

    #[test]
    fn nothing_that_could_change_a_node_is_in_the_list() {
        let writes = [
            "-A",
            "-D",
            "-F",
            "-X",
            "-N",
            "-I",
            "-P",
            "-R",
            "-w=",
            "add",
            "del",
            "delete",
            "flush",
            "set",
            "replace",
            "change",
            "destroy",
            "create",
            "restore",
            "swap",
            "rename",
            "insert",
            "reset",
            "modprobe",
            "sysctl",
            "rm",
            "mv",
            "cp",
            "tee",
            "configure",
            "down",
            "enable",
            "disable",
            "restart",
            "reload",
        ];
        for command in commands() {
            for word in command.words.iter().filter(|word| ![CNI_FILES, MODULE_FILES].contains(word)) {
                assert!(!writes.contains(word), "{:?} has {word}", command.words);
                assert!(!word.contains(['>', ';', '|', '&', '$', '`', '\n']), "{word:?} is for no shell");
            }
        }
        assert_eq!(MODULE_FILES.matches('>').count(), MODULE_FILES.matches("==> ").count());
        assert!(!CNI_FILES.contains('>') || CNI_FILES.matches('>').count() == CNI_FILES.matches("==> ").count());
    }

    #[test]
    fn what_loads_modules_stands_behind_a_gate() {
        for command in commands() {
            let loads = ["iptables", "xtables", "ip6tables", "ipset", "nft"];
            if loads.iter().any(|program| command.program().starts_with(program)) {
                assert_ne!(command.gate, Gate::Open, "{:?}", command.words);
            }
            assert_ne!(command.program(), "ipvsadm", "it loads ip_vs");
        }
    }

    #[test]
    fn legacy_is_never_asked_for_a_table_by_name() {
        for command in commands().iter().filter(|command| command.words.iter().any(|word| word.contains("legacy"))) {
            assert!(!command.words.contains(&"-t"), "a table that is named is made");
        }
    }

    #[test]
    fn every_gate_is_answered_by_the_command_for_it() {
        for command in commands() {
            match command.gate {
                Gate::Open => {}
                Gate::Symbol(name) => assert!(SYMBOLS.words.contains(&name), "{name}"),
                Gate::Legacy(name) => assert!(LEGACY.iter().any(|(file, _)| *file == name), "{name}"),
            }
        }
    }

    #[test]
    fn a_path_is_where_it_is_mounted() {
        let Some(Way::Run(command)) = Probe::FlannelSubnetEnv.ways().first() else { panic!("a command") };
        assert_eq!(command.argv(None), ["cat", "/run/flannel/subnet.env"]);
        assert_eq!(command.argv(Some("/host/run/subnet.env")), ["cat", "/host/run/subnet.env"]);
    }
}
