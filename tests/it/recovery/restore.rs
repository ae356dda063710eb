//! A backup of etcd is put back while no controller runs: a past that nobody can tell from the present.

use sluice_testenv::{ControlPlane, FakeNodes, NodeOptions, Options};

use super::counted;
use crate::support::World;

/// The node on which everything runs.
const NODE: &str = "node-1";

#[tokio::test]
async fn a_backup_is_put_back_and_quarantine_ends_when_all_is_settled() {
    let plane = ControlPlane::start(Options::default().without_controller_manager());
    let world = World::plan("restored").everywhere().controllers(0);
    let world = world.on(plane.await.unwrap(), None).begin().await;
    let nodes = FakeNodes::start(world.plane(), &[NODE], NodeOptions::default());
    let nodes = nodes.await.unwrap();
    world.start_controller();
    world.ready().await;
    world.limit("gpu", 1).await;
    world.pod("a").slots("gpu").create().await;
    world.running("a").await;
    world.pod("b").slots("gpu").create().await;
    world.waiting("gpu", 1).await;
    let backup = world.plane().snapshot().unwrap();

    // What the backup knows nothing of: the slot has changed hands, and another limit came.
    world.end("a").await;
    world.granted("b").await;
    world.limit("late", 1).await;
    let lost = world.limit_now("gpu").await.number("lastToken");

    world.kill_controllers();
    drop(nodes);
    world.plane().restore(&backup).await.unwrap();
    let nodes = FakeNodes::take_over(world.plane(), &[NODE], NodeOptions::default()).unwrap();
    let printed = world.sluice(&["quarantine", "--all", "--reason", "etcd restored"]);
    assert!(printed.contains("1 are in quarantine now"), "{printed}");
    world.start_controller();
    world.ready().await;
    world
        .limit_is("gpu", "set aside", |it| {
            it.holds("Quarantined") == Some("SetAside")
        })
        .await;
    world.event("gpu", "Quarantined").await;
    counted(&world, "sluice_quarantined{").await;
    world.event("b", "LimitQuarantined").await;

    // Meanwhile the nodes settle: what ended in the lost hours ends again, and frees its slot.
    world.end("a").await;
    world.holders("gpu", []).await;
    world.is_gated("b").await;

    let printed = world.sluice(&["quarantine", "--all", "--end"]);
    assert!(printed.contains("1 left quarantine"), "{printed}");
    world.event("gpu", "QuarantineEnded").await;
    world.granted("b").await;
    // Tokens grow over what was lost.
    let limit = world.limit_now("gpu").await;
    let token = limit.lease("b").unwrap()["token"].as_i64().unwrap();
    assert!(token > lost, "{token} after {lost}");
    world.limit("late", 1).await;
    world.finish().await;
    drop(nodes);
}
