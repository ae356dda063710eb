//! What the command changes is changed, and what it says is so.

use serde_json::json;

use super::json as shown;
use crate::support::World;

#[tokio::test]
async fn from_create_to_resume() {
    let world = World::new("cli-change").await;
    let ns = world.namespace().to_owned();
    let said = world.sluice(&["create", "gpu", "--slots", "1", "--order", "Strict"]);
    assert_eq!(said, format!("limit {ns}/gpu is created with 1 slot\n"));
    let told = world.sluice_fails(&["create", "gpu", "--slots", "2"]);
    assert!(
        told.contains("exists already and is unchanged; `sluice set slots gpu"),
        "{told}"
    );
    assert_eq!(
        world.sluice(&["create", "lock/door"]),
        format!("lock {ns}/door is created\n")
    );
    let manifest = world.sluice(&["create", "db", "--slots", "3", "--dry-run"]);
    assert!(world.limit_if_any("db").await.is_none());
    world.apply(&manifest).await;
    assert_eq!(world.limit_now("db").await.spec()["slots"], 3);

    world.fenced("gpu").await;
    assert_eq!(world.limit_now("gpu").await.spec()["order"], "Strict");
    world.pod("a").slots("gpu").create().await;
    world.granted("a").await;
    world.pod("b").slots("gpu").create().await;
    let said = world.sluice(&["set", "slots", "gpu", "2"]);
    assert_eq!(said, format!("limit {ns}/gpu has 2 slots now (was 1)\n"));
    world.granted("b").await;
    let said = world.sluice(&["set", "slots", "climit/gpu", "0"]);
    assert!(
        said.contains("2 are held, and whoever holds keeps"),
        "{said}"
    );
    world.holders("gpu", ["a", "b"]).await;

    let said = world.sluice(&["pause", "lock/door"]);
    assert!(
        said.starts_with(&format!("lock {ns}/door is paused")),
        "{said}"
    );
    assert!(
        world
            .sluice(&["pause", "lock/door"])
            .contains("was paused already")
    );
    world.pod("c").locks("door").create().await;
    world.event("c", "LimitPaused").await;
    let said = world.sluice(&["resume", "--lock", "door"]);
    assert_eq!(said, format!("lock {ns}/door is active (was Paused)\n"));
    world.granted("c").await;
    world.sluice(&["quarantine", "lock/door"]);
    world.sluice(&["pause", "lock/door"]);
    let output = world
        .sluice_command(&["resume", "lock/door", "-n", &ns])
        .output()
        .unwrap();
    let note = String::from_utf8(output.stderr).unwrap();
    assert!(note.contains("sluice quarantine --end lock/door"), "{note}");
    world.sluice(&["quarantine", "lock/door", "--end"]);
    world.finish().await;
}

#[tokio::test]
async fn a_workers_limit_is_changed_through_its_family() {
    let world = World::new("cli-family").await;
    let ns = world.namespace().to_owned();
    let create = [
        "create",
        "gpu",
        "--slots",
        "1",
        "--per-worker",
        "--override",
        "two=3",
    ];
    let said = world.sluice(&create);
    assert_eq!(
        said,
        format!("limit {ns}/gpu is created with 1 slot for each worker\n")
    );
    world.pod("a").slots("gpu").worker("one").create().await;
    world.granted("a").await;
    let said = world.sluice(&["set", "slots", "gpu:one", "2"]);
    assert!(
        said.contains(&format!("worker one of limit {ns}/gpu has 2 slots")),
        "{said}"
    );
    world
        .limit_is("gpu--one", "with slots of its own", |it| {
            it.spec()["slots"] == 2
        })
        .await;
    let overrides = &world.limit_now("gpu").await.spec()["perWorker"]["overrides"].clone();
    assert_eq!(*overrides, json!({"one": 2, "two": 3}));
    // Before there is such a limit, too.
    world.sluice(&["set", "slots", "gpu:three", "5"]);
    let told = world.sluice_fails(&["create", "gpu:four", "--slots", "1"]);
    assert!(told.contains("is a family"), "{told}");
    let told = world.sluice_fails(&["pause", "gpu:one"]);
    assert!(told.contains("`sluice pause gpu -n"), "{told}");
    let family = shown(&world, &["get", "gpu"]);
    assert_eq!(family["workers"][0]["key"], "gpu:one");
    assert_eq!(family["perWorker"], true);
    world.finish().await;
}
