//! Statuses that somebody wrote by hand: adopted or let go on evidence, never granted twice.

use serde_json::{Value, json};

use crate::support::World;

/// A lease as the controller writes them.
fn lease(uid: &str, name: &str, token: &Value) -> Value {
    json!({
        "uid": uid, "kind": "Pod", "name": name, "slots": 1, "token": token, "attempt": 0,
        "grantedAt": "2026-11-21T10:00:00Z",
    })
}

#[tokio::test]
async fn a_lease_of_a_pod_that_never_was_goes_when_it_has_settled() {
    let world = World::new("ghost").await;
    world
        .limit_with("gpu", json!({"slots": 1, "settleSeconds": 1}))
        .await;
    world.fenced("gpu").await;
    let token = world.limit_now("gpu").await.status()["lastToken"].clone();
    let ghost = lease("00000000-0000-0000-0000-000000000000", "ghost", &token);
    let revision = world
        .patch_limit_status("gpu", json!({"leases": [ghost]}))
        .await;
    world.assume(|it| it.written_by_hand(revision));
    world.pod("a").slots("gpu").create().await;
    world.event("gpu", "PresumedRelease").await;
    world.granted("a").await;
    world.finish().await;
}

#[tokio::test]
async fn leases_that_somebody_deleted_come_back() {
    let world = World::new("wiped").await;
    world.limit("gpu", 2).await;
    for name in ["a", "b"] {
        world.pod(name).slots("gpu").create().await;
        world.granted(name).await;
    }
    world.pod("c").slots("gpu").create().await;
    world.waiting("gpu", 1).await;
    let passed = world.pod_ref("c");
    let revision = world.patch_limit_status("gpu", json!({"leases": []})).await;
    // Until it sees what is missing it may grant what looks free; afterwards everybody counts.
    world.assume(|it| {
        it.written_by_hand(revision)
            .except(sluice_testenv::history::Invariant::Physical, passed)
    });
    world
        .limit_is("gpu", "counts both again", |it| {
            it.holders()
                .is_superset(&["a".to_owned(), "b".to_owned()].into())
        })
        .await;
    for name in ["a", "b"] {
        world.end(name).await;
    }
    world.granted("c").await;
    world.finish().await;
}

#[tokio::test]
async fn a_status_of_a_newer_version_is_left_alone() {
    let world = World::new("newer").await;
    world.limit("gpu", 1).await;
    world.limit("other", 1).await;
    let revision = world.patch_limit_status("gpu", json!({"schema": 99})).await;
    world.assume(|it| it.written_by_hand(revision));
    world.pod("a").slots("gpu").create().await;
    world.pod("b").slots("other").create().await;
    world.granted("b").await;
    world.event("a", "LimitQuarantined").await;
    let limit = world.limit_now("gpu").await;
    assert_eq!(
        limit.object().metadata.resource_version,
        Some(revision.to_string())
    );
    world.is_gated("a").await;
    let revision = world.patch_limit_status("gpu", json!({"schema": 1})).await;
    world.assume(|it| it.written_by_hand(revision));
    world.granted("a").await;
    world.finish().await;
}

#[tokio::test]
async fn fields_that_this_version_does_not_know_are_kept() {
    let world = World::new("unknown").await;
    world.limit("gpu", 1).await;
    world.pod("a").slots("gpu").create().await;
    world.granted("a").await;
    let revision = world
        .patch_limit_status("gpu", json!({"conditions": [], "waiting": 41}))
        .await;
    world.assume(|it| it.written_by_hand(revision));
    world
        .limit_is("gpu", "described again", |it| {
            it.holds("Ready") == Some("Granting") && it.number("waiting") == 0
        })
        .await;
    world.holders("gpu", ["a"]).await;
    world.finish().await;
}

#[tokio::test]
async fn a_limit_whose_fence_was_taken_off_fences_again() {
    let world = World::new("unfenced").await;
    world.limit("gpu", 1).await;
    world.pod("a").slots("gpu").create().await;
    world.granted("a").await;
    world.pod("b").slots("gpu").create().await;
    world.waiting("gpu", 1).await;
    let revision = world
        .patch_limit_status("gpu", json!({"fenced": false}))
        .await;
    world.assume(|it| it.written_by_hand(revision));
    world.fenced("gpu").await;
    world.holders("gpu", ["a"]).await;
    world.is_gated("b").await;
    world.end("a").await;
    world.granted("b").await;
    world.finish().await;
}
