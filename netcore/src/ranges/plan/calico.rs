//! Calico's pools: pods moved to another range, or pools cut into other blocks.

use serde_json::{Value, json};

use super::{
    model::{Risk, Step, done_if},
    refuse::{Reasons, pods_inside, tag},
    service::{create_command, list, slug},
};
use crate::{
    calico::Pool,
    cidr::{Cidr, Count, Family},
    cluster::resources,
    kubeproxy::DetectLocal,
    ranges::{
        Facts, RangeFact, Role,
        checks::common::service_ranges,
        free::{self, Wanted},
        sources::Ipam,
    },
};

/// Whether Calico gives out the addresses; a reason where it does not or that is not known.
pub(super) fn is_calicos(facts: &Facts, subject: &str, reasons: &mut Reasons) -> bool {
    match facts.known.ipam() {
        Some(Ipam::Calico) => true,
        Some(ipam) => {
            let evidence = facts.known.ipams.iter().map(|(_, origin)| origin.to_string()).collect();
            let message =
                format!("pods get addresses from {ipam}, not from Calico's pools; --pod-grow says what it allows");
            reasons.plugin(subject, message, evidence);
            false
        }
        None => {
            let said = facts.known.ipams.iter().map(|(ipam, origin)| format!("{origin}: {ipam}")).collect();
            reasons.unknown(subject, "who gives the pods their addresses is not known, or the sources disagree", said);
            false
        }
    }
}

pub(super) fn move_pool(facts: &Facts, old: Cidr, new: Cidr, reasons: &mut Reasons) -> Vec<Step> {
    let subject = old.to_string();
    if !is_calicos(facts, &subject, reasons) {
        return Vec::new();
    }
    let Some(pool) = pool_of(facts, old) else {
        let have: Vec<Cidr> = pools(facts).map(|pool| pool.cidr).collect();
        reasons.not_there(
            &subject,
            format!("no Calico pool has the range {old}: there are {}", list(&have)),
            Vec::new(),
        );
        return Vec::new();
    };
    check_pool(facts, pool, new, pool.block_size, &[old], reasons);
    let moved =
        Moved { pool, cidr: new, block_size: pool.block_size, name: pool_name(new), from: old, suffix: String::new() };
    let mut steps = around(facts, new, reasons);
    steps.extend(moved.steps(facts));
    steps
}

pub(super) fn block_size(facts: &Facts, length: u8, reasons: &mut Reasons) -> Vec<Step> {
    let subject = format!("/{length}");
    if !is_calicos(facts, &subject, reasons) {
        return Vec::new();
    }
    let family = if length > Family::V4.bits() { Family::V6 } else { Family::V4 };
    let shortest = family.bits() - 12;
    if length < shortest {
        let message =
            format!("a block of /{length} is none that Calico takes: /{shortest} to /{} in {family}", family.bits());
        reasons.not_taken(&subject, message);
        return Vec::new();
    }
    let other = |pool: &&Pool| pool.cidr.family() == family && pool.serves_pods() && pool.block_size != length;
    let wanting: Vec<&Pool> = pools(facts).filter(other).collect();
    let mut steps = Vec::new();
    for pool in wanting {
        if length < pool.cidr.prefix_len() {
            let message = format!("a block of /{length} is larger than the pool {} ({})", pool.name, pool.cidr);
            reasons.not_taken(&subject, message);
            continue;
        }
        let nodes = facts.nodes.len() as u128;
        let blocks = Count::power(length.saturating_sub(pool.cidr.prefix_len()));
        if blocks < Count::new(nodes) {
            let message = format!("{} holds {blocks} blocks of /{length}, and there are {nodes} nodes", pool.cidr);
            reasons.no_room(&pool.cidr.to_string(), message);
        }
        // a pool's block size cannot be changed, and pools must not overlap: its pods wait in another one
        let wanted = Wanted { prefix_len: pool.cidr.prefix_len(), count: 1, within: Vec::new() };
        let between = match free::free(facts, &wanted) {
            Ok(free) => free.items.first().map(|free| free.cidr),
            Err(error) => {
                reasons.no_room(&pool.cidr.to_string(), format!("no range for the time between: {error}"));
                None
            }
        };
        let Some(between) = between else { continue };
        let out = Moved {
            pool,
            cidr: between,
            block_size: length,
            name: pool_name(between),
            from: pool.cidr,
            suffix: format!("-{}-out", pool.name),
        };
        let temporary = Pool { name: pool_name(between), cidr: between, block_size: length, ..pool.clone() };
        let back = Moved {
            pool: &temporary,
            cidr: pool.cidr,
            block_size: length,
            name: pool.name.clone(),
            from: pool.cidr,
            suffix: format!("-{}-back", pool.name),
        };
        steps.extend(around(facts, between, reasons));
        steps.extend(out.steps(facts));
        steps.extend(back.steps(facts));
    }
    if steps.is_empty() && !reasons.refuse() {
        let message = format!("every {family} pool that serves pods has blocks of /{length} already");
        reasons.not_there(&subject, message, Vec::new());
    }
    steps
}

