//! What is too long for every run.

use std::{env, process::Command, time::Duration};

use clap::{Args, ValueEnum};

use crate::{
    bench::bench,
    fuzz,
    run::{Error, run, say},
};

/// Versions of kube-proxy that are run against one control plane.
const KUBE_PROXIES: [&str; 5] = ["1.33.13", "1.34.4", "1.35.4", "1.36.3", "1.37.2"];

/// What to run, and for how long.
#[derive(Debug, Args)]
pub(crate) struct Soak {
    /// Hours of fuzzing.
    #[arg(long, conflicts_with = "minutes")]
    hours: Option<u64>,
    /// Minutes of fuzzing; an hour unless said otherwise.
    #[arg(long)]
    minutes: Option<u64>,
    /// Only these parts.
    #[arg(value_enum)]
    parts: Vec<Part>,
}

/// A part of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    /// Every fuzz target for its share of the time.
    Fuzz,
    /// The report of a cluster with 5,000 nodes and 150,000 pods.
    Scale,
    /// A lab for every version of kube-proxy, and the suite of the real cluster on it.
    Skew,
}

/// Runs the parts one after the other; a failure ends it.
pub(crate) fn soak(soak: &Soak) -> Result<(), Error> {
    let minutes = soak.hours.map(|hours| hours.saturating_mul(60)).or(soak.minutes).unwrap_or(60);
    let parts = if soak.parts.is_empty() { Part::value_variants() } else { &soak.parts };
    for part in parts {
        match part {
            Part::Fuzz => fuzz::soak(Duration::from_secs(minutes.saturating_mul(60)))?,
            Part::Scale => bench(Some("scale"))?,
            Part::Skew => skew()?,
        }
    }
    Ok(())
}

/// Modes that each version is tried in; `lab up` ends well only if the web Service answers on every node.
const MODES: [&str; 2] = ["iptables", "nftables"];

/// One lab after the other: each has the control plane of the lab's default and another kube-proxy.
fn skew() -> Result<(), Error> {
    let xtask = env::current_exe().map_err(|error| Error::Start("xtask".to_owned(), error))?;
    for (version, mode) in KUBE_PROXIES.iter().flat_map(|version| MODES.map(|mode| (*version, mode))) {
        say(&format!("── kube-proxy {version}, {mode}"));
        let flags = ["lab", "up", "--id", "skew", "--kube-proxy", version, "--proxy", mode];
        let up = run(Command::new(&xtask).args(flags));
        let tested = up.and_then(|()| {
            run(crate::run::cargo(&["test", "-p", "e2e", "--test", "lab"])
                .env("NET_LAB", "skew")
                .env("INSTA_UPDATE", "no"))
        });
        let down = run(Command::new(&xtask).args(["lab", "down", "--id", "skew"]));
        tested.and(down)?;
    }
    Ok(())
}
