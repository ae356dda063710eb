//! The store on an API server: one request for each call, nothing repeated.
//!
//! Renewals have connections of their own, where this module makes the client. What an answer means is decided in one
//! place, [`meaning`]. Tested against a real server in `tests/it/sdk`.

use async_trait::async_trait;
use futures::FutureExt as _;
use futures::stream::BoxStream;
use http::Method;
use k8s_openapi::jiff::Timestamp;
use kube::{Api, Client, Config, Resource as _};
use serde::Serialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::{Value, json};

use super::cluster_watch;
use super::connect::{ConnectError, connect_with};
use super::store::{
    ClaimAt, ClaimVersion, Found, HeldBy, NewClaim, Sight, Store, StoreError, Swap, Wanted, Watched,
};
use crate::api::key::QualifiedKey;
use crate::api::limit::{ConcurrencyLimit, ConcurrencyLimitSpec};
use crate::api::lock::{Lock, LockSpec};
use crate::api::names;
use crate::api::status::{self, HolderKind, Lease, LedgerStatus};
use crate::api::{SlotClaim, claim};
use crate::ledger::Level;

const JSON: &str = "application/json";
const JSON_PATCH: &str = "application/json-patch+json";
const MERGE_PATCH: &str = "application/merge-patch+json";
/// Most holders that are read out of a status for a message.
const HOLDERS_MAX: usize = 100;

/// Claims on an API server.
///
/// ```
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use sluice::client::{Client, Cluster};
///
/// let cluster = Cluster::of(kube::Client::try_default().await?, Some("team".to_owned()));
/// let client = Client::builder().store(std::sync::Arc::new(cluster)).connect().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Cluster {
    client: Client,
    renewals: Client,
    namespace: String,
}

impl Cluster {
    /// Connects; its retry layer is off, and renewals have connections of their own. The connections belong to the
    /// runtime in which this is called.
    ///
    /// ```
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// let cluster = sluice::client::Cluster::connect(kube::Config::infer().await?, None)?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn connect(config: Config, namespace: Option<String>) -> Result<Self, ConnectError> {
        let namespace = namespace.unwrap_or_else(|| config.default_namespace.clone());
        let (client, _) = connect_with(config.clone())?;
        let (renewals, _) = connect_with(config)?;
        Ok(Self {
            client,
            renewals,
            namespace,
        })
    }

    /// Uses a client that somebody else has made, for renewals as well.
    ///
    /// ```
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// let cluster = sluice::client::Cluster::of(kube::Client::try_default().await?, None);
    /// # Ok(())
    /// # }
    /// ```
    pub fn of(client: Client, namespace: Option<String>) -> Self {
        Self {
            namespace: namespace.unwrap_or_else(|| client.default_namespace().to_owned()),
            renewals: client.clone(),
            client,
        }
    }

    fn claims(&self) -> String {
        SlotClaim::url_path(&(), Some(&self.namespace))
    }

    fn claim(&self, name: &str) -> String {
        format!("{}/{name}", self.claims())
    }

    async fn patch(
        &self,
        client: &Client,
        name: &str,
        kind: &str,
        body: &Value,
    ) -> Result<ClaimVersion, StoreError> {
        let path = format!("{}?fieldManager={}", self.claim(name), names::FIELD_MANAGER);
        let claim: SlotClaim = call(client, Method::PATCH, &path, kind, Some(body)).await?;
        Ok(claim.into())
    }

    async fn sight(&self, wanted: &Wanted) -> Sight {
        let kind = if wanted.lock { "lock" } else { "limit" };
        let mut sight = Sight {
            what: format!("{kind} {}", wanted.key),
            ..Sight::default()
        };
        let Ok(key) = QualifiedKey::parse(&wanted.key) else {
            return sight;
        };
        let namespace = key.namespace.as_ref().unwrap_or(&self.namespace);
        let name = key.key.object_name();
        let read = if wanted.lock {
            let locks: Api<Lock> = Api::namespaced(self.client.clone(), namespace);
            locks.get_opt(&name).await.map(|lock| {
                let lock = lock?;
                Some(found(
                    None,
                    &lock.status.unwrap_or_default(),
                    &self.namespace,
                ))
            })
        } else {
            let limits: Api<ConcurrencyLimit> = Api::namespaced(self.client.clone(), namespace);
            limits.get_opt(&name).await.map(|limit| {
                let limit = limit?;
                let status = limit.status.unwrap_or_default();
                let slots = Some(i64::from(limit.spec.slots));
                let level = status.level.filter(|_| limit.spec.decay.is_some());
                let used = level.map_or(0, |it| slots_used(&it));
                Some(Found {
                    coming_back: used,
                    ..found(slots, &status.ledger, &self.namespace)
                })
            })
        };
        match read {
            Ok(None) => sight.missing = true,
            Ok(found) => sight.found = found,
            // The caller may not read it: nothing is said of it.
            Err(_) => {}
        }
        sight
    }
}

