//! From objects to the rows of a queue.

use serde_json::{Value, json};

use super::*;
use crate::cli::look::Target;
use crate::cli::look::samples::{limit, lock, snapshot, waiting};

fn slots(text: &str) -> Value {
    json!({"sluice.dev/slots": text})
}

fn rows_of(snapshot: &Snapshot, target: &Target) -> Vec<QueueRow> {
    queue(snapshot, &snapshot.ledger.waiters(&target.pool_key()))
}

fn shown(snapshot: &Snapshot, key: &str) -> Vec<(String, String, &'static str)> {
    let target = Target::parse(key, false, "team").unwrap();
    let rows = rows_of(snapshot, &target);
    rows.into_iter()
        .map(|it| {
            let position = it.position.map_or("-".to_owned(), |it| it.to_string());
            (position, it.name, it.reason)
        })
        .collect()
}

fn row(position: &str, name: &str, reason: &'static str) -> (String, String, &'static str) {
    (position.to_owned(), name.to_owned(), reason)
}

#[test]
fn priority_then_age_then_uid() {
    let gpu = limit("gpu", json!({"slots": 1}), &[("holder", 1)]);
    let mut urgent = waiting("urgent", 5, slots("gpu"));
    urgent.data["spec"]["priority"] = 9.into();
    let mut humble = waiting("humble", 1, slots("gpu"));
    humble
        .metadata
        .annotations
        .as_mut()
        .unwrap()
        .insert("sluice.dev/priority".to_owned(), "-3".to_owned());
    let pods = [
        waiting("late", 4, slots("gpu")),
        humble,
        waiting("twin-b", 2, slots("gpu")),
        waiting("twin-a", 2, slots("gpu")),
        urgent,
    ];
    assert_eq!(
        shown(&snapshot(&[gpu], &pods), "gpu"),
        [
            row("1", "urgent", "WaitingForSlots"),
            row("2", "twin-a", "WaitingForSlots"),
            row("3", "twin-b", "WaitingForSlots"),
            row("4", "late", "WaitingForSlots"),
            row("5", "humble", "WaitingForSlots"),
        ]
    );
}

#[test]
fn whoever_stands_aside_has_no_position() {
    let gpu = limit("gpu", json!({"slots": 2}), &[("holder", 2)]);
    let mut gated = waiting("gated", 1, slots("gpu"));
    gated.data["spec"]["schedulingGates"] =
        json!([{"name": "sluice.dev/slots"}, {"name": "other"}]);
    let pods = [
        gated,
        waiting("next", 2, slots("gpu")),
        waiting("missing", 3, slots("gpu, nowhere")),
        waiting("huge", 4, slots("gpu=3")),
    ];
    let found = snapshot(&[gpu], &pods);
    assert_eq!(
        shown(&found, "gpu"),
        [
            row("1", "next", "WaitingForSlots"),
            row("2", "missing", "LimitNotFound"),
            row("3", "huge", "ExceedsLimit"),
            row("-", "gated", "OtherGates"),
        ]
    );
    assert_eq!(
        shown(&found, "nowhere"),
        [row("1", "missing", "LimitNotFound")]
    );
}

#[test]
fn what_waits_elsewhere_says_where() {
    let gpu = limit("gpu", json!({"slots": 9}), &[]);
    let db = limit("db", json!({"slots": 1}), &[("holder", 1)]);
    let pods = [
        waiting("both", 1, slots("gpu, db")),
        waiting("fits", 2, slots("gpu")),
    ];
    let found = snapshot(&[gpu, db], &pods);
    let target = Target::parse("gpu", false, "team").unwrap();
    let rows = rows_of(&found, &target);
    assert_eq!(rows[0].message, "limit team/db has no room");
    assert_eq!((rows[1].state, rows[1].reason), ("Granting", "Granting"));
}

#[test]
fn a_family_shows_the_queues_of_its_workers() {
    let family = limit("gpu", json!({"slots": 1, "perWorker": {}}), &[]);
    let mut child = limit("gpu--a", json!({"slots": 1}), &[("holder", 1)]);
    child.metadata.owner_references = Some(
        serde_json::from_value(json!([{
            "apiVersion": "sluice.dev/v1alpha1", "kind": "ConcurrencyLimit", "name": "gpu",
            "uid": "uid-ConcurrencyLimit-gpu", "controller": true,
        }]))
        .unwrap(),
    );
    let annotations = [("sluice.dev/parent-generation".to_owned(), "1".to_owned())];
    child.metadata.annotations = Some(annotations.into());
    let on = |name: &str, minute, worker: Option<&str>| {
        let mut pod = waiting(name, minute, slots("gpu"));
        if let Some(worker) = worker {
            let labels = pod.metadata.labels.as_mut().unwrap();
            labels.insert("sluice.dev/worker".to_owned(), worker.to_owned());
        }
        pod
    };
    let pods = [
        on("first", 1, Some("a")),
        on("lost", 2, None),
        on("second", 3, Some("a")),
    ];
    let found = snapshot(&[family, child], &pods);
    assert_eq!(
        shown(&found, "gpu"),
        [
            row("1", "first", "WaitingForSlots"),
            row("2", "second", "WaitingForSlots"),
            row("-", "lost", "WorkerUnknown"),
        ]
    );
    let child = shown(&found, "gpu:a");
    assert_eq!(child.len(), 2, "{child:?}");
}

#[test]
fn locks_and_standing_still() {
    let door = lock("door", json!({}), &[("holder", "Shared")]);
    let gpu = limit("gpu", json!({"slots": 9, "mode": "Paused"}), &[]);
    let pods = [
        waiting("alone", 1, json!({"sluice.dev/locks": "door"})),
        waiting("shared", 2, json!({"sluice.dev/locks": "door:shared"})),
        waiting("calm", 3, slots("gpu")),
    ];
    let found = snapshot(&[door, gpu], &pods);
    let target = Target::parse("lock/door", false, "team").unwrap();
    let rows = rows_of(&found, &target);
    let facts: Vec<_> = rows
        .iter()
        .map(|it| (it.mode.as_deref().unwrap(), it.reason))
        .collect();
    assert_eq!(
        facts,
        [
            ("exclusive", "WaitingForSlots"),
            ("shared", "SlotsReserved")
        ]
    );
    assert_eq!(shown(&found, "gpu"), [row("1", "calm", "LimitPaused")]);
}
