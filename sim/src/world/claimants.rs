//! People who start processes with claims, delete claims, adopt them by their names, and what goes wrong with processes.

use sluice::api::claim::{ClaimIfMissing, ClaimKind, ClaimLock, ClaimSlots, SlotClaimSpec};
use sluice::api::status::LockMode;
use sluice::ledger::{Ask, Name, Span, Uid};

use super::processes::{Former, Holder, Stage};
use super::{SECOND, World, abroad, home};
use crate::server::Writer;

/// Processes that may be there at once.
const PROCESSES_MAX: usize = 14;
/// Claims that may be there at once.
const CLAIMS_MAX: usize = 40;

/// What a process asks for: slots with worker, and locks, exclusive or not.
type Request = (
    &'static [(&'static str, i32, &'static str)],
    &'static [(&'static str, bool)],
);

const REQUESTS: [Request; 18] = [
    (&[("gpu", 1, "")], &[]),
    (&[("gpu", 2, "")], &[]),
    (&[("db", 1, "")], &[]),
    (&[("db", 1, "")], &[]),
    (&[("gpu", 1, ""), ("db", 1, "")], &[]),
    (&[("net", 3, "")], &[]),
    (&[("net", 1, "")], &[]),
    (&[("db", 1, ""), ("net", 1, "")], &[]),
    (&[("fam", 1, "w1")], &[]),
    (&[("fam", 1, "w3"), ("gpu", 1, "")], &[]),
    (&[("proof", 1, "")], &[]),
    (&[("strict", 1, "")], &[]),
    (&[("other/wide", 1, "")], &[]),
    (&[], &[("deploy", true)]),
    (&[], &[("schema", false)]),
    (&[("db", 1, "")], &[("deploy", true), ("schema", false)]),
    (&[("api", 1, "")], &[]),
    (&[("trickle", 1, ""), ("gpu", 1, "")], &[]),
];

/// What is taken for a rate; the last of them never, for nothing of it comes back.
const RATES: [Request; 5] = [
    (&[("api", 1, "")], &[]),
    (&[("api", 2, "")], &[]),
    (&[("trickle", 1, "")], &[]),
    (&[("api", 1, ""), ("trickle", 2, "")], &[]),
    (&[("net", 1, "")], &[]),
];

/// Requests that can never be granted.
const POISON: [Request; 4] = [
    (&[("gpu", 99, "")], &[]),
    (&[("nobody-made-this", 1, "")], &[]),
    (&[("fam", 1, "")], &[]),
    (&[("GPU", 1, "")], &[]),
];

impl World {
    /// People who have to do with claims act.
    pub(super) fn claimants_act(&mut self) {
        match self.dice.roll(12) {
            0..=7 => self.create_claim(),
            8 => self.vanish(),
            9 | 10 => self.adopt(),
            _ => self.change_terms(),
        }
    }

    fn create_claim(&mut self) {
        let many = self.processes.all.len() >= PROCESSES_MAX;
        if many || self.server.claims().count() >= CLAIMS_MAX {
            return;
        }
        let number = self.holders.saturating_add(1);
        let spec = self.some_request();
        let namespace = if self.dice.one_in(10) {
            abroad()
        } else {
            home()
        };
        let name = format!("claim-{number}");
        self.begin_holder(namespace, name.as_str().into(), spec, None);
        self.reach("claim: a process asked");
    }

    /// Starts a process with dice of its own.
    fn begin_holder(
        &mut self,
        namespace: Name,
        name: Name,
        spec: SlotClaimSpec,
        adopts: Option<Former>,
    ) {
        let rate = if self.calm {
            1_000_000
        } else {
            self.dice.between(950_000, 1_050_000)
        };
        let clock = u128::from(self.now).saturating_mul(u128::from(rate)) / 1_000_000;
        let clock = u64::try_from(clock).unwrap_or(u64::MAX);
        let gives_up_at = self
            .dice
            .one_in(3)
            .then(|| clock.saturating_add(self.dice.between(SECOND, 40 * SECOND)));
        let works_for = self.dice.between(SECOND, 60 * SECOND);
        let is_stubborn = self.dice.one_in(2);
        let holder = Holder {
            namespace,
            name,
            session: spec.session.clone(),
            spec,
            rate,
            frozen_until: 0,
            cut_until: 0,
            is_stubborn,
            stage: Stage::Asking,
            adopts,
            seen: None,
            seq: 0,
            first_sent: None,
            renews_first: false,
            believes_from: 0,
            proven: None,
            renewed_at: None,
            is_renewing: false,
            is_busy: false,
            tries: 0,
            retry_after: 0,
            gives_up_at,
            works_for,
            works_until: 0,
        };
        self.start_holder(holder);
    }

