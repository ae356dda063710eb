//! `SlotClaim`: the request of a process for slots and locks, and what became of it.
//!
//! A pod carries its request in annotations; a process that is no pod of its own, or wants slots for a part of
//! its life only, writes a claim. The holder writes the spec and renews it; the controller alone writes the
//! status. The doc comments of the fields are user documentation: they become the descriptions in
//! `crds/slotclaims.yaml` and the rows of `docs/api.md`. Nothing here decides anything. Tested through the
//! generated CRD (`crds.rs`) and against a real server (`tests/it/crds.rs`).

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSON,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, Time};
use kube::{CustomResource, CustomResourceExt};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::granted::{GrantedKind, GrantedLease, MAX_GRANTED_LEASES};
use super::key::{MAX_NAME_LENGTH, MAX_NAMESPACE_LENGTH};
use super::request::{MAX_ENTRIES, MAX_WEIGHT};
use super::rules;
use super::spec::MAX_SECONDS;
use super::status::{LockMode, MAX_LEASE_SLOTS, MAX_TOKEN, MAX_UID_LENGTH};

/// `leaseDurationSeconds` where neither the claim nor a limit that it names says anything.
pub const DEFAULT_LEASE_DURATION_SECONDS: i32 = 60;
/// Shortest lease of a claim, in seconds.
pub const MIN_LEASE_DURATION_SECONDS: i32 = 15;
/// Longest time that a claim waits or holds, in seconds: a year.
pub const MAX_CLAIM_SECONDS: i32 = 31_536_000;
/// Highest priority of a claim, and how far it may be below 0: as of a user's PriorityClass.
pub const MAX_PRIORITY: i32 = 1_000_000_000;
/// Longest description of a holder, in characters.
pub const MAX_HOLDER_LENGTH: usize = 256;
/// Longest name of a user, in characters.
pub const MAX_USER_LENGTH: usize = 512;
/// Longest id of a session, in characters: it is a label's value too.
pub const MAX_SESSION_LENGTH: usize = 63;
/// Longest key with a namespace before it, in characters.
pub const MAX_QUALIFIED_KEY_LENGTH: usize = MAX_NAMESPACE_LENGTH + 1 + MAX_NAME_LENGTH;
/// Highest `renew.seq`.
pub const MAX_SEQ: i64 = 1 << 52;
/// Most that one renewal may raise `renew.seq` by.
pub const MAX_SEQ_STEP: i64 = 1_000;
/// Longest message of a claim's status, in characters.
pub const MAX_MESSAGE_LENGTH: usize = 1024;

