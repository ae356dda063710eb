//! `sluice get`: one limit or lock, with what it is set to and what is wrong with it.

use std::fmt::Write as _;

use kube::api::DynamicObject;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use super::CliError;
use super::look::rows::{self, PoolRow};
use super::look::{Kind, Named, Scope, pools, words};
use super::output::Output;
use super::table::{Table, Tone, painted};
use crate::ledger::PoolObject;

/// Arguments of `sluice get`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sluice get gpu
  sluice get lock/deploy -n team
  sluice get gpu:worker-1 -o yaml")]
pub(super) struct Arguments {
    #[command(flatten)]
    named: Named,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    scope: Scope,
}

/// One limit or lock in full.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Details {
    #[serde(flatten)]
    row: PoolRow,
    /// Its spec, as it is on the object.
    spec: Value,
    /// Highest fencing token given out so far.
    last_token: u64,
    /// Slots that were used and come back with time, as of the last write of its status. Of a limit with `decay`.
    #[serde(skip_serializing_if = "Option::is_none")]
    coming_back: Option<f64>,
    /// Why it was set aside by `sluice quarantine`, if it was.
    #[serde(skip_serializing_if = "Option::is_none")]
    quarantine: Option<String>,
    /// UIDs whose leases an operator released and that are not to come back.
    released: Vec<String>,
    /// Its conditions.
    conditions: Vec<ConditionRow>,
    /// The limits of its workers, of a family.
    workers: Vec<PoolRow>,
}

/// One condition.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct ConditionRow {
    /// Which.
    #[serde(rename = "type")]
    kind: String,
    /// Whether it holds.
    holds: bool,
    /// One word.
    reason: String,
    /// One sentence.
    message: String,
    /// Since when.
    since: String,
}

pub(super) async fn run(arguments: Arguments) -> Result<(), CliError> {
    let server = arguments.scope.open().await?;
    let target = arguments.named.target(&server.namespace)?;
    let object = pools::get(&server, &target).await?;
    let is_family = object.data["spec"]["perWorker"].is_object();
    let siblings = if is_family && target.kind == Kind::Limit {
        pools::list(&server.client, Kind::Limit, Some(&target.namespace)).await?
    } else {
        Vec::new()
    };
    let details = details(target.kind, object, &siblings);
    arguments.output.one(&details, || text(&details))
}

/// Everything about one, with those of these limits that are its workers'.
fn details(kind: Kind, object: DynamicObject, siblings: &[PoolObject]) -> Details {
    let spec = object.data["spec"].clone();
    let pool = pools::read(kind, object);
    let status = pool.status.read();
    let conditions = status.into_iter().flat_map(|it| it.conditions.iter());
    let ours = |it: &&PoolObject| it.owner.as_ref().is_some_and(|owner| owner.uid == pool.uid);
    Details {
        row: rows::pool(&pool),
        spec,
        last_token: status.map_or(0, |it| it.last_token.0),
        coming_back: coming_back(&pool),
        quarantine: pool.set_aside.as_ref().map(ToString::to_string),
        released: pool.released.iter().map(ToString::to_string).collect(),
        conditions: conditions
            .map(|(kind, it)| ConditionRow {
                kind: kind.to_string(),
                holds: it.holds,
                reason: it.reason.to_string(),
                message: it.message.to_string(),
                since: words::time(it.since),
            })
            .collect(),
        workers: siblings.iter().filter(ours).map(rows::pool).collect(),
    }
}

/// Slots of its level; a part of a slot is a fraction here.
fn coming_back(pool: &PoolObject) -> Option<f64> {
    pool.spec.read()?.decay?;
    let level = pool.status.read()?.level;
    Some(level.map_or(0.0, |it| it.parts as f64 / it.parts_per_slot.max(1) as f64))
}

fn text(details: &Details) -> String {
    let row = &details.row;
    let mut out = rows::pool_table(std::slice::from_ref(row), true);
    // Writing to a String cannot fail.
    let mut line = |text: String| {
        let _ = writeln!(out, "{text}");
    };
    if row.ready != Some(true) {
        line(painted(&row.message, Tone::Bad));
    }
    if let Some(used) = details.coming_back {
        let decay = &details.spec["decay"];
        line(format!(
            "{used:.1} slots were used and come back with time, {} every {} s; as of the last write of its status",
            decay["slots"], decay["perSeconds"]
        ));
    }
    if let Some(why) = &details.quarantine {
        let said = format!("in quarantine: {why}; `sluice quarantine --end` ends it");
        line(painted(&said, Tone::Notable));
    }
    for condition in &details.conditions {
        let expected = matches!(condition.kind.as_str(), "Ready" | "Saturated");
        if condition.holds && !expected {
            let said = format!("{}: {}", condition.kind, condition.message);
            line(painted(&said, Tone::Notable));
        }
    }
    if !details.released.is_empty() {
        line(format!(
            "released by an operator, and not counted again: {}",
            details.released.join(", ")
        ));
    }
    let mut settings = Table::new(&["SETTING", "VALUE"]);
    for (name, value) in details.spec.as_object().into_iter().flatten() {
        let value = match value {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        settings.row([name.as_str().into(), value.into()]);
    }
    line(format!("\n{}", settings.render().trim_end()));
    if !details.workers.is_empty() {
        line(format!(
            "\n{}",
            rows::pool_table(&details.workers, false).trim_end()
        ));
    }
    let short = row.short();
    let more =
        format!("\n`sluice holders {short}` lists who holds, `sluice queue {short}` who waits");
    line(painted(&more, Tone::Faint));
    out
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn limit(status: Value) -> DynamicObject {
        let object = json!({
            "apiVersion": "sluice.dev/v1alpha1",
            "kind": "ConcurrencyLimit",
            "metadata": {"name": "api", "namespace": "ns", "uid": "u", "resourceVersion": "1", "generation": 1},
            "spec": {"slots": 10, "decay": {"slots": 2, "perSeconds": 60}},
            "status": status,
        });
        serde_json::from_value(object).unwrap()
    }

    #[test]
    fn a_limit_with_decay_shows_what_has_to_come_back() {
        let level = json!({"level": {"units": 150_000, "unitsPerSlot": 60_000}});
        for (status, shown) in [(level, "2.5 slots"), (json!({}), "0.0 slots")] {
            let details = details(Kind::Limit, limit(status), &[]);
            let text = text(&details);
            let line = format!("{shown} were used and come back with time, 2 every 60 s");
            assert!(text.contains(&line), "{text}");
        }
    }
}
