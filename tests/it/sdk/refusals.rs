//! Why slots are not acquired, and what the errors say.

use std::time::{Duration, Instant};

use serde_json::json;
use sluice::api::{ClaimIfMissing, ConcurrencyLimitSpec};
use sluice::client::{AcquireError, Cancel, TryAcquireError};

use super::stage::{builder, claims, client, empty};
use crate::support::World;

#[tokio::test]
async fn a_timeout_says_who_holds() {
    let world = World::new("sdk-timeout").await;
    world.limit("gpu", 2).await;
    let client = client(&world).await;
    let slots = client.request().slots("gpu", 2).id("night-build");
    let slots = slots.acquire().await.unwrap();
    let begun = Instant::now();
    let late = client
        .concurrency("gpu")
        .timeout(Duration::from_millis(1500));
    let error = late.acquire().await.unwrap_err();
    assert!(begun.elapsed() >= Duration::from_millis(1500));
    assert!(matches!(error, AcquireError::Timeout { .. }), "{error:?}");
    assert!(error.is_retryable());
    let text = error.to_string();
    assert!(
        text.contains("gpu=1 was not granted")
            && text.contains("limit gpu: 2 of 2 slots are held by claim night-build"),
        "{text}"
    );
    world.waiting("gpu", 0).await;
    slots.release().await.unwrap();
    empty(&world, "gpu").await;
    world.finish().await;
}

#[tokio::test]
async fn a_try_does_not_wait() {
    let world = World::new("sdk-try").await;
    world.limit("gpu", 1).await;
    let client = client(&world).await;
    let slots = client.concurrency("gpu").try_acquire().await.unwrap();
    let begun = Instant::now();
    let error = client.concurrency("gpu").try_acquire().await.unwrap_err();
    assert!(begun.elapsed() < Duration::from_secs(10));
    assert!(matches!(error, TryAcquireError::Full { .. }), "{error:?}");
    let again = client.concurrency("gpu").max_retries(1);
    let error = again.acquire().await.unwrap_err();
    assert!(error.to_string().contains("any of 2 tries"), "{error}");
    slots.release().await.unwrap();
    let again = client.concurrency("gpu").max_retries(10);
    again.acquire().await.unwrap().release().await.unwrap();
    empty(&world, "gpu").await;
    world.finish().await;
}

#[tokio::test]
async fn what_is_missing_too_small_or_nonsense_is_refused() {
    let world = World::new("sdk-refused").await;
    world.limit("gpu", 2).await;
    let client = client(&world).await;
    let missing = client.concurrency(["gpu", "nowhere"]).acquire().await;
    match missing.unwrap_err() {
        AcquireError::Missing { detail, .. } => assert!(detail.contains("nowhere"), "{detail}"),
        other => panic!("{other:?}"),
    }
    let large = client.concurrency("gpu").occupy(3).acquire().await;
    match large.unwrap_err() {
        AcquireError::Denied { reason, .. } => assert_eq!(reason, "ExceedsLimit"),
        other => panic!("{other:?}"),
    }
    let none = client.concurrency("gpu").occupy(0).acquire().await;
    assert!(matches!(none, Err(AcquireError::Invalid(_))), "{none:?}");
    let ignored = client
        .concurrency(["gpu", "nowhere"])
        .if_missing(ClaimIfMissing::Ignore);
    let slots = ignored.acquire().await.unwrap();
    assert_eq!(slots.tokens().len(), 1);
    slots.release().await.unwrap();
    empty(&world, "gpu").await;
    world.finish().await;
}

#[tokio::test]
async fn a_limit_is_created_where_it_is_missing() {
    let world = World::new("sdk-create").await;
    let client = client(&world).await;
    let template = || ConcurrencyLimitSpec::with_slots(2);
    let request = || client.concurrency("fresh").create_if_missing(template());
    let one = request().acquire().await.unwrap();
    let two = request().acquire().await.unwrap();
    assert!(request().try_acquire().await.is_err());
    assert_eq!(world.limit_now("fresh").await.spec()["slots"], json!(2));
    drop((one, two));
    empty(&world, "fresh").await;
    world.finish().await;
}

#[tokio::test]
async fn who_may_not_is_told_so() {
    let world = World::new("sdk-forbidden").await;
    world.limit("gpu", 1).await;
    let nobody = world.plane().client_as("nobody", &[]).unwrap();
    let client = sluice::client::Client::builder()
        .kube(nobody)
        .namespace(world.namespace())
        .connect()
        .await
        .unwrap();
    let error = client.concurrency("gpu").acquire().await.unwrap_err();
    assert!(matches!(error, AcquireError::Forbidden(_)), "{error:?}");
    assert!(claims(&world).await.is_empty());
    world.finish().await;
}

#[tokio::test]
async fn a_token_ends_the_waiting() {
    let world = World::new("sdk-cancel").await;
    world.limit("gpu", 1).await;
    let client = client(&world).await;
    let slots = client.concurrency("gpu").acquire().await.unwrap();
    let cancel = Cancel::new();
    let waiting = tokio::spawn(client.concurrency("gpu").cancel(&cancel).acquire());
    world.waiting("gpu", 1).await;
    cancel.cancel();
    let error = waiting.await.unwrap().unwrap_err();
    assert!(matches!(error, AcquireError::Cancelled { .. }), "{error:?}");
    world.waiting("gpu", 0).await;
    assert_eq!(slots.check(), Ok(()));
    slots.release().await.unwrap();
    empty(&world, "gpu").await;
    world.finish().await;
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_unavailable() {
    let world = World::new("sdk-unavailable").await;
    let mut config = world.plane().config();
    config.cluster_url = "https://127.0.0.1:1".parse().unwrap();
    let client = builder(&world).config(config).connect().await.unwrap();
    let request = client.concurrency("gpu").timeout(Duration::from_secs(2));
    let error = request.acquire().await.unwrap_err();
    assert!(matches!(error, AcquireError::Timeout { .. }), "{error:?}");
    assert!(error.is_retryable());
    world.finish().await;
}
