//! The only place that writes: data on stdout, everything else on stderr.

use std::{
    collections::HashSet,
    io::{self, IsTerminal as _, Write},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use anstream::AutoStream;
use serde::Serialize;

use super::{Detail, Format, OutputArgs, PrintError, Rows, Text, Tone, View, When, data, names, sanitize, table::Look};
use crate::{progress::Progress, since::Changes};

/// Stdout for a report, stderr for what is said about it.
pub struct Out {
    stdout: Stream,
    say: Say,
    format: Format,
    headers: bool,
}

struct Stream {
    write: Box<dyn Write + Send>,
    terminal: bool,
    color: bool,
}

impl Stream {
    fn text(&mut self, text: &str) -> io::Result<()> {
        self.write.write_all(text.as_bytes())?;
        self.write.flush()
    }
}

impl Out {
    /// This process' stdout and stderr.
    pub fn new(args: &OutputArgs) -> Self {
        let stdout = io::stdout();
        let stream = Stream {
            terminal: stdout.is_terminal(),
            color: args.color.choose(|| AutoStream::choice(&stdout)),
            write: Box::new(AutoStream::always_ansi(stdout)),
        };
        Self { stdout: stream, say: Say::stderr(args.color), format: args.output.clone(), headers: !args.no_headers }
    }

    /// Buffers in place of the process' streams: what a test reads back. `terminal` makes it behave as
    /// on a terminal.
    pub fn captured(args: &OutputArgs, terminal: bool) -> (Self, Captured) {
        let captured = Captured::default();
        let color = args.color.choose(|| anstream::ColorChoice::Never);
        let stream = |buffer: &Buffer| Stream { write: Box::new(buffer.clone()), terminal, color };
        let out = Self {
            stdout: stream(&captured.stdout),
            say: Say::over(stream(&captured.stderr), Progress::silent()),
            format: args.output.clone(),
            headers: !args.no_headers,
        };
        (out, captured)
    }

    /// The format that was asked for.
    pub fn format(&self) -> &Format {
        &self.format
    }

    /// The columns that stdout has: the terminal's, else 80.
    pub fn width(&self) -> usize {
        let terminal = self.stdout.terminal.then(terminal_size::terminal_size).flatten();
        terminal.map_or(80, |(width, _)| usize::from(width.0))
    }

    /// Whether a terminal of this locale shows more than ASCII, as `LC_ALL`, `LC_CTYPE` or `LANG` says.
    pub fn is_unicode(&self) -> bool {
        let set = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().filter_map(|name| std::env::var(name).ok());
        set.into_iter().find(|value| !value.is_empty()).is_some_and(|value| {
            let value = value.to_ascii_lowercase();
            value.contains("utf-8") || value.contains("utf8")
        })
    }

    /// Warnings, hints and progress: a handle that can be kept elsewhere.
    pub fn say(&self) -> Say {
        self.say.clone()
    }

    /// Prints a report in the format that was asked for. `rows` says which list of it the rows are;
    /// `view` makes the text for people and is only called where people asked.
    pub fn report<T: Serialize>(
        &mut self,
        report: &T,
        rows: Rows,
        view: impl FnOnce(Detail) -> View,
    ) -> Result<(), PrintError> {
        match self.format.clone() {
            Format::Table => self.view(&view(Detail::Table)),
            Format::Wide => self.view(&view(Detail::Wide)),
            Format::Json => self.json(&data::json(report)?),
            Format::Yaml => self.lines(&data::yaml(report)?),
            Format::Name => self.lines(&names::of(&value(report)?, rows)?),
            Format::JsonPath(template) => self.lines(&template.print(&value(report)?)?),
            Format::JsonPathAsJson(template) => {
                let groups = template.print_json(&value(report)?)?;
                let text = groups.iter().map(data::json).collect::<Result<String, _>>()?;
                self.json(&text)
            }
            Format::CustomColumns(columns) => {
                let table = columns.table(rows.of(&value(report)?)?)?;
                let look = Look { wide: false, headers: self.headers, color: false };
                let mut text = String::new();
                table.render(look, &mut text);
                self.write(&text)
            }
            Format::Extra(name) => Err(PrintError::NotHere(name)),
        }
    }

    /// Prints a report and what changed in it since an earlier one: `changes` in data, lines after it
    /// for people. Rows and custom columns are those of the report.
    pub fn report_since<T: Serialize>(
        &mut self,
        report: &T,
        changes: &Changes,
        rows: Rows,
        view: impl FnOnce(Detail) -> View,
    ) -> Result<(), PrintError> {
        let both = WithChanges { report, changes };
        self.report(&both, rows, |detail| {
            let mut view = view(detail);
            view.heading("changes").append(changes.view());
            view
        })
    }

    /// Prints lines and tables.
    pub fn view(&mut self, view: &View) -> Result<(), PrintError> {
        let wide = self.format == Format::Wide;
        let look = Look { wide, headers: self.headers, color: self.stdout.color };
        self.write(&view.render(look))
    }

    /// Prints data in a format of its own as it is: a picture, a completion script, a diff. On a
    /// terminal only line feeds and tabs are obeyed.
    pub fn lines(&mut self, text: &str) -> Result<(), PrintError> {
        let text = if self.stdout.terminal { sanitize::lines(text) } else { text.into() };
        self.write(&text)
    }

    fn json(&mut self, text: &str) -> Result<(), PrintError> {
        let text = if self.stdout.terminal { sanitize::json(text) } else { text.into() };
        self.write(&text)
    }

    fn write(&mut self, text: &str) -> Result<(), PrintError> {
        let progress = self.say.voice().progress.clone();
        progress.aside(|| self.stdout.text(text)).map_err(PrintError::Write)
    }
}

#[derive(Serialize)]
struct WithChanges<'a, T> {
    #[serde(flatten)]
    report: &'a T,
    changes: &'a Changes,
}

