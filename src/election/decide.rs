//! What a candidate does next. Pure: no clock, no IO; the task brings what was seen and when.
//!
//! client-go's rules. A record is left alone for its duration, counted on *this* machine's monotonic clock
//! from the moment it was seen to change; times in it are never read. Every write is conditional on the
//! version it was computed from. A mandate counts from the moment the attempt *began*, and ends before
//! any other candidate may take over, whatever became of the answers in between.
//!
//! Beyond client-go: a Lease that vanishes is left alone for a whole duration by everybody but the leader
//! (the leader makes it anew at once), and every accession has a new epoch, above all that any status
//! shows. Two may hold a mandate at once only where somebody deletes the Lease just before a process starts, or
//! twice within its duration, or empties it while the answer to a candidate's write is on its way: safety does not
//! rest on mandates.
//!
//! Tested in `decide_tests`, a table of cases, and in `histories`, where two candidates meet everything.

use std::time::Duration;

use super::record::{LeaseObject, Record};
use super::timing::Timing;

/// Moments on this machine's monotonic clock, counted from any fixed one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct Mono(pub Duration);

impl Mono {
    fn after(self, span: Duration) -> Self {
        Self(self.0.saturating_add(span))
    }
}

/// How far a shown epoch may be above everything else that is known and still be believed: one term a second
/// for a hundred years. What is beyond was not counted there.
const EPOCH_AHEAD_MAX: u64 = 1 << 32;
/// Longest a foreign record is left alone, whatever duration it claims.
const FOREIGN_DURATION_MAX: Duration = Duration::from_secs(300);

/// When a decision is made, on two clocks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Instants {
    /// For decisions.
    pub mono: Mono,
    /// Microseconds since 1970, for people who read the Lease.
    pub wall_micros: i64,
}

/// What a candidate knows, and what it has.
#[derive(Clone, PartialEq, Debug)]
pub struct State {
    identity: String,
    timing: Timing,
    sight: Sight,
    /// The Lease is to be read before anything is decided from it.
    must_read: bool,
    /// Nobody but the leader takes the Lease before then.
    reserved_until: Mono,
    /// Nothing is tried before then.
    next_try: Mono,
    term: Option<Term>,
    /// Greatest epoch ever seen in the Lease.
    epoch_shown: u64,
    /// Least epoch with which every status can be written.
    epoch_needed: u64,
    warm: bool,
    leaving: bool,
}

/// What is known of the Lease.
#[derive(Clone, PartialEq, Debug)]
enum Sight {
    Unread,
    Absent,
    Present(LeaseObject),
}

/// A term that was won.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Term {
    epoch: u64,
    acquired_micros: i64,
    /// When the last successful attempt began.
    renewed: Mono,
    until: Mono,
}

/// What to do next.
#[derive(Clone, PartialEq, Debug)]
pub enum Step {
    /// Nothing before this moment unless there is news; without a moment, nothing but news matters.
    Wait(Option<Mono>),
    /// Read the Lease.
    Read,
    /// Create the Lease.
    Create(Record),
    /// Replace this version of the Lease.
    Write(LeaseObject, Record),
    /// It is over, for this reason. Nothing may be written any more.
    StandDown(Loss),
}

/// Why a candidacy is over.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Loss {
    /// It could not renew in time.
    #[error(
        "the Lease was not renewed within the deadline (API server slow or away, or this process stood still); another controller may lead now"
    )]
    Deadline,
    /// Somebody else holds the Lease.
    #[error("the Lease is held by {0:?} now")]
    Taken(String),
    /// It left on its own account.
    #[error("the Lease was released")]
    Left,
}

/// How an attempt ended.
#[derive(Clone, PartialEq, Debug)]
pub enum Answer {
    /// The Lease as it was written.
    Written(LeaseObject),
    /// What a read found.
    Found(Option<LeaseObject>),
    /// The Lease changed meanwhile, or was created or deleted.
    Conflict,
    /// No answer, or a refusal.
    Failed,
}

