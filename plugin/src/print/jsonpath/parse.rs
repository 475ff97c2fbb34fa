//! Text to template. Errors carry the character that they are about.

use serde_json::Value;

use super::{Block, Compare, Filter, Path, Slice, Step, go};

type Parsed<T> = Result<T, (usize, String)>;

fn problem<T>(at: usize, text: impl Into<String>) -> Parsed<T> {
    Err((at, text.into()))
}

/// What one pair of braces holds.
enum Action {
    Path(Path),
    Range(Path),
    End,
}

pub(super) fn template(text: &str) -> Parsed<Vec<Block>> {
    let chars: Vec<char> = text.chars().collect();
    if chars.is_empty() {
        return problem(0, "no template given, expected one like {.items[*].name}");
    }
    // The blocks around the one being read, each with the range that opened the next and its place.
    let mut open: Vec<(Vec<Block>, Path, usize)> = Vec::new();
    let mut blocks = Vec::new();
    let mut at = 0;
    while at < chars.len() {
        if chars.get(at) != Some(&'{') {
            let end = position(&chars, at, |c| c == '{').unwrap_or(chars.len());
            blocks.push(Block::Text(slice(&chars, at, end)));
            at = end;
            continue;
        }
        let start = at;
        let mut steps = Steps { chars: &chars, at: at + 1 };
        match steps.action()? {
            Action::Path(path) => blocks.push(Block::Path(path)),
            Action::Range(path) => open.push((std::mem::take(&mut blocks), path, start)),
            Action::End => {
                let Some((outer, path, _)) = open.pop() else {
                    return problem(start, "{end} without a {range …} before it");
                };
                let inner = std::mem::replace(&mut blocks, outer);
                blocks.push(Block::Range(path, inner));
            }
        }
        at = steps.at;
    }
    match open.pop() {
        Some((_, _, start)) => problem(start, "{range …} without an {end} after it"),
        None => Ok(blocks),
    }
}

/// Steps between a `{` and its `}`.
struct Steps<'a> {
    chars: &'a [char],
    at: usize,
}

