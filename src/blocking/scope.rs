//! A stretch of blocking work that leaves nothing behind.

use super::client::Client;
use super::rate::RateLimit;
use super::request::Request;
use super::wait::wait;
use crate::client::{self, Keys};

/// What acquires within [`Client::scope`]: whatever was acquired through it is released when the scope ends.
///
/// ```
/// # let client = sluice::blocking::Client::embedded([("gpu", 2)])?;
/// client.scope(|scope| scope.concurrency("gpu").acquire().map(std::mem::forget))?;
/// client.concurrency("gpu").occupy(2).try_acquire()?;     // nothing is held any more
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Scope {
    inner: client::Scope,
}

impl Scope {
    /// Like [`Client::request`].
    ///
    /// ```
    /// # let client = sluice::blocking::Client::embedded(sluice::client::Limits::new().lock("deploy"))?;
    /// # client.scope(|scope| {
    /// let slots = scope.request().lock("deploy").acquire()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn request(&self) -> Request {
        Request::new(self.inner.client().clone(), self.inner.request())
    }

    /// Like [`Client::concurrency`].
    ///
    /// ```
    /// # let client = sluice::blocking::Client::embedded([("gpu", 2)])?;
    /// # client.scope(|scope| {
    /// let slots = scope.concurrency("gpu").acquire()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn concurrency(&self, keys: impl Keys) -> Request {
        Request::new(self.inner.client().clone(), self.inner.concurrency(keys))
    }

    /// Like [`Client::rate_limit`].
    ///
    /// ```
    /// # let limits = sluice::client::Limits::new().rate("api", 5, std::time::Duration::from_secs(1));
    /// # let client = sluice::blocking::Client::embedded(limits)?;
    /// # client.scope(|scope| {
    /// scope.rate_limit("api").acquire()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn rate_limit(&self, keys: impl Keys) -> RateLimit {
        RateLimit::new(self.inner.client().clone(), self.inner.rate_limit(keys))
    }

    /// The client it belongs to; what is acquired through it is not the scope's.
    ///
    /// ```
    /// # let client = sluice::blocking::Client::embedded([("gpu", 2)])?;
    /// # client.scope(|scope| {
    /// assert_eq!(scope.client().namespace(), "embedded");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn client(&self) -> Client {
        self.inner.client().clone().into()
    }
}

pub(super) fn scope<T>(client: &client::Client, body: impl FnOnce(&Scope) -> T) -> T {
    wait(client.scope(async |inner| body(&Scope { inner })))
}
