//! Other programs and the processes that they are.

use std::{
    collections::BTreeMap,
    ffi::OsStr,
    fs, io,
    io::Write as _,
    path::Path,
    process::{Command, Output, Stdio},
    thread,
};

use serde::{Deserialize, Serialize};

use crate::Error;

/// A process, not only its number, which the kernel gives away again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Stamp {
    /// The number.
    pub(crate) pid: u32,
    /// When it started, in ticks since boot.
    pub(crate) start: u64,
}

impl Stamp {
    /// The process that has this number now.
    pub(crate) fn of(pid: u32) -> Option<Self> {
        Entry::read(pid).map(|entry| Self { pid, start: entry.start })
    }

    /// This very process.
    pub(crate) fn own() -> Result<Self, Error> {
        Self::of(std::process::id()).ok_or_else(|| Error::Wants("/proc to be mounted".to_owned()))
    }

    /// Whether it still runs; one that ended and was not waited for does not.
    pub(crate) fn alive(self) -> bool {
        Entry::read(self.pid).is_some_and(|entry| entry.start == self.start && entry.state != 'Z')
    }

    /// Ends it at once.
    pub(crate) fn kill(self) {
        self.signal(rustix::process::Signal::KILL);
    }

    /// Sends it a signal if it still runs.
    pub(crate) fn signal(self, signal: rustix::process::Signal) {
        let pid = i32::try_from(self.pid).ok().and_then(rustix::process::Pid::from_raw);
        if let (true, Some(pid)) = (self.alive(), pid) {
            // gone between the look and the blow is as good
            let _ = rustix::process::kill_process(pid, signal);
        }
    }
}

/// What `/proc/PID/stat` says.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    /// The program's name, at most 15 bytes.
    pub(crate) comm: String,
    /// `R`, `S`, `Z`, …
    pub(crate) state: char,
    /// The parent.
    pub(crate) parent: u32,
    /// When it started, in ticks since boot.
    pub(crate) start: u64,
}

impl Entry {
    /// One process.
    pub(crate) fn read(pid: u32) -> Option<Self> {
        Self::parse(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
    }

    /// The name stands in brackets and may itself hold brackets and spaces.
    fn parse(line: &str) -> Option<Self> {
        let (head, fields) = line.rsplit_once(')')?;
        let comm = head.split_once('(')?.1.to_owned();
        let mut fields = fields.split_ascii_whitespace();
        let letter = fields.next()?.chars().next()?;
        let parent = fields.next()?.parse().ok()?;
        let start = fields.nth(17)?.parse().ok()?;
        Some(Self { comm, state: letter, parent, start })
    }
}

/// Every process that this mount of `/proc` shows.
pub(crate) fn all() -> BTreeMap<u32, Entry> {
    let Ok(entries) = fs::read_dir("/proc") else { return BTreeMap::new() };
    entries
        .filter_map(Result::ok)
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter_map(|pid| Some((pid, Entry::read(pid)?)))
        .collect()
}

/// The processes below this one, itself not among them.
pub(crate) fn descendants(root: u32) -> Vec<Stamp> {
    let all = all();
    let mut children: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    for (pid, entry) in &all {
        children.entry(entry.parent).or_default().push(*pid);
    }
    let mut found = Vec::new();
    let mut open = vec![root];
    while let Some(pid) = open.pop() {
        for child in children.get(&pid).into_iter().flatten() {
            if let Some(entry) = all.get(child) {
                found.push(Stamp { pid: *child, start: entry.start });
                open.push(*child);
            }
        }
    }
    found
}

/// The arguments that a process was started with.
pub(crate) fn arguments(pid: u32) -> Vec<String> {
    let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let line = line.strip_suffix(b"\0").unwrap_or(&line);
    line.split(|byte| *byte == 0).map(|arg| String::from_utf8_lossy(arg).into_owned()).collect()
}

/// Runs a program to its end, with `input` on its stdin; its output whatever its exit code.
pub(crate) fn output(command: &mut Command, input: &[u8]) -> Result<Output, Error> {
    let start = |e: io::Error, command: &Command| Error::Start(shown(command), e);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|e| start(e, command))?;
    let stdin = child.stdin.take();
    let output = thread::scope(|scope| {
        scope.spawn(move || {
            // a program that does not read its input says so by its exit code, not by this pipe
            stdin.map(|mut stdin| stdin.write_all(input))
        });
        child.wait_with_output()
    });
    output.map_err(|e| start(e, command))
}

/// Runs a program that must succeed; what it wrote to stdout.
pub(crate) fn run(command: &mut Command, input: &[u8]) -> Result<String, Error> {
    let output = output(command, input)?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let mut said = String::from_utf8_lossy(&output.stderr).into_owned();
    if said.trim().is_empty() {
        said = String::from_utf8_lossy(&output.stdout).into_owned();
    }
    Err(Error::Failed { program: shown(command), status: output.status.to_string(), output: last_lines(&said, 15) })
}

/// Program and arguments of a command.
pub(crate) fn argv(command: &Command) -> Vec<String> {
    let parts = std::iter::once(command.get_program()).chain(command.get_args());
    parts.map(|part| part.to_string_lossy().into_owned()).collect()
}

/// A command as one types it.
pub(crate) fn shown(command: &Command) -> String {
    let mut line = argv(command).join(" ");
    if line.len() > 300 {
        line = line.chars().take(300).chain(['…']).collect();
    }
    line
}

/// The last lines of a text.
pub(crate) fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.trim_end().lines().rev().take(count).collect();
    lines.into_iter().rev().collect::<Vec<_>>().join("\n")
}

/// The last lines of a log, as much of it as can be read.
pub(crate) fn log_tail(log: &Path, count: usize) -> String {
    fs::read(log).map(|bytes| last_lines(&String::from_utf8_lossy(&bytes), count)).unwrap_or_default()
}

/// Whether a program is on the path.
pub(crate) fn on_path(program: &str) -> bool {
    std::env::var_os("PATH").is_some_and(|path| is_in(program, &path))
}

/// Whether one of these folders, written as in `PATH`, has the program.
pub(crate) fn is_in(program: &str, folders: &OsStr) -> bool {
    std::env::split_paths(folders).any(|folder| folder.join(program).is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_brackets_does_not_shift_the_fields() {
        let tail = " 9 9 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 4711 1 2";
        let entry = Entry::parse(&format!("77 (a) b (c)) S 12{tail}")).unwrap();
        assert_eq!((entry.comm.as_str(), entry.state, entry.parent, entry.start), ("a) b (c)", 'S', 12, 4711));
    }

    #[test]
    fn a_process_with_another_start_is_another_process() {
        let own = Stamp::own().unwrap();
        assert!(own.alive());
        assert!(!Stamp { start: own.start + 1, ..own }.alive());
    }

    #[test]
    fn a_failure_holds_the_last_words() {
        let error = run(Command::new("sh").args(["-c", "echo one >&2; exit 3"]), b"").unwrap_err().to_string();
        assert!(error.contains("one") && error.contains('3'), "{error}");
    }

    #[test]
    fn last_lines_are_in_their_order() {
        assert_eq!(last_lines("a\nb\nc\n\n", 2), "b\nc");
    }
}
