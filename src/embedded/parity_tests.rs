//! Prefect's cases that need no server: what a program sees of its own acquisitions (docs/prefect.md).

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::{Embedded, Limits};
use crate::client::{AcquireError, Belief, Client, Event, EventKind, Loss, RunError};

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(30);

fn client(slots: u32) -> Client {
    Client::embedded([("gpu", slots)]).unwrap()
}

/// Takes all slots of `gpu` and gives them back: nobody holds any.
async fn empty(client: &Client, slots: u32) {
    let all = client.concurrency("gpu").occupy(slots).timeout(PATIENCE);
    all.acquire().await.unwrap().release().await.unwrap();
}

#[tokio::test]
async fn a_timeout_counts_from_the_call_behind_others_of_the_process() {
    let client = client(1);
    let held = client.concurrency("gpu").acquire().await.unwrap();
    let others: Vec<_> = (0..5)
        .map(|_| tokio::spawn(client.concurrency("gpu").timeout(PATIENCE).acquire()))
        .collect();
    tokio::task::yield_now().await;
    let begun = Instant::now();
    let hasty = client.concurrency("gpu").timeout(Duration::from_secs(1));
    let error = hasty.acquire().await.unwrap_err();
    assert!(matches!(error, AcquireError::Timeout { .. }), "{error:?}");
    assert!(begun.elapsed() < PATIENCE / 3, "{:?}", begun.elapsed());
    held.release().await.unwrap();
    for other in others {
        drop(other.await.unwrap().unwrap());
    }
    empty(&client, 1).await;
}

#[tokio::test]
async fn a_large_request_of_the_process_holds_up_no_small_one() {
    let client = client(3);
    let held = client.concurrency("gpu").acquire().await.unwrap();
    let large = client.concurrency("gpu").occupy(3).timeout(PATIENCE);
    let large = tokio::spawn(large.acquire());
    tokio::task::yield_now().await;
    let small = client.concurrency("gpu").timeout(PATIENCE);
    let small = small.acquire().await.unwrap();
    assert!(!large.is_finished());
    drop((held, small));
    drop(large.await.unwrap().unwrap());
    empty(&client, 3).await;
}

#[tokio::test]
async fn a_take_is_told_once_and_never_as_released() {
    let told: Arc<Mutex<Vec<Event>>> = Arc::default();
    let keep = Arc::clone(&told);
    let limits = Limits::new()
        .rate("api", 5, Duration::from_secs(3600))
        .rate("mail", 5, Duration::from_secs(3600))
        .slots("gpu", 1);
    let client = Client::builder()
        .store(Arc::new(Embedded::new(limits).unwrap()))
        .on_event(move |event| keep.lock().unwrap().push(event.clone()))
        .connect()
        .await
        .unwrap();
    client.rate_limit(["api", "mail"]).acquire().await.unwrap();
    // What is told afterwards is told after it.
    empty(&client, 1).await;
    let ended = |told: &[Event]| {
        let last = told.last().map(|event| &event.kind);
        matches!(last, Some(EventKind::Released { follows, .. }) if *follows > 1)
    };
    let begun = Instant::now();
    while !ended(&told.lock().unwrap()) {
        assert!(begun.elapsed() < PATIENCE, "{:?}", told.lock().unwrap());
        tokio::task::yield_now().await;
    }
    let told = told.lock().unwrap();
    let takes: Vec<&EventKind> = told
        .iter()
        .filter(|event| event.request.contains("api"))
        .map(|event| &event.kind)
        .collect();
    assert!(
        matches!(takes[..], [EventKind::Acquired { .. }]),
        "{takes:?}"
    );
}

#[tokio::test]
async fn a_body_that_is_timed_out_from_outside_gives_back() {
    let client = client(1);
    let body = client
        .concurrency("gpu")
        .run(async |_| -> Result<(), ()> { std::future::pending().await });
    let ended: Result<Result<(), RunError<()>>, _> =
        tokio::time::timeout(Duration::from_millis(100), body).await;
    assert!(ended.is_err());
    empty(&client, 1).await;
}

#[tokio::test]
async fn a_scope_that_is_timed_out_from_outside_gives_back() {
    let client = client(2);
    let kept = Mutex::new(None);
    let scope = client.scope(async |scope| {
        let slots = scope.concurrency("gpu").acquire().await.unwrap();
        *kept.lock().unwrap() = Some(slots);
        std::mem::forget(scope.concurrency("gpu").acquire().await.unwrap());
        std::future::pending::<()>().await;
    });
    let ended = tokio::time::timeout(Duration::from_millis(200), scope).await;
    assert!(ended.is_err());
    empty(&client, 2).await;
    // Whoever still has a guard of it knows.
    let kept = kept.lock().unwrap().take().unwrap();
    assert_eq!(kept.state(), Belief::Lost);
    assert_eq!(kept.check(), Err(Loss::Closed));
}

#[tokio::test]
async fn ten_at_once_are_all_served() {
    let client = client(3);
    let tasks: Vec<_> = (0..10)
        .map(|_| {
            let slots = client.concurrency("gpu").timeout(PATIENCE).acquire();
            tokio::spawn(async move { slots.await.unwrap().release().await })
        })
        .collect();
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    empty(&client, 3).await;
}

#[tokio::test]
async fn a_guard_belongs_to_no_task_and_no_thread() {
    let client = client(1);
    let acquiring = client.concurrency("gpu").acquire();
    let slots = tokio::spawn(acquiring).await.unwrap().unwrap();
    let token = slots.token("gpu").unwrap();
    let checked = std::thread::spawn(move || {
        slots.check().unwrap();
        (slots.token("gpu"), slots)
    });
    let (seen, slots) = checked.join().unwrap();
    assert_eq!(seen, Some(token));
    slots.release().await.unwrap();
    empty(&client, 1).await;
}

#[cfg(feature = "blocking")]
#[tokio::test]
async fn a_rate_is_taken_by_async_and_by_blocking_code_within_a_runtime() {
    let limits = Limits::new().rate("api", 2, Duration::from_secs(3600));
    let client = Client::embedded(limits).unwrap();
    let blocking = crate::blocking::Client::from(client.clone());
    blocking.rate_limit("api").acquire().unwrap();
    client.rate_limit("api").acquire().await.unwrap();
    assert!(blocking.rate_limit("api").try_acquire().is_err());
    assert!(client.rate_limit("api").try_acquire().await.is_err());
}
