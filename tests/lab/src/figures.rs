//! What a lab took: seconds, and memory of each component.

use std::{collections::BTreeMap, fs, time::Duration};

use serde::{Deserialize, Serialize};

use crate::process;

/// The figures of one start.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Figures {
    /// From the first process to a cluster that works, in seconds.
    pub(crate) start_seconds: f64,
    /// Memory by program's name.
    pub(crate) memory: BTreeMap<String, Memory>,
}

/// Memory of all processes of one name.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(crate) struct Memory {
    /// How many processes.
    pub(crate) processes: u32,
    /// Resident, in kB; what is shared counts for each.
    pub(crate) rss_kb: u64,
    /// Proportional, in kB; what is shared counts once in all.
    pub(crate) pss_kb: u64,
}

/// Every process that this namespace shows.
pub(crate) fn read(took: Duration) -> Figures {
    let mut memory: BTreeMap<String, Memory> = BTreeMap::new();
    for (pid, entry) in process::all() {
        let Ok(rollup) = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")) else { continue };
        let (Some(rss), Some(pss)) = (field(&rollup, "Rss:"), field(&rollup, "Pss:")) else { continue };
        let sum = memory.entry(entry.comm).or_default();
        sum.processes = sum.processes.saturating_add(1);
        sum.rss_kb = sum.rss_kb.saturating_add(rss);
        sum.pss_kb = sum.pss_kb.saturating_add(pss);
    }
    Figures { start_seconds: took.as_secs_f64(), memory }
}

fn field(rollup: &str, name: &str) -> Option<u64> {
    rollup.lines().find_map(|line| line.strip_prefix(name)?.trim().strip_suffix(" kB")?.trim().parse().ok())
}

impl Figures {
    /// The biggest first, those below 2 MB left out.
    pub(crate) fn lines(&self) -> Vec<String> {
        let mut rows: Vec<_> = self.memory.iter().filter(|(_, memory)| memory.pss_kb >= 2048).collect();
        rows.sort_by_key(|(_, memory)| std::cmp::Reverse(memory.pss_kb));
        let head = format!("{:<24} {:>5} {:>9} {:>9}", "memory", "count", "RSS MB", "PSS MB");
        let row = |(name, memory): (&String, &Memory)| {
            format!("{name:<24} {:>5} {:>9} {:>9}", memory.processes, memory.rss_kb / 1024, memory.pss_kb / 1024)
        };
        std::iter::once(head).chain(rows.into_iter().map(row)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_the_one_of_that_name() {
        let rollup = "5583-7ffe ---p 00000000 00:00 0 [rollup]\nRss:     1744 kB\nPss:      287 kB\nPss_Dirty: 9 kB\n";
        assert_eq!((field(rollup, "Rss:"), field(rollup, "Pss:")), (Some(1744), Some(287)));
    }
}
