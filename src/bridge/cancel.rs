//! Cancelling and deadlines, cooperative and in a tree.
//!
//! A [`Cancel`] is asked; it never interrupts. Deadlines are of the monotonic clock and never change
//! after they were set. A node of the tree knows its parent and wakes whoever waits beneath it.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    fmt,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    task::Waker,
    time::{Duration, Instant},
};

use super::{CallError, Cancelled, io, shared::lock};

thread_local! {
    static CURRENT: RefCell<Option<Cancel>> = const { RefCell::new(None) };
}

/// Numbers those who wait.
static LISTENERS: AtomicU64 = AtomicU64::new(0);

/// A request to stop, with an optional deadline; clones are the same request.
///
/// A call inherits the one of the call it is made in ([`Cancel::current`]), so that cancelling the
/// outer cancels the inner. Whether anything stops is up to the code: a closure asks [`check`]; a
/// future on the I/O thread is dropped at its next await.
///
/// ```
/// use sluice::bridge::{call_with, Cancel, CallError, WorkerThread};
///
/// let worker = WorkerThread::start("counter")?;
/// let cancel = Cancel::new();
/// let counting = call_with(&worker, &cancel, || -> Result<(), CallError> {
///     loop {
///         Cancel::current().check()?;
///         std::thread::yield_now();
///     }
/// });
/// cancel.cancel();
/// assert_eq!(counting.result(), Err(CallError::Cancelled));
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// [`check`]: Cancel::check
#[derive(Clone)]
pub struct Cancel {
    node: Arc<Node>,
}

struct Node {
    parent: Option<Cancel>,
    deadline: Option<Instant>,
    state: Mutex<State>,
}

impl Drop for Node {
    /// One after another: a chain may be as deep as calls nest, and a stack is not.
    fn drop(&mut self) {
        let mut above = self.parent.take();
        while let Some(Cancel { node }) = above {
            above = Arc::into_inner(node).and_then(|mut node| node.parent.take());
        }
    }
}

#[derive(Default)]
struct State {
    cancelled: bool,
    shields: usize,
    /// One for each thread or task that waits at this moment, here or beneath: bounded by those.
    listeners: BTreeMap<u64, Waker>,
}

impl Cancel {
    /// Makes one without a deadline, that nothing else cancels.
    ///
    /// ```
    /// use sluice::bridge::Cancel;
    ///
    /// assert_eq!(Cancel::new().check(), Ok(()));
    /// ```
    pub fn new() -> Cancel {
        Cancel::node(None, None)
    }

    /// Makes one that is over at an instant.
    ///
    /// ```
    /// use sluice::bridge::{CallError, Cancel};
    /// use std::time::Instant;
    ///
    /// assert_eq!(Cancel::until(Instant::now()).check(), Err(CallError::TimedOut));
    /// ```
    pub fn until(deadline: Instant) -> Cancel {
        Cancel::node(None, Some(deadline))
    }

    /// Makes one that is over after a duration; one too long for the clock is without end.
    ///
    /// ```
    /// use sluice::bridge::{io_thread, CallError, Cancel};
    /// use std::{future::pending, time::Duration};
    ///
    /// let cancel = Cancel::within(Duration::from_millis(5));
    /// let outcome = io_thread().run_with(&cancel, pending::<()>());
    /// assert_eq!(outcome, Err(CallError::TimedOut));
    /// ```
    pub fn within(duration: Duration) -> Cancel {
        Cancel::node(None, Instant::now().checked_add(duration))
    }

    /// Makes one that is cancelled with this one, and by itself.
    ///
    /// ```
    /// use sluice::bridge::Cancel;
    ///
    /// let parent = Cancel::new();
    /// let (first, second) = (parent.child(), parent.child());
    /// first.cancel();
    /// assert!(first.is_cancelled() && !second.is_cancelled());
    /// parent.cancel();
    /// assert!(second.is_cancelled());
    /// ```
    #[must_use]
    pub fn child(&self) -> Cancel {
        Cancel::node(Some(self.clone()), None)
    }

