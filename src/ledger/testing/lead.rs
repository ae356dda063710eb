//! Who may decide: followers, leaders that may be deposed, epochs nobody reached, aborts that need proof.

use std::sync::Arc;

use super::super::*;
use super::server::{Server, limit};
use super::{limit_spec, pod};

fn now(tick: u64) -> Now {
    Now {
        tick: Tick(tick),
        server: Micros(1_000_000_000_000 + tick * 1_000),
    }
}

/// A fenced limit `gpu` of one slot, written in this term.
fn fenced(server: &mut Server, epoch: u64, leader: &str) -> PoolObject {
    let mut object = server.create_pool(limit("gpu"), limit_spec(1));
    object.status = Part::Read(
        PoolStatus {
            fenced: true,
            epoch: Epoch(epoch),
            leader: Some(leader.into()),
            batch: Some("earlier-1".into()),
            ..PoolStatus::default()
        }
        .into(),
    );
    server.put_pool(object)
}

fn follower() -> Ledger {
    Ledger::new(Options {
        process: "p".into(),
        events: true,
        claims: ClaimTimes::default(),
    })
}

fn effects(ledger: &mut Ledger) -> Vec<Effect> {
    std::iter::from_fn(|| ledger.poll_effect()).collect()
}

fn see(ledger: &mut Ledger, tick: u64, object: &PoolObject) {
    ledger.handle(now(tick), Command::PoolSeen(Box::new(object.clone())));
}

fn statuses(effects: &[Effect]) -> Vec<&StatusWrite> {
    let written = effects.iter().filter_map(|effect| match effect {
        Effect::WriteStatus(write) => Some(write.as_ref()),
        _ => None,
    });
    written.collect()
}

/// A leader in epoch 2 that follows pod `a`, which waits for `gpu`.
fn leader(server: &mut Server) -> Ledger {
    let object = fenced(server, 1, "before");
    let mut ledger = follower();
    see(&mut ledger, 1, &object);
    ledger.handle(now(1), Command::RequestSeen(Box::new(pod("a", "gpu"))));
    ledger.handle(now(1), Command::Lead { epoch: Epoch(2) });
    ledger
}

#[test]
fn a_follower_takes_in_and_asks_for_nothing() {
    let mut server = Server::default();
    let object = fenced(&mut server, 1, "before");
    let mut ledger = follower();
    see(&mut ledger, 1, &object);
    ledger.handle(now(1), Command::RequestSeen(Box::new(pod("a", "gpu"))));
    ledger.handle(now(9_000), Command::Tick);
    assert_eq!(effects(&mut ledger), []);
    assert_eq!(ledger.poll_deadline(), None);
    assert_eq!(ledger.epoch_needed(), Epoch(2), "above another leader's");
    ledger.handle(now(9_001), Command::Lead { epoch: Epoch(2) });
    let asked = effects(&mut ledger);
    let written = statuses(&asked);
    assert_eq!(written.len(), 1, "it grants at once: {asked:?}");
    assert_eq!(written[0].status.leases.len(), 1);
    let term = (written[0].status.epoch, written[0].status.leader.clone());
    assert_eq!(term, (Epoch(2), Some("p".into())));
}

#[test]
fn a_follower_remembers_only_what_there_is() {
    let mut server = Server::default();
    let object = fenced(&mut server, 1, "before");
    let mut ledger = follower();
    see(&mut ledger, 1, &object);
    for index in 0..100 {
        let mut view = pod(&format!("a{index}"), "gpu");
        ledger.handle(now(index + 1), Command::RequestSeen(Box::new(view.clone())));
        view.version = Version(2);
        ledger.handle(now(index + 1), Command::RequestVanished(Box::new(view)));
        effects(&mut ledger);
    }
    assert_eq!(ledger.requests_len(), 0);
    // What a status names is followed until no status does, and so is what waits for our finalizer.
    let mut held = pod("held", "gpu");
    held.gates.ours = None;
    held.finalizer = true;
    held.progress.phase = PodPhase::Terminal;
    held.progress.containers = Containers::AllTerminated;
    held.node = Some("n".into());
    ledger.handle(now(200), Command::RequestSeen(Box::new(held)));
    effects(&mut ledger);
    assert_eq!(ledger.requests_len(), 1);
}

#[test]
fn a_status_of_a_later_term_stops_everything_until_the_epoch_is_raised() {
    let mut server = Server::default();
    let mut ledger = leader(&mut server);
    let other = server.create_pool(limit("db"), limit_spec(1));
    for (epoch, writer, stops) in [
        (2, "p", false),
        (2, "q", true),
        (7, "q", true),
        (9, "p", true),
    ] {
        let mut rival = ledger.clone();
        let mut shown = other.clone();
        shown.version = Version(1_000);
        shown.status = Part::Read(
            PoolStatus {
                epoch: Epoch(epoch),
                leader: Some(writer.into()),
                ..PoolStatus::default()
            }
            .into(),
        );
        see(&mut rival, 2, &shown);
        assert_eq!(rival.leads(), !stops, "epoch {epoch} of {writer}");
        let asked = effects(&mut rival);
        assert_eq!(
            asked.is_empty(),
            stops,
            "epoch {epoch} of {writer}: {asked:?}"
        );
        if stops {
            let needed = rival.epoch_needed();
            assert_eq!(needed, Epoch(epoch + u64::from(writer != "p")));
            rival.handle(now(3), Command::Lead { epoch: needed });
            let asked = effects(&mut rival);
            assert!(statuses(&asked).iter().all(|it| it.status.epoch == needed));
            assert!(!asked.is_empty(), "it goes on");
        }
    }
    assert!(!effects(&mut ledger).is_empty());
}

