//! Everything that the SDK asks of a server, as plain data.
//!
//! One implementation is [`Cluster`](super::Cluster), an API server; a ledger inside the process is another. A store
//! sends each request once: it never repeats one by itself, and it says honestly when it does not know whether a
//! request was applied ([`StoreError::Unknown`]). It decides nothing. Tests put one around another to lose answers.
//!
//! | file | what |
//! |---|---|
//! | `claim` | claims, as they are created, read, written and watched |
//! | `sight` | what stands in a request's way |

mod claim;
mod sight;

use std::fmt::Debug;
use std::time::Duration;

use async_trait::async_trait;
use futures::stream::BoxStream;

use super::direct::Direct;
use crate::api::limit::ConcurrencyLimitSpec;
use crate::api::lock::LockSpec;

pub use claim::{ClaimAt, ClaimVersion, NewClaim, Swap, Watched};
pub use sight::{Found, HeldBy, Sight, Wanted};

/// Why a request was not done, or is not known to be.
///
/// ```
/// use sluice::client::store::StoreError;
///
/// let unknown = StoreError::Unknown("timed out".to_owned());
/// assert_eq!(unknown.to_string(), "no answer: timed out");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// There is an object of that name already.
    #[error("exists already: {0}")]
    Exists(String),
    /// The object, or its kind, or its namespace, does not exist.
    #[error("does not exist: {0}")]
    NotFound(String),
    /// A test did not hold, or a rule of the server: not applied.
    #[error("refused: {0}")]
    Refused(String),
    /// It is no valid object.
    #[error("invalid: {0}")]
    Invalid(String),
    /// The caller may not: not applied.
    #[error("forbidden: {0}")]
    Forbidden(String),
    /// No answer, or one that says nothing: it may be applied, now or later.
    #[error("no answer: {0}")]
    Unknown(String),
}

