//! Between the API's objects and the ledger's plain data, both ways.
//!
//! Pure and total: what cannot be understood becomes a sentence, never an error that stops anything.
//! Decides nothing about slots. Tested here by round trips and by what the API server really sends
//! (`tests/it`).

mod child;
mod patch;
mod pod;
mod pool;
mod status;

pub use child::{child_manifest, child_patch};
pub use patch::pod_patch;
pub use pod::{PodWire, pod};
pub(crate) use pool::label_map;
pub use pool::pool;
pub use status::{status_json, status_patch};
