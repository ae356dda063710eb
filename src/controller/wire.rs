//! The wire's side of [`super::kube_transport`]: paths, manifests of events, what a status code means,
//! and how a watcher's events become ours. Pure, but for the random name of an event.

use futures::stream::{BoxStream, StreamExt};
use kube::api::{ApiResource, DynamicObject, PartialObjectMeta};
use kube::runtime::watcher;
use serde_json::{Value, json};

use super::kube_transport::{PAGE_SIZE, WATCH_TIMEOUT_SECONDS};
use super::translate;
use super::transport::{Address, Failure, Kind, NewEvent, Object, PodMetadata, Regarding, Watched};
use crate::api::names;
use crate::election::{self, LeaseNews, LeaseObject};
use crate::ledger::{HolderKind, PoolKind};

pub(super) fn pod_metadata(object: PartialObjectMeta<DynamicObject>) -> PodMetadata {
    let meta = object.metadata;
    let annotations = meta.annotations.unwrap_or_default();
    let labels = meta.labels.unwrap_or_default();
    PodMetadata {
        namespace: meta.namespace.unwrap_or_default().into(),
        name: meta.name.unwrap_or_default().into(),
        uid: meta.uid.unwrap_or_default().into(),
        asks: names::ASKING_ANNOTATIONS
            .iter()
            .any(|name| annotations.contains_key(*name)),
        managed: labels
            .get(names::MANAGED)
            .is_some_and(|value| value == names::MANAGED_VALUE),
        labelled: !labels.is_empty(),
        mirror: annotations.contains_key("kubernetes.io/config.mirror"),
    }
}

pub(super) fn event_manifest(event: &NewEvent, micros: u64) -> Value {
    let (kind, api_version, name, uid) = match &event.regarding {
        Regarding::Request(HolderKind::Pod, name, uid) => ("Pod", "v1", name, uid),
        Regarding::Request(HolderKind::Claim, name, uid) => {
            ("SlotClaim", names::API_VERSION, name, uid)
        }
        Regarding::Pool(key, uid) => match key.kind {
            PoolKind::Limit => ("ConcurrencyLimit", names::API_VERSION, &key.name, uid),
            PoolKind::Lock => ("Lock", names::API_VERSION, &key.name, uid),
        },
        Regarding::Lease(name, uid) => ("Lease", "coordination.k8s.io/v1", name, uid),
    };
    let time = k8s_openapi::jiff::Timestamp::from_microsecond(i64::try_from(micros).unwrap_or(0))
        .unwrap_or(k8s_openapi::jiff::Timestamp::UNIX_EPOCH);
    json!({
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {
            "name": format!("{name}.{:016x}", fastrand::u64(..)),
            "namespace": event.namespace.as_str(),
        },
        "eventTime": format!("{time:.6}"),
        "reportingController": names::REPORTER,
        "reportingInstance": "sluice",
        "action": if event.warning { "Warn" } else { "Inform" },
        "reason": event.reason,
        "regarding": {
            "apiVersion": api_version, "kind": kind,
            "namespace": event.namespace.as_str(), "name": name.as_str(), "uid": uid.as_str(),
        },
        "note": event.note,
        "type": if event.warning { "Warning" } else { "Normal" },
    })
}

pub(super) fn watcher_config() -> watcher::Config {
    watcher::Config::default()
        .timeout(WATCH_TIMEOUT_SECONDS)
        .page_size(PAGE_SIZE)
}

/// Turns a watcher's events into ours. Objects are stripped to what is read before they are kept.
pub(super) fn watched<K: Send + 'static>(
    events: impl futures::Stream<Item = watcher::Result<watcher::Event<K>>> + Send + 'static,
    read: impl Fn(K) -> Result<Object, String> + Send + 'static,
) -> BoxStream<'static, Watched> {
    let shown = move |object, how: fn(Object) -> Watched| match read(object) {
        Ok(object) => how(object),
        Err(why) => Watched::Broken(why),
    };
    events
        .map(move |event| match event {
            Ok(watcher::Event::Init) => Watched::Listing,
            Ok(watcher::Event::InitApply(object)) => shown(object, Watched::Listed),
            Ok(watcher::Event::InitDone) => Watched::ListEnd,
            Ok(watcher::Event::Apply(object)) => shown(object, Watched::Seen),
            Ok(watcher::Event::Delete(object)) => shown(object, Watched::Gone),
            Err(error) => Watched::Broken(error.to_string()),
        })
        .boxed()
}

