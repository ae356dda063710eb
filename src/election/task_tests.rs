//! Tests of [`super::stand`]: candidates on a Lease in memory, with a clock that is moved by hand.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use futures::StreamExt as _;
use futures::stream::BoxStream;
use tokio::sync::watch;
use tokio::time::Instant;

use tokio::task::JoinHandle;

use super::*;

/// A Lease in memory, with switches for what goes wrong.
#[derive(Clone, Default)]
struct Memory(Arc<Mutex<Inner>>);

#[derive(Default)]
struct Inner {
    version: u128,
    lease: Option<LeaseObject>,
    away: bool,
    writes: u32,
    news: Option<watch::Sender<u128>>,
}

impl Memory {
    fn put(&self, record: &Record) -> LeaseObject {
        let mut inner = self.0.lock().unwrap();
        inner.version += 1;
        inner.writes += 1;
        let lease = LeaseObject {
            version: inner.version,
            record: record.clone(),
            rest: serde_json::Value::Null,
        };
        inner.lease = Some(lease.clone());
        let version = inner.version;
        inner
            .news
            .get_or_insert_with(|| watch::channel(0).0)
            .send_replace(version);
        lease
    }

    fn delete(&self) {
        let mut inner = self.0.lock().unwrap();
        inner.lease = None;
        inner.version += 1;
        let version = inner.version;
        inner.news.as_ref().unwrap().send_replace(version);
    }

    async fn answer<T>(
        &self,
        answer: impl FnOnce() -> Result<T, LeaseFailure>,
    ) -> Result<T, LeaseFailure> {
        tokio::time::sleep(Duration::from_millis(5)).await;
        if self.0.lock().unwrap().away {
            std::future::pending::<()>().await;
        }
        answer()
    }

    fn record(&self) -> Record {
        self.0.lock().unwrap().lease.clone().unwrap().record
    }
}

#[async_trait]
impl LeaseStore for Memory {
    async fn get(&self) -> Result<Option<LeaseObject>, LeaseFailure> {
        self.answer(|| Ok(self.0.lock().unwrap().lease.clone()))
            .await
    }

    async fn create(&self, record: &Record) -> Result<LeaseObject, LeaseFailure> {
        self.answer(|| {
            if self.0.lock().unwrap().lease.is_some() {
                return Err(LeaseFailure::Conflict("exists".to_owned()));
            }
            Ok(self.put(record))
        })
        .await
    }

    async fn replace(
        &self,
        base: &LeaseObject,
        record: &Record,
    ) -> Result<LeaseObject, LeaseFailure> {
        self.answer(|| {
            let current = self.0.lock().unwrap().lease.as_ref().map(|it| it.version);
            if current != Some(base.version) {
                return Err(LeaseFailure::Conflict("changed".to_owned()));
            }
            Ok(self.put(record))
        })
        .await
    }

    fn watch(&self) -> BoxStream<'static, LeaseNews> {
        let receiver = {
            let mut inner = self.0.lock().unwrap();
            inner
                .news
                .get_or_insert_with(|| watch::channel(0).0)
                .subscribe()
        };
        let own = self.clone();
        futures::stream::unfold((receiver, own), |(mut receiver, own)| async move {
            receiver.changed().await.ok()?;
            let lease = own.0.lock().unwrap().lease.clone();
            let news = lease.map_or(LeaseNews::Doubt, LeaseNews::Seen);
            Some((news, (receiver, own)))
        })
        .boxed()
    }

    fn wall_micros(&self) -> i64 {
        1
    }
}

struct Standing {
    mandate: watch::Receiver<Option<Mandate>>,
    leave: watch::Sender<bool>,
    needed: watch::Sender<u64>,
    task: JoinHandle<Loss>,
    _warm: watch::Sender<bool>,
}

fn begin(store: &Memory, identity: &str) -> Standing {
    let (mandate, seen) = watch::channel(None);
    let (leave, leaving) = watch::channel(false);
    let (needed, floor) = watch::channel(0);
    let (warm, warmed) = watch::channel(true);
    let ballot = Ballot {
        identity: identity.to_owned(),
        timing: Timing::default(),
        warm: warmed,
        needed: floor,
        leave: leaving,
        mandate,
    };
    Standing {
        mandate: seen,
        leave,
        needed,
        task: tokio::spawn(stand(store.clone(), ballot)),
        _warm: warm,
    }
}

