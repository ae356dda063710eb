//! A controller is stopped, killed, and away: running pods run, waiting pods wait, and the next one goes on.

use crate::support::{PodFacts as _, World};

#[tokio::test]
async fn a_controller_that_is_told_to_stop_ends_well() {
    let world = World::new("sigterm").await;
    world.limit("gpu", 1).await;
    for name in ["a", "b"] {
        world.pod(name).slots("gpu").create().await;
    }
    world.waiting("gpu", 1).await;
    world.controllers()[0].terminate();
    world
        .eventually("the controller to end", async || world.crashed())
        .await;
    assert_eq!(world.exit_codes(), [Some(0)]);
    world.restart_controller().await;
    world.finish().await;
}

#[tokio::test]
async fn what_happened_while_no_controller_ran_is_made_up_for() {
    let world = World::new("away").await;
    world.limit("gpu", 2).await;
    world.limit("db", 1).await;
    for name in ["ends", "deleted"] {
        world.pod(name).slots("gpu").create().await;
        world.running(name).await;
    }
    world.pod("edited").slots("gpu").create().await;
    world.pod("given-up").slots("gpu").create().await;
    world.waiting("gpu", 2).await;
    world.kill_controllers();
    world.end("ends").await;
    world.succeeded("ends").await;
    world.delete("deleted").await;
    world.gone("deleted").await;
    world.delete("given-up").await;
    world
        .annotate("edited", "sluice.dev/slots", Some("db"))
        .await;
    world.pod("new").slots("gpu=2").create().await;
    world.is_gated("edited").await;
    world.restart_controller().await;
    world.granted("edited").await;
    world.granted("new").await;
    assert_eq!(
        world.get("new").await.granted().unwrap()["leases"][0]["slots"],
        2
    );
    world.finish().await;
}
