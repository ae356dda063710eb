//! Rules about every version of a limit or lock.

use std::sync::Arc;

use sluice::ledger::{Lease, PoolKey, PoolObject, PoolStatus, Uid};

use super::rates::is_take;
use super::{Checker, Truth, Violation, is_revealed, record_of};
use crate::server::rules::sum;
use crate::server::{Entry, Writer};
use crate::world::Counts;

impl Checker {
    pub(super) fn pool(
        &mut self,
        key: &PoolKey,
        before: Option<&PoolObject>,
        now: Option<&Arc<PoolObject>>,
        entry: &Entry,
        truth: Truth<'_>,
        counts: &mut Counts,
    ) -> Result<(), Violation> {
        let Some(now) = now else {
            self.pools.remove(key);
            self.deleted.insert(key.clone());
            return self.deletion(key, before, entry.by);
        };
        for uid in &now.released {
            self.released.insert((key.clone(), uid.clone()));
        }
        let new = now.status.read().cloned().unwrap_or_default();
        let old = before
            .filter(|it| it.uid == now.uid)
            .and_then(|it| it.status.read().cloned())
            .unwrap_or_default();
        if matches!(entry.by, Writer::Controller(_)) && new != old {
            self.room(key, now, &old, &new)?;
            self.tokens_grow(key, &old, &new)?;
            self.grants(key, now, &old, &new, entry.by, counts)?;
            self.removals(now, (&old, &new), entry.at, truth, counts)?;
            self.rates(now, (&old, &new), entry.at, counts)?;
            if let Some(seen) = self.uncounted(key, now) {
                let name = seen.pod.name.to_string();
                let what = format!(
                    "{name} ({}) runs, and {key} does not count it",
                    seen.pod.uid
                );
                return Err(Violation {
                    rule: "4: a running holder is not counted",
                    what,
                    about: vec![name, key.to_string()],
                });
            }
            if let Some(seen) = self.uncounted_claim(key, now) {
                let name = seen.claim.name.to_string();
                let uid = seen.claim.uid.to_string();
                return Err(Violation {
                    rule: "4: a running holder is not counted",
                    what: format!("{name} ({uid}) is granted, and {key} does not count it"),
                    about: vec![name, uid, key.to_string()],
                });
            }
            if new.fenced && !old.fenced {
                *counts.entry("fence: done").or_default() += 1;
            }
        }
        let greatest = self.tokens.entry(key.clone()).or_default();
        *greatest = (*greatest).max(new.last_token.0);
        self.pools.insert(key.clone(), Arc::clone(now));
        Ok(())
    }

    /// A controller deletes a derived limit only when nobody holds it.
    fn deletion(
        &self,
        key: &PoolKey,
        before: Option<&PoolObject>,
        by: Writer,
    ) -> Result<(), Violation> {
        let held = before
            .and_then(|it| it.status.read())
            .is_some_and(|status| status.entries().next().is_some());
        if matches!(by, Writer::Controller(_)) && held {
            let what = format!("{key} is deleted while somebody holds it");
            return Err(Violation {
                rule: "family: a worker's limit goes while held",
                what,
                about: vec![key.to_string()],
            });
        }
        Ok(())
    }

    /// Invariants 1 and 2.
    fn room(
        &self,
        key: &PoolKey,
        now: &PoolObject,
        old: &PoolStatus,
        new: &PoolStatus,
    ) -> Result<(), Violation> {
        let capacity = now.spec.read().map_or(0, |spec| u128::from(spec.capacity));
        let grew = sum(&new.leases) > sum(&old.leases);
        let granted = grew || new.last_token != old.last_token;
        let over = sum(&new.leases) + sum(&new.adopted) > capacity;
        if granted && over && !new.leases.is_empty() {
            let what = format!(
                "{key} grants up to {} and {} adopted of {capacity}",
                sum(&new.leases),
                sum(&new.adopted)
            );
            return Err(Violation {
                rule: "1: more than the slots",
                what,
                about: vec![key.to_string()],
            });
        }
        let mut uids: Vec<&Uid> = new.entries().map(|lease| &lease.uid).collect();
        uids.sort();
        if let Some(twice) = uids.windows(2).find(|pair| pair.first() == pair.last()) {
            let what = format!("{key} names {twice:?} twice");
            return Err(Violation {
                rule: "2: a holder twice",
                what,
                about: vec![key.to_string()],
            });
        }
        Ok(())
    }

    /// Invariant 5.
    fn tokens_grow(
        &self,
        key: &PoolKey,
        old: &PoolStatus,
        new: &PoolStatus,
    ) -> Result<(), Violation> {
        let greatest = self.tokens.get(key).copied().unwrap_or(0);
        let fresh = |lease: &&Lease| {
            !old.entries()
                .any(|it| it.uid == lease.uid && it.token == lease.token)
        };
        for lease in new.leases.iter().filter(fresh) {
            let adopted = self.revealed.contains(&lease.uid) || self.excused.contains(&lease.uid);
            // A write that was decided before a restore, on the very state that was restored, and arrives after it: nobody
            // can tell it from one that is in time. (Whoever was to be killed before a restore still runs.)
            let before_restore = lease.token.0 <= self.restored_at;
            if lease.token.0 <= greatest && !adopted && !before_restore {
                let what = format!(
                    "{key} gives {} token {} after {greatest}",
                    lease.name, lease.token.0
                );
                return Err(Violation {
                    rule: "5: a token that does not grow",
                    what,
                    about: vec![key.to_string()],
                });
            }
        }
        if new.last_token < old.last_token {
            let what = format!("{key}: lastToken goes back to {}", new.last_token.0);
            return Err(Violation {
                rule: "5: a token goes back",
                what,
                about: vec![key.to_string()],
            });
        }
        Ok(())
    }

