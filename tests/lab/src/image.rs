//! Container images, made by hand as docker-archive tars out of this machine's own programs.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::{self, Read as _, Write},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::json;
use sha2::{Digest as _, Sha256};

use crate::{
    Error,
    components::{Cache, cache::unfinished},
    process::{output, run},
    say::say,
};

/// The image that holds a pod's namespaces.
pub const PAUSE: &str = "localhost/pause:1";
/// The image with busybox, curl and the tools that show a node's network.
pub const NETBOX: &str = "localhost/netbox:1";

/// Programs in the tool image besides busybox and iptables.
const TOOLS: [&str; 9] = ["curl", "ipset", "nft", "ip", "ss", "conntrack", "ipvsadm", "bird", "birdc"];
/// BIRD for the other family, where the packages have two.
const TOOLS_MAYBE: [&str; 2] = ["bird6", "birdc6"];
/// Multi-call binaries of iptables, each with the suffix of its names.
const XTABLES: [(&str, &str); 2] = [("xtables-nft-multi", "nft"), ("xtables-legacy-multi", "legacy")];

/// What lies at a path of an image.
#[derive(Debug, Clone)]
pub(crate) enum Entry {
    /// A file of this machine, with its mode.
    File(PathBuf),
    /// A text; whether it is a program.
    Text(String, bool),
    /// A symbolic link.
    Link(String),
    /// An empty folder.
    Folder,
}

/// What is put over another layer: entries by path, without the first slash.
pub(crate) type Layer = BTreeMap<String, Entry>;

/// An image before it is written.
#[derive(Debug, Clone)]
pub(crate) struct Image {
    /// Name with tag.
    pub(crate) name: String,
    /// From the bottom up.
    pub(crate) layers: Vec<Layer>,
    /// Program and arguments.
    pub(crate) entrypoint: Vec<String>,
}

/// The image that sleeps.
pub(crate) fn pause() -> Result<Image, Error> {
    let mut layer = Layer::new();
    add_programs(&mut layer, &["busybox"])?;
    let entrypoint = ["/usr/bin/busybox", "sleep", "2147483647"].map(str::to_owned).to_vec();
    Ok(Image { name: PAUSE.to_owned(), layers: vec![layer], entrypoint })
}

/// The image with the tools; what other images stand on.
pub(crate) fn netbox() -> Result<Image, Error> {
    Ok(Image { name: NETBOX.to_owned(), layers: vec![tools()?], entrypoint: vec!["/bin/sh".to_owned()] })
}

impl Image {
    /// One more layer, under a new name.
    pub(crate) fn with(&self, name: &str, layer: Layer, entrypoint: &[&str]) -> Self {
        let mut image = self.clone();
        image.layers.push(layer);
        image.entrypoint = entrypoint.iter().map(|&word| word.to_owned()).collect();
        Self { name: name.to_owned(), ..image }
    }
}

