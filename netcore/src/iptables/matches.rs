//! What a rule looks at. Every option is a field; a field that is not given is `None` or `false`.

use super::{
    model::Counters,
    module::{Field, Options, Wrong, modules},
    spec::Unknown,
    values::{
        AccountName, Address, AddressRange, AddressTypes, Days, Flag, HashRate, HexByte, IcmpType, Interface, Mac,
        Mark, Network, Not, PortList, Ports, Probability, Protocol, Rate, SetLookup, States, Statuses, TcpFlags, Text,
        Word,
    },
    words::Words,
};

modules! {
    /// A condition of a rule. All of a rule's conditions must hold.
    Match {
        /// `-s`: the source address.
        Source(Not<Address>),
        /// `-d`: the destination address.
        Destination(Not<Address>),
        /// `-i`: the interface that the packet came in by.
        InInterface(Not<Interface<'a>>),
        /// `-o`: the interface that the packet leaves by.
        OutInterface(Not<Interface<'a>>),
        /// `-p`: the protocol.
        Protocol(Not<Protocol<'a>>),
        /// `-f`: the second or a later fragment.
        Fragment(Not<Flag>),
        /// `-c`: no condition, but the rule's counters, as `iptables -S -v` prints them.
        Counters(Counters),
        /// What is not known or not valid, as it is written.
        Unknown(Unknown<'a>),
    }
    module by_name print print_module names NAMES samples samples

    /// TCP ports and flags.
    Tcp = "tcp" {
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
    Udp = "udp" {
        /// Source ports.
        sources: Option<Not<Ports>> = "--sport" | "--source-port";
        /// Destination ports.
        destinations: Option<Not<Ports>> = "--dport" | "--destination-port";
    }
    /// UDP-Lite ports.
    UdpLite = "udplite" {
        /// Source ports.
        sources: Option<Not<Ports>> = "--sport" | "--source-port";
        /// Destination ports.
        destinations: Option<Not<Ports>> = "--dport" | "--destination-port";
    }
    /// SCTP ports and chunks.
    Sctp<'a> = "sctp" {
        /// Source ports.
        sources: Option<Not<Ports>> = "--sport" | "--source-port";
        /// Destination ports.
        destinations: Option<Not<Ports>> = "--dport" | "--destination-port";
        /// Chunk types: which of them, and the list.
        chunks: Option<Not<Chunks<'a>>> = "--chunk-types";
    }
    /// DCCP ports, types and options.
    Dccp<'a> = "dccp" {
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
    Icmp<'a> = "icmp" {
        /// Its type.
        kind: Option<Not<IcmpType<'a>>> = "--icmp-type";
    }
    /// An `ICMPv6` message.
    Icmp6<'a> = "icmp6" | "ipv6-icmp" | "icmpv6" {
        /// Its type.
        kind: Option<Not<IcmpType<'a>>> = "--icmpv6-type" | "--icmp6-type";
    }
    /// Lists of ports.
    Multiport<'a> = "multiport" {
        /// Source ports.
        sources: Option<Not<PortList<'a>>> = "--sports" | "--source-ports";
        /// Destination ports.
        destinations: Option<Not<PortList<'a>>> = "--dports" | "--destination-ports";
        /// Ports of either end.
        either: Option<Not<PortList<'a>>> = "--ports" | "--port";
    }
    /// The packet's mark.
    PacketMark = "mark" {
        /// The mark.
        mark: Option<Not<Mark>> = "--mark";
    }
    /// The connection's mark.
    ConnMark = "connmark" {
        /// The mark.
        mark: Option<Not<Mark>> = "--mark";
    }
    /// What is known of the packet's connection.
    Conntrack<'a> = "conntrack" {
        /// Its states.
        states: Option<Not<States>> = "--ctstate";
        /// Its protocol.
        protocol: Option<Not<Protocol<'a>>> = "--ctproto";
        /// The source of its first packet.
        original_source: Option<Not<Address>> = "--ctorigsrc";
        /// The destination of its first packet.
        original_destination: Option<Not<Address>> = "--ctorigdst";
        /// The source of answers.
        reply_source: Option<Not<Address>> = "--ctreplsrc";
        /// The destination of answers.
        reply_destination: Option<Not<Address>> = "--ctrepldst";
        /// The source port of its first packet.
        original_source_port: Option<Not<Ports>> = "--ctorigsrcport";
        /// The destination port of its first packet.
        original_destination_port: Option<Not<Ports>> = "--ctorigdstport";
        /// The source port of answers.
        reply_source_port: Option<Not<Ports>> = "--ctreplsrcport";
        /// The destination port of answers.
        reply_destination_port: Option<Not<Ports>> = "--ctrepldstport";
        /// States of its entry.
        status: Option<Not<Statuses>> = "--ctstatus";
        /// Seconds until its entry ends.
        expires: Option<Not<Ports>> = "--ctexpire";
        /// `ORIGINAL` or `REPLY`.
        direction: Option<Word<'a>> = "--ctdir";
    }
    /// States of the packet's connection, in the old module.
    State = "state" {
        /// The states.
        states: Option<Not<States>> = "--state";
    }
    /// A look into a set.
    Set<'a> = "set" {
        /// The set.
        lookup: Option<Not<SetLookup<'a>>> = "--match-set" | "--set";
        /// Whether a member with `nomatch` counts as a hit.
        return_nomatch: bool = "--return-nomatch";
        /// Whether the member's counters are left alone when `!` stands before it.
        update_counters: Option<Not<Flag>> = "--update-counters";
        /// The same for sets in a list.
        update_subcounters: Option<Not<Flag>> = "--update-subcounters";
        /// Packets of the member.
        packets_equal: Option<Not<u64>> = "--packets-eq";
        /// Packets of the member.
        packets_under: Option<u64> = "--packets-lt";
        /// Packets of the member.
        packets_over: Option<u64> = "--packets-gt";
        /// Bytes of the member.
        bytes_equal: Option<Not<u64>> = "--bytes-eq";
        /// Bytes of the member.
        bytes_under: Option<u64> = "--bytes-lt";
        /// Bytes of the member.
        bytes_over: Option<u64> = "--bytes-gt";
    }
    /// No condition: words for the reader.
    Comment<'a> = "comment" {
        /// The words.
        text: Option<Text<'a>> = "--comment";
    }
    /// What kind of address it is.
    Addrtype = "addrtype" {
        /// Kinds of the source.
        source: Option<Not<AddressTypes>> = "--src-type";
        /// Kinds of the destination.
        destination: Option<Not<AddressTypes>> = "--dst-type";
        /// Only addresses of the interface that the packet came in by.
        limit_in: bool = "--limit-iface-in";
        /// Only addresses of the interface that the packet leaves by.
        limit_out: bool = "--limit-iface-out";
    }
    /// Some of the packets, by chance or by count.
    Statistic<'a> = "statistic" {
        /// `random` or `nth`.
        mode: Option<Word<'a>> = "--mode";
        /// How likely a packet fits.
        probability: Option<Not<Probability>> = "--probability";
        /// Every how many packets one fits.
        every: Option<Not<u32>> = "--every";
        /// Which of them, from 0.
        packet: Option<u32> = "--packet";
    }
    /// A list of addresses seen lately.
    Recent<'a> = "recent" {
        /// Adds the address.
        set: Option<Not<Flag>> = "--set";
        /// Whether the address is in the list.
        check: Option<Not<Flag>> = "--rcheck";
        /// The same, and it is seen now.
        update: Option<Not<Flag>> = "--update";
        /// The same, and it is taken out.
        remove: Option<Not<Flag>> = "--remove";
        /// Only if seen in the last seconds.
        seconds: Option<u32> = "--seconds";
        /// Whether older ones are taken out.
        reap: bool = "--reap";
        /// Only if seen so often.
        hits: Option<u32> = "--hitcount";
        /// Whether the TTL must be the same.
        ttl: bool = "--rttl";
        /// The list's name.
        name: Option<Word<'a>> = "--name";
        /// The mask under which addresses are the same.
        mask: Option<Network<'a>> = "--mask";
        /// The source address is meant.
        source: bool = "--rsource";
        /// The destination address is meant.
        destination: bool = "--rdest";
    }
    /// So many packets in a time.
    Limit = "limit" {
        /// How many.
        rate: Option<Not<Rate>> = "--limit";
        /// How many at first.
        burst: Option<u32> = "--limit-burst";
    }
    /// The same for each address or port.
    Hashlimit<'a> = "hashlimit" {
        /// At most.
        upto: Option<Not<HashRate<'a>>> = "--hashlimit-upto" | "--hashlimit";
        /// More than.
        above: Option<Not<HashRate<'a>>> = "--hashlimit-above";
        /// How many at first.
        burst: Option<Word<'a>> = "--hashlimit-burst";
        /// What is told apart: `srcip`, `srcport`, `dstip`, `dstport`.
        mode: Option<Word<'a>> = "--hashlimit-mode";
        /// The table's name.
        name: Option<Word<'a>> = "--hashlimit-name";
        /// Buckets.
        size: Option<u32> = "--hashlimit-htable-size";
        /// Entries at most.
        max: Option<u32> = "--hashlimit-htable-max";
        /// Milliseconds between sweeps.
        interval: Option<u32> = "--hashlimit-htable-gcinterval";
        /// Milliseconds until an idle entry goes.
        expire: Option<u32> = "--hashlimit-htable-expire";
        /// Bits of the source that count.
        source_bits: Option<u8> = "--hashlimit-srcmask";
        /// Bits of the destination that count.
        destination_bits: Option<u8> = "--hashlimit-dstmask";
        /// Whether the rate is classified, not limited.
        rate_match: bool = "--hashlimit-rate-match";
        /// Seconds over which the rate is taken.
        rate_interval: Option<u32> = "--hashlimit-rate-interval";
    }
    /// So many connections at a time.
    Connlimit = "connlimit" {
        /// At most.
        upto: Option<u32> = "--connlimit-upto";
        /// More than.
        above: Option<Not<u32>> = "--connlimit-above";
        /// Bits of the address that count.
        mask: Option<u8> = "--connlimit-mask";
        /// The source is meant.
        source: bool = "--connlimit-saddr";
        /// The destination is meant.
        destination: bool = "--connlimit-daddr";
    }
    /// Bytes or packets of the connection.
    Connbytes<'a> = "connbytes" {
        /// From and to.
        range: Option<Not<Word<'a>>> = "--connbytes";
        /// `packets`, `bytes` or `avgpkt`.
        mode: Option<Word<'a>> = "--connbytes-mode";
        /// `original`, `reply` or `both`.
        direction: Option<Word<'a>> = "--connbytes-dir";
    }
    /// The connection's labels.
    Connlabel<'a> = "connlabel" {
        /// The label.
        label: Option<Not<Text<'a>>> = "--label";
        /// Whether it is set if it is not.
        set: bool = "--set";
    }
    /// The process that sends.
    OwnerOf<'a> = "owner" {
        /// Its user.
        user: Option<Not<Word<'a>>> = "--uid-owner";
        /// Its group.
        group: Option<Not<Word<'a>>> = "--gid-owner";
        /// Whether there is a socket.
        socket: Option<Not<Flag>> = "--socket-exists";
        /// Whether further groups count.
        supplementary: bool = "--suppl-groups";
    }
    /// Ports of a bridge.
    Physdev<'a> = "physdev" {
        /// Came in through a bridge.
        is_in: Option<Not<Flag>> = "--physdev-is-in";
        /// Through which port.
        input: Option<Not<Interface<'a>>> = "--physdev-in";
        /// Leaves through a bridge.
        is_out: Option<Not<Flag>> = "--physdev-is-out";
        /// Through which port.
        output: Option<Not<Interface<'a>>> = "--physdev-out";
        /// Is bridged, not routed.
        is_bridged: Option<Not<Flag>> = "--physdev-is-bridged";
    }
    /// Whether an answer would leave by the interface that the packet came in by.
    Rpfilter = "rpfilter" {
        /// Any interface counts.
        loose: bool = "--loose";
        /// The mark counts for the route.
        valid_mark: bool = "--validmark";
        /// Local addresses are accepted.
        accept_local: bool = "--accept-local";
        /// Packets that fail fit.
        invert: bool = "--invert";
    }
    /// Any bits of the packet.
    U32<'a> = "u32" {
        /// The tests.
        tests: Option<Not<Text<'a>>> = "--u32";
    }
    /// Any string in the packet.
    StringIn<'a> = "string" {
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
    /// The time of the day and the week.
    Time<'a> = "time" {
        /// From.
        start: Option<Word<'a>> = "--timestart";
        /// To.
        stop: Option<Word<'a>> = "--timestop";
        /// Days of the month.
        month_days: Option<Not<Days<'a>>> = "--monthdays";
        /// Days of the week.
        week_days: Option<Not<Days<'a>>> = "--weekdays" | "--days";
        /// From which date.
        date_start: Option<Word<'a>> = "--datestart";
        /// To which date.
        date_stop: Option<Word<'a>> = "--datestop";
        /// In the kernel's time zone.
        kernel_zone: bool = "--kerneltz";
        /// Over midnight.
        contiguous: bool = "--contiguous";
    }
    /// The hardware address that a packet came from.
    MacSource<'a> = "mac" {
        /// The address.
        source: Option<Not<Mac<'a>>> = "--mac-source" | "--mac";
    }
    /// The maximum segment size of a SYN.
    TcpMss = "tcpmss" {
        /// The size, or a range.
        size: Option<Not<Ports>> = "--mss";
    }
    /// Whether a local socket would take the packet.
    Socket = "socket" {
        /// Only transparent ones.
        transparent: bool = "--transparent";
        /// Also those bound to any address.
        no_wildcard: bool = "--nowildcard";
        /// The socket's mark becomes the packet's.
        restore_mark: bool = "--restore-skmark";
    }
    /// `IPsec`.
    IpsecPolicy<'a> = "policy" {
        /// `in` or `out`.
        direction: Option<Word<'a>> = "--dir";
        /// `ipsec` or `none`.
        policy: Option<Word<'a>> = "--pol";
        /// Whether every element must fit.
        strict: bool = "--strict";
        /// Request id.
        request: Option<Not<u32>> = "--reqid";
        /// Security parameter index.
        spi: Option<Not<Word<'a>>> = "--spi";
        /// Protocol.
        protocol: Option<Not<Word<'a>>> = "--proto";
        /// `tunnel` or `transport`.
        mode: Option<Not<Word<'a>>> = "--mode";
        /// The tunnel's other end.
        tunnel_source: Option<Not<Network<'a>>> = "--tunnel-src";
        /// The tunnel's near end.
        tunnel_destination: Option<Not<Network<'a>>> = "--tunnel-dst";
    }
    /// Ranges of addresses.
    Iprange<'a> = "iprange" {
        /// Of the source.
        source: Option<Not<AddressRange<'a>>> = "--src-range";
        /// Of the destination.
        destination: Option<Not<AddressRange<'a>>> = "--dst-range";
    }
    /// Unicast, broadcast or multicast on the link.
    Pkttype<'a> = "pkttype" {
        /// Which.
        kind: Option<Not<Word<'a>>> = "--pkt-type";
    }
    /// IPVS's knowledge of the packet.
    Ipvs<'a> = "ipvs" {
        /// Whether it is of a virtual server.
        ipvs: Option<Not<Flag>> = "--ipvs";
        /// The virtual server's protocol.
        protocol: Option<Not<Word<'a>>> = "--vproto";
        /// The virtual server's address.
        address: Option<Not<Address>> = "--vaddr";
        /// The virtual server's port.
        port: Option<Not<u16>> = "--vport";
        /// The direction.
        direction: Option<Word<'a>> = "--vdir";
        /// How packets are forwarded.
        method: Option<Not<Word<'a>>> = "--vmethod";
        /// The port of the control connection.
        control_port: Option<Not<u16>> = "--vportctl";
    }
    /// No condition: an accounting object counts.
    Nfacct<'a> = "nfacct" {
        /// The object.
        name: Option<AccountName<'a>> = "--nfacct-name";
    }
    /// The time to live.
    Ttl = "ttl" {
        /// Equal.
        equal: Option<Not<u8>> = "--ttl-eq" | "--ttl";
        /// Less.
        under: Option<u8> = "--ttl-lt";
        /// More.
        over: Option<u8> = "--ttl-gt";
    }
    /// The hop limit.
    Hl = "hl" {
        /// Equal.
        equal: Option<Not<u8>> = "--hl-eq";
        /// Less.
        under: Option<u8> = "--hl-lt";
        /// More.
        over: Option<u8> = "--hl-gt";
    }
    /// The DSCP field.
    Dscp<'a> = "dscp" {
        /// Its value.
        value: Option<Not<HexByte>> = "--dscp";
        /// Its class.
        class: Option<Not<Word<'a>>> = "--dscp-class";
    }
    /// The type of service.
    Tos<'a> = "tos" {
        /// Its value and mask.
        value: Option<Not<Word<'a>>> = "--tos";
    }
    /// Explicit congestion notification.
    Ecn = "ecn" {
        /// CWR.
        cwr: Option<Not<Flag>> = "--ecn-tcp-cwr";
        /// ECE.
        ece: Option<Not<Flag>> = "--ecn-tcp-ece";
        /// The field in the IP header.
        ip: Option<Not<u8>> = "--ecn-ip-ect";
    }
    /// The packet's length.
    Length = "length" {
        /// In bytes.
        bytes: Option<Not<Ports>> = "--length";
    }
    /// The conntrack helper.
    Helper<'a> = "helper" {
        /// Its name.
        name: Option<Not<Text<'a>>> = "--helper";
    }
    /// A BPF program.
    Bpf<'a> = "bpf" {
        /// Its instructions.
        code: Option<Text<'a>> = "--bytecode";
        /// Where it is pinned.
        pinned: Option<Text<'a>> = "--object-pinned";
    }
    /// The control group that sends.
    Cgroup<'a> = "cgroup" {
        /// Its class.
        class: Option<Not<Word<'a>>> = "--cgroup";
        /// Its path.
        path: Option<Not<Text<'a>>> = "--path";
    }
    /// The processor.
    Cpu = "cpu" {
        /// Its number.
        number: Option<Not<u32>> = "--cpu";
    }
    /// Groups of interfaces.
    Devgroup<'a> = "devgroup" {
        /// That the packet came in by.
        source: Option<Not<Word<'a>>> = "--src-group";
        /// That the packet leaves by.
        destination: Option<Not<Word<'a>>> = "--dst-group";
    }
    /// `IPsec`'s ESP.
    Esp<'a> = "esp" {
        /// Security parameter indices.
        spi: Option<Not<Word<'a>>> = "--espspi";
    }
    /// `IPsec`'s AH.
    Ah<'a> = "ah" {
        /// Security parameter indices.
        spi: Option<Not<Word<'a>>> = "--ahspi";
    }
    /// A quota.
    Quota = "quota" {
        /// Bytes.
        bytes: Option<Not<u64>> = "--quota";
    }
    /// The realm of the route.
    Realm<'a> = "realm" {
        /// The realm.
        realm: Option<Not<Word<'a>>> = "--realm";
    }
    /// A share of the connections.
    Cluster = "cluster" {
        /// Nodes in all.
        total: Option<u32> = "--cluster-total-nodes";
        /// This node.
        local: Option<Not<u32>> = "--cluster-local-node";
        /// These nodes.
        local_mask: Option<Not<super::values::Hex>> = "--cluster-local-nodemask";
        /// The hash's seed.
        seed: Option<super::values::Hex> = "--cluster-hash-seed";
    }
    /// An IPv6 fragment header.
    Frag<'a> = "frag" {
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
    Eui64 = "eui64" {}
    /// IPv6 headers.
    Ipv6Header<'a> = "ipv6header" {
        /// Which.
        headers: Option<Not<Word<'a>>> = "--header";
        /// Whether others may be there.
        soft: bool = "--soft";
    }
    /// No condition: unclean packets.
    Unclean = "unclean" {}
}

/// Chunk types of SCTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chunks<'a> {
    /// `any`, `all` or `only`.
    pub which: &'a str,
    /// The types, commas between.
    pub types: &'a str,
}

impl<'a> super::module::Value<'a> for Chunks<'a> {
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
    fn sample(random: &mut super::properties::Random) -> String {
        format!(" any DATA,{}", random.below(9))
    }
}
