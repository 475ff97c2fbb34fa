//! `ipvsadm -S -n`, `-L -n` with all its variants, `/proc/net/ip_vs` and the lists of connections.

use std::collections::HashSet;

use super::{
    model::{
        Checksum, Connection, Daemon, Endpoint, Forward, IpvsTable, Persistence, Protocol, RealServer, Timeouts,
        Tunnel, VirtualAddress, VirtualServer,
    },
    read::{counters, endpoint, hex, hex_address, hex_endpoint, hex_mask, looks_hex, mask, protocol, tunnel},
};
use crate::{
    cidr::Family,
    problem::{Problem, Problems},
    words::{Words, is_prompt},
};

/// Reads any of the program's or the kernel's views, told apart by their headers, with what was not
/// understood. What a view does not print is `None`.
pub fn parse(text: &str) -> (IpvsTable, Vec<Problem>) {
    let mut reader = Reader::default();
    for (line, content) in (1..).zip(text.lines()) {
        if content.trim().is_empty() || is_prompt(content) {
            continue;
        }
        let result = reader.line(Words::new(line, content));
        if let Err(error) = result {
            // what could not be read may be a server of the one above
            if reader.open
                && let Some(service) = reader.table.services.last_mut()
            {
                service.in_part = true;
            }
            reader.problems.push(error);
        }
    }
    reader.table.services.iter_mut().for_each(VirtualServer::infer_family);
    (reader.table, reader.problems.into_vec())
}

/// Which columns the lines have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum View {
    /// Scheduler; forwarding, weight, connections.
    #[default]
    List,
    /// The same with the kind of tunnel.
    Tunnels,
    Stats,
    Rates,
    Persistent,
    Thresholds,
    /// `ipvsadm -L -n -c`.
    Connections,
    /// `/proc/net/ip_vs_conn`.
    HexConnections,
}

#[derive(Default)]
struct Reader {
    table: IpvsTable,
    view: View,
    /// `/proc` counts in hexadecimal; told by its header, else by the numbers.
    proc: bool,
    headed: bool,
    /// Whether the virtual server above could be read; servers of an unreadable one belong to none.
    open: bool,
    /// What this table has so far.
    seen: HashSet<VirtualAddress>,
    problems: Problems,
}

const SECOND: &str = "a second table in one text: two nodes', or two views? Its servers are added to the first one's";

fn scheduler(words: &mut Words<'_>) -> Result<String, Problem> {
    let word = words.need("a scheduler such as rr")?;
    let is_name = word.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'));
    if is_name { Ok(word.to_owned()) } else { Err(words.error("not a scheduler such as rr")) }
}

const LINE: &str = "a line of ipvsadm: TCP, UDP, SCTP, FWM, ->, -A or -a begins one";

impl Reader {
    fn line(&mut self, mut words: Words<'_>) -> Result<(), Problem> {
        let Some(first) = words.next() else { return Ok(()) };
        match first {
            "IP" if words.content().contains("IP Virtual Server version") => self.version(words),
            "Prot" | "Port" if words.peek().is_some_and(|word| word.starts_with("LocalAddress")) => {
                self.header(&words);
                Ok(())
            }
            "->" if words.peek().is_some_and(|word| word.starts_with("RemoteAddress")) => {
                self.second_header(&words);
                Ok(())
            }
            "IPVS" if words.rest().starts_with("connection entries") => self.switch(View::Connections),
            "pro" if words.peek() == Some("expire") => self.switch(View::Connections),
            "Pro" if words.peek() == Some("FromIP") => self.switch(View::HexConnections),
            "Timeout" => self.timeouts(words),
            "master" | "backup" if words.rest().starts_with("sync daemon") => {
                let settings = words.rest().split_once('(').map_or("", |(_, inside)| inside.trim_end_matches(')'));
                self.table.daemons.push(Daemon { role: first.to_owned(), settings: settings.to_owned() });
                Ok(())
            }
            "-A" => self.saved_service(words),
            "-a" => self.saved_server(words),
            _ if matches!(self.view, View::Connections | View::HexConnections) => self.connection(first, words),
            "TCP" | "UDP" | "SCTP" | "FWM" => self.service(first, words),
            "->" => self.server(words),
            _ => {
                self.problems.unknown(words.line(), words.content(), LINE);
                Ok(())
            }
        }
    }

