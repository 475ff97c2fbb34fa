//! `go build`, said line by line, into a name that does not count until it is whole.

use std::{
    ffi::OsStr,
    fs,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::mpsc::{RecvTimeoutError, channel},
    thread,
    time::{Duration, Instant},
};

use sha2::{Digest as _, Sha256};

use super::{
    Cache, Component,
    cache::{Lock, unfinished},
    modules, pinned,
};
use crate::{
    Error,
    process::{is_in, last_lines, log_tail, run},
    say::say,
};

/// How often a build that goes on is spoken of.
const BREATH: Duration = Duration::from_secs(30);

/// How a component is built: what its key in the cache is made of.
#[derive(Debug)]
pub(super) struct Recipe {
    /// The pinned version of its module.
    pub(super) version: String,
    /// The first 12 hex digits of the hash of `go.mod`, `go.sum`, package and flags.
    pub(super) key: String,
    flags: Vec<String>,
    folder: PathBuf,
}

impl Recipe {
    /// Reads the component's pins.
    pub(super) fn of(component: &Component) -> Result<Self, Error> {
        let folder = modules().join(&component.folder);
        let version = pinned(&folder)?;
        let flags = flags(component, &version);
        let mut hash = Sha256::new();
        for name in ["go.mod", "go.sum"] {
            let path = folder.join(name);
            hash.update(fs::read(&path).map_err(Error::file(path))?);
            hash.update([0]);
        }
        hash.update(format!("{}\0{}\0{}", component.package, component.cgo, flags.join("\0")));
        let key = crate::image::hex(hash).chars().take(12).collect();
        Ok(Self { version: short(&version), key, flags, folder })
    }
}

/// A version by commit ends with the commit; that is enough to tell it.
fn short(version: &str) -> String {
    version.rsplit('-').next().unwrap_or(version).to_owned()
}

/// Stripped; Kubernetes' programs are told their version, as its own build does it.
fn flags(component: &Component, version: &str) -> Vec<String> {
    let mut linker = "-s -w".to_owned();
    if component.folder.starts_with("kubernetes-") {
        let mut numbers = version.trim_start_matches('v').split('.');
        let (major, minor) = (numbers.next().unwrap_or_default(), numbers.next().unwrap_or_default());
        for package in ["k8s.io/component-base/version", "k8s.io/client-go/pkg/version"] {
            for (name, value) in [("gitVersion", version), ("gitMajor", major), ("gitMinor", minor)] {
                linker.push_str(&[" -X ", package, ".", name, "=", value].concat());
            }
        }
    }
    ["-trimpath".to_owned(), "-buildvcs=false".to_owned(), format!("-ldflags={linker}")].to_vec()
}

/// Whether Go is there.
pub(super) fn go() -> Result<(), Error> {
    go_in(&std::env::var_os("PATH").unwrap_or_default())
}

fn go_in(folders: &OsStr) -> Result<(), Error> {
    let wants = "go 1.26 or newer on the path to build what is missing; or the binaries in a folder that --bin names";
    if is_in("go", folders) { Ok(()) } else { Err(Error::Wants(wants.to_owned())) }
}

/// A go command in the module's folder. With `-mod=readonly` nothing is taken that `go.sum` does not have.
fn command(component: &Component, folder: &Path) -> Command {
    let mut command = Command::new("go");
    command.current_dir(folder).env("GOFLAGS", "-mod=readonly").env_remove("GOWORK");
    command.env("CGO_ENABLED", if component.cgo { "1" } else { "0" });
    command
}

/// The folder of the component's module in Go's own cache.
pub(super) fn module_folder(component: &Component) -> Result<PathBuf, Error> {
    go()?;
    let folder = modules().join(&component.folder);
    let version = pinned(&folder)?;
    let module = super::MODULES.iter().find(|(start, _)| component.folder.starts_with(start));
    let module = module.map_or("", |(_, module)| *module);
    // `list` fetches nothing by itself
    run(command(component, &folder).args(["mod", "download", &format!("{module}@{version}")]), b"")?;
    let found = run(command(component, &folder).args(["list", "-m", "-f", "{{.Dir}}", module]), b"")?;
    Ok(PathBuf::from(found.trim()))
}

