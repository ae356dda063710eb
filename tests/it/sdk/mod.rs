//! The SDK on the real control plane, with the real controller.
//!
//! Each test has a namespace and a controller of its own. [`stage`] makes clients; [`faulty`] is a store that loses
//! answers and counts calls around the real one; [`beliefs`] keeps account of who believed to hold when.

mod basics;
mod beliefs;
mod bodies;
mod crowd;
mod dropping;
mod ending;
mod faulty;
mod ids;
mod killed;
mod losing;
mod partition;
mod pods;
mod refusals;
mod shared;
mod stage;
