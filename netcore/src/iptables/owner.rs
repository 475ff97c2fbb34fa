//! Whose a chain or a rule is, and why.

use super::{
    matches::Match,
    view::{Chain, Rule, Verdict},
};
use crate::owner::{Owner, Ownership, of_chain, of_comment, of_interface, of_set};

impl Chain<'_> {
    /// Whose chain this is. A chain of the kernel is nobody's: its rules have owners of their own.
    pub fn owner(&self) -> Ownership {
        if self.is_built_in() {
            return Ownership::new(Owner::Other, "a chain of the kernel; each rule in it has its own owner");
        }
        let table = self.table().and_then(|table| table.name()).unwrap_or_default();
        of_chain(table, self.name()).unwrap_or(Ownership::new(Owner::Other, "the name tells no owner"))
    }
}

impl Rule<'_> {
    /// Whose rule this is: its chain's owner; in a chain that is nobody's, what it calls, says or
    /// looks at.
    pub fn owner(&self) -> Ownership {
        let none = Ownership::new(Owner::Other, "neither its chain, its target nor its comment tells an owner");
        let Some(chain) = self.chain() else { return none };
        let table = chain.table().and_then(|table| table.name()).unwrap_or_default();
        if let Some(owner) = of_chain(table, chain.name()).filter(|_| !chain.is_built_in()) {
            return owner;
        }
        let target = match self.verdict() {
            Verdict::Chain(jump) => of_chain(table, jump.chain.name()),
            Verdict::Target(name) => of_chain(table, name),
            Verdict::None => None,
        };
        target.or_else(|| self.owner_by_conditions()).unwrap_or(none)
    }

    fn owner_by_conditions(&self) -> Option<Ownership> {
        let mut weaker = None;
        for part in self.matches() {
            match part {
                Match::Comment(comment) => {
                    if let Some(owner) = comment.text.and_then(|text| of_comment(&text.text())) {
                        return Some(owner);
                    }
                }
                Match::Set(set) => weaker = weaker.or_else(|| of_set(set.lookup?.value.name)),
                Match::InInterface(name) | Match::OutInterface(name) => {
                    weaker = weaker.or_else(|| of_interface(name.value.0));
                }
                _ => {}
            }
        }
        weaker
    }
}
