//! The judges: they read the server's log and the physical truth, and nothing of the controllers.
//!
//! Written against docs/design.md 5.2, not against the code; they share nothing with `src/ledger`, with its tests' checker or
//! with `sluice_testenv::history`. Each rule names the invariant it stands for.

mod claims;
mod evidence;
mod pools;
mod rates;
mod reveals;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use sluice::api::names;
use sluice::ledger::{PoolKey, PoolObject, Uid};

use self::claims::{Life, Room};
use self::rates::Bucket;
use crate::server::{Change, Entry, Rules, Seen, SeenClaim, Server, Setup, Writer};
use crate::world::Counts;
use crate::world::nodes::Nodes;
use crate::world::processes::Processes;

/// Something that must never be.
#[derive(Clone, Debug)]
pub struct Violation {
    /// Which rule.
    pub rule: &'static str,
    /// What was found.
    pub what: String,
    /// Names whose story explains it.
    pub about: Vec<String>,
}

/// What is so, whatever the server's objects say.
#[derive(Clone, Copy)]
struct Truth<'a> {
    /// Which containers run.
    nodes: &'a Nodes,
    /// Which processes believe to hold.
    processes: &'a Processes,
}

/// Judges a log from its beginning.
#[derive(Debug)]
pub struct Checker {
    setup: Setup,
    read: usize,
    refusals_read: usize,
    pools: BTreeMap<PoolKey, Arc<PoolObject>>,
    pods: BTreeMap<Uid, Arc<Seen>>,
    /// Pods that are gone, as they were last.
    gone: BTreeMap<Uid, Arc<Seen>>,
    /// Greatest token ever given for a key, over all incarnations.
    tokens: BTreeMap<PoolKey, u64>,
    /// The server's clock at the last restore.
    restored_at: u64,
    /// When a pod was first seen ended or gone, in microseconds of true time.
    ended: BTreeMap<Uid, u64>,
    /// Whoever was ever revealed.
    revealed: BTreeSet<Uid>,
    /// When they were, in microseconds of true time.
    revealed_at: BTreeMap<Uid, u64>,
    /// Pods whose annotations people forged, and those that a restored past concerns: the invariants about them depended
    /// on nobody doing that.
    excused: BTreeSet<Uid>,
    /// Whoever has lost our label for a while: a limit that is fenced meanwhile hears of it later, from the sweep.
    unlabelled: BTreeSet<Uid>,
    /// Released by an operator's word, from which pool.
    released: BTreeSet<(PoolKey, Uid)>,
    /// Limits and locks that were there once and went.
    deleted: BTreeSet<PoolKey>,
    /// Who wrote the lease of a request last.
    lease_writers: BTreeMap<Uid, Writer>,
    claim_refusals_read: usize,
    claims: BTreeMap<Uid, Arc<SeenClaim>>,
    /// Claims that are gone, as they were last.
    gone_claims: BTreeMap<Uid, Arc<SeenClaim>>,
    /// When things happened to claims.
    lives: BTreeMap<Uid, Life>,
    /// How much room each limit and lock had, and since when.
    rooms: BTreeMap<PoolKey, Vec<(u64, Option<Room>)>>,
    /// What was used of limits with decay and has not come back.
    buckets: BTreeMap<PoolKey, Bucket>,
}

impl Checker {
    /// A judge of an empty log.
    pub fn new(setup: Setup) -> Self {
        Self {
            setup,
            read: 0,
            refusals_read: 0,
            pools: BTreeMap::new(),
            pods: BTreeMap::new(),
            gone: BTreeMap::new(),
            tokens: BTreeMap::new(),
            restored_at: 0,
            ended: BTreeMap::new(),
            revealed: BTreeSet::new(),
            revealed_at: BTreeMap::new(),
            excused: BTreeSet::new(),
            unlabelled: BTreeSet::new(),
            released: BTreeSet::new(),
            deleted: BTreeSet::new(),
            lease_writers: BTreeMap::new(),
            claim_refusals_read: 0,
            claims: BTreeMap::new(),
            gone_claims: BTreeMap::new(),
            lives: BTreeMap::new(),
            rooms: BTreeMap::new(),
            buckets: BTreeMap::new(),
        }
    }

    /// Somebody forged what only controllers may write on this pod.
    pub fn excuse(&mut self, uid: &Uid) {
        self.excused.insert(uid.clone());
    }

    /// Nobody forged anything about it.
    pub fn is_clean(&self, uid: &Uid) -> bool {
        !self.excused.contains(uid)
    }

