//! When to look again: a table of deadlines.
//!
//! A timer carries no decision: when it fires, the thing it names is looked at as it is then. So no
//! timer of anything that is followed is ever cancelled, and one that fires in vain is harmless. Those of a request
//! that is forgotten go with it: where claims come and go quickly, they would be all there is in memory.

use std::collections::{BTreeMap, BTreeSet};

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
pub(super) struct Timers {
    due: BTreeSet<(Tick, Timer)>,
    /// When timers of single requests are due.
    of_requests: BTreeMap<Uid, Vec<Tick>>,
}

impl Timer {
    /// The request that it is about.
    fn request(&self) -> Option<&Uid> {
        match self {
            Self::Request(uid) | Self::Notice(uid) => Some(uid),
            Self::Pool(_) | Self::Level(_) | Self::Summary | Self::Listing => None,
        }
    }
}

impl Timers {
    pub(super) fn set(&mut self, at: Tick, timer: Timer) {
        let request = timer.request().cloned();
        if self.due.insert((at, timer))
            && let Some(uid) = request
        {
            self.of_requests.entry(uid).or_default().push(at);
        }
    }

    pub(super) fn next(&self) -> Option<Tick> {
        self.due.first().map(|(at, _)| *at)
    }

    pub(super) fn pop_due(&mut self, now: Tick) -> Option<Timer> {
        if self.next()? > now {
            return None;
        }
        let (at, timer) = self.due.pop_first()?;
        if let Some(uid) = timer.request()
            && let Some(ticks) = self.of_requests.get_mut(uid)
        {
            if let Some(place) = ticks.iter().position(|tick| *tick == at) {
                ticks.swap_remove(place);
            }
            if ticks.is_empty() {
                self.of_requests.remove(uid);
            }
        }
        Some(timer)
    }

    /// Nothing is to be looked at for this request any more.
    pub(super) fn forget(&mut self, uid: &Uid) {
        for at in self.of_requests.remove(uid).unwrap_or_default() {
            self.due.remove(&(at, Timer::Request(uid.clone())));
            self.due.remove(&(at, Timer::Notice(uid.clone())));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timers_of_a_forgotten_request_go_with_it_and_all_others_stay() {
        let (gone, stays) = (Uid::from("gone"), Uid::from("stays"));
        let mut timers = Timers::default();
        timers.set(Tick(1), Timer::Request(gone.clone()));
        timers.set(Tick(2), Timer::Request(gone.clone()));
        timers.set(Tick(2), Timer::Notice(gone.clone()));
        timers.set(Tick(3), Timer::Request(stays.clone()));
        timers.set(Tick(4), Timer::Summary);
        assert_eq!(timers.pop_due(Tick(1)), Some(Timer::Request(gone.clone())));
        timers.forget(&gone);
        assert_eq!(timers.pop_due(Tick(9)), Some(Timer::Request(stays)));
        assert_eq!(timers.pop_due(Tick(9)), Some(Timer::Summary));
        assert_eq!(timers, Timers::default());
    }
}
