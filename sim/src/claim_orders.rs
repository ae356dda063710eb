//! Directed runs about claims: what is promised to processes beside safety. Listed in [`crate::orders`].

use sluice::api::claim::{ClaimPhase, ClaimSlots, SlotClaimSpec};
use sluice::controller::transport::Kind;
use sluice::ledger::{Name, PoolKey, PoolKind, Uid};

use crate::check::Violation;
use crate::orders::{wait, wrong};
use crate::server::Writer;
use crate::world::{SECOND, World};

fn limit(name: &str) -> PoolKey {
    PoolKey::new(PoolKind::Limit, "ns".into(), name.into())
}

/// What a process wants that asks for one slot of a limit.
fn wants(name: &str, of: &str) -> SlotClaimSpec {
    SlotClaimSpec {
        slots: vec![ClaimSlots {
            limit: of.to_owned(),
            slots: 1,
            worker: None,
        }],
        lease_duration_seconds: Some(20),
        session: format!("session-of-{name}"),
        ..SlotClaimSpec::default()
    }
}

fn start(world: &mut World, name: &str, spec: SlotClaimSpec, works_seconds: u64) {
    world.start_plain(Name::from(name), spec, works_seconds * SECOND);
}

fn phase(world: &World, name: &str) -> Option<ClaimPhase> {
    let seen = world.server.claim_at(&"ns".into(), &name.into())?;
    Some(seen.claim.status.phase)
}

fn uid(world: &World, name: &str) -> Option<Uid> {
    let seen = world.server.claim_at(&"ns".into(), &name.into())?;
    Some(seen.claim.uid.clone())
}

fn holds(world: &World, key: &PoolKey, uid: &Uid) -> bool {
    let status = world.server.pool(key).and_then(|pool| pool.status.read());
    status.is_some_and(|status| status.entries().any(|it| it.uid == *uid))
}

/// A process works for three seconds and says that it has done.
pub(crate) fn released(world: &mut World) -> Result<(), Violation> {
    wait(world, 5)?;
    start(world, "one", wants("one", "db"), 3);
    wait(world, 2)?;
    let Some(uid) = uid(world, "one") else {
        return wrong("its claim is not there".to_owned());
    };
    let end = world.now().saturating_add(15 * SECOND);
    while world.now() < end {
        world.step()?;
        if world.server.claim(&uid).is_none() {
            return if holds(world, &limit("db"), &uid) {
                wrong("its claim went before its lease".to_owned())
            } else {
                Ok(())
            };
        }
    }
    wrong("it has released, and its claim is there still".to_owned())
}

/// `gpu` has room.
pub(crate) fn untried(world: &mut World) -> Result<(), Violation> {
    wait(world, 5)?;
    let spec = SlotClaimSpec {
        timeout_seconds: Some(0),
        ..wants("one", "gpu")
    };
    start(world, "one", spec, 20);
    wait(world, 4)?;
    match phase(world, "one") {
        Some(ClaimPhase::Granted) => Ok(()),
        other => wrong(format!("there was room, and it is {other:?}")),
    }
}

/// `db` has one slot; whoever waits for it goes on waiting when it is deleted.
pub(crate) fn limit_goes(world: &mut World) -> Result<(), Violation> {
    wait(world, 5)?;
    start(world, "one", wants("one", "db"), 60);
    wait(world, 2)?;
    start(world, "two", wants("two", "db"), 60);
    wait(world, 2)?;
    world.server.delete_pool(Writer::Person, &limit("db"));
    wait(world, 5)?;
    match phase(world, "two") {
        Some(ClaimPhase::Pending) => Ok(()),
        other => wrong(format!("it had waited, and is {other:?}")),
    }
}

/// A process works for as long as it likes, and is stopped.
pub(crate) fn held_too_long(world: &mut World) -> Result<(), Violation> {
    wait(world, 5)?;
    let spec = SlotClaimSpec {
        max_hold_seconds: Some(5),
        ..wants("one", "db")
    };
    start(world, "one", spec, 60);
    wait(world, 2)?;
    let began = phase(world, "one");
    wait(world, 8)?;
    match (began, phase(world, "one")) {
        (Some(ClaimPhase::Granted), Some(ClaimPhase::Revoked) | None) => Ok(()),
        other => wrong(format!(
            "it held for twice as long as it may, and is {other:?}"
        )),
    }
}

/// A claim of a limit that does not exist is refused as it arrives; one that would wait for it is not.
pub(crate) fn missing(world: &mut World) -> Result<(), Violation> {
    wait(world, 5)?;
    start(world, "one", wants("one", "nobody-made-this"), 5);
    let patient = SlotClaimSpec {
        if_missing: sluice::api::claim::ClaimIfMissing::Wait,
        ..wants("two", "nobody-made-this")
    };
    start(world, "two", patient, 5);
    wait(world, 5)?;
    match (phase(world, "one"), phase(world, "two")) {
        (Some(ClaimPhase::Denied), Some(ClaimPhase::Pending)) => Ok(()),
        other => wrong(format!("they are {other:?}")),
    }
}

/// A limit is made that the controller's watch does not show for a while; a claim of it is not refused.
pub(crate) fn made_unseen(world: &mut World) -> Result<(), Violation> {
    wait(world, 5)?;
    world.server.delete_pool(Writer::Person, &limit("gpu"));
    wait(world, 5)?;
    world.silence(Kind::Limit, 20 * SECOND);
    let spec = world
        .server
        .pool(&limit("db"))
        .and_then(|it| it.spec.read().cloned());
    let Some(spec) = spec else {
        return wrong("there is no such limit".to_owned());
    };
    world
        .server
        .create_pool(Writer::Person, &limit("gpu"), spec, None);
    start(world, "one", wants("one", "gpu"), 5);
    wait(world, 5)?;
    match phase(world, "one") {
        Some(ClaimPhase::Denied) => wrong("its limit was there, and it is refused".to_owned()),
        _ => Ok(()),
    }
}

/// A claim waits for ten seconds and is granted; a second controller, which had seen it waiting, hears of that much later,
/// and takes the claim from nobody who renews.
pub(crate) fn heard_late(world: &mut World) -> Result<(), Violation> {
    let late = world.add_controller();
    wait(world, 5)?;
    start(world, "one", wants("one", "db"), 12);
    wait(world, 2)?;
    let spec = SlotClaimSpec {
        lease_duration_seconds: Some(60),
        ..wants("two", "db")
    };
    start(world, "two", spec, 200);
    wait(world, 2)?;
    world.freeze(late, 41 * SECOND);
    wait(world, 80)?;
    match phase(world, "two") {
        Some(ClaimPhase::Granted) => Ok(()),
        other => wrong(format!("its holder renews, and it is {other:?}")),
    }
}
