//! The end of a simulation: faults stop, people put everything right and leave, and then whatever can be granted must be
//! granted, whatever runs must end, and nothing may be left of what has ended.

use sluice::api::names;
use sluice::ledger::{Amount, HolderKind, Mention, Name, PoolObject, ReleasePolicy, Uid, Wants};

use super::owners::furniture;
use super::{SECOND, World, nodes};
use crate::check::Violation;
use crate::server::Writer;

/// How long everything together may take, in true time.
const HEALED_WITHIN: u64 = 4 * 3600 * SECOND;
/// How often it is looked whether all is done.
const LOOK_EVERY: u64 = 5 * SECOND;
/// Time for presumed ends to settle, idle workers to go, audits to find what an event did not tell.
const QUIET: u64 = 700 * SECOND;

impl World {
    pub(super) fn heal(&mut self) -> Result<(), Violation> {
        self.calm = true;
        self.put_right();
        self.until(
            "every request that can be granted is granted, and ends",
            |world| world.waiting(),
        )?;
        self.until("every process ends, and every claim with it", |world| {
            world.open_claims()
        })?;
        self.pass(QUIET)?;
        self.until("no claim stays for ever", |world| world.left_claims())?;
        self.until("no lease stays for what has ended", |world| {
            world.left_over()
        })?;
        self.reach("healed");
        Ok(())
    }

    /// Runs until nothing is left of something.
    fn until(&mut self, what: &str, left: impl Fn(&Self) -> Vec<String>) -> Result<(), Violation> {
        let end = self.now.saturating_add(HEALED_WITHIN);
        loop {
            let left_now = left(self);
            if left_now.is_empty() {
                return Ok(());
            }
            if self.now > end {
                let about = left_now
                    .iter()
                    .filter_map(|line| line.split(' ').next().map(str::to_owned))
                    .collect();
                let what = format!(
                    "not so after {} s: {what}\n{}",
                    HEALED_WITHIN / SECOND,
                    left_now.join("\n")
                );
                return Err(Violation {
                    rule: "liveness",
                    what,
                    about,
                });
            }
            self.pass(LOOK_EVERY)?;
            self.clean_up();
            self.heal_holders();
            self.vouch_for_the_gone();
        }
    }

    /// Lets time go by.
    fn pass(&mut self, time: u64) -> Result<(), Violation> {
        let end = self.now.saturating_add(time);
        while self.now < end {
            self.step()?;
        }
        Ok(())
    }

    fn put_right(&mut self) {
        self.denied_pods.clear();
        self.denied_pools.clear();
        for number in 0..3 {
            self.server.set_node(&nodes::node_name(number), false);
        }
        for seat in &mut self.seats {
            seat.frozen_until = 0;
            seat.cut_until = 0;
            for watch in &mut seat.watches {
                watch.silent_until = 0;
                watch.skips_next = false;
            }
        }
        let labels = [("team".into(), "a".into())].into();
        self.server.set_namespace(&super::home(), labels);
        let foreign: Vec<_> = self
            .server
            .pools()
            .filter(|pool| pool.key.parent().is_some() && pool.owner.is_none())
            .map(|pool| pool.key.clone())
            .collect();
        for key in foreign {
            self.server.delete_pool(Writer::Person, &key);
        }
        for (key, fresh) in furniture() {
            if self
                .server
                .create_pool(Writer::Person, &key, fresh.clone(), None)
                .is_none()
            {
                self.server
                    .edit_spec(Writer::Person, &key, |spec| *spec = fresh);
            }
            self.server.set_aside(&key, None);
        }
        let uids: Vec<Uid> = self
            .server
            .pods()
            .map(|seen| seen.pod.uid.clone())
            .collect();
        for uid in uids {
            self.server
                .person_writes(&uid, |pod| pod.gates.retain(|gate| gate == names::GATE));
        }
    }

    /// Pods that have not ended, though they could have.
    fn waiting(&self) -> Vec<String> {
        self.server
            .pods()
            .filter(|seen| !seen.pod.phase.is_terminal() && self.can_be_granted(&seen.pod.uid))
            .map(|seen| {
                let pod = &seen.pod;
                format!(
                    "{} gates {:?} {:?} on {:?} {:?}",
                    pod.name, pod.gates, pod.phase, pod.node, pod.annotations
                )
            })
            .collect()
    }

