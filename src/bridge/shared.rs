//! What the two ends of a call share, and how a thread waits for it.
//!
//! Holds its lock for moments only, and never while code of others runs: wakers are woken and values
//! dropped outside it.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    task::{Wake, Waker},
    thread::{self, ThreadId},
    time::Instant,
};

use super::{CallError, Cancel, Closed, engine, waiter::Inbox};

/// Locks. Nothing of others runs under our locks, so a poisoned one still guards a whole value.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Waits on a condition variable until it is notified, or until then.
pub(super) fn wait_on<'a, T>(
    condition: &Condvar,
    guard: MutexGuard<'a, T>,
    until: Option<Instant>,
) -> MutexGuard<'a, T> {
    let Some(until) = until else {
        return condition
            .wait(guard)
            .unwrap_or_else(PoisonError::into_inner);
    };
    let left = until.saturating_duration_since(Instant::now());
    let waited = condition.wait_timeout(guard, left);
    waited.unwrap_or_else(PoisonError::into_inner).0
}

/// A waker that wakes a blocked thread.
#[derive(Default)]
struct Signal {
    raised: Mutex<bool>,
    condition: Condvar,
}

impl Signal {
    /// Blocks until woken since the last time, or until then.
    fn wait(&self, until: Option<Instant>) {
        let mut raised = lock(&self.raised);
        while !*raised && until.is_none_or(|until| Instant::now() < until) {
            raised = wait_on(&self.condition, raised, until);
        }
        *raised = false;
    }
}

impl Wake for Signal {
    fn wake(self: Arc<Self>) {
        *lock(&self.raised) = true;
        self.condition.notify_one();
    }
}

enum Phase<T> {
    /// Queued or running, with who is to be woken at the end.
    Open(Option<Waker>),
    Done(Result<T, CallError>),
    /// Taken, or nobody wants it any more.
    Taken,
}

/// The state of one call.
pub(super) struct Shared<T> {
    phase: Mutex<Phase<T>>,
    pub(super) cancel: Cancel,
    /// The thread without which the call cannot end.
    thread: Option<ThreadId>,
    /// Whether the runner watches the deadline, so that nobody else needs a timer for it.
    pub(super) timed: bool,
}

/// The end that runs.
pub(super) struct Runner<T> {
    shared: Arc<Shared<T>>,
    /// For the error, should it end without running.
    portal: String,
    finished: bool,
}

/// The end that waits. Dropped before the end, it cancels the call.
pub(super) struct Claim<T> {
    pub(super) shared: Arc<Shared<T>>,
    pub(super) cancel_on_drop: bool,
}

/// Makes both ends.
pub(super) fn pair<T>(
    cancel: Cancel,
    portal: &str,
    thread: Option<ThreadId>,
    timed: bool,
) -> (Runner<T>, Claim<T>) {
    let shared = Arc::new(Shared {
        phase: Mutex::new(Phase::Open(None)),
        cancel,
        thread,
        timed,
    });
    let runner = Runner {
        shared: Arc::clone(&shared),
        portal: portal.to_owned(),
        finished: false,
    };
    let claim = Claim {
        shared,
        cancel_on_drop: true,
    };
    (runner, claim)
}

impl<T> Shared<T> {
    /// The outcome, once; until there is one, the waker is kept for its coming.
    pub(super) fn take(&self, waker: &Waker) -> Option<Result<T, CallError>> {
        let mut phase = lock(&self.phase);
        let former = std::mem::replace(&mut *phase, Phase::Taken);
        if matches!(former, Phase::Open(_)) {
            *phase = Phase::Open(Some(waker.clone()));
        }
        drop(phase);
        match former {
            Phase::Done(outcome) => Some(outcome),
            Phase::Open(_) => None,
            Phase::Taken => Some(Err(CallError::Cancelled)),
        }
    }

    /// The outcome if there is one after all; otherwise this error, and the work is to stop.
    pub(super) fn abandon(&self, error: CallError) -> Result<T, CallError> {
        let phase = std::mem::replace(&mut *lock(&self.phase), Phase::Taken);
        if let Phase::Done(outcome) = phase {
            return outcome;
        }
        // A call that is out of time knows: it should hear that, and not of a cancel.
        if self.cancel.check().is_ok() {
            self.cancel.cancel();
        }
        Err(error)
    }

