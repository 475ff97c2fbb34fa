//! `nft -j list ruleset` to a rule set. Damage is a problem; what stands before it stays, and so does
//! another dump behind it.

use std::collections::BTreeSet;

use memchr::memmem;

use super::{
    json::{Fault, Json, Reader},
    model::{Family, Object, Ruleset},
};
use crate::problem::{FAILED, Problems, is_failure};

/// Reads what `nft -j list ruleset` printed. Any bytes will do: what is not understood is in the
/// problems, or kept as unknown.
pub fn parse(input: &[u8]) -> Ruleset<'_> {
    let mut objects = Vec::new();
    let mut faults = Vec::new();
    let mut reader = Reader::new(input);
    while let Some(begin) = document(input, reader.at, &mut faults) {
        reader.restart(begin);
        let before = objects.len();
        let outcome = read(&mut reader, &mut objects);
        if is_repeated(&objects, before) {
            // what two dumps hold together is in no kernel
            objects.truncate(before);
            let reason =
                "a second dump of the same tables, of which nothing is taken: two nodes' dumps, or two of one node?";
            faults.push(Fault { at: begin, reason, unknown: false });
        }
        if let Err(fault) = outcome {
            faults.append(&mut reader.noted);
            faults.push(fault);
            // another node's dump may follow a cut one
            let rest = input.get(fault.at.max(begin + 1)..).unwrap_or_default();
            let Some(next) = memmem::find(rest, b"{\"nftables\"") else { break };
            reader.restart(fault.at.max(begin + 1) + next);
        }
    }
    faults.append(&mut reader.noted);
    Ruleset { objects, problems: located(input, faults) }
}

/// Whether a text is what `nft -j` printed rather than `nft`; warnings may stand before either.
pub fn is_json(text: &str) -> bool {
    let mut lines =
        text.lines().map(str::trim_start).filter(|line| line.starts_with('{') || line.starts_with("table "));
    lines.next().is_some_and(|line| line.starts_with('{'))
}

/// Whether the objects from a place on are of tables that stand before it, too.
fn is_repeated(objects: &[Object<'_>], from: usize) -> bool {
    let (before, after) = objects.split_at(from.min(objects.len()));
    !before.is_empty() && !tables(before).is_disjoint(&tables(after))
}

fn tables<'o>(objects: &'o [Object<'_>]) -> BTreeSet<(Family, &'o str)> {
    let table = |object: &'o Object<'_>| match object {
        Object::Table(table) => Some((table.family, &*table.name)),
        _ => None,
    };
    objects.iter().filter_map(table).collect()
}

/// How the reason begins of a problem that is the end of a cut text.
pub const ENDS: &str = "the text ends";

/// Where the next JSON text begins; lines before it are a command's errors and warnings.
fn document(input: &[u8], from: usize, faults: &mut Vec<Fault>) -> Option<usize> {
    let mut at = from;
    loop {
        let rest = input.get(at..).unwrap_or_default();
        let blank = rest.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
        at += blank;
        match rest.get(blank) {
            None => return None,
            Some(b'{') => return Some(at),
            Some(_) => {
                let line = rest.get(blank..).unwrap_or_default();
                let line = line.get(..line.len().min(1000)).unwrap_or_default();
                let line = line.split(|byte| *byte == b'\n').next().unwrap_or_default();
                let reason = if is_failure(&String::from_utf8_lossy(line)) {
                    FAILED
                } else {
                    "not what `nft -j list ruleset` prints: {\"nftables\": [ … ]}"
                };
                if faults.len() <= MOST {
                    faults.push(Fault { at, reason, unknown: false });
                }
                let rest = input.get(at..).unwrap_or_default();
                at += memchr::memchr(b'\n', rest).unwrap_or(rest.len());
            }
        }
    }
}

/// How many faults are kept before they are located.
const MOST: usize = 2000;

fn read<'a>(reader: &mut Reader<'a>, objects: &mut Vec<Object<'a>>) -> Result<(), Fault> {
    let begin = reader.at;
    let mut found = false;
    reader.object(|reader, key| {
        if key != "nftables" {
            return reader.raw().map(|_| ());
        }
        found = true;
        reader.list(|reader| {
            objects.push(Object::read(reader)?);
            Ok(())
        })
    })?;
    if !found {
        reader.note(Fault { at: begin, reason: "a JSON object without the key `nftables`", unknown: false });
    }
    Ok(())
}

/// Offsets to lines and columns, in one pass.
fn located(input: &[u8], mut faults: Vec<Fault>) -> Problems {
    faults.sort_by_key(|fault| fault.at);
    let mut problems = Problems::default();
    let (mut line, mut begin, mut seen) = (1, 0, 0);
    for fault in faults {
        let passed = input.get(seen..fault.at.min(input.len())).unwrap_or_default();
        for end in memchr::memchr_iter(b'\n', passed) {
            line += 1;
            begin = seen + end + 1;
        }
        seen = fault.at.min(input.len());
        let rest = input.get(seen..).unwrap_or_default();
        let rest = rest.get(..TOKEN).unwrap_or(rest);
        let token = rest.get(..memchr::memchr(b'\n', rest).unwrap_or(rest.len())).unwrap_or_default();
        problems.add(line, seen - begin + 1, token, fault.reason);
    }
    problems
}

/// Bytes that are shown of what could not be read.
const TOKEN: usize = 60;
