//! The main scenarios, each in a namespace of its own and all at once, by people who write annotations and nothing else:
//! gate and label come from the release's admission, slots from its controller. Nothing here knows how either runs.

use std::ops::Deref;

use futures::future::join_all;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{ApiResource, Patch, PatchParams};
use serde_json::json;
use sluice::api::{Lock, names};

use super::audit::Audit;
use super::claims::claims_come_and_go;
use super::helm::RELEASE;
use super::programs::a_program_lives_as_long_as_its_pod;
use super::site::LOST_NODE;
use crate::support::{PodFacts as _, World};

/// One namespace of a world.
pub(super) type Space = <World as Deref>::Target;

/// How many namespaces [`all`] takes, from the first one on.
pub(super) const NAMESPACES: usize = 10;

/// How many touch a limit at once, so that a write of its status seldom finds it as it was.
const TOUCHERS: usize = 4;

/// Every one of them. The audit log is that of the control plane.
pub(super) async fn all(world: &World, audit: &Audit) {
    tokio::join!(
        a_job_queues(world.space(0)),
        a_lock_goes_round(world.space(1)),
        a_family_comes_and_goes(world.space(2)),
        a_wait_ends_in_failure(world.space(3)),
        a_lost_node_is_proof(world.space(4)),
        an_operator_frees_a_slot(world.space(5)),
        an_edit_starts_over(world.space(6)),
        somebody_keeps_touching(world.space(7), audit),
        claims_come_and_go(world.space(8)),
        a_program_lives_as_long_as_its_pod(world.space(9)),
    );
}

async fn a_job_queues(space: &Space) {
    space.limit("gpu", 2).await;
    let pod = space.pod("unused").ungated().slots("gpu").run_for("20ms");
    space.job("render", 6, pod).await;
    space
        .eventually("all pods of the Job to have had a slot", async || {
            let pods = space.all_pods().await;
            let had = |pod: &Pod| pod.phase() == "Succeeded" && pod.token("gpu").is_some();
            pods.len() == 6 && pods.iter().all(had)
        })
        .await;
}

/// The second one is told why it waits.
async fn a_lock_goes_round(space: &Space) {
    space.lock("door").await;
    let first = space.pod("first").ungated().locks("door").create().await;
    assert!(first.is_gated(), "{:?}", first.spec);
    space.granted("first").await;
    space.pod("second").ungated().locks("door").create().await;
    let told = space.event("second", "WaitingForSlots").await;
    assert!(told.contains("door") && told.contains("first"), "{told}");
    space.is_gated("second").await;
    space.end("first").await;
    space.granted("second").await;
    space.end("second").await;
    space.lock_holders("door", []).await;
}

/// A worker's limit is created, put right after a change by hand, and deleted.
async fn a_family_comes_and_goes(space: &Space) {
    let family = json!({"slots": 1, "perWorker": {"idleSeconds": 1}});
    space.limit_with("tile", family).await;
    let pod = space.pod("a").ungated().worker("east");
    pod.slots("tile").create().await;
    space.granted("a").await;
    space.edit_limit("tile--east", json!({"slots": 9})).await;
    space
        .limit_is("tile--east", "put right", |it| it.spec()["slots"] == 1)
        .await;
    space.end("a").await;
    space
        .eventually("the end of an idle worker's limit", async || {
            space.limit_if_any("tile--east").await.is_none()
        })
        .await;
}

async fn a_wait_ends_in_failure(space: &Space) {
    space.limit("gpu", 1).await;
    space.pod("holder").ungated().slots("gpu").create().await;
    space.granted("holder").await;
    space
        .pod("late")
        .ungated()
        .slots("gpu")
        .annotation(names::TIMEOUT, "500ms")
        .annotation(names::ON_TIMEOUT, "Fail")
        .create()
        .await;
    let late = space
        .pod_is("late", "Failed", |it| it.phase() == "Failed")
        .await;
    assert_eq!(late.status.unwrap().reason.as_deref(), Some("SlotTimeout"));
    space.end("holder").await;
    space.holders("gpu", []).await;
}

