//! Claims that live as long as a pod: no renewal, the pod's end, and a container that starts again.

use std::time::Instant;

use kube::ResourceExt as _;
use sluice::api::SlotClaim;
use sluice::client::{Client, Loss, Pod};

use super::stage::{LEASE, builder, claims, client, empty};
use crate::support::World;

/// A pod that asks for nothing, and runs.
async fn running(world: &World, name: &str) -> Pod {
    world.pod(name).ungated().create().await;
    let pod = world.running(name).await;
    Pod::new(name, pod.uid().unwrap(), "main")
}

async fn client_in(world: &World, pod: &Pod) -> Client {
    builder(world).pod(pod.clone()).connect().await.unwrap()
}

async fn only_claim(world: &World) -> SlotClaim {
    let mut all = claims(world).await;
    assert_eq!(all.len(), 1, "{all:?}");
    all.remove(0)
}

#[tokio::test]
async fn it_is_held_without_renewals_until_the_pod_has_ended() {
    let world = World::new("sdk-pod-end").await;
    world.limit("gpu", 1).await;
    let pod = running(&world, "w").await;
    let inside = client_in(&world, &pod).await;
    let slots = inside.concurrency("gpu").acquire().await.unwrap();
    let granted = only_claim(&world).await;
    let reference = granted.spec.pod_ref.clone().unwrap();
    assert_eq!(reference.name, "w");
    let begun = Instant::now();
    world
        .eventually("more than a lease later", async || {
            begun.elapsed() > LEASE.mul_f64(1.2)
        })
        .await;
    assert_eq!(slots.check(), Ok(()));
    let held = only_claim(&world).await;
    assert_eq!(
        (held.spec.renew.seq, held.resource_version()),
        (0, granted.resource_version()),
        "nobody has written it since"
    );
    let lost = slots.lost();
    let outside = client(&world).await;
    let next = outside.concurrency("gpu").acquire();
    world.end("w").await;
    let (loss, next) = tokio::join!(lost, next);
    assert!(
        matches!(&loss, Loss::Revoked(why) if why.contains("PodEnded")),
        "{loss:?}"
    );
    next.unwrap().release().await.unwrap();
    drop(slots);
    empty(&world, "gpu").await;
    world.finish().await;
}

#[tokio::test]
async fn a_container_that_starts_again_finds_what_it_held() {
    let world = World::new("sdk-pod-again").await;
    world.limit("gpu", 2).await;
    let pod = running(&world, "w").await;
    let former = client_in(&world, &pod).await;
    let first = former.concurrency("gpu").acquire().await.unwrap();
    let second = former.concurrency("gpu").acquire().await.unwrap();
    let names = [first.claim().unwrap(), second.claim().unwrap()];
    assert!(
        names[0].ends_with("-0") && names[1].ends_with("-1"),
        "{names:?}"
    );
    let uid = first.uid();
    // The former self is gone without a word: nobody looks after its claims.
    let begun = Instant::now();
    drop((first.detach(), second.detach()));
    let again = client_in(&world, &pod).await;
    let taken_up = again.concurrency("gpu").acquire().await.unwrap();
    assert_eq!(
        taken_up.uid(),
        uid,
        "the same claim, which nobody has to wait for in a queue"
    );
    assert!(
        begun.elapsed() >= LEASE,
        "while its former self may believe it waits"
    );
    let other = again.concurrency("gpu").acquire().await.unwrap();
    assert_eq!(claims(&world).await.len(), 2);
    taken_up.release().await.unwrap();
    other.release().await.unwrap();
    empty(&world, "gpu").await;
    world.finish().await;
}