fn value(report: &impl Serialize) -> Result<serde_json::Value, PrintError> {
    serde_json::to_value(report).map_err(|error| PrintError::Encode(error.to_string()))
}

/// What is said on stderr. Cheap to clone; all clones share one memory of what was said.
#[derive(Clone)]
pub struct Say(Arc<Mutex<Voice>>);

struct Voice {
    stderr: Stream,
    said: HashSet<String>,
    progress: Progress,
}

impl Say {
    /// This process' stderr.
    pub fn stderr(color: When) -> Self {
        let stderr = io::stderr();
        let terminal = stderr.is_terminal();
        let stream = Stream {
            terminal,
            color: color.choose(|| AutoStream::choice(&stderr)),
            write: Box::new(AutoStream::always_ansi(stderr)),
        };
        Self::over(stream, if terminal { Progress::on_stderr() } else { Progress::silent() })
    }

    /// Says nothing at all: for a library's tests.
    pub fn nothing() -> Self {
        Self::over(Stream { write: Box::new(io::sink()), terminal: false, color: false }, Progress::silent())
    }

    fn over(stderr: Stream, progress: Progress) -> Self {
        Self(Arc::new(Mutex::new(Voice { stderr, said: HashSet::new(), progress })))
    }

    /// `warning: …`: something is not as it should be and the report stands nevertheless. The same
    /// sentence is said once.
    pub fn warning(&self, text: impl AsRef<str>) {
        self.once(Tone::Warn, "warning: ", text.as_ref());
    }

    /// `hint: …`: what to do next. The same sentence is said once.
    pub fn hint(&self, text: impl AsRef<str>) {
        self.once(Tone::Strong, "hint: ", text.as_ref());
    }

    /// `error: …`: why there is no answer.
    pub fn error(&self, text: impl AsRef<str>) {
        self.once(Tone::Bad, "error: ", text.as_ref());
    }

    /// A sentence without a label: how nodes are read, that nothing was found. Said once.
    pub fn note(&self, text: impl AsRef<str>) {
        self.once(Tone::Plain, "", text.as_ref());
    }

    /// Asks a question on stderr that is answered with `y` or `yes` on stdin; anything else is no.
    pub(crate) fn asks(&self, question: &str) -> bool {
        {
            let mut voice = self.voice();
            let progress = voice.progress.clone();
            let text = format!("{} [y/N] ", sanitize::line(question));
            if progress.aside(|| voice.stderr.text(&text)).is_err() {
                return false;
            }
        }
        let mut answer = String::new();
        let read = io::stdin().read_line(&mut answer);
        read.is_ok() && matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes")
    }

    /// The progress line.
    pub fn progress(&self) -> Progress {
        self.voice().progress.clone()
    }

    fn once(&self, tone: Tone, label: &str, text: &str) {
        let mut voice = self.voice();
        if !voice.said.insert(format!("{label}{text}")) {
            return;
        }
        let mut lines = String::new();
        for (index, line) in text.lines().enumerate() {
            let line = if index == 0 { tone.paint(label).then(line) } else { Text::from(line) };
            line.render(voice.stderr.color, &mut lines);
            lines.push('\n');
        }
        let progress = voice.progress.clone();
        // Where stderr is closed there is nobody left to tell.
        let _ = progress.aside(|| voice.stderr.text(&lines));
    }

    fn voice(&self) -> MutexGuard<'_, Voice> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What went to the streams of [`Out::captured`].
#[derive(Clone, Default)]
pub struct Captured {
    stdout: Buffer,
    stderr: Buffer,
}

impl Captured {
    /// Everything on stdout so far.
    pub fn stdout(&self) -> String {
        self.stdout.text()
    }

