//! What stands around the rules: headers, prompts, the messages of commands that failed.

use super::super::model::Backend;
use crate::{
    cidr::Family,
    problem::{is_failure, message_of},
};

/// What a header says of the dump that follows.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Header<'a> {
    pub(super) family: Option<Family>,
    pub(super) backend: Option<Backend>,
    pub(super) version: &'a str,
}

/// `iptables-save v1.8.9 (nf_tables) on …`
pub(super) fn header(said: &str) -> Header<'_> {
    let mut words = said.split_whitespace();
    let tool = words.next().unwrap_or_default();
    let version = words.next().and_then(|word| word.strip_prefix('v')).unwrap_or_default();
    let v6 = tool.contains("ip6tables");
    let known = v6 || tool.contains("iptables") || tool.starts_with("xtables");
    let family = if v6 { Some(Family::V6) } else { tool.contains("iptables").then_some(Family::V4) };
    let nft = said.contains("(nf_tables)") || tool.contains("-nft");
    let backend = if nft { Backend::Nft } else { Backend::Legacy };
    Header { family, backend: known.then_some(backend), version }
}

pub(super) fn first_word(content: &str) -> &str {
    content.split([' ', '\t']).next().unwrap_or_default()
}

/// A pasted terminal has the command's own line in it.
pub(super) fn is_prompt(content: &str) -> bool {
    let end = content.find(['$', '#', '>']);
    end.is_some_and(|at| {
        let (before, after) = content.split_at(at);
        let command = after.get(1..).unwrap_or_default();
        (before.is_empty() || before.contains(['@', '~', ':']))
            && (command.contains("iptables") || command.contains("ip6tables"))
    })
}

pub(super) fn is_command_error(content: &str) -> bool {
    let tool =
        ["iptables", "ip6tables", "xtables", "modprobe", "sudo", "sh:", "bash:", "OCI runtime", "exec ", "error"];
    let said = ["not found", "perhaps iptables or your kernel needs to be upgraded", "error: "];
    let message = message_of(content);
    is_failure(content)
        || said.iter().any(|said| message.contains(said))
        || tool.iter().any(|name| message.starts_with(name) && message.contains(": "))
}
