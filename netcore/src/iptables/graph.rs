//! Who calls whom: the chains of a table as a graph.

use super::view::{Chain, Rule, Table};

/// The calls between the chains of one table. Chains are named by their place in it, from 0.
#[derive(Clone, Debug, Default)]
pub struct Graph {
    first: u32,
    /// Per chain where its calls start in `callees`, and one more.
    starts: Vec<u32>,
    callees: Vec<u32>,
    /// Per chain where its callers start in `callers`, and one more.
    caller_starts: Vec<u32>,
    /// Rules that call, by the chain that they call.
    callers: Vec<u32>,
    reachable: Vec<bool>,
    loops: Vec<Vec<u32>>,
    depth: Option<usize>,
}

impl Graph {
    /// Follows every `-j` and `-g` of a table. Takes time in proportion to its chains and rules.
    pub fn of(table: Table<'_>) -> Self {
        let numbers = table.chain_numbers();
        let count = numbers.len();
        let mut graph = Self { first: numbers.start, ..Self::default() };
        graph.starts.reserve_exact(count + 1);
        graph.starts.push(0);
        let mut caller_starts = vec![0_u32; count + 1];
        for chain in table.chains() {
            for rule in chain.rules() {
                if let Some((callee, _)) = rule.record().goal.to_chain() {
                    let callee = callee.saturating_sub(graph.first);
                    graph.callees.push(callee);
                    if let Some(slot) = caller_starts.get_mut(callee as usize + 1) {
                        *slot += 1;
                    }
                }
            }
            graph.starts.push(length(&graph.callees));
        }
        let mut sum = 0;
        for slot in &mut caller_starts {
            sum += *slot;
            *slot = sum;
        }
        graph.callers = vec![0; graph.callees.len()];
        let mut next = caller_starts.clone();
        for chain in table.chains() {
            for rule in chain.rules() {
                let Some((callee, _)) = rule.record().goal.to_chain() else { continue };
                let Some(slot) = next.get_mut(callee.saturating_sub(graph.first) as usize) else { continue };
                if let Some(caller) = graph.callers.get_mut(*slot as usize) {
                    *caller = rule.index;
                }
                *slot += 1;
            }
        }
        graph.caller_starts = caller_starts;
        let roots: Vec<u32> =
            (0..).zip(table.chains()).filter(|(_, chain)| chain.is_built_in()).map(|(place, _)| place).collect();
        graph.search(&roots, count);
        graph
    }

    fn callees(&self, place: u32) -> &[u32] {
        let at = |index: usize| self.starts.get(index).copied().unwrap_or_default() as usize;
        self.callees.get(at(place as usize)..at(place as usize + 1)).unwrap_or_default()
    }

    /// Depth first, without recursion: what the hooks reach, how deep, and which chains call
    /// themselves in the end (strongly connected components, after Tarjan).
    fn search(&mut self, roots: &[u32], count: usize) {
        let mut walk = Walk::new(count);
        for root in roots {
            walk.from(*root, self);
        }
        self.reachable = walk.order.iter().map(|order| *order != 0).collect();
        let in_loops = walk.loops.len();
        self.depth = roots.iter().filter_map(|root| walk.depth.get(*root as usize)).max().map(|depth| *depth as usize);
        for place in 0..u32::try_from(count).unwrap_or(u32::MAX) {
            walk.from(place, self);
        }
        if in_loops > 0 {
            self.depth = None;
        }
        self.loops = walk.loops;
        for chain in &mut self.loops {
            chain.sort_unstable();
        }
    }

    fn place(&self, chain: Chain<'_>) -> u32 {
        chain.index.saturating_sub(self.first)
    }

