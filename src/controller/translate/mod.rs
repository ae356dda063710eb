//! Between the API's objects and the ledger's plain data, both ways.
//!
//! Pure and total: what cannot be understood becomes a sentence, never an error that stops anything.
//! Decides nothing about slots. Tested here by round trips and by what the API server really sends
//! (`tests/it`).

mod child;
mod claim;
mod patch;
mod pod;
mod pod_wire;
mod pool;
mod status;

pub use child::{child_manifest, child_patch};
pub use claim::claim;
pub use patch::request_patch;
pub use pod::pod;
pub(super) use pod_wire::GuardedPod;
pub use pod_wire::PodWire;
#[cfg(feature = "cli")]
pub(crate) use pool::RELEASES_MAX;
pub(crate) use pool::label_map;
pub use pool::pool;
pub use status::{status_json, status_patch};
