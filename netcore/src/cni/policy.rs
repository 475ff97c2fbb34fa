//! What PodSecurityPolicy left: the kind is gone since Kubernetes 1.25, what was written for it often
//! is not.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::Value;

use crate::{
    cluster::{Resource, resources},
    ranges::sources::object,
    text::{scalar, scalars},
};

/// The annotation that a pod has from the policy that let it in.
pub const POD_ANNOTATION: &str = "kubernetes.io/psp";
/// The label of a namespace that says which level of pod security it insists on.
pub const ENFORCE: &str = "pod-security.kubernetes.io/enforce";

/// A level of the Pod Security Standards.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// No escalation, no root.
    Restricted,
    /// Nothing of the node.
    Baseline,
    /// Anything.
    Privileged,
}

impl Level {
    /// As a label has it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Restricted => "restricted",
            Self::Baseline => "baseline",
            Self::Privileged => "privileged",
        }
    }

    fn named(name: &str) -> Option<Self> {
        [Self::Restricted, Self::Baseline, Self::Privileged].into_iter().find(|level| level.name() == name)
    }
}

/// A PodSecurityPolicy.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Policy {
    /// Name.
    pub name: String,
    /// The level that takes its place.
    pub level: Level,
    /// What it allows that asks for that level.
    pub allows: Vec<String>,
    /// It has annotations of seccomp or AppArmor, which also are gone.
    pub annotated: bool,
}

/// A role that lets use policies.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PolicyRole {
    /// `ClusterRole`, `Role`.
    pub kind: &'static str,
    /// Its namespace; empty for a `ClusterRole`.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// The policies that it names; none for all.
    pub policies: Vec<String>,
    /// Its rules are about nothing else.
    pub only: bool,
    /// It gives everything, policies too.
    pub everything: bool,
}

/// Who has a role.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Binding {
    /// `ClusterRoleBinding`, `RoleBinding`.
    pub kind: &'static str,
    /// Its namespace; empty for a `ClusterRoleBinding`.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// The role's kind.
    pub role_kind: String,
    /// The role.
    pub role: String,
}

/// All of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policies {
    /// Policies.
    pub objects: BTreeSet<Policy>,
    /// Roles that let use them.
    pub roles: BTreeSet<PolicyRole>,
    /// Who has roles; also roles that have nothing to do with policies.
    bindings: BTreeSet<Binding>,
    /// Pods of network plugins that a policy let in: the policy, and the pods.
    pub pods: BTreeMap<String, BTreeSet<String>>,
    /// What each namespace insists on; nothing where it has no label.
    pub namespaces: BTreeMap<String, Option<Level>>,
}

/// One thing that is left.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Leftover {
    /// `PodSecurityPolicy`, `ClusterRole`, `Role`, `ClusterRoleBinding`, `RoleBinding`, `Pod`.
    pub kind: &'static str,
    /// Its namespace; null for kinds that have none.
    pub namespace: Option<String>,
    /// Name.
    pub name: String,
    /// What of it is left.
    pub what: String,
    /// What takes its place, or what to do with it.
    pub instead: String,
}

impl Policies {
    /// Takes an object that may tell.
    pub(super) fn take(&mut self, resource: &'static Resource, whole: &Value) {
        let (namespace, name) = (object::namespace(whole).to_owned(), object::name(whole).to_owned());
        if *resource == resources::NAMESPACES {
            let label = whole.pointer("/metadata/labels").and_then(|labels| labels.get(ENFORCE));
            self.namespaces.insert(name, Level::named(&scalar(label)));
        } else if *resource == resources::PODSECURITYPOLICIES {
            let (level, allows) = level_of(whole);
            let annotations = whole.pointer("/metadata/annotations").and_then(Value::as_object);
            let old =
                |key: &String| key.starts_with("seccomp.security.alpha") || key.starts_with("apparmor.security.beta");
            let annotated = annotations.is_some_and(|annotations| annotations.keys().any(old));
            self.objects.insert(Policy { name, level, allows, annotated });
        } else if *resource == resources::CLUSTERROLES || *resource == resources::ROLES {
            let kind = if *resource == resources::ROLES { "Role" } else { "ClusterRole" };
            self.roles.extend(role(kind, namespace, name, whole));
        } else if *resource == resources::CLUSTERROLEBINDINGS || *resource == resources::ROLEBINDINGS {
            let kind = if *resource == resources::ROLEBINDINGS { "RoleBinding" } else { "ClusterRoleBinding" };
            let text = |path: &str| scalar(whole.pointer(path));
            let (role_kind, role) = (text("/roleRef/kind"), text("/roleRef/name"));
            self.bindings.insert(Binding { kind, namespace, name, role_kind, role });
        }
    }

