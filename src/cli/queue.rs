//! `sluice queue`: who waits for a limit or lock, in the order in which the controller serves them.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::Serialize;

use super::CliError;
use super::look::snapshot::Snapshot;
use super::look::{Named, Scope, pools, rows, words};
use super::output::{self, Format, Output};
use super::table::{Cell, Table, Tone};
use crate::ledger::{Amount, PoolKey, RequestState, Waiter};

/// Arguments of `sluice queue`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sluice queue gpu
  sluice queue licences/matlab
  sluice queue lock/deploy -o json | jq '.items | length'

Computed from the pods that wait at this moment: nobody keeps positions. Order: priority, then age, then uid.
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
    /// What waits: `Pod`.
    kind: &'static str,
    /// Its namespace.
    namespace: String,
    /// Its name.
    pub(super) name: String,
    /// Its uid.
    uid: String,
    /// The limit or lock it waits for: the one asked about, or that of its worker.
    key: String,
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
    let items = queue(&snapshot, &key);
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
    arguments
        .output
        .list(&items, &snapshot.notes, || table(&snapshot, &key, &items))
}

/// Everybody who waits for a limit or lock, in order.
pub(super) fn queue(snapshot: &Snapshot, key: &PoolKey) -> Vec<QueueRow> {
    let waiters = snapshot.ledger.waiters(key);
    waiters.iter().map(|it| row(snapshot, it)).collect()
}

fn row(snapshot: &Snapshot, waiter: &Waiter) -> QueueRow {
    let (state, reason, message) = state(snapshot, &waiter.state);
    QueueRow {
        position: waiter.position,
        kind: "Pod",
        namespace: waiter.namespace.to_string(),
        name: waiter.name.to_string(),
        uid: waiter.uid.to_string(),
        key: words::short(&waiter.pool),
        slots: match waiter.amount {
            Some(Amount::Slots(slots)) => Some(slots),
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

fn table(snapshot: &Snapshot, key: &PoolKey, items: &[QueueRow]) -> String {
    let elsewhere = items
        .iter()
        .any(|it| it.namespace != key.namespace.as_str());
    let family = items.iter().any(|it| it.key != words::short(key));
    let wanted = [
        ("POSITION", true),
        ("NAMESPACE", elsewhere),
        ("POD", true),
        ("KEY", family),
        ("WANTS", true),
        ("PRIORITY", true),
        ("WAITING", true),
        ("BLOCKED-BY", true),
    ];
    let heading: Vec<&'static str> = wanted.iter().filter(|it| it.1).map(|it| it.0).collect();
    let mut table = Table::new(&heading);
    for (item, waiter) in items.iter().zip(snapshot.ledger.waiters(key)) {
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
            item.name.as_str().into(),
            item.key.as_str().into(),
            waiter.amount.map(words::amount).unwrap_or_default().into(),
            item.priority.to_string().into(),
            words::age(snapshot.now, waiter.arrival).into(),
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
