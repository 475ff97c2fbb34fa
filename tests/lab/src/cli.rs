//! The command line.

use std::{path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand};

use crate::{Error, forward, guest, machine, need_root, plan::Plan, run::Run, say::say, scale, supervise, up, use_it};

/// A real cluster on one machine: no Docker, nothing but namespaces.
#[derive(Debug, Parser)]
#[command(name = "lab", bin_name = "cargo xtask lab", version)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

/// Which lab.
#[derive(Debug, clap::Args)]
struct Which {
    /// The lab's name; may be left out where there is only one.
    #[arg(long)]
    id: Option<String>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Brings a cluster up and prints the kubeconfig to use.
    Up(Plan),
    /// Ends a cluster and removes everything of it, and what crashed ones left.
    Down {
        #[command(flatten)]
        which: Which,
        /// Every lab.
        #[arg(long, conflicts_with = "id")]
        all: bool,
    },
    /// The labs, their nodes, and components that have died.
    Status,
    /// Runs a command on a node (or on `control`), in all of its namespaces.
    Exec {
        #[command(flatten)]
        which: Which,
        /// The node: node1, node2, …
        node: String,
        /// The command.
        #[arg(last = true, required = true)]
        argv: Vec<String>,
    },
    /// Runs the lab's own kubectl as its administrator.
    Kubectl {
        #[command(flatten)]
        which: Which,
        /// kubectl's arguments.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// Runs calicoctl, the peer to compare with on a lab with Calico.
    Calicoctl {
        #[command(flatten)]
        which: Which,
        /// calicoctl's arguments.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// An API server with 5,000 nodes, 150,000 pods and 10,000 Services and no machines, for benches.
    #[command(subcommand)]
    Scale(scale::Command),
    #[command(hide = true)]
    Supervise { id: String },
    #[command(hide = true)]
    Machine { id: String, machine: String },
    #[command(hide = true)]
    MachineInit { id: String, machine: String },
    #[command(hide = true)]
    Enter {
        #[arg(long)]
        pid: u32,
        id: String,
        machine: String,
        #[arg(last = true)]
        argv: Vec<String>,
    },
    /// Boots a kernel with IPVS, runs one script in it, and brings back what it leaves in /host/out.
    GuestJob {
        /// The script: a program, with its `#!` line.
        script: PathBuf,
        /// Where its files go.
        #[arg(long, default_value = "out")]
        out: PathBuf,
    },
    #[command(hide = true)]
    GuestExec {
        folder: PathBuf,
        #[arg(last = true)]
        argv: Vec<String>,
    },
    #[command(hide = true)]
    Forward {
        #[arg(long, conflicts_with = "from")]
        port: Option<u16>,
        #[arg(long)]
        from: Option<PathBuf>,
        #[arg(long)]
        to: String,
    },
}

/// Does what the line says; errors go to stderr.
pub fn run(cli: Cli) -> ExitCode {
    let done: Result<ExitCode, Error> = match cli.command {
        Command::Up(plan) => up::up(plan).map(|()| ExitCode::SUCCESS),
        Command::Down { which, all } => use_it::down(which.id.as_deref(), all).map(|()| ExitCode::SUCCESS),
        Command::Status => use_it::status().map(|()| ExitCode::SUCCESS),
        Command::Scale(command) => scale::run(&command).map(|()| ExitCode::SUCCESS),
        Command::Exec { which, node, argv } => use_it::exec(which.id.as_deref(), &node, &argv),
        Command::Kubectl { which, args } => use_it::kubectl(which.id.as_deref(), &args),
        Command::Calicoctl { which, args } => use_it::calicoctl(which.id.as_deref(), &args),
        Command::GuestJob { script, out } => {
            guest::job(&script, &out).map(|console| say(&console)).map(|()| ExitCode::SUCCESS)
        }
        Command::GuestExec { folder, argv } => guest::exec_here(&folder, &argv),
        hidden => inner(hidden).map(|()| ExitCode::SUCCESS),
    };
    done.unwrap_or_else(|error| {
        say(&format!("error: {error}"));
        ExitCode::FAILURE
    })
}

/// What the lab calls itself for.
fn inner(command: Command) -> Result<(), Error> {
    need_root()?;
    match command {
        Command::Supervise { id } => supervise::supervise(Run::of(&id)),
        Command::Machine { id, machine } => machine::become_machine(&Run::of(&id), &machine),
        Command::MachineInit { id, machine } => machine::init(&Run::of(&id), &machine),
        Command::Enter { pid, id, machine, argv } => machine::enter(&Run::of(&id), &machine, pid, &argv),
        Command::Forward { port: Some(port), to, .. } => forward::outer(port, to.as_ref()),
        Command::Forward { from: Some(from), to, .. } => forward::inner(&from, &to),
        _ => Err(Error::Other("no such thing to do".to_owned())),
    }
}
