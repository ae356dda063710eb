//! Rules about every version of a pod, and the physical oracle.

use std::sync::Arc;

use sluice::api::names;
use sluice::ledger::{
    Ask, Granted, GrantedLease, Mode, Name, PoolKey, PoolStatus, ReleasePolicy, Token, Uid,
};

use super::rates::is_take;
use super::{Checker, Truth, Violation, is_revealed, record_of};
use crate::server::{Entry, Seen, Writer};
use crate::world::Counts;

/// Who asks, and for what.
pub(super) struct Asked<'a> {
    pub(super) uid: &'a Uid,
    pub(super) namespace: &'a Name,
    pub(super) ask: &'a Ask,
    /// Value of its worker label.
    pub(super) worker: Option<&'a str>,
    /// A fence may not have seen it.
    pub(super) hidden: bool,
}

impl Checker {
    pub(super) fn pod(
        &mut self,
        before: Option<&Seen>,
        now: Option<&Arc<Seen>>,
        entry: &Entry,
        truth: Truth<'_>,
        counts: &mut Counts,
    ) -> Result<(), Violation> {
        let Some(now) = now else {
            if let Some(before) = before {
                if let Some(last) = self.pods.remove(&before.pod.uid) {
                    self.gone.insert(before.pod.uid.clone(), last);
                }
                self.ended.entry(before.pod.uid.clone()).or_insert(entry.at);
            }
            return Ok(());
        };
        let uid = now.pod.uid.clone();
        self.pods.insert(uid.clone(), Arc::clone(now));
        if now.pod.phase.is_terminal() {
            self.ended.entry(uid.clone()).or_insert(entry.at);
        }
        let by_hand = entry.by == Writer::Person;
        if is_revealed(now) && self.revealed.insert(uid.clone()) {
            self.revealed_at.insert(uid.clone(), entry.at);
        }
        let Some(before) = before else {
            return Ok(());
        };
        if before.pod.is_managed() && !now.pod.is_managed() {
            self.unlabelled.insert(uid.clone());
        }
        if by_hand {
            return Ok(());
        }
        let raised =
            before.pod.annotations.get(names::ATTEMPT) != now.pod.annotations.get(names::ATTEMPT);
        if raised {
            *counts.entry("pod: attempt raised").or_default() += 1;
            self.attempt_grows(before, now)?;
        }
        let fails = !before.pod.phase.is_terminal() && now.pod.phase.is_terminal();
        let controller = matches!(entry.by, Writer::Controller(_));
        if fails && controller && before.view.attempt != Some(sluice::ledger::Attempt::TimedOut) {
            let name = now.pod.name.to_string();
            let what = format!(
                "{name} is failed while its attempt {:?} stands",
                before.view.attempt
            );
            return Err(Violation {
                rule: "abort: failed before the attempt is raised",
                what,
                about: vec![name],
            });
        }
        if before.pod.is_gated() && !now.pod.is_gated() {
            *counts.entry("pod: revealed").or_default() += 1;
            if self
                .lease_writers
                .get(&uid)
                .is_some_and(|writer| *writer != entry.by)
            {
                *counts
                    .entry("recovery: revealed what another controller had begun")
                    .or_default() += 1;
            }
            // A reveal may come after the end of who was never bound: nothing of it will ever run.
            let over = before.pod.phase.is_terminal() && before.pod.node.is_none();
            return if over {
                Ok(())
            } else {
                self.reveal(before, now, truth, entry.at)
            };
        }
        Ok(())
    }

    /// An attempt never goes back, and a pod without our gate keeps its own.
    fn attempt_grows(&self, before: &Seen, now: &Seen) -> Result<(), Violation> {
        let name = now.pod.name.to_string();
        let grows = before.view.attempt.is_none() || now.view.attempt > before.view.attempt;
        if (!grows || !before.pod.is_gated()) && self.is_clean(&now.pod.uid) {
            let what = format!(
                "{name}: from {:?} to {:?}, gated {}",
                before.view.attempt,
                now.view.attempt,
                before.pod.is_gated()
            );
            return Err(Violation {
                rule: "attempt",
                what,
                about: vec![name],
            });
        }
        Ok(())
    }