    #[expect(clippy::unnecessary_wraps, reason = "as the readers of the other lines")]
    fn switch(&mut self, view: View) -> Result<(), Problem> {
        self.view = view;
        Ok(())
    }

    fn version(&mut self, mut words: Words<'_>) -> Result<(), Problem> {
        let second = self.table.version.is_some();
        self.open = false;
        let version = words.nth(3).unwrap_or_default();
        let size = words.rest().trim_start_matches("(size=").trim_end_matches(')');
        self.table.version = Some(version.to_owned());
        self.table.buckets = size.parse().ok();
        self.headed = false;
        self.proc = false;
        if second {
            self.seen.clear();
            return Err(Problem::new(words.line(), 1, words.content(), SECOND));
        }
        Ok(())
    }

    fn header(&mut self, words: &Words<'_>) {
        let has = |name: &str| words.content().contains(name);
        self.headed = true;
        self.proc = false;
        self.seen.clear();
        self.view = match () {
            () if has("CPS") => View::Rates,
            () if has("Conns") => View::Stats,
            () if has("PersistConn") => View::Persistent,
            () if has("Uthreshold") => View::Thresholds,
            () => View::List,
        };
    }

    fn second_header(&mut self, words: &Words<'_>) {
        if words.content().contains("TunnelInfo") {
            self.view = View::Tunnels;
        }
        // the kernel does not pad this line
        self.proc = words.content().contains("RemoteAddress:Port Forward");
    }

    fn timeouts(&mut self, mut words: Words<'_>) -> Result<(), Problem> {
        let numbers = words.content().split_once(':').map_or("", |(_, numbers)| numbers);
        let mut numbers_of = Words::new(words.line(), numbers);
        let what = "three timeouts in seconds";
        let result = (|| {
            Ok::<_, Problem>(Timeouts {
                tcp: numbers_of.value(what)?,
                tcp_fin: numbers_of.value(what)?,
                udp: numbers_of.value(what)?,
            })
        })();
        words.next();
        self.table.timeouts = Some(result.map_err(|_| words.error(format!("not {what}")))?);
        Ok(())
    }

    fn hex(&self, word: &str) -> bool {
        self.proc || (!self.headed && looks_hex(word))
    }

    fn endpoint(&self, words: &mut Words<'_>) -> Result<Endpoint, Problem> {
        let what = "an address and port such as 10.0.0.1:80 or [fd00::1]:80";
        let word = words.need(what)?;
        let found = if self.hex(word) { hex_endpoint(word) } else { endpoint(word).or_else(|| hex_endpoint(word)) };
        found.ok_or_else(|| {
            let named = word.contains(|c: char| c.is_ascii_alphabetic());
            words.error(if named { format!("not {what}; list with -n") } else { format!("not {what}") })
        })
    }

    fn service(&mut self, kind: &str, mut words: Words<'_>) -> Result<(), Problem> {
        self.open = false;
        let line = words.line();
        let address = match protocol(kind) {
            Some(protocol) => VirtualAddress::Socket(protocol, self.endpoint(&mut words)?),
            None => self.mark(&mut words)?,
        };
        let mut service = VirtualServer::at(address, line);
        match self.view {
            View::Stats => service.stats = Some(counters(&mut words)?),
            View::Rates => service.rates = Some(counters(&mut words)?),
            _ => self.scheduling(&mut service, &mut words)?,
        }
        self.push(service);
        Ok(())
    }

    fn push(&mut self, service: VirtualServer) {
        if !self.seen.insert(service.address) {
            self.problems.add(service.line, 1, service.address.to_string(), SECOND);
        }
        self.table.services.push(service);
        self.open = true;
    }

    fn mark(&self, words: &mut Words<'_>) -> Result<VirtualAddress, Problem> {
        let word = words.need("a firewall mark")?;
        let odd = word.starts_with('0') || word.bytes().any(|b| b.is_ascii_alphabetic());
        if self.proc || (word.len() == 8 && odd) {
            let mark = hex(word, 8).ok_or_else(|| words.error("not a firewall mark of eight hexadecimal digits"))?;
            return Ok(VirtualAddress::Mark(mark, None));
        }
        let mark = word.parse::<i64>().ok();
        // the program prints it with a sign
        let mark = mark.and_then(|n| u32::try_from(n).ok().or_else(|| i32::try_from(n).ok().map(i32::cast_unsigned)));
        let mark = mark.ok_or_else(|| words.error("not a firewall mark: a number of 32 bits"))?;
        let family = if words.take_word("IPv6") { Family::V6 } else { Family::V4 };
        Ok(VirtualAddress::Mark(mark, Some(family)))
    }

