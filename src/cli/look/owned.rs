//! A worker's limit follows its family: what is changed on it by hand is put back. So commands that change a limit
//! look first whether it is one. Tested on a real control plane (`tests/it/cli`).

use kube::api::DynamicObject;

use super::{Server, Target, pools};
use crate::cli::CliError;

/// The family of a worker's limit.
pub(in crate::cli) struct Family {
    pub(in crate::cli) target: Target,
    pub(in crate::cli) object: DynamicObject,
    pub(in crate::cli) worker: String,
}

/// The family that a limit belongs to, be it there already or made when a pod needs it. `None`: it is its own.
pub(in crate::cli) async fn family(
    server: &Server,
    target: &Target,
    object: Option<&DynamicObject>,
) -> Result<Option<Family>, CliError> {
    let split = target.key.split_last();
    let Some((key, worker)) = split.filter(|_| target.kind == super::Kind::Limit) else {
        return Ok(None);
    };
    let family = Target {
        key,
        ..target.clone()
    };
    let worker = worker.to_owned();
    let Some(parent) = pools::find(server, &family).await? else {
        return Ok(None);
    };
    let owners = object.and_then(|it| it.metadata.owner_references.as_ref());
    let owned = owners
        .into_iter()
        .flatten()
        .any(|it| Some(&it.uid) == parent.metadata.uid.as_ref());
    let is_family = parent.data["spec"]["perWorker"].is_object();
    let belongs = is_family && (owned || object.is_none());
    Ok(belongs.then_some(Family {
        target: family,
        object: parent,
        worker,
    }))
}
