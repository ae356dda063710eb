//! Acquisitions that are dropped, at every point, and creates whose answers are lost: nothing is left behind.

use std::sync::atomic::Ordering;
use std::time::Duration;

use futures::FutureExt as _;
use sluice::client::Client;

use super::faulty::{Call, Faulty};
use super::stage::{LEASE, claims, client, empty};
use crate::support::World;

async fn through(faulty: &std::sync::Arc<Faulty>) -> Client {
    Client::builder()
        .store(faulty.clone())
        .lease(LEASE)
        .connect()
        .await
        .unwrap()
}

#[tokio::test]
async fn dropped_at_every_step_of_the_protocol() {
    let world = World::new("sdk-steps").await;
    world.limit("gpu", 1).await;
    let mut completed = false;
    for number in 0..40 {
        let faulty = Faulty::new(&world);
        let client = through(&faulty).await;
        let acquisition = client.concurrency("gpu").acquire();
        tokio::select! {
            biased;
            () = faulty.step(number) => {}
            slots = acquisition => {
                completed = true;
                drop(slots.unwrap());
            }
        }
        empty(&world, "gpu").await;
        if completed {
            break;
        }
    }
    assert!(completed, "no acquisition came to its end");
    world.finish().await;
}

#[tokio::test]
async fn dropped_after_every_number_of_polls() {
    let world = World::new("sdk-polls").await;
    world.limit("gpu", 1).await;
    let client = client(&world).await;
    let mut completed = false;
    for polls in 0..200 {
        let mut acquisition = client.concurrency("gpu").acquire();
        for _ in 0..polls {
            if let Some(slots) = (&mut acquisition).now_or_never() {
                completed = true;
                drop(slots.unwrap());
                break;
            }
            // Lets the other thread get on by a little; the number of polls is what varies.
            tokio::time::sleep(Duration::from_millis(3)).await;
        }
        if completed {
            break;
        }
        drop(acquisition);
    }
    assert!(completed, "no acquisition came to its end");
    empty(&world, "gpu").await;
    world.finish().await;
}

#[tokio::test]
async fn dropped_while_it_waits() {
    let world = World::new("sdk-waiters").await;
    world.limit("gpu", 1).await;
    let client = client(&world).await;
    let slots = client.concurrency("gpu").acquire().await.unwrap();
    let waiters: Vec<_> = (0..5)
        .map(|_| tokio::spawn(client.concurrency("gpu").acquire()))
        .collect();
    world.waiting("gpu", 5).await;
    waiters.iter().for_each(tokio::task::JoinHandle::abort);
    world.waiting("gpu", 0).await;
    slots.release().await.unwrap();
    empty(&world, "gpu").await;
    world.finish().await;
}

#[tokio::test]
async fn a_create_whose_answer_is_lost_makes_one_claim() {
    let world = World::new("sdk-lost-answer").await;
    world.limit("gpu", 2).await;
    let faulty = Faulty::new(&world);
    faulty.creates_lost.store(1, Ordering::Relaxed);
    let client = through(&faulty).await;
    let slots = client.concurrency("gpu").acquire().await.unwrap();
    assert_eq!(claims(&world).await.len(), 1);
    assert_eq!(world.limit_now("gpu").await.number("inUse"), 1);
    slots.release().await.unwrap();
    empty(&world, "gpu").await;
    world.finish().await;
}

#[tokio::test]
async fn a_create_that_arrives_after_its_caller_has_gone_is_released() {
    let world = World::new("sdk-late").await;
    world.limit("gpu", 1).await;
    let faulty = Faulty::new(&world);
    *faulty.creates_late.lock().unwrap() = (1_000, Duration::from_secs(2));
    let client = through(&faulty).await;
    let request = client
        .concurrency("gpu")
        .timeout(Duration::from_millis(300));
    assert!(request.acquire().await.is_err());
    // Its life may be shorter than the time between two looks.
    world
        .eventually("the late claim, and its end", async || {
            faulty.late_arrived.load(Ordering::Relaxed) && claims(&world).await.is_empty()
        })
        .await;
    empty(&world, "gpu").await;
    world.finish().await;
}

#[tokio::test]
async fn a_release_is_sent_until_it_arrives() {
    let world = World::new("sdk-release").await;
    world.limit("gpu", 1).await;
    let faulty = Faulty::new(&world);
    let client = through(&faulty).await;
    let slots = client.concurrency("gpu").acquire().await.unwrap();
    faulty.cut(Call::Release);
    let releasing = slots.release();
    // Polled once and dropped: it was handed over all the same.
    assert!(releasing.now_or_never().is_none());
    assert_eq!(world.limit_now("gpu").await.number("inUse"), 1);
    faulty.heal();
    empty(&world, "gpu").await;
    world.finish().await;
}

#[tokio::test]
async fn a_release_that_fails_strands_no_other() {
    let world = World::new("sdk-strand").await;
    world.limit("gpu", 3).await;
    let faulty = Faulty::new(&world);
    let client = through(&faulty).await;
    let stuck = client.concurrency("gpu").acquire().await.unwrap();
    let (stuck_name, stuck_uid) = (stuck.claim().unwrap(), stuck.uid().unwrap());
    faulty.stick(&stuck_name);
    client
        .scope(async |scope| {
            let mut guards = vec![stuck];
            for _ in 0..2 {
                guards.push(scope.concurrency("gpu").acquire().await.unwrap());
            }
            // All are given back at once, the one that fails first.
            drop(guards);
        })
        .await;
    world
        .eventually("the others are free", async || {
            world.limit_now("gpu").await.holders() == [stuck_name.clone()].into()
        })
        .await;
    faulty.heal();
    empty(&world, "gpu").await;
    assert!(!claims(&world).await.iter().any(|claim| {
        claim.metadata.uid.as_deref() == Some(&*stuck_uid) && !claim.spec.release
    }));
    world.finish().await;
}
