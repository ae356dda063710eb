//! Reading claims: those that wait, and those that hold. Where claims may not be read, or the server does not know
//! them, that is a note and no error: limits, locks and pods are shown all the same.

use futures::stream::{self, StreamExt as _};
use kube::Client;
use kube::api::{Api, ApiResource, DynamicObject, ListParams};

use super::pods::READS_MAX;
use super::request::{Fact, Facts, Places, RequestRead};
use crate::api::SlotClaim;
use crate::cli::{CliError, list_pages};
use crate::controller::translate;
use crate::ledger::RequestView;

pub(in crate::cli) fn api(client: &Client, namespace: Option<&str>) -> Api<DynamicObject> {
    let resource = ApiResource::erase::<SlotClaim>(&());
    match namespace {
        Some(namespace) => Api::namespaced_with(client.clone(), namespace, &resource),
        None => Api::all_with(client.clone(), &resource),
    }
}

/// Reads a claim as the controller does.
pub(in crate::cli) fn read(object: DynamicObject, priority_max: Option<i32>) -> RequestRead {
    let text = |part: &str, field: &str| {
        let text = object.data[part][field].as_str().unwrap_or_default();
        text.to_owned()
    };
    let (reason, message) = (text("status", "reason"), text("status", "message"));
    let holder = Some(text("spec", "holder")).filter(|it| !it.is_empty());
    let asked = object.data["spec"]["priority"].as_i64();
    let view = translate::claim(object, priority_max);
    RequestRead {
        phase: phase(&view),
        asks_above: priority_max.is_none()
            && asked.is_some_and(|asked| asked > i64::from(view.priority)),
        asks: true,
        holder,
        said: (!reason.is_empty() || !message.is_empty()).then_some((reason, message)),
        view,
    }
}

/// Its phase; of one that is given back and still Granted, that.
fn phase(view: &RequestView) -> String {
    let word = view.claim.as_ref().map(|it| (it.phase.word(), it.release));
    match word {
        Some(("Pending" | "Granted", true)) => "Releasing",
        Some((word, _)) => word,
        None => "Unknown",
    }
    .to_owned()
}

/// All claims that wait.
pub(in crate::cli) async fn waiting(
    client: &Client,
    namespace: Option<&str>,
    priority_max: Option<i32>,
) -> Result<Vec<RequestRead>, CliError> {
    let mut found = Vec::new();
    let api = api(client, namespace);
    list_pages(&api, "slotclaims", ListParams::default(), |object| {
        let claim = read(object, priority_max);
        if !claim.view.is_revealed() {
            found.push(claim);
        }
    })
    .await?;
    Ok(found)
}

/// What is known of these claims: that they are gone, or nothing where they cannot be read.
pub(in crate::cli) async fn facts(client: &Client, places: &Places) -> Facts {
    let reads = places.iter().map(|(uid, (namespace, name))| async move {
        let api = api(client, Some(namespace.as_str()));
        let found = api.get_opt(name.as_str()).await.ok()?;
        let claim = found.map(|object| read(object, None));
        let same = claim.filter(|claim| claim.view.uid == *uid);
        Some((uid.clone(), same.map_or_else(Fact::gone, Fact::from)))
    });
    let read: Vec<_> = stream::iter(reads)
        .buffer_unordered(READS_MAX)
        .collect()
        .await;
    read.into_iter().flatten().collect()
}
