//! Several threads on one list of work. Each run of the simulation is a thread's own affair; only what is to be run next
//! is shared. Tested by all that is run in many threads.

use std::sync::atomic::{AtomicU64, Ordering};

/// Gives each number from `first` on, in order, to one of so many threads, until one of them says that it is enough.
pub fn work_off(threads: usize, first: u64, work: impl Fn(u64) -> bool + Sync) {
    let next = AtomicU64::new(first);
    let hand = || while work(next.fetch_add(1, Ordering::Relaxed)) {};
    std::thread::scope(|scope| {
        for _ in 0..threads.max(1) {
            scope.spawn(hand);
        }
    });
}

/// Does something with each item of a list.
pub fn each<Item: Sync>(threads: usize, items: &[Item], work: impl Fn(&Item) + Sync) {
    work_off(threads, 0, |number| {
        let index = usize::try_from(number).unwrap_or(usize::MAX);
        let item = items.get(index);
        item.into_iter().for_each(&work);
        item.is_some()
    });
}
