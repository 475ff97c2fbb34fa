//! The names in a rule: its chain's, and those of what it looks at and where it leads.

use std::net::IpAddr;

use super::{Name, Names, add};
use crate::{
    iptables::{self, Match, Target, Verdict},
    nft::{self, Expr, Statement},
    owner::Owner,
};

impl Names {
    /// Learns from a node's rules which policies look into which of Calico's sets.
    pub fn learn_sets(&mut self, rules: &iptables::Ruleset) {
        for chain in rules.tables().flat_map(|table| table.chains()).filter(|chain| is_policy(chain.name())) {
            for part in chain.rules().flat_map(|rule| rule.matches()) {
                if let Match::Set(set) = part
                    && let Some(lookup) = set.lookup
                {
                    self.peers(chain.name(), lookup.value.name);
                }
            }
        }
    }

    /// The same out of Calico's own table in nftables mode.
    pub fn learn_nft_sets(&mut self, rules: &nft::Ruleset<'_>) {
        for rule in rules.rules().filter(|rule| is_policy(&rule.chain)) {
            for statement in rule.statements() {
                statement.walk(&mut |expr| {
                    if let Some(set) = expr.set_name() {
                        self.peers(&rule.chain, set);
                    }
                });
            }
        }
    }

    /// The names of a rule of iptables, its chain's first.
    pub fn of_rule(&self, rule: &iptables::Rule<'_>) -> Vec<Name> {
        let mut names = rule.chain().map(|chain| self.of_chain(chain.name())).unwrap_or_default();
        add(&mut names, self.in_rule(rule));
        names
    }

    /// The names in a rule of iptables, without those of its chain.
    pub fn in_rule(&self, rule: &iptables::Rule<'_>) -> Vec<Name> {
        let mut names = Vec::new();
        if let Verdict::Chain(jump) = rule.verdict() {
            add(&mut names, self.of_chain(jump.chain.name()));
        }
        let writes_names = matches!(rule.owner().owner, Owner::KubeProxy | Owner::Calico);
        for part in rule.matches() {
            match part {
                Match::Comment(comment) if writes_names => {
                    let text = comment.text.map(|text| text.text());
                    add(&mut names, text.into_iter().flat_map(|text| self.of_comment(&text)));
                }
                Match::Set(set) => add(&mut names, set.lookup.into_iter().flat_map(|at| self.of_set(at.value.name))),
                Match::InInterface(name) | Match::OutInterface(name) => {
                    add(&mut names, self.of_interface(name.value.0));
                }
                Match::Source(at) | Match::Destination(at) if at.value.is_host() => {
                    add(&mut names, self.of_address(at.value.ip));
                }
                _ => {}
            }
        }
        if let Some(Target::Dnat(dnat)) = rule.target()
            && let Some(to) = dnat.to.and_then(|to| to.read())
            && let Some((address, _)) = to.addresses
        {
            add(&mut names, [self.end(address, to.ports.map(|ports| ports.first))]);
        }
        names
    }

    /// The names of a rule of nftables, its chain's first.
    pub fn of_nft_rule(&self, rule: &nft::Rule<'_>) -> Vec<Name> {
        let mut names = self.of_chain(&rule.chain);
        add(&mut names, self.in_nft_rule(rule));
        names
    }

    /// The names in a rule of nftables, without those of its chain.
    pub fn in_nft_rule(&self, rule: &nft::Rule<'_>) -> Vec<Name> {
        let mut names = Vec::new();
        let writes_names = matches!(nft::of_rule(rule).owner, Owner::KubeProxy | Owner::Calico);
        if let Some(comment) = rule.comment.as_deref().filter(|_| writes_names) {
            add(&mut names, self.of_comment(comment));
        }
        for statement in rule.statements() {
            if let Statement::Verdict(verdict) = &statement {
                add(&mut names, verdict.target().into_iter().flat_map(|chain| self.of_chain(chain)));
            }
            statement.walk(&mut |expr| match expr {
                Expr::Verdict(verdict) => {
                    add(&mut names, verdict.target().into_iter().flat_map(|chain| self.of_chain(chain)));
                }
                Expr::Text(text) => {
                    if let Some(set) = text.strip_prefix('@') {
                        add(&mut names, self.of_set(set));
                    } else if let Ok(address) = text.parse::<IpAddr>() {
                        add(&mut names, self.of_address(address));
                    } else {
                        add(&mut names, self.of_interface(text));
                    }
                }
                _ => {}
            });
        }
        names
    }
}

/// Whether a chain is a policy's of Calico.
fn is_policy(chain: &str) -> bool {
    ["cali-pi-", "cali-po-"].iter().any(|prefix| chain.contains(prefix))
}
