//! Wrong statuses: invariants 1, 2 and 9.

use serde_json::json;

use super::{right, wrong, wrong_too};
use crate::history::builder::{ONE, Script, add_lease, limit, lock};
use crate::history::request::Amount;
use crate::history::violation::Invariant;

#[test]
fn one_lease_too_many() {
    let mut script = Script::new();
    script.limit("gpu", 1);
    script.holder("a", "gpu");
    script.pod("b", "gpu");
    script.lease(&limit("gpu"), "b", ONE);
    wrong(
        &script,
        Invariant::Capacity,
        "2 slots in leases and 0 in adopted are more than 1",
    );
}

#[test]
fn a_lease_beside_adopted_holders_that_fill_the_limit() {
    let mut script = Script::new();
    script.limit("gpu", 2);
    script.holder("a", "gpu");
    script.holder("b", "gpu");
    script.delete(&limit("gpu"));
    script.create(limit("gpu"), json!({"spec": {"slots": 1}}));
    script.floor(&limit("gpu"));
    script.adopt(&limit("gpu"), "adopted", &["a", "b"]);
    script.pod("c", "gpu");
    script.lease(&limit("gpu"), "c", ONE);
    wrong(
        &script,
        Invariant::Capacity,
        "1 slots in leases and 2 in adopted are more than 1",
    );
}

#[test]
fn a_holder_is_swapped_while_over() {
    let mut script = Script::new();
    script.limit("gpu", 2);
    script.holder("a", "gpu");
    script.holder("b", "gpu");
    script.set_slots("gpu", 1);
    script.run("a");
    script.finish("a");
    script.pod("c", "gpu");
    let lease = script.new_lease("c", ONE);
    script.status(&limit("gpu"), |status| {
        crate::history::builder::drop_entry(status, "a");
        add_lease(status, lease);
    });
    wrong(&script, Invariant::Capacity, "more than 1");
}

#[test]
fn two_exclusive_and_one_beside_a_shared() {
    let asks = [("sluice.dev/locks", "db")];
    for first in [Amount::Exclusive, Amount::Shared] {
        let mut script = Script::new();
        script.lock("db");
        script.pod_with("a", &asks, |_| {});
        script.pod_with("b", &asks, |_| {});
        script.lease(&lock("db"), "a", first);
        script.lease(&lock("db"), "b", Amount::Exclusive);
        wrong(
            &script,
            Invariant::Capacity,
            "an exclusive holder is one of 2",
        );
    }
}

#[test]
fn an_entry_nobody_can_read() {
    let mut script = Script::new();
    script.limit("gpu", 1);
    script.status(&limit("gpu"), |status| {
        status["leases"] = json!([{"uid": "x", "slots": "many"}])
    });
    wrong(&script, Invariant::Capacity, "cannot be read");
}

#[test]
fn a_holder_twice() {
    let mut script = Script::new();
    script.limit("gpu", 2);
    script.holder("a", "gpu");
    script.lease(&limit("gpu"), "a", ONE);
    wrong_too(&script, Invariant::OneLease, "stands in it twice");
}

#[test]
fn a_holder_in_both_lists() {
    let mut script = Script::new();
    script.limit("gpu", 2);
    script.holder("a", "gpu");
    let a = script.recorded(&limit("gpu"), "a");
    script.status(&limit("gpu"), |status| status["adopted"] = json!([a]));
    wrong(&script, Invariant::OneLease, "stands in it twice");
}

#[test]
fn a_write_computed_from_another_state() {
    let mut script = Script::new();
    script.limit("gpu", 2);
    script.pod("a", "gpu");
    let lease = script.new_lease("a", ONE);
    script.status(&limit("gpu"), |status| {
        add_lease(status, lease);
        status["previousBatch"] = json!("b1");
    });
    wrong(
        &script,
        Invariant::BatchChain,
        "was computed from b1, but written over b2",
    );
}

/// A limit whose status was written in these terms, one after the other.
fn terms(terms: &[(i64, &str)]) -> Script {
    let mut script = Script::new();
    script.limit("gpu", 2);
    for (epoch, leader) in terms {
        script.status(&limit("gpu"), |status| {
            status["epoch"] = json!(epoch);
            status["leader"] = json!(leader);
        });
    }
    script
}

#[test]
fn leaders_follow_each_other() {
    right(&terms(&[(1, "p"), (1, "p"), (7, "q"), (8, "q")]));
}

#[test]
fn a_deposed_leader_writes() {
    let script = terms(&[(2, "q"), (1, "p")]);
    wrong(
        &script,
        Invariant::Epoch,
        "epoch 1 of p was written over epoch 2 of q",
    );
}

#[test]
fn two_leaders_in_one_epoch() {
    let script = terms(&[(2, "q"), (2, "p")]);
    wrong(&script, Invariant::Epoch, "two leaders, q and p");
}

#[test]
fn a_ledger_changed_without_a_batch() {
    let mut script = Script::new();
    script.limit("gpu", 2);
    script.pod("a", "gpu");
    let lease = script.new_lease("a", ONE);
    script.edit(&limit("gpu"), |object| {
        add_lease(&mut object["status"], lease)
    });
    wrong(&script, Invariant::BatchChain, "without a new batch");
}

#[test]
fn adopted_holders_become_leases_while_over() {
    let mut script = Script::new();
    script.limit("gpu", 2);
    script.holder("a", "gpu");
    script.holder("b", "gpu");
    script.delete(&limit("gpu"));
    script.create(limit("gpu"), json!({"spec": {"slots": 1}}));
    script.floor(&limit("gpu"));
    script.adopt(&limit("gpu"), "adopted", &["a", "b"]);
    script.status(&limit("gpu"), |status| {
        status["leases"] = status["adopted"].take();
        status["adopted"] = json!([]);
    });
    wrong(
        &script,
        Invariant::Capacity,
        "2 slots in leases and 0 in adopted are more than 1",
    );
}

#[test]
fn a_shared_lease_becomes_exclusive_while_over() {
    let mut script = Script::new();
    script.lock("db");
    let asks = [("sluice.dev/locks", "db")];
    script.pod_with("a", &asks, |_| {});
    script.pod_with("b", &asks, |_| {});
    let shared = script.new_lease("a", Amount::Shared);
    let exclusive = script.new_lease("b", Amount::Exclusive);
    script.status(&lock("db"), |status| status["adopted"] = json!([exclusive]));
    script.status(&lock("db"), |status| {
        status["leases"] = json!([shared]);
        status["lastToken"] = json!(200);
    });
    script.status(&lock("db"), |status| {
        status["leases"][0]["mode"] = json!("Exclusive")
    });
    let last = script.revision;
    let found = super::violations(&script);
    let hit = |it: &super::Violation| it.invariant == Invariant::Capacity && it.revision == last;
    assert!(found.iter().any(hit), "{}", super::told(&found));
}
