//! Calico's names: interfaces by a hash of the pod, policy and profile chains by the policy's id, or
//! by its hash where it is too long for iptables, sets by a hash of the selector.

use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use sha2::{Digest as _, Sha256};

use super::{Name, Names};

/// How much of a hash every layout keeps: profile chains have the least room for it.
const KEPT: usize = 18;

/// The kinds of policies that chains are of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PolicyKind {
    /// Kubernetes' own.
    NetworkPolicy,
    /// Kubernetes' for the whole cluster, with its forerunners.
    ClusterNetworkPolicy,
    /// Calico's, of a namespace.
    CalicoNetworkPolicy,
    /// Calico's, of the whole cluster.
    CalicoGlobalNetworkPolicy,
    /// Of a kind that its chain does not tell.
    Unknown,
}

impl PolicyKind {
    /// As kubectl takes it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NetworkPolicy => "networkpolicy",
            Self::ClusterNetworkPolicy => "clusternetworkpolicy",
            Self::CalicoNetworkPolicy => "networkpolicy.projectcalico.org",
            Self::CalicoGlobalNetworkPolicy => "globalnetworkpolicy.projectcalico.org",
            Self::Unknown => "policy",
        }
    }

    /// The word before a policy's name in Felix' ids since 3.32, staged ones included.
    fn of_word(word: &str) -> Option<Self> {
        Some(match word {
            "knp" | "sknp" => Self::NetworkPolicy,
            "kcnp" => Self::ClusterNetworkPolicy,
            "np" | "snp" => Self::CalicoNetworkPolicy,
            "gnp" | "sgnp" => Self::CalicoGlobalNetworkPolicy,
            _ => return None,
        })
    }

    const fn words(self) -> &'static [&'static str] {
        match self {
            Self::NetworkPolicy => &["knp", "sknp"],
            Self::ClusterNetworkPolicy => &["kcnp"],
            Self::CalicoNetworkPolicy => &["np", "snp"],
            Self::CalicoGlobalNetworkPolicy => &["gnp", "sgnp"],
            Self::Unknown => &[],
        }
    }
}

/// The eleven digits that a pod's interface ends with.
pub fn interface_hash(namespace: &str, pod: &str) -> String {
    let mut digits = HEXLOWER.encode(&sha1::Sha1::digest(format!("{namespace}.{pod}").as_bytes()));
    digits.truncate(11);
    digits
}

/// What stands for an id that is too long: the first letters of its hash, as many as every layout has.
fn shortened(id: &str) -> String {
    let mut letters = BASE64URL_NOPAD.encode(&Sha256::digest(id.as_bytes()));
    letters.truncate(KEPT);
    letters
}

/// A set's id out of its name: `s:ccDj6qwwbD0Q5ro2UC8GMaf`. nftables takes no colon in a name.
fn set_id(set: &str) -> Option<String> {
    let id = set.strip_prefix("cali40").or_else(|| set.strip_prefix("cali60"))?;
    let hashed = id.strip_prefix("s-").map(|hash| ("s", hash)).or_else(|| Some(("n", id.strip_prefix("n-")?)));
    Some(hashed.map_or_else(|| id.to_owned(), |(kind, hash)| format!("{kind}:{hash}")))
}

/// Every id that a release of Felix has given a policy. `tier` is `default` where none is set.
fn ids(kind: PolicyKind, tier: &str, namespace: Option<&str>, name: &str) -> Vec<String> {
    let place = namespace.map(|namespace| format!("{namespace}/")).unwrap_or_default();
    let mut spellings = match kind {
        PolicyKind::NetworkPolicy => vec![format!("knp.default.{name}")],
        _ => vec![name.to_owned()],
    };
    // a policy's stored name has its tier before it, or not
    match name.strip_prefix(&format!("{tier}.")) {
        Some(bare) => spellings.push(bare.to_owned()),
        None if kind != PolicyKind::NetworkPolicy => spellings.push(format!("{tier}.{name}")),
        None => {}
    }
    let mut ids: Vec<String> = Vec::new();
    for spelling in &spellings {
        ids.push(format!("{place}{spelling}"));
        ids.push(format!("{tier}/{place}{spelling}"));
    }
    for word in kind.words() {
        ids.push(format!("{word}/{place}{name}"));
        ids.extend(name.strip_prefix(&format!("{tier}.")).map(|bare| format!("{word}/{place}{bare}")));
    }
    ids
}

impl Names {
    /// Learns a policy.
    pub fn policy(&mut self, kind: PolicyKind, tier: Option<&str>, namespace: Option<&str>, name: &str) {
        let tier = tier.filter(|tier| !tier.is_empty()).unwrap_or("default");
        let known = Name::Policy { kind, namespace: namespace.map(str::to_owned), name: name.to_owned() };
        for id in ids(kind, tier, namespace, name) {
            self.policies.insert(shortened(&id), known.clone());
            self.policies.insert(id, known.clone());
        }
    }