impl Steps<'_> {
    /// Reads to the closing brace and past it.
    fn action(&mut self) -> Parsed<Action> {
        let mut path = Path::new();
        let mut action = None;
        loop {
            let start = self.at;
            match self.peek() {
                None | Some('\n' | '\r') => return problem(start, "the brace is not closed, expected }"),
                Some('}') => {
                    self.at += 1;
                    break;
                }
                Some(c) if c.is_alphabetic() || c == '_' => match self.word().as_str() {
                    "true" => path.push(Step::Each(Value::Bool(true))),
                    "false" => path.push(Step::Each(Value::Bool(false))),
                    word @ ("range" | "end") if path.is_empty() && action.is_none() => {
                        action = Some((word == "range", start));
                    }
                    word => return unknown_word(start, word),
                },
                Some(_) => self.step(&mut path)?,
            }
        }
        match action {
            None => Ok(Action::Path(path)),
            Some((true, _)) => Ok(Action::Range(path)),
            Some((false, _)) if path.is_empty() => Ok(Action::End),
            Some((false, start)) => problem(start, "nothing may stand beside end"),
        }
    }

    /// Reads to the end of the text: a side of a filter, a part of a union.
    fn rest(mut self) -> Parsed<Path> {
        let mut path = Path::new();
        while let Some(c) = self.peek() {
            if c.is_alphabetic() || c == '_' {
                let start = self.at;
                match self.word().as_str() {
                    "true" => path.push(Step::Each(Value::Bool(true))),
                    "false" => path.push(Step::Each(Value::Bool(false))),
                    word => return unknown_word(start, word),
                }
            } else {
                self.step(&mut path)?;
            }
        }
        Ok(path)
    }

    fn step(&mut self, path: &mut Path) -> Parsed<()> {
        let start = self.at;
        match self.peek() {
            // `$` and `@` are both the object at hand.
            Some(' ' | '\t' | '$' | '@') => self.at += 1,
            Some('.') if self.chars.get(self.at + 1) == Some(&'.') => {
                self.at += 2;
                path.push(Step::Descend);
                if self.peek().is_some_and(|c| c.is_alphanumeric() || c == '_') {
                    path.push(self.field());
                }
            }
            Some('.') => {
                self.at += 1;
                path.push(self.field());
            }
            Some('[') if self.chars.get(self.at + 1) == Some(&'?') => path.push(Step::Filter(self.filter()?)),
            Some('[') => self.index(path)?,
            Some('"' | '\'') => path.push(Step::Text(self.quoted()?)),
            Some(c) if c.is_ascii_digit() || matches!(c, '+' | '-') => path.push(Step::Each(self.number()?)),
            Some(c) => {
                return problem(start, format!("unexpected {c:?}, expected .field, [index], a \"text\" or a number"));
            }
            None => {}
        }
        Ok(())
    }

    fn peek(&self) -> Option<char> {
        self.chars.get(self.at).copied()
    }

    /// A name up to where something else begins.
    fn word(&mut self) -> String {
        let start = self.at;
        self.at = position(self.chars, start, terminates).unwrap_or(self.chars.len());
        slice(self.chars, start, self.at)
    }

    /// A name in which a backslash takes the meaning from the character after it.
    fn field(&mut self) -> Step {
        let mut name = String::new();
        while let Some(c) = self.peek().filter(|c| !terminates(*c)) {
            self.at += 1;
            if c == '\\' {
                name.extend(self.peek());
                self.at += 1;
            } else {
                name.push(c);
            }
        }
        self.at = self.at.min(self.chars.len());
        if name == "*" { Step::Wildcard } else { Step::Field(name) }
    }

    fn number(&mut self) -> Parsed<Value> {
        let start = self.at;
        let end = position(self.chars, start + 1, |c| c != '.' && !c.is_ascii_digit()).unwrap_or(self.chars.len());
        self.at = end;
        let text = slice(self.chars, start, end);
        let number = text.trim_start_matches('+');
        let value = number.parse::<i64>().map(Value::from).or_else(|_| number.parse::<f64>().map(Value::from));
        value.or_else(|_| problem(start, format!("{text:?} is not a number")))
    }

    fn quoted(&mut self) -> Parsed<String> {
        let start = self.at;
        let Some(end) = end_of_quote(self.chars, start) else {
            return problem(start, "the quoted text is not closed");
        };
        self.at = end + 1;
        match self.chars.get(start..=end).and_then(go::unquote) {
            Some(text) => Ok(text),
            None => problem(start, "an escape in the quoted text is none of \\n \\t \\r \\\" \\' \\\\ \\xXX \\uXXXX"),
        }
    }

    /// `[…]` that is no filter.
    fn index(&mut self, path: &mut Path) -> Parsed<()> {
        let start = self.at + 1;
        let Some(end) =
            position(self.chars, start, |c| c == ']' || c == '\n').filter(|end| self.chars.get(*end) == Some(&']'))
        else {
            return problem(self.at, "the bracket is not closed, expected ]");
        };
        let inside = self.chars.get(start..end).unwrap_or_default();
        self.at = end + 1;
        let mut parts = Vec::new();
        let mut from = start;
        let several = inside.contains(&',');
        for part in inside.split(|c| *c == ',') {
            let text: String = part.iter().collect();
            // As kubectl: blanks may stand beside a comma, not else.
            parts.push(index_part(if several { text.trim_matches(' ') } else { &text }, from)?);
            from += part.len() + 1;
        }
        if let [only] = &mut *parts {
            path.append(only);
        } else {
            path.push(Step::Union(parts));
        }
        Ok(())
    }

    /// `[?(…)]`
    fn filter(&mut self) -> Parsed<Filter> {
        let open = self.at;
        if self.chars.get(open + 2) != Some(&'(') {
            return problem(open, "expected a filter like [?(@.name==\"x\")]");
        }
        let start = open + 3;
        let mut at = start;
        let mut depth = 0_u32;
        loop {
            match self.chars.get(at) {
                None | Some('\n') => return problem(open, "the filter is not closed, expected )]"),
                Some('"' | '\'') => match end_of_quote(self.chars, at) {
                    Some(end) => at = end,
                    None => return problem(at, "the quoted text is not closed"),
                },
                Some('(') => depth += 1,
                Some(')') if depth == 0 => break,
                Some(')') => depth -= 1,
                Some(_) => {}
            }
            at += 1;
        }
        if self.chars.get(at + 1) != Some(&']') {
            return problem(at, "expected ] after the filter");
        }
        self.at = at + 2;
        any(self.chars.get(start..at).unwrap_or_default(), start)
    }
}

