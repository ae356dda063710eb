//! What a status says to people: how many, who waits, and the conditions.
//!
//! A pure description of the pool as it is about to be written; nothing is decided from it. Messages
//! carry no numbers that change with every grant, so that a condition is not a reason to write.

use std::sync::Arc;

use super::book::Ledger;
use super::ids::{PoolKey, PoolKind};
use super::object::{Condition, Mode, PoolStatus};
use super::pool::{Fence, Pool};
use super::quarantine::Quarantine;

/// Condition types, as the API names them.
const READY: &str = "Ready";
const SATURATED: &str = "Saturated";
const OVER_COMMITTED: &str = "OverCommitted";
const QUARANTINED: &str = "Quarantined";
const UNGUARDED: &str = "Unguarded";

/// A sentence: one of ours, or one that was read or made elsewhere.
enum Said {
    Ours(&'static str),
    Read(Arc<str>),
}

impl Said {
    fn as_str(&self) -> &str {
        match self {
            Self::Ours(text) => text,
            Self::Read(text) => text,
        }
    }
}

impl From<&'static str> for Said {
    fn from(text: &'static str) -> Self {
        Self::Ours(text)
    }
}

impl From<Arc<str>> for Said {
    fn from(text: Arc<str>) -> Self {
        Self::Read(text)
    }
}

impl Ledger {
    /// Fills in everything of a status that is there for people.
    pub(super) fn describe(&self, key: &PoolKey, next: &mut PoolStatus) {
        let Some(pool) = self.pools.get(key) else {
            return;
        };
        let Some(seen) = &pool.seen else { return };
        next.observed_generation = seen.generation;
        next.in_use = match key.kind {
            PoolKind::Limit => i64::try_from(next.held()).unwrap_or(i64::MAX),
            PoolKind::Lock => i64::try_from(next.entries().count()).unwrap_or(i64::MAX),
        };
        next.waiting = i64::try_from(self.queues.waiting(key)).unwrap_or(i64::MAX);
        let (ready, reason, message) = self.readiness(pool, next);
        self.condition(next, seen.generation, READY, ready, reason, message);
        let capacity = pool.spec().map_or(0, |spec| spec.capacity);
        let counts = pool
            .spec()
            .is_some_and(|spec| spec.mode != Mode::Disabled && spec.family.is_none());
        let full = counts && next.held() >= capacity;
        let (reason, message) = match (counts, full) {
            (true, true) => ("Full", "every slot is held; further requests wait"),
            (true, false) => ("RoomLeft", "some slots are free"),
            (false, _) => ("NotCounted", "this object itself counts no holders"),
        };
        self.condition(
            next,
            seen.generation,
            SATURATED,
            full,
            reason,
            message.into(),
        );
        let over = counts && next.held() > capacity;
        let (reason, message) = if over {
            (
                "HoldersKept",
                "more is held than spec allows: it was shrunk, or running holders were adopted; nobody is evicted, nothing is granted until it fits",
            )
        } else {
            ("WithinCapacity", "what is held fits")
        };
        self.condition(
            next,
            seen.generation,
            OVER_COMMITTED,
            over,
            reason,
            message.into(),
        );
        let (held_back, reason, message) = match (pool.quarantine(), &pool.refusal) {
            (Some(why @ Quarantine::SetAside(_)), _) => {
                (true, "SetAside", Said::Read(why.message()))
            }
            (Some(why @ Quarantine::NotUnderstood(_)), _) => {
                (true, "NotUnderstood", Said::Read(why.message()))
            }
            (None, Some(why)) if pool.refusals >= 2 => {
                (true, "WritesRefused", Said::Read(Arc::clone(why)))
            }
            (None, _) => (
                false,
                "Trusted",
                "its status agrees with what is known".into(),
            ),
        };
        self.condition(
            next,
            seen.generation,
            QUARANTINED,
            held_back,
            reason,
            message,
        );
        if let Some(guarded) = self.guarded {
            let (reason, message) = if guarded {
                ("PoliciesPresent", "the guard policies are installed")
            } else {
                (
                    "PoliciesMissing",
                    "the guard policies are not all installed: whoever may patch pods or claims can change what Sluice has written there",
                )
            };
            self.condition(
                next,
                seen.generation,
                UNGUARDED,
                !guarded,
                reason,
                message.into(),
            );
        }
    }

    fn readiness(&self, pool: &Pool, next: &PoolStatus) -> (bool, &'static str, Said) {
        let quarantine = pool.quarantine();
        let spec = match (pool.spec(), quarantine) {
            (None, why) => {
                let why = why.map(|why| why.message()).unwrap_or_default();
                return (false, "SpecInvalid", Said::Read(why));
            }
            (Some(_), Some(why)) => return (false, "Quarantined", Said::Read(why.message())),
            (Some(spec), None) => spec,
        };
        if pool.seen.as_ref().is_some_and(|seen| seen.deleting) {
            return (
                false,
                "Deleting",
                "it is being deleted; nothing is granted".into(),
            );
        }
        if spec.family.is_some() {
            return (
                true,
                "Family",
                "each worker has a derived limit of its own".into(),
            );
        }
        match spec.mode {
            Mode::Disabled => (
                true,
                "Disabled",
                "it never blocks, and counts nobody".into(),
            ),
            _ if !next.fenced => match (&pool.fence, &pool.refusal) {
                (Fence::Adopting, Some(why)) => {
                    (false, "TooManyHolders", Said::Read(Arc::clone(why)))
                }
                _ => (
                    false,
                    "Fencing",
                    "running holders are being counted; nothing is granted yet".into(),
                ),
            },
            Mode::Paused => (
                true,
                "Paused",
                "holders keep their slots; nothing new is granted".into(),
            ),
            Mode::Active => (
                true,
                "Granting",
                "requests are granted as slots allow".into(),
            ),
        }
    }

    fn condition(
        &self,
        status: &mut PoolStatus,
        generation: i64,
        kind: &str,
        holds: bool,
        reason: &str,
        message: Said,
    ) {
        let before = status.conditions.get(kind);
        // Most writes change none of them.
        let same = before.is_some_and(|before| {
            before.holds == holds
                && *before.reason == *reason
                && *before.message == *message.as_str()
                && before.generation == generation
        });
        if same {
            return;
        }
        let since = match before {
            Some(before) if before.holds == holds => before.since,
            _ => self.now.server,
        };
        let condition = Condition {
            holds,
            reason: reason.into(),
            message: match message {
                Said::Ours(text) => text.into(),
                Said::Read(text) => text,
            },
            generation,
            since,
        };
        Arc::make_mut(&mut status.conditions).insert(kind.into(), condition);
    }
}
