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
/// Slots of the limit in the first part: so many hold at any time.
const FEW_SLOTS: usize = 10;
/// Slots in the second part; as many as a status has room for.
const MANY_SLOTS: usize = 1_000;
/// Decisions of one round; a multiple of the slots.
const DECISIONS: usize = 2_000;
/// Rounds for each number of waiters, one after the other through all numbers, so that a busy moment hits all alike.
const ROUNDS: usize = 5;
/// Least ratio of the rate with the most waiters to that with the fewest which counts as flat.
const FLAT: f64 = 0.8;

fn main() {
    let mut report = Report::default();
    measure(
        &mut report,
        "one end at a time, 10 slots",
        FEW_SLOTS,
        |server| {
            for _ in 0..DECISIONS {
                server.arrive();
                server.end_oldest_holder();
            }
        },
    );
    measure(
        &mut report,
        "1,000 ends at once, 1,000 slots",
        MANY_SLOTS,
        |server| {
            for _ in 0..DECISIONS / MANY_SLOTS {
                for _ in 0..MANY_SLOTS {
                    server.arrive();
                }
                server.end_all_holders();
            }
        },
    );
    edit(&mut report);
    report.print();
}

/// Slots come back and go to the next, again and again, with any number of waiters.
fn measure(report: &mut Report, what: &str, slots: usize, decide: impl Fn(&mut Server)) {
    let mut servers = WAITERS.map(|waiters| Server::with_waiters(waiters, slots));
    let mut rates = [const { Vec::new() }; WAITERS.len()];
    for _ in 0..ROUNDS {
        for (server, rates) in servers.iter_mut().zip(&mut rates) {
            let before = server.time_in_ledger;
            decide(server);
            rates.push(rate(DECISIONS, server.time_in_ledger - before));
            assert_eq!(server.holders(), slots, "a slot lies idle");
        }
    }
    let rates = rates.map(median);
    for (waiters, rate) in WAITERS.into_iter().zip(rates) {
        let what = format!("(e) {what}: decisions, {waiters} waiters");
        report.add(what, rate, "/s", Goal::None);
    }
    let [fewest, .., most] = rates;
    let what = format!("(e) {what}: 100,000 waiters / 100");
    report.add(what, most / fewest, "", Goal::AtLeast(FLAT));
}

/// An edit of the limit concerns every waiter: that may cost what it costs once, and is told.
fn edit(report: &mut Report) {
    for waiters in WAITERS {
        let mut server = Server::with_waiters(waiters, FEW_SLOTS);
        let times = (1..=ROUNDS).map(|more| {
            let before = server.time_in_ledger;
            server.resize(FEW_SLOTS + more);
            (server.time_in_ledger - before).as_secs_f64() * 1_000.0
        });
        let what = format!("(e) the limit is edited: {waiters} waiters");
        report.add(what, median(times), "ms", Goal::None);
    }
}
