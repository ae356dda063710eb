//! What is shown is what is: numbers, holders, the queue in the controller's own order, causes.

use serde_json::json;

use super::{column, json as shown};
use crate::support::{PodFacts as _, World};

#[tokio::test]
async fn limits_and_locks_with_their_numbers() {
    let world = World::new("cli-limits").await;
    world.limit("gpu", 2).await;
    world.lock("door").await;
    world.pod("a").slots("gpu=2").locks("door").create().await;
    world.granted("a").await;
    world.pod("b").slots("gpu").create().await;
    world.waiting("gpu", 1).await;

    let text = world.sluice(&["limits"]);
    let lines: Vec<Vec<&str>> = text
        .lines()
        .map(|it| it.split_whitespace().collect())
        .collect();
    assert_eq!(
        lines,
        [
            vec![
                "KEY", "SLOTS", "IN-USE", "WAITING", "MODE", "READY", "REASON"
            ],
            vec!["gpu", "2", "2", "1", "Active", "True", "Granting"],
            vec!["lock/door", "-", "1", "0", "Active", "True", "Granting"],
        ],
        "{text}"
    );
    let list = shown(&world, &["limits"]);
    assert_eq!(column(&list, "key"), ["gpu", "door"]);
    assert_eq!(column(&list, "inUse"), ["2", "1"]);
    assert_eq!(column(&list, "kind"), ["limit", "lock"]);
    assert_eq!(list["notes"], json!([]));
    let yaml = world.sluice(&["limits", "-o", "yaml"]);
    let read: serde_json::Value = serde_yaml::from_str(&yaml).unwrap();
    assert_eq!(read, list);

    let everywhere = world.sluice(&["limits", "-A"]);
    assert!(everywhere.starts_with("NAMESPACE"), "{everywhere}");
    let own = everywhere
        .lines()
        .filter(|it| it.starts_with(world.namespace()));
    assert_eq!(own.count(), 2, "{everywhere}");

    let one = shown(&world, &["get", "gpu"]);
    assert_eq!(one["slots"], 2);
    assert_eq!(one["spec"]["order"], "Backfill");
    assert!(one["lastToken"].as_u64().unwrap() > 0);
    let text = world.sluice(&["get", "lock/door"]);
    let policy = text.lines().map(|it| it.split_whitespace().collect());
    let shows = |line: Vec<&str>| line == ["releasePolicy", "Presumed"];
    assert!(policy.into_iter().any(shows), "{text}");
    world.finish().await;
}

#[tokio::test]
async fn holders_with_what_their_pods_say() {
    let world = World::new("cli-holders").await;
    world.limit("gpu", 3).await;
    world.lock("door").await;
    world
        .pod("a")
        .slots("gpu=2")
        .locks("door:shared")
        .create()
        .await;
    world.running("a").await;
    world.pod("b").slots("gpu").fits_no_node().create().await;
    let b = world.granted("b").await;

    let list = shown(&world, &["holders", "gpu"]);
    assert_eq!(column(&list, "name"), ["a", "b"]);
    assert_eq!(column(&list, "slots"), ["2", "1"]);
    assert_eq!(column(&list, "phase"), ["Running", "Pending"]);
    assert_eq!(column(&list, "adopted"), ["false", "false"]);
    assert_eq!(list["items"][1]["uid"], b.id());
    assert_eq!(list["items"][1]["token"], b.token("gpu").unwrap());
    let text = world.sluice(&["holders", "--lock", "door"]);
    let row: Vec<&str> = text.lines().nth(1).unwrap().split_whitespace().collect();
    assert_eq!(
        (row[1], row[2], row[7]),
        ("a", "shared", "Running"),
        "{text}"
    );

    // Found running, and more than fits.
    world.pod("past").ungated().slots("gpu=3").create().await;
    world.running("past").await;
    world.limit("db", 1).await;
    world
        .edit(
            "past",
            json!({"metadata": {"labels": {"sluice.dev/managed": "true"}}}),
        )
        .await;
    world
        .limit_is("gpu", "over-committed", |it| {
            it.holds("OverCommitted").is_some()
        })
        .await;
    let list = shown(&world, &["holders", "gpu"]);
    assert!(column(&list, "name").contains(&"past".to_owned()), "{list}");
    assert_eq!(
        world.sluice(&["holders", "db"]),
        format!("nobody holds limit {}/db\n", world.namespace())
    );
    world.finish().await;
}

