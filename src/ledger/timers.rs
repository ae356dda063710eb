//! When to look again: a table of deadlines.
//!
//! A timer carries no decision: when it fires, the thing it names is looked at as it is then. So no
//! timer is ever cancelled, and one that fires in vain is harmless.

use std::collections::BTreeSet;

use super::ids::{PoolKey, Uid};
use super::time::Tick;

/// What to look at.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(super) enum Timer {
    /// A request: settling, time-out, retry.
    Request(Uid),
    /// A pool: retry, number of waiters, idleness.
    Pool(PoolKey),
    /// A pool: as much of its level has come back as somebody waits for.
    Level(PoolKey),
    /// A waiting request that people should hear of.
    Notice(Uid),
    /// Summaries of events held back.
    Summary,
    /// A list that failed and is asked for again.
    Listing,
}

/// Timers by deadline.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub(super) struct Timers(BTreeSet<(Tick, Timer)>);

impl Timers {
    pub(super) fn set(&mut self, at: Tick, timer: Timer) {
        self.0.insert((at, timer));
    }

    pub(super) fn next(&self) -> Option<Tick> {
        self.0.first().map(|(at, _)| *at)
    }

    pub(super) fn pop_due(&mut self, now: Tick) -> Option<Timer> {
        if self.next()? > now {
            return None;
        }
        self.0.pop_first().map(|(_, timer)| timer)
    }
}
