//! The service ranges as the API server tells them when it is asked to create a Service that it does
//! not keep: by the text with which it refuses an address outside of them, or, where the text names no
//! range, by which addresses it takes.
//!
//! From 1.33 on such a request is judged by one `ServiceCIDR` that the server picks by chance, and the
//! chances are uneven: of two, one may be picked once in eight times. So every question whose answer
//! depends on the pick is asked again and again, and a single success counts for more than refusals.

use std::{collections::BTreeSet, net::IpAddr};

use serde::{Deserialize, Serialize};

use super::{Confidence, Facts, Origin, RangeFact, Role};
use crate::{
    cidr::{Cidr, Family, parse_cidr},
    finding::Unreadable,
};

/// The source's name.
pub const SOURCE: &str = "service-range-probe";

/// Answers in a row that must tell nothing new, from a server that picks among several ranges.
const SAMPLES: u32 = 32;
/// How often an address must be refused where several ranges are known to be picked from, and where
/// only one was ever seen.
const REFUSALS: (u32, u32) = (40, 4);
/// Requests for one family, at most.
const BUDGET: u32 = 1000;
/// The widest ranges that are looked for.
const WIDEST: [(Family, u8); 2] = [(Family::V4, 8), (Family::V6, 64)];
/// The bitmap of old releases covers only so much of an IPv6 range.
const BITMAP: u8 = 112;

/// A Service to be created with dry-run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// Without an address, of this family alone.
    Unnamed(Family),
    /// With this address.
    Named(IpAddr),
}

/// What the server answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It would create the Service, with this address.
    Accepted(Option<IpAddr>),
    /// It refuses the Service, in these words.
    Refused(String),
    /// It did not get as far: no permission, a webhook's refusal, no connection.
    Failed(String),
}

/// A range that the server has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Found {
    /// The range.
    pub cidr: Cidr,
    /// As the server writes it.
    pub text: String,
    /// What was asked, and what the answer was.
    pub field: String,
    /// The server's own text names it; else it was searched for.
    pub named: bool,
    /// It may be larger.
    pub lower_bound: bool,
}

/// What the probe found out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// The ranges.
    pub found: Vec<Found>,
    /// What could not be found out, and why.
    pub notes: Vec<String>,
}

/// What a refusal says.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Refusal {
    Range(Cidr),
    Outside,
    NotConfigured,
    NotReady,
    Other,
}

/// The range that a refusal names, of any version that does.
pub fn named_range(message: &str) -> Option<Cidr> {
    let (_, rest) = message.rsplit_once("valid IPs is ")?;
    let text = rest.split_whitespace().next()?.trim_matches(|c: char| !c.is_ascii_hexdigit() && c != ':');
    parse_cidr(text).ok().map(|written| written.cidr)
}

/// Reads a refusal in the words of any release.
fn read_refusal(message: &str) -> Refusal {
    if let Some(cidr) = named_range(message) {
        return Refusal::Range(cidr);
    }
    let says = |text: &str| message.contains(text);
    if says("not configured on this cluster") || says("not configured for") {
        Refusal::NotConfigured
    } else if says("allocator not ready") {
        Refusal::NotReady
    } else if says("not in the valid range") || says("does not match the current range") {
        Refusal::Outside
    } else {
        Refusal::Other
    }
}

/// The questions, one after the other, each made of the answers so far.
#[derive(Debug)]
pub struct ServiceProbe {
    several: bool,
    families: Vec<Family>,
    now: Option<Stage>,
    asked: u32,
    outcome: Outcome,
}

/// Where the probe is within a family.
#[derive(Debug)]
enum Stage {
    /// An address that no range has, so that the refusal names the range.
    Refusal { family: Family, idle: u32, unready: u32 },
    /// No address, so that the answer is a range's first.
    Bases { family: Family, idle: u32, bases: BTreeSet<IpAddr> },
    /// Which lengths the range at `search.base` may have.
    Search { search: Search, bases: Vec<IpAddr>, several: bool },
}

/// A binary search for a length: the range is not wider than `from`, nor narrower than `to`, unless it
/// has no address that can be asked for (then `to` is one more than the longest).
#[derive(Debug)]
struct Search {
    base: IpAddr,
    from: u8,
    to: u8,
    refused: u32,
}

impl Search {
    fn new(base: IpAddr) -> Self {
        let family = Family::of(base);
        Self { base, from: widest(base), to: longest(family) + 1, refused: 0 }
    }

    fn length(&self) -> u8 {
        self.from.midpoint(self.to)
    }

    /// The first address of the upper half of the prefix: inside a range that is no narrower, outside
    /// of one that is.
    fn address(&self) -> IpAddr {
        let family = Family::of(self.base);
        let half = 1_u128 << (family.bits() - self.length() - 1);
        family.address(Cidr::host(self.base).first_number() | half)
    }
}

/// The longest prefix that has an address to ask for: a network's first is never given out, nor the
/// last of IPv4.
fn longest(family: Family) -> u8 {
    match family {
        Family::V4 => 30,
        Family::V6 => 127,
    }
}

