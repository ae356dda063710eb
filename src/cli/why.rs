//! `sluice why`: why a pod waits, what it holds, or why Sluice has nothing to do with it.

mod verdict;

use std::collections::BTreeSet;
use std::fmt::Write as _;

use schemars::JsonSchema;
use serde::Serialize;

use super::look::pods::{self, PodRead};
use super::look::snapshot::Snapshot;
use super::look::{Scope, Server, rows, words};
use super::output::{self, Format, Output};
use super::table::{Table, Tone, painted};
use super::{CliError, failed};
use crate::ledger::{Amount, Ask, PoolKey, PoolKind};
use verdict::{entries, judge};

/// Arguments of `sluice why`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sluice why render-2whwv
  sluice why -n team pod/render-2whwv
  sluice why render-2whwv -o json | jq -r .reason")]
pub(super) struct Arguments {
    /// The pod: NAME, or pod/NAME.
    #[arg(value_name = "POD")]
    subject: String,
    /// The controller's --max-priority: what sluice.dev/priority may ask for beyond a pod's own.
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    max_priority: Option<i32>,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    scope: Scope,
}

/// Whom it is about.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Subject {
    Pod(String),
}

impl Subject {
    fn parse(text: &str) -> Result<Self, CliError> {
        let (kind, name) = text.split_once('/').unwrap_or(("pod", text));
        match kind.to_lowercase().as_str() {
            "pod" | "pods" | "po" if !name.is_empty() && !name.contains('/') => {
                Ok(Self::Pod(name.to_owned()))
            }
            _ => Err(CliError::Usage(format!(
                "{text} names no pod: write NAME or pod/NAME, and its namespace with -n"
            ))),
        }
    }
}

/// The answer.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Answer {
    /// What it is about: `Pod`.
    kind: &'static str,
    /// Its namespace.
    namespace: String,
    /// Its name.
    name: String,
    /// Its uid.
    uid: String,
    /// `Waiting`, `Granting`, `Aborting`, `Held`, `Ended`, or `NotOurs`.
    pub(super) state: &'static str,
    /// Why, in one word: a reason of the pod's events where it waits.
    pub(super) reason: &'static str,
    /// Why, in one or two sentences.
    pub(super) message: String,
    /// When the pod was created: since when it waits, if it does.
    since: String,
    /// Its priority in the queue.
    priority: i32,
    /// The limits and locks it asks for or holds.
    pub(super) limits: Vec<Share>,
    /// What could not be read.
    notes: Vec<String>,
}

/// What it has to do with one limit or lock.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Share {
    /// `limit` or `lock`.
    kind: &'static str,
    /// Its namespace.
    namespace: String,
    /// Its key.
    key: String,
    /// Slots asked for or held. Not of a lock.
    #[serde(skip_serializing_if = "Option::is_none")]
    slots: Option<u32>,
    /// `exclusive` or `shared`. Only of a lock.
    #[serde(skip_serializing_if = "Option::is_none")]
    mode: Option<String>,
    /// It holds them.
    pub(super) held: bool,
    /// Its fencing token, where it holds.
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<u64>,
    /// Since when it holds.
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<String>,
    /// Slots there are. Not of a lock, nor of what does not exist.
    #[serde(skip_serializing_if = "Option::is_none")]
    of: Option<u64>,
    /// Slots that are held, or holders of a lock.
    in_use: u64,
    /// Place in its queue, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) position: Option<usize>,
}

pub(super) async fn run(arguments: Arguments) -> Result<(), CliError> {
    let server = arguments.scope.open().await?;
    let Subject::Pod(name) = Subject::parse(&arguments.subject)?;
    let pod = read(&server, &name, arguments.max_priority).await?;
    let namespaces = named(&pod, &server.namespace);
    let snapshot = Snapshot::read(
        &server,
        &namespaces,
        vec![pod.clone()],
        arguments.max_priority,
    )
    .await?;
    let answer = answer(&pod, &snapshot);
    if arguments.output.format == Format::Table {
        output::warn(&answer.notes);
    }
    arguments
        .output
        .one(&answer, || text(&answer, &snapshot, &pod))
}

async fn read(server: &Server, name: &str, priority_max: Option<i32>) -> Result<PodRead, CliError> {
    let namespace = &server.namespace;
    let found = pods::api(&server.client, Some(namespace))
        .get_opt(name)
        .await;
    let object = found
        .map_err(|source| failed(format!("pod {namespace}/{name} cannot be read"), source))?
        .ok_or_else(|| {
            CliError::Missing(format!(
                "pod {namespace}/{name} does not exist; `kubectl get pods -n {namespace}` lists what there is, and -n names another namespace"
            ))
        })?;
    pods::read(&object, priority_max).map_err(|why| {
        CliError::Unfinished(format!(
            "pod {namespace}/{name} cannot be understood: {why}"
        ))
    })
}

