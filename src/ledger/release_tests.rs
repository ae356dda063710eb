//! When the proof of an end may go: not before everybody has done with it.

use std::collections::BTreeSet;

use super::super::testing::{limit_spec, pod};
use super::super::*;

/// A limit that wants proof, in a status with these leases, of which the newest has this token.
fn licence(version: u128, last_token: u64, leases: Vec<Lease>) -> PoolObject {
    PoolObject {
        key: PoolKey::new(PoolKind::Limit, "ns".into(), "licence".into()),
        uid: "uid-licence".into(),
        version: Version(version),
        generation: 1,
        deleting: false,
        spec: Part::Read(PoolSpec {
            release: ReleasePolicy::Confirmed,
            ..limit_spec(1)
        }),
        status: Part::Read(
            PoolStatus {
                schema: 1,
                last_token: Token(last_token),
                leases,
                fenced: true,
                ..PoolStatus::default()
            }
            .into(),
        ),
        owner: None,
        released: BTreeSet::new(),
        set_aside: None,
    }
}

/// A pod that was revealed with token 7, and has ended with proof.
fn ended() -> RequestView {
    let mut view = pod("a", "licence=1");
    view.gates.ours = None;
    view.node = Some("node-1".into());
    view.finalizer = true;
    view.finalizers = ["sluice.dev/confirm-end".into()].into();
    view.granted = Some(Granted {
        attempt: Attempt::Number(0),
        leases: [GrantedLease {
            pool: licence(1, 0, Vec::new()).key,
            pool_uid: "uid-licence".into(),
            amount: Amount::Slots(1),
            token: Token(7),
        }]
        .into(),
    });
    view.progress = Progress {
        phase: PodPhase::Terminal,
        containers: Containers::AllTerminated,
        by_pod_gc: false,
    };
    view
}

/// What a controller asks for that knows the limit in this version, and that the pod has ended.
fn effects(limit: PoolObject) -> Vec<Effect> {
    let mut ledger = Ledger::new(Options {
        process: "test".into(),
        events: false,
        claims: ClaimTimes::default(),
    });
    let now = Now {
        tick: Tick(1),
        server: Micros(1_000_000),
    };
    for command in [
        Command::PoolSeen(Box::new(limit)),
        Command::RequestSeen(Box::new(ended())),
        Command::Lead { epoch: Epoch(1) },
    ] {
        ledger.handle(now, command);
    }
    std::iter::from_fn(|| ledger.poll_effect()).collect()
}

fn strips(effects: &[Effect]) -> bool {
    effects
        .iter()
        .any(|it| matches!(it, Effect::Patch(patch) if patch.kind() == PatchKind::StripFinalizer))
}

#[test]
fn a_finalizer_stays_while_the_limit_may_hold_a_lease_that_was_not_seen_yet() {
    let behind = effects(licence(3, 6, Vec::new()));
    assert!(!strips(&behind), "{behind:?}");
    assert!(
        behind.iter().any(|it| matches!(it, Effect::ReadPool(_))),
        "{behind:?}"
    );
    // It has seen the lease come and go.
    assert!(strips(&effects(licence(5, 7, Vec::new()))));
    assert!(strips(&effects(licence(6, 9, Vec::new()))));
}

#[test]
fn a_finalizer_stays_while_the_lease_is_there() {
    let lease = Lease {
        uid: "uid-a".into(),
        kind: HolderKind::Pod,
        namespace: "ns".into(),
        name: "a".into(),
        amount: Amount::Slots(1),
        token: Token(7),
        attempt: Attempt::Number(0),
        granted_at: Micros(1),
        linger: None,
        extra: None,
    };
    let asked = effects(licence(4, 7, vec![lease]));
    assert!(!strips(&asked), "{asked:?}");
    assert!(
        asked.iter().any(|it| matches!(it, Effect::WriteStatus(_))),
        "{asked:?}"
    );
}
