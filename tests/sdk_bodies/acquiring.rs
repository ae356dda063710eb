//! Acquiring: order, tokens, refusals.

use std::time::Duration;

use sluice::client::{AcquireError, Belief, Cancel, Loss, TryAcquireError};

use super::{SOON, Stage};

pub(crate) async fn it_holds_until_it_gives_back(stage: &impl Stage) {
    stage.limit("gpu", 3).await;
    stage.limit("db", 1).await;
    stage.lock("deploy").await;
    let client = stage.client().await;
    let request = client
        .request()
        .slots("gpu", 2)
        .slots("db", 1)
        .lock("deploy");
    let slots = request.timeout(SOON).acquire().await.unwrap();
    assert_eq!(slots.state(), Belief::Held);
    assert_eq!(slots.check(), Ok(()));
    let mut keys: Vec<(String, u32)> = slots
        .tokens()
        .into_iter()
        .map(|token| (token.key, token.slots))
        .collect();
    keys.sort();
    let expected = [("db", 1), ("deploy", 0), ("gpu", 2)];
    assert_eq!(keys, expected.map(|(key, slots)| (key.to_owned(), slots)));
    stage.until("gpu", 2, 0).await;
    slots.release().await.unwrap();
    stage.empty("gpu").await;
    stage.empty("db").await;
}

pub(crate) async fn dropping_gives_back(stage: &impl Stage) {
    stage.limit("gpu", 1).await;
    let client = stage.client().await;
    for _ in 0..3 {
        let request = client.concurrency("gpu").timeout(SOON);
        drop(request.acquire().await.unwrap());
    }
    stage.empty("gpu").await;
}

pub(crate) async fn nothing_is_asked_for_nothing(stage: &impl Stage) {
    let client = stage.client().await;
    let none: [&str; 0] = [];
    let slots = client.concurrency(none).occupy(3).acquire().await.unwrap();
    assert_eq!(slots.check(), Ok(()));
    assert!(slots.tokens().is_empty() && slots.claim().is_none());
    slots.release().await.unwrap();
}

pub(crate) async fn the_first_to_wait_is_the_first_to_get(stage: &impl Stage) {
    stage.limit("gpu", 1).await;
    let client = stage.client().await;
    let first = client.concurrency("gpu").acquire().await.unwrap();
    let second = tokio::spawn(client.concurrency("gpu").acquire());
    stage.until("gpu", 1, 1).await;
    // Of one second, on a server whose creation times have no smaller ones, any order is right.
    tokio::time::sleep(Duration::from_millis(1100)).await;
    let third = tokio::spawn(client.concurrency("gpu").acquire());
    stage.until("gpu", 1, 2).await;
    first.release().await.unwrap();
    let second = second.await.unwrap().unwrap();
    assert!(!third.is_finished());
    stage.until("gpu", 1, 1).await;
    second.release().await.unwrap();
    third.await.unwrap().unwrap().release().await.unwrap();
    stage.empty("gpu").await;
}

pub(crate) async fn tokens_rise(stage: &impl Stage) {
    stage.limit("gpu", 2).await;
    let client = stage.client().await;
    let mut last = 0;
    for _ in 0..4 {
        let slots = client.concurrency("gpu").timeout(SOON).acquire().await;
        let slots = slots.unwrap();
        let token = slots.tokens()[0].token;
        assert!(token > last, "{token} after {last}");
        last = token;
        slots.release().await.unwrap();
    }
}

pub(crate) async fn a_timeout_names_who_holds(stage: &impl Stage) {
    stage.limit("gpu", 1).await;
    let client = stage.client().await;
    let held = client.concurrency("gpu").holder("run 7 of it");
    let held = held.acquire().await.unwrap();
    let late = client
        .concurrency("gpu")
        .timeout(Duration::from_millis(300));
    let error = late.acquire().await.unwrap_err();
    assert!(matches!(error, AcquireError::Timeout { .. }), "{error:?}");
    assert!(error.is_retryable());
    let text = error.to_string();
    let claim = held.claim().unwrap();
    assert!(text.contains("1 of 1 slots are held"), "{text}");
    let named = format!("{claim} (run 7 of it)");
    assert!(text.contains(&named), "{text} names {named}");
    held.release().await.unwrap();
    stage.empty("gpu").await;
}

pub(crate) async fn a_try_does_not_wait(stage: &impl Stage) {
    stage.limit("gpu", 1).await;
    let client = stage.client().await;
    let held = client.concurrency("gpu").try_acquire().await.unwrap();
    let full = client.concurrency("gpu").try_acquire().await.unwrap_err();
    assert!(matches!(full, TryAcquireError::Full { .. }), "{full:?}");
    held.release().await.unwrap();
    stage.empty("gpu").await;
    let retried = client.concurrency("gpu").max_retries(10).acquire().await;
    drop(retried.unwrap());
    stage.empty("gpu").await;
}

pub(crate) async fn what_is_missing_is_said_or_created(stage: &impl Stage) {
    let client = stage.client().await;
    let error = client.concurrency("none").acquire().await.unwrap_err();
    assert!(matches!(error, AcquireError::Missing { .. }), "{error:?}");
    assert!(error.to_string().contains("limit none"), "{error}");
    let error = client.request().lock("none").acquire().await.unwrap_err();
    assert!(matches!(error, AcquireError::Missing { .. }), "{error:?}");
    let template = || sluice::api::ConcurrencyLimitSpec::with_slots(2);
    for _ in 0..2 {
        let request = client.concurrency("none").create_if_missing(template());
        let slots = request.occupy(2).timeout(SOON).acquire().await.unwrap();
        slots.release().await.unwrap();
    }
    stage.empty("none").await;
}

