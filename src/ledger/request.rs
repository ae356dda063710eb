//! One request as the ledger follows it: what was last seen of it, and how far its grant has come.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::cause::Cause;
use super::claim::ClaimWatch;
use super::claim_view::Terms;
use super::end::Gone;
use super::ids::{Amount, Attempt, Name, PoolKey, Token, Uid, Version};
use super::mutant::{self, Mutant};
use super::queue::{Rank, ShapeId};
use super::time::{Span, Tick};
use super::view::{RequestText, RequestView};

/// What a request is resolved from: its annotations and its labels.
pub(super) type Source = (Arc<RequestText>, Arc<BTreeMap<Name, Name>>);

/// A request and its state.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct Request {
    /// Last version seen.
    pub(super) view: Box<RequestView>,
    /// How far its grant has come.
    pub(super) phase: Phase,
    /// Where it stands.
    pub(super) place: Place,
    /// What it was resolved from; resolved again when these change.
    pub(super) resolved_from: Option<Source>,
    /// Worker labels it was resolved from, with their values.
    pub(super) worker_labels: Vec<(Name, Option<Name>)>,
    /// Pools whose acknowledged status names it.
    pub(super) held: BTreeSet<PoolKey>,
    /// Pools that were indexed as named by it.
    pub(super) named: BTreeSet<PoolKey>,
    /// A live read of it is under way.
    pub(super) reading: bool,
    /// The version known when the last live read began.
    pub(super) read_base: Version,
    /// No live read before then.
    pub(super) read_after: Tick,
    /// Live reads without an answer in a row.
    pub(super) read_failures: u32,
    /// A live read has shown it running since the last time one of its leases was seen to vanish.
    pub(super) seen_alive: bool,
    /// The watch no longer shows it.
    pub(super) unwatched: bool,
    /// Version at which the watch lost it; only a later one shows that it has it again (an answer to
    /// a list may arrive late).
    pub(super) lost_at: Version,
    /// The watch showed its deletion: the last version seen is its final state.
    pub(super) final_state_seen: bool,
    /// It is proven to be gone.
    pub(super) gone: Option<Gone>,
    /// Since when its end is presumed.
    pub(super) presumed_since: Option<Tick>,
    /// Its node is proven to be out of service.
    pub(super) node_out: bool,
    /// It stands aside until then, for this cause.
    pub(super) aside_until: Option<(Tick, Cause)>,
    /// When it was first seen.
    pub(super) first_seen: Tick,
    /// The cause people were last told.
    pub(super) told: Option<Cause>,
    /// A patch beside the grant (finalizer, label, phase) is under way.
    pub(super) side_patch: bool,
    /// No side patch before then.
    pub(super) side_patch_after: Tick,
    /// What the request said when its gate was first seen gone; later edits change nothing.
    pub(super) settled_text: Option<Arc<RequestText>>,
    /// People were told that it has waited as long as it was willing to.
    pub(super) timeout_told: bool,
    /// When it was first seen to hold.
    pub(super) held_since: Option<Tick>,
    /// What was seen of a claim.
    pub(super) claim: ClaimWatch,
}

/// How far the grant of a request has come.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) enum Phase {
    /// It has nothing under way.
    Waiting,
    /// Its leases are being written.
    Taking(Plan),
    /// All of them are durable; the reveal is under way.
    Revealing(Plan, Sending),
    /// Its attempt is being raised.
    Aborting(Abort),
    /// Its gate is gone.
    Held,
}

/// What a grant takes, decided at one moment from one content of the request.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct Plan {
    pub(super) attempt: Attempt,
    pub(super) text: Arc<RequestText>,
    pub(super) labels: Vec<(Name, Option<Name>)>,
    pub(super) items: BTreeMap<PoolKey, Item>,
    /// What it would fix for a claim.
    pub(super) terms: Option<Terms>,
}

/// One pool of a plan.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) enum Item {
    /// A lease; durable once the pool's uid and the token are known.
    Lease {
        amount: Amount,
        durable: Option<(Uid, Token)>,
    },
    /// The pool is Disabled; a live read must have said so, and that its status says that reveals
    /// without a lease are about.
    Open { amount: Amount, confirmed: bool },
    /// The pool does not exist; a live read must have said so.
    Absent { confirmed: bool },
}

/// Where a patch stands.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct Sending {
    pub(super) state: Sent,
    pub(super) tries: u32,
    /// Since when it has been refused, nothing having changed.
    pub(super) refused_since: Option<Tick>,
    /// What the refusal said.
    pub(super) message: Option<Arc<str>>,
}

