//! A user's journey with the real krew: update, search, install, use, upgrade, uninstall; the index is a
//! local git repository, the archives come over loopback HTTP.
//!
//! `NET_KREW` names the folder that krew and validate-krew-manifest are in; `cargo xtask lab build krew`
//! makes them and prints where.
#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a test stops where its set-up is wrong, and says what it skips"
)]

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use e2e::{FileServer, binary, find_program, stderr, stdout};

const PLUGINS: [&str; 3] = ["cni", "netcidr", "proxymode"];
const PLATFORM: &str = if cfg!(target_arch = "aarch64") { "linux/arm64" } else { "linux/amd64" };

/// Everything that a user has: an index, a place for archives, and an empty home.
struct User {
    krew: PathBuf,
    kubectl: PathBuf,
    home: tempfile::TempDir,
    archives: FileServer,
}

impl User {
    fn new() -> Option<Self> {
        let (Some(krew), Some(kubectl)) = (env::var_os("NET_KREW"), find_program("kubectl", "KUBECTL")) else {
            println!("skipped: wants NET_KREW and kubectl");
            return None;
        };
        let home = tempfile::tempdir().expect("a folder");
        fs::create_dir_all(home.path().join("dist")).expect("a folder");
        let archives = FileServer::start(&home.path().join("dist"));
        let user = Self { krew: krew.into(), kubectl, home, archives };
        fs::create_dir_all(user.index().join("plugins")).expect("a folder");
        user.git(&["init", "--quiet", "--initial-branch", "main"]);
        Some(user)
    }

    fn index(&self) -> PathBuf {
        self.home.path().join("index")
    }

    fn dist(&self) -> PathBuf {
        self.home.path().join("dist")
    }

    fn git(&self, words: &[&str]) {
        let who = ["-c", "user.name=test", "-c", "user.email=test@localhost"];
        let done = Command::new("git").arg("-C").arg(self.index()).args(who).args(words).output().expect("git starts");
        assert!(done.status.success(), "git {words:?}: {}", stderr(&done));
    }

    /// Packs the binaries under test as a release of that version and puts its manifests into the index.
    fn release(&self, tag: &str) {
        let binaries = self.home.path().join("binaries");
        fs::create_dir_all(&binaries).expect("a folder");
        for plugin in PLUGINS {
            let name = format!("kubectl-{plugin}");
            // nobody downloads line tables
            let mut strip = Command::new("strip");
            strip.arg("-o").arg(binaries.join(&name)).arg(binary(&name));
            if !strip.status().is_ok_and(|status| status.success()) {
                fs::copy(binary(&name), binaries.join(&name)).expect("a binary");
            }
        }
        let done = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
            .args(["xtask", "dist", "--target", PLATFORM, "--tag", tag, "--url", &self.archives.url()])
            .arg("--binaries")
            .arg(binaries)
            .arg("--out")
            .arg(self.dist())
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .output()
            .expect("cargo starts");
        assert!(done.status.success(), "{}", stderr(&done));
        for plugin in PLUGINS {
            let file = format!("{plugin}.yaml");
            fs::copy(self.manifest(plugin), self.index().join("plugins").join(file)).expect("a manifest");
        }
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--message", tag]);
    }

    fn manifest(&self, plugin: &str) -> PathBuf {
        self.dist().join(format!("krew/{plugin}.yaml"))
    }

    fn run(&self, program: &Path, words: &[&str]) -> Output {
        let bin = self.home.path().join("krew/bin");
        let path = env::var_os("PATH").unwrap_or_default();
        let path = env::join_paths([bin].into_iter().chain(env::split_paths(&path))).expect("a search path");
        Command::new(program)
            .args(words)
            .env_remove("KUBECONFIG")
            .env("HOME", self.home.path())
            .env("PATH", path)
            .env("KREW_ROOT", self.home.path().join("krew"))
            .env("KREW_NO_UPGRADE_CHECK", "1")
            .env("KREW_DEFAULT_INDEX_URI", self.index())
            .current_dir(self.home.path())
            .output()
            .expect("it starts")
    }

    /// What krew prints, on both streams; it must succeed.
    fn krew(&self, words: &[&str]) -> String {
        let done = self.run(&self.krew.join("krew"), words);
        assert!(done.status.success(), "krew {words:?}: {}", stderr(&done));
        stdout(&done) + &stderr(&done)
    }

    /// The names that `krew list` has.
    fn installed(&self) -> Vec<String> {
        let listed = stdout(&self.run(&self.krew.join("krew"), &["list"]));
        listed.lines().filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect()
    }
}

fn example() -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/three-nodes").display().to_string()
}

#[test]
fn from_the_index_to_the_first_report_to_the_next_version_and_away() {
    let Some(user) = User::new() else { return };
    user.release("v0.1.0");
    for plugin in PLUGINS {
        let manifest = user.manifest(plugin).display().to_string();
        let validate = user.krew.join("validate-krew-manifest");
        let done = user.run(&validate, &["-manifest", &manifest, "-skip-install"]);
        assert!(done.status.success(), "{plugin}: {}", stderr(&done));
    }

    user.krew(&["update"]);
    for plugin in PLUGINS {
        let found = user.krew(&["search", plugin]);
        assert!(found.lines().any(|line| line.starts_with(plugin)), "{found}");
        let told = user.krew(&["install", plugin]);
        assert!(told.contains("Installed plugin") && told.contains("pods/exec"), "{told}");
    }
    assert_eq!(user.installed(), PLUGINS);

    let report = user.run(&user.kubectl, &["netcidr", "--from", &example()]);
    assert!(report.status.success(), "{}", stderr(&report));
    assert!(stdout(&report).contains("10.244.0.0/16"), "{}", stdout(&report));
    for plugin in PLUGINS {
        let version = user.run(&user.kubectl, &[plugin, "--version"]);
        assert!(stdout(&version).starts_with(&format!("kubectl-{plugin} ")), "{}", stderr(&version));
    }
    let licences = Command::new("find").arg(user.home.path().join("krew/store")).args(["-name", "LICENSE"]).output();
    assert_eq!(stdout(&licences.expect("find starts")).lines().count(), PLUGINS.len());

    user.release("v0.2.0");
    user.krew(&["update"]);
    let told = user.krew(&["upgrade"]);
    assert!(PLUGINS.iter().all(|plugin| told.contains(plugin)), "{told}");
    let info = user.krew(&["info", "netcidr"]);
    assert!(info.contains("v0.2.0"), "{info}");
    let links = user.home.path().join("krew/bin/kubectl-netcidr");
    let store = fs::read_link(links).expect("a link").display().to_string();
    assert!(store.contains("v0.2.0"), "{store}");

    for plugin in PLUGINS {
        user.krew(&["uninstall", plugin]);
    }
    assert_eq!(user.installed(), [""; 0]);
    let gone = user.run(&user.kubectl, &["netcidr", "--version"]);
    assert!(!gone.status.success());

    // from files, and not from a file that is not what the manifest says
    let manifest = format!("--manifest={}", user.manifest("cni").display());
    let archive = |plugin: &str| {
        let file = format!("kubectl-{plugin}_v0.2.0_{}.tar.gz", PLATFORM.replace('/', "_"));
        format!("--archive={}", user.dist().join(file).display())
    };
    let refused = user.run(&user.krew.join("krew"), &["install", &manifest, &archive("netcidr")]);
    assert!(!refused.status.success() && stderr(&refused).contains("checksum"), "{}", stderr(&refused));
    user.krew(&["install", &manifest, &archive("cni")]);
    assert_eq!(user.installed(), ["cni"]);
}
