//! Changing the mode in kube-proxy's configuration file: only the lines that have to change, byte for
//! byte, and the way back.

mod find;

use std::fmt::Write;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Mode;
use crate::{
    problem::Problem,
    text::{scalar, yaml_documents},
};

/// What a configuration is to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted<'a> {
    /// The mode.
    pub mode: Mode,
    /// The algorithm of ipvs mode; none leaves what is there.
    pub scheduler: Option<&'a str>,
}

/// Lines that stand in for others. Neither side is empty; both have their line endings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// The first of the lines before, from 1.
    pub line: usize,
    /// As they are.
    pub before: String,
    /// As they become.
    pub after: String,
}

/// The changes of one text, in the order of its lines; none where it already says what is wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Edit {
    /// The changes.
    pub changes: Vec<Change>,
}

/// Why a text is not edited.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The text cannot be read.
    #[error(transparent)]
    Unreadable(#[from] Problem),
    /// No document of it configures kube-proxy.
    #[error("no document of kind KubeProxyConfiguration")]
    NotOne,
    /// Which document kube-proxy reads is not known.
    #[error("{0} documents of kind KubeProxyConfiguration; leave one")]
    Several(usize),
    /// The field is written in a way that cannot be changed in place.
    #[error("line {line}: {reason}")]
    Layout {
        /// From 1.
        line: usize,
        /// What it is, and how it could be written.
        reason: String,
    },
    /// The edited text would say something else than was wanted.
    #[error("the edited text would not say just what is wanted: write `{0}:` as a plain key on a line of its own")]
    Unsure(&'static str),
    /// The lines that were to be changed are not there any more, or more than once.
    #[error("`{0}` stands {1} times in the text, not once: it was edited since")]
    Moved(String, usize),
}

/// The changes after which kube-proxy's document in `text` says what is wanted and every other byte,
/// comments and line endings included, is as it was.
///
/// # Errors
/// Where that cannot be done for certain: the result is read again before it is returned.
pub fn edit(text: &str, wanted: &Wanted<'_>) -> Result<Edit, Refused> {
    let mut documents = yaml_documents(text)?;
    let is_proxy = |document: &Value| scalar(document.get("kind")) == "KubeProxyConfiguration";
    let mut proxies = documents.iter_mut().filter(|document| is_proxy(document));
    let document = proxies.next().ok_or(Refused::NotOne)?;
    match proxies.count() {
        0 => {}
        more => return Err(Refused::Several(more + 1)),
    }
    let mode_is_new = document.get("mode") != Some(&json!(wanted.mode.name()));
    let scheduler = wanted.scheduler.filter(|name| document.pointer("/ipvs/scheduler") != Some(&json!(name)));
    if let Some(fields) = document.as_object_mut() {
        fields.insert("mode".to_owned(), json!(wanted.mode.name()));
        if let Some(name) = scheduler {
            let section = fields.entry("ipvs").or_insert(Value::Null);
            if section.is_null() {
                *section = json!({});
            }
            let section = section.as_object_mut().ok_or(Refused::Unsure("ipvs"))?;
            section.insert("scheduler".to_owned(), json!(name));
        }
    }
    let edit = find::changes(text, mode_is_new.then_some(wanted.mode.name()), scheduler)?;
    let edited = edit.apply(text)?;
    if yaml_documents(&edited).ok().as_ref() != Some(&documents) {
        return Err(Refused::Unsure(if mode_is_new { "mode" } else { "ipvs" }));
    }
    Ok(edit)
}

impl Edit {
    /// Nothing is to be changed.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// The text with the changes made. Lines that have moved since are found where they stand once.
    ///
    /// # Errors
    /// Where lines before are missing, or stand in several places and none is theirs.
    pub fn apply(&self, text: &str) -> Result<String, Refused> {
        let mut places = Vec::with_capacity(self.changes.len());
        for change in &self.changes {
            places.push((change.place(text)?, change));
        }
        places.sort_by_key(|(at, _)| *at);
        let mut result = String::with_capacity(text.len() + 64);
        let mut done = 0;
        for (at, change) in places {
            let kept = text.get(done..at).ok_or_else(|| change.moved(2))?;
            result.push_str(kept);
            result.push_str(&change.after);
            done = at + change.before.len();
        }
        result.push_str(text.get(done..).unwrap_or_default());
        Ok(result)
    }

    /// The way back.
    #[must_use]
    pub fn inverse(&self) -> Self {
        let (mut added, mut removed) = (0, 0);
        let back = |change: &Change| {
            let line = (change.line + added).saturating_sub(removed);
            added += change.after.lines().count();
            removed += change.before.lines().count();
            Change { line, before: change.after.clone(), after: change.before.clone() }
        };
        Self { changes: self.changes.iter().map(back).collect() }
    }

    /// The changes as a unified diff without context, its two header lines left to the caller.
    pub fn diff(&self) -> String {
        let mut text = String::new();
        for (change, back) in self.changes.iter().zip(self.inverse().changes) {
            let inserted = change.after.strip_prefix(&change.before).filter(|_| change.before.ends_with('\n'));
            let kept = if inserted.is_some() { change.before.lines().count() } else { 0 };
            let (old, new) = match inserted {
                Some(inserted) => ("", inserted),
                None => (change.before.as_str(), change.after.as_str()),
            };
            let (olds, news) = (old.lines().count(), new.lines().count());
            // a hunk that takes no line away names the line before it
            let from = if olds == 0 { change.line + kept - 1 } else { change.line };
            let _ = writeln!(text, "@@ -{from},{olds} +{},{news} @@", back.line + kept);
            for (sign, lines) in [('-', old), ('+', new)] {
                for line in lines.split_inclusive('\n') {
                    let end = if line.ends_with('\n') { "" } else { "\n\\ No newline at end of file\n" };
                    let _ = write!(text, "{sign}{line}{end}");
                }
            }
        }
        text
    }
}

impl Change {
    /// The offset at which the lines before start in a text.
    fn place(&self, text: &str) -> Result<usize, Refused> {
        let (mut at, mut places, mut first) = (0, 0, None);
        for (index, line) in text.split_inclusive('\n').enumerate() {
            let here = text.get(at..).and_then(|rest| rest.strip_prefix(self.before.as_str()));
            if here.is_some_and(|rest| rest.is_empty() || self.before.ends_with('\n')) {
                if index + 1 == self.line {
                    return Ok(at);
                }
                places += 1;
                first = first.or(Some(at));
            }
            at += line.len();
        }
        first.filter(|_| places == 1).ok_or_else(|| self.moved(places))
    }

    fn moved(&self, places: usize) -> Refused {
        Refused::Moved(self.before.trim_end().to_owned(), places)
    }
}

#[cfg(test)]
mod tests;
