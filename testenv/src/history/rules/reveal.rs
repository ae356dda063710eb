//! Invariant 3: a pod is revealed, and a claim Granted, only when every lease of its request, of its present attempt
//! and content, is durable.
//!
//! A reveal that was sent in time may land late: after its limit was deleted, or re-created and not yet fenced, or was
//! changed from Disabled and not yet fenced. The fence is what kills such reveals, so until it is over they are right,
//! and from then on they are wrong.

use std::collections::BTreeMap;

use super::Rule;
use crate::history::assumptions::Assumptions;
use crate::history::checker::Report;
use crate::history::claim::{Claim, Phase};
use crate::history::pod::Pod;
use crate::history::pool::{Mode, Pool, Status};
use crate::history::recorder::Scope;
use crate::history::request::{Attempt, Record, RecordedLease};
use crate::history::resolve::{Want, claim_wants, rates, wants};
use crate::history::version::ObjectRef;
use crate::history::violation::Invariant;
use crate::history::world::{Change, ClaimChange, PodChange, World};

/// Judges every removal of the gate.
pub(super) struct Reveal {
    scope: Scope,
    assumptions: Assumptions,
}

impl Reveal {
    pub(super) fn new(scope: &Scope, assumptions: &Assumptions) -> Self {
        Self {
            scope: scope.clone(),
            assumptions: assumptions.clone(),
        }
    }

    /// What is wrong with this reveal.
    fn faults(&self, world: &World, told: &Told<'_>) -> Vec<String> {
        let record = match told.record {
            None => return vec!["its gate was removed without a record of a grant".into()],
            Some(Err(why)) => {
                return vec![format!("it was revealed with a record that is none: {why}")];
            }
            Some(Ok(record)) => record,
        };
        let mut faults = Vec::new();
        if told.attempt != Some(record.attempt) || record.attempt == Attempt::TimedOut {
            faults.push(format!(
                "its record is of {}, and that is not its attempt",
                record.attempt
            ));
        }
        for lease in &record.leases {
            faults.extend(self.undurable(world, told.uid, record, lease));
        }
        match &told.rates {
            Ok(rates) => faults.extend(untaken(world, told, record, rates)),
            Err(why) => faults.push(format!("it was revealed although {why}")),
        }
        match &told.wants {
            Ok(wants) => faults.extend(uncovered(world, told, record, wants)),
            Err(why) => faults.push(format!("it was revealed although {why}")),
        }
        faults
    }

    /// What is wrong with one lease of the record.
    fn undurable(
        &self,
        world: &World,
        uid: &str,
        record: &Record,
        lease: &RecordedLease,
    ) -> Option<String> {
        let place = &lease.pool;
        if !self.scope.covers(&place.namespace) {
            let namespace = &place.namespace;
            return Some(format!(
                "it names {place}, but this history does not cover namespace {namespace}: record it as well"
            ));
        }
        let Some(incarnation) = world.incarnation(place, &lease.pool_uid) else {
            return Some(format!(
                "it names {place} with uid {:?}, which never existed",
                lease.pool_uid
            ));
        };
        let status = &incarnation.last.status;
        if has_lease(status, uid, record, lease) {
            let overtaken =
                incarnation.deleted && world.pool(place).is_some_and(|it| it.status.fenced);
            return overtaken.then(|| {
                format!("its lease was on a former {place}, and the present one had fenced it off")
            });
        }
        // Its lease was there and went with the fence's beginning, which the fence's end makes up for.
        let held = incarnation
            .held
            .get(uid)
            .is_some_and(|held| held.entry.token == lease.token);
        // Let through uncounted while it was Disabled: right until the fence that follows is over.
        let was_open = lease.token == 0 && status.open && !status.fenced;
        let beginning = incarnation.last.is_open() || was_open || (!status.fenced && held);
        (!beginning).then(|| {
            let RecordedLease { amount, token, .. } = lease;
            let attempt = record.attempt;
            format!("it was revealed with {amount} of {place}, token {token}, {attempt}: no lease says so")
        })
    }
}

impl Rule for Reveal {
    fn judge(&mut self, world: &World, change: &Change, report: &mut Report<'_>) {
        let (place, told) = match change {
            Change::Pod(change) => {
                let told = revealed(change).map(|pod| Told::pod(world, pod));
                let told = told.filter(|_| !self.assumptions.opens_gates(report.revision));
                (&change.place, told)
            }
            Change::Claim(change) => (
                &change.place,
                granted(change).map(|claim| Told::claim(world, claim)),
            ),
            Change::Pool(_) | Change::Node => return,
        };
        for fault in told.iter().flat_map(|told| self.faults(world, told)) {
            report.add(Invariant::Reveal, place, fault);
        }
    }
}

