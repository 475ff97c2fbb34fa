//! Finds the objects of a JSON file without decoding it: where each begins and ends, and the few
//! words that name it. One pass, a fixed buffer, no recursion over what is skipped.

use std::io::{self, Read};

use super::{
    index::{Builder, Found},
    store::FileId,
};

/// Deeper than any object of a cluster; what the decoders refuse, too.
const MAX_DEPTH: u32 = 128;
/// `List`s inside of `List`s.
const MAX_LISTS: u8 = 4;
/// Longer than any name, kind or version; the rest of a string is skipped.
const MAX_WORD: usize = 1024;

/// Why a place in a file is not JSON.
#[derive(Debug)]
pub(super) enum Broken {
    /// The file could not be read.
    Io(io::Error),
    /// The file ends inside of something.
    Ends {
        /// Where that something began.
        from: u64,
    },
    /// Something that may not stand there.
    Syntax {
        /// Where.
        at: u64,
        /// What is wrong and what would be valid.
        what: &'static str,
    },
    /// A line break inside of a string: the mark of text that a terminal has wrapped.
    Wrapped {
        /// Where.
        at: u64,
    },
}

impl From<io::Error> for Broken {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// What one file turned out to hold.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    /// Objects added.
    pub(super) objects: usize,
    /// Top-level documents.
    pub(super) documents: usize,
    /// Lines that are not JSON.
    pub(super) stray_lines: u64,
    /// Container logs between the marks of `kubectl cluster-info dump`.
    pub(super) logs: u64,
    /// Items of a list that ended before it said its kind.
    pub(super) nameless: usize,
    /// Everything that is wrong, in order.
    pub(super) broken: Vec<Broken>,
}

/// The words of one object that matter.
#[derive(Debug, Default)]
struct Words {
    api_version: String,
    kind: String,
    name: String,
    namespace: String,
    resource_version: String,
}

impl Words {
    fn clear(&mut self) {
        self.api_version.clear();
        self.kind.clear();
        self.name.clear();
        self.namespace.clear();
        self.resource_version.clear();
    }
}

/// Indexes one file of JSON documents, one after the other, with whatever stands between them.
pub(super) fn scan(input: &mut dyn Read, file: FileId, index: &mut Builder) -> Outcome {
    let words = (0..=MAX_LISTS).map(|_| Words::default()).collect();
    let mut scanner = Scanner {
        input: Input { source: input, buffer: vec![0; 256 * 1024], at: 0, end: 0, base: 0 },
        file,
        index,
        words,
        key: Vec::new(),
        outcome: Outcome::default(),
    };
    let before = scanner.index.mark();
    if let Err(broken) = scanner.documents() {
        scanner.outcome.broken.push(broken);
    }
    scanner.outcome.objects = scanner.index.mark() - before;
    scanner.outcome
}

struct Scanner<'a> {
    input: Input<'a>,
    file: FileId,
    index: &'a mut Builder,
    words: Vec<Words>,
    key: Vec<u8>,
    outcome: Outcome,
}