/// Builds one component unless another run just did; its path.
pub(super) fn build(cache: &Cache, _lock: &Lock, component: &Component, recipe: &Recipe) -> Result<PathBuf, Error> {
    let path = cache.binary(component.name, recipe);
    if path.is_file() {
        return Ok(path);
    }
    let half = unfinished(&path);
    let log = cache.path("log").join(format!("{}.log", component.name));
    let what = format!("{} {}", component.name, recipe.version);
    say(&format!("building {what} …"));
    let begun = Instant::now();
    let mut command = command(component, &recipe.folder);
    command.arg("build").args(&recipe.flags).arg("-o").arg(&half).arg(component.package);
    let done = watch(&mut command, &log, &what, begun);
    if let Err(error) = done {
        // it does not count, but it may be what fills the disk
        let _ = fs::remove_file(&half);
        return Err(error);
    }
    fs::rename(&half, &path).map_err(Error::file(&path))?;
    say(&format!("built {what} in {:.0} s", begun.elapsed().as_secs_f64()));
    Ok(path)
}

/// Runs to the end with output into the log, a line now and then, and what went wrong if it did.
fn watch(command: &mut Command, log: &Path, what: &str, begun: Instant) -> Result<(), Error> {
    let file = fs::File::create(log).map_err(Error::file(log))?;
    command.stdin(Stdio::null()).stdout(file.try_clone().map_err(Error::file(log))?).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|e| Error::Start(format!("go build of {what}"), e))?;
    let (tell, told) = channel();
    let stderr = child.stderr.take();
    let reader = thread::spawn(move || {
        let mut file = file;
        let mut lines = 0_usize;
        for line in stderr.into_iter().flat_map(|pipe| BufReader::new(pipe).lines()).map_while(Result::ok) {
            use std::io::Write as _;
            // go's own end says what happened; the log is a courtesy
            let _ = writeln!(file, "{line}");
            lines = lines.saturating_add(1);
            let _ = tell.send(line);
        }
        lines
    });
    let (mut fetched, mut last) = (0_usize, Instant::now());
    loop {
        match told.recv_timeout(BREATH) {
            Ok(line) => fetched = fetched.saturating_add(usize::from(line.starts_with("go: downloading"))),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
        if last.elapsed() >= BREATH {
            last = Instant::now();
            say(&format!("  {what}: {:.0} s, {fetched} modules fetched", begun.elapsed().as_secs_f64()));
        }
    }
    let status = child.wait().map_err(|e| Error::Start(format!("go build of {what}"), e))?;
    // its lines are all in the log now
    let _ = reader.join();
    if status.success() { Ok(()) } else { Err(failure(what, status.to_string(), log)) }
}

fn failure(what: &str, status: String, log: &Path) -> Error {
    let output = log_tail(log, 12);
    if output.contains("no space left on device") {
        return Error::Other(format!(
            "the disk is full: {what} could not be built; room is needed in the lab's cache, in Go's (`go env GOCACHE \
             GOMODCACHE`: about 6 GB for Kubernetes) and in the folder for temporary files. go said:\n{}",
            last_lines(&output, 3)
        ));
    }
    let output = format!("{output}\nits log: {}", log.display());
    Error::Failed { program: format!("go build of {what}"), status, output }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::components::{calico, kubernetes};

    #[test]
    fn without_go_it_says_what_is_wanted_and_the_other_way() {
        let folder = tempfile::tempdir().unwrap();
        let error = go_in(folder.path().as_os_str()).unwrap_err().to_string();
        assert!(error.contains("go 1.26") && error.contains("--bin"), "{error}");
        fs::write(folder.path().join("go"), "").unwrap();
        go_in(folder.path().as_os_str()).unwrap();
    }

    #[test]
    fn a_key_follows_package_and_flags() {
        let [node, plugin, ..] = calico();
        let key = |component: &Component| Recipe::of(component).unwrap().key;
        assert_eq!(key(&node), key(&node));
        assert_ne!(key(&node), key(&plugin));
        assert_ne!(key(&node), key(&Component { cgo: true, ..node.clone() }));
    }

    #[test]
    fn kubernetes_is_told_its_version() {
        let flags = flags(&kubernetes("kubelet", "1.36").unwrap(), "v1.36.3").join(" ");
        assert!(flags.contains("-X k8s.io/component-base/version.gitVersion=v1.36.3"), "{flags}");
        assert!(flags.contains("-X k8s.io/client-go/pkg/version.gitMinor=36"), "{flags}");
    }

    #[test]
    fn a_failed_build_says_its_last_lines_and_a_full_disk_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("x.log");
        let watch = |script: &str| {
            watch(Command::new("sh").args(["-c", script]), &log, "x v1", Instant::now()).unwrap_err().to_string()
        };
        let error = watch("echo first >&2; echo 'undefined: y' >&2; exit 1");
        assert!(error.contains("undefined: y") && error.contains("x.log"), "{error}");
        let error = watch("echo 'write /tmp/a: no space left on device' >&2; exit 1");
        assert!(error.starts_with("the disk is full"), "{error}");
    }
}
