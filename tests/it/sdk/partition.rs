//! A holder that is cut off from the API server, by a broken wire and by a silent one: it stops believing before the next
//! one holds, and goes on like any other when the wire is whole again.

use std::time::{Duration, Instant};

use sluice::client::{Client, Loss, Pod};

use super::beliefs::Beliefs;
use super::stage::{LEASE, builder, client, empty};
use crate::support::{PodFacts as _, Proxy, Wire, World};

/// A client whose only way is this wire.
async fn client_through(world: &World, proxy: &Proxy, pod: Option<Pod>) -> Client {
    let mut config = world.plane().config();
    config.cluster_url = proxy.url().parse().unwrap();
    let mut builder = builder(world).config(config);
    if let Some(pod) = pod {
        builder = builder.pod(pod);
    }
    builder.connect().await.unwrap()
}

/// A holder is cut off in this way while somebody waits.
async fn cut_off(name: &str, wire: Wire) {
    let world = World::new(name).await;
    world.limit("gpu", 1).await;
    let proxy = Proxy::to_server(&world);
    let (far, near) = (
        client_through(&world, &proxy, None).await,
        client(&world).await,
    );
    let beliefs = Beliefs::default();
    let slots = far.concurrency("gpu").acquire().await.unwrap();
    let first = beliefs.begin(&slots.uid().unwrap(), 1);
    let (lost, ended) = (slots.lost(), beliefs.clone());
    let losing = tokio::spawn(async move {
        let loss = lost.await;
        ended.end(first);
        loss
    });
    let next = tokio::spawn(near.concurrency("gpu").acquire());
    world.waiting("gpu", 1).await;
    let begun = Instant::now();
    proxy.set(wire);
    let next = next.await.unwrap().unwrap();
    let second = beliefs.begin(&next.uid().unwrap(), 1);
    assert!(
        losing.is_finished(),
        "it believed for {:?}",
        begun.elapsed()
    );
    assert_eq!(losing.await.unwrap(), Loss::Expired);
    assert_eq!(beliefs.check(1), 1);
    // Late words of its own change nothing for the next one, and it gets on in the queue.
    proxy.set(Wire::Whole);
    assert!(slots.release().await.is_err());
    let again = tokio::spawn(far.concurrency("gpu").acquire());
    world.waiting("gpu", 1).await;
    assert_eq!(next.check(), Ok(()));
    beliefs.end(second);
    next.release().await.unwrap();
    let again = again.await.unwrap().unwrap();
    let third = beliefs.begin(&again.uid().unwrap(), 1);
    beliefs.end(third);
    again.release().await.unwrap();
    empty(&world, "gpu").await;
    world.finish_with(&beliefs.for_history()).await;
}

#[tokio::test]
async fn a_holder_whose_connections_are_reset_stops_before_the_next_one_holds() {
    cut_off("sdk-cut", Wire::Cut).await;
}

#[tokio::test]
async fn a_holder_that_hears_nothing_stops_before_the_next_one_holds() {
    cut_off("sdk-silent", Wire::Silent).await;
}

/// Nobody takes a claim away from a pod that lives: a short silence costs nothing, one of a whole lease the belief.
#[tokio::test]
async fn a_program_of_a_pod_finds_its_claim_again_after_a_silence() {
    let world = World::new("sdk-silent-pod").await;
    world.limit("gpu", 1).await;
    let pod = world.pod_of_program("w").await;
    let proxy = Proxy::to_server(&world);
    let far = client_through(&world, &proxy, Some(pod)).await;
    let beliefs = Beliefs::default();
    let slots = far.concurrency("gpu").acquire().await.unwrap();
    let (uid, first) = (slots.uid(), beliefs.begin(&slots.uid().unwrap(), 1));
    proxy.set(Wire::Silent);
    let begun = Instant::now();
    assert_eq!(slots.lost().await, Loss::Expired);
    beliefs.end(first);
    assert!(begun.elapsed() < LEASE, "{:?}", begun.elapsed());
    // Far longer than an expiry would take, and it is held for the pod all the same.
    world
        .within(60, "another lease", async || {
            begun.elapsed() > LEASE.mul_f64(1.3)
        })
        .await;
    let held = world.limit_now("gpu").await.holders();
    assert_eq!(held, [slots.claim().unwrap()].into());
    proxy.set(Wire::Whole);
    // Its guard is dropped: whoever worked under it has stopped, and it is given back.
    drop(slots);
    let again = far.concurrency("gpu").timeout(Duration::from_secs(30));
    let again = again.acquire().await.unwrap();
    let second = beliefs.begin(&again.uid().unwrap(), 1);
    assert_ne!(again.uid(), uid);
    beliefs.end(second);
    again.release().await.unwrap();
    empty(&world, "gpu").await;
    assert!(world.get("w").await.is_bound());
    world.finish_with(&beliefs.for_history()).await;
}
