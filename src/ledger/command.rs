//! Everything that can happen to the ledger, as plain data.

use std::collections::{BTreeMap, BTreeSet};

use super::end::End;
use super::ids::{Batch, Epoch, HolderKind, Name, PoolKey, PoolKind, Uid};
use super::object::PoolObject;
use super::view::RequestView;

/// Something that happened outside.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Command {
    /// A watch showed a version of a limit or lock.
    PoolSeen(Box<PoolObject>),
    /// A watch showed the deletion of a limit or lock, with its final state.
    PoolDeleted(Box<PoolObject>),
    /// A watch listed all limits or locks anew.
    PoolsListed {
        /// Which kind.
        kind: PoolKind,
        /// Which namespace was listed; `None`: all.
        scope: Option<Name>,
        /// All there are; what is missing is gone.
        objects: Vec<PoolObject>,
    },
    /// A watch showed a version of a pod.
    RequestSeen(Box<RequestView>),
    /// A watch showed that a pod left what we watch, with its final state. No evidence by itself:
    /// somebody may have removed our label.
    RequestVanished(Box<RequestView>),
    /// A watch lists anew, and this is one of the pods there are. An older version than the one known may mean that the
    /// server's past was restored.
    RequestRelisted(Box<RequestView>),
    /// A watch has listed all pods anew, each of them by [`Command::RequestRelisted`].
    RequestsRelisted {
        /// Pods or claims.
        kind: HolderKind,
        /// Which namespace was listed; `None`: all.
        scope: Option<Name>,
        /// All there are; what is missing is doubtful.
        present: BTreeSet<Uid>,
    },
    /// Labels of a namespace; `None` when it is gone.
    NamespaceSeen {
        /// The namespace.
        name: Name,
        /// Its labels.
        labels: Option<BTreeMap<Name, Name>>,
    },
    /// Whether the guard policies are installed.
    GuardsSeen {
        /// They are.
        installed: bool,
    },
    /// All watches have listed once, and this process leads: decisions may begin. Again, when the epoch was
    /// raised.
    Lead {
        /// Number of the term.
        epoch: Epoch,
    },
    /// How a status write ended.
    StatusWritten {
        /// Of which pool.
        pool: PoolKey,
        /// Which write.
        batch: Batch,
        /// How.
        outcome: WriteOutcome,
    },
    /// What a live read of a pool found.
    PoolRead {
        /// Which pool.
        pool: PoolKey,
        /// The object, its absence, or no answer.
        found: Found<Box<PoolObject>>,
    },
    /// How a patch of a pod ended.
    RequestPatched {
        /// Which request.
        uid: Uid,
        /// What was asked.
        patch: PatchKind,
        /// How it ended.
        outcome: PatchOutcome,
    },
    /// What a live read of a pod found. Another uid under the name is absence.
    RequestRead {
        /// Which request.
        uid: Uid,
        /// The pod, its absence, or no answer.
        found: Found<Box<RequestView>>,
    },
    /// Answer to [`super::Effect::ListRequests`].
    RequestsListed {
        /// Which question.
        ticket: u64,
        /// A consistent list of all pods; `None` when the list failed.
        listed: Option<Vec<RequestView>>,
    },
    /// What a live read of a node found.
    NodeRead {
        /// Which node.
        node: Name,
        /// It is gone or tainted out-of-service: nothing runs there. `None`: no answer.
        out_of_service: Option<bool>,
    },
    /// How the creation, update or deletion of a derived limit ended.
    ChildWritten {
        /// Which derived limit.
        pool: PoolKey,
        /// How.
        outcome: ChildOutcome,
    },
    /// How the deletion of a claim that has ended went.
    ClaimDeleted {
        /// Which claim.
        uid: Uid,
        /// How.
        outcome: PatchOutcome,
    },
    /// What a live read found of the pod that a claim lives as long as.
    HolderPodRead {
        /// Which claim.
        uid: Uid,
        /// Whether the pod has ended, its absence (or another uid), or no answer.
        found: Found<End>,
    },
    /// Nothing but time has passed.
    Tick,
}

/// How a status write ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum WriteOutcome {
    /// Applied; the object as the server answered.
    Applied(Box<PoolObject>),
    /// Refused: the object changed meanwhile, or a test of the patch failed.
    Conflict,
    /// Refused by a rule of the API server (422), with its message.
    Invalid(String),
    /// The object is gone.
    NotFound,
    /// Refused for another reason (403, 413, 429, …), with its message. Not applied.
    Refused(String),
    /// No answer, or one that says nothing: it may or may not be applied, now or later.
    Unknown,
}

/// What a live read found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Found<T> {
    /// The object.
    Present(T),
    /// It is not there.
    Absent,
    /// No answer, or a refusal: says nothing.
    Unknown,
}

/// What a patch of a pod was for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum PatchKind {
    /// Remove the gate, write the record.
    Reveal,
    /// Raise the attempt.
    Bump,
    /// Take our finalizer off.
    StripFinalizer,
    /// Put our label back on.
    Label,
    /// Set the phase to Failed after a time-out.
    Fail,
    /// Take a claim away.
    Revoke,
    /// Write that a claim was given back.
    Finish,
}

/// How a patch of a pod ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum PatchOutcome {
    /// Applied; the pod as the server answered.
    Applied(Box<RequestView>),
    /// Refused, by a failed test or by somebody's policy: not applied. The message is for people.
    Refused(String),
    /// The pod is gone (404, or another uid).
    Gone,
    /// No answer: it may or may not be applied, now or later.
    Unknown,
}

/// How a write to a derived limit ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ChildOutcome {
    /// Applied; the object as the server answered.
    Written(Box<PoolObject>),
    /// Deleted.
    Deleted,
    /// Anything else: read it and see.
    Doubtful(String),
}
