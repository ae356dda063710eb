//! Ends that are not quiet because of claims: invariant 10.

use serde_json::json;

use super::told;
use crate::history::assumptions::Assumptions;
use crate::history::builder::{ONE, START_SECONDS, Script, claim, limit};
use crate::history::builder_claims::LEASE_SECONDS;
use crate::history::quiescence::check_quiescent;
use crate::history::violation::Invariant;

/// What is wrong so many seconds after the start.
fn found(script: &Script, seconds: i64) -> Vec<String> {
    let history = script.history().read_at(START_SECONDS + seconds);
    let assumptions = Assumptions::none().ended_claims_kept(60);
    let found = check_quiescent(&history, &assumptions);
    let quiescence =
        |it: &crate::history::violation::Violation| it.invariant == Invariant::Quiescence;
    assert!(found.iter().all(quiescence), "{}", told(&found));
    found.iter().map(|it| it.message.clone()).collect()
}

#[track_caller]
fn quiet(script: &Script, seconds: i64) {
    assert_eq!(found(script, seconds), Vec::<String>::new());
}

#[track_caller]
fn restless(script: &Script, seconds: i64, reason: &str) {
    let found = found(script, seconds);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].contains(reason), "{found:?}");
}

/// `a` holds the only slot, `b` waits.
fn full() -> Script {
    let mut script = Script::new();
    script.at(1);
    script.limit("gpu", 1);
    script.claim_holder("a", "gpu");
    script.claim("b", "gpu");
    script
}

#[test]
fn a_full_limit_with_a_queue_is_quiet() {
    quiet(&full(), 5);
}

#[test]
fn a_lease_of_a_claim_that_is_gone_is_left() {
    let mut script = full();
    script.delete(&claim("a"));
    restless(&script, 5, "which is gone or was revoked");
    let mut script = full();
    script.at(30);
    script.revoke("a", "Expired");
    restless(&script, 31, "which is gone or was revoked");
}

#[test]
fn a_released_claim_is_left() {
    let mut script = full();
    script.give_back("a");
    let found = found(&script, 5);
    assert_eq!(found.len(), 2, "{found:?}");
    script.status(&limit("gpu"), |status| status["leases"] = json!([]));
    script.lease(&limit("gpu"), "b", ONE);
    script.grant("b", &[limit("gpu")]);
    restless(&script, 5, "neither gone nor Released");
    script.claim_status("a", |status| status["phase"] = json!("Released"));
    quiet(&script, 5);
}

#[test]
fn a_lease_of_an_attempt_that_was_given_up_is_left() {
    let mut script = Script::new();
    script.at(1);
    script.limit("gpu", 2);
    script.claim_with(
        "a",
        json!({"slots": [{"limit": "gpu", "slots": 3}], "ifMissing": "Wait"}),
    );
    script.lease(&limit("gpu"), "a", ONE);
    script.bump_claim("a");
    restless(&script, 5, "gave that attempt up");
}

#[test]
fn a_claim_that_holds_is_not_counted() {
    let mut script = full();
    script.status(&limit("gpu"), |status| status["leases"] = json!([]));
    script.delete(&claim("b"));
    restless(&script, 5, "does not count");
}

#[test]
fn a_claim_waits_for_what_is_free() {
    let mut script = Script::new();
    script.at(1);
    script.limit("gpu", 1);
    script.claim("b", "gpu");
    script.pod("c", "gpu");
    restless(&script, 5, "it waits, is next, and there is room");
    // One whose limit is missing, too small or not for it waits for something else.
    let mut script = Script::new();
    script.limit("gpu", 1);
    script.claim_with("a", json!({"slots": [{"limit": "none"}]}));
    script.claim_with("b", json!({"slots": [{"limit": "gpu", "slots": 2}]}));
    quiet(&script, 5);
}

#[test]
fn nobody_takes_away_what_ran_out() {
    let mut script = full();
    script.at(10);
    script.renew("a", 1);
    quiet(&script, 10 + LEASE_SECONDS);
    restless(&script, 10 + LEASE_SECONDS + 12, "is Granted still");
}

#[test]
fn an_ended_claim_is_kept_too_long() {
    let mut script = Script::new();
    script.at(1);
    script.claim("a", "gpu");
    script.claim_status("a", |status| status["phase"] = json!("Denied"));
    quiet(&script, 60);
    restless(&script, 72, "is kept still");
}