    fn scheduling(&self, service: &mut VirtualServer, words: &mut Words<'_>) -> Result<(), Problem> {
        service.scheduler = Some(scheduler(words)?);
        let hex_view =
            self.proc || (!self.headed && looks_hex(words.content().split_whitespace().nth(1).unwrap_or("")));
        let mut flags = Vec::new();
        let mut one_packet = false;
        let mut persistence = Persistence::Off;
        while let Some(word) = words.next() {
            match word {
                "ops" => one_packet = true,
                "persistent" if hex_view => {
                    let jiffies = words.value("a timeout in ticks")?;
                    let v6 = matches!(service.address, VirtualAddress::Socket(_, e) if e.address.is_ipv6());
                    let number = words.need("a mask of eight hexadecimal digits")?;
                    let mask = hex(number, 8).and_then(|number| hex_mask(number, v6));
                    let mask = mask.ok_or_else(|| words.error("not a mask of eight hexadecimal digits"))?;
                    persistence = Persistence::On { seconds: None, jiffies: Some(jiffies), mask, engine: None };
                }
                "persistent" => {
                    let seconds = Some(words.value("a timeout in seconds")?);
                    let mask = if words.take_word("mask") { mask(words)? } else { None };
                    let engine = if words.take_word("pe") { Some(words.need("an engine")?.to_owned()) } else { None };
                    persistence = Persistence::On { seconds, jiffies: None, mask, engine };
                }
                _ if word.starts_with('(') => {
                    let inside = word.trim_start_matches('(').trim_end_matches(')');
                    flags.extend(inside.split(',').filter(|flag| !flag.is_empty()).map(str::to_owned));
                }
                _ => return Err(words.error("not a service's option: (flags), persistent, mask, pe or ops")),
            }
        }
        service.persistence = Some(persistence);
        // the kernel leaves `ops` out of IPv6 lines
        let silent = hex_view && matches!(service.address, VirtualAddress::Socket(_, e) if e.address.is_ipv6());
        service.one_packet = (!silent).then_some(one_packet);
        service.flags = (!hex_view).then_some(flags);
        Ok(())
    }

    fn server(&mut self, mut words: Words<'_>) -> Result<(), Problem> {
        let line = words.line();
        let mut server = RealServer::at(self.endpoint(&mut words)?, line);
        match self.view {
            View::Stats => server.stats = Some(counters(&mut words)?),
            View::Rates => server.rates = Some(counters(&mut words)?),
            View::Persistent => {
                server.weight = Some(words.value(WEIGHT)?);
                server.persistent = Some(words.value(COUNT)?);
            }
            View::Thresholds => {
                server.upper_threshold = Some(words.value(COUNT)?);
                server.lower_threshold = Some(words.value(COUNT)?);
            }
            _ => {
                server.forward = Some(self.forward(&mut words)?);
                server.weight = Some(words.value(WEIGHT)?);
            }
        }
        if !matches!(self.view, View::Stats | View::Rates) {
            server.active = Some(words.value(COUNT)?);
            server.inactive = Some(words.value(COUNT)?);
        }
        if words.next().is_some() {
            return Err(words.error("more columns than the header has"));
        }
        self.add(server)
    }

    fn forward(&self, words: &mut Words<'_>) -> Result<Forward, Problem> {
        let forward = match words.need("a way of forwarding")? {
            "Masq" => Forward::Masquerade,
            "Route" => Forward::Route,
            "Tunnel" => Forward::Tunnel(None),
            "Local" => Forward::Local,
            "Bypass" => Forward::Bypass,
            _ => return Err(words.error("not a way of forwarding: Masq, Route, Tunnel, Local or Bypass")),
        };
        if self.view != View::Tunnels {
            return Ok(forward);
        }
        let info = tunnel(words.need("a tunnel's kind")?);
        let info = info.ok_or_else(|| words.error("not a tunnel's kind: ipip, gue:PORT:-c|+c|r+c, gre:-c|+c, n/a"))?;
        Ok(if matches!(forward, Forward::Tunnel(_)) { Forward::Tunnel(info) } else { forward })
    }

