//! Lost leases and too many running pods: invariants 4 and 7.

use serde_json::json;

use super::{wrong, wrong_too};
use crate::history::builder::{ONE, Script, drop_entry, entry, limit, lock, node, pod};
use crate::history::request::Amount;
use crate::history::violation::Invariant;

fn one_holder(policy: &str) -> Script {
    let mut script = Script::new();
    script.create(
        limit("gpu"),
        json!({"spec": {"slots": 1, "releasePolicy": policy}}),
    );
    script.fence(&limit("gpu"));
    script.holder("a", "gpu");
    script
}

#[test]
fn a_running_pods_lease_goes() {
    let mut script = one_holder("Presumed");
    script.run("a");
    script.release(&limit("gpu"), "a");
    wrong(&script, Invariant::Release, "went while it lives");
}

#[test]
fn a_revealed_pods_lease_goes_before_it_is_bound() {
    let mut script = one_holder("Presumed");
    script.release(&limit("gpu"), "a");
    wrong(&script, Invariant::Release, "went while it lives");
}

#[test]
fn deletion_that_was_only_asked_for_is_no_end() {
    let mut script = one_holder("Presumed");
    script.run("a");
    script.edit(&pod("a"), |object| {
        object["metadata"]["deletionTimestamp"] = json!("2026-11-21T10:00:00Z");
    });
    script.release(&limit("gpu"), "a");
    wrong(&script, Invariant::Release, "went while it lives");
}

#[test]
fn a_confirmed_limit_frees_without_proof() {
    let mut failed = one_holder("Confirmed");
    failed.run("a");
    failed.fail_unproven("a");
    failed.release(&limit("gpu"), "a");
    wrong(&failed, Invariant::Release, "its end Presumed");

    let mut forced = one_holder("Confirmed");
    forced.run("a");
    forced.delete(&pod("a"));
    forced.release(&limit("gpu"), "a");
    wrong(&forced, Invariant::Release, "object gone");

    let mut node_only = one_holder("Confirmed");
    node_only.run("a");
    node_only.delete(&node("node-1"));
    node_only.release(&limit("gpu"), "a");
    wrong(&node_only, Invariant::Release, "its end Live");
}

#[test]
fn a_lease_becomes_another() {
    let mut script = one_holder("Presumed");
    script.status(&limit("gpu"), |status| {
        entry(status, "leases", "a")["attempt"] = json!(3)
    });
    wrong(&script, Invariant::Release, "which its record does not say");
}

#[test]
fn a_lease_goes_before_the_attempt_was_raised() {
    let mut script = Script::new();
    script.limit("gpu", 1);
    script.pod("a", "gpu");
    script.lease(&limit("gpu"), "a", ONE);
    script.release(&limit("gpu"), "a");
    wrong(&script, Invariant::Release, "may still be revealed");
}

#[test]
fn a_new_incarnation_forgets_a_holder() {
    let mut script = one_holder("Presumed");
    script.run("a");
    script.delete(&limit("gpu"));
    script.limit("gpu", 1);
    wrong(&script, Invariant::Release, "the fence ended without pod a");
}

#[test]
fn a_holder_of_a_namespace_that_was_not_recorded() {
    let mut script = Script::new();
    script.limit("gpu", 1);
    script.pod("a", "gpu");
    let mut lease = script.new_lease("a", ONE);
    lease["uid"] = json!("elsewhere");
    lease["namespace"] = json!("other");
    script.status(&limit("gpu"), |status| {
        crate::history::builder::add_lease(status, lease)
    });
    script.status(&limit("gpu"), |status| drop_entry(status, "a"));
    wrong(
        &script,
        Invariant::Release,
        "does not cover namespace other",
    );
}

#[test]
fn two_pods_run_on_one_slot() {
    let mut script = one_holder("Presumed");
    script.run("a");
    script.release(&limit("gpu"), "a");
    script.holder("b", "gpu");
    wrong_too(
        &script,
        Invariant::Physical,
        "pods with 2 slots of limit ns/gpu run, and it has 1: a, b",
    );
}

#[test]
fn a_new_incarnation_lets_a_second_pod_run() {
    let mut script = one_holder("Presumed");
    script.run("a");
    script.delete(&limit("gpu"));
    script.limit("gpu", 1);
    script.holder("b", "gpu");
    wrong_too(&script, Invariant::Physical, "and it has 1: a, b");
}

#[test]
fn an_exclusive_holder_is_not_alone() {
    let mut script = Script::new();
    script.lock("db");
    for name in ["a", "b"] {
        script.pod_with(name, &[("sluice.dev/locks", "db")], |_| {});
        script.lease(&lock("db"), name, Amount::Exclusive);
        script.reveal(name, &[lock("db")]);
        if name == "a" {
            script.release(&lock("db"), name);
        }
    }
    wrong_too(&script, Invariant::Physical, "excludes the others: a, b");
}
