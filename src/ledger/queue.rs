//! Who is next: requests of one shape share one queue, ordered by priority, arrival and uid.
//!
//! A shape is everything about a request that decides whether it can be granted: its namespace and
//! what it takes from which pools. If the first of a shape cannot go, none of the shape can, so a
//! pass costs the number of shapes and not of waiters. Nothing here grants; see `pass`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::bounds::AHEAD_COUNTED_MAX;
use super::ids::{Amount, Name, PoolKey, Uid};
use super::request::Place;
use super::time::Micros;

/// Everything about a request that decides whether it can be granted.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(super) struct Shape {
    pub(super) namespace: Name,
    pub(super) ignore_missing: bool,
    pub(super) demand: BTreeMap<PoolKey, Amount>,
}

/// A shape's number.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(super) struct ShapeId(u64);

/// Place in the order: lower goes first.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(super) struct Rank {
    /// Priority, turned round.
    lowness: i64,
    pub(super) arrival: Micros,
    pub(super) uid: Uid,
}

impl Rank {
    pub(super) fn new(priority: i32, arrival: Micros, uid: Uid) -> Self {
        Self {
            lowness: i64::from(priority).saturating_neg(),
            arrival,
            uid,
        }
    }
}

/// The requests of one shape that wait.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct Line {
    pub(super) shape: Arc<Shape>,
    pub(super) queue: BTreeSet<Rank>,
    /// Requests of this shape that stand aside for reasons of their own.
    pub(super) aside: usize,
    /// Requests of this shape whose grant is under way.
    pub(super) granting: usize,
}

/// All queues.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub(super) struct Queues {
    next: u64,
    ids: BTreeMap<Arc<Shape>, ShapeId>,
    lines: BTreeMap<ShapeId, Line>,
    by_pool: BTreeMap<PoolKey, BTreeSet<ShapeId>>,
    /// The line that was left last, if nobody has come since: most often the next one is of its shape.
    resting: Option<ShapeId>,
}

impl Line {
    fn is_empty(&self) -> bool {
        self.queue.is_empty() && self.aside == 0 && self.granting == 0
    }
}

impl Queues {
    pub(super) fn line(&self, id: ShapeId) -> Option<&Line> {
        self.lines.get(&id)
    }

    /// The lines of shapes that take from a pool, in which somebody is.
    fn of_pool(&self, pool: &PoolKey) -> impl Iterator<Item = (ShapeId, &Line)> {
        let ids = self.by_pool.get(pool).into_iter().flatten();
        ids.filter_map(|id| Some((*id, self.lines.get(id)?)))
            .filter(|(_, line)| !line.is_empty())
    }

    /// Whether anybody waits for a pool, or is about to get it.
    pub(super) fn is_wanted(&self, pool: &PoolKey) -> bool {
        self.of_pool(pool).next().is_some()
    }

    /// Requests that wait for a pool, those that stand aside included.
    pub(super) fn waiting(&self, pool: &PoolKey) -> usize {
        self.of_pool(pool).fold(0, |sum, (_, line)| {
            sum.saturating_add(line.queue.len())
                .saturating_add(line.aside)
        })
    }

    /// Finds a shape's queue, or opens one.
    pub(super) fn open(&mut self, shape: Shape) -> ShapeId {
        if let Some(id) = self.ids.get(&shape) {
            if self.resting == Some(*id) {
                self.resting = None;
            }
            return *id;
        }
        let id = ShapeId(self.next);
        self.next = self.next.wrapping_add(1);
        let shape = Arc::new(shape);
        for pool in shape.demand.keys() {
            self.by_pool.entry(pool.clone()).or_default().insert(id);
        }
        self.ids.insert(Arc::clone(&shape), id);
        self.lines.insert(
            id,
            Line {
                shape,
                queue: BTreeSet::new(),
                aside: 0,
                granting: 0,
            },
        );
        id
    }

    /// Enters a request at its place.
    pub(super) fn enter(&mut self, place: &Place) {
        let Some(line) = place.shape().and_then(|id| self.lines.get_mut(&id)) else {
            return;
        };
        match place {
            Place::Queued(_, rank) => {
                line.queue.insert(rank.clone());
            }
            Place::Aside(..) => line.aside = line.aside.saturating_add(1),
            Place::Granting(_) => line.granting = line.granting.saturating_add(1),
            Place::Nowhere | Place::Stuck(_) => {}
        }
    }

