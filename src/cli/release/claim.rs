//! Giving back a claim: `spec.release`, set by its own holder or in its name. Nobody is revoked, nothing is waited
//! for but the controller, which frees the slots.

use std::time::Instant;

use kube::api::{Api, DynamicObject, Patch, PatchParams};
use serde_json::json;

use super::LOOK_EVERY;
use crate::cli::look::{Server, claims, request};
use crate::cli::{CliError, failed, output};

/// Gives back the claim of this name, and waits until its slots are free.
pub(super) async fn give_back(
    server: &Server,
    said: &str,
    deadline: Instant,
) -> Result<(), CliError> {
    let name = request::spelled(said).map_or(said, |(_, name)| name);
    let place = format!("claim {}/{name}", server.namespace);
    let api = claims::api(&server.client, Some(&server.namespace));
    let Some(object) = find(&api, name, &place).await? else {
        return Err(CliError::Missing(format!(
            "{place} does not exist; it was given back before, or `kubectl get slotclaims -n {}` lists what there is",
            server.namespace
        )));
    };
    let read = claims::read(object.clone(), None);
    if request::is_over(&read.phase) {
        return output::say(&format!("{place} has ended already ({})", read.phase));
    }
    let session = object.data["spec"]["session"].as_str().unwrap_or_default();
    let patch = json!([
        {"op": "test", "path": "/metadata/uid", "value": object.metadata.uid},
        {"op": "test", "path": "/spec/session", "value": session},
        {"op": "add", "path": "/spec/release", "value": true},
    ]);
    let patch: json_patch::Patch =
        serde_json::from_value(patch).map_err(|error| CliError::Render(error.to_string()))?;
    let patch: Patch<DynamicObject> = Patch::Json(patch);
    match api.patch(name, &PatchParams::default(), &patch).await {
        Ok(_) => {}
        // Whoever holds it gave it back at the same time.
        Err(kube::Error::Api(status)) if status.is_not_found() => {}
        Err(source) => return Err(failed(format!("{place} cannot be given back"), source)),
    }
    let uid = object.metadata.uid.as_deref().unwrap_or_default();
    loop {
        let now = find(&api, name, &place).await?;
        let same = now.filter(|it| it.metadata.uid.as_deref() == Some(uid));
        let free = same.is_none_or(|it| request::is_over(&claims::read(it, None).phase));
        if free {
            return output::say(&format!("{place} is given back, and its slots are free"));
        }
        if Instant::now() > deadline {
            return Err(CliError::Unfinished(format!(
                "{place} is given back, but no controller has freed its slots yet; one that starts will"
            )));
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

async fn find(
    api: &Api<DynamicObject>,
    name: &str,
    place: &str,
) -> Result<Option<DynamicObject>, CliError> {
    let found = api.get_opt(name).await;
    found.map_err(|source| failed(format!("{place} cannot be read"), source))
}
