//! Histories of a right product, in the corners where a careless checker would cry.

use serde_json::json;

use super::right;
use crate::history::builder::{ONE, Script, add_lease, drop_entry, limit, lock, node, pod};
use crate::history::request::Amount;

#[test]
fn two_of_three_run_and_the_third_follows() {
    let mut script = Script::new();
    script.limit("gpu", 2);
    script.holder("a", "gpu");
    script.holder("b", "gpu");
    script.pod("c", "gpu");
    script.run("a");
    script.finish("a");
    let lease = script.new_lease("c", ONE);
    script.status(&limit("gpu"), |status| {
        drop_entry(status, "a");
        add_lease(status, lease);
    });
    script.reveal("c", &[limit("gpu")]);
    right(&script);
}

#[test]
fn a_shrunk_limit_is_over_committed_and_drains() {
    let mut script = Script::new();
    script.limit("gpu", 3);
    for name in ["a", "b", "c"] {
        script.holder(name, "gpu");
        script.run(name);
    }
    script.set_slots("gpu", 1);
    script.status(&limit("gpu"), |status| status["waiting"] = json!(1));
    script.finish("a");
    script.release(&limit("gpu"), "a");
    right(&script);
}

#[test]
fn a_limit_shrinks_between_the_lease_and_the_reveal() {
    let mut script = Script::new();
    script.limit("gpu", 2);
    script.holder("a", "gpu");
    script.pod("b", "gpu");
    script.lease(&limit("gpu"), "b", ONE);
    script.set_slots("gpu", 1);
    script.reveal("b", &[limit("gpu")]);
    right(&script);
}

#[test]
fn a_recreated_limit_adopts_while_over() {
    let mut script = Script::new();
    script.limit("gpu", 2);
    script.holder("a", "gpu");
    script.holder("b", "gpu");
    script.delete(&limit("gpu"));
    script.create(limit("gpu"), json!({"spec": {"slots": 1}}));
    script.floor(&limit("gpu"));
    script.adopt(&limit("gpu"), "adopted", &["a", "b"]);
    script.delete(&pod("a"));
    let b = script.recorded(&limit("gpu"), "b");
    script.status(&limit("gpu"), |status| {
        status["adopted"] = json!([]);
        status["leases"] = json!([b]);
    });
    script.delete(&pod("b"));
    script.release(&limit("gpu"), "b");
    script.holder("c", "gpu");
    right(&script);
}

#[test]
fn a_recreated_limit_adopts_as_leases_when_all_fit() {
    let mut script = Script::new();
    script.limit("gpu", 2);
    script.holder("a", "gpu");
    script.delete(&limit("gpu"));
    script.create(limit("gpu"), json!({"spec": {"slots": 2}}));
    script.floor(&limit("gpu"));
    script.adopt(&limit("gpu"), "leases", &["a"]);
    script.holder("b", "gpu");
    right(&script);
}

#[test]
fn a_reveal_lands_after_its_limit_was_deleted() {
    let mut script = Script::new();
    script.limit("gpu", 1);
    script.pod("a", "gpu");
    script.lease(&limit("gpu"), "a", ONE);
    let record = script.record("a", &[limit("gpu")]);
    script.delete(&limit("gpu"));
    script.create(limit("gpu"), json!({"spec": {"slots": 1}}));
    script.floor(&limit("gpu"));
    script.reveal_with("a", &record);
    script.adopt(&limit("gpu"), "leases", &["a"]);
    right(&script);
}

#[test]
fn several_limits_weights_and_a_lock() {
    let mut script = Script::new();
    script.limit("gpu", 4);
    script.limit("db", 2);
    script.lock("schema");
    let asks = [
        ("sluice.dev/slots", "gpu=2, db, gpu"),
        ("sluice.dev/locks", "schema:shared"),
    ];
    for name in ["a", "b"] {
        script.pod_with(name, &asks, |_| {});
    }
    script.lease(&limit("gpu"), "a", Amount::Slots(3));
    script.lease(&limit("db"), "a", ONE);
    script.lease(&lock("schema"), "a", Amount::Shared);
    script.reveal("a", &[limit("gpu"), limit("db"), lock("schema")]);
    script.lease(&lock("schema"), "b", Amount::Shared);
    right(&script);
}

#[test]
fn an_abort_raises_the_attempt_then_drops_the_lease() {
    let mut script = Script::new();
    script.limit("gpu", 1);
    script.pod("a", "gpu");
    script.lease(&limit("gpu"), "a", ONE);
    script.bump("a");
    script.release(&limit("gpu"), "a");
    script.lease(&limit("gpu"), "a", ONE);
    script.reveal("a", &[limit("gpu")]);
    right(&script);
}