impl Scanner<'_> {
    fn documents(&mut self) -> Result<(), Broken> {
        if self.input.starts_with(b"\xEF\xBB\xBF")? {
            self.input.at += 3;
        }
        while let Some(byte) = self.input.token()? {
            let start = self.input.position();
            let result = match byte {
                b'{' => {
                    self.outcome.documents += 1;
                    self.object(0, start)
                }
                b'[' => {
                    self.outcome.documents += 1;
                    self.input.at += 1;
                    self.items(0)
                }
                _ => self.stray_line(),
            };
            match result {
                Ok(()) => {}
                Err(Broken::Io(error)) => return Err(Broken::Io(error)),
                Err(broken) => {
                    self.outcome.broken.push(broken);
                    if self.outcome.broken.len() >= 100 || !self.input.resume()? {
                        return Ok(());
                    }
                }
            }
        }
        Ok(())
    }

    /// A line between documents; container logs are passed over as a whole.
    fn stray_line(&mut self) -> Result<(), Broken> {
        let mut line = Vec::new();
        self.input.line(&mut line)?;
        if line.starts_with(b"==== START logs for container") {
            self.outcome.logs += 1;
            while self.input.peek()?.is_some() {
                self.input.line(&mut line)?;
                if line.starts_with(b"==== END logs for container") {
                    break;
                }
            }
        } else if !matches!(line.trim_ascii(), b"" | b"," | b"---") {
            self.outcome.stray_lines += 1;
        }
        Ok(())
    }

    /// The elements of an array of objects, after its bracket.
    fn items(&mut self, level: u8) -> Result<(), Broken> {
        let from = self.input.position();
        loop {
            match self.input.token()?.ok_or(Broken::Ends { from })? {
                b']' => {
                    self.input.at += 1;
                    return Ok(());
                }
                b',' => self.input.at += 1,
                b'{' => {
                    let start = self.input.position();
                    self.object(level, start)?;
                }
                _ => self.input.skip_value()?,
            }
        }
    }

    /// One object that may be a Kubernetes object, or a list of them.
    fn object(&mut self, level: u8, start: u64) -> Result<(), Broken> {
        let mark = self.index.mark();
        if let Some(words) = self.words.get_mut(usize::from(level)) {
            words.clear();
        }
        let read = self.fields(level, start);
        let Some(words) = self.words.get(usize::from(level)) else { return read };
        let item = words.kind.strip_suffix("List").map(|kind| (words.api_version.as_str(), kind));
        if read.is_err() {
            // the items before the break stand, where their kind is known
            if self.index.mark() > mark {
                self.outcome.nameless += self.index.settle(mark, item);
            }
            return read;
        }
        if item.is_some() || (words.kind.is_empty() && self.index.mark() > mark) {
            self.outcome.nameless += self.index.settle(mark, item);
            return read;
        }
        // `items` of something that is no list
        self.index.forget(mark);
        if !words.name.is_empty() {
            self.index.add(Found {
                file: self.file,
                offset: start,
                len: self.input.position() - start,
                api_version: &words.api_version,
                kind: &words.kind,
                namespace: &words.namespace,
                name: &words.name,
                resource_version: &words.resource_version,
            });
        }
        read
    }

    fn fields(&mut self, level: u8, start: u64) -> Result<(), Broken> {
        self.input.at += 1;
        loop {
            match self.input.token()?.ok_or(Broken::Ends { from: start })? {
                b'}' => {
                    self.input.at += 1;
                    return Ok(());
                }
                b',' => {
                    self.input.at += 1;
                    continue;
                }
                b'"' => {}
                _ => return Err(self.input.syntax("no field begins here; a name in double quotes would be valid")),
            }
            let value = self.name(start)?;
            let words = self.words.get_mut(usize::from(level));
            match (self.key.as_slice(), value, words) {
                (b"apiVersion", b'"', Some(words)) => self.input.word(&mut words.api_version)?,
                (b"kind", b'"', Some(words)) => self.input.word(&mut words.kind)?,
                (b"metadata", b'{', Some(_)) => self.metadata(level, start)?,
                (b"items", b'[', _) if level < MAX_LISTS => {
                    self.input.at += 1;
                    self.items(level + 1)?;
                }
                _ => self.input.skip_value()?,
            }
        }
    }

    fn metadata(&mut self, level: u8, start: u64) -> Result<(), Broken> {
        self.input.at += 1;
        loop {
            match self.input.token()?.ok_or(Broken::Ends { from: start })? {
                b'}' => {
                    self.input.at += 1;
                    return Ok(());
                }
                b',' => {
                    self.input.at += 1;
                    continue;
                }
                b'"' => {}
                _ => return Err(self.input.syntax("no field begins here; a name in double quotes would be valid")),
            }
            let value = self.name(start)?;
            match (self.key.as_slice(), value, self.words.get_mut(usize::from(level))) {
                (b"name", b'"', Some(words)) => self.input.word(&mut words.name)?,
                (b"namespace", b'"', Some(words)) => self.input.word(&mut words.namespace)?,
                (b"resourceVersion", b'"', Some(words)) => self.input.word(&mut words.resource_version)?,
                _ => self.input.skip_value()?,
            }
        }
    }

    /// Reads a field's name and the colon into `key`; returns the first byte of the value.
    fn name(&mut self, start: u64) -> Result<u8, Broken> {
        self.input.string(Some(&mut self.key))?;
        if self.input.token()?.ok_or(Broken::Ends { from: start })? != b':' {
            return Err(self.input.syntax("a field without a value; `:` would be valid"));
        }
        self.input.at += 1;
        self.input.token()?.ok_or(Broken::Ends { from: start })
    }
}

