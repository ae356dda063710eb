//! Lock managers: what Prefect's promise, and none of their faults.

use std::sync::Arc;
use std::time::{Duration, Instant};

use sluice::api::LockSpec;
use sluice::blocking::LockManager as BlockingLockManager;
use sluice::client::{AcquireError, LockError, LockManager};

use super::blocking::{Overlap, off_runtime};
use super::{SOON, Stage};

const AT_ONCE: Option<Duration> = Some(Duration::ZERO);

async fn locks(stage: &impl Stage) -> Box<dyn LockManager> {
    Box::new(stage.client().await.lock_manager())
}

pub(crate) async fn eight_threads_never_share_a_lock(stage: &impl Stage) {
    stage.lock("report").await;
    let locks = stage.client().await.lock_manager().blocking();
    let overlap = Arc::new(Overlap::default());
    let seen = Arc::clone(&overlap);
    off_runtime(move || {
        let locks: &dyn BlockingLockManager = &locks;
        std::thread::scope(|scope| {
            for thread in 0..8 {
                let overlap = &seen;
                scope.spawn(move || {
                    let holder = format!("thread-{thread}");
                    for _ in 0..3 {
                        assert!(locks.acquire("report", &holder, Some(SOON), None).unwrap());
                        overlap.hold();
                        locks.release("report", &holder).unwrap();
                    }
                });
            }
        });
        assert!(!locks.is_locked("report").unwrap());
    })
    .await;
    overlap.judge(1, 24);
}

pub(crate) async fn a_timeout_of_zero_tries_once(stage: &impl Stage) {
    stage.lock("report").await;
    let locks = locks(stage).await;
    assert_eq!(locks.acquire("report", "a", AT_ONCE, None).await, Ok(true));
    let begun = Instant::now();
    assert_eq!(locks.acquire("report", "b", AT_ONCE, None).await, Ok(false));
    assert!(begun.elapsed() < Duration::from_secs(10), "it has waited");
    let soon = Some(Duration::from_millis(300));
    assert_eq!(locks.acquire("report", "b", soon, None).await, Ok(false));
    assert_eq!(locks.is_lock_holder("report", "a").await, Ok(true));
    assert_eq!(locks.is_lock_holder("report", "b").await, Ok(false));
    locks.release("report", "a").await.unwrap();
}

pub(crate) async fn waiting_takes_nothing(stage: &impl Stage) {
    stage.lock("report").await;
    let client = stage.client().await;
    let locks = client.lock_manager();
    assert_eq!(locks.wait_for("report", AT_ONCE).await, Ok(true));
    assert_eq!(locks.is_locked("report").await, Ok(false));
    assert!(locks.acquire("report", "a", None, None).await.unwrap());
    assert_eq!(locks.wait_for("report", AT_ONCE).await, Ok(false));
    let soon = Some(Duration::from_millis(100));
    assert_eq!(locks.wait_for("report", soon).await, Ok(false));
    let other = locks.clone();
    let waiting = tokio::spawn(async move { other.wait_for("report", Some(SOON)).await });
    // It passes on to somebody else, and who waits for `a` to end has seen it end.
    tokio::task::yield_now().await;
    let next = locks.clone();
    let next = tokio::spawn(async move { next.acquire("report", "b", Some(SOON), None).await });
    tokio::time::sleep(Duration::from_millis(50)).await;
    locks.release("report", "a").await.unwrap();
    assert_eq!(next.await.unwrap(), Ok(true));
    assert_eq!(waiting.await.unwrap(), Ok(true));
    locks.release("report", "b").await.unwrap();
    assert_eq!(locks.is_locked("report").await, Ok(false));
}

pub(crate) async fn a_timeout_for_a_lock_is_no_error_and_takes_nothing(stage: &impl Stage) {
    stage.lock("report").await;
    let locks = locks(stage).await;
    assert!(locks.acquire("report", "a", None, None).await.unwrap());
    let (begun, short) = (Instant::now(), Duration::from_secs(1));
    let timed_out = locks.acquire("report", "b", Some(short), None).await;
    assert_eq!(timed_out, Ok(false));
    assert!(begun.elapsed() >= short, "{:?}", begun.elapsed());
    assert_eq!(locks.is_lock_holder("report", "b").await, Ok(false));
    // Whoever gave up is not in the way of the next one.
    locks.release("report", "a").await.unwrap();
    let next = locks.acquire("report", "c", Some(SOON), None).await;
    assert_eq!(next, Ok(true));
    locks.release("report", "c").await.unwrap();
}

pub(crate) async fn a_release_after_the_hold_time_is_an_error(stage: &impl Stage) {
    stage.lock("report").await;
    let locks = locks(stage).await;
    let hold = Some(Duration::from_secs(1));
    assert!(locks.acquire("report", "a", None, hold).await.unwrap());
    assert_eq!(locks.wait_for("report", Some(SOON)).await, Ok(true));
    assert_eq!(locks.is_lock_holder("report", "a").await, Ok(false));
    let late = locks.release("report", "a").await.unwrap_err();
    assert!(matches!(late, LockError::NotHolder { .. }), "{late:?}");
    // Not by that holder's word, when somebody else has it.
    assert!(
        locks
            .acquire("report", "b", Some(SOON), None)
            .await
            .unwrap()
    );
    let late = locks.release("report", "a").await.unwrap_err();
    assert!(matches!(late, LockError::NotHolder { .. }), "{late:?}");
    assert_eq!(locks.is_lock_holder("report", "b").await, Ok(true));
    locks.release("report", "b").await.unwrap();
}

