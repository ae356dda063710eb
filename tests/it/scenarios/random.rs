//! Three hundred pods over twenty limits and locks, at random, with random endings.

use crate::support::{Dice, World};

const PODS: usize = 300;
const LIMITS: usize = 16;
const LOCKS: usize = 4;
/// How long all of it may take, in seconds.
const PATIENCE_SECONDS: u64 = 180;

#[tokio::test]
async fn three_hundred_pods_over_twenty_limits() {
    let mut dice = Dice::new(LIMITS, LOCKS);
    let world = World::new("random").await;
    dice.create_limits(&world).await;
    for index in 0..PODS {
        dice.create_pod(&world, index).await;
        if dice.once_in(4) {
            dice.meddle(&world, index + 1).await;
        }
    }
    dice.calm(&world, PATIENCE_SECONDS).await;
    let summary = world.history().await.summary();
    assert!(summary.grants > PODS / 2, "{summary}");
    world.finish().await;
}
