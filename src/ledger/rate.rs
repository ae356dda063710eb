//! Slots that come back with time: the level of a limit with `spec.decay`, and the takes that become it.
//!
//! With a period of P milliseconds a slot has P parts and `decay.slots` parts come back each millisecond, so that
//! everything is whole numbers and no fraction is ever lost (docs/design.md 5.6). A take is an entry like a lease; the
//! write that removes it, once its request was told, turns it into level, and so does the end of whoever held slots.
//! The level falls by this process's own clock from the moment for which it was written, if this process wrote it, else
//! from its first sight of it: what came back before is lost, and nothing is given twice.
//!
//! Never decides who goes; that is in `pass`. Tested in `rate_tests/`, by a story in `tests/scenarios`, and on a real
//! control plane in `tests/it`.

use super::book::Ledger;
use super::bounds::LEVEL_PARTS_MAX;
use super::cause::Cause;
use super::end::Gone;
use super::ids::{Amount, PoolKey, Uid, Units};
use super::mutant::{self, Mutant};
use super::object::{Decay, Level, Mode, PoolObject};
use super::pool::Pool;
use super::queue::Shape;
use super::request::Request;
use super::time::{Span, Tick};
use super::view::Ask;

/// A level, and when it stood there by this process's clock.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) struct Gauge {
    pub(super) level: Level,
    pub(super) at: Tick,
}

impl Level {
    /// Nothing is used.
    pub const EMPTY: Self = Self {
        parts: 0,
        parts_per_slot: 1,
    };

    /// Whole slots that are used, the last of them perhaps in part.
    pub fn slots(self) -> Units {
        if mutant::is(Mutant::FractionLost) {
            return self.parts.checked_div(self.parts_per_slot).unwrap_or(0);
        }
        self.parts.div_ceil(self.parts_per_slot.max(1))
    }

    /// So many slots more are used.
    fn with(self, slots: Units) -> Self {
        let more = slots.saturating_mul(self.parts_per_slot);
        let parts = self.parts.saturating_add(more).min(LEVEL_PARTS_MAX);
        Self { parts, ..self }
    }

    /// The same in slots of another number of parts; what does not divide is rounded up, so that nothing is gained.
    fn rescaled(self, decay: Decay) -> Self {
        let (old, new) = (self.parts_per_slot.max(1), decay.period.0.max(1));
        if old == new {
            return self;
        }
        let scaled = u128::from(self.parts).saturating_mul(u128::from(new));
        let parts = u64::try_from(scaled.div_ceil(u128::from(old))).unwrap_or(u64::MAX);
        Self {
            parts: parts.min(LEVEL_PARTS_MAX),
            parts_per_slot: new,
        }
    }

    /// What is left of it some time later.
    fn drained(self, decay: Decay, elapsed: Span) -> Self {
        let level = self.rescaled(decay);
        let back = u64::from(decay.slots).saturating_mul(elapsed.0);
        Self {
            parts: level.parts.saturating_sub(back),
            ..level
        }
    }
}

impl Gauge {
    pub(super) const EMPTY: Self = Self {
        level: Level::EMPTY,
        at: Tick(0),
    };

    /// The level by now. Without a decay nothing comes back, and it stays as it is.
    fn now(self, decay: Option<Decay>, now: Tick) -> Level {
        match decay {
            Some(decay) => self.level.drained(decay, now.since(self.at)),
            None => self.level,
        }
    }

    /// When no more than so many parts are left.
    fn falls_to(self, parts: u64, decay: Decay) -> Tick {
        let surplus = self.level.rescaled(decay).parts.saturating_sub(parts);
        self.at
            .after(Span(surplus.div_ceil(u64::from(decay.slots.max(1)))))
    }
}

impl Pool {
    pub(super) fn decay(&self) -> Option<Decay> {
        self.spec()?.decay
    }

    /// Units that nobody holds and that have not come back: the level, and what the writes under way make of it.
    pub(super) fn used_up(&self, now: Tick) -> Units {
        match self.decay() {
            Some(decay) => {
                let level = self.gauge.now(Some(decay), now);
                level.slots().saturating_add(self.draining)
            }
            None => 0,
        }
    }

    /// The level that a status written now would have, with so many units more.
    pub(super) fn next_level(&self, more: Units, now: Tick) -> Option<Level> {
        let more = match mutant::is(Mutant::UsedTwice) {
            true => more.saturating_mul(2),
            false => more,
        };
        let level = self.gauge.now(self.decay(), now).with(more);
        (level.parts > 0).then_some(level)
    }

    /// Units of a level, where it counts.
    pub(super) fn units_of(&self, level: Option<Level>) -> Units {
        match (self.decay(), level) {
            (Some(_), Some(level)) => level.slots(),
            (None, _) | (_, None) => 0,
        }
    }

    /// When so many units will be free if nobody takes or gives any; `None` where time alone does not free them.
    pub(super) fn free_at(&self, units: Units) -> Option<Tick> {
        let decay = self.decay()?;
        let capacity = self.spec()?.capacity;
        let held = self.planned.saturating_add(self.draining);
        let left = capacity.checked_sub(held)?.checked_sub(units)?;
        Some(
            self.gauge
                .falls_to(left.saturating_mul(decay.period.0), decay),
        )
    }

