//! [`Transport`] over a real API server.
//!
//! One request for each call: the client's own retries are off (`client::connect`), every call has a
//! time limit, and what an answer means is decided in one place ([`Failure`] from status codes).

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::stream::BoxStream;
use kube::api::{ApiResource, DynamicObject, ListParams};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client};
use serde::Serialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::{Value, json};
use tracing::warn;

use super::translate::{self, GuardedPod, PodWire};
use super::transport::{
    Address, Failure, Kind, NewEvent, Object, Part, PatchOperation, PodMetadata, Transport, Watched,
};
use super::wire::{
    event_manifest, failure, is_out_of_service, lease, lease_news, namespace, path, pod_metadata,
    pool_kind, resource, watched, watcher_config,
};
use crate::api::names;
use crate::client::ServerClock;
use crate::election::{self, LeaseNews, LeaseObject, Record};
use crate::ledger::{
    ChildWrite, ClaimDeletion, Guard, Name, PoolKind, RequestView, StatusWrite, Uid, Version,
};

/// Media type of objects.
const JSON: &str = "application/json";
/// Longest a single request may take.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(15);
/// Longest a list may take.
const LIST_TIMEOUT: Duration = Duration::from_secs(60);
/// Objects on one page of a list.
pub(super) const PAGE_SIZE: u32 = 500;
/// Longest a watch may be silent before it is begun anew, in seconds.
pub(super) const WATCH_TIMEOUT_SECONDS: u32 = 60;

/// A real API server.
#[derive(Clone)]
pub struct KubeTransport {
    client: Client,
    clock: ServerClock,
    priority_max: Option<i32>,
}

impl KubeTransport {
    /// Speaks through this client, which must not repeat requests by itself.
    pub fn new(client: Client, clock: ServerClock, priority_max: Option<i32>) -> Self {
        Self {
            client,
            clock,
            priority_max,
        }
    }

    async fn call<B: Serialize + ?Sized, T: DeserializeOwned>(
        &self,
        method: http::Method,
        path: &str,
        content_type: &str,
        body: Option<&B>,
    ) -> Result<T, Failure> {
        let body = match body {
            Some(body) => {
                serde_json::to_vec(body).map_err(|error| Failure::Refused(error.to_string()))?
            }
            None => Vec::new(),
        };
        let request = http::Request::builder()
            .method(method)
            .uri(path)
            .header(http::header::CONTENT_TYPE, content_type)
            .header(http::header::ACCEPT, JSON)
            .body(body)
            .map_err(|error| Failure::Refused(error.to_string()))?;
        match tokio::time::timeout(REQUEST_TIMEOUT, self.client.request::<T>(request)).await {
            Ok(answer) => answer.map_err(failure),
            Err(_) => Err(Failure::Unknown(format!("none within {REQUEST_TIMEOUT:?}"))),
        }
    }

    /// A call that answers with an object of this kind.
    async fn object<B: Serialize + ?Sized>(
        &self,
        kind: Kind,
        method: http::Method,
        path: &str,
        content_type: &str,
        body: Option<&B>,
    ) -> Result<Object, Failure> {
        Ok(match kind {
            Kind::Limit | Kind::Lock => {
                let object: DynamicObject = self.call(method, path, content_type, body).await?;
                Object::Pool(Box::new(translate::pool(pool_kind(kind), object)))
            }
            Kind::Pod => {
                let wire: PodWire = self.call(method, path, content_type, body).await?;
                Object::Request(Box::new(self.pod(wire)))
            }
            Kind::Claim => {
                let object: DynamicObject = self.call(method, path, content_type, body).await?;
                Object::Request(Box::new(translate::claim(object, self.priority_max)))
            }
            Kind::Node => {
                let node: Value = self.call(method, path, content_type, body).await?;
                Object::Node {
                    out_of_service: is_out_of_service(&node),
                }
            }
            Kind::Namespace => namespace(self.call(method, path, content_type, body).await?),
            Kind::PolicyBinding | Kind::Lease => {
                let _: IgnoredAny = self.call(method, path, content_type, body).await?;
                Object::Other
            }
        })
    }

    /// Creates the Lease, or replaces this version.
    async fn write_lease(
        &self,
        at: &Address,
        base: Option<&LeaseObject>,
        record: &Record,
    ) -> Result<LeaseObject, Failure> {
        let namespace = at.namespace.as_ref().map_or("", Name::as_str);
        let body = election::manifest(namespace, at.name.as_str(), base, record);
        let own = path(at);
        let collection = own.rsplit_once('/').map_or("", |(it, _)| it);
        let (method, path) = match base {
            Some(_) => (http::Method::PUT, own.as_str()),
            None => (http::Method::POST, collection),
        };
        let answer = self.call(method, path, JSON, Some(&body)).await?;
        lease(answer)
    }

    /// Deletes exactly this version of an object.
    async fn delete(&self, at: &Address, uid: &Uid, version: Version) -> Result<(), Failure> {
        let options = json!({
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "preconditions": {"uid": uid.as_str(), "resourceVersion": version.0.to_string()},
        });
        let (method, body) = (http::Method::DELETE, Some(&options));
        let _: IgnoredAny = self.call(method, &path(at), JSON, body).await?;
        Ok(())
    }

