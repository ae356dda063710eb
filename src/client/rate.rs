//! Rate limits: slots that are taken once and come back with time.

use std::time::Duration;

use super::acquire::take;
use super::cancel::Cancellation;
use super::error::{AcquireError, TryAcquireError};
use super::handle::Client;
use super::keys::Keys;
use super::plan::Draft;
use super::request::Request;
use super::scope::Tracker;
use crate::api::claim::{ClaimIfMissing, ClaimKind};

/// A request to take from limits with `decay`: all of it at once, or nothing. Nothing is held and nothing is given
/// back.
///
/// ```
/// use sluice::client::{Client, Limits};
/// use std::time::Duration;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let client = Client::embedded(Limits::new().rate("api", 5, Duration::from_secs(1)))?;
/// client.rate_limit("api").occupy(3).acquire().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use = "nothing is taken before acquire()"]
pub struct RateLimit(Request);

impl RateLimit {
    pub(super) fn new(client: Client, keys: impl Keys, draft: Draft) -> Self {
        let draft = Draft {
            kind: ClaimKind::RateLimit,
            lease: None,
            ..draft
        };
        Self(Request::for_keys(client, keys, draft))
    }

    pub(super) fn worker(self, worker: &str) -> Self {
        Self(self.0.worker(worker))
    }

    pub(super) fn tracked(mut self, tracker: std::sync::Arc<Tracker>) -> Self {
        self.0.tracker = Some(tracker);
        self
    }

    /// Takes so many of each, in place of one.
    ///
    /// ```
    /// # let client = sluice::client::Client::embedded([("gpu", 2)])?;
    /// let request = client.rate_limit("api").occupy(3);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn occupy(self, slots: u32) -> Self {
        Self(self.0.occupy(slots))
    }

    /// Waits for at most so long.
    ///
    /// ```
    /// # let client = sluice::client::Client::embedded([("gpu", 2)])?;
    /// let request = client.rate_limit("api").timeout(std::time::Duration::from_secs(30));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn timeout(self, timeout: Duration) -> Self {
        Self(self.0.timeout(timeout))
    }

    /// What a limit that does not exist means; `Deny` by default.
    ///
    /// ```
    /// # let client = sluice::client::Client::embedded([("gpu", 2)])?;
    /// use sluice::api::claim::ClaimIfMissing;
    ///
    /// let request = client.rate_limit("api").if_missing(ClaimIfMissing::Ignore);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn if_missing(self, if_missing: ClaimIfMissing) -> Self {
        Self(self.0.if_missing(if_missing))
    }

    /// Says who asks, for people.
    ///
    /// ```
    /// # let client = sluice::client::Client::embedded([("gpu", 2)])?;
    /// let request = client.rate_limit("api").holder("nightly report");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn holder(self, holder: impl Into<String>) -> Self {
        Self(self.0.holder(holder))
    }

    /// Place in the queue.
    ///
    /// ```
    /// # let client = sluice::client::Client::embedded([("gpu", 2)])?;
    /// let request = client.rate_limit("api").priority(-10);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn priority(self, priority: i32) -> Self {
        Self(self.0.priority(priority))
    }

    /// Stops waiting when this is cancelled.
    ///
    /// ```
    /// # let client = sluice::client::Client::embedded([("gpu", 2)])?;
    /// let cancel = sluice::client::Cancel::new();
    /// let request = client.rate_limit("api").cancel(&cancel);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn cancel(self, cancel: &(impl Cancellation + Clone + Send + Sync + 'static)) -> Self {
        Self(self.0.cancel(cancel))
    }

    /// Tries once, and so many times more, in place of queueing.
    ///
    /// ```
    /// # let client = sluice::client::Client::embedded([("gpu", 2)])?;
    /// let request = client.rate_limit("api").max_retries(3);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn max_retries(self, retries: u32) -> Self {
        Self(self.0.max_retries(retries))
    }

    /// Waits in the queue until all of it was taken.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let limits = sluice::client::Limits::new().rate("api", 5, std::time::Duration::from_secs(1));
    /// # let client = sluice::client::Client::embedded(limits)?;
    /// client.rate_limit("api").acquire().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn acquire(self) -> Result<(), AcquireError> {
        take(self.0.acquire().await?);
        Ok(())
    }

    /// Takes it if that is possible at once.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let limits = sluice::client::Limits::new().rate("api", 5, std::time::Duration::from_secs(1));
    /// # let client = sluice::client::Client::embedded(limits)?;
    /// if client.rate_limit("api").try_acquire().await.is_err() {
    ///     println!("not now");
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub async fn try_acquire(self) -> Result<(), TryAcquireError> {
        take(self.0.try_acquire().await?);
        Ok(())
    }
}
