//! `sluice why`: why a pod or claim waits, what it holds, what became of it, or why Sluice has nothing to do with it.

mod verdict;

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt::Write as _;

use schemars::JsonSchema;
use serde::Serialize;

use super::look::request::{self, RequestRead};
use super::look::snapshot::Snapshot;
use super::look::{Scope, Server, claims, pods, rows, words};
use super::output::{self, Format, Output};
use super::table::{Table, Tone, painted};
use super::{CliError, failed};
use crate::ledger::{Amount, Ask, HolderKind, PoolKey, PoolKind};
use verdict::{entries, judge};

/// Arguments of `sluice why`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sluice why render-2whwv
  sluice why -n team pod/render-2whwv
  sluice why claim/nightly-import
  sluice why render-2whwv -o json | jq -r .reason")]
pub(super) struct Arguments {
    /// The pod or claim: NAME, pod/NAME, claim/NAME. A NAME alone is a pod where there is one, else a claim.
    #[arg(value_name = "POD|CLAIM")]
    subject: String,
    /// The controller's --max-priority: what sluice.dev/priority may ask for beyond a pod's own.
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    max_priority: Option<i32>,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    scope: Scope,
}

/// The answer.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Answer {
    /// What it is about: `Pod` or `SlotClaim`.
    kind: &'static str,
    /// Its namespace.
    namespace: String,
    /// Its name.
    name: String,
    /// Its uid.
    uid: String,
    /// `Waiting`, `Granting`, `Aborting`, `Held`, `Ended`, or `NotOurs`.
    pub(super) state: &'static str,
    /// Why, in one word: a reason of its events where it waits; of a claim that has ended, that of its status.
    pub(super) reason: Cow<'static, str>,
    /// Why, in one or two sentences.
    pub(super) message: String,
    /// Phase of the pod or claim, as `sluice holders` shows it.
    phase: String,
    /// Who asks, in the words of the claim (its `spec.holder`). Not of a pod.
    #[serde(skip_serializing_if = "Option::is_none")]
    holder: Option<String>,
    /// When it was created: since when it waits, if it does.
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
    let named = subject(&arguments.subject)?;
    let read = read(&server, named, arguments.max_priority).await?;
    let namespaces = named_by(&read, &server.namespace);
    let besides = vec![read.clone()];
    let snapshot = Snapshot::read(&server, &namespaces, besides, arguments.max_priority).await?;
    let answer = answer(&read, &snapshot);
    if arguments.output.format == Format::Table {
        output::warn(&answer.notes);
    }
    arguments
        .output
        .one(&answer, || text(&answer, &snapshot, &read))
}

/// Whom it is about: the kind where it is said, and the name.
fn subject(text: &str) -> Result<(Option<HolderKind>, &str), CliError> {
    request::spelled(text).map_err(|()| {
        CliError::Usage(format!(
            "{text} names no pod and no claim: write NAME, pod/NAME or claim/NAME, and its namespace with -n"
        ))
    })
}

/// The pod or claim of this name. A name alone is a pod where there is one.
async fn read(
    server: &Server,
    (kind, name): (Option<HolderKind>, &str),
    priority_max: Option<i32>,
) -> Result<RequestRead, CliError> {
    let namespace = &server.namespace;
    let pod = match kind {
        Some(HolderKind::Claim) => Ok(None),
        Some(HolderKind::Pod) | None => read_pod(server, name, priority_max).await,
    };
    match pod {
        Ok(Some(pod)) => return Ok(pod),
        Ok(None) => {}
        // Whoever may read claims alone is told of claims.
        Err(error) if kind.is_none() && error.is_forbidden() => {}
        Err(error) => return Err(error),
    }
    if kind != Some(HolderKind::Pod) {
        match claims::api(&server.client, Some(namespace))
            .get_opt(name)
            .await
        {
            Ok(Some(object)) => return Ok(claims::read(object, priority_max)),
            Ok(None) => {}
            Err(_) if kind.is_none() => {}
            Err(source) => {
                let what = format!("claim {namespace}/{name} cannot be read");
                return Err(failed(what, source));
            }
        }
    }
    let (what, list) = match kind {
        Some(HolderKind::Pod) => ("pod", "kubectl get pods"),
        Some(HolderKind::Claim) => ("claim", "kubectl get slotclaims"),
        None => ("pod or claim", "kubectl get pods,slotclaims"),
    };
    let ended = match kind {
        Some(HolderKind::Pod) => "",
        _ => "; a claim is deleted a while after it has ended",
    };
    Err(CliError::Missing(format!(
        "{what} {namespace}/{name} does not exist; `{list} -n {namespace}` lists what there is, and -n names another namespace{ended}"
    )))
}

