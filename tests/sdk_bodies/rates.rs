//! Rates: what is taken comes back with time, and never at once.

use std::time::{Duration, Instant};

use sluice::api::claim::ClaimIfMissing;
use sluice::blocking;
use sluice::client::{AcquireError, Cancel, TryAcquireError};

use super::{SOON, Stage};

/// So slow that nothing comes back while a test runs.
const NEVER: i32 = 3_600;

pub(crate) async fn a_rate_is_taken_and_comes_back(stage: &impl Stage) {
    stage.rate("api", 2, 1).await;
    let client = stage.client().await;
    let begun = Instant::now();
    client.rate_limit("api").occupy(2).acquire().await.unwrap();
    let next = client.rate_limit("api").timeout(SOON).acquire().await;
    next.unwrap();
    // By the time of the server's statuses nothing came back sooner.
    assert!(
        begun.elapsed() >= Duration::from_secs(1),
        "{:?}",
        begun.elapsed()
    );
    stage.empty("api").await;
}

pub(crate) async fn a_rate_that_is_used_up_is_full(stage: &impl Stage) {
    stage.rate("api", 2, NEVER).await;
    let client = stage.client().await;
    client.rate_limit("api").occupy(2).acquire().await.unwrap();
    let full = client.rate_limit("api").try_acquire().await.unwrap_err();
    assert!(matches!(full, TryAcquireError::Full { .. }), "{full:?}");
    let short = Duration::from_millis(300);
    let late = client.rate_limit("api").timeout(short).acquire().await;
    let late = late.unwrap_err();
    assert!(matches!(late, AcquireError::Timeout { .. }), "{late:?}");
    let text = late.to_string();
    assert!(text.contains("2 were used and come back"), "{text}");
    let cancel = Cancel::new();
    let waiting = tokio::spawn(client.rate_limit("api").cancel(&cancel).acquire());
    stage.until("api", 0, 1).await;
    cancel.cancel();
    let ended = waiting.await.unwrap();
    assert!(
        matches!(ended, Err(AcquireError::Cancelled { .. })),
        "{ended:?}"
    );
    stage.empty("api").await;
}

pub(crate) async fn a_rate_of_what_does_not_come_back_is_denied(stage: &impl Stage) {
    stage.limit("gpu", 2).await;
    stage.rate("api", 2, 1).await;
    let client = stage.client().await;
    let denied = client.rate_limit(["api", "gpu"]).acquire().await;
    let denied = denied.unwrap_err();
    assert!(matches!(denied, AcquireError::Denied { .. }), "{denied:?}");
    assert!(denied.to_string().contains("decay"), "{denied}");
    // Nothing was taken of either.
    client
        .rate_limit("api")
        .occupy(2)
        .try_acquire()
        .await
        .unwrap();
    let all = client.concurrency("gpu").occupy(2).try_acquire().await;
    drop(all.unwrap());
    stage.empty("gpu").await;
}

pub(crate) async fn a_rate_of_what_is_missing_is_as_it_says(stage: &impl Stage) {
    let client = stage.client().await;
    let missing = client.rate_limit("none").acquire().await.unwrap_err();
    assert!(
        matches!(missing, AcquireError::Missing { .. }),
        "{missing:?}"
    );
    let without = client.rate_limit("none").if_missing(ClaimIfMissing::Ignore);
    without.acquire().await.unwrap();
    let none = client.rate_limit("none").occupy(0).acquire().await;
    let none = none.unwrap_err();
    assert!(matches!(none, AcquireError::Invalid(_)), "{none:?}");
}

pub(crate) async fn what_is_held_of_a_rate_comes_back_once_it_is_given_back(stage: &impl Stage) {
    stage.rate("api", 2, NEVER).await;
    let client = stage.client().await;
    let held = client.concurrency("api").occupy(2).acquire().await.unwrap();
    stage.until("api", 2, 0).await;
    held.release().await.unwrap();
    stage.until("api", 0, 0).await;
    let full = client.concurrency("api").try_acquire().await;
    assert!(
        matches!(full, Err(TryAcquireError::Full { .. })),
        "{full:?}"
    );
    stage.empty("api").await;
}

pub(crate) async fn blocking_code_takes_for_a_rate(stage: &impl Stage) {
    stage.rate("api", 3, NEVER).await;
    let client = blocking::Client::from(stage.client().await);
    let taken = tokio::task::spawn_blocking(move || {
        client.rate_limit("api").occupy(2).acquire().unwrap();
        client.rate_limit("api").try_acquire().unwrap();
        client.rate_limit("api").try_acquire().unwrap_err()
    });
    let full = taken.await.unwrap();
    assert!(matches!(full, TryAcquireError::Full { .. }), "{full:?}");
    stage.empty("api").await;
}