/// A server that keeps claims of one namespace.
///
/// ```
/// use sluice::client::{Embedded, Store};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let store: Box<dyn Store> = Box::new(Embedded::new([("gpu", 2)])?);
/// assert_eq!(store.get("none").await?, None);
/// # Ok(())
/// # }
/// ```
#[async_trait]
pub trait Store: Debug + Send + Sync + 'static {
    /// The namespace its claims are in.
    ///
    /// ```
    /// use sluice::client::{Embedded, Store as _};
    ///
    /// assert_eq!(Embedded::new([("gpu", 1)])?.namespace(), "embedded");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    fn namespace(&self) -> &str;

    /// The name under which the server knows the caller.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use sluice::client::{Embedded, Store as _, store::*}; let store = Embedded::new([("gpu", 1)])?;
    /// assert_eq!(store.user().await?, "embedded");
    /// # Ok(()) }
    /// ```
    async fn user(&self) -> Result<String, StoreError>;

    /// Creates a claim.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use sluice::client::{Embedded, Store as _, store::*}; let store = Embedded::new([("gpu", 1)])?;
    /// # let spec = serde_json::from_str(r#"{"session": "a1b2", "slots": [{"limit": "gpu"}]}"#)?;
    /// let claim = store.create(&NewClaim { name: "build-7".into(), spec }).await?;
    /// assert_eq!(claim.status.grants[0].key, "gpu");
    /// # Ok(()) }
    /// ```
    async fn create(&self, claim: &NewClaim) -> Result<ClaimVersion, StoreError>;

    /// Reads a claim, as consistently as a write.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use sluice::client::{Embedded, Store as _, store::*}; let store = Embedded::new([("gpu", 1)])?;
    /// # let spec = serde_json::from_str(r#"{"session": "a1b2", "slots": [{"limit": "gpu"}]}"#)?;
    /// # let claim = store.create(&NewClaim { name: "build-7".into(), spec }).await?;
    /// # let at = ClaimAt { name: claim.name, uid: claim.uid, session: "a1b2".to_owned() };
    /// let claim = store.get("build-7").await?;
    /// assert_eq!(claim.map(|claim| claim.uid), Some(at.uid));
    /// # Ok(()) }
    /// ```
    async fn get(&self, name: &str) -> Result<Option<ClaimVersion>, StoreError>;

    /// Renews a claim with this number; on a connection that nothing else holds up.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use sluice::client::{Embedded, Store as _, store::*}; let store = Embedded::new([("gpu", 1)])?;
    /// # let spec = serde_json::from_str(r#"{"session": "a1b2", "slots": [{"limit": "gpu"}]}"#)?;
    /// # let claim = store.create(&NewClaim { name: "build-7".into(), spec }).await?;
    /// # let at = ClaimAt { name: claim.name, uid: claim.uid, session: "a1b2".to_owned() };
    /// assert_eq!(store.renew(&at, 1).await?.spec.renew.seq, 1);
    /// assert!(store.renew(&at, 1).await.is_err());      // every try has a number of its own
    /// # Ok(()) }
    /// ```
    async fn renew(&self, at: &ClaimAt, seq: i64) -> Result<ClaimVersion, StoreError>;

    /// Swaps the session of a claim.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use sluice::client::{Embedded, Store as _, store::*}; let store = Embedded::new([("gpu", 1)])?;
    /// # let spec = serde_json::from_str(r#"{"session": "a1b2", "slots": [{"limit": "gpu"}]}"#)?;
    /// # let claim = store.create(&NewClaim { name: "build-7".into(), spec }).await?;
    /// # let at = ClaimAt { name: claim.name, uid: claim.uid, session: "a1b2".to_owned() };
    /// let swap = Swap { at, seq: 0, version: claim.version, session: "c3d4".to_owned(), new_seq: 1 };
    /// assert_eq!(store.adopt(&swap).await?.spec.session, "c3d4");
    /// # Ok(()) }
    /// ```
    async fn adopt(&self, swap: &Swap) -> Result<ClaimVersion, StoreError>;

    /// Sets `spec.release`.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use sluice::client::{Embedded, Store as _, store::*}; let store = Embedded::new([("gpu", 1)])?;
    /// # let spec = serde_json::from_str(r#"{"session": "a1b2", "slots": [{"limit": "gpu"}]}"#)?;
    /// # let claim = store.create(&NewClaim { name: "build-7".into(), spec }).await?;
    /// # let at = ClaimAt { name: claim.name, uid: claim.uid, session: "a1b2".to_owned() };
    /// assert!(store.release(&at).await?.spec.release);
    /// # Ok(()) }
    /// ```
    async fn release(&self, at: &ClaimAt) -> Result<ClaimVersion, StoreError>;

    /// Deletes the claim of this name, if it has this UID.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use sluice::client::{Embedded, Store as _, store::*}; let store = Embedded::new([("gpu", 1)])?;
    /// # let spec = serde_json::from_str(r#"{"session": "a1b2", "slots": [{"limit": "gpu"}]}"#)?;
    /// # let claim = store.create(&NewClaim { name: "build-7".into(), spec }).await?;
    /// # let at = ClaimAt { name: claim.name, uid: claim.uid, session: "a1b2".to_owned() };
    /// store.delete(&at.name, &at.uid).await?;
    /// assert_eq!(store.get("build-7").await?, None);
    /// # Ok(()) }
    /// ```
    async fn delete(&self, name: &str, uid: &str) -> Result<(), StoreError>;

    /// Shows all claims of a session, and what becomes of them, for ever.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use sluice::client::{Embedded, Store as _, store::*}; let store = Embedded::new([("gpu", 1)])?;
    /// use futures::StreamExt as _;
    ///
    /// let mut shown = store.watch("a1b2");
    /// assert_eq!(shown.next().await, Some(Watched::Caught));     // there is no claim yet
    /// # Ok(()) }
    /// ```
    fn watch(&self, session: &str) -> BoxStream<'static, Watched>;

    /// Creates a limit of this key; [`StoreError::Exists`] if there is one.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use sluice::client::{Embedded, Store as _, store::*}; let store = Embedded::new([("gpu", 1)])?;
    /// let spec = sluice::client::LimitTemplate::with_slots(4);
    /// store.create_limit("db", &spec).await?;
    /// assert!(matches!(store.create_limit("db", &spec).await, Err(StoreError::Exists(_))));
    /// # Ok(()) }
    /// ```
    async fn create_limit(&self, key: &str, spec: &ConcurrencyLimitSpec) -> Result<(), StoreError>;

    /// Creates a lock of this key; [`StoreError::Exists`] if there is one.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use sluice::client::{Embedded, Store as _, store::*}; let store = Embedded::new([("gpu", 1)])?;
    /// store.create_lock("deploy", &sluice::api::LockSpec::default()).await?;
    /// # Ok(()) }
    /// ```
    async fn create_lock(&self, key: &str, spec: &LockSpec) -> Result<(), StoreError>;

    /// Looks at what a request names, as far as the caller may.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use sluice::client::{Embedded, Store as _, store::*}; let store = Embedded::new([("gpu", 1)])?;
    /// let seen = store.look(&[Wanted { lock: false, key: "gpu".to_owned() }]).await;
    /// assert_eq!(seen[0].what, "limit gpu");
    /// # Ok(()) }
    /// ```
    async fn look(&self, wanted: &[Wanted]) -> Vec<Sight>;

    /// How long between two looks at what somebody waits to see the end of.
    ///
    /// ```
    /// use sluice::client::{Embedded, Store as _};
    ///
    /// assert!(!Embedded::new([("gpu", 1)])?.look_pause().is_zero());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    fn look_pause(&self) -> Duration {
        Duration::from_millis(500)
    }

    /// Decides at once, on the thread that asks, where it can.
    ///
    /// ```
    /// use sluice::client::{Embedded, Store as _};
    ///
    /// assert!(Embedded::new([("gpu", 1)])?.direct().is_some());      // no API server can
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    fn direct(&self) -> Option<&dyn Direct> {
        None
    }

    /// How long one request may take before it counts as unanswered.
    ///
    /// ```
    /// use sluice::client::{Embedded, Store as _};
    ///
    /// assert_eq!(Embedded::new([("gpu", 1)])?.request_timeout().as_secs(), 10);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    fn request_timeout(&self) -> Duration {
        Duration::from_secs(10)
    }
}
