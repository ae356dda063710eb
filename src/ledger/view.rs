//! What the ledger is shown of a pod: one version of the request it carries, as plain data.
//!
//! Parsed at the boundary by the shell. The raw text of what a decision is made from travels along,
//! because the reveal tests exactly that text.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::claim_view::ClaimView;
use super::end::{End, judge};
use super::ids::{Amount, Attempt, HolderKind, Name, PoolKey, Token, Uid, Version};
use super::time::{Micros, Span};

/// One version of a request.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct RequestView {
    /// Who.
    pub uid: Uid,
    /// Namespace.
    pub namespace: Name,
    /// Name, for messages and for addressing writes.
    pub name: Name,
    /// Which version.
    pub version: Version,
    /// When it was created: its place in the queue.
    pub arrival: Micros,
    /// Greater goes first.
    pub priority: i32,
    /// What it asks for.
    pub ask: Ask,
    /// The annotations that were read, as they stand on the object.
    pub text: Arc<RequestText>,
    /// All labels: a family may name any of them as its worker label.
    pub labels: Arc<BTreeMap<Name, Name>>,
    /// It carries the label by which the watch selects.
    pub managed: bool,
    /// Its number of tries; `None` when the annotation cannot be read.
    pub attempt: Option<Attempt>,
    /// Gates that hold it.
    pub gates: Gates,
    /// The record of its reveal.
    pub granted: Option<Granted>,
    /// Deletion was asked for.
    pub deleting: bool,
    /// All its finalizers: a patch of the list tests it whole.
    pub finalizers: Arc<[Name]>,
    /// Ours is among them.
    pub finalizer: bool,
    /// The node it is bound to.
    pub node: Option<Name>,
    /// What is known of its end.
    pub progress: Progress,
    /// Set where a `SlotClaim` carries the request, and no pod.
    pub claim: Option<ClaimView>,
}

/// Raw annotations of a request; `None` where absent.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct RequestText {
    /// Slots it asks for.
    pub slots: Option<Name>,
    /// Locks it asks for.
    pub locks: Option<Name>,
    /// Limits it takes from for a rate.
    pub rates: Option<Name>,
    /// What to do about a limit that does not exist.
    pub if_missing: Option<Name>,
    /// Its attempt.
    pub attempt: Option<Name>,
}

/// What a request asks for.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Ask {
    /// Understood.
    Wants(Wants),
    /// Not understood; the sentence names the bad entry.
    Bad(Arc<str>),
}

/// A request that was understood.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Wants {
    /// Pools by name, before families are resolved and mentions of one pool merged.
    pub mentions: Arc<[Mention]>,
    /// Whether a limit that does not exist is waited for or ignored.
    pub ignore_missing: bool,
    /// How long it is willing to wait, from its arrival.
    pub timeout: Option<Span>,
    /// Give up then (`Fail`), or only say so (`Wait`).
    pub fail_on_timeout: bool,
    /// Refuse the request when a limit that it names does not exist, or is too small, as it arrives.
    pub deny_missing: bool,
}

/// One entry of a request.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Mention {
    /// The pool named.
    pub pool: PoolKey,
    /// How much.
    pub amount: Amount,
}

/// Scheduling gates on a pod.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Gates {
    /// Place of ours in the list.
    pub ours: Option<u32>,
    /// There are others beside it.
    pub others: bool,
}

/// What the reveal wrote: from then on, this is the request.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Granted {
    /// The attempt that was revealed.
    pub attempt: Attempt,
    /// The leases it was revealed with.
    pub leases: Arc<[GrantedLease]>,
}

/// One lease as the reveal names it.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct GrantedLease {
    /// Of which pool.
    pub pool: PoolKey,
    /// Of which incarnation of it.
    pub pool_uid: Uid,
    /// How much.
    pub amount: Amount,
    /// Its fencing token.
    pub token: Token,
}

/// Phase of a pod.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum PodPhase {
    /// Pending, Running or Unknown.
    #[default]
    Live,
    /// Succeeded or Failed.
    Terminal,
}

/// What a pod's status says of its containers, all kinds of them.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Containers {
    /// No kubelet has said anything.
    #[default]
    Unreported,
    /// Some are waiting or running.
    SomeNotTerminated,
    /// Every one is terminated.
    AllTerminated,
}

/// Facts about a pod's end, as its status has them.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Progress {
    /// Phase.
    pub phase: PodPhase,
    /// Containers.
    pub containers: Containers,
    /// Condition `DisruptionTarget` with reason `DeletionByPodGC`: the phase was written without a kubelet.
    pub by_pod_gc: bool,
}

impl RequestView {
    /// The gate is gone: the pod may run. Of a claim: it no longer waits.
    pub fn is_revealed(&self) -> bool {
        self.gates.ours.is_none()
    }

    /// Whether it has ended, by what this version of it shows.
    pub fn end(&self) -> End {
        judge(self, None)
    }

    /// What carries the request.
    pub fn kind(&self) -> HolderKind {
        match self.claim {
            Some(_) => HolderKind::Claim,
            None => HolderKind::Pod,
        }
    }
}