#[tokio::test]
async fn the_queue_is_served_in_the_order_that_is_shown() {
    let world = World::new("cli-queue").await;
    let class = world.priority_class("urgent", 100).await;
    world.limit("gpu", 1).await;
    world.pod("holder").slots("gpu").create().await;
    world.granted("holder").await;
    for name in ["d", "c", "b"] {
        world.pod(name).slots("gpu").create().await;
    }
    world
        .pod("last")
        .slots("gpu")
        .annotation("sluice.dev/priority", "-1")
        .create()
        .await;
    world
        .pod("first")
        .slots("gpu")
        .priority_class(&class)
        .create()
        .await;
    world.pod("aside").slots("gpu, nowhere").create().await;
    world
        .pod("other")
        .slots("gpu")
        .foreign_gate("x")
        .create()
        .await;
    world.waiting("gpu", 7).await;

    let list = shown(&world, &["queue", "gpu"]);
    let order = column(&list, "name");
    let reasons = column(&list, "reason");
    assert_eq!(order.len(), 7, "{list}");
    assert_eq!(
        (order[0].as_str(), reasons[0].as_str()),
        ("first", "WaitingForSlots")
    );
    let of = |name: &str| order.iter().position(|it| it == name).unwrap();
    assert_eq!(reasons[of("aside")], "LimitNotFound");
    assert_eq!(
        (order[6].as_str(), reasons[6].as_str()),
        ("other", "OtherGates")
    );
    assert_eq!(column(&list, "position")[6], "null");
    let text = world.sluice(&["queue", "gpu"]);
    assert!(text.starts_with("POSITION   NAME"), "{text}");
    assert!(text.contains("LimitNotFound: limit"), "{text}");

    // The controller agrees: one after the other.
    let mut holder = "holder".to_owned();
    for next in order
        .iter()
        .filter(|it| !["aside", "other"].contains(&it.as_str()))
    {
        world.end(&holder).await;
        world.granted(next).await;
        world.holders("gpu", [next.as_str()]).await;
        holder.clone_from(next);
    }
    world.limit("nowhere", 1).await;
    world.end(&holder).await;
    world.granted("aside").await;
    world.keep_gates("other", &["sluice.dev/slots"]).await;
    world.end("aside").await;
    world.granted("other").await;
    assert_eq!(
        world.sluice(&["queue", "gpu"]),
        format!("nobody waits for limit {}/gpu\n", world.namespace())
    );
    world.finish().await;
}

#[tokio::test]
async fn why_a_pod_waits_and_what_it_holds() {
    let world = World::new("cli-why").await;
    world.limit("gpu", 2).await;
    world.limit("still", 1).await;
    world.edit_limit("still", json!({"mode": "Paused"})).await;
    world
        .limit_with("build", json!({"slots": 1, "perWorker": {}}))
        .await;
    let holder = world.pod("holder").slots("gpu=2").create().await;
    world.granted("holder").await;
    world.a_second_after(&holder).await;
    let first = world.pod("first").slots("gpu").create().await;
    world.a_second_after(&first).await;
    let why = |pod: &str| {
        let answer = shown(&world, &["why", pod]);
        let text = |field: &str| answer[field].as_str().unwrap().to_owned();
        (text("state"), text("reason"), text("message"))
    };
    let ns = world.namespace().to_owned();
    for (name, slots, reason, said) in [
        (
            "second",
            "gpu",
            "WaitingForSlots",
            format!(
                "limit {ns}/gpu has no room; 2 of 2 slots are held, 1 ahead; held here by holder (2)"
            ),
        ),
        (
            "missing",
            "nowhere",
            "LimitNotFound",
            format!("limit {ns}/nowhere does not exist"),
        ),
        (
            "huge",
            "gpu=3",
            "ExceedsLimit",
            "raise spec.slots".to_owned(),
        ),
        ("calm", "still", "LimitPaused", "is paused".to_owned()),
        (
            "nobody",
            "build",
            "WorkerUnknown",
            "label sluice.dev/worker of the pod is missing".to_owned(),
        ),
        (
            "bad",
            "GPU",
            "BadAnnotation",
            "'G' is not allowed".to_owned(),
        ),
    ] {
        world.pod(name).slots(slots).create().await;
        let (state, shown_reason, message) = why(name);
        assert_eq!(
            (state.as_str(), shown_reason.as_str()),
            ("Waiting", reason),
            "{message}"
        );
        assert!(message.contains(&said), "{message}");
        // The same word as the controller's own event.
        world.event(name, reason).await;
    }
    let (state, _, message) = why("holder");
    assert_eq!(state, "Held");
    assert!(
        message.starts_with(&format!("it holds 2 slots of limit {ns}/gpu since ")),
        "{message}"
    );
    let text = world.sluice(&["why", "pod/second"]);
    assert!(
        text.contains(&format!("pod {ns}/second waits since")),
        "{text}"
    );
    let plain = world.pod("plain").ungated().create().await;
    assert_eq!(plain.annotation("sluice.dev/slots"), None);
    assert_eq!(why("plain").0, "NotOurs");
    world.end("holder").await;
    world.succeeded("holder").await;
    world.granted("first").await;
    assert_eq!(why("holder").0, "Ended");
    for stuck in ["missing", "huge", "calm", "nobody", "bad"] {
        world.delete(stuck).await;
    }
    world.finish().await;
}
