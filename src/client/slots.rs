//! The guard of what was acquired, and what is left of one that was detached.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::engine::Engine;
use super::error::ReleaseError;
use super::hold::{Hold, Wish};
use super::lease::{Belief, Loss};
use crate::api::claim::ClaimGrant;
use crate::api::granted::GrantedKind;

/// A fencing token: higher than that of every earlier holder of the same limit or lock. Pass it along with every
/// write that must not come from a holder that has lost its slots without knowing.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let slots = sluice::client::Client::embedded([("gpu", 2)])?.concurrency("gpu").acquire().await?;
/// for token in slots.tokens() {
///     println!("{}/{}: {} slots, token {}", token.namespace, token.key, token.slots, token.token);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token {
    /// It is of a lock, or else of a limit.
    pub lock: bool,
    /// Namespace of the limit or lock.
    pub namespace: String,
    /// Its key.
    pub key: String,
    /// How many slots are held; 0 for a lock.
    pub slots: u32,
    /// The token.
    pub token: i64,
}

impl From<&ClaimGrant> for Token {
    fn from(grant: &ClaimGrant) -> Self {
        Self {
            lock: grant.kind == GrantedKind::Lock,
            namespace: grant.namespace.clone(),
            key: grant.key.clone(),
            slots: grant
                .slots
                .and_then(|slots| u32::try_from(slots).ok())
                .unwrap_or(0),
            token: grant.token,
        }
    }
}

/// What is left of a guard that was detached: enough to resume it, here or in another process, until its lease runs
/// out. It can be resumed once.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let slots = sluice::client::Client::embedded([("gpu", 2)])?.concurrency("gpu").acquire().await?;
/// if let Some(claim) = slots.detach() {
///     let sent = serde_json::to_string(&claim)?;      // to another process, which resumes it
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClaimRef {
    /// Namespace of the claim.
    pub namespace: String,
    /// Name of the claim.
    pub name: String,
    /// UID of the claim.
    pub uid: String,
    /// Session that held it.
    pub session: String,
}

/// Slots and locks that are held until this is released or dropped, or they are lost.
///
/// Dropping it hands the release over to the SDK's own thread and never blocks; [`Slots::release`] waits until the
/// release was acknowledged.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let client = sluice::client::Client::embedded([("gpu", 2)])?;
/// let slots = client.concurrency("gpu").acquire().await?;
/// slots.check()?;     // reads a clock, asks nobody
/// slots.release().await?;
/// # Ok(())
/// # }
/// ```
#[must_use = "the slots are released when this is dropped"]
pub struct Slots {
    held: Option<Held>,
}

struct Held {
    hold: Arc<Hold>,
    engine: Arc<Engine>,
}

impl Slots {
    /// What a request for nothing gets.
    pub(super) fn nothing() -> Self {
        Self { held: None }
    }

    /// The guard of an acquisition; it may not have come to anything yet.
    pub(super) fn of(hold: Arc<Hold>, engine: Arc<Engine>) -> Self {
        Self {
            held: Some(Held { hold, engine }),
        }
    }

    /// The fencing tokens, one for each limit and lock.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let slots = sluice::client::Client::embedded([("gpu", 2)])?.concurrency("gpu").acquire().await?;
    /// let count: u32 = slots.tokens().iter().map(|token| token.slots).sum();
    /// assert_eq!(count, 1);
    /// # Ok(())
    /// # }
    /// ```
    pub fn tokens(&self) -> Vec<Token> {
        let held = self.held.as_ref();
        held.map(|held| held.hold.tokens()).unwrap_or_default()
    }

    /// The fencing token of a limit or lock, by its key.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let slots = sluice::client::Client::embedded([("gpu", 2)])?.concurrency("gpu").acquire().await?;
    /// let fence = slots.token("gpu");
    /// assert!(fence > Some(0));
    /// # Ok(())
    /// # }
    /// ```
    pub fn token(&self, key: &str) -> Option<i64> {
        let found = self.tokens().into_iter().find(|token| token.key == key);
        found.map(|token| token.token)
    }

    /// Name of the claim; `None` where nothing was asked for.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let slots = sluice::client::Client::embedded([("gpu", 2)])?.concurrency("gpu").acquire().await?;
    /// println!("kubectl get sclaim {}", slots.claim().unwrap_or_default());
    /// # Ok(())
    /// # }
    /// ```
    pub fn claim(&self) -> Option<String> {
        self.held.as_ref().map(|held| held.hold.name().to_owned())
    }

