//! Random crowds: pods that want anything and end somehow, and hands that meddle with them.
//!
//! Prints its seed; `SLUICE_TEST_SEED` plays the same dice again (the cluster has its own).

use fastrand::Rng;
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::json;
use sluice::api::names;
use sluice_testenv::EXIT_CODE;

use super::pod::PodFacts as _;
use super::world::World;

/// Slots of every limit at the end, so that whoever waits still fits; each pod wants less.
const SLOTS_MAX: i32 = 8;

/// The dice, and how many limits and locks they are about.
pub(crate) struct Dice {
    rng: Rng,
    limits: usize,
    locks: usize,
}

impl Dice {
    /// Dice over so many limits and locks.
    pub(crate) fn new(limits: usize, locks: usize) -> Self {
        let seed = std::env::var("SLUICE_TEST_SEED")
            .map_or_else(|_| fastrand::u64(..), |text| text.parse().unwrap());
        eprintln!("SLUICE_TEST_SEED={seed}");
        Self {
            rng: Rng::with_seed(seed),
            limits,
            locks,
        }
    }

    /// True once in so many times.
    pub(crate) fn once_in(&mut self, times: u32) -> bool {
        self.rng.u32(..times) == 0
    }

    /// Creates the limits and locks.
    pub(crate) async fn create_limits(&mut self, world: &World) {
        for index in 0..self.limits {
            let order = self.rng.choice(["Strict", "Backfill"]).unwrap();
            let slots = self.rng.i32(1..SLOTS_MAX);
            let spec = json!({"slots": slots, "order": order, "settleSeconds": 1});
            world.limit_with(&format!("limit-{index}"), spec).await;
        }
        for index in 0..self.locks {
            let spec = json!({"settleSeconds": 1});
            world.lock_with(&format!("lock-{index}"), spec).await;
        }
    }

    /// Creates a pod `p<index>`.
    pub(crate) async fn create_pod(&mut self, world: &World, index: usize) {
        let mut slots = Vec::new();
        for _ in 0..self.rng.usize(1..4) {
            slots.push(format!("{}={}", self.limit(), self.rng.usize(1..3)));
        }
        let mut pod = world
            .pod(&format!("p{index}"))
            .slots(&slots.join(","))
            .run_for(&format!("{}ms", self.rng.u32(1..400)))
            .annotation(EXIT_CODE, self.rng.choice(["0", "1"]).unwrap());
        if self.once_in(3) {
            let mode = self.rng.choice(["shared", "exclusive"]).unwrap();
            pod = pod.locks(&format!("lock-{}:{mode}", self.rng.usize(..self.locks)));
        }
        pod.create().await;
    }

    /// Does something to a pod or a limit that is there already; `pods` were created so far.
    pub(crate) async fn meddle(&mut self, world: &World, pods: usize) {
        let pod = format!("p{}", self.rng.usize(..pods));
        let limit = self.limit();
        // A pod may be gone or may have ended: whatever is refused did not happen.
        match self.rng.u8(..6) {
            0 => drop(world.pods().delete(&pod, &DeleteParams::default()).await),
            1 => drop(world.nodes().force_delete(world.namespace(), &pod).await),
            2 => {
                let slots = self.rng.i32(1..=SLOTS_MAX);
                world.edit_limit(&limit, json!({"slots": slots})).await;
            }
            3 => world.edit_limit(&limit, json!({"mode": "Paused"})).await,
            4 => world.edit_limit(&limit, json!({"mode": "Active"})).await,
            _ => {
                let found = world.pods().get_opt(&pod).await.unwrap();
                if found.is_some_and(|pod| pod.is_gated()) {
                    let wish = format!("{limit}, {}", self.limit());
                    let patch = json!({"metadata": {"annotations": {(names::SLOTS): wish}}});
                    let (params, patch) = (PatchParams::default(), Patch::Merge(patch));
                    drop(world.pods().patch(&pod, &params, &patch).await);
                }
            }
        }
    }

    /// Takes back whatever was paused or shrunk, so that nothing is in anybody's way, and waits until all pods have ended.
    pub(crate) async fn calm(&self, world: &World, seconds: u64) {
        for index in 0..self.limits {
            let spec = json!({"slots": SLOTS_MAX, "mode": "Active"});
            world.edit_limit(&format!("limit-{index}"), spec).await;
        }
        world
            .within(seconds, "all pods to have ended", async || {
                world.all_pods().await.iter().all(|pod| pod.is_terminal())
            })
            .await;
    }

    fn limit(&mut self) -> String {
        format!("limit-{}", self.rng.usize(..self.limits))
    }
}