impl State {
    /// A candidate that has seen nothing.
    pub fn new(identity: String, timing: Timing) -> Self {
        Self {
            identity,
            timing,
            sight: Sight::Unread,
            must_read: true,
            reserved_until: Mono::default(),
            next_try: Mono::default(),
            term: None,
            epoch_shown: 0,
            epoch_needed: 1,
            warm: false,
            leaving: false,
        }
    }

    /// How patient it is.
    pub fn timing(&self) -> Timing {
        self.timing
    }

    /// Epoch and end of the mandate, while there is one.
    pub fn mandate(&self) -> Option<(u64, Mono)> {
        self.term.map(|term| (term.epoch, term.until))
    }

    /// The caches are complete: it may lead.
    pub fn warmed(&mut self) {
        self.warm = true;
    }

    /// It is to leave in good order.
    pub fn leave(&mut self) {
        self.leaving = true;
    }

    /// Statuses can be written from this epoch on. A leader below it may be deposed: it reads the Lease first.
    pub fn need_epoch(&mut self, needed: u64) {
        if needed <= self.epoch_needed {
            return;
        }
        self.epoch_needed = needed;
        if self.term.is_some_and(|term| term.epoch < self.epoch_needed) {
            self.must_read = true;
        }
    }

    /// The watch showed a version. Older ones than the known are echoes.
    pub fn seen(&mut self, now: Mono, lease: LeaseObject) {
        match &self.sight {
            Sight::Present(known) if lease.version <= known.version => {}
            Sight::Absent | Sight::Unread => self.must_read = true,
            Sight::Present(_) => self.take(now, Some(lease)),
        }
    }

    /// The watch lost sight of the Lease, or showed its deletion.
    pub fn lost_sight(&mut self) {
        self.must_read = true;
    }

    /// An attempt or a read that began at `started` has ended.
    pub fn answered(&mut self, started: Mono, now: Mono, answer: Answer) {
        match answer {
            Answer::Written(lease) => self.written(started, now, lease),
            Answer::Found(lease) => {
                self.must_read = false;
                self.take(now, lease);
            }
            Answer::Conflict => {
                self.must_read = true;
                self.next_try = now.after(self.timing.conflict_pause());
            }
            Answer::Failed => {
                self.must_read = true;
                self.next_try = now.max(started.after(self.timing.retry_period));
            }
        }
    }

    fn written(&mut self, started: Mono, now: Mono, lease: LeaseObject) {
        let record = lease.record.clone();
        self.must_read = false;
        self.take(now, Some(lease));
        self.term = (record.holder == self.identity).then(|| Term {
            epoch: record.epoch,
            acquired_micros: record.acquired_micros,
            renewed: started,
            until: started.after(self.timing.renew_deadline),
        });
    }

    /// Makes this what is known of the Lease.
    fn take(&mut self, now: Mono, lease: Option<LeaseObject>) {
        let known = match &self.sight {
            Sight::Present(known) => Some(known.version),
            Sight::Absent | Sight::Unread => None,
        };
        let Some(lease) = lease else {
            if known.is_some() {
                self.reserved_until = now.after(self.timing.lease_duration);
            }
            self.sight = Sight::Absent;
            return;
        };
        if known != Some(lease.version) {
            let holder = lease.record.holder.as_str();
            let free = holder.is_empty() || holder == self.identity;
            let claimed = Duration::from_secs(u64::from(lease.record.duration_seconds));
            let duration = match claimed {
                Duration::ZERO => self.timing.lease_duration,
                claimed => claimed.min(FOREIGN_DURATION_MAX),
            };
            self.reserved_until = if free { now } else { now.after(duration) };
            let believed = self.believed(lease.record.epoch);
            self.epoch_shown = self.epoch_shown.max(believed);
        }
        self.sight = Sight::Present(lease);
    }

    fn believed(&self, epoch: u64) -> u64 {
        let known = self.epoch_needed.max(self.epoch_shown);
        if epoch <= known.saturating_add(EPOCH_AHEAD_MAX) {
            epoch
        } else {
            0
        }
    }

