//! A new incarnation of a pool grants nothing until nobody can act on the former one, and everybody
//! who runs is counted (DESIGN 5.4).
//!
//! Floor, list, bump, adopt. The bump of every unrevealed request that names the pool kills any
//! reveal still in flight on the strength of the former incarnation, whoever sent it and however long
//! ago: waiting is no fence. Where the deletion of the former incarnation was watched, only the
//! requests it can have told something need the bump.

use std::collections::BTreeMap;

use super::adopt::is_counted;
use super::backoff::back_off;
use super::book::Ledger;
use super::bounds::{FENCE_BUMPS_IN_FLIGHT, LEASES_MAX};
use super::effect::Effect;
use super::ids::{Attempt, PoolKey, Uid};
use super::mutant::{self, Mutant};
use super::object::Mode;
use super::pool::{Fence, Purpose};
use super::request::{Phase, Request, Why};
use super::timers::Timer;
use super::view::{Ask, RequestView, Wants};

impl Ledger {
    /// Takes the next step of a pool's fence; what its next write is for.
    pub(super) fn step_fence(&mut self, key: &PoolKey) -> Purpose {
        let Some(pool) = self.pools.get_mut(key) else {
            return Purpose::Plain;
        };
        let Some(spec) = pool.spec() else {
            return Purpose::Plain;
        };
        if spec.mode == Mode::Disabled || spec.family.is_some() || pool.set_aside().is_some() {
            return Purpose::Plain;
        }
        match &pool.fence {
            Fence::Done | Fence::ListWanted | Fence::Listing(_) => Purpose::Plain,
            Fence::Needed if mutant::is(Mutant::NoFence) => Purpose::Adopt,
            Fence::Needed => Purpose::Floor,
            Fence::Bumping(_) => {
                if self.bump_for_fence(key) {
                    self.begin_adoption(key)
                } else {
                    Purpose::Plain
                }
            }
            Fence::Adopting => self.begin_adoption(key),
        }
    }

    pub(super) fn fence_floor_done(&mut self, key: &PoolKey) {
        if let Some(pool) = self.pools.get_mut(key)
            && pool.fence == Fence::Needed
        {
            pool.fence = Fence::ListWanted;
            self.list_wanted.insert(key.clone());
            if mutant::is(Mutant::FenceFromCache) {
                self.list_wanted.remove(key);
                let waiting = self.to_be_fenced(key);
                if let Some(pool) = self.pools.get_mut(key) {
                    pool.fence = Fence::Bumping(waiting);
                }
                self.fencing.insert(key.clone());
                self.write_pools.insert(key.clone());
            }
        }
    }

    /// Starts one consistent list for all pools that wait for one; whether it was started. A list
    /// that began before a floor was durable says nothing about that pool.
    pub(super) fn start_listing(&mut self) -> bool {
        if self.listing.is_some() || self.list_after > self.now.tick {
            return false;
        }
        let ticket = self.tickets.saturating_add(1);
        let mut wanted = false;
        for key in std::mem::take(&mut self.list_wanted) {
            if let Some(pool) = self.pools.get_mut(&key)
                && pool.fence == Fence::ListWanted
            {
                pool.fence = Fence::Listing(ticket);
                self.fencing.insert(key);
                wanted = true;
            }
        }
        if wanted {
            self.tickets = ticket;
            self.listing = Some(ticket);
            self.effects.push_back(Effect::ListRequests { ticket });
        }
        wanted
    }

    pub(super) fn requests_listed(&mut self, ticket: u64, listed: Option<Vec<RequestView>>) {
        if self.listing != Some(ticket) {
            return;
        }
        self.listing = None;
        let listed_for = |key: &&PoolKey| {
            self.pools
                .get(*key)
                .is_some_and(|pool| pool.fence == Fence::Listing(ticket))
        };
        let keys: Vec<PoolKey> = self.fencing.iter().filter(listed_for).cloned().collect();
        let Some(listed) = listed else {
            self.list_failures = self.list_failures.saturating_add(1);
            self.list_after = self.now.tick.after(back_off(self.list_failures, "list"));
            self.timers.set(self.list_after, Timer::Listing);
            for key in keys {
                if let Some(pool) = self.pools.get_mut(&key) {
                    pool.fence = Fence::ListWanted;
                    self.list_wanted.insert(key);
                }
            }
            return;
        };
        self.list_failures = 0;
        for view in listed {
            self.request_listed(Box::new(view));
        }
        for key in keys {
            let waiting = self.to_be_fenced(&key);
            if let Some(pool) = self.pools.get_mut(&key) {
                pool.fence = Fence::Bumping(waiting);
            }
            self.write_pools.insert(key);
        }
    }

