//! Binaries of the cluster: taken from where they are, or built from pinned Go modules into a cache.
//!
//! Each folder in `tests/lab/components` is a Go module of ours with nothing but pins: `go.mod` names the programs as
//! tools, `go.sum` their content. The cache is keyed by both, so a changed pin is built anew.

mod build;
pub(crate) mod cache;
pub mod packages;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

pub use cache::Cache;

use crate::Error;

/// A program that is built from a module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Component {
    /// The binary's name.
    pub name: &'static str,
    /// The folder of its `go.mod`, below `tests/lab/components`.
    pub folder: String,
    /// Go's import path of its main package.
    pub package: &'static str,
    /// Whether it has C in it.
    pub cgo: bool,
}

/// What a control plane and the nodes run.
pub const KUBERNETES: [&str; 6] =
    ["kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy", "kubectl"];

/// The module whose version is the one of everything from it.
const MODULES: [(&str, &str); 4] = [
    ("kubernetes", "k8s.io/kubernetes"),
    ("calico", "github.com/projectcalico/calico"),
    ("flannel", "github.com/flannel-io/flannel"),
    ("krew", "sigs.k8s.io/krew"),
];

/// A program of Kubernetes, of a version as `kubernetes_version` gives it.
pub fn kubernetes(name: &str, version: &str) -> Result<Component, Error> {
    let package = match name {
        "kube-apiserver" => ("kube-apiserver", "k8s.io/kubernetes/cmd/kube-apiserver"),
        "kube-controller-manager" => ("kube-controller-manager", "k8s.io/kubernetes/cmd/kube-controller-manager"),
        "kube-scheduler" => ("kube-scheduler", "k8s.io/kubernetes/cmd/kube-scheduler"),
        "kubelet" => ("kubelet", "k8s.io/kubernetes/cmd/kubelet"),
        "kube-proxy" => ("kube-proxy", "k8s.io/kubernetes/cmd/kube-proxy"),
        "kubectl" => ("kubectl", "k8s.io/kubernetes/cmd/kubectl"),
        _ => return Err(Error::Other(format!("`{name}` is none of {}", KUBERNETES.join(", ")))),
    };
    let version = kubernetes_version(version)?;
    let minor = version.rsplit_once('.').map_or(version.as_str(), |(minor, _)| minor);
    let folder = format!("kubernetes-{}", minor.trim_start_matches('v'));
    Ok(Component { name: package.0, folder, package: package.1, cgo: false })
}

/// What `--cni calico` runs, and calicoctl to compare with.
pub fn calico() -> [Component; 3] {
    let component = |name, package| Component { name, folder: "calico".to_owned(), package, cgo: false };
    [
        component("calico-node", "github.com/projectcalico/calico/node/cmd/calico-node"),
        component("calico", "github.com/projectcalico/calico/cni-plugin/cmd/calico"),
        component("calicoctl", "github.com/projectcalico/calico/calicoctl/calicoctl"),
    ]
}

/// flanneld; its `udp` backend is C.
pub fn flannel() -> Component {
    Component { name: "flanneld", folder: "flannel".to_owned(), package: "github.com/flannel-io/flannel", cgo: true }
}

/// krew and its check of manifests.
pub fn krew() -> [Component; 2] {
    let component = |name, package| Component { name, folder: "krew".to_owned(), package, cgo: false };
    [
        component("krew", "sigs.k8s.io/krew/cmd/krew"),
        component("validate-krew-manifest", "sigs.k8s.io/krew/cmd/validate-krew-manifest"),
    ]
}

/// Where the `go.mod` files lie.
pub fn modules() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("components")
}

/// The full version that is pinned for `1.36`, `1.36.3` or `v1.36.3`: `v1.36.3`.
pub fn kubernetes_version(wanted: &str) -> Result<String, Error> {
    let wanted = wanted.trim_start_matches('v');
    let pinned = pinned_kubernetes()?;
    let fits = |version: &&String| {
        let version = version.trim_start_matches('v');
        version == wanted || version.rsplit_once('.').is_some_and(|(minor, _)| minor == wanted)
    };
    pinned.iter().find(fits).cloned().ok_or_else(|| {
        let known: Vec<&str> = pinned.iter().map(|version| version.trim_start_matches('v')).collect();
        Error::Other(format!("Kubernetes {wanted} is not pinned here; there are {}", known.join(", ")))
    })
}

