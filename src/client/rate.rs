//! Rate limits: slots that are taken once and come back with time.

use std::time::Duration;

use super::acquire::take;
use super::builder::Client;
use super::cancel::Cancellation;
use super::error::{AcquireError, TryAcquireError};
use super::keys::Keys;
use super::plan::Draft;
use super::request::Request;
use super::scope::Tracker;
use crate::api::claim::{ClaimIfMissing, ClaimKind};

/// A request to take from limits with `decay`: all of it at once, or nothing. Nothing is held and nothing is given
/// back.
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
    pub fn occupy(self, slots: u32) -> Self {
        Self(self.0.occupy(slots))
    }

    /// Waits for at most so long.
    pub fn timeout(self, timeout: Duration) -> Self {
        Self(self.0.timeout(timeout))
    }

    /// What a limit that does not exist means; `Deny` by default.
    pub fn if_missing(self, if_missing: ClaimIfMissing) -> Self {
        Self(self.0.if_missing(if_missing))
    }

    /// Says who asks, for people.
    pub fn holder(self, holder: impl Into<String>) -> Self {
        Self(self.0.holder(holder))
    }

    /// Place in the queue.
    pub fn priority(self, priority: i32) -> Self {
        Self(self.0.priority(priority))
    }

    /// Stops waiting when this is cancelled.
    pub fn cancel(self, cancel: &(impl Cancellation + Clone + Send + Sync + 'static)) -> Self {
        Self(self.0.cancel(cancel))
    }

    /// Tries once, and so many times more, in place of queueing.
    pub fn max_retries(self, retries: u32) -> Self {
        Self(self.0.max_retries(retries))
    }

    /// Waits in the queue until all of it was taken.
    pub async fn acquire(self) -> Result<(), AcquireError> {
        take(self.0.acquire().await?);
        Ok(())
    }

    /// Takes it if that is possible at once.
    pub async fn try_acquire(self) -> Result<(), TryAcquireError> {
        take(self.0.try_acquire().await?);
        Ok(())
    }
}