pub(crate) async fn what_can_never_fit_is_denied(stage: &impl Stage) {
    stage.limit("gpu", 2).await;
    let client = stage.client().await;
    let error = client.request().slots("gpu", 3).acquire().await;
    let error = error.unwrap_err();
    assert!(matches!(error, AcquireError::Denied { .. }), "{error:?}");
    let error = client.request().slots("gpu", 0).acquire().await;
    let error = error.unwrap_err();
    assert!(matches!(error, AcquireError::Invalid(_)), "{error:?}");
    stage.empty("gpu").await;
}

pub(crate) async fn shared_locks_go_together(stage: &impl Stage) {
    stage.lock("schema").await;
    let client = stage.client().await;
    let one = client.request().lock_shared("schema").acquire().await;
    let two = client.request().lock_shared("schema").acquire().await;
    let alone = client.request().lock("schema").try_acquire().await;
    assert!(alone.is_err(), "{alone:?}");
    one.unwrap().release().await.unwrap();
    two.unwrap().release().await.unwrap();
    let alone = client
        .request()
        .lock("schema")
        .timeout(SOON)
        .acquire()
        .await;
    let alone = alone.unwrap();
    let shared = client.request().lock_shared("schema").try_acquire().await;
    assert!(shared.is_err(), "{shared:?}");
    alone.release().await.unwrap();
}

pub(crate) async fn workers_have_their_own(stage: &impl Stage) {
    stage.limit("gpu:w1", 1).await;
    stage.limit("gpu:w2", 1).await;
    let client = stage.client().await;
    let one = client.worker("w1").unwrap().concurrency("gpu");
    let two = client.worker("w2").unwrap().concurrency("gpu");
    let (one, two) = (one.acquire().await.unwrap(), two.acquire().await.unwrap());
    assert_eq!(one.tokens()[0].key, "gpu:w1");
    assert_eq!(two.tokens()[0].key, "gpu:w2");
}

pub(crate) async fn a_family_serves_many_workers(stage: &impl Stage) {
    stage.family("disk", 1).await;
    let client = stage.client().await;
    let of = |worker: &str| {
        client
            .worker(worker)
            .unwrap()
            .concurrency("disk")
            .timeout(SOON)
    };
    let one = of("w1").acquire().await.unwrap();
    let two = of("w2").acquire().await.unwrap();
    assert_eq!(one.tokens()[0].key, "disk:w1");
    assert!(of("w1").try_acquire().await.is_err());
    one.release().await.unwrap();
    of("w1").acquire().await.unwrap().release().await.unwrap();
    two.release().await.unwrap();
}

pub(crate) async fn one_id_acquires_once(stage: &impl Stage) {
    stage.limit("gpu", 2).await;
    let client = stage.client().await;
    let request = || client.concurrency("gpu").id("task-7").timeout(SOON);
    let first = request().acquire().await.unwrap();
    let second = request().acquire().await.unwrap();
    assert_eq!(first.check(), Err(Loss::Adopted));
    assert_eq!((second.check(), second.uid()), (Ok(()), first.uid()));
    stage.until("gpu", 1, 0).await;
    let other = client.concurrency("gpu").occupy(2).id("task-7");
    let conflict = other.acquire().await.unwrap_err();
    assert!(
        matches!(conflict, AcquireError::IdConflict { .. }),
        "{conflict:?}"
    );
    assert_eq!(second.check(), Ok(()));
    second.release().await.unwrap();
    stage.empty("gpu").await;
}

pub(crate) async fn dropping_a_wait_gives_up(stage: &impl Stage) {
    stage.limit("gpu", 1).await;
    let client = stage.client().await;
    let held = client.concurrency("gpu").acquire().await.unwrap();
    let waiting = tokio::spawn(client.concurrency("gpu").acquire());
    stage.until("gpu", 1, 1).await;
    waiting.abort();
    stage.until("gpu", 1, 0).await;
    held.release().await.unwrap();
    stage.empty("gpu").await;
}

pub(crate) async fn a_cancel_ends_a_wait(stage: &impl Stage) {
    stage.limit("gpu", 1).await;
    let client = stage.client().await;
    let cancel = Cancel::new();
    let held = client.concurrency("gpu").cancel(&cancel).acquire().await;
    let held = held.unwrap();
    let waiting = tokio::spawn(client.concurrency("gpu").cancel(&cancel).acquire());
    stage.until("gpu", 1, 1).await;
    cancel.cancel();
    let error = waiting.await.unwrap().unwrap_err();
    assert!(matches!(error, AcquireError::Cancelled { .. }), "{error:?}");
    // What is held is not touched, and nothing new begins.
    assert_eq!(held.check(), Ok(()));
    let error = client.concurrency("gpu").cancel(&cancel).acquire().await;
    assert!(
        matches!(error, Err(AcquireError::Cancelled { .. })),
        "{error:?}"
    );
    held.release().await.unwrap();
    stage.empty("gpu").await;
}
