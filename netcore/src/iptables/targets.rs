//! What a rule does.

use super::{
    module::{Field, Options, Wrong, modules},
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
    module by_name print print_module names NAMES samples samples

    /// The packet goes on to the next hook.
    Accept = "ACCEPT" {}
    /// The packet is dropped.
    Drop = "DROP" {}
    /// Back to the caller.
    Return = "RETURN" {}
    /// To user space, in the old way.
    Queue = "QUEUE" {}
    /// To user space.
    NfQueue<'a> = "NFQUEUE" {
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
    Reject<'a> = "REJECT" {
        /// By which message.
        with: Option<Word<'a>> = "--reject-with";
    }
    /// The destination is changed.
    Dnat<'a> = "DNAT" {
        /// To what.
        to: Option<NatRange<'a>> = "--to-destination" | "--to";
        /// The port by chance.
        random: bool = "--random";
        /// The same destination for the same client.
        persistent: bool = "--persistent";
    }
    /// The source is changed.
    Snat<'a> = "SNAT" {
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
    Masquerade = "MASQUERADE" {
        /// The source ports.
        ports: Option<ToPorts> = "--to-ports";
        /// The port by chance.
        random: bool = "--random";
        /// The port by chance, wholly.
        random_fully: bool = "--random-fully";
    }
    /// The destination becomes this host.
    Redirect = "REDIRECT" {
        /// The ports.
        ports: Option<ToPorts> = "--to-ports" | "--to-port";
        /// The port by chance.
        random: bool = "--random";
    }
    /// One network is mapped to another.
    Netmap<'a> = "NETMAP" {
        /// To which.
        to: Option<Network<'a>> = "--to";
    }
    /// The packet's mark is changed.
    SetPacketMark = "MARK" {
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
    SetConnMark = "CONNMARK" {
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
    Tproxy<'a> = "TPROXY" {
        /// On which port.
        port: Option<u16> = "--on-port";
        /// On which address.
        ip: Option<Network<'a>> = "--on-ip";
        /// With which mark.
        mark: Option<SetMark> = "--tproxy-mark";
    }
    /// Into the kernel's log.
    Log<'a> = "LOG" {
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
    NfLog<'a> = "NFLOG" {
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
    Ulog<'a> = "ULOG" {
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
    SetTcpMss = "TCPMSS" {
        /// To this.
        size: Option<u16> = "--set-mss";
        /// To what the path takes.
        clamp: bool = "--clamp-mss-to-pmtu";
    }
    /// What conntrack does with the packet.
    Ct<'a> = "CT" {
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
    NoTrack = "NOTRACK" {}
    /// The DSCP field is changed.
    SetDscp<'a> = "DSCP" {
        /// To this value.
        value: Option<HexByte> = "--set-dscp";
        /// To this class.
        class: Option<Word<'a>> = "--set-dscp-class";
    }
    /// The type of service is changed.
    SetTos<'a> = "TOS" {
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
    SetTtl = "TTL" {
        /// To this.
        set: Option<u8> = "--ttl-set";
        /// Less by this.
        decrement: Option<u8> = "--ttl-dec";
        /// More by this.
        increment: Option<u8> = "--ttl-inc";
    }
    /// The hop limit is changed.
    SetHl = "HL" {
        /// To this.
        set: Option<u8> = "--hl-set";
        /// Less by this.
        decrement: Option<u8> = "--hl-dec";
        /// More by this.
        increment: Option<u8> = "--hl-inc";
    }
    /// Congestion bits are cleared.
    SetEcn = "ECN" {
        /// TCP's.
        tcp_remove: bool = "--ecn-tcp-remove";
    }
    /// A missing checksum is filled in.
    Checksum = "CHECKSUM" {
        /// Whether it is.
        fill: bool = "--checksum-fill";
    }
    /// The traffic class is set.
    Classify<'a> = "CLASSIFY" {
        /// To this.
        class: Option<Word<'a>> = "--set-class";
    }
    /// A set is changed.
    ChangeSet<'a> = "SET" {
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
    Tee<'a> = "TEE" {
        /// Where to.
        gateway: Option<Network<'a>> = "--gateway";
        /// By which interface.
        interface: Option<Interface<'a>> = "--oif";
    }
    /// Every further rule that fits is logged.
    Trace = "TRACE" {}
    /// An audit record.
    Audit<'a> = "AUDIT" {
        /// Of which kind.
        kind: Option<Word<'a>> = "--type";
    }
    /// SYN cookies.
    Synproxy = "SYNPROXY" {
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
    TcpOptStrip<'a> = "TCPOPTSTRIP" {
        /// Which.
        options: Option<Word<'a>> = "--strip-options";
    }
    /// A security mark.
    SecMark<'a> = "SECMARK" {
        /// The context.
        context: Option<Word<'a>> = "--selctx";
    }
    /// The security mark is saved or restored.
    ConnSecMark = "CONNSECMARK" {
        /// Saved.
        save: bool = "--save";
        /// Restored.
        restore: bool = "--restore";
    }
    /// User space hears of an idle interface.
    IdleTimer<'a> = "IDLETIMER" {
        /// Seconds.
        timeout: Option<u32> = "--timeout";
        /// A label.
        label: Option<Text<'a>> = "--label";
        /// Also while asleep.
        alarm: bool = "--alarm";
    }
    /// A rate is estimated.
    RateEst<'a> = "RATEEST" {
        /// Its name.
        name: Option<Word<'a>> = "--rateest-name";
        /// How often.
        interval: Option<Word<'a>> = "--rateest-interval";
        /// Over which time.
        average: Option<Word<'a>> = "--rateest-ewmalog";
    }
}
