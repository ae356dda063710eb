//! Between the status of a limit or lock and the ledger's record, both ways.
//!
//! Fields that this version does not know travel through unharmed, on the status and on each lease.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition as ApiCondition, Time};
use k8s_openapi::jiff::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::patch::{add, test};
use crate::api::status::{
    ConcurrencyLimitStatus, Extra as ApiExtra, HolderKind as ApiHolderKind, Lease as ApiLease,
    LedgerStatus, Level as ApiLevel, LockHold, LockMode, LockStatus, ReservedWorker, SlotCount,
};
use crate::controller::transport::PatchOperation;
use crate::ledger::{
    Amount, Attempt, Batch, Condition, Epoch, Extra, HolderKind, Lease, Level, Micros, Name,
    PoolKind, PoolStatus, StatusWrite, Token,
};

/// How the attempt `timed-out` is written in a lease: above every number that is one.
const LAST_ATTEMPT: i64 = crate::api::claim::LAST_ATTEMPT;

/// How an amount is written in a lease.
trait AmountWire: Sized + Copy + DeserializeOwned + Serialize {
    fn read(self) -> Result<Amount, String>;
    fn write(amount: Amount) -> Self;
}

impl AmountWire for SlotCount {
    fn read(self) -> Result<Amount, String> {
        let slots =
            u32::try_from(self.slots).map_err(|_| format!("a lease has {} slots", self.slots))?;
        Ok(if self.rate {
            Amount::Rate(slots)
        } else {
            Amount::Slots(slots)
        })
    }

    fn write(amount: Amount) -> Self {
        let slots = match amount {
            Amount::Slots(slots) | Amount::Rate(slots) => i32::try_from(slots).unwrap_or(i32::MAX),
            Amount::Shared | Amount::Exclusive => 1,
        };
        let rate = matches!(amount, Amount::Rate(_));
        Self { slots, rate }
    }
}

impl AmountWire for LockHold {
    fn read(self) -> Result<Amount, String> {
        Ok(match self.mode {
            LockMode::Shared => Amount::Shared,
            LockMode::Exclusive => Amount::Exclusive,
        })
    }

    fn write(amount: Amount) -> Self {
        let mode = match amount {
            Amount::Shared => LockMode::Shared,
            Amount::Exclusive | Amount::Slots(_) | Amount::Rate(_) => LockMode::Exclusive,
        };
        Self { mode }
    }
}

/// Reads a status; an absent one is the empty record.
pub(super) fn read(kind: PoolKind, value: Value, namespace: &Name) -> Result<PoolStatus, String> {
    if value.is_null() {
        return Ok(PoolStatus::default());
    }
    match kind {
        PoolKind::Limit => {
            let status: ConcurrencyLimitStatus = parse(value)?;
            let workers = status
                .workers
                .into_iter()
                .map(|worker| Name::from(worker.worker))
                .collect();
            let level = status.level.as_ref().map(level).transpose()?;
            Ok(PoolStatus {
                workers,
                level,
                ..record(status.ledger, namespace)?
            })
        }
        PoolKind::Lock => record(parse::<LockStatus>(value)?, namespace),
    }
}

fn parse<T: DeserializeOwned>(value: Value) -> Result<T, String> {
    serde_json::from_value(value).map_err(|error| error.to_string())
}

fn record<A: AmountWire>(status: LedgerStatus<A>, namespace: &Name) -> Result<PoolStatus, String> {
    let leases = |leases: Vec<ApiLease<A>>| {
        leases
            .into_iter()
            .map(|it| lease(it, namespace))
            .collect::<Result<Vec<_>, _>>()
    };
    Ok(PoolStatus {
        schema: i64::from(status.schema),
        observed_generation: status.observed_generation.unwrap_or(0),
        last_token: token(status.last_token)?,
        epoch: epoch(status.epoch)?,
        leader: (!status.leader.is_empty()).then(|| Name::from(status.leader)),
        batch: batch(status.batch),
        previous_batch: batch(status.previous_batch),
        in_use: i64::from(status.in_use),
        waiting: i64::from(status.waiting),
        workers: Default::default(),
        leases: leases(status.leases)?,
        adopted: leases(status.adopted)?,
        fenced: status.fenced,
        open: status.open,
        level: None,
        conditions: status.conditions.into_iter().map(condition).collect(),
        extra: extra(status.extra),
    })
}