pub(crate) async fn keys_with_dots_are_locks_of_their_own(stage: &impl Stage) {
    for key in ["a.b", "a.c"] {
        stage.lock(key).await;
    }
    let locks = locks(stage).await;
    for key in ["a.b", "a.c"] {
        assert_eq!(
            locks.acquire(key, "x", AT_ONCE, None).await,
            Ok(true),
            "{key}"
        );
    }
    locks.release("a.b", "x").await.unwrap();
    assert_eq!(locks.is_locked("a.b").await, Ok(false));
    assert_eq!(locks.is_locked("a.c").await, Ok(true));
    locks.release("a.c", "x").await.unwrap();
}

pub(crate) async fn acquired_async_released_blocking(stage: &impl Stage) {
    stage.lock("report").await;
    let locks = stage.client().await.lock_manager();
    assert!(locks.acquire("report", "a", None, None).await.unwrap());
    let blocking = locks.blocking();
    off_runtime(move || blocking.release("report", "a"))
        .await
        .unwrap();
    assert_eq!(locks.is_locked("report").await, Ok(false));
    assert_eq!(locks.acquire("report", "b", AT_ONCE, None).await, Ok(true));
    // And on the runtime's own thread.
    locks.blocking().release("report", "b").unwrap();
    assert_eq!(locks.is_locked("report").await, Ok(false));
}

pub(crate) async fn a_stranger_releases_nothing(stage: &impl Stage) {
    stage.lock("report").await;
    let locks = locks(stage).await;
    let nobody = locks.release("report", "a").await.unwrap_err();
    assert!(matches!(nobody, LockError::NotHolder { .. }), "{nobody:?}");
    assert!(locks.acquire("report", "a", None, None).await.unwrap());
    let stranger = locks.release("report", "b").await.unwrap_err();
    assert!(
        matches!(stranger, LockError::NotHolder { .. }),
        "{stranger:?}"
    );
    assert_eq!(locks.is_lock_holder("report", "a").await, Ok(true));
    locks.release("report", "a").await.unwrap();
}

pub(crate) async fn a_holder_has_it_once(stage: &impl Stage) {
    stage.lock("report").await;
    let (here, there) = (locks(stage).await, locks(stage).await);
    let hold = Some(Duration::from_secs(2));
    assert!(here.acquire("report", "a", None, hold).await.unwrap());
    let begun = Instant::now();
    // True, and the hold time is not extended: neither here nor from another process.
    assert_eq!(here.acquire("report", "a", AT_ONCE, None).await, Ok(true));
    assert_eq!(there.acquire("report", "a", AT_ONCE, None).await, Ok(true));
    assert_eq!(there.is_lock_holder("report", "a").await, Ok(true));
    assert_eq!(here.wait_for("report", Some(SOON)).await, Ok(true));
    assert!(begun.elapsed() < Duration::from_secs(20));
    // One release frees it, whoever of the holder's processes says it.
    assert!(here.acquire("report", "a", Some(SOON), None).await.unwrap());
    assert!(here.acquire("report", "a", None, None).await.unwrap());
    there.release("report", "a").await.unwrap();
    assert_eq!(here.is_locked("report").await, Ok(false));
    assert_eq!(here.is_lock_holder("report", "a").await, Ok(false));
}

pub(crate) async fn a_waiter_for_a_lock_gets_it(stage: &impl Stage) {
    stage.lock("report").await;
    let locks = stage.client().await.lock_manager();
    assert!(locks.acquire("report", "a", None, None).await.unwrap());
    let waiting = locks.clone();
    let waiting = tokio::spawn(async move { waiting.acquire("report", "b", None, None).await });
    locks.release("report", "a").await.unwrap();
    assert_eq!(waiting.await.unwrap(), Ok(true));
    // The lock is a lock like any other: a request waits for it too.
    let client = locks.client();
    assert!(client.request().lock("report").try_acquire().await.is_err());
    locks.release("report", "b").await.unwrap();
    drop(client.request().lock("report").try_acquire().await.unwrap());
}

pub(crate) async fn missing_locks_are_created_where_that_was_said(stage: &impl Stage) {
    let locks = stage.client().await.lock_manager();
    let missing = locks.acquire("report", "a", AT_ONCE, None).await;
    assert!(
        matches!(
            missing,
            Err(LockError::Acquire {
                error: AcquireError::Missing { .. },
                ..
            })
        ),
        "{missing:?}"
    );
    assert_eq!(locks.is_locked("report").await, Ok(false));
    let creates = locks.create_missing(LockSpec::default());
    for key in ["report", "Any Text / at all"] {
        assert_eq!(
            creates.acquire(key, "a", Some(SOON), None).await,
            Ok(true),
            "{key}"
        );
        assert_eq!(
            creates.acquire(key, "b", AT_ONCE, None).await,
            Ok(false),
            "{key}"
        );
        creates.release(key, "a").await.unwrap();
    }
}