    /// Takes a pod of a network plugin.
    pub(super) fn take_pod(&mut self, whole: &Value) {
        let policy =
            whole.pointer("/metadata/annotations").and_then(|a| a.get(POD_ANNOTATION)).map(|p| scalar(Some(p)));
        if let Some(policy) = policy.filter(|policy| !policy.is_empty()) {
            let pod = format!("{}/{}", object::namespace(whole), object::name(whole));
            self.pods.entry(policy).or_default().insert(pod);
        }
    }

    /// Everything that is left, in the order in which it is best removed: who has a role, roles, policies.
    pub fn leftovers(&self) -> Vec<Leftover> {
        let mut found = Vec::new();
        let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let named = |role: &PolicyRole| match role.policies.as_slice() {
            [] => "any policy".to_owned(),
            names => names.join(", "),
        };
        let roles: Vec<&PolicyRole> = self.roles.iter().filter(|role| !role.everything).collect();
        for binding in &self.bindings {
            let of = |role: &&&PolicyRole| {
                role.kind == binding.role_kind
                    && role.name == binding.role
                    && (role.namespace.is_empty() || role.namespace == binding.namespace)
            };
            // a binding whose role does more is needed for the rest
            if let Some(role) = roles.iter().find(of).filter(|role| role.only) {
                found.push(Leftover {
                    kind: binding.kind,
                    namespace: some(&binding.namespace),
                    name: binding.name.clone(),
                    what: format!("binds {} {}, which is about nothing but {}", role.kind, role.name, named(role)),
                    instead: "delete it".to_owned(),
                });
            }
        }
        for role in &roles {
            let instead = if role.only { "delete it" } else { "take the rule out; the others stay" };
            found.push(Leftover {
                kind: role.kind,
                namespace: some(&role.namespace),
                name: role.name.clone(),
                what: format!("a rule lets use podsecuritypolicies: {}", named(role)),
                instead: instead.to_owned(),
            });
        }
        for policy in &self.objects {
            let notes =
                if policy.annotated { ", with annotations of seccomp or AppArmor that nothing reads" } else { "" };
            let why = if policy.allows.is_empty() { String::new() } else { format!(" ({})", policy.allows.join(", ")) };
            found.push(Leftover {
                kind: "PodSecurityPolicy",
                namespace: None,
                name: policy.name.clone(),
                what: format!("an object of policy/v1beta1, which 1.25 no longer has{notes}"),
                instead: format!("namespace label {ENFORCE}: {}{why}", policy.level.name()),
            });
        }
        for (policy, pods) in &self.pods {
            let mut others = pods.iter();
            let Some(first) = others.next() else { continue };
            let (namespace, name) = first.split_once('/').unwrap_or(("", first));
            let more = match others.len() {
                0 => String::new(),
                n => format!(", and {n} more pods"),
            };
            found.push(Leftover {
                kind: "Pod",
                namespace: some(namespace),
                name: name.to_owned(),
                what: format!("annotation {POD_ANNOTATION}: {policy}{more}"),
                instead: "goes with the pod's next start".to_owned(),
            });
        }
        found
    }
}

/// The role, where one of its rules is about policies.
fn role(kind: &'static str, namespace: String, name: String, whole: &Value) -> Option<PolicyRole> {
    const PLURAL: &str = "podsecuritypolicies";
    let rules: Vec<&Value> = whole.get("rules").and_then(Value::as_array).into_iter().flatten().collect();
    let about = |rule: &&Value| {
        let has = |field: &str, word: &str| scalars(rule.get(field)).iter().any(|text| text == word);
        has("resources", PLURAL) || (has("resources", "*") && has("apiGroups", "*") && has("verbs", "*"))
    };
    let (own, rest): (Vec<&Value>, Vec<&Value>) = rules.iter().copied().partition(about);
    if own.is_empty() {
        return None;
    }
    let names = |rule: &&Value| scalars(rule.get("resourceNames"));
    let mut policies: Vec<String> = own.iter().flat_map(names).collect();
    policies.sort();
    policies.dedup();
    let everything = own.iter().all(|rule| scalars(rule.get("resources")).iter().all(|resource| resource != PLURAL));
    Some(PolicyRole { kind, namespace, name, policies, only: rest.is_empty(), everything })
}

