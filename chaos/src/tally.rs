//! What was done to the controllers and to what they stand on: counted by kind, and written down with its time.
//!
//! Never decides what is done. Tested here.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::error::{Error, Result};

/// Something that was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Deed {
    /// A request or its answer was held up.
    Delayed,
    /// A request was lost before the server saw it.
    DroppedBefore,
    /// A request was carried out, and its answer lost.
    DroppedAfter,
    /// A request was given up, and carried out some time later.
    CarriedOutLate,
    /// A request was carried out twice in a row.
    Duplicated,
    /// A request was carried out, and again some time later.
    DuplicatedLate,
    /// A request was answered with this code, and the server never saw it.
    Answered(u16),
    /// An answer ended in the middle.
    Truncated,
    /// A watch ended.
    WatchEnded,
    /// A watch broke, in the middle of an event.
    WatchBroken,
    /// A watch went silent for a while, and then delivered everything.
    WatchPaused,
    /// One event of a watch was left out.
    WatchEventDropped,
    /// A watch said that it must begin anew (410).
    WatchGone,
    /// A request, watch or connection of a controller that was cut off.
    CutOff,
    /// A controller was killed (SIGKILL).
    Kill,
    /// A controller was stopped for longer than a lease (SIGSTOP, SIGCONT).
    Stop,
    /// A controller was cut off from the API server for a while.
    Partition,
    /// The API server was killed and started again.
    ServerRestart,
    /// etcd was killed and started again.
    EtcdKill,
    /// The store was compacted up to its present revision.
    Compaction,
    /// A backup of the store was put back.
    Restore,
}

impl Deed {
    /// Whether it was done to one request, answer or watch.
    #[must_use]
    pub fn is_request_fault(self) -> bool {
        self <= Self::CutOff
    }
}

impl fmt::Display for Deed {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = match self {
            Self::Delayed => "delayed",
            Self::DroppedBefore => "dropped before the server",
            Self::DroppedAfter => "dropped after the server",
            Self::CarriedOutLate => "given up and carried out late",
            Self::Duplicated => "duplicated",
            Self::DuplicatedLate => "duplicated late",
            Self::Answered(code) => return write!(formatter, "answered {code}"),
            Self::Truncated => "truncated",
            Self::WatchEnded => "watch ended",
            Self::WatchBroken => "watch broken",
            Self::WatchPaused => "watch paused",
            Self::WatchEventDropped => "watch event dropped",
            Self::WatchGone => "watch gone",
            Self::CutOff => "cut off",
            Self::Kill => "controller killed",
            Self::Stop => "controller stopped",
            Self::Partition => "controller cut off",
            Self::ServerRestart => "API server restarted",
            Self::EtcdKill => "etcd killed",
            Self::Compaction => "store compacted",
            Self::Restore => "backup restored",
        };
        formatter.write_str(words)
    }
}

/// How often what was done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Requests that controllers sent, watches included.
    pub requests: u64,
    /// How often what was done.
    pub deeds: BTreeMap<Deed, u64>,
}

impl Counts {
    /// How often this was done.
    #[must_use]
    pub fn of(&self, deed: Deed) -> u64 {
        self.deeds.get(&deed).copied().unwrap_or_default()
    }

    /// How many requests, answers and watches were hurt.
    #[must_use]
    pub fn request_faults(&self) -> u64 {
        let faults = self
            .deeds
            .iter()
            .filter(|(deed, _)| deed.is_request_fault());
        faults.map(|(_, count)| count).sum()
    }

    /// Adds those of another round.
    pub fn add(&mut self, other: &Self) {
        self.requests = self.requests.saturating_add(other.requests);
        for (deed, count) in &other.deeds {
            let sum = self.deeds.entry(*deed).or_default();
            *sum = sum.saturating_add(*count);
        }
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{} requests, {} request faults",
            self.requests,
            self.request_faults()
        )?;
        for (deed, count) in &self.deeds {
            write!(formatter, "\n  {count:>7}  {deed}")?;
        }
        Ok(())
    }
}

/// Counts, and writes down. Clones share both.
#[derive(Clone, Debug)]
pub(crate) struct Tally(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    begun: Instant,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    counts: Counts,
    log: File,
}

impl Tally {
    /// Writes down into `chaos.log` of this directory.
    pub(crate) fn new(directory: &Path) -> Result<Self> {
        let path = directory.join("chaos.log");
        let log = File::create(&path).map_err(Error::io(format!("create {}", path.display())))?;
        let counts = Counts::default();
        Ok(Self(Arc::new(Inner {
            begun: Instant::now(),
            state: Mutex::new(State { counts, log }),
        })))
    }

    /// A controller sent a request.
    pub(crate) fn request(&self) {
        let mut state = self.state();
        state.counts.requests = state.counts.requests.saturating_add(1);
    }

    /// Something was done: to whom or what, and with which request line or detail.
    pub(crate) fn did(&self, deed: Deed, whom: &str, detail: &str) {
        let mut state = self.state();
        let count = state.counts.deeds.entry(deed).or_default();
        *count = count.saturating_add(1);
        self.write(&mut state, &format!("{whom}: {deed}: {detail}"));
    }

    /// Something worth a line, but no deed.
    pub(crate) fn note(&self, line: &str) {
        self.write(&mut self.state(), line);
    }

    pub(crate) fn counts(&self) -> Counts {
        self.state().counts.clone()
    }

    fn write(&self, state: &mut State, line: &str) {
        let seconds = self.0.begun.elapsed().as_secs_f64();
        // A log that cannot be written is no reason to stop.
        let _ = writeln!(state.log, "{seconds:9.3} {line}");
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_done_to_requests_is_told_apart_from_the_rest() {
        let mut counts = Counts::default();
        counts.deeds.insert(Deed::Answered(409), 3);
        counts.deeds.insert(Deed::CutOff, 1);
        counts.deeds.insert(Deed::Kill, 5);
        assert_eq!(counts.request_faults(), 4);
        counts.add(&counts.clone());
        assert_eq!((counts.request_faults(), counts.of(Deed::Kill)), (8, 10));
        assert!(counts.to_string().contains("6  answered 409"));
    }
}
