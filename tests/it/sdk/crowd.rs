//! Many at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use super::beliefs::Beliefs;
use super::stage::{client, empty};
use crate::support::World;

/// How many ask, unless the environment says another number.
const TASKS: usize = 50;
/// The variable that says it: `SLUICE_CROWD=500`.
const CROWD: &str = "SLUICE_CROWD";
/// How many of them share a client: one process, as far as the server can tell.
const TASKS_OF_A_CLIENT: usize = 25;
const ROUNDS: usize = 10;
const SLOTS: u32 = 5;

#[tokio::test]
async fn fifty_tasks_of_ten_acquisitions_share_five_slots() {
    let count: usize = std::env::var(CROWD).map_or(TASKS, |text| text.parse().unwrap());
    let world = World::new("sdk-crowd").await;
    world.limit("gpu", i32::try_from(SLOTS).unwrap()).await;
    let mut clients = Vec::new();
    for _ in 0..count.div_ceil(TASKS_OF_A_CLIENT) {
        clients.push(client(&world).await);
    }
    let beliefs = Beliefs::default();
    let (now, most) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
    let tasks = (0..count).map(|number| {
        let client = clients[number % clients.len()].clone();
        let (beliefs, now, most) = (beliefs.clone(), Arc::clone(&now), Arc::clone(&most));
        tokio::spawn(async move {
            for _ in 0..ROUNDS {
                let slots = client.concurrency("gpu").acquire().await.unwrap();
                let belief = beliefs.begin(&slots.uid().unwrap(), 1);
                most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                tokio::task::yield_now().await;
                assert_eq!(slots.check(), Ok(()));
                now.fetch_sub(1, Ordering::SeqCst);
                beliefs.end(belief);
                slots.release().await.unwrap();
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap();
    }
    assert_eq!(beliefs.len(), count * ROUNDS);
    let believers = beliefs.check(SLOTS);
    let most = most.load(Ordering::SeqCst);
    assert!((1..=SLOTS).contains(&most), "{most}");
    assert!(believers >= 1);
    empty(&world, "gpu").await;
    world.finish_with(&beliefs.for_history()).await;
}
