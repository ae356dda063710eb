//! What a blocking caller asks for, word by word.

use std::time::Duration;

use super::slots::Slots;
use super::wait::{may_wait, wait};
use crate::api::claim::ClaimIfMissing;
use crate::bridge::{Call, CallError, Waiter, call, io_thread};
use crate::client::{self, AcquireError, Cancellation, LimitTemplate, RunError, TryAcquireError};

/// A request for slots and locks: all of it, or nothing. Its words are those of [`client::Request`].
///
/// ```
/// # let client = sluice::blocking::Client::embedded([("gpu", 2)])?;
/// let slots = client.request().slots("gpu", 2).holder("run 7").acquire()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "nothing is asked for before acquire()"]
pub struct Request {
    client: client::Client,
    inner: client::Request,
}

impl Request {
    pub(super) fn new(client: client::Client, inner: client::Request) -> Self {
        Self { client, inner }
    }

    fn map(self, word: impl FnOnce(client::Request) -> client::Request) -> Self {
        Self {
            client: self.client,
            inner: word(self.inner),
        }
    }

    /// Like [`client::Request::slots`].
    ///
    /// ```
    /// # let client = sluice::blocking::Client::embedded([("gpu", 2)])?;
    /// let request = client.request().slots("gpu", 2).slots("licences/matlab", 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn slots(self, limit: impl Into<String>, slots: u32) -> Self {
        self.map(|request| request.slots(limit, slots))
    }

    /// Like [`client::Request::occupy`].
    ///
    /// ```
    /// # let client = sluice::blocking::Client::embedded([("gpu", 2)])?;
    /// let request = client.concurrency(["gpu", "db"]).occupy(2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn occupy(self, slots: u32) -> Self {
        self.map(|request| request.occupy(slots))
    }

    /// Like [`client::Request::lock`].
    ///
    /// ```
    /// # let client = sluice::blocking::Client::embedded([("gpu", 2)])?;
    /// let request = client.request().lock("deploy");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn lock(self, lock: impl Into<String>) -> Self {
        self.map(|request| request.lock(lock))
    }

    /// Like [`client::Request::lock_shared`].
    ///
    /// ```
    /// # let client = sluice::blocking::Client::embedded([("gpu", 2)])?;
    /// let request = client.request().lock_shared("schema");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn lock_shared(self, lock: impl Into<String>) -> Self {
        self.map(|request| request.lock_shared(lock))
    }

    /// Like [`client::Request::timeout`].
    ///
    /// ```
    /// # let client = sluice::blocking::Client::embedded([("gpu", 2)])?;
    /// let request = client.request().slots("gpu", 1).timeout(std::time::Duration::from_secs(30));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn timeout(self, timeout: Duration) -> Self {
        self.map(|request| request.timeout(timeout))
    }

    /// Like [`client::Request::no_timeout`].
    ///
    /// ```
    /// # let client = sluice::blocking::Client::embedded([("gpu", 2)])?;
    /// let request = client.request().slots("gpu", 1).no_timeout();
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn no_timeout(self) -> Self {
        self.map(client::Request::no_timeout)
    }

    /// Like [`client::Request::lease`].
    ///
    /// ```
    /// # let client = sluice::blocking::Client::embedded([("gpu", 2)])?;
    /// let request = client.request().slots("gpu", 1).lease(std::time::Duration::from_secs(60));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn lease(self, lease: Duration) -> Self {
        self.map(|request| request.lease(lease))
    }

    /// Like [`client::Request::max_hold`].
    ///
    /// ```
    /// # let client = sluice::blocking::Client::embedded([("gpu", 2)])?;
    /// let request = client.request().slots("gpu", 1).max_hold(std::time::Duration::from_secs(3_600));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn max_hold(self, most: Duration) -> Self {
        self.map(|request| request.max_hold(most))
    }

    /// Like [`client::Request::pod`].
    ///
    /// ```
    /// # fn example(client: sluice::blocking::Client) -> Result<(), Box<dyn std::error::Error>> {
    /// let request = client.concurrency("gpu").pod(sluice::client::Pod::from_env()?);
    /// # Ok(())
    /// # }
    /// ```
    pub fn pod(self, pod: client::Pod) -> Self {
        self.map(|request| request.pod(pod))
    }

    /// Like [`client::Request::no_pod`].
    ///
    /// ```
    /// # let client = sluice::blocking::Client::embedded([("gpu", 2)])?;
    /// let request = client.request().slots("gpu", 1).no_pod();
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn no_pod(self) -> Self {
        self.map(client::Request::no_pod)
    }

    /// Like [`client::Request::id`].
    ///
    /// ```
    /// # let client = sluice::blocking::Client::embedded([("gpu", 2)])?;
    /// let request = client.request().slots("gpu", 1).id("task-17");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn id(self, id: impl Into<String>) -> Self {
        self.map(|request| request.id(id))
    }

    /// Like [`client::Request::holder`].
    ///
    /// ```
    /// # let client = sluice::blocking::Client::embedded([("gpu", 2)])?;
    /// let request = client.request().slots("gpu", 1).holder("nightly report");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn holder(self, holder: impl Into<String>) -> Self {
        self.map(|request| request.holder(holder))
    }

    /// Like [`client::Request::priority`].
    ///
    /// ```
    /// # let client = sluice::blocking::Client::embedded([("gpu", 2)])?;
    /// let request = client.request().slots("gpu", 1).priority(-10);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn priority(self, priority: i32) -> Self {
        self.map(|request| request.priority(priority))
    }

    /// Like [`client::Request::if_missing`].
    ///
    /// ```
    /// # let client = sluice::blocking::Client::embedded([("gpu", 2)])?;
    /// use sluice::api::claim::ClaimIfMissing;
    ///
    /// let request = client.request().slots("gpu", 1).if_missing(ClaimIfMissing::Wait);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn if_missing(self, if_missing: ClaimIfMissing) -> Self {
        self.map(|request| request.if_missing(if_missing))
    }

    /// Like [`client::Request::create_if_missing`].
    ///
    /// ```
    /// # let client = sluice::blocking::Client::embedded([("gpu", 2)])?;
    /// use sluice::client::LimitTemplate;
    ///
    /// let request = client.request().slots("gpu", 1).create_if_missing(LimitTemplate::with_slots(4));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn create_if_missing(self, template: LimitTemplate) -> Self {
        self.map(|request| request.create_if_missing(template))
    }

    /// Like [`client::Request::cancel`].
    ///
    /// ```
    /// # let client = sluice::blocking::Client::embedded([("gpu", 2)])?;
    /// let cancel = sluice::client::Cancel::new();
    /// let request = client.request().slots("gpu", 1).cancel(&cancel);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn cancel(self, cancel: &(impl Cancellation + Clone + Send + Sync + 'static)) -> Self {
        self.map(|request| request.cancel(cancel))
    }

    /// Like [`client::Request::max_retries`].
    ///
    /// ```
    /// # let client = sluice::blocking::Client::embedded([("gpu", 2)])?;
    /// let request = client.request().slots("gpu", 1).max_retries(3);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn max_retries(self, retries: u32) -> Self {
        self.map(|request| request.max_retries(retries))
    }

    /// Blocks until all of it is granted.
    ///
    /// ```
    /// # let client = sluice::blocking::Client::embedded([("gpu", 2)])?;
    /// let slots = client.concurrency("gpu").acquire()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn acquire(self) -> Result<Slots, AcquireError> {
        may_wait(&self.client).map_err(refused)?;
        let slots = wait(self.inner.acquire())?;
        Ok(Slots::new(self.client, slots))
    }

    /// Tries once, and does not wait for anybody.
    ///
    /// ```
    /// # let client = sluice::blocking::Client::embedded([("gpu", 2)])?;
    /// let all = client.concurrency("gpu").occupy(2).try_acquire()?;
    /// assert!(client.concurrency("gpu").try_acquire().is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn try_acquire(self) -> Result<Slots, TryAcquireError> {
        may_wait(&self.client).map_err(refused)?;
        let slots = wait(self.inner.try_acquire())?;
        Ok(Slots::new(self.client, slots))
    }

    /// Blocks until all of it is granted, and runs on this thread meanwhile what is submitted to the waiter's portal.
    /// The waiter's own deadline or cancel ends it too.
    ///
    /// ```
    /// use sluice::blocking::Client;
    /// use sluice::bridge::{Job, Portal, Waiter};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let client = Client::embedded([("gpu", 1)])?;
    /// let held = client.concurrency("gpu").acquire()?;
    /// let waiter = Waiter::new();
    /// // Runs on this thread, while it waits for the slot that it gives back:
    /// waiter.portal().submit(Job::new(move || drop(held)))?;
    /// let slots = client.concurrency("gpu").acquire_with(waiter)?;
    /// # drop(slots);
    /// # Ok(())
    /// # }
    /// ```
    pub fn acquire_with(self, waiter: Waiter) -> Result<Slots, AcquireError> {
        let client = self.client.clone();
        may_wait(&client).map_err(refused)?;
        match waiter.wait(self.call()) {
            Ok(acquired) => Ok(Slots::new(client, acquired?)),
            Err(error) => Err(ended(error)),
        }
    }

    /// The acquisition as a call of [`sluice::bridge`](crate::bridge), to be awaited, waited for, or cancelled. Async
    /// code takes [`from_async`](crate::bridge::from_async) to run callbacks meanwhile.
    ///
    /// ```
    /// # let client = sluice::blocking::Client::embedded([("gpu", 2)])?;
    /// let call = client.concurrency("gpu").call();
    /// let slots = call.result()??;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn call(self) -> Call<Result<client::Slots, AcquireError>> {
        call(&io_thread(), self.inner.acquire())
    }

    /// Acquires, runs the body, releases; also when it panics. A body that blocks cannot be stopped: it asks
    /// [`Slots::check`] before each step that must not run without the slots. If they were lost meanwhile, that is said
    /// in place of its result.
    ///
    /// ```
    /// # let client = sluice::blocking::Client::embedded([("gpu", 2)])?;
    /// let answer = client.concurrency("gpu").run(|slots| slots.check().map(|()| 42))?;
    /// assert_eq!(answer, 42);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn run<T, E>(self, body: impl FnOnce(&Slots) -> Result<T, E>) -> Result<T, RunError<E>> {
        let slots = self.acquire()?;
        let ended = body(&slots);
        if let Err(loss) = slots.check() {
            return Err(RunError::Lost(loss));
        }
        // The body has its result; where the release cannot be acknowledged, the lease runs out by itself.
        if let Err(error) = slots.release() {
            tracing::warn!(target: "sluice::client", %error, "released after a body, without an answer");
        }
        ended.map_err(RunError::Body)
    }
}

pub(super) fn refused(error: crate::bridge::Closed) -> AcquireError {
    AcquireError::Invalid(error.to_string())
}

/// How a call ended that has no result.
fn ended(error: CallError) -> AcquireError {
    let request = "the acquisition".to_owned();
    match error {
        CallError::Cancelled => AcquireError::Cancelled { request },
        CallError::TimedOut => AcquireError::Timeout {
            request,
            waited: Duration::ZERO,
            detail: "the waiter's deadline has passed".to_owned(),
        },
        CallError::Panicked(_) | CallError::Closed(_) => {
            AcquireError::Unavailable(error.to_string())
        }
    }
}
