//! Claims: right lives, and wrong leases and grants, at least one for each rule that counts them.

use serde_json::json;

use super::{right, wrong, wrong_too};
use crate::history::builder::{ONE, Script, add_lease, claim, entry, limit, lock};
use crate::history::builder_claims::{LEASE_SECONDS, LINGER_SECONDS, LOCK_DELAY_SECONDS};
use crate::history::request::Amount;
use crate::history::violation::Invariant;

/// One limit of one slot, held by claim `a`.
pub(super) fn held() -> Script {
    let mut script = Script::new();
    script.at(1);
    script.limit("gpu", 1);
    script.claim_holder("a", "gpu");
    script
}

#[test]
fn a_claim_is_granted_renewed_released_and_deleted() {
    let mut script = held();
    script.at(30);
    script.renew("a", 1);
    script.give_back("a");
    script.release(&limit("gpu"), "a");
    script.delete(&claim("a"));
    script.holder("p", "gpu");
    right(&script);
}

#[test]
fn a_released_claim_may_be_kept_as_such() {
    let mut script = held();
    script.give_back("a");
    script.release(&limit("gpu"), "a");
    script.claim_status("a", |status| status["phase"] = json!("Released"));
    right(&script);
}

#[test]
fn a_lease_that_ran_out_goes_after_the_lock_delay() {
    let mut script = held();
    script.at(1 + LEASE_SECONDS + 1);
    script.revoke("a", "Expired");
    script.at(1 + LEASE_SECONDS + 1 + LOCK_DELAY_SECONDS);
    script.release(&limit("gpu"), "a");
    script.claim_holder("b", "gpu");
    right(&script);
}

#[test]
fn a_grant_that_nobody_confirms_lapses() {
    let mut script = Script::new();
    script.at(1);
    script.limit("gpu", 1);
    script.claim("a", "gpu");
    script.at(20);
    script.lease(&limit("gpu"), "a", ONE);
    script.grant("a", &[limit("gpu")]);
    script.at(35);
    script.revoke("a", "Expired");
    right(&script);
}

#[test]
fn a_claim_that_vanished_or_was_revoked_by_force_lingers() {
    let mut gone = held();
    gone.at(5);
    gone.renew("a", 1);
    gone.delete(&claim("a"));
    gone.at(5 + LINGER_SECONDS);
    gone.release(&limit("gpu"), "a");
    right(&gone);
    let mut forced = held();
    forced.at(5);
    forced.revoke("a", "MaxHold");
    let mut heard = Script::clone(&forced);
    heard.give_back("a");
    heard.release(&limit("gpu"), "a");
    right(&heard);
    forced.at(5 + LINGER_SECONDS);
    forced.release(&limit("gpu"), "a");
    right(&forced);
}

#[test]
fn an_operators_word_frees_after_the_revoke() {
    let mut script = held();
    let uid = script.uid(&claim("a"));
    script.annotate(&limit("gpu"), "sluice.dev/release", &uid);
    script.revoke("a", "ReleasedByOperator");
    script.release(&limit("gpu"), "a");
    script.claim_holder("b", "gpu");
    right(&script);
}

#[test]
fn claims_that_wait_give_up_their_attempts_first() {
    let mut script = Script::new();
    script.limit("gpu", 1);
    script.claim("a", "gpu");
    script.lease(&limit("gpu"), "a", ONE);
    script.bump_claim("a");
    script.release(&limit("gpu"), "a");
    script.claim_status("a", |status| {
        status["phase"] = json!("TimedOut");
        status["attempt"] = json!(1_u64 << 32);
    });
    // One that is deleted before it was told anything.
    script.claim("b", "gpu");
    script.lease(&limit("gpu"), "b", ONE);
    script.delete(&claim("b"));
    script.release(&limit("gpu"), "b");
    right(&script);
}

#[test]
fn a_new_incarnation_counts_claims() {
    let mut script = held();
    let a = script.object(&limit("gpu"))["status"]["leases"][0].clone();
    script.delete(&limit("gpu"));
    script.create(limit("gpu"), json!({"spec": {"slots": 1}}));
    script.floor(&limit("gpu"));
    script.status(&limit("gpu"), |status| {
        status["leases"] = json!([a]);
        status["fenced"] = json!(true);
    });
    right(&script);
}

#[test]
fn families_and_locks() {
    let mut script = Script::new();
    script.create(limit("gpu"), json!({"spec": {"slots": 1, "perWorker": {}}}));
    script.limit("gpu--w1", 1);
    script.lock("db");
    let spec = json!({"slots": [{"limit": "gpu", "worker": "w1"}], "locks": [{"lock": "db", "mode": "Shared"}]});
    script.claim_with("a", spec);
    script.lease(&limit("gpu--w1"), "a", ONE);
    script.lease(&lock("db"), "a", Amount::Shared);
    script.grant("a", &[limit("gpu--w1"), lock("db")]);
    right(&script);
}

// --- 1, 2 and 5: leases of claims count, once, with tokens of their own

#[test]
fn a_claim_beside_a_pod_is_too_many() {
    let mut script = Script::new();
    script.limit("gpu", 1);
    script.holder("p", "gpu");
    script.claim("a", "gpu");
    script.lease(&limit("gpu"), "a", ONE);
    wrong(&script, Invariant::Capacity, "more than 1");
}

#[test]
fn a_claim_stands_in_a_limit_twice() {
    let mut script = Script::new();
    script.limit("gpu", 2);
    script.claim("a", "gpu");
    script.lease(&limit("gpu"), "a", ONE);
    script.lease(&limit("gpu"), "a", ONE);
    wrong(&script, Invariant::OneLease, "twice");
}

