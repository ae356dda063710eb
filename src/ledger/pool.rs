//! One pool as the ledger follows it: its last durable state, what is to be written, and what is
//! being written. Room is counted here and nowhere else.
//!
//! Never counts from memory alone: `entries` is always the index of a status the server has
//! acknowledged or shown, and `planned` adds what is queued or flying on top of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::bounds::{BATCH_CHANGES_MAX, LEASES_MAX, STATUS_SCHEMA};
use super::ids::{Amount, Attempt, Batch, Name, Token, Uid, Units, Version};
use super::mutant::{self, Mutant};
use super::object::{Mode, PoolObject, PoolSpec, PoolStatus};
use super::rate::Gauge;
use super::time::{Span, Tick};

/// A pool and its state.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct Pool {
    /// Last version acknowledged or shown; `None` while no object serves the key.
    pub(super) seen: Option<PoolObject>,
    /// Index of the leases and adopted holders in `seen`.
    pub(super) entries: BTreeMap<Uid, Entry>,
    /// Grants and adoptions to be written.
    pub(super) adds: BTreeMap<Uid, Add>,
    /// Releases to be written, each of the very entry it was decided for.
    pub(super) removes: BTreeMap<Uid, Leaving>,
    /// The write under way.
    pub(super) flight: Option<Flight>,
    /// It was to be looked at while a write was under way, and is when that is answered.
    pub(super) look_again: bool,
    /// Units of entries, adds and flight, less what is being removed.
    pub(super) planned: Units,
    /// Holders likewise.
    pub(super) planned_count: usize,
    /// Units of what is being removed and then has to come back with time.
    pub(super) draining: Units,
    /// Where the level stood at some moment by our own clock.
    pub(super) gauge: Gauge,
    /// The last status that was computed here, and when: its level is of that moment.
    pub(super) composed: Option<(Batch, Tick)>,
    /// A request waits for `open` to be written.
    pub(super) open_wanted: bool,
    /// Requests that rely on this key being absent or Disabled and take no lease, so that no
    /// compare-and-swap stands behind them: a live read begun after their plan has to say so.
    pub(super) witness_wanted: BTreeSet<Uid>,
    /// Those for which the read under way was begun.
    pub(super) witness_asked: BTreeSet<Uid>,
    /// Generation and batch of the last write that met a conflict.
    pub(super) conflict_base: Option<(i64, Option<Batch>)>,
    /// The last write failed for an unclear reason: it is read before the next.
    pub(super) must_read: bool,
    /// How far the fence of this incarnation has come.
    pub(super) fence: Fence,
    /// Final state of the incarnation before, when its deletion was watched.
    pub(super) former: Option<Former>,
    /// Requests that name this pool.
    pub(super) named_by: BTreeSet<Uid>,
    /// Workers whose derived limits are wanted.
    pub(super) workers_wanted: BTreeSet<Name>,
    /// A live read is under way.
    pub(super) reading: bool,
    /// What was known when it began: an absence says nothing about what came since.
    pub(super) read_base: Option<(Uid, Version)>,
    /// The incarnation that is being deleted as idle.
    pub(super) deleting_uid: Option<Uid>,
    /// A write to it as a derived limit is under way.
    pub(super) child_write: bool,
    /// A live read has shown that no object serves the key, and nothing was shown since.
    pub(super) absent: bool,
    /// The version of a derived limit that shows a later generation of its family than the family has itself, once the
    /// family is read live for that.
    pub(super) doubted: Option<Version>,
    /// No writes before then.
    pub(super) hold_until: Tick,
    /// Writes refused in a row.
    pub(super) refusals: u32,
    /// Conflicts in a row in which nothing of ours had changed.
    pub(super) idle_conflicts: u32,
    /// Most changes in the next write: halves while writes are refused as invalid.
    pub(super) batch_max: usize,
    /// The last refusal, for the condition.
    pub(super) refusal: Option<Arc<str>>,
    /// When the last write was applied.
    pub(super) written_at: Tick,
    /// Its status shows an epoch that nobody can have reached.
    pub(super) epoch_absurd: bool,
    /// What an operator wrote who set aside the family it is derived from.
    pub(super) family_set_aside: Option<Arc<str>>,
    /// Since when a derived limit has had neither holders nor waiters.
    pub(super) idle_since: Option<Tick>,
    /// Events about its waiters that were held back.
    pub(super) events_held_back: u64,
}

/// One lease or adopted holder of the acknowledged status.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) struct Entry {
    pub(super) amount: Amount,
    pub(super) token: Token,
    pub(super) attempt: Attempt,
    pub(super) linger: Option<Span>,
}

/// An entry on its way out.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) struct Leaving {
    pub(super) entry: Entry,
    /// It was used: on a limit with decay its slots come back with time only.
    pub(super) drains: bool,
}

