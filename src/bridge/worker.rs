//! A thread for closures that may block, one after another.
//!
//! Never drops a job it took while it may still run it: closing lets the queue run out.

use std::{
    collections::VecDeque,
    io,
    sync::{Arc, Condvar, Mutex},
    thread::{self, ThreadId},
    time::{Duration, Instant},
};

use super::{
    Closed, Job, Portal,
    portal::start_thread,
    shared::{lock, wait_on},
};

/// How many jobs a worker may hold that have not begun; more are refused.
pub const WORKER_JOBS: usize = 4_096;

/// An OS thread that runs jobs in the order of their submission.
///
/// Dropping it closes it: what is queued still runs, and nobody waits for that.
///
/// ```
/// use sluice::bridge::{call, WorkerThread};
///
/// let worker = WorkerThread::start("disk")?;
/// let name = call(&worker, || std::thread::current().name().map(str::to_owned));
/// assert_eq!(name.result(), Ok(Some("disk".to_owned())));
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct WorkerThread {
    queue: Arc<Queue>,
    thread: ThreadId,
    name: String,
}

#[derive(Debug, Default)]
struct Queue {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    jobs: VecDeque<Job>,
    running: bool,
    closed: bool,
}

impl Queue {
    /// The next job; none after the last of a closed queue.
    fn next(&self) -> Option<Job> {
        let mut state = lock(&self.state);
        state.running = false;
        loop {
            if let Some(job) = state.jobs.pop_front() {
                state.running = true;
                return Some(job);
            }
            if state.closed {
                self.changed.notify_all();
                return None;
            }
            state = wait_on(&self.changed, state, None);
        }
    }
}

impl WorkerThread {
    /// Starts a thread of this name.
    ///
    /// ```
    /// use sluice::bridge::{call, WorkerThread};
    ///
    /// let worker = WorkerThread::start("scanner")?;
    /// assert_eq!(call(&worker, || 7).result(), Ok(7));
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    /// What the operating system says when it gives no thread.
    pub fn start(name: &str) -> io::Result<WorkerThread> {
        let queue = Arc::new(Queue::default());
        let jobs = Arc::clone(&queue);
        let body = move || {
            while let Some(job) = jobs.next() {
                job.run();
            }
        };
        Ok(WorkerThread {
            queue,
            thread: start_thread(name, body)?,
            name: name.to_owned(),
        })
    }

    /// Refuses new jobs from now on; those that were taken still run.
    ///
    /// ```
    /// use sluice::bridge::{call, WorkerThread};
    ///
    /// let worker = WorkerThread::start("disk")?;
    /// let (before, after) = (call(&worker, || 1), { worker.close(); call(&worker, || 2) });
    /// assert_eq!(before.result(), Ok(1));
    /// assert!(after.result().is_err());
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn close(&self) {
        lock(&self.queue.state).closed = true;
        self.queue.changed.notify_all();
    }

    /// Closes it and waits until all jobs have run, at most for so long; gives how many have not.
    ///
    /// Those that have not begun by then are dropped, and their calls end with
    /// [`Closed::Ended`]. On the worker itself it does not wait.
    ///
    /// ```
    /// use sluice::bridge::{call, WorkerThread};
    /// use std::time::Duration;
    ///
    /// let worker = WorkerThread::start("disk")?;
    /// let written = call(&worker, || "written");
    /// assert_eq!(worker.drain(Duration::from_secs(10)), 0);
    /// assert_eq!(written.result(), Ok("written"));
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn drain(&self, within: Duration) -> usize {
        self.close();
        let until = Instant::now().checked_add(within);
        let mut state = lock(&self.queue.state);
        if thread::current().id() == self.thread {
            return state.jobs.len();
        }
        while (state.running || !state.jobs.is_empty())
            && until.is_none_or(|until| Instant::now() < until)
        {
            state = wait_on(&self.queue.changed, state, until);
        }
        let dropped = std::mem::take(&mut state.jobs);
        let left = dropped.len() + usize::from(state.running);
        // Dropped jobs wake whoever waits for them.
        drop(state);
        drop(dropped);
        left
    }
}

impl Portal for WorkerThread {
    fn submit(&self, job: Job) -> Result<(), Closed> {
        let portal = || self.name.clone();
        let mut state = lock(&self.queue.state);
        if state.closed {
            return Err(Closed::Ended { portal: portal() });
        }
        if state.jobs.len() >= WORKER_JOBS {
            return Err(Closed::Full {
                portal: portal(),
                bound: WORKER_JOBS,
            });
        }
        state.jobs.push_back(job);
        drop(state);
        self.queue.changed.notify_all();
        Ok(())
    }

    fn thread(&self) -> Option<ThreadId> {
        Some(self.thread)
    }

    fn name(&self) -> &str {
        &self.name
    }
}

impl Drop for WorkerThread {
    fn drop(&mut self) {
        self.close();
    }
}