    /// Learns a profile: of a namespace or a service account.
    pub fn profile(&mut self, of: Name) {
        let id = match &of {
            Name::Namespace(name) => format!("kns.{name}"),
            Name::ServiceAccount { namespace, name } => format!("ksa.{namespace}.{name}"),
            _ => return,
        };
        // short ones can be read
        if id.len() > KEPT {
            self.profiles.insert(shortened(&id), of);
        }
    }

    /// Nothing for a name that Felix does not give.
    pub(super) fn calico_chain(&self, chain: &str) -> Option<Vec<Name>> {
        let at =
            chain.find("cali-").filter(|at| *at == 0 || chain.get(..*at).is_some_and(|table| table.ends_with('-')))?;
        let rest = chain.get(at + "cali-".len()..)?;
        let after = |prefixes: &[&str]| prefixes.iter().find_map(|prefix| rest.strip_prefix(prefix));
        if let Some(interface) = after(&["tw-", "fw-", "sm-"]) {
            return Some(self.of_interface(interface).into_iter().collect());
        }
        if let Some(id) = after(&["pi-", "po-"]) {
            return Some(self.policy_of(id).into_iter().collect());
        }
        if let Some(id) = after(&["pri-", "pro-"]) {
            return Some(self.profile_of(id).into_iter().collect());
        }
        None
    }

    pub(super) fn policy_of(&self, id: &str) -> Option<Name> {
        if let Some(known) = self.policies.get(id) {
            return Some(known.clone());
        }
        if let Some(hash) = id.strip_prefix('_') {
            return self.policies.get(hash.get(..KEPT)?).cloned();
        }
        readable(id)
    }

    fn profile_of(&self, id: &str) -> Option<Name> {
        if let Some(hash) = id.strip_prefix('_') {
            return self.profiles.get(hash.get(..KEPT)?).cloned();
        }
        if let Some(name) = id.strip_prefix("kns.") {
            return Some(Name::Namespace(name.to_owned()));
        }
        let (namespace, name) = id.strip_prefix("ksa.")?.split_once('.')?;
        Some(Name::ServiceAccount { namespace: namespace.to_owned(), name: name.to_owned() })
    }

    /// Learns from a policy's chain whose peers a set holds: its name has a hash that only Felix can make.
    pub(super) fn peers(&mut self, chain: &str, set: &str) {
        let Some(id) = set_id(set).filter(|id| id.starts_with("s:") || id.starts_with("n:")) else { return };
        let policies = self.of_chain(chain).into_iter().filter(|name| matches!(name, Name::Policy { .. }));
        self.sets.entry(id).or_default().extend(policies);
    }

    pub(super) fn calico_set(&self, set: &str) -> Option<Vec<Name>> {
        let id = set_id(set)?;
        if let Some(of) = self.sets.get(&id) {
            return Some(of.iter().cloned().collect());
        }
        let words = match id.as_str() {
            "all-ipam-pools" | "network-ip-pools" => "every address pool",
            "masq-ipam-pools" => "address pools with natOutgoing",
            "all-hosts-net" => "every node's address",
            "all-vxlan-net" => "every other node's VXLAN address",
            "this-host" => "this node's addresses",
            "dscp-src-net" => "pods with a DSCP annotation",
            "no-flow-offload" => "what is kept out of flow offload",
            "all-istio-weps" => "pods in Istio's ambient mesh",
            _ => return Some(Vec::new()),
        };
        Some(vec![Name::Words(words)])
    }
}

/// An id that says itself whose it is. Two parts without a word before them may be a namespace or a
/// tier with a name: only Kubernetes' own policies tell.
fn readable(id: &str) -> Option<Name> {
    let policy = |kind, namespace: Option<&str>, name: &str| {
        Some(Name::Policy { kind, namespace: namespace.map(str::to_owned), name: name.to_owned() })
    };
    let parts: Vec<&str> = id.split('/').collect();
    if let [word, rest @ ..] = parts.as_slice()
        && let Some(kind) = PolicyKind::of_word(word)
    {
        match rest {
            [namespace, name] => return policy(kind, Some(namespace), name),
            [name] => return policy(kind, None, name),
            _ => {}
        }
    }
    match parts.as_slice() {
        [namespace, name] | [_, namespace, name] if name.starts_with("knp.default.") => {
            policy(PolicyKind::NetworkPolicy, Some(namespace), name.trim_start_matches("knp.default."))
        }
        [_, namespace, name] => policy(PolicyKind::CalicoNetworkPolicy, Some(namespace), name),
        [namespace, name] if name.starts_with("default.") => {
            policy(PolicyKind::CalicoNetworkPolicy, Some(namespace), name)
        }
        _ => None,
    }
}
