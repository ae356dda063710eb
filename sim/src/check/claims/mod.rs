//! Rules about every version of a claim; what depends on the leases of claims and on what processes believe is in
//! [`holding`].
//!
//! Written against docs/design.md 5.2 (invariants 4, 7, 8) and 5.5. Clocks of controllers differ from true time by a
//! twentieth each way: a duration that a controller has to wait for lasts at least nineteen twentieths of itself.

mod holding;

use std::sync::Arc;

use sluice::api::claim::{ClaimPhase, SlotClaimStatus};
use sluice::ledger::{Ask, PoolKey, Wants};

pub(super) use self::holding::Room;
use super::rates::is_take;
use super::reveals::Asked;
use super::{Checker, Truth, Violation};
use crate::server::{Entry, SeenClaim, Server, Writer};
use crate::world::processes::Processes;
use crate::world::{Counts, SECOND};

/// Of a duration by a controller's clock at least so much passes, with room for whole milliseconds.
const CLOCK_PERCENT: u64 = 94;
/// How soon a grant lapses that nobody confirms.
const LAPSE_SECONDS: u64 = 15;
/// How long a claim that has ended without release stays to be read.
const KEPT_SECONDS: u64 = 300;

/// When things happened to a claim, in microseconds of true time.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Life {
    created: u64,
    granted: u64,
    renewed: u64,
    ended: u64,
    gone: Option<u64>,
}

fn wrong(rule: &'static str, seen: &SeenClaim, what: &str) -> Result<(), Violation> {
    let name = seen.claim.name.to_string();
    Err(Violation {
        rule,
        what: format!("{name} ({}): {what}", seen.claim.uid),
        about: vec![name, seen.claim.uid.to_string()],
    })
}

fn seconds(of: Option<i32>) -> u64 {
    of.map_or(0, |it| u64::try_from(it).unwrap_or(0))
}

/// So many seconds by a controller's clock, in microseconds of true time at least.
fn at_least(seconds: u64) -> u64 {
    seconds.saturating_mul(SECOND).saturating_mul(CLOCK_PERCENT) / 100
}

/// What a lease and its delay come to where the holder may not have heard: 1.05 times the one, and the other.
fn linger(status: &SlotClaimStatus) -> u64 {
    let lease = seconds(status.lease_duration_seconds);
    let delay = seconds(status.lock_delay_seconds);
    at_least(lease.saturating_mul(105)) / 100 + at_least(delay)
}

/// It was taken away when its holder could not believe any more.
fn is_expired(status: &SlotClaimStatus) -> bool {
    matches!(status.reason.as_str(), "Expired" | "PodEnded")
}

impl Checker {
    /// Judges a version of a claim.
    pub(super) fn claim(
        &mut self,
        before: Option<&SeenClaim>,
        now: Option<&Arc<SeenClaim>>,
        entry: &Entry,
        server: &Server,
        truth: Truth<'_>,
        counts: &mut Counts,
    ) -> Result<(), Violation> {
        let by_controller = matches!(entry.by, Writer::Controller(_));
        let Some(now) = now else {
            let Some(last) = before else { return Ok(()) };
            let uid = &last.claim.uid;
            if let Some(seen) = self.claims.remove(uid) {
                self.gone_claims.insert(uid.clone(), seen);
            }
            let life = self.lives.entry(uid.clone()).or_default();
            life.gone = Some(entry.at);
            let life = *life;
            if by_controller {
                *counts.entry("claim: deleted by a controller").or_default() += 1;
                return self.claim_deletion(last, life, entry.at);
            }
            return Ok(());
        };
        let uid = now.claim.uid.clone();
        self.claims.insert(uid.clone(), Arc::clone(now));
        let life = self.lives.entry(uid.clone()).or_default();
        let Some(before) = before else {
            life.created = entry.at;
            return Ok(());
        };
        let (was, is) = (&before.claim, &now.claim);
        if was.spec.renew.seq != is.spec.renew.seq {
            life.renewed = entry.at;
        }
        if was.status == is.status {
            return Ok(());
        }
        if is.status.phase != was.status.phase {
            match is.status.phase {
                ClaimPhase::Granted => {
                    life.granted = entry.at;
                    life.ended = entry.at;
                }
                _ => life.ended = entry.at,
            }
        }
        let life = *life;
        if is.is_granted() && self.revealed.insert(uid.clone()) {
            self.revealed_at.insert(uid.clone(), entry.at);
        }
        let step = (was.status.phase, is.status.phase);
        match step {
            (ClaimPhase::Pending, ClaimPhase::Pending) => {
                *counts.entry("claim: attempt raised").or_default() += 1;
                if is.status.attempt <= was.status.attempt {
                    return wrong("attempt", now, "its attempt does not grow");
                }
                Ok(())
            }
            (ClaimPhase::Pending, ClaimPhase::Granted) => {
                *counts.entry("claim: granted").or_default() += 1;
                self.claim_grant(before, now, entry, truth)
            }
            (ClaimPhase::Pending, ClaimPhase::Denied) => {
                *counts.entry("claim: denied").or_default() += 1;
                self.claim_denial(now, life, entry.at)
            }
            (ClaimPhase::Pending, ClaimPhase::TimedOut) => {
                *counts.entry("claim: timed out").or_default() += 1;
                Self::claim_timeout(now, life, entry.at, server)
            }
            (ClaimPhase::Granted, ClaimPhase::Revoked) => {
                self.claim_revoke(now, life, entry.at, truth.processes, counts)
            }
            (ClaimPhase::Pending | ClaimPhase::Granted, ClaimPhase::Released)
                if is.spec.release =>
            {
                Ok(())
            }
            _ => {
                let what = format!("from {step:?}, {:?} to {:?}", was.status, is.status);
                wrong("claim: what is final stays", now, &what)
            }
        }
    }

