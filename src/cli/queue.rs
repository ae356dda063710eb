//! `sluice queue`: who waits for a limit or lock, in the order in which the controller serves them.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::Serialize;

use super::CliError;
use super::look::snapshot::Snapshot;
use super::look::{Named, Scope, pools, request, rows, words};
use super::output::{self, Format, Output};
use super::table::{Cell, Table, Tone};
use crate::ledger::{Amount, Micros, PoolKey, RequestState, Waiter};

/// Arguments of `sluice queue`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sluice queue gpu
  sluice queue licences/matlab
  sluice queue lock/deploy -o json | jq '.items | length'

Computed from the pods and claims that wait at this moment: nobody keeps positions. Order: priority, then age, then uid.
POSITION is empty for those who stand aside, because they cannot be granted whatever room there is.")]
pub(super) struct Arguments {
    #[command(flatten)]
    named: Named,
    /// The controller's --max-priority: what sluice.dev/priority may ask for beyond a pod's own.
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    max_priority: Option<i32>,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    scope: Scope,
}

/// One who waits.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct QueueRow {
    /// Place in the queue, from 1; absent for whoever stands aside.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) position: Option<usize>,
    /// What waits: `Pod` or `SlotClaim`.
    kind: &'static str,
    /// Its namespace.
    namespace: String,
    /// Its name.
    pub(super) name: String,
    /// Its uid.
    uid: String,
    /// The limit or lock it waits for: the one asked about, or that of its worker.
    key: String,
    /// Who waits, in the words of the claim (its `spec.holder`). Not of a pod.
    #[serde(skip_serializing_if = "Option::is_none")]
    holder: Option<String>,
    /// Slots it wants. Not of a lock.
    #[serde(skip_serializing_if = "Option::is_none")]
    slots: Option<u32>,
    /// `exclusive` or `shared`. Only of a lock.
    #[serde(skip_serializing_if = "Option::is_none")]
    mode: Option<String>,
    /// Its priority; higher goes first.
    priority: i32,
    /// Since when it waits.
    since: String,
    /// `Waiting`, `Granting` (its slots are free), `Aborting` (what it was given is being taken back).
    state: &'static str,
    /// Why, in one word.
    pub(super) reason: &'static str,
    /// Why, in one sentence.
    message: String,
}

pub(super) async fn run(arguments: Arguments) -> Result<(), CliError> {
    let server = arguments.scope.open().await?;
    let target = arguments.named.target(&server.namespace)?;
    let namespaces = BTreeSet::from([server.namespace.clone(), target.namespace.clone()]);
    let snapshot = Snapshot::read(&server, &namespaces, Vec::new(), arguments.max_priority).await?;
    let key = target.pool_key();
    let waiters = snapshot.ledger.waiters(&key);
    let items = queue(&snapshot, &waiters);
    // Whoever waits for what is not there shows up all the same.
    if items.is_empty() && !snapshot.pools.contains_key(&key) {
        return Err(pools::missing(&server, &target).await);
    }
    if arguments.output.format == Format::Table {
        if items.is_empty() {
            output::warn(&snapshot.notes);
            return output::say(&format!("nobody waits for {target}"));
        }
        if let Some(how) = snapshot.pools.get(&key).and_then(rows::stands_still) {
            output::warn(&[format!("{target} is {how}: nothing is granted")]);
        }
    }
    arguments.output.list(&items, &snapshot.notes, || {
        table(snapshot.now, &key, &items, &waiters)
    })
}

/// A row for each who waits.
pub(super) fn queue(snapshot: &Snapshot, waiters: &[Waiter]) -> Vec<QueueRow> {
    waiters.iter().map(|it| row(snapshot, it)).collect()
}

fn row(snapshot: &Snapshot, waiter: &Waiter) -> QueueRow {
    let (state, reason, message) = state(snapshot, &waiter.state);
    QueueRow {
        position: waiter.position,
        kind: request::kind(waiter.kind),
        namespace: waiter.namespace.to_string(),
        name: waiter.name.to_string(),
        uid: waiter.uid.to_string(),
        key: words::short(&waiter.pool),
        holder: snapshot.holders.get(&waiter.uid).cloned(),
        slots: match waiter.amount {
            Some(Amount::Slots(slots) | Amount::Rate(slots)) => Some(slots),
            _ => None,
        },
        mode: match waiter.amount {
            Some(mode @ (Amount::Shared | Amount::Exclusive)) => Some(words::amount(mode)),
            _ => None,
        },
        priority: waiter.priority,
        since: words::time(waiter.arrival),
        state,
        reason,
        message,
    }
}

/// How far a request has come: the state, why in one word, why in one sentence.
pub(super) fn state(
    snapshot: &Snapshot,
    state: &RequestState,
) -> (&'static str, &'static str, String) {
    match state {
        RequestState::Waiting(Some(cause)) => ("Waiting", cause.reason(), snapshot.sentence(cause)),
        RequestState::Waiting(None) => ("Waiting", "Pending", "it has just come".to_owned()),
        RequestState::Granting | RequestState::Held => (
            "Granting",
            "Granting",
            "there is room for it; if this stays, no controller serves its namespace".to_owned(),
        ),
        RequestState::Aborting => (
            "Aborting",
            "Aborting",
            "what it was given is being taken back".to_owned(),
        ),
    }
}

fn table(now: Micros, key: &PoolKey, items: &[QueueRow], waiters: &[Waiter]) -> String {
    let elsewhere = items
        .iter()
        .any(|it| it.namespace != key.namespace.as_str());
    let family = items.iter().any(|it| it.key != words::short(key));
    let wanted = [
        ("POSITION", true),
        ("NAMESPACE", elsewhere),
        ("NAME", true),
        ("KEY", family),
        ("WANTS", true),
        ("PRIORITY", true),
        ("WAITING", true),
        ("HOLDER", items.iter().any(|it| it.holder.is_some())),
        ("BLOCKED-BY", true),
    ];
    let heading: Vec<&'static str> = wanted.iter().filter(|it| it.1).map(|it| it.0).collect();
    let mut table = Table::new(&heading);
    for (item, waiter) in items.iter().zip(waiters) {
        let needs_attention =
            matches!(&waiter.state, RequestState::Waiting(Some(cause)) if cause.needs_attention());
        let tone = if needs_attention {
            Tone::Bad
        } else {
            Tone::Plain
        };
        let cells = [
            item.position
                .map_or("-".to_owned(), |it| it.to_string())
                .into(),
            item.namespace.as_str().into(),
            request::short(waiter.kind, &item.name).into(),
            item.key.as_str().into(),
            waiter.amount.map(words::amount).unwrap_or_default().into(),
            item.priority.to_string().into(),
            words::age(now, waiter.arrival).into(),
            item.holder.as_deref().unwrap_or_default().into(),
            Cell::toned(format!("{}: {}", item.reason, item.message), tone),
        ];
        let shown = cells
            .into_iter()
            .zip(wanted)
            .filter(|(_, (_, shown))| *shown);
        table.row(shown.map(|(cell, _)| cell));
    }
    table.render()
}

#[cfg(test)]
#[path = "queue_tests.rs"]
mod tests;