    /// When all of the level will have come back.
    pub(super) fn empty_at(&self) -> Option<Tick> {
        Some(self.gauge.falls_to(0, self.decay()?))
    }

    /// Where the level stands as this version shows it. Ours counts from when it was computed, however late the answer
    /// comes; one that was known goes on; any other counts from now. Before a change of the decay the old one counted.
    pub(super) fn gauge_of(&self, object: &PoolObject, now: Tick) -> Gauge {
        let same = self
            .seen
            .as_ref()
            .is_some_and(|seen| seen.uid == object.uid);
        let status = object.status.read();
        let shown = status.and_then(|status| status.level);
        let batch = status.and_then(|status| status.batch.as_ref());
        let level = shown.unwrap_or(Level::EMPTY);
        let known = self
            .status()
            .is_some_and(|known| known.batch.as_ref() == batch && known.level == shown);
        let mut gauge = match &self.composed {
            // First: a change of the decay may have been counted into it since.
            _ if same && known => self.gauge,
            Some((own, at)) if same && batch == Some(own) => Gauge { level, at: *at },
            _ if mutant::is(Mutant::LevelForgotten) => Gauge::EMPTY,
            _ => Gauge { level, at: now },
        };
        let decay = object.spec.read().and_then(|spec| spec.decay);
        if same && decay != self.decay() {
            gauge = Gauge {
                level: gauge.now(self.decay(), now),
                at: now,
            };
        }
        if let Some(decay) = decay {
            gauge.level = gauge.level.rescaled(decay);
        }
        gauge
    }
}

impl Ledger {
    /// Takes whose request was told of them, or can be told of them no more, are no holders: they become level, or
    /// nothing.
    pub(super) fn settle_takes(&mut self, uid: &Uid) {
        let request = self.requests.get(uid).map(|it| &it.held);
        let held = request.or_else(|| Some(&self.strangers.get(uid)?.pools));
        let is_take = |key: &&PoolKey| self.is_take(uid, key);
        let takes: Vec<PoolKey> = held
            .into_iter()
            .flatten()
            .filter(is_take)
            .cloned()
            .collect();
        for key in takes {
            let drains = self.drains(uid, &key) && !mutant::is(Mutant::TakeComesBackAtOnce);
            if let Some(pool) = self.pools.get_mut(&key) {
                pool.withdraw(uid);
                if pool.remove(uid, drains) {
                    self.touch(&key);
                }
            }
        }
    }

    /// What it has of this pool was taken for a rate, and is never held.
    pub(super) fn is_take(&self, uid: &Uid, key: &PoolKey) -> bool {
        let entry = self.pools.get(key).and_then(|pool| pool.entries.get(uid));
        entry.is_some_and(|entry| matches!(entry.amount, Amount::Rate(_)))
    }

    /// Whether an entry that goes has been used: its holder was told of it, or may have been.
    pub(super) fn drains(&self, uid: &Uid, key: &PoolKey) -> bool {
        let entry = self.pools.get(key).and_then(|pool| pool.entries.get(uid));
        let (Some(entry), Some(request)) = (entry, self.requests.get(uid)) else {
            return true;
        };
        if let Some(granted) = &request.view.granted {
            return entry.attempt >= granted.attempt;
        }
        let void = request.view.attempt.is_some_and(|it| entry.attempt < it);
        let void = void && !mutant::is(Mutant::AbortedTakeCounts);
        let never_told = !request.view.is_revealed() && request.gone == Some(Gone::Watched);
        !void && !never_told
    }

    /// A claim that takes for a rate: once it is Granted there is nothing to renew, to lose or to give back.
    pub(super) fn is_rate_claim(request: &Request) -> bool {
        let Ask::Wants(wants) = &request.view.ask else {
            return false;
        };
        let rate = |amount: Amount| matches!(amount, Amount::Rate(_));
        request.view.claim.is_some()
            && !wants.mentions.is_empty()
            && wants.mentions.iter().all(|mention| rate(mention.amount))
    }

    /// The pool of a shape that a rate is asked of, and that gives nothing back with time: of a derived limit that does
    /// not exist yet, its family.
    pub(super) fn without_decay(&self, shape: &Shape) -> Option<Cause> {
        let rates = shape
            .demand
            .iter()
            .filter(|(_, amount)| matches!(amount, Amount::Rate(_)));
        for (key, _) in rates {
            let pool = |key: &PoolKey| self.pools.get(key).filter(|pool| pool.seen.is_some());
            let parent = || {
                let (family, _) = key.parent()?;
                self.family_of(&family).map(|_| family)
            };
            let key = match pool(key) {
                Some(_) => Some(key.clone()),
                None => parent(),
            };
            let lacks = key.filter(|key| {
                let spec = self.pools.get(key).and_then(Pool::spec);
                spec.is_some_and(|spec| spec.decay.is_none() && spec.mode != Mode::Disabled)
            });
            if let Some(key) = lacks {
                return Some(Cause::NoDecay(key));
            }
        }
        None
    }
}

#[cfg(test)]
#[path = "rate_tests/mod.rs"]
mod tests;
