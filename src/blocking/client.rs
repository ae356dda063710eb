//! How a blocking program comes to the SDK.

use std::time::Duration;

use super::locks::Locks;
use super::rate::RateLimit;
use super::request::Request;
use super::scope::{Scope, scope};
use super::slots::Slots;
use super::wait::{may_wait, wait};
use crate::client::{
    self, AcquireError, ClaimRef, ClientBuilder, ConnectError, DrainGuard, DrainReport,
    EmbeddedError, Keys, Limits, WorkerUnknown,
};

/// A process's way to slots and locks, for code that blocks. Clones are cheap and share everything, with each other and
/// with the async client that it was made of.
///
/// ```
/// # let client = sluice::blocking::Client::embedded([("gpu", 2)])?;
/// let slots = client.concurrency("gpu").acquire()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Client {
    inner: client::Client,
}

/// A client that takes the slots of one worker; see [`client::Worker`].
///
/// ```
/// # let client = sluice::blocking::Client::embedded(sluice::client::Limits::new().family("gpu", 1))?;
/// let slots = client.worker("worker-1")?.concurrency("gpu").acquire()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Worker {
    client: client::Client,
    inner: client::Worker,
}

impl From<client::Client> for Client {
    fn from(inner: client::Client) -> Self {
        Self { inner }
    }
}

impl Client {
    /// Connects with the ambient kubeconfig, or as the pod this runs in.
    ///
    /// ```
    /// # fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// let client = sluice::blocking::Client::try_default()?;
    /// # Ok(())
    /// # }
    /// ```
    #[cfg(feature = "client")]
    pub fn try_default() -> Result<Self, ConnectError> {
        Self::connect(Self::builder())
    }

    /// Says more than `try_default` does; [`Client::connect`] makes a client of it.
    ///
    /// ```
    /// let builder = sluice::blocking::Client::builder().namespace("team");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn builder() -> ClientBuilder {
        client::Client::builder()
    }

    /// Makes a client of what a builder was given.
    ///
    /// ```
    /// # fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// use sluice::blocking::Client;
    ///
    /// let client = Client::connect(Client::builder().namespace("team"))?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn connect(builder: ClientBuilder) -> Result<Self, ConnectError> {
        Ok(wait(builder.connect())?.into())
    }

    /// Makes a client whose limits, locks and claims are in this process alone.
    ///
    /// ```
    /// let client = sluice::blocking::Client::embedded([("gpu", 2)])?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn embedded(limits: impl Into<Limits>) -> Result<Self, EmbeddedError> {
        Ok(client::Client::embedded(limits)?.into())
    }

    /// The async client behind it.
    ///
    /// ```
    /// # let client = sluice::blocking::Client::embedded([("gpu", 2)])?;
    /// let waiting = client.as_async().concurrency("gpu").acquire();     // a future
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn as_async(&self) -> &client::Client {
        &self.inner
    }

    /// Like [`client::Client::request`].
    ///
    /// ```
    /// # let limits = sluice::client::Limits::new().slots("gpu", 2).lock("deploy");
    /// # let client = sluice::blocking::Client::embedded(limits)?;
    /// let slots = client.request().slots("gpu", 2).lock("deploy").acquire()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn request(&self) -> Request {
        Request::new(self.inner.clone(), self.inner.request())
    }

    /// Like [`client::Client::concurrency`].
    ///
    /// ```
    /// # let client = sluice::blocking::Client::embedded([("gpu", 2)])?;
    /// let slots = client.concurrency("gpu").occupy(2).acquire()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn concurrency(&self, keys: impl Keys) -> Request {
        Request::new(self.inner.clone(), self.inner.concurrency(keys))
    }

    /// Like [`client::Client::rate_limit`].
    ///
    /// ```
    /// # let limits = sluice::client::Limits::new().rate("api", 5, std::time::Duration::from_secs(1));
    /// # let client = sluice::blocking::Client::embedded(limits)?;
    /// client.rate_limit("api").occupy(3).acquire()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn rate_limit(&self, keys: impl Keys) -> RateLimit {
        RateLimit::new(self.inner.clone(), self.inner.rate_limit(keys))
    }

    /// Like [`client::Client::worker`].
    ///
    /// ```
    /// # fn example(client: sluice::blocking::Client) -> Result<(), Box<dyn std::error::Error>> {
    /// let worker = client.worker(None)?;     // SLUICE_WORKER, WORKER_ID or the label of the pod
    /// # Ok(())
    /// # }
    /// ```
    pub fn worker<'a>(&self, name: impl Into<Option<&'a str>>) -> Result<Worker, WorkerUnknown> {
        Ok(Worker {
            client: self.inner.clone(),
            inner: self.inner.worker(name)?,
        })
    }

    /// Runs a body, and returns when everything that it acquired through the scope was released.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let client = sluice::blocking::Client::embedded([("gpu", 1)])?;
    /// client.scope(|scope| {
    ///     // Forgotten on the way out of the scope, and released by it:
    ///     std::mem::forget(scope.concurrency("gpu").acquire());
    /// });
    /// client.concurrency("gpu").try_acquire()?.release()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn scope<T>(&self, body: impl FnOnce(&Scope) -> T) -> T {
        scope(&self.inner, body)
    }

    /// Like [`client::Client::resume`].
    ///
    /// ```
    /// # let client = sluice::blocking::Client::embedded([("gpu", 2)])?;
    /// let claim = client.concurrency("gpu").acquire()?.detach();
    /// if let Some(claim) = claim {
    ///     client.resume(claim)?.release()?;
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn resume(&self, claim: ClaimRef) -> Result<Slots, AcquireError> {
        may_wait(&self.inner).map_err(|error| AcquireError::Invalid(error.to_string()))?;
        let slots = wait(self.inner.resume(claim))?;
        Ok(Slots::new(self.inner.clone(), slots))
    }

    /// Locks by key and holder; see [`LockManager`](super::LockManager).
    ///
    /// ```
    /// # let client = sluice::blocking::Client::embedded(sluice::client::Limits::new().lock("report"))?;
    /// use sluice::blocking::LockManager as _;
    ///
    /// assert!(client.lock_manager().acquire("report", "run-7", None, None)?);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn lock_manager(&self) -> Locks {
        self.inner.lock_manager().into()
    }

    /// Acquires nothing any more, and waits until all is released, at most for so long. On a thread that does the I/O,
    /// it does not wait.
    ///
    /// ```
    /// # let client = sluice::blocking::Client::embedded([("gpu", 2)])?;
    /// assert!(client.close(std::time::Duration::from_secs(10)).is_clean());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn close(self, within: Duration) -> DrainReport {
        let within = if may_wait(&self.inner).is_ok() {
            within
        } else {
            Duration::ZERO
        };
        self.inner.close_blocking(within)
    }

    /// Like [`client::Client::drain_guard`].
    ///
    /// ```
    /// # let client = sluice::blocking::Client::embedded([("gpu", 2)])?;
    /// let _drain = client.drain_guard(std::time::Duration::from_secs(10));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn drain_guard(&self, within: impl Into<Option<Duration>>) -> DrainGuard {
        self.inner.drain_guard(within)
    }

    /// The namespace its claims are in.
    ///
    /// ```
    /// # let client = sluice::blocking::Client::embedded([("gpu", 2)])?;
    /// assert_eq!(client.namespace(), "embedded");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn namespace(&self) -> &str {
        self.inner.namespace()
    }
}

