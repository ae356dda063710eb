//! What the ledger is shown of a limit or lock: one version of the object, as plain data.
//!
//! Parsed at the boundary by the shell; what could not be parsed arrives as a sentence in
//! [`Part::Broken`], so that one bad object never stops the others.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::ids::{
    Amount, Attempt, Batch, Epoch, HolderKind, Name, PoolKey, Token, Uid, Units, Version,
};
use super::selector::Admits;
use super::time::{Micros, Span};

/// A part of an object that people may write: understood, or broken with the reason.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Part<T> {
    /// Understood.
    Read(T),
    /// Not understood; the sentence says why.
    Broken(Arc<str>),
}

impl<T> Part<T> {
    /// The part, if it was understood.
    pub fn read(&self) -> Option<&T> {
        match self {
            Self::Read(part) => Some(part),
            Self::Broken(_) => None,
        }
    }
}

/// One version of a limit or lock.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct PoolObject {
    /// Where it is.
    pub key: PoolKey,
    /// Which incarnation.
    pub uid: Uid,
    /// Which version of it.
    pub version: Version,
    /// Counts changes of the spec.
    pub generation: i64,
    /// Deletion was asked for.
    pub deleting: bool,
    /// What people want.
    pub spec: Part<PoolSpec>,
    /// What controllers wrote.
    pub status: Part<Arc<PoolStatus>>,
    /// The family this is a derived limit of, when it says so.
    pub owner: Option<Owner>,
    /// Holders whose leases an operator released by annotation.
    pub released: BTreeSet<Uid>,
    /// What an operator wrote who set it aside by annotation: nothing is granted meanwhile, and whoever runs is counted
    /// anew after.
    pub set_aside: Option<Arc<str>>,
}

/// The owner reference of a derived limit.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Owner {
    /// The family's uid.
    pub uid: Uid,
    /// Generation of the family that the derived limit's spec was computed from.
    pub generation: i64,
}

/// Whether a pool grants.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Mode {
    /// Grants.
    Active,
    /// No new grants; holders keep.
    Paused,
    /// Never blocks; holders are not counted.
    Disabled,
}

/// Who may pass a blocked request.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Order {
    /// Nobody.
    Strict,
    /// Whoever fits, until the blocked one has waited so long.
    Backfill {
        /// From then on the blocked request reserves what it needs.
        reserve_after: Span,
    },
}

/// What it takes to give a holder's slots to somebody else.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ReleasePolicy {
    /// Without proof of the end, after a settling time.
    Presumed {
        /// How long a presumed end must have lasted.
        settle: Span,
    },
    /// With proof only.
    Confirmed,
}

/// What people want of a pool.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct PoolSpec {
    /// Room, in the pool's units ([`super::ids::LOCK_UNITS`] for a lock).
    pub capacity: Units,
    /// Whether it grants.
    pub mode: Mode,
    /// Who may pass whom.
    pub order: Order,
    /// Which namespaces' requests it serves.
    pub admits: Admits,
    /// When a holder's end counts.
    pub release: ReleasePolicy,
    /// Set for a family: slots are then held by its derived limits, one for each worker.
    pub family: Option<FamilySpec>,
    /// Slots come back with time.
    pub decay: Option<Decay>,
    /// How long a claim's grant lasts without a renewal, where the claim does not say.
    pub lease: Option<Span>,
    /// How long slots stay taken after a claim's lease has run out.
    pub lock_delay: Span,
}

/// How slots of a limit come back: so many in a period.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Decay {
    /// How many.
    pub slots: u32,
    /// In which time.
    pub period: Span,
}

/// What was taken from a limit with decay and has not come back, in parts of slots, so that no fraction is lost.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Level {
    /// How many parts are used.
    pub parts: u64,
    /// How many parts a slot has.
    pub parts_per_slot: u64,
}

/// The part of a family's spec that derives limits.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct FamilySpec {
    /// Label of the pod that names the worker.
    pub label: Name,
    /// Slots of single workers; all others have the family's.
    pub overrides: BTreeMap<Name, u32>,
    /// Most derived limits at once.
    pub workers_max: usize,
    /// How long a derived limit stays without holders and waiters.
    pub idle: Span,
}

/// Fields that a newer version wrote and we do not know, kept as the JSON they came as.
pub type Extra = Option<Arc<str>>;

/// What controllers wrote about a pool: its durable ledger.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct PoolStatus {
    /// Version of this shape; 0 when never written.
    pub schema: i64,
    /// Generation of the spec that was last looked at.
    pub observed_generation: i64,
    /// Greatest token ever given.
    pub last_token: Token,
    /// Number of the term in which it was written.
    pub epoch: Epoch,
    /// Process that led in that term.
    pub leader: Option<Name>,
    /// Id of the write that made this status.
    pub batch: Option<Batch>,
    /// Id of the write before it.
    pub previous_batch: Option<Batch>,
    /// Slots (of a lock: leases) in use, for people.
    pub in_use: i64,
    /// Requests waiting, for people.
    pub waiting: i64,
    /// Workers of a family whose derived limits may exist.
    pub workers: BTreeSet<Name>,
    /// Who holds.
    pub leases: Vec<Lease>,
    /// Holders found running that did not fit.
    pub adopted: Vec<Lease>,
    /// This incarnation has fenced and adopted.
    pub fenced: bool,
    /// Reveals that took no lease may be about.
    pub open: bool,
    /// What is used of a limit with decay and not held, when this was written.
    pub level: Option<Level>,
    /// For people; shared, for a status is copied more often than they change.
    pub conditions: Arc<BTreeMap<Arc<str>, Condition>>,
    /// Fields we do not know.
    pub extra: Extra,
}

/// The record that a holder has its slots.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Lease {
    /// The holder.
    pub uid: Uid,
    /// What it is.
    pub kind: HolderKind,
    /// Its namespace, for people and for live reads.
    pub namespace: Name,
    /// Its name, likewise.
    pub name: Name,
    /// How much.
    pub amount: Amount,
    /// Fencing token.
    pub token: Token,
    /// The request's attempt this belongs to.
    pub attempt: Attempt,
    /// When, for people.
    pub granted_at: Micros,
    /// How long it stays when its claim vanishes without a release.
    pub linger: Option<Span>,
    /// Fields we do not know.
    pub extra: Extra,
}

/// A condition of a pool.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Condition {
    /// True or false.
    pub holds: bool,
    /// One word for programs.
    pub reason: Arc<str>,
    /// One sentence for people.
    pub message: Arc<str>,
    /// Generation it was judged at.
    pub generation: i64,
    /// When `holds` last changed.
    pub since: Micros,
}

impl PoolStatus {
    /// Units held, by leases and adopted holders together.
    pub fn units(&self) -> Units {
        self.entries().fold(0, |sum: Units, lease| {
            sum.saturating_add(lease.amount.units())
        })
    }

    /// Units held by somebody: what was taken for a rate is not.
    pub fn held(&self) -> Units {
        let held = self
            .entries()
            .filter(|lease| !matches!(lease.amount, Amount::Rate(_)));
        held.fold(0, |sum: Units, lease| {
            sum.saturating_add(lease.amount.units())
        })
    }

    /// Leases and adopted holders.
    pub fn entries(&self) -> impl Iterator<Item = &Lease> {
        self.leases.iter().chain(&self.adopted)
    }
}
