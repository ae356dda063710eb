//! The thread that does all I/O: a tokio runtime of one thread.
//!
//! Blocking code hands it futures; nothing is ever waited for on it. Closing lets what it has run
//! out; draining bounds how long. What it holds when it ends is dropped, and those calls end with an
//! error.

use std::{
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex},
    thread::ThreadId,
    time::{Duration, Instant},
};

use futures::FutureExt;

use super::{
    CallError, Cancel, Closed, Context, Job, Portal, call_with,
    cancelled::Timer,
    engine::{Engine, drive, here, is_here},
    shared::{Runner, lock},
};

/// The name of the thread of [`io_thread`].
const NAME: &str = "sluice-io";

/// The instance of the process; replaced when it was closed.
static PROCESS: Mutex<Option<IoThread>> = Mutex::new(None);

/// A timer for any executor.
pub(super) fn timer(deadline: Instant) -> Timer {
    let timer = match here() {
        Some(engine) => engine.timer(deadline),
        None => io_thread()
            .engine()
            .and_then(|engine| engine.timer(deadline)),
    };
    timer.unwrap_or_else(|closed| Box::pin(std::future::ready(Err(closed.into()))))
}

/// The I/O thread of this process, started when it is first asked for.
///
/// After it was closed the next one is started. Where the operating system gives no thread, all of
/// its calls end with [`Closed::NotStarted`], and the next `io_thread` tries again. The end of the
/// process does not wait for it: see [`IoThread::drain`].
///
/// ```
/// use sluice::bridge::io_thread;
///
/// let thread = io_thread().run(async { std::thread::current().name().map(str::to_owned) });
/// assert_eq!(thread, Ok(Some("sluice-io".to_owned())));
/// ```
pub fn io_thread() -> IoThread {
    let mut process = lock(&PROCESS);
    if let Some(running) = process.as_ref().filter(|running| running.is_open()) {
        return running.clone();
    }
    let next = IoThread::or_refusing(NAME);
    let former = process.replace(next.clone());
    // Dropping it may wake others, who may ask for the next.
    drop(process);
    drop(former);
    next
}

/// An OS thread with a tokio runtime of its own, for futures and short jobs.
///
/// Clones are handles to the same thread; when the last is dropped, it is closed. A job must not
/// block: while it runs, nothing else does. What a future spawns with tokio itself is neither bounded
/// nor waited for by [`drain`](IoThread::drain); [`spawn`](IoThread::spawn) is.
///
/// ```
/// use sluice::bridge::{call, IoThread};
///
/// let io = IoThread::start("my-io")?;
/// let sum = call(&io, async { tokio::task::yield_now().await; 1 + 2 });
/// assert_eq!(sum.result(), Ok(3));
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone)]
pub struct IoThread {
    owner: Arc<Owner>,
}

struct Owner {
    name: String,
    engine: Result<Arc<Engine>, Closed>,
}

impl Drop for Owner {
    fn drop(&mut self) {
        if let Ok(engine) = &self.engine {
            engine.close();
        }
    }
}

impl IoThread {
    /// Starts one of this name; [`io_thread`] is the one to use outside of tests.
    ///
    /// ```
    /// use sluice::bridge::IoThread;
    ///
    /// let io = IoThread::start("my-io")?;
    /// assert_eq!(io.run(async { 7 }), Ok(7));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// What the operating system says when it gives no thread or no event queue.
    pub fn start(name: &str) -> std::io::Result<IoThread> {
        Engine::start(name).map(|engine| IoThread::of(name, Ok(engine)))
    }

    pub(super) fn or_refusing(name: &str) -> IoThread {
        let engine = Engine::start(name).map_err(|error| Closed::NotStarted {
            portal: name.to_owned(),
            reason: error.to_string(),
        });
        IoThread::of(name, engine)
    }

    fn of(name: &str, engine: Result<Arc<Engine>, Closed>) -> IoThread {
        let name = name.to_owned();
        IoThread {
            owner: Arc::new(Owner { name, engine }),
        }
    }

    fn engine(&self) -> Result<&Arc<Engine>, Closed> {
        self.owner.engine.as_ref().map_err(Closed::clone)
    }

