//! What a rule looks at. Every option is a field; a field that is not given is `None` or `false`.

mod amounts;
mod connections;
mod headers;
mod local;
mod places;

use super::{
    model::Counters,
    module::{Options, Wrong, modules},
    spec::Unknown,
    values::{Address, Flag, Interface, Not, Protocol},
    words::Words,
};

pub use amounts::{Hashlimit, Limit, Quota, Recent, Statistic, Time};
pub use connections::{
    Cluster, ConnMark, Connbytes, Connlabel, Connlimit, Conntrack, Helper, IpsecPolicy, Ipvs, PacketMark, State,
};
pub use headers::{
    Ah, Bpf, Chunks, Dccp, Dscp, Ecn, Esp, Eui64, Frag, Hl, Icmp, Icmp6, Ipv6Header, Length, Multiport, Sctp, StringIn,
    Tcp, TcpMss, Tos, Ttl, U32, Udp, UdpLite, Unclean,
};
pub use local::{Cgroup, Comment, Cpu, Nfacct, OwnerOf, Socket};
pub use places::{Addrtype, Devgroup, Iprange, MacSource, Physdev, Pkttype, Realm, Rpfilter, Set};

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

    /// TCP ports and flags.
    Tcp = "tcp";
    /// UDP ports.
    Udp = "udp";
    /// UDP-Lite ports.
    UdpLite = "udplite";
    /// SCTP ports and chunks.
    Sctp<'a> = "sctp";
    /// DCCP ports, types and options.
    Dccp<'a> = "dccp";
    /// An ICMP message.
    Icmp<'a> = "icmp";
    /// An `ICMPv6` message.
    Icmp6<'a> = "icmp6" | "ipv6-icmp" | "icmpv6";
    /// Lists of ports.
    Multiport<'a> = "multiport";
    /// The packet's mark.
    PacketMark = "mark";
    /// The connection's mark.
    ConnMark = "connmark";
    /// What is known of the packet's connection.
    Conntrack<'a> = "conntrack";
    /// States of the packet's connection, in the old module.
    State = "state";
    /// A look into a set.
    Set<'a> = "set";
    /// No condition: words for the reader.
    Comment<'a> = "comment";
    /// What kind of address it is.
    Addrtype = "addrtype";
    /// Some of the packets, by chance or by count.
    Statistic<'a> = "statistic";
    /// A list of addresses seen lately.
    Recent<'a> = "recent";
    /// So many packets in a time.
    Limit = "limit";
    /// The same for each address or port.
    Hashlimit<'a> = "hashlimit";
    /// So many connections at a time.
    Connlimit = "connlimit";
    /// Bytes or packets of the connection.
    Connbytes<'a> = "connbytes";
    /// The connection's labels.
    Connlabel<'a> = "connlabel";
    /// The process that sends.
    OwnerOf<'a> = "owner";
    /// Ports of a bridge.
    Physdev<'a> = "physdev";
    /// Whether an answer would leave by the interface that the packet came in by.
    Rpfilter = "rpfilter";
    /// Any bits of the packet.
    U32<'a> = "u32";
    /// Any string in the packet.
    StringIn<'a> = "string";
    /// The time of the day and the week.
    Time<'a> = "time";
    /// The hardware address that a packet came from.
    MacSource<'a> = "mac";
    /// The maximum segment size of a SYN.
    TcpMss = "tcpmss";
    /// Whether a local socket would take the packet.
    Socket = "socket";
    /// `IPsec`.
    IpsecPolicy<'a> = "policy";
    /// Ranges of addresses.
    Iprange<'a> = "iprange";
    /// Unicast, broadcast or multicast on the link.
    Pkttype<'a> = "pkttype";
    /// IPVS's knowledge of the packet.
    Ipvs<'a> = "ipvs";
    /// No condition: an accounting object counts.
    Nfacct<'a> = "nfacct";
    /// The time to live.
    Ttl = "ttl";
    /// The hop limit.
    Hl = "hl";
    /// The DSCP field.
    Dscp<'a> = "dscp";
    /// The type of service.
    Tos<'a> = "tos";
    /// Explicit congestion notification.
    Ecn = "ecn";
    /// The packet's length.
    Length = "length";
    /// The conntrack helper.
    Helper<'a> = "helper";
    /// A BPF program.
    Bpf<'a> = "bpf";
    /// The control group that sends.
    Cgroup<'a> = "cgroup";
    /// The processor.
    Cpu = "cpu";
    /// Groups of interfaces.
    Devgroup<'a> = "devgroup";
    /// `IPsec`'s ESP.
    Esp<'a> = "esp";
    /// `IPsec`'s AH.
    Ah<'a> = "ah";
    /// A quota.
    Quota = "quota";
    /// The realm of the route.
    Realm<'a> = "realm";
    /// A share of the connections.
    Cluster = "cluster";
    /// An IPv6 fragment header.
    Frag<'a> = "frag";
    /// An IPv6 address of an EUI-64.
    Eui64 = "eui64";
    /// IPv6 headers.
    Ipv6Header<'a> = "ipv6header";
    /// No condition: unclean packets.
    Unclean = "unclean";
}