/// Who was told that it holds, and what.
struct Told<'a> {
    uid: &'a str,
    attempt: Option<Attempt>,
    record: Option<&'a Result<Record, String>>,
    wants: Result<BTreeMap<ObjectRef, Want>, String>,
    /// What a pod takes for a rate: its record is of what it holds.
    rates: Result<BTreeMap<ObjectRef, Want>, String>,
    ignores_missing: bool,
}

impl<'a> Told<'a> {
    fn pod(world: &World, pod: &'a Pod) -> Self {
        Self {
            uid: &pod.uid,
            attempt: pod.attempt,
            record: pod.record.as_ref(),
            wants: wants(world, pod),
            rates: rates(world, pod),
            ignores_missing: pod.ignores_missing,
        }
    }

    fn claim(world: &World, claim: &'a Claim) -> Self {
        Self {
            uid: &claim.uid,
            attempt: claim.attempt,
            record: claim.record.as_ref(),
            wants: claim_wants(world, claim),
            rates: Ok(BTreeMap::new()),
            ignores_missing: claim.ignores_missing,
        }
    }
}

/// The claim that this write granted, or that was created as if it had been.
fn granted(change: &ClaimChange) -> Option<&Claim> {
    let is_granted = |claim: &Claim| claim.phase == Phase::Granted;
    let new = change.new.as_deref().filter(|it| is_granted(it))?;
    let before = change.old.as_deref().is_some_and(is_granted);
    (!before).then_some(new)
}

/// The pod whose gate this write removed, or that was created as if it had been.
fn revealed(change: &PodChange) -> Option<&Pod> {
    let new = change.new.as_deref()?;
    let opened = match &change.old {
        Some(old) => old.gated && !new.gated,
        None => !new.gated && new.granted.is_some(),
    };
    opened.then_some(new)
}

fn has_lease(status: &Status, uid: &str, record: &Record, lease: &RecordedLease) -> bool {
    status.leases.iter().any(|entry| {
        entry.uid == uid
            && entry.attempt == record.attempt
            && entry.token == lease.token
            && entry.amount == lease.amount
    })
}

/// What the request names and the record does not, or otherwise.
fn uncovered(
    world: &World,
    told: &Told<'_>,
    record: &Record,
    wants: &BTreeMap<ObjectRef, Want>,
) -> Vec<String> {
    let mut faults = Vec::new();
    for (place, want) in wants {
        match record.lease_on(place) {
            Some(lease) if lease.amount == want.amount => {}
            Some(lease) => {
                faults.push(format!(
                    "it asks for {} of {place} and was given {}",
                    want.amount, lease.amount
                ));
            }
            None if may_be_absent(world, told.ignores_missing, place) => {}
            None => faults.push(format!(
                "it asks for {} of {place}, and its record has no lease there",
                want.amount
            )),
        }
    }
    let mut named: Vec<_> = record.leases.iter().map(|lease| &lease.pool).collect();
    named.sort_unstable();
    for pair in named.windows(2).filter(|pair| pair.first() == pair.last()) {
        faults.extend(
            pair.first()
                .map(|place| format!("its record names {place} twice")),
        );
    }
    let strange = record
        .leases
        .iter()
        .filter(|lease| !wants.contains_key(&lease.pool));
    faults.extend(
        strange.map(|lease| format!("its record names {}, which it never asked for", lease.pool)),
    );
    faults
}

/// What a pod asks for a rate and no entry says that it took.
fn untaken(
    world: &World,
    told: &Told<'_>,
    record: &Record,
    rates: &BTreeMap<ObjectRef, Want>,
) -> Vec<String> {
    let taken = |place: &ObjectRef, want: &Want| {
        let pool = world.pool(place);
        pool.and_then(|pool| pool.status.entry(told.uid))
            .is_some_and(|it| it.rate && it.attempt == record.attempt && it.amount == want.amount)
    };
    let faults = rates
        .iter()
        .filter(|(place, want)| !taken(place, want))
        .filter(|(place, _)| !may_be_absent(world, told.ignores_missing, place));
    faults
        .map(|(place, want)| {
            let amount = want.amount;
            format!("it takes {amount} of {place} for a rate, and no entry says so")
        })
        .collect()
}

/// Whether a request may be revealed without a lease here: a limit that is missing and to be ignored, or one that
/// never blocks. Either may have been true a moment ago, until the fence.
fn may_be_absent(world: &World, ignores_missing: bool, place: &ObjectRef) -> bool {
    let former_was_open = || {
        let at = world.places.get(place)?;
        Some(at.incarnations.get(at.former.as_ref()?)?.last.status.open)
    };
    match world.pool(place) {
        Some(pool) if pool.is_open() => true,
        Some(pool) => {
            !pool.status.fenced && was_open_or_ignored(pool, ignores_missing, former_was_open())
        }
        None => ignores_missing || former_was_open() == Some(true),
    }
}

fn was_open_or_ignored(pool: &Pool, ignores_missing: bool, former_was_open: Option<bool>) -> bool {
    let open = pool.mode != Mode::Disabled && pool.status.open;
    open || ignores_missing || former_was_open == Some(true)
}
