//! What scenarios are written with: a namespace, a controller that serves it, and words for what users do and see.
//!
//! ```ignore
//! let world = World::new("queue").await;
//! world.limit("gpu", 1).await;
//! world.pod("a").slots("gpu").create().await;
//! world.granted("a").await;
//! world.end("a").await;
//! world.finish().await; // every scenario: ends what runs, and proves the invariants from etcd's history
//! ```
//!
//! A [`World`] is made of [`Space`]s, one for each namespace, and is its own first one. What waits has a deadline, and a
//! test that fails says what the cluster looked like and where the controller's log is. No chart is installed: pods carry
//! gate and label from the start, as a user without our admission policies would write them.

mod act;
mod bell;
mod claim;
mod controller;
mod dice;
mod finish;
mod orphans;
mod pod;
mod pool;
mod proxy;
mod see;
mod stage;
mod state;
mod world;

pub(crate) use self::claim::{SHORT_LEASE_SECONDS, phase_of, reason_of, tokens_of};
pub(crate) use self::controller::Fault;
pub(crate) use self::dice::Dice;
pub(crate) use self::pod::PodFacts;
pub(crate) use self::proxy::{Proxy, Wire};
pub(crate) use self::stage::{install_crds, ours_are_served};
pub(crate) use self::world::World;

/// How long anything may take before a test fails, in seconds: far longer than it does.
pub(crate) const PATIENCE_SECONDS: u64 = 30;
/// How long between two looks, in milliseconds.
const POLL_MILLIS: u64 = 50;
