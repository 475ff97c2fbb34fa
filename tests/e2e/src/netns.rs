//! Network namespaces of a test's own, for what the real kernel is asked. They want root and the
//! tools; where these are not, the test is skipped and says so, unless `NET_REQUIRE` names `netns`.
#![expect(clippy::print_stdout, reason = "a test says what it skips")]

use std::{
    env,
    io::{BufRead as _, BufReader, Write as _},
    path::PathBuf,
    process::{Child, Command, Output, Stdio},
};

/// A network namespace that goes with the value.
pub struct Namespace {
    holder: Child,
}

impl Namespace {
    /// A new one, unless this machine lets nobody make any, or lacks a tool, or the kernel what the tool is for.
    pub fn new(tools: &[&str]) -> Option<Self> {
        let missing = tools.iter().find(|tool| {
            let found = Command::new("sh").args(["-c", "command -v \"$0\"", tool]).output();
            !found.is_ok_and(|output| output.status.success())
        });
        if let Some(missing) = missing {
            return skip(&format!("{missing} is not on the path"));
        }
        // the holder says when it is inside, and stays until its input closes
        let holder = Command::new("unshare")
            .args(["--net", "sh", "-c", "echo inside; exec cat"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        let Ok(mut holder) = holder else { return skip("unshare is not on the path") };
        let mut line = String::new();
        let inside = holder.stdout.as_mut().map(|out| BufReader::new(out).read_line(&mut line));
        if !matches!(inside, Some(Ok(_))) || line != "inside\n" {
            let _ = holder.wait();
            return skip("no network namespace can be made here; that wants root");
        }
        let namespace = Self { holder };
        let refused = tools.iter().find_map(|tool| {
            let asks: &[&str] = match *tool {
                "ipset" => &["ipset", "list", "-n"],
                "nft" => &["nft", "list", "ruleset"],
                other if other.ends_with("-restore") || other.ends_with("-save") => return None,
                tables if tables.contains("tables") => &[tables, "-t", "filter", "-S"],
                _ => return None,
            };
            let output = namespace.run(asks, "");
            (!output.status.success()).then(|| format!("the kernel does not take {tool}: {}", crate::stderr(&output)))
        });
        refused.map_or(Some(namespace), |reason| skip(&reason))
    }

    /// The file that `nsenter` and `--local-netns` take for it.
    pub fn path(&self) -> PathBuf {
        PathBuf::from(format!("/proc/{}/ns/net", self.holder.id()))
    }

    /// Runs a command inside, whatever comes of it.
    pub fn run(&self, argv: &[&str], input: &str) -> Output {
        self.run_bytes(argv, input.as_bytes())
    }

    /// The same with an input that may be no text.
    pub fn run_bytes(&self, argv: &[&str], input: &[u8]) -> Output {
        let mut child = Command::new("nsenter")
            .arg(format!("--net={}", self.path().display()))
            .args(argv)
            .env("LC_ALL", "C")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("nsenter runs");
        let mut stdin = child.stdin.take().expect("a pipe");
        let input = input.to_owned();
        let writer = std::thread::spawn(move || {
            // a tool may stop reading at its first complaint
            let _ = stdin.write_all(&input);
        });
        let output = child.wait_with_output().expect("an end");
        writer.join().expect("written");
        output
    }

    /// What it prints; the test ends where it fails.
    pub fn text(&self, argv: &[&str], input: &str) -> String {
        let output = self.run(argv, input);
        assert!(output.status.success(), "{argv:?}: {}\n{input}", crate::stderr(&output));
        String::from_utf8(output.stdout).expect("UTF-8")
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        drop(self.holder.stdin.take());
        let _ = self.holder.wait();
    }
}

/// Says why a test is skipped; it fails where `NET_REQUIRE` wants it.
fn skip(reason: &str) -> Option<Namespace> {
    let required = env::var("NET_REQUIRE").unwrap_or_default();
    assert!(!required.split(',').any(|name| name.trim() == "netns"), "NET_REQUIRE names netns, and {reason}");
    println!("skipped: {reason}");
    None
}

/// Numbers that look random and are the same every time.
pub struct Dice(u64);

impl Dice {
    /// Such numbers; `seed` is not 0.
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next one, below a limit.
    pub const fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}
