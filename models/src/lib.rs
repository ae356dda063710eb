//! Small worlds of Sluice's protocol, searched exhaustively.
//!
//! Each model says in a few hundred lines what leaders, users and the API server may do next, and a
//! search visits every state that this can lead to, in every order. What is checked are the invariants
//! of docs/design.md 5.2. Beside the protocol each model has variants in which one rule is wrong on
//! purpose. They must fail, in exactly the number of steps that README.md documents: a model that
//! cannot fail shows nothing.
//!
//! This crate shares no code with the ledger, and never runs it: it checks the design, with the words
//! of the code (lease, attempt, reveal, bump, fence, adopt, open). That the code does what the design
//! says is for the ledger's tests and for the simulation.
//!
//! `cargo test -p sluice-models` runs all small configurations, `cargo run --release -p sluice-models`
//! any of them.

mod check;
mod election;
mod grant;
mod leader;
mod lease;
mod leases;
mod pods;
mod properties;
mod recreate;
mod resume;
mod ttl;
mod world;

pub use check::{
    Configuration, Counterexample, Expected, LARGE_STATES_MAX, Report, SMALL_STATES_MAX, Size,
    story,
};

/// Every configuration of every model.
pub fn configurations() -> Vec<Configuration> {
    let models = [
        grant::configurations(),
        resume::configurations(),
        recreate::configurations(),
        pods::configurations(),
        election::configurations(),
        lease::configurations(),
        ttl::configurations(),
    ];
    models.into_iter().flatten().collect()
}
