//! Calls between threads, and between blocking and async code.
//!
//! ```text
//!   any thread ── call ──► Portal ──► IoThread      all I/O, futures and short jobs
//!       ▲                     └─────► WorkerThread  closures that block, one after another
//!       └──── Callbacks ◄──── jobs for the thread that waits (Waiter, LocalJobs)
//! ```
//!
//! For blocking code that needs async I/O, within a tokio runtime or without one: the I/O happens on
//! one thread of its own, [`io_thread`], and whoever asked waits on a condition variable. Nothing here
//! ever enters or blocks the runtime of the caller, waits for its own thread (an error says so), loses
//! a waiter (work that cannot end any more ends its call), or interrupts code by force: cancelling is
//! cooperative, see [`Cancel`]. It knows nothing of Kubernetes. After a `fork` without `exec` none of
//! it may be used: the threads are not there.
//!
//! Tested by `tests/` in this folder, and by the examples.
//!
//! ```
//! use sluice::bridge::{call, io_thread, WorkerThread};
//!
//! // Async work from blocking code:
//! let io = io_thread();
//! assert_eq!(io.run(async { 20 + 1 }), Ok(21));
//!
//! // Blocking work on a thread of its own, awaited or waited for:
//! let worker = WorkerThread::start("reader")?;
//! let length = call(&worker, || "a file".len());
//! assert_eq!(length.result(), Ok(6));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod call;
mod cancel;
mod cancelled;
mod context;
mod engine;
mod error;
mod io;
mod portal;
mod shared;
mod waiter;
mod worker;

#[cfg(test)]
mod tests;

pub use call::{Asynchronous, Call, CallFuture, Closure, Work, call, call_with};
pub use cancel::{Cancel, Shield};
pub use cancelled::Cancelled;
pub use context::{Context, InContext};
pub use engine::{IO_JOBS, IO_TIMERS};
pub use error::{CallError, Closed};
pub use io::{IoThread, io_thread};
pub use portal::{Job, Portal};
pub use waiter::{Callbacks, LOCAL_JOBS, LocalJobs, Waiter, from_async};
pub use worker::{WORKER_JOBS, WorkerThread};

/// Fails on a thread that does I/O, which must not wait.
#[cfg_attr(not(feature = "blocking"), expect(dead_code))]
pub(crate) fn refuse_io_thread() -> Result<(), Closed> {
    if engine::is_here() {
        return Err(Closed::own_thread());
    }
    Ok(())
}