/// A lease to be written.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) struct Add {
    pub(super) amount: Amount,
    pub(super) attempt: Attempt,
    /// Set for a holder that runs already: it keeps its token, and counts whether it fits or not.
    pub(super) adopt: Option<Token>,
    /// How long it stays when its claim vanishes without a release.
    pub(super) linger: Option<Span>,
}

/// A status write under way.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct Flight {
    pub(super) batch: Batch,
    pub(super) base: Version,
    pub(super) status: Arc<PoolStatus>,
    pub(super) adds: BTreeMap<Uid, Add>,
    pub(super) removes: BTreeMap<Uid, Leaving>,
    pub(super) purpose: Purpose,
    pub(super) tested: bool,
    pub(super) resends: u32,
    /// The answer was lost: the object is being read.
    pub(super) doubtful: bool,
}

/// What a write does beside its leases.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) enum Purpose {
    /// Nothing.
    Plain,
    /// Writes the token floor of a new incarnation.
    Floor,
    /// Ends the fence: adopts the running holders.
    Adopt,
}

/// How far the fence of an incarnation has come (DESIGN 5.4).
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) enum Fence {
    /// Nothing is done yet.
    Needed,
    /// The floor is durable; requests are to be listed.
    ListWanted,
    /// They are being listed.
    Listing(u64),
    /// These attempts are to be raised.
    Bumping(BTreeMap<Uid, Attempt>),
    /// Running holders are to be written down.
    Adopting,
    /// This incarnation grants.
    Done,
}

/// Final state of a deleted incarnation, when its deletion was watched.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct Former {
    /// It was fenced and not open: only its own entries can have reveals under way.
    pub(super) narrow: bool,
    pub(super) entries: BTreeMap<Uid, Attempt>,
}

impl Default for Pool {
    fn default() -> Self {
        Self {
            seen: None,
            entries: BTreeMap::new(),
            adds: BTreeMap::new(),
            removes: BTreeMap::new(),
            flight: None,
            look_again: false,
            planned: 0,
            planned_count: 0,
            draining: 0,
            gauge: Gauge::EMPTY,
            composed: None,
            open_wanted: false,
            witness_wanted: BTreeSet::new(),
            witness_asked: BTreeSet::new(),
            conflict_base: None,
            must_read: false,
            fence: Fence::Needed,
            former: None,
            named_by: BTreeSet::new(),
            workers_wanted: BTreeSet::new(),
            reading: false,
            read_base: None,
            deleting_uid: None,
            child_write: false,
            absent: false,
            doubted: None,
            hold_until: Tick(0),
            refusals: 0,
            idle_conflicts: 0,
            batch_max: BATCH_CHANGES_MAX,
            refusal: None,
            written_at: Tick(0),
            epoch_absurd: false,
            family_set_aside: None,
            idle_since: None,
            events_held_back: 0,
        }
    }
}

impl Pool {
    pub(super) fn spec(&self) -> Option<&PoolSpec> {
        self.seen.as_ref()?.spec.read()
    }

    pub(super) fn status(&self) -> Option<&PoolStatus> {
        self.seen.as_ref()?.status.read().map(|status| &**status)
    }

    pub(super) fn mode(&self) -> Option<Mode> {
        self.spec().map(|spec| spec.mode)
    }

    /// Its status may be written at all: it is understood, not of a newer schema, and of an epoch that is.
    pub(super) fn is_writable(&self) -> bool {
        !self.epoch_absurd
            && self
                .status()
                .is_some_and(|status| status.schema <= STATUS_SCHEMA)
    }

    /// Its status says that reveals without a lease are about.
    pub(super) fn is_open(&self) -> bool {
        self.status()
            .is_some_and(|status| status.open && !status.fenced)
    }

    /// The server shows something else under the version that is known: its past was restored, and another write was
    /// given the same number.
    pub(super) fn is_contradicted_by(&self, object: &PoolObject) -> bool {
        let same = |seen: &&PoolObject| seen.version == object.version;
        self.seen
            .as_ref()
            .filter(same)
            .is_some_and(|seen| seen != object)
    }

    /// An operator vouches that this holder has ended, or wants its slots whatever it does.
    pub(super) fn is_released(&self, uid: &Uid) -> bool {
        let said = self
            .seen
            .as_ref()
            .is_some_and(|seen| seen.released.contains(uid));
        said && !mutant::is(Mutant::OperatorIgnored)
    }

    /// A live read is to say something to this request; whether that is news.
    pub(super) fn want_witness(&mut self, uid: &Uid) -> bool {
        !self.witness_asked.contains(uid) && self.witness_wanted.insert(uid.clone())
    }

    /// A lease that is merely queued can still be written: the pool grants as it stands.
    pub(super) fn still_grants(&self) -> bool {
        self.mode() == Some(Mode::Active)
            && self.fence == Fence::Done
            && self.quarantine().is_none()
            && self.seen.as_ref().is_some_and(|seen| !seen.deleting)
    }

