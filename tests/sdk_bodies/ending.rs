//! Ends: loss, detaching, bodies, scopes, closing.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sluice::client::{AcquireError, Loss, ReleaseError, RunError};

use super::{SOON, Stage};

pub(crate) async fn the_longest_hold_is_the_end(stage: &impl Stage) {
    stage.limit("gpu", 1).await;
    let client = stage.client().await;
    let request = client.concurrency("gpu").max_hold(Duration::from_secs(1));
    let slots = request.acquire().await.unwrap();
    let loss = tokio::time::timeout(SOON, slots.lost()).await.unwrap();
    assert!(
        matches!(&loss, Loss::Revoked(why) if why.contains("MaxHold")),
        "{loss}"
    );
    assert_eq!(slots.check(), Err(loss));
    // Not before its holder's guard is gone, or cannot believe.
    let other = client.concurrency("gpu").try_acquire().await;
    assert!(other.is_err(), "{other:?}");
    let released = slots.release().await;
    assert!(
        matches!(released, Err(ReleaseError::Lost { .. })),
        "{released:?}"
    );
    let next = client.concurrency("gpu").timeout(SOON).acquire().await;
    next.unwrap().release().await.unwrap();
    stage.empty("gpu").await;
}

pub(crate) async fn what_is_detached_is_resumed_once(stage: &impl Stage) {
    stage.limit("gpu", 1).await;
    let (here, there) = (stage.client().await, stage.client().await);
    let slots = here.concurrency("gpu").acquire().await.unwrap();
    let token = slots.tokens();
    let claim = slots.detach().unwrap();
    stage.until("gpu", 1, 0).await;
    let resumed = there.resume(claim.clone()).await.unwrap();
    assert_eq!((resumed.check(), resumed.tokens()), (Ok(()), token));
    let again = here.resume(claim).await.unwrap_err();
    assert!(
        matches!(again, AcquireError::IdConflict { .. }),
        "{again:?}"
    );
    resumed.release().await.unwrap();
    stage.empty("gpu").await;
}

pub(crate) async fn a_body_runs_and_gives_back(stage: &impl Stage) {
    stage.limit("gpu", 1).await;
    let client = stage.client().await;
    let request = || client.concurrency("gpu").timeout(SOON);
    let value = request().run(async |slots| Ok::<_, String>(slots.tokens().len()));
    assert_eq!(value.await, Ok(1));
    let failed = request().run(async |_| Err::<(), _>("no")).await;
    assert_eq!(failed, Err(RunError::Body("no")));
    let panicked =
        tokio::spawn(request().run(async |_| -> Result<(), ()> { panic!("as planned") }));
    assert!(panicked.await.unwrap_err().is_panic());
    stage.empty("gpu").await;
}

struct Flag(Arc<AtomicBool>);

impl Drop for Flag {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

pub(crate) async fn a_body_is_cancelled_when_it_loses(stage: &impl Stage) {
    stage.limit("gpu", 1).await;
    let client = stage.client().await;
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
    stage.empty("gpu").await;
}

pub(crate) async fn a_scope_leaves_nothing(stage: &impl Stage) {
    stage.limit("gpu", 3).await;
    let client = stage.client().await;
    let kept = client
        .scope(async |scope| {
            let kept = scope.concurrency("gpu").acquire().await.unwrap();
            let forgotten = scope.concurrency("gpu").acquire().await.unwrap();
            std::mem::forget(forgotten);
            drop(scope.concurrency("gpu").acquire().await.unwrap());
            kept
        })
        .await;
    assert_eq!(kept.check(), Err(Loss::Closed));
    let all = client.concurrency("gpu").occupy(3).timeout(SOON).acquire();
    drop((all.await.unwrap(), kept));
    stage.empty("gpu").await;
}

pub(crate) async fn closing_ends_what_waits(stage: &impl Stage) {
    stage.limit("gpu", 1).await;
    let (client, other) = (stage.client().await, stage.client().await);
    let held = other.concurrency("gpu").acquire().await.unwrap();
    let waiting = tokio::spawn(client.concurrency("gpu").acquire());
    stage.until("gpu", 1, 1).await;
    let report = client.clone().close(SOON).await;
    assert!(report.is_clean() && report.ended == 1, "{report:?}");
    assert!(matches!(waiting.await.unwrap(), Err(AcquireError::Closed)));
    let late = client.concurrency("gpu").acquire().await;
    assert!(matches!(late, Err(AcquireError::Closed)), "{late:?}");
    held.release().await.unwrap();
    stage.empty("gpu").await;
}

pub(crate) async fn a_drain_tells_what_is_held(stage: &impl Stage) {
    stage.limit("gpu", 2).await;
    let client = stage.client().await;
    let kept = client.concurrency("gpu").acquire().await.unwrap();
    let given_back = client.concurrency("gpu").acquire().await.unwrap();
    drop(given_back);
    let report = client.close(Duration::from_millis(500)).await;
    assert_eq!(report.held, [kept.claim().unwrap()]);
    assert_eq!(kept.check(), Err(Loss::Closed));
}
