//! Answers for people: how many, who holds, who waits, why. Reads everything, changes nothing.

use super::book::Ledger;
use super::bounds::AHEAD_COUNTED_MAX;
use super::cause::Cause;
use super::ids::{Amount, Attempt, PoolKey, PoolKind, Uid, Units};
use super::object::Lease;
use super::pool::Pool;
use super::request::{Phase, Place};
use super::time::Span;

/// Most holders named in one sentence.
const HOLDERS_NAMED_MAX: usize = 3;

/// How far a request has come, for tests and diagnostics.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum RequestState {
    /// It waits, for this cause if one is known.
    Waiting(Option<Cause>),
    /// Its leases are being written, or its gate is being removed.
    Granting,
    /// Its attempt is being raised.
    Aborting,
    /// Its gate is gone.
    Held,
}

/// A pool in numbers, for metrics.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PoolSummary {
    /// Which.
    pub key: PoolKey,
    /// Room, in units.
    pub capacity: Units,
    /// Units held, durably.
    pub in_use: Units,
    /// Requests that wait.
    pub waiting: usize,
    /// It grants.
    pub fenced: bool,
    /// It grants nothing until somebody puts it right, or ends what was begun by hand.
    pub quarantined: bool,
}

impl Ledger {
    /// All pools that exist, in order.
    pub fn pools(&self) -> impl Iterator<Item = PoolSummary> + '_ {
        self.pools.iter().filter_map(|(key, pool)| {
            let status = pool.status();
            pool.seen.as_ref()?;
            Some(PoolSummary {
                key: key.clone(),
                capacity: pool.spec().map_or(0, |spec| spec.capacity),
                in_use: status.map_or(0, |status| status.held()),
                waiting: self.queues.waiting(key),
                fenced: status.is_some_and(|status| status.fenced),
                quarantined: pool.quarantine().is_some(),
            })
        })
    }

    /// How far a request has come; `None` when it is not followed.
    pub fn request_state(&self, uid: &Uid) -> Option<RequestState> {
        let request = self.requests.get(uid)?;
        Some(match &request.phase {
            Phase::Waiting => RequestState::Waiting(self.cause_of(uid)),
            Phase::Taking(_) | Phase::Revealing(..) => RequestState::Granting,
            Phase::Aborting(_) => RequestState::Aborting,
            Phase::Held => RequestState::Held,
        })
    }

    /// Requests that are followed.
    pub fn requests_len(&self) -> usize {
        self.requests.len()
    }

    /// Why a request waits, in a sentence with the numbers of the moment. Holders are named only to
    /// those of their own namespace.
    pub(super) fn explain(&self, uid: &Uid, cause: &Cause) -> String {
        let mut text = format!("waiting: {}", cause.sentence());
        let (Cause::NoRoom(key) | Cause::Reserved(key)) = cause else {
            return text;
        };
        let Some(request) = self.requests.get(uid) else {
            return text;
        };
        let Some(pool) = self.pools.get(key) else {
            return text;
        };
        match key.kind {
            PoolKind::Limit => {
                let capacity = pool.spec().map_or(0, |spec| spec.capacity);
                let held = pool.status().map_or(0, |status| status.units());
                match (pool.decay(), cause) {
                    (None, _) => text.push_str(&format!("; {held} of {capacity} slots are held")),
                    (Some(decay), cause) => {
                        let used = held.saturating_add(pool.used_up(self.now.tick));
                        if matches!(cause, Cause::NoRoom(_)) {
                            let asked = self.asked_of(request, key);
                            text.push_str(&format!(" for {asked} more: "));
                        } else {
                            text.push_str("; ");
                        }
                        let (slots, every) = (decay.slots, every(decay.period));
                        text.push_str(&format!(
                            "{used} of {capacity} used, {slots} come back {every}"
                        ));
                    }
                }
            }
            PoolKind::Lock => text.push_str(&format!("; it is held by {}", pool.entries.len())),
        }
        if let Place::Queued(_, rank) = &request.place {
            let ahead = self.queues.ahead(key, rank);
            let more = if ahead == AHEAD_COUNTED_MAX {
                " or more"
            } else {
                ""
            };
            text.push_str(&format!(", {ahead}{more} ahead"));
        }
        let holders = holders_in(pool, &request.view.namespace);
        if !holders.is_empty() {
            text.push_str(&format!("; held here by {}", holders.join(", ")));
        }
        text
    }

    /// How much a request takes of a pool.
    fn asked_of(&self, request: &super::request::Request, key: &PoolKey) -> Units {
        let shape = request.place.shape().and_then(|id| self.queues.line(id));
        let amount = shape.and_then(|line| line.shape.demand.get(key));
        amount.map_or(0, |amount| amount.units())
    }

    pub(super) fn explain_timeout(&self, uid: &Uid) -> String {
        let waited = self.requests.get(uid).map_or(0, |request| {
            self.now.server.since(request.view.arrival).0 / 1000
        });
        let gives_up = self
            .requests
            .get(uid)
            .is_some_and(|request| request.view.attempt == Some(Attempt::TimedOut));
        let request = self.requests.get(uid);
        if let Some(request) = request.filter(|it| it.view.claim.is_some()) {
            let waited = self.claim_waited(request).0 / 1000;
            let why = self.cause_of(uid).map_or_else(String::new, |cause| {
                format!("; {}", self.explain(uid, &cause))
            });
            return format!(
                "nothing was granted within {waited} s, as long as spec.timeoutSeconds allows{why}"
            );
        }
        let after = if gives_up {
            "it gives up"
        } else {
            "it goes on waiting"
        };
        format!("no slots after {waited} s, as long as sluice.dev/timeout allows; {after}")
    }
}

/// A period in words.
fn every(period: Span) -> String {
    match period.0 / 1000 {
        0 | 1 => "each second".to_owned(),
        60 => "each minute".to_owned(),
        3600 => "each hour".to_owned(),
        seconds => format!("every {seconds} s"),
    }
}

fn holders_in(pool: &Pool, namespace: &super::ids::Name) -> Vec<String> {
    let Some(status) = pool.status() else {
        return Vec::new();
    };
    let same: Vec<&Lease> = status
        .entries()
        .filter(|lease| lease.namespace == *namespace)
        .filter(|lease| !matches!(lease.amount, Amount::Rate(_)))
        .collect();
    let mut names: Vec<String> = same
        .iter()
        .take(HOLDERS_NAMED_MAX)
        .map(|lease| match lease.amount {
            Amount::Slots(1) | Amount::Exclusive => lease.name.to_string(),
            Amount::Slots(slots) | Amount::Rate(slots) => format!("{} ({slots})", lease.name),
            Amount::Shared => format!("{} (shared)", lease.name),
        })
        .collect();
    if same.len() > HOLDERS_NAMED_MAX {
        names.push(format!(
            "{} more",
            same.len().saturating_sub(HOLDERS_NAMED_MAX)
        ));
    }
    names
}
