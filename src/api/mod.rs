//! The API: what users write and what the controller keeps.
//!
//! - [`key`]: names of limits and locks, and which object serves one.
//! - [`request`]: the grammar of a pod's annotations ([`duration`] is part of it); [`names`] has every
//!   annotation, label, gate and finalizer.
//! - [`granted`]: what the controller writes on a pod.
//! - [`claim`]: the kind `SlotClaim`, the request of a process.
//! - [`limit`], [`lock`], [`spec`], [`status`], [`conditions`]: the kinds `ConcurrencyLimit` and `Lock`.
//! - [`rules`]: what the API server itself refuses, in CEL.
//! - `crds`, `reference` (feature `cli`): `crds/*.yaml` and `docs/api.md`, generated from the above.
//!
//! Only data, grammars and words. Nothing here talks to a server, reads a clock or decides who gets a slot; the
//! ledger does not use these types, the controller translates.
//!
//! Tested by unit tests and properties beside the code, by the table `tests/cases/annotations.yaml`, and
//! against a real server by `tests/it/crds.rs`.

pub mod claim;
pub mod conditions;
pub mod duration;
pub mod granted;
pub mod key;
pub mod limit;
pub mod lock;
pub mod names;
pub mod request;
pub mod rules;
pub mod spec;
pub mod status;

#[cfg(feature = "cli")]
mod annotation_table;
#[cfg(feature = "cli")]
pub mod crds;
#[cfg(feature = "cli")]
pub mod reference;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;

pub use claim::{
    ClaimGrant, ClaimIfMissing, ClaimKind, ClaimLock, ClaimPhase, ClaimSlots, PodReference,
    Renewal, SlotClaim, SlotClaimSpec, SlotClaimStatus,
};
pub use conditions::{ConditionReason, ConditionType};
pub use granted::{AttemptText, BadRecord, Granted, GrantedKind, GrantedLease};
pub use key::{BadKey, Key, QualifiedKey};
pub use limit::{ConcurrencyLimit, ConcurrencyLimitSpec, Decay, PerWorker};
pub use lock::{Lock, LockSpec};
pub use request::{Amount, BadAnnotation, IfMissing, Mention, MentionKind, OnTimeout, RequestSpec};
pub use spec::{AllowedNamespaces, FromNamespaces, Mode, Order, ReleasePolicy};
pub use status::{
    ConcurrencyLimitStatus, HolderKind, Lease, LedgerStatus, Level, LockHold, LockLease, LockMode,
    LockStatus, ReservedWorker, SlotCount, SlotLease,
};

/// Returns the CRDs of all kinds.
pub fn all_crds() -> Vec<CustomResourceDefinition> {
    vec![ConcurrencyLimit::crd(), Lock::crd(), claim::crd()]
}
