//! What counts as the end of a pod (docs/design.md 5.3), and who is to be counted.

use sluice::ledger::{Admits, PoolKey, PoolObject, ReleasePolicy, Uid};

use super::{Checker, is_revealed, record_of};
use crate::server::{Container, Seen};
use crate::world::nodes::Nodes;

/// A presumed end settles for at least this part of what the spec says: clocks differ by a twentieth each way.
const SETTLE_TOLERANCE_PERCENT: u64 = 90;

impl Checker {
    /// Why a lease of this holder may not go, if it may not.
    pub(super) fn must_stay(
        &self,
        key: &PoolKey,
        pool: &PoolObject,
        uid: &Uid,
        now: u64,
        nodes: &Nodes,
    ) -> Option<&'static str> {
        if self.excused.contains(uid) || self.released.contains(&(key.clone(), uid.clone())) {
            return None;
        }
        let policy = pool.spec.read().map(|spec| spec.release);
        let Some(seen) = self.pods.get(uid) else {
            return self.gone_too_early(policy, uid, now, nodes);
        };
        if !is_revealed(seen) {
            return None;
        }
        let proven = seen.pod.node.is_none()
            || (seen.pod.container == Container::Terminated && !seen.pod.collected);
        match (seen.pod.phase.is_terminal(), proven) {
            // The server binds no pod that is being deleted: this one will never run.
            (false, _) if seen.pod.deleting && seen.pod.node.is_none() => None,
            (false, _) => Some("it runs"),
            (true, true) => None,
            (true, false) => self.gone_too_early(policy, uid, now, nodes),
        }
    }

    fn gone_too_early(
        &self,
        policy: Option<ReleasePolicy>,
        uid: &Uid,
        now: u64,
        nodes: &Nodes,
    ) -> Option<&'static str> {
        if !self.revealed.contains(uid) {
            return None;
        }
        match policy {
            Some(ReleasePolicy::Presumed { settle }) => {
                let since = self.ended.get(uid).copied().unwrap_or(now);
                let least = settle.0.saturating_mul(10 * SETTLE_TOLERANCE_PERCENT);
                // One that left the watch by its label, before it had a node, and is gone when it is looked for: the
                // watch shows that exactly as it shows a deletion.
                let like_deleted = self.unlabelled.contains(uid);
                let settled =
                    now.saturating_sub(since) >= least || !nodes.runs(uid) || like_deleted;
                (!settled).then_some("its presumed end has not settled")
            }
            // Nothing runs any more where a node is off, was removed, or its kubelet has said so.
            Some(ReleasePolicy::Confirmed) => nodes.runs(uid).then_some("its containers run"),
            None => None,
        }
    }

    /// Everybody who runs and whose reveal names this pool is counted by it.
    pub(super) fn uncounted<'a>(
        &'a self,
        key: &'a PoolKey,
        pool: &'a PoolObject,
    ) -> Option<&'a Seen> {
        let status = pool.status.read()?;
        let spec = pool.spec.read()?;
        if !status.fenced || spec.mode == sluice::ledger::Mode::Disabled || spec.family.is_some() {
            return None;
        }
        self.pods
            .values()
            .map(std::convert::AsRef::as_ref)
            .find(|seen| {
                let named = record_of(seen)
                    .is_some_and(|record| record.leases.iter().any(|lease| lease.pool == *key));
                named
                    && is_revealed(seen)
                    && seen.pod.is_managed()
                    && !self.unlabelled.contains(&seen.pod.uid)
                    && !seen.pod.phase.is_terminal()
                    && !(seen.pod.deleting && seen.pod.node.is_none())
                    && !self.excused.contains(&seen.pod.uid)
                    && !pool.released.contains(&seen.pod.uid)
                    && !self.released.contains(&(key.clone(), seen.pod.uid.clone()))
                    && !status.entries().any(|lease| lease.uid == seen.pod.uid)
            })
    }

    /// The limit serves this pod's namespace, as far as its own spec says.
    pub(super) fn serves(pool: &PoolObject, namespace: &sluice::ledger::Name) -> bool {
        pool.spec
            .read()
            .is_none_or(|spec| spec.admits != Admits::Same || pool.key.namespace == *namespace)
    }
}
