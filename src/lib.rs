//! Concurrency limits and locks for Kubernetes.
//!
//! ```text
//!   api ◄──── ledger (pure; knows none of the others)
//!    ▲           ▲
//!    └── controller ──► client ──► API server
//!            ▲    └───► election
//!           cli
//! ```
//!
//! In reading order:
//!
//! - [`api`]: the types that people write and read, their grammar and the server's rules;
//! - [`ledger`]: the pure core that decides everything about slots;
//! - `election`: who leads, as a pure decision with a thin task;
//! - `client`: the SDK, and a connection to an API server that repeats nothing by itself;
//! - `blocking`: the SDK for code that blocks;
//! - `embedded` (inside): the SDK's server in one process, on the ledger;
//! - `bridge`: calls between threads, and between blocking and async code; knows none of the others;
//! - `controller`: the shell that moves bytes between the two;
//! - `cli`: the `sluice` command.
//!
//! `ARCHITECTURE.md` is the map; `docs/design.md` is the contract.

pub mod api;
#[cfg(feature = "blocking")]
pub mod blocking;
#[cfg(feature = "blocking")]
pub mod bridge;
// The SDK's own token to cancel by is the bridge's; the rest of it is there with `blocking`.
#[cfg(all(feature = "embedded", not(feature = "blocking")))]
#[expect(
    dead_code,
    unreachable_pub,
    unused_imports,
    reason = "public with `blocking`"
)]
mod bridge;
#[cfg(feature = "cli")]
pub mod cli;
#[cfg(feature = "embedded")]
pub mod client;
#[cfg(feature = "controller")]
pub mod controller;
#[cfg(feature = "embedded")]
mod convert;
#[cfg(feature = "controller")]
pub mod election;
#[cfg(feature = "embedded")]
mod embedded;
pub mod ledger;

/// The code in `docs/sdk.md` compiles.
#[cfg(all(doctest, feature = "client"))]
#[doc = include_str!("../docs/sdk.md")]
struct SdkDocument;