    fn reveal(
        &self,
        before: &Seen,
        now: &Seen,
        truth: Truth<'_>,
        at: u64,
    ) -> Result<(), Violation> {
        let name = now.pod.name.to_string();
        let uid = &now.pod.uid;
        if self.excused.contains(uid) {
            return Ok(());
        }
        let wrong = |rule: &'static str, what: String| {
            let about = vec![name.clone()];
            Err(Violation { rule, what, about })
        };
        let Some(record) = record_of(now) else {
            return wrong("3: a reveal without a record", name.clone());
        };
        if before.view.attempt != Some(record.attempt) {
            return wrong(
                "10: a reveal of another attempt",
                format!("{name}: {record:?}"),
            );
        }
        if !now.pod.gates.is_empty() || before.pod.gates.len() > 1 {
            return wrong("3: our gate was not the last", name.clone());
        }
        let asked = Asked {
            uid: &before.pod.uid,
            namespace: &before.pod.namespace,
            ask: &before.view.ask,
            worker: before.pod.labels.get(names::WORKER).map(String::as_str),
            // Without guards a pod may lose our label for a while: a fence that lists meanwhile does not see it, and a
            // reveal that was decided before slips through (docs/design.md, section 9, 28).
            hidden: !self.setup.guards && self.unlabelled.contains(&before.pod.uid),
        };
        if let Some(missing) = self.missing(&asked, record) {
            return wrong(
                "3: revealed without a lease",
                format!("{name} without {missing}"),
            );
        }
        for lease in record.leases.iter() {
            self.told_token(&name, &now.pod.uid, lease)?;
            self.physical(lease, &name, truth, at)?;
        }
        Ok(())
    }

    /// What the request asks for and no durable status backs.
    pub(super) fn missing(&self, asked: &Asked<'_>, record: &Granted) -> Option<PoolKey> {
        let Ask::Wants(wants) = asked.ask else {
            return Some(PoolKey::new(
                sluice::ledger::PoolKind::Limit,
                asked.namespace.clone(),
                "nothing that can be understood".into(),
            ));
        };
        let worker = asked.worker;
        wants.mentions.iter().find_map(|mention| {
            let family = self
                .pools
                .get(&mention.pool)
                .and_then(|pool| pool.spec.read()?.family.as_ref());
            let place = match (family, worker) {
                (Some(_), Some(worker)) => mention.pool.child(&worker.into()),
                _ => mention.pool.clone(),
            };
            if family.is_some() && worker.is_none() {
                // Who has no worker waits, unless the family was absent and to be ignored when it was decided.
                let ignored = wants.ignore_missing && self.deleted.contains(&place);
                return (!ignored).then_some(place);
            }
            let pool = self.pools.get(&place);
            // One of a former family is no derived limit of this one: it is on its way out.
            let uid = self.pools.get(&mention.pool).map(|pool| &pool.uid);
            let stale = place != mention.pool
                && pool.is_some_and(|pool| pool.owner.as_ref().map(|owner| &owner.uid) != uid);
            let status = pool.and_then(|pool| pool.status.read());
            let counted = status.is_some_and(|status| {
                status
                    .entries()
                    .any(|it| it.uid == *asked.uid && it.attempt == record.attempt)
            });
            let disabled = pool
                .and_then(|pool| pool.spec.read())
                .is_some_and(|spec| spec.mode == Mode::Disabled);
            let open = disabled && status.is_some_and(|status| status.open);
            // What came, went or was opened after the decision fences before it grants.
            let unfenced = status.is_some_and(|status| !status.fenced);
            let went = pool.is_none() && (wants.ignore_missing || self.deleted.contains(&place));
            (!(counted || open || unfenced || went || stale || asked.hidden)).then_some(place)
        })
    }

    /// The token a holder is told is that of its lease.
    pub(super) fn told_token(
        &self,
        name: &str,
        uid: &Uid,
        lease: &sluice::ledger::GrantedLease,
    ) -> Result<(), Violation> {
        let pool = self
            .pools
            .get(&lease.pool)
            .filter(|pool| pool.uid == lease.pool_uid);
        let entry = pool
            .and_then(|pool| pool.status.read())
            .and_then(|status| status.entries().find(|it| it.uid == *uid).cloned());
        match entry {
            Some(entry) if entry.token != lease.token && lease.token != Token(0) => {
                let what = format!(
                    "{name} is told {} for {}, its lease has {}",
                    lease.token.0, lease.pool, entry.token.0
                );
                Err(Violation {
                    rule: "10: another token than the lease's",
                    what,
                    about: vec![name.to_owned()],
                })
            }
            _ => Ok(()),
        }
    }

    /// What really runs under a key, if the present incarnation governs all of it, fits.
    pub(super) fn physical(
        &self,
        newcomer: &GrantedLease,
        name: &str,
        truth: Truth<'_>,
        at: u64,
    ) -> Result<(), Violation> {
        let key = &newcomer.pool;
        if is_take(newcomer.amount) {
            return Ok(());
        }
        let Some(pool) = self.pools.get(key) else {
            return Ok(());
        };
        let (Some(spec), Some(status)) = (pool.spec.read(), pool.status.read()) else {
            return Ok(());
        };
        let lease_of = |seen: &Seen| {
            let record = record_of(seen)?;
            record
                .leases
                .iter()
                .find(|it| it.pool == *key)
                .map(|it| it.amount.units())
        };
        let governed =
            newcomer.pool_uid == pool.uid && status.fenced && spec.mode != Mode::Disabled;
        if !governed {
            return Ok(());
        }
        let proof = spec.release == ReleasePolicy::Confirmed;
        let running: u64 = self
            .pods
            .values()
            .filter(|seen| {
                let runs = proof && truth.nodes.runs(&seen.pod.uid);
                // The server binds nobody any more whose deletion was asked for.
                let never = seen.pod.deleting && seen.pod.node.is_none();
                is_revealed(seen) && !never && (runs || !seen.pod.phase.is_terminal())
            })
            .filter(|seen| !self.excused.contains(&seen.pod.uid))
            .filter(|seen| {
                let counted = status.entries().any(|it| it.uid == seen.pod.uid);
                counted || !self.unlabelled.contains(&seen.pod.uid)
            })
            .filter(|seen| !self.released.contains(&(key.clone(), seen.pod.uid.clone())))
            .filter_map(|seen| lease_of(seen))
            .sum();
        let running = running.saturating_add(self.claimed(key, truth.processes, at));
        if running > spec.capacity && running > PoolStatus::units(status) {
            let what = format!("{key} runs {running} of {} with {name}", spec.capacity);
            return Err(Violation {
                rule: "physical: more run than may",
                what,
                about: vec![name.to_owned(), key.to_string()],
            });
        }
        Ok(())
    }
}
