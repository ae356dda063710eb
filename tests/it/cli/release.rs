//! `sluice release`: on the record, and so that it stays.

use serde_json::Value;
use sluice::api::names;

use crate::support::{PodFacts as _, World};

async fn annotation(world: &World, limit: &str) -> Option<String> {
    let limit = world.limit_now(limit).await;
    let annotations = limit.object().metadata.annotations.clone();
    annotations.and_then(|it| it.get(names::RELEASE).cloned())
}

#[tokio::test]
async fn a_running_holder_is_released_and_not_counted_again() {
    let world = World::new("cli-release").await;
    world.limit("gpu", 1).await;
    let a = world.pod("a").slots("gpu").create().await;
    world.running("a").await;
    world.pod("b").slots("gpu").create().await;

    let release = |more: &[&'static str]| {
        let all = ["release", "gpu", "--holder", "a", "--reason", "ticket 4711"];
        [&all, more].concat()
    };
    let told = world.sluice_fails(&release(&[]));
    assert!(
        told.contains("nothing is done without --force") && told.contains("Running"),
        "{told}"
    );
    assert_eq!(annotation(&world, "gpu").await, None);

    let said = world.sluice(&release(&["--force"]));
    assert!(said.contains("are free"), "{said}");
    assert!(
        said.contains("its pod has not ended, so its uid stays"),
        "{said}"
    );
    world.granted("b").await;
    world.holders("gpu", ["b"]).await;
    assert_eq!(annotation(&world, "gpu").await.as_deref(), Some(a.id()));
    let note = world.event("gpu", "ReleaseRequested").await;
    assert!(
        note.contains("ticket 4711") && note.contains("1 slot since"),
        "{note}"
    );
    world.event("gpu", "ForcedRelease").await;
    let why: Value = serde_json::from_str(&world.sluice(&["why", "a", "-o", "json"])).unwrap();
    assert!(
        why["message"]
            .as_str()
            .unwrap()
            .contains("an operator took its lease"),
        "{why}"
    );

    // When it has ended, the same command takes the uid out again.
    world.end("a").await;
    world.succeeded("a").await;
    let again = [
        "release",
        "gpu",
        "--holder",
        a.id(),
        "--reason",
        "done",
        "--force",
    ];
    let said = world.sluice(&again);
    assert!(said.contains("holds nothing any more"), "{said}");
    assert_eq!(annotation(&world, "gpu").await, None);
    world.holders("gpu", ["b"]).await;
    let told = world.sluice_fails(&again);
    assert!(told.contains("`sluice holders gpu"), "{told}");
    world.finish().await;
}

#[tokio::test]
async fn without_a_controller_the_order_stays_and_says_so() {
    let world = World::new("cli-release-alone").await;
    world.limit("gpu", 1).await;
    world.pod("a").slots("gpu").create().await;
    world.running("a").await;
    world.kill_controllers();
    let release = [
        "release",
        "gpu",
        "--holder",
        "pod/a",
        "--reason",
        "drill",
        "--force",
        "--wait-seconds",
        "1",
    ];
    let told = world.sluice_fails(&release);
    assert!(
        told.contains("no controller has acted") && told.contains("kubectl annotate climit/gpu"),
        "{told}"
    );
    assert!(annotation(&world, "gpu").await.is_some());
    world.start_controller();
    world.ready().await;
    world.holders("gpu", []).await;
    world.finish().await;
}
