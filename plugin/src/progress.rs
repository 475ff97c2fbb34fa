//! One line of progress on stderr: only on a terminal, and only where it takes more than a second.

use std::{
    borrow::Cow,
    sync::{Arc, Mutex, PoisonError, mpsc},
    time::Duration,
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::print::sanitize;

const PATIENCE: Duration = Duration::from_secs(1);

/// The progress line. Clones are the same line; a silent one costs nothing.
#[derive(Clone)]
pub struct Progress(Option<Arc<Line>>);

struct Line {
    bar: ProgressBar,
    /// Dropped to end the wait for the second to pass.
    waiting: Mutex<Option<mpsc::Sender<()>>>,
}

impl Progress {
    /// Nothing is ever shown.
    pub fn silent() -> Self {
        Self(None)
    }

    /// A line on stderr; the caller has seen that it is a terminal.
    pub(crate) fn on_stderr() -> Self {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden());
        Self(Some(Arc::new(Line { bar, waiting: Mutex::new(None) })))
    }

    /// Starts on something: `reading pods`. With a total it counts, without it only moves.
    pub fn start(&self, what: &str, total: Option<u64>) {
        let Some(line) = &self.0 else { return };
        line.bar.reset();
        match total {
            Some(total) => line.bar.set_length(total),
            None => line.bar.unset_length(),
        }
        line.bar.set_style(style(total.is_some()));
        line.bar.set_message(sanitize::line(what).into_owned());
        line.show_later();
    }

    /// Says what it is at: `node7`, `page 12`.
    pub fn at(&self, what: &str) {
        if let Some(line) = &self.0 {
            line.bar.set_prefix(Cow::Owned(sanitize::line(what).into_owned()));
        }
    }

    /// So many more are done.
    pub fn done(&self, n: u64) {
        if let Some(line) = &self.0 {
            line.bar.inc(n);
        }
    }

    /// Takes the line away.
    pub fn end(&self) {
        if let Some(line) = &self.0 {
            line.waiting.lock().unwrap_or_else(PoisonError::into_inner).take();
            line.bar.disable_steady_tick();
            line.bar.finish_and_clear();
            line.bar.set_draw_target(ProgressDrawTarget::hidden());
        }
    }

    /// Does something to the screen with the line out of the way.
    pub(crate) fn aside<T>(&self, write: impl FnOnce() -> T) -> T {
        match &self.0 {
            Some(line) => line.bar.suspend(write),
            None => write(),
        }
    }
}

impl Line {
    /// Shows the line when a second has passed, whether or not anything moved until then.
    fn show_later(&self) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.is_some() {
            return;
        }
        let (stop, stopped) = mpsc::channel::<()>();
        *waiting = Some(stop);
        let bar = self.bar.clone();
        std::thread::spawn(move || {
            if stopped.recv_timeout(PATIENCE) == Err(mpsc::RecvTimeoutError::Timeout) {
                bar.set_draw_target(ProgressDrawTarget::stderr());
                bar.enable_steady_tick(Duration::from_millis(120));
            }
        });
    }
}

fn style(counted: bool) -> ProgressStyle {
    let template = if counted { "{spinner} {msg} {pos}/{len} {prefix}" } else { "{spinner} {msg} {prefix}" };
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_drawn_before_its_time() {
        let progress = Progress::on_stderr();
        progress.start("reading\x1b pods", Some(3));
        progress.at("node1");
        progress.done(2);
        let line = progress.0.as_ref().unwrap();
        assert!(line.bar.is_hidden());
        assert_eq!((line.bar.position(), line.bar.length()), (2, Some(3)));
        assert_eq!(line.bar.message(), "reading\\x1b pods");
        progress.end();
        assert!(line.waiting.lock().unwrap().is_none());
    }

    #[test]
    fn a_silent_line_lets_everything_pass() {
        let progress = Progress::silent();
        progress.start("x", None);
        assert_eq!(progress.aside(|| 7), 7);
        progress.end();
    }
}