    pub(super) fn is_open(&self) -> bool {
        matches!(*lock(&self.phase), Phase::Open(_))
    }

    pub(super) fn is_cancelled(&self) -> bool {
        matches!(
            *lock(&self.phase),
            Phase::Open(_) | Phase::Done(Err(CallError::Cancelled))
        )
    }

    /// Says why the work was not taken, whatever its drop has said.
    pub(super) fn refuse(&self, closed: Closed) {
        *lock(&self.phase) = Phase::Done(Err(closed.into()));
    }

    fn finish(&self, outcome: Result<T, CallError>) {
        let mut phase = lock(&self.phase);
        let waker = match &mut *phase {
            Phase::Open(waker) => waker.take(),
            // Nobody wants it: dropped at the end of this function, after the lock.
            Phase::Done(_) | Phase::Taken => {
                drop(phase);
                return;
            }
        };
        *phase = Phase::Done(outcome);
        drop(phase);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    fn waits_for_itself(&self) -> bool {
        self.thread == Some(thread::current().id()) || engine::is_here()
    }
}

impl<T> Runner<T> {
    pub(super) fn cancel(&self) -> &Cancel {
        &self.shared.cancel
    }

    /// Runs the closure, unless the call was cancelled while it was queued.
    pub(super) fn run(self, body: impl FnOnce() -> T) {
        if let Err(error) = self.cancel().check() {
            return self.finish(Err(error));
        }
        let cancel = Some(self.cancel().clone());
        let outcome = catch_unwind(AssertUnwindSafe(|| Cancel::with_current(cancel, body)));
        self.finish(outcome.map_err(|payload| CallError::from_panic(&*payload)));
    }

    /// Hands over the outcome. What comes too late is dropped here: whoever waits may have gone.
    pub(super) fn finish(mut self, outcome: Result<T, CallError>) {
        self.finished = true;
        let (outcome, _late) = match (outcome, self.cancel().check()) {
            (Ok(value), Err(error)) => (Err(error), Some(value)),
            (outcome, _) => (outcome, None),
        };
        self.shared.finish(outcome);
    }
}

impl<T> Drop for Runner<T> {
    fn drop(&mut self) {
        if self.finished {
            return;
        }
        let ended = Closed::Ended {
            portal: std::mem::take(&mut self.portal),
        };
        let error = self.cancel().check().err().unwrap_or(ended.into());
        self.shared.finish(Err(error));
    }
}

impl<T> Claim<T> {
    /// Blocks until there is an outcome, running what comes into the inbox meanwhile.
    pub(super) fn wait(
        &self,
        limit: Option<&Cancel>,
        inbox: Option<&Inbox>,
    ) -> Result<T, CallError> {
        let signal = Arc::new(Signal::default());
        let waker = Waker::from(Arc::clone(&signal));
        let shared = &self.shared;
        let _listening = (
            shared.cancel.listen(&waker),
            limit.map(|limit| limit.listen(&waker)),
        );
        let over = || {
            shared
                .cancel
                .check()
                .and_then(|()| limit.map_or(Ok(()), Cancel::check))
        };
        loop {
            // What was submitted before the end runs before the end is told.
            let serves = !shared.is_open() || over().is_ok();
            if let Some(job) = inbox
                .filter(|_| serves)
                .and_then(|inbox| inbox.next(&waker))
            {
                job.run();
                continue;
            }
            if let Some(outcome) = shared.take(&waker) {
                if let Some(inbox) = inbox {
                    inbox.end_with(&outcome);
                }
                return outcome;
            }
            if shared.waits_for_itself() {
                return shared.abandon(Closed::own_thread().into());
            }
            let limit = limit.and_then(Cancel::next_deadline);
            let deadlines = [shared.cancel.next_deadline(), limit];
            if let Err(error) = over() {
                return shared.abandon(error);
            }
            signal.wait(deadlines.into_iter().flatten().min());
        }
    }
}

impl<T> Drop for Claim<T> {
    fn drop(&mut self) {
        if self.cancel_on_drop && self.shared.is_open() {
            // A value that is there by now is dropped.
            drop(self.shared.abandon(CallError::Cancelled));
        }
    }
}