fn tools() -> Result<Layer, Error> {
    let mut layer = Layer::new();
    for name in ["bin", "sbin", "lib", "lib64"] {
        layer.insert(name.to_owned(), Entry::Link(format!("usr/{name}")));
        layer.insert(format!("usr/{name}"), Entry::Folder);
    }
    for name in ["proc", "sys", "dev", "tmp", "run", "var", "root"] {
        layer.insert(name.to_owned(), Entry::Folder);
    }
    layer.insert("var/run".to_owned(), Entry::Link("/run".to_owned()));
    let mut programs: Vec<&str> = ["busybox"].into_iter().chain(TOOLS).chain(XTABLES.map(|(name, _)| name)).collect();
    programs.extend(TOOLS_MAYBE.into_iter().filter(|name| find(name).is_ok()));
    add_programs(&mut layer, &programs)?;
    add_libraries(&mut layer, &xtables_modules())?;
    for (multi, suffix) in XTABLES {
        for family in ["iptables", "ip6tables"] {
            for verb in ["", "-save", "-restore"] {
                layer.insert(format!("usr/sbin/{family}-{suffix}{verb}"), Entry::Link(multi.to_owned()));
                if suffix == "nft" {
                    layer.insert(format!("usr/sbin/{family}{verb}"), Entry::Link(multi.to_owned()));
                }
            }
        }
    }
    layer.insert("usr/sbin/xtables-monitor".to_owned(), Entry::Link("xtables-nft-multi".to_owned()));
    for applet in run(Command::new("busybox").arg("--list"), b"")?.lines() {
        let taken = ["bin", "sbin"].iter().any(|folder| layer.contains_key(&format!("usr/{folder}/{applet}")));
        if !taken {
            layer.insert(format!("usr/bin/{applet}"), Entry::Link("busybox".to_owned()));
        }
    }
    layer.insert("etc/nsswitch.conf".to_owned(), Entry::Text("hosts: files dns\n".to_owned(), false));
    layer.insert("etc/passwd".to_owned(), Entry::Text("root:x:0:0:root:/root:/bin/sh\n".to_owned(), false));
    layer.insert("etc/group".to_owned(), Entry::Text("root:x:0:\n".to_owned(), false));
    // names of protocols, services, tables and routing daemons, as the tools print them
    let names = ["rt_protos", "rt_tables", "rt_scopes"].map(|name| format!("iproute2/{name}"));
    for name in ["protocols", "services"].map(str::to_owned).into_iter().chain(names) {
        let path = Path::new("/etc").join(&name);
        if path.is_file() {
            layer.insert(format!("etc/{name}"), Entry::File(path));
        }
    }
    Ok(layer)
}

/// iptables loads one for each match and target.
fn xtables_modules() -> Vec<PathBuf> {
    let folders = fs::read_dir("/usr/lib").into_iter().flatten().filter_map(Result::ok);
    let mut modules: Vec<PathBuf> = folders
        .filter_map(|entry| fs::read_dir(entry.path().join("xtables")).ok())
        .flat_map(|entries| entries.filter_map(Result::ok).map(|entry| entry.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "so"))
        .collect();
    modules.sort();
    modules
}

fn find(program: &str) -> Result<PathBuf, Error> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let places = std::env::split_paths(&path).chain(["/usr/sbin", "/sbin"].map(PathBuf::from));
    let found = places.map(|folder| folder.join(program)).find(|path| path.is_file());
    found.ok_or_else(|| Error::Wants(format!("`{program}` on the path")))
}

/// Programs of this machine and the libraries that they load.
fn add_programs(layer: &mut Layer, programs: &[&str]) -> Result<(), Error> {
    let mut files = Vec::new();
    for program in programs {
        let path = find(program)?;
        let real = fs::canonicalize(&path).map_err(Error::file(&path))?;
        let (at, real_at) = (inside(&path), inside(&real));
        if at != real_at {
            layer.insert(at, Entry::Link(format!("/{real_at}")));
        }
        files.push(real);
    }
    add_libraries(layer, &files)
}

/// Files and what `ldd` says that they load.
fn add_libraries(layer: &mut Layer, files: &[PathBuf]) -> Result<(), Error> {
    for file in files {
        layer.insert(inside(file), Entry::File(file.clone()));
    }
    // a static program is an error to `ldd`, which then has no libraries to tell
    let said = output(Command::new("ldd").args(files), b"")?;
    for library in loaded(&String::from_utf8_lossy(&said.stdout)) {
        let real = fs::canonicalize(&library).map_err(Error::file(&library))?;
        layer.insert(inside(&library), Entry::File(real));
    }
    Ok(())
}

/// The paths in what `ldd` prints.
fn loaded(text: &str) -> BTreeSet<PathBuf> {
    let lines = text.lines().filter(|line| line.contains(" (0x"));
    lines.filter_map(|line| line.split_whitespace().find(|word| word.starts_with('/'))).map(PathBuf::from).collect()
}

/// A path of this machine as the image has it: below `usr` all of it.
fn inside(path: &Path) -> String {
    let path = path.to_string_lossy();
    let path = path.trim_start_matches('/');
    let old = ["bin/", "sbin/", "lib/", "lib64/"].iter().any(|folder| path.starts_with(folder));
    if old { format!("usr/{path}") } else { path.to_owned() }
}

