//! Wrong tokens, attempts and fences: invariants 5 and 8.

use serde_json::json;

use super::{wrong, wrong_too};
use crate::history::builder::{ONE, Script, add_lease, limit, pod};
use crate::history::violation::Invariant;

#[test]
fn a_token_is_given_again() {
    let mut script = Script::new();
    script.limit("gpu", 2);
    script.holder("a", "gpu");
    script.pod("b", "gpu");
    let mut lease = script.new_lease("b", ONE);
    lease["token"] = script.recorded(&limit("gpu"), "a")["token"].clone();
    script.status(&limit("gpu"), |status| add_lease(status, lease));
    wrong(&script, Invariant::Token, "was issued before");
}

#[test]
fn two_of_one_write_share_a_token() {
    let mut script = Script::new();
    script.limit("gpu", 2);
    script.pod("a", "gpu");
    script.pod("b", "gpu");
    let a = script.new_lease("a", ONE);
    let mut b = script.new_lease("b", ONE);
    b["token"] = a["token"].clone();
    script.status(&limit("gpu"), |status| {
        add_lease(status, a);
        add_lease(status, b);
    });
    wrong(&script, Invariant::Token, "together with another holder");
}

#[test]
fn tokens_go_back_over_a_recreation() {
    let mut script = Script::new();
    script.limit("gpu", 1);
    script.holder("a", "gpu");
    script.delete(&pod("a"));
    script.delete(&limit("gpu"));
    script.limit("gpu", 1);
    script.pod("b", "gpu");
    let mut lease = script.new_lease("b", ONE);
    lease["token"] = json!(7);
    script.status(&limit("gpu"), |status| add_lease(status, lease));
    wrong(&script, Invariant::Token, "was given token 7");
}

#[test]
fn a_waiting_pod_is_given_token_zero() {
    let mut script = Script::new();
    script.limit("gpu", 1);
    script.pod("a", "gpu");
    let mut lease = script.new_lease("a", ONE);
    lease["token"] = json!(0);
    script.status(&limit("gpu"), |status| add_lease(status, lease));
    wrong(&script, Invariant::Token, "was given token 0");
}

#[test]
fn last_token_goes_back() {
    let mut script = Script::new();
    script.limit("gpu", 1);
    script.status(&limit("gpu"), |status| status["lastToken"] = json!(1));
    wrong(
        &script,
        Invariant::Token,
        "lastToken went back from 100 to 1",
    );
}

#[test]
fn a_token_above_last_token() {
    let mut script = Script::new();
    script.limit("gpu", 1);
    script.pod("a", "gpu");
    let lease = script.new_lease("a", ONE);
    script.status(&limit("gpu"), |status| status["leases"] = json!([lease]));
    wrong(&script, Invariant::Token, "is above lastToken 100");
}

#[test]
fn an_attempt_goes_back() {
    let mut script = Script::new();
    script.pod("a", "gpu");
    script.bump("a");
    script.edit(&pod("a"), |object| {
        object["metadata"]["annotations"] = json!({"sluice.dev/slots": "gpu"});
    });
    wrong(
        &script,
        Invariant::Fence,
        "attempt 1 went back to attempt 0",
    );
}

#[test]
fn an_attempt_after_timed_out() {
    let mut script = Script::new();
    script.pod("a", "gpu");
    script.annotate(&pod("a"), "sluice.dev/attempt", "timed-out");
    script.annotate(&pod("a"), "sluice.dev/attempt", "9");
    wrong(&script, Invariant::Fence, "went back");
}

#[test]
fn a_new_incarnation_grants_before_its_fence() {
    let mut script = Script::new();
    script.create(limit("gpu"), json!({"spec": {"slots": 1}}));
    script.floor(&limit("gpu"));
    script.pod("a", "gpu");
    script.lease(&limit("gpu"), "a", ONE);
    wrong(&script, Invariant::Fence, "had not yet fenced");
}

#[test]
fn a_grant_in_the_write_that_ends_the_fence() {
    let mut script = Script::new();
    script.create(limit("gpu"), json!({"spec": {"slots": 1}}));
    script.floor(&limit("gpu"));
    script.pod("a", "gpu");
    let lease = script.new_lease("a", ONE);
    script.status(&limit("gpu"), |status| {
        status["fenced"] = json!(true);
        add_lease(status, lease);
    });
    wrong_too(&script, Invariant::Fence, "had not yet fenced");
}
