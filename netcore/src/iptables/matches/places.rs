//! Where a packet comes from and goes to: addresses, sets, interfaces, bridges, routes.

#[cfg(test)]
use super::super::module::SampleOption;
use super::super::{
    module::{Field, Options, options},
    values::{AddressRange, AddressTypes, Flag, Interface, Mac, Not, SetLookup, Word},
    words::Words,
};

options! {
    /// A look into a set.
    Set<'a> {
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
    /// What kind of address it is.
    Addrtype {
        /// Kinds of the source.
        source: Option<Not<AddressTypes>> = "--src-type";
        /// Kinds of the destination.
        destination: Option<Not<AddressTypes>> = "--dst-type";
        /// Only addresses of the interface that the packet came in by.
        limit_in: bool = "--limit-iface-in";
        /// Only addresses of the interface that the packet leaves by.
        limit_out: bool = "--limit-iface-out";
    }
    /// Ranges of addresses.
    Iprange<'a> {
        /// Of the source.
        source: Option<Not<AddressRange<'a>>> = "--src-range";
        /// Of the destination.
        destination: Option<Not<AddressRange<'a>>> = "--dst-range";
    }
    /// The hardware address that a packet came from.
    MacSource<'a> {
        /// The address.
        source: Option<Not<Mac<'a>>> = "--mac-source" | "--mac";
    }
    /// Unicast, broadcast or multicast on the link.
    Pkttype<'a> {
        /// Which.
        kind: Option<Not<Word<'a>>> = "--pkt-type";
    }
    /// Ports of a bridge.
    Physdev<'a> {
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
    /// Groups of interfaces.
    Devgroup<'a> {
        /// That the packet came in by.
        source: Option<Not<Word<'a>>> = "--src-group";
        /// That the packet leaves by.
        destination: Option<Not<Word<'a>>> = "--dst-group";
    }
    /// Whether an answer would leave by the interface that the packet came in by.
    Rpfilter {
        /// Any interface counts.
        loose: bool = "--loose";
        /// The mark counts for the route.
        valid_mark: bool = "--validmark";
        /// Local addresses are accepted.
        accept_local: bool = "--accept-local";
        /// Packets that fail fit.
        invert: bool = "--invert";
    }
    /// The realm of the route.
    Realm<'a> {
        /// The realm.
        realm: Option<Not<Word<'a>>> = "--realm";
    }
}