/// The image's archive: from the cache if all that it is made of is as it was, else written.
pub(crate) fn archive(cache: &Cache, image: &Image) -> Result<PathBuf, Error> {
    let short: String = image.name.rsplit('/').next().unwrap_or_default().replace(':', "-");
    let path = cache.path("images").join(format!("{short}-{}.tar", key(image)?));
    if path.is_file() {
        return Ok(path);
    }
    let _lock = cache.lock()?;
    if !path.is_file() {
        let half = unfinished(&path);
        write(&half, image)?;
        fs::rename(&half, &path).map_err(Error::file(&path))?;
        say(&format!("made the image {}", image.name));
    }
    Ok(path)
}

/// Changes with any name, size or time of change.
fn key(image: &Image) -> Result<String, Error> {
    let mut hash = Sha256::new();
    hash.update(format!("2 {} {:?}", image.name, image.entrypoint));
    for layer in &image.layers {
        for (path, entry) in layer {
            hash.update(format!("\0{path} {entry:?}"));
            if let Entry::File(from) = entry {
                let about = fs::metadata(from).map_err(Error::file(from))?;
                hash.update(format!("{} {} {}", about.len(), about.mtime(), about.mtime_nsec()));
            }
        }
    }
    Ok(hex(hash).chars().take(12).collect())
}

/// A finished hash in hex digits.
pub(crate) fn hex(hash: Sha256) -> String {
    let digit = |half: u8| char::from_digit(u32::from(half), 16);
    hash.finalize().iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).flatten().collect()
}

fn write(path: &Path, image: &Image) -> Result<(), Error> {
    let fault = |error: io::Error| Error::File(path.to_owned(), error);
    let mut archive = tar::Builder::new(fs::File::create(path).map_err(fault)?);
    let (mut names, mut digests) = (Vec::new(), Vec::new());
    for (number, layer) in image.layers.iter().enumerate() {
        let (bytes, digest) = layer_bytes(layer)?;
        let name = format!("layer{number}.tar");
        append(&mut archive, &name, &bytes, 0o644).map_err(fault)?;
        names.push(name);
        digests.push(format!("sha256:{digest}"));
    }
    let architecture = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    let history: Vec<_> = names.iter().map(|_| json!({"created_by": "lab"})).collect();
    let config = json!({
        "architecture": architecture,
        "os": "linux",
        "config": {
            "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
            "Entrypoint": image.entrypoint,
        },
        "rootfs": {"type": "layers", "diff_ids": digests},
        "history": history,
    })
    .to_string();
    let name = format!("{}.json", hex(Sha256::new_with_prefix(&config)));
    append(&mut archive, &name, config.as_bytes(), 0o644).map_err(fault)?;
    let manifest = json!([{"Config": name, "RepoTags": [image.name], "Layers": names}]).to_string();
    append(&mut archive, "manifest.json", manifest.as_bytes(), 0o644).map_err(fault)?;
    archive.into_inner().and_then(|mut file| file.flush()).map_err(fault)
}

/// A layer's tar and its digest; folders above an entry come before it.
fn layer_bytes(layer: &Layer) -> Result<(Vec<u8>, String), Error> {
    let mut tar = tar::Builder::new(Vec::new());
    let mut folders = BTreeSet::new();
    for (path, entry) in layer {
        let fault = |error: io::Error| Error::File(PathBuf::from(path), error);
        for (at, _) in path.match_indices('/') {
            let above = path.get(..at).unwrap_or_default();
            if !layer.contains_key(above) && folders.insert(above.to_owned()) {
                folder(&mut tar, above).map_err(fault)?;
            }
        }
        match entry {
            Entry::Folder => folder(&mut tar, path).map_err(fault)?,
            Entry::Text(text, program) => {
                append(&mut tar, path, text.as_bytes(), if *program { 0o755 } else { 0o644 }).map_err(fault)?;
            }
            Entry::Link(to) => {
                let mut header = header(tar::EntryType::Symlink, 0o777, 0);
                tar.append_link(&mut header, path, to).map_err(fault)?;
            }
            Entry::File(from) => {
                let fault = |error: io::Error| Error::File(from.clone(), error);
                let mut file = fs::File::open(from).map_err(fault)?;
                let mode = file.metadata().map_err(fault)?.mode() & 0o777;
                let mut bytes = Vec::new();
                file.read_to_end(&mut bytes).map_err(fault)?;
                append(&mut tar, path, &bytes, mode).map_err(fault)?;
            }
        }
    }
    let bytes = tar.into_inner().map_err(|e| Error::Other(e.to_string()))?;
    let digest = hex(Sha256::new_with_prefix(&bytes));
    Ok((bytes, digest))
}

