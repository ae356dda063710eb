//! Cycles of acquire and release a second inside one process: `cargo bench --bench embedded`.
//!
//! Everything of the SDK is in it: the request, its check, the ledger, the guard, its release. Rounds of all kinds are
//! interleaved, so that a busy moment hits all alike, and what is shown is the median.

#[expect(
    dead_code,
    reason = "the report serves all benchmarks, and this one needs a part of it"
)]
#[path = "../report/mod.rs"]
mod report;

use std::sync::Barrier;
use std::time::{Duration, Instant};

use futures::executor::block_on;
use report::{Goal, Report, median, rate};
use sluice::client::{Client, EmbeddedError};

/// Rounds of each kind.
const ROUNDS: usize = 5;
/// Cycles of one round.
const CYCLES: usize = 100_000;
/// Cycles of one round in which threads wait for each other.
const CYCLES_CONTENDED: usize = 20_000;

/// A kind of round: how many threads on how many slots, and what is wanted of it.
const KINDS: [(usize, u32, usize, Goal); 4] = [
    (1, 1, CYCLES, Goal::AtLeast(200_000.0)),
    (16, 16, CYCLES, Goal::AtLeast(50_000.0)),
    (16, 4, CYCLES_CONTENDED, Goal::None),
    (16, 1, CYCLES_CONTENDED, Goal::None),
];

fn main() -> Result<(), EmbeddedError> {
    let mut rates = [const { Vec::new() }; KINDS.len()];
    for _ in 0..ROUNDS {
        for ((threads, slots, cycles, _), rates) in KINDS.iter().zip(&mut rates) {
            let took = round(*threads, *slots, *cycles)?;
            rates.push(rate(*cycles, took));
        }
    }
    let mut report = Report::default();
    for ((threads, slots, _, goal), rates) in KINDS.into_iter().zip(rates) {
        let what = format!("(f) embedded: cycles, {threads} threads on {slots} slots");
        report.add(what, median(rates), "/s", goal);
    }
    report.print();
    Ok(())
}

/// So many cycles, shared among the threads.
fn round(threads: usize, slots: u32, cycles: usize) -> Result<Duration, EmbeddedError> {
    let client = Client::embedded([("gpu", slots)])?;
    let start = Barrier::new(threads + 1);
    let mut began = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                start.wait();
                for _ in 0..cycles / threads {
                    cycle(&client);
                }
            });
        }
        start.wait();
        began = Instant::now();
    });
    Ok(began.elapsed())
}

fn cycle(client: &Client) {
    let slots = block_on(client.concurrency("gpu").acquire());
    let slots = slots.unwrap_or_else(|error| unreachable!("nobody waits for ever: {error}"));
    drop(slots);
}