async fn read_pod(
    server: &Server,
    name: &str,
    priority_max: Option<i32>,
) -> Result<Option<RequestRead>, CliError> {
    let namespace = &server.namespace;
    let found = pods::api(&server.client, Some(namespace))
        .get_opt(name)
        .await
        .map_err(|source| failed(format!("pod {namespace}/{name} cannot be read"), source))?;
    let read = found.map(|object| {
        pods::read(&object, priority_max).map_err(|why| {
            CliError::Unfinished(format!(
                "pod {namespace}/{name} cannot be understood: {why}"
            ))
        })
    });
    read.transpose()
}

/// Its namespace, and those of what it names.
fn named_by(pod: &RequestRead, own: &str) -> BTreeSet<String> {
    let mut namespaces = BTreeSet::from([own.to_owned()]);
    if let Ask::Wants(wants) = &pod.view.ask {
        let all = wants.mentions.iter();
        namespaces.extend(all.map(|it| it.pool.namespace.to_string()));
    }
    let granted = pod.view.granted.iter().flat_map(|it| it.leases.iter());
    namespaces.extend(granted.map(|it| it.pool.namespace.to_string()));
    namespaces
}

/// What is to be said of a pod or claim.
pub(super) fn answer(pod: &RequestRead, snapshot: &Snapshot) -> Answer {
    let (state, reason, message) = judge(pod, snapshot);
    let view = &pod.view;
    Answer {
        kind: request::kind(view.kind()),
        namespace: view.namespace.to_string(),
        name: view.name.to_string(),
        uid: view.uid.to_string(),
        state,
        reason,
        message,
        phase: pod.phase.clone(),
        holder: pod.holder.clone(),
        since: words::time(view.arrival),
        priority: view.priority,
        limits: parts(pod, snapshot),
        notes: snapshot.notes.clone(),
    }
}

/// What it asks for, or holds.
fn parts(pod: &RequestRead, snapshot: &Snapshot) -> Vec<Share> {
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

fn text(answer: &Answer, snapshot: &Snapshot, pod: &RequestRead) -> String {
    let age = words::age(snapshot.now, pod.view.arrival);
    let (how, tone) = match answer.state {
        "Waiting" => (format!("waits since {age}"), Tone::Notable),
        "Granting" => ("is being granted".to_owned(), Tone::Good),
        "Aborting" => (format!("waits since {age}"), Tone::Notable),
        "Held" if pod.view.claim.is_some() => (format!("holds ({})", pod.phase), Tone::Good),
        "Held" => (format!("runs ({})", pod.phase), Tone::Good),
        "Ended" => (format!("has ended ({})", pod.phase), Tone::Plain),
        _ => ("does not concern Sluice".to_owned(), Tone::Plain),
    };
    let mut out = painted(
        &format!(
            "{} {}/{} {how}: {}",
            pod.word(),
            answer.namespace,
            answer.name,
            answer.reason
        ),
        tone,
    );
    // Writing to a String cannot fail.
    let _ = write!(out, "\n{}\n", answer.message);
    if let Some(holder) = &answer.holder {
        let _ = writeln!(out, "asked for by {holder}");
    }
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