fn lease<A: AmountWire>(lease: ApiLease<A>, namespace: &Name) -> Result<Lease, String> {
    let attempt =
        attempt_of(lease.attempt).map_err(|why| format!("the lease of {} has {why}", lease.uid))?;
    Ok(Lease {
        uid: lease.uid.into(),
        kind: match lease.kind {
            ApiHolderKind::Pod => HolderKind::Pod,
            ApiHolderKind::Claim => HolderKind::Claim,
        },
        namespace: lease
            .namespace
            .map_or_else(|| namespace.clone(), Name::from),
        name: lease.name.into(),
        amount: lease.amount.read()?,
        token: token(lease.token)?,
        attempt,
        granted_at: micros(&lease.granted_at),
        linger: lease.linger_seconds.map(crate::convert::seconds),
        extra: extra(lease.extra),
    })
}

/// An attempt as a number.
pub(super) fn attempt_of(attempt: i64) -> Result<Attempt, String> {
    match u32::try_from(attempt) {
        Ok(number) => Ok(Attempt::Number(number)),
        Err(_) if attempt == LAST_ATTEMPT => Ok(Attempt::TimedOut),
        Err(_) => Err(format!("attempt {attempt}")),
    }
}

/// The number of an attempt.
pub(super) fn attempt_number(attempt: Attempt) -> i64 {
    match attempt {
        Attempt::Number(number) => i64::from(number),
        Attempt::TimedOut => LAST_ATTEMPT,
    }
}

fn level(level: &ApiLevel) -> Result<Level, String> {
    let whole = |number: i64| u64::try_from(number).ok().filter(|it| *it > 0);
    let parts = u64::try_from(level.units);
    match (parts, whole(level.units_per_slot)) {
        (Ok(parts), Some(parts_per_slot)) => Ok(Level {
            parts,
            parts_per_slot,
        }),
        _ => Err(format!(
            "level {} of {} a slot is none",
            level.units, level.units_per_slot
        )),
    }
}

fn token(token: i64) -> Result<Token, String> {
    u64::try_from(token)
        .map(Token)
        .map_err(|_| format!("token {token} is negative"))
}

fn epoch(epoch: i64) -> Result<Epoch, String> {
    u64::try_from(epoch)
        .map(Epoch)
        .map_err(|_| format!("epoch {epoch} is negative"))
}

fn batch(text: String) -> Option<Batch> {
    (!text.is_empty()).then(|| Batch::from(text))
}

fn micros(time: &Time) -> Micros {
    Micros(u64::try_from(time.0.as_microsecond()).unwrap_or(0))
}

pub(super) fn time(micros: Micros) -> Time {
    // The API keeps whole seconds.
    let seconds = i64::try_from(micros.0 / 1_000_000).unwrap_or(0);
    Time(Timestamp::from_second(seconds).unwrap_or(Timestamp::UNIX_EPOCH))
}

fn extra(extra: ApiExtra) -> Extra {
    (!extra.is_empty()).then(|| serde_json::to_string(&extra).unwrap_or_default().into())
}

fn api_extra(extra: &Extra) -> ApiExtra {
    extra
        .as_deref()
        .and_then(|text| serde_json::from_str(text).ok())
        .unwrap_or_default()
}

fn condition(condition: ApiCondition) -> (Arc<str>, Condition) {
    let read = Condition {
        holds: condition.status == "True",
        reason: condition.reason.into(),
        message: condition.message.into(),
        generation: condition.observed_generation.unwrap_or(0),
        since: micros(&condition.last_transition_time),
    };
    (condition.type_.into(), read)
}

/// The status as the API has it.
pub fn status_json(kind: PoolKind, status: &PoolStatus, namespace: &Name) -> Value {
    let written = match kind {
        PoolKind::Limit => {
            let workers = status.workers.iter().map(|worker| ReservedWorker {
                worker: worker.to_string(),
                extra: ApiExtra::new(),
            });
            let workers = workers.collect();
            let level = status.level.map(|level| ApiLevel {
                units: i64::try_from(level.parts).unwrap_or(i64::MAX),
                units_per_slot: i64::try_from(level.parts_per_slot).unwrap_or(i64::MAX),
                extra: ApiExtra::new(),
            });
            serde_json::to_value(ConcurrencyLimitStatus {
                ledger: api::<SlotCount>(status, namespace),
                workers,
                level,
            })
        }
        PoolKind::Lock => serde_json::to_value(api::<LockHold>(status, namespace)),
    };
    written.unwrap_or(Value::Null)
}