    /// A request that is well-formed and asks for what is there.
    fn can_be_granted(&self, uid: &Uid) -> bool {
        let Some(seen) = self.server.pod(uid) else {
            return false;
        };
        if !seen.pod.is_gated() {
            return true;
        }
        let timed_out =
            seen.pod.annotations.get(names::ATTEMPT).map(String::as_str) == Some(names::TIMED_OUT);
        let sluice::ledger::Ask::Wants(wants) = &seen.view.ask else {
            return false;
        };
        if timed_out || seen.view.attempt.is_none() || !self.checker.is_clean(uid) {
            return false;
        }
        let worker = seen.pod.labels.get(names::WORKER).map(String::as_str);
        self.demand_is_there(wants, &seen.pod.namespace, worker)
    }

    /// Limits and locks that serve a namespace, and are large enough.
    pub(super) fn demand_is_there(
        &self,
        wants: &Wants,
        namespace: &Name,
        worker: Option<&str>,
    ) -> bool {
        let mut demand: std::collections::BTreeMap<_, u64> = std::collections::BTreeMap::new();
        for mention in wants.mentions.iter() {
            let spec = self
                .server
                .pool(&mention.pool)
                .and_then(|pool| pool.spec.read());
            let Some(spec) = spec else {
                // Workers' limits are made on demand.
                let family = mention
                    .pool
                    .parent()
                    .and_then(|(family, _)| self.server.pool(&family).cloned());
                if family.is_some() || wants.ignore_missing {
                    continue;
                }
                return false;
            };
            let takes = matches!(mention.amount, Amount::Rate(_));
            if spec.family.is_some() && worker.is_none() || takes && spec.decay.is_none() {
                return false;
            }
            let admitted = match &spec.admits {
                sluice::ledger::Admits::Same => mention.pool.namespace == *namespace,
                sluice::ledger::Admits::All => true,
                sluice::ledger::Admits::Selector(_) => {
                    mention.pool.namespace == *namespace
                        // Who serves listed namespaces has no right to read labels of namespaces.
                        || !self.plan.scoped && self
                            .server
                            .namespaces()
                            .get(namespace)
                            .is_some_and(|labels| !labels.is_empty())
                }
            };
            let other = |it: &&Mention| {
                it.pool == mention.pool && matches!(it.amount, Amount::Rate(_)) != takes
            };
            if wants.mentions.iter().any(|it| other(&it)) {
                return false;
            }
            let sum = demand.entry(mention.pool.clone()).or_insert(0);
            *sum = sum.saturating_add(mention.amount.units());
            let exceeds = spec.family.is_none()
                && *sum > spec.capacity
                && mention.pool.kind == sluice::ledger::PoolKind::Limit;
            if !admitted || exceeds {
                return false;
            }
        }
        true
    }

    /// Where proof is asked for and a pod went while nobody looked, or without its kubelet, an operator says that it ended.
    fn vouch_for_the_gone(&mut self) {
        let asks_for_proof = |pool: &PoolObject| {
            let policy = pool.spec.read().map(|spec| spec.release);
            policy == Some(ReleasePolicy::Confirmed)
        };
        let keys: Vec<_> = self
            .server
            .pools()
            .filter(|pool| asks_for_proof(pool))
            .map(|pool| pool.key.clone())
            .collect();
        for key in keys {
            let gone: Vec<Uid> = self
                .server
                .pool(&key)
                .and_then(|pool| pool.status.read().cloned())
                .iter()
                .flat_map(|status| status.entries())
                .filter(|lease| lease.kind == HolderKind::Pod || lease.linger.is_none())
                .map(|lease| lease.uid.clone())
                .filter(|uid| self.server.claim(uid).is_none())
                .filter(|uid| {
                    !self.nodes.runs(uid)
                        && self
                            .server
                            .pod(uid)
                            .is_none_or(|seen| seen.pod.phase.is_terminal())
                })
                .collect();
            let news = self
                .server
                .pool(&key)
                .is_some_and(|pool| gone.iter().any(|uid| !pool.released.contains(uid)));
            if news {
                self.server.touch_pool(&key, gone);
            }
        }
    }

    fn left_over(&self) -> Vec<String> {
        self.server
            .pools()
            .flat_map(|pool| {
                let leases: Vec<_> = pool
                    .status
                    .read()
                    .into_iter()
                    .flat_map(|status| status.entries())
                    .filter(|lease| {
                        self.server.claim(&lease.uid).is_none()
                            && self
                                .server
                                .pod(&lease.uid)
                                .is_none_or(|seen| seen.pod.phase.is_terminal())
                    })
                    .map(|lease| format!("{} {} of {}", lease.name, lease.uid, pool.key))
                    .collect();
                leases
            })
            .collect()
    }
}
