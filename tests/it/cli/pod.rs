//! `sluice run --pod`: what a container runs holds for as long as its pod lives, and is found again by its next start.

use kube::ResourceExt as _;

use super::column;
use super::json as shown;
use super::run::{DEAF, Running, finds, lives};
use crate::support::World;

/// Starts what the container of this pod runs.
fn start(world: &World, uid: &str, script: &str) -> Running {
    let environment = [
        ("SLUICE_POD_NAME", "w"),
        ("SLUICE_POD_UID", uid),
        ("SLUICE_CONTAINER", "main"),
    ];
    Running::start_with(
        world,
        &environment,
        &["run", "--pod", "--slots", "gpu"],
        script,
    )
}

#[tokio::test]
async fn a_container_that_starts_again_has_its_claim_and_its_former_command_is_dead() {
    let world = World::new("cli-run-pod").await;
    world.limit("gpu", 1).await;
    world.pod("w").ungated().create().await;
    let uid = world.running("w").await.uid().unwrap();
    let mut first = start(&world, &uid, DEAF);
    let pid = first.wrote(&world, "pid").await;
    let holders = || shown(&world, &["holders", "gpu"]);
    let claims = column(&holders(), "uid");
    assert_eq!(claims.len(), 1);
    first.signal("-KILL");
    first.child.wait().unwrap();
    // It starts again while the former command is still being ended.
    let script = format!("{}; while [ ! -e go ]; do sleep 0.05; done", finds(&pid));
    let again = start(&world, &uid, &script);
    assert_eq!(again.wrote(&world, "found").await, "dead");
    assert!(!lives(&pid));
    assert_eq!(column(&holders(), "uid"), claims, "the same claim");
    std::fs::write(again.file("go"), "").unwrap();
    assert_eq!(again.end().0.code(), Some(0));
    world.holders("gpu", []).await;

    // The pod ends under it.
    let third = start(&world, &uid, "echo > held; sleep 600");
    third.wrote(&world, "held").await;
    world.end("w").await;
    let (status, _, said) = third.end();
    assert_eq!(status.code(), Some(122));
    assert!(said.contains("PodEnded"), "{said}");
    world.holders("gpu", []).await;
    world.finish().await;
}

#[tokio::test]
async fn without_the_variables_it_says_which() {
    let world = World::plan("cli-run-no-pod").controllers(0).begin().await;
    let output = world
        .sluice_command(&["run", "--pod", "--slots", "gpu", "--", "true"])
        .env("SLUICE_POD_NAME", "w")
        .env_remove("SLUICE_POD_UID")
        .output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(
        said.contains("--pod: which pod is this? SLUICE_POD_UID is not set"),
        "{said}"
    );
}
