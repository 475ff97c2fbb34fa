//! Tracked connections: how many, and those of one address. A node may have a million of them, so
//! they are looked at one by one and never kept.

use std::net::IpAddr;

use crate::{
    problem::{Problem, Problems},
    words::is_prompt,
};

/// How full the table is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Use {
    /// Connections that are tracked.
    pub used: Option<u64>,
    /// How many there may be.
    pub limit: Option<u64>,
}

/// One direction of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tuple<'a> {
    /// From.
    pub source: IpAddr,
    /// To.
    pub destination: IpAddr,
    /// From port, where the protocol has one.
    pub source_port: Option<u16>,
    /// To port, where the protocol has one.
    pub destination_port: Option<u16>,
    /// The zone of this direction.
    pub zone: Option<&'a str>,
}

/// A tracked connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    /// `tcp`, `udp`, `icmp`, `unknown`, ….
    pub protocol: &'a str,
    /// Its number.
    pub protocol_number: Option<u8>,
    /// Seconds until it is forgotten; none for one that is offloaded.
    pub expires: Option<u64>,
    /// `ESTABLISHED`, …; none for protocols without states.
    pub state: Option<&'a str>,
    /// The first packet's direction.
    pub original: Tuple<'a>,
    /// The direction in which replies come: what translation made of the first.
    pub reply: Tuple<'a>,
    /// Whether replies were seen.
    pub replied: bool,
    /// Whether it stays when the table is full.
    pub assured: bool,
    /// The mark.
    pub mark: Option<u32>,
}

impl Entry<'_> {
    /// Whether an address has a part in it, in either direction.
    pub fn has(&self, ip: IpAddr) -> bool {
        [self.original, self.reply].iter().any(|tuple| tuple.source == ip || tuple.destination == ip)
    }
}

/// Looks at every entry of `conntrack -L` or `/proc/net/nf_conntrack` (also with `-o extended`), and
/// gives their number and what was not understood.
pub fn each<'a>(text: &'a str, mut look: impl FnMut(&Entry<'a>)) -> (u64, Vec<Problem>) {
    let mut problems = Problems::default();
    let mut count = 0;
    for (line, content) in (1..).zip(text.lines()) {
        let trimmed = content.trim();
        if trimmed.is_empty() || is_prompt(content) || trimmed.starts_with("conntrack v") {
            continue;
        }
        match entry(line, content) {
            Ok(entry) => {
                count += 1;
                look(&entry);
            }
            Err(Some(error)) => problems.push(error),
            Err(None) => {
                problems.unknown(line, content, "a connection: protocol, its number, seconds, src=… dst=… twice");
            }
        }
    }
    (count, problems.into_vec())
}

/// How full the table is, from the two numbers `nf_conntrack_count` and `nf_conntrack_max`, each on a
/// line of its own, alone or after `name =`.
pub fn parse_use(text: &str) -> Option<Use> {
    let (settings, _) = crate::sysctl::parse(text);
    let named = settings.conntrack();
    if named != Use::default() {
        return Some(named);
    }
    let mut numbers = text.lines().map(str::trim).filter(|line| !line.is_empty()).map(|line| line.parse::<u64>().ok());
    match (numbers.next(), numbers.next(), numbers.next()) {
        (Some(used @ Some(_)), Some(limit @ Some(_)), None) => Some(Use { used, limit }),
        _ => None,
    }
}

fn entry(line: usize, content: &str) -> Result<Entry<'_>, Option<Problem>> {
    let mut words = content.split_whitespace().peekable();
    let mut protocol = words.next().ok_or(None)?;
    // `-o extended` and /proc have the network protocol before
    if matches!(protocol, "ipv4" | "ipv6") && words.peek().is_some_and(|word| is_number(word)) {
        words.next();
        protocol = words.next().ok_or(None)?;
    }
    let protocol_number = words.next().and_then(|word| word.parse().ok()).ok_or(None)?;
    let expires = words.next_if(|word| is_number(word)).and_then(|word| word.parse().ok());
    let state = words.next_if(|word| !word.contains('=') && !word.starts_with('['));
    let mut halves = [Half::default(), Half::default()];
    let (mut replied, mut assured, mut mark) = (true, false, None);
    for word in words {
        let Some((name, value)) = word.split_once('=') else {
            match word {
                "[UNREPLIED]" => replied = false,
                "[ASSURED]" => assured = true,
                _ => {}
            }
            continue;
        };
        let bad = |what: &str| {
            let column = (word.as_ptr().addr() - content.as_ptr().addr()) + 1;
            Some(Problem::new(line, column, word, format!("not {what}")))
        };
        let ip = || value.parse::<IpAddr>().map_err(|_| bad("an address"));
        let port = || value.parse::<u16>().map_err(|_| bad("a port of 0 to 65535"));
        // each key of the first direction comes back for the second
        match name {
            "src" => half(&mut halves, |half| half.source.is_none()).source = Some(ip()?),
            "dst" => half(&mut halves, |half| half.destination.is_none()).destination = Some(ip()?),
            "sport" => half(&mut halves, |half| half.source_port.is_none()).source_port = Some(port()?),
            "dport" => half(&mut halves, |half| half.destination_port.is_none()).destination_port = Some(port()?),
            "zone" | "zone-orig" | "zone-reply" => half(&mut halves, |half| half.zone.is_none()).zone = Some(value),
            "mark" => mark = Some(value.parse().map_err(|_| bad("a mark of 32 bits"))?),
            _ => {}
        }
    }
    let [original, reply] = halves;
    let tuple = |half: Half<'_>| Some((half.source?, half.destination?));
    let (Some(first), Some(second)) = (tuple(original), tuple(reply)) else { return Err(None) };
    Ok(Entry {
        protocol,
        protocol_number: Some(protocol_number),
        expires,
        state,
        original: original.tuple(first),
        reply: reply.tuple(second),
        replied,
        assured,
        mark,
    })
}

