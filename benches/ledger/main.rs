//! Decisions a second of the ledger alone, with 100 to 100,000 waiters: `cargo bench --bench ledger`.
//!
//! One decision is the whole life of a pod as the shell tells it: created, leases written, gate removed, seen again, ended,
//! its slots given to the next, deleted. All answers come at once and cost nothing, and only the time inside the ledger
//! is counted. What is shown is that a decision does not cost more when more wait.

#[expect(
    dead_code,
    reason = "the report serves all benchmarks, and this one needs a part of it"
)]
#[path = "../report/mod.rs"]
mod report;
mod server;

use report::{Goal, Report, median, rate};
use server::Server;

/// Waiters, all of the time.
const WAITERS: [usize; 4] = [100, 1_000, 10_000, 100_000];
/// Slots of the limit: so many hold at any time.
const SLOTS: usize = 10;
/// Slots that open at once in the second part.
const OPENED: usize = 1_000;
/// Decisions of one round.
const DECISIONS: usize = 2_000;
/// Rounds for each number of waiters, one after the other through all numbers, so that a busy moment hits all alike.
const ROUNDS: usize = 5;
/// Least ratio of the rate with the most waiters to that with the fewest which counts as flat.
const FLAT: f64 = 0.8;

fn main() {
    let mut report = Report::default();
    one_by_one(&mut report);
    all_at_once(&mut report);
    report.print();
}

/// A slot comes back and goes to the next, again and again.
fn one_by_one(report: &mut Report) {
    let mut servers = WAITERS.map(|waiters| Server::with_waiters(waiters, SLOTS));
    let mut rates = [const { Vec::new() }; WAITERS.len()];
    for _ in 0..ROUNDS {
        for (server, rates) in servers.iter_mut().zip(&mut rates) {
            let before = server.time_in_ledger;
            for _ in 0..DECISIONS {
                server.arrive();
                server.end_oldest_holder();
                assert_eq!(server.holders(), SLOTS, "a slot lies idle");
            }
            rates.push(rate(DECISIONS, server.time_in_ledger - before));
        }
    }
    tell(report, "one slot at a time", rates.map(median));
}

/// All slots open at once: one pass and one status write for all of them.
fn all_at_once(report: &mut Report) {
    let mut rates = [const { Vec::new() }; WAITERS.len()];
    for _ in 0..ROUNDS {
        for (waiters, rates) in WAITERS.into_iter().zip(&mut rates) {
            let mut server = Server::with_waiters(waiters.max(OPENED), 0);
            let before = server.time_in_ledger;
            server.resize(OPENED);
            assert_eq!(server.holders(), OPENED, "a slot lies idle");
            rates.push(rate(OPENED, server.time_in_ledger - before));
        }
    }
    let rates = rates.map(median);
    // With 100 waiters there is nothing to fill 1,000 slots with.
    tell_from(report, "1,000 slots at once", 1, &rates);
}

fn tell(report: &mut Report, what: &str, rates: [f64; WAITERS.len()]) {
    tell_from(report, what, 0, &rates);
}

fn tell_from(report: &mut Report, what: &str, first: usize, rates: &[f64]) {
    let figures = || WAITERS.into_iter().zip(rates).skip(first);
    for (waiters, rate) in figures() {
        report.add(
            format!("(e) {what}, {waiters} waiters"),
            *rate,
            "/s",
            Goal::None,
        );
    }
    if let (Some((fewest, slow)), Some((most, fast))) = (figures().next(), figures().next_back()) {
        report.add(
            format!("(e) {what}: rate with {most} waiters / with {fewest}"),
            fast / slow,
            "",
            Goal::AtLeast(FLAT),
        );
    }
}
