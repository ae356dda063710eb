//! What is looked at again when a status write was applied.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::super::testing::server::limit;
use super::super::testing::{limit_spec, pod};
use super::super::*;

const NOW: Now = Now {
    tick: Tick(1),
    server: Micros(1_000_000),
};

/// A leader that knows a limit of one slot, and has sent the write of pod a's lease.
fn granting_a() -> (Ledger, StatusWrite) {
    let mut ledger = Ledger::new(Options {
        process: "test".into(),
        events: false,
        claims: ClaimTimes::default(),
    });
    let gpu = PoolObject {
        key: limit("gpu"),
        uid: "uid-gpu".into(),
        version: Version(1),
        generation: 1,
        deleting: false,
        spec: Part::Read(limit_spec(1)),
        status: Part::Read(Arc::new(PoolStatus {
            schema: 1,
            fenced: true,
            ..PoolStatus::default()
        })),
        owner: None,
        released: BTreeSet::new(),
        set_aside: None,
    };
    ledger.handle(NOW, Command::PoolSeen(Box::new(gpu)));
    ledger.handle(NOW, Command::Lead { epoch: Epoch(1) });
    let seen = pod("a", "gpu=1");
    ledger.handle(NOW, Command::RequestSeen(Box::new(seen)));
    let write = only_write(&mut ledger).expect("it writes the lease");
    (ledger, write)
}

/// The status write that is asked for now; whatever else is asked for stays unanswered.
fn only_write(ledger: &mut Ledger) -> Option<StatusWrite> {
    let effects = std::iter::from_fn(|| ledger.poll_effect());
    let mut writes = effects.filter_map(|effect| match effect {
        Effect::WriteStatus(write) => Some(*write),
        _ => None,
    });
    let write = writes.next();
    assert!(writes.next().is_none(), "one at a time");
    write
}

/// The server's answer: it has written this status.
fn applied(ledger: &mut Ledger, write: &StatusWrite, change: impl FnOnce(&mut PoolObject)) {
    let pool = &ledger.pools[&write.pool];
    let mut object = pool.seen.clone().expect("it is known");
    object.version = Version(object.version.0 + 1);
    object.status = Part::Read(Arc::clone(&write.status));
    change(&mut object);
    let answer = Command::StatusWritten {
        pool: write.pool.clone(),
        batch: write.batch.clone(),
        outcome: WriteOutcome::Applied(Box::new(object)),
    };
    ledger.handle(NOW, answer);
}

fn is_looked_at(ledger: &Ledger) -> bool {
    ledger.write_pools.contains(&limit("gpu"))
}

#[test]
fn a_write_that_was_applied_as_it_was_sent_leaves_nothing_to_look_at() {
    let (mut ledger, write) = granting_a();
    assert_eq!(write.status.leases.len(), 1);
    applied(&mut ledger, &write, |_| {});
    assert!(!is_looked_at(&ledger));
    assert!(ledger.dirty_requests.contains("uid-a"), "it is to be told");
}

#[test]
fn who_comes_while_a_write_is_under_way_is_counted_by_the_next() {
    let (mut ledger, write) = granting_a();
    let seen = pod("b", "gpu=1");
    ledger.handle(NOW, Command::RequestSeen(Box::new(seen)));
    assert_eq!(only_write(&mut ledger), None, "one is under way");
    applied(&mut ledger, &write, |_| {});
    let next = only_write(&mut ledger).expect("it says that somebody waits");
    assert_eq!((next.status.waiting, next.status.in_use), (1, 1));
}

#[test]
fn a_change_that_an_answer_shows_is_looked_at() {
    let (mut ledger, write) = granting_a();
    applied(&mut ledger, &write, |object| {
        object.generation = 2;
        object.spec = Part::Read(limit_spec(2));
    });
    assert!(is_looked_at(&ledger));
    let (mut ledger, write) = granting_a();
    applied(&mut ledger, &write, |object| {
        let mut status = (*write.status).clone();
        status.extra = Some("{\"theirs\":1}".into());
        object.status = Part::Read(Arc::new(status));
    });
    assert!(is_looked_at(&ledger));
}
