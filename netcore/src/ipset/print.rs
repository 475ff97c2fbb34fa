//! Sets as text again: the bytes that `ipset save` and `ipset list` print.

use std::{
    io::Write,
    net::{IpAddr, Ipv6Addr},
};

use super::{
    element::{Element, Interface, Member, Part, Port, SkbMark},
    model::{CreateOption, Form, IpSet, IpSets, Range},
};
use crate::cidr::{Cidr, Family};

impl IpSets<'_> {
    /// The sets as `ipset save` prints them. A set whose members were not listed has none here.
    pub fn save(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for set in &self.sets {
            set.save(&mut out);
        }
        out
    }

    /// The sets as `ipset list` prints them: lines that the dump did not have are left out.
    pub fn list(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for (number, set) in self.sets.iter().enumerate() {
            if number > 0 {
                out.push(b'\n');
            }
            set.list(&mut out);
        }
        out
    }

    /// The sets in the form in which they were read.
    pub fn print(&self) -> Vec<u8> {
        match self.form {
            Form::Save => self.save(),
            Form::List => self.list(),
        }
    }
}

impl IpSet<'_> {
    /// One `create` line, and an `add` line for each member.
    pub fn save(&self, out: &mut Vec<u8>) {
        for word in ["create ", self.name, " ", self.kind_name] {
            out.extend_from_slice(word.as_bytes());
        }
        self.create_options(out);
        out.push(b'\n');
        for member in self.members().into_iter().flatten() {
            out.extend_from_slice(b"add ");
            out.extend_from_slice(self.name.as_bytes());
            out.push(b' ');
            member.print(out);
            out.push(b'\n');
        }
    }

    fn list(&self, out: &mut Vec<u8>) {
        let mut line = |name: &str, value: Option<&dyn std::fmt::Display>| {
            if let Some(value) = value {
                write(out, format_args!("{name}: {value}\n"));
            }
        };
        line("Name", Some(&self.name));
        line("Type", Some(&self.kind_name));
        line("Revision", self.revision.as_ref().map(|n| n as &dyn std::fmt::Display));
        out.extend_from_slice(b"Header:");
        self.create_options(out);
        out.push(b'\n');
        let mut line = |name: &str, value: Option<&dyn std::fmt::Display>| {
            if let Some(value) = value {
                write(out, format_args!("{name}: {value}\n"));
            }
        };
        line("Size in memory", self.memory.as_ref().map(|n| n as &dyn std::fmt::Display));
        line("References", self.references.as_ref().map(|n| n as &dyn std::fmt::Display));
        line("Number of entries", self.entries.as_ref().map(|n| n as &dyn std::fmt::Display));
        if let Some(members) = self.members() {
            out.extend_from_slice(b"Members:\n");
            for member in members {
                member.print(out);
                out.push(b'\n');
            }
        }
    }

    fn create_options(&self, out: &mut Vec<u8>) {
        for option in &self.options {
            out.push(b' ');
            match option {
                CreateOption::Family(Family::V4) => out.extend_from_slice(b"family inet"),
                CreateOption::Family(Family::V6) => out.extend_from_slice(b"family inet6"),
                CreateOption::HashSize(n) => write(out, format_args!("hashsize {n}")),
                CreateOption::MaxElem(n) => write(out, format_args!("maxelem {n}")),
                CreateOption::Netmask(n) => write(out, format_args!("netmask {n}")),
                CreateOption::Bitmask(ip) => {
                    out.extend_from_slice(b"bitmask ");
                    address(*ip, out);
                }
                CreateOption::MarkMask(mask) => write(out, format_args!("markmask 0x{mask:08x}")),
                CreateOption::Timeout(n) => write(out, format_args!("timeout {n}")),
                CreateOption::Counters => out.extend_from_slice(b"counters"),
                CreateOption::Comment => out.extend_from_slice(b"comment"),
                CreateOption::SkbInfo => out.extend_from_slice(b"skbinfo"),
                CreateOption::ForceAdd => out.extend_from_slice(b"forceadd"),
                CreateOption::BucketSize(n) => write(out, format_args!("bucketsize {n}")),
                CreateOption::InitVal(n) => write(out, format_args!("initval 0x{n:08x}")),
                CreateOption::Range(Range::Ports(first, last)) => write(out, format_args!("range {first}-{last}")),
                CreateOption::Range(Range::Addresses(first, last)) => {
                    out.extend_from_slice(b"range ");
                    address(*first, out);
                    out.push(b'-');
                    address(*last, out);
                }
                CreateOption::Size(n) => write(out, format_args!("size {n}")),
                CreateOption::Unknown(word) => out.extend_from_slice(word.as_bytes()),
            }
        }
    }
}

