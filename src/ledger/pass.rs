//! Who can go: one walk over the heads of the queues, in order, filling all free slots.
//!
//! The order is total, partial takes never wait, and a blocked request reserves in its place in the
//! order: so nobody starves within a priority and nothing deadlocks (docs/design.md, section 4).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::book::Ledger;
use super::bounds::LOCK_RESERVE_AFTER;
use super::cause::Cause;
use super::ids::{Amount, PoolKey, PoolKind, Uid, Units};
use super::mutant::{self, Mutant};
use super::object::{Mode, Order};
use super::pool::{Fence, Pool};
use super::queue::{Rank, Shape, ShapeId};
use super::time::Tick;
use super::timers::Timer;

/// Room left in each pool during one pass, reservations taken off.
type Room = BTreeMap<PoolKey, Units>;

/// When to look again because slots come back with time.
#[derive(Default)]
struct Wakes {
    at: BTreeMap<PoolKey, Tick>,
    /// Pools of which a blocked request keeps something.
    reserved: BTreeSet<PoolKey>,
}

impl Ledger {
    /// Grants whatever can go, among everybody a change in these pools can concern.
    pub(super) fn pass(&mut self, pools: &BTreeSet<PoolKey>) {
        let mut room = Room::new();
        let mut wakes = Wakes::default();
        let mut heads: BTreeSet<(Rank, ShapeId)> = BTreeSet::new();
        for id in self.queues.connected(pools) {
            heads.extend(self.head(id));
        }
        while let Some((rank, id)) = heads.pop_first() {
            let Some(shape) = self.queues.line(id).map(|line| Arc::clone(&line.shape)) else {
                continue;
            };
            if self.obstacle(&shape, None).is_some() {
                continue;
            }
            match self.blocked_by(&shape, &room) {
                None => {
                    for (key, amount) in self.takes(&shape) {
                        let left = self.room(&room, key).saturating_sub(amount.units());
                        room.insert(key.clone(), left);
                    }
                    self.start_grant(&rank.uid, id, &shape);
                    heads.extend(self.head(id));
                }
                Some(lacking) => {
                    self.note_tried(&rank.uid);
                    let left = self.wake(&shape, &lacking, &room, &mut wakes);
                    self.reserve(&shape, &rank, &lacking, &mut room);
                    let kept = left
                        .into_iter()
                        .filter(|(key, left)| self.room(&room, key) < *left);
                    wakes.reserved.extend(kept.map(|(key, _)| key));
                }
            }
        }
        for (key, at) in wakes.at {
            self.timers.set(at, Timer::Level(key));
        }
    }

    fn head(&self, id: ShapeId) -> Option<(Rank, ShapeId)> {
        let head = self.queues.line(id)?.queue.first()?;
        Some((head.clone(), id))
    }

    /// Notes when time alone will have brought back what a blocked request lacks; the pools of which that can be said,
    /// with the room left. Whoever stands behind a reservation is looked at when the one before it can go.
    fn wake(
        &self,
        shape: &Shape,
        lacking: &[PoolKey],
        room: &Room,
        wakes: &mut Wakes,
    ) -> Vec<(PoolKey, Units)> {
        let mut lefts = Vec::new();
        for key in lacking.iter().filter(|key| !wakes.reserved.contains(*key)) {
            let (Some(pool), Some(amount)) = (self.pools.get(key), shape.demand.get(key)) else {
                continue;
            };
            if pool.decay().is_none() {
                continue;
            }
            let free = pool.free(self.now.tick);
            let left = self.room(room, key);
            lefts.push((key.clone(), left));
            let gone = free.saturating_sub(left);
            let at = pool.free_at(amount.units().saturating_add(gone));
            if let Some(at) = at.filter(|at| *at > self.now.tick) {
                let soonest = wakes.at.entry(key.clone()).or_insert(at);
                *soonest = at.min(*soonest);
            }
        }
        lefts
    }

