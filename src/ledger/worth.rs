//! Whether the next status of a pool is worth a write, and whether there can be a next one that is.
//!
//! Who holds is always; what only people read is written at once where that cannot make two controllers answer each
//! other, else every few seconds. Tested by the golden stories, which count writes, and in `outcome`.

use super::book::Ledger;
use super::bounds::WAITING_WRITE_AFTER;
use super::ids::PoolKey;
use super::mutant::{self, Mutant};
use super::object::{PoolObject, PoolStatus};
use super::pool::{Flight, Pool, Purpose};
use super::time::Tick;
use super::timers::Timer;

impl Ledger {
    /// Whether a status differs from the one before in something that cannot wait. What only people
    /// read is written at once if we wrote last (but for a count that merely changed), else every few
    /// seconds: two controllers that see things differently must not answer each other.
    pub(super) fn is_worth_writing(&mut self, key: &PoolKey, next: &PoolStatus) -> bool {
        let Some(pool) = self.pools.get(key) else {
            return false;
        };
        let Some(base) = pool.status() else {
            return false;
        };
        let change = Change::between(base, next);
        let falls = next.level != base.level;
        let crosses_zero = next.waiting == 0 || base.waiting == 0;
        let ours = base.batch.as_ref().is_some_and(|batch| {
            let process = batch.as_str().rsplit_once('-').map(|(process, _)| process);
            process == Some(self.options.process.as_str())
        });
        let due = pool.written_at.after(WAITING_WRITE_AFTER);
        let is_due = due <= self.now.tick || pool.written_at == Tick(0);
        let worth = match change {
            Change::Nothing => false,
            Change::Holders => true,
            Change::Shown => ours || is_due,
            Change::Count => ours && crosses_zero || is_due,
        };
        if !worth && change != Change::Nothing {
            self.timers.set(due, Timer::Pool(key.clone()));
        }
        // A level falls all the time, which is no reason to write; that all of it has come back is one, some time.
        worth || falls && self.is_emptied(key, next)
    }

    /// The level that a status shows has come back, for a while: it says so, lest a new leader count it again.
    fn is_emptied(&mut self, key: &PoolKey, next: &PoolStatus) -> bool {
        let Some(pool) = self.pools.get(key) else {
            return false;
        };
        let Some(empty_at) = pool.empty_at() else {
            return false;
        };
        let due = pool.written_at.after(WAITING_WRITE_AFTER).max(empty_at);
        if due <= self.now.tick {
            return next.level.is_none();
        }
        self.timers.set(due, Timer::Pool(key.clone()));
        false
    }
}

impl Pool {
    /// A write of this status, which the server shows as it was sent, leaves nothing to look at: it says all there is to
    /// say, and what it says stays as it is until there is news.
    pub(super) fn is_settled_by(&self, flight: &Flight, object: &PoolObject) -> bool {
        if mutant::is(Mutant::AppliedIsFinal) {
            return true;
        }
        let sent = object.status.read() == Some(&flight.status);
        let told = !self.look_again && self.refusals == 0 && flight.purpose == Purpose::Plain;
        let queued = !self.adds.is_empty() || !self.removes.is_empty();
        let plain =
            self.decay().is_none() && flight.status.level.is_none() && object.owner.is_none();
        let family = self.spec().is_none_or(|spec| spec.family.is_some());
        sent && told && !queued && plain && !family
    }
}

/// In what the next status differs from the one before, its level aside: the gravest of all.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Change {
    Nothing,
    /// How many wait.
    Count,
    /// What only people read.
    Shown,
    /// What cannot wait.
    Holders,
}

impl Change {
    fn between(base: &PoolStatus, next: &PoolStatus) -> Self {
        // By name, so that a field that comes has to be thought of here.
        let PoolStatus {
            schema,
            observed_generation,
            last_token,
            epoch,
            leader,
            batch,
            previous_batch,
            in_use,
            waiting,
            workers,
            leases,
            adopted,
            fenced,
            open,
            level: _,
            conditions,
            extra,
        } = base;
        let holders = *leases == next.leases
            && *adopted == next.adopted
            && *last_token == next.last_token
            && *fenced == next.fenced
            && *open == next.open
            && *schema == next.schema
            && *epoch == next.epoch
            && *leader == next.leader
            && *batch == next.batch
            && *previous_batch == next.previous_batch
            && *extra == next.extra
            // A worker that is no longer needed hurts nobody for a while.
            && next.workers.is_subset(workers);
        let shown = *in_use == next.in_use
            && *observed_generation == next.observed_generation
            && *conditions == next.conditions
            && *workers == next.workers;
        match (holders, shown, *waiting == next.waiting) {
            (false, _, _) => Self::Holders,
            (true, false, _) => Self::Shown,
            (true, true, false) => Self::Count,
            (true, true, true) => Self::Nothing,
        }
    }
}
