//! A table's chains as a tree from its hooks. Every chain is shown once, where it is first called; long
//! chains, and the chains that one map leads to, are folded, so that a tree of any table can be read.

use super::{Selection, TableView};

/// How much of a chain is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Folding {
    /// How many rules of a chain, and how many chains of one rule.
    pub shown: usize,
}

impl Folding {
    /// For a tree that is to be looked at.
    pub const SHORT: Self = Self { shown: 10 };
    /// Everything.
    pub const NONE: Self = Self { shown: usize::MAX };
}

/// How deep a tree is drawn: the kernel stops nftables at 16, and a made-up dump must not stop us.
const DEEPEST: usize = 40;

/// A line of the tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TreeLine {
    /// For each level above whether more follows on it.
    pub guides: Vec<bool>,
    /// Whether more follows on its own level.
    pub more: bool,
    /// What stands there.
    pub what: What,
}

/// What a line is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// A chain of a hook, or one that no packet comes to.
    Chain(usize),
    /// A rule, and what is to be said of the chain that it calls.
    Rule(usize, usize, Called),
    /// A chain that a rule leads to, one of several.
    Target(usize, Called),
    /// Rules of a chain that are left out, from the first to the last, from 0.
    Rules(usize, usize, usize),
    /// So many chains that a rule leads to and that are left out.
    Targets(usize),
    /// What is deeper is left out.
    Deeper,
}

/// What is to be said of a called chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Called {
    /// Its rules follow, or there is no chain.
    Follows,
    /// It has no rules.
    Empty,
    /// It stands further up.
    Above,
    /// It is one of those that it was called from.
    Loop,
}

/// The lines of a table: from each hook's chain down; at the end, with everything asked for, the chains
/// that no packet comes to. Of a narrower selection only the ways to what is asked for are shown.
pub fn tree(view: &TableView, selection: &Selection, folding: Folding) -> Vec<TreeLine> {
    let mut drawing = Drawing {
        view,
        selection,
        folding,
        leads: leads(view, selection),
        shown: vec![false; view.chains.len()],
        open: Vec::new(),
        lines: Vec::new(),
    };
    let roots = |hooks: bool| {
        view.chains.iter().enumerate().filter(move |(_, chain)| chain.hook.is_some() == hooks).map(|(at, _)| at)
    };
    for root in roots(true).chain(roots(false)) {
        let chain = view.chains.get(root);
        let is_root = chain.is_some_and(|chain| chain.hook.is_some() || !chain.reachable);
        let done = drawing.shown.get(root) == Some(&true);
        if is_root && !done && drawing.leads.get(root) == Some(&true) {
            drawing.lines.push(TreeLine { guides: Vec::new(), more: false, what: What::Chain(root) });
            drawing.chain(root, &mut Vec::new());
        }
    }
    drawing.lines
}

/// Whether a chain or something below it is asked for.
fn leads(view: &TableView, selection: &Selection) -> Vec<bool> {
    let mut leads: Vec<bool> = (0..view.chains.len()).map(|chain| selection.has_chain(chain)).collect();
    if selection.is_all() {
        return leads;
    }
    let mut callers: Vec<Vec<usize>> = vec![Vec::new(); view.chains.len()];
    for (at, chain) in view.chains.iter().enumerate() {
        for call in chain.rules.iter().flat_map(|rule| &rule.calls) {
            if let Some(list) = callers.get_mut(*call) {
                list.push(at);
            }
        }
    }
    let mut open: Vec<usize> = (0..leads.len()).filter(|at| leads.get(*at) == Some(&true)).collect();
    while let Some(at) = open.pop() {
        for caller in callers.get(at).into_iter().flatten() {
            if let Some(mark) = leads.get_mut(*caller)
                && !std::mem::replace(mark, true)
            {
                open.push(*caller);
            }
        }
    }
    leads
}

