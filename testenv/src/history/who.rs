//! Who may hold: a pod or a claim, as it stands at one revision, with what has to be remembered of its past.
//!
//! Judges nothing. Tested through the rules.

use std::sync::Arc;

use super::claim::{Claim, Phase};
use super::evidence::has_ended;
use super::pool::Pool;
use super::request::{Attempt, Record};
use super::world::Holder;

/// One claim, from its creation on for ever. Times are the server's, in whole seconds since 1970: no moment named here
/// is later than the truth. 0: not known.
#[derive(Debug)]
pub(super) struct Claimant {
    pub(super) last: Arc<Claim>,
    pub(super) gone: bool,
    /// When it was there first.
    pub(super) created_at: i64,
    /// When it was granted.
    pub(super) granted_at: Option<i64>,
    /// The `seq` with which it was granted.
    pub(super) granted_seq: i64,
    /// When it was granted or renewed last.
    pub(super) renewed_at: i64,
    /// When it was revoked.
    pub(super) revoked_at: Option<i64>,
    /// When a final phase, or its release, was written.
    pub(super) ended_at: Option<i64>,
    /// When its object went.
    pub(super) gone_at: Option<i64>,
}

impl Claimant {
    pub(super) fn new(claim: &Arc<Claim>, now: i64) -> Self {
        Self {
            last: Arc::clone(claim),
            gone: false,
            created_at: now,
            granted_at: None,
            granted_seq: 0,
            renewed_at: now,
            revoked_at: None,
            ended_at: None,
            gone_at: None,
        }
    }

    /// Takes the next version, or the deletion of the last one.
    pub(super) fn take(&mut self, claim: &Arc<Claim>, gone: bool, now: i64) {
        if claim.phase == Phase::Granted && self.granted_at.is_none() {
            self.granted_at = Some(now);
            self.granted_seq = claim.seq;
            self.renewed_at = now;
        }
        if claim.seq != self.last.seq {
            self.renewed_at = now;
        }
        if claim.phase == Phase::Revoked {
            self.revoked_at.get_or_insert(now);
        }
        if claim.phase.is_final() || claim.release {
            self.ended_at.get_or_insert(now);
        }
        if gone {
            self.gone_at.get_or_insert(now);
        }
        self.gone = gone;
        self.last = Arc::clone(claim);
    }

    /// It holds, by its own word and its controller's.
    pub(super) fn holds(&self) -> bool {
        self.last.phase == Phase::Granted && !self.last.release && !self.gone
    }

    /// Its holder may believe still, although it was taken away, or its object is gone.
    pub(super) fn may_believe(&self) -> bool {
        let told = matches!(self.last.phase, Phase::Granted | Phase::Revoked);
        told && !self.last.release && !self.last.ran_out()
    }
}

/// A pod or a claim.
#[derive(Clone, Copy, Debug)]
pub(super) enum Who<'a> {
    Pod(&'a Holder),
    Claim(&'a Claimant),
}

impl<'a> Who<'a> {
    /// It was told that it holds: its gate is gone, or its claim Granted.
    pub(super) fn is_told(self) -> bool {
        match self {
            Self::Pod(pod) => !pod.last.gated,
            Self::Claim(claim) => claim.granted_at.is_some(),
        }
    }

    /// What it was told, where that can be read.
    pub(super) fn record(self) -> Option<&'a Record> {
        match self {
            Self::Pod(pod) => pod.last.record(),
            Self::Claim(claim) => claim.last.record(),
        }
    }

    /// The attempt that its leases must have to count: that of its record, else its own.
    pub(super) fn attempt(self) -> Option<Attempt> {
        let own = match self {
            Self::Pod(pod) => pod.last.attempt,
            Self::Claim(claim) => claim.last.attempt,
        };
        self.record().map_or(own, |record| Some(record.attempt))
    }

    pub(super) fn name(self) -> &'a str {
        match self {
            Self::Pod(pod) => &pod.last.name,
            Self::Claim(claim) => &claim.last.name,
        }
    }

    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Pod(_) => "pod",
            Self::Claim(_) => "claim",
        }
    }

    /// Its object is gone: nobody can read any more whether it was told.
    pub(super) fn is_gone(self) -> bool {
        match self {
            Self::Pod(pod) => pod.gone,
            Self::Claim(claim) => claim.gone,
        }
    }

    /// It may work, by all that is known of the object itself.
    pub(super) fn may_work(self, pool: &Pool) -> bool {
        match self {
            Self::Pod(pod) => !pod.last.gated && !pod.gone && !has_ended(pod, pool),
            Self::Claim(claim) => claim.holds(),
        }
    }

    /// Its lease may have gone for good: nothing of it counts here any more.
    pub(super) fn is_over(self, pool: &Pool) -> bool {
        match self {
            Self::Pod(pod) => has_ended(pod, pool),
            Self::Claim(claim) => !claim.holds(),
        }
    }
}
