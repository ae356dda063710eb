//! Why a request waits: one cause at a time, in words for programs and for people.

use std::sync::Arc;

use super::ids::{Name, PoolKey};

/// Why a request is not granted now.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Cause {
    /// It has just come, or something of it is still being settled.
    Unsettled,
    /// The pool is full.
    NoRoom(PoolKey),
    /// There is room, but a request ahead has reserved it.
    Reserved(PoolKey),
    /// No object serves this key.
    NotFound(PoolKey),
    /// It asks for more than the pool has.
    ExceedsLimit(PoolKey),
    /// A rate is asked of a limit that gives nothing back with time.
    NoDecay(PoolKey),
    /// The pool is paused.
    Paused(PoolKey),
    /// The pool does not serve this namespace.
    Forbidden(PoolKey),
    /// The pool is being deleted.
    Deleting(PoolKey),
    /// The pool is new to us: its holders are being counted.
    NotFenced(PoolKey),
    /// The pool cannot be used as it stands; its conditions say why.
    Quarantined(PoolKey),
    /// As many leases as a status holds.
    LeasesFull(PoolKey),
    /// The pod has no label that names the worker, or one that no key can contain.
    WorkerUnknown(PoolKey, Name, Arc<str>),
    /// The family has as many workers as it may.
    TooManyWorkers(PoolKey),
    /// The derived limit does not exist yet.
    ChildPending(PoolKey),
    /// Another object has the derived limit's name.
    NameTaken(PoolKey),
    /// Other gates hold the pod; its slots are taken when ours is the last.
    ForeignGate,
    /// The annotations cannot be read.
    BadAnnotation(Arc<str>),
    /// The pod is being deleted.
    RequestDeleting,
    /// The reveal was refused by somebody's policy.
    RevealRefused(Arc<str>),
    /// It waited as long as it was willing to.
    TimedOut,
}

impl Cause {
    /// One CamelCase word.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Unsettled => "Pending",
            Self::NoRoom(_) => "WaitingForSlots",
            Self::Reserved(_) => "SlotsReserved",
            Self::NotFound(_) => "LimitNotFound",
            Self::ExceedsLimit(_) => "ExceedsLimit",
            Self::NoDecay(_) => "NoDecay",
            Self::Paused(_) => "LimitPaused",
            Self::Forbidden(_) => "NamespaceNotAllowed",
            Self::Deleting(_) => "LimitDeleting",
            Self::NotFenced(_) => "LimitNotFenced",
            Self::Quarantined(_) => "LimitQuarantined",
            Self::LeasesFull(_) => "LeasesFull",
            Self::WorkerUnknown(..) => "WorkerUnknown",
            Self::TooManyWorkers(_) => "TooManyWorkers",
            Self::ChildPending(_) => "LimitPending",
            Self::NameTaken(_) => "NameTaken",
            Self::ForeignGate => "OtherGates",
            Self::BadAnnotation(_) => "BadAnnotation",
            Self::RequestDeleting => "Deleting",
            Self::RevealRefused(_) => "RevealRefused",
            Self::TimedOut => "SlotTimeout",
        }
    }

    /// Somebody has to do something before this can end well.
    pub const fn needs_attention(&self) -> bool {
        matches!(
            self,
            Self::NotFound(_)
                | Self::ExceedsLimit(_)
                | Self::NoDecay(_)
                | Self::Forbidden(_)
                | Self::Quarantined(_)
                | Self::LeasesFull(_)
                | Self::WorkerUnknown(..)
                | Self::TooManyWorkers(_)
                | Self::NameTaken(_)
                | Self::BadAnnotation(_)
                | Self::RevealRefused(_)
        )
    }

    /// One sentence, without the numbers that only the queue knows.
    pub fn sentence(&self) -> String {
        match self {
            Self::Unsettled => {
                "it has just come, or its last try is still being settled".to_owned()
            }
            Self::NoRoom(pool) => format!("{pool} has no room"),
            Self::Reserved(pool) => {
                format!("room in {pool} is reserved for a request that has waited longer")
            }
            Self::NotFound(pool) => format!(
                "{pool} does not exist (object {}); create it, or let the request do without what is missing \
                 (sluice.dev/if-missing: Ignore of a pod, spec.ifMissing: Ignore of a claim)",
                pool.name
            ),
            Self::ExceedsLimit(pool) => {
                format!("it asks for more slots than {pool} has; raise spec.slots or ask for fewer")
            }
            Self::NoDecay(pool) => format!(
                "{pool} has no spec.decay, so what is taken for a rate would never come back; give it one, or ask for slots"
            ),
            Self::Paused(pool) => format!("{pool} is paused"),
            Self::Forbidden(pool) => {
                format!("{pool} does not serve this namespace; see its spec.allowedNamespaces")
            }
            Self::Deleting(pool) => format!("{pool} is being deleted"),
            Self::NotFenced(pool) => {
                format!("{pool} is new; its running holders are being counted")
            }
            Self::Quarantined(pool) => format!("{pool} is in quarantine; its conditions say why"),
            Self::LeasesFull(pool) => {
                format!("{pool} has as many holders as one object can record; split the limit")
            }
            Self::WorkerUnknown(pool, label, why) => {
                format!("{pool} has one limit for each worker, and label {label} of the pod {why}")
            }
            Self::TooManyWorkers(pool) => {
                format!("{pool} has as many workers as its spec.perWorker.maxWorkers allows")
            }
            Self::ChildPending(pool) => format!("{pool} is being created"),
            Self::NameTaken(pool) => format!(
                "object {} exists but does not belong to the family; rename or delete it",
                pool.name
            ),
            Self::ForeignGate => {
                "other scheduling gates hold the pod; slots are taken when ours is the last"
                    .to_owned()
            }
            Self::BadAnnotation(why) => format!("what it asks for cannot be read: {why}"),
            Self::RequestDeleting => "it is being deleted".to_owned(),
            Self::RevealRefused(why) => format!("telling it that it may go was refused: {why}"),
            Self::TimedOut => "it waited as long as it was willing to".to_owned(),
        }
    }
}
