//! The end of every scenario: all that still runs is ended, and the invariants are proven from etcd's history.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use kube::{Api, ResourceExt as _};
use serde_json::json;
use sluice_testenv::RUN_FOR;
use sluice_testenv::history::{Belief, History, Violation, check, check_beliefs, check_quiescent};

use super::pod::PodFacts as _;
use super::world::{Space, World};

/// Most violations that a failed test tells.
const VIOLATIONS_TOLD: usize = 12;
/// Most objects whose story a failed test tells.
const STORIES_TOLD: usize = 3;

impl World {
    /// Waits until nobody waits for what is free, ends everything, waits until nothing is held, and proves from the
    /// history that no invariant was ever broken.
    pub(crate) async fn finish(self) {
        self.finish_with(&[]).await;
    }

    /// The same; and that what holders believed fits into that history.
    pub(crate) async fn finish_with(self, beliefs: &[Belief]) {
        self.quiet().await;
        for space in self.spaces() {
            space.end_workloads().await;
        }
        self.eventually("the end of all pods, claims and leases", async || {
            let mut left = false;
            for space in self.spaces() {
                left |= space.end_claims().await;
                left |= space.end_pods().await || space.is_held().await;
            }
            !left
        })
        .await;
        self.quiet().await;
        let history = self.history().await;
        let mut violations = check(&history, &self.scene.assumptions.borrow());
        if !beliefs.is_empty() {
            let assumptions = self.scene.assumptions.borrow();
            violations.extend(check_beliefs(&history, beliefs, &assumptions));
        }
        if !violations.is_empty() {
            self.fail(&told(&violations, &history));
        }
    }

    /// The history of all its namespaces, from etcd.
    pub(crate) async fn history(&self) -> History {
        History::record(&self.plane().etcd_url(), self.scope())
            .await
            .unwrap()
    }

    /// Waits until nobody holds what has ended, nobody live is forgotten, and nobody waits for what is free.
    pub(crate) async fn quiet(&self) {
        let last = std::cell::RefCell::new(String::new());
        let quiet = async || {
            let history = self.history().await;
            let violations = check_quiescent(&history, &self.scene.assumptions.borrow());
            last.replace(told(&violations, &history));
            violations.is_empty()
        };
        let patience = std::time::Duration::from_secs(super::PATIENCE_SECONDS);
        let deadline = std::time::Instant::now() + patience;
        while !quiet().await {
            if std::time::Instant::now() > deadline {
                self.fail(&format!("it does not come to rest:\n{}", last.borrow()));
            }
            tokio::time::sleep(std::time::Duration::from_millis(super::POLL_MILLIS)).await;
        }
    }
}

impl Space {
    async fn end_workloads(&self) {
        let (background, all) = (DeleteParams::background(), ListParams::default());
        let jobs: Api<Job> = Api::namespaced(self.client(), self.namespace());
        jobs.delete_collection(&background, &all).await.unwrap();
        let deployments: Api<Deployment> = Api::namespaced(self.client(), self.namespace());
        deployments
            .delete_collection(&background, &all)
            .await
            .unwrap();
    }

    /// Ends what runs and deletes what waits; whether anything does.
    async fn end_pods(&self) -> bool {
        let pods = self.all_pods().await;
        let mut live = false;
        for pod in pods.iter().filter(|pod| !pod.is_terminal()) {
            live = true;
            self.end_pod(pod).await;
        }
        live
    }

    async fn end_pod(&self, pod: &Pod) {
        let name = pod.name_any();
        // Whatever is refused is looked at again in the next round.
        if pod.metadata.deletion_timestamp.is_some() || pod.annotation(RUN_FOR) == Some("0s") {
        } else if pod.is_bound() {
            let end = json!({"metadata": {"annotations": {(RUN_FOR): "0s"}}});
            let _ = self
                .pods()
                .patch(&name, &PatchParams::default(), &Patch::Merge(end))
                .await;
        } else {
            let _ = self.pods().delete(&name, &DeleteParams::default()).await;
        }
    }

    async fn is_held(&self) -> bool {
        self.all_pools()
            .await
            .iter()
            .any(|pool| !pool.holders().is_empty())
    }
}

fn told(violations: &[Violation], history: &History) -> String {
    let mut text = format!("{} violations\n", violations.len());
    for violation in violations.iter().take(VIOLATIONS_TOLD) {
        let _ = writeln!(text, "{violation}");
    }
    let about: BTreeSet<&str> = violations
        .iter()
        .map(|it| it.object.name.as_str())
        .collect();
    for name in about.into_iter().take(STORIES_TOLD) {
        let _ = writeln!(
            text,
            "--- what happened to {name}:\n{}",
            history.story(name)
        );
    }
    text
}