    /// Everything on stderr so far.
    pub fn stderr(&self) -> String {
        self.stderr.text()
    }
}

#[derive(Clone, Default)]
struct Buffer(Arc<Mutex<Vec<u8>>>);

impl Buffer {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap_or_else(PoisonError::into_inner)).into_owned()
    }
}

impl Write for Buffer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{cells, print::Table};

    const ROWS: Rows = Rows { list: "ranges", kind: "range", name: &["cidr"] };

    fn printed(format: &str, terminal: bool) -> String {
        let args = OutputArgs { output: format.parse().unwrap(), ..OutputArgs::default() };
        let (mut out, captured) = Out::captured(&args, terminal);
        let report = json!({"kind": "CidrReport", "ranges": [{"cidr": "10.0.0.0/8", "text": "a\u{202e}\u{1b}[2J"}]});
        out.report(&report, ROWS, |detail| {
            let mut table = Table::new([super::super::Column::new("cidr"), super::super::Column::new("text").wide()]);
            table.row(cells!["10.0.0.0/8", format!("{detail:?}\u{1b}[2J")]);
            let mut view = View::new();
            view.table(table);
            view
        })
        .unwrap();
        assert_eq!(captured.stderr(), "");
        captured.stdout()
    }

    #[test]
    fn formats() {
        assert_eq!(printed("table", false), "CIDR\n10.0.0.0/8\n");
        assert_eq!(printed("wide", false), "CIDR         TEXT\n10.0.0.0/8   Wide\\x1b[2J\n");
        assert_eq!(printed("name", false), "range/10.0.0.0/8\n");
        assert!(printed("yaml", false).contains("cidr: 10.0.0.0/8"));
        assert_eq!(printed("jsonpath={.kind}: {.ranges[*].cidr}", false), "CidrReport: 10.0.0.0/8");
        assert_eq!(printed("jsonpath-as-json={.kind}", false), "[\n    \"CidrReport\"\n]\n");
        assert_eq!(printed("custom-columns=a:.cidr,B:.no", false), "a            B\n10.0.0.0/8   <none>\n");
    }

    #[test]
    fn a_report_since_another_has_its_changes() {
        let before = json!({"kind": "CidrReport", "ranges": []});
        let after = json!({"kind": "CidrReport", "ranges": [{"role": "pod", "cidr": "10.0.0.0/8"}]});
        let changes = Changes::between(&before, &after, "ranges").unwrap();
        let printed = |format: &str| {
            let args = OutputArgs { output: format.parse().unwrap(), ..OutputArgs::default() };
            let (mut out, captured) = Out::captured(&args, false);
            let view = |_| {
                let mut view = View::new();
                view.line("report");
                view
            };
            out.report_since(&after, &changes, ROWS, view).unwrap();
            captured.stdout()
        };
        assert_eq!(printed("table"), "report\n\nchanges\n+ ranges[pod 10.0.0.0/8]\n");
        assert_eq!(printed("name"), "range/10.0.0.0/8\n");
        let data: serde_json::Value = serde_json::from_str(&printed("json")).unwrap();
        assert_eq!(data["changes"][0]["op"], "add");
        assert_eq!(data["ranges"], after["ranges"]);
        assert!(printed("yaml").contains("changes:\n- op: add\n"));
    }

    #[test]
    fn data_reaches_a_terminal_escaped_and_a_pipe_as_it_is() {
        let piped = printed("json", false);
        assert!(piped.contains("a\u{202e}\\u001b[2J"), "{piped}");
        let shown = printed("json", true);
        assert!(shown.contains("a\\u202e\\u001b[2J"), "{shown}");
        for format in [
            "json",
            "yaml",
            "table",
            "wide",
            "name",
            "jsonpath={.ranges[*].text}{\"\\n\"}",
            "jsonpath-as-json={..text}",
            "custom-columns=TEXT:.text",
        ] {
            let shown = printed(format, true);
            assert!(!shown.contains(['\u{1b}', '\u{202e}']), "{format}: {shown}");
        }
    }

    #[test]
    fn messages_are_escaped_and_said_once() {
        let (out, captured) = Out::captured(&OutputArgs::default(), true);
        let say = out.say();
        say.warning("node a\x1b[31m is gone");
        out.say().warning("node a\x1b[31m is gone");
        say.hint("try --from");
        say.error("first\nsecond");
        assert_eq!(captured.stderr(), "warning: node a\\x1b[31m is gone\nhint: try --from\nerror: first\nsecond\n");
    }

    #[test]
    fn labels_are_coloured_on_demand() {
        let args = OutputArgs { color: When::Always, ..OutputArgs::default() };
        let (out, captured) = Out::captured(&args, false);
        out.say().error("no");
        assert_eq!(captured.stderr(), "\x1b[1m\x1b[31merror: \x1b[0mno\n");
    }
}
