//! `sluice create`: a limit or a lock, with what is given and the server's defaults for the rest.

use kube::api::{DynamicObject, PostParams};
use serde_json::{Map, Value, json};

use super::look::{Kind, Named, Scope, Server, Target, owned, pools, words};
use super::output::{Format, Output};
use super::{CliError, failed};
use crate::api::duration::parse_duration;
use crate::api::names;

/// Arguments of `sluice create`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sluice create gpu --slots 3
  sluice create build --slots 2 --per-worker --override worker-3=4
  sluice create licences/matlab --slots 5 --allow-namespaces All --release-policy Confirmed
  sluice create api --slots 10 --decay 2/1s          rate limit: two slots come back each second
  sluice create lock/deploy --lease 30 --lock-delay 5
  sluice create gpu --slots 3 --dry-run > gpu.yaml")]
pub(super) struct Arguments {
    #[command(flatten)]
    named: Named,
    /// How many slots there are; with --per-worker, for each worker.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(0..=1_000_000))]
    slots: Option<i32>,
    /// Gives each worker a limit of its own.
    #[arg(long)]
    per_worker: bool,
    /// Label of the pods that names the worker; sluice.dev/worker without it.
    #[arg(long, value_name = "LABEL", requires = "per_worker")]
    pod_label: Option<String>,
    /// Slots of a single worker; may be given several times.
    #[arg(long = "override", value_name = "WORKER=N", requires = "per_worker")]
    overrides: Vec<String>,
    /// How many workers there may be at once.
    #[arg(long, value_name = "N", requires = "per_worker")]
    max_workers: Option<i32>,
    /// After how many seconds without holders and waiters a worker's limit is deleted.
    #[arg(long, value_name = "SECONDS", requires = "per_worker")]
    idle_seconds: Option<i32>,
    /// Whether it grants.
    #[arg(long, value_parser = ["Active", "Paused", "Disabled"])]
    mode: Option<String>,
    /// Who may pass a blocked request: nobody, or whoever fits.
    #[arg(long, value_parser = ["Strict", "Backfill"])]
    order: Option<String>,
    /// How long a blocked request lets others pass.
    #[arg(long, value_name = "SECONDS")]
    reserve_after_seconds: Option<i32>,
    /// Whose pods it serves besides its own namespace's: Same, All, or labels of namespaces as in team=a,tier=gold.
    #[arg(long, value_name = "WHICH")]
    allow_namespaces: Option<String>,
    /// What frees the slots of a holder whose end is not proven: time, or proof only.
    #[arg(long, value_parser = ["Presumed", "Confirmed"])]
    release_policy: Option<String>,
    /// How long slots stay taken after an end without proof.
    #[arg(long, value_name = "SECONDS")]
    settle_seconds: Option<i32>,
    /// Makes slots come back with time: N in so many seconds, as in 2/1s or 100/1h.
    #[arg(long, value_name = "N/TIME")]
    decay: Option<String>,
    /// For how many seconds a claim's grant lasts without a renewal, where the claim does not say.
    #[arg(long, value_name = "SECONDS")]
    lease: Option<i32>,
    /// For how many seconds slots stay taken after a claim's lease has run out.
    #[arg(long, value_name = "SECONDS")]
    lock_delay: Option<i32>,
    /// Prints the manifest and creates nothing.
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    scope: Scope,
}

pub(super) async fn run(arguments: Arguments) -> Result<(), CliError> {
    let server = arguments.scope.open().await?;
    let target = arguments.named.target(&server.namespace)?;
    let manifest = manifest(&arguments, &target).map_err(CliError::Usage)?;
    if arguments.dry_run {
        let as_yaml = Output {
            format: match arguments.output.format {
                Format::Table => Format::Yaml,
                other => other,
            },
        };
        return as_yaml.one(&manifest, String::new);
    }
    refuse_in_family(&server, &target).await?;
    let object: DynamicObject =
        serde_json::from_value(manifest).map_err(|error| CliError::Render(error.to_string()))?;
    let api = pools::api(&server.client, target.kind, &target.namespace);
    let created = match api.create(&PostParams::default(), &object).await {
        Ok(created) => created,
        Err(kube::Error::Api(status)) if status.is_already_exists() => {
            return Err(CliError::Usage(exists(&target)));
        }
        Err(source) => return Err(failed(format!("{target} cannot be created"), source)),
    };
    let text = || {
        let slots = created.data["spec"]["slots"].as_u64();
        let slots = slots.map(|it| words::counted(it, "slot"));
        let with = match slots {
            Some(slots) if arguments.per_worker => format!(" with {slots} for each worker"),
            Some(slots) => format!(" with {slots}"),
            None => String::new(),
        };
        format!("{target} is created{with}\n")
    };
    arguments.output.one(&created, text)
}

