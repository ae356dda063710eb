//! Claims as a store takes and shows them: what is created, read, written and watched. Tested with the stores.

use std::sync::Arc;

use crate::api::claim::{SlotClaim, SlotClaimSpec, SlotClaimStatus};

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
