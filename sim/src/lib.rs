//! Deterministic simulation of Sluice.
//!
//! The very code that runs in a cluster, `sluice::controller::run` with the ledger in it, runs here several times over one
//! modelled API server ([`server`]), each in a runtime of its own ([`process`]), behind the same trait as in a cluster
//! ([`transport`]). Time is virtual, one thread does everything, and all chance comes from one seed ([`dice`]): a run that
//! fails is repeated exactly. What is durable is judged after every event by [`check`], which knows nothing of the
//! controllers. [`world`] is everything else: people, kubelets, the network, and what goes wrong with them.
//!
//! This crate never waits for real time, never opens a socket and is never published. It is tested by `tests/`: seeds that
//! are run twice, wrong variants that must be caught, and the server's contract.

pub mod check;
mod claim_orders;
pub mod crash_points;
pub mod crew;
pub mod dice;
pub mod direct;
pub mod many;
pub mod mutants;
pub mod orders;
pub mod process;
pub mod run;
pub mod server;
pub mod transport;
pub mod world;

/// The simulation itself is wrong: there is no sense in going on.
#[allow(clippy::panic)]
pub(crate) fn bug(what: &str) -> ! {
    panic!("the simulation itself is wrong: {what}")
}
