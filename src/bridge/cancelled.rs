//! The future of a cancel, on any executor.
//!
//! Watches deadlines by a timer of an I/O thread, since the executor that polls it may have none.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, Waker},
    time::Instant,
};

use super::{CallError, Cancel, Closed, cancel::Listening};

/// Ends at an instant, or says why nobody can tell when that is.
pub(super) type Timer = Pin<Box<dyn Future<Output = Result<(), CallError>> + Send>>;

/// Ends when a [`Cancel`] is cancelled or its deadline passes: see [`Cancel::cancelled`].
///
/// Ends with [`CallError::Closed`] where no I/O thread can be had to watch the deadline, since work
/// that nobody can stop in time should not go on.
///
/// ```
/// use sluice::bridge::{CallError, Cancel};
///
/// let cancel = Cancel::new();
/// let cancelled = cancel.cancelled();
/// cancel.cancel();
/// assert_eq!(futures::executor::block_on(cancelled), CallError::Cancelled);
/// ```
#[must_use = "a future does nothing until it is awaited"]
pub struct Cancelled {
    cancel: Cancel,
    listening: Option<(Waker, Listening)>,
    timer: Option<(Instant, Timer)>,
    make_timer: fn(Instant) -> Timer,
}

impl Cancelled {
    pub(super) fn new(cancel: &Cancel, make_timer: fn(Instant) -> Timer) -> Cancelled {
        Cancelled {
            cancel: cancel.clone(),
            listening: None,
            timer: None,
            make_timer,
        }
    }
}

impl Future for Cancelled {
    type Output = CallError;

    fn poll(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<CallError> {
        let this = &mut *self;
        // Listens before it looks, so that nothing comes between.
        let known = this.listening.as_ref();
        if !known.is_some_and(|(waker, _)| waker.will_wake(task.waker())) {
            let listening = this.cancel.listen(task.waker());
            this.listening = Some((task.waker().clone(), listening));
        }
        loop {
            let deadline = this.cancel.next_deadline();
            if let Err(error) = this.cancel.check() {
                return Poll::Ready(error);
            }
            let Some(deadline) = deadline else {
                this.timer = None;
                return Poll::Pending;
            };
            if this.timer.as_ref().is_none_or(|(set, _)| *set != deadline) {
                this.timer = Some((deadline, (this.make_timer)(deadline)));
            }
            let Some((_, timer)) = &mut this.timer else {
                return Poll::Pending;
            };
            match timer.as_mut().poll(task) {
                Poll::Pending => return Poll::Pending,
                // The I/O thread that watched it has ended: the next one takes over.
                Poll::Ready(Ok(()) | Err(CallError::Closed(Closed::Ended { .. }))) => {
                    this.timer = None;
                }
                Poll::Ready(Err(error)) => return Poll::Ready(error),
            }
        }
    }
}

impl fmt::Debug for Cancelled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cancelled")
            .field("cancel", &self.cancel)
            .finish_non_exhaustive()
    }
}
