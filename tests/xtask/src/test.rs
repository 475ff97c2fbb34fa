//! The gate: what a change must pass.

use std::{collections::BTreeSet, env, process::Command};

use crate::{
    docs::docs,
    fuzz,
    run::{Error, cargo, on_path, run, say},
};

/// A suite that wants something of the machine.
struct Suite {
    /// What `NET_REQUIRE` calls it.
    name: &'static str,
    /// What it wants, in words.
    wants: &'static str,
    /// Whether that is there.
    there: fn() -> bool,
}

const SUITES: [Suite; 5] = [
    Suite {
        name: "corpus",
        wants: "NET_CORPUS naming a folder of real dumps",
        there: || env::var_os("NET_CORPUS").is_some(),
    },
    Suite { name: "lab", wants: "root on Linux with Go, for a real cluster in namespaces", there: can_have_a_lab },
    Suite {
        name: "netns",
        wants: "root on Linux with iptables, ipset, nft and ip, for network namespaces of the tests' own",
        there: can_have_a_namespace,
    },
    Suite { name: "kubectl", wants: "kubectl on the path", there: || on_path("kubectl") },
    Suite { name: "pty", wants: "`script` of util-linux", there: || on_path("script") },
];

/// Network plugin and kube-proxy's mode of each lab that the gate brings up.
const LABS: [(&str, &str); 3] = [("bridge", "iptables"), ("flannel", "nftables"), ("calico", "iptables")];

/// Programs that suites call, and the Debian packages that have them.
const PACKAGES: [(&str, &str); 6] = [
    ("kubectl", "kubernetes-client"),
    ("script", "bsdutils"),
    ("iptables", "iptables"),
    ("ipset", "ipset"),
    ("nft", "nftables"),
    ("ip", "iproute2"),
];

/// Format, lints, documents, then every test.
pub(crate) fn test() -> Result<(), Error> {
    install_missing()?;
    let skipped = skipped()?;

    fuzz::locked()?;
    run(&mut cargo(&["fmt", "--all", "--check"]))?;
    run(cargo(&["clippy", "--workspace", "--all-targets", "--quiet", "--", "-D", "warnings"])
        .env("CARGO_TERM_COLOR", "never"))?;
    run(&mut cargo(&["build", "--workspace", "--bins", "--quiet"]))?;
    docs(true)?;
    run(cargo(&["test", "--workspace", "--no-fail-fast"]).env("INSTA_UPDATE", "no"))?;
    fuzz::seeds()?;
    if !skipped.iter().any(|suite| suite.name == "lab") {
        on_labs()?;
    }

    for suite in skipped {
        say(&format!("skipped: {} (wants {})", suite.name, suite.wants));
    }
    Ok(())
}

/// A lab for each network plugin, and the suite of the real cluster on it; every one is taken down again.
/// Called by cargo, since the builds between replace this program.
fn on_labs() -> Result<(), Error> {
    run(cargo(&["test", "-p", "lab", "--test", "lifecycle", "--", "--test-threads=1"]).env("NET_LAB_LIFECYCLE", "1"))?;
    for (cni, proxy) in LABS {
        let id = format!("gate-{cni}");
        let up = run(&mut cargo(&["xtask", "lab", "up", "--id", &id, "--cni", cni, "--proxy", proxy]));
        let tested = up.and_then(|()| {
            let mut suites = vec!["test", "-p", "e2e", "--no-fail-fast", "--test", "lab"];
            // it switches a node's mode and back: on one lab, for the time that it takes
            if cni == "bridge" {
                suites.extend(["--test", "lab_proxymode"]);
            }
            run(cargo(&suites).env("NET_LAB", &id).env("INSTA_UPDATE", "no"))
        });
        let down = run(&mut cargo(&["xtask", "lab", "down", "--id", &id]));
        tested.and(down)?;
    }
    Ok(())
}

fn can_have_a_lab() -> bool {
    cfg!(target_os = "linux") && is_root() && on_path("go")
}

fn can_have_a_namespace() -> bool {
    let made = || Command::new("unshare").args(["--net", "true"]).output().is_ok_and(|output| output.status.success());
    cfg!(target_os = "linux") && ["iptables", "ipset", "nft", "ip"].into_iter().all(on_path) && made()
}

/// As root on Debian, installs what is missing by name; else prints the line that would.
fn install_missing() -> Result<(), Error> {
    let missing: BTreeSet<&str> =
        PACKAGES.iter().filter(|(program, _)| !on_path(program)).map(|(_, package)| *package).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let packages: Vec<&str> = missing.into_iter().collect();
    let line = format!("apt-get install -y --no-install-recommends {}", packages.join(" "));
    if !(on_path("apt-get") && is_root()) {
        say(&format!("some suites want more than is here; on Debian or Ubuntu: sudo {line}"));
        return Ok(());
    }
    run(Command::new("apt-get").args(["update", "-qq"]))?;
    run(Command::new("apt-get")
        .args(["install", "-y", "-qq", "--no-install-recommends"])
        .args(packages)
        .env("DEBIAN_FRONTEND", "noninteractive"))
}

fn is_root() -> bool {
    Command::new("id").arg("-u").output().is_ok_and(|out| out.stdout == b"0\n")
}

/// Suites that this machine cannot run; an error where `NET_REQUIRE` names one of them.
fn skipped() -> Result<Vec<Suite>, Error> {
    let required = env::var("NET_REQUIRE").unwrap_or_default();
    let required: BTreeSet<&str> = required.split(',').map(str::trim).filter(|name| !name.is_empty()).collect();
    let known: BTreeSet<&str> = SUITES.iter().map(|suite| suite.name).collect();
    if let Some(unknown) = required.iter().find(|name| !known.contains(**name)) {
        let known = known.into_iter().collect::<Vec<_>>().join(", ");
        return Err(Error::Other(format!("NET_REQUIRE names `{unknown}`; there are {known}")));
    }
    let skipped: Vec<Suite> = SUITES.into_iter().filter(|suite| !(suite.there)()).collect();
    if let Some(suite) = skipped.iter().find(|suite| required.contains(suite.name)) {
        return Err(Error::Other(format!("NET_REQUIRE names {}, which wants {}", suite.name, suite.wants)));
    }
    Ok(skipped)
}
