//! Chaos: the real controllers on a real control plane, while everything around them fails.
//!
//! Three controllers, each behind a proxy that delays, drops, doubles, refuses and cuts what they say; users who create,
//! edit and delete without end; programs that hold claims, renew, die and hang; controllers killed, stopped for longer than a lease and cut off; the API server and
//! etcd killed; the store compacted and put back to an old backup. Then faults stop, everything that can be granted
//! must be granted and nothing held by what has ended, and the history of the store is judged by `sluice_testenv`.
//! Every fault is drawn from one seed, which is printed; the cluster has dice of its own, so a seed repeats the faults
//! and not the run.
//!
//! ```sh
//! cargo run -p sluice-chaos -- --minutes 10           # a random seed, which it prints
//! cargo run -p sluice-chaos -- --minutes 4 --seed 17
//! ```
//!
//! | module | what it does |
//! |---|---|
//! | `proxy` | what happens to requests, answers and watches |
//! | `plan` | when what is done to processes |
//! | `fleet`, `process` | the controllers, and what is done to them |
//! | `store` | the API server and etcd, and the record of what they held |
//! | `town`, `users` | limits, poison, and what people do |
//! | `claimants`, `wish` | programs that hold claims or take for a rate, what they ask for, and what they believed |
//! | `judge` | what was wrong |
//! | `round` | all of it, from beginning to end |
//!
//! It decides nothing about slots, and knows no annotation but those users write. Tested by `tests/`, and in the modules.

mod claimants;
mod error;
mod flags;
mod fleet;
mod judge;
mod plan;
mod process;
mod proxy;
mod round;
mod store;
mod tally;
mod town;
mod users;
mod wish;

pub use crate::error::{Error, Result};
pub use crate::flags::{CONTROLLER, Election};
pub use crate::round::{Report, Settings, play};
pub use crate::tally::{Counts, Deed};
