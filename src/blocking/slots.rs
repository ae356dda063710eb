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
    /// # fn example(slots: sluice::blocking::Slots) {
    /// let count: u32 = slots.tokens().iter().map(|token| token.slots).sum();
    /// # }
    /// ```
    pub fn tokens(&self) -> Vec<Token> {
        self.inner.tokens()
    }

    /// Like [`client::Slots::token`].
    ///
    /// ```
    /// # fn example(slots: sluice::blocking::Slots) {
    /// let fence = slots.token("db");
    /// # }
    /// ```
    pub fn token(&self, key: &str) -> Option<i64> {
        self.inner.token(key)
    }

    /// Name of the claim.
    ///
    /// ```
    /// # fn example(slots: sluice::blocking::Slots) {
    /// println!("kubectl get sclaim {}", slots.claim().unwrap_or_default());
    /// # }
    /// ```
    pub fn claim(&self) -> Option<String> {
        self.inner.claim()
    }

    /// UID of the claim.
    ///
    /// ```
    /// # fn example(slots: sluice::blocking::Slots) {
    /// let uid = slots.uid();
    /// # }
    /// ```
    pub fn uid(&self) -> Option<String> {
        self.inner.uid()
    }

    /// What may be believed at this moment.
    ///
    /// ```
    /// # fn example(slots: sluice::blocking::Slots) {
    /// let may_begin = slots.state() == sluice::client::Belief::Held;
    /// # }
    /// ```
    pub fn state(&self) -> Belief {
        self.inner.state()
    }

    /// Fails once it is lost; asks nobody, and never blocks.
    ///
    /// ```
    /// # fn example(slots: sluice::blocking::Slots) -> Result<(), Box<dyn std::error::Error>> {
    /// slots.check()?;     // before each step that needs them
    /// # Ok(())
    /// # }
    /// ```
    pub fn check(&self) -> Result<(), Loss> {
        self.inner.check()
    }

    /// How it was lost, if it was; never blocks.
    ///
    /// ```
    /// # fn example(slots: sluice::blocking::Slots) {
    /// if let Some(loss) = slots.lost() {
    ///     eprintln!("{loss}");
    /// }
    /// # }
    /// ```
    pub fn lost(&self) -> Option<Loss> {
        self.check().err()
    }

    /// Blocks until it is lost, at most for so long; how.
    ///
    /// ```
    /// # fn example(slots: sluice::blocking::Slots) {
    /// let lost = slots.wait_lost(std::time::Duration::from_secs(1));
    /// # }
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
    /// # fn example(slots: sluice::blocking::Slots) -> Result<(), Box<dyn std::error::Error>> {
    /// slots.release()?;
    /// # Ok(())
    /// # }
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
    /// # fn example(slots: sluice::blocking::Slots) {
    /// let claim = slots.detach();
    /// # }
    /// ```
    pub fn detach(self) -> Option<ClaimRef> {
        self.inner.detach()
    }

    /// The guard for async code.
    ///
    /// ```
    /// # fn example(slots: sluice::blocking::Slots) {
    /// let slots: sluice::client::Slots = slots.into_async();
    /// # }
    /// ```
    pub fn into_async(self) -> client::Slots {
        self.inner
    }
}
