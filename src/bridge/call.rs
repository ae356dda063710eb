//! A call: work somewhere else, and its result here.
//!
//! Never runs anything itself: a [`Portal`] does. What a panic, a cancel and a closed portal make of
//! a call is in `shared.rs`.

use std::{
    fmt,
    pin::Pin,
    task::{Context as TaskContext, Poll},
};

use super::{
    CallError, Cancel, Cancelled, IoThread, Job, Portal,
    shared::{Claim, pair},
};

/// Work of some kind, for [`call`]: closures for every portal, futures for an [`IoThread`].
///
/// The kind only keeps the two apart; it is always inferred.
///
/// ```
/// use sluice::bridge::{Call, IoThread, Work, call, io_thread};
///
/// fn twice<K>(io: &IoThread, work: impl Work<IoThread, K, Output = u32>) -> u32 {
///     call(io, work).result().map_or(0, |value| 2 * value)
/// }
///
/// assert_eq!(twice(&io_thread(), || 4), 8);
/// assert_eq!(twice(&io_thread(), async { 5 }), 10);
/// ```
pub trait Work<P: ?Sized, Kind> {
    /// What the call results in.
    type Output;

    /// Hands the work to the portal, to be cancelled by this very [`Cancel`].
    ///
    /// ```
    /// use sluice::bridge::{Cancel, Work, WorkerThread};
    ///
    /// let worker = WorkerThread::start("adder")?;
    /// let sum = Work::start(|| 1 + 2, &worker, Cancel::new());
    /// assert_eq!(sum.result(), Ok(3));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    fn start(self, portal: &P, cancel: Cancel) -> Call<Self::Output>;
}

/// The kind of [`Work`] that is a closure.
///
/// ```
/// use sluice::bridge::{Closure, IoThread, Work};
///
/// fn takes(work: impl Work<IoThread, Closure, Output = u32>) {}
/// takes(|| 4);
/// ```
#[derive(Debug)]
pub enum Closure {}

/// The kind of [`Work`] that is a future.
///
/// ```
/// use sluice::bridge::{Asynchronous, IoThread, Work};
///
/// fn takes(work: impl Work<IoThread, Asynchronous, Output = u32>) {}
/// takes(async { 5 });
/// ```
#[derive(Debug)]
pub enum Asynchronous {}

impl<P, F, T> Work<P, Closure> for F
where
    P: Portal + ?Sized,
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    type Output = T;

    fn start(self, portal: &P, cancel: Cancel) -> Call<T> {
        let (runner, claim) = pair(cancel, portal.name(), portal.thread(), false);
        if let Err(closed) = portal.submit(Job::new(|| runner.run(self))) {
            claim.shared.refuse(closed);
        }
        Call { claim }
    }
}

impl<F> Work<IoThread, Asynchronous> for F
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    type Output = F::Output;

    fn start(self, portal: &IoThread, cancel: Cancel) -> Call<F::Output> {
        let (runner, claim) = pair(cancel, portal.name(), portal.thread(), true);
        if let Err(closed) = portal.start_future(runner, self) {
            claim.shared.refuse(closed);
        }
        Call { claim }
    }
}

/// Runs a closure at a portal, or a future on an [`IoThread`], and gives a handle to its result.
///
/// It is cancelled with the call that this code is part of, if any ([`Cancel::current`]). A portal
/// that takes nothing makes a call that has ended with [`CallError::Closed`].
///
/// ```
/// use sluice::bridge::{call, io_thread, WorkerThread};
///
/// let worker = WorkerThread::start("adder")?;
/// let sum = call(&worker, || 1 + 2);
/// let product = call(&io_thread(), async { 3 * 4 });
/// assert_eq!((sum.result(), product.result()), (Ok(3), Ok(12)));
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn call<P, W, K>(portal: &P, work: W) -> Call<W::Output>
where
    P: Portal + ?Sized,
    W: Work<P, K>,
{
    work.start(portal, Cancel::current().child())
}

/// [`call`] with a [`Cancel`] of the caller's choice, in place of the current one.
///
/// The deadline covers queueing and running.
///
/// ```
/// use sluice::bridge::{call_with, io_thread, CallError, Cancel};
/// use std::{future::pending, time::Duration};
///
/// let cancel = Cancel::within(Duration::from_millis(5));
/// let call = call_with(&io_thread(), &cancel, pending::<()>());
/// assert_eq!(call.result(), Err(CallError::TimedOut));
/// ```
pub fn call_with<P, W, K>(portal: &P, cancel: &Cancel, work: W) -> Call<W::Output>
where
    P: Portal + ?Sized,
    W: Work<P, K>,
{
    work.start(portal, cancel.child())
}

/// Work that was handed over. Wait for it with [`result`](Call::result), or await it.
///
/// Dropping it, or the future it became, cancels the work; [`detach`](Call::detach) does not.
///
/// ```
/// use sluice::bridge::{call, io_thread};
///
/// let sum = call(&io_thread(), || 1 + 2);
/// assert_eq!(sum.result(), Ok(3));
/// ```
#[must_use = "a call that is dropped is cancelled: wait for it, await it or detach it"]
pub struct Call<T> {
    claim: Claim<T>,
}