fn exists(target: &Target) -> String {
    let (short, namespace) = (target.short(), &target.namespace);
    let remedy = match target.kind {
        Kind::Limit => format!("`sluice set slots {short} N -n {namespace}` changes its slots"),
        Kind::Lock => format!("`sluice get {short} -n {namespace}` shows it"),
    };
    format!("{target} exists already and is unchanged; {remedy}")
}

/// A worker's limit that somebody else made would be in its family's way.
async fn refuse_in_family(server: &Server, target: &Target) -> Result<(), CliError> {
    if let Some(family) = owned::family(server, target, None).await? {
        let (short, namespace) = (target.short(), &target.namespace);
        let (family, worker) = (family.target, family.worker);
        return Err(CliError::Usage(format!(
            "{family} is a family: the limit of worker {worker} is made when a pod first needs it; `sluice set slots {short} N -n {namespace}` gives that worker slots of its own"
        )));
    }
    Ok(())
}

/// The object to be created.
fn manifest(arguments: &Arguments, target: &Target) -> Result<Value, String> {
    let mut spec = Map::new();
    let mut put = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            spec.insert(name.to_owned(), value);
        }
    };
    if target.kind == Kind::Lock {
        let only_limits = arguments.slots.is_some()
            || arguments.per_worker
            || arguments.decay.is_some()
            || arguments.reserve_after_seconds.is_some();
        if only_limits {
            return Err(format!(
                "{target} is a lock: --slots, --per-worker, --decay and --reserve-after-seconds are of limits. Leave them out, or name a limit"
            ));
        }
    } else if arguments.slots.is_none() {
        let short = target.short();
        return Err(format!(
            "{target} needs a number of slots: `sluice create {short} --slots N`. A lock is `sluice create lock/{short}`"
        ));
    }
    put("slots", arguments.slots.map(Value::from));
    put("mode", arguments.mode.clone().map(Value::from));
    put("order", arguments.order.clone().map(Value::from));
    put(
        "reserveAfterSeconds",
        arguments.reserve_after_seconds.map(Value::from),
    );
    let allowed = arguments.allow_namespaces.as_deref().map(allowed);
    put("allowedNamespaces", allowed.transpose()?);
    put(
        "releasePolicy",
        arguments.release_policy.clone().map(Value::from),
    );
    put("settleSeconds", arguments.settle_seconds.map(Value::from));
    let decay = arguments.decay.as_deref().map(decay);
    put("decay", decay.transpose()?);
    put("leaseDurationSeconds", arguments.lease.map(Value::from));
    put("lockDelaySeconds", arguments.lock_delay.map(Value::from));
    let family = arguments.per_worker.then(|| family(arguments));
    put("perWorker", family.transpose()?);
    let kind = target.kind.resource().kind;
    Ok(json!({
        "apiVersion": names::API_VERSION,
        "kind": kind,
        "metadata": {"name": target.name(), "namespace": target.namespace},
        "spec": spec,
    }))
}

fn family(arguments: &Arguments) -> Result<Value, String> {
    let mut family = Map::new();
    if let Some(label) = &arguments.pod_label {
        family.insert("podLabel".to_owned(), label.as_str().into());
    }
    let mut overrides = Map::new();
    for said in &arguments.overrides {
        let pair = said.split_once('=');
        let (worker, slots) = pair
            .and_then(|(worker, slots)| Some((worker, slots.parse::<u32>().ok()?)))
            .filter(|(worker, _)| !worker.is_empty())
            .ok_or_else(|| format!("--override {said}: write WORKER=N, as in worker-3=4"))?;
        overrides.insert(worker.to_owned(), slots.into());
    }
    if !overrides.is_empty() {
        family.insert("overrides".to_owned(), overrides.into());
    }
    for (name, value) in [
        ("maxWorkers", arguments.max_workers),
        ("idleSeconds", arguments.idle_seconds),
    ] {
        if let Some(value) = value {
            family.insert(name.to_owned(), value.into());
        }
    }
    Ok(family.into())
}

