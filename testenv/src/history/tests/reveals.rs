//! Wrong reveals: invariants 3 and 6.

use serde_json::{Value, json};

use super::{wrong, wrong_too};
use crate::history::assumptions::Assumptions;
use crate::history::builder::{ONE, Script, limit, pod, set};
use crate::history::checker::check;
use crate::history::violation::Invariant;

/// A limit, and a pod that has its lease and is still gated.
fn leased(asks: &str) -> Script {
    let mut script = Script::new();
    script.limit("gpu", 2);
    script.limit("db", 2);
    script.pod("a", asks);
    script.lease(&limit("gpu"), "a", ONE);
    script
}

#[test]
fn revealed_before_its_lease_is_durable() {
    let mut script = leased("gpu");
    let mut record = script.record("a", &[limit("gpu")]);
    record["leases"][0]["token"] = json!(999);
    script.reveal_with("a", &record);
    wrong(&script, Invariant::Reveal, "no lease says so");
}

#[test]
fn revealed_with_half_of_what_it_asks_for() {
    let mut script = leased("gpu, db");
    script.reveal("a", &[limit("gpu")]);
    wrong(
        &script,
        Invariant::Reveal,
        "asks for 1 slot of limit ns/db, and its record has no lease there",
    );
}

#[test]
fn revealed_with_less_than_it_asks_for() {
    let mut script = leased("gpu=2");
    script.reveal("a", &[limit("gpu")]);
    wrong(
        &script,
        Invariant::Reveal,
        "asks for 2 slots of limit ns/gpu and was given 1 slot",
    );
}

#[test]
fn revealed_after_its_request_was_edited() {
    let mut script = leased("gpu");
    script.annotate(&pod("a"), "sluice.dev/slots", "db");
    script.reveal("a", &[limit("gpu")]);
    wrong(&script, Invariant::Reveal, "which it never asked for");
}

#[test]
fn revealed_by_an_attempt_that_was_given_up() {
    let mut script = leased("gpu");
    let record = script.record("a", &[limit("gpu")]);
    script.bump("a");
    script.reveal_with("a", &record);
    wrong(&script, Invariant::Reveal, "is not its attempt");
}

#[test]
fn revealed_by_a_lease_of_an_attempt_that_was_given_up() {
    let mut script = leased("gpu");
    script.bump("a");
    script.reveal("a", &[limit("gpu")]);
    wrong(&script, Invariant::Reveal, "no lease says so");
}

#[test]
fn revealed_after_the_fence_of_the_next_incarnation() {
    let mut script = leased("gpu");
    let record = script.record("a", &[limit("gpu")]);
    script.delete(&limit("gpu"));
    script.limit("gpu", 2);
    script.reveal_with("a", &record);
    wrong(
        &script,
        Invariant::Reveal,
        "the present one had fenced it off",
    );
}

#[test]
fn revealed_while_a_limit_is_missing() {
    let mut script = leased("gpu, licence");
    script.reveal("a", &[limit("gpu")]);
    wrong(&script, Invariant::Reveal, "limit ns/licence");
}

#[test]
fn revealed_past_a_disabled_limit_that_says_nothing() {
    let mut script = leased("gpu, db");
    script.set_mode("db", "Disabled");
    script.reveal("a", &[limit("gpu")]);
    wrong(&script, Invariant::Reveal, "limit ns/db");
}

#[test]
fn revealed_without_a_worker() {
    let mut script = leased("gpu");
    script.edit(&limit("gpu"), |object| {
        object["spec"]["perWorker"] = json!({})
    });
    script.reveal("a", &[limit("gpu")]);
    wrong(
        &script,
        Invariant::Reveal,
        "which worker of family limit ns/gpu",
    );
}

#[test]
fn revealed_without_a_record() {
    let mut script = leased("gpu");
    script.open_gate("a");
    wrong(&script, Invariant::Reveal, "without a record");
    let by_hand = Assumptions::none().written_by_hand(script.revision);
    assert_eq!(check(&script.history(), &by_hand), []);
    let all = Assumptions::none().gates_opened_from(script.revision);
    assert_eq!(check(&script.history(), &all), []);
    let later = Assumptions::none().gates_opened_from(script.revision + 1);
    assert_eq!(check(&script.history(), &later).len(), 1);
}

