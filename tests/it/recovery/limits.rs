//! All limits of a namespace are deleted while pods hold and wait.

use super::counted;
use crate::support::World;

#[tokio::test]
async fn all_limits_are_deleted_and_created_again() {
    let world = World::new("lost-limits").await;
    world.limit("gpu", 2).await;
    world.lock("door").await;
    world.pod("a").slots("gpu").create().await;
    world.pod("b").slots("gpu").locks("door").create().await;
    world.running("a").await;
    world.running("b").await;
    world.pod("c").slots("gpu").create().await;
    world.waiting("gpu", 1).await;

    world.kubectl(&["delete", "climit,lock", "--all"]);
    let told = world.event("gpu", "GoneWhileHeld").await;
    assert!(told.contains("while 2 held it"), "{told}");
    world.event("door", "GoneWhileHeld").await;
    counted(&world, "sluice_gone_while_held_total").await;
    world.event("c", "LimitNotFound").await;
    world.is_gated("c").await;
    world.running("a").await;

    world.limit("gpu", 2).await;
    world.lock("door").await;
    world.holders("gpu", ["a", "b"]).await;
    world.lock_holders("door", ["b"]).await;
    counted(&world, "sluice_fences_total").await;
    counted(&world, "sluice_adoptions_total").await;
    world.is_gated("c").await;
    world.end("a").await;
    world.granted("c").await;
    world.finish().await;
}
