//! `ConcurrencyLimit`: so many slots, and who has them.
//!
//! The doc comments of the fields are user documentation: they become the descriptions in
//! `crds/concurrencylimits.yaml` and the rows of `docs/api.md`. Nothing here decides anything. Tested
//! through the generated CRD (`crds.rs`) and against a real server (`tests/it/crds.rs`).

use std::collections::BTreeMap;

use kube::CustomResource;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use super::claim::MIN_LEASE_DURATION_SECONDS;
use super::names;
use super::rules;
use super::spec::{
    AllowedNamespaces, MAX_SECONDS, MAX_SLOTS, Mode, Order, ReleasePolicy, default_settle_seconds,
};
use super::status::ConcurrencyLimitStatus;

/// Most workers of one family.
pub const MAX_WORKERS: i32 = 1000;
/// `maxWorkers` where it is not given.
pub const DEFAULT_MAX_WORKERS: i32 = 100;
/// `idleSeconds` where it is not given.
pub const DEFAULT_IDLE_SECONDS: i32 = 600;
/// `reserveAfterSeconds` where it is not given.
pub const DEFAULT_RESERVE_AFTER_SECONDS: i32 = 60;

/// Spec of a `ConcurrencyLimit`.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "sluice.dev",
    version = "v1alpha1",
    kind = "ConcurrencyLimit",
    plural = "concurrencylimits",
    shortname = "climit",
    category = "sluice",
    namespaced,
    status = "ConcurrencyLimitStatus",
    derive = "PartialEq",
    doc = "A number of slots that pods take before they may be scheduled. Its name is its key: limit `gpu--worker-1` is `gpu:worker-1` in annotations.",
    scale(spec_replicas_path = ".spec.slots", status_replicas_path = ".status.inUse"),
    printcolumn(name = "Slots", type_ = "integer", json_path = ".spec.slots"),
    printcolumn(name = "In-Use", type_ = "integer", json_path = ".status.inUse"),
    printcolumn(name = "Waiting", type_ = "integer", json_path = ".status.waiting"),
    printcolumn(name = "Mode", type_ = "string", json_path = ".spec.mode"),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].status"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    validation = &rules::NAME_IS_KEY,
    validation = &rules::SELECTOR_GIVEN,
    validation = &rules::NO_OVERCOMMIT,
    validation = &rules::TOKEN_NEVER_BACK,
    validation = &rules::TOKENS_WITHIN_LAST,
    validation = &rules::ONE_LEASE_EACH,
    validation = &rules::BATCH_CHAIN,
    validation = &rules::EPOCH_NEVER_BACK,
    validation = &rules::ONE_LEADER
)]
#[serde(rename_all = "camelCase")]
pub struct ConcurrencyLimitSpec {
    /// How many slots there are. Lowering it below what is held takes nothing from anybody: nothing more is
    /// granted until enough has come back.
    #[schemars(range(min = 0, max = MAX_SLOTS))]
    pub slots: i32,
    /// `Active` (default) grants what fits. `Paused` grants nothing new, and holders keep what they have.
    /// `Disabled` never blocks anybody and counts nobody.
    #[serde(default)]
    pub mode: Mode,
    /// Makes this limit a family: each worker that pods name gets a limit of its own, with as many slots.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_worker: Option<PerWorker>,
    /// Among waiting pods of equal priority: with `Strict` nobody passes a blocked one; with `Backfill` (default)
    /// one that fits may pass one that does not, until that one has waited `reserveAfterSeconds`.
    #[serde(default)]
    pub order: Order,
    /// How long, in seconds, a blocked request lets others pass with `order: Backfill`; from then on it reserves
    /// what it needs.
    #[serde(default = "default_reserve_after_seconds")]
    #[schemars(range(min = 0, max = MAX_SECONDS))]
    pub reserve_after_seconds: i32,
    /// Which namespaces' pods may take slots; by default only those of the limit's own namespace.
    #[serde(default)]
    pub allowed_namespaces: AllowedNamespaces,
    /// What frees the slots of a pod whose end is not proven (its object is gone by force, or it failed while its
    /// node could not be asked): `Presumed` (default) frees them after `settleSeconds`, `Confirmed` waits for
    /// proof or an operator's word.
    #[serde(default)]
    pub release_policy: ReleasePolicy,
    /// How long, in seconds, slots stay taken after a presumed end.
    #[serde(default = "default_settle_seconds")]
    #[schemars(range(min = 0, max = MAX_SECONDS))]
    pub settle_seconds: i32,
    /// Makes slots come back with time: this many in so many seconds. Rate-limit requests take from it without
    /// holding; slots that are held drain after their release.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decay: Option<Decay>,
    /// For how many seconds a claim's grant lasts without a renewal, where the claim does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = MIN_LEASE_DURATION_SECONDS, max = MAX_SECONDS))]
    pub lease_duration_seconds: Option<i32>,
    /// For how many seconds slots stay taken after a claim's lease has run out: time for what its holder has sent.
    #[serde(default)]
    #[schemars(range(min = 0, max = MAX_SECONDS))]
    pub lock_delay_seconds: i32,
}

