//! An API server with a big cluster's objects and none of its machines: etcd and kube-apiserver on
//! loopback. It is seeded once; the data is kept and served again by the next `up`.

mod http;
mod objects;
mod seed;
mod server;

use std::{
    fs,
    path::{Path, PathBuf},
    time::Instant,
};

use clap::{Args, Subcommand};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::{
    Error,
    components::Cache,
    say::{answer, say},
};
use server::{Programs, Running};

/// Told apart from seeds that were made otherwise.
const FORMAT: u32 = 1;
/// Bytes that etcd takes for an object, with its log and room for a second copy.
const PER_OBJECT: u64 = 12_000;

/// What to do with the big cluster's server.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Starts it, seeds it the first time, and prints the kubeconfig to use.
    Up(Up),
    /// Stops it; the seed stays.
    Down {
        /// Removes every seed, too.
        #[arg(long)]
        seed: bool,
    },
    /// Says whether it runs, and which seeds are kept.
    Status,
}

/// How to start it.
#[derive(Debug, Args)]
pub struct Up {
    #[command(flatten)]
    size: Size,
    /// The API server's port on this machine's loopback; one that is free unless named.
    #[arg(long)]
    port: Option<u16>,
    /// A folder with kube-apiserver and etcd.
    #[arg(long, value_name = "FOLDER", env = "KUBEBUILDER_ASSETS")]
    bin: Option<PathBuf>,
}

/// How big the cluster is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Args, Serialize, Deserialize)]
pub struct Size {
    /// Nodes.
    #[arg(long, default_value_t = 5_000, value_parser = between::<1, 8_000>)]
    pub nodes: usize,
    /// Pods on each of them.
    #[arg(long, default_value_t = 30, value_parser = between::<1, 60>)]
    pub pods_per_node: usize,
    /// Services, each with slices and addresses of both families.
    #[arg(long, default_value_t = 10_000, value_parser = between::<1, 30_000>)]
    pub services: usize,
}

impl Size {
    /// All pods.
    pub fn pods(self) -> usize {
        self.nodes * self.pods_per_node
    }

    fn name(self) -> String {
        format!("{}x{}+{}", self.nodes, self.pods_per_node, self.services)
    }

    fn words(self) -> String {
        format!("{} nodes, {} pods, {} Services", self.nodes, self.pods(), self.services)
    }
}

fn between<const LOW: usize, const HIGH: usize>(text: &str) -> Result<usize, String> {
    let number = text.parse::<usize>().map_err(|_| "not a number".to_owned())?;
    if (LOW..=HIGH).contains(&number) { Ok(number) } else { Err(format!("not from {LOW} to {HIGH}")) }
}

/// Where everything of it lies.
struct Place {
    cache: Cache,
}

impl Place {
    fn new() -> Result<Self, Error> {
        Cache::of_this_user().map(|cache| Self { cache })
    }

    fn run(&self) -> PathBuf {
        self.cache.path("scale/run")
    }

    fn seeds(&self) -> PathBuf {
        self.cache.path("scale/seeds")
    }

    fn seed(&self, size: Size) -> PathBuf {
        self.seeds().join(size.name())
    }

    /// Keeps others from starting and stopping it until it is dropped.
    fn lock(&self) -> Result<fs::File, Error> {
        let folder = self.cache.path("scale");
        fs::create_dir_all(&folder).map_err(Error::file(&folder))?;
        let path = folder.join("lock");
        let file = fs::File::create(&path).map_err(Error::file(&path))?;
        match file.try_lock() {
            Ok(()) => Ok(file),
            Err(fs::TryLockError::WouldBlock) => {
                Err(Error::Other("another `lab scale` is at work; wait for its end".to_owned()))
            }
            Err(fs::TryLockError::Error(error)) => Err(Error::File(path, error)),
        }
    }
}

/// Does what was asked for.
///
/// # Errors
/// Where the server can't be started, seeded or stopped; nothing of it runs then.
pub fn run(command: &Command) -> Result<(), Error> {
    let place = Place::new()?;
    match command {
        Command::Up(up) => start(&place, up),
        Command::Down { seed } => down(&place, *seed),
        Command::Status => status(&place),
    }
}

fn start(place: &Place, up: &Up) -> Result<(), Error> {
    let _lock = place.lock()?;
    let folder = place.run();
    if let Some(running) = Running::read(&folder) {
        if running.alive() && folder.join("kubeconfig").is_file() {
            if running.size != up.size {
                let there = running.size.words();
                return Err(Error::Other(format!("it is up with {there}; first `cargo xtask lab scale down`")));
            }
            say(&format!("it is up already, on port {}", running.port));
            answer(&folder.join("kubeconfig").display().to_string());
            return Ok(());
        }
        say("sweeping what an earlier run left");
        running.end();
        remove(&folder)?;
    }
    let programs = Programs::find(up.bin.as_deref())?;
    let seed = place.seed(up.size);
    stamp(&seed, up.size)?;
    room(&seed, up.size)?;

    let started = Instant::now();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Error::Other(format!("no runtime: {error}")))?;
    let again = || Error::Other("interrupted; the next `up` goes on with the seed".to_owned());
    let running = runtime.block_on(async {
        let data = seed.join("etcd");
        tokio::select! {
            running = Running::start(&programs, &folder, &data, up.size, up.port) => running,
            () = interrupted() => Err(again()),
        }
    });
    let running = running.inspect_err(|_| {
        // etcd may run where the API server could not be started
        if let Some(half) = Running::read(&folder) {
            half.end();
        }
    })?;
    let done = runtime.block_on(async {
        tokio::select! {
            done = fill(&running, &folder, up.size) => done,
            () = interrupted() => Err(again()),
        }
    });
    if let Err(error) = done {
        let error = running.check(&folder).err().unwrap_or(error);
        running.end();
        // the logs stay, for the error names them
        let _ = fs::remove_file(folder.join("run.json"));
        return Err(error);
    }
    let memory = running.memory().map(|mib| mib.map_or_else(|| "?".to_owned(), |mib| mib.to_string()));
    say(&format!("{} after {:.0} s", up.size.words(), started.elapsed().as_secs_f64()));
    say(&format!("memory: etcd {} MiB, kube-apiserver {} MiB", memory[0], memory[1]));
    say("take it down with `cargo xtask lab scale down`");
    answer(&folder.join("kubeconfig").display().to_string());
    Ok(())
}

