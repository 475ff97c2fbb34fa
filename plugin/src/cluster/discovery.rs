//! Which API groups the server has, so that kinds which nobody installed cost no request.

use std::collections::BTreeMap;

use netcore::cluster::Resource;
use serde::Deserialize;

/// The groups of `/apis` with their versions; nothing known where that could not be read.
#[derive(Debug, Default)]
pub(super) struct Groups(Option<BTreeMap<String, Vec<String>>>);

#[derive(Deserialize)]
struct GroupList {
    groups: Vec<Group>,
}

#[derive(Deserialize)]
struct Group {
    name: String,
    versions: Vec<Version>,
}

#[derive(Deserialize)]
struct Version {
    version: String,
}

impl Groups {
    /// Out of an `APIGroupList` in JSON.
    pub(super) fn parse(text: Option<&str>) -> Self {
        let list: Option<GroupList> = text.and_then(|text| serde_json::from_str(text).ok());
        Self(list.map(|list| {
            let versions = |group: Vec<Version>| group.into_iter().map(|version| version.version).collect();
            list.groups.into_iter().map(|group| (group.name, versions(group.versions))).collect()
        }))
    }

    /// The versions of a kind that its group has; all of them where that is not known.
    pub(super) fn served(&self, resource: &'static Resource) -> Vec<&'static str> {
        let Some(groups) = &self.0 else { return resource.versions.to_vec() };
        let Some(served) = groups.get(resource.group) else { return Vec::new() };
        resource.versions.iter().copied().filter(|version| served.iter().any(|other| other == version)).collect()
    }
}

#[cfg(test)]
mod tests {
    use netcore::cluster::resources::{CILIUM_NODES, SERVICECIDRS};

    use super::*;

    #[test]
    fn only_what_is_served_is_asked_for() {
        let apis = r#"{"kind":"APIGroupList","groups":[{"name":"networking.k8s.io",
            "versions":[{"groupVersion":"networking.k8s.io/v1beta1","version":"v1beta1"}]}]}"#;
        let groups = Groups::parse(Some(apis));
        assert_eq!(groups.served(&SERVICECIDRS), ["v1beta1"]);
        assert!(groups.served(&CILIUM_NODES).is_empty());
    }

    #[test]
    fn without_discovery_everything_is_asked_for() {
        for text in [None, Some("<html>")] {
            assert_eq!(Groups::parse(text).served(&SERVICECIDRS), ["v1", "v1beta1"]);
        }
    }
}