    /// UID of the claim.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let slots = sluice::client::Client::embedded([("gpu", 2)])?.concurrency("gpu").acquire().await?;
    /// assert!(slots.uid().is_some());
    /// # Ok(())
    /// # }
    /// ```
    pub fn uid(&self) -> Option<String> {
        self.held.as_ref().map(|held| held.hold.uid())
    }

    /// What may be believed at this moment, by the clock.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let slots = sluice::client::Client::embedded([("gpu", 2)])?.concurrency("gpu").acquire().await?;
    /// assert_eq!(slots.state(), sluice::client::Belief::Held);
    /// # Ok(())
    /// # }
    /// ```
    pub fn state(&self) -> Belief {
        match &self.held {
            None => Belief::Held,
            Some(held) => held.hold.belief().unwrap_or(Belief::Lost),
        }
    }

    /// For how long it may be believed from now on if no further renewal is acknowledged, and how long its lease is: for
    /// whoever has to stop something else in time. `None` where nothing was asked for.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let slots = sluice::client::Client::embedded([("gpu", 2)])?.concurrency("gpu").acquire().await?;
    /// if let Some((left, whole)) = slots.lease() {
    ///     println!("{left:?} of {whole:?}");
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn lease(&self) -> Option<(Duration, Duration)> {
        let hold = self.hold()?;
        hold.lease(|lease, now| (lease.changes_in(now), lease.duration()))
    }

    /// Fails once it is lost. To be called right before every step that must not be done without the slots; it reads
    /// the clock, and asks nobody.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let slots = sluice::client::Client::embedded([("gpu", 2)])?.concurrency("gpu").acquire().await?;
    /// for step in ["read", "write"] {
    ///     slots.check()?;
    ///     println!("{step}");
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn check(&self) -> Result<(), Loss> {
        match (&self.held, self.state()) {
            (Some(held), Belief::Lost) => Err(held.hold.loss().unwrap_or(Loss::Closed)),
            _ => Ok(()),
        }
    }

    /// Is ready once it is lost; how. It may outlive the guard, and is then never ready.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let slots = sluice::client::Client::embedded([("gpu", 2)])?.concurrency("gpu").acquire().await?;
    /// let lost = slots.lost();    // may outlive the guard
    /// tokio::spawn(async move { eprintln!("{}", lost.await) });
    /// # Ok(())
    /// # }
    /// ```
    pub fn lost(&self) -> impl Future<Output = Loss> + Send + Sync + 'static + use<> {
        let losses = self.held.as_ref().map(|held| held.hold.losses());
        async move {
            if let Some(mut losses) = losses
                && let Ok(loss) = losses.wait_for(Option::is_some).await
                && let Some(loss) = loss.clone()
            {
                return loss;
            }
            std::future::pending().await
        }
    }

    /// Gives it back, and waits until that was acknowledged. Dropping the future gives it back all the same.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let slots = sluice::client::Client::embedded([("gpu", 2)])?.concurrency("gpu").acquire().await?;
    /// slots.release().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn release(self) -> Result<(), ReleaseError> {
        let Some(held) = &self.held else {
            return Ok(());
        };
        let hold = Arc::clone(&held.hold);
        if let Err(loss) = self.check() {
            hold.wish(Wish::Release);
            return Err(ReleaseError::Lost {
                claim: hold.name().to_owned(),
                loss,
            });
        }
        hold.wish(Wish::Release);
        drop(self);
        hold.ended().await
    }

    /// Ends the guard without giving anything back: the claim stays granted until its lease runs out, or somebody
    /// resumes it. `None` where nothing was asked for.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let slots = sluice::client::Client::embedded([("gpu", 2)])?.concurrency("gpu").acquire().await?;
    /// let claim = slots.detach();     // held until its lease runs out, or somebody resumes it
    /// # Ok(())
    /// # }
    /// ```
    pub fn detach(self) -> Option<ClaimRef> {
        let held = self.held.as_ref()?;
        held.engine.leave_alone(&held.hold.uid());
        held.hold.wish(Wish::Detach);
        Some(ClaimRef {
            namespace: held.engine.store().namespace().to_owned(),
            name: held.hold.name().to_owned(),
            uid: held.hold.uid(),
            session: held.engine.session().to_owned(),
        })
    }

    /// The acquisition behind it.
    pub(super) fn hold(&self) -> Option<&Arc<Hold>> {
        self.held.as_ref().map(|held| &held.hold)
    }
}

impl Drop for Slots {
    fn drop(&mut self) {
        if let Some(held) = &self.held {
            held.hold.wish(Wish::Release);
        }
    }
}

impl fmt::Debug for Slots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Slots")
            .field("claim", &self.claim())
            .field("state", &self.state())
            .finish_non_exhaustive()
    }
}