/// Spec of a `SlotClaim`. All of it but `session`, `renew` and `release` stays as it was created.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "sluice.dev",
    version = "v1alpha1",
    kind = "SlotClaim",
    plural = "slotclaims",
    shortname = "sclaim",
    category = "sluice",
    namespaced,
    status = "SlotClaimStatus",
    derive = "PartialEq",
    doc = "A process's request for slots and locks. Its holder renews it while it works and sets spec.release when it has done.",
    printcolumn(name = "Phase", type_ = "string", json_path = ".status.phase"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.reason"),
    printcolumn(name = "Holder", type_ = "string", json_path = ".spec.holder"),
    printcolumn(name = "User", type_ = "string", json_path = ".spec.user", priority = 1),
    printcolumn(name = "Message", type_ = "string", json_path = ".status.message", priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    validation = &rules::CLAIM_STAYS,
    validation = &rules::CLAIM_ASKS,
    validation = &rules::CLAIM_RATE_HAS_NO_LOCKS,
    validation = &rules::CLAIM_RENEWS_FORWARD,
    validation = &rules::CLAIM_RELEASED_FOR_GOOD,
    validation = &rules::CLAIM_FINAL,
    validation = &rules::CLAIM_ATTEMPT_NEVER_BACK
)]
#[serde(rename_all = "camelCase", default)]
pub struct SlotClaimSpec {
    /// Who asks, for people: a host, a run, a purpose.
    #[schemars(length(max = MAX_HOLDER_LENGTH))]
    pub holder: String,
    /// Limits, and how many slots of each. Several entries of one limit add up.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = MAX_ENTRIES), extend("default" = [], "x-kubernetes-list-type" = "atomic"))]
    pub slots: Vec<ClaimSlots>,
    /// Locks.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = MAX_ENTRIES), extend("default" = [], "x-kubernetes-list-type" = "atomic"))]
    pub locks: Vec<ClaimLock>,
    /// `Concurrency` (default): held until released or lost. `RateLimit`: taken from limits with `decay`, never
    /// held; they come back with time.
    pub kind: ClaimKind,
    /// Place in the queue; higher is earlier. Capped as for pods: above 0 only as far as the operator allows.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = -MAX_PRIORITY, max = MAX_PRIORITY))]
    pub priority: Option<i32>,
    /// After how many seconds of waiting the claim is `TimedOut`; 0: unless it can be granted at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = MAX_CLAIM_SECONDS))]
    pub timeout_seconds: Option<i32>,
    /// For how many seconds a grant lasts without a renewal. By default the shortest `leaseDurationSeconds` of its
    /// limits and locks, else 60.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = MIN_LEASE_DURATION_SECONDS, max = MAX_SECONDS))]
    pub lease_duration_seconds: Option<i32>,
    /// After how many seconds of holding the claim is revoked, renewed or not.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = MAX_CLAIM_SECONDS))]
    pub max_hold_seconds: Option<i32>,
    /// What a limit or lock that does not exist, or is too small, means when the claim arrives: `Deny` (default),
    /// `Wait`, or `Ignore` (what does not exist is left out).
    pub if_missing: ClaimIfMissing,
    /// The pod that the holder runs in. The claim then lasts as long as that pod, without renewals.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pod_ref: Option<PodReference>,
    /// The user that created the claim; a policy keeps it true. Only that user may change or delete it.
    #[schemars(length(max = MAX_USER_LENGTH))]
    pub user: String,
    /// Random id of the holder's process and try. Whoever adopts a claim by its name writes its own, and the former
    /// holder has lost it.
    #[schemars(length(max = MAX_SESSION_LENGTH))]
    pub session: String,
    /// The last renewal.
    pub renew: Renewal,
    /// The holder has done. Set once, never taken back; the slots are freed.
    pub release: bool,
}

/// Slots of one limit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClaimSlots {
    /// Key of the limit, as in `gpu`, `gpu:worker-1` or `licences/matlab`.
    #[schemars(length(min = 1, max = MAX_QUALIFIED_KEY_LENGTH))]
    pub limit: String,
    /// How many slots.
    #[serde(default = "one_slot")]
    #[schemars(range(min = 1, max = MAX_WEIGHT))]
    pub slots: i32,
    /// Worker of a family: `limit: gpu, worker: worker-1` is `gpu:worker-1`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = MAX_NAME_LENGTH))]
    pub worker: Option<String>,
}

/// One lock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClaimLock {
    /// Key of the lock, as in `deploy` or `team/schema`.
    #[schemars(length(min = 1, max = MAX_QUALIFIED_KEY_LENGTH))]
    pub lock: String,
    /// `Exclusive` (default): alone. `Shared`: beside other shared ones.
    #[serde(default = "exclusive")]
    pub mode: LockMode,
}

/// What a claim is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum ClaimKind {
    /// Held until released or lost.
    #[default]
    Concurrency,
    /// Taken once; comes back with time.
    RateLimit,
}

/// What a limit or lock that does not exist means to a claim.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum ClaimIfMissing {
    /// It waits until it exists.
    Wait,
    /// The claim is denied.
    #[default]
    Deny,
    /// The entry is left out.
    Ignore,
}

/// A pod of the claim's namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PodReference {
    /// Its name.
    #[schemars(length(min = 1, max = MAX_NAME_LENGTH))]
    pub name: String,
    /// Its UID.
    #[schemars(length(min = 1, max = MAX_UID_LENGTH))]
    pub uid: String,
}

/// A renewal: every try has a number of its own.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Renewal {
    /// Number of the try; never falls, and rises by at most 1,000 at once.
    #[schemars(range(min = 0, max = MAX_SEQ))]
    pub seq: i64,
    /// When it was sent by the holder's clock, for people; nothing is decided by it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time: Option<MicroTime>,
}

