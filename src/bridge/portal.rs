//! Where work can be sent: a job, and who takes it.

use std::{
    fmt, io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    thread::{self, ThreadId},
};

use super::{CallError, Cancel, Closed, Context};

/// A closure for another thread, with the [`Context`] of the thread that made it.
///
/// Nobody hears of its result; [`call`](super::call) makes jobs whose result comes back.
///
/// ```
/// use sluice::bridge::Job;
/// use std::sync::mpsc;
///
/// let (sender, receiver) = mpsc::channel();
/// let job = Job::new(move || drop(sender.send("done")));
/// std::thread::spawn(move || job.run());
/// assert_eq!(receiver.recv(), Ok("done"));
/// ```
pub struct Job {
    body: Box<dyn FnOnce() + Send>,
    context: Context,
}

impl Job {
    /// Makes a job of a closure and of the present context.
    ///
    /// ```
    /// let job = sluice::bridge::Job::new(|| println!("runs where it is sent"));
    /// job.run();
    /// ```
    pub fn new(body: impl FnOnce() + Send + 'static) -> Job {
        Job {
            body: Box::new(body),
            context: Context::current(),
        }
    }

    /// Runs it on this thread, in its context. A panic is logged and goes no further.
    ///
    /// ```
    /// sluice::bridge::Job::new(|| println!("runs here")).run();
    /// ```
    pub fn run(self) {
        let Job { body, context } = self;
        let body = || {
            if let Err(payload) = catch_unwind(AssertUnwindSafe(body)) {
                let error = CallError::from_panic(&*payload);
                tracing::error!(%error, "a job panicked");
            }
        };
        Cancel::with_current(None, || context.run(body));
    }
}

impl fmt::Debug for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Job").finish_non_exhaustive()
    }
}

/// A place that runs jobs: a thread, or whoever waits.
///
/// A job that was taken is run once, or dropped when the place ends first; never both. Jobs of one
/// sender are begun in the order they were submitted in. `submit` never blocks.
///
/// ```
/// use sluice::bridge::{call, Closed, Job, Portal};
///
/// /// Runs everything at once, where it stands.
/// struct Here;
///
/// impl Portal for Here {
///     fn submit(&self, job: Job) -> Result<(), Closed> {
///         job.run();
///         Ok(())
///     }
/// }
///
/// assert_eq!(call(&Here, || 7).result(), Ok(7));
/// ```
pub trait Portal {
    /// Hands over a job.
    ///
    /// # Errors
    /// [`Closed`] when the place takes no work; the job is dropped, not run.
    ///
    /// ```
    /// use sluice::bridge::{Job, Portal, WorkerThread};
    ///
    /// let worker = WorkerThread::start("disk")?;
    /// let (sender, receiver) = std::sync::mpsc::channel();
    /// worker.submit(Job::new(move || drop(sender.send("done"))))?;
    /// assert_eq!(receiver.recv(), Ok("done"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    fn submit(&self, job: Job) -> Result<(), Closed>;

    /// The thread that all of its jobs run on, where there is one: waiting there is an error.
    ///
    /// ```
    /// use sluice::bridge::{Portal, WorkerThread, call};
    ///
    /// let worker = WorkerThread::start("disk")?;
    /// let there = call(&worker, || std::thread::current().id()).result()?;
    /// assert_eq!(worker.thread(), Some(there));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    fn thread(&self) -> Option<ThreadId> {
        None
    }

    /// The name for errors.
    ///
    /// ```
    /// use sluice::bridge::{Portal, WorkerThread};
    ///
    /// assert_eq!(WorkerThread::start("disk")?.name(), "disk");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    fn name(&self) -> &str {
        "the portal"
    }
}

/// Starts a thread; a name that no thread can have is an error, where the standard library panics.
pub(super) fn start_thread(
    name: &str,
    body: impl FnOnce() + Send + 'static,
) -> io::Result<ThreadId> {
    if name.contains('\0') {
        let reason = format!("{name:?} is no name for a thread: leave the NUL out");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, reason));
    }
    let thread = thread::Builder::new().name(name.to_owned()).spawn(body)?;
    Ok(thread.thread().id())
}

impl<P: Portal + ?Sized> Portal for Arc<P> {
    fn submit(&self, job: Job) -> Result<(), Closed> {
        (**self).submit(job)
    }

    fn thread(&self) -> Option<ThreadId> {
        (**self).thread()
    }

    fn name(&self) -> &str {
        (**self).name()
    }
}
