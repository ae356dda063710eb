//! `sluice set`: changes a limit. Shrinking takes nothing from anybody, and says so.

use kube::api::DynamicObject;
use serde_json::{Value, json};

use super::look::{Kind, Named, Scope, Server, Target, owned, pools, rows, words};
use super::{CliError, output};

/// Arguments of `sluice set`.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Changes how many slots a limit has.
    Slots(Slots),
}

/// Arguments of `sluice set slots`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sluice set slots gpu 8
  sluice set slots gpu:worker-1 4      slots of one worker of a family
  sluice set slots gpu 0 -n team       grants nothing more; whoever holds keeps")]
struct Slots {
    #[command(flatten)]
    named: Named,
    /// How many slots there are from now on.
    #[arg(value_name = "N", value_parser = clap::value_parser!(i32).range(0..=1_000_000))]
    slots: i32,
    #[command(flatten)]
    scope: Scope,
}

pub(super) async fn run(arguments: Arguments) -> Result<(), CliError> {
    let What::Slots(arguments) = arguments.what;
    let server = arguments.scope.open().await?;
    let target = arguments.named.target(&server.namespace)?;
    if target.kind == Kind::Lock {
        return Err(CliError::Usage(format!(
            "{target} is a lock: it has no slots. A limit is named without lock/"
        )));
    }
    slots(&server, &target, arguments.slots).await
}

async fn slots(server: &Server, target: &Target, slots: i32) -> Result<(), CliError> {
    let object = pools::find(server, target).await?;
    if let Some(family) = owned::family(server, target, object.as_ref()).await? {
        let worker = &family.worker;
        let patch = json!({"spec": {"perWorker": {"overrides": {worker: slots}}}});
        change(server, &family.target, &family.object, patch).await?;
        let slots = counted(slots);
        return output::say(&format!(
            "worker {worker} of {} has {slots} of its own now (spec.perWorker.overrides)",
            family.target
        ));
    }
    let Some(object) = object else {
        return Err(pools::missing(server, target).await);
    };
    let before = object.data["spec"]["slots"].as_i64();
    let changed = change(server, target, &object, json!({"spec": {"slots": slots}})).await?;
    output::say(&said(target, &changed, before, slots))
}

/// What was done, and what it means for those who hold.
fn said(target: &Target, changed: &DynamicObject, before: Option<i64>, slots: i32) -> String {
    let held = rows::in_use(&pools::read(target.kind, changed.clone()));
    let was = before.map_or_else(String::new, |before| format!(" (was {before})"));
    let mut text = format!("{target} has {} now{was}", counted(slots));
    if held > u64::try_from(slots).unwrap_or(0) {
        text.push_str(&format!(
            "; {held} are held, and whoever holds keeps: nothing more is granted until that fits"
        ));
    }
    if changed.data["spec"]["perWorker"].is_object() {
        text.push_str("; so has each worker without an override");
    }
    text
}

fn counted(slots: i32) -> String {
    words::counted(u64::try_from(slots).unwrap_or(0), "slot")
}

async fn change(
    server: &Server,
    target: &Target,
    object: &DynamicObject,
    patch: Value,
) -> Result<DynamicObject, CliError> {
    let uid = object.metadata.uid.as_deref().unwrap_or_default();
    pools::merge(server, target, uid, patch).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::look::samples;

    #[test]
    fn shrinking_says_that_it_takes_nothing() {
        let target = Target::parse("gpu", false, "team").unwrap();
        let object = samples::limit("gpu", json!({"slots": 2}), &[("a", 1), ("b", 2)]);
        assert_eq!(
            said(&target, &object, Some(5), 2),
            "limit team/gpu has 2 slots now (was 5); 3 are held, and whoever holds keeps: nothing more is granted until that fits"
        );
        let object = samples::limit("gpu", json!({"slots": 8}), &[("a", 1)]);
        assert_eq!(
            said(&target, &object, Some(2), 8),
            "limit team/gpu has 8 slots now (was 2)"
        );
    }
}