    /// Makes a child with a deadline of its own; the earlier of both counts.
    ///
    /// ```
    /// use sluice::bridge::Cancel;
    /// use std::time::Duration;
    ///
    /// let parent = Cancel::within(Duration::from_secs(1));
    /// let child = parent.child_within(Duration::from_secs(60));
    /// assert_eq!(child.deadline(), parent.deadline());
    /// ```
    #[must_use]
    pub fn child_within(&self, duration: Duration) -> Cancel {
        Cancel::node(Some(self.clone()), Instant::now().checked_add(duration))
    }

    fn node(parent: Option<Cancel>, deadline: Option<Instant>) -> Cancel {
        let state = Mutex::default();
        Cancel {
            node: Arc::new(Node {
                parent,
                deadline,
                state,
            }),
        }
    }

    /// The one of the call that runs here; outside of calls a new one that nothing cancels.
    ///
    /// ```
    /// use sluice::bridge::{io_thread, Cancel};
    /// use std::time::Duration;
    ///
    /// let cancel = Cancel::within(Duration::from_secs(60));
    /// let inner = io_thread().run_with(&cancel, async { Cancel::current().deadline() });
    /// assert_eq!(inner, Ok(cancel.deadline()));
    /// ```
    pub fn current() -> Cancel {
        let current = CURRENT.try_with(|current| current.borrow().clone());
        current.unwrap_or_default().unwrap_or_default()
    }

    /// Runs a closure with this as the current one, or with none.
    pub(super) fn with_current<R>(cancel: Option<Cancel>, body: impl FnOnce() -> R) -> R {
        struct Before(Option<Cancel>);
        impl Drop for Before {
            fn drop(&mut self) {
                let before = self.0.take();
                let _during = CURRENT.try_with(|current| current.replace(before));
            }
        }
        let before = CURRENT.try_with(|current| current.replace(cancel));
        let _before = Before(before.unwrap_or_default());
        body()
    }

    /// The earliest deadline of this one and those above.
    ///
    /// ```
    /// use sluice::bridge::Cancel;
    ///
    /// assert_eq!(Cancel::new().deadline(), None);
    /// ```
    pub fn deadline(&self) -> Option<Instant> {
        self.chain().filter_map(|cancel| cancel.node.deadline).min()
    }

    /// Asks everything that has this one, or a child of it, to stop.
    ///
    /// ```
    /// use sluice::bridge::Cancel;
    ///
    /// let cancel = Cancel::new();
    /// let child = cancel.child();
    /// cancel.cancel();
    /// assert!(child.is_cancelled());
    /// ```
    pub fn cancel(&self) {
        lock(&self.node.state).cancelled = true;
        self.wake();
    }

    /// Whether [`check`](Cancel::check) fails.
    ///
    /// ```
    /// use sluice::bridge::Cancel;
    ///
    /// assert!(!Cancel::new().is_cancelled());
    /// ```
    pub fn is_cancelled(&self) -> bool {
        self.check().is_err()
    }

    /// Says whether to go on.
    ///
    /// ```
    /// use sluice::bridge::{CallError, Cancel};
    ///
    /// let cancel = Cancel::new();
    /// cancel.cancel();
    /// assert_eq!(cancel.check(), Err(CallError::Cancelled));
    /// ```
    ///
    /// # Errors
    /// [`CallError::Cancelled`] or [`CallError::TimedOut`], whatever this one or the nearest above it
    /// came to; never while shielded.
    pub fn check(&self) -> Result<(), CallError> {
        for Cancel { node } in self.chain() {
            let state = lock(&node.state);
            if state.shields > 0 {
                return Ok(());
            }
            if state.cancelled {
                return Err(CallError::Cancelled);
            }
            if node
                .deadline
                .is_some_and(|deadline| deadline <= Instant::now())
            {
                return Err(CallError::TimedOut);
            }
        }
        Ok(())
    }

