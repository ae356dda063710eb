//! A history in figures: what the demo prints at its end, and what tests count writes with.

use std::collections::BTreeMap;
use std::fmt;

use super::claim::{Claim, Phase};
use super::rules::running;
use super::version::{History, ObjectRef};
use super::who::Who;
use super::world::{Change, World};

/// Figures of a whole history.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Pods that were revealed with a record.
    pub grants: usize,
    /// Claims that were granted.
    pub claims: usize,
    /// Each limit and lock that ever was.
    pub pools: BTreeMap<ObjectRef, PoolSummary>,
}

/// Figures of one limit or lock, over all its incarnations.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PoolSummary {
    /// Largest capacity it had, in slots; 0 for a lock.
    pub slots: i64,
    /// Most slots (of a lock: holders) held at once by leases and adopted holders together.
    pub highest_held: i64,
    /// Most slots (of a lock: holders) of pods that could run and claims that held at once, by their own records.
    pub highest_running: i64,
    /// Leases given.
    pub leases: usize,
    /// Of these, what was taken for a rate.
    pub takes: usize,
    /// Writes of its status.
    pub status_versions: usize,
}

impl Summary {
    /// Counts who may work wherever this holder was just told that it may.
    fn note_running(&mut self, world: &World, uid: &str) {
        let record = world.who(uid).and_then(Who::record);
        for lease in record.into_iter().flat_map(|record| &record.leases) {
            let Some(current) = world.pool(&lease.pool) else {
                continue;
            };
            let sum = running(world, &lease.pool, current)
                .iter()
                .fold(0_i64, |sum, (_, it)| sum.saturating_add(it.slots()));
            let pool = self.pools.entry(lease.pool.clone()).or_default();
            pool.highest_running = pool.highest_running.max(sum);
        }
    }

    /// Writes of statuses for each grant; `None` without grants.
    #[must_use]
    pub fn status_writes_per_grant(&self) -> Option<f64> {
        let writes: usize = self.pools.values().map(|pool| pool.status_versions).sum();
        let exact = |number: usize| u32::try_from(number).map(f64::from).ok();
        let grants = self.grants.saturating_add(self.claims);
        (grants > 0).then(|| Some(exact(writes)? / exact(grants)?))?
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, pool) in &self.pools {
            let PoolSummary {
                slots,
                highest_held,
                highest_running,
                leases,
                takes,
                status_versions,
            } = pool;
            let capacity = if *slots > 0 {
                format!(" of {slots}")
            } else {
                String::new()
            };
            let rates = match takes {
                0 => String::new(),
                takes => format!(", {takes} of them for a rate"),
            };
            writeln!(
                formatter,
                "{place}: at most {highest_running}{capacity} running, {highest_held} held; {leases} leases in \
                 {status_versions} status writes{rates}"
            )?;
        }
        write!(formatter, "{} pods granted", self.grants)?;
        if self.claims > 0 {
            write!(formatter, ", {} claims granted", self.claims)?;
        }
        match self.status_writes_per_grant() {
            Some(writes) => write!(
                formatter,
                ", {writes:.2} status writes and 1 patch for each"
            ),
            None => Ok(()),
        }
    }
}

impl History {
    /// Counts what happened.
    #[must_use]
    pub fn summary(&self) -> Summary {
        let mut world = World::default();
        let mut summary = Summary::default();
        for version in self.versions() {
            match world.take(version) {
                Change::Pool(change) => {
                    let Some(new) = change.new else { continue };
                    let pool = summary.pools.entry(change.place).or_default();
                    pool.slots = pool.slots.max(new.slots);
                    pool.highest_held = pool.highest_held.max(new.status.held());
                    pool.leases = pool.leases.saturating_add(change.fresh.len());
                    let takes = change.fresh.iter().filter(|entry| entry.rate).count();
                    pool.takes = pool.takes.saturating_add(takes);
                    if change.old.is_some_and(|old| old.status != new.status) {
                        pool.status_versions = pool.status_versions.saturating_add(1);
                    }
                }
                Change::Pod(change) => {
                    let was_gated = change.old.is_none_or(|old| old.gated);
                    let Some(new) = change.new.filter(|new| !new.gated && was_gated) else {
                        continue;
                    };
                    if new.record().is_some() {
                        summary.grants = summary.grants.saturating_add(1);
                        summary.note_running(&world, &change.uid);
                    }
                }
                Change::Claim(change) => {
                    let granted = |claim: &Claim| claim.phase == Phase::Granted;
                    let before = change.old.as_deref().is_some_and(granted);
                    if !before && change.new.as_deref().is_some_and(granted) {
                        summary.claims = summary.claims.saturating_add(1);
                        summary.note_running(&world, &change.uid);
                    }
                }
                Change::Node => {}
            }
        }
        summary
    }
}
