//! Controllers that take turns by a Lease: takeovers by kill, by stop and by standing still, a Lease that is deleted,
//! and what `kubectl get lease` and client-go's electors see.
//!
//! One test keeps the default times (15, 10 and 2 s), since they are what is promised; the others shorten them.

use std::time::{Duration, Instant};

use k8s_openapi::api::coordination::v1::Lease;
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::json;

use crate::support::{PodFacts as _, World};

/// Name of the Lease, by default.
const LEASE: &str = "sluice-controller";
/// What a takeover may take beyond the lease's duration, in seconds.
const BEYOND_LEASE_SECONDS: u64 = 3;
/// Duration of the short leases, in seconds.
const SHORT_SECONDS: u64 = 8;

/// Two controllers that stand for election, with short leases, a limit of one slot, `a` that holds and `b` that waits.
async fn two(name: &str) -> World {
    let plan = World::plan(name).elects().controllers(2);
    let plan = plan.flag(&format!("--lease-duration-seconds={SHORT_SECONDS}"));
    let plan = plan.flag("--renew-deadline-seconds=6");
    let plan = plan.flag("--retry-period-seconds=1");
    let world = plan.begin().await;
    hold_and_wait(&world).await;
    world
}

async fn hold_and_wait(world: &World) {
    world.limit("gpu", 1).await;
    world.pod("a").slots("gpu").create().await;
    world.running("a").await;
    world.pod("b").slots("gpu").create().await;
    world.waiting("gpu", 1).await;
}

fn leases(world: &World) -> Api<Lease> {
    Api::namespaced(world.client(), world.namespace())
}

async fn lease(world: &World) -> Lease {
    leases(world).get(LEASE).await.unwrap()
}

fn epoch(lease: &Lease) -> i64 {
    let annotations = lease.metadata.annotations.as_ref().unwrap();
    annotations["sluice.dev/epoch"].parse().unwrap()
}

/// Term and leader that the limit's status shows.
async fn term(world: &World) -> (i64, String) {
    let limit = world.limit_now("gpu").await;
    let leader = limit.status()["leader"].as_str().unwrap().to_owned();
    (limit.number("epoch"), leader)
}

#[tokio::test]
async fn a_killed_leader_is_followed_within_its_lease() {
    let world = World::plan("elect-kill")
        .elects()
        .controllers(2)
        .begin()
        .await;
    hold_and_wait(&world).await;
    let before = term(&world).await;
    let leader = world.leader().await;
    let killed = Instant::now();
    world.kill_nth(leader);
    world.end("a").await;
    world
        .within(
            15 + BEYOND_LEASE_SECONDS,
            "the next leader to grant",
            async || !world.get("b").await.is_gated(),
        )
        .await;
    let took = killed.elapsed();
    eprintln!("takeover after SIGKILL: {:.1} s", took.as_secs_f64());
    // Whoever is faster has not waited for the lease.
    assert!(took > Duration::from_secs(10), "{took:?}");
    let after = term(&world).await;
    assert!(
        after.0 > before.0 && after.1 != before.1,
        "{before:?} {after:?}"
    );
    world.finish().await;
}

#[tokio::test]
async fn a_stopped_leader_releases_its_lease() {
    let world = World::plan("elect-stop")
        .elects()
        .controllers(2)
        .begin()
        .await;
    hold_and_wait(&world).await;
    world.event(LEASE, "LeaderElected").await;
    let before = lease(&world).await;
    let leader = world.leader().await;
    let stopped = Instant::now();
    world.controllers()[leader].terminate();
    world.end("a").await;
    world
        .within(
            BEYOND_LEASE_SECONDS,
            "the next leader to grant",
            async || !world.get("b").await.is_gated(),
        )
        .await;
    eprintln!(
        "takeover after SIGTERM: {:.1} s",
        stopped.elapsed().as_secs_f64()
    );
    world
        .eventually("the end of the first", async || {
            world.exit_codes()[leader].is_some()
        })
        .await;
    assert_eq!(world.exit_codes()[leader], Some(0));
    let after = lease(&world).await;
    assert_eq!(epoch(&after), epoch(&before) + 1);
    world.kill_nth(leader);
    world.finish().await;
}

#[tokio::test]
async fn a_leader_that_stood_still_writes_nothing_more_and_ends() {
    let world = two("elect-pause").await;
    let before = term(&world).await;
    let leader = world.leader().await;
    world.controllers()[leader].pause();
    world.end("a").await;
    world.granted("b").await;
    world.pod("c").slots("gpu").create().await;
    world.waiting("gpu", 1).await;
    let meanwhile = term(&world).await;
    assert!(meanwhile.0 > before.0 && meanwhile.1 != before.1);
    // Much has happened that it would like to write about.
    world.controllers()[leader].resume();
    world
        .eventually("the deposed leader to end", async || {
            world.exit_codes()[leader].is_some()
        })
        .await;
    assert_eq!(world.exit_codes()[leader], Some(1));
    let log = std::fs::read_to_string(world.controllers()[leader].log()).unwrap();
    assert!(log.contains("no longer leads"), "{log}");
    world.end("b").await;
    world.granted("c").await;
    assert_eq!(
        term(&world).await,
        meanwhile,
        "nobody else wrote, or had to"
    );
    world.kill_nth(leader);
    world.finish().await;
}

