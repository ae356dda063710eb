//! What a store in the caller's own process can do beside a [`Store`](super::Store): decide at once, on the thread that
//! asks. An acquisition that is granted that way costs no task, no watch and no renewal; one that has to wait goes on
//! like any other.

use std::fmt::Debug;
use std::sync::Arc;

use super::lease::Loss;
use super::slots::Token;
use super::store::{ClaimVersion, NewClaim, StoreError};
use crate::api::claim::SlotClaimSpec;
use crate::ledger::Uid;

/// Who holds a claim in this process, and is told when it is lost.
///
/// ```
/// use sluice::client::Loss;
/// use sluice::client::direct::Holder;
///
/// #[derive(Debug)]
/// struct Says;
///
/// impl Holder for Says {
///     fn lost(&self, loss: Loss) {
///         eprintln!("{loss}");
///     }
/// }
/// ```
pub trait Holder: Debug + Send + Sync {
    /// It is lost.
    ///
    /// ```
    /// # use sluice::client::{Loss, direct::Holder};
    /// # #[derive(Debug)] struct Tells(std::sync::mpsc::Sender<Loss>);
    /// # impl Holder for Tells { fn lost(&self, loss: Loss) { drop(self.0.send(loss)) } }
    /// let (sender, losses) = std::sync::mpsc::channel();
    /// Tells(sender).lost(Loss::Gone);
    /// assert_eq!(losses.recv(), Ok(Loss::Gone));
    /// ```
    fn lost(&self, loss: Loss);
}

/// A claim that is held directly.
///
/// ```
/// # fn example(id: sluice::client::direct::DirectId) {
/// println!("claim {}", id.as_str());
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct DirectId(pub(crate) Uid);

impl DirectId {
    /// UID of the claim.
    ///
    /// ```
    /// # fn example(id: sluice::client::direct::DirectId) {
    /// println!("claim {}", id.as_str());
    /// # }
    /// ```
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

/// What became of a claim at once.
///
/// ```
/// # fn example(claimed: sluice::client::direct::AtOnce) {
/// use sluice::client::direct::AtOnce;
///
/// let is_held = matches!(claimed, AtOnce::Granted(_));
/// # }
/// ```
#[derive(Debug)]
pub enum AtOnce {
    /// It is granted, and lasts as long as the process does not give it back.
    Granted(DirectId),
    /// It waits, or was refused: it has to be let go of, and followed like any other claim.
    /// Its spec is given back.
    Waits(DirectId, Box<SlotClaimSpec>),
}

/// A store that decides on the thread that asks.
///
/// ```
/// use sluice::client::Embedded;
/// use sluice::client::store::Store as _;
///
/// let embedded = Embedded::new([("gpu", 1)])?;
/// assert!(embedded.direct().is_some());
/// # Ok::<(), sluice::client::EmbeddedError>(())
/// ```
pub trait Direct: Debug + Send + Sync {
    /// Creates a claim.
    ///
    /// ```
    /// # use sluice::client::{Embedded, Loss, direct::{AtOnce, Direct as _, Holder}, store::NewClaim};
    /// # #[derive(Debug)] struct Says;
    /// # impl Holder for Says { fn lost(&self, loss: Loss) { eprintln!("{loss}") } }
    /// # let embedded = Embedded::new([("gpu", 1)])?;
    /// # let spec = serde_json::from_str(r#"{"session": "a1b2", "slots": [{"limit": "gpu"}]}"#)?;
    /// let claim = NewClaim { name: "build-7".into(), spec };
    /// let claimed = embedded.claim(claim, std::sync::Arc::new(Says))?;
    /// assert!(matches!(claimed, AtOnce::Granted(_)));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    fn claim(&self, claim: NewClaim, holder: Arc<dyn Holder>) -> Result<AtOnce, StoreError>;

    /// Tokens of what it holds.
    ///
    /// ```
    /// # use sluice::client::{Embedded, Loss, direct::{AtOnce, Direct as _, Holder}, store::NewClaim};
    /// # #[derive(Debug)] struct Says;
    /// # impl Holder for Says { fn lost(&self, loss: Loss) { eprintln!("{loss}") } }
    /// # let embedded = Embedded::new([("gpu", 1)])?;
    /// # let spec = serde_json::from_str(r#"{"session": "a1b2", "slots": [{"limit": "gpu"}]}"#)?;
    /// # let claim = NewClaim { name: "build-7".into(), spec };
    /// # let AtOnce::Granted(id) = embedded.claim(claim, std::sync::Arc::new(Says))? else { panic!("it waits") };
    /// assert_eq!(embedded.tokens(&id)[0].key, "gpu");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    fn tokens(&self, id: &DirectId) -> Vec<Token>;

    /// Gives it back.
    ///
    /// ```
    /// # use sluice::client::{Embedded, Loss, direct::{AtOnce, Direct as _, Holder}, store::NewClaim};
    /// # #[derive(Debug)] struct Says;
    /// # impl Holder for Says { fn lost(&self, loss: Loss) { eprintln!("{loss}") } }
    /// # let embedded = Embedded::new([("gpu", 1)])?;
    /// # let spec = serde_json::from_str(r#"{"session": "a1b2", "slots": [{"limit": "gpu"}]}"#)?;
    /// # let claim = NewClaim { name: "build-7".into(), spec };
    /// # let AtOnce::Granted(id) = embedded.claim(claim, std::sync::Arc::new(Says))? else { panic!("it waits") };
    /// embedded.give_back(&id);
    /// assert!(embedded.tokens(&id).is_empty());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    fn give_back(&self, id: &DirectId);

    /// Leaves it to its lease: it is like any other claim of the store from now on. One that was refused is gone then.
    ///
    /// ```
    /// # use sluice::client::{Embedded, Loss, direct::{AtOnce, Direct as _, Holder}, store::NewClaim};
    /// # #[derive(Debug)] struct Says;
    /// # impl Holder for Says { fn lost(&self, loss: Loss) { eprintln!("{loss}") } }
    /// # let embedded = Embedded::new([("gpu", 1)])?;
    /// # let spec = serde_json::from_str(r#"{"session": "a1b2", "slots": [{"limit": "gpu"}]}"#)?;
    /// # let claim = NewClaim { name: "build-7".into(), spec };
    /// # let AtOnce::Granted(id) = embedded.claim(claim, std::sync::Arc::new(Says))? else { panic!("it waits") };
    /// let claim = embedded.let_go(&id);     // whoever knows its name can go on with it
    /// assert_eq!(claim.map(|claim| claim.name).as_deref(), Some("build-7"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    fn let_go(&self, id: &DirectId) -> Option<ClaimVersion>;
}