/// The level that allows what a policy allows, and what asks for it.
fn level_of(whole: &Value) -> (Level, Vec<String>) {
    // what the baseline level allows beyond the runtime's own
    const BASELINE: [&str; 14] = [
        "AUDIT_WRITE",
        "CHOWN",
        "DAC_OVERRIDE",
        "FOWNER",
        "FSETID",
        "KILL",
        "MKNOD",
        "NET_BIND_SERVICE",
        "SETFCAP",
        "SETGID",
        "SETPCAP",
        "SETUID",
        "SYS_CHROOT",
        "",
    ];
    let at = |path: &str| whole.pointer(&format!("/spec/{path}"));
    let on = |name: &str| at(name) == Some(&Value::Bool(true));
    let mut allows: Vec<String> = ["privileged", "hostNetwork", "hostPID", "hostIPC"]
        .into_iter()
        .filter(|name| on(name))
        .map(str::to_owned)
        .collect();
    if at("hostPorts").and_then(Value::as_array).is_some_and(|ports| !ports.is_empty()) {
        allows.push("hostPorts".to_owned());
    }
    let volumes = scalars(at("volumes"));
    allows.extend(
        volumes.iter().filter(|volume| matches!(volume.as_str(), "hostPath" | "*")).map(|v| format!("volumes {v}")),
    );
    let capabilities = scalars(at("allowedCapabilities"));
    allows.extend(capabilities.into_iter().filter(|name| !BASELINE.contains(&name.as_str())));
    if !allows.is_empty() {
        return (Level::Privileged, allows);
    }
    let no_root = scalar(at("runAsUser/rule")) == "MustRunAsNonRoot";
    let dropped = scalars(at("requiredDropCapabilities")).iter().any(|name| name == "ALL");
    let stays = at("allowPrivilegeEscalation") == Some(&Value::Bool(false));
    if no_root && dropped && stays { (Level::Restricted, allows) } else { (Level::Baseline, allows) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn flannel() -> Policies {
        let mut policies = Policies::default();
        policies.take(
            &resources::PODSECURITYPOLICIES,
            &json!({"metadata": {"name": "psp.flannel.unprivileged", "annotations": {
                "seccomp.security.alpha.kubernetes.io/allowedProfileNames": "docker/default"}},
                "spec": {"privileged": false, "hostNetwork": true, "volumes": ["configMap", "hostPath"],
                    "allowedCapabilities": ["NET_ADMIN", "NET_RAW"], "hostPorts": [{"min": 0, "max": 65535}]}}),
        );
        policies.take(
            &resources::CLUSTERROLES,
            &json!({"metadata": {"name": "flannel"}, "rules": [
                {"apiGroups": ["extensions"], "resources": ["podsecuritypolicies"], "verbs": ["use"],
                    "resourceNames": ["psp.flannel.unprivileged"]},
                {"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}]}),
        );
        policies
    }

    #[test]
    fn policies_and_rules_about_them_are_left() {
        let mut policies = flannel();
        policies.take(
            &resources::CLUSTERROLES,
            &json!({"metadata": {"name": "only"}, "rules": [{"apiGroups": ["policy"], "resources": ["podsecuritypolicies"], "verbs": ["use"]}]}),
        );
        let binding = |role: &str| json!({"metadata": {"name": format!("b-{role}")}, "roleRef": {"kind": "ClusterRole", "name": role}});
        policies.take(&resources::CLUSTERROLEBINDINGS, &binding("flannel"));
        policies.take(&resources::CLUSTERROLEBINDINGS, &binding("only"));
        let found: Vec<String> =
            policies.leftovers().iter().map(|left| format!("{} {}: {}", left.kind, left.name, left.instead)).collect();
        assert_eq!(
            found,
            [
                "ClusterRoleBinding b-only: delete it",
                "ClusterRole flannel: take the rule out; the others stay",
                "ClusterRole only: delete it",
                "PodSecurityPolicy psp.flannel.unprivileged: namespace label pod-security.kubernetes.io/enforce: privileged \
                 (hostNetwork, hostPorts, volumes hostPath, NET_ADMIN, NET_RAW)",
            ]
        );
    }

    #[test]
    fn a_role_that_may_do_everything_is_no_leftover() {
        let mut policies = Policies::default();
        let admin = json!({"metadata": {"name": "cluster-admin"}, "rules": [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]});
        policies.take(&resources::CLUSTERROLES, &admin);
        let reader = json!({"metadata": {"name": "view"}, "rules": [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["get"]}]});
        policies.take(&resources::CLUSTERROLES, &reader);
        assert_eq!(policies.leftovers(), []);
    }

    #[test]
    fn pods_remember_their_policy() {
        let mut policies = Policies::default();
        for name in ["a", "b"] {
            let annotations = json!({POD_ANNOTATION: "psp.flannel.unprivileged"});
            policies
                .take_pod(&json!({"metadata": {"name": name, "namespace": "kube-system", "annotations": annotations}}));
        }
        let found = policies.leftovers();
        assert_eq!(found.len(), 1);
        assert!(found[0].what.ends_with("psp.flannel.unprivileged, and 1 more pods"), "{found:?}");
    }

    #[test]
    fn levels_by_what_is_allowed() {
        let of = |spec: Value| level_of(&json!({"spec": spec})).0;
        assert_eq!(of(json!({"privileged": true})), Level::Privileged);
        assert_eq!(of(json!({"volumes": ["configMap"], "allowedCapabilities": ["CHOWN"]})), Level::Baseline);
        let strict = json!({"runAsUser": {"rule": "MustRunAsNonRoot"}, "requiredDropCapabilities": ["ALL"], "allowPrivilegeEscalation": false});
        assert_eq!(of(strict), Level::Restricted);
    }
}
