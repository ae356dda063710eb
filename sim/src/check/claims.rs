//! Rules about every version of a claim, about the leases of claims, and about what processes believe.
//!
//! Written against docs/design.md 5.2 (invariants 4, 7, 8) and 5.5. Clocks of controllers differ from true time by a
//! twentieth each way: a duration that a controller has to wait for lasts at least nineteen twentieths of itself.

use std::sync::Arc;

use sluice::api::claim::{ClaimPhase, SlotClaimStatus};
use sluice::ledger::{
    Ask, Attempt, GrantedLease, HolderKind, Lease, Mode, PoolKey, PoolObject, Token, Uid, Wants,
};

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

    /// Why a lease of a claim may not go, if it may not.
    pub(super) fn claim_removal(
        &self,
        key: &PoolKey,
        lease: &Lease,
        at: u64,
        processes: &Processes,
        counts: &mut Counts,
    ) -> Result<(), Violation> {
        let uid = &lease.uid;
        let live = self.claims.get(uid);
        let Some(seen) = live.or_else(|| self.gone_claims.get(uid)) else {
            return Ok(());
        };
        if self.excused.contains(uid) {
            return Ok(());
        }
        let claim = &seen.claim;
        let life = self.lives.get(uid).copied().unwrap_or_default();
        let record = seen.view.granted.as_ref().map(|record| record.attempt);
        let attempt = record.or(seen.view.attempt).unwrap_or(Attempt::TimedOut);
        let rule = "4: a lease goes without evidence";
        let dropped = |what: &str| wrong(rule, seen, &format!("{key} drops its lease, but {what}"));
        if attempt > lease.attempt {
            *counts.entry("claim: a void lease was dropped").or_default() += 1;
            return Ok(());
        }
        if is_take(lease.amount) && claim.status.phase == ClaimPhase::Granted {
            return Ok(());
        }
        let by_word = self.released.contains(&(key.clone(), uid.clone()));
        let gone_for = life.gone.map(|gone| at.saturating_sub(gone));
        let ended_for = at.saturating_sub(life.ended);
        match claim.status.phase {
            ClaimPhase::Pending if gone_for.is_some() || by_word => return Ok(()),
            ClaimPhase::Pending => return dropped("its attempt stands"),
            ClaimPhase::Denied | ClaimPhase::TimedOut => return Ok(()),
            ClaimPhase::Granted | ClaimPhase::Revoked | ClaimPhase::Released
                if claim.spec.release =>
            {
                *counts.entry("claim: released").or_default() += 1;
            }
            ClaimPhase::Released => {}
            ClaimPhase::Granted if gone_for.is_none() => return dropped("it is granted"),
            _ if by_word => return Ok(()),
            ClaimPhase::Granted => {
                if gone_for.is_some_and(|gone| gone < linger(&claim.status)) {
                    return dropped("it vanished, and its holder may believe");
                }
                *counts.entry("claim: vanished, and was freed").or_default() += 1;
            }
            ClaimPhase::Revoked if is_expired(&claim.status) => {
                if ended_for < at_least(seconds(claim.status.lock_delay_seconds)) {
                    return dropped("its lock delay is not over");
                }
            }
            ClaimPhase::Revoked => {
                if ended_for < linger(&claim.status) {
                    return dropped("its holder may not have heard of the revoke");
                }
            }
        }
        match processes.believer(uid, at) {
            Some(process) => {
                let what = format!("{key} drops its lease while process {process} believes");
                wrong("8: somebody believes what was passed on", seen, &what)
            }
            None => Ok(()),
        }
    }

    /// A process begins to work, or goes on: under leases that are there, and as the only one of its claim.
    pub fn works(
        &self,
        server: &Server,
        processes: &Processes,
        number: usize,
    ) -> Result<(), Violation> {
        let now = server.now;
        let Some((_, seen)) = processes.believers(now).find(|(it, _)| *it == number) else {
            return Ok(());
        };
        let uid = &seen.claim.uid;
        if self.excused.contains(uid) {
            return Ok(());
        }
        let others = processes.believers(now).filter(|(it, _)| *it != number);
        if let Some((other, _)) = others.into_iter().find(|(_, it)| it.claim.uid == *uid) {
            let what = format!("processes {number} and {other} both believe to hold it");
            return wrong("7: two guards of one claim", seen, &what);
        }
        let live = self.claims.get(uid);
        if let Some(live) = live
            && live.claim.status.phase == ClaimPhase::Revoked
            && is_expired(&live.claim.status)
        {
            let what = format!("process {number} begins to believe after its expiry");
            return wrong("8: somebody believes what has expired", seen, &what);
        }
        let leases = seen.view.granted.iter().flat_map(|it| it.leases.iter());
        for lease in leases {
            if self.lacks(uid, lease) {
                let what = format!("process {number} works without a lease of {}", lease.pool);
                return wrong("7: somebody works without a slot", seen, &what);
            }
        }
        Ok(())
    }

    /// The very pool it was granted counts nothing for this holder, though it counts.
    fn lacks(&self, uid: &Uid, lease: &GrantedLease) -> bool {
        let Some(pool) = self.pools.get(&lease.pool) else {
            return false;
        };
        let (Some(spec), Some(status)) = (pool.spec.read(), pool.status.read()) else {
            return false;
        };
        let counts = pool.uid == lease.pool_uid
            && status.fenced
            && spec.mode != Mode::Disabled
            && lease.token != Token(0)
            && !self.released.contains(&(lease.pool.clone(), uid.clone()));
        counts && !status.entries().any(|it| it.uid == *uid)
    }

    /// A claim that is granted and not given back, and that a fenced pool does not count.
    pub(super) fn uncounted_claim(&self, key: &PoolKey, pool: &PoolObject) -> Option<&SeenClaim> {
        let status = pool.status.read()?;
        let spec = pool.spec.read()?;
        if !status.fenced || spec.mode == Mode::Disabled || spec.family.is_some() {
            return None;
        }
        self.claims
            .values()
            .map(std::convert::AsRef::as_ref)
            .find(|seen| {
                let record = seen.view.granted.iter().flat_map(|it| it.leases.iter());
                let held = record.into_iter().filter(|lease| !is_take(lease.amount));
                let named = held.into_iter().any(|lease| lease.pool == *key);
                let uid = &seen.claim.uid;
                named
                    && seen.claim.is_granted()
                    && !seen.claim.spec.release
                    && !self.excused.contains(uid)
                    && !pool.released.contains(uid)
                    && !self.released.contains(&(key.clone(), uid.clone()))
                    && !status.entries().any(|lease| lease.uid == *uid)
            })
    }

    /// Units of a pool that claims hold: those that are granted, and those that somebody believes to hold.
    pub(super) fn claimed(&self, key: &PoolKey, processes: &Processes, at: u64) -> u64 {
        let granted = self
            .claims
            .values()
            .filter(|seen| seen.claim.is_granted() && !seen.claim.spec.release);
        let believed = processes.believers(at).map(|(_, seen)| seen);
        let mut holders = std::collections::BTreeMap::new();
        for seen in granted.chain(believed) {
            let uid = &seen.claim.uid;
            let word = self.released.contains(&(key.clone(), uid.clone()));
            if word || self.excused.contains(uid) {
                continue;
            }
            // A new incarnation, and a limit that was Disabled, count the claims that are there and granted; of those
            // that vanished a controller may not have heard that has started since, and nothing durable is left of them
            // (docs/design.md, section 9, 34).
            let stands = self.claims.get(uid).is_some_and(|it| it.claim.is_granted());
            let present = self.pools.get(key).map(|pool| &pool.uid);
            let leases = seen.view.granted.iter().flat_map(|it| it.leases.iter());
            let mut held = leases.into_iter().filter(|lease| !is_take(lease.amount));
            let of_key = held.find(|lease| lease.pool == *key);
            let durable =
                |it: &&GrantedLease| Some(&it.pool_uid) == present && it.token != Token(0);
            if let Some(lease) = of_key.filter(|it| stands || durable(it)) {
                holders.insert(uid.clone(), lease.amount.units());
            }
        }
        holders.values().sum()
    }

    /// Remembers how much room a pool had, and since when.
    pub(super) fn note_room(&mut self, key: &PoolKey, pool: Option<&PoolObject>, at: u64) {
        let room = pool.map(|pool| Room {
            slots: pool.spec.read().map_or(0, |spec| spec.capacity),
            is_family: pool.spec.read().is_some_and(|spec| spec.family.is_some()),
            decays: pool.spec.read().is_some_and(|spec| spec.decay.is_some()),
        });
        self.rooms.entry(key.clone()).or_default().push((at, room));
    }

    /// Whether something was true of a pool's room at some moment of a time.
    fn was(&self, key: &PoolKey, from: u64, to: u64, what: impl Fn(Option<Room>) -> bool) -> bool {
        let Some(rooms) = self.rooms.get(key) else {
            return what(None);
        };
        let before = rooms.iter().rev().find(|(at, _)| *at <= from);
        what(before.and_then(|it| it.1))
            || rooms
                .iter()
                .filter(|(at, _)| *at >= from && *at <= to)
                .any(|(_, room)| what(*room))
    }

    /// Whether a lease is that of a claim.
    pub(super) fn is_of_claim(lease: &Lease) -> bool {
        lease.kind == HolderKind::Claim
    }
}

/// How much room a pool had.
#[derive(Clone, Copy, Debug)]
pub(super) struct Room {
    slots: u64,
    is_family: bool,
    decays: bool,
}