    /// Starts a process at home that works for so long, and meets nothing.
    pub(crate) fn start_plain(&mut self, name: Name, spec: SlotClaimSpec, works_for: u64) {
        let number = self.holders.saturating_add(1);
        self.begin_holder(home(), name, spec, None);
        if let Some(holder) = self.processes.all.get_mut(&number) {
            holder.rate = 1_000_000;
            holder.gives_up_at = None;
            holder.works_for = works_for;
        }
    }

    fn some_request(&mut self) -> SlotClaimSpec {
        let takes = self.dice.one_in(5);
        let request = if takes {
            self.dice.pick(&RATES)
        } else if self.dice.one_in(15) {
            self.dice.pick(&POISON)
        } else {
            self.dice.pick(&REQUESTS)
        };
        let (slots, locks) = request.copied().unwrap_or_default();
        let seconds = |dice: &mut crate::dice::Dice, least: u64, most: u64| {
            i32::try_from(dice.between(least, most)).unwrap_or(i32::MAX)
        };
        let lease = (!self.dice.one_in(4) && !takes).then(|| seconds(&mut self.dice, 15, 30));
        let timeout = match self.dice.roll(6) {
            0 => Some(0),
            1 | 2 => Some(seconds(&mut self.dice, 2, 40)),
            _ => None,
        };
        let max_hold = (self.dice.one_in(6) && !takes).then(|| seconds(&mut self.dice, 3, 40));
        let if_missing = match self.dice.roll(4) {
            0 => ClaimIfMissing::Wait,
            1 => ClaimIfMissing::Ignore,
            _ => ClaimIfMissing::Deny,
        };
        let priority = i32::try_from(self.dice.roll(2)).ok().map(|it| -it);
        SlotClaimSpec {
            kind: if takes {
                ClaimKind::RateLimit
            } else {
                ClaimKind::Concurrency
            },
            holder: "a process".to_owned(),
            slots: slots
                .iter()
                .map(|(limit, slots, worker)| ClaimSlots {
                    limit: (*limit).to_owned(),
                    slots: *slots,
                    worker: (!worker.is_empty()).then(|| (*worker).to_owned()),
                })
                .collect(),
            locks: locks
                .iter()
                .map(|(lock, exclusive)| ClaimLock {
                    lock: (*lock).to_owned(),
                    mode: if *exclusive {
                        LockMode::Exclusive
                    } else {
                        LockMode::Shared
                    },
                })
                .collect(),
            priority,
            timeout_seconds: timeout,
            lease_duration_seconds: lease,
            max_hold_seconds: max_hold,
            if_missing,
            user: "somebody".to_owned(),
            session: format!("s-{}", self.holders.saturating_add(1)),
            ..SlotClaimSpec::default()
        }
    }

    fn some_claim(&mut self) -> Option<Uid> {
        let uids: Vec<Uid> = self
            .server
            .claims()
            .map(|it| it.claim.uid.clone())
            .collect();
        self.dice.pick(&uids).cloned()
    }

    /// `kubectl delete`.
    fn vanish(&mut self) {
        if let Some(uid) = self.some_claim() {
            self.server.remove_claim(Writer::Person, &uid);
            self.reach("people: deleted a claim");
        }
    }

    /// A process is started again under the name of a claim that is there, beside the former one or after its end.
    fn adopt(&mut self) {
        let Some(uid) = self.some_claim() else { return };
        let Some(seen) = self.server.claim(&uid).cloned() else {
            return;
        };
        if self.dice.one_in(2) {
            let former = self
                .processes
                .all
                .iter()
                .find(|(_, it)| it.session == seen.claim.spec.session)
                .map(|(number, _)| *number);
            if let Some(number) = former {
                self.kill_holder(number);
                self.reach("claim: a process died, and another one adopts");
            }
        }
        let session = format!("s-{}", self.holders.saturating_add(1));
        let former = Former {
            session: seen.claim.spec.session.clone(),
            is_dead: false,
        };
        let spec = SlotClaimSpec {
            session,
            ..seen.claim.spec.clone()
        };
        let (namespace, name) = (seen.claim.namespace.clone(), seen.claim.name.clone());
        self.begin_holder(namespace, name, spec, Some(former));
    }

