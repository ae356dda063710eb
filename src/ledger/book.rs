//! The ledger itself: its state, and the one door through which everything enters and leaves it.
//!
//! The decisions are in the modules around it; this file only says which of them runs when.
//! Everything is level-triggered: what happened marks requests and pools as to be looked at, and
//! [`Ledger::poll_effect`] looks at them as they are then. So a burst of news costs one pass.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::bounds::CLAIM_ENDED_KEPT;
use super::command::Command;
use super::effect::Effect;
use super::ids::{Epoch, HolderKind, Name, PoolKey, Uid};
use super::notice::Bucket;
use super::pool::Pool;
use super::queue::Queues;
use super::request::Request;
use super::selector::NamespaceLabels;
use super::stats::Stats;
use super::time::{Now, Span, Tick};
use super::timers::{Timer, Timers};

/// What a ledger is started with.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Options {
    /// Random id of this process: batches are named by it.
    pub process: Name,
    /// Whether to tell people anything (benchmarks measure both).
    pub events: bool,
    /// How long claims that have ended stay to be read.
    pub claims: ClaimTimes,
}

/// How long claims that have ended stay to be read, before they are deleted.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct ClaimTimes {
    /// Those that were denied, timed out or revoked.
    pub ended: Span,
    /// Those that their holders gave back; zero: deleted at once, and never written `Released`.
    pub released: Span,
}

impl Default for ClaimTimes {
    fn default() -> Self {
        Self {
            ended: CLAIM_ENDED_KEPT,
            released: Span(0),
        }
    }
}

/// The state machine. See the module documentation for how to drive it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Ledger {
    pub(super) options: Options,
    pub(super) now: Now,
    /// The term it leads in; `None` while it follows.
    pub(super) epoch: Option<Epoch>,
    /// The least epoch in which every status that was seen can be written.
    pub(super) epoch_needed: Epoch,
    pub(super) pools: BTreeMap<PoolKey, Pool>,
    /// Boxed, for a table moves what is in it.
    pub(super) requests: BTreeMap<Uid, Box<Request>>,
    pub(super) queues: Queues,
    pub(super) namespaces: NamespaceLabels,
    pub(super) guarded: Option<bool>,
    /// Holders named by a status of which no request is known, with where to look for them.
    pub(super) strangers: BTreeMap<Uid, Stranger>,
    pub(super) timers: Timers,
    pub(super) stats: Stats,
    pub(super) bucket: Bucket,
    pub(super) batches: u64,
    /// The consistent list under way.
    pub(super) listing: Option<u64>,
    pub(super) tickets: u64,
    pub(super) list_failures: u32,
    pub(super) list_after: Tick,
    pub(super) reads_in_flight: usize,
    pub(super) reads_wanted: BTreeSet<Uid>,
    pub(super) fence_bumps: BTreeSet<Uid>,
    /// Pools whose fence waits for a list.
    pub(super) list_wanted: BTreeSet<PoolKey>,
    /// Pools whose fence is between its list and its end.
    pub(super) fencing: BTreeSet<PoolKey>,
    pub(super) nodes_asked: BTreeMap<Name, Tick>,
    pub(super) dirty_requests: BTreeSet<Uid>,
    pub(super) dirty_pools: BTreeSet<PoolKey>,
    pub(super) write_pools: BTreeSet<PoolKey>,
    pub(super) effects: VecDeque<Effect>,
}

/// A holder named by a status, of which no request is known.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct Stranger {
    pub(super) kind: HolderKind,
    pub(super) namespace: Name,
    pub(super) name: Name,
    pub(super) pools: BTreeSet<PoolKey>,
    pub(super) reading: bool,
    pub(super) read_after: Tick,
    pub(super) read_failures: u32,
    /// Proven to be gone; its leases settle from then on.
    pub(super) gone_since: Option<Tick>,
}

impl Ledger {
    /// An empty ledger: it decides nothing until [`Command::Lead`].
    pub fn new(options: Options) -> Self {
        Self {
            options,
            now: Now::default(),
            epoch: None,
            epoch_needed: Epoch(1),
            pools: BTreeMap::new(),
            requests: BTreeMap::new(),
            queues: Queues::default(),
            namespaces: NamespaceLabels::new(),
            guarded: None,
            strangers: BTreeMap::new(),
            timers: Timers::default(),
            stats: Stats::default(),
            bucket: Bucket::default(),
            batches: 0,
            listing: None,
            tickets: 0,
            list_failures: 0,
            list_after: Tick(0),
            reads_in_flight: 0,
            reads_wanted: BTreeSet::new(),
            fence_bumps: BTreeSet::new(),
            list_wanted: BTreeSet::new(),
            fencing: BTreeSet::new(),
            nodes_asked: BTreeMap::new(),
            dirty_requests: BTreeSet::new(),
            dirty_pools: BTreeSet::new(),
            write_pools: BTreeSet::new(),
            effects: VecDeque::new(),
        }
    }