/// Reads a Lease from an answer.
pub(super) fn lease(value: Value) -> Result<LeaseObject, Failure> {
    election::read(value).map_err(|unreadable| Failure::Unknown(unreadable.to_string()))
}

/// What a watch of the one Lease shows; whatever it does not show plainly is a reason to read the Lease.
pub(super) fn lease_news(
    events: impl futures::Stream<Item = watcher::Result<watcher::Event<DynamicObject>>> + Send + 'static,
) -> BoxStream<'static, LeaseNews> {
    let shown = |object: DynamicObject| {
        let value = serde_json::to_value(object).unwrap_or(Value::Null);
        election::read(value).map_or(LeaseNews::Doubt, LeaseNews::Seen)
    };
    let news = events.filter_map(move |event| {
        let news = match event {
            Ok(watcher::Event::InitApply(object) | watcher::Event::Apply(object)) => {
                Some(shown(object))
            }
            Ok(watcher::Event::Init | watcher::Event::Delete(_)) => Some(LeaseNews::Doubt),
            Ok(watcher::Event::InitDone) | Err(_) => None,
        };
        std::future::ready(news)
    });
    news.boxed()
}

pub(super) fn namespace(object: DynamicObject) -> Object {
    let name = object.metadata.name.unwrap_or_default().into();
    Object::Namespace(name, translate::label_map(object.metadata.labels))
}

pub(super) fn is_out_of_service(node: &Value) -> bool {
    let taints = node.pointer("/spec/taints").and_then(Value::as_array);
    let key = "node.kubernetes.io/out-of-service";
    taints
        .into_iter()
        .flatten()
        .any(|taint| taint.get("key").and_then(Value::as_str) == Some(key))
}

pub(super) fn pool_kind(kind: Kind) -> PoolKind {
    if kind == Kind::Lock {
        PoolKind::Lock
    } else {
        PoolKind::Limit
    }
}

pub(super) fn resource(kind: Kind) -> ApiResource {
    let (group, version, kind, plural) = match kind {
        Kind::Limit => (
            names::GROUP,
            names::VERSION,
            "ConcurrencyLimit",
            "concurrencylimits",
        ),
        Kind::Lock => (names::GROUP, names::VERSION, "Lock", "locks"),
        Kind::Claim => (names::GROUP, names::VERSION, "SlotClaim", "slotclaims"),
        Kind::Pod => ("", "v1", "Pod", "pods"),
        Kind::Namespace => ("", "v1", "Namespace", "namespaces"),
        Kind::Node => ("", "v1", "Node", "nodes"),
        Kind::Lease => ("coordination.k8s.io", "v1", "Lease", "leases"),
        Kind::PolicyBinding => (
            "admissionregistration.k8s.io",
            "v1",
            "ValidatingAdmissionPolicyBinding",
            "validatingadmissionpolicybindings",
        ),
    };
    let api_version = if group.is_empty() {
        version.to_owned()
    } else {
        format!("{group}/{version}")
    };
    ApiResource {
        group: group.to_owned(),
        version: version.to_owned(),
        api_version,
        kind: kind.to_owned(),
        plural: plural.to_owned(),
    }
}

pub(super) fn path(at: &Address) -> String {
    let resource = resource(at.kind);
    let root = if resource.group.is_empty() {
        "/api"
    } else {
        "/apis"
    };
    let (version, plural, name) = (&resource.api_version, &resource.plural, &at.name);
    match &at.namespace {
        Some(namespace) => format!("{root}/{version}/namespaces/{namespace}/{plural}/{name}"),
        None => format!("{root}/{version}/{plural}/{name}"),
    }
}

/// What an answer says about whether the request was applied.
pub(super) fn failure(error: kube::Error) -> Failure {
    let kube::Error::Api(status) = error else {
        return Failure::Unknown(error.to_string());
    };
    let message = status.message.clone();
    match status.code {
        404 => Failure::NotFound(message),
        409 => Failure::Conflict(message),
        422 => Failure::Invalid(message),
        // The server answers these after the fact as well.
        code if code >= 500 => Failure::Unknown(message),
        _ => Failure::Refused(message),
    }
}
