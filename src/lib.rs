//! Concurrency limits and locks for Kubernetes.
//!
//! ```text
//!   api ◄──── ledger (pure; knows none of the others)
//!    ▲           ▲
//!    └── controller ──► client ──► API server
//!            ▲
//!           cli
//! ```
//!
//! In reading order:
//!
//! - [`api`]: the types that people write and read, their grammar and the server's rules;
//! - [`ledger`]: the pure core that decides everything about slots;
//! - `client`: a connection to an API server that repeats nothing by itself;
//! - `controller`: the shell that moves bytes between the two;
//! - `cli`: the `sluice` command.
//!
//! `ARCHITECTURE.md` is the map; `docs/design.md` is the contract.

pub mod api;
#[cfg(feature = "cli")]
pub mod cli;
#[cfg(feature = "client")]
pub mod client;
#[cfg(feature = "controller")]
pub mod controller;
pub mod ledger;