fn api<A: AmountWire>(status: &PoolStatus, namespace: &Name) -> LedgerStatus<A> {
    let lease = |lease: &Lease| ApiLease {
        uid: lease.uid.to_string(),
        kind: match lease.kind {
            HolderKind::Pod => ApiHolderKind::Pod,
            HolderKind::Claim => ApiHolderKind::Claim,
        },
        namespace: (lease.namespace != *namespace).then(|| lease.namespace.to_string()),
        name: lease.name.to_string(),
        amount: A::write(lease.amount),
        token: i64::try_from(lease.token.0).unwrap_or(i64::MAX),
        attempt: attempt_number(lease.attempt),
        granted_at: time(lease.granted_at),
        linger_seconds: lease
            .linger
            .map(|linger| i32::try_from(linger.0 / 1000).unwrap_or(i32::MAX)),
        extra: api_extra(&lease.extra),
    };
    LedgerStatus {
        schema: i32::try_from(status.schema).unwrap_or(i32::MAX),
        observed_generation: Some(status.observed_generation),
        last_token: i64::try_from(status.last_token.0).unwrap_or(i64::MAX),
        epoch: i64::try_from(status.epoch.0).unwrap_or(i64::MAX),
        leader: status
            .leader
            .as_ref()
            .map(Name::to_string)
            .unwrap_or_default(),
        batch: status
            .batch
            .as_ref()
            .map(Batch::to_string)
            .unwrap_or_default(),
        previous_batch: status
            .previous_batch
            .as_ref()
            .map(Batch::to_string)
            .unwrap_or_default(),
        in_use: i32::try_from(status.in_use).unwrap_or(i32::MAX),
        waiting: i32::try_from(status.waiting).unwrap_or(i32::MAX),
        leases: status.leases.iter().map(lease).collect(),
        adopted: status.adopted.iter().map(lease).collect(),
        fenced: status.fenced,
        open: status.open,
        conditions: conditions(&status.conditions),
        extra: api_extra(&status.extra),
    }
}

fn conditions(conditions: &BTreeMap<Arc<str>, Condition>) -> Vec<ApiCondition> {
    let write = |(kind, condition): (&Arc<str>, &Condition)| ApiCondition {
        type_: kind.to_string(),
        status: if condition.holds { "True" } else { "False" }.to_owned(),
        reason: condition.reason.to_string(),
        message: condition.message.to_string(),
        observed_generation: Some(condition.generation),
        last_transition_time: time(condition.since),
    };
    conditions.iter().map(write).collect()
}

/// A write conditional on uid, generation and batch instead of the version, as a JSON patch.
pub fn status_patch(
    write: &StatusWrite,
    generation: i64,
    batch: Option<&Batch>,
) -> Vec<PatchOperation> {
    let status = status_json(write.pool.kind, &write.status, &write.pool.namespace);
    let mut operations = vec![
        test("/metadata/uid", json!(write.uid.as_str())),
        test("/metadata/generation", json!(generation)),
    ];
    if let Some(batch) = batch {
        operations.push(test("/status/batch", json!(batch.as_str())));
    }
    operations.push(add("/status", status));
    operations
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_survives_a_round_trip_with_what_it_does_not_know() {
        let value = json!({
            "schema": 1, "observedGeneration": 2, "lastToken": 9, "epoch": 3, "leader": "p", "batch": "b", "previousBatch": "a",
            "inUse": 2, "waiting": 1, "fenced": true, "open": false, "future": {"x": 1},
            "leases": [{"uid": "u", "kind": "Pod", "namespace": "other", "name": "p", "slots": 2, "token": 9,
                        "attempt": 3, "grantedAt": "2026-11-21T10:00:00Z", "colour": "red"}],
            "adopted": [], "workers": [{"worker": "w"}],
            "conditions": [{"type": "Ready", "status": "True", "reason": "Granting", "message": "m",
                            "observedGeneration": 2, "lastTransitionTime": "2026-11-21T10:00:00Z"}],
        });
        let status = read(PoolKind::Limit, value.clone(), &"ns".into()).unwrap();
        assert_eq!(
            status.leases.first().map(|it| it.amount),
            Some(Amount::Slots(2))
        );
        assert_eq!(status_json(PoolKind::Limit, &status, &"ns".into()), value);
    }

    #[test]
    fn the_highest_number_and_the_last_attempt_survive_a_round_trip() {
        let lease = |attempt| Lease {
            uid: "u".into(),
            kind: HolderKind::Claim,
            namespace: "ns".into(),
            name: "p".into(),
            amount: Amount::Slots(1),
            token: Token(0),
            attempt,
            granted_at: Micros(0),
            linger: Some(crate::ledger::Span::seconds(63)),
            extra: None,
        };
        let status = PoolStatus {
            leases: vec![lease(Attempt::Number(u32::MAX)), lease(Attempt::TimedOut)],
            ..Default::default()
        };
        let written = status_json(PoolKind::Limit, &status, &"ns".into());
        let again = read(PoolKind::Limit, written, &"ns".into()).unwrap();
        assert_eq!(again.leases, status.leases);
    }

    #[test]
    fn nonsense_is_a_sentence() {
        let bad = json!({"leases": [{"uid": "u"}]});
        assert!(
            read(PoolKind::Lock, bad, &"ns".into())
                .unwrap_err()
                .contains("missing field")
        );
    }
}