#[tokio::test]
async fn a_deleted_lease_is_made_anew_by_its_leader() {
    let world = two("elect-deleted").await;
    let before = lease(&world).await;
    let leader = world.leader().await;
    leases(&world)
        .delete(LEASE, &DeleteParams::default())
        .await
        .unwrap();
    world
        .eventually("a new Lease", async || {
            let found = leases(&world).get_opt(LEASE).await.unwrap();
            found.is_some_and(|it| epoch(&it) > epoch(&before))
        })
        .await;
    let holder = |lease: &Lease| lease.spec.clone().unwrap().holder_identity;
    assert_eq!(holder(&lease(&world).await), holder(&before));
    assert_eq!(world.leader().await, leader);
    world.end("a").await;
    world.granted("b").await;
    assert_eq!(term(&world).await.0, epoch(&before) + 1);
    world.event(LEASE, "TermRaised").await;
    let metrics = world.controllers()[leader].metrics();
    let shown = format!("sluice_epoch {}", epoch(&before) + 1);
    assert!(metrics.contains(&shown), "{metrics}");
    world.finish().await;
}

#[tokio::test]
async fn a_status_of_a_later_term_is_caught_up_with() {
    let world = two("elect-ahead").await;
    // A hand, or a past that was restored: the Lease is still ours, so the epoch is raised above.
    let ahead = json!({"epoch": 70, "leader": "somebody"});
    world.patch_limit_status("gpu", ahead).await;
    world.end("a").await;
    world.granted("b").await;
    assert_eq!(term(&world).await.0, 71);
    assert_eq!(epoch(&lease(&world).await), 71);
    world.finish().await;
}

#[tokio::test]
async fn an_absurd_epoch_sets_that_limit_alone_aside() {
    let world = two("elect-absurd").await;
    world.limit("db", 1).await;
    world.fenced("db").await;
    let absurd = json!({"epoch": 4_000_000_000_000_000_i64, "leader": "somebody"});
    world.patch_limit_status("db", absurd).await;
    world.event("db", "Quarantined").await;
    world.pod("stuck").slots("db").create().await;
    world.end("a").await;
    world.granted("b").await;
    world.is_gated("stuck").await;
    // The way out that the event names.
    world.delete_limit("db").await;
    world.limit("db", 1).await;
    world.granted("stuck").await;
    world.finish().await;
}

#[tokio::test]
async fn the_lease_is_client_gos() {
    let world = two("elect-fields").await;
    let found = lease(&world).await;
    let spec = found.spec.clone().unwrap();
    let holder = spec.holder_identity.unwrap();
    let (_, leader) = term(&world).await;
    assert!(holder.ends_with(&leader), "{holder} {leader}");
    assert_eq!(
        spec.lease_duration_seconds,
        i32::try_from(SHORT_SECONDS).ok()
    );
    assert!(spec.renew_time.unwrap() >= spec.acquire_time.unwrap());
    assert_eq!(spec.lease_transitions, Some(0));
    let printed = world.kubectl(&["get", "lease", LEASE]);
    assert!(printed.contains(&holder), "{printed}");
    // As a client-go elector leaves it on its release: nobody, for a second. One of ours takes it at once.
    let leader = world.leader().await;
    world.kill_nth(leader);
    let released = json!({"spec": {"holderIdentity": "", "leaseDurationSeconds": 1}});
    leases(&world)
        .patch(LEASE, &PatchParams::default(), &Patch::Merge(released))
        .await
        .unwrap();
    world
        .within(SHORT_SECONDS, "the other to take it", async || {
            let spec = lease(&world).await.spec.unwrap();
            spec.lease_transitions == Some(1)
        })
        .await;
    world.finish().await;
}

#[tokio::test]
async fn followers_are_ready_and_write_nothing() {
    let world = two("elect-follow").await;
    let leader = world.leader().await;
    world.ready().await;
    let follower = 1 - leader;
    let metrics = || world.controllers()[follower].metrics();
    world
        .eventually("the follower's cache to be warm", async || {
            metrics().contains("sluice_requests 2")
        })
        .await;
    let metrics = metrics();
    assert!(metrics.contains("sluice_leader 0"), "{metrics}");
    assert!(!metrics.contains("sluice_api_writes_total{"), "{metrics}");
    world.finish().await;
}
