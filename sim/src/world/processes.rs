//! Processes that hold claims: what each knows, and what it believes by its own clock.
//!
//! [`Processes`] is the physical truth about claims, as [`super::nodes::Nodes`] is about pods: who works under the protection
//! of a slot, whatever any object says. The rules are those a holder keeps (docs/design.md 5.5; models/README.md, "What
//! claims rely on"), written here on their own. Messages and chance are in [`super::holders`].

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use sluice::api::claim::{ClaimKind, ClaimPhase, SlotClaimSpec};
use sluice::ledger::{Name, Uid};

use super::SECOND;
use crate::server::SeenClaim;

/// What a process is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Stage {
    /// Its claim is not known to be there, or not yet its own.
    Asking,
    /// It waits for its grant, or for the answer that hands it over.
    Waiting,
    /// It works, and believes until its deadline.
    Holding,
    /// It believes nothing any more and says that it has done.
    Leaving,
    /// Nothing is left to do.
    Over,
}

/// A claim of somebody else's that a process is to adopt by its name.
#[derive(Clone, Debug)]
pub(super) struct Former {
    /// The session it was read with.
    pub(super) session: String,
    /// The process of that session has ended, and this one knows it.
    pub(super) is_dead: bool,
}

/// One process.
#[derive(Clone, Debug)]
pub struct Holder {
    pub(super) namespace: Name,
    pub(super) name: Name,
    pub(super) session: String,
    pub(super) spec: SlotClaimSpec,
    /// Speed of its clock, in millionths of true time.
    pub(super) rate: u64,
    /// It is stopped until then, in true time.
    pub(super) frozen_until: u64,
    /// The network between it and the server is down until then, in true time.
    pub(super) cut_until: u64,
    /// It listens to no bad news: it believes until its own deadline.
    pub(super) is_stubborn: bool,
    pub(super) stage: Stage,
    /// It adopts a claim that is there.
    pub(super) adopts: Option<Former>,
    /// The claim as it was seen last.
    pub(super) seen: Option<Arc<SeenClaim>>,
    /// Highest number of a renewal it has sent.
    pub(super) seq: i64,
    /// When it sent its first create, by its own clock.
    pub(super) first_sent: Option<u64>,
    /// It has to see a renewal acknowledged before it believes.
    pub(super) renews_first: bool,
    /// It may not believe before then, by its own clock.
    pub(super) believes_from: u64,
    /// When it sent the last create or renewal that was acknowledged, by its own clock.
    pub(super) proven: Option<u64>,
    /// When it sent its last renewal, and whether the answer is still awaited.
    pub(super) renewed_at: Option<u64>,
    pub(super) is_renewing: bool,
    /// A call that is no renewal is under way.
    pub(super) is_busy: bool,
    pub(super) tries: u32,
    /// Nothing is tried again before then, by its own clock.
    pub(super) retry_after: u64,
    /// It waits no longer than until then, by its own clock.
    pub(super) gives_up_at: Option<u64>,
    /// How long it works, and until when.
    pub(super) works_for: u64,
    pub(super) works_until: u64,
}

/// Most tries of a create, an adoption or a release.
const TRIES_MAX: u32 = 20;

/// The guard of a holder's deadline: the larger of two seconds and a tenth of the lease.
fn guard(lease: u64) -> u64 {
    (lease / 10).max(2 * SECOND)
}

impl Holder {
    /// Counts one more try; false, and its end, when there were too many.
    pub(super) fn tries_again(&mut self) -> bool {
        self.tries = self.tries.saturating_add(1);
        if self.tries > TRIES_MAX {
            self.stage = Stage::Over;
            return false;
        }
        true
    }

    /// Its clock.
    pub(super) fn clock(&self, now: u64) -> u64 {
        let shown = u128::from(now).saturating_mul(u128::from(self.rate)) / 1_000_000;
        u64::try_from(shown).unwrap_or(u64::MAX)
    }

    /// Its claim.
    pub(super) fn uid(&self) -> Option<&Uid> {
        self.seen.as_ref().map(|seen| &seen.claim.uid)
    }

    /// How long its lease is, in microseconds, as its grant says.
    pub(super) fn lease(&self) -> Option<u64> {
        let seconds = self.seen.as_ref()?.claim.status.lease_duration_seconds?;
        Some(u64::try_from(seconds).unwrap_or(0).saturating_mul(SECOND))
    }

    /// Until when it believes, by its own clock: from the sending of what was acknowledged.
    pub(super) fn deadline(&self) -> Option<u64> {
        let lease = self.lease()?;
        Some(
            self.proven?
                .saturating_add(lease.saturating_sub(guard(lease))),
        )
    }

    /// It works under the protection of its claim.
    pub fn believes(&self, now: u64) -> bool {
        let in_time = self.deadline().is_some_and(|at| self.clock(now) < at);
        self.stage == Stage::Holding && in_time
    }

    /// It has seen its grant, and nothing after it.
    pub(super) fn is_granted(&self) -> bool {
        let seen = self.seen.as_ref();
        seen.is_some_and(|seen| seen.claim.is_granted() && !seen.claim.spec.release)
    }

    /// It has got what it takes for a rate.
    pub(super) fn has_taken(&self) -> bool {
        self.spec.kind == ClaimKind::RateLimit && self.stage == Stage::Waiting && self.is_granted()
    }

