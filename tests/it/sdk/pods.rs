//! Claims that live as long as a pod: no renewal, the pod's end, and a container that starts again. (With the tokens of
//! pods, and the policies that look at them: `tests/it/chart/programs.rs`.)

use std::time::{Duration, Instant};

use kube::ResourceExt as _;
use sluice::api::SlotClaim;
use sluice::client::{AcquireError, Client, Loss, Pod};

use super::beliefs::Beliefs;
use super::faulty::{Call, Faulty};
use super::stage::{LEASE, builder, claims, client, empty};
use crate::support::World;

async fn client_in(world: &World, pod: &Pod) -> Client {
    builder(world).pod(pod.clone()).connect().await.unwrap()
}

async fn only_claim(world: &World) -> SlotClaim {
    let mut all = claims(world).await;
    assert_eq!(all.len(), 1, "{all:?}");
    all.remove(0)
}

/// A process that ends at once: what it holds is nobody's from then on, and stays as it is.
async fn dies(client: Client) {
    client.close(Duration::ZERO).await;
}

#[tokio::test]
async fn it_is_held_without_renewals_until_the_pod_has_ended() {
    let world = World::new("sdk-pod-end").await;
    world.limit("gpu", 1).await;
    let pod = world.pod_of_program("w").await;
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
    let pod = world.pod_of_program("w").await;
    let former = client_in(&world, &pod).await;
    let first = former.concurrency("gpu").acquire().await.unwrap();
    let second = former.concurrency("gpu").acquire().await.unwrap();
    let names = [first.claim().unwrap(), second.claim().unwrap()];
    assert!(
        names[0].ends_with("-0") && names[1].ends_with("-1"),
        "{names:?}"
    );
    // Another process of the container takes nothing away from one that lives.
    let beside = client_in(&world, &pod).await;
    let third = beside.concurrency("gpu").try_acquire().await;
    assert!(third.is_err(), "{third:?}");
    assert_eq!((first.check(), second.check()), (Ok(()), Ok(())));
    let uids = [first.uid(), second.uid()];
    dies(former).await;
    assert!(first.check().is_err());
    drop((first, second));
    let begun = Instant::now();
    let again = client_in(&world, &pod).await;
    let first = again.concurrency("gpu").acquire().await.unwrap();
    let second = again.concurrency("gpu").acquire().await.unwrap();
    assert_eq!([first.uid(), second.uid()], uids);
    assert!(
        begun.elapsed() < LEASE / 2,
        "nobody can believe in it any more: {:?}",
        begun.elapsed()
    );
    // What was given back is not found again, and its number is the next one's.
    first.release().await.unwrap();
    let other = again.concurrency("gpu").acquire().await.unwrap();
    assert_eq!(other.claim().unwrap(), names[0]);
    assert_ne!(other.uid(), uids[0]);
    drop((other, second));
    empty(&world, "gpu").await;
    world.finish().await;
}

#[tokio::test]
async fn a_container_that_wants_something_else_gives_its_former_claim_back() {
    let world = World::new("sdk-pod-other").await;
    world.limit("gpu", 3).await;
    let pod = world.pod_of_program("w").await;
    let former = client_in(&world, &pod).await;
    let slots = former.concurrency("gpu").occupy(2).acquire().await.unwrap();
    let uid = slots.uid();
    dies(former).await;
    drop(slots);
    let again = client_in(&world, &pod).await;
    let three = again.concurrency("gpu").occupy(3).acquire().await.unwrap();
    assert_ne!(three.uid(), uid);
    assert_eq!(world.limit_now("gpu").await.number("inUse"), 3);
    // Another container of the pod, and a caller's own id, are other names.
    let name = three.claim().unwrap();
    three.release().await.unwrap();
    let sidecar = Pod::new("w", only_uid(&world, "w").await, "sidecar");
    let request = || again.concurrency("gpu");
    let own = request().id("mine").acquire().await.unwrap();
    assert_eq!(own.claim().unwrap(), "mine");
    let beside = request().pod(sidecar).acquire().await.unwrap();
    assert_ne!(beside.claim().unwrap()[..20], name[..20]);
    let renewed = request().no_pod().acquire().await.unwrap();
    assert!(renewed.claim().unwrap().starts_with("claim-"));
    drop((own, beside, renewed));
    empty(&world, "gpu").await;
    world.finish().await;
}

async fn only_uid(world: &World, pod: &str) -> String {
    world.get(pod).await.uid().unwrap()
}

#[tokio::test]
async fn what_was_detached_is_resumed_in_its_pod_alone() {
    let world = World::new("sdk-pod-resume").await;
    world.limit("gpu", 1).await;
    let pod = world.pod_of_program("w").await;
    let here = client_in(&world, &pod).await;
    let slots = here.concurrency("gpu").acquire().await.unwrap();
    let (uid, reference) = (slots.uid(), slots.detach().unwrap());
    let outside = client(&world).await;
    let error = outside.resume(reference.clone()).await.unwrap_err();
    assert!(
        matches!(&error, AcquireError::Invalid(why) if why.contains("lives as long as pod w")),
        "{error:?}"
    );
    let there = client_in(&world, &pod).await;
    let resumed = there.resume(reference).await.unwrap();
    assert_eq!(resumed.uid(), uid);
    // It has the name now: whoever asks for the same has another one.
    let beside = here.concurrency("gpu").try_acquire().await;
    assert!(beside.is_err(), "{beside:?}");
    assert_eq!(resumed.check(), Ok(()));
    resumed.release().await.unwrap();
    empty(&world, "gpu").await;
    world.finish().await;
}

/// The pod is deleted by force, which proves nothing, and its process is cut off: it stops before the next one holds.
#[tokio::test]
async fn a_pod_that_vanishes_keeps_its_slots_until_its_process_cannot_believe() {
    let world = World::new("sdk-pod-gone").await;
    world.limit("gpu", 1).await;
    let pod = world.pod_of_program("w").await;
    let faulty = Faulty::new(&world);
    let inside = Client::builder()
        .store(faulty.clone())
        .lease(LEASE)
        .pod(pod);
    let inside = inside.connect().await.unwrap();
    let outside = client(&world).await;
    let beliefs = Beliefs::default();
    let slots = inside.concurrency("gpu").acquire().await.unwrap();
    let first = beliefs.begin(&slots.uid().unwrap(), 1);
    faulty.blind();
    for call in [Call::Get, Call::Release] {
        faulty.cut(call);
    }
    let (lost, ended) = (slots.lost(), beliefs.clone());
    let losing = tokio::spawn(async move {
        let loss = lost.await;
        ended.end(first);
        loss
    });
    world.kubectl(&["delete", "pod", "w", "--force", "--grace-period=0"]);
    let next = outside.concurrency("gpu").acquire().await.unwrap();
    let second = beliefs.begin(&next.uid().unwrap(), 1);
    assert!(losing.is_finished());
    assert_eq!(losing.await.unwrap(), Loss::Expired);
    assert_eq!(beliefs.check(1), 1);
    faulty.heal();
    drop(slots);
    beliefs.end(second);
    next.release().await.unwrap();
    empty(&world, "gpu").await;
    world.finish().await;
}
