//! The lab that `NET_LAB` names: a real cluster, and what its own components say.

use std::{env, fs, path::PathBuf, process::Command};

use assert_cmd::Command as Assert;
use serde_json::{Value, json};

use crate::{binary, find_program, netcidr_at};

/// The lab's network plugin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cni {
    /// Debian's bridge plugin.
    Bridge,
    /// flanneld.
    Flannel,
    /// Calico.
    Calico,
}

/// A running lab.
pub struct Lab {
    id: String,
    folder: PathBuf,
    state: Value,
}

impl Lab {
    /// The lab that `NET_LAB` names; a name without a lab stops the test.
    pub fn of_environment() -> Option<Self> {
        let id = env::var("NET_LAB").ok().filter(|id| !id.is_empty())?;
        let labs = env::var_os("NET_LAB_DIR").map_or_else(|| PathBuf::from("/var/lib/kubectl-net-lab"), PathBuf::from);
        let folder = labs.join(&id);
        let state = fs::read(folder.join("state.json")).unwrap_or_else(|error| panic!("no lab {id}: {error}"));
        let state = serde_json::from_slice(&state).expect("a lab's state");
        Some(Self { id, folder, state })
    }

    /// Its network plugin.
    pub fn cni(&self) -> Cni {
        match self.state["plan"]["cni"].as_str() {
            Some("bridge") => Cni::Bridge,
            Some("flannel") => Cni::Flannel,
            Some("calico") => Cni::Calico,
            other => panic!("a network plugin that the suite does not know: {other:?}"),
        }
    }

    /// The administrator's kubeconfig.
    pub fn kubeconfig(&self) -> PathBuf {
        self.folder.join("kubeconfig")
    }

    /// The plugin as the administrator runs it.
    pub fn netcidr(&self) -> Assert {
        netcidr_at(&self.kubeconfig())
    }

    /// `kubectl proxymode` as the administrator runs it.
    pub fn proxymode(&self) -> Assert {
        let mut command = crate::proxymode();
        command.arg("--kubeconfig").arg(self.kubeconfig());
        command
    }

    /// What kubectl prints; it must succeed.
    pub fn kubectl_text(&self, arguments: &[&str]) -> String {
        self.kubectl_output(arguments, "")
    }

    /// The values of a flag that a component was started with, at their commas.
    pub fn flag(&self, component: &str, flag: &str) -> Vec<String> {
        let entries = fs::read_dir(self.folder.join("components")).expect("a lab writes its components down");
        let start = format!("--{flag}=");
        for entry in entries {
            let text = fs::read(entry.expect("a file").path()).expect("a file");
            let started: Value = serde_json::from_slice(&text).expect("a component");
            let name = started["name"].as_str().unwrap_or_default();
            if name.rsplit('/').next() == Some(component) {
                let arguments = started["argv"].as_array().into_iter().flatten().filter_map(Value::as_str);
                let value = arguments.filter_map(|argument| argument.strip_prefix(&start)).next_back();
                let value = value.unwrap_or_else(|| panic!("{component} has no --{flag}"));
                return value.split(',').map(str::to_owned).collect();
            }
        }
        panic!("the lab has no {component}")
    }

    /// kubectl: the one on the search path.
    pub fn kubectl(&self) -> PathBuf {
        find_program("kubectl", "KUBECTL").expect("kubectl is on the search path")
    }

    fn kubectl_output(&self, arguments: &[&str], input: &str) -> String {
        let mut command = Assert::new(self.kubectl());
        let output = command
            .arg("--kubeconfig")
            .arg(self.kubeconfig())
            .args(arguments)
            .write_stdin(input.to_owned())
            .output()
            .expect("kubectl starts");
        assert!(output.status.success(), "kubectl {arguments:?}: {}", crate::stderr(&output));
        crate::stdout(&output)
    }

    /// What kubectl prints as JSON.
    pub fn kubectl_json(&self, arguments: &[&str]) -> Value {
        let arguments: Vec<&str> = arguments.iter().copied().chain(["-o", "json"]).collect();
        serde_json::from_str(&self.kubectl_output(&arguments, "")).expect("kubectl prints JSON")
    }

    /// Applies a file.
    pub fn apply(&self, file: &std::path::Path) {
        self.kubectl_output(&["apply", "-f", &file.to_string_lossy()], "");
    }

    /// Gives a user a cluster role.
    pub fn bind(&self, role: &str, user: &str) {
        let binding = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
            "metadata": {"name": format!("{user}-{role}")},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user}]});
        self.kubectl_output(&["apply", "-f", "-"], &binding.to_string());
    }

    /// The names of the nodes.
    pub fn nodes(&self) -> Vec<String> {
        crate::names(&self.kubectl_json(&["get", "nodes"]))
    }

    /// What a command prints on a node.
    pub fn exec(&self, node: &str, command: &[&str]) -> String {
        let mut lab = Command::new(binary("lab"));
        let output = lab.args(["exec", "--id", &self.id, node, "--"]).args(command).output().expect("the lab starts");
        assert!(output.status.success(), "{node}: {command:?}: {}", crate::stderr(&output));
        crate::stdout(&output)
    }

    /// What calicoctl prints.
    pub fn calicoctl(&self, arguments: &[&str]) -> String {
        let mut lab = Command::new(binary("lab"));
        let output = lab.args(["calicoctl", "--id", &self.id, "--"]).args(arguments).output().expect("the lab starts");
        assert!(output.status.success(), "calicoctl {arguments:?}: {}", crate::stderr(&output));
        crate::stdout(&output)
    }
}
