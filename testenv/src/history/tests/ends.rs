//! Ends that are not quiet: invariant 10.

use serde_json::json;

use super::told;
use crate::history::assumptions::Assumptions;
use crate::history::builder::{ONE, Script, limit, lock, pod};
use crate::history::quiescence::check_quiescent;
use crate::history::violation::Invariant;

#[track_caller]
fn quiet(script: &Script) {
    let found = check_quiescent(&script.history(), &Assumptions::none());
    assert!(found.is_empty(), "{}", told(&found));
}

#[track_caller]
fn restless(script: &Script, reason: &str) {
    let found = check_quiescent(&script.history(), &Assumptions::none());
    assert_eq!(found.len(), 1, "{}", told(&found));
    let first = &found[0];
    assert_eq!(first.invariant, Invariant::Quiescence);
    assert_eq!(first.revision, script.revision);
    assert!(first.message.contains(reason), "{}", told(&found));
}

fn full() -> Script {
    let mut script = Script::new();
    script.limit("gpu", 1);
    script.holder("a", "gpu");
    script.pod("b", "gpu");
    script
}

#[test]
fn a_full_limit_with_a_queue_is_quiet() {
    quiet(&full());
}

#[test]
fn a_lease_of_an_ended_pod_is_left() {
    let mut script = full();
    script.run("a");
    script.finish("a");
    restless(&script, "which has ended");
}

#[test]
fn a_confirmed_limit_may_wait_for_proof_for_ever() {
    let mut script = full();
    script.edit(&limit("gpu"), |object| {
        object["spec"]["releasePolicy"] = json!("Confirmed")
    });
    script.run("a");
    script.delete(&pod("a"));
    quiet(&script);
}

#[test]
fn a_lease_of_nobody_is_left() {
    let mut script = Script::new();
    script.limit("gpu", 1);
    script.status(&limit("gpu"), |status| {
        status["leases"] = json!([{"uid": "nobody", "name": "x", "slots": 1, "token": 1}]);
    });
    restless(&script, "which never existed");
}

#[test]
fn a_lease_of_an_attempt_that_was_given_up_is_left() {
    let mut script = Script::new();
    script.limit("gpu", 1);
    script.pod("a", "gpu, missing");
    script.lease(&limit("gpu"), "a", ONE);
    script.bump("a");
    restless(&script, "whose request gave that attempt up");
}

#[test]
fn a_holder_is_not_counted() {
    let mut script = full();
    script.delete(&pod("b"));
    script.release(&limit("gpu"), "a");
    restless(&script, "runs with a record of a lease here");
}

#[test]
fn a_fence_has_not_ended() {
    let mut script = Script::new();
    script.create(limit("gpu"), json!({"spec": {"slots": 1}}));
    script.floor(&limit("gpu"));
    restless(&script, "has not ended its fence");
    script.set_mode("gpu", "Disabled");
    quiet(&script);
}

#[test]
fn a_pod_waits_for_what_is_free() {
    let mut script = full();
    script.run("a");
    script.finish("a");
    script.release(&limit("gpu"), "a");
    restless(
        &script,
        "it waits, is next, and there is room in limit ns/gpu",
    );
}

#[test]
fn only_the_first_that_fits_is_told() {
    let mut script = Script::new();
    script.limit("gpu", 2);
    script.holder("a", "gpu");
    script.pod("big", "gpu=2");
    script.pod("small", "gpu");
    quiet(&script);
    script.delete(&pod("big"));
    restless(&script, "it waits");
}

#[test]
fn a_pod_that_waits_for_something_else_explains_nothing() {
    let mut script = Script::new();
    script.limit("gpu", 1);
    script.pod("a", "gpu, missing");
    quiet(&script);
    script.pod("b", "gpu");
    restless(&script, "it waits");
}

#[test]
fn what_keeps_a_pod_waiting_is_no_fault() {
    for (key, value) in [
        ("sluice.dev/attempt", "timed-out"),
        ("sluice.dev/slots", "gpu=2"),
        ("sluice.dev/slots", "GPU"),
    ] {
        let mut script = Script::new();
        script.limit("gpu", 1);
        script.pod("a", "gpu");
        script.annotate(&pod("a"), key, value);
        quiet(&script);
    }
    let mut script = Script::new();
    script.limit("gpu", 1);
    script.pod("a", "gpu");
    script.set_mode("gpu", "Paused");
    quiet(&script);
}

#[test]
fn locks_are_judged_by_their_modes() {
    let mut script = Script::new();
    script.lock("db");
    script.pod_with("a", &[("sluice.dev/locks", "db:shared")], |_| {});
    script.lease(&lock("db"), "a", crate::history::request::Amount::Shared);
    script.reveal("a", &[lock("db")]);
    script.pod_with("b", &[("sluice.dev/locks", "db")], |_| {});
    script.pod_with("c", &[("sluice.dev/locks", "db:shared")], |_| {});
    quiet(&script);
    script.delete(&pod("b"));
    restless(&script, "there is room in lock ns/db");
}

#[test]
fn a_request_larger_than_the_limit_is_nobodys_reason_to_wait() {
    let mut script = Script::new();
    script.limit("gpu", 1);
    script.pod("huge", "gpu=9");
    script.pod("a", "gpu");
    restless(&script, "it waits");
}

#[test]
fn a_worker_without_a_limit_is_owed_one() {
    let mut script = Script::new();
    script.create(
        limit("gpu"),
        json!({"spec": {"slots": 1, "perWorker": {"maxWorkers": 1}}}),
    );
    script.pod("a", "gpu:w1");
    restless(&script, "there is room in limit ns/gpu--w1");
    script.limit("gpu--w0", 1);
    quiet(&script);
}

#[test]
fn a_grant_that_was_never_told_is_owed() {
    let mut script = Script::new();
    script.limit("gpu", 1);
    script.pod("a", "gpu");
    script.lease(&limit("gpu"), "a", ONE);
    restless(&script, "it waits");
}