impl<T> Call<T> {
    /// Blocks this thread until the call has ended, was cancelled, or its deadline passed.
    ///
    /// The last two return at once; a closure that runs then goes on until it asks its [`Cancel`],
    /// and what it results in is dropped. A result that was there before its deadline stands.
    ///
    /// # Errors
    /// [`CallError`]; [`Closed::OwnThread`](super::Closed::OwnThread) on an I/O thread, and on the
    /// thread that is to run the call, unless it has ended already.
    ///
    /// ```
    /// use sluice::bridge::{call, io_thread, CallError, Closed};
    ///
    /// // An async function that blocks on its own thread would never end:
    /// let io = io_thread();
    /// let inner = io.clone();
    /// let outcome = io.run(async move { call(&inner, async { 1 }).result() });
    /// assert!(matches!(outcome, Ok(Err(CallError::Closed(Closed::OwnThread { .. })))));
    /// ```
    pub fn result(self) -> Result<T, CallError> {
        self.claim.wait(None, None)
    }

    /// Cancels the call: queued, it never runs; running, it is asked to stop; ended, nothing.
    ///
    /// True when it is cancelled, now or before. Within a [`Shield`](super::Shield) of the work,
    /// true says only that the request is there.
    ///
    /// ```
    /// use sluice::bridge::{call, io_thread, CallError};
    ///
    /// let call = call(&io_thread(), std::future::pending::<()>());
    /// assert!(call.cancel());
    /// assert_eq!(call.result(), Err(CallError::Cancelled));
    /// ```
    pub fn cancel(&self) -> bool {
        // First asked, then looked: a call that ends in between has either seen it or is not open.
        self.claim.shared.cancel.cancel();
        self.claim.shared.is_cancelled()
    }

    /// The [`Cancel`] of this call alone, to cancel it from elsewhere.
    ///
    /// ```
    /// use sluice::bridge::{call, io_thread, CallError};
    ///
    /// let call = call(&io_thread(), std::future::pending::<()>());
    /// let cancel = call.cancel_handle();
    /// std::thread::spawn(move || cancel.cancel());
    /// assert_eq!(call.result(), Err(CallError::Cancelled));
    /// ```
    pub fn cancel_handle(&self) -> Cancel {
        self.claim.shared.cancel.clone()
    }

    /// Whether it has ended.
    ///
    /// ```
    /// use sluice::bridge::{call, WorkerThread};
    ///
    /// let worker = WorkerThread::start("idle")?;
    /// worker.close();
    /// assert!(call(&worker, || ()).is_done(), "refused at once");
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn is_done(&self) -> bool {
        !self.claim.shared.is_open()
    }

    /// Lets it go on without anybody waiting for it.
    ///
    /// ```
    /// use sluice::bridge::{call, io_thread};
    ///
    /// let (sender, receiver) = std::sync::mpsc::channel();
    /// call(&io_thread(), async move { sender.send("done") }).detach();
    /// assert_eq!(receiver.recv(), Ok("done"));
    /// ```
    pub fn detach(mut self) {
        self.claim.cancel_on_drop = false;
    }

    /// For those who wait in a way of their own.
    pub(super) fn claim(&self) -> &Claim<T> {
        &self.claim
    }
}

impl<T> IntoFuture for Call<T> {
    type Output = Result<T, CallError>;
    type IntoFuture = CallFuture<T>;

    /// Awaits the result on any executor.
    fn into_future(self) -> CallFuture<T> {
        let shared = &self.claim.shared;
        CallFuture {
            cancelled: (!shared.timed).then(|| Box::pin(shared.cancel.cancelled())),
            claim: self.claim,
        }
    }
}

impl<T> fmt::Debug for Call<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call")
            .field("done", &self.is_done())
            .field("cancel", &self.claim.shared.cancel)
            .finish_non_exhaustive()
    }
}

/// A [`Call`] that is awaited; dropping it cancels the work.
///
/// ```
/// use sluice::bridge::{call, CallFuture, WorkerThread};
///
/// let worker = WorkerThread::start("reader")?;
/// let reading: CallFuture<u8> = IntoFuture::into_future(call(&worker, || 7));
/// assert_eq!(futures::executor::block_on(reading), Ok(7));
/// # Ok::<(), std::io::Error>(())
/// ```
#[must_use = "a future does nothing until it is awaited; dropped, it cancels the work"]
pub struct CallFuture<T> {
    claim: Claim<T>,
    /// Absent where the runner ends the call in time by itself.
    cancelled: Option<Pin<Box<Cancelled>>>,
}

impl<T> Future for CallFuture<T> {
    type Output = Result<T, CallError>;

    fn poll(mut self: Pin<&mut Self>, task: &mut TaskContext<'_>) -> Poll<Self::Output> {
        if let Some(outcome) = self.claim.shared.take(task.waker()) {
            return Poll::Ready(outcome);
        }
        let Some(cancelled) = &mut self.cancelled else {
            return Poll::Pending;
        };
        match cancelled.as_mut().poll(task) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(error) => Poll::Ready(self.claim.shared.abandon(error)),
        }
    }
}

impl<T> fmt::Debug for CallFuture<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CallFuture")
            .field("cancel", &self.claim.shared.cancel)
            .finish_non_exhaustive()
    }
}