/// The widest prefix that can begin at an address.
fn widest(base: IpAddr) -> u8 {
    let family = Family::of(base);
    let limit = WIDEST.iter().find(|(of, _)| *of == family).map_or(0, |(_, length)| *length);
    limit.max(aligned(base)).min(longest(family))
}

fn aligned(base: IpAddr) -> u8 {
    let bits = Family::of(base).bits();
    let zeros = Cidr::host(base).first_number().trailing_zeros();
    bits - u8::try_from(zeros).unwrap_or(bits).min(bits)
}

/// An address that is in no range that a cluster can have.
fn outside(family: Family) -> IpAddr {
    match family {
        Family::V4 => IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED),
        Family::V6 => IpAddr::V6(std::net::Ipv6Addr::LOCALHOST),
    }
}

impl ServiceProbe {
    /// A probe of a server that may have several ranges of a family (1.31 and later, or unknown).
    pub fn new(several: bool) -> Self {
        let mut probe =
            Self { several, families: vec![Family::V6, Family::V4], now: None, asked: 0, outcome: Outcome::default() };
        probe.next_family();
        probe
    }

    /// What to ask next; nothing when all is known that can be.
    pub fn next_request(&self) -> Option<Request> {
        Some(match self.now.as_ref()? {
            Stage::Refusal { family, .. } => Request::Named(outside(*family)),
            Stage::Bases { family, .. } => Request::Unnamed(*family),
            Stage::Search { search, .. } => Request::Named(search.address()),
        })
    }

    /// What was found.
    pub fn outcome(mut self) -> Outcome {
        self.outcome.found.sort_by_key(|found| (found.cidr, !found.named));
        self.outcome.found.dedup_by_key(|found| found.cidr);
        self.outcome
    }

    /// Takes the answer to the last request.
    pub fn answer(&mut self, answer: Answer) {
        let Some(stage) = self.now.take() else { return };
        if let Answer::Failed(reason) = answer {
            self.note(reason);
            return;
        }
        self.asked += 1;
        if self.asked >= BUDGET {
            let family = match &stage {
                Stage::Refusal { family, .. } | Stage::Bases { family, .. } => *family,
                Stage::Search { search, .. } => Family::of(search.base),
            };
            self.note(format!("{family}: given up after {BUDGET} requests; ranges may be missing"));
            return self.next_family();
        }
        match stage {
            Stage::Refusal { family, idle, unready } => self.refusal(family, idle, unready, answer),
            Stage::Bases { family, idle, bases } => self.base(family, idle, bases, answer),
            Stage::Search { search, bases, several } => self.length(search, bases, several, answer),
        }
    }

    fn note(&mut self, note: String) {
        if !self.outcome.notes.contains(&note) {
            self.outcome.notes.push(note);
        }
    }

    fn next_family(&mut self) {
        self.asked = 0;
        self.now = self.families.pop().map(|family| Stage::Refusal { family, idle: 0, unready: 0 });
    }

    /// How many answers that tell nothing new are enough.
    fn enough(&self) -> u32 {
        if self.several { SAMPLES } else { 1 }
    }

    fn refusal(&mut self, family: Family, idle: u32, unready: u32, answer: Answer) {
        let asked = outside(family);
        let Answer::Refused(message) = answer else {
            self.note(format!("{family}: a dry run accepts any address, even {asked}: this release tells nothing"));
            return self.next_family();
        };
        let (mut idle, mut unready) = (idle + 1, unready);
        match read_refusal(&message) {
            Refusal::Range(cidr) => {
                let other = cidr.family() != family;
                if self.name(cidr, asked) {
                    idle = 0;
                }
                // up to 1.19 there is one range, whatever family is asked for
                if other || (idle == 0 && !self.several) {
                    return self.next_family();
                }
            }
            Refusal::NotConfigured => return self.next_family(),
            Refusal::NotReady => unready += 1,
            Refusal::Outside => {
                self.now = Some(Stage::Bases { family, idle: 0, bases: BTreeSet::new() });
                return;
            }
            Refusal::Other => {
                self.note(format!("{family}: clusterIP {asked} refused in words that name no range: {message}"));
                return self.next_family();
            }
        }
        if idle < self.enough() {
            self.now = Some(Stage::Refusal { family, idle, unready });
            return;
        }
        if unready > 0 {
            self.note(format!("{family}: the server has a range that is not ready (allocator not ready)"));
        }
        self.next_family();
    }

    /// Notes a range that a refusal names; false where it is known.
    fn name(&mut self, cidr: Cidr, asked: IpAddr) -> bool {
        if self.outcome.found.iter().any(|found| found.cidr == cidr) {
            return false;
        }
        let field = format!("clusterIP {asked} refused: the range of valid IPs is {cidr}");
        self.outcome.found.push(Found { cidr, text: cidr.to_string(), field, named: true, lower_bound: false });
        true
    }

