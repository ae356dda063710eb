//! What really happened: every version of every limit, lock, pod, claim and node, read from etcd itself, and a checker that
//! re-proves Sluice's invariants from that record alone.
//!
//! [`History::record`] reads; [`check`] judges every revision; [`check_quiescent`] judges the end of a run whose
//! faults are over; [`check_beliefs`] holds what holders believed against it; [`History::story`] and [`History::summary`] tell people. The checker is pure, shares no code with
//! the product (not even names of annotations or the grammar), and never asks the API server: what it knows, it knows
//! from the store, so restarts of the API server and lost watch events hide nothing from it. It has no clock either; it
//! knows the server's stamps on what was written, in whole seconds, and uses them for the leases of claims, always to
//! the benefit of the product. That a pod's presumed end was left to settle for `settleSeconds` is proven elsewhere.
//!
//! Tested by wrong histories, at least one for each [`Invariant`], each of which must be caught under its number; by
//! right ones, which must pass; and against a real control plane in `testenv/tests/history.rs`.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use sluice_testenv::history::{Assumptions, History, Scope, check};
//!
//! let history = History::record("http://127.0.0.1:2379", Scope::namespace("team-a")).await?;
//! let violations = check(&history, &Assumptions::none());
//! assert!(violations.is_empty(), "{violations:#?}\n{}", history.story("gpu"));
//! # Ok(())
//! # }
//! ```

mod assumptions;
mod beliefs;
#[cfg(test)]
mod builder;
#[cfg(test)]
mod builder_claims;
mod checker;
mod claim;
mod error;
mod etcd;
mod evidence;
mod grammar;
mod pod;
mod pool;
mod quiescence;
mod recorder;
mod request;
mod resolve;
mod rules;
mod story;
mod summary;
#[cfg(test)]
mod tests;
mod version;
mod violation;
mod waiters;
mod who;
mod world;

pub use assumptions::Assumptions;
pub use beliefs::{Belief, check_beliefs};
pub use checker::check;
pub use error::Error;
pub use quiescence::check_quiescent;
pub use recorder::{Recording, Scope};
pub use summary::{PoolSummary, Summary};
pub use version::{History, Kind, ObjectRef, Version};
pub use violation::{Invariant, Violation};
