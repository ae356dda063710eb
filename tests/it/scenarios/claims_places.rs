//! What claims may ask for: what is missing or too small, patience, families, locks, other namespaces.

use serde_json::json;
use sluice::api::ClaimPhase;

use crate::support::{World, reason_of, tokens_of};

#[tokio::test]
async fn what_is_missing_or_too_small_is_denied_on_arrival() {
    let world = World::new("claim-denied").await;
    world.limit("gpu", 2).await;
    world.claim("missing").slots("none", 1).create().await;
    let claim = world.claim_is("missing", ClaimPhase::Denied).await;
    assert_eq!(reason_of(&claim), "LimitNotFound");
    world.claim("large").slots("gpu", 3).create().await;
    let claim = world.claim_is("large", ClaimPhase::Denied).await;
    assert_eq!(reason_of(&claim), "ExceedsLimit");
    // One that waits for it, one that does without, and one that is there already when its limit goes.
    world
        .claim("waits")
        .slots("none", 1)
        .with("ifMissing", "Wait")
        .create()
        .await;
    let ignores = world.claim("ignores").slots("none", 1).slots("gpu", 2);
    ignores.with("ifMissing", "Ignore").create().await;
    let granted = world.claim_granted("ignores").await;
    assert_eq!(tokens_of(&granted).len(), 1);
    world.claim("late").slots("gpu", 2).create().await;
    world.waiting("gpu", 1).await;
    world.edit_limit("gpu", json!({"slots": 1})).await;
    world.claim_waits("waits").await;
    world.release_claim("ignores").await;
    world.holders("gpu", []).await;
    world.claim_waits("late").await;
    world.limit("none", 1).await;
    world.claim_granted("waits").await;
    world.edit_limit("gpu", json!({"slots": 2})).await;
    world.claim_granted("late").await;
    world.finish().await;
}

#[tokio::test]
async fn a_limit_that_is_scaled_to_nothing_is_waited_for() {
    let world = World::new("claim-zero").await;
    world.limit("gpu", 0).await;
    world.claim("a").slots("gpu", 2).create().await;
    world.waiting("gpu", 1).await;
    world.claim_waits("a").await;
    world.edit_limit("gpu", json!({"slots": 2})).await;
    world.claim_granted("a").await;
    world.finish().await;
}

#[tokio::test]
async fn patience_may_be_short_or_none() {
    let world = World::new("claim-patience").await;
    world.limit("gpu", 1).await;
    world
        .claim("a")
        .slots("gpu", 1)
        .with("timeoutSeconds", 0)
        .create()
        .await;
    world.claim_granted("a").await;
    for (name, seconds) in [("none", 0), ("two", 2)] {
        let claim = world.claim(name).slots("gpu", 1);
        claim.with("timeoutSeconds", seconds).create().await;
    }
    let claim = world.claim_is("none", ClaimPhase::TimedOut).await;
    assert_eq!(reason_of(&claim), "SlotTimeout");
    world.claim_is("two", ClaimPhase::TimedOut).await;
    world.waiting("gpu", 0).await;
    // What is free now is not for those.
    world.release_claim("a").await;
    world
        .claim("b")
        .slots("gpu", 1)
        .with("timeoutSeconds", 2)
        .create()
        .await;
    world.claim_granted("b").await;
    world.claim_is("two", ClaimPhase::TimedOut).await;
    world.finish().await;
}

#[tokio::test]
async fn a_worker_of_a_family_is_named_by_field_or_by_key() {
    let world = World::new("claim-family").await;
    world
        .limit_with("build", json!({"slots": 1, "perWorker": {}}))
        .await;
    world
        .claim("by-field")
        .worker_slots("build", "w1", 1)
        .create()
        .await;
    world.claim("other").slots("build:w2", 1).create().await;
    world.claim_granted("by-field").await;
    let claim = world.claim_granted("other").await;
    assert_eq!(tokens_of(&claim)[0].0, "build:w2");
    world.pod("p").slots("build").worker("w1").create().await;
    world.waiting("build--w1", 1).await;
    world.claim("nobody").slots("build", 1).create().await;
    let claim = world.claim_is("nobody", ClaimPhase::Denied).await;
    assert_eq!(reason_of(&claim), "WorkerUnknown");
    world.release_claim("by-field").await;
    world.granted("p").await;
    world.finish().await;
}

#[tokio::test]
async fn locks_are_shared_or_exclusive_among_claims_and_pods() {
    let world = World::new("claim-lock").await;
    world.lock("door").await;
    world.claim("reader").lock("door", "Shared").create().await;
    world.pod("reads").locks("door:shared").create().await;
    world.claim_granted("reader").await;
    world.granted("reads").await;
    world
        .claim("writer")
        .lock("door", "Exclusive")
        .create()
        .await;
    world
        .lock_is("door", "one waits", |it| it.number("waiting") == 1)
        .await;
    world.claim_waits("writer").await;
    world.release_claim("reader").await;
    world.lock_holders("door", ["reads"]).await;
    world.claim_waits("writer").await;
    world.end("reads").await;
    world.claim_granted("writer").await;
    world.lock_holders("door", ["writer"]).await;
    world.finish().await;
}

#[tokio::test]
async fn other_namespaces_are_served_where_a_limit_allows_it() {
    let world = World::plan("claim-guest").namespaces(2).begin().await;
    let guest = world.space(1);
    world.limit("gpu", 1).await;
    let key = format!("{}/gpu", world.namespace());
    guest.claim("g").slots(&key, 1).create().await;
    world.claim("own").slots("gpu", 1).create().await;
    world.claim_granted("own").await;
    world.release_claim("own").await;
    world.claim_gone("own").await;
    world.holders("gpu", []).await;
    guest.claim_waits("g").await;
    world
        .edit_limit("gpu", json!({"allowedNamespaces": {"from": "All"}}))
        .await;
    guest.claim_granted("g").await;
    let held = world.limit_now("gpu").await;
    assert_eq!(held.lease("g").unwrap()["namespace"], guest.namespace());
    world.finish().await;
}
