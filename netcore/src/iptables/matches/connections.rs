//! What is known of the packet's connection, its marks included.

#[cfg(test)]
use super::super::module::SampleOption;
use super::super::{
    module::{Field, Options, options},
    values::{Address, Flag, Hex, Mark, Network, Not, Ports, Protocol, States, Statuses, Text, Word},
    words::Words,
};

options! {
    /// The packet's mark.
    PacketMark {
        /// The mark.
        mark: Option<Not<Mark>> = "--mark";
    }
    /// The connection's mark.
    ConnMark {
        /// The mark.
        mark: Option<Not<Mark>> = "--mark";
    }
    /// What is known of the packet's connection.
    Conntrack<'a> {
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
    State {
        /// The states.
        states: Option<Not<States>> = "--state";
    }
    /// So many connections at a time.
    Connlimit {
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
    Connbytes<'a> {
        /// From and to.
        range: Option<Not<Word<'a>>> = "--connbytes";
        /// `packets`, `bytes` or `avgpkt`.
        mode: Option<Word<'a>> = "--connbytes-mode";
        /// `original`, `reply` or `both`.
        direction: Option<Word<'a>> = "--connbytes-dir";
    }
    /// The connection's labels.
    Connlabel<'a> {
        /// The label.
        label: Option<Not<Text<'a>>> = "--label";
        /// Whether it is set if it is not.
        set: bool = "--set";
    }
    /// The conntrack helper.
    Helper<'a> {
        /// Its name.
        name: Option<Not<Text<'a>>> = "--helper";
    }
    /// A share of the connections.
    Cluster {
        /// Nodes in all.
        total: Option<u32> = "--cluster-total-nodes";
        /// This node.
        local: Option<Not<u32>> = "--cluster-local-node";
        /// These nodes.
        local_mask: Option<Not<Hex>> = "--cluster-local-nodemask";
        /// The hash's seed.
        seed: Option<Hex> = "--cluster-hash-seed";
    }
    /// IPVS's knowledge of the packet.
    Ipvs<'a> {
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
    /// `IPsec`.
    IpsecPolicy<'a> {
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
}