    /// Units nobody has, or is about to have, and that have come back.
    pub(super) fn free(&self, now: Tick) -> Units {
        if mutant::is(Mutant::AdoptedTakeNoRoom) {
            let leases = self.status().into_iter().flat_map(|status| &status.leases);
            let held = leases.fold(0, |sum: Units, it| sum.saturating_add(it.amount.units()));
            return self
                .spec()
                .map_or(0, |spec| spec.capacity.saturating_sub(held));
        }
        let taken = self.planned.saturating_add(self.used_up(now));
        self.spec()
            .map_or(0, |spec| spec.capacity.saturating_sub(taken))
    }

    /// One more lease fits in the status.
    pub(super) fn has_lease_room(&self) -> bool {
        self.planned_count < LEASES_MAX
    }

    /// Whether this holder is counted here, durably or about to be.
    pub(super) fn counts(&self, uid: &Uid) -> bool {
        self.entries.contains_key(uid)
            || self.adds.contains_key(uid)
            || self
                .flight
                .as_ref()
                .is_some_and(|flight| flight.adds.contains_key(uid))
    }

    /// A lease for this holder may become durable without anybody deciding anew.
    pub(super) fn may_write(&self, uid: &Uid) -> bool {
        self.flight
            .as_ref()
            .is_some_and(|flight| flight.adds.contains_key(uid))
    }

    /// Counts anew what is durable, queued and flying.
    pub(super) fn recount(&mut self) {
        let flying = self.flight.as_ref();
        let leaves = |uid: &Uid| {
            self.removes.contains_key(uid)
                || flying.is_some_and(|flight| flight.removes.contains_key(uid))
        };
        let stays = |uid: &Uid| self.entries.contains_key(uid) && !leaves(uid);
        let flies = |uid: &Uid| flying.is_some_and(|flight| flight.adds.contains_key(uid));
        let durable = self.entries.iter().filter(|(uid, _)| !leaves(uid));
        let flown = flying.into_iter().flat_map(|flight| &flight.adds);
        let flown = flown.filter(|(uid, _)| !stays(uid));
        let queued = self.adds.iter();
        let queued = queued.filter(|(uid, _)| !stays(uid) && !flies(uid));
        let durable = durable.map(|(_, entry)| entry.amount);
        let coming = flown.chain(queued).map(|(_, add)| add.amount);
        let (count, units) =
            durable
                .chain(coming)
                .fold((0_usize, 0), |(count, sum): (usize, Units), amount| {
                    (count.saturating_add(1), sum.saturating_add(amount.units()))
                });
        let flown = flying.into_iter().flat_map(|flight| &flight.removes);
        let draining = self.removes.iter().chain(flown).filter(|(uid, leaving)| {
            leaving.drains && self.entries.get(*uid) == Some(&leaving.entry)
        });
        self.draining = draining.fold(0, |sum: Units, (_, leaving)| {
            sum.saturating_add(leaving.entry.amount.units())
        });
        self.planned_count = count;
        self.planned = units;
    }

    /// Queues a lease.
    pub(super) fn add(&mut self, uid: Uid, add: Add) {
        let counted = self.counts(&uid);
        self.adds.insert(uid, add);
        if counted {
            self.recount();
        } else {
            self.planned = self.planned.saturating_add(add.amount.units());
            self.planned_count = self.planned_count.saturating_add(1);
        }
    }

    /// Queues a release of a durable entry, which was used or not; whether that is news.
    pub(super) fn remove(&mut self, uid: &Uid, drains: bool) -> bool {
        let Some(entry) = self.entries.get(uid) else {
            return false;
        };
        let entry = *entry;
        let leaving = Leaving { entry, drains };
        let flying = self
            .flight
            .as_ref()
            .is_some_and(|flight| flight.removes.contains_key(uid));
        if flying || self.removes.contains_key(uid) {
            return false;
        }
        self.removes.insert(uid.clone(), leaving);
        if self.adds.contains_key(uid) || self.may_write(uid) {
            self.recount();
        } else {
            let units = entry.amount.units();
            self.planned = self.planned.saturating_sub(units);
            self.planned_count = self.planned_count.saturating_sub(1);
            if drains {
                self.draining = self.draining.saturating_add(units);
            }
        }
        true
    }

    /// Takes back a queued lease that was never sent.
    pub(super) fn withdraw(&mut self, uid: &Uid) {
        let Some(add) = self.adds.remove(uid) else {
            return;
        };
        if self.counts(uid) || self.removes.contains_key(uid) {
            self.recount();
        } else {
            self.planned = self.planned.saturating_sub(add.amount.units());
            self.planned_count = self.planned_count.saturating_sub(1);
        }
    }
}
