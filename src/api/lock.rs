//! `Lock`: held by one alone, or shared by many.
//!
//! The doc comments of the fields are user documentation: they become the descriptions in
//! `crds/locks.yaml` and the rows of `docs/api.md`. Nothing here decides anything. Tested through the
//! generated CRD (`crds.rs`) and against a real server (`tests/it/crds.rs`).

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::claim::MIN_LEASE_DURATION_SECONDS;
use super::rules;
use super::spec::{
    AllowedNamespaces, MAX_SECONDS, Mode, Order, ReleasePolicy, default_settle_seconds,
};
use super::status::LockStatus;

/// Spec of a `Lock`.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "sluice.dev",
    version = "v1alpha1",
    kind = "Lock",
    plural = "locks",
    shortname = "lock",
    category = "sluice",
    namespaced,
    status = "LockStatus",
    derive = "PartialEq",
    doc = "A lock that pods take before they may be scheduled: exclusively, or shared with others. Its name is its key: lock `tag--etl` is `tag:etl` in annotations.",
    printcolumn(name = "In-Use", type_ = "integer", json_path = ".status.inUse"),
    printcolumn(name = "Waiting", type_ = "integer", json_path = ".status.waiting"),
    printcolumn(name = "Mode", type_ = "string", json_path = ".spec.mode"),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].status"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    validation = &rules::NAME_IS_LOCK_KEY,
    validation = &rules::SELECTOR_GIVEN,
    validation = &rules::NO_TWO_EXCLUSIVE,
    validation = &rules::TOKEN_NEVER_BACK,
    validation = &rules::TOKENS_WITHIN_LAST,
    validation = &rules::ONE_LEASE_EACH,
    validation = &rules::BATCH_CHAIN,
    validation = &rules::EPOCH_NEVER_BACK,
    validation = &rules::ONE_LEADER
)]
#[serde(rename_all = "camelCase", default)]
pub struct LockSpec {
    /// `Active` (default) grants what fits. `Paused` grants nothing new, and holders keep what they have.
    /// `Disabled` never blocks anybody and counts nobody.
    pub mode: Mode,
    /// Among waiting pods of equal priority: with `Strict` nobody passes a blocked one; with `Backfill` (default)
    /// one that fits may. A waiting exclusive request keeps later shared ones behind it in both.
    pub order: Order,
    /// Which namespaces' pods may take the lock; by default only those of its own namespace.
    pub allowed_namespaces: AllowedNamespaces,
    /// What frees the lock of a pod whose end is not proven (its object is gone by force, or it failed while its
    /// node could not be asked): `Presumed` (default) frees it after `settleSeconds`, `Confirmed` waits for proof
    /// or an operator's word.
    pub release_policy: ReleasePolicy,
    /// How long, in seconds, the lock stays taken after a presumed end.
    #[schemars(range(min = 0, max = MAX_SECONDS))]
    pub settle_seconds: i32,
    /// For how many seconds a claim's grant lasts without a renewal, where the claim does not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = MIN_LEASE_DURATION_SECONDS, max = MAX_SECONDS))]
    pub lease_duration_seconds: Option<i32>,
    /// For how many seconds the lock stays taken after a claim's lease has run out: time for what its holder has
    /// sent.
    #[schemars(range(min = 0, max = MAX_SECONDS))]
    pub lock_delay_seconds: i32,
}

impl Default for LockSpec {
    fn default() -> Self {
        Self {
            mode: Mode::default(),
            order: Order::default(),
            allowed_namespaces: AllowedNamespaces::default(),
            release_policy: ReleasePolicy::default(),
            settle_seconds: default_settle_seconds(),
            lease_duration_seconds: None,
            lock_delay_seconds: 0,
        }
    }
}