    /// Takes a request out of its place; of the lines in which nobody is any more one is kept, and all others are closed.
    pub(super) fn leave(&mut self, place: &Place) {
        let Some(id) = place.shape() else { return };
        let Some(line) = self.lines.get_mut(&id) else {
            return;
        };
        match place {
            Place::Queued(_, rank) => {
                line.queue.remove(rank);
            }
            Place::Aside(..) => line.aside = line.aside.saturating_sub(1),
            Place::Granting(_) => line.granting = line.granting.saturating_sub(1),
            Place::Nowhere | Place::Stuck(_) => {}
        }
        if line.is_empty()
            && let Some(former) = self.resting.replace(id)
            && former != id
        {
            self.close_if_empty(former);
        }
    }

    fn close_if_empty(&mut self, id: ShapeId) {
        let Some(line) = self.lines.get(&id).filter(|line| line.is_empty()) else {
            return;
        };
        let shape = Arc::clone(&line.shape);
        for pool in shape.demand.keys() {
            if let Some(shapes) = self.by_pool.get_mut(pool) {
                shapes.remove(&id);
                if shapes.is_empty() {
                    self.by_pool.remove(pool);
                }
            }
        }
        self.ids.remove(&shape);
        self.lines.remove(&id);
    }

    /// Every shape that can be affected by a change in these pools: those that take from them, those
    /// that share a pool with one of those, and so on. Where nobody stands in a queue, nobody is affected, nor passes
    /// it on.
    pub(super) fn connected(&self, pools: &BTreeSet<PoolKey>) -> BTreeSet<ShapeId> {
        let mut shapes = BTreeSet::new();
        let mut seen: BTreeSet<&PoolKey> = BTreeSet::new();
        let mut pending: Vec<&PoolKey> = Vec::new();
        let mut changed = pools.iter();
        while let Some(pool) = pending.pop().or_else(|| changed.next()) {
            for (id, line) in self.of_pool(pool) {
                if line.queue.is_empty() || !shapes.insert(id) {
                    continue;
                }
                for other in line.shape.demand.keys() {
                    if !pools.contains(other) && seen.insert(other) {
                        pending.push(other);
                    }
                }
            }
        }
        shapes
    }

    /// Whether any request stands before this rank in the queues of a pool.
    pub(super) fn has_ahead(&self, pool: &PoolKey, rank: &Rank) -> bool {
        self.of_pool(pool)
            .any(|(_, line)| line.queue.first().is_some_and(|first| first < rank))
    }

    /// How many requests stand before this rank in the queues of a pool, counted up to a bound.
    pub(super) fn ahead(&self, pool: &PoolKey, rank: &Rank) -> usize {
        self.of_pool(pool)
            .flat_map(|(_, line)| line.queue.range(..rank))
            .take(AHEAD_COUNTED_MAX)
            .count()
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::server::limit;
    use super::*;

    fn shape(name: &str) -> Shape {
        Shape {
            namespace: "ns".into(),
            ignore_missing: false,
            demand: [(limit(name), Amount::Slots(1))].into(),
        }
    }

    #[test]
    fn of_the_lines_in_which_nobody_is_one_is_kept() {
        let mut queues = Queues::default();
        for name in ["a", "b", "c", "c"] {
            let id = queues.open(shape(name));
            let place = Place::Granting(id);
            queues.enter(&place);
            assert!(queues.is_wanted(&limit(name)));
            queues.leave(&place);
            assert!(!queues.is_wanted(&limit(name)), "nobody is in it");
            assert_eq!(
                (queues.lines.len(), queues.ids.len(), queues.by_pool.len()),
                (1, 1, 1),
                "{name}"
            );
        }
        // Whoever comes again finds it, and it stays while others come and go.
        let again = Place::Granting(queues.open(shape("c")));
        queues.enter(&again);
        for name in ["a", "b"] {
            let other = Place::Granting(queues.open(shape(name)));
            queues.enter(&other);
            queues.leave(&other);
        }
        assert!(queues.is_wanted(&limit("c")));
        assert_eq!(queues.lines.len(), 2);
    }
}
