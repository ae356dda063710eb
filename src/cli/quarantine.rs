//! `sluice quarantine`: sets limits and locks aside, and ends that. For the hours after a restore of etcd that no
//! controller saw, and for whoever wants a limit to stand still.
//!
//! It writes one annotation and decides nothing: the controller does the rest, and works off what it finds when it is
//! started later. `--end` waits until a controller has seen the quarantine it ends, since one that nobody saw
//! would end without anybody having been counted.

use std::time::{Duration, Instant};

use kube::Client;
use kube::api::{Api, DynamicObject};
use serde_json::json;

use super::look::{Connection, Kind, pools};
use super::{CliError, failed};
use crate::api::names;

/// Pause between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// Longest that `--end` waits, in seconds.
const WAIT_SECONDS_MAX: u64 = 3_600;
/// Most objects named on the command line.
const NAMED_MAX: usize = 1_000;

/// Arguments of `sluice quarantine`.
#[derive(Debug, clap::Args)]
#[command(group(clap::ArgGroup::new("which").required(true).args(["objects", "all"])))]
#[command(after_help = "\
Examples:
  sluice quarantine --all --reason 'etcd restored'      before the controllers start after a restore
  sluice quarantine --all --end                         when every node has settled
  sluice quarantine -n team climit/gpu lock/deploy-db   one limit and one lock")]
pub(super) struct Arguments {
    /// Limits and locks, as climit/NAME or lock/NAME.
    #[arg(value_name = "KIND/NAME")]
    objects: Vec<String>,
    /// Every limit and lock of the cluster, or of the namespace.
    #[arg(long)]
    all: bool,
    /// Namespace; without it that of the kubeconfig's context, or with --all every one.
    #[arg(short, long)]
    namespace: Option<String>,
    /// Ends the quarantine: whoever runs is counted, then slots are granted again.
    #[arg(long)]
    end: bool,
    /// How long --end waits for a controller to have seen the quarantine.
    #[arg(long, default_value_t = 60, requires = "end")]
    wait_seconds: u64,
    /// Why, for those who read the limit's conditions.
    #[arg(long, default_value = "sluice quarantine", conflicts_with = "end")]
    reason: String,
    #[command(flatten)]
    connection: Connection,
}

pub(super) async fn run(arguments: Arguments) -> Result<(), CliError> {
    let (client, _clock) = arguments.connection.open().await?;
    let found = find(&client, &arguments).await?;
    if found.is_empty() {
        println!("there is no limit and no lock");
        return Ok(());
    }
    let mut changed = 0_usize;
    let mut failed = 0_usize;
    let deadline =
        Instant::now() + Duration::from_secs(arguments.wait_seconds.min(WAIT_SECONDS_MAX));
    for target in &found {
        let done = if arguments.end {
            end(&client, target, deadline).await
        } else {
            begin(&client, target, &arguments.reason).await
        };
        match done {
            Ok(true) => changed += 1,
            Ok(false) => {}
            Err(error) => {
                failed += 1;
                eprintln!("sluice: {}: {error}", target.place());
            }
        }
    }
    let rest = found.len().saturating_sub(changed).saturating_sub(failed);
    if arguments.end {
        println!("{changed} left quarantine; {rest} were in none");
    } else {
        println!(
            "{changed} are in quarantine now, {rest} were already; nothing is granted there until `sluice quarantine --end`"
        );
    }
    if failed > 0 {
        return Err(CliError::Unfinished(format!(
            "{failed} of {} are unchanged; the lines above say why. Run the command again",
            found.len()
        )));
    }
    Ok(())
}

/// One limit or lock.
struct Target {
    kind: Kind,
    object: DynamicObject,
}

impl Target {
    fn api(&self, client: &Client) -> Api<DynamicObject> {
        let namespace = self.object.metadata.namespace.as_deref();
        pools::api(client, self.kind, namespace.unwrap_or_default())
    }

    fn name(&self) -> &str {
        self.object.metadata.name.as_deref().unwrap_or_default()
    }

    fn place(&self) -> String {
        let namespace = self
            .object
            .metadata
            .namespace
            .as_deref()
            .unwrap_or_default();
        format!(
            "{}/{} in namespace {namespace}",
            self.kind.short(),
            self.name()
        )
    }

    fn is_set_aside(&self) -> bool {
        let annotations = self.object.metadata.annotations.as_ref();
        annotations.is_some_and(|it| it.contains_key(names::QUARANTINE))
    }

