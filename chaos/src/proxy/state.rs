//! What the connections of one proxy share.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use fastrand::Rng;
use tokio::sync::watch;

use super::fault::{self, Fault, WatchFault};
use super::upstream::Upstream;
use crate::tally::{Deed, Tally};

/// The line between a controller and the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Line {
    /// It works.
    Open,
    /// Connections are refused and broken.
    Cut,
    /// Nothing comes through, and nobody is told.
    Silent,
}

pub(super) struct State {
    pub(super) name: String,
    pub(super) upstream: Upstream,
    pub(super) tally: Tally,
    dice: Mutex<Rng>,
    hurts: AtomicBool,
    pub(super) line: watch::Sender<Line>,
    /// Goes up when everything that is under way must never arrive.
    pub(super) era: watch::Sender<u64>,
    /// Goes up when faults stop.
    pub(super) healed: watch::Sender<u64>,
    /// Paths whose watcher lost an event: only a listing can tell it.
    deceived: Mutex<BTreeSet<String>>,
    /// Those of them whose next word must be that they list anew.
    owed: Mutex<BTreeSet<String>>,
    /// What tests want to happen next, in place of what the dice say.
    #[cfg(test)]
    pub(super) script: Mutex<std::collections::VecDeque<Option<Fault>>>,
}

impl State {
    pub(super) fn new(name: String, upstream: Upstream, tally: Tally, dice: Rng) -> Self {
        Self {
            name,
            upstream,
            tally,
            dice: Mutex::new(dice),
            hurts: AtomicBool::new(true),
            line: watch::channel(Line::Open).0,
            era: watch::channel(0).0,
            healed: watch::channel(0).0,
            deceived: Mutex::default(),
            owed: Mutex::default(),
            #[cfg(test)]
            script: Mutex::default(),
        }
    }

    pub(super) fn did(&self, deed: Deed, detail: &str) {
        self.tally.did(deed, &self.name, detail);
    }

    pub(super) fn hurts(&self) -> bool {
        self.hurts.load(Ordering::Relaxed)
    }

    pub(super) fn draw(&self, is_write: bool) -> Option<Fault> {
        #[cfg(test)]
        if let Some(scripted) = lock(&self.script).pop_front() {
            return scripted;
        }
        self.hurts()
            .then(|| fault::of_request(&mut lock(&self.dice), is_write))?
    }

    pub(super) fn draw_watch(&self) -> (Duration, WatchFault) {
        fault::of_watch(&mut lock(&self.dice))
    }

    /// The watcher of this path was not told something.
    pub(super) fn deceived(&self, path: &str) {
        lock(&self.deceived).insert(path.to_owned());
    }

    /// The client knows nothing yet: it was started anew.
    pub(super) fn forget(&self) {
        lock(&self.deceived).clear();
        lock(&self.owed).clear();
    }

    /// Stops all faults, and sees to it that watchers which were not told everything list anew.
    pub(super) fn heal(&self) {
        self.hurts.store(false, Ordering::Relaxed);
        lock(&self.owed).append(&mut lock(&self.deceived));
        self.line.send_replace(Line::Open);
        self.healed
            .send_modify(|count| *count = count.saturating_add(1));
    }

    /// Whether the watcher of this path must list anew; asked once.
    pub(super) fn owes_listing(&self, path: &str) -> bool {
        lock(&self.owed).remove(path)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
