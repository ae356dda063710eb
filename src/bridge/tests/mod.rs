//! Tests of the bridge, by what they are about.

mod calls;
mod cancelling;
mod closing;
mod context;
mod waiting;

use std::{
    future::pending,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
        mpsc::{self, Sender},
    },
    thread,
    time::{Duration, Instant},
};

use futures::executor::block_on;

use super::*;

/// Longer than anything here takes; a test that waits for so long has failed.
const LONG: Duration = Duration::from_secs(30);
/// A deadline that is meant to pass, whatever has happened by then.
const SHORT: Duration = Duration::from_millis(20);

fn worker() -> WorkerThread {
    WorkerThread::start("test-worker").unwrap()
}

fn io() -> IoThread {
    IoThread::start("test-io").unwrap()
}

/// Keeps a worker busy until the sender is dropped; the worker is at it when this returns.
fn occupy(worker: &WorkerThread) -> Sender<()> {
    let (open, opened) = mpsc::channel();
    let (started, begun) = mpsc::channel();
    let job = move || {
        started.send(()).unwrap();
        let _ = opened.recv_timeout(LONG);
    };
    worker.submit(Job::new(job)).unwrap();
    begun.recv_timeout(LONG).unwrap();
    open
}

/// Tries something that must begin before a deadline, with more and more time until it has.
fn in_time<T>(attempt: impl Fn(Duration) -> Option<T>) -> T {
    let mut times = (1..=5).map(|power| Duration::from_millis(2 * 10_u64.pow(power)));
    times.find_map(attempt).expect("begins within 200 s")
}

/// Blocks until the current call is cancelled, as code that cooperates does, and says how it was.
fn until_cancelled() -> Result<(), CallError> {
    let began = Instant::now();
    while began.elapsed() < LONG {
        Cancel::current().check()?;
        thread::yield_now();
    }
    Ok(())
}

fn ended(portal: &str) -> CallError {
    let portal = portal.to_owned();
    CallError::Closed(Closed::Ended { portal })
}

fn is_ended<T>(outcome: Result<T, CallError>) -> bool {
    matches!(outcome, Err(CallError::Closed(Closed::Ended { .. })))
}

fn is_own_thread<T>(outcome: Result<T, CallError>) -> bool {
    matches!(outcome, Err(CallError::Closed(Closed::OwnThread { .. })))
}

fn panicked(text: &str) -> CallError {
    CallError::Panicked(text.to_owned())
}
