//! Who runs is counted: a holder that a pool does not name is written down there (DESIGN 5.4).
//!
//! A holder counts by the record of its reveal; a pod that came past admission, by what its annotations say. The fence of
//! a new incarnation adopts all of them at once, the review of a holder those that were missed since. What is adopted
//! takes its room whether it fits or not; how it is written is in [`super::commit`].

use super::book::Ledger;
use super::claim_view::Terms;
use super::end::{End, judge};
use super::ids::{Amount, Attempt, PoolKey, Token, Uid};
use super::mutant::{self, Mutant};
use super::object::Mode;
use super::pool::{Add, Fence, Pool};
use super::request::Request;
use super::view::GrantedLease;

impl Ledger {
    /// A token too far ahead of the server's clock is no evidence: the holder is counted without it.
    pub(super) fn report_disbelieved(&mut self, key: &PoolKey, add: &Add) {
        let Some(token) = add.adopt.filter(|token| self.believed(*token) != *token) else {
            return;
        };
        self.stats.tokens_disbelieved = self.stats.tokens_disbelieved.saturating_add(1);
        let Some(about) = self.pool_about(key) else {
            return;
        };
        self.tell(about, true, "TokenDisbelieved", || {
            format!("a running pod shows token {} for {key}, far ahead of the server's clock; it is counted without that token", token.0)
        });
    }

    /// How a revealed holder counts in a pool: by the record of its reveal, which names its token; a
    /// pod that came past admission, by what its annotations say. `None` when it does not count.
    pub(super) fn adoption(&self, uid: &Uid, key: &PoolKey) -> Option<Add> {
        let request = self.requests.get(uid)?;
        let pool = self.pools.get(key)?;
        pool.seen.as_ref()?;
        let released = pool.is_released(uid);
        let ended =
            judge(&request.view, request.gone) == End::Confirmed || self.has_settled(request, key);
        if !request.view.is_revealed() || released || ended {
            return None;
        }
        if let Some(granted) = &request.view.granted
            && !mutant::is(Mutant::LateEditCounts)
        {
            let lease = granted.leases.iter().find(|lease| lease.pool == *key)?;
            let (amount, attempt, token) = (lease.amount, granted.attempt, lease.token);
            if is_take(amount) && !mutant::is(Mutant::TakeIsAdopted) {
                return None;
            }
            return Some(Add {
                amount,
                attempt,
                adopt: Some(token),
                linger: request
                    .view
                    .claim
                    .as_ref()
                    .and_then(|claim| claim.terms)
                    .map(Terms::linger),
            });
        }
        let shape = self.resolve(&request.view).shape.ok()?;
        let amount: Amount = *shape.demand.get(key)?;
        if is_take(amount) {
            return None;
        }
        let attempt = request.view.attempt.unwrap_or(Attempt::Number(0));
        Some(Add {
            amount,
            attempt,
            adopt: Some(Token(0)),
            linger: None,
        })
    }

    /// A running holder that some pool it names does not count is written down there, once a live
    /// read has shown that it still runs: a cache that lags must not undo a release.
    pub(super) fn adopt_if_uncounted(&mut self, uid: &Uid) {
        let Some(request) = self.requests.get(uid) else {
            return;
        };
        let late = mutant::is(Mutant::LateEditCounts);
        let twice = mutant::is(Mutant::AdoptTwice);
        if !late && !twice && self.is_counted_as_recorded(uid, request) {
            return;
        }
        let keys: Vec<PoolKey> = match &request.view.granted {
            Some(granted) if !late => granted
                .leases
                .iter()
                .map(|lease| lease.pool.clone())
                .collect(),
            _ => self
                .resolve(&request.view)
                .shape
                .map(|shape| shape.demand.keys().cloned().collect())
                .unwrap_or_default(),
        };
        if request.view.granted.is_none() {
            let resolved = self.resolve(&request.view);
            self.rename(uid, resolved.named);
        } else {
            self.rename(uid, keys.iter().cloned().collect());
        }
        for key in keys {
            let Some(add) = self.adoption(uid, &key) else {
                continue;
            };
            let alive = self
                .requests
                .get(uid)
                .is_some_and(|request| request.seen_alive);
            let Some(pool) = self.pools.get_mut(&key) else {
                continue;
            };
            let active = pool.spec().is_some_and(|spec| spec.mode != Mode::Disabled);
            let queued = pool.adds.contains_key(uid) || pool.may_write(uid);
            if pool.fence != Fence::Done
                || !active
                || queued
                || (is_counted(pool, uid, add.attempt, add.amount) && !twice)
            {
                continue;
            }
            if !alive {
                self.want_read(uid);
                return;
            }
            pool.add(uid.clone(), add);
            self.report_disbelieved(&key, &add);
            self.stats.adoptions = self.stats.adoptions.saturating_add(1);
            self.touch(&key);
        }
    }

    /// All that its record names is durable, and nothing else is known to be named by it: the ordinary day.
    fn is_counted_as_recorded(&self, uid: &Uid, request: &Request) -> bool {
        let Some(granted) = &request.view.granted else {
            return false;
        };
        let is_durable = |lease: &GrantedLease| {
            let pool = self.pools.get(&lease.pool);
            request.named.contains(&lease.pool)
                && pool.is_some_and(|it| is_counted(it, uid, granted.attempt, lease.amount))
        };
        let is_recorded = |key: &PoolKey| granted.leases.iter().any(|it| it.pool == *key);
        granted.leases.iter().all(is_durable) && request.named.iter().all(is_recorded)
    }
}

/// Nobody holds what was taken for a rate: whoever was told of it has used it.
fn is_take(amount: Amount) -> bool {
    matches!(amount, Amount::Rate(_))
}

/// The entry belongs to the very reveal that runs: an entry of another attempt could be taken for void
/// by somebody who has not seen the reveal yet, so it is written anew.
pub(super) fn is_counted(pool: &Pool, uid: &Uid, attempt: Attempt, amount: Amount) -> bool {
    let entry = pool.entries.get(uid);
    entry.is_some_and(|entry| entry.attempt == attempt && entry.amount == amount)
}