/// Waits for the server, and seeds it where something is missing.
async fn fill(running: &Running, folder: &Path, size: Size) -> Result<(), Error> {
    let api = running.ready(folder).await?;
    let Some(missing) = seed::missing(&api, size).await? else { return Ok(()) };
    say(&format!("seeding: there are {missing}"));
    seed::seed(&api, &http::Json::etcd(running.etcd_port)?, size).await
}

async fn interrupted() {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut terminate) = signal(SignalKind::terminate()) else { return std::future::pending().await };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
    }
}

/// Makes sure that a seed's folder is of this making; one that is not is made anew.
fn stamp(seed: &Path, size: Size) -> Result<(), Error> {
    let path = seed.join("seed.json");
    let stamp = json!({"format": FORMAT, "size": size});
    let there = fs::read(&path).ok().and_then(|text| serde_json::from_slice::<serde_json::Value>(&text).ok());
    if there.as_ref() == Some(&stamp) {
        return Ok(());
    }
    if seed.exists() {
        say("the kept seed is of another making; it is made anew");
        remove(seed)?;
    }
    fs::create_dir_all(seed).map_err(Error::file(seed))?;
    fs::write(&path, stamp.to_string()).map_err(Error::file(path))
}

/// Says so before etcd does when the disk has no room for a seed.
fn room(seed: &Path, size: Size) -> Result<(), Error> {
    let objects = u64::try_from(size.pods() + size.nodes + 5 * size.services).unwrap_or(u64::MAX);
    let wanted = objects.saturating_mul(PER_OBJECT) + (256 << 20);
    let file_system = rustix::fs::statvfs(seed).map_err(|error| Error::File(seed.to_owned(), error.into()))?;
    let free = file_system.f_bavail.saturating_mul(file_system.f_frsize);
    if seed.join("etcd").exists() || free >= wanted {
        return Ok(());
    }
    Err(Error::Wants(format!("{} MiB free in {}; there are {}", wanted >> 20, seed.display(), free >> 20)))
}

fn down(place: &Place, seeds: bool) -> Result<(), Error> {
    let _lock = place.lock()?;
    let folder = place.run();
    match Running::read(&folder) {
        Some(running) => {
            running.end();
            say("stopped");
        }
        None => say("it does not run"),
    }
    remove(&folder)?;
    if seeds {
        remove(&place.seeds())?;
    }
    Ok(())
}

#[expect(clippy::unnecessary_wraps, reason = "as the other commands")]
fn status(place: &Place) -> Result<(), Error> {
    let folder = place.run();
    match Running::read(&folder) {
        Some(running) if running.alive() => {
            answer(&format!("up: {}, port {}", running.size.words(), running.port));
            answer(&folder.join("kubeconfig").display().to_string());
        }
        Some(_) => answer("died; `lab scale up` or `down` sweeps what is left"),
        None => answer("down"),
    }
    let Ok(seeds) = fs::read_dir(place.seeds()) else { return Ok(()) };
    let mut names: Vec<String> = seeds
        .filter_map(Result::ok)
        .filter_map(|entry| entry.file_name().to_str().map(|name| format!("seed {name} in {}", entry.path().display())))
        .collect();
    names.sort();
    for name in names {
        answer(&name);
    }
    Ok(())
}

/// Removes a folder that may not be there.
fn remove(folder: &Path) -> Result<(), Error> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Error::File(folder.to_owned(), error)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: Size = Size { nodes: 2, pods_per_node: 3, services: 4 };

    #[test]
    fn a_seed_of_another_making_is_made_anew_and_ones_own_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let seed = folder.path().join("seed");
        stamp(&seed, SIZE).unwrap();
        fs::write(seed.join("data"), "kept").unwrap();
        stamp(&seed, SIZE).unwrap();
        assert!(seed.join("data").exists());
        fs::write(seed.join("seed.json"), "{\"format\":0}").unwrap();
        stamp(&seed, SIZE).unwrap();
        assert!(!seed.join("data").exists());
    }

    #[test]
    fn two_do_not_work_at_the_same_time() {
        let folder = tempfile::tempdir().unwrap();
        let place = Place { cache: Cache::at(folder.path()) };
        let held = place.lock().unwrap();
        assert!(place.lock().unwrap_err().to_string().contains("another"));
        drop(held);
        place.lock().unwrap();
    }

    #[test]
    fn sizes_that_addresses_do_not_reach_for_are_refused() {
        assert_eq!(between::<1, 60>("30"), Ok(30));
        assert!(between::<1, 60>("61").is_err() && between::<1, 60>("many").is_err());
    }
}
