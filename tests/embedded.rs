//! The SDK inside one process: the bodies that it shares with the cluster, and what is particular to it.

#![cfg(test)]

#[macro_use]
mod sdk_bodies;

use std::sync::Arc;
use std::time::Duration;

use sluice::api::limit::{Decay, PerWorker};
use sluice::api::{ConcurrencyLimitSpec, LockSpec};
use sluice::blocking;
use sluice::bridge::io_thread;
use sluice::client::store::Wanted;
use sluice::client::{
    AcquireError, Client, ClientBuilder, Embedded, EmbeddedError, EventKind, Limits, ReleaseError,
    Store as _,
};

use sdk_bodies::{Overlap, SOON, Stage};

/// Limits of this process.
struct Here(Arc<Embedded>);

async fn here(_: &str) -> Here {
    Here(Arc::new(Embedded::new(Limits::new()).unwrap()))
}

impl Stage for Here {
    async fn limit(&self, key: &str, slots: i32) {
        let spec = ConcurrencyLimitSpec::with_slots(slots);
        self.0.create_limit(key, &spec).await.unwrap();
    }

    async fn rate(&self, key: &str, slots: i32, per_seconds: i32) {
        let spec = ConcurrencyLimitSpec {
            decay: Some(Decay {
                slots: 1,
                per_seconds,
            }),
            ..ConcurrencyLimitSpec::with_slots(slots)
        };
        self.0.create_limit(key, &spec).await.unwrap();
    }

    async fn family(&self, key: &str, slots: i32) {
        let spec = ConcurrencyLimitSpec {
            per_worker: Some(PerWorker::default()),
            ..ConcurrencyLimitSpec::with_slots(slots)
        };
        self.0.create_limit(key, &spec).await.unwrap();
    }

    async fn lock(&self, key: &str) {
        self.0.create_lock(key, &LockSpec::default()).await.unwrap();
    }

    fn builder(&self) -> ClientBuilder {
        Client::builder().store(self.0.clone())
    }

    /// What happened inside one process is in no history.
    async fn close(self) {}

    async fn numbers(&self, limit: &str) -> (i64, i64) {
        let wanted = Wanted {
            lock: false,
            key: limit.to_owned(),
        };
        let sight = self.0.look(&[wanted]).await.remove(0);
        let found = sight.found.unwrap_or_default();
        (found.held, found.waiting)
    }
}

all_sdk_tests!(here);

#[test]
fn limits_that_are_none_are_refused() {
    let bad = Client::embedded([("No key", 1)]).unwrap_err();
    assert!(
        matches!(bad, EmbeddedError::Key { what: "limit", .. }),
        "{bad}"
    );
    let bad = Client::embedded(Limits::new().lock("a:shared")).unwrap_err();
    assert!(
        matches!(bad, EmbeddedError::Key { what: "lock", .. }),
        "{bad}"
    );
    let embedded = Embedded::new([("gpu", 1)]).unwrap();
    let missing = embedded.set_slots("db", 1).unwrap_err();
    assert!(
        matches!(missing, EmbeddedError::Missing { .. }),
        "{missing}"
    );
}

#[test]
fn a_limit_may_be_changed_while_somebody_waits() {
    let embedded = Arc::new(Embedded::new([("gpu", 1)]).unwrap());
    let client = Client::builder().store(embedded.clone()).build().unwrap();
    let client = blocking::Client::from(client);
    let held = client.concurrency("gpu").acquire().unwrap();
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| client.concurrency("gpu").timeout(SOON).acquire());
        embedded.set_slots("gpu", 2).unwrap();
        waiting.join().unwrap().unwrap().release().unwrap();
    });
    held.release().unwrap();
}

#[test]
fn many_threads_and_many_cycles_never_overlap() {
    let client = blocking::Client::embedded([("gpu", 2)]).unwrap();
    let overlap = Overlap::default();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..200 {
                    let slots = client.concurrency("gpu").acquire().unwrap();
                    overlap.hold();
                    drop(slots);
                }
            });
        }
    });
    overlap.judge(2, 1_600);
    // Nothing is left of all that: the whole limit is free.
    client
        .concurrency("gpu")
        .occupy(2)
        .try_acquire()
        .unwrap()
        .release()
        .unwrap();
    assert!(client.close(SOON).is_clean());
}

#[test]
fn a_thread_that_does_the_io_is_refused() {
    let client = blocking::Client::embedded([("gpu", 1)]).unwrap();
    let held = client.concurrency("gpu").acquire().unwrap();
    let there = client.clone();
    let refused = io_thread().run(async move {
        let acquired = there.concurrency("gpu").acquire().unwrap_err();
        (acquired, held.release().unwrap_err())
    });
    let (acquired, released) = refused.unwrap();
    assert!(
        matches!(&acquired, AcquireError::Invalid(why) if why.contains("wait for itself")),
        "{acquired}"
    );
    assert!(
        matches!(released, ReleaseError::Unavailable { .. }),
        "{released}"
    );
    // It was given back all the same.
    client
        .concurrency("gpu")
        .timeout(SOON)
        .acquire()
        .unwrap()
        .release()
        .unwrap();
}

#[test]
fn guards_outlive_clients_and_need_no_runtime() {
    let client = blocking::Client::embedded([("gpu", 1)]).unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let within = client.as_async().clone();
    let held = runtime.block_on(async { within.concurrency("gpu").acquire().await.unwrap() });
    drop((runtime, within));
    drop(held);
    let held = client.concurrency("gpu").try_acquire().unwrap();
    drop(client);
    assert_eq!(held.check(), Ok(()));
    held.release().unwrap();
}

#[tokio::test]
async fn events_tell_of_both_ways_to_a_slot() {
    let (sender, events) = std::sync::mpsc::channel();
    let client = Client::builder()
        .on_event(move |event| drop(sender.send(event.clone())))
        .embedded([("gpu", 1)])
        .unwrap();
    let at_once = client.concurrency("gpu").acquire().await.unwrap();
    let waits = tokio::spawn(
        client
            .concurrency("gpu")
            .max_hold(Duration::from_secs(1))
            .acquire(),
    );
    tokio::time::sleep(Duration::from_millis(20)).await;
    at_once.release().await.unwrap();
    let waited = waits.await.unwrap().unwrap();
    waited.lost().await;
    drop(waited);
    let mut kinds = Vec::new();
    while kinds.len() < 4 {
        let event = events.recv_timeout(SOON).unwrap();
        kinds.push(match event.kind {
            EventKind::Acquired { .. } => "acquired",
            EventKind::Released { .. } => "released",
            EventKind::Lost { .. } => "lost",
            _ => "another",
        });
    }
    kinds.sort_unstable();
    assert_eq!(kinds, ["acquired", "acquired", "lost", "released"]);
}
