//! Claims of processes: alone, and in one queue with pods.

use std::collections::BTreeMap;

use jiff::Timestamp;
use sluice::api::ClaimPhase;
use sluice_testenv::{ControlPlane, Options, RequestKind};

use crate::support::{World, reason_of, tokens_of};

/// Writes of our kinds, and of events, that the server has counted.
async fn writes(world: &World) -> BTreeMap<RequestKind, u64> {
    let ours = ["slotclaims", "pods", "concurrencylimits", "locks", "events"];
    let all = world.plane().api_requests().await.unwrap().into_iter();
    all.filter(|(kind, _)| kind.is_write() && ours.contains(&kind.resource.as_str()))
        .collect()
}

fn sum(writes: &BTreeMap<RequestKind, u64>) -> u64 {
    writes.values().sum()
}

#[tokio::test]
async fn a_claim_alone_costs_six_writes() {
    let options = Options::default()
        .without_scheduler()
        .without_controller_manager();
    let plane = ControlPlane::start(options).await.unwrap();
    let plan = World::plan("claim-writes").flag("--events=false");
    let world = plan.on(plane, None).begin().await;
    world.limit("gpu", 1).await;
    let before = writes(&world).await;
    world.claim("a").slots("gpu", 1).create().await;
    let claim = world.claim_granted("a").await;
    let status = claim.status.as_ref().unwrap();
    assert_eq!(status.lease_duration_seconds, Some(60));
    assert!(status.granted_at.is_some() && status.expires_at.is_some());
    let held = world.limit_now("gpu").await;
    let lease = held.lease("a").unwrap();
    assert_eq!(
        (&lease["kind"], &lease["lingerSeconds"]),
        (&"Claim".into(), &63.into())
    );
    assert_eq!(
        tokens_of(&claim),
        [("gpu".to_owned(), lease["token"].as_i64().unwrap())]
    );
    world.release_claim("a").await;
    world.claim_gone("a").await;
    world.holders("gpu", []).await;
    // Create, lease, grant, release, lease away, delete.
    world
        .eventually("all writes to be counted", async || {
            sum(&writes(&world).await) >= sum(&before) + 6
        })
        .await;
    world.quiet().await;
    let after = writes(&world).await;
    assert_eq!(sum(&after) - sum(&before), 6, "{before:?} {after:?}");
    world.finish().await;
}

#[tokio::test]
async fn what_was_released_is_kept_where_the_operator_wants_it() {
    let plan = World::plan("claim-kept");
    let world = plan
        .flag("--released-claims-seconds=2")
        .flag("--ended-claims-seconds=2")
        .begin()
        .await;
    world.assume(|it| it.ended_claims_kept(2));
    world.limit("gpu", 1).await;
    world.claim("a").slots("gpu", 1).create().await;
    world.claim_granted("a").await;
    world
        .claim("late")
        .slots("gpu", 1)
        .with("timeoutSeconds", 0)
        .create()
        .await;
    world.claim_is("late", ClaimPhase::TimedOut).await;
    world.release_claim("a").await;
    world.claim_is("a", ClaimPhase::Released).await;
    world.claim_gone("a").await;
    world.claim_gone("late").await;
    world.finish().await;
}

/// Whoever comes next has a later creationTimestamp, which has whole seconds.
async fn next_second(world: &World) {
    let now = Timestamp::now().as_second();
    let later = async || Timestamp::now().as_second() > now;
    world.eventually("the next second", later).await;
}

#[tokio::test]
async fn pods_and_claims_stand_in_one_queue() {
    let world = World::new("claim-queue").await;
    world.limit("gpu", 3).await;
    world.pod("first-pod").slots("gpu").create().await;
    world.claim("first-claim").slots("gpu", 2).create().await;
    world.granted("first-pod").await;
    world.claim_granted("first-claim").await;
    for index in 0..4 {
        let name = format!("next-{index}");
        if index % 2 == 0 {
            world.claim(&name).slots("gpu", 1).create().await;
        } else {
            world.pod(&name).slots("gpu").create().await;
        }
        next_second(&world).await;
    }
    // Lower in the queue, though it came no later than the last.
    world
        .claim("last")
        .slots("gpu", 3)
        .with("priority", -1)
        .create()
        .await;
    world.waiting("gpu", 5).await;
    world.end("first-pod").await;
    world.holders("gpu", ["first-claim", "next-0"]).await;
    world.release_claim("first-claim").await;
    world.holders("gpu", ["next-0", "next-1", "next-2"]).await;
    world.claim_waits("last").await;
    world.is_gated("next-3").await;
    world.end("next-1").await;
    world.holders("gpu", ["next-0", "next-2", "next-3"]).await;
    for claim in ["next-0", "next-2"] {
        world.claim_granted(claim).await;
        world.release_claim(claim).await;
    }
    world.end("next-3").await;
    world.claim_granted("last").await;
    world.finish().await;
}

#[tokio::test]
async fn who_gives_up_while_waiting_is_gone_at_once() {
    let world = World::new("claim-gives-up").await;
    world.limit("gpu", 1).await;
    world.claim("a").slots("gpu", 1).create().await;
    world.claim_granted("a").await;
    for name in ["b", "c"] {
        world.claim(name).slots("gpu", 1).create().await;
    }
    world.waiting("gpu", 2).await;
    world.release_claim("b").await;
    world.claim_gone("b").await;
    world.delete_claim("c").await;
    world.waiting("gpu", 0).await;
    world.holders("gpu", ["a"]).await;
    world.finish().await;
}

#[tokio::test]
async fn a_claim_of_several_is_all_or_nothing() {
    let world = World::new("claim-several").await;
    world.limit("gpu", 2).await;
    world.limit("db", 1).await;
    world.lock("door").await;
    world.pod("p").slots("db").create().await;
    world.granted("p").await;
    let both = world.claim("both").slots("gpu", 2).slots("db", 1);
    both.lock("door", "Exclusive").create().await;
    world.waiting("db", 1).await;
    world.holders("gpu", []).await;
    world.end("p").await;
    let claim = world.claim_granted("both").await;
    assert_eq!(tokens_of(&claim).len(), 3);
    world.lock_holders("door", ["both"]).await;
    world.holders("gpu", ["both"]).await;
    assert_eq!(reason_of(&claim), "");
    world.finish().await;
}
