//! Jobs for the thread that waits: whoever was called may call back.
//!
//! Jobs run between the polls of the wait, in the order of their submission, and only while the call
//! that is waited for goes on. A job that nobody will run any more is dropped, so that its call ends.

use std::{
    collections::VecDeque,
    fmt,
    future::poll_fn,
    marker::PhantomData,
    pin::pin,
    sync::{Arc, Mutex},
    task::{Poll, Waker},
    thread::{self, ThreadId},
    time::Duration,
};

use super::{Call, CallError, Cancel, Closed, Job, Portal, shared::lock};

/// How many jobs may wait for a thread that waits; more are refused.
pub const LOCAL_JOBS: usize = 1_024;

/// How many jobs run in one poll, before the executor has its turn.
const JOBS_PER_POLL: usize = 32;

/// The jobs sent to one thread.
pub(super) struct Inbox {
    state: Mutex<State>,
    thread: ThreadId,
    name: String,
}

#[derive(Default)]
struct State {
    jobs: VecDeque<Job>,
    waker: Option<Waker>,
    closed: bool,
}

impl Inbox {
    fn here() -> Inbox {
        let thread = thread::current();
        Inbox {
            state: Mutex::default(),
            thread: thread.id(),
            name: thread.name().unwrap_or("the waiting thread").to_owned(),
        }
    }

    /// The next job; if there is none, the waker is kept for its coming.
    pub(super) fn next(&self, waker: &Waker) -> Option<Job> {
        let mut state = lock(&self.state);
        let job = state.jobs.pop_front();
        let former = match job {
            Some(_) => None,
            None => state.waker.replace(waker.clone()),
        };
        drop(state);
        drop(former);
        job
    }

    /// Closes it. Jobs that came before the end run now; those of a call that is over are dropped.
    pub(super) fn end_with<T>(&self, outcome: &Result<T, CallError>) {
        let jobs = self.close();
        if matches!(outcome, Ok(_) | Err(CallError::Panicked(_))) {
            jobs.into_iter().for_each(Job::run);
        }
    }

    fn close(&self) -> VecDeque<Job> {
        let mut state = lock(&self.state);
        state.closed = true;
        std::mem::take(&mut state.jobs)
    }
}

/// The jobs for this thread while it awaits a call: see [`from_async`].
///
/// It is not `Send`: its jobs run on the thread that made it.
///
/// ```compile_fail
/// let jobs = sluice::bridge::LocalJobs::new();
/// std::thread::spawn(move || drop(jobs));
/// ```
pub struct LocalJobs {
    inbox: Arc<Inbox>,
    not_send: PhantomData<*const ()>,
}

impl LocalJobs {
    /// Makes an empty list of jobs for this thread.
    ///
    /// ```
    /// let jobs = sluice::bridge::LocalJobs::new();
    /// let here = jobs.portal();     // for other threads
    /// ```
    pub fn new() -> LocalJobs {
        LocalJobs {
            inbox: Arc::new(Inbox::here()),
            not_send: PhantomData,
        }
    }

    /// The portal to this thread, for those who call back.
    ///
    /// ```
    /// let jobs = sluice::bridge::LocalJobs::new();
    /// let here = jobs.portal().clone();
    /// ```
    pub fn portal(&self) -> Callbacks {
        Callbacks {
            inbox: Arc::clone(&self.inbox),
        }
    }
}

impl Default for LocalJobs {
    fn default() -> LocalJobs {
        LocalJobs::new()
    }
}

impl fmt::Debug for LocalJobs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.portal().fmt(f)
    }
}

impl Drop for LocalJobs {
    fn drop(&mut self) {
        drop(self.inbox.close());
    }
}

/// The portal to a thread that waits, or awaits.
///
/// Takes jobs until the wait ends; then they are refused.
///
/// ```
/// use sluice::bridge::{call, io_thread, Waiter};
///
/// let waiter = Waiter::new();
/// let callbacks = waiter.portal();
/// let name = call(&io_thread(), async move {
///     call(&callbacks, || std::thread::current().id()).await
/// });
/// assert_eq!(waiter.wait(name), Ok(Ok(std::thread::current().id())));
/// ```
#[derive(Clone)]
pub struct Callbacks {
    inbox: Arc<Inbox>,
}

impl Portal for Callbacks {
    fn submit(&self, job: Job) -> Result<(), Closed> {
        let mut state = lock(&self.inbox.state);
        let portal = || self.inbox.name.clone();
        if state.closed {
            return Err(Closed::Ended { portal: portal() });
        }
        if state.jobs.len() >= LOCAL_JOBS {
            return Err(Closed::Full {
                portal: portal(),
                bound: LOCAL_JOBS,
            });
        }
        state.jobs.push_back(job);
        let waker = state.waker.take();
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
        Ok(())
    }

    fn thread(&self) -> Option<ThreadId> {
        Some(self.inbox.thread)
    }

    fn name(&self) -> &str {
        &self.inbox.name
    }
}

impl fmt::Debug for Callbacks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Callbacks")
            .field("thread", &self.inbox.name)
            .field("jobs", &lock(&self.inbox.state).jobs.len())
            .finish_non_exhaustive()
    }
}