    fn add(&mut self, server: RealServer) -> Result<(), Problem> {
        let line = server.line;
        let Some(service) = self.table.services.last_mut().filter(|_| self.open) else {
            let reason = "a real server without a virtual server before it that could be read";
            return Err(Problem::new(line, 1, server.endpoint.to_string(), reason));
        };
        service.servers.push(server);
        Ok(())
    }

    fn saved_address(words: &mut Words<'_>) -> Result<VirtualAddress, Problem> {
        let what = "-t, -u, --sctp-service or -f";
        let protocol = match words.need(what)? {
            "-t" | "--tcp-service" => Protocol::Tcp,
            "-u" | "--udp-service" => Protocol::Udp,
            "--sctp-service" => Protocol::Sctp,
            "-f" | "--fwmark-service" => {
                let number: i64 = words.value("a firewall mark")?;
                let mark = u32::try_from(number).ok().or_else(|| i32::try_from(number).ok().map(i32::cast_unsigned));
                let mark = mark.ok_or_else(|| words.error("not a firewall mark: a number of 32 bits"))?;
                let family = if words.take_word("-6") { Family::V6 } else { Family::V4 };
                return Ok(VirtualAddress::Mark(mark, Some(family)));
            }
            _ => return Err(words.error(format!("not {what}"))),
        };
        let word = words.need("an address and port")?;
        let found = endpoint(word)
            .ok_or_else(|| words.error("not an address and port such as 10.0.0.1:80 or [fd00::1]:80; save with -n"))?;
        Ok(VirtualAddress::Socket(protocol, found))
    }

    fn saved_service(&mut self, mut words: Words<'_>) -> Result<(), Problem> {
        self.open = false;
        let address = Self::saved_address(&mut words)?;
        let mut service = VirtualServer::at(address, words.line());
        let mut flags = Vec::new();
        let mut one_packet = false;
        let mut persistence = Persistence::Off;
        let (mut found_mask, mut found_engine) = (None, None);
        while let Some(option) = words.next() {
            match option {
                "-s" | "--scheduler" => service.scheduler = Some(scheduler(&mut words)?),
                "-p" | "--persistent" => {
                    // the timeout may be left out
                    let given = words.peek().is_some_and(|word| word.bytes().all(|b| b.is_ascii_digit()));
                    let seconds = if given { words.value("a timeout in seconds")? } else { DEFAULT_TIMEOUT };
                    persistence = Persistence::On { seconds: Some(seconds), jiffies: None, mask: None, engine: None };
                }
                "-M" | "--netmask" => found_mask = mask(&mut words)?,
                "--pe" | "pe" => found_engine = Some(words.need("an engine")?.to_owned()),
                "-o" | "--ops" | "ops" => one_packet = true,
                "-b" | "--sched-flags" => {
                    let list = words.need("flags")?;
                    flags.extend(list.split(',').filter(|flag| !flag.is_empty()).map(str::to_owned));
                }
                _ => return Err(words.error("not an option of -A: -s, -p, -M, --pe, -o or -b")),
            }
        }
        if let Persistence::On { mask, engine, .. } = &mut persistence {
            (*mask, *engine) = (found_mask, found_engine);
        }
        service.persistence = Some(persistence);
        service.one_packet = Some(one_packet);
        service.flags = Some(flags);
        self.push(service);
        Ok(())
    }

