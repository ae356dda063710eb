//! Claims are shown beside pods, and are freed as pods are.

use serde_json::{Value, json};

use super::{column, json as shown};
use crate::support::World;

/// A claim of one slot of a limit, as a process would write it.
async fn claim(world: &World, name: &str, limit: &str) {
    world
        .apply_json(json!({
            "apiVersion": "sluice.dev/v1alpha1", "kind": "SlotClaim", "metadata": {"name": name},
            "spec": {
                "holder": "host-1: import", "slots": [{"limit": limit}], "leaseDurationSeconds": 300,
                "ifMissing": "Wait", "session": format!("s-{name}"), "renew": {"seq": 1},
            },
        }))
        .await;
}

async fn why(world: &World, subject: &str, reason: &str) -> Value {
    let last = std::cell::RefCell::new(Value::Null);
    world
        .eventually(&format!("{subject}: {reason}"), async || {
            let answer = shown(world, &["why", subject]);
            let is = answer["reason"] == reason;
            last.replace(answer);
            is
        })
        .await;
    last.into_inner()
}

#[tokio::test]
async fn a_claim_waits_holds_and_is_released_by_an_operator() {
    let world = World::new("cli-claims").await;
    let ns = world.namespace().to_owned();
    world.limit("gpu", 1).await;
    let pod = world.pod("pod").slots("gpu").create().await;
    world.running("pod").await;
    world.a_second_after(&pod).await;
    claim(&world, "c", "gpu").await;
    claim(&world, "lost", "nowhere").await;

    let answer = why(&world, "c", "WaitingForSlots").await;
    assert_eq!(answer["kind"], "SlotClaim");
    assert_eq!(answer["phase"], "Pending");
    assert_eq!(answer["holder"], "host-1: import");
    assert!(
        answer["message"]
            .as_str()
            .unwrap()
            .contains("held here by pod")
    );
    assert_eq!(answer["limits"][0]["position"], 1);
    why(&world, "claim/lost", "LimitNotFound").await;
    let list = shown(&world, &["queue", "gpu"]);
    assert_eq!(column(&list, "name"), ["c"]);
    assert_eq!(column(&list, "kind"), ["SlotClaim"]);
    let text = world.sluice(&["queue", "gpu"]);
    assert!(
        text.contains("claim/c") && text.contains("host-1: import"),
        "{text}"
    );
    world.waiting("gpu", 1).await;
    assert_eq!(shown(&world, &["get", "gpu"])["waiting"], 1);

    world.end("pod").await;
    let answer = why(&world, "sclaim/c", "SlotsGranted").await;
    assert_eq!(answer["state"], "Held");
    let list = shown(&world, &["holders", "gpu"]);
    assert_eq!(column(&list, "kind"), ["SlotClaim"]);
    assert_eq!(column(&list, "phase"), ["Granted"]);
    assert_eq!(column(&list, "holder"), ["host-1: import"]);
    assert_eq!(shown(&world, &["get", "gpu"])["inUse"], 1);

    let said = world.sluice(&[
        "release",
        "gpu",
        "--holder",
        "claim/c",
        "--reason",
        "its host is gone",
        "--force",
    ]);
    assert!(
        said.contains(&format!("the slots of claim {ns}/c")) && said.contains("are free"),
        "{said}"
    );
    assert!(said.contains("its claim has not ended"), "{said}");
    let note = world.event("gpu", "ReleaseRequested").await;
    assert!(note.contains("its host is gone"), "{note}");
    world.holders("gpu", []).await;
    let answer = why(&world, "claim/c", "ReleasedByOperator").await;
    assert_eq!(answer["state"], "Ended");
    world.finish().await;
}

#[tokio::test]
async fn a_claim_is_given_back_by_name() {
    let world = World::new("cli-give-back").await;
    world.limit("gpu", 1).await;
    claim(&world, "c", "gpu").await;
    why(&world, "c", "SlotsGranted").await;
    let said = world.sluice(&["release", "--claim", "c"]);
    assert!(
        said.contains("given back, and its slots are free"),
        "{said}"
    );
    world.holders("gpu", []).await;
    let told = world.sluice_fails(&["release", "--claim", "claim/c"]);
    assert!(told.contains("does not exist"), "{told}");
    world.finish().await;
}