/// The pod's namespace, and those of what it names.
fn named(pod: &PodRead, own: &str) -> BTreeSet<String> {
    let mut namespaces = BTreeSet::from([own.to_owned()]);
    if let Ask::Wants(wants) = &pod.view.ask {
        let all = wants.mentions.iter();
        namespaces.extend(all.map(|it| it.pool.namespace.to_string()));
    }
    let granted = pod.view.granted.iter().flat_map(|it| it.leases.iter());
    namespaces.extend(granted.map(|it| it.pool.namespace.to_string()));
    namespaces
}

/// What is to be said of a pod.
pub(super) fn answer(pod: &PodRead, snapshot: &Snapshot) -> Answer {
    let (state, reason, message) = judge(pod, snapshot);
    let view = &pod.view;
    Answer {
        kind: "Pod",
        namespace: view.namespace.to_string(),
        name: view.name.to_string(),
        uid: view.uid.to_string(),
        state,
        reason,
        message,
        since: words::time(view.arrival),
        priority: view.priority,
        limits: parts(pod, snapshot),
        notes: snapshot.notes.clone(),
    }
}

/// What it asks for, or holds.
fn parts(pod: &PodRead, snapshot: &Snapshot) -> Vec<Share> {
    let uid = &pod.view.uid;
    let held = entries(snapshot, uid);
    let mut wanted = snapshot.ledger.demand(uid);
    if wanted.is_empty()
        && !pod.view.is_revealed()
        && let Ask::Wants(wants) = &pod.view.ask
    {
        wanted = wants
            .mentions
            .iter()
            .map(|it| (it.pool.clone(), it.amount))
            .collect();
    }
    for (pool, lease, _) in &held {
        if !wanted.iter().any(|(key, _)| *key == pool.key) {
            wanted.push((pool.key.clone(), lease.amount));
        }
    }
    let part = |(key, amount): (PoolKey, Amount)| {
        let pool = snapshot.pools.get(&key);
        let lease = held.iter().find(|it| it.0.key == key).map(|it| it.1);
        let waiters = snapshot.ledger.waiters(&key);
        let own = waiters.iter().find(|it| it.uid == *uid);
        Share {
            kind: super::look::Kind::of(key.kind).word(),
            namespace: key.namespace.to_string(),
            key: key.text(),
            slots: match amount {
                Amount::Slots(slots) | Amount::Rate(slots) => Some(slots),
                Amount::Shared | Amount::Exclusive => None,
            },
            mode: match amount {
                Amount::Slots(_) | Amount::Rate(_) => None,
                mode => Some(words::amount(mode)),
            },
            held: lease.is_some(),
            token: lease.map(|it| it.token.0),
            since: lease.map(|it| words::time(it.granted_at)),
            of: pool
                .filter(|_| key.kind == PoolKind::Limit)
                .and_then(|it| it.spec.read())
                .map(|it| it.capacity),
            in_use: pool.map_or(0, rows::in_use),
            position: own.and_then(|it| it.position),
        }
    };
    wanted.into_iter().map(part).collect()
}

fn text(answer: &Answer, snapshot: &Snapshot, pod: &PodRead) -> String {
    let age = words::age(snapshot.now, pod.view.arrival);
    let (how, tone) = match answer.state {
        "Waiting" => (format!("waits since {age}"), Tone::Notable),
        "Granting" => ("is being granted".to_owned(), Tone::Good),
        "Aborting" => (format!("waits since {age}"), Tone::Notable),
        "Held" => (format!("runs ({})", pod.phase), Tone::Good),
        "Ended" => (format!("has ended ({})", pod.phase), Tone::Plain),
        _ => ("does not concern Sluice".to_owned(), Tone::Plain),
    };
    let mut out = painted(
        &format!(
            "pod {}/{} {how}: {}",
            answer.namespace, answer.name, answer.reason
        ),
        tone,
    );
    // Writing to a String cannot fail.
    let _ = write!(out, "\n{}\n", answer.message);
    if answer.limits.is_empty() {
        return out;
    }
    let mut table = Table::new(&[
        "NAMESPACE",
        "KEY",
        "WANTS",
        "HELD",
        "IN-USE",
        "OF",
        "POSITION",
    ]);
    for part in &answer.limits {
        let key = match part.kind {
            "lock" => format!("lock/{}", part.key),
            _ => part.key.clone(),
        };
        let amount = part.slots.map(|it| it.to_string());
        table.row([
            part.namespace.as_str().into(),
            key.into(),
            amount
                .or_else(|| part.mode.clone())
                .unwrap_or_default()
                .into(),
            if part.held { "yes" } else { "no" }.into(),
            part.in_use.to_string().into(),
            part.of.map_or("-".to_owned(), |it| it.to_string()).into(),
            part.position
                .map_or("-".to_owned(), |it| it.to_string())
                .into(),
        ]);
    }
    let _ = write!(out, "\n{}", table.render());
    out
}

#[cfg(test)]
#[path = "why_tests.rs"]
mod tests;