    fn next_epoch(&self) -> u64 {
        let above = self.term.map_or(0, |term| term.epoch).max(self.epoch_shown);
        above.saturating_add(1).max(self.epoch_needed)
    }

    /// The record by which a term begins.
    fn accession(&self, now: Instants, before: Option<&Record>) -> Record {
        let changes = u32::from(before.is_some_and(|before| before.holder != self.identity));
        let transitions = before.map_or(0, |before| before.transitions);
        Record {
            holder: self.identity.clone(),
            duration_seconds: self.timing.duration_seconds(),
            acquired_micros: now.wall_micros,
            renewed_micros: now.wall_micros,
            transitions: transitions.saturating_add(changes),
            epoch: self.next_epoch(),
        }
    }

    fn take_over(&self, now: Instants) -> Step {
        match &self.sight {
            Sight::Present(lease) => {
                Step::Write(lease.clone(), self.accession(now, Some(&lease.record)))
            }
            Sight::Absent => Step::Create(self.accession(now, None)),
            Sight::Unread => Step::Read,
        }
    }
}

/// What this candidate does now.
pub fn decide(now: Instants, state: &State) -> Step {
    match state.term {
        Some(term) => lead(now, state, term),
        None => follow(now, state),
    }
}

fn lead(now: Instants, state: &State, term: Term) -> Step {
    let mono = now.mono;
    if mono >= term.until {
        return Step::StandDown(Loss::Deadline);
    }
    if let Sight::Present(lease) = &state.sight {
        let holder = &lease.record.holder;
        if !holder.is_empty() && *holder != state.identity {
            return Step::StandDown(Loss::Taken(holder.clone()));
        }
    }
    let not_before = |due: Mono| {
        let at = due.max(state.next_try);
        (mono < at).then(|| Step::Wait(Some(at.min(term.until))))
    };
    if state.must_read {
        return not_before(mono).unwrap_or(Step::Read);
    }
    let own = match &state.sight {
        Sight::Present(lease) if lease.record.holder == state.identity => lease,
        Sight::Present(_) | Sight::Absent | Sight::Unread if state.leaving => {
            return Step::StandDown(Loss::Left);
        }
        // Somebody deleted or emptied the Lease: it is made anew, as a new term.
        Sight::Present(_) | Sight::Absent | Sight::Unread => {
            return not_before(mono).unwrap_or_else(|| state.take_over(now));
        }
    };
    let renewed = Record {
        duration_seconds: state.timing.duration_seconds(),
        acquired_micros: term.acquired_micros,
        renewed_micros: now.wall_micros,
        ..own.record.clone()
    };
    if state.leaving {
        // client-go's way to say that nobody need wait.
        let released = Record {
            holder: String::new(),
            duration_seconds: 1,
            epoch: term.epoch,
            ..renewed
        };
        return not_before(mono).unwrap_or(Step::Write(own.clone(), released));
    }
    let (due, epoch) = if term.epoch < state.epoch_needed {
        (mono, state.next_epoch())
    } else if own.record.epoch != term.epoch {
        // A restored backup, or a hand: the Lease is to say again what the statuses say.
        (
            mono,
            term.epoch.max(own.record.epoch.min(state.epoch_shown)),
        )
    } else {
        (term.renewed.after(state.timing.retry_period), term.epoch)
    };
    let record = Record { epoch, ..renewed };
    not_before(due).unwrap_or(Step::Write(own.clone(), record))
}

fn follow(now: Instants, state: &State) -> Step {
    let mono = now.mono;
    if state.leaving {
        return Step::StandDown(Loss::Left);
    }
    if state.must_read {
        return match mono < state.next_try {
            true => Step::Wait(Some(state.next_try)),
            false => Step::Read,
        };
    }
    if !state.warm {
        return Step::Wait(None);
    }
    let at = state.reserved_until.max(state.next_try);
    match mono < at {
        true => Step::Wait(Some(at)),
        false => state.take_over(now),
    }
}