/// Where a patch stands.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) enum Sent {
    /// To be sent, not before.
    Due(Tick),
    /// Sent, not answered.
    Flying,
    /// Refused or not answered; the request must be read before it is sent again.
    Doubtful,
}

/// An attempt being raised.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct Abort {
    pub(super) from: Attempt,
    pub(super) to: Attempt,
    pub(super) why: Why,
    /// What a claim is told that gets nothing.
    pub(super) message: Arc<str>,
    pub(super) sending: Sending,
    /// A live read of the request is to show first that it is as we think.
    pub(super) unread: bool,
    /// Pools of which a live read is to show first that nobody of a higher epoch has written them.
    pub(super) unwitnessed: BTreeSet<PoolKey>,
}

/// Why an attempt is raised.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(super) enum Why {
    /// The request's annotations or labels changed.
    Edited,
    /// It is being deleted.
    Deleting,
    /// What it had been given no longer fits, or is gone.
    LostFit,
    /// A new incarnation of a pool it names.
    Fence,
    /// It waited as long as it was willing to.
    TimedOut,
    /// Somebody's policy refuses the reveal.
    RevealRefused,
    /// It is refused as it arrives.
    Denied(Cause),
}

/// Where a request stands while it waits.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) enum Place {
    /// In no queue.
    Nowhere,
    /// In the queue of its shape.
    Queued(ShapeId, Rank),
    /// Its shape is known, but it stands aside for a reason of its own.
    Aside(ShapeId, Cause),
    /// Its grant, or the end of one, is under way.
    Granting(ShapeId),
    /// It has no shape.
    Stuck(Cause),
}

impl Sending {
    pub(super) fn new(now: Tick) -> Self {
        Self {
            state: Sent::Due(now),
            tries: 0,
            refused_since: None,
            message: None,
        }
    }

    /// Pause before the next try: doubles, and the tries spread by the uid so that a storm disperses.
    pub(super) fn back_off(&self, uid: &Uid) -> Span {
        super::backoff::back_off(self.tries, uid.as_str())
    }
}

impl Request {
    pub(super) fn new(view: Box<RequestView>, now: Tick) -> Self {
        Self {
            view,
            phase: Phase::Waiting,
            place: Place::Nowhere,
            resolved_from: None,
            worker_labels: Vec::new(),
            held: BTreeSet::new(),
            named: BTreeSet::new(),
            reading: false,
            read_base: Version(0),
            read_after: Tick(0),
            read_failures: 0,
            seen_alive: false,
            unwatched: false,
            lost_at: Version(0),
            final_state_seen: false,
            gone: None,
            presumed_since: None,
            node_out: false,
            aside_until: None,
            first_seen: now,
            told: None,
            side_patch: false,
            side_patch_after: Tick(0),
            settled_text: None,
            timeout_told: false,
            held_since: None,
            claim: ClaimWatch::default(),
        }
    }

    /// The server's past was restored to where the request looked like this: what was decided about it since is void,
    /// what is under way is not.
    pub(super) fn restore(&mut self, view: Box<RequestView>, now: Tick) {
        let old = std::mem::replace(self, Self::new(view, now));
        self.held = old.held;
        self.named = old.named;
        self.reading = old.reading;
        self.side_patch = old.side_patch;
    }

    pub(super) fn rank(&self) -> Rank {
        let ignored = mutant::is(Mutant::PriorityIgnored);
        let priority = if ignored { 0 } else { self.view.priority };
        Rank::new(priority, self.view.arrival, self.view.uid.clone())
    }

    /// Its plan, while one is being carried out.
    pub(super) fn plan(&self) -> Option<&Plan> {
        match &self.phase {
            Phase::Taking(plan) | Phase::Revealing(plan, _) => Some(plan),
            Phase::Waiting | Phase::Aborting(_) | Phase::Held => None,
        }
    }

    pub(super) fn plan_mut(&mut self) -> Option<&mut Plan> {
        match &mut self.phase {
            Phase::Taking(plan) | Phase::Revealing(plan, _) => Some(plan),
            Phase::Waiting | Phase::Aborting(_) | Phase::Held => None,
        }
    }
}

impl Place {
    pub(super) fn shape(&self) -> Option<ShapeId> {
        match self {
            Self::Queued(id, _) | Self::Aside(id, _) | Self::Granting(id) => Some(*id),
            Self::Nowhere | Self::Stuck(_) => None,
        }
    }
}

impl Plan {
    pub(super) fn is_durable(&self) -> bool {
        mutant::is(Mutant::RevealBeforeDurable)
            || self.items.values().all(|item| match item {
                Item::Lease { durable, .. } => durable.is_some(),
                Item::Open { confirmed, .. } | Item::Absent { confirmed } => *confirmed,
            })
    }
}