#[test]
fn a_lease_of_an_abandoned_request_goes_after_the_reveal_of_the_next() {
    let mut script = Script::new();
    script.limit("gpu", 1);
    script.limit("db", 1);
    script.pod("a", "gpu, db");
    script.lease(&limit("db"), "a", ONE);
    script.annotate(&pod("a"), "sluice.dev/slots", "gpu");
    script.bump("a");
    script.lease(&limit("gpu"), "a", ONE);
    script.reveal("a", &[limit("gpu")]);
    script.release(&limit("db"), "a");
    right(&script);
}

#[test]
fn a_family_serves_by_the_workers_limit() {
    let mut script = Script::new();
    script.create(limit("gpu"), json!({"spec": {"slots": 1, "perWorker": {}}}));
    let family = script.uid(&limit("gpu"));
    script.limit("gpu--w1", 1);
    script.edit(&limit("gpu--w1"), |object| {
        object["metadata"]["ownerReferences"] = json!([{"uid": family}]);
    });
    script.pod_with("a", &[("sluice.dev/slots", "gpu")], |object| {
        object["metadata"]["labels"] = json!({"sluice.dev/worker": "w1"});
    });
    script.lease(&limit("gpu--w1"), "a", ONE);
    script.reveal("a", &[limit("gpu--w1")]);
    right(&script);
}

#[test]
fn a_disabled_limit_lets_through_then_adopts() {
    let mut script = Script::new();
    script.limit("gpu", 1);
    script.holder("a", "gpu");
    script.set_mode("gpu", "Disabled");
    script.status(&limit("gpu"), |status| {
        status["open"] = json!(true);
        status["fenced"] = json!(false);
    });
    script.pod("b", "gpu");
    script.reveal_with("b", &json!({"attempt": 0, "leases": []}));
    script.set_mode("gpu", "Active");
    script.floor(&limit("gpu"));
    // Sent while it was Disabled; the bump that ends the fence has not reached it yet.
    script.pod("c", "gpu");
    script.reveal_with("c", &json!({"attempt": 0, "leases": []}));
    script.adopt(&limit("gpu"), "leases", &["a"]);
    right(&script);
}

#[test]
fn a_missing_limit_is_ignored_on_request() {
    let mut script = Script::new();
    script.limit("gpu", 1);
    let asks = [
        ("sluice.dev/slots", "gpu, db"),
        ("sluice.dev/if-missing", "Ignore"),
    ];
    script.pod_with("a", &asks, |_| {});
    script.lease(&limit("gpu"), "a", ONE);
    script.reveal("a", &[limit("gpu")]);
    right(&script);
}

#[test]
fn a_pod_past_admission_is_adopted_with_token_zero() {
    let mut script = Script::new();
    script.limit("gpu", 1);
    script.pod_with("a", &[("sluice.dev/slots", "gpu")], |object| {
        object["spec"]["schedulingGates"] = json!([]);
    });
    let mut entry = script.new_lease("a", ONE);
    entry["token"] = json!(0);
    script.status(&limit("gpu"), |status| add_lease(status, entry));
    script.delete(&pod("a"));
    script.release(&limit("gpu"), "a");
    right(&script);
}

#[test]
fn an_operator_releases_a_holder_that_lives() {
    let mut script = Script::new();
    script.limit("gpu", 1);
    script.holder("a", "gpu");
    script.run("a");
    let uid = script.uid(&pod("a"));
    script.annotate(
        &limit("gpu"),
        "sluice.dev/release",
        &format!("other, {uid}"),
    );
    script.release(&limit("gpu"), "a");
    script.holder("b", "gpu");
    right(&script);
}

#[test]
fn proof_frees_a_confirmed_limit() {
    let confirmed = || {
        let mut script = Script::new();
        script.create(
            limit("gpu"),
            json!({"spec": {"slots": 1, "releasePolicy": "Confirmed"}}),
        );
        script.fence(&limit("gpu"));
        script.holder("a", "gpu");
        script
    };
    let mut stopped = confirmed();
    stopped.run("a");
    stopped.finish("a");
    stopped.release(&limit("gpu"), "a");
    right(&stopped);

    let mut never_bound = confirmed();
    never_bound.delete(&pod("a"));
    never_bound.release(&limit("gpu"), "a");
    right(&never_bound);

    let mut node_gone = confirmed();
    node_gone.run("a");
    node_gone.fail_unproven("a");
    node_gone.delete(&node("node-1"));
    node_gone.release(&limit("gpu"), "a");
    node_gone.holder("b", "gpu");
    right(&node_gone);

    let mut switched_off = confirmed();
    switched_off.run("a");
    switched_off.delete(&pod("a"));
    switched_off.edit(&node("node-1"), |node| {
        node["spec"] = json!({"taints": [{"key": "node.kubernetes.io/out-of-service"}]});
    });
    switched_off.release(&limit("gpu"), "a");
    right(&switched_off);
}

