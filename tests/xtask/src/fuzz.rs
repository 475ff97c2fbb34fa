//! The fuzz targets: their seeds in the gate, and fuzzing by the hour.

use std::{
    env, fs, io,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use crate::run::{Error, cargo, on_path, root, run, say};

/// Marks branches for libFuzzer with flags that the stable compiler takes.
const INSTRUMENTED: &str = "--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1";

/// The lock file of the targets' own workspace, which a new dependency of the main one leaves behind.
pub(crate) fn locked() -> Result<(), Error> {
    run(&mut cargo(&["fetch", "--quiet", "--locked", "--manifest-path", "fuzz/Cargo.toml"]))
}

/// Builds every target, the fuzzer with them where there is a C++ compiler, and reads all seeds.
pub(crate) fn seeds() -> Result<(), Error> {
    let mut command = cargo(&["test", "--quiet", "--locked", "--manifest-path", "fuzz/Cargo.toml"]);
    if on_path("c++") {
        command.args(["--features", "libfuzzer"]);
    }
    run(command.arg("--target-dir").arg(target()))
}

/// Fuzzes each target for its share of the time; the first that fails ends it.
pub(crate) fn soak(time: Duration) -> Result<(), Error> {
    if !on_path("c++") {
        return Err(Error::Other(
            "libFuzzer wants a C++ compiler; on Debian or Ubuntu: apt-get install g++".to_owned(),
        ));
    }
    let folder = target().join("fuzz");
    // with a target named, build scripts and macros are not instrumented
    let host = host()?;
    run(cargo(&["build", "--release", "--locked", "--manifest-path", "fuzz/Cargo.toml", "--features", "libfuzzer"])
        .args(["--target", &host, "--target-dir"])
        .arg(&folder)
        .env("RUSTFLAGS", INSTRUMENTED))?;
    let fuzzer = folder.join(host).join("release/fuzz");
    let targets = names(&root().join("fuzz/corpus"))?;
    let share = time.as_secs() / u64::try_from(targets.len().max(1)).unwrap_or(1);
    for target in targets {
        let (corpus, artifacts) = (folder.join("corpus").join(&target), folder.join("artifacts"));
        for made in [&corpus, &artifacts] {
            fs::create_dir_all(made).map_err(|error| Error::File(made.clone(), error))?;
        }
        let done = run(Command::new(&fuzzer)
            .env("FUZZ_TARGET", &target)
            .arg(format!("-max_total_time={}", share.max(1)))
            .arg(format!("-artifact_prefix={}/{target}-", artifacts.display()))
            .args(["-max_len=65536", "-timeout=10", "-rss_limit_mb=1024", "-verbosity=0", "-print_final_stats=1"])
            .arg(&corpus)
            .arg(root().join("fuzz/corpus").join(&target)));
        if let Err(error) = done {
            say(&format!("fuzz target {target}: the input that fails is in {}", artifacts.display()));
            return Err(error);
        }
    }
    Ok(())
}

fn target() -> PathBuf {
    env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), |folder| root().join(folder))
}

/// The triple that this compiler builds for.
fn host() -> Result<String, Error> {
    let rustc = Command::new("rustc").arg("-vV").output().map_err(|error| Error::Start("rustc".to_owned(), error))?;
    let said = String::from_utf8_lossy(&rustc.stdout);
    let host = said.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned).ok_or_else(|| Error::Other("`rustc -vV` does not name its host".to_owned()))
}

fn names(folder: &Path) -> Result<Vec<String>, Error> {
    let read = || -> io::Result<Vec<String>> {
        fs::read_dir(folder)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
    };
    let mut names = read().map_err(|error| Error::File(folder.to_owned(), error))?;
    names.sort();
    Ok(names)
}
