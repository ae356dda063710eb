//! What may become of a call other than its result, and what to do then.

use std::any::Any;

/// The most characters of a panic's message that are kept.
const PANIC_CHARACTERS: usize = 1_000;

/// Why a call has no result.
///
/// ```
/// use sluice::bridge::{io_thread, CallError};
///
/// let outcome = io_thread().run(async { panic!("no such file") });
/// assert_eq!(outcome, Err(CallError::Panicked("no such file".to_owned())));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// Its [`Cancel`](super::Cancel), or one above it, was cancelled.
    #[error("the call was cancelled: make it again if its result is still wanted")]
    Cancelled,
    /// Its deadline passed.
    #[error(
        "the call did not end before its deadline: allow it more time, or find what it waits for"
    )]
    TimedOut,
    /// The code that was called panicked; the message is cut off after 1,000 characters.
    #[error("the code that was called panicked, which is a fault in it: {0}")]
    Panicked(String),
    /// The place it was to run at takes no work, or can not be waited for from here.
    #[error(transparent)]
    Closed(#[from] Closed),
}

/// Why a [`Portal`](super::Portal) takes no work, or cannot be waited for.
///
/// ```
/// use sluice::bridge::{Closed, Job, Portal, WorkerThread};
///
/// let worker = WorkerThread::start("writer")?;
/// worker.close();
/// let refusal = worker.submit(Job::new(|| ()));
/// assert_eq!(refusal, Err(Closed::Ended { portal: "writer".into() }));
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Closed {
    /// It was closed, or ended before the work was done.
    #[error(
        "{portal} was closed before the work was done: submit it before closing, or start another"
    )]
    Ended {
        /// The name of its thread.
        portal: String,
    },
    /// As much as it may hold is waiting already.
    #[error(
        "{portal} holds {bound} jobs already, as many as it may: wait for some before submitting more"
    )]
    Full {
        /// The name of its thread.
        portal: String,
        /// How many it may hold.
        bound: usize,
    },
    /// The thread that would wait is the one that the work needs.
    #[error(
        "thread {thread} would wait for itself for ever: await the call there, or wait for it on another thread"
    )]
    OwnThread {
        /// The name of the thread.
        thread: String,
    },
    /// The operating system gave no thread or no event queue.
    #[error("{portal} could not be started: {reason}; check the limits of threads and open files")]
    NotStarted {
        /// The name of its thread.
        portal: String,
        /// What the operating system said.
        reason: String,
    },
}

impl Closed {
    pub(crate) fn own_thread() -> Closed {
        let thread = std::thread::current();
        Closed::OwnThread {
            thread: thread.name().unwrap_or("without a name").to_owned(),
        }
    }
}

impl CallError {
    /// Keeps what can be shown of a panic.
    pub(super) fn from_panic(payload: &(dyn Any + Send)) -> CallError {
        let text = match (
            payload.downcast_ref::<&str>(),
            payload.downcast_ref::<String>(),
        ) {
            (Some(text), _) => text,
            (_, Some(text)) => text.as_str(),
            _ => "with something that is not text",
        };
        CallError::Panicked(text.chars().take(PANIC_CHARACTERS).collect())
    }
}
