//! Evidence of many alike: a few of them, and how many there are.

/// How many are shown.
const SHOWN: usize = 10;

/// Counts what is added and keeps the first few.
#[derive(Debug, Default)]
pub(super) struct Examples {
    shown: Vec<String>,
    count: usize,
}

impl Examples {
    /// One more; its text is only made where it is shown.
    pub(super) fn add(&mut self, text: impl FnOnce() -> String) {
        if self.shown.len() < SHOWN {
            self.shown.push(text());
        }
        self.count += 1;
    }

    /// How many were added.
    pub(super) const fn count(&self) -> usize {
        self.count
    }

    /// The few, and a last line that counts the rest.
    pub(super) fn into_evidence(mut self) -> Vec<String> {
        let rest = self.count - self.shown.len();
        if rest > 0 {
            self.shown.push(format!("and {rest} more"));
        }
        self.shown
    }
}