    /// A controller has seen the quarantine: the status says it, and is not fenced.
    fn is_seen(&self) -> bool {
        let status = self.object.data.get("status");
        let conditions = status.and_then(|it| it.get("conditions")?.as_array());
        let quarantined = conditions.into_iter().flatten().any(|it| {
            it["type"] == "Quarantined" && it["status"] == "True" && it["reason"] == "SetAside"
        });
        quarantined && status.is_none_or(|it| it["fenced"] != true)
    }
}

async fn find(client: &Client, arguments: &Arguments) -> Result<Vec<Target>, CliError> {
    if arguments.all {
        let mut found = Vec::new();
        for kind in Kind::ALL {
            found.extend(list(client, kind, arguments.namespace.as_deref()).await?);
        }
        return Ok(found);
    }
    if arguments.objects.len() > NAMED_MAX {
        return Err(CliError::Usage(format!(
            "more than {NAMED_MAX} objects are named; use --all, or name fewer"
        )));
    }
    let namespace = arguments
        .namespace
        .as_deref()
        .unwrap_or_else(|| client.default_namespace());
    let mut found = Vec::new();
    for named in &arguments.objects {
        let (kind, name) = parse(named)?;
        let api: Api<DynamicObject> =
            Api::namespaced_with(client.clone(), namespace, &kind.resource());
        let object = api.get(name).await.map_err(|source| {
            failed(
                format!("{named} in namespace {namespace} cannot be read"),
                source,
            )
        })?;
        found.push(Target { kind, object });
    }
    Ok(found)
}

/// `climit/gpu`, or the kind written out.
fn parse(named: &str) -> Result<(Kind, &str), CliError> {
    named
        .split_once('/')
        .and_then(|(kind, name)| Some((Kind::spelled(kind)?, name)))
        .filter(|(_, name)| !name.is_empty())
        .ok_or_else(|| {
            CliError::Usage(format!(
                "{named} is no limit or lock: write climit/NAME or lock/NAME"
            ))
        })
}

async fn list(
    client: &Client,
    kind: Kind,
    namespace: Option<&str>,
) -> Result<Vec<Target>, CliError> {
    let api: Api<DynamicObject> = match namespace {
        Some(namespace) => Api::namespaced_with(client.clone(), namespace, &kind.resource()),
        None => Api::all_with(client.clone(), &kind.resource()),
    };
    let plural = kind.resource().plural;
    let objects = super::list_all(&api, &plural, |_| true).await?;
    let targets = objects.into_iter().map(|object| Target { kind, object });
    Ok(targets.collect())
}

/// Sets it aside; whether that is news.
async fn begin(client: &Client, target: &Target, reason: &str) -> Result<bool, String> {
    if target.is_set_aside() {
        return Ok(false);
    }
    annotate(client, target, Some(reason)).await
}

/// Ends its quarantine once a controller has seen it; whether it was in one.
async fn end(client: &Client, target: &Target, deadline: Instant) -> Result<bool, String> {
    let api = target.api(client);
    loop {
        let found = api
            .get_opt(target.name())
            .await
            .map_err(|it| it.to_string())?;
        let Some(object) = found else {
            return Ok(false);
        };
        let now = Target {
            kind: target.kind,
            object,
        };
        if !now.is_set_aside() {
            return Ok(false);
        }
        if now.is_seen() {
            return annotate(client, &now, None).await;
        }
        if Instant::now() > deadline {
            return Err(
                "no controller has seen this quarantine yet (condition Quarantined is not True with reason SetAside); is one running? Ended now, nobody who runs would be counted anew"
                    .to_owned(),
            );
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

async fn annotate(client: &Client, target: &Target, value: Option<&str>) -> Result<bool, String> {
    let patch = json!({"metadata": {"annotations": {(names::QUARANTINE): value}}});
    let uid = target.object.metadata.uid.as_deref().unwrap_or_default();
    match pools::merge_in(&target.api(client), target.name(), uid, patch).await {
        Ok(_) => Ok(true),
        Err(kube::Error::Api(status)) if status.is_not_found() => Ok(false),
        Err(error) => Err(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_are_named_as_for_kubectl() {
        assert_eq!(parse("climit/gpu").unwrap(), (Kind::Limit, "gpu"));
        assert_eq!(parse("ConcurrencyLimit/gpu").unwrap(), (Kind::Limit, "gpu"));
        assert_eq!(parse("locks/deploy-db").unwrap(), (Kind::Lock, "deploy-db"));
        for bad in ["gpu", "pod/gpu", "climit/", "/gpu"] {
            let error = parse(bad).unwrap_err().to_string();
            assert!(error.contains("climit/NAME"), "{error}");
        }
    }
}