struct Drawing<'a> {
    view: &'a TableView,
    selection: &'a Selection,
    folding: Folding,
    leads: Vec<bool>,
    shown: Vec<bool>,
    /// The chains from the hook to here.
    open: Vec<usize>,
    lines: Vec<TreeLine>,
}

impl Drawing<'_> {
    /// What stands below a chain.
    fn chain(&mut self, at: usize, guides: &mut Vec<bool>) {
        if let Some(mark) = self.shown.get_mut(at) {
            *mark = true;
        }
        let Some(chain) = self.view.chains.get(at) else { return };
        if guides.len() >= DEEPEST {
            self.lines.push(TreeLine { guides: guides.clone(), more: false, what: What::Deeper });
            return;
        }
        self.open.push(at);
        let asked: Vec<usize> = (0..chain.rules.len()).filter(|rule| self.is_on_the_way(at, *rule)).collect();
        // a fold stands for two rules or more; the last rule of a chain often decides what is left
        let fold = asked.len() > self.folding.shown.saturating_add(2);
        let hidden = if fold { self.folding.shown - 1..asked.len() - 1 } else { 0..0 };
        for (place, rule) in asked.iter().enumerate() {
            if hidden.contains(&place) {
                if place == hidden.start {
                    let last = asked.get(hidden.end - 1).copied().unwrap_or(*rule);
                    self.lines.push(TreeLine {
                        guides: guides.clone(),
                        more: true,
                        what: What::Rules(at, *rule, last),
                    });
                }
                continue;
            }
            self.rule(at, *rule, place + 1 < asked.len(), guides);
        }
        self.open.pop();
    }

    /// Whether a rule is asked for, or leads to what is.
    fn is_on_the_way(&self, chain: usize, rule: usize) -> bool {
        let calls = || self.view.chains.get(chain).and_then(|chain| chain.rules.get(rule)).map(|rule| &rule.calls);
        self.selection.has_rule(chain, rule)
            || calls().into_iter().flatten().any(|call| self.leads.get(*call) == Some(&true))
    }

    fn called(&self, chain: usize) -> Called {
        let is_empty = self.view.chains.get(chain).is_none_or(|chain| chain.rules.is_empty());
        match () {
            () if self.open.contains(&chain) => Called::Loop,
            () if is_empty => Called::Empty,
            () if self.shown.get(chain) == Some(&true) => Called::Above,
            () => Called::Follows,
        }
    }

    fn rule(&mut self, chain: usize, rule: usize, more: bool, guides: &mut Vec<bool>) {
        let calls: &[usize] =
            self.view.chains.get(chain).and_then(|chain| chain.rules.get(rule)).map_or(&[], |rule| &rule.calls);
        let line = |guides: &[bool], more, what| TreeLine { guides: guides.to_vec(), more, what };
        match calls {
            [] => self.lines.push(line(guides, more, What::Rule(chain, rule, Called::Follows))),
            [one] => {
                let called = self.called(*one);
                self.lines.push(line(guides, more, What::Rule(chain, rule, called)));
                if called == Called::Follows {
                    guides.push(more);
                    self.chain(*one, guides);
                    guides.pop();
                }
            }
            many => {
                self.lines.push(line(guides, more, What::Rule(chain, rule, Called::Follows)));
                let wanted: Vec<usize> =
                    many.iter().copied().filter(|call| self.leads.get(*call) == Some(&true)).collect();
                let fold = wanted.len() > self.folding.shown.saturating_add(1);
                let shown = if fold { self.folding.shown } else { wanted.len() };
                guides.push(more);
                for (place, target) in wanted.iter().take(shown).enumerate() {
                    let called = self.called(*target);
                    let more = fold || place + 1 < wanted.len();
                    self.lines.push(line(guides, more, What::Target(*target, called)));
                    if called == Called::Follows {
                        guides.push(more);
                        self.chain(*target, guides);
                        guides.pop();
                    }
                }
                if fold {
                    self.lines.push(line(guides, false, What::Targets(wanted.len() - shown)));
                }
                guides.pop();
            }
        }
    }
}