async fn leads(standing: &mut Standing) -> u64 {
    let seen = standing.mandate.wait_for(Option::is_some).await.unwrap();
    seen.unwrap().epoch
}

#[tokio::test(start_paused = true)]
async fn a_planned_change_takes_less_than_a_second() {
    let store = Memory::default();
    let mut first = begin(&store, "a");
    assert_eq!(leads(&mut first).await, 1);
    let mut second = begin(&store, "b");
    tokio::time::sleep(Duration::from_secs(40)).await;
    assert!(second.mandate.borrow().is_none(), "the first one renews");
    let before = Instant::now();
    first.leave.send_replace(true);
    assert_eq!(first.task.await.unwrap(), Loss::Left);
    assert_eq!(leads(&mut second).await, 2);
    assert!(before.elapsed() < Duration::from_secs(1));
    assert_eq!(store.record().transitions, 1, "to b");
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_dies_is_followed_when_its_lease_is_over() {
    let store = Memory::default();
    let mut first = begin(&store, "a");
    leads(&mut first).await;
    let mut second = begin(&store, "b");
    tokio::time::sleep(Duration::from_secs(7)).await;
    let before = Instant::now();
    first.task.abort();
    assert_eq!(leads(&mut second).await, 2);
    let took = before.elapsed();
    let lease = Duration::from_secs(15);
    assert!(took <= lease + Duration::from_secs(1), "{took:?}");
    assert!(took >= lease - Duration::from_secs(2), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn whoever_cannot_renew_stops_at_its_deadline() {
    let store = Memory::default();
    let mut first = begin(&store, "a");
    leads(&mut first).await;
    let until = first.mandate.borrow().unwrap().until;
    store.0.lock().unwrap().away = true;
    assert_eq!(first.task.await.unwrap(), Loss::Deadline);
    assert_eq!(Instant::now(), until, "not later, and no earlier");
    assert!(first.mandate.borrow().is_none());
}

#[tokio::test(start_paused = true)]
async fn a_deleted_lease_is_made_anew_by_its_leader_with_a_new_epoch() {
    let store = Memory::default();
    let mut first = begin(&store, "a");
    leads(&mut first).await;
    let second = begin(&store, "b");
    tokio::time::sleep(Duration::from_secs(1)).await;
    store.delete();
    let again = first
        .mandate
        .wait_for(|it| it.is_some_and(|it| it.epoch > 1))
        .await;
    assert_eq!(again.unwrap().unwrap().epoch, 2);
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(second.mandate.borrow().is_none());
    assert_eq!(store.record().holder, "a");
}

#[tokio::test(start_paused = true)]
async fn a_status_of_a_higher_epoch_has_the_lease_read_and_the_epoch_raised() {
    let store = Memory::default();
    let mut first = begin(&store, "a");
    leads(&mut first).await;
    first.needed.send_replace(9);
    let raised = first
        .mandate
        .wait_for(|it| it.is_some_and(|it| it.epoch > 1))
        .await;
    assert_eq!(raised.unwrap().unwrap().epoch, 9);
    assert_eq!(store.record().epoch, 9);
    // The Lease says that somebody else leads: then that was it.
    let rival = Record {
        holder: "b".to_owned(),
        ..store.record()
    };
    store.put(&rival);
    first.needed.send_replace(10);
    assert_eq!(first.task.await.unwrap(), Loss::Taken("b".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn a_quiet_election_costs_one_write_a_period() {
    let store = Memory::default();
    let mut first = begin(&store, "a");
    let _second = begin(&store, "b");
    leads(&mut first).await;
    let before = store.0.lock().unwrap().writes;
    tokio::time::sleep(Duration::from_secs(60)).await;
    let writes = store.0.lock().unwrap().writes - before;
    assert!((28..=31).contains(&writes), "{writes} writes in a minute");
}
