//! The status of a limit or lock: its ledger.
//!
//! Limits and locks keep the same record ([`LedgerStatus`]) and differ in what a lease takes: a number of
//! slots ([`SlotCount`]) or the lock in a mode ([`LockHold`]). Only the controller writes it, whole, with the
//! resourceVersion it read.
//!
//! Fields that this version does not know are kept in `extra` and written back, so that an older controller
//! never wipes what a newer one wrote; they are no part of the schema. Times here are for people: nothing
//! is decided by them. Tested below (round trips) and against a real server (`tests/it/crds.rs`).

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::limit::MAX_WORKERS;
use super::request::{MAX_ENTRIES, MAX_WEIGHT};
use super::spec::MAX_SECONDS;

/// Schema of the status that this version writes; hands off objects with a higher one.
pub const STATUS_SCHEMA: i32 = 1;
/// Highest token: whole numbers up to here survive every JSON reader.
pub const MAX_TOKEN: i64 = 1 << 52;
/// Most leases of one object, and most adopted holders.
pub const MAX_LEASES: usize = 1000;
/// Most slots of one lease: all entries of an annotation for one limit. One of an adopted holder may be above the
/// limit's slots, and must still be recorded.
pub const MAX_LEASE_SLOTS: i64 = MAX_ENTRIES as i64 * MAX_WEIGHT as i64;
/// Longest UID, in characters.
pub const MAX_UID_LENGTH: usize = 64;
/// Highest epoch.
pub const MAX_EPOCH: i64 = 1 << 52;
/// Longest id of a leader, in characters.
pub const MAX_LEADER_LENGTH: usize = 64;
/// Longest id of a batch, in characters.
pub const MAX_BATCH_LENGTH: usize = 64;

/// Longest time that the lease of a claim stays after its object vanished, in seconds: 1.05 times the longest lease, and
/// the longest lock delay.
pub const MAX_LINGER_SECONDS: i32 = 3 * MAX_SECONDS;
/// Highest level, and most of its units in a slot: whole numbers up to here survive every JSON reader.
pub const MAX_LEVEL: i64 = 1 << 52;

/// Fields that this version does not know.
pub type Extra = BTreeMap<String, Value>;

/// What the controller keeps in the status of a limit or lock.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(
    rename_all = "camelCase",
    default,
    bound(deserialize = "A: Deserialize<'de>")
)]
pub struct LedgerStatus<A> {
    /// Version of this record; 0 before the first write. A controller leaves objects with a higher one alone than
    /// it knows.
    #[schemars(range(min = 0))]
    pub schema: i32,
    /// Generation of the spec that the conditions speak of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Highest fencing token given out so far; it never goes back.
    #[schemars(range(min = 0, max = MAX_TOKEN))]
    pub last_token: i64,
    /// Number of the leader's term; it never goes back.
    #[schemars(range(min = 0, max = MAX_EPOCH))]
    pub epoch: i64,
    /// The process that led in that term.
    #[schemars(length(max = MAX_LEADER_LENGTH))]
    pub leader: String,
    /// Id of the write that made this status.
    #[schemars(length(max = MAX_BATCH_LENGTH))]
    pub batch: String,
    /// Id of the write before it.
    #[schemars(length(max = MAX_BATCH_LENGTH))]
    pub previous_batch: String,
    /// How much is held, adopted holders included: slots of a limit, holders of a lock.
    #[schemars(range(min = 0))]
    pub in_use: i32,
    /// How many requests wait for it; up to five seconds old.
    #[schemars(range(min = 0))]
    pub waiting: i32,
    /// True once the holders that were there before this object are known; nothing is granted before.
    pub fenced: bool,
    /// True while pods may have been let through uncounted by `mode: Disabled`; nothing is granted meanwhile.
    pub open: bool,
    /// Who holds what.
    #[schemars(length(max = MAX_LEASES), extend("default" = [], "x-kubernetes-list-type" = "atomic"))]
    pub leases: Vec<Lease<A>>,
    /// Holders that were found running and do not fit; they keep new grants away.
    #[schemars(length(max = MAX_LEASES), extend("default" = [], "x-kubernetes-list-type" = "atomic"))]
    pub adopted: Vec<Lease<A>>,
    /// `Ready` (also when all is taken), `Saturated`, `OverCommitted`, `Quarantined`, `Unguarded`.
    #[schemars(
        length(max = 16),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"])
    )]
    pub conditions: Vec<Condition>,
    /// What this version does not know.
    #[serde(flatten)]
    #[schemars(skip)]
    pub extra: Extra,
}

