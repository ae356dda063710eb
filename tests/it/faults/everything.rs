//! All faults together: rivals that are killed and replaced, conflicts and lost answers, while people meddle.

use crate::support::{Dice, Fault, World};

const PODS: usize = 100;
const LIMITS: usize = 5;
const LOCKS: usize = 2;
/// How long all of it may take, in seconds.
const PATIENCE_SECONDS: u64 = 180;

#[tokio::test]
async fn whatever_can_go_wrong_at_once() {
    let mut dice = Dice::new(LIMITS, LOCKS);
    let plan = World::plan("everything").controllers(2);
    let plan = plan
        .fault(Fault::Conflicts(5))
        .fault(Fault::LoseAnswers(4))
        .flag("--events=false");
    let world = plan.begin().await;
    // Their pods are there first, for some of them.
    for index in 0..PODS {
        if index == PODS / 10 {
            dice.create_limits(&world).await;
        }
        dice.create_pod(&world, index).await;
        if index > PODS / 10 && dice.once_in(4) {
            dice.meddle(&world, index + 1).await;
        }
        if dice.once_in(12) {
            world.kill_first();
            world.start_controller();
        }
    }
    dice.calm(&world, PATIENCE_SECONDS).await;
    world.finish().await;
}