/// Whether the Tigera operator writes the pools: changes elsewhere are undone by it.
fn by_operator(facts: &Facts) -> bool {
    facts.ranges.iter().any(|fact| fact.origin.object == "installation default" && fact.role == Role::Pod)
}

fn pools(facts: &Facts) -> impl Iterator<Item = &Pool> {
    facts.known.calico.pools.values()
}

fn pool_of(facts: &Facts, cidr: Cidr) -> Option<&Pool> {
    pools(facts).find(|pool| pool.cidr == cidr)
}

/// What a new pool has to be.
pub(super) fn check_pool(
    facts: &Facts,
    like: &Pool,
    new: Cidr,
    block_size: u8,
    replaced: &[Cidr],
    reasons: &mut Reasons,
) {
    let subject = new.to_string();
    if new.family() != like.cidr.family() {
        reasons.not_taken(&subject, format!("{new} is not of the family of {}", like.cidr));
        return;
    }
    // the range that goes is still there while its pods move
    for old in replaced.iter().filter(|old| old.overlaps(&new)) {
        let message = format!("{new} overlaps the pool {old} that it replaces: Calico's pools may not overlap");
        reasons.not_there(&subject, message, Vec::new());
    }
    let installation = |fact: &RangeFact| replaced.contains(&fact.cidr) && fact.role == Role::Pod;
    // a range that holds the pool on the cluster's side is where it belongs
    let around = |fact: &RangeFact| {
        fact.role == Role::Pod && fact.cidr != new && fact.cidr.contains(&new) && pool_of(facts, fact.cidr).is_none()
    };
    let same_pool = |fact: &RangeFact| {
        fact.role == Role::Pod
            && fact.cidr == new
            && pool_of(facts, new).is_some_and(|pool| pool.name == pool_name(new))
    };
    reasons.overlaps(facts, new, |fact| installation(fact) || around(fact) || same_pool(fact));
    if block_size < new.prefix_len() {
        reasons.not_taken(&subject, format!("{new} is smaller than one block of /{block_size}"));
        return;
    }
    let nodes = facts.nodes.len() as u128;
    let blocks = Count::power(block_size - new.prefix_len());
    if blocks < Count::new(nodes) {
        reasons.no_room(&subject, format!("{new} holds {blocks} blocks of /{block_size}, and there are {nodes} nodes"));
    }
    if facts.complete(&resources::PODS) {
        let pods: usize = replaced.iter().map(|old| pods_inside(facts, old)).sum();
        if new.size() < Count::new(pods as u128) {
            reasons.no_room(&subject, format!("{new} has {} addresses, and {pods} pods move", new.size()));
        }
    } else {
        reasons.room_unknown(&subject, "pods could not be read: whether the range has room for them is not known");
    }
    if let Some(service) = service_ranges(facts).iter().find(|service| service.overlaps(&new)) {
        reasons.no_room(&subject, format!("{new} overlaps the service range {service}"));
    }
}

