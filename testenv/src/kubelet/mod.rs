//! Nodes without machines, and what a kubelet would say about the pods on them.
//!
//! Pods are bound by the real scheduler. From then on the stand-in does what a kubelet does to the API, and nothing
//! else: a pod runs, for as long as its annotation says, and ends; a deleted pod is stopped, reported Failed with its
//! containers terminated, and only then goes. It never starts a process, probes nothing, and restarts no container: what
//! [`RUN_FOR`] says ends the pod whatever its `restartPolicy` is, and it knows no `activeDeadlineSeconds`.
//!
//! | annotation | meaning |
//! |---|---|
//! | `testenv.sluice.dev/run-for: 500ms` | the pod ends by itself so long after it began to run; without it, it runs until it is deleted; may be set or changed while it runs, `0s` ends it now |
//! | `testenv.sluice.dev/exit-code: "1"` | how it ends by itself: `0` (default) Succeeded, else Failed |
//! | `testenv.sluice.dev/stop-after: 1s` | how long it takes to stop once it is deleted (default at once) |
//!
//! Durations are whole numbers of `ms`, `s` or `m`. Uglier things are methods of [`FakeNodes`].
//!
//! Tested against the real control plane in `tests/it/pods.rs`.

mod duration;
mod life;
mod nodes;
mod report;
mod runner;
mod ugly;
mod view;
mod writer;

pub use self::nodes::{DEDICATED, FakeNodes, NodeOptions};

/// How long a pod runs before it ends by itself.
pub const RUN_FOR: &str = "testenv.sluice.dev/run-for";
/// The exit code of a pod that ends by itself.
pub const EXIT_CODE: &str = "testenv.sluice.dev/exit-code";
/// How long a pod takes to stop once it is deleted.
pub const STOP_AFTER: &str = "testenv.sluice.dev/stop-after";