impl Worker {
    /// Name of the worker.
    ///
    /// ```
    /// # let worker = sluice::blocking::Client::embedded([("gpu", 2)])?.worker("worker-1")?;
    /// assert_eq!(worker.name(), "worker-1");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn name(&self) -> &str {
        self.inner.name()
    }

    /// Like [`client::Worker::request`].
    ///
    /// ```
    /// # let limits = sluice::client::Limits::new().family("gpu", 1);
    /// # let worker = sluice::blocking::Client::embedded(limits)?.worker("worker-1")?;
    /// let slots = worker.request().slots("gpu", 1).acquire()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn request(&self) -> Request {
        Request::new(self.client.clone(), self.inner.request())
    }

    /// Like [`client::Worker::concurrency`].
    ///
    /// ```
    /// # let limits = sluice::client::Limits::new().family("gpu", 1);
    /// # let worker = sluice::blocking::Client::embedded(limits)?.worker("worker-1")?;
    /// let slots = worker.concurrency("gpu").acquire()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn concurrency(&self, keys: impl Keys) -> Request {
        Request::new(self.client.clone(), self.inner.concurrency(keys))
    }

    /// Like [`client::Worker::rate_limit`].
    ///
    /// ```
    /// # let spec = serde_json::from_str(r#"{"slots": 5, "perWorker": {}, "decay": {"slots": 5}}"#)?;
    /// # let limits = sluice::client::Limits::new().limit("api", spec);
    /// # let worker = sluice::blocking::Client::embedded(limits)?.worker("worker-1")?;
    /// worker.rate_limit("api").acquire()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn rate_limit(&self, keys: impl Keys) -> RateLimit {
        RateLimit::new(self.client.clone(), self.inner.rate_limit(keys))
    }
}