/// `2/1s`: so many slots in so long.
fn decay(text: &str) -> Result<Value, String> {
    let bad = |why: &str| format!("--decay {text}: {why}; write N/TIME, as in 2/1s or 100/1h");
    let (slots, time) = text.split_once('/').ok_or_else(|| bad("it has no '/'"))?;
    let slots: u32 = slots
        .parse()
        .map_err(|_| bad(&format!("{slots:?} is no number of slots")))?;
    let time = parse_duration(time).map_err(|why| bad(&why.to_string()))?;
    let seconds = time.as_secs();
    if time.subsec_nanos() != 0 || seconds == 0 {
        return Err(bad("whole seconds are wanted"));
    }
    Ok(json!({"slots": slots, "perSeconds": seconds}))
}

/// `Same`, `All`, or the labels of namespaces.
fn allowed(text: &str) -> Result<Value, String> {
    if matches!(text, "Same" | "All") {
        return Ok(json!({"from": text}));
    }
    let mut labels = Map::new();
    for pair in text.split(',') {
        let (name, value) = pair
            .split_once('=')
            .filter(|(name, _)| !name.trim().is_empty())
            .ok_or_else(|| {
                format!(
                    "--allow-namespaces {text}: write Same, All, or labels as in team=a,tier=gold"
                )
            })?;
        labels.insert(name.trim().to_owned(), value.trim().into());
    }
    Ok(json!({"from": "Selector", "selector": {"matchLabels": labels}}))
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[derive(clap::Parser)]
    struct Whole {
        #[command(flatten)]
        arguments: Arguments,
    }

    fn made(words: &str) -> Result<Value, String> {
        let words = std::iter::once("create").chain(words.split(' '));
        let whole = Whole::try_parse_from(words).map_err(|error| error.to_string())?;
        let target = whole.arguments.named.target("team").unwrap();
        manifest(&whole.arguments, &target)
    }

    #[test]
    fn only_what_is_given_is_in_the_manifest() {
        assert_eq!(
            made("gpu:a --slots 3").unwrap(),
            json!({
                "apiVersion": "sluice.dev/v1alpha1", "kind": "ConcurrencyLimit",
                "metadata": {"name": "gpu--a", "namespace": "team"}, "spec": {"slots": 3},
            })
        );
        let family =
            made("ops/build --slots 2 --per-worker --override w=4 --max-workers 9").unwrap();
        assert_eq!(family["metadata"]["namespace"], "ops");
        assert_eq!(
            family["spec"],
            json!({"slots": 2, "perWorker": {"overrides": {"w": 4}, "maxWorkers": 9}})
        );
        assert_eq!(
            made("api --slots 10 --decay 100/1m --lease 30 --lock-delay 5").unwrap()["spec"],
            json!({"slots": 10, "decay": {"slots": 100, "perSeconds": 60},
                   "leaseDurationSeconds": 30, "lockDelaySeconds": 5})
        );
        let lock = made("lock/deploy --mode Paused --allow-namespaces team=a,tier=gold").unwrap();
        assert_eq!(lock["kind"], "Lock");
        let selector = json!({"matchLabels": {"team": "a", "tier": "gold"}});
        assert_eq!(
            lock["spec"],
            json!({"mode": "Paused", "allowedNamespaces": {"from": "Selector", "selector": selector}})
        );
    }

    #[test]
    fn what_does_not_go_together_is_said() {
        for (words, why) in [
            ("gpu", "needs a number of slots"),
            ("lock/deploy --slots 3", "is a lock"),
            ("gpu --slots 3 --override w=4", "--per-worker"),
            ("gpu --slots 3 --per-worker --override w", "write WORKER=N"),
            ("gpu --slots 3 --allow-namespaces some", "write Same, All"),
            ("gpu --slots -1", "-1"),
            ("gpu --slots 3 --decay 2", "no '/'"),
            ("gpu --slots 3 --decay x/1s", "no number"),
            ("gpu --slots 3 --decay 2/500ms", "whole seconds"),
            ("lock/deploy --decay 2/1s", "is a lock"),
        ] {
            let error = made(words).unwrap_err();
            assert!(error.contains(why), "{words}: {error}");
        }
    }
}