    /// Takes in what it was shown of its claim; whether that ends what it believed.
    pub(super) fn look(&mut self, shown: &Arc<SeenClaim>) {
        if self.uid().is_some_and(|uid| *uid != shown.claim.uid) {
            self.lose();
            return;
        }
        let older = self.seen.as_ref();
        if older.is_some_and(|seen| seen.claim.version > shown.claim.version) {
            return;
        }
        let theirs = shown.claim.spec.session != self.session;
        let over = shown.claim.status.phase.is_final();
        if (theirs || over) && self.stage != Stage::Asking {
            if self.is_stubborn && self.stage == Stage::Holding {
                return;
            }
            let revoked = shown.claim.status.phase == ClaimPhase::Revoked && !theirs;
            self.lose();
            if revoked && self.works_for.is_multiple_of(2) {
                // It says that it has heard.
                self.stage = Stage::Leaving;
            }
        }
        self.seen = Some(Arc::clone(shown));
    }

    /// Its claim is gone.
    pub(super) fn miss(&mut self) {
        if !(self.is_stubborn && self.stage == Stage::Holding) {
            self.lose();
        }
    }

    /// It believes nothing any more, and has nothing to give back.
    pub(super) fn lose(&mut self) {
        self.stage = Stage::Over;
    }

    /// A renewal was acknowledged that was sent at this moment of its clock.
    pub(super) fn prove(&mut self, sent: u64) {
        self.proven = Some(self.proven.map_or(sent, |proven| proven.max(sent)));
        self.renews_first = false;
    }

    /// It may begin to work, if its lease still protects it: whether it does.
    pub(super) fn begin(&mut self, now: u64) -> bool {
        let clock = self.clock(now);
        let ready = self.stage == Stage::Waiting
            && self.is_granted()
            && !self.renews_first
            && clock >= self.believes_from
            && self.deadline().is_some_and(|at| clock < at);
        if ready {
            self.stage = Stage::Holding;
            self.works_until = clock.saturating_add(self.works_for);
        }
        ready
    }

    /// It has just seen its grant, and decides whether it has to confirm it: after more than 0.4 of the lease, counted from
    /// the sending of its first create, and always where it has not made the claim itself.
    pub(super) fn notice_grant(&mut self, now: u64) {
        if self.stage != Stage::Waiting || !self.is_granted() || self.proven.is_some() {
            return;
        }
        let (Some(lease), clock) = (self.lease(), self.clock(now)) else {
            return;
        };
        match self.first_sent {
            Some(sent) if !self.renews_first => {
                let waited = clock.saturating_sub(sent);
                if waited.saturating_mul(10) > lease.saturating_mul(4) {
                    self.renews_first = true;
                } else {
                    self.proven = Some(sent);
                }
            }
            _ => self.renews_first = true,
        }
    }
}

/// All processes that hold claims.
#[derive(Clone, Debug, Default)]
pub struct Processes {
    pub(super) all: BTreeMap<usize, Holder>,
    /// Sessions of processes that have ended.
    pub(super) dead: BTreeSet<String>,
    /// Every session that a claim ever had.
    pub(super) guards: BTreeMap<Uid, BTreeSet<String>>,
    /// Who began to work, or saw a renewal acknowledged, and was not judged yet.
    pub(super) begun: Vec<usize>,
}

impl Processes {
    /// Everybody who works under the protection of a claim now.
    pub fn believers(&self, now: u64) -> impl Iterator<Item = (usize, &Arc<SeenClaim>)> {
        self.all.iter().filter_map(move |(number, holder)| {
            let seen = holder.seen.as_ref()?;
            holder.believes(now).then_some((*number, seen))
        })
    }

    /// Somebody who works under the protection of this claim now.
    pub fn believer(&self, uid: &Uid, now: u64) -> Option<usize> {
        self.believers(now)
            .find(|(_, seen)| seen.claim.uid == *uid)
            .map(|(number, _)| number)
    }

    /// Whether everybody has ended who ever had this claim. That the last of them has is not enough: it may have adopted the
    /// claim itself a moment before, and the guard before it may still believe.
    pub(super) fn are_all_dead(&self, uid: &Uid) -> bool {
        let guards = self.guards.get(uid).into_iter().flatten();
        guards
            .into_iter()
            .all(|session| self.dead.contains(session))
    }

    /// Those who began to work, or go on working, since this was asked last.
    pub(super) fn take_begun(&mut self) -> Vec<usize> {
        std::mem::take(&mut self.begun)
    }

    /// One of them.
    pub fn get(&self, number: usize) -> Option<&Holder> {
        self.all.get(&number)
    }

    /// All of them, a line each.
    pub fn told(&self, now: u64) -> String {
        let line = |(number, holder): (&usize, &Holder)| {
            format!(
                "process {number} of {} ({:?}), session {}: {:?}, believes {}, clock {} deadline {:?}, frozen until {}, cut until {}",
                holder.name,
                holder.uid(),
                holder.session,
                holder.stage,
                holder.believes(now),
                holder.clock(now),
                holder.deadline(),
                holder.frozen_until,
                holder.cut_until,
            )
        };
        let lines: Vec<String> = self.all.iter().map(line).collect();
        lines.join("\n")
    }
}
