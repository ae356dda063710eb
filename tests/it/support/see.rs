//! What users see: reads, and waits for what they show.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{Event, Pod};
use kube::Api;
use kube::api::{ApiResource, DynamicObject, ListParams};
use sluice::api::{ConcurrencyLimit, Lock, names};

use super::pod::PodFacts as _;
use super::pool::Pool;
use super::world::Space;

impl Space {
    /// All pods.
    pub(crate) fn pods(&self) -> Api<Pod> {
        Api::namespaced(self.client(), self.namespace())
    }

    /// A pod that exists.
    pub(crate) async fn get(&self, pod: &str) -> Pod {
        match self.pods().get(pod).await {
            Ok(pod) => pod,
            Err(error) => self.fail(&format!("cannot read pod {pod}: {error}")),
        }
    }

    /// All pods there are.
    pub(crate) async fn all_pods(&self) -> Vec<Pod> {
        self.pods()
            .list(&ListParams::default())
            .await
            .unwrap()
            .items
    }

    /// A limit that exists.
    pub(crate) async fn limit_now(&self, name: &str) -> Pool {
        self.pool_now(&ApiResource::erase::<ConcurrencyLimit>(&()), name)
            .await
            .unwrap()
    }

    /// A lock that exists.
    pub(crate) async fn lock_now(&self, name: &str) -> Pool {
        self.pool_now(&ApiResource::erase::<Lock>(&()), name)
            .await
            .unwrap()
    }

    /// A limit, if it exists.
    pub(crate) async fn limit_if_any(&self, name: &str) -> Option<Pool> {
        self.pool_now(&ApiResource::erase::<ConcurrencyLimit>(&()), name)
            .await
    }

    async fn pool_now(&self, resource: &ApiResource, name: &str) -> Option<Pool> {
        self.pools(resource).get_opt(name).await.unwrap().map(Pool)
    }

    /// All objects of one of our kinds.
    pub(crate) fn pools(&self, resource: &ApiResource) -> Api<DynamicObject> {
        Api::namespaced_with(self.client(), self.namespace(), resource)
    }

    /// All limits and locks.
    pub(crate) async fn all_pools(&self) -> Vec<Pool> {
        let mut all = Vec::new();
        for resource in [
            ApiResource::erase::<ConcurrencyLimit>(&()),
            ApiResource::erase::<Lock>(&()),
        ] {
            let list = self
                .pools(&resource)
                .list(&ListParams::default())
                .await
                .unwrap();
            all.extend(list.items.into_iter().map(Pool));
        }
        all
    }

    /// Waits until a limit is so.
    pub(crate) async fn limit_is(&self, name: &str, what: &str, is: impl Fn(&Pool) -> bool) {
        self.eventually(&format!("limit {name}: {what}"), async || {
            self.limit_if_any(name).await.is_some_and(|it| is(&it))
        })
        .await;
    }

    /// Waits until a lock is so.
    pub(crate) async fn lock_is(&self, name: &str, what: &str, is: impl Fn(&Pool) -> bool) {
        self.eventually(&format!("lock {name}: {what}"), async || {
            is(&self.lock_now(name).await)
        })
        .await;
    }

    /// Waits until exactly these pods hold something of a limit.
    pub(crate) async fn holders<const N: usize>(&self, limit: &str, pods: [&str; N]) {
        let expected = BTreeSet::from(pods.map(str::to_owned));
        self.limit_is(limit, &format!("held by {pods:?}"), |it| {
            it.holders() == expected
        })
        .await;
    }

    /// Waits until exactly these pods hold a lock.
    pub(crate) async fn lock_holders<const N: usize>(&self, lock: &str, pods: [&str; N]) {
        let expected = BTreeSet::from(pods.map(str::to_owned));
        self.lock_is(lock, &format!("held by {pods:?}"), |it| {
            it.holders() == expected
        })
        .await;
    }

    /// Waits until so many requests wait for a limit.
    pub(crate) async fn waiting(&self, limit: &str, count: i64) {
        self.limit_is(limit, &format!("{count} wait"), |it| {
            it.number("waiting") == count
        })
        .await;
    }

    /// Waits until a limit is fenced.
    pub(crate) async fn fenced(&self, limit: &str) {
        self.limit_is(limit, "fenced", Pool::is_fenced).await;
    }

    /// Waits until a pod is so.
    pub(crate) async fn pod_is(&self, name: &str, what: &str, is: impl Fn(&Pod) -> bool) -> Pod {
        self.eventually(&format!("pod {name}: {what}"), async || {
            self.pods()
                .get_opt(name)
                .await
                .unwrap()
                .is_some_and(|pod| is(&pod))
        })
        .await;
        self.get(name).await
    }

    /// Waits until the controller has revealed a pod.
    pub(crate) async fn granted(&self, pod: &str) -> Pod {
        self.pod_is(pod, "granted", |it| {
            !it.is_gated() && it.annotation(names::GRANTED).is_some()
        })
        .await
    }

    /// Waits until a pod runs.
    pub(crate) async fn running(&self, pod: &str) -> Pod {
        self.pod_is(pod, "running", |it| it.phase() == "Running")
            .await
    }

    /// Waits until a pod has Succeeded.
    pub(crate) async fn succeeded(&self, pod: &str) {
        self.pod_is(pod, "Succeeded", |it| it.phase() == "Succeeded")
            .await;
    }

    /// Waits until there is no pod of that name.
    pub(crate) async fn gone(&self, pod: &str) {
        self.eventually(&format!("pod {pod} to be gone"), async || {
            self.pods().get_opt(pod).await.unwrap().is_none()
        })
        .await;
    }

    /// Fails unless a pod still has its gate.
    pub(crate) async fn is_gated(&self, pod: &str) {
        if !self.get(pod).await.is_gated() {
            self.fail(&format!("pod {pod} was to be waiting"));
        }
    }

    /// Names of the pods that have no gate and have not ended.
    pub(crate) async fn in_progress(&self) -> BTreeSet<String> {
        let pods = self.all_pods().await.into_iter();
        pods.filter(|pod| !pod.is_gated() && !pod.is_terminal())
            .map(|pod| pod.metadata.name.unwrap())
            .collect()
    }

    /// All events about an object of this name, with this reason: their messages.
    pub(crate) async fn events(&self, name: &str, reason: &str) -> Vec<String> {
        let events: Api<Event> = Api::namespaced(self.client(), self.namespace());
        let of =
            ListParams::default().fields(&format!("involvedObject.name={name},reason={reason}"));
        let found = events.list(&of).await.unwrap().items.into_iter();
        found
            .map(|event| event.message.unwrap_or_default())
            .collect()
    }

    /// Waits for an event about an object of this name, with this reason; gives its message.
    pub(crate) async fn event(&self, name: &str, reason: &str) -> String {
        self.eventually(&format!("an event {reason} about {name}"), async || {
            !self.events(name, reason).await.is_empty()
        })
        .await;
        self.events(name, reason).await.remove(0)
    }
}
