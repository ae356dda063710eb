//! The end of a client.

use std::time::{Duration, Instant};

use sluice::client::{AcquireError, Loss};

use super::stage::{client, empty};
use crate::support::World;

#[tokio::test]
async fn closing_ends_what_waits_and_waits_for_what_is_held() {
    let world = World::new("sdk-close").await;
    world.limit("gpu", 1).await;
    let client = client(&world).await;
    let slots = client.concurrency("gpu").acquire().await.unwrap();
    let waiting = tokio::spawn(client.concurrency("gpu").acquire());
    world.waiting("gpu", 1).await;
    let late = client.clone();
    let closing = tokio::spawn(client.close(Duration::from_secs(20)));
    assert_eq!(waiting.await.unwrap().unwrap_err(), AcquireError::Closed);
    let refused = late.concurrency("gpu").acquire().await.unwrap_err();
    assert_eq!(refused, AcquireError::Closed);
    assert_eq!(slots.check(), Ok(()));
    assert!(!closing.is_finished());
    drop(slots);
    let report = closing.await.unwrap();
    assert!(report.is_clean(), "{report:?}");
    assert_eq!(report.ended, 2);
    empty(&world, "gpu").await;
    world.finish().await;
}

#[tokio::test]
async fn what_is_still_held_at_the_end_is_lost_and_left_to_its_lease() {
    let world = World::new("sdk-close-held").await;
    world.limit("gpu", 1).await;
    let client = client(&world).await;
    let slots = client.concurrency("gpu").acquire().await.unwrap();
    let name = slots.claim().unwrap();
    let report = client.close(Duration::from_millis(100)).await;
    assert_eq!(report.held, [name]);
    assert_eq!(slots.check(), Err(Loss::Closed));
    assert_eq!(world.limit_now("gpu").await.number("inUse"), 1);
    drop(slots);
    empty(&world, "gpu").await;
    world.finish().await;
}

#[test]
fn a_guard_of_main_blocks_until_all_is_released() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (world, drain, slots) = runtime.block_on(async {
        let world = World::new("sdk-main").await;
        world.limit("gpu", 1).await;
        let client = client(&world).await;
        let drain = client.drain_guard(Duration::from_secs(20));
        let slots = client.concurrency("gpu").acquire().await.unwrap();
        (world, drain, slots)
    });
    drop(slots);
    let begun = Instant::now();
    drop(drain);
    assert!(begun.elapsed() < Duration::from_secs(20));
    // The release was acknowledged by then, without any runtime of ours.
    runtime.block_on(async {
        let released = |it: &sluice::api::SlotClaim| it.spec.release;
        assert!(super::stage::claims(&world).await.iter().all(released));
        empty(&world, "gpu").await;
    });
}
