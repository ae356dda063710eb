//! Wrong lives of claims: phases, attempts, renewals and revokes.

use serde_json::json;

use super::claims::held;
use super::{right, wrong};
use crate::history::builder::{ONE, Script, claim, limit};
use crate::history::builder_claims::LEASE_SECONDS;
use crate::history::violation::Invariant;

#[test]
fn final_phases_are_final() {
    let mut script = held();
    script.at(40);
    script.revoke("a", "Expired");
    script.claim_status("a", |status| status["phase"] = json!("Pending"));
    wrong(&script, Invariant::ClaimLife, "Revoked became Pending");
    let mut script = held();
    script.claim_status("a", |status| status["phase"] = json!("TimedOut"));
    wrong(&script, Invariant::ClaimLife, "Granted became TimedOut");
}

#[test]
fn nobody_else_says_that_it_was_released() {
    let mut script = held();
    script.claim_status("a", |status| status["phase"] = json!("Released"));
    wrong(&script, Invariant::ClaimLife, "nobody released it");
}

#[test]
fn what_was_told_is_not_told_otherwise() {
    let mut script = held();
    script.claim_status("a", |status| status["leaseDurationSeconds"] = json!(15));
    wrong(
        &script,
        Invariant::RevealOnce,
        "what it was told was changed",
    );
}

#[test]
fn attempt_seq_release_and_wishes_never_go_back() {
    let mut attempt = Script::new();
    attempt.claim("a", "gpu");
    attempt.bump_claim("a");
    attempt.claim_status("a", |status| status["attempt"] = json!(0));
    wrong(&attempt, Invariant::Fence, "went back to attempt 0");
    let mut seq = held();
    seq.renew("a", 5);
    seq.renew("a", 4);
    wrong(&seq, Invariant::ClaimLife, "seq went back from 5 to 4");
    let mut release = held();
    release.give_back("a");
    release.edit(&claim("a"), |object| {
        object["spec"]["release"] = json!(false)
    });
    wrong(&release, Invariant::ClaimLife, "taken back");
    let mut wish = held();
    wish.edit(&claim("a"), |object| {
        object["spec"]["slots"][0]["slots"] = json!(2)
    });
    wrong(&wish, Invariant::ClaimLife, "what it asks for was changed");
}

#[test]
fn a_claim_is_revoked_although_it_was_renewed() {
    let mut script = held();
    script.at(15);
    script.renew("a", 1);
    script.at(1 + LEASE_SECONDS + 1);
    script.revoke("a", "Expired");
    wrong(
        &script,
        Invariant::ClaimLife,
        "after its last renewal, seq 1",
    );
}

#[test]
fn a_claim_is_revoked_before_its_lease_is_over() {
    let mut script = held();
    script.at(1 + LEASE_SECONDS - 1);
    script.revoke("a", "Expired");
    wrong(&script, Invariant::ClaimLife, "its lease lasts 21000 ms");
}

#[test]
fn only_who_waited_long_and_never_renewed_lapses() {
    let lapsed = |waited: i64, renews: bool| {
        let mut script = Script::new();
        script.at(1);
        script.limit("gpu", 1);
        script.claim("a", "gpu");
        script.at(1 + waited);
        script.lease(&limit("gpu"), "a", ONE);
        script.grant("a", &[limit("gpu")]);
        if renews {
            script.renew("a", 1);
        }
        script.at(1 + waited + 16);
        script.revoke("a", "Expired");
        script
    };
    right(&lapsed(LEASE_SECONDS, false));
    let reason = "its lease lasts 21000 ms";
    wrong(
        &lapsed(LEASE_SECONDS / 2 - 2, false),
        Invariant::ClaimLife,
        reason,
    );
    wrong(&lapsed(LEASE_SECONDS, true), Invariant::ClaimLife, reason);
}

#[test]
fn a_grant_lapses_too_soon() {
    let mut script = Script::new();
    script.at(1);
    script.limit("gpu", 1);
    script.claim("a", "gpu");
    script.at(20);
    script.lease(&limit("gpu"), "a", ONE);
    script.grant("a", &[limit("gpu")]);
    script.at(33);
    script.revoke("a", "Expired");
    wrong(&script, Invariant::ClaimLife, "its lease lasts 15000 ms");
}

#[test]
fn who_follows_a_pod_does_not_expire() {
    let mut script = Script::new();
    script.at(1);
    script.limit("gpu", 1);
    let spec = json!({"slots": [{"limit": "gpu"}], "podRef": {"name": "p", "uid": "u"}});
    script.claim_with("a", spec);
    script.lease(&limit("gpu"), "a", ONE);
    script.grant("a", &[limit("gpu")]);
    script.at(500);
    script.revoke("a", "Expired");
    wrong(&script, Invariant::ClaimLife, "lives as long as a pod");
}
