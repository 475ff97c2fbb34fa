//! Ctrl-C while something is changed: noticed at the next step, which then goes back in good order. The
//! second one ends the run at once.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use crate::interrupt::Listener;

/// Whether Ctrl-C was pressed since this was made.
pub struct Stop {
    pressed: Option<Pin<Box<dyn Future<Output = ()>>>>,
}

impl Default for Stop {
    fn default() -> Self {
        Self::new()
    }
}

impl Stop {
    /// Listens from now on.
    pub fn new() -> Self {
        let mut stop = Self { pressed: Some(Box::pin(Listener::new().pressed())) };
        // it listens from its first look on
        stop.is_pressed();
        stop
    }

    /// Whether it was pressed.
    pub fn is_pressed(&mut self) -> bool {
        let Some(pressed) = &mut self.pressed else { return true };
        let mut context = Context::from_waker(std::task::Waker::noop());
        if pressed.as_mut().poll(&mut context) == Poll::Ready(()) {
            self.pressed = None;
        }
        self.pressed.is_none()
    }

    /// Waits for so long, or until it is pressed.
    pub async fn sleep(&mut self, time: Duration) {
        match &mut self.pressed {
            Some(pressed) => {
                tokio::select! {
                    () = pressed.as_mut() => self.pressed = None,
                    () = tokio::time::sleep(time) => {}
                }
            }
            None => tokio::time::sleep(time).await,
        }
    }
}