fn unknown_word<T>(at: usize, word: &str) -> Parsed<T> {
    problem(at, format!("unknown word {word:?}, expected .{word}, or one of range, end, true, false"))
}

/// `a || b`
fn any(chars: &[char], at: usize) -> Parsed<Filter> {
    combined(chars, at, "||", all, Filter::Any)
}

/// `a && b`
fn all(chars: &[char], at: usize) -> Parsed<Filter> {
    combined(chars, at, "&&", comparison, Filter::All)
}

fn combined(
    chars: &[char],
    at: usize,
    operator: &str,
    part: fn(&[char], usize) -> Parsed<Filter>,
    join: fn(Vec<Filter>) -> Filter,
) -> Parsed<Filter> {
    let mut parts = Vec::new();
    let mut from = 0;
    loop {
        let end = outside(chars, from, |rest| starts_with(rest, operator));
        let piece = chars.get(from..end.unwrap_or(chars.len())).unwrap_or_default();
        if piece.iter().all(|c| *c == ' ') && (end.is_some() || !parts.is_empty()) {
            return problem(at + from, format!("expected a condition beside {operator}"));
        }
        parts.push(part(piece, at + from)?);
        match end {
            Some(end) => from = end + operator.chars().count(),
            None if parts.len() > 1 => return Ok(join(parts)),
            None => return parts.pop().map_or_else(|| part(piece, at + from), Ok),
        }
    }
}

/// `left op right`, or a path that must lead somewhere.
fn comparison(chars: &[char], at: usize) -> Parsed<Filter> {
    let is_operator = |c: char| matches!(c, '!' | '<' | '>' | '=' | '~');
    let Some(start) = outside(chars, 0, |rest| rest.first().copied().is_some_and(is_operator)) else {
        return Ok(Filter::Exists(Steps { chars, at: 0 }.rest().map_err(|(inner, text)| (at + inner, text))?));
    };
    let end = position(chars, start, |c| !is_operator(c)).unwrap_or(chars.len());
    let operator = slice(chars, start, end);
    let side = |from: usize, to: usize| {
        let part = chars.get(from..to).unwrap_or_default();
        if part.iter().all(|c| *c == ' ') {
            return problem(at + from, format!("expected a value beside {operator}"));
        }
        Steps { chars: part, at: 0 }.rest().map_err(|(inner, text)| (at + from + inner, text))
    };
    let left = side(0, start)?;
    let compare = match operator.as_str() {
        "==" => Compare::Equal,
        "!=" => Compare::NotEqual,
        "<" => Compare::Less,
        "<=" => Compare::LessOrEqual,
        ">" => Compare::Greater,
        ">=" => Compare::GreaterOrEqual,
        "=~" => return pattern(chars, at, end).map(|pattern| Filter::Matches(left, pattern)),
        _ => {
            return problem(at + start, format!("unknown operator {operator}, valid are == != < <= > >= =~"));
        }
    };
    Ok(Filter::Compare(left, compare, side(end, chars.len())?))
}