    /// Who owns a limit changes what claims get that say nothing themselves: it is for later grants only.
    fn change_terms(&mut self) {
        let keys: Vec<_> = self.server.pools().map(|pool| pool.key.clone()).collect();
        let lease = self.dice.between(15, 40);
        let delay = self.dice.between(0, 8);
        if let Some(key) = self
            .dice
            .pick(&keys)
            .filter(|key| key.parent().is_none())
            .cloned()
        {
            self.server.edit_spec(Writer::Person, &key, |spec| {
                spec.lease = (lease < 36).then(|| Span::seconds(lease));
                spec.lock_delay = Span::seconds(delay);
            });
            self.reach("people: changed lease and lock delay of a limit");
        }
    }

    /// Something happens to a process that holds a claim, or wants to.
    pub(super) fn strike_holder(&mut self) {
        let numbers: Vec<usize> = self.processes.all.keys().copied().collect();
        let Some(number) = self.dice.pick(&numbers).copied() else {
            return;
        };
        let until = self
            .now
            .saturating_add(self.dice.between(SECOND, 60 * SECOND));
        let what = self.dice.roll(5);
        let Some(holder) = self.processes.all.get_mut(&number) else {
            return;
        };
        match what {
            0 => {
                self.kill_holder(number);
                self.fault("process: dies", || format!("process {number}"));
            }
            1 | 2 => {
                holder.frozen_until = until;
                self.fault("process: hangs", || {
                    format!("process {number} until {until} us")
                });
            }
            _ => {
                holder.cut_until = until;
                self.fault("process: cut off", || {
                    format!("process {number} until {until} us")
                });
            }
        }
    }

    /// Faults have stopped: processes go on, and whoever has nobody any more is deleted where it would wait for ever.
    pub(super) fn heal_holders(&mut self) {
        for holder in self.processes.all.values_mut() {
            holder.frozen_until = 0;
            holder.cut_until = 0;
            holder.retry_after = 0;
        }
        let waits = |uid: &Uid| {
            let seen = self.server.claim(uid)?;
            seen.view.gates.ours.map(|_| seen)
        };
        let forgotten: Vec<Uid> = self
            .server
            .claims()
            .filter_map(|seen| waits(&seen.claim.uid))
            .filter(|seen| seen.claim.spec.timeout_seconds.is_none() && !seen.claim.spec.release)
            .filter(|seen| {
                let session = &seen.claim.spec.session;
                !self.processes.all.values().any(|it| it.session == *session)
            })
            .map(|seen| seen.claim.uid.clone())
            .filter(|uid| !self.claim_can_be_granted(uid))
            .collect();
        for uid in forgotten {
            self.server.remove_claim(Writer::Person, &uid);
        }
    }

    /// Its claim has not come, or can be granted: it waits on.
    pub(super) fn can_wait_for_claim(&self, number: usize) -> bool {
        let uid = self.processes.get(number).and_then(Holder::uid);
        uid.is_none_or(|uid| self.claim_can_be_granted(uid))
    }

    /// Whether a claim asks for what is there.
    fn claim_can_be_granted(&self, uid: &Uid) -> bool {
        let Some(seen) = self.server.claim(uid) else {
            return false;
        };
        let Ask::Wants(wants) = &seen.view.ask else {
            return false;
        };
        self.checker.is_clean(uid)
            && seen.view.attempt != Some(sluice::ledger::Attempt::TimedOut)
            && self.demand_is_there(wants, &seen.claim.namespace, None)
    }

    /// Whatever of claims is not over, a line each.
    pub(super) fn open_claims(&self) -> Vec<String> {
        let processes = self
            .processes
            .all
            .iter()
            .map(|(number, it)| format!("{} of process {number}: {:?}", it.name, it.stage));
        let claims = self
            .server
            .claims()
            .filter(|seen| !seen.claim.status.phase.is_final())
            .map(|seen| format!("{} {:?}", seen.claim.name, seen.claim.status.phase));
        processes.chain(claims).collect()
    }

    /// Claims that are there still, a line each.
    pub(super) fn left_claims(&self) -> Vec<String> {
        let line = |seen: &std::sync::Arc<crate::server::SeenClaim>| {
            let claim = &seen.claim;
            format!("{} {} {:?}", claim.name, claim.uid, claim.status.phase)
        };
        self.server.claims().map(line).collect()
    }
}
