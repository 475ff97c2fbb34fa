//! Policy rules, as `ip rule` prints them: which table is asked for which packet.

use serde_json::Value;

use crate::{
    cidr::{Cidr, parse_cidr},
    problem::{Problem, Problems},
    text::{Wrong, json_objects, optional, scalar},
    words::{Words, is_json_list, is_prompt},
};

/// A policy rule.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rule {
    /// The lowest is asked first.
    pub priority: u32,
    /// Whether it is for what does not match.
    pub not: bool,
    /// Packets from here; none for all.
    pub from: Option<Cidr>,
    /// Packets to there; none for all.
    pub to: Option<Cidr>,
    /// Packets of this mark, under this mask.
    pub mark: Option<(u32, u32)>,
    /// Packets that came in here; `lo` for those of the host itself.
    pub iif: Option<String>,
    /// Packets of sockets that are bound here.
    pub oif: Option<String>,
    /// The table; none for a rule that decides by itself.
    pub table: Option<String>,
    /// What it does by itself: `unreachable`, `blackhole`, `prohibit`, or `goto` and `nop`.
    pub action: Option<String>,
    /// The longest prefix that does not count, from `suppress_prefixlength`.
    pub suppress: Option<u32>,
    /// Selectors that are not looked into: `ipproto`, `dport`, `uidrange`, …, as printed.
    pub others: Vec<String>,
    /// Its line in a text, from 1; its place in a JSON list.
    pub line: usize,
}

/// Reads `ip rule` or `ip -j rule`, with what was not understood.
pub fn parse_rules(text: &str) -> (Vec<Rule>, Vec<Problem>) {
    let mut rules = Vec::new();
    let mut problems = Problems::default();
    if is_json_list(text) {
        rules = json_objects(text, &mut problems, from_json);
    } else {
        for (line, content) in (1..).zip(text.lines()) {
            if content.trim().is_empty() || is_prompt(content) {
                continue;
            }
            let numbered =
                content.trim_start().split_once(':').is_some_and(|(number, _)| number.parse::<u32>().is_ok());
            if numbered {
                rules.extend(problems.ok(from_text(Words::new(line, content))));
            } else {
                problems.unknown(line, content, "a rule: `PRIORITY: from PREFIX lookup TABLE`");
            }
        }
    }
    (rules, problems.into_vec())
}

/// The fields of a rule that are typed, or that select nothing.
const KNOWN: [&str; 15] = [
    "priority",
    "not",
    "src",
    "srclen",
    "dst",
    "dstlen",
    "fwmark",
    "fwmask",
    "iif",
    "oif",
    "table",
    "action",
    "suppress_prefixlen",
    "protocol",
    "iif_detached",
];

#[expect(clippy::option_option, reason = "outside: not understood; inside: every address")]
fn prefix(text: &str) -> Option<Option<Cidr>> {
    if text == "all" {
        return Some(None);
    }
    parse_cidr(text).ok().map(|written| Some(written.cidr))
}

fn number(text: &str) -> Option<u32> {
    text.strip_prefix("0x").map_or_else(|| text.parse().ok(), |hex| u32::from_str_radix(hex, 16).ok())
}

