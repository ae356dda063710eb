//! Everything the ledger may ask for, as plain data. The shell carries it out and decides nothing.

use std::sync::Arc;

use super::claim_view::{ClaimPhase, RevokeReason, Terms};
use super::command::PatchKind;
use super::ids::{Attempt, Batch, HolderKind, Name, PoolKey, Uid, Version};
use super::object::{PoolSpec, PoolStatus};
use super::time::Micros;
use super::view::{GrantedLease, RequestText};

/// Something to be done outside.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Effect {
    /// Write a status; answered by [`super::Command::StatusWritten`].
    WriteStatus(Box<StatusWrite>),
    /// Read a pool live; answered by [`super::Command::PoolRead`].
    ReadPool(PoolKey),
    /// Patch a pod or a claim; answered by [`super::Command::RequestPatched`].
    Patch(Box<RequestPatch>),
    /// Read a pod or a claim live; answered by [`super::Command::RequestRead`].
    ReadRequest {
        /// Which request.
        uid: Uid,
        /// What carries it.
        kind: HolderKind,
        /// Where.
        namespace: Name,
        /// Under which name.
        name: Name,
    },
    /// List all pods and claims consistently; answered by [`super::Command::RequestsListed`].
    ListRequests {
        /// Comes back with the answer.
        ticket: u64,
    },
    /// Read a node live; answered by [`super::Command::NodeRead`].
    ReadNode(Name),
    /// Create, update or delete a derived limit; answered by [`super::Command::ChildWritten`].
    WriteChild(Box<ChildWrite>),
    /// Delete a claim that has ended; answered by [`super::Command::ClaimDeleted`].
    DeleteClaim(Box<ClaimDeletion>),
    /// Read the pod that a claim lives as long as; answered by [`super::Command::HolderPodRead`].
    ReadHolderPod {
        /// Which claim.
        uid: Uid,
        /// Where.
        namespace: Name,
        /// Name of the pod.
        name: Name,
        /// Its uid: another one under the name is absence.
        pod: Uid,
    },
    /// Tell people. Best effort.
    Event(Box<Event>),
}

/// The deletion of a claim, on these preconditions.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ClaimDeletion {
    /// Which claim.
    pub uid: Uid,
    /// Where.
    pub namespace: Name,
    /// Under which name.
    pub name: Name,
    /// Of which version: nothing was written on it since.
    pub version: Version,
}

/// One status write.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StatusWrite {
    /// Of which pool.
    pub pool: PoolKey,
    /// Of which incarnation.
    pub uid: Uid,
    /// What makes it conditional.
    pub guard: Guard,
    /// Its id.
    pub batch: Batch,
    /// The whole status.
    pub status: Arc<PoolStatus>,
}

/// What a status write is conditional on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Guard {
    /// The version it was computed from.
    Version(Version),
    /// Uid, generation and batch it was computed from: for objects that somebody keeps touching.
    Tested {
        /// Generation of the spec.
        generation: i64,
        /// Batch of the status.
        batch: Option<Batch>,
    },
}

/// One patch of a pod or a claim. Every patch tests the uid.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RequestPatch {
    /// Which request.
    pub uid: Uid,
    /// Where.
    pub namespace: Name,
    /// Under which name.
    pub name: Name,
    /// What carries the request.
    pub kind: HolderKind,
    /// What to do.
    pub action: RequestAction,
}

impl RequestPatch {
    /// What this patch is for.
    pub fn kind(&self) -> PatchKind {
        match self.action {
            RequestAction::Reveal(_) => PatchKind::Reveal,
            RequestAction::Bump { .. } => PatchKind::Bump,
            RequestAction::StripFinalizer { .. } => PatchKind::StripFinalizer,
            RequestAction::Label { .. } => PatchKind::Label,
            RequestAction::Fail { .. } => PatchKind::Fail,
            RequestAction::Claim(ClaimAction::Grant { .. }) => PatchKind::Reveal,
            RequestAction::Claim(ClaimAction::Bump { .. } | ClaimAction::Refuse { .. }) => {
                PatchKind::Bump
            }
            RequestAction::Claim(ClaimAction::Revoke { .. }) => PatchKind::Revoke,
            RequestAction::Claim(ClaimAction::Finish { .. }) => PatchKind::Finish,
        }
    }
}

