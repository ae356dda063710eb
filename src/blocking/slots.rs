//! The guard of what a blocking caller has acquired.

use std::time::Duration;

use super::wait::{may_wait, wait};
use crate::client::{self, Belief, ClaimRef, Loss, ReleaseError, Token};

/// Slots and locks that are held until this is released or dropped, or they are lost; see [`client::Slots`].
///
/// ```
/// # let client = sluice::blocking::Client::embedded([("gpu", 2)])?;
/// let slots = client.concurrency("gpu").acquire()?;
/// slots.check()?;
/// slots.release()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
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
    ///
    /// ```
    /// # let slots = sluice::blocking::Client::embedded([("gpu", 2)])?.concurrency("gpu").acquire()?;
    /// let count: u32 = slots.tokens().iter().map(|token| token.slots).sum();
    /// assert_eq!(count, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn tokens(&self) -> Vec<Token> {
        self.inner.tokens()
    }

    /// Like [`client::Slots::token`].
    ///
    /// ```
    /// # let slots = sluice::blocking::Client::embedded([("gpu", 2)])?.concurrency("gpu").acquire()?;
    /// let fence = slots.token("gpu");
    /// assert!(fence > Some(0));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn token(&self, key: &str) -> Option<i64> {
        self.inner.token(key)
    }

    /// Name of the claim.
    ///
    /// ```
    /// # let slots = sluice::blocking::Client::embedded([("gpu", 2)])?.concurrency("gpu").acquire()?;
    /// println!("kubectl get sclaim {}", slots.claim().unwrap_or_default());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn claim(&self) -> Option<String> {
        self.inner.claim()
    }

    /// UID of the claim.
    ///
    /// ```
    /// # let slots = sluice::blocking::Client::embedded([("gpu", 2)])?.concurrency("gpu").acquire()?;
    /// assert!(slots.uid().is_some());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn uid(&self) -> Option<String> {
        self.inner.uid()
    }

    /// What may be believed at this moment.
    ///
    /// ```
    /// # let slots = sluice::blocking::Client::embedded([("gpu", 2)])?.concurrency("gpu").acquire()?;
    /// assert_eq!(slots.state(), sluice::client::Belief::Held);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn state(&self) -> Belief {
        self.inner.state()
    }

    /// Fails once it is lost; asks nobody, and never blocks.
    ///
    /// ```
    /// # let slots = sluice::blocking::Client::embedded([("gpu", 2)])?.concurrency("gpu").acquire()?;
    /// slots.check()?;     // before each step that needs them
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn check(&self) -> Result<(), Loss> {
        self.inner.check()
    }

    /// How it was lost, if it was; never blocks.
    ///
    /// ```
    /// # let slots = sluice::blocking::Client::embedded([("gpu", 2)])?.concurrency("gpu").acquire()?;
    /// assert_eq!(slots.lost(), None);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn lost(&self) -> Option<Loss> {
        self.check().err()
    }

    /// Blocks until it is lost, at most for so long; how.
    ///
    /// ```
    /// # let slots = sluice::blocking::Client::embedded([("gpu", 2)])?.concurrency("gpu").acquire()?;
    /// assert_eq!(slots.wait_lost(std::time::Duration::from_millis(5)), None);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
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
    ///
    /// ```
    /// # let slots = sluice::blocking::Client::embedded([("gpu", 2)])?.concurrency("gpu").acquire()?;
    /// slots.release()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
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
    ///
    /// ```
    /// # let slots = sluice::blocking::Client::embedded([("gpu", 2)])?.concurrency("gpu").acquire()?;
    /// let claim = slots.detach();
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn detach(self) -> Option<ClaimRef> {
        self.inner.detach()
    }

    /// The guard for async code.
    ///
    /// ```
    /// # let slots = sluice::blocking::Client::embedded([("gpu", 2)])?.concurrency("gpu").acquire()?;
    /// let slots: sluice::client::Slots = slots.into_async();
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn into_async(self) -> client::Slots {
        self.inner
    }
}