/// `Confirmed`: what a node took with it counts until the node is known to be gone.
async fn a_lost_node_is_proof(space: &Space) {
    let spec = json!({"slots": 1, "releasePolicy": "Confirmed"});
    space.limit_with("licence", spec).await;
    space.fenced("licence").await;
    let pod = json!({"apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "lost", "annotations": {(names::SLOTS): "licence"}},
        "spec": {"containers": [{"name": "main", "image": "none"}],
            "nodeSelector": {"kubernetes.io/hostname": LOST_NODE}, "tolerations": [{"operator": "Exists"}]}});
    space.apply_json(pod).await;
    let lost = space.granted("lost").await;
    let finalizers = lost.metadata.finalizers.unwrap_or_default();
    assert_eq!(finalizers, [names::FINALIZER]);
    space.running("lost").await;
    space.pod("next").ungated().slots("licence").create().await;
    space.nodes().delete(LOST_NODE).await.unwrap();
    let nodes = space.nodes();
    nodes
        .fail_like_pod_gc(space.namespace(), "lost")
        .await
        .unwrap();
    nodes.force_delete(space.namespace(), "lost").await.unwrap();
    space.granted("next").await;
    // Nothing keeps the object any more.
    space.gone("lost").await;
    space.end("next").await;
    space.holders("licence", []).await;
    space
        .pod_is("next", "without our finalizer", |it| {
            it.metadata.finalizers.is_none()
        })
        .await;
}

async fn an_operator_frees_a_slot(space: &Space) {
    space.limit("gpu", 1).await;
    space.pod("stuck").ungated().slots("gpu").create().await;
    let stuck = space.granted("stuck").await;
    space.pod("next").ungated().slots("gpu").create().await;
    let word = json!({"metadata": {"annotations": {(names::RELEASE): stuck.id()}}});
    space.patch_limit("gpu", word).await;
    space.granted("next").await;
    space.holders("gpu", ["next"]).await;
    let told = space.event("gpu", "ForcedRelease").await;
    assert!(told.contains("stuck"), "{told}");
}

/// The policy of attempts raises the attempt in the edit itself, and the controller goes on from there.
async fn an_edit_starts_over(space: &Space) {
    space.limit("full", 0).await;
    space.limit("free", 1).await;
    space.pod("a").ungated().slots("full").create().await;
    space.waiting("full", 1).await;
    space.annotate("a", names::SLOTS, Some("free")).await;
    let edited = space.get("a").await;
    assert_eq!(edited.annotation(names::ATTEMPT), Some("1"));
    let granted = space.granted("a").await.granted().unwrap();
    assert_eq!(granted["attempt"], 1);
    assert_eq!(granted["leases"][0]["key"], "free");
}

/// A limit and a lock whose labels change all the time give their slots all the same: where a conflict is nobody's
/// fault, the controller tests what matters and not the version, which takes a right of its own.
async fn somebody_keeps_touching(space: &Space, audit: &Audit) {
    space.limit("gpu", 1).await;
    space.lock("door").await;
    let wanted =
        ["concurrencylimits", "locks"].map(|kind| format!("sluice.dev/{kind}/status patch"));
    let locks = space.pools(&ApiResource::erase::<Lock>(&()));
    let touch = async || {
        for count in 0_u64.. {
            let label = json!({"metadata": {"labels": {"count": count.to_string()}}});
            let (params, patch) = (PatchParams::default(), Patch::Merge(&label));
            let (_, lock) = tokio::join!(
                space.patch_limit("gpu", label.clone()),
                locks.patch("door", &params, &patch),
            );
            lock.unwrap();
        }
    };
    let come_and_go = async || {
        for count in 0_u64.. {
            let name = format!("pod-{count}");
            let pod = space.pod(&name).ungated().slots("gpu").locks("door");
            pod.run_for("0s").create().await;
            space.succeeded(&name).await;

            let used = audit.used_by(RELEASE);

            if wanted.iter().all(|right| used.contains(right)) {
                return;
            }
        }
    };
    tokio::select! {
        _ = join_all((0..TOUCHERS).map(|_| touch())) => {}
        () = come_and_go() => {}
    }
}
