//! The SDK for code that blocks: the same names as in [`sluice::client`](crate::client), and nothing to await.
//!
//! ```
//! use sluice::blocking::Client;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let client = Client::embedded([("gpu", 2)])?;
//! let slots = client.concurrency("gpu").occupy(2).acquire()?;
//! // ... work ...
//! slots.release()?;
//! # Ok(())
//! # }
//! ```
//!
//! All I/O is done by the SDK's own thread, so whoever calls waits on a condition variable: within a tokio runtime as
//! outside of one, on a thread of its own as on the only one there is. It blocks that thread, as its name says. A thread
//! that everything else waits for, one that does the I/O, is refused with an error. Dropping a guard never blocks.
//!
//! | module | what it is for |
//! |---|---|
//! | `client`, `request`, `slots`, `scope` | the types of [`sluice::client`](crate::client), blocking |
//! | `locks` | [`LockManager`], [`Locks`] |
//! | `wait` | how a thread waits for a future |
//!
//! Tested in `tests/embedded.rs`, in and out of runtimes, and on the real control plane in `tests/it/sdk`.

mod client;
mod locks;
mod rate;
mod request;
mod scope;
mod slots;
mod wait;

pub use client::{Client, Worker};
pub use locks::{LockManager, Locks};
pub use rate::RateLimit;
pub use request::Request;
pub use scope::Scope;
pub use slots::Slots;
