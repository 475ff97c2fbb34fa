//! What users install: archives per plugin and platform, checksums, lists of dependencies, and krew's
//! manifests.

mod archive;
mod krew;
mod sbom;
mod targets;

use std::{
    env,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use clap::Args;
use targets::Target;

use crate::run::{Error, cargo, root, run, say};

/// What a binary may weigh.
const LIMIT: u64 = 8_000_000;

/// `cargo xtask dist`
#[derive(Args)]
pub(crate) struct Dist {
    /// Build for this platform: linux/amd64, …; all that this machine can build without
    #[arg(long, value_name = "OS/ARCH", value_parser = Target::named)]
    target: Vec<Target>,
    /// Put it there
    #[arg(long, value_name = "FOLDER", default_value = "dist")]
    out: PathBuf,
    /// Where the archives will lie: an address without the file name. Without it no krew manifests are written
    #[arg(long, value_name = "ADDRESS")]
    url: Option<String>,
    /// The project's page, for krew; where the archives lie without it
    #[arg(long, value_name = "ADDRESS", requires = "url")]
    homepage: Option<String>,
    /// Build nothing: checksums and manifests of the archives that are there
    #[arg(long)]
    no_build: bool,
    /// Pack these binaries, made for the one --target that is named
    #[arg(long, value_name = "FOLDER", requires = "target", conflicts_with = "no_build")]
    binaries: Option<PathBuf>,
    /// The version to give them, v1.2.3; the workspace's own without
    #[arg(long, value_name = "TAG")]
    tag: Option<String>,
}

/// Builds what this machine can, packs it, and names what is left to others.
pub(crate) fn dist(wanted: &Dist) -> Result<(), Error> {
    let tag = wanted.tag.clone().unwrap_or_else(|| format!("v{}", env!("CARGO_PKG_VERSION")));
    let out = env::current_dir().map_err(|e| Error::File(".".into(), e))?.join(&wanted.out);
    fs::create_dir_all(out.join("krew")).map_err(|e| Error::File(out.clone(), e))?;
    if !wanted.no_build {
        let mut left = Vec::new();
        for target in chosen(wanted) {
            match (&wanted.binaries, target.missing()) {
                (Some(folder), _) => pack(target, folder, &tag, &out, None)?,
                (None, Some(why)) if wanted.target.is_empty() => left.push(format!("{}: {why}", target.name())),
                (None, Some(why)) => return Err(Error::Other(format!("{} {why}", target.name()))),
                (None, None) => pack(target, &build(target)?, &tag, &out, Some(LIMIT))?,
            }
        }
        for line in left {
            say(&format!("not built here: {line}"));
        }
    }
    let archives = archives(&out, &tag)?;
    if archives.is_empty() {
        return Err(Error::Other(format!("no archive of {tag} is in {}", out.display())));
    }
    write(&out.join("checksums.txt"), &checksums(&archives))?;
    match &wanted.url {
        Some(url) => manifests(&out, &tag, url, wanted.homepage.as_deref().unwrap_or(url), &archives)?,
        None => say("no krew manifests: --url says where the archives will lie"),
    }
    for archive in &archives {
        say(&format!("{} {}", archive.sha256, archive.file));
    }
    Ok(())
}

fn chosen(wanted: &Dist) -> Vec<Target> {
    if wanted.target.is_empty() { targets::ALL.to_vec() } else { wanted.target.clone() }
}

/// Builds the plugins for a platform; gives the folder that they are in. Paths of this machine do not get
/// into the binaries, so that the same commit gives the same bytes elsewhere.
fn build(target: Target) -> Result<PathBuf, Error> {
    run(Command::new("rustup").args(["target", "add", target.triple]))?;
    let folder = root().join("target/dist");
    let home = env::var_os("CARGO_HOME").map(PathBuf::from).or_else(|| env::home_dir().map(|home| home.join(".cargo")));
    let mut flags = format!("--remap-path-prefix={}=.", root().display());
    if let Some(home) = home {
        let _ = write!(flags, " --remap-path-prefix={}=cargo", home.display());
    }
    let mut command = cargo(&[target.build(), "--release", "--locked", "--target", target.triple]);
    for plugin in krew::ALL {
        command.args(["-p", &format!("kubectl-{}", plugin.name)]);
    }
    run(command.arg("--target-dir").arg(&folder).env("RUSTFLAGS", flags).env("CARGO_INCREMENTAL", "0"))?;
    Ok(folder.join(target.triple).join("release"))
}

/// An archive and a list of dependencies for each plugin.
fn pack(target: Target, folder: &Path, tag: &str, out: &Path, limit: Option<u64>) -> Result<(), Error> {
    for plugin in krew::ALL {
        let binary = folder.join(target.binary(plugin.name));
        let size = fs::metadata(&binary).map_err(|e| Error::File(binary.clone(), e))?.len();
        if let Some(limit) = limit.filter(|limit| size > *limit) {
            let name = target.binary(plugin.name);
            return Err(Error::Other(format!("{name} for {} has {size} bytes, over {limit}", target.name())));
        }
        let entries = vec![
            archive::Entry { name: target.binary(plugin.name), from: binary, executable: true },
            archive::Entry { name: "LICENSE".to_owned(), from: root().join("LICENSE"), executable: false },
        ];
        let file = out.join(target.archive(plugin.name, tag));
        archive::write(&file, entries).map_err(|e| Error::File(file.clone(), e))?;
        let list = sbom::list(plugin.name, target)?;
        write(&out.join(target.archive(plugin.name, tag).replace(".tar.gz", ".cdx.json")), &list)?;
    }
    Ok(())
}

/// An archive that is there.
struct Packed {
    plugin: &'static str,
    target: Target,
    file: String,
    sha256: String,
}

fn archives(out: &Path, tag: &str) -> Result<Vec<Packed>, Error> {
    let mut found = Vec::new();
    for plugin in krew::ALL {
        for target in targets::ALL {
            let file = target.archive(plugin.name, tag);
            let path = out.join(&file);
            if path.is_file() {
                let sha256 = archive::sha256(&path).map_err(|e| Error::File(path, e))?;
                found.push(Packed { plugin: plugin.name, target, file, sha256 });
            }
        }
    }
    Ok(found)
}

/// As `sha256sum --check` reads them.
fn checksums(archives: &[Packed]) -> String {
    archives.iter().fold(String::new(), |mut text, archive| {
        let _ = writeln!(text, "{}  {}", archive.sha256, archive.file);
        text
    })
}

fn manifests(out: &Path, tag: &str, url: &str, homepage: &str, archives: &[Packed]) -> Result<(), Error> {
    for plugin in &krew::ALL {
        let own: Vec<krew::Archive> = archives
            .iter()
            .filter(|archive| archive.plugin == plugin.name)
            .map(|archive| krew::Archive {
                target: archive.target,
                uri: format!("{}/{}", url.trim_end_matches('/'), archive.file),
                sha256: archive.sha256.clone(),
            })
            .collect();
        if !own.is_empty() {
            let file = out.join("krew").join(format!("{}.yaml", plugin.name));
            write(&file, &krew::manifest(plugin, tag, homepage, &own))?;
        }
    }
    Ok(())
}

fn write(path: &Path, text: &str) -> Result<(), Error> {
    fs::write(path, text).map_err(|e| Error::File(path.to_path_buf(), e))
}
