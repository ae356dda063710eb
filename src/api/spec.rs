//! The parts of a spec that limits and locks share.
//!
//! Plain data with the defaults that the API server fills in. Nothing here decides anything. Tested
//! through the generated CRDs (`crds.rs`) and against a real server (`tests/it/crds.rs`).

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Most slots of a limit.
pub const MAX_SLOTS: i32 = 1_000_000;
/// Longest time that specs speak of, in seconds: a day.
pub const MAX_SECONDS: i32 = 86_400;
/// `settleSeconds` where it is not given.
pub const DEFAULT_SETTLE_SECONDS: i32 = 10;

/// Whether a limit or lock grants anything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Mode {
    /// Grants what fits.
    #[default]
    Active,
    /// Grants nothing new; holders keep what they have.
    Paused,
    /// Never blocks anybody, and counts nobody.
    Disabled,
}

/// Who may pass whom among waiting requests of equal priority.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Order {
    /// Nobody passes a blocked request.
    Strict,
    /// A request that fits may pass one that does not.
    #[default]
    Backfill,
}

/// What proof of a holder's end is needed before its slots are free.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum ReleasePolicy {
    /// A presumed end is enough, after `settleSeconds`.
    #[default]
    Presumed,
    /// Only a proven end.
    Confirmed,
}

/// Which namespaces' pods may ask for a limit or lock of this namespace.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AllowedNamespaces {
    /// `Same` (default): only its own namespace. `All`: every namespace. `Selector`: its own, and those whose
    /// labels match `selector`.
    #[serde(default)]
    pub from: FromNamespaces,
    /// Labels of the namespaces that are allowed; needed with `from: Selector`, not read otherwise. An empty
    /// selector matches every namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<LabelSelector>,
}

/// How namespaces are chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum FromNamespaces {
    /// Only that of the limit or lock.
    #[default]
    Same,
    /// Every one.
    All,
    /// Those with matching labels.
    Selector,
}

pub(super) fn default_settle_seconds() -> i32 {
    DEFAULT_SETTLE_SECONDS
}
