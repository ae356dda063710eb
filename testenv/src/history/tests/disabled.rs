//! Reveals past a limit that is Disabled: their record names it with token 0, and no lease says so.

use serde_json::{Value, json};

use super::{right, wrong};
use crate::history::builder::{Script, limit};
use crate::history::request::Amount;
use crate::history::violation::Invariant;

/// A Disabled limit that lets through, and the record of whom it lets through.
fn opened() -> (Script, Value) {
    let mut script = Script::new();
    script.limit("gpu", 1);
    let uid = script.uid(&limit("gpu"));
    let record = json!({"attempt": 0, "leases": [
        {"kind": "ConcurrencyLimit", "namespace": "ns", "key": "gpu", "uid": uid, "slots": 1, "token": 0},
    ]});
    script.set_mode("gpu", "Disabled");
    script.status(&limit("gpu"), |status| {
        status["open"] = json!(true);
        status["fenced"] = json!(false);
    });
    (script, record)
}

#[test]
fn a_reveal_that_names_a_disabled_limit_lands_before_the_fence_is_over() {
    let (mut script, record) = opened();
    for name in ["a", "b"] {
        script.pod(name, "gpu");
    }
    script.reveal_with("a", &record);
    script.set_mode("gpu", "Active");
    script.floor(&limit("gpu"));
    script.reveal_with("b", &record);
    script.adopt(&limit("gpu"), "adopted", &["a", "b"]);
    right(&script);
}

#[test]
fn a_lease_from_before_is_revealed_beside_whom_a_disabled_limit_let_through() {
    let mut script = Script::new();
    script.limit("gpu", 1);
    let gpu = limit("gpu");
    for name in ["a", "b"] {
        script.pod(name, "gpu");
    }
    script.lease(&gpu, "b", Amount::Slots(1));
    let with_lease = script.record("b", std::slice::from_ref(&gpu));
    let uid = script.uid(&gpu);
    let let_through = json!({"attempt": 0, "leases": [
        {"kind": "ConcurrencyLimit", "namespace": "ns", "key": "gpu", "uid": uid, "slots": 1, "token": 0},
    ]});
    script.set_mode("gpu", "Disabled");
    script.status(&gpu, |status| {
        status["open"] = json!(true);
        status["fenced"] = json!(false);
    });
    script.reveal_with("a", &let_through);
    script.reveal_with("b", &with_lease);
    right(&script);
}

#[test]
fn revealed_past_a_limit_that_was_disabled_and_has_fenced() {
    let (mut script, record) = opened();
    script.pod("a", "gpu");
    script.set_mode("gpu", "Active");
    script.adopt(&limit("gpu"), "leases", &[]);
    script.reveal_with("a", &record);
    wrong(&script, Invariant::Reveal, "no lease says so");
}