#[test]
fn a_claim_is_given_an_old_token() {
    let mut script = Script::new();
    script.limit("gpu", 2);
    script.holder("p", "gpu");
    script.claim("a", "gpu");
    let mut lease = script.new_lease("a", ONE);
    lease["token"] = json!(100);
    script.status(&limit("gpu"), |status| add_lease(status, lease));
    wrong(&script, Invariant::Token, "given token 100");
}

#[test]
fn a_claim_is_given_a_lease_before_the_fence() {
    let mut script = Script::new();
    script.create(limit("gpu"), json!({"spec": {"slots": 1}}));
    script.floor(&limit("gpu"));
    script.claim("a", "gpu");
    script.lease(&limit("gpu"), "a", ONE);
    wrong(&script, Invariant::Fence, "not yet fenced");
}

// --- 3: all or nothing

#[test]
fn granted_with_a_part_of_what_it_asks_for() {
    let mut script = Script::new();
    script.limit("gpu", 1);
    script.limit("db", 1);
    script.claim_with("a", json!({"slots": [{"limit": "gpu"}, {"limit": "db"}]}));
    script.lease(&limit("gpu"), "a", ONE);
    script.grant("a", &[limit("gpu")]);
    wrong(&script, Invariant::Reveal, "asks for 1 slot of limit ns/db");
}

#[test]
fn granted_before_its_lease_is_durable() {
    let mut script = held();
    let grants = script.grants("a", &[limit("gpu")]);
    script.claim("b", "gpu");
    script.grant_with("b", grants);
    wrong_too(&script, Invariant::Reveal, "no lease says so");
}

#[test]
fn granted_with_a_lease_of_a_former_attempt() {
    let mut script = Script::new();
    script.limit("gpu", 1);
    script.claim("a", "gpu");
    script.lease(&limit("gpu"), "a", ONE);
    script.bump_claim("a");
    script.grant("a", &[limit("gpu")]);
    wrong(&script, Invariant::Reveal, "no lease says so");
}

#[test]
fn granted_less_than_it_asks_for() {
    let mut script = Script::new();
    script.limit("gpu", 2);
    script.claim_with("a", json!({"slots": [{"limit": "gpu", "slots": 2}]}));
    script.lease(&limit("gpu"), "a", ONE);
    script.grant("a", &[limit("gpu")]);
    wrong(&script, Invariant::Reveal, "was given 1 slot");
}

// --- 4: leases of claims stay

#[test]
fn a_lease_goes_while_its_claim_holds() {
    let mut script = held();
    script.release(&limit("gpu"), "a");
    wrong(&script, Invariant::Release, "neither released nor revoked");
}

#[test]
fn a_lease_goes_by_a_word_of_which_its_holder_was_not_told() {
    let mut script = held();
    let uid = script.uid(&claim("a"));
    script.annotate(&limit("gpu"), "sluice.dev/release", &uid);
    script.release(&limit("gpu"), "a");
    wrong(&script, Invariant::Release, "neither released nor revoked");
}

#[test]
fn a_lease_goes_before_the_lock_delay_is_over() {
    let mut script = held();
    script.at(1 + LEASE_SECONDS + 1);
    script.revoke("a", "Expired");
    script.at(1 + LEASE_SECONDS + 1 + LOCK_DELAY_SECONDS - 2);
    script.release(&limit("gpu"), "a");
    wrong(&script, Invariant::Release, "after its lease ran out");
}

#[test]
fn a_lease_goes_at_once_after_a_revoke_by_force() {
    let mut script = held();
    script.at(5);
    script.revoke("a", "MaxHold");
    script.at(5 + LINGER_SECONDS - 2);
    script.release(&limit("gpu"), "a");
    wrong(&script, Invariant::Release, "after it was revoked by force");
}

#[test]
fn a_lease_goes_with_its_claim() {
    let mut script = held();
    script.at(5);
    script.renew("a", 1);
    script.delete(&claim("a"));
    script.at(5 + LINGER_SECONDS - 2);
    script.release(&limit("gpu"), "a");
    wrong(&script, Invariant::Release, "after its object went");
}

#[test]
fn a_waiting_claims_lease_goes_before_its_attempt_was_raised() {
    let mut script = Script::new();
    script.limit("gpu", 1);
    script.claim("a", "gpu");
    script.lease(&limit("gpu"), "a", ONE);
    script.release(&limit("gpu"), "a");
    wrong(&script, Invariant::Release, "may still be granted");
}

#[test]
fn a_claims_lease_becomes_another() {
    let mut script = held();
    script.status(&limit("gpu"), |status| {
        entry(status, "leases", "a")["attempt"] = json!(3)
    });
    wrong(&script, Invariant::Release, "which its record does not say");
}

#[test]
fn a_new_incarnation_forgets_a_claim() {
    let mut script = held();
    script.delete(&limit("gpu"));
    script.limit("gpu", 1);
    wrong(
        &script,
        Invariant::Release,
        "the fence ended without claim a",
    );
}

// --- 7: who holds at once

#[test]
fn two_claims_hold_one_slot() {
    let mut script = held();
    script.release(&limit("gpu"), "a");
    script.claim_holder("b", "gpu");
    wrong_too(
        &script,
        Invariant::Physical,
        "2 slots of limit ns/gpu run, and it has 1: a, b",
    );
}

#[test]
fn an_exclusive_claim_is_not_alone() {
    let mut script = Script::new();
    script.lock("db");
    for name in ["a", "b"] {
        script.claim_with(name, json!({"locks": [{"lock": "db"}]}));
        script.lease(&lock("db"), name, Amount::Exclusive);
        script.grant(name, &[lock("db")]);
        if name == "a" {
            script.release(&lock("db"), name);
        }
    }
    wrong_too(&script, Invariant::Physical, "excludes the others: a, b");
}
