//! The inside of an I/O thread: its runtime, its bounds and its end.
//!
//! Counts what it holds, so that a drain knows when nothing is left, and runs no future past its
//! cancel. Never waits for anything on its own thread.

use std::{
    cell::RefCell,
    io,
    panic::AssertUnwindSafe,
    pin::pin,
    sync::{Arc, Condvar, Mutex, mpsc},
    thread::{self, ThreadId},
    time::{Duration, Instant},
};

use futures::{
    FutureExt,
    future::{Either, select},
};
use tokio::{
    runtime::{Builder, Handle},
    sync::Notify,
    time::sleep_until,
};

use super::{
    CallError, Cancel, Closed, InContext,
    cancelled::Timer,
    portal::start_thread,
    shared::{Runner, lock, wait_on},
};

/// How many jobs and futures an I/O thread may have at once; more are refused.
pub const IO_JOBS: usize = 16_384;

/// How many deadlines an I/O thread watches at once for futures on other executors.
pub const IO_TIMERS: usize = 16_384;

thread_local! {
    static HERE: RefCell<Option<Arc<Engine>>> = const { RefCell::new(None) };
}

/// What the thread, its tasks and its handles share.
pub(super) struct Engine {
    name: String,
    pub(super) thread: ThreadId,
    handle: Handle,
    gate: Mutex<Gate>,
    /// Notified when nothing is held any more.
    idle: Condvar,
    /// Ends the thread.
    ended: Notify,
    pub(super) closing: Cancel,
}

#[derive(Default)]
struct Gate {
    closed: bool,
    ended: bool,
    jobs: usize,
    timers: usize,
}

/// A job's or a timer's share of the bound; given back when dropped.
struct Place {
    engine: Arc<Engine>,
    timer: bool,
}

impl Engine {
    /// Starts the thread; the runtime is made on it, since it must not be dropped elsewhere.
    pub(super) fn start(name: &str) -> io::Result<Arc<Engine>> {
        let (sender, receiver) = mpsc::sync_channel(1);
        let named = name.to_owned();
        let body = move || {
            let runtime = match Builder::new_current_thread().enable_all().build() {
                Ok(runtime) => runtime,
                Err(error) => return drop(sender.send(Err(error))),
            };
            let engine = Arc::new(Engine {
                name: named,
                thread: thread::current().id(),
                handle: runtime.handle().clone(),
                gate: Mutex::default(),
                idle: Condvar::new(),
                ended: Notify::new(),
                closing: Cancel::new(),
            });
            HERE.set(Some(Arc::clone(&engine)));
            if sender.send(Ok(Arc::clone(&engine))).is_err() {
                return;
            }
            runtime.block_on(engine.ended.notified());
            lock(&engine.gate).ended = true;
            // Drops what is left, and waits for no blocking task.
            runtime.shutdown_background();
        };
        start_thread(name, body)?;
        receiver.recv().map_err(io::Error::other)?
    }

    fn ended(&self) -> Closed {
        Closed::Ended {
            portal: self.name.clone(),
        }
    }

    fn enter(self: &Arc<Self>, timer: bool) -> Result<Place, Closed> {
        let mut gate = lock(&self.gate);
        // Work that is still draining may need timers.
        let refuses = if timer { gate.ended } else { gate.closed };
        if refuses {
            return Err(self.ended());
        }
        let (held, bound) = match timer {
            true => (&mut gate.timers, IO_TIMERS),
            false => (&mut gate.jobs, IO_JOBS),
        };
        if *held >= bound {
            let portal = self.name.clone();
            return Err(Closed::Full { portal, bound });
        }
        *held += 1;
        let engine = Arc::clone(self);
        Ok(Place { engine, timer })
    }

    /// Runs a future on the thread, within the bound.
    pub(super) fn spawn(
        self: &Arc<Self>,
        work: impl Future<Output = ()> + Send + 'static,
    ) -> Result<(), Closed> {
        let place = self.enter(false)?;
        self.handle.spawn(async move {
            let _place = place;
            work.await;
        });
        Ok(())
    }

    pub(super) fn is_open(&self) -> bool {
        !lock(&self.gate).closed
    }

    pub(super) fn close(&self) {
        let mut gate = lock(&self.gate);
        gate.closed = true;
        if gate.jobs == 0 {
            self.ended.notify_one();
        }
        drop(gate);
        self.closing.cancel();
    }

    pub(super) fn timer(self: &Arc<Self>, deadline: Instant) -> Result<Timer, Closed> {
        let place = self.enter(true)?;
        let ended = CallError::from(self.ended());
        let mut task = AbortOnDrop(self.handle.spawn(async move {
            let _place = place;
            sleep_until(deadline.into()).await;
        }));
        Ok(Box::pin(
            async move { (&mut task.0).await.map_err(|_| ended) },
        ))
    }

    /// Closes and waits: see [`IoThread::drain`](super::IoThread::drain).
    pub(super) fn drain(&self, within: Duration) -> usize {
        self.close();
        let until = Instant::now().checked_add(within);
        let mut gate = lock(&self.gate);
        if is_here() {
            return gate.jobs;
        }
        while gate.jobs > 0 && until.is_none_or(|until| Instant::now() < until) {
            gate = wait_on(&self.idle, gate, until);
        }
        if gate.jobs > 0 {
            self.ended.notify_one();
        }
        gate.jobs
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut gate = lock(&self.engine.gate);
        if self.timer {
            gate.timers -= 1;
            return;
        }
        gate.jobs -= 1;
        if gate.jobs == 0 {
            self.engine.idle.notify_all();
            if gate.closed {
                self.engine.ended.notify_one();
            }
        }
    }
}

struct AbortOnDrop(tokio::task::JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The engine whose thread this is, if any.
pub(super) fn here() -> Option<Arc<Engine>> {
    HERE.try_with(|here| here.borrow().clone())
        .unwrap_or_default()
}

/// Whether this is an I/O thread, which must not wait.
pub(super) fn is_here() -> bool {
    HERE.try_with(|here| here.borrow().is_some())
        .unwrap_or(false)
}

/// Polls a future to its end, or drops it when its call is cancelled or out of time.
pub(super) async fn drive<T, F>(runner: Runner<T>, mut work: InContext<F>)
where
    F: Future<Output = T>,
{
    let cancel = runner.cancel().clone();
    if let Err(error) = cancel.check() {
        return runner.finish(Err(error));
    }
    let cancelled = pin!(cancel.cancelled_on_io());
    let current = Some(cancel.clone());
    let work = std::future::poll_fn(move |task| {
        Cancel::with_current(current.clone(), || work.poll_unpin(task))
    });
    let work = Box::pin(AssertUnwindSafe(work).catch_unwind());
    match select(work, cancelled).await {
        Either::Left((outcome, _)) => {
            runner.finish(outcome.map_err(|payload| CallError::from_panic(&*payload)));
        }
        Either::Right((error, work)) => {
            // Its destructors run before anybody hears of the end.
            drop(work);
            runner.finish(Err(error));
        }
    }
}
