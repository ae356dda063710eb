//! The imperative shell: it moves bytes between the API server and the ledger, and decides nothing
//! about slots.
//!
//! ```text
//!  watches ──► intake ──► driver ──► LEDGER ──► effects ──► execute ──► transport ──► API server
//!                           ▲                                  │
//!                           └────────── answers ───────────────┘
//! ```
//!
//! One task, the driver, owns the ledger. Everything else is plumbing around it: intake turns watches
//! into commands, execute carries out effects with bounded concurrency and brings the answers back,
//! events go out in a lane of their own, the sweep labels pods that admission missed; a candidacy says
//! whether this controller leads, and nothing is written without its mandate. All of it speaks through
//! one narrow trait, [`transport::Transport`]. Tested by `tests/it` on a real control plane.

mod around;
mod candidacy;
mod config;
mod driver;
mod events;
mod execute;
mod faults;
mod http_server;
mod intake;
mod kube_transport;
mod mandated;
mod metrics;
mod run;
mod sweep;
pub mod translate;
pub mod transport;
mod wire;

pub use config::{Config, Election};
pub use kube_transport::KubeTransport;
pub use run::{RunError, run};
