//! `IPAMBlock`, `BlockAffinity`, `IPAMConfig` (`IPAMConfiguration`), `IPReservation`: what is given
//! out of the pools, and by which rules.

use serde_json::Value;

use super::{Calico, Twice};
use crate::{
    calico::{self, AllocationKind, IpamSettings},
    cidr::{parse_ip, parse_list},
    cluster::{resources, wire},
    ranges::{Confidence, Facts, Given, Origin, Source, Want, sources::Ipam},
};

/// The blocks in both API groups.
pub(in crate::ranges) static BLOCKS: Twice =
    Twice { api: &resources::CALICO_IPAMBLOCKS_V3, storage: &resources::CALICO_IPAMBLOCKS_V1 };
/// The affinities in both API groups.
static AFFINITIES: Twice =
    Twice { api: &resources::CALICO_BLOCKAFFINITIES_V3, storage: &resources::CALICO_BLOCKAFFINITIES_V1 };
/// The settings in both API groups, which name the kind differently.
pub(in crate::ranges) static SETTINGS: Twice =
    Twice { api: &resources::CALICO_IPAMCONFIGURATIONS_V3, storage: &resources::CALICO_IPAMCONFIGS_V1 };
/// The reservations in both API groups.
static RESERVATIONS: Twice =
    Twice { api: &resources::CALICO_IPRESERVATIONS_V3, storage: &resources::CALICO_IPRESERVATIONS_V1 };

/// Calico's address management.
pub struct CalicoIpam;

impl Source for CalicoIpam {
    fn name(&self) -> &'static str {
        "calico-ipam"
    }

    fn wants(&self, facts: &Facts) -> Vec<Want> {
        let calico = &facts.known.calico;
        let mut wants = BLOCKS.wants(facts, !calico.blocks.by_cidr.is_empty());
        wants.extend(AFFINITIES.wants(facts, !calico.affinities.is_empty()));
        wants.extend(SETTINGS.wants(facts, calico.settings.is_some()));
        wants.extend(RESERVATIONS.wants(facts, !calico.reserved.is_empty()));
        wants
    }

    fn take(&self, given: Given<'_>, facts: &mut Facts) {
        if let Given::Pod(pod) = given {
            take_leaving(pod, &mut facts.known.calico);
        }
        let Given::Object(resource, object) = given else { return };
        if BLOCKS.is(resource) {
            if let Err(error) = calico::block(object, &mut facts.known.calico.blocks) {
                facts.problem(&format!("ipamblock {}", super::name(object)), format!("spec.cidr: {error}"));
            }
        } else if AFFINITIES.is(resource) {
            match calico::affinity(object) {
                Ok(Some(affinity)) => {
                    facts.known.calico.affinities.insert(super::name(object).to_owned(), affinity);
                }
                Ok(None) => {}
                Err(error) => {
                    facts.problem(&format!("blockaffinity {}", super::name(object)), format!("spec.cidr: {error}"));
                }
            }
        } else if SETTINGS.is(resource) {
            take_settings(object, &resource.kind.to_ascii_lowercase(), &mut facts.known.calico);
        } else if RESERVATIONS.is(resource) {
            take_reservation(object, facts);
        } else {
            return;
        }
        facts.known.calico.seen(|| format!("{} {}", resource.kind.to_ascii_lowercase(), super::name(object)));
    }

    fn finish(&self, facts: &mut Facts) {
        for kind in [&BLOCKS, &AFFINITIES, &SETTINGS, &RESERVATIONS] {
            kind.settle(facts);
        }
        // tunnels alone prove nothing: they may be left over, and Windows sets addresses aside itself
        let of_pods = facts.known.calico.blocks.by_cidr.values().find(|block| {
            block.allocations.iter().any(|a| matches!(a.kind, AllocationKind::Pod | AllocationKind::OtherPod))
        });
        if let Some(block) = of_pods {
            let object = format!("ipamblock {}", block.cidr);
            facts.known.says_ipam(Ipam::Calico, Origin::new(self.name(), Confidence::A, object, "spec.allocations"));
        }
    }

    fn applies(&self, facts: &Facts) -> Option<String> {
        facts.known.calico.sign.clone()
    }
}

fn take_leaving(pod: &wire::Pod, calico: &mut Calico) {
    let leaving = pod.metadata.as_ref().is_some_and(|meta| meta.deletion_timestamp.is_some());
    let Some(status) = pod.status.as_ref().filter(|_| leaving) else { return };
    let texts = std::iter::once(&status.pod_ip).chain(status.pod_ips.iter().map(|ip| &ip.ip));
    calico.leaving.extend(texts.filter_map(|text| parse_ip(text).ok()).map(|(ip, _)| ip));
}

fn take_settings(object: &Value, kind: &str, calico: &mut Calico) {
    if super::name(object) != "default" {
        return;
    }
    let flag = |path| object.pointer(path).and_then(Value::as_bool).unwrap_or_default();
    calico.settings = Some(IpamSettings {
        object: format!("{kind} default"),
        strict_affinity: flag("/spec/strictAffinity"),
        max_blocks_per_host: object.pointer("/spec/maxBlocksPerHost").and_then(Value::as_u64).unwrap_or_default(),
    });
}

fn take_reservation(object: &Value, facts: &mut Facts) {
    for (i, text) in super::strings(object, "/spec/reservedCIDRs").into_iter().enumerate() {
        for entry in parse_list(text) {
            match entry {
                Ok(written) => facts.known.calico.reserved.extend([written.range]),
                Err(error) => {
                    let object = format!("ipreservation {}", super::name(object));
                    facts.problem(&object, format!("spec.reservedCIDRs[{i}]: {error}"));
                }
            }
        }
    }
}