    /// The unrevealed requests whose reveals may be in flight on the strength of a former incarnation.
    fn to_be_fenced(&self, key: &PoolKey) -> BTreeMap<Uid, Attempt> {
        let former = self
            .pools
            .get(key)
            .and_then(|pool| pool.former.as_ref())
            .filter(|it| it.narrow);
        let mut waiting = BTreeMap::new();
        if mutant::is(Mutant::FenceBumpsNobody) {
            return waiting;
        }
        for (uid, request) in &self.requests {
            let Some(attempt) = request.view.attempt else {
                continue;
            };
            let Ask::Wants(wants) = &request.view.ask else {
                continue;
            };
            let unrevealed = !request.view.is_revealed() && request.gone.is_none();
            if !unrevealed || attempt == Attempt::TimedOut || !names(request, wants, key) {
                continue;
            }
            let told = former.is_none_or(|former| {
                wants.ignore_missing || former.entries.get(uid).is_some_and(|it| *it >= attempt)
            });
            if told {
                waiting.insert(uid.clone(), attempt);
            }
        }
        waiting
    }

    /// Raises the attempts a fence waits for, so many at once; whether all of them are raised.
    fn bump_for_fence(&mut self, key: &PoolKey) -> bool {
        let Some(pool) = self.pools.get(key) else {
            return false;
        };
        let Fence::Bumping(waiting) = &pool.fence else {
            return false;
        };
        let mut left = waiting.clone();
        left.retain(|uid, attempt| self.is_unfenced(uid, *attempt));
        let mut start = Vec::new();
        for uid in left.keys() {
            if self.fence_bumps.len().saturating_add(start.len()) >= FENCE_BUMPS_IN_FLIGHT {
                break;
            }
            let aborting = self
                .requests
                .get(uid)
                .is_some_and(|request| matches!(request.phase, Phase::Aborting(_)));
            if !aborting {
                start.push(uid.clone());
            }
        }
        let done = left.is_empty();
        if let Some(pool) = self.pools.get_mut(key) {
            pool.fence = if done {
                Fence::Adopting
            } else {
                Fence::Bumping(left)
            };
        }
        for uid in start {
            self.fence_bumps.insert(uid.clone());
            self.stop_grant(&uid, Why::Fence);
        }
        done
    }

    /// The attempt that was listed is still the request's, and still unrevealed.
    fn is_unfenced(&self, uid: &Uid, listed: Attempt) -> bool {
        self.requests.get(uid).is_some_and(|request| {
            request.gone.is_none()
                && !request.view.is_revealed()
                && request.view.attempt == Some(listed)
        })
    }

    /// Pools whose fence waits for bumps are looked at again.
    pub(super) fn touch_fences(&mut self) {
        self.fencing.retain(|key| {
            self.pools.get(key).is_some_and(|pool| {
                matches!(
                    pool.fence,
                    Fence::Listing(_) | Fence::Bumping(_) | Fence::Adopting
                )
            })
        });
        self.write_pools.extend(self.fencing.iter().cloned());
    }

    /// Queues every live revealed holder that names the pool, and ends the fence with that write.
    fn begin_adoption(&mut self, key: &PoolKey) -> Purpose {
        let mut uids: Vec<Uid> = self.requests.keys().cloned().collect();
        if mutant::is(Mutant::FenceAdoptsNobody) {
            uids.clear();
        }
        let mut holders = 0_usize;
        for uid in uids {
            let Some(add) = self.adoption(&uid, key) else {
                continue;
            };
            holders = holders.saturating_add(1);
            if let Some(pool) = self.pools.get_mut(key)
                && !is_counted(pool, &uid, add.attempt, add.amount)
            {
                pool.add(uid, add);
                self.report_disbelieved(key, &add);
                self.stats.adoptions = self.stats.adoptions.saturating_add(1);
            }
        }
        let Some(pool) = self.pools.get_mut(key) else {
            return Purpose::Plain;
        };
        pool.recount();
        if holders.max(pool.planned_count) > LEASES_MAX {
            pool.refusal = Some(format!("{holders} holders run, more than {LEASES_MAX}").into());
            return Purpose::Plain;
        }
        Purpose::Adopt
    }
}

/// The request names this pool, directly or as a worker of a family.
fn names(request: &Request, wants: &Wants, key: &PoolKey) -> bool {
    let family = key.parent();
    wants.mentions.iter().any(|mention| {
        mention.pool == *key
            || family.as_ref().is_some_and(|(parent, worker)| {
                mention.pool == *parent && request.view.labels.values().any(|value| value == worker)
            })
    })
}
