//! How a blocking program comes to the SDK.

use std::time::Duration;

use super::locks::Locks;
use super::request::{RateLimit, Request};
use super::scope::{Scope, scope};
use super::slots::Slots;
use super::wait::{may_wait, wait};
use crate::client::{
    self, AcquireError, ClaimRef, ClientBuilder, ConnectError, DrainGuard, DrainReport,
    EmbeddedError, Keys, Limits, WorkerUnknown,
};

/// A process's way to slots and locks, for code that blocks. Clones are cheap and share everything, with each other and
/// with the async client that it was made of.
#[derive(Clone, Debug)]
pub struct Client {
    inner: client::Client,
}

/// A client that takes the slots of one worker; see [`client::Worker`].
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
    #[cfg(feature = "client")]
    pub fn try_default() -> Result<Self, ConnectError> {
        Self::connect(Self::builder())
    }

    /// Says more than `try_default` does; [`Client::connect`] makes a client of it.
    pub fn builder() -> ClientBuilder {
        client::Client::builder()
    }

    /// Makes a client of what a builder was given.
    pub fn connect(builder: ClientBuilder) -> Result<Self, ConnectError> {
        Ok(wait(builder.connect())?.into())
    }

    /// Makes a client whose limits, locks and claims are in this process alone.
    pub fn embedded(limits: impl Into<Limits>) -> Result<Self, EmbeddedError> {
        Ok(client::Client::embedded(limits)?.into())
    }

    /// The async client behind it.
    pub fn as_async(&self) -> &client::Client {
        &self.inner
    }

    /// Like [`client::Client::request`].
    pub fn request(&self) -> Request {
        Request::new(self.inner.clone(), self.inner.request())
    }

    /// Like [`client::Client::concurrency`].
    pub fn concurrency(&self, keys: impl Keys) -> Request {
        Request::new(self.inner.clone(), self.inner.concurrency(keys))
    }

    /// Like [`client::Client::rate_limit`].
    pub fn rate_limit(&self, keys: impl Keys) -> RateLimit {
        RateLimit::new(self.inner.clone(), self.inner.rate_limit(keys))
    }

    /// Like [`client::Client::worker`].
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
    pub fn resume(&self, claim: ClaimRef) -> Result<Slots, AcquireError> {
        may_wait(&self.inner).map_err(|error| AcquireError::Invalid(error.to_string()))?;
        let slots = wait(self.inner.resume(claim))?;
        Ok(Slots::new(self.inner.clone(), slots))
    }

    /// Locks by key and holder; see [`LockManager`](super::LockManager).
    pub fn lock_manager(&self) -> Locks {
        self.inner.lock_manager().into()
    }

    /// Acquires nothing any more, and waits until all is released, at most for so long. On a thread that does the I/O,
    /// it does not wait.
    pub fn close(self, within: Duration) -> DrainReport {
        let within = if may_wait(&self.inner).is_ok() {
            within
        } else {
            Duration::ZERO
        };
        self.inner.close_blocking(within)
    }

    /// Like [`client::Client::drain_guard`].
    pub fn drain_guard(&self, within: impl Into<Option<Duration>>) -> DrainGuard {
        self.inner.drain_guard(within)
    }

    /// The namespace its claims are in.
    pub fn namespace(&self) -> &str {
        self.inner.namespace()
    }
}

impl Worker {
    /// Name of the worker.
    pub fn name(&self) -> &str {
        self.inner.name()
    }

    /// Like [`client::Worker::request`].
    pub fn request(&self) -> Request {
        Request::new(self.client.clone(), self.inner.request())
    }

    /// Like [`client::Worker::concurrency`].
    pub fn concurrency(&self, keys: impl Keys) -> Request {
        Request::new(self.client.clone(), self.inner.concurrency(keys))
    }

    /// Like [`client::Worker::rate_limit`].
    pub fn rate_limit(&self, keys: impl Keys) -> RateLimit {
        RateLimit::new(self.client.clone(), self.inner.rate_limit(keys))
    }
}
