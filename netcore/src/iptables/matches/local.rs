//! What this node knows beside the packet: processes, sockets, processors, comments.

#[cfg(test)]
use super::super::module::SampleOption;
use super::super::{
    module::{Field, Options, options},
    values::{AccountName, Flag, Not, Text, Word},
    words::Words,
};

options! {
    /// No condition: words for the reader.
    Comment<'a> {
        /// The words.
        text: Option<Text<'a>> = "--comment";
    }
    /// The process that sends.
    OwnerOf<'a> {
        /// Its user.
        user: Option<Not<Word<'a>>> = "--uid-owner";
        /// Its group.
        group: Option<Not<Word<'a>>> = "--gid-owner";
        /// Whether there is a socket.
        socket: Option<Not<Flag>> = "--socket-exists";
        /// Whether further groups count.
        supplementary: bool = "--suppl-groups";
    }
    /// Whether a local socket would take the packet.
    Socket {
        /// Only transparent ones.
        transparent: bool = "--transparent";
        /// Also those bound to any address.
        no_wildcard: bool = "--nowildcard";
        /// The socket's mark becomes the packet's.
        restore_mark: bool = "--restore-skmark";
    }
    /// The control group that sends.
    Cgroup<'a> {
        /// Its class.
        class: Option<Not<Word<'a>>> = "--cgroup";
        /// Its path.
        path: Option<Not<Text<'a>>> = "--path";
    }
    /// The processor.
    Cpu {
        /// Its number.
        number: Option<Not<u32>> = "--cpu";
    }
    /// No condition: an accounting object counts.
    Nfacct<'a> {
        /// The object.
        name: Option<AccountName<'a>> = "--nfacct-name";
    }
}
