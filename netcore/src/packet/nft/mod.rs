//! A packet in the chains of nftables.

mod rule;
mod value;

use std::{cell::RefCell, collections::HashMap, rc::Rc};

use rule::{Flow, follow};

use super::{
    chains::MOST_WAYS,
    conditions::Surroundings,
    journey::{Ending, Journey},
    model::Hook,
};
use crate::{
    cidr::Family,
    nft::{self, ElementIndex},
};

/// The kernel jumps no deeper.
const DEEPEST: usize = 16;
/// How many rules one packet meets in one base chain before it is given up.
const MOST_STEPS: usize = 1_000_000;

/// A chain that a hook calls.
pub(super) struct Base<'a> {
    chain: &'a nft::Chain<'a>,
    hook: Hook,
    priority: i32,
    rules: bool,
}

impl Base<'_> {
    pub(super) const fn has_rules(&self) -> bool {
        self.rules
    }

    /// Whether a change in it makes the kernel look for another route.
    pub(super) fn reroutes(&self) -> bool {
        self.chain.kind.as_deref() == Some("route")
    }

    fn ending(&self) -> Ending {
        if self.chain.policy.as_deref() == Some("drop") { Ending::Drop } else { Ending::Pass }
    }
}

type Place<'a> = (nft::Family, &'a str, &'a str);

/// The chains of a rule set.
pub(super) struct Native<'a> {
    ruleset: &'a nft::Ruleset<'a>,
    /// Numbers of `chains`.
    numbers: HashMap<Place<'a>, usize>,
    chains: Vec<(&'a str, Vec<&'a nft::Rule<'a>>)>,
    bases: Vec<Base<'a>>,
    sets: RefCell<HashMap<Place<'a>, Rc<ElementIndex<'a>>>>,
    /// Whether the dump has a fault: something of it may be missing.
    cut: bool,
}

impl<'a> Native<'a> {
    /// Without the tables that are known better from elsewhere.
    pub(super) fn new(ruleset: &'a nft::Ruleset<'a>, hidden: impl Fn(nft::Family, &str) -> bool) -> Self {
        let mut numbers: HashMap<Place<'a>, usize> = HashMap::new();
        let mut chains: Vec<(&'a str, Vec<&'a nft::Rule<'a>>)> = Vec::new();
        let listed = ruleset.chains().map(|chain| (chain.family, &*chain.table, &*chain.name, None));
        let ruled = ruleset.rules().map(|rule| (rule.family, &*rule.table, &*rule.chain, Some(rule)));
        for (family, table, name, rule) in listed.chain(ruled) {
            let number = *numbers.entry((family, table, name)).or_insert_with(|| {
                chains.push((name, Vec::new()));
                chains.len() - 1
            });
            if let Some((_, rules)) = chains.get_mut(number) {
                rules.extend(rule);
            }
        }
        let dormant = |chain: &nft::Chain<'_>| {
            let mut tables = ruleset.tables();
            let table = tables.find(|table| (table.family, &table.name) == (chain.family, &chain.table));
            table.and_then(|table| table.flags.as_ref()).is_some_and(|flags| match flags {
                nft::Expr::List(all) => all.iter().any(|flag| flag.text() == Some("dormant")),
                flag => flag.text() == Some("dormant"),
            })
        };
        // what is registered later is called earlier, of those of one priority
        let bases = ruleset.chains().filter_map(|chain| {
            let hook = Hook::named(chain.hook.as_deref()?)?;
            let number = numbers.get(&(chain.family, &*chain.table, &*chain.name));
            let has = number.and_then(|number| chains.get(*number)).is_some_and(|(_, rules)| !rules.is_empty());
            let shown = !hidden(chain.family, &chain.table) && !dormant(chain);
            shown.then(|| Base { chain, hook, priority: chain.prio.unwrap_or_default(), rules: has })
        });
        let mut bases: Vec<Base<'a>> = bases.collect();
        bases.reverse();
        Self { ruleset, numbers, chains, bases, sets: RefCell::default(), cut: !ruleset.problems.is_empty() }
    }

    /// The chains that a hook calls: priority, number, and whether it translates.
    pub(super) fn bases(&self, family: Family, hook: Hook) -> Vec<(i32, usize, bool)> {
        let own = match family {
            Family::V4 => nft::Family::Ip,
            Family::V6 => nft::Family::Ip6,
        };
        let fits = |base: &Base<'_>| base.hook == hook && [own, nft::Family::Inet].contains(&base.chain.family);
        let all = self.bases.iter().enumerate().filter(|(_, base)| fits(base));
        all.map(|(at, base)| (base.priority, at, base.chain.kind.as_deref() == Some("nat"))).collect()
    }