impl Member<'_> {
    /// The member with its options, as it stands behind `add NAME `.
    pub fn print(&self, out: &mut Vec<u8>) {
        self.element.print(out);
        let options = &self.options;
        let mut number = |name: &str, value: Option<u64>| {
            if let Some(value) = value {
                write(out, format_args!(" {name} {value}"));
            }
        };
        number("timeout", options.timeout.map(u64::from));
        if options.nomatch {
            out.extend_from_slice(b" nomatch");
        }
        if options.wildcard {
            out.extend_from_slice(b" wildcard");
        }
        let mut number = |name: &str, value: Option<u64>| {
            if let Some(value) = value {
                write(out, format_args!(" {name} {value}"));
            }
        };
        number("packets", options.packets);
        number("bytes", options.bytes);
        if let Some(comment) = options.comment {
            out.extend_from_slice(b" comment \"");
            out.extend_from_slice(comment);
            out.push(b'"');
        }
        match options.skbmark {
            Some(SkbMark { value, mask: u32::MAX }) => write(out, format_args!(" skbmark 0x{value:x}")),
            Some(SkbMark { value, mask }) => write(out, format_args!(" skbmark 0x{value:x}/0x{mask:x}")),
            None => {}
        }
        if let Some((major, minor)) = options.skbprio {
            write(out, format_args!(" skbprio {major:x}:{minor:x}"));
        }
        if let Some(queue) = options.skbqueue {
            write(out, format_args!(" skbqueue {queue}"));
        }
    }
}

impl Element<'_> {
    /// The parts with commas between them.
    pub fn print(&self, out: &mut Vec<u8>) {
        for (number, part) in self.parts().enumerate() {
            if number > 0 {
                out.push(b',');
            }
            part.print(out);
        }
    }
}

impl std::fmt::Display for Element<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut out = Vec::new();
        self.print(&mut out);
        f.write_str(&String::from_utf8_lossy(&out))
    }
}

impl Part<'_> {
    fn print(&self, out: &mut Vec<u8>) {
        match self {
            Self::Absent => {}
            Self::Ip(ip) => address(*ip, out),
            Self::Ips(range) => {
                address(range.first(), out);
                out.push(b'-');
                address(range.last(), out);
            }
            Self::Net(cidr) => prefix(cidr, out),
            Self::Port(port) => print_port(port, out),
            Self::Mac(bytes) => {
                for (number, byte) in bytes.iter().enumerate() {
                    write(out, format_args!("{}{byte:02X}", if number > 0 { ":" } else { "" }));
                }
            }
            Self::Mark(mark) => write(out, format_args!("0x{mark:08x}")),
            Self::Interface(Interface { name, physdev }) => {
                out.extend_from_slice(if *physdev { b"physdev:" } else { b"" });
                out.extend_from_slice(name.as_bytes());
            }
            Self::Set(name) => out.extend_from_slice(name.as_bytes()),
            Self::Unknown(text) => out.extend_from_slice(text),
        }
    }
}

fn print_port(port: &Port<'_>, out: &mut Vec<u8>) {
    let number = port.protocol.and_then(|protocol| protocol.number);
    if let Some(protocol) = port.protocol {
        out.extend_from_slice(protocol.name.as_bytes());
        out.push(b':');
    }
    match (port.icmp_name, number) {
        (Some(name), _) => out.extend_from_slice(name.as_bytes()),
        (None, Some(1 | 58)) => {
            let [kind, code] = port.first.to_be_bytes();
            write(out, format_args!("{kind}/{code}"));
        }
        _ if port.first == port.last => write(out, format_args!("{}", port.first)),
        _ => write(out, format_args!("{}-{}", port.first, port.last)),
    }
}

fn prefix(cidr: &Cidr, out: &mut Vec<u8>) {
    address(cidr.first(), out);
    if cidr.host_bits() > 0 {
        write(out, format_args!("/{}", cidr.prefix_len()));
    }
}

/// An address as the C library prints it: `::1.2.3.4`, where Rust prints `::102:304`.
fn address(ip: IpAddr, out: &mut Vec<u8>) {
    match ip {
        IpAddr::V6(v6) if is_compatible(v6) => match v6.octets() {
            [.., a, b, c, d] => write(out, format_args!("::{a}.{b}.{c}.{d}")),
        },
        ip => write(out, format_args!("{ip}")),
    }
}

fn is_compatible(ip: Ipv6Addr) -> bool {
    matches!(ip.segments(), [0, 0, 0, 0, 0, 0, high, _] if high != 0)
}

/// Writing to memory cannot fail.
fn write(out: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    let _ = out.write_fmt(text);
}
