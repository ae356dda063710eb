//! What users do all the while: they create pods, edit, delete and replace them, and change limits.
//!
//! Their requests go to the server itself, which is away now and then: what is refused or unanswered did not happen, or
//! did; they do not care. No admission policies are installed, so an edit of a waiting request raises the attempt in
//! the same write, as the policy would.

use std::time::Duration;

use fastrand::Rng;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use serde_json::{Value, json};
use sluice::api::names;
use sluice_testenv::{EXIT_CODE, RUN_FOR, STOP_AFTER};
use tokio::sync::RwLock;
use tokio::time::{Instant, sleep, timeout};

use crate::error::Result;
use crate::store::Era;
use crate::town::{
    self, COMES_AND_GOES, FAMILY, LIMITS, POISON, PROOF, RATED, SLOTS_MAX, TOOL, Town,
};
use crate::wish;

/// How many pods there are that have not ended, if the server takes them fast enough.
const LIVE_PODS: usize = 200;
/// How many ended pods users keep to look at.
const ENDED_PODS: usize = 20;
/// How many pods are created in one go.
const BURST: usize = 15;
/// Between two rounds of what users do.
const PAUSE: Duration = Duration::from_millis(200);
/// How often they look what there is.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// Longest they wait for an answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// All of them.
pub(crate) struct Users {
    town: Town,
    dice: Rng,
    created: usize,
    live: Vec<String>,
}

impl Users {
    pub(crate) fn new(town: Town, dice: Rng) -> Self {
        Self {
            town,
            dice,
            created: 0,
            live: Vec::new(),
        }
    }

    /// Goes on until dropped; keeps still while `world` is locked.
    pub(crate) async fn live(mut self, world: &RwLock<Era>) -> Result<()> {
        let mut looked = Instant::now();
        loop {
            {
                let _busy = world.read().await;
                if looked.elapsed() >= LOOK_EVERY {
                    self.look().await;
                    looked = Instant::now();
                }
                for _ in 0..BURST.min(LIVE_PODS.saturating_sub(self.live.len())) {
                    self.create().await?;
                }
                self.meddle().await;
            }
            sleep(PAUSE).await;
        }
    }

    async fn look(&mut self) {
        let pods = self.town.pods();
        let list = ListParams::default();
        let Ok(Ok(found)) = timeout(PATIENCE, pods.list(&list)).await else {
            return;
        };
        let (ended, live): (Vec<Pod>, Vec<Pod>) = found
            .items
            .into_iter()
            .filter(|pod| !pod.name_any().starts_with(POISON))
            .partition(has_ended);
        self.live = live.iter().map(ResourceExt::name_any).collect();
        for pod in ended.iter().skip(ENDED_PODS) {
            self.delete(&pod.name_any(), &DeleteParams::default()).await;
        }
    }

    async fn create(&mut self) -> Result<()> {
        self.created = self.created.saturating_add(1);
        let name = format!("p{}", self.created);
        let dice = &mut self.dice;
        let wish = Asked::draw(dice);
        let mut annotations = json!({
            (names::SLOTS): wish.slots,
            (RUN_FOR): format!("{}ms", dice.u32(50..2_000)),
            (EXIT_CODE): if dice.bool() { "0" } else { "1" },
        });
        let mut optional = |one_in: u32, name: &str, value: String| {
            if dice.u32(..one_in) == 0 {
                annotations[name] = value.into();
            }
        };
        optional(4, names::IF_MISSING, "Ignore".to_owned());
        optional(5, STOP_AFTER, "700ms".to_owned());
        optional(10, names::TIMEOUT, "20s".to_owned());
        if dice.u32(..3) == 0 {
            annotations[names::LOCKS] = lock(dice).into();
        }
        if let Some(rates) = wish.rates {
            annotations[names::RATE_LIMITS] = rates.into();
        }
        if annotations.get(names::TIMEOUT).is_some() && dice.bool() {
            annotations[names::ON_TIMEOUT] = "Fail".into();
        }
        let labels = json!({(names::WORKER): format!("w{}", dice.u32(..3))});
        let pod = town::pod(&name, &annotations, &labels)?;
        let pods = self.town.pods();
        // Unanswered, it may be there all the same: the next look tells.
        if let Ok(Ok(_)) = timeout(PATIENCE, pods.create(&PostParams::default(), &pod)).await {
            self.live.push(name);
        }
        Ok(())
    }

    /// One thing that somebody does to a pod or a limit.
    async fn meddle(&mut self) {
        let Some(pod) = self.dice.choice(&self.live).cloned() else {
            return;
        };
        let limit = LIMITS
            .get(self.dice.usize(..LIMITS.len()))
            .copied()
            .unwrap_or("gpu");
        match self.dice.u8(..24) {
            0 | 1 => self.delete(&pod, &DeleteParams::default()).await,
            2 => {
                let force = DeleteParams::default().grace_period(0);
                self.delete(&pod, &force).await;
            }
            3 => self.fail_like_pod_gc(&pod).await,
            4..=7 => self.edit(&pod).await,
            8 => {
                let slots = self.dice.i32(1..=SLOTS_MAX);
                self.edit_limit(limit, json!({"slots": slots})).await
            }
            9 => self.edit_limit(limit, json!({"mode": "Paused"})).await,
            10..=12 => {
                self.edit_limit(limit, json!({"mode": "Active", "slots": SLOTS_MAX}))
                    .await
            }
            13 => self.edit_limit("net", json!({"mode": "Disabled"})).await,
            14 | 15 => self.edit_limit("net", json!({"mode": "Active"})).await,
            16 => {
                let limits = self.town.limits();
                let _ = timeout(
                    PATIENCE,
                    limits.delete(COMES_AND_GOES, &DeleteParams::default()),
                )
                .await;
            }
            17..=19 => {
                let spec = town::spec_of(COMES_AND_GOES);
                let _ = timeout(PATIENCE, self.town.create_limit(COMES_AND_GOES, spec)).await;
            }
            20 | 21 => {
                let decay =
                    json!({"slots": self.dice.u32(2..9), "perSeconds": self.dice.u32(1..3)});
                let decay = if self.dice.u32(..4) == 0 {
                    Value::Null
                } else {
                    decay
                };
                self.edit_limit(RATED, json!({"decay": decay})).await;
            }
            22 => {
                let label =
                    json!({"metadata": {"labels": {"touched": self.dice.u32(..).to_string()}}});
                self.patch_limit(limit, &label).await;
            }
            _ => {}
        }
    }

