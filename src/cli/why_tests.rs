//! From objects to the sentence about one pod.

use kube::api::DynamicObject;
use serde_json::{Value, json};

use super::*;
use crate::cli::look::samples::{self, limit, snapshot, waiting};

/// What is said of the first of these pods.
fn said(objects: &[DynamicObject], pods: &[DynamicObject]) -> Answer {
    answer(&samples::pod(&pods[0]), &snapshot(objects, pods))
}

fn slots(text: &str) -> Value {
    json!({"sluice.dev/slots": text})
}

/// It was let go and runs.
fn running(name: &str, annotations: Value) -> DynamicObject {
    let mut pod = waiting(name, 0, annotations);
    pod.data["spec"]["schedulingGates"] = json!([]);
    pod.data["spec"]["nodeName"] = "node-1".into();
    pod.data["status"]["phase"] = "Running".into();
    pod
}

/// The record of a grant of one slot.
fn granted(key: &str, uid: &str) -> Value {
    let record = json!({"attempt": 0, "leases": [
        {"kind": "ConcurrencyLimit", "namespace": "team", "key": key, "uid": uid, "slots": 1, "token": 1}]});
    json!({"sluice.dev/slots": key, "sluice.dev/granted": record.to_string()})
}

#[test]
fn how_many_are_held_by_whom_and_how_many_are_ahead() {
    let gpu = limit("gpu", json!({"slots": 3}), &[("a", 1), ("b", 2)]);
    let pods = [
        waiting("last", 3, slots("gpu")),
        waiting("first", 1, slots("gpu")),
        waiting("second", 2, slots("gpu")),
    ];
    let answer = said(&[gpu], &pods);
    assert_eq!(
        (answer.state, answer.reason.as_ref()),
        ("Waiting", "WaitingForSlots")
    );
    assert_eq!(
        answer.message,
        "limit team/gpu has no room; 3 of 3 slots are held, 2 ahead; held here by a, b (2)"
    );
    let part = &answer.limits[0];
    assert_eq!((part.position, part.of, part.in_use), (Some(3), Some(3), 3));
}

#[test]
fn every_cause_has_its_sentence() {
    let small = limit("small", json!({"slots": 1}), &[]);
    let paused = limit("paused", json!({"slots": 1, "mode": "Paused"}), &[]);
    let family = limit("family", json!({"slots": 1, "perWorker": {}}), &[]);
    let mut fresh = limit("fresh", json!({"slots": 1}), &[]);
    fresh.data["status"] = json!({});
    let mut aside = limit("aside", json!({"slots": 1}), &[]);
    aside.metadata.annotations =
        Some([("sluice.dev/quarantine".to_owned(), "drill".to_owned())].into());
    let objects = [small, paused, family, fresh, aside];
    for (asked, reason, sentence) in [
        (
            "nowhere",
            "LimitNotFound",
            "limit team/nowhere does not exist",
        ),
        ("small=2", "ExceedsLimit", "raise spec.slots"),
        ("paused", "LimitPaused", "limit team/paused is paused"),
        (
            "family",
            "WorkerUnknown",
            "label sluice.dev/worker of the pod is missing",
        ),
        ("fresh", "LimitNotFenced", "limit team/fresh is new"),
        ("aside", "LimitQuarantined", "is in quarantine"),
        (
            "Small",
            "BadAnnotation",
            "entry \"Small\": 'S' is not allowed",
        ),
        ("other/x", "LimitNotFound", "limit other/x does not exist"),
        ("small", "Granting", "no controller serves its namespace"),
    ] {
        let answer = said(&objects, &[waiting("pod", 1, slots(asked))]);
        assert_eq!(answer.reason, reason, "{asked}: {}", answer.message);
        assert!(
            answer.message.contains(sentence),
            "{asked}: {}",
            answer.message
        );
    }
    let mut timed_out = waiting("pod", 1, slots("small"));
    let annotations = timed_out.metadata.annotations.as_mut().unwrap();
    annotations.insert("sluice.dev/attempt".to_owned(), "timed-out".to_owned());
    assert_eq!(said(&objects, &[timed_out]).reason, "SlotTimeout");
    let mut leaving = waiting("pod", 1, slots("nowhere"));
    leaving.metadata.deletion_timestamp =
        Some(serde_json::from_value(json!("2026-11-21T10:05:00Z")).unwrap());
    assert_eq!(said(&objects, &[leaving]).reason, "Deleting");
}

#[test]
fn where_one_may_not_look_nothing_is_claimed() {
    let pod = waiting("pod", 1, slots("other/x"));
    let mut found = snapshot(&[], std::slice::from_ref(&pod));
    found.only = Some(["team".to_owned()].into());
    let answer = answer(&samples::pod(&pod), &found);
    assert!(
        answer.message.starts_with("limit other/x may not be read"),
        "{}",
        answer.message
    );
}

#[test]
fn a_pod_that_the_controller_does_not_see_is_told_so() {
    let mut pod = waiting("pod", 1, slots("gpu"));
    pod.metadata.labels = None;
    let answer = said(&[], &[pod]);
    assert_eq!(answer.reason, "NotManaged");
    assert!(answer.message.contains("label sluice.dev/managed"));
}