    fn pod(&self, wire: PodWire) -> RequestView {
        translate::pod(wire, self.priority_max)
    }

    fn watch_pods(&self, api: Api<GuardedPod>) -> BoxStream<'static, Watched> {
        let own = self.clone();
        let config =
            watcher_config().labels(&format!("{}={}", names::MANAGED, names::MANAGED_VALUE));
        watched(
            watcher(api, config).default_backoff(),
            move |guarded| match guarded.read {
                Ok(wire) => Ok(Object::Request(Box::new(own.pod(wire)))),
                Err(ref why) => Err(guarded.broken(why)),
            },
        )
    }

    fn watch_dynamic(&self, kind: Kind, api: Api<DynamicObject>) -> BoxStream<'static, Watched> {
        let priority_max = self.priority_max;
        watched(
            watcher(api, watcher_config()).default_backoff(),
            move |object| {
                Ok(match kind {
                    Kind::Limit | Kind::Lock => {
                        Object::Pool(Box::new(translate::pool(pool_kind(kind), object)))
                    }
                    Kind::Claim => {
                        Object::Request(Box::new(translate::claim(object, priority_max)))
                    }
                    Kind::Namespace => namespace(object),
                    Kind::Pod | Kind::Node | Kind::PolicyBinding | Kind::Lease => Object::Other,
                })
            },
        )
    }

    fn api<K>(&self, kind: Kind, namespace: Option<&Name>) -> Api<K>
    where
        K: kube::Resource<DynamicType = ApiResource, Scope = kube::core::DynamicResourceScope>,
    {
        match namespace {
            Some(namespace) => {
                Api::namespaced_with(self.client.clone(), namespace.as_str(), &resource(kind))
            }
            None => Api::all_with(self.client.clone(), &resource(kind)),
        }
    }
}