/// What a patch of a pod, or of a claim, does.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum RequestAction {
    /// Test attempt, gate and everything the decision was made from; remove the gate, write the record.
    Reveal(Box<Reveal>),
    /// Test attempt and gate; raise the attempt.
    Bump {
        /// The annotation as it was read.
        from: Option<Name>,
        /// Place of our gate in the list.
        gate: u32,
        /// The new attempt.
        to: Attempt,
    },
    /// Take our finalizer off this list.
    StripFinalizer {
        /// All of them, as they were read.
        finalizers: Arc<[Name]>,
    },
    /// Put our label back on.
    Label {
        /// It has labels at all.
        labelled: bool,
    },
    /// Set the phase to Failed, reason `SlotTimeout`, with this message.
    Fail {
        /// For people.
        message: Arc<str>,
    },
    /// Write the status of a claim.
    Claim(ClaimAction),
}

/// What a patch of a claim's status does. Its spec cannot change but for renewals and the release, so nothing else of
/// it is tested.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ClaimAction {
    /// Test Pending and the attempt; write Granted with what was granted.
    Grant {
        /// The attempt granted.
        attempt: Attempt,
        /// The leases it is granted with.
        leases: Vec<GrantedLease>,
        /// What the grant fixes.
        terms: Terms,
        /// The server's time, for people.
        at: Micros,
    },
    /// Test Pending and the attempt; raise it.
    Bump {
        /// The attempt as it was read.
        from: Attempt,
        /// The new one.
        to: Attempt,
    },
    /// Test Pending and the attempt; raise it to the last one and say that the claim gets nothing.
    Refuse {
        /// The attempt as it was read.
        from: Attempt,
        /// `Denied` or `TimedOut`.
        phase: ClaimPhase,
        /// One word.
        reason: &'static str,
        /// One sentence.
        message: Arc<str>,
    },
    /// Test Granted and the renewal that was seen; write Revoked.
    Revoke {
        /// Number of the last renewal that was seen.
        seq: u64,
        /// Why: it says whether the holder may still believe.
        reason: RevokeReason,
        /// One sentence.
        message: Arc<str>,
    },
    /// Test the phase; write Released.
    Finish {
        /// The phase as it was read.
        from: ClaimPhase,
        /// The attempt as it was read.
        attempt: Attempt,
    },
}

/// What a reveal tests and writes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reveal {
    /// Annotations it was decided from, tested as they were.
    pub text: Arc<RequestText>,
    /// Worker labels it was decided from, tested as they were.
    pub labels: Vec<(Name, Option<Name>)>,
    /// The attempt revealed.
    pub attempt: Attempt,
    /// The leases it is revealed with.
    pub leases: Vec<GrantedLease>,
    /// Put our finalizer beside these: one of the pools releases with proof only.
    pub finalizers: Option<Arc<[Name]>>,
}

/// One write to a derived limit.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ChildWrite {
    /// Create it.
    Create {
        /// Where.
        pool: PoolKey,
        /// Its family.
        family: FamilyRef,
        /// Its spec.
        spec: PoolSpec,
    },
    /// Put its spec right.
    Update {
        /// Where.
        pool: PoolKey,
        /// Which incarnation.
        uid: Uid,
        /// Of which version.
        version: Version,
        /// Its family.
        family: FamilyRef,
        /// Its spec.
        spec: PoolSpec,
    },
    /// Delete it, on these preconditions.
    Delete {
        /// Where.
        pool: PoolKey,
        /// Which incarnation.
        uid: Uid,
        /// Of which version.
        version: Version,
    },
}

impl ChildWrite {
    /// The derived limit this writes.
    pub fn pool(&self) -> &PoolKey {
        match self {
            Self::Create { pool, .. } | Self::Update { pool, .. } | Self::Delete { pool, .. } => {
                pool
            }
        }
    }
}

/// The family of a derived limit.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FamilyRef {
    /// Name of the family's object.
    pub name: Name,
    /// Its uid.
    pub uid: Uid,
    /// Generation the derived spec was computed from.
    pub generation: i64,
}

/// Something people should hear.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Event {
    /// About whom.
    pub about: About,
    /// Somebody should look.
    pub warning: bool,
    /// One word.
    pub reason: &'static str,
    /// One or two sentences.
    pub note: String,
}

/// What an event is about.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum About {
    /// A pod or a claim.
    Request {
        /// What carries it.
        kind: HolderKind,
        /// Which.
        uid: Uid,
        /// Where.
        namespace: Name,
        /// Under which name.
        name: Name,
    },
    /// A limit or lock.
    Pool {
        /// Which.
        key: PoolKey,
        /// Which incarnation.
        uid: Uid,
    },
}