    /// Only what has ended, and has been readable for long enough, is deleted.
    fn claim_deletion(&self, last: &SeenClaim, life: Life, at: u64) -> Result<(), Violation> {
        let claim = &last.claim;
        if self.excused.contains(&claim.uid) {
            // One that ended, and after a restore once more, has been there to be read for both.
            return Ok(());
        }
        let lasted = at.saturating_sub(life.ended) >= at_least(KEPT_SECONDS);
        // What was taken for a rate is not given back: its claim stays to be read, and goes.
        let over = claim.status.phase.is_final() || claim.is_taken();
        if claim.spec.release || over && lasted {
            return Ok(());
        }
        let what = format!("is deleted, {:?}, not released", claim.status.phase);
        wrong("claim: deleted before its time", last, &what)
    }

    /// Invariants 3 and 10 of a claim, and that all who believe fit.
    fn claim_grant(
        &self,
        before: &SeenClaim,
        now: &Arc<SeenClaim>,
        entry: &Entry,
        truth: Truth<'_>,
    ) -> Result<(), Violation> {
        let uid = &now.claim.uid;
        if self.excused.contains(uid) {
            return Ok(());
        }
        let Some(record) = now.view.granted.as_ref() else {
            return wrong("3: a reveal without a record", now, "no grants to be read");
        };
        if before.view.attempt != Some(record.attempt) {
            return wrong(
                "10: a reveal of another attempt",
                now,
                "its attempt changes",
            );
        }
        if now.claim.status.lease_duration_seconds.is_none() && !now.claim.is_taken() {
            return wrong("claim: granted without terms", now, "no lease");
        }
        let asked = Asked {
            uid,
            namespace: &now.claim.namespace,
            ask: &before.view.ask,
            worker: None,
            hidden: false,
        };
        if let Some(missing) = self.missing(&asked, record) {
            let what = format!("without {missing}");
            return wrong("3: revealed without a lease", now, &what);
        }
        let name = now.claim.name.to_string();
        for lease in record.leases.iter() {
            self.told_token(&name, uid, lease)?;
            self.physical(lease, &name, truth, entry.at)?;
        }
        Ok(())
    }

    /// What a request asks for of each pool.
    fn demand(wants: &Wants) -> std::collections::BTreeMap<PoolKey, u64> {
        let mut demand = std::collections::BTreeMap::new();
        for mention in wants.mentions.iter() {
            let sum: &mut u64 = demand.entry(mention.pool.clone()).or_default();
            *sum = sum.saturating_add(mention.amount.units());
        }
        demand
    }

