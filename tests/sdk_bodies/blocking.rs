//! Blocking code, in and out of runtimes, and threads that compete.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::time::Duration;

use sluice::blocking;
use sluice::bridge::{Job, Portal, Waiter};
use sluice::client::{AcquireError, RunError, TryAcquireError};

use super::{SOON, Stage};

/// Runs blocking code on a thread without a runtime.
pub(crate) async fn off_runtime<T: Send + 'static>(body: impl FnOnce() -> T + Send + 'static) -> T {
    let (done, waiting) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || drop(done.send(body())));
    waiting.await.expect("the thread has not panicked")
}

fn use_it(client: &blocking::Client) {
    let slots = client.concurrency("gpu").timeout(SOON).acquire().unwrap();
    assert_eq!((slots.check(), slots.lost()), (Ok(()), None));
    let full = client.concurrency("gpu").try_acquire();
    assert!(
        matches!(full, Err(TryAcquireError::Full { .. })),
        "{full:?}"
    );
    let late = client
        .concurrency("gpu")
        .timeout(Duration::from_millis(200));
    let late = late.acquire();
    assert!(
        matches!(late, Err(AcquireError::Timeout { .. })),
        "{late:?}"
    );
    slots.release().unwrap();
    drop(client.concurrency("gpu").timeout(SOON).acquire().unwrap());
}

pub(crate) async fn blocking_code_acquires_within_a_runtime(stage: &impl Stage) {
    stage.limit("gpu", 1).await;
    // This is the one thread of its runtime, and it blocks.
    let client = blocking::Client::from(stage.client().await);
    use_it(&client);
    stage.empty("gpu").await;
}

pub(crate) async fn blocking_code_acquires_without_a_runtime(stage: &impl Stage) {
    stage.limit("gpu", 1).await;
    let builder = stage.builder();
    off_runtime(move || {
        let client = blocking::Client::connect(builder).unwrap();
        use_it(&client);
        let held = client.concurrency("gpu").acquire().unwrap();
        let claim = held.claim().unwrap();
        let report = client.clone().close(Duration::from_millis(100));
        assert_eq!(report.held, [claim]);
        let late = client.concurrency("gpu").acquire();
        assert!(matches!(late, Err(AcquireError::Closed)), "{late:?}");
    })
    .await;
}

pub(crate) async fn blocking_bodies_and_scopes_give_back(stage: &impl Stage) {
    stage.limit("gpu", 1).await;
    let client = blocking::Client::from(stage.client().await);
    off_runtime(move || {
        let request = || client.concurrency("gpu").timeout(SOON);
        assert_eq!(
            request().run(|slots| Ok::<_, ()>(slots.tokens().len())),
            Ok(1)
        );
        let failed = request().run(|_| Err::<(), _>("no"));
        assert_eq!(failed, Err(RunError::Body("no")));
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            request().run(|_| -> Result<(), ()> { panic!("as planned") })
        }));
        assert!(panicked.is_err());
        let lost = request()
            .max_hold(Duration::from_secs(1))
            .run(|slots| Ok::<_, ()>(slots.wait_lost(SOON)));
        assert!(matches!(lost, Err(RunError::Lost(_))), "{lost:?}");
        client.scope(|scope| std::mem::forget(scope.concurrency("gpu").timeout(SOON).acquire()));
        request().acquire().unwrap().release().unwrap();
    })
    .await;
    stage.empty("gpu").await;
}

pub(crate) async fn callbacks_run_on_the_thread_that_waits(stage: &impl Stage) {
    stage.limit("gpu", 1).await;
    let client = blocking::Client::from(stage.client().await);
    off_runtime(move || {
        let held = client.concurrency("gpu").acquire().unwrap();
        let here = std::thread::current().id();
        let waiter = Waiter::new();
        let job = Job::new(move || {
            assert_eq!(std::thread::current().id(), here);
            drop(held);
        });
        waiter.portal().submit(job).unwrap();
        let slots = client.concurrency("gpu").acquire_with(waiter).unwrap();
        let late = client.concurrency("gpu");
        let late = late.acquire_with(Waiter::within(Duration::from_millis(100)));
        assert!(
            matches!(late, Err(AcquireError::Timeout { .. })),
            "{late:?}"
        );
        slots.release().unwrap();
    })
    .await;
    stage.empty("gpu").await;
}

/// Counts who holds, and remembers the most.
#[derive(Default)]
pub(crate) struct Overlap {
    now: AtomicI64,
    most: AtomicI64,
    times: AtomicUsize,
}

impl Overlap {
    pub(crate) fn hold(&self) {
        let now = self.now.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(now, Ordering::SeqCst);
        self.times.fetch_add(1, Ordering::SeqCst);
        std::thread::yield_now();
        self.now.fetch_sub(1, Ordering::SeqCst);
    }

    pub(crate) fn judge(&self, allowed: i64, times: usize) {
        assert_eq!(self.times.load(Ordering::SeqCst), times);
        let most = self.most.load(Ordering::SeqCst);
        assert!(
            (1..=allowed).contains(&most),
            "{most} held at once of {allowed}"
        );
    }
}

pub(crate) async fn threads_never_hold_more_than_there_is(stage: &impl Stage) {
    stage.limit("gpu", 3).await;
    let client = blocking::Client::from(stage.client().await);
    let overlap = Arc::new(Overlap::default());
    let seen = Arc::clone(&overlap);
    off_runtime(move || {
        std::thread::scope(|scope| {
            for thread in 0..8 {
                let (client, overlap) = (&client, &seen);
                scope.spawn(move || {
                    for round in 0..5 {
                        let request = client.concurrency("gpu").timeout(SOON);
                        let slots = request.acquire().unwrap();
                        overlap.hold();
                        if (thread + round) % 2 == 0 {
                            slots.release().unwrap();
                        }
                    }
                });
            }
        });
    })
    .await;
    overlap.judge(3, 40);
    stage.empty("gpu").await;
}

pub(crate) async fn an_async_guard_may_be_dropped_anywhere(stage: &impl Stage) {
    stage.limit("gpu", 1).await;
    let client = stage.client().await;
    let held = client.concurrency("gpu").acquire().await.unwrap();
    off_runtime(move || drop(held)).await;
    stage.empty("gpu").await;
    let held = client.concurrency("gpu").acquire().await.unwrap();
    drop(client);
    // Its runtime, and every client, may have ended.
    off_runtime(move || drop(held)).await;
    stage.empty("gpu").await;
}
