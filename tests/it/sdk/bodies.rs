//! Bodies that run while slots are held.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sluice::client::{AcquireError, Loss, RunError};

use super::stage::{client, empty};
use crate::support::World;

#[tokio::test]
async fn a_body_runs_and_its_slots_come_back_however_it_ends() {
    let world = World::new("sdk-run").await;
    world.limit("gpu", 1).await;
    let client = client(&world).await;
    let request = || client.concurrency("gpu").timeout(Duration::from_secs(20));
    let value = request()
        .run(async |slots| Ok::<_, String>(slots.tokens().len()))
        .await;
    assert_eq!(value, Ok(1));
    let failed = request().run(async |_| Err::<(), _>("no")).await;
    assert_eq!(failed, Err(RunError::Body("no")));
    // It can be spawned.
    let panicked =
        tokio::spawn(request().run(async |_| -> Result<(), ()> { panic!("as planned") }));
    assert!(panicked.await.unwrap_err().is_panic());
    let refused = client
        .concurrency("none")
        .run(async |_| Ok::<_, ()>(()))
        .await;
    assert!(
        matches!(
            refused,
            Err(RunError::Acquire(AcquireError::Missing { .. }))
        ),
        "{refused:?}"
    );
    empty(&world, "gpu").await;
    world.finish().await;
}

struct Flag(Arc<AtomicBool>);

impl Drop for Flag {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[tokio::test]
async fn a_body_is_cancelled_when_its_slots_are_lost() {
    let world = World::new("sdk-run-lost").await;
    world.limit("gpu", 1).await;
    let client = client(&world).await;
    let cancelled = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&cancelled);
    let request = client.concurrency("gpu").max_hold(Duration::from_secs(1));
    let ended = request
        .run(async move |_| -> Result<(), ()> {
            let _flag = Flag(flag);
            std::future::pending().await
        })
        .await;
    assert!(
        matches!(ended, Err(RunError::Lost(Loss::Revoked(_)))),
        "{ended:?}"
    );
    assert!(cancelled.load(Ordering::Relaxed));
    empty(&world, "gpu").await;
    world.finish().await;
}

#[tokio::test]
async fn a_scope_leaves_nothing_behind() {
    let world = World::new("sdk-scope").await;
    world.limit("gpu", 3).await;
    let client = client(&world).await;
    let (outside, kept) = client
        .scope(async |scope| {
            let kept = scope.concurrency("gpu").acquire().await.unwrap();
            let forgotten = scope.concurrency("gpu").acquire().await.unwrap();
            std::mem::forget(forgotten);
            drop(scope.concurrency("gpu").acquire().await.unwrap());
            (scope.client().clone(), kept)
        })
        .await;
    assert_eq!(kept.check(), Err(Loss::Closed));
    let all = outside.concurrency("gpu").occupy(3);
    let all = all
        .timeout(Duration::from_secs(20))
        .acquire()
        .await
        .unwrap();
    drop((all, kept));
    empty(&world, "gpu").await;
    world.finish().await;
}
