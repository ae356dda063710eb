//! `mode: Disabled` blocks nobody and counts nobody, and the way back counts again.

use serde_json::json;

use crate::support::World;

#[tokio::test]
async fn a_disabled_limit_lets_all_through_and_counts_again_afterwards() {
    let world = World::new("disabled").await;
    world.limit("gpu", 1).await;
    world.pod("counted").slots("gpu").create().await;
    world.granted("counted").await;
    world.pod("b").slots("gpu").create().await;
    world.pod("c").slots("gpu").create().await;
    world.waiting("gpu", 2).await;
    world.edit_limit("gpu", json!({"mode": "Disabled"})).await;
    for name in ["b", "c"] {
        world.granted(name).await;
    }
    world
        .limit_is("gpu", "open", |it| {
            it.status()["open"] == true && !it.is_fenced()
        })
        .await;
    world.edit_limit("gpu", json!({"mode": "Active"})).await;
    world.fenced("gpu").await;
    // Whoever was let through counts from now on, which is more than there is.
    world.holders("gpu", ["b", "c", "counted"]).await;
    world
        .limit_is("gpu", "over-committed", |it| {
            it.holds("OverCommitted") == Some("HoldersKept")
        })
        .await;
    world.pod("d").slots("gpu").create().await;
    world.waiting("gpu", 1).await;
    for name in ["b", "counted"] {
        world.end(name).await;
    }
    world.holders("gpu", ["c"]).await;
    world.is_gated("d").await;
    world.end("c").await;
    world.granted("d").await;
    world.finish().await;
}

#[tokio::test]
async fn a_disabled_limit_beside_a_full_one_is_no_way_around_it() {
    let world = World::new("disabled-beside").await;
    world.limit("gpu", 1).await;
    world
        .limit_with("db", json!({"slots": 0, "mode": "Disabled"}))
        .await;
    world.pod("a").slots("gpu, db").create().await;
    world.granted("a").await;
    world.pod("b").slots("gpu, db").create().await;
    world.waiting("gpu", 1).await;
    world.is_gated("b").await;
    world.end("a").await;
    world.granted("b").await;
    // While it is disabled nothing is written about holders.
    let open = world.limit_now("db").await;
    assert_eq!((open.holders().len(), open.number("inUse")), (0, 0));
    world.finish().await;
}

#[tokio::test]
async fn a_lock_can_be_disabled_too() {
    let world = World::new("disabled-lock").await;
    world.lock("door").await;
    for name in ["a", "b", "c"] {
        world.pod(name).locks("door").create().await;
    }
    world
        .lock_is("door", "one holds, two wait", |it| {
            it.number("inUse") == 1 && it.number("waiting") == 2
        })
        .await;
    world.edit_lock("door", json!({"mode": "Disabled"})).await;
    for name in ["a", "b", "c"] {
        world.granted(name).await;
    }
    world.edit_lock("door", json!({"mode": "Active"})).await;
    world
        .lock_is("door", "fenced", |it| {
            it.is_fenced() && it.number("inUse") == 3
        })
        .await;
    world.finish().await;
}