#[async_trait]
impl Store for Cluster {
    fn namespace(&self) -> &str {
        &self.namespace
    }

    async fn user(&self) -> Result<String, StoreError> {
        let review = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"});
        let path = "/apis/authentication.k8s.io/v1/selfsubjectreviews";
        let answer: Value = call(&self.client, Method::POST, path, JSON, Some(&review)).await?;
        let name = answer["status"]["userInfo"]["username"].as_str();
        let name = name.filter(|name| !name.is_empty()).map(str::to_owned);
        name.ok_or_else(|| StoreError::Refused("the server does not say who we are".to_owned()))
    }

    async fn create(&self, claim: &NewClaim) -> Result<ClaimVersion, StoreError> {
        let body = json!({
            "apiVersion": names::API_VERSION,
            "kind": "SlotClaim",
            "metadata": {
                "name": claim.name,
                "namespace": self.namespace,
                "labels": {(names::SESSION): claim.spec.session},
            },
            "spec": claim.spec,
        });
        let path = format!("{}?fieldManager={}", self.claims(), names::FIELD_MANAGER);
        let created: SlotClaim = call(&self.client, Method::POST, &path, JSON, Some(&body)).await?;
        Ok(created.into())
    }

    async fn get(&self, name: &str) -> Result<Option<ClaimVersion>, StoreError> {
        let path = self.claim(name);
        match call::<Value, SlotClaim>(&self.client, Method::GET, &path, JSON, None).await {
            Ok(claim) => Ok(Some(claim.into())),
            Err(StoreError::NotFound(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn renew(&self, at: &ClaimAt, seq: i64) -> Result<ClaimVersion, StoreError> {
        let body = json!([
            {"op": "test", "path": "/metadata/uid", "value": at.uid},
            {"op": "test", "path": "/spec/session", "value": at.session},
            {"op": "replace", "path": "/spec/renew", "value": renewal(seq)},
        ]);
        self.patch(&self.renewals, &at.name, JSON_PATCH, &body)
            .await
    }

    async fn adopt(&self, swap: &Swap) -> Result<ClaimVersion, StoreError> {
        // The version stands for all that was read: session, number, and that nobody has released it.
        let body = json!({
            "metadata": {
                "uid": swap.at.uid,
                "resourceVersion": swap.version.to_string(),
                "labels": {(names::SESSION): swap.session},
            },
            "spec": {"session": swap.session, "renew": renewal(swap.new_seq)},
        });
        self.patch(&self.client, &swap.at.name, MERGE_PATCH, &body)
            .await
    }

    async fn release(&self, at: &ClaimAt) -> Result<ClaimVersion, StoreError> {
        let body = json!([
            {"op": "test", "path": "/metadata/uid", "value": at.uid},
            {"op": "test", "path": "/spec/session", "value": at.session},
            {"op": "add", "path": "/spec/release", "value": true},
        ]);
        self.patch(&self.client, &at.name, JSON_PATCH, &body).await
    }

    async fn delete(&self, name: &str, uid: &str) -> Result<(), StoreError> {
        let options =
            json!({"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": {"uid": uid}});
        let path = self.claim(name);
        let _: IgnoredAny = call(&self.client, Method::DELETE, &path, JSON, Some(&options)).await?;
        Ok(())
    }

    fn watch(&self, session: &str) -> BoxStream<'static, Watched> {
        let claims: Api<SlotClaim> = Api::namespaced(self.client.clone(), &self.namespace);
        let labels = format!("{}={session}", names::SESSION);
        cluster_watch::watch(claims, labels)
    }

    async fn create_limit(&self, key: &str, spec: &ConcurrencyLimitSpec) -> Result<(), StoreError> {
        let parsed =
            QualifiedKey::parse(key).map_err(|why| StoreError::Invalid(why.to_string()))?;
        let namespace = parsed.namespace.as_ref().unwrap_or(&self.namespace);
        let limit = ConcurrencyLimit::new(&parsed.key.object_name(), spec.clone());
        let path = ConcurrencyLimit::url_path(&(), Some(namespace));
        let path = format!("{path}?fieldManager={}", names::FIELD_MANAGER);
        let _: IgnoredAny = call(&self.client, Method::POST, &path, JSON, Some(&limit)).await?;
        Ok(())
    }

    async fn create_lock(&self, key: &str, spec: &LockSpec) -> Result<(), StoreError> {
        let parsed =
            QualifiedKey::parse(key).map_err(|why| StoreError::Invalid(why.to_string()))?;
        let namespace = parsed.namespace.as_ref().unwrap_or(&self.namespace);
        let lock = Lock::new(&parsed.key.object_name(), spec.clone());
        let path = Lock::url_path(&(), Some(namespace));
        let path = format!("{path}?fieldManager={}", names::FIELD_MANAGER);
        let _: IgnoredAny = call(&self.client, Method::POST, &path, JSON, Some(&lock)).await?;
        Ok(())
    }

    async fn look(&self, wanted: &[Wanted]) -> Vec<Sight> {
        let looks = wanted.iter().map(|wanted| self.sight(wanted).boxed());
        futures::future::join_all(looks).await
    }
}

impl std::fmt::Debug for Cluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cluster")
            .field("namespace", &self.namespace)
            .finish_non_exhaustive()
    }
}

/// A renewal with this number; its time is for people.
fn renewal(seq: i64) -> Value {
    let renewal = claim::Renewal {
        seq,
        time: Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime(
            Timestamp::now(),
        )),
    };
    serde_json::to_value(renewal).unwrap_or_default()
}

