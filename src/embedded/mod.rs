//! The whole SDK inside one process: no API server, and the same ledger.
//!
//! ```
//! use sluice::client::Client;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let client = Client::embedded([("gpu", 2)])?;
//! let slots = client.concurrency("gpu").acquire().await?;
//! slots.release().await?;
//! # Ok(())
//! # }
//! ```
//!
//! | module | what it is for |
//! |---|---|
//! | `limits` | [`Limits`]: what a client is given |
//! | `store` | [`Embedded`]: the store, and its thread for deadlines |
//! | `requests`, `watch`, `look` | what a server would be asked, and answer |
//! | `at_once` | claims that are decided while the caller asks |
//! | `world` | the tables, and the ledger over them, whose effects are carried out at once |
//! | `row`, `sessions` | one claim; what watches have still to show |
//!
//! Nothing here decides who gets a slot: the world shows the ledger what a server would show, and carries out what it
//! asks for. What an API server would refuse of a client is refused here too. Nothing is kept when the process ends.
//!
//! Tested by `tests/embedded.rs`, with the same bodies as the cluster's tests.

mod at_once;
mod limits;
mod look;
#[cfg(test)]
mod parity_tests;
mod requests;
mod row;
mod sessions;
mod store;
mod watch;
mod world;

pub use limits::{EmbeddedError, Limits};
pub use store::Embedded;