fn pinned_kubernetes() -> Result<Vec<String>, Error> {
    let root = modules();
    let entries = fs::read_dir(&root).map_err(Error::file(&root))?;
    let mut folders: Vec<String> = entries
        .filter_map(Result::ok)
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| name.starts_with("kubernetes-"))
        .collect();
    folders.sort();
    folders.iter().map(|folder| pinned(&root.join(folder))).collect()
}

/// The version that the `go.mod` in this folder pins for the module it is about.
pub fn pinned(folder: &Path) -> Result<String, Error> {
    let path = folder.join("go.mod");
    let text = fs::read_to_string(&path).map_err(Error::file(&path))?;
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    let module = MODULES.iter().find(|(start, _)| name.starts_with(start)).map_or("", |(_, module)| *module);
    version_in(&text, module).ok_or_else(|| Error::Other(format!("{}: pins no `{module}`", path.display())))
}

/// The version behind a module's name in a line of `require`.
fn version_in(go_mod: &str, module: &str) -> Option<String> {
    go_mod.lines().find_map(|line| {
        let mut words = line.trim().trim_start_matches("require ").split_whitespace();
        let version = (words.next() == Some(module)).then(|| words.next())??;
        version.starts_with('v').then(|| version.to_owned())
    })
}

/// Paths of all that is wanted, by name: from the first of `folders` that has it, else from the cache, else built.
pub fn provide(wanted: &[Component], folders: &[PathBuf]) -> Result<BTreeMap<&'static str, PathBuf>, Error> {
    let cache = Cache::of_this_user()?;
    let mut found = BTreeMap::new();
    let mut missing = Vec::new();
    for component in wanted {
        let there = folders.iter().map(|folder| folder.join(component.name)).find(|path| path.is_file());
        match there {
            Some(path) => _ = found.insert(component.name, fs::canonicalize(&path).map_err(Error::file(path))?),
            None => missing.push((component, build::Recipe::of(component)?)),
        }
    }
    missing.retain(|(component, recipe)| {
        let path = cache.binary(component.name, recipe);
        let built = path.is_file();
        if built {
            found.insert(component.name, path);
        }
        !built
    });
    if missing.is_empty() {
        return Ok(found);
    }
    build::go()?;
    let lock = cache.lock()?;
    for (component, recipe) in &missing {
        found.insert(component.name, build::build(&cache, &lock, component, recipe)?);
    }
    Ok(found)
}

/// A folder that a module of ours pulls in, as the module cache has it; fetched if it is not there.
pub fn module_folder(component: &Component) -> Result<PathBuf, Error> {
    build::module_folder(component)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_version_has_its_folder_and_its_sums() {
        let versions = pinned_kubernetes().unwrap();
        assert!(versions.iter().any(|version| version == "v1.36.3"), "{versions:?}");
        for version in &versions {
            let component = kubernetes("kube-proxy", version).unwrap();
            assert_eq!(&pinned(&modules().join(&component.folder)).unwrap(), version);
            assert!(modules().join(&component.folder).join("go.sum").is_file(), "{version}");
        }
        for component in calico().iter().chain([&flannel()]).chain(&krew()) {
            let folder = modules().join(&component.folder);
            assert!(pinned(&folder).unwrap().starts_with('v'));
            // what is not a tool there would be dropped by the next `go mod tidy`
            let text = fs::read_to_string(folder.join("go.mod")).unwrap();
            let tool = |line: &str| line.trim().trim_start_matches("tool ") == component.package;
            assert!(text.lines().any(tool), "{}", component.package);
        }
    }

    #[test]
    fn a_version_may_be_short_and_must_be_pinned() {
        assert_eq!(kubernetes_version("1.36").unwrap(), "v1.36.3");
        assert_eq!(kubernetes_version("v1.36.3").unwrap(), "v1.36.3");
        let error = kubernetes_version("1.12").unwrap_err().to_string();
        assert!(error.contains("1.12") && error.contains("1.36.3"), "{error}");
    }

    #[test]
    fn a_replacement_is_no_pin() {
        let text = "require a/b v1.2.3\nreplace (\n\ta/c => a/c v9.9.9\n)\n";
        assert_eq!(version_in(text, "a/b").as_deref(), Some("v1.2.3"));
        assert_eq!(version_in(text, "a/c"), None);
    }
}
