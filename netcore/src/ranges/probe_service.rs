//! Asking the API server for its service ranges by creates that are never carried out
//! (`dryRun=All`): it names the range in its refusal, or can be led to it by addresses that it takes
//! and addresses that it refuses. What to send and what an answer means; sending is another's task.

use std::net::IpAddr;

use crate::cidr::{Cidr, Family, parse_cidr};

/// The range that a refusal names, of any version that does.
pub fn named_range(message: &str) -> Option<Cidr> {
    let (_, rest) = message.split_once("valid IPs is ")?;
    let text = rest.split_whitespace().next()?.trim_end_matches(['.', ',', ';', '"', '\'', ')']);
    parse_cidr(text).ok().map(|written| written.cidr)
}

/// What to try to create, without carrying it out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// A Service of one family without a ClusterIP: the answer has the network address.
    Unnamed(Family),
    /// A Service that asks for this ClusterIP.
    Named(IpAddr),
}

/// How the API server answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It would create it, with this ClusterIP.
    Accepted(IpAddr),
    /// It refuses it: the whole message.
    Refused(String),
}

/// How often an address is asked for before it counts as refused: with several ranges one that
/// the server picks at random answers for all.
const REPEATS: u8 = 8;
/// Lengths of a range that are tried, per family: the longest that has an address, the shortest.
const LENGTHS: [(Family, u8, u8); 2] = [(Family::V4, 8, 30), (Family::V6, 64, 126)];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// An address that no service range holds.
    Outside,
    /// The network address.
    Base,
    /// A bisection of the prefix length: `inside` is known to be held, `outside` is not.
    Length {
        base: IpAddr,
        inside: u8,
        outside: u8,
        tried: u8,
    },
    Done(Option<Cidr>),
}

/// The search for a service range of one family.
#[derive(Clone, Debug)]
pub struct ServiceProbe {
    family: Family,
    step: Step,
}

impl ServiceProbe {
    /// A search in one family.
    pub const fn new(family: Family) -> Self {
        Self { family, step: Step::Outside }
    }

    /// What to ask next; nothing when the search is over.
    pub fn next_request(&self) -> Option<Request> {
        match self.step {
            Step::Outside => Some(Request::Named(outside(self.family))),
            Step::Base => Some(Request::Unnamed(self.family)),
            Step::Length { base, inside, outside, .. } => {
                far_address(base, middle(inside, outside)).map(Request::Named)
            }
            Step::Done(_) => None,
        }
    }

    /// Takes the answer to the last request.
    pub fn answer(&mut self, answer: &Answer) {
        self.step = match (self.step, answer) {
            (Step::Outside, Answer::Refused(message)) => match named_range(message) {
                Some(cidr) if cidr.family() == self.family => Step::Done(Some(cidr)),
                _ if message.contains("not configured on this cluster") => Step::Done(None),
                _ => Step::Base,
            },
            // an address that cannot be in a range was taken: nothing that it says can be trusted
            (Step::Outside, Answer::Accepted(_)) | (Step::Base, Answer::Refused(_)) => Step::Done(None),
            (Step::Base, Answer::Accepted(base)) => self.bisect(*base),
            (Step::Length { base, inside, outside, .. }, Answer::Accepted(_)) => {
                narrow(base, middle(inside, outside), outside)
            }
            (Step::Length { base, inside, outside, tried }, Answer::Refused(message)) => {
                match named_range(message).filter(|cidr| cidr.contains_ip(base)) {
                    Some(cidr) => Step::Done(Some(cidr)),
                    None if tried + 1 < REPEATS => Step::Length { base, inside, outside, tried: tried + 1 },
                    None => narrow(base, inside, middle(inside, outside)),
                }
            }
            (done @ Step::Done(_), _) => done,
        };
    }

    /// The range, once the search is over and was successful.
    pub const fn found(&self) -> Option<Cidr> {
        match self.step {
            Step::Done(cidr) => cidr,
            _ => None,
        }
    }

    fn bisect(&self, base: IpAddr) -> Step {
        let Some((_, shortest, longest)) = LENGTHS.iter().find(|(family, ..)| *family == self.family) else {
            return Step::Done(None);
        };
        // a range that starts at `base` cannot be shorter than its trailing zeros allow
        let aligned =
            (*shortest..=*longest).find(|length| Cidr::covering(base, *length).is_some_and(|c| c.first() == base));
        match aligned.filter(|_| Family::of(base) == self.family) {
            Some(shortest) => narrow(base, *longest, shortest.saturating_sub(1)),
            None => Step::Done(None),
        }
    }
}