    /// The rules that call a chain.
    pub fn callers<'a>(&self, chain: Chain<'a>) -> impl Iterator<Item = Rule<'a>> {
        let place = self.place(chain) as usize;
        let at = |index: usize| self.caller_starts.get(index).copied().unwrap_or_default() as usize;
        let rules = self.callers.get(at(place)..at(place + 1)).unwrap_or_default();
        rules.iter().filter_map(move |rule| Rule::at(chain.set, *rule))
    }

    /// The chains that a chain calls, in the order of its rules; one that is called twice comes twice.
    pub fn calls<'a>(&self, chain: Chain<'a>) -> impl Iterator<Item = Chain<'a>> {
        let first = self.first;
        self.callees(self.place(chain)).iter().filter_map(move |place| Chain::at(chain.set, first + place))
    }

    /// Whether a packet can come to a chain from a hook.
    pub fn is_reachable(&self, chain: Chain<'_>) -> bool {
        self.reachable.get(self.place(chain) as usize).copied().unwrap_or_default()
    }

    /// The chains that no packet can come to.
    pub fn unreachable<'a>(&self, table: Table<'a>) -> impl Iterator<Item = Chain<'a>> {
        table.chains().filter(|chain| !self.is_reachable(*chain))
    }

    /// Groups of chains that call each other in a circle, which the kernel refuses to load.
    pub fn loops<'a>(&self, table: Table<'a>) -> impl Iterator<Item = Vec<Chain<'a>>> {
        let first = self.first;
        self.loops
            .iter()
            .map(move |group| group.iter().filter_map(|place| Chain::at(table.set, first + place)).collect())
    }

    /// How many chains deep a packet can come, the hook's own chain included; nothing where chains call
    /// each other in a circle, or no hook is known.
    pub fn depth(&self) -> Option<usize> {
        self.depth
    }

    /// The chain with the most rules; the first of several.
    pub fn longest<'a>(&self, table: Table<'a>) -> Option<Chain<'a>> {
        table.chains().reduce(|longest, chain| if chain.len() > longest.len() { chain } else { longest })
    }
}

fn length(list: &[u32]) -> u32 {
    u32::try_from(list.len()).unwrap_or(u32::MAX)
}

/// The state of the search; all numbers are places of chains.
struct Walk {
    /// When a chain was met, from 1; 0 for one that was not.
    order: Vec<u32>,
    low: Vec<u32>,
    open: Vec<bool>,
    depth: Vec<u32>,
    met: u32,
    stack: Vec<u32>,
    loops: Vec<Vec<u32>>,
}

impl Walk {
    fn new(count: usize) -> Self {
        Self {
            order: vec![0; count],
            low: vec![0; count],
            open: vec![false; count],
            depth: vec![1; count],
            met: 0,
            stack: Vec::new(),
            loops: Vec::new(),
        }
    }

    fn meet(&mut self, place: u32) {
        self.met += 1;
        let at = place as usize;
        if let (Some(order), Some(low), Some(open)) =
            (self.order.get_mut(at), self.low.get_mut(at), self.open.get_mut(at))
        {
            (*order, *low, *open) = (self.met, self.met, true);
        }
        self.stack.push(place);
    }

    fn from(&mut self, root: u32, graph: &Graph) {
        let of = |list: &[u32], place: u32| list.get(place as usize).copied().unwrap_or_default();
        if of(&self.order, root) != 0 {
            return;
        }
        self.meet(root);
        let mut frames = vec![(root, 0_usize)];
        while let Some((place, next)) = frames.last_mut() {
            let place = *place;
            if let Some(callee) = graph.callees(place).get(*next).copied() {
                *next += 1;
                if of(&self.order, callee) == 0 {
                    self.meet(callee);
                    frames.push((callee, 0));
                } else if self.open.get(callee as usize) == Some(&true) {
                    let low = of(&self.order, callee);
                    lower(&mut self.low, place, low);
                } else {
                    let depth = of(&self.depth, callee) + 1;
                    raise(&mut self.depth, place, depth);
                }
                continue;
            }
            frames.pop();
            if of(&self.low, place) == of(&self.order, place) {
                self.close(place, graph);
            }
            if let Some((caller, _)) = frames.last().copied() {
                let (low, depth) = (of(&self.low, place), of(&self.depth, place) + 1);
                lower(&mut self.low, caller, low);
                raise(&mut self.depth, caller, depth);
            }
        }
    }

    /// A group is whole: everything on the stack down to `place`.
    fn close(&mut self, place: u32, graph: &Graph) {
        let mut group = Vec::new();
        while let Some(member) = self.stack.pop() {
            if let Some(open) = self.open.get_mut(member as usize) {
                *open = false;
            }
            group.push(member);
            if member == place {
                break;
            }
        }
        if group.len() > 1 || graph.callees(place).contains(&place) {
            self.loops.push(group);
        }
    }
}

fn lower(list: &mut [u32], place: u32, value: u32) {
    if let Some(slot) = list.get_mut(place as usize) {
        *slot = (*slot).min(value);
    }
}

fn raise(list: &mut [u32], place: u32, value: u32) {
    if let Some(slot) = list.get_mut(place as usize) {
        *slot = (*slot).max(value);
    }
}
