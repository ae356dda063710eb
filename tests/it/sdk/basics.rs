//! The main job: acquire, hold, release, in one queue with pods.

use std::time::Duration;

use kube::Api;
use sluice::api::SlotClaim;
use sluice::client::{Belief, EventKind};

use super::stage::{Told, builder, claims, client, empty};
use crate::support::{PodFacts as _, World};

#[tokio::test]
async fn it_holds_what_it_asked_for_until_it_gives_it_back() {
    let world = World::new("sdk-basics").await;
    world.limit("gpu", 3).await;
    world.limit("db", 1).await;
    world.lock("deploy").await;
    let told = Told::default();
    let client = builder(&world)
        .on_event(told.listener())
        .connect()
        .await
        .unwrap();
    let request = client
        .request()
        .slots("gpu", 2)
        .slots("db", 1)
        .lock("deploy")
        .holder("the night build")
        .timeout(Duration::from_secs(20));
    let slots = request.acquire().await.unwrap();
    assert_eq!(slots.state(), Belief::Held);
    assert_eq!(slots.check(), Ok(()));
    let tokens = slots.tokens();
    assert_eq!(tokens.len(), 3, "{tokens:?}");
    let gpu = world.limit_now("gpu").await;
    assert_eq!(slots.token("gpu"), Some(gpu.number("lastToken")));
    assert_eq!(gpu.number("inUse"), 2);
    let name = slots.claim().unwrap();
    assert_eq!(
        gpu.holders().into_iter().collect::<Vec<_>>(),
        std::slice::from_ref(&name)
    );
    let claim = claims(&world).await.remove(0);
    assert_eq!(claim.spec.holder, "the night build");
    assert_eq!(claim.metadata.uid, slots.uid());
    slots.release().await.unwrap();
    empty(&world, "gpu").await;
    empty(&world, "db").await;
    world
        .eventually("the claim to be deleted", async || {
            let api: Api<SlotClaim> = Api::namespaced(world.client(), world.namespace());
            api.get_opt(&name).await.unwrap().is_none()
        })
        .await;
    world
        .eventually("two events", async || told.all().len() == 2)
        .await;
    let events = told.all();
    assert!(matches!(events[0].kind, EventKind::Acquired { .. }));
    assert_eq!(events[0].request, "db=1, gpu=2, lock deploy");
    match events[1].kind {
        EventKind::Released { follows, held } => {
            assert_eq!(follows, events[0].id);
            assert!(held > Duration::ZERO);
        }
        ref other => panic!("{other:?}"),
    }
    world.finish().await;
}

#[tokio::test]
async fn dropping_the_guard_gives_it_back() {
    let world = World::new("sdk-drop").await;
    world.limit("gpu", 1).await;
    let client = client(&world).await;
    let slots = client.concurrency("gpu").acquire().await.unwrap();
    drop(slots);
    // The next one need not wait for a lease to run out.
    let again = client.concurrency("gpu").timeout(Duration::from_secs(10));
    drop(again.acquire().await.unwrap());
    empty(&world, "gpu").await;
    world.finish().await;
}

#[tokio::test]
async fn processes_and_pods_wait_in_one_queue() {
    let world = World::new("sdk-queue").await;
    world.limit("gpu", 1).await;
    let client = client(&world).await;
    let first = client.concurrency("gpu").acquire().await.unwrap();
    world.pod("second").slots("gpu").create().await;
    world.waiting("gpu", 1).await;
    let pod = world.get("second").await;
    world.a_second_after(&pod).await;
    let third = tokio::spawn(client.concurrency("gpu").acquire());
    world.waiting("gpu", 2).await;
    first.release().await.unwrap();
    world.granted("second").await;
    assert!(!third.is_finished());
    world.end("second").await;
    let third = third.await.unwrap().unwrap();
    assert!(world.get("second").await.is_terminal());
    third.release().await.unwrap();
    empty(&world, "gpu").await;
    world.finish().await;
}

#[tokio::test]
async fn a_request_for_nothing_sends_nothing() {
    let world = World::new("sdk-nothing").await;
    let client = client(&world).await;
    let none: [&str; 0] = [];
    let slots = client.concurrency(none).occupy(3).acquire().await.unwrap();
    assert_eq!(slots.check(), Ok(()));
    assert!(slots.tokens().is_empty() && slots.claim().is_none());
    assert_eq!(
        client.concurrency(none).run(async |_| Ok::<_, ()>(7)).await,
        Ok(7)
    );
    slots.release().await.unwrap();
    assert!(claims(&world).await.is_empty());
    world.finish().await;
}

#[tokio::test]
async fn duplicates_are_one_and_occupy_is_from_each() {
    let world = World::new("sdk-occupy").await;
    world.limit("a", 2).await;
    world.limit("b", 2).await;
    let client = client(&world).await;
    let slots = client
        .concurrency(vec!["a", "b", "a"])
        .occupy(2)
        .acquire()
        .await
        .unwrap();
    for limit in ["a", "b"] {
        assert_eq!(world.limit_now(limit).await.number("inUse"), 2);
    }
    drop(slots);
    empty(&world, "a").await;
    world.finish().await;
}

#[tokio::test]
async fn shared_locks_go_together_and_an_exclusive_one_alone() {
    let world = World::new("sdk-locks").await;
    world.lock("schema").await;
    let client = client(&world).await;
    let one = client.request().lock_shared("schema").acquire().await;
    let two = client.request().lock_shared("schema").acquire().await;
    let alone = client.request().lock("schema").try_acquire().await;
    assert!(alone.is_err(), "{alone:?}");
    one.unwrap().release().await.unwrap();
    two.unwrap().release().await.unwrap();
    let alone = client.request().lock("schema").acquire().await.unwrap();
    alone.release().await.unwrap();
    world.finish().await;
}

#[tokio::test]
async fn a_worker_takes_its_own_slots() {
    let world = World::new("sdk-worker").await;
    world
        .limit_with("gpu", serde_json::json!({"slots": 1, "perWorker": {}}))
        .await;
    let client = client(&world).await;
    let one = client.worker("w1").unwrap();
    let two = client.worker("w2").unwrap();
    let first = one.concurrency("gpu").acquire().await.unwrap();
    let second = two.concurrency("gpu").acquire().await.unwrap();
    assert!(first.token("gpu:w1").is_some(), "{:?}", first.tokens());
    assert!(second.token("gpu:w2").is_some(), "{:?}", second.tokens());
    assert!(one.concurrency("gpu").try_acquire().await.is_err());
    first.release().await.unwrap();
    second.release().await.unwrap();
    empty(&world, "gpu--w1").await;
    world.finish().await;
}

#[tokio::test]
async fn what_was_detached_can_be_resumed_once() {
    let world = World::new("sdk-detach").await;
    world.limit("gpu", 1).await;
    let (here, there) = (client(&world).await, client(&world).await);
    let slots = here.concurrency("gpu").acquire().await.unwrap();
    let (uid, token) = (slots.uid(), slots.token("gpu"));
    let reference = slots.detach().unwrap();
    // Another process takes it up from a text.
    let text = serde_json::to_string(&reference).unwrap();
    let resumed = there
        .resume(serde_json::from_str(&text).unwrap())
        .await
        .unwrap();
    assert_eq!((resumed.uid(), resumed.token("gpu")), (uid, token));
    assert_eq!(resumed.check(), Ok(()));
    let error = here.resume(reference).await.unwrap_err();
    assert!(error.to_string().contains("resumed already"), "{error}");
    resumed.release().await.unwrap();
    empty(&world, "gpu").await;
    world.finish().await;
}
