//! Reading pods: those that wait, and those that hold.

use std::collections::BTreeMap;

use futures::stream::{self, StreamExt as _};
use k8s_openapi::api::core::v1::Pod;
use kube::Client;
use kube::api::{Api, ApiResource, DynamicObject, ListParams};

use crate::api::{names, request};
use crate::cli::{CliError, list_pages};
use crate::controller::translate;
use crate::ledger::{Name, RequestView, Uid};

/// Holders that are read one by one; of more, those of a namespace are listed first.
const SINGLY_MAX: usize = 16;
/// Reads at once.
const READS_MAX: usize = 8;

/// A pod as far as it is shown.
#[derive(Clone, Debug)]
pub(in crate::cli) struct PodRead {
    pub(in crate::cli) view: RequestView,
    pub(in crate::cli) phase: String,
    /// It asks for a higher priority than its class gives it; whether that counts, its controller knows.
    pub(in crate::cli) asks_above: bool,
    /// One of its annotations asks for something.
    pub(in crate::cli) asks: bool,
}

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
) -> Result<PodRead, String> {
    let value = serde_json::to_value(object).map_err(|error| error.to_string())?;
    let wire = serde_json::from_value(value).map_err(|error| error.to_string())?;
    let view = translate::pod(wire, priority_max);
    let annotations = object.metadata.annotations.clone().unwrap_or_default();
    let spec = request::parse(&annotations).ok().flatten();
    let asked = spec.and_then(|spec| spec.priority);
    Ok(PodRead {
        phase: phase(object, &view),
        asks_above: priority_max.is_none() && asked.is_some_and(|asked| asked > view.priority),
        asks: names::ASKING_ANNOTATIONS
            .iter()
            .any(|name| annotations.contains_key(*name)),
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
) -> Result<(Vec<PodRead>, Vec<String>), CliError> {
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

/// Who is asked for: where, and under which name.
pub(in crate::cli) type Places = BTreeMap<Uid, (Name, Name)>;

/// The phases of these pods: `Gone` where there is none of that uid, nothing where it cannot be read.
pub(in crate::cli) async fn phases(client: &Client, places: &Places) -> BTreeMap<Uid, String> {
    let mut found = BTreeMap::new();
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
                found.insert(pod.view.uid, pod.phase);
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
    let read: Vec<Option<(Uid, String)>> = stream::iter(reads)
        .buffer_unordered(READS_MAX)
        .collect()
        .await;
    found.extend(read.into_iter().flatten());
    found
}

async fn one(client: &Client, namespace: &str, name: &str, uid: &str) -> Option<String> {
    let found = api(client, Some(namespace)).get_opt(name).await.ok()?;
    let pod = found.and_then(|object| read(&object, None).ok());
    let same = pod.filter(|pod| pod.view.uid.as_str() == uid);
    Some(same.map_or_else(|| "Gone".to_owned(), |pod| pod.phase))
}

/// Whether a pod is over, as far as its holder's slots are concerned: ended, or not there.
pub(in crate::cli) fn is_over(phase: &str) -> bool {
    matches!(phase, "Gone" | "Succeeded" | "Failed")
}

/// The text of one annotation of an object.
pub(in crate::cli) fn annotation<'a>(object: &'a DynamicObject, name: &str) -> Option<&'a str> {
    let annotations = object.metadata.annotations.as_ref()?;
    annotations.get(name).map(String::as_str)
}
