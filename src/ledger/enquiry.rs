//! What people ask about one queue: who waits, in which order, for what. Reads everything, changes nothing.
//!
//! The command line asks a ledger that it has filled with what it read from the server, so that it shows the order
//! and the causes that the controller decides by, and has no rules of its own. Tested through it (`src/cli/look`).

use std::collections::BTreeMap;

use super::book::Ledger;
use super::end::{End, judge};
use super::explain::RequestState;
use super::ids::{Amount, HolderKind, Name, PoolKey, Uid};
use super::queue::Rank;
use super::request::{Place, Request};
use super::time::Micros;
use super::view::Ask;

/// One who waits for a pool.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Waiter {
    /// What carries the request.
    pub kind: HolderKind,
    /// Who.
    pub uid: Uid,
    /// Namespace.
    pub namespace: Name,
    /// Name.
    pub name: Name,
    /// Greater goes first.
    pub priority: i32,
    /// When it came.
    pub arrival: Micros,
    /// The pool it waits for: the one asked about, or a derived limit of it.
    pub pool: PoolKey,
    /// How much of it.
    pub amount: Option<Amount>,
    /// Place in the queue of that pool, from 1; none for whoever stands aside.
    pub position: Option<usize>,
    /// How far it has come.
    pub state: RequestState,
}

impl Ledger {
    /// Everybody who waits for a pool, or for a derived limit of it: first the queue in its order, then those who
    /// stand aside.
    pub fn waiters(&self, key: &PoolKey) -> Vec<Waiter> {
        let Some(pool) = self.pools.get(key) else {
            return Vec::new();
        };
        let mut waiting: Vec<(bool, Rank, &Request)> = pool
            .named_by
            .iter()
            .filter_map(|uid| self.requests.get(uid))
            .filter(|it| !it.view.is_revealed() && judge(&it.view, it.gone) == End::Live)
            .map(|it| (!in_queue(it), it.rank(), &**it))
            .collect();
        waiting.sort_by(|left, right| (left.0, &left.1).cmp(&(right.0, &right.1)));
        let mut counted: BTreeMap<PoolKey, usize> = BTreeMap::new();
        let waiters = waiting.into_iter().filter_map(|(aside, _, request)| {
            let (pool, amount) = self.share(request, key);
            let position = (!aside).then(|| {
                let count = counted.entry(pool.clone()).or_default();
                *count = count.saturating_add(1);
                *count
            });
            let view = &request.view;
            Some(Waiter {
                kind: view.kind(),
                uid: view.uid.clone(),
                namespace: view.namespace.clone(),
                name: view.name.clone(),
                priority: view.priority,
                arrival: view.arrival,
                pool,
                amount,
                position,
                state: self.request_state(&view.uid)?,
            })
        });
        waiters.collect()
    }

    /// What a request takes from which pools, as far as that can be said.
    pub fn demand(&self, uid: &Uid) -> Vec<(PoolKey, Amount)> {
        let shape = self.requests.get(uid).and_then(|it| it.place.shape());
        let line = shape.and_then(|id| self.queues.line(id));
        line.map_or_else(Vec::new, |line| {
            let demand = line.shape.demand.iter();
            demand.map(|(key, amount)| (key.clone(), *amount)).collect()
        })
    }

    /// Why a request waits, in a sentence with the numbers of the moment.
    pub fn waits_because(&self, uid: &Uid) -> Option<String> {
        let cause = self.cause_of(uid)?;
        Some(self.explain(uid, &cause))
    }

    /// The pool that a request takes from when it names this one, and how much.
    fn share(&self, request: &Request, named: &PoolKey) -> (PoolKey, Option<Amount>) {
        let demand = self.demand(&request.view.uid);
        let taken = demand.into_iter().find(|(key, _)| {
            key == named || key.parent().is_some_and(|(family, _)| family == *named)
        });
        if let Some((key, amount)) = taken {
            return (key, Some(amount));
        }
        let Ask::Wants(wants) = &request.view.ask else {
            return (named.clone(), None);
        };
        let amounts = wants.mentions.iter().filter(|it| it.pool == *named);
        let amount = amounts
            .map(|it| it.amount)
            .reduce(|sum, more| sum.merge(more).unwrap_or(sum));
        (named.clone(), amount)
    }
}

fn in_queue(request: &Request) -> bool {
    matches!(request.place, Place::Queued(..) | Place::Granting(_))
}