/// An address of a range for documentation that no cluster should have.
const fn outside(family: Family) -> IpAddr {
    match family {
        Family::V4 => IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 255)),
        Family::V6 => IpAddr::V6(std::net::Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1)),
    }
}

const fn middle(inside: u8, outside: u8) -> u8 {
    outside + (inside - outside).div_ceil(2)
}

/// An address that a range of that length from `base` holds and one of half its size does not; never
/// the broadcast address, which is refused.
fn far_address(base: IpAddr, length: u8) -> Option<IpAddr> {
    let cidr = Cidr::covering(base, length)?;
    cidr.nth((cidr.last_number() - cidr.first_number()).checked_sub(1)?)
}

fn narrow(base: IpAddr, inside: u8, outside: u8) -> Step {
    if inside <= outside + 1 {
        return Step::Done(Cidr::covering(base, inside));
    }
    Step::Length { base, inside, outside, tried: 0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cidr::IpRange;

    fn cidr(text: &str) -> Cidr {
        text.parse().unwrap()
    }

    #[test]
    fn every_version_that_names_its_range() {
        for text in [
            "spec.clusterIPs: Invalid value: []string{\"1.1.1.1\"}: provided IP is not in the valid range. The range of valid IPs is 10.96.0.0/16",
            "failed to allocated ip:1.1.1.1 with error:provided IP is not in the valid range. The range of valid IPs is 10.96.0.0/16",
            "failed to allocate IP 1.1.1.1: provided IP is not in the valid range. The range of valid IPs is 10.96.0.0/16",
            "Invalid value: [\"1.1.1.1\"]: failed to allocate IP 1.1.1.1: the provided IP (1.1.1.1) is not in the valid range. The range of valid IPs is 10.96.0.0/16",
        ] {
            assert_eq!(named_range(text), Some(cidr("10.96.0.0/16")), "{text}");
        }
        assert_eq!(
            named_range("failed to allocate IP 1.1.1.1: the provided network does not match the current range"),
            None
        );
        assert_eq!(
            named_range("the provided IP (::1) is not in the valid range. The range of valid IPs is fd00:96::/112"),
            Some(cidr("fd00:96::/112"))
        );
    }

    /// A server that never names its range.
    fn search(family: Family, range: &str, mut fails: impl FnMut() -> bool) -> (Option<Cidr>, usize) {
        let range = cidr(range);
        let mut probe = ServiceProbe::new(family);
        let mut asked = 0;
        while let Some(request) = probe.next_request() {
            asked += 1;
            assert!(asked < 200, "the search ends");
            let inside = IpRange::from(range);
            let answer = match request {
                Request::Unnamed(_) => Answer::Accepted(range.first()),
                // the broadcast address of IPv4 is refused
                Request::Named(ip)
                    if inside.contains_ip(ip) && (ip != range.last() || family == Family::V6) && !fails() =>
                {
                    Answer::Accepted(ip)
                }
                Request::Named(_) => Answer::Refused("is not in the valid range".to_owned()),
            };
            probe.answer(&answer);
        }
        (probe.found(), asked)
    }

    #[test]
    fn a_silent_server_is_led_to_its_range() {
        for range in ["10.96.0.0/12", "10.96.0.0/16", "10.152.183.0/24", "10.43.0.0/27", "10.0.0.0/8", "10.1.0.0/30"] {
            assert_eq!(search(Family::V4, range, || false).0, Some(cidr(range)), "{range}");
        }
        for range in ["fd00:96::/112", "fd00:96::/64", "fd00:96::/108", "fd00:96::/124"] {
            assert_eq!(search(Family::V6, range, || false).0, Some(cidr(range)), "{range}");
        }
    }

    #[test]
    fn single_refusals_prove_nothing() {
        // of two ServiceCIDRs the other one answers every second time
        let mut turn = false;
        let flip = || {
            turn = !turn;
            turn
        };
        assert_eq!(search(Family::V4, "10.97.0.0/24", flip).0, Some(cidr("10.97.0.0/24")));
    }

    #[test]
    fn a_family_that_is_not_there_ends_the_search() {
        let mut probe = ServiceProbe::new(Family::V6);
        probe.answer(&Answer::Refused("IPv6 is not configured on this cluster".to_owned()));
        assert_eq!((probe.next_request(), probe.found()), (None, None));
        let mut probe = ServiceProbe::new(Family::V4);
        probe.answer(&Answer::Refused("The range of valid IPs is 10.96.0.0/12".to_owned()));
        assert_eq!(probe.found(), Some(cidr("10.96.0.0/12")));
    }
}