fn folder(tar: &mut tar::Builder<impl Write>, path: &str) -> io::Result<()> {
    let mode = if path == "tmp" { 0o1777 } else { 0o755 };
    tar.append_data(&mut header(tar::EntryType::Directory, mode, 0), format!("{path}/"), io::empty())
}

fn append(tar: &mut tar::Builder<impl Write>, path: &str, bytes: &[u8], mode: u32) -> io::Result<()> {
    let length = u64::try_from(bytes.len()).map_err(io::Error::other)?;
    tar.append_data(&mut header(tar::EntryType::Regular, mode, length), path, bytes)
}

/// root's, and of no time: the same content gives the same digest.
fn header(kind: tar::EntryType, mode: u32, length: u64) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(length);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_place_is_below_usr() {
        assert_eq!(inside(Path::new("/lib/x86_64-linux-gnu/libc.so.6")), "usr/lib/x86_64-linux-gnu/libc.so.6");
        assert_eq!(inside(Path::new("/usr/sbin/nft")), "usr/sbin/nft");
        assert_eq!(inside(Path::new("/libexec/x")), "libexec/x");
    }

    #[test]
    fn ldd_names_libraries_in_two_ways() {
        let text = "/usr/bin/a:\n\tlinux-vdso.so.1 (0x0)\n\tlibc.so.6 => /lib/libc.so.6 (0x00007f)\n\
                    \t/lib64/ld-linux-x86-64.so.2 (0x00007f)\n/usr/bin/b:\n\tnot a dynamic executable\n";
        let found: Vec<String> = loaded(text).iter().map(|path| path.display().to_string()).collect();
        assert_eq!(found, ["/lib/libc.so.6", "/lib64/ld-linux-x86-64.so.2"]);
    }

    #[test]
    fn an_archive_has_what_an_importer_looks_for() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::at(folder.path());
        let mut layer = Layer::new();
        layer.insert("a/b/c".to_owned(), Entry::Text("x".to_owned(), true));
        layer.insert("a/l".to_owned(), Entry::Link("b/c".to_owned()));
        let image = Image { name: "localhost/t:1".to_owned(), layers: vec![layer], entrypoint: Vec::new() };
        let path = archive(&cache, &image).unwrap();
        let mut archive = tar::Archive::new(fs::File::open(&path).unwrap());
        let (mut manifest, mut layer) = (Vec::new(), Vec::new());
        for entry in archive.entries().unwrap() {
            let mut entry = entry.unwrap();
            let name = entry.path().unwrap().display().to_string();
            match name.as_str() {
                "manifest.json" => _ = entry.read_to_end(&mut manifest).unwrap(),
                "layer0.tar" => _ = entry.read_to_end(&mut layer).unwrap(),
                _ => {}
            }
        }
        let manifest: serde_json::Value = serde_json::from_slice(&manifest).unwrap();
        assert_eq!(manifest[0]["RepoTags"][0], "localhost/t:1");
        let names: Vec<String> = tar::Archive::new(layer.as_slice())
            .entries()
            .unwrap()
            .map(|entry| entry.unwrap().path().unwrap().display().to_string())
            .collect();
        assert_eq!(names, ["a/", "a/b/", "a/b/c", "a/l"]);
        assert_eq!(key(&image).unwrap(), key(&image).unwrap());
        let other = image.with("localhost/t:1", Layer::new(), &["/x"]);
        assert_ne!(key(&image).unwrap(), key(&other).unwrap());
    }
}
