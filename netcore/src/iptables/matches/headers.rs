//! What a packet's own bytes say: protocols' headers, fields and content.

#[cfg(test)]
use super::super::module::SampleOption;
use super::super::{
    module::{Field, Options, Value, options},
    values::{Flag, HexByte, IcmpType, Not, PortList, Ports, TcpFlags, Text, Word},
    words::Words,
};

options! {
    /// TCP ports and flags.
    Tcp {
        /// Source ports.
        sources: Option<Not<Ports>> = "--sport" | "--source-port";
        /// Destination ports.
        destinations: Option<Not<Ports>> = "--dport" | "--destination-port";
        /// A TCP option's number.
        option: Option<Not<u8>> = "--tcp-option";
        /// Flags.
        flags: Option<Not<TcpFlags>> = "--tcp-flags";
        /// The first packet of a connection.
        syn: Option<Not<Flag>> = "--syn";
    }
    /// UDP ports.
    Udp {
        /// Source ports.
        sources: Option<Not<Ports>> = "--sport" | "--source-port";
        /// Destination ports.
        destinations: Option<Not<Ports>> = "--dport" | "--destination-port";
    }
    /// UDP-Lite ports.
    UdpLite {
        /// Source ports.
        sources: Option<Not<Ports>> = "--sport" | "--source-port";
        /// Destination ports.
        destinations: Option<Not<Ports>> = "--dport" | "--destination-port";
    }
    /// SCTP ports and chunks.
    Sctp<'a> {
        /// Source ports.
        sources: Option<Not<Ports>> = "--sport" | "--source-port";
        /// Destination ports.
        destinations: Option<Not<Ports>> = "--dport" | "--destination-port";
        /// Chunk types: which of them, and the list.
        chunks: Option<Not<Chunks<'a>>> = "--chunk-types";
    }
    /// DCCP ports, types and options.
    Dccp<'a> {
        /// Source ports.
        sources: Option<Not<Ports>> = "--sport" | "--source-port";
        /// Destination ports.
        destinations: Option<Not<Ports>> = "--dport" | "--destination-port";
        /// Packet types.
        types: Option<Not<Word<'a>>> = "--dccp-types";
        /// An option's number.
        option: Option<Not<u8>> = "--dccp-option";
    }
    /// An ICMP message.
    Icmp<'a> {
        /// Its type.
        kind: Option<Not<IcmpType<'a>>> = "--icmp-type";
    }
    /// An `ICMPv6` message.
    Icmp6<'a> {
        /// Its type.
        kind: Option<Not<IcmpType<'a>>> = "--icmpv6-type" | "--icmp6-type";
    }
    /// Lists of ports.
    Multiport<'a> {
        /// Source ports.
        sources: Option<Not<PortList<'a>>> = "--sports" | "--source-ports";
        /// Destination ports.
        destinations: Option<Not<PortList<'a>>> = "--dports" | "--destination-ports";
        /// Ports of either end.
        either: Option<Not<PortList<'a>>> = "--ports" | "--port";
    }
    /// The maximum segment size of a SYN.
    TcpMss {
        /// The size, or a range.
        size: Option<Not<Ports>> = "--mss";
    }
    /// The packet's length.
    Length {
        /// In bytes.
        bytes: Option<Not<Ports>> = "--length";
    }
    /// The time to live.
    Ttl {
        /// Equal.
        equal: Option<Not<u8>> = "--ttl-eq" | "--ttl";
        /// Less.
        under: Option<u8> = "--ttl-lt";
        /// More.
        over: Option<u8> = "--ttl-gt";
    }
    /// The hop limit.
    Hl {
        /// Equal.
        equal: Option<Not<u8>> = "--hl-eq";
        /// Less.
        under: Option<u8> = "--hl-lt";
        /// More.
        over: Option<u8> = "--hl-gt";
    }
    /// The DSCP field.
    Dscp<'a> {
        /// Its value.
        value: Option<Not<HexByte>> = "--dscp";
        /// Its class.
        class: Option<Not<Word<'a>>> = "--dscp-class";
    }
    /// The type of service.
    Tos<'a> {
        /// Its value and mask.
        value: Option<Not<Word<'a>>> = "--tos";
    }
    /// Explicit congestion notification.
    Ecn {
        /// CWR.
        cwr: Option<Not<Flag>> = "--ecn-tcp-cwr";
        /// ECE.
        ece: Option<Not<Flag>> = "--ecn-tcp-ece";
        /// The field in the IP header.
        ip: Option<Not<u8>> = "--ecn-ip-ect";
    }
    /// An IPv6 fragment header.
    Frag<'a> {
        /// Identities.
        id: Option<Not<Word<'a>>> = "--fragid";
        /// The length.
        length: Option<Word<'a>> = "--fraglen";
        /// Reserved bits are set.
        reserved: bool = "--fragres";
        /// The first.
        first: bool = "--fragfirst";
        /// One with more after it.
        more: bool = "--fragmore";
        /// The last.
        last: bool = "--fraglast";
    }
    /// An IPv6 address of an EUI-64.
    Eui64 {}
    /// IPv6 headers.
    Ipv6Header<'a> {
        /// Which.
        headers: Option<Not<Word<'a>>> = "--header";
        /// Whether others may be there.
        soft: bool = "--soft";
    }
    /// `IPsec`'s ESP.
    Esp<'a> {
        /// Security parameter indices.
        spi: Option<Not<Word<'a>>> = "--espspi";
    }
    /// `IPsec`'s AH.
    Ah<'a> {
        /// Security parameter indices.
        spi: Option<Not<Word<'a>>> = "--ahspi";
    }
    /// Any bits of the packet.
    U32<'a> {
        /// The tests.
        tests: Option<Not<Text<'a>>> = "--u32";
    }
    /// Any string in the packet.
    StringIn<'a> {
        /// The string.
        text: Option<Not<Text<'a>>> = "--string";
        /// The string with bytes in hexadecimal.
        hex: Option<Not<Text<'a>>> = "--hex-string";
        /// How it is searched: `bm` or `kmp`.
        algorithm: Option<Word<'a>> = "--algo";
        /// From which offset.
        from: Option<u16> = "--from";
        /// To which offset.
        to: Option<u16> = "--to";
        /// Whatever the case.
        ignore_case: bool = "--icase";
    }
    /// A BPF program.
    Bpf<'a> {
        /// Its instructions.
        code: Option<Text<'a>> = "--bytecode";
        /// Where it is pinned.
        pinned: Option<Text<'a>> = "--object-pinned";
    }
    /// No condition: unclean packets.
    Unclean {}
}

/// Chunk types of SCTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chunks<'a> {
    /// `any`, `all` or `only`.
    pub which: &'a str,
    /// The types, commas between.
    pub types: &'a str,
}

impl<'a> Value<'a> for Chunks<'a> {
    fn read(words: &mut Words<'a>) -> Result<Self, String> {
        let which = words.next().map_or("", |word| word.raw);
        if !matches!(which, "any" | "all" | "only") {
            return Err("not `any`, `all` or `only`".to_owned());
        }
        let types = words.next().ok_or("no chunk types follow")?.raw;
        Ok(Self { which, types })
    }

    fn write(&self, out: &mut String) {
        for word in [self.which, self.types] {
            out.push(' ');
            out.push_str(word);
        }
    }

    #[cfg(test)]
    fn sample(random: &mut super::super::properties::Random) -> String {
        format!(" any DATA,{}", random.below(9))
    }
}