/// What became of a claim.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct SlotClaimStatus {
    /// `Pending` waits, `Granted` holds. `Denied`, `TimedOut`, `Revoked` and `Released` are final; a `Revoked` one
    /// may hold its slots for a while, because its holder may not have heard of it.
    pub phase: ClaimPhase,
    /// Attempt; raising it makes all older leases of the claim void. 2^32: given up for good.
    #[schemars(range(min = 0, max = LAST_ATTEMPT))]
    pub attempt: i64,
    /// One word: why it is in this phase.
    #[serde(skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 64))]
    pub reason: String,
    /// One or two sentences for people.
    #[serde(skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = MAX_MESSAGE_LENGTH))]
    pub message: String,
    /// What was granted, several entries of one limit merged.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = MAX_GRANTED_LEASES), extend("default" = [], "x-kubernetes-list-type" = "atomic"))]
    pub grants: Vec<ClaimGrant>,
    /// For how many seconds the grant lasts without a renewal, fixed when it was granted.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = MIN_LEASE_DURATION_SECONDS, max = MAX_SECONDS))]
    pub lease_duration_seconds: Option<i32>,
    /// For how many seconds the slots stay taken after the lease has run out, fixed when it was granted.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = MAX_SECONDS))]
    pub lock_delay_seconds: Option<i32>,
    /// When it was granted, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub granted_at: Option<Time>,
    /// When the grant would have ended without any renewal, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Time>,
}

/// Highest attempt: the claim was given up for good.
pub const LAST_ATTEMPT: i64 = 1 << 32;

/// One limit or lock that was granted to a claim.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClaimGrant {
    /// Kind of the object.
    pub kind: GrantedKind,
    /// Namespace of the object.
    #[schemars(length(max = MAX_NAMESPACE_LENGTH))]
    pub namespace: String,
    /// Key of the object.
    #[schemars(length(max = MAX_NAME_LENGTH))]
    pub key: String,
    /// UID of the object.
    #[schemars(length(max = MAX_UID_LENGTH))]
    pub uid: String,
    /// How many slots, of a limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = MAX_LEASE_SLOTS))]
    pub slots: Option<i32>,
    /// Taken from a limit with `decay`: nothing is held, it comes back with time.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub rate: bool,
    /// How, of a lock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<LockMode>,
    /// Fencing token; 0 where it was let through uncounted.
    #[schemars(range(min = 0, max = MAX_TOKEN))]
    pub token: i64,
}

/// Phase of a claim.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum ClaimPhase {
    /// It waits.
    #[default]
    Pending,
    /// Its holder has what it asked for.
    Granted,
    /// It was refused when it arrived.
    Denied,
    /// It waited as long as it was willing to.
    TimedOut,
    /// It was taken away: it expired, or by force.
    Revoked,
    /// Its holder has given it back.
    Released,
}

impl ClaimPhase {
    /// Returns whether nothing follows it.
    pub fn is_final(self) -> bool {
        !matches!(self, Self::Pending | Self::Granted)
    }
}

impl ClaimGrant {
    /// Returns the same as a pod's record has it; `None` where no controller would have written it.
    pub fn lease(&self) -> Option<GrantedLease> {
        let lease = GrantedLease {
            kind: self.kind,
            namespace: self.namespace.clone(),
            key: self.key.clone(),
            uid: self.uid.clone(),
            slots: match self.slots {
                Some(slots) => Some(u32::try_from(slots).ok()?),
                None => None,
            },
            mode: self.mode,
            token: self.token,
        };
        lease.mention().is_ok().then_some(lease)
    }
}

/// Returns the CRD. Every claim has a status from its creation on, by the schema's default: it is Pending, people see
/// so, and a patch has something to test.
pub fn crd() -> CustomResourceDefinition {
    let mut crd = SlotClaim::crd();
    for version in &mut crd.spec.versions {
        let schema = version.schema.as_mut();
        let root = schema.and_then(|schema| schema.open_api_v3_schema.as_mut());
        let status = root
            .and_then(|root| root.properties.as_mut())
            .and_then(|properties| properties.get_mut("status"));
        if let Some(status) = status {
            status.default = Some(JSON(serde_json::json!({})));
            status.nullable = None;
        }
    }
    crd
}

fn one_slot() -> i32 {
    1
}

fn exclusive() -> LockMode {
    LockMode::Exclusive
}