/// How slots come back with time: `slots` in `perSeconds`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Decay {
    /// How many slots come back.
    #[schemars(range(min = 1, max = MAX_SLOTS))]
    pub slots: i32,
    /// In how many seconds.
    #[serde(default = "one_second")]
    #[schemars(range(min = 1, max = MAX_SECONDS))]
    pub per_seconds: i32,
}

/// How a family finds its workers and treats them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PerWorker {
    /// Label of the pod whose value is the worker's name. A pod without it waits.
    #[serde(default = "default_pod_label")]
    #[schemars(length(min = 1, max = 317))]
    pub pod_label: String,
    /// Slots of single workers, by name, in place of the family's `slots`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "overrides_schema")]
    pub overrides: BTreeMap<String, i32>,
    /// How many workers there may be at once; pods of a further one wait.
    #[serde(default = "default_max_workers")]
    #[schemars(range(min = 1, max = MAX_WORKERS))]
    pub max_workers: i32,
    /// After how many seconds without holders and waiters a worker's limit is deleted.
    #[serde(default = "default_idle_seconds")]
    #[schemars(range(min = 0, max = MAX_SECONDS))]
    pub idle_seconds: i32,
}

impl Default for PerWorker {
    fn default() -> Self {
        Self {
            pod_label: default_pod_label(),
            overrides: BTreeMap::new(),
            max_workers: DEFAULT_MAX_WORKERS,
            idle_seconds: DEFAULT_IDLE_SECONDS,
        }
    }
}

impl ConcurrencyLimitSpec {
    /// Returns the spec of a limit with this many slots and all defaults.
    pub fn with_slots(slots: i32) -> Self {
        Self {
            slots,
            mode: Mode::default(),
            per_worker: None,
            order: Order::default(),
            reserve_after_seconds: DEFAULT_RESERVE_AFTER_SECONDS,
            allowed_namespaces: AllowedNamespaces::default(),
            release_policy: ReleasePolicy::default(),
            settle_seconds: default_settle_seconds(),
            decay: None,
            lease_duration_seconds: None,
            lock_delay_seconds: 0,
        }
    }
}

fn one_second() -> i32 {
    1
}

fn default_reserve_after_seconds() -> i32 {
    DEFAULT_RESERVE_AFTER_SECONDS
}

fn default_pod_label() -> String {
    names::WORKER.to_owned()
}

fn default_max_workers() -> i32 {
    DEFAULT_MAX_WORKERS
}

fn default_idle_seconds() -> i32 {
    DEFAULT_IDLE_SECONDS
}

/// The derive has no words for the bounds of a map's values.
fn overrides_schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "maxProperties": MAX_WORKERS,
        "additionalProperties": {"type": "integer", "format": "int32", "minimum": 0, "maximum": MAX_SLOTS},
    })
}