    /// Waits, on any executor, until [`check`](Cancel::check) fails, and says how.
    ///
    /// ```
    /// use sluice::bridge::{CallError, Cancel};
    /// use std::time::Duration;
    ///
    /// let cancel = Cancel::within(Duration::from_millis(5));
    /// let error = futures::executor::block_on(cancel.cancelled());
    /// assert_eq!(error, CallError::TimedOut);
    /// ```
    pub fn cancelled(&self) -> Cancelled {
        Cancelled::new(self, io::timer)
    }

    /// The same, for futures that are polled on an I/O thread only: the timer is that thread's.
    pub(super) fn cancelled_on_io(&self) -> Cancelled {
        Cancelled::new(self, |deadline| {
            let sleep = tokio::time::sleep_until(deadline.into());
            Box::pin(async move {
                sleep.await;
                Ok(())
            })
        })
    }

    /// Keeps it from being delivered, here and to the children, until the guard is dropped: for
    /// work that must not stop half-way. What came meanwhile, deadlines too, is delivered then.
    ///
    /// ```
    /// use sluice::bridge::{CallError, Cancel};
    ///
    /// let cancel = Cancel::new();
    /// let shield = cancel.shield();
    /// cancel.cancel();
    /// assert_eq!(cancel.check(), Ok(()));
    /// drop(shield);
    /// assert_eq!(cancel.check(), Err(CallError::Cancelled));
    /// ```
    pub fn shield(&self) -> Shield {
        lock(&self.node.state).shields += 1;
        Shield {
            cancel: self.clone(),
        }
    }

    /// The next moment at which time alone may make `check` fail. To be asked before `check`: a
    /// deadline that passes between the two must not be missed by both.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        let now = Instant::now();
        let deadlines = self.chain().filter_map(|cancel| cancel.node.deadline);
        deadlines.filter(|deadline| *deadline > now).min()
    }

    /// Wakes the waker at every change until the value is dropped.
    pub(super) fn listen(&self, waker: &Waker) -> Listening {
        let id = LISTENERS.fetch_add(1, Ordering::Relaxed);
        for Cancel { node } in self.chain() {
            let former = lock(&node.state).listeners.insert(id, waker.clone());
            debug_assert!(former.is_none(), "numbers are given once");
        }
        Listening {
            cancel: self.clone(),
            id,
        }
    }

    fn wake(&self) {
        let listeners: Vec<Waker> = lock(&self.node.state).listeners.values().cloned().collect();
        for waker in listeners {
            waker.wake();
        }
    }

    /// This one, its parent, and so on.
    fn chain(&self) -> impl Iterator<Item = &Cancel> {
        std::iter::successors(Some(self), |cancel| cancel.node.parent.as_ref())
    }
}

impl Default for Cancel {
    fn default() -> Cancel {
        Cancel::new()
    }
}

impl fmt::Debug for Cancel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cancel")
            .field("check", &self.check())
            .field("deadline", &self.deadline())
            .finish()
    }
}

/// Keeps a [`Cancel`] from being delivered while it lives: see [`Cancel::shield`].
///
/// ```
/// use sluice::bridge::Cancel;
///
/// let cancel = Cancel::new();
/// let shield = cancel.shield();
/// cancel.cancel();
/// assert_eq!(cancel.check(), Ok(()));
/// drop(shield);
/// assert!(cancel.is_cancelled());
/// ```
#[must_use = "it shields for as long as it lives"]
#[derive(Debug)]
pub struct Shield {
    cancel: Cancel,
}

impl Drop for Shield {
    fn drop(&mut self) {
        lock(&self.cancel.node.state).shields -= 1;
        self.cancel.wake();
    }
}

/// The registration of a waker in a whole chain.
pub(super) struct Listening {
    cancel: Cancel,
    id: u64,
}

impl Drop for Listening {
    fn drop(&mut self) {
        for Cancel { node } in self.cancel.chain() {
            let waker = lock(&node.state).listeners.remove(&self.id);
            drop(waker);
        }
    }
}