    /// Judges what is new.
    pub fn judge(
        &mut self,
        server: &Server,
        nodes: &Nodes,
        processes: &Processes,
        counts: &mut Counts,
    ) -> Result<(), Violation> {
        while let Some(refusal) = server.claim_refusals.get(self.claim_refusals_read) {
            self.claim_refusals_read = self.claim_refusals_read.saturating_add(1);
            *counts
                .entry("rule: refused a write of a claim")
                .or_default() += 1;
            let controller = matches!(refusal.by, Writer::Controller(_));
            if controller && refusal.rule.is_about_bugs() {
                let what = format!("{:?} wrote {}", refusal.by, refusal.what);
                return Err(Violation {
                    rule: "refused by a rule",
                    what,
                    about: Vec::new(),
                });
            }
        }
        while let Some(refusal) = server.refusals.get(self.refusals_read) {
            self.refusals_read = self.refusals_read.saturating_add(1);
            *counts.entry("rule: refused a write").or_default() += 1;
            if refusal.rule.is_about_bugs() && self.setup.rules != Rules::None {
                let what = format!(
                    "{:?} wrote what rule {:?} refuses on {}: {}",
                    refusal.by, refusal.rule, refusal.key, refusal.what
                );
                return Err(Violation {
                    rule: "refused by a rule",
                    what,
                    about: vec![refusal.key.to_string()],
                });
            }
        }
        while let Some(entry) = server.log.get(self.read) {
            self.read = self.read.saturating_add(1);
            self.entry(server, nodes, processes, entry, counts)?;
        }
        Ok(())
    }

    fn entry(
        &mut self,
        server: &Server,
        nodes: &Nodes,
        processes: &Processes,
        entry: &Entry,
        counts: &mut Counts,
    ) -> Result<(), Violation> {
        match &entry.change {
            Change::Pool { key, before, now } => {
                let truth = Truth { nodes, processes };
                self.note_room(key, now.as_deref(), entry.at);
                self.note_decay(key, now.as_deref(), entry.at);
                self.pool(key, before.as_deref(), now.as_ref(), entry, truth, counts)
            }
            Change::Pod { before, now } => {
                let truth = Truth { nodes, processes };
                self.pod(before.as_deref(), now.as_ref(), entry, truth, counts)
            }
            Change::Claim { before, now } => self.claim(
                before.as_deref(),
                now.as_ref(),
                entry,
                server,
                Truth { nodes, processes },
                counts,
            ),
            Change::Namespace(_) | Change::Lease(_) => Ok(()),
            Change::Restored => {
                self.restored(server);
                Ok(())
            }
        }
    }

    /// Everything is as it was once: what is known of objects is taken anew, what is known of tokens stays.
    fn restored(&mut self, server: &Server) {
        self.pools = server
            .pools()
            .map(|pool| (pool.key.clone(), Arc::clone(pool)))
            .collect();
        self.restored_at = server.clock().0;
        // What was used since is used again: nobody knows of it any more.
        self.buckets.clear();
        self.excused.extend(self.pods.keys().cloned());
        self.pods = server
            .pods()
            .map(|seen| (seen.pod.uid.clone(), Arc::clone(seen)))
            .collect();
        self.excused.extend(self.pods.keys().cloned());
        self.excused.extend(self.claims.keys().cloned());
        // Of those that had vanished before nobody knows who has started since, once no lease names them.
        self.excused.extend(self.gone_claims.keys().cloned());
        self.claims = server
            .claims()
            .map(|seen| (seen.claim.uid.clone(), Arc::clone(seen)))
            .collect();
        self.excused.extend(self.claims.keys().cloned());
        let pools = self.pools.clone();
        let keys: BTreeSet<PoolKey> = self.rooms.keys().chain(pools.keys()).cloned().collect();
        for key in keys {
            self.note_room(&key, pools.get(&key).map(AsRef::as_ref), server.now);
            self.note_decay(&key, pools.get(&key).map(AsRef::as_ref), server.now);
        }
    }
}

/// A lease that the record of a reveal names.
pub(crate) fn record_of(seen: &Seen) -> Option<&sluice::ledger::Granted> {
    seen.view.granted.as_ref()
}

/// Its annotations are the controller's own work, and it has no gate of ours.
pub(crate) fn is_revealed(seen: &Seen) -> bool {
    !seen.pod.is_gated() && (seen.pod.asks() || seen.pod.annotations.contains_key(names::GRANTED))
}
