//! The annotation `sluice.dev/release`: one uid in or out of it, and whatever else stands there left alone.

use serde_json::{Value, json};

use crate::api::names;
use crate::cli::CliError;
use crate::cli::look::{Server, Target, pods, pools};
use crate::controller::translate::RELEASES_MAX;
use crate::ledger::Uid;

/// Most writes of the annotation while others write the object too.
const TRIES_MAX: u32 = 30;

/// Brings the annotation into the wanted state, whoever else writes the object meanwhile.
pub(super) async fn annotate(
    server: &Server,
    target: &Target,
    pool_uid: &Uid,
    holder: &Uid,
    wanted: bool,
) -> Result<(), CliError> {
    let mut tries = 0_u32;
    loop {
        let object = pools::get(server, target).await?;
        super::same(target, pool_uid, &object)?;
        let before = pods::annotation(&object, names::RELEASE).unwrap_or_default();
        let Some(value) = listed(before, holder, wanted).map_err(CliError::Unfinished)? else {
            return Ok(());
        };
        let version = object.metadata.resource_version.clone();
        let annotations = json!({(names::RELEASE): value});
        let patch = json!({"metadata": {"annotations": annotations, "resourceVersion": version}});
        match pools::merge(server, target, pool_uid.as_str(), patch).await {
            Ok(_) => return Ok(()),
            Err(CliError::Server {
                source: kube::Error::Api(status),
                ..
            }) if status.is_conflict() && tries < TRIES_MAX => {
                tries = tries.saturating_add(1);
            }
            Err(error) => return Err(error),
        }
    }
}

/// The annotation with or without this uid (`null` takes it away); nothing where it is so already.
fn listed(before: &str, uid: &Uid, wanted: bool) -> Result<Option<Value>, String> {
    let uids = before.split(',').map(str::trim).filter(|it| !it.is_empty());
    let mut uids: Vec<&str> = uids.collect();
    if uids.contains(&uid.as_str()) == wanted {
        return Ok(None);
    }
    if !wanted {
        uids.retain(|it| *it != uid.as_str());
        let rest = uids.join(",");
        return Ok(Some(if rest.is_empty() {
            Value::Null
        } else {
            rest.into()
        }));
    }
    if uids.len() >= RELEASES_MAX {
        return Err(format!(
            "annotation {} names {RELEASES_MAX} uids already, and no more are read; take out those whose pods are gone",
            names::RELEASE
        ));
    }
    uids.push(uid.as_str());
    Ok(Some(uids.join(",").into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_annotation_keeps_what_others_wrote() {
        let uid: Uid = "b".into();
        assert_eq!(listed("a", &uid, true), Ok(Some("a,b".into())));
        assert_eq!(listed("", &uid, true), Ok(Some("b".into())));
        assert_eq!(listed("a, b", &uid, true), Ok(None));
        assert_eq!(listed("a, b ,c", &uid, false), Ok(Some("a,c".into())));
        assert_eq!(listed("b", &uid, false), Ok(Some(Value::Null)));
        assert_eq!(listed("a", &uid, false), Ok(None));
        let full = vec!["x"; RELEASES_MAX].join(",");
        assert!(listed(&full, &uid, true).unwrap_err().contains("1000 uids"));
    }
}