    /// At some moment since it was created, what it names was missing or too small, though not scaled to nothing.
    fn claim_denial(&self, now: &SeenClaim, life: Life, at: u64) -> Result<(), Violation> {
        let Ask::Wants(wants) = &now.view.ask else {
            return Ok(());
        };
        let rates = wants.mentions.iter().filter(|it| is_take(it.amount));
        let without_decay = rates.into_iter().any(|mention| {
            let family = mention.pool.parent().map(|(family, _)| family);
            let keys = [Some(mention.pool.clone()), family];
            keys.into_iter().flatten().any(|key| {
                self.was(&key, life.created, at, |room| {
                    room.is_some_and(|it| !it.decays)
                })
            })
        });
        if without_decay {
            return Ok(());
        }
        let evidence = Self::demand(wants).into_iter().any(|(key, units)| {
            let family = key.parent().map(|(family, _)| family);
            let keys = [Some(key), family];
            keys.into_iter().flatten().any(|key| {
                self.was(&key, life.created, at, |room| match room {
                    None => true,
                    Some(Room {
                        is_family: true, ..
                    }) => true,
                    Some(room) => room.slots > 0 && room.slots < units,
                })
            })
        });
        if wants.deny_missing && evidence || self.excused.contains(&now.claim.uid) {
            return Ok(());
        }
        wrong(
            "claim: denied what it could have",
            now,
            &now.claim.status.message,
        )
    }

    /// It waited as long as it was willing to, by a controller's clock or by the server's.
    fn claim_timeout(
        now: &SeenClaim,
        life: Life,
        at: u64,
        server: &Server,
    ) -> Result<(), Violation> {
        let Some(timeout) = now.claim.spec.timeout_seconds else {
            return wrong("claim: timed out before its time", now, "it has no timeout");
        };
        let least = at_least(seconds(Some(timeout)));
        let waited = at.saturating_sub(life.created);
        let stamped = server.clock().0.saturating_sub(now.claim.created.0);
        if waited.max(stamped) >= least {
            return Ok(());
        }
        let what = format!("after {waited} us of {timeout} s");
        wrong("claim: timed out before its time", now, &what)
    }

    /// A revoke by expiry comes when nobody believes any more; the others say why.
    fn claim_revoke(
        &self,
        now: &SeenClaim,
        life: Life,
        at: u64,
        processes: &Processes,
        counts: &mut Counts,
    ) -> Result<(), Violation> {
        let claim = &now.claim;
        if self.excused.contains(&claim.uid) {
            return Ok(());
        }
        let lease = seconds(claim.status.lease_duration_seconds);
        let since = life.renewed.max(life.granted);
        let silent = at.saturating_sub(since);
        match claim.status.reason.as_str() {
            "Expired" => {
                *counts.entry("claim: expired").or_default() += 1;
                // 1.05 times the lease by a clock that is a twentieth too fast.
                let expired = silent >= lease.saturating_mul(SECOND).saturating_mul(99) / 100;
                let waited = life.granted.saturating_sub(life.created);
                let waited_long = waited >= at_least(lease) / 2;
                let lapsed =
                    life.renewed < life.granted && waited_long && silent >= at_least(LAPSE_SECONDS);
                if lapsed && !expired {
                    *counts.entry("claim: lapsed").or_default() += 1;
                }
                if !expired && !lapsed {
                    let what = format!("revoked {silent} us after its last renewal, of {lease} s");
                    return wrong("7: revoked before its lease is over", now, &what);
                }
            }
            "MaxHold" => {
                *counts
                    .entry("claim: held for as long as it may")
                    .or_default() += 1;
                let held = at.saturating_sub(life.granted);
                if held < at_least(seconds(claim.spec.max_hold_seconds)) {
                    return wrong("claim: revoked before maxHoldSeconds", now, "too early");
                }
                return Ok(());
            }
            "ReleasedByOperator" => {
                *counts.entry("claim: revoked by an operator").or_default() += 1;
                let word = self.released.iter().any(|(_, uid)| *uid == claim.uid);
                return if word {
                    Ok(())
                } else {
                    wrong("claim: revoked without a word", now, "nobody released it")
                };
            }
            other => return wrong("claim: revoked for no reason", now, other),
        }
        match processes.believer(&claim.uid, at) {
            Some(process) => {
                let what = format!("revoked by expiry while process {process} believes");
                wrong("8: somebody believes what has expired", now, &what)
            }
            None => Ok(()),
        }
    }
}
