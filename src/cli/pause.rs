//! `sluice pause` and `sluice resume`: `spec.mode`.

use serde_json::json;

use super::look::{Named, Scope, owned, pools, rows};
use super::{CliError, output};

/// Arguments of `sluice pause`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sluice pause gpu
  sluice pause lock/deploy -n team     until `sluice resume lock/deploy -n team`")]
pub(super) struct Pause {
    #[command(flatten)]
    named: Named,
    #[command(flatten)]
    scope: Scope,
}

/// Arguments of `sluice resume`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sluice resume gpu
  sluice resume lock/deploy -n team")]
pub(super) struct Resume {
    #[command(flatten)]
    named: Named,
    #[command(flatten)]
    scope: Scope,
}

pub(super) async fn pause(arguments: Pause) -> Result<(), CliError> {
    set(&arguments.named, &arguments.scope, "Paused").await
}

pub(super) async fn resume(arguments: Resume) -> Result<(), CliError> {
    set(&arguments.named, &arguments.scope, "Active").await
}

async fn set(named: &Named, scope: &Scope, mode: &str) -> Result<(), CliError> {
    let server = scope.open().await?;
    let target = named.target(&server.namespace)?;
    let object = pools::get(&server, &target).await?;
    if let Some(family) = owned::family(&server, &target, Some(&object)).await? {
        let verb = if mode == "Paused" { "pause" } else { "resume" };
        let (short, namespace) = (family.target.short(), &family.target.namespace);
        return Err(CliError::Usage(format!(
            "{target} follows its family, and would be put back: `sluice {verb} {short} -n {namespace}` does it for all its workers"
        )));
    }
    let before = object.data["spec"]["mode"]
        .as_str()
        .unwrap_or("Active")
        .to_owned();
    let uid = object.metadata.uid.clone().unwrap_or_default();
    let patch = json!({"spec": {"mode": mode}});
    let changed = pools::merge(&server, &target, &uid, patch).await?;
    let pool = pools::read(target.kind, changed);
    let held = rows::in_use(&pool);
    let text = match (before == mode, mode) {
        (true, "Paused") => format!("{target} was paused already"),
        (true, _) => format!("{target} was active already"),
        (false, "Paused") => format!(
            "{target} is paused: nothing more is granted, and what is held ({held}) is kept; `sluice resume {}` ends that",
            target.short()
        ),
        (false, _) => format!("{target} is active (was {before})"),
    };
    output::say(&text)?;
    if mode == "Active" && pool.set_aside.is_some() {
        output::warn(&[format!(
            "{target} is in quarantine and grants nothing all the same; `sluice quarantine --end {}/{}` ends that",
            target.kind.short(),
            target.name()
        )]);
    }
    Ok(())
}