/// The regular expression after `=~`: quoted, or between slashes.
fn pattern(chars: &[char], at: usize, from: usize) -> Parsed<regex::Regex> {
    let start = position(chars, from, |c| c != ' ').unwrap_or(from);
    let mut rest = chars.get(start..).unwrap_or_default();
    while let [inner @ .., ' '] = rest {
        rest = inner;
    }
    let text = match rest {
        ['/', inner @ .., '/'] => inner.iter().collect(),
        ['"' | '\'', ..] if end_of_quote(rest, 0) == Some(rest.len() - 1) => {
            // Backslashes belong to the expression; only the quote itself needs one.
            let inner: String = rest.get(1..rest.len() - 1).unwrap_or_default().iter().collect();
            inner.replace("\\\"", "\"").replace("\\'", "'")
        }
        _ => return problem(at + start, "expected a regular expression after =~: \"…\" or /…/"),
    };
    regex::Regex::new(&text).or_else(|error| {
        let reason = error.to_string();
        problem(at + start, format!("not a regular expression: {}", reason.lines().last().unwrap_or_default()))
    })
}

/// One part between the commas of `[…]`: a quoted name, an index, a slice, `*`.
fn index_part(text: &str, at: usize) -> Parsed<Path> {
    if let Some(name) =
        text.strip_prefix('\'').and_then(|rest| rest.strip_suffix('\'')).filter(|name| !name.contains('\''))
    {
        // As kubectl: the name is a path of its own, so that a dot in it wants a backslash.
        let chars: Vec<char> = format!(".{name}").chars().collect();
        return Steps { chars: &chars, at: 0 }.rest().map_err(|(inner, text)| (at + inner, text));
    }
    slice_of(text).map(|slice| vec![Step::Slice(slice)]).or_else(|()| {
        problem(
            at,
            format!("{text:?} is no index, valid are 0, -1, 1:3, ::2, *, 'name', and several with commas between"),
        )
    })
}

fn slice_of(text: &str) -> Result<Slice, ()> {
    if text == "*" {
        return Ok(Slice::Part { from: None, to: None, step: None });
    }
    let bound = |text: &str| match text {
        "" => Ok(None),
        text if text.starts_with('+') => Err(()),
        text => text.parse::<i64>().map(Some).map_err(drop),
    };
    let parts: Vec<&str> = text.split(':').collect();
    match *parts {
        [index] => Ok(Slice::At(bound(index)?.unwrap_or(0))),
        [from, to] => Ok(Slice::Part { from: bound(from)?, to: bound(to)?, step: None }),
        [from, to, step] => Ok(Slice::Part { from: bound(from)?, to: bound(to)?, step: bound(step)? }),
        _ => Err(()),
    }
}

/// What ends a name.
fn terminates(c: char) -> bool {
    c.is_whitespace() || matches!(c, '.' | ',' | '[' | ']' | '$' | '@' | '{' | '}')
}

/// The place of the quote that closes the one at `start`.
fn end_of_quote(chars: &[char], start: usize) -> Option<usize> {
    let quote = *chars.get(start)?;
    let mut at = start + 1;
    loop {
        match *chars.get(at)? {
            '\n' => return None,
            '\\' => at += 1,
            c if c == quote => return Some(at),
            _ => {}
        }
        at += 1;
    }
}

/// The first place from `start` on, not inside a quoted text or brackets, where `found` says so.
fn outside(chars: &[char], start: usize, found: impl Fn(&[char]) -> bool) -> Option<usize> {
    let mut at = start;
    let mut depth = 0_usize;
    while at < chars.len() {
        if depth == 0 && found(chars.get(at..)?) {
            return Some(at);
        }
        match chars.get(at) {
            Some('"' | '\'') => at = end_of_quote(chars, at)?,
            Some('[') => depth += 1,
            Some(']') => depth = depth.saturating_sub(1),
            _ => {}
        }
        at += 1;
    }
    None
}

fn starts_with(chars: &[char], prefix: &str) -> bool {
    prefix.chars().enumerate().all(|(index, c)| chars.get(index) == Some(&c))
}

fn position(chars: &[char], from: usize, found: impl Fn(char) -> bool) -> Option<usize> {
    chars.iter().skip(from).position(|c| found(*c)).map(|offset| from + offset)
}

fn slice(chars: &[char], from: usize, to: usize) -> String {
    chars.get(from..to).unwrap_or_default().iter().collect()
}