/// Status of a `ConcurrencyLimit`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ConcurrencyLimitStatus {
    /// The record that limits and locks share.
    #[serde(flatten)]
    pub ledger: LedgerStatus<SlotCount>,
    /// Workers of a family whose limits exist or are about to.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = MAX_WORKERS), extend("x-kubernetes-list-type" = "atomic"))]
    pub workers: Vec<ReservedWorker>,
    /// What was taken from a limit with `decay` and has not come back yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub level: Option<Level>,
}

/// How much of a limit with `decay` is used and not held, as it was when this status was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Level {
    /// How much is used, in units of which `unitsPerSlot` are a slot. With whole numbers no fraction is lost.
    #[schemars(range(min = 0, max = MAX_LEVEL))]
    pub units: i64,
    /// How many units a slot has.
    #[schemars(range(min = 1, max = MAX_LEVEL))]
    pub units_per_slot: i64,
    /// What this version does not know.
    #[serde(flatten)]
    #[schemars(skip)]
    pub extra: Extra,
}

/// Status of a `Lock`.
pub type LockStatus = LedgerStatus<LockHold>;

/// The record that a holder has its slots, or the lock.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Lease<A> {
    /// UID of the holder; names are only for people.
    #[schemars(length(min = 1, max = MAX_UID_LENGTH))]
    pub uid: String,
    /// What the holder is.
    pub kind: HolderKind,
    /// Namespace of the holder, where it is not that of the limit or lock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub namespace: Option<String>,
    /// Name of the holder.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// How much it has.
    #[serde(flatten)]
    pub amount: A,
    /// Fencing token: higher than that of every earlier lease of this key.
    #[schemars(range(min = 0, max = MAX_TOKEN))]
    pub token: i64,
    /// Attempt of the request that the lease belongs to.
    #[schemars(range(min = 0))]
    pub attempt: i64,
    /// When it was granted.
    pub granted_at: Time,
    /// For how many seconds the lease stays when its claim vanishes without a release: its holder may not know.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = MAX_LINGER_SECONDS))]
    pub linger_seconds: Option<i32>,
    /// What this version does not know.
    #[serde(flatten)]
    #[schemars(skip)]
    pub extra: Extra,
}

/// Lease on slots of a limit.
pub type SlotLease = Lease<SlotCount>;
/// Lease on a lock.
pub type LockLease = Lease<LockHold>;

/// How many slots a lease takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SlotCount {
    /// How many slots it takes.
    #[schemars(range(min = 1, max = MAX_LEASE_SLOTS))]
    pub slots: i32,
    /// Taken from a limit with `decay` by a request that never holds: it becomes `level` once its request was told.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub rate: bool,
}

/// How a lease holds a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LockHold {
    /// `Exclusive`: alone. `Shared`: beside other shared ones.
    pub mode: LockMode,
}

/// How a lock is held.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
pub enum LockMode {
    /// Beside other shared holders.
    Shared,
    /// Alone.
    Exclusive,
}

/// What a holder is.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
pub enum HolderKind {
    /// A pod.
    Pod,
    /// A `SlotClaim`.
    Claim,
}

