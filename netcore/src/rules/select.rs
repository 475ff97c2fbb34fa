//! Which rules of a table are asked for.

use super::{ChainView, TableView};
use crate::owner::Owner;

/// What is asked for; everything where nothing is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Only tables of that name.
    pub table: Option<String>,
    /// Only chains of that name; `*` stands for anything.
    pub chain: Option<String>,
    /// Only rules of that owner.
    pub owner: Option<Owner>,
    /// Only what is of that Service: `[NAMESPACE/]NAME[:PORT]`.
    pub service: Option<String>,
    /// Only what is of that pod: `[NAMESPACE/]NAME`.
    pub pod: Option<String>,
}

impl Filter {
    /// Whether a table of that name may have what is asked for.
    pub fn has_table(&self, table: Option<&str>) -> bool {
        self.table.as_deref().is_none_or(|wanted| table == Some(wanted))
    }

    /// Whether single rules are asked for, beside whole tables.
    pub fn is_narrow(&self) -> bool {
        self.chain.is_some() || self.owner.is_some() || self.service.is_some() || self.pod.is_some()
    }

    fn names_what(&self, names: &[crate::names::Name]) -> bool {
        names.iter().any(|name| {
            self.service.as_deref().is_some_and(|wanted| name.is_service(wanted))
                || self.pod.as_deref().is_some_and(|wanted| name.is_pod(wanted))
        })
    }
}

/// The rules of a table that are asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selection {
    /// Per chain, per rule.
    rules: Vec<Vec<bool>>,
    /// Chains that are asked for themselves, be they empty.
    chains: Vec<bool>,
    /// Whether everything is.
    all: bool,
    missing: Option<String>,
}

impl Selection {
    /// What `filter` asks for. A Service or a pod has its own chains with all that they lead to, and the
    /// rules elsewhere that speak of it; another filter just its own rules.
    pub fn of(filter: &Filter, view: &TableView) -> Self {
        let all = !filter.is_narrow();
        let chains = vec![all; view.chains.len()];
        let rules = view.chains.iter().map(|chain| vec![all; chain.rules.len()]).collect();
        let mut selection = Self { rules, chains, all, missing: filter.chain.clone() };
        if all {
            return selection;
        }
        let by_name = filter.service.is_some() || filter.pod.is_some();
        let below = if by_name { below(filter, view) } else { Vec::new() };
        for (at, chain) in view.chains.iter().enumerate() {
            let fits = filter.chain.as_deref().is_none_or(|wanted| fits(wanted, &chain.name));
            let below = below.get(at) == Some(&true);
            let mut any = false;
            for (index, rule) in chain.rules.iter().enumerate() {
                let named = !by_name || below || filter.names_what(&rule.names);
                let owned = filter.owner.is_none_or(|owner| rule.owner == owner);
                if fits && named && owned {
                    any = true;
                    if let Some(slot) = selection.rules.get_mut(at).and_then(|rules| rules.get_mut(index)) {
                        *slot = true;
                    }
                }
            }
            let own = fits && (!by_name || below) && filter.owner.is_none_or(|owner| chain.owner == owner);
            if let Some(slot) = selection.chains.get_mut(at) {
                *slot = any || own;
            }
        }
        selection
    }

    /// Whether the chain, or a rule of it, is asked for.
    pub fn has_chain(&self, chain: usize) -> bool {
        self.chains.get(chain) == Some(&true)
    }

    /// Whether the rule is asked for; both from 0.
    pub fn has_rule(&self, chain: usize, rule: usize) -> bool {
        self.rules.get(chain).and_then(|rules| rules.get(rule)) == Some(&true)
    }

    /// Whether a chain that is not there is asked for.
    pub fn has_missing(&self, chain: &str) -> bool {
        self.all || self.missing.as_deref().is_some_and(|wanted| fits(wanted, chain))
    }

    /// Whether everything is asked for.
    pub const fn is_all(&self) -> bool {
        self.all
    }

    /// How many rules are asked for.
    pub fn rules(&self) -> usize {
        self.rules.iter().flatten().filter(|asked| **asked).count()
    }

    /// Whether nothing is asked for.
    pub fn is_empty(&self) -> bool {
        !self.all && !self.chains.contains(&true)
    }
}

/// The chains of what is named, and those that they lead to.
fn below(filter: &Filter, view: &TableView) -> Vec<bool> {
    let mut below = vec![false; view.chains.len()];
    let named = |chain: &ChainView| filter.names_what(&chain.names);
    let mut open: Vec<usize> =
        view.chains.iter().enumerate().filter(|(_, chain)| named(chain)).map(|(at, _)| at).collect();
    while let Some(at) = open.pop() {
        let Some(mark) = below.get_mut(at) else { continue };
        if !std::mem::replace(mark, true) {
            open.extend(view.chains.get(at).iter().flat_map(|chain| &chain.rules).flat_map(|rule| &rule.calls));
        }
    }
    below
}

/// Whether a name is of a pattern in which `*` stands for anything.
fn fits(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|first| name.strip_prefix(first)) else { return false };
    let parts: Vec<&str> = parts.collect();
    let Some((last, middle)) = parts.split_last() else { return rest.is_empty() };
    for part in middle {
        match rest.find(part) {
            Some(at) => rest = rest.get(at + part.len()..).unwrap_or_default(),
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        for (pattern, name, expected) in [
            ("KUBE-SVC-*", "KUBE-SVC-A", true),
            ("KUBE-SVC-*", "KUBE-SVL-A", false),
            ("KUBE-SVC-A", "KUBE-SVC-A", true),
            ("KUBE-SVC-A", "KUBE-SVC-AB", false),
            ("*pi-*shop*", "cali-pi-np/shop/a", true),
            ("*", "", true),
            ("a*a", "a", false),
            ("a*b*c", "a-b-b-c", true),
        ] {
            assert_eq!(fits(pattern, name), expected, "{pattern} {name}");
        }
    }
}
