//! The guard of what a blocking caller has acquired.

use std::time::Duration;

use super::wait::{may_wait, wait};
use crate::client::{self, Belief, ClaimRef, Loss, ReleaseError, Token};

/// Slots and locks that are held until this is released or dropped, or they are lost; see [`client::Slots`].
#[derive(Debug)]
#[must_use = "the slots are released when this is dropped"]
pub struct Slots {
    client: client::Client,
    inner: client::Slots,
}

impl Slots {
    pub(super) fn new(client: client::Client, inner: client::Slots) -> Self {
        Self { client, inner }
    }

    /// Fencing tokens of what is held.
    pub fn tokens(&self) -> Vec<Token> {
        self.inner.tokens()
    }

    /// Like [`client::Slots::token`].
    pub fn token(&self, key: &str) -> Option<i64> {
        self.inner.token(key)
    }

    /// Name of the claim.
    pub fn claim(&self) -> Option<String> {
        self.inner.claim()
    }

    /// UID of the claim.
    pub fn uid(&self) -> Option<String> {
        self.inner.uid()
    }

    /// What may be believed at this moment.
    pub fn state(&self) -> Belief {
        self.inner.state()
    }

    /// Fails once it is lost; asks nobody, and never blocks.
    pub fn check(&self) -> Result<(), Loss> {
        self.inner.check()
    }

    /// How it was lost, if it was; never blocks.
    pub fn lost(&self) -> Option<Loss> {
        self.check().err()
    }

    /// Blocks until it is lost, at most for so long; how.
    pub fn wait_lost(&self, within: Duration) -> Option<Loss> {
        let lost = Box::pin(self.inner.lost());
        let pause = Box::pin(self.client.pause(within));
        match wait(futures::future::select(lost, pause)) {
            futures::future::Either::Left((loss, _)) => Some(loss),
            futures::future::Either::Right(_) => None,
        }
    }

    /// Gives it back, and blocks until that was acknowledged. On a thread that does the I/O it is given back and not
    /// waited for, which is an error.
    pub fn release(self) -> Result<(), ReleaseError> {
        if let Err(error) = may_wait(&self.client) {
            let claim = self.claim().unwrap_or_default();
            return Err(ReleaseError::Unavailable {
                claim,
                detail: error.to_string(),
            });
        }
        wait(self.inner.release())
    }

    /// Ends the guard without giving anything back; see [`client::Slots::detach`].
    pub fn detach(self) -> Option<ClaimRef> {
        self.inner.detach()
    }

    /// The guard for async code.
    pub fn into_async(self) -> client::Slots {
        self.inner
    }
}