    fn base(&mut self, family: Family, idle: u32, mut bases: BTreeSet<IpAddr>, answer: Answer) {
        let new = match answer {
            Answer::Accepted(Some(ip)) if Family::of(ip) == family => bases.insert(ip),
            Answer::Accepted(_) => {
                self.note(format!("{family}: a dry run gives no address; the range cannot be searched for"));
                return self.next_family();
            }
            Answer::Refused(message) if read_refusal(&message) == Refusal::NotConfigured => return self.next_family(),
            Answer::Refused(message) if read_refusal(&message) == Refusal::NotReady => false,
            Answer::Refused(reason) | Answer::Failed(reason) => {
                self.note(format!("{family}: no address is given: {reason}"));
                return self.next_family();
            }
        };
        let idle = if new { 0 } else { idle + 1 };
        if idle < self.enough() && (self.several || bases.is_empty()) {
            self.now = Some(Stage::Bases { family, idle, bases });
            return;
        }
        if bases.is_empty() {
            self.note(format!("{family}: no range is ready to give an address (allocator not ready)"));
        }
        let several = bases.len() > 1;
        self.search(bases.into_iter().rev().collect(), several);
    }

    /// Searches from the lowest base on. One inside a range that was found is left alone: the server
    /// takes the addresses around it in any case.
    fn search(&mut self, mut bases: Vec<IpAddr>, several: bool) {
        while let Some(base) = bases.pop() {
            let around = self.outcome.found.iter().find(|found| found.cidr.contains_ip(base)).map(|found| found.cidr);
            let Some(around) = around else {
                self.now = Some(Stage::Search { search: Search::new(base), bases, several });
                return;
            };
            self.note(format!("the range that begins at {base} lies inside {around}; its length cannot be told"));
        }
        self.next_family();
    }

    fn length(&mut self, mut search: Search, bases: Vec<IpAddr>, several: bool, answer: Answer) {
        let tries = match (self.several, several) {
            (_, true) => REFUSALS.0,
            (true, false) => REFUSALS.1,
            (false, false) => 1,
        };
        let refusal = match &answer {
            Answer::Refused(message) => read_refusal(message),
            _ => Refusal::Outside,
        };
        if let Refusal::Range(cidr) = refusal {
            self.name(cidr, search.address());
            if cidr.contains_ip(search.base) {
                return self.search(bases, several);
            }
        }
        match answer {
            Answer::Accepted(_) => (search.to, search.refused) = (search.length(), 0),
            Answer::Refused(message) if refusal == Refusal::Other => {
                self.note(format!("clusterIP {} refused in words that are not known: {message}", search.address()));
                return self.search(bases, several);
            }
            _ if search.refused + 1 < tries => search.refused += 1,
            _ => (search.from, search.refused) = (search.length() + 1, 0),
        }
        if search.from < search.to {
            self.now = Some(Stage::Search { search, bases, several });
            return;
        }
        self.end_of_search(&search, several);
        self.search(bases, several);
    }

    fn end_of_search(&mut self, search: &Search, several: bool) {
        let (base, length, family) = (search.base, search.to, Family::of(search.base));
        let cidr = (length <= longest(family)).then(|| Cidr::covering(base, length)).flatten();
        let Some(cidr) = cidr.filter(|cidr| cidr.first() == base) else {
            self.note(format!("a range begins at {base}; which length it has could not be found out"));
            return;
        };
        let at_limit = length == widest(base) && length > aligned(base);
        let at_bitmap = !self.several && family == Family::V6 && length == BITMAP && length > aligned(base);
        let field = format!("gives {base}, takes addresses up to length /{length}; its text names no range");
        let lower_bound = several || at_limit || at_bitmap;
        self.outcome.found.push(Found { cidr, text: cidr.to_string(), field, named: false, lower_bound });
    }
}

impl Outcome {
    /// Adds what was found to the facts. A range that may be larger says nothing where a source states
    /// a larger one.
    pub fn add_to(self, namespace: &str, facts: &mut Facts) {
        for found in self.found {
            let covers = |fact: &RangeFact| {
                fact.role == Role::Service
                    && !fact.lower_bound
                    && fact.share_of.is_none()
                    && fact.cidr.contains(&found.cidr)
                    && fact.cidr != found.cidr
            };
            if found.lower_bound && facts.ranges.iter().any(covers) {
                continue;
            }
            let confidence = if found.named { Confidence::A } else { Confidence::D };
            let object = format!("dry-run create of a Service in namespace {namespace}");
            // every way of adding a range parses its text, and so knows its flaws
            let before = facts.ranges.len();
            facts.add_ranges(Role::Service, &found.text, &Origin::new(SOURCE, confidence, object, found.field));
            for fact in facts.ranges.iter_mut().skip(before) {
                fact.lower_bound = found.lower_bound;
            }
        }
        let notes = self.notes.into_iter();
        facts.unreadable.extend(notes.map(|reason| Unreadable { source: SOURCE.to_owned(), node: None, reason }));
    }
}

#[cfg(test)]
#[path = "probe_service_tests.rs"]
mod tests;