#[test]
fn an_absurd_epoch_sets_that_pool_alone_aside() {
    let mut server = Server::default();
    let mut ledger = leader(&mut server);
    let mut absurd = server.create_pool(limit("db"), limit_spec(1));
    absurd.status = Part::Read(
        PoolStatus {
            epoch: Epoch(bounds::EPOCH_AHEAD_MAX * 2),
            leader: Some("q".into()),
            ..PoolStatus::default()
        }
        .into(),
    );
    see(&mut ledger, 2, &absurd);
    ledger.handle(now(2), Command::RequestSeen(Box::new(pod("b", "db"))));
    assert!(ledger.leads());
    let asked = effects(&mut ledger);
    let written: Vec<_> = statuses(&asked).iter().map(|it| it.pool.clone()).collect();
    assert_eq!(written, [limit("gpu")]);
    let told = asked.iter().any(|effect| {
        matches!(effect, Effect::Event(event) if event.reason == "Quarantined" && event.note.contains("status.epoch"))
    });
    assert!(told, "{asked:?}");
}

/// `a` has its lease in a leader's eyes, is edited, and so has to be aborted; what is asked for.
fn edited(server: &mut Server) -> (Ledger, PoolObject, RequestView) {
    let mut ledger = leader(server);
    let write = effects(&mut ledger)
        .into_iter()
        .find_map(|effect| match effect {
            Effect::WriteStatus(write) => Some(*write),
            _ => None,
        })
        .unwrap();
    let WriteOutcome::Applied(applied) = server.write_status(&write) else {
        panic!()
    };
    let outcome = WriteOutcome::Applied(applied.clone());
    let (pool, batch) = (write.pool, write.batch);
    ledger.handle(
        now(2),
        Command::StatusWritten {
            pool,
            batch,
            outcome,
        },
    );
    // The reveal is on its way and refused, since the pod was edited meanwhile.
    effects(&mut ledger);
    let mut view = pod("a", "gpu=2");
    view.version = Version(5_000);
    ledger.handle(now(3), Command::RequestSeen(Box::new(view.clone())));
    (ledger, *applied, view)
}

fn bumps(effects: &[Effect]) -> usize {
    let bump = |effect: &&Effect| matches!(effect, Effect::Patch(patch) if matches!(patch.action, RequestAction::Bump { .. }));
    effects.iter().filter(bump).count()
}

#[test]
fn an_abort_needs_live_reads_of_the_request_and_its_pools() {
    let mut server = Server::default();
    let (mut ledger, object, view) = edited(&mut server);
    let asked = effects(&mut ledger);
    assert_eq!(bumps(&asked), 0, "{asked:?}");
    assert!(asked.contains(&Effect::ReadPool(limit("gpu"))), "{asked:?}");
    let read = |effect: &Effect| matches!(effect, Effect::ReadRequest { .. });
    assert!(asked.iter().any(read), "{asked:?}");
    let found = Found::Present(Box::new(view.clone()));
    let uid = view.uid.clone();
    ledger.handle(now(4), Command::RequestRead { uid, found });
    assert_eq!(bumps(&effects(&mut ledger)), 0, "the limit is not read yet");
    let found = Found::Present(Box::new(object));
    let pool = limit("gpu");
    ledger.handle(now(5), Command::PoolRead { pool, found });
    assert_eq!(bumps(&effects(&mut ledger)), 1);
}

#[test]
fn an_abort_is_not_sent_once_a_read_shows_a_successor() {
    let mut server = Server::default();
    let (mut ledger, mut object, view) = edited(&mut server);
    effects(&mut ledger);
    let found = Found::Present(Box::new(view.clone()));
    let uid = view.uid.clone();
    ledger.handle(now(4), Command::RequestRead { uid, found });
    object.version = Version(6_000);
    if let Part::Read(status) = &mut object.status {
        let status = Arc::make_mut(status);
        status.epoch = Epoch(3);
        status.leader = Some("q".into());
    }
    let found = Found::Present(Box::new(object));
    let pool = limit("gpu");
    ledger.handle(now(5), Command::PoolRead { pool, found });
    assert_eq!(effects(&mut ledger), [], "it may be deposed");
    ledger.handle(now(90_000), Command::Tick);
    assert_eq!(effects(&mut ledger), []);
}
