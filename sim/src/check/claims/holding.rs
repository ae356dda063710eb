//! Rules about the leases of claims: when one may go, who may work, and how much is held by claims that no lease counts.

use sluice::api::claim::ClaimPhase;
use sluice::ledger::{
    Attempt, GrantedLease, HolderKind, Lease, Mode, PoolKey, PoolObject, Token, Uid,
};

use super::{at_least, is_expired, linger, seconds, wrong};
use crate::check::rates::is_take;
use crate::check::{Checker, Violation};
use crate::server::{SeenClaim, Server};
use crate::world::Counts;
use crate::world::processes::Processes;

impl Checker {
    /// Why a lease of a claim may not go, if it may not.
    pub(in crate::check) fn claim_removal(
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
    pub(in crate::check) fn uncounted_claim(
        &self,
        key: &PoolKey,
        pool: &PoolObject,
    ) -> Option<&SeenClaim> {
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
    pub(in crate::check) fn claimed(&self, key: &PoolKey, processes: &Processes, at: u64) -> u64 {
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
    pub(in crate::check) fn note_room(
        &mut self,
        key: &PoolKey,
        pool: Option<&PoolObject>,
        at: u64,
    ) {
        let room = pool.map(|pool| Room {
            slots: pool.spec.read().map_or(0, |spec| spec.capacity),
            is_family: pool.spec.read().is_some_and(|spec| spec.family.is_some()),
            decays: pool.spec.read().is_some_and(|spec| spec.decay.is_some()),
        });
        self.rooms.entry(key.clone()).or_default().push((at, room));
    }

    /// Whether something was true of a pool's room at some moment of a time.
    pub(super) fn was(
        &self,
        key: &PoolKey,
        from: u64,
        to: u64,
        what: impl Fn(Option<Room>) -> bool,
    ) -> bool {
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
    pub(in crate::check) fn is_of_claim(lease: &Lease) -> bool {
        lease.kind == HolderKind::Claim
    }
}

/// How much room a pool had.
#[derive(Clone, Copy, Debug)]
pub(in crate::check) struct Room {
    pub(super) slots: u64,
    pub(super) is_family: bool,
    pub(super) decays: bool,
}
