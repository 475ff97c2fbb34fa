//! Styled text: what a cell or a line of a view is made of. Nothing else gets to the terminal, so
//! that everything is escaped on its way and colour codes are only ours.

use anstyle::{AnsiColor, Effects, Style};
use netcore::finding::Severity;
use unicode_width::UnicodeWidthStr as _;

use super::sanitize;

/// What a piece of text means to the reader; the colour follows from it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tone {
    /// Ordinary.
    #[default]
    Plain,
    /// A title.
    Heading,
    /// In order.
    Good,
    /// Worth a look.
    Warn,
    /// Wrong.
    Bad,
    /// Beside the point: an origin, a unit.
    Faint,
    /// The value that the line is about.
    Strong,
    /// One of several kinds that stand side by side, told apart by colour: 0 to 5.
    Kind(u8),
}

impl Tone {
    /// Text of this tone.
    pub fn paint(self, text: impl Into<String>) -> Text {
        Text { spans: vec![(self, text.into())] }
    }

    const fn style(self) -> Style {
        match self {
            Self::Plain => Style::new(),
            Self::Heading => Style::new().effects(Effects::BOLD.insert(Effects::UNDERLINE)),
            Self::Good => AnsiColor::Green.on_default(),
            Self::Warn => AnsiColor::Yellow.on_default(),
            Self::Bad => AnsiColor::Red.on_default().bold(),
            Self::Faint => Style::new().dimmed(),
            Self::Strong => Style::new().bold(),
            Self::Kind(kind) => match kind % 6 {
                0 => AnsiColor::Blue.on_default(),
                1 => AnsiColor::Green.on_default(),
                2 => AnsiColor::Yellow.on_default(),
                3 => AnsiColor::Magenta.on_default(),
                4 => AnsiColor::Cyan.on_default(),
                _ => AnsiColor::White.on_default(),
            },
        }
    }
}

impl From<Severity> for Tone {
    fn from(severity: Severity) -> Self {
        match severity {
            Severity::Info => Self::Plain,
            Severity::Warning => Self::Warn,
            Severity::Error => Self::Bad,
        }
    }
}

/// One line of text in pieces of different tones. Line feeds and control characters in it are shown
/// escaped.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Text {
    spans: Vec<(Tone, String)>,
}

impl Text {
    /// The text, or kubectl's `<none>`.
    pub fn or_none(text: Option<impl Into<Self>>) -> Self {
        text.map_or_else(|| Self::from("<none>"), Into::into)
    }

    /// Adds ordinary text.
    #[must_use]
    pub fn then(self, text: impl Into<String>) -> Self {
        self.then_in(Tone::Plain, text)
    }

    /// Adds text of a tone.
    #[must_use]
    pub fn then_in(mut self, tone: Tone, text: impl Into<String>) -> Self {
        self.spans.push((tone, text.into()));
        self
    }

    /// Columns that it takes on a terminal.
    pub fn width(&self) -> usize {
        self.spans.iter().map(|(_, text)| sanitize::line(text).width()).sum()
    }

    /// Whether there is nothing to see.
    pub fn is_empty(&self) -> bool {
        self.spans.iter().all(|(_, text)| text.is_empty())
    }

    /// Appends the escaped text, with colour codes where `color` is set.
    pub(super) fn render(&self, color: bool, out: &mut String) {
        for (tone, text) in &self.spans {
            let text = sanitize::line(text);
            let style = tone.style();
            if color && !style.is_plain() && !text.is_empty() {
                out.push_str(&style.render().to_string());
                out.push_str(&text);
                out.push_str(&style.render_reset().to_string());
            } else {
                out.push_str(&text);
            }
        }
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Tone::Plain.paint(text)
    }
}

impl From<&String> for Text {
    fn from(text: &String) -> Self {
        Tone::Plain.paint(text.as_str())
    }
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        Tone::Plain.paint(text)
    }
}

impl From<std::borrow::Cow<'_, str>> for Text {
    fn from(text: std::borrow::Cow<'_, str>) -> Self {
        Tone::Plain.paint(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rendered(text: &Text, color: bool) -> String {
        let mut out = String::new();
        text.render(color, &mut out);
        out
    }

    #[test]
    fn colour_codes_are_only_ours() {
        let text = Text::from("a ").then_in(Tone::Good, "ok\x1b[31m").then_in(Tone::Bad, "");
        assert_eq!(rendered(&text, false), "a ok\\x1b[31m");
        assert_eq!(rendered(&text, true), "a \x1b[32mok\\x1b[31m\x1b[0m");
    }

    #[test]
    fn width_counts_columns_of_what_is_shown() {
        assert_eq!(Text::from("网络").width(), 4);
        assert_eq!(Text::from("e\u{301}").width(), 1);
        assert_eq!(Text::from("a\nb").width(), 4, "a\\nb");
        assert_eq!(Tone::Bad.paint("abc").width(), 3);
    }
}
