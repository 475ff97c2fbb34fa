//! What a rule does.

#[cfg(test)]
use super::module::SampleOption;
use super::{
    module::{Field, Options, Wrong, modules, options},
    spec::Unknown,
    values::{HexByte, Interface, Mark, NatRange, Network, SetLookup, SetMark, Text, ToPorts, Word},
    words::Words,
};

modules! {
    /// What happens to a packet that fits.
    Target {
        /// Another chain is asked; the packet comes back to the next rule unless it is decided there.
        Jump(&'a str),
        /// Another chain is asked; the packet comes back to where this chain was called from.
        Goto(&'a str),
        /// What is not known or not valid, as it is written.
        Unknown(Unknown<'a>),
    }

    /// The packet goes on to the next hook.
    Accept = "ACCEPT";
    /// The packet is dropped.
    Drop = "DROP";
    /// Back to the caller.
    Return = "RETURN";
    /// To user space, in the old way.
    Queue = "QUEUE";
    /// To user space.
    NfQueue<'a> = "NFQUEUE";
    /// The packet is dropped, and the sender told.
    Reject<'a> = "REJECT";
    /// The destination is changed.
    Dnat<'a> = "DNAT";
    /// The source is changed.
    Snat<'a> = "SNAT";
    /// The source becomes the address of the interface that the packet leaves by.
    Masquerade = "MASQUERADE";
    /// The destination becomes this host.
    Redirect = "REDIRECT";
    /// One network is mapped to another.
    Netmap<'a> = "NETMAP";
    /// The packet's mark is changed.
    SetPacketMark = "MARK";
    /// The connection's mark is changed, saved or restored.
    SetConnMark = "CONNMARK";
    /// To a local socket, without a change of the packet.
    Tproxy<'a> = "TPROXY";
    /// Into the kernel's log.
    Log<'a> = "LOG";
    /// To a logging program.
    NfLog<'a> = "NFLOG";
    /// To a logging program, in the old way.
    Ulog<'a> = "ULOG";
    /// The maximum segment size of a SYN is changed.
    SetTcpMss = "TCPMSS";
    /// What conntrack does with the packet.
    Ct<'a> = "CT";
    /// Conntrack does nothing.
    NoTrack = "NOTRACK";
    /// The DSCP field is changed.
    SetDscp<'a> = "DSCP";
    /// The type of service is changed.
    SetTos<'a> = "TOS";
    /// The time to live is changed.
    SetTtl = "TTL";
    /// The hop limit is changed.
    SetHl = "HL";
    /// Congestion bits are cleared.
    SetEcn = "ECN";
    /// A missing checksum is filled in.
    Checksum = "CHECKSUM";
    /// The traffic class is set.
    Classify<'a> = "CLASSIFY";
    /// A set is changed.
    ChangeSet<'a> = "SET";
    /// A copy goes elsewhere.
    Tee<'a> = "TEE";
    /// Every further rule that fits is logged.
    Trace = "TRACE";
    /// An audit record.
    Audit<'a> = "AUDIT";
    /// SYN cookies.
    Synproxy = "SYNPROXY";
    /// TCP options are stripped.
    TcpOptStrip<'a> = "TCPOPTSTRIP";
    /// A security mark.
    SecMark<'a> = "SECMARK";
    /// The security mark is saved or restored.
    ConnSecMark = "CONNSECMARK";
    /// User space hears of an idle interface.
    IdleTimer<'a> = "IDLETIMER";
    /// A rate is estimated.
    RateEst<'a> = "RATEEST";
}

options! {
    /// The packet goes on to the next hook.
    Accept {}
    /// The packet is dropped.
    Drop {}
    /// Back to the caller.
    Return {}
    /// To user space, in the old way.
    Queue {}
    /// To user space.
    NfQueue<'a> {
        /// Which queue.
        number: Option<u16> = "--queue-num";
        /// Which queues.
        balance: Option<Word<'a>> = "--queue-balance";
        /// On if nobody listens.
        bypass: bool = "--queue-bypass";
        /// Spread by processor.
        fanout: bool = "--queue-cpu-fanout";
    }
    /// The packet is dropped, and the sender told.
    Reject<'a> {
        /// By which message.
        with: Option<Word<'a>> = "--reject-with";
    }
    /// The destination is changed.
    Dnat<'a> {
        /// To what.
        to: Option<NatRange<'a>> = "--to-destination" | "--to";
        /// The port by chance.
        random: bool = "--random";
        /// The same destination for the same client.
        persistent: bool = "--persistent";
    }
    /// The source is changed.
    Snat<'a> {
        /// To what.
        to: Option<NatRange<'a>> = "--to-source" | "--to";
        /// The port by chance.
        random: bool = "--random";
        /// The port by chance, wholly.
        random_fully: bool = "--random-fully";
        /// The same source for the same client.
        persistent: bool = "--persistent";
    }
    /// The source becomes the address of the interface that the packet leaves by.
    Masquerade {
        /// The source ports.
        ports: Option<ToPorts> = "--to-ports";
        /// The port by chance.
        random: bool = "--random";
        /// The port by chance, wholly.
        random_fully: bool = "--random-fully";
    }
    /// The destination becomes this host.
    Redirect {
        /// The ports.
        ports: Option<ToPorts> = "--to-ports" | "--to-port";
        /// The port by chance.
        random: bool = "--random";
    }
    /// One network is mapped to another.
    Netmap<'a> {
        /// To which.
        to: Option<Network<'a>> = "--to";
    }
    /// The packet's mark is changed.
    SetPacketMark {
        /// Bits cleared and flipped.
        xmark: Option<SetMark> = "--set-xmark";
        /// The mark becomes this under the mask.
        mark: Option<Mark> = "--set-mark";
        /// Bits that are kept.
        and: Option<super::values::Hex> = "--and-mark";
        /// Bits that are set.
        or: Option<super::values::Hex> = "--or-mark";
        /// Bits that are flipped.
        xor: Option<super::values::Hex> = "--xor-mark";
    }
    /// The connection's mark is changed, saved or restored.
    SetConnMark {
        /// Bits cleared and flipped.
        xmark: Option<SetMark> = "--set-xmark";
        /// The mark becomes this under the mask.
        mark: Option<Mark> = "--set-mark";
        /// The packet's mark becomes the connection's.
        save: bool = "--save-mark";
        /// The connection's mark becomes the packet's.
        restore: bool = "--restore-mark";
        /// Bits of the packet's mark.
        packet_mask: Option<super::values::Hex> = "--nfmask";
        /// Bits of the connection's mark.
        connection_mask: Option<super::values::Hex> = "--ctmask";
        /// Bits of both.
        mask: Option<super::values::Hex> = "--mask";
    }
    /// To a local socket, without a change of the packet.
    Tproxy<'a> {
        /// On which port.
        port: Option<u16> = "--on-port";
        /// On which address.
        ip: Option<Network<'a>> = "--on-ip";
        /// With which mark.
        mark: Option<SetMark> = "--tproxy-mark";
    }
    /// Into the kernel's log.
    Log<'a> {
        /// Before each line.
        prefix: Option<Text<'a>> = "--log-prefix";
        /// The level.
        level: Option<Word<'a>> = "--log-level";
        /// With TCP's sequence numbers.
        tcp_sequence: bool = "--log-tcp-sequence";
        /// With TCP's options.
        tcp_options: bool = "--log-tcp-options";
        /// With IP's options.
        ip_options: bool = "--log-ip-options";
        /// With the user.
        uid: bool = "--log-uid";
        /// With hardware addresses.
        mac: bool = "--log-macdecode";
    }
    /// To a logging program.
    NfLog<'a> {
        /// Before each message.
        prefix: Option<Text<'a>> = "--nflog-prefix";
        /// The group.
        group: Option<u16> = "--nflog-group";
        /// How many bytes, in releases that meant it otherwise.
        range: Option<u32> = "--nflog-range";
        /// How many bytes.
        size: Option<u32> = "--nflog-size";
        /// How many packets at a time.
        threshold: Option<u16> = "--nflog-threshold";
    }
    /// To a logging program, in the old way.
    Ulog<'a> {
        /// The group.
        group: Option<u32> = "--ulog-nlgroup";
        /// Before each message.
        prefix: Option<Text<'a>> = "--ulog-prefix";
        /// How many bytes.
        range: Option<u32> = "--ulog-cprange";
        /// How many packets at a time.
        threshold: Option<u32> = "--ulog-qthreshold";
    }
    /// The maximum segment size of a SYN is changed.
    SetTcpMss {
        /// To this.
        size: Option<u16> = "--set-mss";
        /// To what the path takes.
        clamp: bool = "--clamp-mss-to-pmtu";
    }
    /// What conntrack does with the packet.
    Ct<'a> {
        /// Nothing.
        no_track: bool = "--notrack";
        /// Which helper.
        helper: Option<Text<'a>> = "--helper";
        /// Which timeouts.
        timeout: Option<Word<'a>> = "--timeout";
        /// Which events.
        events: Option<Word<'a>> = "--ctevents";
        /// Which expectations' events.
        expectations: Option<Word<'a>> = "--expevents";
        /// Which zone.
        zone: Option<Word<'a>> = "--zone";
        /// Which zone, for the original direction.
        zone_original: Option<Word<'a>> = "--zone-orig";
        /// Which zone, for answers.
        zone_reply: Option<Word<'a>> = "--zone-reply";
    }
    /// Conntrack does nothing.
    NoTrack {}
    /// The DSCP field is changed.
    SetDscp<'a> {
        /// To this value.
        value: Option<HexByte> = "--set-dscp";
        /// To this class.
        class: Option<Word<'a>> = "--set-dscp-class";
    }
    /// The type of service is changed.
    SetTos<'a> {
        /// To this.
        value: Option<Word<'a>> = "--set-tos";
        /// Bits that are kept.
        and: Option<Word<'a>> = "--and-tos";
        /// Bits that are set.
        or: Option<Word<'a>> = "--or-tos";
        /// Bits that are flipped.
        xor: Option<Word<'a>> = "--xor-tos";
    }
    /// The time to live is changed.
    SetTtl {
        /// To this.
        set: Option<u8> = "--ttl-set";
        /// Less by this.
        decrement: Option<u8> = "--ttl-dec";
        /// More by this.
        increment: Option<u8> = "--ttl-inc";
    }
    /// The hop limit is changed.
    SetHl {
        /// To this.
        set: Option<u8> = "--hl-set";
        /// Less by this.
        decrement: Option<u8> = "--hl-dec";
        /// More by this.
        increment: Option<u8> = "--hl-inc";
    }
    /// Congestion bits are cleared.
    SetEcn {
        /// TCP's.
        tcp_remove: bool = "--ecn-tcp-remove";
    }
    /// A missing checksum is filled in.
    Checksum {
        /// Whether it is.
        fill: bool = "--checksum-fill";
    }
    /// The traffic class is set.
    Classify<'a> {
        /// To this.
        class: Option<Word<'a>> = "--set-class";
    }
    /// A set is changed.
    ChangeSet<'a> {
        /// A member is added.
        add: Option<SetLookup<'a>> = "--add-set";
        /// A member is removed.
        delete: Option<SetLookup<'a>> = "--del-set";
        /// The packet takes what the set maps it to.
        map: Option<SetLookup<'a>> = "--map-set";
        /// Whether a known member's time starts again.
        exist: bool = "--exist";
        /// Seconds that the member stays.
        timeout: Option<u32> = "--timeout";
    }
    /// A copy goes elsewhere.
    Tee<'a> {
        /// Where to.
        gateway: Option<Network<'a>> = "--gateway";
        /// By which interface.
        interface: Option<Interface<'a>> = "--oif";
    }
    /// Every further rule that fits is logged.
    Trace {}
    /// An audit record.
    Audit<'a> {
        /// Of which kind.
        kind: Option<Word<'a>> = "--type";
    }
    /// SYN cookies.
    Synproxy {
        /// With SACK.
        sack: bool = "--sack-perm";
        /// With time stamps.
        timestamp: bool = "--timestamp";
        /// With this window scale.
        window_scale: Option<u8> = "--wscale";
        /// With this segment size.
        segment: Option<u16> = "--mss";
        /// With congestion notification.
        ecn: bool = "--ecn";
    }
    /// TCP options are stripped.
    TcpOptStrip<'a> {
        /// Which.
        options: Option<Word<'a>> = "--strip-options";
    }
    /// A security mark.
    SecMark<'a> {
        /// The context.
        context: Option<Word<'a>> = "--selctx";
    }
    /// The security mark is saved or restored.
    ConnSecMark {
        /// Saved.
        save: bool = "--save";
        /// Restored.
        restore: bool = "--restore";
    }
    /// User space hears of an idle interface.
    IdleTimer<'a> {
        /// Seconds.
        timeout: Option<u32> = "--timeout";
        /// A label.
        label: Option<Text<'a>> = "--label";
        /// Also while asleep.
        alarm: bool = "--alarm";
    }
    /// A rate is estimated.
    RateEst<'a> {
        /// Its name.
        name: Option<Word<'a>> = "--rateest-name";
        /// How often.
        interval: Option<Word<'a>> = "--rateest-interval";
        /// Over which time.
        average: Option<Word<'a>> = "--rateest-ewmalog";
    }
}