/// What else keeps the pods' range, and does not hold the new one.
pub(super) fn around(facts: &Facts, new: Cidr, reasons: &mut Reasons) -> Vec<Step> {
    let mut steps = Vec::new();
    for proxy in &facts.known.kube_proxies {
        let cidrs: Vec<Cidr> = crate::cidr::parse_list(&proxy.config.cluster_cidr)
            .into_iter()
            .filter_map(Result::ok)
            .map(|written| written.cidr)
            .filter(|cidr| cidr.family() == new.family())
            .collect();
        if cidrs.is_empty()
            || cidrs.iter().any(|cidr| cidr.contains(&new))
            || proxy.config.detect_local != DetectLocal::ClusterCidr
        {
            continue;
        }
        let message = format!(
            "kube-proxy's clusterCIDR {} does not hold {new}: traffic of its pods to Services would be masqueraded",
            list(&cidrs)
        );
        reasons.copy(&new.to_string(), message, vec![proxy.origin.to_string()]);
        if steps.is_empty() {
            steps.push(Step {
                id: format!("kube-proxy-cidr-{}", slug(&new)),
                title: format!("let kube-proxy's clusterCIDR hold {new}"),
                kind: "ConfigMap".to_owned(),
                object: proxy.origin.object.clone(),
                command: format!(
                    "edit {}: {}; then restart kube-proxy's pods one by one",
                    proxy.origin,
                    if cidrs.iter().all(|cidr| new.contains(cidr)) {
                        format!("{new} instead of {}", list(&cidrs))
                    } else {
                        format!(
                            "a range that holds {} and {new}, or none where detectLocalMode is another than ClusterCIDR",
                            list(&cidrs)
                        )
                    }
                ),
                precondition: "`kubectl proxymode` shows every kube-proxy in step with its configuration".to_owned(),
                expect: "kubectl netcidr check: no CIDR-009".to_owned(),
                undo: format!("set clusterCIDR: {} again and restart", proxy.config.cluster_cidr),
                risk: Risk::NewConnections,
                takes: format!("{} nodes, seconds each", facts.nodes.len()),
                ..Step::default()
            });
        }
    }
    steps
}

pub(super) fn pool_name(cidr: Cidr) -> String {
    format!("pods-{}", slug(&cidr))
}

/// Pods of a pool move into another one.
struct Moved<'a> {
    pool: &'a Pool,
    cidr: Cidr,
    block_size: u8,
    name: String,
    /// The range that the pods have addresses of today.
    from: Cidr,
    /// Tells the steps of several moves apart.
    suffix: String,
}

impl Moved<'_> {
    fn steps(&self, facts: &Facts) -> Vec<Step> {
        let Self { pool, cidr, name, suffix, .. } = self;
        let operator = by_operator(facts);
        let mut steps =
            vec![create_pool(facts, pool, *cidr, self.block_size, name, suffix), self.stop(facts, operator)];
        steps.extend(self.evict(facts));
        steps.push(Step {
            id: format!("empty{suffix}"),
            title: format!("see that no pod has an address of {}", pool.cidr),
            object: format!("ippool {}", pool.name),
            command: "kubectl netcidr".to_owned(),
            precondition: "every node's pods were moved; DaemonSets by kubectl rollout restart daemonset".to_owned(),
            expect: format!("{} has 0 addresses in use but the nodes' own tunnels", pool.cidr),
            undo: "nothing was changed".to_owned(),
            takes: "seconds".to_owned(),
            ..Step::default()
        });
        steps.push(Step {
            id: format!("delete-pool{suffix}"),
            title: format!("delete the pool {}", pool.name),
            kind: "IPPool".to_owned(),
            object: format!("ippool {}", pool.name),
            command: if operator {
                format!("kubectl edit installation default: take {} out of spec.calicoNetwork.ipPools", pool.cidr)
            } else {
                format!("kubectl delete ippools.crd.projectcalico.org {}", pool.name)
            },
            precondition: format!(
                "no pod has an address of {}: pods of a deleted pool lose their routes and masquerading",
                pool.cidr
            ),
            expect: "its blocks go, and the nodes take tunnel addresses of the other pool".to_owned(),
            undo: "create the pool again with the same range and block size".to_owned(),
            risk: Risk::NewConnections,
            takes: "seconds".to_owned(),
            state: done_if(pool_of(facts, pool.cidr).is_none() && suffix.is_empty()),
            ..Step::default()
        });
        steps
    }

    fn stop(&self, facts: &Facts, operator: bool) -> Step {
        let Self { pool, suffix, .. } = self;
        Step {
            id: format!("stop-old{suffix}"),
            title: format!("no new addresses out of {}", pool.cidr),
            kind: "IPPool".to_owned(),
            object: format!("ippool {}", pool.name),
            command: if operator {
                format!(
                    "kubectl edit installation default: give the pool {} of spec.calicoNetwork.ipPools nodeSelector: '!all()'",
                    pool.cidr
                )
            } else {
                patch_pool(&pool.name, &json!({"spec": {"disabled": true}}))
            },
            precondition: format!("a new pod gets an address of {}: the new pool works", self.cidr),
            expect: "pods that run keep their addresses and their traffic".to_owned(),
            undo: if operator {
                "set nodeSelector: all() again".to_owned()
            } else {
                patch_pool(&pool.name, &json!({"spec": {"disabled": false}}))
            },
            takes: "seconds".to_owned(),
            state: done_if(pool_of(facts, pool.cidr).is_some_and(|pool| pool.disabled)),
            ..Step::default()
        }
    }

    /// A step for each node that has pods of the old pool.
    fn evict(&self, facts: &Facts) -> Vec<Step> {
        let mut on: std::collections::BTreeMap<&str, usize> = std::collections::BTreeMap::new();
        for address in facts.pods.inside(&self.from) {
            if let Some(node) = facts.pods.node_of(address) {
                *on.entry(node).or_default() += 1;
            }
        }
        on.into_iter()
            .map(|(node, pods)| Step {
                id: format!("move-pods{}-{node}", self.suffix),
                title: format!("move {pods} {} of {node}", if pods == 1 { "pod" } else { "pods" }),
                kind: "Pod".to_owned(),
                object: format!("node {node}"),
                command: format!(
                    "kubectl drain {node} --ignore-daemonsets --delete-emptydir-data\nkubectl uncordon {node}"
                ),
                precondition: "every other node is Ready, and PodDisruptionBudgets allow it (drain waits for them)"
                    .to_owned(),
                expect: format!("pods that start instead have addresses of {}", self.cidr),
                undo: format!(
                    "kubectl uncordon {node}; the old pool given out again, pods get its addresses when restarted"
                ),
                risk: Risk::Downtime,
                takes: "as long as its pods take to stop and to start elsewhere".to_owned(),
                ..Step::default()
            })
            .collect()
    }
}