#[async_trait]
impl Transport for KubeTransport {
    async fn get(&self, at: &Address) -> Result<Option<Object>, Failure> {
        let (method, body) = (http::Method::GET, None::<&Value>);
        match self.object(at.kind, method, &path(at), JSON, body).await {
            Ok(object) => Ok(Some(object)),
            Err(Failure::NotFound(_)) => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    async fn list(&self, kind: Kind, namespace: Option<&Name>) -> Result<Vec<Object>, Failure> {
        let mut objects = Vec::new();
        if kind == Kind::Claim {
            let api: Api<DynamicObject> = self.api(kind, namespace);
            let mut take = |object| {
                let claim = translate::claim(object, self.priority_max);
                objects.push(Object::Request(Box::new(claim)));
            };
            pages(&api, ListParams::default(), &mut take).await?;
            return Ok(objects);
        }
        let api: Api<GuardedPod> = self.api(kind, namespace);
        let labels = format!("{}={}", names::MANAGED, names::MANAGED_VALUE);
        let mut take = |guarded: GuardedPod| match guarded.read {
            Ok(wire) => objects.push(Object::Request(Box::new(self.pod(wire)))),
            Err(ref why) => warn!("{}", guarded.broken(why)),
        };
        pages(&api, ListParams::default().labels(&labels), &mut take).await?;
        Ok(objects)
    }

    fn watch(&self, kind: Kind, namespace: Option<&Name>) -> BoxStream<'static, Watched> {
        match kind {
            Kind::Pod => self.watch_pods(self.api(kind, namespace)),
            Kind::Limit
            | Kind::Lock
            | Kind::Claim
            | Kind::Namespace
            | Kind::Node
            | Kind::PolicyBinding
            | Kind::Lease => self.watch_dynamic(kind, self.api(kind, namespace)),
        }
    }

    async fn write_child(&self, write: &ChildWrite) -> Result<Option<Object>, Failure> {
        let key = write.pool();
        let at = Address {
            kind: Kind::Limit,
            namespace: Some(key.namespace.clone()),
            name: key.name.clone(),
        };
        match write {
            ChildWrite::Create { pool, family, spec } => {
                let manifest = translate::child_manifest(pool, family, spec);
                let collection = path(&at);
                let collection = collection
                    .rsplit_once('/')
                    .map_or("", |(collection, _)| collection);
                let (method, body) = (http::Method::POST, Some(&manifest));
                let created = self.object(at.kind, method, collection, JSON, body);
                created.await.map(Some)
            }
            ChildWrite::Update {
                uid,
                version,
                family,
                spec,
                ..
            } => {
                let operations = translate::child_patch(uid, *version, family, spec);
                self.patch(&at, Part::Main, &operations).await.map(Some)
            }
            ChildWrite::Delete { uid, version, .. } => {
                self.delete(&at, uid, *version).await?;
                Ok(None)
            }
        }
    }

    async fn replace_status(&self, write: &StatusWrite) -> Result<Object, Failure> {
        let (kind, kind_text) = match write.pool.kind {
            PoolKind::Limit => (Kind::Limit, "ConcurrencyLimit"),
            PoolKind::Lock => (Kind::Lock, "Lock"),
        };
        let at = Address {
            kind,
            namespace: Some(write.pool.namespace.clone()),
            name: write.pool.name.clone(),
        };
        let version = match &write.guard {
            Guard::Version(version) => *version,
            Guard::Tested { generation, batch } => {
                let operations = translate::status_patch(write, *generation, batch.as_ref());
                return self.patch(&at, Part::Status, &operations).await;
            }
        };
        let body = json!({
            "apiVersion": names::API_VERSION,
            "kind": kind_text,
            "metadata": {
                "name": write.pool.name.as_str(),
                "namespace": write.pool.namespace.as_str(),
                "uid": write.uid.as_str(),
                "resourceVersion": version.0.to_string(),
            },
            "status": translate::status_json(write.pool.kind, &write.status, &write.pool.namespace),
        });
        let path = format!("{}/status", path(&at));
        self.object(kind, http::Method::PUT, &path, JSON, Some(&body))
            .await
    }

    async fn patch(
        &self,
        at: &Address,
        part: Part,
        operations: &[PatchOperation],
    ) -> Result<Object, Failure> {
        let path = match part {
            Part::Main => path(at),
            Part::Status => format!("{}/status", path(at)),
        };
        let json_patch = "application/json-patch+json";
        let method = http::Method::PATCH;
        self.object(at.kind, method, &path, json_patch, Some(operations))
            .await
    }

    async fn delete_claim(&self, deletion: &ClaimDeletion) -> Result<(), Failure> {
        let at = Address {
            kind: Kind::Claim,
            namespace: Some(deletion.namespace.clone()),
            name: deletion.name.clone(),
        };
        self.delete(&at, &deletion.uid, deletion.version).await
    }

    async fn create_event(&self, event: &NewEvent) -> Result<(), Failure> {
        let namespace = event.namespace.as_str();
        let path = format!("/apis/events.k8s.io/v1/namespaces/{namespace}/events");
        let body = event_manifest(event, self.clock.micros());
        let _: IgnoredAny = self
            .call(http::Method::POST, &path, JSON, Some(&body))
            .await?;
        Ok(())
    }

    async fn page_pods(
        &self,
        namespace: Option<&Name>,
        after: Option<String>,
    ) -> Result<(Vec<PodMetadata>, Option<String>), Failure> {
        let api: Api<DynamicObject> = self.api(Kind::Pod, namespace);
        let mut params = ListParams::default().limit(PAGE_SIZE);
        if let Some(token) = after {
            params = params.continue_token(&token);
        }
        let page = tokio::time::timeout(LIST_TIMEOUT, api.list_metadata(&params))
            .await
            .map_err(|_| Failure::Unknown(format!("none within {LIST_TIMEOUT:?}")))?
            .map_err(failure)?;
        let next = page
            .metadata
            .continue_
            .clone()
            .filter(|token| !token.is_empty());
        Ok((page.items.into_iter().map(pod_metadata).collect(), next))
    }

    async fn get_lease(&self, at: &Address) -> Result<Option<LeaseObject>, Failure> {
        let (method, body) = (http::Method::GET, None::<&Value>);
        match self.call(method, &path(at), JSON, body).await {
            Ok(value) => lease(value).map(Some),
            Err(Failure::NotFound(_)) => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    async fn create_lease(&self, at: &Address, record: &Record) -> Result<LeaseObject, Failure> {
        self.write_lease(at, None, record).await
    }

    async fn replace_lease(
        &self,
        at: &Address,
        base: &LeaseObject,
        record: &Record,
    ) -> Result<LeaseObject, Failure> {
        self.write_lease(at, Some(base), record).await
    }

    fn watch_lease(&self, at: &Address) -> BoxStream<'static, LeaseNews> {
        let api: Api<DynamicObject> = self.api(Kind::Lease, at.namespace.as_ref());
        // This one alone: the role of a release names its Lease.
        let config = watcher_config().fields(&format!("metadata.name={}", at.name));
        lease_news(watcher(api, config).default_backoff())
    }

    fn server_micros(&self) -> u64 {
        self.clock.micros()
    }
}

/// Lists page by page. No resourceVersion: the list is as consistent as a read of etcd.
async fn pages<K: Clone + DeserializeOwned + std::fmt::Debug>(
    api: &Api<K>,
    params: ListParams,
    take: &mut (impl FnMut(K) + Send),
) -> Result<(), Failure> {
    let mut params = params.limit(PAGE_SIZE);
    loop {
        let page = tokio::time::timeout(LIST_TIMEOUT, api.list(&params))
            .await
            .map_err(|_| Failure::Unknown(format!("none within {LIST_TIMEOUT:?}")))?
            .map_err(failure)?;
        let next = page.metadata.continue_.filter(|token| !token.is_empty());
        page.items.into_iter().for_each(&mut *take);
        match next {
            Some(token) => params = params.continue_token(&token),
            None => return Ok(()),
        }
    }
}

/// A transport that many tasks share.
pub(super) type Shared = Arc<dyn Transport>;
