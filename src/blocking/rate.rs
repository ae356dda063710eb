//! Rate limits for blocking callers.

use std::time::Duration;

use super::request::refused;
use super::wait::{may_wait, wait};
use crate::api::claim::ClaimIfMissing;
use crate::client::{self, AcquireError, Cancellation, TryAcquireError};

/// A request to take from limits with `decay`; see [`client::RateLimit`].
///
/// ```
/// # let limits = sluice::client::Limits::new().rate("api", 5, std::time::Duration::from_secs(1));
/// # let client = sluice::blocking::Client::embedded(limits)?;
/// client.rate_limit("api").occupy(3).acquire()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "nothing is taken before acquire()"]
pub struct RateLimit {
    client: client::Client,
    inner: client::RateLimit,
}

impl RateLimit {
    pub(super) fn new(client: client::Client, inner: client::RateLimit) -> Self {
        Self { client, inner }
    }

    fn map(self, word: impl FnOnce(client::RateLimit) -> client::RateLimit) -> Self {
        Self {
            client: self.client,
            inner: word(self.inner),
        }
    }

    /// Like [`client::RateLimit::occupy`].
    ///
    /// ```
    /// # let client = sluice::blocking::Client::embedded([("gpu", 2)])?;
    /// let request = client.rate_limit("api").occupy(3);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn occupy(self, slots: u32) -> Self {
        self.map(|request| request.occupy(slots))
    }

    /// Like [`client::RateLimit::timeout`].
    ///
    /// ```
    /// # let client = sluice::blocking::Client::embedded([("gpu", 2)])?;
    /// let request = client.rate_limit("api").timeout(std::time::Duration::from_secs(30));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn timeout(self, timeout: Duration) -> Self {
        self.map(|request| request.timeout(timeout))
    }

    /// Like [`client::RateLimit::if_missing`].
    ///
    /// ```
    /// # let client = sluice::blocking::Client::embedded([("gpu", 2)])?;
    /// use sluice::api::claim::ClaimIfMissing;
    ///
    /// let request = client.rate_limit("api").if_missing(ClaimIfMissing::Ignore);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn if_missing(self, if_missing: ClaimIfMissing) -> Self {
        self.map(|request| request.if_missing(if_missing))
    }

    /// Like [`client::RateLimit::holder`].
    ///
    /// ```
    /// # let client = sluice::blocking::Client::embedded([("gpu", 2)])?;
    /// let request = client.rate_limit("api").holder("nightly report");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn holder(self, holder: impl Into<String>) -> Self {
        self.map(|request| request.holder(holder))
    }

    /// Like [`client::RateLimit::priority`].
    ///
    /// ```
    /// # let client = sluice::blocking::Client::embedded([("gpu", 2)])?;
    /// let request = client.rate_limit("api").priority(-10);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn priority(self, priority: i32) -> Self {
        self.map(|request| request.priority(priority))
    }

    /// Like [`client::RateLimit::cancel`].
    ///
    /// ```
    /// # let client = sluice::blocking::Client::embedded([("gpu", 2)])?;
    /// let cancel = sluice::client::Cancel::new();
    /// let request = client.rate_limit("api").cancel(&cancel);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn cancel(self, cancel: &(impl Cancellation + Clone + Send + Sync + 'static)) -> Self {
        self.map(|request| request.cancel(cancel))
    }

    /// Like [`client::RateLimit::max_retries`].
    ///
    /// ```
    /// # let client = sluice::blocking::Client::embedded([("gpu", 2)])?;
    /// let request = client.rate_limit("api").max_retries(3);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn max_retries(self, retries: u32) -> Self {
        self.map(|request| request.max_retries(retries))
    }

    /// Blocks until all of it was taken.
    ///
    /// ```
    /// # let limits = sluice::client::Limits::new().rate("api", 5, std::time::Duration::from_secs(1));
    /// # let client = sluice::blocking::Client::embedded(limits)?;
    /// client.rate_limit("api").acquire()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn acquire(self) -> Result<(), AcquireError> {
        may_wait(&self.client).map_err(refused)?;
        wait(self.inner.acquire())
    }

    /// Takes it if that is possible at once.
    ///
    /// ```
    /// # let limits = sluice::client::Limits::new().rate("api", 5, std::time::Duration::from_secs(1));
    /// # let client = sluice::blocking::Client::embedded(limits)?;
    /// assert!(client.rate_limit("api").try_acquire().is_ok());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn try_acquire(self) -> Result<(), TryAcquireError> {
        may_wait(&self.client).map_err(refused)?;
        wait(self.inner.try_acquire())
    }
}