/// A byte source with a window that slides over the file.
struct Input<'a> {
    source: &'a mut dyn Read,
    buffer: Vec<u8>,
    at: usize,
    end: usize,
    base: u64,
}

impl Input<'_> {
    fn position(&self) -> u64 {
        self.base + self.at as u64
    }

    fn syntax(&self, what: &'static str) -> Broken {
        Broken::Syntax { at: self.position(), what }
    }

    /// The bytes that are there, at least one unless the file is at its end.
    fn window(&mut self) -> Result<&[u8], Broken> {
        if self.at >= self.end {
            self.base += self.end as u64;
            self.at = 0;
            self.end = 0;
            self.fill()?;
        }
        Ok(self.buffer.get(self.at..self.end).unwrap_or_default())
    }

    fn fill(&mut self) -> Result<usize, Broken> {
        loop {
            match self.source.read(self.buffer.get_mut(self.end..).unwrap_or_default()) {
                Ok(n) => {
                    self.end += n;
                    return Ok(n);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Broken::Io(error)),
            }
        }
    }

    fn peek(&mut self) -> Result<Option<u8>, Broken> {
        Ok(self.window()?.first().copied())
    }

    /// Only at the start of the file, where the window is empty.
    fn starts_with(&mut self, prefix: &[u8]) -> Result<bool, Broken> {
        while self.end < prefix.len() && self.fill()? > 0 {}
        Ok(self.buffer.get(self.at..self.end).is_some_and(|bytes| bytes.starts_with(prefix)))
    }

    /// The next byte that is not white space, not consumed.
    fn token(&mut self) -> Result<Option<u8>, Broken> {
        loop {
            let window = self.window()?;
            if window.is_empty() {
                return Ok(None);
            }
            let len = window.len();
            match window.iter().position(|byte| !matches!(byte, b' ' | b'\n' | b'\r' | b'\t')) {
                Some(skipped) => {
                    let byte = window.get(skipped).copied();
                    self.at += skipped;
                    return Ok(byte);
                }
                None => self.at += len,
            }
        }
    }

    /// The rest of the line, without its end.
    fn line(&mut self, line: &mut Vec<u8>) -> Result<(), Broken> {
        line.clear();
        loop {
            let window = self.window()?;
            if window.is_empty() {
                return Ok(());
            }
            let (len, end) = match memchr::memchr(b'\n', window) {
                Some(at) => (at, true),
                None => (window.len(), false),
            };
            let room = MAX_WORD.saturating_sub(line.len()).min(len);
            line.extend_from_slice(window.get(..room).unwrap_or_default());
            self.at += len + usize::from(end);
            if end {
                return Ok(());
            }
        }
    }

    /// Goes on at the next line that begins with a bracket, where a document may begin.
    fn resume(&mut self) -> Result<bool, Broken> {
        let mut line = Vec::new();
        loop {
            self.line(&mut line)?;
            match self.peek()? {
                None => return Ok(false),
                Some(b'{') => return Ok(true),
                Some(_) => {}
            }
        }
    }

    /// A short string; what is longer than any name is cut.
    fn word(&mut self, word: &mut String) -> Result<(), Broken> {
        let mut raw = Vec::new();
        self.string(Some(&mut raw))?;
        word.clear();
        if raw.contains(&b'\\') {
            let quoted = [b"\"", raw.as_slice(), b"\""].concat();
            if let Ok(text) = serde_json::from_slice::<String>(&quoted) {
                word.push_str(&text);
            }
        } else {
            word.push_str(&String::from_utf8_lossy(&raw));
        }
        Ok(())
    }

    /// Passes a string, its opening quote being next; its escapes stay as they are.
    fn string(&mut self, mut text: Option<&mut Vec<u8>>) -> Result<(), Broken> {
        let from = self.position();
        if let Some(text) = text.as_deref_mut() {
            text.clear();
        }
        self.at += 1;
        loop {
            let window = self.window()?;
            if window.is_empty() {
                return Err(Broken::Ends { from });
            }
            let stop = memchr::memchr3(b'"', b'\\', b'\n', window);
            let len = stop.unwrap_or(window.len());
            let byte = stop.and_then(|stop| window.get(stop).copied());
            if let Some(text) = text.as_deref_mut() {
                let room = MAX_WORD.saturating_sub(text.len()).min(len);
                text.extend_from_slice(window.get(..room).unwrap_or_default());
            }
            self.at += len;
            match byte {
                None => {}
                Some(b'"') => {
                    self.at += 1;
                    return Ok(());
                }
                Some(b'\\') => {
                    self.at += 1;
                    let Some(escaped) = self.peek()? else { return Err(Broken::Ends { from }) };
                    if escaped == b'\n' {
                        return Err(Broken::Wrapped { at: self.position() });
                    }
                    if let Some(text) = text.as_deref_mut()
                        && text.len() < MAX_WORD
                    {
                        text.extend_from_slice(&[b'\\', escaped]);
                    }
                    self.at += 1;
                }
                Some(_) => return Err(Broken::Wrapped { at: self.position() }),
            }
        }
    }

    /// Passes a value of any kind; only its brackets and strings are looked at.
    fn skip_value(&mut self) -> Result<(), Broken> {
        let from = self.position();
        match self.peek()?.ok_or(Broken::Ends { from })? {
            b'"' => self.string(None),
            b'{' | b'[' => self.skip_nested(from),
            b'}' | b']' | b':' => Err(self.syntax("a field without a value")),
            _ => self.skip_scalar(from),
        }
    }

    fn skip_scalar(&mut self, from: u64) -> Result<(), Broken> {
        loop {
            let window = self.window()?;
            if window.is_empty() {
                return Err(Broken::Ends { from });
            }
            let len = window.len();
            let stop =
                window.iter().position(|byte| !byte.is_ascii_alphanumeric() && !matches!(byte, b'.' | b'-' | b'+'));
            self.at += stop.unwrap_or(len);
            if stop.is_some() {
                if self.position() == from {
                    return Err(self.syntax("not a JSON value; a string, number, object or array would be valid"));
                }
                return Ok(());
            }
        }
    }

    fn skip_nested(&mut self, from: u64) -> Result<(), Broken> {
        // one bit per level: set for an object
        let mut objects: u128 = 0;
        let mut depth = 0_u32;
        loop {
            let window = self.window()?;
            if window.is_empty() {
                return Err(Broken::Ends { from });
            }
            let len = window.len();
            let Some(stop) = window.iter().position(|byte| BRACKETS.get(usize::from(*byte)) == Some(&true)) else {
                self.at += len;
                continue;
            };
            let byte = window.get(stop).copied().unwrap_or_default();
            self.at += stop;
            match byte {
                b'"' => self.string(None)?,
                b'{' | b'[' => {
                    if depth >= MAX_DEPTH {
                        return Err(self.syntax("nested deeper than 128 levels"));
                    }
                    objects = (objects << 1) | u128::from(byte == b'{');
                    depth += 1;
                    self.at += 1;
                }
                _ => {
                    if (byte == b'}') != (objects & 1 == 1) {
                        return Err(self.syntax("a bracket that closes another kind of bracket"));
                    }
                    objects >>= 1;
                    depth -= 1;
                    self.at += 1;
                    if depth == 0 {
                        return Ok(());
                    }
                }
            }
        }
    }
}

/// The bytes at which a skipped value is looked at.
static BRACKETS: [bool; 256] = {
    let mut table = [false; 256];
    table[b'"' as usize] = true;
    table[b'{' as usize] = true;
    table[b'}' as usize] = true;
    table[b'[' as usize] = true;
    table[b']' as usize] = true;
    table
};
