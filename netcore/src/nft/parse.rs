//! `nft -j list ruleset` to a rule set. Damage is a problem; what stands before it stays, and so does
//! another dump behind it.

use memchr::memmem;

use super::{
    json::{Fault, Json, Reader},
    model::{Object, Ruleset},
};
use crate::problem::Problems;

/// Reads what `nft -j list ruleset` printed. Any bytes will do: what is not understood is in the
/// problems, or kept as unknown.
pub fn parse(input: &[u8]) -> Ruleset<'_> {
    let mut objects = Vec::new();
    let mut faults = Vec::new();
    let mut reader = Reader::new(input);
    while let Some(begin) = document(input, reader.at, &mut faults) {
        reader.restart(begin);
        if let Err(fault) = read(&mut reader, &mut objects) {
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
                let reason = "not what `nft -j list ruleset` prints: {\"nftables\": [ … ]}";
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
