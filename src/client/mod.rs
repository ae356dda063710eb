//! The SDK: a program takes slots and locks from the same limits as pods, in one queue with them.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let client = sluice::client::Client::try_default().await?;
//! let slots = client.concurrency(["gpu", "db"]).occupy(2).acquire().await?;
//! // ... work; `slots.check()?` before each step that must not run without them ...
//! slots.release().await?;
//! # Ok(())
//! # }
//! ```
//!
//! | module | what it is for |
//! |---|---|
//! | `handle`, `builder` | [`Client`], [`ClientBuilder`]: how a process comes to the SDK |
//! | `request`, `plan`, `keys` | [`Request`]: what is asked for, and its check before anything is sent |
//! | `acquire` | the caller's side of an acquisition: wait, try, try again, run a body |
//! | `slots` | [`Slots`]: the guard; [`ClaimRef`]: what is left of one that was detached |
//! | `rate` | [`RateLimit`]: take once, never hold |
//! | `worker`, `scope`, `drain`, `cancel` | [`Worker`], [`Scope`], [`DrainReport`], [`Cancel`] |
//! | `pod`, `own_name` | [`Pod`]: claims that live as long as it; whose a claim's name is within it |
//! | `locks` | [`LockManager`]: locks by key and holder |
//! | `events` | [`Event`]: acquired, released, timed out, lost; by callback and by tracing |
//! | `detail` | what stands in the way, in words, for messages |
//! | `error` | [`AcquireError`] and its kin; what a message says |
//! | `lease`, `clock` | whether a holder may still believe: a pure machine over the times it is given |
//! | `hold` | that machine, shared between the guard and the task that renews |
//! | `engine`, `news` | the one thread of a process that does all I/O; the one watch, and for whom it is |
//! | `caller`, `establish`, `follow`, `parting`, `resume` | one claim on that thread: who waits; create or adopt; wait and renew; release |
//! | `leftover` | claims that nobody wants any more, until they are known to be released |
//! | `store` | [`Store`]: everything that the above asks of a server, as plain data; another backend implements it |
//! | `direct` | what a store in the same process can do beside that |
//! | `cluster`, `cluster_watch` | the store on an API server |
//! | `connect`, `server_clock` | a connection under Sluice's rules (no blind retries), also for the controller |
//!
//! The caller's side needs no runtime of its own: it waits on channels. Everything that is sent goes out on the
//! thread `sluice-client`, so a blocked or ended runtime of the caller loses no lease, and dropping anything at any
//! point is a flag that this thread sees. Never decides who gets a slot: that is the controller's, by the claim.
//!
//! What is left to expiry: `process::exit`, `abort`, `panic = "abort"` and a signal that kills run no drop; a claim
//! of such a process ends when its lease runs out. [`Client::drain_guard`] in `main` covers every ordinary end.
//!
//! The pure parts are tested beside the code, the rest in `tests/it/sdk` against the real control plane.

mod acquire;
mod builder;
mod caller;
mod cancel;
mod clock;
#[cfg(feature = "client")]
mod cluster;
#[cfg(feature = "client")]
mod cluster_watch;
mod connect;
mod detail;
pub mod direct;
mod drain;
mod engine;
mod error;
mod establish;
mod events;
mod follow;
mod handle;
mod hold;
mod keys;
mod lease;
mod leftover;
mod locks;
mod news;
mod own_name;
mod parting;
mod plan;
mod pod;
mod rate;
mod request;
mod resume;
mod scope;
#[cfg(feature = "client")]
mod server_clock;
mod slots;
pub mod store;
mod worker;

pub use crate::bridge::Cancel;
pub use crate::embedded::{Embedded, EmbeddedError, Limits};
pub use acquire::Acquisition;
pub use builder::ClientBuilder;
pub use cancel::Cancellation;
pub use clock::{Clock, Stamp, SystemClock};
#[cfg(feature = "client")]
pub use cluster::Cluster;
pub use connect::ConnectError;
#[cfg(feature = "client")]
pub use connect::{connect, connect_with};
pub use drain::{DrainGuard, DrainReport};
pub use error::{AcquireError, ReleaseError, RunError, TryAcquireError};
pub use events::{Event, EventKind};
pub use handle::Client;
pub use keys::Keys;
pub use lease::{Belief, Loss};
pub use locks::{LockError, LockManager, Locks};
#[cfg(feature = "cli")]
pub(crate) use own_name::Guarded;
pub use pod::{Pod, PodUnknown};
pub use rate::RateLimit;
pub use request::{LimitTemplate, Request};
pub use scope::Scope;
#[cfg(feature = "client")]
pub use server_clock::ServerClock;
pub use slots::{ClaimRef, Slots, Token};
pub use store::Store;
pub use worker::{Worker, WorkerUnknown};
