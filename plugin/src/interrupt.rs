//! Ctrl-C: whoever can stop in good order listens for it; where nobody does, and at the second one,
//! the run ends at once.

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;

static LISTENERS: AtomicUsize = AtomicUsize::new(0);
static PRESSED: Notify = Notify::const_new();

/// Ends when the run has to end at once.
pub(crate) async fn fatal() {
    loop {
        if tokio::signal::ctrl_c().await.is_err() {
            // no signals here: nothing ever comes
            std::future::pending::<()>().await;
        }
        if LISTENERS.load(Ordering::SeqCst) == 0 {
            return;
        }
        PRESSED.notify_waiters();
    }
}

/// Somebody who stops in good order, as long as this lives.
pub(crate) struct Listener(());

impl Listener {
    pub(crate) fn new() -> Self {
        LISTENERS.fetch_add(1, Ordering::SeqCst);
        Self(())
    }

    /// Ends at the next Ctrl-C, which it takes for itself: the one after that ends the run.
    pub(crate) async fn pressed(self) {
        PRESSED.notified().await;
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        LISTENERS.fetch_sub(1, Ordering::SeqCst);
    }
}