    pub(super) fn base(&self, number: usize) -> Option<&Base<'a>> {
        self.bases.get(number)
    }

    fn chain(&self, family: nft::Family, table: &str, chain: &str) -> Option<&(&'a str, Vec<&'a nft::Rule<'a>>)> {
        self.chains.get(*self.numbers.get(&(family, table, chain))?)
    }

    /// A chain's name as the dump holds it.
    fn chain_name(&self, family: nft::Family, table: &str, chain: &str) -> Option<&'a str> {
        self.chain(family, table, chain).map(|(name, _)| *name)
    }

    fn set(&self, family: nft::Family, table: &str, name: &str) -> Option<(&'a nft::Set<'a>, Rc<ElementIndex<'a>>)> {
        let set = self.ruleset.set(family, table, name)?;
        let key = (set.family, &*set.table, &*set.name);
        let known = self.sets.borrow().get(&key).map(Rc::clone);
        let index = known.unwrap_or_else(|| {
            let index = Rc::new(ElementIndex::new(set));
            self.sets.borrow_mut().insert(key, Rc::clone(&index));
            index
        });
        Some((set, index))
    }

    /// Sends a packet through a base chain.
    pub(super) fn run(
        &self,
        base: usize,
        hook: Hook,
        journey: Journey<'a>,
        around: &Surroundings<'_, 'a>,
    ) -> Vec<(Journey<'a>, Ending)> {
        let Some(base) = self.base(base) else { return vec![(journey, Ending::Pass)] };
        let chain = base.chain;
        let first = Frame { chain: &chain.name, next: 0 };
        let mut open = vec![Run { journey, frames: vec![first] }];
        let mut done = Vec::new();
        let mut steps = 0;
        while let Some(run) = open.pop() {
            self.advance(base, run, hook, around, &mut open, &mut done, &mut steps);
            if done.len() + open.len() > MOST_WAYS {
                let why = format!("more than {MOST_WAYS} ways in one chain");
                done.extend(open.drain(..).rev().map(|run| (run.journey, Ending::Unknown(why.clone().into()))));
            }
        }
        done
    }

    /// One way up to where it parts or ends.
    #[expect(clippy::too_many_arguments, reason = "each is one thing of the walk")]
    fn advance(
        &self,
        base: &Base<'a>,
        mut run: Run<'a>,
        hook: Hook,
        around: &Surroundings<'_, 'a>,
        open: &mut Vec<Run<'a>>,
        done: &mut Vec<(Journey<'a>, Ending)>,
        steps: &mut usize,
    ) {
        let (family, table) = (base.chain.family, &*base.chain.table);
        loop {
            let Some(frame) = run.frames.last_mut() else {
                done.push((run.journey, base.ending()));
                return;
            };
            let Some((_, rules)) = self.chain(family, table, frame.chain) else {
                let why = format!("the chain {} is not in the dump", frame.chain);
                done.push((run.journey, Ending::Unknown(why.into())));
                return;
            };
            let Some(rule) = rules.get(frame.next).copied() else {
                if self.cut {
                    let why = format!("the nft dump has faults, and the chain {} may have more rules", frame.chain);
                    done.push((run.journey, Ending::Unknown(why.into())));
                    return;
                }
                run.frames.pop();
                continue;
            };
            frame.next += 1;
            let place = frame.next;
            *steps += 1;
            if *steps > MOST_STEPS {
                let why = format!("more than {MOST_STEPS} rules are met in one chain");
                done.push((run.journey, Ending::Unknown(why.into())));
                return;
            }
            run.journey.tally.add(nft::of_rule(rule).owner, 1);
            let ways = follow(self, rule, place, run.journey, hook, around);
            let frames = run.frames;
            let mut parts = ways.into_iter().filter_map(|(journey, flow)| {
                let mut run = Run { journey, frames: frames.clone() };
                match run.go(flow) {
                    Some(ending) => {
                        done.push((run.journey, ending));
                        None
                    }
                    None => Some(run),
                }
            });
            let first = parts.next();
            let mut rest: Vec<_> = parts.collect();
            rest.reverse();
            open.extend(rest);
            match first {
                Some(first) => run = first,
                None => return,
            }
        }
    }
}

/// One packet in a base chain.
struct Run<'a> {
    journey: Journey<'a>,
    frames: Vec<Frame<'a>>,
}

#[derive(Clone)]
struct Frame<'a> {
    chain: &'a str,
    next: usize,
}

impl<'a> Run<'a> {
    /// Goes where a rule leads; the ending where that is one.
    fn go(&mut self, flow: Flow<'a>) -> Option<Ending> {
        match flow {
            Flow::Next => None,
            Flow::Return => {
                self.frames.pop();
                None
            }
            Flow::End(ending) => Some(ending),
            Flow::Jump(chain) | Flow::Goto(chain) => {
                if matches!(flow, Flow::Goto(_)) {
                    self.frames.pop();
                }
                if self.frames.len() >= DEEPEST || self.frames.iter().any(|frame| frame.chain == chain) {
                    let names: Vec<&str> = self.frames.iter().map(|frame| frame.chain).collect();
                    return Some(Ending::Unknown(
                        format!("chains call each other in a circle, or too deep: {} → {chain}", names.join(" → "))
                            .into(),
                    ));
                }
                self.frames.push(Frame { chain, next: 0 });
                None
            }
        }
    }
}
