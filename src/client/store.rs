//! Everything that the SDK asks of a server, as plain data.
//!
//! One implementation is [`Cluster`](super::Cluster), an API server; a ledger inside the process is another. A store
//! sends each request once: it never repeats one by itself, and it says honestly when it does not know whether a
//! request was applied ([`StoreError::Unknown`]). It decides nothing. Tests put one around another to lose answers.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::stream::BoxStream;

use super::direct::Direct;
use crate::api::claim::{SlotClaim, SlotClaimSpec, SlotClaimStatus};
use crate::api::limit::ConcurrencyLimitSpec;
use crate::api::lock::LockSpec;

/// A claim, as it was read.
///
/// ```
/// let version = sluice::client::store::ClaimVersion::default();
/// assert!(version.name.is_empty() && !version.deleting);
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ClaimVersion {
    /// Its name.
    pub name: String,
    /// Its UID.
    pub uid: String,
    /// Grows with every change of the claim.
    pub version: u64,
    /// It is being deleted.
    pub deleting: bool,
    /// Its spec.
    pub spec: SlotClaimSpec,
    /// Its status.
    pub status: SlotClaimStatus,
}

impl ClaimVersion {
    /// What a write of it tests: this claim, in the hands of whoever has it now.
    pub(crate) fn at(&self) -> ClaimAt {
        ClaimAt {
            name: self.name.clone(),
            uid: self.uid.clone(),
            session: self.spec.session.clone(),
        }
    }
}

impl From<SlotClaim> for ClaimVersion {
    fn from(claim: SlotClaim) -> Self {
        let meta = claim.metadata;
        let version = meta.resource_version.and_then(|text| text.parse().ok());
        Self {
            name: meta.name.unwrap_or_default(),
            uid: meta.uid.unwrap_or_default(),
            version: version.unwrap_or_default(),
            deleting: meta.deletion_timestamp.is_some(),
            spec: claim.spec,
            status: claim.status.unwrap_or_default(),
        }
    }
}

/// A claim that is to be created; the label `sluice.dev/session` is that of its spec.
///
/// ```
/// let claim = sluice::client::store::NewClaim {
///     name: "build-7".into(),
///     spec: Box::default(),
/// };
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct NewClaim {
    /// Its name.
    pub name: Arc<str>,
    /// Its spec; boxed, for a claim passes through many hands.
    pub spec: Box<SlotClaimSpec>,
}

/// The claim that a write is for; the write tests all of it.
///
/// ```
/// use sluice::client::store::ClaimAt;
///
/// let at = ClaimAt {
///     name: "build-7".to_owned(),
///     uid: "5f1c".to_owned(),
///     session: "3f9c".to_owned(),
/// };
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ClaimAt {
    /// Its name.
    pub name: String,
    /// Its UID.
    pub uid: String,
    /// Its session.
    pub session: String,
}

/// A swap of a claim's session, which brings a renewal of its own.
///
/// ```
/// # fn example(at: sluice::client::store::ClaimAt) {
/// use sluice::client::store::Swap;
///
/// let swap = Swap { at, seq: 4, version: 17, session: "a1b2".to_owned(), new_seq: 5 };
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Swap {
    /// The claim, with its former session.
    pub at: ClaimAt,
    /// Number of its last renewal, which is tested; and that nobody has released it.
    pub seq: i64,
    /// The version it was read at, which is tested with it where that can be.
    pub version: u64,
    /// The new session, also for the label.
    pub session: String,
    /// Number of the renewal that comes with it.
    pub new_seq: i64,
}

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

/// What a watch of a session shows.
///
/// ```
/// # fn example(seen: sluice::client::store::Watched) {
/// use sluice::client::store::Watched;
///
/// if let Watched::Version(claim) = seen {
///     println!("{} is {:?}", claim.name, claim.status.phase);
/// }
/// # }
/// ```
#[derive(Clone, Debug, PartialEq)]
pub enum Watched {
    /// A version of a claim of that session. Older ones may come after newer ones.
    Version(Box<ClaimVersion>),
    /// A claim is gone, or has another session.
    Gone {
        /// Its name.
        name: String,
        /// Its UID.
        uid: String,
    },
    /// The watch was begun anew and has shown all there is: what it has not shown is to be looked at.
    Caught,
    /// The watch does not work at the moment, and tries again by itself.
    Broken(String),
}

/// Something that a request names.
///
/// ```
/// let wanted = sluice::client::store::Wanted {
///     lock: false,
///     key: "licences/matlab".to_owned(),
/// };
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Wanted {
    /// A lock, or else a limit.
    pub lock: bool,
    /// Its key, possibly with a namespace before it.
    pub key: String,
}

/// What is there to be seen of a limit or lock, for messages.
///
/// ```
/// use sluice::client::store::{Store as _, Wanted};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let embedded = sluice::client::Embedded::new([("gpu", 2)])?;
/// let wanted = Wanted { lock: false, key: "gpu".to_owned() };
/// let sights = embedded.look(&[wanted]).await;
/// assert_eq!(sights[0].what, "limit gpu");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sight {
    /// Its kind and key, as in `limit gpu`.
    pub what: String,
    /// It could be read.
    pub found: Option<Found>,
    /// It could not be read, because it does not exist.
    pub missing: bool,
}

/// What was read of a limit or lock.
///
/// ```
/// let free = sluice::client::store::Found::default();
/// assert_eq!((free.held, free.waiting), (0, 0));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// How many slots there are; `None` for a lock.
    pub slots: Option<i64>,
    /// How many are held.
    pub held: i64,
    /// How many requests wait.
    pub waiting: i64,
    /// How many were used and come back with time, as of the last write of its status; 0 without `decay`.
    pub coming_back: i64,
    /// Who holds.
    pub holders: Vec<HeldBy>,
    /// Tokens of who holds: a holder that is gone never comes back with the same.
    pub tokens: Vec<i64>,
}

/// Who holds something, for messages: `claim build-7 (nightly run on host-a)`.
///
/// ```
/// let held_by = sluice::client::store::HeldBy {
///     who: "claim build-7".to_owned(),
///     claim: Some("build-7".to_owned()),
///     holder: "nightly run on host-a".to_owned(),
/// };
/// assert_eq!(held_by.to_string(), "claim build-7 (nightly run on host-a)");
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeldBy {
    /// Its kind and name, as in `claim build-7` or `pod other/train-x2k`.
    pub who: String,
    /// Its name, where it is a claim of the namespace of this store.
    pub claim: Option<String>,
    /// What that claim says of its holder; empty where it says nothing, or was not asked.
    pub holder: String,
}

impl std::fmt::Display for HeldBy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.who)?;
        if self.holder.is_empty() {
            return Ok(());
        }
        write!(f, " ({})", self.holder)
    }
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
    /// let claim = store.create(&NewClaim { name: "build-7".to_owned(), spec }).await?;
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
    /// # let claim = store.create(&NewClaim { name: "build-7".to_owned(), spec }).await?;
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
    /// # let claim = store.create(&NewClaim { name: "build-7".to_owned(), spec }).await?;
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
    /// # let claim = store.create(&NewClaim { name: "build-7".to_owned(), spec }).await?;
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
    /// # let claim = store.create(&NewClaim { name: "build-7".to_owned(), spec }).await?;
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
    /// # let claim = store.create(&NewClaim { name: "build-7".to_owned(), spec }).await?;
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
