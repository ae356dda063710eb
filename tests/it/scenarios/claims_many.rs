//! Many claims that renew all the time.

use std::time::{Duration, Instant};

use futures::StreamExt as _;
use futures::stream;
use sluice::api::ClaimPhase;

use crate::support::{World, phase_of};

/// How many requests are under way at once.
const AT_ONCE: usize = 16;

fn name(index: usize) -> String {
    format!("c{index}")
}

/// So many claims of one limit, all of which hold.
async fn holders(prefix: &str, count: usize, lease_seconds: i32) -> World {
    let world = World::plan(prefix).flag("--events=false").begin().await;
    world.limit("gpu", i32::try_from(count).unwrap()).await;
    stream::iter(0..count)
        .for_each_concurrent(AT_ONCE, async |index| {
            let name = name(index);
            let claim = world.claim(&name).slots("gpu", 1);
            claim
                .with("leaseDurationSeconds", lease_seconds)
                .create()
                .await;
        })
        .await;
    world
        .eventually("all to hold", async || {
            let claims = world.all_claims().await;
            claims.iter().all(|it| phase_of(it) == ClaimPhase::Granted)
        })
        .await;
    world
}

/// Every claim renews once; how many were refused.
async fn renew_all(world: &World, count: usize, seq: i64) -> usize {
    let renewed =
        stream::iter(0..count).map(async |index| world.renew_claim(&name(index), seq).await);
    let taken = renewed
        .buffer_unordered(AT_ONCE)
        .filter(|taken| std::future::ready(*taken));
    count - taken.count().await
}

#[tokio::test]
async fn a_hundred_claims_outlive_controllers() {
    const COUNT: usize = 100;
    const LEASE_SECONDS: i32 = 15;
    let world = holders("claims-outlive", COUNT, LEASE_SECONDS).await;
    let since = Instant::now();
    // Nobody looks on for a while, twice, and in between for longer than a lease.
    let kills = [4, 26].map(Duration::from_secs);
    let starts = [8, 29].map(Duration::from_secs);
    let (mut killed, mut started) = (0, 0);
    let mut seq = 0;
    while since.elapsed() < Duration::from_secs(34) {
        if kills.get(killed).is_some_and(|at| since.elapsed() > *at) {
            world.kill_controllers();
            killed += 1;
        }
        if starts.get(started).is_some_and(|at| since.elapsed() > *at) {
            world.start_controller();
            started += 1;
        }
        seq += 1;
        assert_eq!(
            renew_all(&world, COUNT, seq).await,
            0,
            "renewal {seq} was refused"
        );
        let next = Duration::from_secs(3 * u64::try_from(seq).unwrap());
        world
            .eventually("the time of the next renewal", async || {
                since.elapsed() >= next
            })
            .await;
    }
    assert_eq!((killed, started), (2, 2));
    world.ready().await;
    let held = world.limit_now("gpu").await.holders().len();
    let granted = world.all_claims().await;
    let granted = granted
        .iter()
        .filter(|it| phase_of(it) == ClaimPhase::Granted);
    assert_eq!((held, granted.count()), (COUNT, COUNT));
    world.finish().await;
}

#[tokio::test]
async fn renewals_write_no_status_of_a_limit() {
    const COUNT: usize = 200;
    const ROUNDS: i64 = 4;
    let world = holders("claims-renew", COUNT, 60).await;
    world.quiet().await;
    let before = world.limit_version("gpu").await;
    let since = Instant::now();
    for seq in 1..=ROUNDS {
        assert_eq!(renew_all(&world, COUNT, seq).await, 0);
    }
    // Longer than what only people read may lag behind.
    world
        .eventually("some seconds", async || {
            since.elapsed() > Duration::from_secs(8)
        })
        .await;
    assert_eq!(world.limit_version("gpu").await, before);
    world.finish().await;
}
