//! When this ledger may decide: it has been told to lead, and no status shows a term above its own.
//!
//! Before that it only takes in, so that a follower's caches are warm, and forgets what has ended. A status
//! of a higher epoch, or of the same epoch and another leader, means that it may be deposed: it does
//! nothing more until it is told a higher epoch (the shell has read the Lease: it is still ours), or
//! never again. Nothing here is what keeps a slot from being granted twice; it keeps a deposed leader from
//! undoing what its successor does.

use super::book::Ledger;
use super::bounds::EPOCH_AHEAD_MAX;
use super::end::{End, judge};
use super::ids::{Epoch, PoolKey, Uid};
use super::timers::Timers;

impl Ledger {
    /// The term it leads in; `None` while it follows.
    pub fn epoch(&self) -> Option<Epoch> {
        self.epoch
    }

    /// The least epoch in which this process can write every status that it has seen.
    pub fn epoch_needed(&self) -> Epoch {
        self.epoch_needed
    }

    /// It was told to lead, and nothing shows that somebody else does.
    pub fn leads(&self) -> bool {
        self.epoch.is_some_and(|epoch| epoch >= self.epoch_needed)
    }

    /// A term begins, or its number is raised.
    pub(super) fn lead(&mut self, epoch: Epoch) {
        if self.epoch >= Some(epoch) {
            return;
        }
        let begins = self.epoch.is_none();
        self.epoch = Some(epoch);
        self.believe_more_epochs();
        if begins {
            self.timers = Timers::default();
            let requests = self.requests.iter();
            let waiting = requests.filter(|(_, request)| !request.view.is_revealed());
            for uid in waiting.map(|it| it.0.clone()).collect::<Vec<Uid>>() {
                self.notice_soon(&uid);
            }
            self.tell_quarantines();
            self.dirty_requests.extend(self.requests.keys().cloned());
            self.dirty_requests.extend(self.strangers.keys().cloned());
            self.dirty_pools.extend(self.pools.keys().cloned());
            self.write_pools.extend(self.pools.keys().cloned());
        }
    }

    /// Greatest epoch that anybody can have reached.
    fn epoch_horizon(&self) -> Epoch {
        let known = self.epoch_needed.max(self.epoch.unwrap_or_default());
        Epoch(known.0.saturating_add(EPOCH_AHEAD_MAX)).min(Epoch::MAX)
    }

    /// Takes in the epoch that a pool's status shows. An absurd one sets that pool alone aside.
    pub(super) fn note_epoch(&mut self, key: &PoolKey) {
        let horizon = self.epoch_horizon();
        let Some(pool) = self.pools.get_mut(key) else {
            return;
        };
        let Some((epoch, leader)) = pool.status().map(|it| (it.epoch, it.leader.clone())) else {
            pool.epoch_absurd = false;
            return;
        };
        pool.epoch_absurd = epoch >= horizon;
        if pool.epoch_absurd {
            return;
        }
        let ours = epoch == Epoch(0) || leader.as_ref() == Some(&self.options.process);
        let needed = Epoch(epoch.0.saturating_add(u64::from(!ours)));
        self.epoch_needed = self.epoch_needed.max(needed);
    }

    /// What was absurd may be within reach of a higher epoch.
    fn believe_more_epochs(&mut self) {
        let absurd = self.pools.iter().filter(|(_, pool)| pool.epoch_absurd);
        let absurd: Vec<PoolKey> = absurd.map(|(key, _)| key.clone()).collect();
        for key in absurd {
            self.note_epoch(&key);
            self.touch(&key);
            self.touch_namers(&key);
        }
    }

    /// A follower looks at what has changed only to forget what has ended and is named by no status: its
    /// memory is bounded by what exists.
    pub(super) fn follow(&mut self) {
        for uid in std::mem::take(&mut self.dirty_requests) {
            self.forget_if_over(&uid);
        }
        self.dirty_pools.clear();
        self.write_pools.clear();
        self.effects.clear();
    }

    fn forget_if_over(&mut self, uid: &Uid) {
        let Some(request) = self.requests.get(uid) else {
            return;
        };
        // A finalizer is taken off by whoever leads, who has to know of it.
        let ended = judge(&request.view, request.gone) == End::Confirmed;
        // A claim that has ended is deleted by whoever leads in its time, who has to know of it as well.
        let kept = request.view.finalizer || request.view.claim.is_some();
        let over = request.unwatched || (ended && !kept);
        if over && request.held.is_empty() {
            self.forget_request(uid);
        }
    }
}