    fn saved_server(&mut self, mut words: Words<'_>) -> Result<(), Problem> {
        let address = Self::saved_address(&mut words)?;
        let line = words.line();
        let mut server = RealServer::at(Endpoint { address: [0, 0, 0, 0].into(), port: 0 }, line);
        let mut found = None;
        let mut wrap = Wrap::default();
        while let Some(option) = words.next() {
            match option {
                "-r" | "--real-server" => {
                    let word = words.need("an address and port")?;
                    found = Some(
                        endpoint(word)
                            .ok_or_else(|| words.error("not an address and port such as 10.0.0.1:80; save with -n"))?,
                    );
                }
                "-m" | "--masquerading" => server.forward = Some(Forward::Masquerade),
                "-g" | "--gatewaying" => server.forward = Some(Forward::Route),
                "-i" | "--ipip" => server.forward = Some(Forward::Tunnel(None)),
                "-w" | "--weight" => server.weight = Some(words.value(WEIGHT)?),
                "-x" | "--u-threshold" => server.upper_threshold = Some(words.value(COUNT)?),
                "-y" | "--l-threshold" => server.lower_threshold = Some(words.value(COUNT)?),
                "--tun-type" => wrap.kind = Some(words.need("ipip, gue or gre")?.to_owned()),
                "--tun-port" => wrap.port = words.value("a port")?,
                "--tun-nocsum" => wrap.checksum = Some(Checksum::Without),
                "--tun-csum" => wrap.checksum = Some(Checksum::With),
                "--tun-remcsum" => wrap.checksum = Some(Checksum::Remote),
                _ => return Err(words.error("not an option of -a: -r, -m, -g, -i, -w, -x, -y or --tun-…")),
            }
        }
        if let Some(Forward::Tunnel(kind)) = &mut server.forward {
            *kind = wrap.tunnel().map_err(|reason| Problem::of_line(line, words.content(), reason))?;
        }
        server.endpoint = found.ok_or_else(|| Problem::of_line(line, words.content(), "a real server without -r"))?;
        // normally the one just added
        let same = |service: &VirtualServer| service.address == address;
        if self.open && self.table.services.last().is_some_and(same) {
            return self.add(server);
        }
        Err(Problem::of_line(line, words.content(), "a real server of no virtual server just before it"))
    }

    #[expect(clippy::unnecessary_wraps, reason = "as the readers of the other lines")]
    fn connection(&mut self, first: &str, mut words: Words<'_>) -> Result<(), Problem> {
        let what = "a connection: protocol, expiry, state, client, virtual server and real server";
        let found = if self.view == View::Connections {
            plain_connection(first, &mut words)
        } else {
            hex_connection(first, &mut words)
        };
        if let Some(connection) = found {
            self.table.connections.push(connection);
        } else {
            self.problems.unknown(words.line(), words.content(), what);
        }
        Ok(())
    }
}

const WEIGHT: &str = "a weight of 0 to 65535";
const COUNT: &str = "a number";
/// What `-p` means without a number, in seconds.
const DEFAULT_TIMEOUT: u32 = 300;

#[derive(Default)]
struct Wrap {
    kind: Option<String>,
    port: u16,
    checksum: Option<Checksum>,
}

impl Wrap {
    fn tunnel(&self) -> Result<Option<Tunnel>, &'static str> {
        let checksum = self.checksum.unwrap_or(Checksum::Without);
        Ok(Some(match self.kind.as_deref() {
            None => return Ok(None),
            Some("ipip") => Tunnel::Ipip,
            Some("gue") => Tunnel::Gue(self.port, checksum),
            Some("gre") => Tunnel::Gre(checksum),
            Some(_) => return Err("not a kind of tunnel: ipip, gue or gre"),
        }))
    }
}

/// `TCP 01:39  TIME_WAIT   10.96.94.100:38528 10.96.94.100:80    10.244.0.11:8080`.
fn plain_connection(protocol: &str, words: &mut Words<'_>) -> Option<Connection> {
    let (minutes, seconds) = words.next()?.split_once(':')?;
    let expires = minutes.parse::<u64>().ok()?.checked_mul(60)?.checked_add(seconds.parse().ok()?)?;
    Some(Connection {
        protocol: protocol.to_owned(),
        expires,
        state: words.next()?.to_owned(),
        source: endpoint(words.next()?)?,
        virtual_server: endpoint(words.next()?)?,
        destination: endpoint(words.next()?)?,
    })
}

/// `TCP 0A600308 A958 0A600308 0050 0AF40505 1F90 CLOSE             8`.
fn hex_connection(protocol: &str, words: &mut Words<'_>) -> Option<Connection> {
    let mut end = || {
        let address = hex_address(words.next()?)?;
        Some(Endpoint { address, port: u16::try_from(hex(words.next()?, 4)?).ok()? })
    };
    let (source, virtual_server, destination) = (end()?, end()?, end()?);
    Some(Connection {
        protocol: protocol.to_owned(),
        state: words.next()?.to_owned(),
        expires: words.next()?.parse().ok()?,
        source,
        virtual_server,
        destination,
    })
}