async fn call<B: Serialize, T: DeserializeOwned>(
    client: &Client,
    method: Method,
    path: &str,
    content_type: &str,
    body: Option<&B>,
) -> Result<T, StoreError> {
    let invalid = |why: String| StoreError::Invalid(why);
    let body = match body {
        Some(body) => serde_json::to_vec(body).map_err(|error| invalid(error.to_string()))?,
        None => Vec::new(),
    };
    let creates = method == Method::POST;
    let request = http::Request::builder()
        .method(method)
        .uri(path)
        .header(http::header::CONTENT_TYPE, content_type)
        .header(http::header::ACCEPT, JSON)
        .body(body)
        .map_err(|error| invalid(error.to_string()))?;
    let answer = client.request::<T>(request).await;
    answer.map_err(|error| meaning(error, creates))
}

/// What an answer means for the request that it answers.
fn meaning(error: kube::Error, creates: bool) -> StoreError {
    let status = match error {
        kube::Error::Api(status) => status,
        other => return StoreError::Unknown(other.to_string()),
    };
    let message = status.message.clone();
    match status.code {
        401 | 403 => StoreError::Forbidden(message),
        404 => StoreError::NotFound(message),
        409 if status.reason == "AlreadyExists" => StoreError::Exists(message),
        409 => StoreError::Refused(message),
        400 | 413 | 415 => StoreError::Invalid(message),
        422 if creates => StoreError::Invalid(message),
        422 => StoreError::Refused(message),
        // 429 and 5xx, which the server answers after the fact as well.
        _ => StoreError::Unknown(message),
    }
}

/// Whole slots of a level, as the ledger counts them.
fn slots_used(level: &status::Level) -> i64 {
    let parts = |units: i64| u64::try_from(units).unwrap_or(0);
    let level = Level {
        parts: parts(level.units),
        parts_per_slot: parts(level.units_per_slot),
    };
    i64::try_from(level.slots()).unwrap_or(i64::MAX)
}

/// What a status says of who holds; names of our own namespace stand alone.
fn found<A>(slots: Option<i64>, status: &LedgerStatus<A>, own: &str) -> Found {
    let holder = |lease: &Lease<A>| {
        let kind = match lease.kind {
            HolderKind::Pod => "pod",
            HolderKind::Claim => "claim",
        };
        let stranger = lease.namespace.as_deref().filter(|it| *it != own);
        let is_ours = stranger.is_none() && lease.kind == HolderKind::Claim;
        HeldBy {
            who: match stranger {
                Some(namespace) => format!("{kind} {namespace}/{}", lease.name),
                None => format!("{kind} {}", lease.name),
            },
            claim: is_ours.then(|| lease.name.clone()),
            holder: String::new(),
        }
    };
    let holders = status.leases.iter().chain(&status.adopted);
    Found {
        slots,
        held: i64::from(status.in_use),
        coming_back: 0,
        waiting: i64::from(status.waiting),
        holders: holders.clone().take(HOLDERS_MAX).map(holder).collect(),
        tokens: holders.map(|lease| lease.token).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn api(code: u16, reason: &str) -> kube::Error {
        let status = json!({"code": code, "reason": reason, "message": "m", "status": "Failure"});
        kube::Error::Api(Box::new(serde_json::from_value(status).unwrap()))
    }

    #[test]
    fn answers_mean_what_they_say() {
        let m = || "m".to_owned();
        let table = [
            (409, "AlreadyExists", true, StoreError::Exists(m())),
            (409, "Conflict", false, StoreError::Refused(m())),
            (422, "Invalid", true, StoreError::Invalid(m())),
            (422, "Invalid", false, StoreError::Refused(m())),
            (403, "Forbidden", false, StoreError::Forbidden(m())),
            (404, "NotFound", false, StoreError::NotFound(m())),
            (429, "TooManyRequests", true, StoreError::Unknown(m())),
            (500, "InternalError", true, StoreError::Unknown(m())),
            (504, "Timeout", false, StoreError::Unknown(m())),
        ];
        for (code, reason, creates, expected) in table {
            assert_eq!(meaning(api(code, reason), creates), expected, "{code}");
        }
    }
}