    /// New leases of requests that are not revealed: only from a fenced pool, only to whom it serves.
    fn grants(
        &mut self,
        key: &PoolKey,
        now: &PoolObject,
        old: &PoolStatus,
        new: &PoolStatus,
        by: Writer,
        counts: &mut Counts,
    ) -> Result<(), Violation> {
        for lease in new.entries() {
            if old
                .entries()
                .any(|it| it.uid == lease.uid && it.attempt == lease.attempt)
            {
                continue;
            }
            let about = vec![lease.name.to_string(), key.to_string()];
            let running = self
                .pods
                .get(&lease.uid)
                .is_some_and(|seen| is_revealed(seen));
            if Self::is_of_claim(lease) && !self.revealed.contains(&lease.uid) {
                if lease.linger.is_none() && !is_take(lease.amount) {
                    let what = format!("{key}: lease of {}", lease.name);
                    return Err(Violation {
                        rule: "claim: a lease that does not say how long it stays",
                        what,
                        about,
                    });
                }
                *counts.entry("pool: gave a lease to a claim").or_default() += 1;
            }
            if running || self.revealed.contains(&lease.uid) {
                *counts.entry("pool: adopted a holder").or_default() += 1;
                continue;
            }
            *counts.entry("pool: gave a lease").or_default() += 1;
            self.lease_writers.insert(lease.uid.clone(), by);
            if !old.fenced {
                let what = format!("{key} grants {} before it is fenced", lease.name);
                return Err(Violation {
                    rule: "fence: a grant before its end",
                    what,
                    about,
                });
            }
            let others = self.pods.get(&lease.uid).is_some_and(|seen| {
                seen.pod
                    .gates
                    .iter()
                    .any(|gate| gate != sluice::api::names::GATE)
            });
            // A restored past may bring a gate back.
            if others && self.is_clean(&lease.uid) {
                let what = format!("{key} grants {} while another gate holds it", lease.name);
                return Err(Violation {
                    rule: "order: not the last gate",
                    what,
                    about,
                });
            }
            if !Self::serves(now, &lease.namespace) {
                let what = format!(
                    "{key} grants {} of namespace {}",
                    lease.name, lease.namespace
                );
                return Err(Violation {
                    rule: "isolation",
                    what,
                    about,
                });
            }
        }
        Ok(())
    }

    /// Invariant 4, and the rule that an unrevealed request is aborted before its leases go.
    fn removals(
        &self,
        now: &PoolObject,
        (old, new): (&PoolStatus, &PoolStatus),
        at: u64,
        truth: Truth<'_>,
        counts: &mut Counts,
    ) -> Result<(), Violation> {
        let key = &now.key;
        for lease in old.entries() {
            if new.entries().any(|it| it.uid == lease.uid) {
                continue;
            }
            if Self::is_of_claim(lease) {
                self.claim_removal(key, lease, at, truth.processes, counts)?;
                continue;
            }
            let about = vec![
                lease.name.to_string(),
                lease.uid.to_string(),
                key.to_string(),
            ];
            // Of an attempt that was raised since: never part of what was revealed. (Who runs without a record of a reveal,
            // because somebody opened the gate by hand, is found and adopted.)
            let last = self.pods.get(&lease.uid).or(self.gone.get(&lease.uid));
            let void = last.is_some_and(|seen| {
                let revealed = record_of(seen).map(|record| record.attempt);
                revealed
                    .or(seen.view.attempt)
                    .is_some_and(|attempt| attempt > lease.attempt)
            });
            // What was taken for a rate is no holder, whose end would have to be proven.
            let holds = !is_take(lease.amount);
            if holds
                && !void
                && let Some(why) = self.must_stay(key, now, &lease.uid, at, truth.nodes)
            {
                let what = format!("{key} drops {} ({}), but {why}", lease.name, lease.uid);
                return Err(Violation {
                    rule: "4: a lease goes without evidence",
                    what,
                    about,
                });
            }
            let Some(seen) = self.pods.get(&lease.uid) else {
                *counts
                    .entry("pool: dropped a lease of a pod that is gone")
                    .or_default() += 1;
                continue;
            };
            let live = seen.pod.is_gated() && !seen.pod.phase.is_terminal();
            let aborted = seen
                .view
                .attempt
                .is_none_or(|attempt| attempt > lease.attempt);
            if live
                && !aborted
                && !self.excused.contains(&lease.uid)
                && !now.released.contains(&lease.uid)
            {
                let what = format!(
                    "{key} drops the lease of {} while its attempt {} stands",
                    lease.name, lease.attempt
                );
                return Err(Violation {
                    rule: "abort: a lease goes before the attempt is raised",
                    what,
                    about,
                });
            }
            let what = if live {
                "pool: dropped a void lease"
            } else {
                "pool: dropped a lease of a pod that ended"
            };
            *counts.entry(what).or_default() += 1;
        }
        Ok(())
    }
}
