//! Names are idempotency keys.

use std::time::{Duration, Instant};

use serde_json::json;
use sluice::client::{AcquireError, Loss};

use super::beliefs::Beliefs;
use super::stage::{LEASE, claims, client, empty};
use crate::support::World;

#[tokio::test]
async fn the_same_id_acquires_once() {
    let world = World::new("sdk-id").await;
    world.limit("gpu", 1).await;
    let client = client(&world).await;
    let request = || client.concurrency("gpu").id("task-run-7");
    let first = request().acquire().await.unwrap();
    let lost = first.lost();
    // With another timeout it is another request, and does the first no harm.
    let other = request().timeout(Duration::from_secs(10)).acquire().await;
    let conflict = other.unwrap_err();
    assert!(
        matches!(&conflict, AcquireError::IdConflict { detail, .. } if detail == "not the same: timeout"),
        "{conflict:?}"
    );
    assert_eq!(first.check(), Ok(()));
    // Nobody else believes in it, so the next one has it at once.
    let third = request().acquire().await.unwrap();
    assert_eq!(lost.await, Loss::Adopted);
    assert_eq!(third.uid(), first.uid());
    assert_eq!(third.check(), Ok(()));
    assert_eq!(first.check(), Err(Loss::Adopted));
    assert!(first.release().await.is_err());
    assert_eq!(claims(&world).await.len(), 1);
    assert_eq!(world.limit_now("gpu").await.number("inUse"), 1);
    third.release().await.unwrap();
    empty(&world, "gpu").await;
    world.finish().await;
}

#[tokio::test]
async fn another_process_waits_until_the_former_cannot_believe() {
    let world = World::new("sdk-adopt").await;
    world.limit("gpu", 1).await;
    let (here, there) = (client(&world).await, client(&world).await);
    let beliefs = Beliefs::default();
    let first = here.concurrency("gpu").id("job").acquire().await.unwrap();
    let belief = beliefs.begin(&first.uid().unwrap(), 1);
    let begun = Instant::now();
    let lost = first.lost();
    let watched = beliefs.clone();
    let losing = tokio::spawn(async move {
        let loss = lost.await;
        watched.end(belief);
        loss
    });
    let second = there.concurrency("gpu").id("job").acquire().await.unwrap();
    let believed = beliefs.begin(&second.uid().unwrap(), 1);
    assert!(begun.elapsed() >= LEASE, "{:?}", begun.elapsed());
    assert_eq!(losing.await.unwrap(), Loss::Adopted);
    assert_eq!(beliefs.check(1), 1);
    assert_eq!(second.uid(), first.uid());
    beliefs.end(believed);
    second.release().await.unwrap();
    empty(&world, "gpu").await;
    world.finish_with(&beliefs.for_history()).await;
}

#[tokio::test]
async fn another_request_or_user_of_the_same_id_is_a_conflict() {
    let world = World::new("sdk-conflict").await;
    world.limit("gpu", 3).await;
    let (here, there) = (client(&world).await, client(&world).await);
    let slots = here.concurrency("gpu").id("job").acquire().await.unwrap();
    let other = there.concurrency("gpu").occupy(2).id("job").acquire().await;
    match other.unwrap_err() {
        AcquireError::IdConflict { id, detail } => {
            assert_eq!(
                (id.as_str(), detail.as_str()),
                ("job", "not the same: slots")
            );
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(slots.check(), Ok(()));
    slots.release().await.unwrap();
    empty(&world, "gpu").await;
    world.finish().await;
}

#[tokio::test]
async fn a_claim_that_has_ended_makes_room() {
    let world = World::new("sdk-room").await;
    world.limit("gpu", 1).await;
    let client = client(&world).await;
    let request = || client.concurrency("gpu").occupy(2).id("job").acquire();
    assert!(matches!(request().await, Err(AcquireError::Denied { .. })));
    assert_eq!(
        claims(&world).await.len(),
        1,
        "the denied one is still there"
    );
    world.edit_limit("gpu", json!({"slots": 2})).await;
    let first = request().await.unwrap();
    let uid = first.uid();
    first.release().await.unwrap();
    let second = request().await.unwrap();
    assert_ne!(second.uid(), uid);
    second.release().await.unwrap();
    empty(&world, "gpu").await;
    world.finish().await;
}