fn is_number(word: &str) -> bool {
    !word.is_empty() && word.bytes().all(|b| b.is_ascii_digit())
}

#[derive(Clone, Copy, Default)]
struct Half<'a> {
    source: Option<IpAddr>,
    destination: Option<IpAddr>,
    source_port: Option<u16>,
    destination_port: Option<u16>,
    zone: Option<&'a str>,
}

impl<'a> Half<'a> {
    const fn tuple(self, (source, destination): (IpAddr, IpAddr)) -> Tuple<'a> {
        Tuple {
            source,
            destination,
            source_port: self.source_port,
            destination_port: self.destination_port,
            zone: self.zone,
        }
    }
}

fn half<'h, 'a>(halves: &'h mut [Half<'a>; 2], free: impl Fn(&Half<'a>) -> bool) -> &'h mut Half<'a> {
    let [first, second] = halves;
    if free(first) { first } else { second }
}

#[cfg(test)]
mod tests {
    use super::*;

    // two lines of the IPVS capture, one in the form of /proc
    const TEXT: &str = "tcp      6 7 CLOSE src=10.96.0.1 dst=10.96.0.1 sport=49156 dport=443 src=172.31.77.1 dst=172.31.77.4 sport=16443 dport=45414 [ASSURED] mark=0 use=1\n\
        ipv4     2 udp      17 29 src=10.244.0.3 dst=10.96.0.10 sport=5353 dport=53 [UNREPLIED] src=10.244.0.2 dst=10.244.0.3 sport=53 dport=5353 mark=16384 zone=0 use=2\n\
        ipv6     10 icmpv6   58 12 src=fd00::1 dst=fd00::2 type=128 code=0 id=7 src=fd00::2 dst=fd00::1 type=129 code=0 id=7 mark=0 use=1\n";

    #[test]
    fn the_entries_of_one_address() {
        let ip: IpAddr = "10.244.0.2".parse().unwrap();
        let mut found = Vec::new();
        let (count, errors) = each(TEXT, |entry| {
            if entry.has(ip) {
                found.push(*entry);
            }
        });
        assert!(errors.is_empty(), "{errors:?}");
        assert_eq!((count, found.len()), (3, 1));
        let entry = found[0];
        assert_eq!((entry.protocol, entry.expires, entry.state), ("udp", Some(29), None));
        assert_eq!((entry.original.destination_port, entry.reply.source_port), (Some(53), Some(53)));
        assert_eq!((entry.replied, entry.assured, entry.mark), (false, false, Some(16_384)));
    }

    #[test]
    fn rubbish_is_named_and_the_rest_is_counted() {
        let text =
            format!("conntrack: command not found\n{TEXT}tcp 6 1 X src=1.2.3.4 dst=999.1.1.1 sport=1\ncut off src=\n");
        let (count, errors) = each(&text, |_| {});
        assert_eq!(count, 3);
        assert_eq!(errors.iter().map(|e| e.line).collect::<Vec<_>>(), [1, 5, 6]);
        assert_eq!((errors[0].reason.as_str(), errors[1].column), ("the command failed", 23));
    }

    #[test]
    fn use_from_two_files_and_from_settings() {
        assert_eq!(parse_use("12\n131072\n"), Some(Use { used: Some(12), limit: Some(131_072) }));
        let named = "net.netfilter.nf_conntrack_count = 5\n";
        assert_eq!(parse_use(named), Some(Use { used: Some(5), limit: None }));
        let files = "/proc/sys/net/netfilter/nf_conntrack_count:7\n/proc/sys/net/netfilter/nf_conntrack_max:9\n";
        assert_eq!(parse_use(files), Some(Use { used: Some(7), limit: Some(9) }));
        assert_eq!(parse_use(TEXT), None);
    }
}