/// Blocks for a call, and runs on this thread what is submitted to [`portal`](Waiter::portal) meanwhile.
///
/// It is not `Send`, as [`LocalJobs`] is not, and serves one wait.
///
/// ```
/// use sluice::bridge::{call, Job, Portal, Waiter, WorkerThread};
/// use std::{cell::RefCell, sync::mpsc};
///
/// let worker = WorkerThread::start("scanner")?;
/// let waiter = Waiter::new();
/// let screen = waiter.portal();
/// let (sender, receiver) = mpsc::channel();
/// let scan = call(&worker, move || {
///     for file in ["a", "b"] {
///         let sender = sender.clone();
///         // Runs on the thread that waits:
///         screen.submit(Job::new(move || drop(sender.send(file))))?;
///     }
///     Ok::<(), sluice::bridge::Closed>(())
/// });
/// assert_eq!(waiter.wait(scan), Ok(Ok(())));
/// assert_eq!(receiver.try_iter().collect::<Vec<_>>(), ["a", "b"]);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct Waiter {
    jobs: LocalJobs,
    limit: Cancel,
}

impl Waiter {
    /// Makes one for this thread.
    ///
    /// ```
    /// use sluice::bridge::{call, io_thread, Waiter};
    ///
    /// assert_eq!(Waiter::new().wait(call(&io_thread(), || 7)), Ok(7));
    /// ```
    pub fn new() -> Waiter {
        Waiter::with(Cancel::current())
    }

    /// Makes one that waits no longer than this, and then cancels the call.
    ///
    /// ```
    /// use sluice::bridge::{call, io_thread, CallError, Waiter};
    /// use std::{future::pending, time::Duration};
    ///
    /// let waiter = Waiter::within(Duration::from_millis(5));
    /// let call = call(&io_thread(), pending::<()>());
    /// assert_eq!(waiter.wait(call), Err(CallError::TimedOut));
    /// ```
    pub fn within(duration: Duration) -> Waiter {
        Waiter::with(Cancel::current().child_within(duration))
    }

    /// Makes one that waits until this is cancelled, and then cancels the call.
    ///
    /// ```
    /// use sluice::bridge::{call, io_thread, CallError, Cancel, Waiter};
    ///
    /// let quit = Cancel::new();
    /// let waiter = Waiter::with(quit.clone());
    /// let call = call(&io_thread(), async move { quit.cancel(); std::future::pending::<()>().await });
    /// assert_eq!(waiter.wait(call), Err(CallError::Cancelled));
    /// ```
    pub fn with(limit: Cancel) -> Waiter {
        Waiter {
            jobs: LocalJobs::new(),
            limit,
        }
    }

    /// The portal to this thread, for those who call back.
    ///
    /// ```
    /// use sluice::bridge::{call, io_thread, Job, Portal as _, Waiter};
    ///
    /// let waiter = Waiter::new();
    /// let here = waiter.portal();
    /// let asked = call(&io_thread(), move || here.submit(Job::new(|| println!("here"))));
    /// assert_eq!(waiter.wait(asked), Ok(Ok(())));
    /// ```
    pub fn portal(&self) -> Callbacks {
        self.jobs.portal()
    }

    /// Blocks until the call has ended, running callbacks in the order of their submission.
    ///
    /// Callbacks that came before the end run before this returns; when the call was cancelled or
    /// timed out those that have not begun are dropped, and their calls end with
    /// [`Closed::Ended`]. The deadline is looked at between callbacks.
    ///
    /// ```
    /// use sluice::bridge::{call, io_thread, Waiter};
    ///
    /// assert_eq!(Waiter::new().wait(call(&io_thread(), async { 7 })), Ok(7));
    /// ```
    ///
    /// # Errors
    /// As of [`Call::result`].
    pub fn wait<T>(self, call: Call<T>) -> Result<T, CallError> {
        call.claim().wait(Some(&self.limit), Some(&self.jobs.inbox))
    }
}

impl Default for Waiter {
    fn default() -> Waiter {
        Waiter::new()
    }
}

/// Awaits a call, and runs in this task what is submitted to the portal of `local_jobs` meanwhile.
///
/// The async counterpart of [`Waiter`]. Jobs run while this future is polled, so they should be
/// short. When it ends `local_jobs` takes no more.
///
/// # Errors
/// As of [`Call::result`].
///
/// ```
/// use sluice::bridge::{call, from_async, LocalJobs, WorkerThread};
///
/// let worker = WorkerThread::start("parser")?;
/// let jobs = LocalJobs::new();
/// let task = jobs.portal();
/// let parsing = call(&worker, move || call(&task, || 20).result().map(|value| value + 1));
/// let value = futures::executor::block_on(from_async(parsing, &jobs));
/// assert_eq!(value, Ok(Ok(21)));
/// # Ok::<(), std::io::Error>(())
/// ```
pub async fn from_async<T>(call: Call<T>, local_jobs: &LocalJobs) -> Result<T, CallError> {
    let inbox = &local_jobs.inbox;
    let cancel = call.cancel_handle();
    let mut call = pin!(call.into_future());
    poll_fn(|task| {
        let mut turns = 0..JOBS_PER_POLL;
        while cancel.check().is_ok() && turns.next().is_some() {
            let Some(job) = inbox.next(task.waker()) else {
                break;
            };
            job.run();
        }
        if turns.is_empty() {
            task.waker().wake_by_ref();
        }
        let polled = call.as_mut().poll(task);
        if let Poll::Ready(outcome) = &polled {
            inbox.end_with(outcome);
        }
        polled
    })
    .await
}