#[test]
fn a_name_is_used_again() {
    let mut script = Script::new();
    script.limit("gpu", 1);
    script.holder("a", "gpu");
    script.delete(&pod("a"));
    script.pod("a", "gpu");
    script.release(&limit("gpu"), "a");
    script.lease(&limit("gpu"), "a", ONE);
    script.reveal("a", &[limit("gpu")]);
    right(&script);
}

#[test]
fn a_hand_that_wipes_a_lease_is_repaired() {
    let mut script = Script::new();
    script.limit("gpu", 1);
    script.holder("a", "gpu");
    script.release(&limit("gpu"), "a");
    let by_hand = script.revision;
    let a = script.recorded(&limit("gpu"), "a");
    script.status(&limit("gpu"), |status| status["leases"] = json!([a]));
    let assumptions = super::Assumptions::none().written_by_hand(by_hand);
    let found = super::check(&script.history(), &assumptions);
    assert!(found.is_empty(), "{}", super::told(&found));
}

#[test]
fn adoption_while_over_may_raise_the_floor() {
    let mut script = Script::new();
    script.limit("gpu", 2);
    script.holder("a", "gpu");
    script.holder("b", "gpu");
    script.delete(&limit("gpu"));
    script.create(limit("gpu"), json!({"spec": {"slots": 1}}));
    script.floor(&limit("gpu"));
    let entries = ["a", "b"].map(|holder| script.recorded(&limit("gpu"), holder));
    script.status(&limit("gpu"), |status| {
        status["adopted"] = json!(entries);
        status["fenced"] = json!(true);
        status["lastToken"] = json!(500);
    });
    right(&script);
}

#[test]
fn a_disabled_limit_and_a_beginning_fence_count_nobody() {
    let mut script = Script::new();
    script.limit("gpu", 1);
    script.holder("a", "gpu");
    script.run("a");
    script.set_mode("gpu", "Disabled");
    script.release(&limit("gpu"), "a");
    script.set_mode("gpu", "Active");
    script.floor(&limit("gpu"));
    script.adopt(&limit("gpu"), "leases", &["a"]);
    script.status(&limit("gpu"), |status| status["fenced"] = json!(false));
    script.release(&limit("gpu"), "a");
    script.adopt(&limit("gpu"), "leases", &["a"]);
    right(&script);
}

#[test]
fn a_reveal_lands_after_its_open_limit_was_deleted() {
    let mut script = Script::new();
    script.limit("gpu", 1);
    script.set_mode("gpu", "Disabled");
    script.status(&limit("gpu"), |status| {
        status["open"] = json!(true);
        status["fenced"] = json!(false);
    });
    script.pod("a", "gpu");
    script.pod("b", "gpu");
    script.delete(&limit("gpu"));
    script.reveal_with("a", &json!({"attempt": 0, "leases": []}));
    script.create(limit("gpu"), json!({"spec": {"slots": 1}}));
    script.reveal_with("b", &json!({"attempt": 0, "leases": []}));
    script.fence(&limit("gpu"));
    right(&script);
}

#[test]
fn the_word_of_a_record_is_taken_for_its_token() {
    let mut script = Script::new();
    script.limit("gpu", 2);
    script.holder("a", "gpu");
    script.pod("b", "gpu");
    let mut record = script.record("a", &[limit("gpu")]);
    record["leases"][0]["token"] = json!(50);
    script.reveal_with("b", &record);
    let by_hand = script.revision;
    let b = script.recorded(&limit("gpu"), "b");
    script.status(&limit("gpu"), |status| add_lease(status, b));
    let assumptions = super::Assumptions::none().written_by_hand(by_hand);
    let found = super::check(&script.history(), &assumptions);
    assert!(found.is_empty(), "{}", super::told(&found));
}

#[test]
fn a_limit_grows_and_shrinks_between_the_lease_and_the_reveal() {
    let mut script = Script::new();
    script.limit("gpu", 1);
    script.pod("a", "gpu");
    script.lease(&limit("gpu"), "a", ONE);
    script.set_slots("gpu", 2);
    script.holder("b", "gpu");
    script.set_slots("gpu", 1);
    script.reveal("a", &[limit("gpu")]);
    right(&script);
}

#[test]
fn the_first_batch_follows_nothing() {
    let mut script = Script::new();
    script.create(
        limit("gpu"),
        json!({"spec": {"slots": 1}, "status": {"batch": ""}}),
    );
    script.edit(&limit("gpu"), |object| {
        object["status"] = json!({"batch": "b1", "lastToken": 5});
    });
    right(&script);
}
