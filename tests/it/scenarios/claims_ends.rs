//! How claims end without their holders' word: run out, taken away, deleted; and what a new controller makes of them.

use std::time::{Duration, Instant};

use serde_json::json;
use sluice::api::ClaimPhase;

use crate::support::{SHORT_LEASE_SECONDS, World, reason_of};

/// Silence after which a short lease has run out, in milliseconds.
const EXPIRY: Duration = Duration::from_millis(SHORT_LEASE_SECONDS as u64 * 1050);

/// A limit of one slot that `a` holds by a short lease, since when, and `b` waits for.
async fn held(prefix: &str) -> (World, Instant) {
    let world = World::new(prefix).await;
    world.limit("gpu", 1).await;
    let since = Instant::now();
    world
        .claim("a")
        .slots("gpu", 1)
        .short_lease()
        .create()
        .await;
    world.claim_granted("a").await;
    world.claim("b").slots("gpu", 1).create().await;
    world.waiting("gpu", 1).await;
    (world, since)
}

#[tokio::test]
async fn who_stops_renewing_is_followed_by_the_next() {
    let (world, since) = held("claim-expires").await;
    let claim = world.claim_is("a", ClaimPhase::Revoked).await;
    assert_eq!(reason_of(&claim), "Expired");
    assert!(since.elapsed() >= EXPIRY, "{:?}", since.elapsed());
    world.claim_granted("b").await;
    assert!(
        !world.renew_claim("a", 1).await,
        "a revoked claim was renewed"
    );
    world.finish().await;
}

#[tokio::test]
async fn who_renews_holds_for_as_long_as_it_likes() {
    let (world, since) = held("claim-renews").await;
    for seq in 1..=9 {
        let next = Duration::from_secs(3 * seq);
        world
            .eventually("the time of the next renewal", async || {
                since.elapsed() >= next
            })
            .await;
        assert!(world.renew_claim("a", i64::try_from(seq).unwrap()).await);
    }
    assert!(since.elapsed() > EXPIRY);
    world.holders("gpu", ["a"]).await;
    world.claim_granted("a").await;
    world.claim_waits("b").await;
    world.finish().await;
}

#[tokio::test]
async fn the_lock_delay_keeps_slots_after_a_lease_ran_out() {
    let world = World::new("claim-delay").await;
    let spec = json!({"slots": 1, "leaseDurationSeconds": 15, "lockDelaySeconds": 4});
    world.limit_with("gpu", spec).await;
    world.fenced("gpu").await;
    world.claim("a").slots("gpu", 1).create().await;
    let status = world.claim_granted("a").await.status.unwrap();
    assert_eq!(status.lease_duration_seconds, Some(SHORT_LEASE_SECONDS));
    assert_eq!(status.lock_delay_seconds, Some(4));
    world.claim("b").slots("gpu", 1).create().await;
    world.claim_is("a", ClaimPhase::Revoked).await;
    let revoked = Instant::now();
    world.claim_granted("b").await;
    assert!(
        revoked.elapsed() > Duration::from_secs(3),
        "{:?}",
        revoked.elapsed()
    );
    world.finish().await;
}

#[tokio::test]
async fn a_claim_that_is_deleted_while_it_holds_lingers() {
    let (world, _) = held("claim-deleted").await;
    world.delete_claim("a").await;
    let gone = Instant::now();
    world.claim_gone("a").await;
    world.claim_granted("b").await;
    assert!(gone.elapsed() >= EXPIRY, "{:?}", gone.elapsed());
    world.event("gpu", "ClaimEnded").await;
    world.finish().await;
}

#[tokio::test]
async fn an_operators_word_takes_a_claim_away() {
    let (world, _) = held("claim-word").await;
    let uid = world.claim_now("a").await.metadata.uid.unwrap();
    world
        .patch_limit(
            "gpu",
            json!({"metadata": {"annotations": {"sluice.dev/release": uid}}}),
        )
        .await;
    let claim = world.claim_is("a", ClaimPhase::Revoked).await;
    assert_eq!(reason_of(&claim), "ReleasedByOperator");
    world.claim_granted("b").await;
    world.finish().await;
}

#[tokio::test]
async fn nobody_holds_for_longer_than_it_said_at_most() {
    let world = World::new("claim-max").await;
    world.limit("gpu", 1).await;
    let claim = world.claim("a").slots("gpu", 1).with("maxHoldSeconds", 1);
    claim.create().await;
    world.claim("b").slots("gpu", 1).create().await;
    let claim = world.claim_is("a", ClaimPhase::Revoked).await;
    assert_eq!(reason_of(&claim), "MaxHold");
    // Its holder may not have heard of it, until it says that it has.
    world.holders("gpu", ["a"]).await;
    world.claim_waits("b").await;
    world.release_claim("a").await;
    world.claim_granted("b").await;
    world.finish().await;
}

#[tokio::test]
async fn a_grant_after_a_long_wait_lapses_unless_it_is_confirmed() {
    let world = World::new("claim-lapses").await;
    world.limit("gpu", 2).await;
    world.pod("p").slots("gpu=2").create().await;
    world.granted("p").await;
    for name in ["dead", "alive"] {
        let claim = world.claim(name).slots("gpu", 1);
        claim.with("leaseDurationSeconds", 20).create().await;
    }
    let since = Instant::now();
    // More than half of their lease.
    world
        .eventually("a long wait", async || {
            since.elapsed() > Duration::from_secs(11)
        })
        .await;
    world.end("p").await;
    world.claim_granted("alive").await;
    assert!(world.renew_claim("alive", 1).await);
    world.claim_granted("dead").await;
    let granted = Instant::now();
    world.claim_is("dead", ClaimPhase::Revoked).await;
    let lapsed = granted.elapsed();
    assert!(lapsed < Duration::from_secs(20), "{lapsed:?}");
    world.claim_granted("alive").await;
    world.holders("gpu", ["alive"]).await;
    world.finish().await;
}

#[tokio::test]
async fn a_new_controller_counts_anew() {
    let (world, since) = held("claim-restart").await;
    world
        .claim("c")
        .slots("gpu", 1)
        .with("timeoutSeconds", 600)
        // Created within one second, claims come in the order of their uids.
        .with("priority", -1)
        .create()
        .await;
    world.waiting("gpu", 2).await;
    world
        .eventually("half of the lease", async || {
            since.elapsed() > Duration::from_secs(8)
        })
        .await;
    let before = world.limit_now("gpu").await.lease("a").unwrap().clone();
    world.kill_controllers();
    let restarted = Instant::now();
    world.start_controller();
    world.ready().await;
    world.waiting("gpu", 2).await;
    assert_eq!(world.limit_now("gpu").await.lease("a"), Some(&before));
    let claim = world.claim_is("a", ClaimPhase::Revoked).await;
    assert_eq!(reason_of(&claim), "Expired");
    assert!(restarted.elapsed() >= EXPIRY, "{:?}", restarted.elapsed());
    world.claim_granted("b").await;
    world.claim_waits("c").await;
    world.release_claim("b").await;
    world.claim_granted("c").await;
    world.finish().await;
}