/// A worker of a family.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReservedWorker {
    /// Name of the worker: the last segment of its limit's key.
    #[schemars(length(min = 1, max = 253))]
    pub worker: String,
    /// What this version does not know.
    #[serde(flatten)]
    #[schemars(skip)]
    pub extra: Extra,
}

impl<A> Default for LedgerStatus<A> {
    fn default() -> Self {
        Self {
            schema: 0,
            observed_generation: None,
            last_token: 0,
            epoch: 0,
            leader: String::new(),
            batch: String::new(),
            previous_batch: String::new(),
            in_use: 0,
            waiting: 0,
            fenced: false,
            open: false,
            leases: Vec::new(),
            adopted: Vec::new(),
            conditions: Vec::new(),
            extra: Extra::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{ConcurrencyLimit, Lock};
    use serde_json::json;

    fn lease() -> Value {
        json!({
            "uid": "u1", "kind": "Pod", "namespace": "team", "name": "p1", "slots": 2, "token": 41, "attempt": 1,
            "grantedAt": "2026-11-21T10:00:00Z", "renewedBy": {"future": [1, 2]},
        })
    }

    #[test]
    fn a_newer_status_survives_being_read_and_written() {
        let status = json!({
            "schema": 1, "observedGeneration": 3, "lastToken": 41, "batch": "b2", "previousBatch": "b1", "inUse": 2,
            "waiting": 5, "fenced": true, "open": false, "leases": [lease()], "adopted": [lease()], "conditions": [],
            "epoch": 7, "leader": "x", "term": {"id": "x"}, "workers": [{"worker": "w1", "since": "later"}],
        });
        let read: ConcurrencyLimitStatus = serde_json::from_value(status.clone()).unwrap();
        assert_eq!(
            (read.ledger.last_token, read.ledger.leases[0].amount.slots),
            (41, 2)
        );
        assert_eq!(read.workers[0].worker, "w1");
        assert_eq!(read.ledger.extra.keys().collect::<Vec<_>>(), ["term"]);
        assert_eq!(serde_json::to_value(&read).unwrap(), status);
    }

    #[test]
    fn a_lock_keeps_modes_and_what_it_does_not_know() {
        let lease = json!({
            "uid": "u", "kind": "Pod", "name": "p", "mode": "Shared", "token": 1, "attempt": 0,
            "grantedAt": "2026-11-21T10:00:00Z", "slots": 3,
        });
        let read: LockStatus =
            serde_json::from_value(json!({"leases": [lease], "workers": []})).unwrap();
        assert_eq!(read.leases[0].amount.mode, LockMode::Shared);
        assert_eq!(serde_json::to_value(&read.leases[0]).unwrap(), lease);
        assert!(read.extra.contains_key("workers"));
    }

    #[test]
    fn missing_fields_are_the_defaults_of_the_schema() {
        let limit: ConcurrencyLimit = serde_json::from_value(json!({
            "apiVersion": "sluice.dev/v1alpha1", "kind": "ConcurrencyLimit", "metadata": {"name": "gpu"},
            "spec": {"slots": 3}, "status": {},
        }))
        .unwrap();
        assert_eq!(limit.spec, crate::api::ConcurrencyLimitSpec::with_slots(3));
        assert_eq!(limit.status, Some(ConcurrencyLimitStatus::default()));
        let lock: Lock = serde_json::from_value(json!({
            "apiVersion": "sluice.dev/v1alpha1", "kind": "Lock", "metadata": {"name": "l"}, "spec": {},
        }))
        .unwrap();
        assert_eq!(lock.spec, crate::api::LockSpec::default());
    }

    #[test]
    fn nonsense_is_an_error_and_no_panic() {
        for status in [
            json!({"leases": [{}]}),
            json!({"lastToken": "x"}),
            json!({"leases": 1}),
            json!([]),
        ] {
            assert!(
                serde_json::from_value::<ConcurrencyLimitStatus>(status.clone()).is_err(),
                "{status}"
            );
        }
    }
}
