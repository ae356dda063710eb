//! Leases that end under their holders.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use sluice::client::{Belief, Client, Clock, EventKind, Loss, Stamp, SystemClock};

use super::faulty::{Call, Faulty};
use super::stage::{LEASE, Told, builder, client, empty};
use crate::support::World;

/// The system's clock, whose wall clock can be moved forward.
#[derive(Debug, Default)]
struct Jumping {
    system: SystemClock,
    seconds: AtomicU64,
}

impl Clock for Jumping {
    fn now(&self) -> Stamp {
        let mut now = self.system.now();
        now.wall += Duration::from_secs(self.seconds.load(Ordering::Relaxed));
        now
    }
}

#[tokio::test]
async fn what_is_held_for_too_long_is_revoked() {
    let world = World::new("sdk-revoked").await;
    world.limit("gpu", 1).await;
    let told = Told::default();
    let client = builder(&world)
        .on_event(told.listener())
        .connect()
        .await
        .unwrap();
    let request = client.concurrency("gpu").max_hold(Duration::from_secs(1));
    let slots = request.acquire().await.unwrap();
    let loss = slots.lost().await;
    assert!(
        matches!(&loss, Loss::Revoked(why) if why.starts_with("MaxHold")),
        "{loss:?}"
    );
    assert_eq!(slots.state(), Belief::Lost);
    assert_eq!(slots.check(), Err(loss));
    // The guard's end says that its holder has stopped: nobody waits for the rest of the lease.
    drop(slots);
    empty(&world, "gpu").await;
    let lost = |it: &sluice::client::Event| matches!(it.kind, EventKind::Lost { follows: 1, .. });
    assert!(told.all().iter().any(lost), "{:?}", told.all());
    world.finish().await;
}

#[tokio::test]
async fn without_renewals_the_holder_gives_up_before_the_next_one_starts() {
    let world = World::new("sdk-expired").await;
    world.limit("gpu", 1).await;
    let faulty = Faulty::new(&world);
    let cut_off = Client::builder()
        .store(faulty.clone())
        .lease(LEASE)
        .connect()
        .await
        .unwrap();
    let other = client(&world).await;
    let slots = cut_off.concurrency("gpu").acquire().await.unwrap();
    let begun = Instant::now();
    for call in [Call::Renew, Call::Get, Call::Release] {
        faulty.cut(call);
    }
    let next = tokio::spawn(async move {
        let slots = other.concurrency("gpu").acquire().await.unwrap();
        (Instant::now(), slots)
    });
    world.waiting("gpu", 1).await;
    assert_eq!(slots.lost().await, Loss::Expired);
    let lost_at = Instant::now();
    assert_eq!(slots.state(), Belief::Lost);
    assert!(begun.elapsed() < LEASE, "{:?}", begun.elapsed());
    assert!(faulty.renewals.load(Ordering::Relaxed) >= 2);
    let (next_at, next) = next.await.unwrap();
    assert!(next_at > lost_at);
    // What it does once the network is back changes nothing.
    faulty.heal();
    assert!(slots.release().await.is_err());
    assert_eq!(next.check(), Ok(()));
    next.release().await.unwrap();
    empty(&world, "gpu").await;
    world.finish().await;
}

#[tokio::test]
async fn a_machine_that_slept_has_lost_it() {
    let world = World::new("sdk-slept").await;
    world.limit("gpu", 1).await;
    let clock = Arc::new(Jumping::default());
    let client = builder(&world)
        .clock(clock.clone())
        .connect()
        .await
        .unwrap();
    let slots = client.concurrency("gpu").acquire().await.unwrap();
    assert_eq!(slots.check(), Ok(()));
    clock.seconds.store(3600, Ordering::Relaxed);
    assert_eq!(slots.check(), Err(Loss::Expired));
    assert_eq!(slots.lost().await, Loss::Expired);
    clock.seconds.store(0, Ordering::Relaxed);
    assert_eq!(slots.check(), Err(Loss::Expired), "lost is for good");
    drop(slots);
    empty(&world, "gpu").await;
    world.finish().await;
}

#[test]
fn a_blocked_runtime_loses_nothing() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let world = World::new("sdk-blocked").await;
        world.limit("gpu", 1).await;
        let client = client(&world).await;
        let slots = client.concurrency("gpu").acquire().await.unwrap();
        // Nothing of this runtime runs for longer than the lease; that is what is tested, and no wait for a condition.
        std::thread::sleep(LEASE + Duration::from_secs(3));
        assert_eq!(slots.check(), Ok(()));
        slots.release().await.unwrap();
        empty(&world, "gpu").await;
    });
}