#[test]
fn created_as_if_it_had_been_revealed() {
    let mut script = Script::new();
    script.limit("gpu", 1);
    let record = json!({"attempt": 0, "leases": [{
        "kind": "ConcurrencyLimit", "namespace": "ns", "key": "gpu", "uid": script.uid(&limit("gpu")),
        "slots": 1, "token": 5,
    }]});
    script.pod_with("a", &[("sluice.dev/slots", "gpu")], |object: &mut Value| {
        object["spec"]["schedulingGates"] = json!([]);
        set(object, "sluice.dev/granted", &record.to_string());
    });
    wrong(&script, Invariant::Reveal, "no lease says so");
}

#[test]
fn a_limit_that_was_not_recorded() {
    let mut script = Script::new();
    script.pod("a", "other/gpu");
    let record = json!({"attempt": 0, "leases": [{
        "kind": "ConcurrencyLimit", "namespace": "other", "key": "gpu", "uid": "u", "slots": 1, "token": 5,
    }]});
    script.reveal_with("a", &record);
    wrong(&script, Invariant::Reveal, "does not cover namespace other");
}

#[test]
fn a_record_is_changed() {
    let mut script = leased("gpu");
    script.reveal("a", &[limit("gpu")]);
    script.annotate(
        &pod("a"),
        "sluice.dev/granted",
        "{\"attempt\": 0, \"leases\": []}",
    );
    wrong(&script, Invariant::RevealOnce, "its record was changed");
}

#[test]
fn a_record_is_written_while_the_gate_stays() {
    let mut script = leased("gpu");
    let record = script.record("a", &[limit("gpu")]);
    script.annotate(&pod("a"), "sluice.dev/granted", &record.to_string());
    wrong(&script, Invariant::RevealOnce, "while its gate stays");
}

#[test]
fn a_gate_is_removed_twice() {
    let mut script = leased("gpu");
    script.reveal("a", &[limit("gpu")]);
    script.edit(&pod("a"), |object| {
        object["spec"]["schedulingGates"] = json!([{"name": "sluice.dev/slots"}]);
    });
    script.open_gate("a");
    wrong_too(&script, Invariant::RevealOnce, "a second time");
}

#[test]
fn an_exception_is_for_one_invariant_of_one_object() {
    let mut script = leased("gpu=2");
    script.reveal("a", &[limit("gpu")]);
    let except = |invariant, object| {
        let assumptions = Assumptions::none().except(invariant, object);
        check(&script.history(), &assumptions).len()
    };
    assert_eq!(except(Invariant::Reveal, pod("a")), 0);
    assert_eq!(except(Invariant::Reveal, pod("b")), 1);
    assert_eq!(except(Invariant::RevealOnce, pod("a")), 1);
}

#[test]
fn revealed_past_a_limit_that_is_not_missing_any_more() {
    let mut script = Script::new();
    let asks = [
        ("sluice.dev/slots", "gpu"),
        ("sluice.dev/if-missing", "Ignore"),
    ];
    script.pod_with("a", &asks, |_| {});
    script.limit("gpu", 1);
    script.reveal_with("a", &json!({"attempt": 0, "leases": []}));
    wrong(&script, Invariant::Reveal, "its record has no lease there");
}

#[test]
fn revealed_by_a_foreign_object_of_a_workers_name() {
    let mut script = Script::new();
    script.create(limit("gpu"), json!({"spec": {"slots": 1, "perWorker": {}}}));
    script.limit("gpu--w1", 1);
    script.pod_with("a", &[("sluice.dev/slots", "gpu")], |object| {
        object["metadata"]["labels"] = json!({"sluice.dev/worker": "w1"});
    });
    script.lease(&limit("gpu--w1"), "a", ONE);
    script.reveal("a", &[limit("gpu--w1")]);
    wrong(
        &script,
        Invariant::Reveal,
        "limit ns/gpu--w1 is none of family limit ns/gpu",
    );
}
