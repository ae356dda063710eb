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
    /// # fn example(scope: &sluice::blocking::Scope) -> Result<(), Box<dyn std::error::Error>> {
    /// let slots = scope.request().lock("deploy").acquire()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn request(&self) -> Request {
        Request::new(self.inner.client().clone(), self.inner.request())
    }

    /// Like [`Client::concurrency`].
    ///
    /// ```
    /// # fn example(scope: &sluice::blocking::Scope) -> Result<(), Box<dyn std::error::Error>> {
    /// let slots = scope.concurrency("gpu").acquire()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn concurrency(&self, keys: impl Keys) -> Request {
        Request::new(self.inner.client().clone(), self.inner.concurrency(keys))
    }

    /// Like [`Client::rate_limit`].
    ///
    /// ```
    /// # fn example(scope: &sluice::blocking::Scope) -> Result<(), Box<dyn std::error::Error>> {
    /// scope.rate_limit("api").acquire()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn rate_limit(&self, keys: impl Keys) -> RateLimit {
        RateLimit::new(self.inner.client().clone(), self.inner.rate_limit(keys))
    }

    /// The client it belongs to; what is acquired through it is not the scope's.
    ///
    /// ```
    /// # fn example(scope: &sluice::blocking::Scope) -> Result<(), Box<dyn std::error::Error>> {
    /// println!("claims in {}", scope.client().namespace());
    /// # Ok(())
    /// # }
    /// ```
    pub fn client(&self) -> Client {
        self.inner.client().clone().into()
    }
}

pub(super) fn scope<T>(client: &client::Client, body: impl FnOnce(&Scope) -> T) -> T {
    wait(client.scope(async |inner| body(&Scope { inner })))
}