    /// Runs a future there, and blocks until it has ended; part of the current call, if any.
    ///
    /// What has to be tidied up although that call was cancelled takes [`run_with`](IoThread::run_with)
    /// and a [`Cancel`] of its own.
    ///
    /// # Errors
    /// [`CallError`]; on an I/O thread [`Closed::OwnThread`], and nothing is begun.
    ///
    /// ```
    /// use sluice::bridge::io_thread;
    ///
    /// #[tokio::main(flavor = "current_thread")]
    /// async fn main() {
    ///     // Blocks this runtime, as it says, but works within it:
    ///     assert_eq!(io_thread().run(async { 7 }), Ok(7));
    /// }
    /// ```
    pub fn run<F>(&self, future: F) -> Result<F::Output, CallError>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.run_with(&Cancel::current(), future)
    }

    /// [`run`](IoThread::run), for no longer than this.
    ///
    /// ```
    /// use sluice::bridge::{io_thread, CallError};
    /// use std::{future::pending, time::Duration};
    ///
    /// let outcome = io_thread().run_within(Duration::from_millis(5), pending::<()>());
    /// assert_eq!(outcome, Err(CallError::TimedOut));
    /// ```
    ///
    /// # Errors
    /// As of [`run`](IoThread::run).
    pub fn run_within<F>(&self, duration: Duration, future: F) -> Result<F::Output, CallError>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.run_with(&Cancel::current().child_within(duration), future)
    }

    /// [`run`](IoThread::run), until this is cancelled.
    ///
    /// ```
    /// use sluice::bridge::{io_thread, CallError, Cancel};
    ///
    /// let cancel = Cancel::new();
    /// cancel.cancel();
    /// let outcome = io_thread().run_with(&cancel, std::future::pending::<()>());
    /// assert_eq!(outcome, Err(CallError::Cancelled));
    /// ```
    ///
    /// # Errors
    /// As of [`run`](IoThread::run).
    pub fn run_with<F>(&self, cancel: &Cancel, future: F) -> Result<F::Output, CallError>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        if is_here() {
            return Err(Closed::own_thread().into());
        }
        call_with(self, cancel, future).result()
    }

    /// Hands over a future whose end nobody waits for; a panic is logged.
    ///
    /// No [`Cancel`] is inherited. A drain waits for it: what runs for ever should end with
    /// [`closing`](IoThread::closing).
    ///
    /// ```
    /// use sluice::bridge::io_thread;
    ///
    /// let (sender, receiver) = std::sync::mpsc::channel();
    /// io_thread().spawn(async move { drop(sender.send("released")) })?;
    /// assert_eq!(receiver.recv(), Ok("released"));
    /// # Ok::<(), sluice::bridge::Closed>(())
    /// ```
    ///
    /// # Errors
    /// [`Closed`]; the future is dropped.
    pub fn spawn(&self, future: impl Future<Output = ()> + Send + 'static) -> Result<(), Closed> {
        self.engine()?.spawn(Context::current().wrap(async move {
            if let Err(payload) = AssertUnwindSafe(future).catch_unwind().await {
                let error = CallError::from_panic(&*payload);
                tracing::error!(%error, "a future on the I/O thread panicked");
            }
        }))
    }

    pub(super) fn start_future<T, F>(&self, runner: Runner<T>, future: F) -> Result<(), Closed>
    where
        T: Send + 'static,
        F: Future<Output = T> + Send + 'static,
    {
        let work = Context::current().wrap(future);
        self.engine()?.spawn(drive(runner, work))
    }

    /// Is cancelled when the thread is closed, for services that would run for ever.
    ///
    /// ```
    /// use sluice::bridge::IoThread;
    /// use std::time::Duration;
    ///
    /// let io = IoThread::start("services")?;
    /// let closing = io.closing();
    /// io.spawn(async move { drop(closing.cancelled().await) })?;
    /// assert_eq!(io.drain(Duration::from_secs(10)), 0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn closing(&self) -> Cancel {
        match self.engine() {
            Ok(engine) => engine.closing.child(),
            Err(_) => Cancel::until(Instant::now()),
        }
    }

    /// Whether it takes work.
    ///
    /// ```
    /// assert!(sluice::bridge::io_thread().is_open());
    /// ```
    pub fn is_open(&self) -> bool {
        self.engine().is_ok_and(|engine| engine.is_open())
    }

    /// Refuses new work from now on; what was taken goes on to its end.
    ///
    /// ```
    /// use sluice::bridge::IoThread;
    ///
    /// let io = IoThread::start("my-io")?;
    /// io.close();
    /// assert!(!io.is_open());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn close(&self) {
        if let Ok(engine) = self.engine() {
            engine.close();
        }
    }

    /// Closes it and waits until all it took has ended, at most for so long; gives how much has not.
    ///
    /// That is dropped, and its calls end with [`Closed::Ended`]. For the end of `main`:
    ///
    /// ```
    /// use sluice::bridge::io_thread;
    /// use std::time::Duration;
    ///
    /// io_thread().spawn(async { tokio::task::yield_now().await })?;
    /// assert_eq!(io_thread().drain(Duration::from_secs(10)), 0);
    ///
    /// // What comes later nevertheless has a thread again:
    /// assert_eq!(io_thread().run(async { 1 }), Ok(1));
    /// # Ok::<(), sluice::bridge::Closed>(())
    /// ```
    ///
    /// On an I/O thread it only closes, waits for nothing and drops nothing.
    pub fn drain(&self, within: Duration) -> usize {
        self.engine().map_or(0, |engine| engine.drain(within))
    }
}

impl Portal for IoThread {
    fn submit(&self, job: Job) -> Result<(), Closed> {
        self.engine()?.spawn(async move { job.run() })
    }

    fn thread(&self) -> Option<ThreadId> {
        self.engine().ok().map(|engine| engine.thread)
    }

    fn name(&self) -> &str {
        &self.owner.name
    }
}

impl std::fmt::Debug for IoThread {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("IoThread")
            .field("name", &self.owner.name)
            .field("open", &self.is_open())
            .finish_non_exhaustive()
    }
}