#[expect(clippy::similar_names, reason = "mark and mask are the kernel's words")]
fn from_text(mut words: Words<'_>) -> Result<Rule, Problem> {
    let mut rule = Rule { line: words.line(), ..Rule::default() };
    let first = words.need("a priority")?.trim_end_matches(':');
    rule.priority = first.parse().map_err(|_| words.error("not a priority"))?;
    while let Some(word) = words.next() {
        match word {
            "not" => rule.not = true,
            "from" | "to" => {
                let text = words.need("a prefix")?;
                let found = prefix(text).ok_or_else(|| words.error("not a prefix, nor `all`"))?;
                if word == "from" { rule.from = found } else { rule.to = found }
            }
            "fwmark" => {
                let text = words.need("a mark")?;
                let (mark, mask) = text.split_once('/').unwrap_or((text, "0xffffffff"));
                let pair = number(mark).zip(number(mask));
                rule.mark = Some(pair.ok_or_else(|| words.error("not a mark such as 0x4000/0x4000"))?);
            }
            "iif" => rule.iif = Some(words.need("an interface")?.to_owned()),
            "oif" => rule.oif = Some(words.need("an interface")?.to_owned()),
            "lookup" | "table" => rule.table = Some(words.need("a table")?.to_owned()),
            "suppress_prefixlength" => rule.suppress = Some(words.value("a prefix length")?),
            "unreachable" | "blackhole" | "prohibit" | "nop" | "goto" => rule.action = Some(word.to_owned()),
            // these come after the rule and select nothing
            "proto" | "protocol" => {
                words.next();
            }
            _ => rule.others.push(word.to_owned()),
        }
    }
    Ok(rule)
}

#[expect(clippy::similar_names, reason = "mark and mask are the kernel's words")]
fn from_json(item: &Value, line: usize) -> Result<Rule, Wrong> {
    let text = |name: &str| Some(scalar(item.get(name))).filter(|text| !text.is_empty());
    let bad = |what: &str| (text(what).unwrap_or_else(|| item.to_string()), format!("not a rule: {what}"));
    let end = |name: &str, length: &str| {
        let Some(address) = text(name) else { return Ok(None) };
        let whole = text(length).map_or_else(|| address.clone(), |length| format!("{address}/{length}"));
        prefix(&whole).or_else(|| prefix(&address)).ok_or_else(|| bad(name))
    };
    let mark = match text("fwmark") {
        Some(mark) => {
            let mask = text("fwmask").unwrap_or_else(|| "0xffffffff".to_owned());
            Some(number(&mark).zip(number(&mask)).ok_or_else(|| bad("fwmark"))?)
        }
        None => None,
    };
    let others = item.as_object().into_iter().flatten().filter(|(name, _)| !KNOWN.contains(&name.as_str()));
    Ok(Rule {
        priority: optional(item.get("priority"), "a priority")?.ok_or_else(|| bad("priority"))?,
        not: item.get("not").is_some(),
        from: end("src", "srclen")?,
        to: end("dst", "dstlen")?,
        mark,
        iif: text("iif"),
        oif: text("oif"),
        table: text("table"),
        action: text("action"),
        suppress: optional(item.get("suppress_prefixlen"), "a prefix length")?,
        others: others.map(|(name, value)| format!("{name} {}", scalar(Some(value)))).collect(),
        line,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_json_tell_the_same() {
        let text = "0:\tfrom all lookup local\n30:\tfrom all fwmark 0x1745ec/0xff lookup 7\n99:\tfrom 10.45.0.0/16 to 10.43.0.0/16 lookup 201\n\
            100:\tnot from 10.0.0.1 iif eth0 unreachable\n32766:\tfrom all lookup main\n";
        let json = r#"[{"priority":0,"src":"all","table":"local"},{"priority":30,"src":"all","fwmark":"0x1745ec","fwmask":"0xff","table":"7"},
            {"priority":99,"src":"10.45.0.0","srclen":16,"dst":"10.43.0.0","dstlen":16,"table":"201"},
            {"priority":100,"not":null,"src":"10.0.0.1","iif":"eth0","action":"unreachable"},{"priority":32766,"src":"all","table":"main"}]"#;
        let (found, errors) = parse_rules(text);
        assert!(errors.is_empty(), "{errors:?}");
        assert_eq!(found, parse_rules(json).0);
    }

    #[test]
    fn rubbish_is_named() {
        let (found, errors) = parse_rules("5:\tfrom nowhere lookup main\nip: command not found\n");
        assert!(found.is_empty());
        assert_eq!((errors[0].line, errors[0].column), (1, 9));
        assert_eq!(errors[1].reason, "the command failed");
    }
}