#[test]
fn what_a_running_pod_holds() {
    let gpu = limit("gpu", json!({"slots": 3}), &[("a", 1)]);
    let annotations = granted("gpu", "uid-ConcurrencyLimit-gpu");
    let pod = running("a", annotations.clone());
    let answer = said(std::slice::from_ref(&gpu), &[pod]);
    assert_eq!(
        (answer.state, answer.reason.as_ref()),
        ("Held", "SlotsGranted")
    );
    assert_eq!(
        answer.message,
        "it holds 1 slot of limit team/gpu since 2026-11-21T10:00:00Z, token 1"
    );
    assert!(answer.limits[0].held);

    let mut taken = gpu.clone();
    taken.data["status"]["leases"] = json!([]);
    taken.metadata.annotations =
        Some([("sluice.dev/release".to_owned(), "uid-a".to_owned())].into());
    let answer = said(&[taken], &[running("a", annotations.clone())]);
    assert_eq!(answer.reason, "NotCounted");
    assert!(
        answer.message.contains("an operator took its lease"),
        "{}",
        answer.message
    );

    let answer = said(&[], &[running("a", annotations)]);
    assert!(
        answer.message.contains("does not exist any more"),
        "{}",
        answer.message
    );

    let answer = said(&[gpu], &[running("past", slots("gpu"))]);
    assert_eq!(answer.reason, "NotCounted");
    assert!(
        answer.message.contains("came past admission"),
        "{}",
        answer.message
    );
}

#[test]
fn what_has_ended_and_what_is_not_ours() {
    let confirmed = json!({"slots": 3, "releasePolicy": "Confirmed"});
    let gpu = limit("gpu", confirmed, &[("a", 1)]);
    let mut ended = running("a", slots("gpu"));
    ended.data["status"]["phase"] = "Failed".into();
    let answer = said(&[gpu], &[ended.clone()]);
    assert_eq!(
        (answer.state, answer.reason.as_ref()),
        ("Ended", "AwaitingProof")
    );
    assert!(
        answer.message.contains("until its end is proven"),
        "{}",
        answer.message
    );
    let answer = said(&[], &[ended]);
    assert_eq!(answer.message, "it has ended (Failed) and holds nothing");

    let answer = said(&[], &[running("plain", json!({}))]);
    assert_eq!(
        (answer.state, answer.reason.as_ref()),
        ("NotOurs", "AsksForNothing")
    );
}

#[test]
fn pods_and_claims_are_named_plainly() {
    for (said, meant) in [
        ("a", (None, "a")),
        ("Pod/a", (Some(HolderKind::Pod), "a")),
        ("claim/a", (Some(HolderKind::Claim), "a")),
        ("sclaim/a", (Some(HolderKind::Claim), "a")),
        ("SlotClaims/a", (Some(HolderKind::Claim), "a")),
    ] {
        assert_eq!(subject(said).unwrap(), meant, "{said}");
    }
    for bad in ["job/a", "pod/", "claim/", "a/b/c"] {
        let error = subject(bad).unwrap_err().to_string();
        assert!(error.contains("pod/NAME or claim/NAME"), "{error}");
    }
}

/// What is said of a claim beside these objects.
fn said_of_claim(objects: &[DynamicObject], claim: DynamicObject) -> Answer {
    let read = claims::read(claim, None);
    let mut found = snapshot(objects, &[]);
    let pools = std::mem::take(&mut found.pools);
    let found = Snapshot::of(
        pools.into_values().collect(),
        vec![read.view.clone()],
        Vec::new(),
        samples::NOW,
    );
    answer(&read, &found)
}

#[test]
fn what_a_claim_waits_for_holds_and_came_to() {
    let gpu = || limit("gpu", json!({"slots": 2}), &[("a", 2)]);
    let asks = json!({"slots": [{"limit": "gpu"}], "holder": "host-1: import"});
    let of = |status| samples::claim("c", 1, asks.clone(), status);
    let answer = said_of_claim(&[gpu()], of(json!({})));
    assert_eq!(
        (answer.kind, answer.state, answer.reason.as_ref()),
        ("SlotClaim", "Waiting", "WaitingForSlots")
    );
    assert!(answer.message.contains("2 of 2 slots are held, 0 ahead"));
    assert_eq!(answer.holder.as_deref(), Some("host-1: import"));

    let mut held = limit("gpu", json!({"slots": 2}), &[("c", 1)]);
    held.data["status"]["leases"][0]["kind"] = "Claim".into();
    let grant = json!({"kind": "ConcurrencyLimit", "namespace": "team", "key": "gpu",
                       "uid": "uid-ConcurrencyLimit-gpu", "slots": 1, "token": 1});
    let granted = json!({"phase": "Granted", "attempt": 0, "grants": [grant],
                         "leaseDurationSeconds": 60, "lockDelaySeconds": 5});
    let answer = said_of_claim(&[held.clone()], of(granted.clone()));
    assert_eq!(
        (answer.state, answer.reason.as_ref()),
        ("Held", "SlotsGranted")
    );
    assert!(answer.message.contains("token 1"), "{}", answer.message);

    let mut back = of(granted.clone());
    back.data["spec"]["release"] = true.into();
    let answer = said_of_claim(&[held.clone()], back);
    assert_eq!(
        (answer.state, answer.reason.as_ref()),
        ("Held", "Releasing")
    );

    let mut revoked = granted;
    revoked["phase"] = "Revoked".into();
    revoked["reason"] = "MaxHold".into();
    revoked["message"] = "it was held too long".into();
    let answer = said_of_claim(&[held], of(revoked));
    assert_eq!((answer.state, answer.reason.as_ref()), ("Ended", "MaxHold"));
    assert_eq!(
        answer.message,
        "it has ended (Revoked): it was held too long; its slots of limit team/gpu stay taken for as long as its holder may not have heard, 68 s at most"
    );

    let denied = json!({"phase": "Denied", "reason": "LimitNotFound", "message": "limit team/x does not exist",
                        "attempt": 4_294_967_296_u64});
    let answer = said_of_claim(&[gpu()], of(denied));
    assert_eq!(
        (answer.state, answer.reason.as_ref()),
        ("Ended", "LimitNotFound")
    );
}
