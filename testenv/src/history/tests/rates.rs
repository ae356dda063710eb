//! Limits with decay: right histories, and wrong ones under invariant 14, 3 and 4.

use serde_json::{Value, json};

use super::{right, wrong, wrong_too};
use crate::history::builder::{ONE, Script, add_lease, drop_entry, limit, pod};
use crate::history::violation::Invariant;

/// Parts of a slot, where a slot comes back each hour.
const HOUR: i64 = 3_600_000;

/// A limit of so many slots, one of which comes back each hour.
fn hourly(slots: i64) -> Script {
    let mut script = Script::new();
    script.at(1);
    script.limit("api", slots);
    decays(&mut script, json!({"slots": 1, "perSeconds": 3600}));
    script
}

fn decays(script: &mut Script, decay: Value) {
    script.edit(&limit("api"), |object| object["spec"]["decay"] = decay);
}

/// A pod that takes one for a rate.
fn asks(script: &mut Script, name: &str) {
    script.pod_with(name, &[("sluice.dev/rate-limits", "api")], |_| {});
}

fn take(script: &mut Script, name: &str) {
    let mut entry = script.new_lease(name, ONE);
    entry["rate"] = json!(true);
    script.status(&limit("api"), |status| add_lease(status, entry));
}

fn reveal(script: &mut Script, name: &str) {
    let attempt =
        script.object(&pod(name))["metadata"]["annotations"]["sluice.dev/attempt"].clone();
    let attempt = attempt
        .as_str()
        .map_or(0, |text| text.parse::<i64>().unwrap());
    script.reveal_with(name, &json!({"attempt": attempt, "leases": []}));
}

/// The entry goes; so much is used from then on.
fn settle(script: &mut Script, name: &str, units: i64) {
    script.status(&limit("api"), |status| {
        drop_entry(status, name);
        status["level"] = json!({"units": units, "unitsPerSlot": HOUR});
    });
}

fn takes(script: &mut Script, name: &str, units: i64) {
    asks(script, name);
    take(script, name);
    reveal(script, name);
    settle(script, name, units);
}

#[test]
fn a_burst_and_one_more_after_its_time() {
    let mut script = hourly(2);
    takes(&mut script, "a", HOUR);
    takes(&mut script, "b", 2 * HOUR);
    script.at(3_602);
    takes(&mut script, "c", 2 * HOUR);
    right(&script);
}

#[test]
fn one_too_many_in_an_hour() {
    let mut script = hourly(2);
    takes(&mut script, "a", HOUR);
    takes(&mut script, "b", 2 * HOUR);
    script.at(3_500);
    asks(&mut script, "c");
    take(&mut script, "c");
    wrong(
        &script,
        Invariant::Rate,
        "2 of those used before have not come back",
    );
}

#[test]
fn a_level_that_is_forgotten_gives_a_second_burst() {
    let mut script = hourly(2);
    takes(&mut script, "a", HOUR);
    takes(&mut script, "b", 2 * HOUR);
    script.status(&limit("api"), |status| status["level"] = Value::Null);
    asks(&mut script, "c");
    take(&mut script, "c");
    wrong(&script, Invariant::Rate, "have not come back");
}

#[test]
fn slots_that_were_held_are_used_once_and_after_their_release() {
    let mut script = hourly(2);
    script.holder("a", "api");
    script.run("a");
    script.finish("a");
    settle(&mut script, "a", HOUR);
    right(&script);
    settle(&mut script, "a", 2 * HOUR);
    wrong(&script, Invariant::Rate, "its level rises");
}

#[test]
fn what_was_aborted_was_not_used() {
    let mut script = hourly(2);
    asks(&mut script, "a");
    take(&mut script, "a");
    script.bump("a");
    script.release(&limit("api"), "a");
    right(&script);
    let mut script = hourly(2);
    asks(&mut script, "a");
    take(&mut script, "a");
    script.bump("a");
    settle(&mut script, "a", HOUR);
    wrong(&script, Invariant::Rate, "its level rises");
}

#[test]
fn what_nobody_can_tell_any_more_counts_as_used() {
    let mut script = hourly(2);
    asks(&mut script, "a");
    take(&mut script, "a");
    script.bump("a");
    script.delete(&pod("a"));
    settle(&mut script, "a", HOUR);
    right(&script);
}

#[test]
fn a_take_that_goes_before_its_reveal() {
    let mut script = hourly(2);
    asks(&mut script, "a");
    take(&mut script, "a");
    settle(&mut script, "a", HOUR);
    wrong(&script, Invariant::Release, "may still be revealed");
}

#[test]
fn a_reveal_without_a_take() {
    let mut script = hourly(2);
    asks(&mut script, "a");
    reveal(&mut script, "a");
    wrong(&script, Invariant::Reveal, "no entry says so");
}

#[test]
fn nothing_is_taken_where_nothing_comes_back() {
    let mut script = hourly(2);
    script.edit(&limit("api"), |object| {
        object["spec"]["decay"] = Value::Null
    });
    asks(&mut script, "a");
    take(&mut script, "a");
    wrong(&script, Invariant::Rate, "nothing of it comes back");
}

#[test]
fn a_claim_that_took_holds_nothing_and_is_not_adopted() {
    let mut script = hourly(2);
    let spec = json!({"kind": "RateLimit", "slots": [{"limit": "api", "slots": 1}]});
    script.claim_with("a", spec);
    take(&mut script, "a");
    let mut grants = script.grants("a", &[limit("api")]);
    grants[0]["rate"] = json!(true);
    script.grant_with("a", grants);
    let entry = script.object(&limit("api"))["status"]["leases"][0].clone();
    settle(&mut script, "a", HOUR);
    right(&script);
    script.status(&limit("api"), |status| add_lease(status, entry));
    wrong_too(&script, Invariant::Rate, "as if it were held");
}