    async fn delete(&self, pod: &str, how: &DeleteParams) {
        let _ = timeout(PATIENCE, self.town.pods().delete(pod, how)).await;
    }

    async fn edit_limit(&self, limit: &str, spec: Value) {
        self.patch_limit(limit, &json!({"spec": spec})).await;
    }

    async fn patch_limit(&self, limit: &str, patch: &Value) {
        let (limits, patch) = (self.town.limits(), Patch::Merge(patch));
        let _ = timeout(
            PATIENCE,
            limits.patch(limit, &PatchParams::default(), &patch),
        )
        .await;
    }

    /// Changes what a waiting pod asks for, on the version that was read, with the next attempt.
    async fn edit(&mut self, pod: &str) {
        let pods = self.town.pods();
        let Ok(Ok(found)) = timeout(PATIENCE, pods.get(pod)).await else {
            return;
        };
        let attempt = match found.annotations().get(names::ATTEMPT) {
            None => Some(0_u64),
            Some(text) => text.parse().ok(),
        };
        let (Some(attempt), true) = (attempt, is_gated(&found)) else {
            return;
        };
        let wish = Asked::draw(&mut self.dice);
        let patch = json!({"metadata": {
            "resourceVersion": found.resource_version(),
            "annotations": {
                (names::SLOTS): wish.slots,
                (names::RATE_LIMITS): wish.rates,
                (names::ATTEMPT): attempt.saturating_add(1).to_string(),
            },
        }});
        let patch = Patch::Merge(&patch);
        let _ = timeout(PATIENCE, pods.patch(pod, &PatchParams::default(), &patch)).await;
    }

    /// Declares a running pod Failed without proof, as the garbage collector does when a node is gone; but for pods
    /// whose slots need proof, for which nobody would ever bring it.
    async fn fail_like_pod_gc(&self, pod: &str) {
        let pods = self.town.pods();
        let Ok(Ok(found)) = timeout(PATIENCE, pods.get(pod)).await else {
            return;
        };
        let bound = found
            .spec
            .as_ref()
            .is_some_and(|spec| spec.node_name.is_some());
        let needs_proof = found.finalizers().iter().any(|it| it == names::FINALIZER);
        if !bound || needs_proof || has_ended(&found) {
            return;
        }
        let patch = json!({"metadata": {"resourceVersion": found.resource_version()}, "status": {
            "phase": "Failed",
            "conditions": [{
                "type": "DisruptionTarget", "status": "True", "reason": "DeletionByPodGC",
                "message": "PodGC: node no longer exists", "lastTransitionTime": null,
            }],
        }});
        let patch = Patch::Strategic(&patch);
        let _ = timeout(
            PATIENCE,
            pods.patch_status(pod, &PatchParams::default(), &patch),
        )
        .await;
    }
}

pub(crate) fn has_ended(pod: &Pod) -> bool {
    let phase = pod
        .status
        .as_ref()
        .and_then(|status| status.phase.as_deref());
    matches!(phase, Some("Succeeded" | "Failed"))
}

fn is_gated(pod: &Pod) -> bool {
    let gates = pod
        .spec
        .iter()
        .filter_map(|spec| spec.scheduling_gates.as_ref());
    gates.flatten().any(|gate| gate.name == names::GATE)
}

/// What a pod asks for.
struct Asked {
    /// One to three limits.
    slots: String,
    /// What it takes for a rate, where it does not hold slots of the same limit.
    rates: Option<String>,
}

impl Asked {
    fn draw(dice: &mut Rng) -> Self {
        let slots = slots(dice);
        let takes = dice.u32(..5) == 0 && !slots.contains(RATED);
        let rates = takes.then(|| format!("{RATED}={}", dice.u32(1..4)));
        Self { slots, rates }
    }
}

fn slots(dice: &mut Rng) -> String {
    let mut wishes = Vec::new();
    for _ in 0..dice.usize(1..4) {
        let wish = match dice.u32(..14) {
            13 => RATED.to_owned(),
            12 => TOOL.to_owned(),
            0..3 => format!("gpu={}", dice.u32(1..3)),
            3..6 => format!("db={}", dice.u32(1..3)),
            6..8 => format!("net={}", dice.u32(1..3)),
            8 | 9 => COMES_AND_GOES.to_owned(),
            10 => FAMILY.to_owned(),
            _ => PROOF.to_owned(),
        };
        wishes.push(wish);
    }
    wishes.join(", ")
}

fn lock(dice: &mut Rng) -> String {
    let (name, is_exclusive) = wish::lock(dice);
    let mode = if is_exclusive { "exclusive" } else { "shared" };
    format!("{name}:{mode}")
}
