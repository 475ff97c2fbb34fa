//! Kernel modules that are loaded, from `/proc/modules` or `lsmod`. What is built into the kernel
//! stands in neither.

use std::collections::BTreeMap;

use crate::{
    problem::{Problem, Problems, is_failure},
    words::{Words, is_prompt},
};

/// A loaded module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Module {
    /// `ip_vs_rr`.
    pub name: String,
    /// Its size in bytes.
    pub size: u64,
    /// How many use it.
    pub used: Option<u64>,
    /// The modules among those.
    pub used_by: Vec<String>,
    /// `Live`, `Loading`, `Unloading`; only in `/proc/modules`.
    pub state: Option<String>,
}

/// Reads the modules by name, with what was not understood.
pub fn parse(text: &str) -> (BTreeMap<String, Module>, Vec<Problem>) {
    let mut found = BTreeMap::new();
    let mut problems = Problems::default();
    for (line, content) in (1..).zip(text.lines()) {
        if content.trim().is_empty() || is_prompt(content) || content.starts_with("Module  ") {
            continue;
        }
        match module(Words::new(line, content)) {
            Ok(module) => {
                found.insert(module.name.clone(), module);
            }
            Err(error) if error.column == 0 || is_failure(content) => {
                problems.unknown(line, content, "a module: name, size, number of users");
            }
            Err(error) => problems.push(error),
        }
    }
    (found, problems.into_vec())
}

fn module(mut words: Words<'_>) -> Result<Module, Problem> {
    let name = words.need("a module")?.to_owned();
    let size = words.value("a size in bytes")?;
    // a kernel that cannot unload modules prints a dash
    let used = if words.take_word("-") { None } else { Some(words.value("a number of users")?) };
    let users = words.next().unwrap_or_default();
    // `[permanent]` stands among them
    let is_user = |user: &&str| !user.is_empty() && *user != "-" && !user.starts_with('[');
    let used_by = users.split(',').filter(is_user).map(str::to_owned).collect();
    let state = words.next().filter(|word| matches!(*word, "Live" | "Loading" | "Unloading")).map(str::to_owned);
    Ok(Module { name, size, used, used_by, state })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_tell_the_same() {
        // the first is from the IPVS capture
        let lsmod = "Module                  Size  Used by    Not tainted\n\
            ip_vs_sh               16384  0 \n\
            ip_vs                 188416 50 xt_ipvs,ip_vs_sh\n";
        let proc = "ip_vs_sh 16384 0 - Live 0x0000000000000000\nip_vs 188416 50 xt_ipvs,ip_vs_sh, Live 0x0 (E)\n";
        let (mut left, none) = parse(lsmod);
        let (right, errors) = parse(proc);
        assert!(none.is_empty() && errors.is_empty(), "{none:?} {errors:?}");
        assert_eq!(left["ip_vs"].used_by, ["xt_ipvs", "ip_vs_sh"]);
        for module in left.values_mut() {
            module.state = Some("Live".to_owned());
        }
        assert_eq!(left, right);
    }

    #[test]
    fn rubbish_names_line_and_word() {
        let (found, errors) = parse("bash: lsmod: command not found\nip_vs many 3\ndummy 16384 0\n");
        assert_eq!(found.len(), 1);
        assert_eq!((errors[0].reason.as_str(), errors[1].line, errors[1].column), ("the command failed", 2, 7));
    }
}
