//! Reading limits and locks. Nothing is decided here; an object that cannot be understood says so in its own row.

use kube::Client;
use kube::api::{Api, DynamicObject, Patch, PatchParams};
use serde_json::Value;

use super::{Kind, Server, Target};
use crate::cli::{CliError, failed, list_all};
use crate::controller::translate;
use crate::ledger::PoolObject;

pub(in crate::cli) fn api(client: &Client, kind: Kind, namespace: &str) -> Api<DynamicObject> {
    Api::namespaced_with(client.clone(), namespace, &kind.resource())
}

pub(in crate::cli) fn read(kind: Kind, object: DynamicObject) -> PoolObject {
    translate::pool(kind.of_pool(), object)
}

/// All limits or locks of a namespace, or of every one.
pub(in crate::cli) async fn list(
    client: &Client,
    kind: Kind,
    namespace: Option<&str>,
) -> Result<Vec<PoolObject>, CliError> {
    let api = match namespace {
        Some(namespace) => api(client, kind, namespace),
        None => Api::all_with(client.clone(), &kind.resource()),
    };
    let objects = list_all(&api, &kind.resource().plural, |_| true).await?;
    let read = objects.into_iter().map(|object| read(kind, object));
    Ok(read.collect())
}

/// All limits and locks of a namespace, or of every one.
pub(in crate::cli) async fn list_both(
    client: &Client,
    namespace: Option<&str>,
) -> Result<Vec<PoolObject>, CliError> {
    let mut found = list(client, Kind::Limit, namespace).await?;
    found.extend(list(client, Kind::Lock, namespace).await?);
    Ok(found)
}

/// One of them. Its absence is an error that says what to write instead.
pub(in crate::cli) async fn get(
    server: &Server,
    target: &Target,
) -> Result<DynamicObject, CliError> {
    match find(server, target).await? {
        Some(object) => Ok(object),
        None => Err(missing(server, target).await),
    }
}

/// One of them, if it exists.
pub(in crate::cli) async fn find(
    server: &Server,
    target: &Target,
) -> Result<Option<DynamicObject>, CliError> {
    let found = api(&server.client, target.kind, &target.namespace)
        .get_opt(&target.name())
        .await;
    found.map_err(|source| failed(format!("{target} cannot be read"), source))
}

/// Why nothing was found, and what else there is.
pub(in crate::cli) async fn missing(server: &Server, target: &Target) -> CliError {
    let other = target.other_kind();
    let remedy = match find(server, &other).await {
        Ok(Some(_)) => {
            let kind = other.kind.short();
            format!(
                "there is a {} of that name: write {kind}/{}",
                other.kind.word(),
                other.key
            )
        }
        _ => {
            let create = match target.kind {
                Kind::Limit => format!("sluice create {} --slots N", target.short()),
                Kind::Lock => format!("sluice create {}", target.short()),
            };
            let namespace = &target.namespace;
            format!(
                "`sluice limits -n {namespace}` lists what there is, `{create} -n {namespace}` makes it"
            )
        }
    };
    CliError::Missing(format!("{target} does not exist; {remedy}"))
}

/// Changes one, if it still is the object that was read.
pub(in crate::cli) async fn merge(
    server: &Server,
    target: &Target,
    uid: &str,
    patch: Value,
) -> Result<DynamicObject, CliError> {
    let api = api(&server.client, target.kind, &target.namespace);
    let patched = merge_in(&api, &target.name(), uid, patch).await;
    patched.map_err(|source| failed(format!("{target} cannot be changed"), source))
}

/// Changes the object of this name, if it still is the one of this uid.
pub(in crate::cli) async fn merge_in(
    api: &Api<DynamicObject>,
    name: &str,
    uid: &str,
    mut patch: Value,
) -> kube::Result<DynamicObject> {
    patch["metadata"]["uid"] = uid.into();
    let params = PatchParams::default();
    api.patch(name, &params, &Patch::Merge(patch)).await
}
