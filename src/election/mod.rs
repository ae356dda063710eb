//! Who leads: one controller at a time works, the others watch with warm caches.
//!
//! **What it is for.** Liveness and quiet. Safety never rests on it: what keeps a slot from being granted
//! twice is compare-and-swap, the CRDs' rules, the attempt and the epoch (docs/design.md, section 3).
//!
//! **How it is built.** [`decide`] is pure: what was seen of the Lease, this machine's monotonic clock and
//! the settings go in, one [`Step`] comes out. [`stand`] is a thin task that carries steps out over a
//! small trait, [`LeaseStore`]. What comes of it is a [`Mandate`]: leadership is a value with an end,
//! counted from the moment the attempt that won it *began*, and whoever writes checks it first.
//!
//! **What it never does.** It never reads a clock of another machine: times in the Lease are for people. It
//! never writes without compare-and-swap, and never acts as leader past the end of its mandate.
//!
//! The Lease is client-go's: `kubectl get lease` shows it, and a client-go elector on the same object
//! would respect it. Tested by a table (`decide_tests`), by random histories of two candidates (`histories`), with a
//! store in memory (`task_tests`), and on a real control plane (`tests/it/election`).

mod decide;
mod mandate;
mod record;
mod task;
mod timing;

#[cfg(test)]
mod decide_tests;
#[cfg(test)]
mod histories;
#[cfg(test)]
mod task_tests;

pub use decide::{Answer, Instants, Loss, Mono, State, Step, decide};
pub use mandate::{Mandate, MandateSeen};
pub use record::{EPOCH_ANNOTATION, LeaseObject, Record, manifest, read};
pub use task::{Ballot, LeaseFailure, LeaseNews, LeaseStore, stand};
pub use timing::{Timing, TimingError};