/// The step that makes a pool as another one is.
pub(super) fn create_pool(facts: &Facts, like: &Pool, cidr: Cidr, block_size: u8, name: &str, suffix: &str) -> Step {
    let operator = by_operator(facts);
    let there = pool_of(facts, cidr);
    let manifest = json!({
        "apiVersion": "crd.projectcalico.org/v1", "kind": "IPPool", "metadata": {"name": name},
        "spec": spec_of(like, cidr, block_size)
    });
    Step {
        id: format!("create-pool{suffix}"),
        title: format!("make a pool of {cidr} in blocks of /{block_size}"),
        kind: "IPPool".to_owned(),
        object: format!("ippool {name}"),
        command: if operator {
            format!(
                "kubectl edit installation default: add to spec.calicoNetwork.ipPools what {} has, with cidr: {cidr} and \
                 blockSize: {block_size}",
                like.cidr
            )
        } else {
            create_command(&manifest, "")
        },
        precondition:
            "nothing else uses the range, and routers outside know the way to it where pods are reached without \
                       masquerading"
                .to_owned(),
        expect: format!("kubectl netcidr shows {cidr} with 0 addresses in use, and no CIDR finding on it"),
        undo: format!("kubectl delete ippools.crd.projectcalico.org {name}, while no pod has an address of it"),
        takes: "seconds".to_owned(),
        state: done_if(there.is_some_and(|pool| pool.block_size == block_size && suffix.is_empty())),
        ..Step::default()
    }
}

fn spec_of(like: &Pool, cidr: Cidr, block_size: u8) -> Value {
    let mut spec = json!({
        "cidr": cidr.to_string(), "blockSize": block_size, "natOutgoing": like.nat_outgoing,
        "ipipMode": like.ipip_mode, "vxlanMode": like.vxlan_mode,
        "nodeSelector": if like.node_selector.is_empty() { "all()" } else { like.node_selector.as_str() },
    });
    if let (Some(spec), false) = (spec.as_object_mut(), like.namespace_selector.is_empty()) {
        spec.insert("namespaceSelector".to_owned(), json!(like.namespace_selector));
    }
    spec
}

fn patch_pool(name: &str, patch: &Value) -> String {
    format!("kubectl patch ippools.crd.projectcalico.org {name} --type=merge -p '{patch}'")
}

/// The pool of a family that others are made like: the first one that serves pods.
pub(super) fn model_pool(facts: &Facts, family: Family) -> Option<&Pool> {
    pools(facts).find(|pool| pool.cidr.family() == family && pool.serves_pods())
}

/// A step's name for a family.
pub(super) fn of_family(id: &str, family: Family) -> String {
    format!("{id}-{}", tag(family))
}