    /// The parts of a shape that take room: not what is absent or disabled.
    fn takes<'a>(&'a self, shape: &'a Shape) -> impl Iterator<Item = (&'a PoolKey, Amount)> {
        let counts = |key: &PoolKey| {
            self.pools
                .get(key)
                .is_some_and(|pool| pool.seen.is_some() && pool.mode() != Some(Mode::Disabled))
        };
        let demand = shape.demand.iter().map(|(key, amount)| (key, *amount));
        demand.filter(move |(key, _)| counts(key))
    }

    fn room(&self, room: &Room, key: &PoolKey) -> Units {
        match room.get(key) {
            Some(units) => *units,
            None => self
                .pools
                .get(key)
                .map_or(0, |pool| pool.free(self.now.tick)),
        }
    }

    /// The pools that lack room for a shape; `None` when it can go.
    fn blocked_by(&self, shape: &Shape, room: &Room) -> Option<Vec<PoolKey>> {
        let lacking: Vec<PoolKey> = self
            .takes(shape)
            .filter(|(key, amount)| self.room(room, key) < amount.units())
            .map(|(key, _)| key.clone())
            .collect();
        (!lacking.is_empty()).then_some(lacking)
    }

    /// What a blocked request keeps from those behind it.
    fn reserve(&self, shape: &Shape, rank: &Rank, lacking: &[PoolKey], room: &mut Room) {
        if mutant::is(Mutant::NoReservation) {
            return;
        }
        let waited = self.now.server.since(rank.arrival);
        for (key, amount) in self.takes(shape) {
            let Some(spec) = self.pools.get(key).and_then(Pool::spec) else {
                continue;
            };
            let left = self.room(room, key);
            let exclusive_waits_here = amount == Amount::Exclusive && lacking.contains(key);
            let keeps = match (spec.order, key.kind) {
                (Order::Strict, _) if mutant::is(Mutant::StrictIsBackfill) => 0,
                (Order::Strict, _) => left,
                (Order::Backfill { .. }, PoolKind::Lock) if exclusive_waits_here => left,
                (Order::Backfill { .. }, PoolKind::Lock) if waited >= LOCK_RESERVE_AFTER => {
                    amount.units()
                }
                (Order::Backfill { reserve_after }, PoolKind::Limit) if waited >= reserve_after => {
                    amount.units()
                }
                (Order::Backfill { .. }, _) => 0,
            };
            room.insert(key.clone(), left.saturating_sub(keeps));
        }
    }

    /// Why no request of this shape can be granted now, whatever room there is. Such requests stand
    /// in no queue's way: they reserve nothing. `resuming` already has a lease to its name.
    pub(super) fn obstacle(&self, shape: &Shape, resuming: Option<&Uid>) -> Option<Cause> {
        let mut first = None;
        for (key, amount) in &shape.demand {
            let cause = match self.pools.get(key) {
                Some(pool) if pool.seen.is_some() => {
                    self.pool_obstacle(shape, key, *amount, pool, resuming)
                }
                _ => self.absence_obstacle(shape, key),
            };
            if let Some(cause) = cause {
                if cause.needs_attention() {
                    return Some(cause);
                }
                first.get_or_insert(cause);
            }
        }
        first
    }

    fn absence_obstacle(&self, shape: &Shape, key: &PoolKey) -> Option<Cause> {
        if let Some((family, worker)) = key.parent()
            && self.family_of(&family).is_some()
        {
            return Some(self.child_cause(&family, &worker, key));
        }
        (!shape.ignore_missing).then(|| Cause::NotFound(key.clone()))
    }

    fn pool_obstacle(
        &self,
        shape: &Shape,
        key: &PoolKey,
        amount: Amount,
        pool: &Pool,
        resuming: Option<&Uid>,
    ) -> Option<Cause> {
        if pool.quarantine().is_some() {
            return Some(Cause::Quarantined(key.clone()));
        }
        let spec = pool.spec()?;
        let has_lease = resuming.is_some_and(|uid| pool.entries.contains_key(uid));
        if !spec
            .admits
            .admits(&key.namespace, &shape.namespace, &self.namespaces)
            && !mutant::is(Mutant::IgnoresNamespaces)
        {
            return Some(Cause::Forbidden(key.clone()));
        }
        if pool.seen.as_ref().is_some_and(|seen| seen.deleting) || pool.child_write {
            return Some(Cause::Deleting(key.clone()));
        }
        if spec.family.is_some() {
            return Some(Cause::ChildPending(key.clone()));
        }
        match spec.mode {
            Mode::Disabled => return None,
            Mode::Paused if !has_lease => return Some(Cause::Paused(key.clone())),
            Mode::Paused | Mode::Active => {}
        }
        let takes = matches!(amount, Amount::Rate(_)) && !mutant::is(Mutant::TakenWithoutDecay);
        if takes && spec.decay.is_none() {
            return Some(Cause::NoDecay(key.clone()));
        }
        if amount.units() > spec.capacity && !mutant::is(Mutant::TooLargeReserves) {
            return Some(Cause::ExceedsLimit(key.clone()));
        }
        if pool.fence != Fence::Done {
            return Some(Cause::NotFenced(key.clone()));
        }
        if !has_lease && !pool.has_lease_room() {
            return Some(Cause::LeasesFull(key.clone()));
        }
        None
    }

    /// Reveals that rely on this pool being Disabled are still good.
    pub(super) fn serves_open(&self, pool: &Pool) -> bool {
        let disabled = pool.seen.is_some() && pool.mode() == Some(Mode::Disabled);
        disabled && pool.set_aside().is_none()
    }
}