    /// Tells the ledger what happened. `now` never goes back; if it does, the earlier reading holds.
    pub fn handle(&mut self, now: Now, command: Command) {
        self.advance(now);
        match command {
            Command::PoolSeen(object) => {
                self.pool_seen(*object);
            }
            Command::PoolDeleted(object) => self.pool_deleted(*object),
            Command::PoolsListed {
                kind,
                scope,
                objects,
            } => {
                self.pools_listed(kind, scope.as_ref(), objects);
            }
            Command::RequestSeen(view) => self.request_seen(view),
            Command::RequestRelisted(view) => self.request_relisted(view),
            Command::RequestVanished(view) => self.request_vanished(view),
            Command::RequestsRelisted {
                kind,
                scope,
                present,
            } => {
                self.requests_relisted(kind, scope.as_ref(), &present);
            }
            Command::NamespaceSeen { name, labels } => self.namespace_seen(name, labels),
            Command::GuardsSeen { installed } => self.guards_seen(installed),
            Command::Lead { epoch } => self.lead(epoch),
            Command::StatusWritten {
                pool,
                batch,
                outcome,
            } => {
                self.status_written(&pool, &batch, outcome);
            }
            Command::PoolRead { pool, found } => self.pool_read(&pool, found),
            Command::RequestPatched {
                uid,
                patch,
                outcome,
            } => {
                self.request_patched(&uid, patch, outcome);
            }
            Command::RequestRead { uid, found } => self.request_read(&uid, found),
            Command::RequestsListed { ticket, listed } => self.requests_listed(ticket, listed),
            Command::NodeRead {
                node,
                out_of_service,
            } => self.node_read(&node, out_of_service),
            Command::ChildWritten { pool, outcome } => self.child_written(&pool, outcome),
            Command::ClaimDeleted { uid, outcome } => self.claim_deleted(&uid, outcome),
            Command::HolderPodRead { uid, found } => self.holder_pod_read(&uid, found),
            Command::Tick => {}
        }
        self.fire_timers();
    }

    /// The next thing to do, until `None`.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        if self.epoch.is_none() {
            self.follow();
        }
        if !self.leads() {
            return None;
        }
        loop {
            if let Some(effect) = self.effects.pop_front() {
                return Some(effect);
            }
            if let Some(uid) = self.dirty_requests.pop_first() {
                self.review(&uid);
            } else if !self.dirty_pools.is_empty() {
                let pools = std::mem::take(&mut self.dirty_pools);
                self.pass(&pools);
            } else if let Some(pool) = self.write_pools.pop_first() {
                self.tend(&pool);
            } else if !self.start_reads() && !self.start_listing() {
                return None;
            }
        }
    }

    /// When to come back if nothing happens before.
    pub fn poll_deadline(&self) -> Option<Tick> {
        self.epoch.and_then(|_| self.timers.next())
    }

    /// What was counted so far; the waits are handed over.
    pub fn take_stats(&mut self) -> Stats {
        let stats = self.stats.clone();
        self.stats.waits.clear();
        self.stats.holds.clear();
        stats
    }

    fn advance(&mut self, now: Now) {
        self.now.tick = self.now.tick.max(now.tick);
        self.now.server = self.now.server.max(now.server);
    }

    fn fire_timers(&mut self) {
        if self.epoch.is_none() {
            // They are set anew when it leads.
            while self.timers.pop_due(self.now.tick).is_some() {}
            return;
        }
        while let Some(timer) = self.timers.pop_due(self.now.tick) {
            match timer {
                Timer::Request(uid) => {
                    self.dirty_requests.insert(uid);
                }
                Timer::Pool(pool) => {
                    self.write_pools.insert(pool);
                }
                Timer::Level(pool) => {
                    self.dirty_pools.insert(pool);
                }
                Timer::Notice(uid) => self.notice(&uid),
                Timer::Summary => self.summarise(),
                Timer::Listing => {}
            }
        }
    }

    /// Looks at a pool again: who can go, and what is to be written.
    pub(super) fn touch(&mut self, pool: &PoolKey) {
        note(&mut self.dirty_pools, pool);
        note(&mut self.write_pools, pool);
    }

    /// Looks at everybody again who names a pool.
    pub(super) fn touch_namers(&mut self, pool: &PoolKey) {
        if let Some(pool) = self.pools.get(pool) {
            self.dirty_requests.extend(pool.named_by.iter().cloned());
        }
    }
}

/// Notes a key; most are noted already.
fn note(keys: &mut BTreeSet<PoolKey>, key: &PoolKey) {
    if !keys.contains(key) {
        keys.insert(key.clone());
    }
}
