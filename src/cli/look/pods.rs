//! Reading pods: those that wait, and those that hold.

use std::collections::BTreeMap;

use futures::stream::{self, StreamExt as _};
use k8s_openapi::api::core::v1::Pod;
use kube::Client;
use kube::api::{Api, ApiResource, DynamicObject, ListParams};

use super::request::{Fact, Facts, Places, RequestRead};
use crate::api::{names, request};
use crate::cli::{CliError, list_pages};
use crate::controller::translate;
use crate::ledger::{Name, RequestView, Uid};

/// Holders that are read one by one; of more, those of a namespace are listed first.
const SINGLY_MAX: usize = 16;
/// Reads at once.
pub(super) const READS_MAX: usize = 8;

pub(in crate::cli) fn api(client: &Client, namespace: Option<&str>) -> Api<DynamicObject> {
    let resource = ApiResource::erase::<Pod>(&());
    match namespace {
        Some(namespace) => Api::namespaced_with(client.clone(), namespace, &resource),
        None => Api::all_with(client.clone(), &resource),
    }
}

/// Reads a pod as the controller does.
pub(in crate::cli) fn read(
    object: &DynamicObject,
    priority_max: Option<i32>,
) -> Result<RequestRead, String> {
    let value = serde_json::to_value(object).map_err(|error| error.to_string())?;
    let wire = serde_json::from_value(value).map_err(|error| error.to_string())?;
    let view = translate::pod(wire, priority_max);
    let annotations = object.metadata.annotations.clone().unwrap_or_default();
    let spec = request::parse(&annotations).ok().flatten();
    let asked = spec.and_then(|spec| spec.priority);
    Ok(RequestRead {
        phase: phase(object, &view),
        asks_above: priority_max.is_none() && asked.is_some_and(|asked| asked > view.priority),
        asks: names::ASKING_ANNOTATIONS
            .iter()
            .any(|name| annotations.contains_key(*name)),
        holder: None,
        said: None,
        view,
    })
}

/// What people want to know of a pod in one word.
fn phase(object: &DynamicObject, view: &RequestView) -> String {
    let phase = object.data["status"]["phase"].as_str();
    match phase {
        Some("Succeeded" | "Failed") => phase.unwrap_or_default(),
        _ if view.deleting => "Terminating",
        _ if !view.is_revealed() => "Gated",
        other => other.unwrap_or("Unknown"),
    }
    .to_owned()
}

/// All pods that may wait: labelled as ours, and pending. Of those that cannot be understood, one sentence each.
pub(in crate::cli) async fn waiting(
    client: &Client,
    namespace: Option<&str>,
    priority_max: Option<i32>,
) -> Result<(Vec<RequestRead>, Vec<String>), CliError> {
    let params = ListParams::default()
        .labels(&format!("{}={}", names::MANAGED, names::MANAGED_VALUE))
        .fields("status.phase=Pending");
    let mut broken = Vec::new();
    let mut found = Vec::new();
    list_pages(
        &api(client, namespace),
        "pods",
        params,
        |object| match read(&object, priority_max) {
            Ok(pod) => found.push(pod),
            Err(why) => broken.push(format!(
                "pod {} cannot be understood and is left out: {why}",
                object.metadata.name.as_deref().unwrap_or_default()
            )),
        },
    )
    .await?;
    Ok((found, broken))
}

/// What is known of these pods: that they are gone, or nothing where they cannot be read.
pub(in crate::cli) async fn facts(client: &Client, places: &Places) -> Facts {
    let mut found = Facts::new();
    let mut by_namespace: BTreeMap<&Name, usize> = BTreeMap::new();
    for (namespace, _) in places.values() {
        let count = by_namespace.entry(namespace).or_default();
        *count = count.saturating_add(1);
    }
    for (namespace, _) in by_namespace.iter().filter(|it| *it.1 > SINGLY_MAX) {
        let params = ListParams::default().labels(names::MANAGED);
        let api = api(client, Some(namespace.as_str()));
        let listed = list_pages(&api, "pods", params, |object| {
            if let Ok(pod) = read(&object, None) {
                found.insert(pod.view.uid.clone(), pod.into());
            }
        });
        // What cannot be listed is read one by one, or not at all: the rows then say so.
        let _ = listed.await;
    }
    found.retain(|uid, _| places.contains_key(uid));
    let rest: Vec<(&Uid, &(Name, Name))> = places
        .iter()
        .filter(|(uid, _)| !found.contains_key(*uid))
        .collect();
    let reads = rest.into_iter().map(|(uid, (namespace, name))| async move {
        let read = one(client, namespace.as_str(), name.as_str(), uid.as_str()).await;
        Some((uid.clone(), read?))
    });
    let read: Vec<Option<(Uid, Fact)>> = stream::iter(reads)
        .buffer_unordered(READS_MAX)
        .collect()
        .await;
    found.extend(read.into_iter().flatten());
    found
}

async fn one(client: &Client, namespace: &str, name: &str, uid: &str) -> Option<Fact> {
    let found = api(client, Some(namespace)).get_opt(name).await.ok()?;
    let pod = found.and_then(|object| read(&object, None).ok());
    let same = pod.filter(|pod| pod.view.uid.as_str() == uid);
    Some(same.map_or_else(Fact::gone, Fact::from))
}

/// The text of one annotation of an object.
pub(in crate::cli) fn annotation<'a>(object: &'a DynamicObject, name: &str) -> Option<&'a str> {
    let annotations = object.metadata.annotations.as_ref()?;
    annotations.get(name).map(String::as_str)
}
