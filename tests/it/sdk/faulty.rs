//! A store around the real one: answers that are lost, requests that come late, and a count of all calls.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use futures::StreamExt as _;
use futures::stream::BoxStream;
use sluice::api::{ConcurrencyLimitSpec, LockSpec};
use sluice::client::Cluster;
use sluice::client::store::{
    ClaimAt, ClaimVersion, NewClaim, Sight, Store, StoreError, Swap, Wanted, Watched,
};
use tokio::sync::watch;

use crate::support::World;

/// What a call is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Call {
    User,
    Create,
    Get,
    Renew,
    Adopt,
    Release,
    Delete,
}

/// A store that can be told to go wrong.
#[derive(Debug)]
pub(super) struct Faulty {
    inner: Cluster,
    /// The watch shows nothing any more.
    blind: Arc<AtomicBool>,
    /// A create that came late has made its claim.
    pub(super) late_arrived: Arc<AtomicBool>,
    /// Calls of these kinds are not sent.
    cut: Mutex<HashSet<Call>>,
    /// Releases of these claims are not sent.
    stuck: Mutex<HashSet<String>>,
    /// So many answers of creates are lost.
    pub(super) creates_lost: AtomicU32,
    /// So many creates are sent only this much later, and not answered.
    pub(super) creates_late: Mutex<(u32, Duration)>,
    /// How many begins and ends of calls there were.
    steps: watch::Sender<usize>,
    /// Renewals sent.
    pub(super) renewals: AtomicUsize,
}

impl Faulty {
    pub(super) fn new(world: &World) -> Arc<Self> {
        let namespace = Some(world.namespace().to_owned());
        Arc::new(Self {
            inner: Cluster::connect(world.plane().config(), namespace).unwrap(),
            blind: Arc::default(),
            late_arrived: Arc::default(),
            cut: Mutex::default(),
            stuck: Mutex::default(),
            creates_lost: AtomicU32::new(0),
            creates_late: Mutex::default(),
            steps: watch::Sender::new(0),
            renewals: AtomicUsize::new(0),
        })
    }

    /// From now on the watch shows nothing.
    pub(super) fn blind(&self) {
        self.blind.store(true, Ordering::Relaxed);
    }

    /// From now on calls of this kind are not sent, and not answered.
    pub(super) fn cut(&self, call: Call) {
        self.cut.lock().unwrap().insert(call);
    }

    /// From now on releases of this claim are not sent, and not answered.
    pub(super) fn stick(&self, claim: &str) {
        self.stuck.lock().unwrap().insert(claim.to_owned());
    }

    /// From now on all calls are sent.
    pub(super) fn heal(&self) {
        self.cut.lock().unwrap().clear();
        self.stuck.lock().unwrap().clear();
    }

    /// Waits until so many calls have begun or ended.
    pub(super) async fn step(&self, number: usize) {
        let mut steps = self.steps.subscribe();
        steps.wait_for(|now| *now >= number).await.unwrap();
    }

    async fn through<T>(
        &self,
        call: Call,
        request: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        self.steps.send_modify(|count| *count += 1);
        if self.cut.lock().unwrap().contains(&call) {
            return Err(StoreError::Unknown(format!("{call:?} was cut")));
        }
        let answer = request.await;
        self.steps.send_modify(|count| *count += 1);
        answer
    }
}

#[async_trait]
impl Store for Faulty {
    fn namespace(&self) -> &str {
        self.inner.namespace()
    }

    async fn user(&self) -> Result<String, StoreError> {
        self.through(Call::User, self.inner.user()).await
    }

    async fn create(&self, claim: &NewClaim) -> Result<ClaimVersion, StoreError> {
        let late = {
            let mut late = self.creates_late.lock().unwrap();
            let (left, after) = *late;
            late.0 = left.saturating_sub(1);
            (left > 0).then_some(after)
        };
        if let Some(after) = late {
            let (inner, claim) = (self.inner.clone(), claim.clone());
            let arrived = Arc::clone(&self.late_arrived);
            tokio::spawn(async move {
                tokio::time::sleep(after).await;
                if inner.create(&claim).await.is_ok() {
                    arrived.store(true, Ordering::Relaxed);
                }
            });
            return Err(StoreError::Unknown("it is late".to_owned()));
        }
        let answer = self.through(Call::Create, self.inner.create(claim)).await;
        let lost = |left: u32| left.checked_sub(1);
        let lost = self
            .creates_lost
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, lost);
        match lost {
            Ok(_) => Err(StoreError::Unknown("its answer was lost".to_owned())),
            Err(_) => answer,
        }
    }

    async fn get(&self, name: &str) -> Result<Option<ClaimVersion>, StoreError> {
        self.through(Call::Get, self.inner.get(name)).await
    }

    async fn renew(&self, at: &ClaimAt, seq: i64) -> Result<ClaimVersion, StoreError> {
        self.renewals.fetch_add(1, Ordering::Relaxed);
        self.through(Call::Renew, self.inner.renew(at, seq)).await
    }

    async fn adopt(&self, swap: &Swap) -> Result<ClaimVersion, StoreError> {
        self.through(Call::Adopt, self.inner.adopt(swap)).await
    }

    async fn release(&self, at: &ClaimAt) -> Result<ClaimVersion, StoreError> {
        if self.stuck.lock().unwrap().contains(&at.name) {
            return Err(StoreError::Unknown("this release was cut".to_owned()));
        }
        self.through(Call::Release, self.inner.release(at)).await
    }

    async fn delete(&self, name: &str, uid: &str) -> Result<(), StoreError> {
        self.through(Call::Delete, self.inner.delete(name, uid))
            .await
    }

    fn watch(&self, session: &str) -> BoxStream<'static, Watched> {
        let blind = Arc::clone(&self.blind);
        let shown = self.inner.watch(session);
        shown
            .filter(move |_| std::future::ready(!blind.load(Ordering::Relaxed)))
            .boxed()
    }

    async fn create_lock(&self, key: &str, spec: &LockSpec) -> Result<(), StoreError> {
        self.inner.create_lock(key, spec).await
    }

    async fn create_limit(&self, key: &str, spec: &ConcurrencyLimitSpec) -> Result<(), StoreError> {
        self.inner.create_limit(key, spec).await
    }

    async fn look(&self, wanted: &[Wanted]) -> Vec<Sight> {
        self.inner.look(wanted).await
    }
}
