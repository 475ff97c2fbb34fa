//! The binaries under test.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

use assert_cmd::Command as Assert;
use serde_json::Value;

/// The path of a binary of this workspace, built once per test program in the profile that the test
/// itself was built in.
pub fn binary(name: &str) -> PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(build).join(format!("{name}{}", env::consts::EXE_SUFFIX))
}

/// Builds all plugins; gives the folder that they are in.
fn build() -> PathBuf {
    // The test is target/PROFILE/deps/NAME.
    let test = env::current_exe().expect("the test's own path");
    let built = test.parent().and_then(Path::parent).expect("target/PROFILE/deps");
    let target = target_of(built.parent().expect("target/PROFILE"));
    let profile = target.join(built.file_name().expect("target/PROFILE"));
    let mut cargo = cargo();
    // As the gate builds, so that after it nothing is left to do: another choice of packages would
    // have other features, and be built anew.
    cargo.args(["build", "--quiet", "--workspace", "--bins"]);
    cargo.arg("--target-dir").arg(&target).current_dir(env!("CARGO_MANIFEST_DIR"));
    if profile.ends_with("release") {
        cargo.arg("--release");
    }
    let built = cargo.status().expect("cargo starts");
    assert!(built.success(), "the plugins do not build");
    profile
}

fn cargo() -> Command {
    Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// The folder of binaries: where a build folder is set in cargo's configuration, tests are run out of
/// that, which several checkouts may share, and binaries are put elsewhere.
fn target_of(folder: &Path) -> PathBuf {
    let mut metadata = cargo();
    metadata.args(["metadata", "--no-deps", "--format-version", "1"]).current_dir(env!("CARGO_MANIFEST_DIR"));
    let told = metadata.output().expect("cargo starts").stdout;
    let told: Value = serde_json::from_slice(&told).unwrap_or_default();
    match (told["build_directory"].as_str(), told["target_directory"].as_str()) {
        (Some(build), Some(target)) if Path::new(build) == folder => target.into(),
        _ => folder.to_owned(),
    }
}

/// `kubectl-netcidr` with nothing of the developer's own environment but the search path.
pub fn netcidr() -> Assert {
    plugin("kubectl-netcidr")
}

/// `kubectl-proxymode`, likewise.
pub fn proxymode() -> Assert {
    plugin("kubectl-proxymode")
}

/// `kubectl-cni`, likewise.
pub fn cni() -> Assert {
    plugin("kubectl-cni")
}

/// A plugin by the name of its binary, likewise.
pub fn plugin(name: &str) -> Assert {
    let mut command = Assert::new(binary(name));
    command.env_clear().env("HOME", "/nonexistent");
    for name in ["PATH", "LLVM_PROFILE_FILE"] {
        if let Some(value) = env::var_os(name) {
            command.env(name, value);
        }
    }
    command
}

/// The same with a kubeconfig.
pub fn netcidr_at(kubeconfig: &Path) -> Assert {
    let mut command = netcidr();
    command.arg("--kubeconfig").arg(kubeconfig);
    command
}

/// A program on the search path, or where a variable of the environment says.
pub fn find_program(name: &str, variable: &str) -> Option<PathBuf> {
    if let Some(path) = env::var_os(variable) {
        return Some(path.into());
    }
    let paths = env::var_os("PATH")?;
    env::split_paths(&paths).map(|folder| folder.join(name)).find(|path| path.is_file())
}
