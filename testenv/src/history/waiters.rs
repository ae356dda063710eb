//! Who waits at the end of a history, and could be granted: pods and claims in one queue.
//!
//! Tested through [`super::check_quiescent`].

use std::collections::BTreeMap;

use super::claim::{Claim, Phase};
use super::pod::Pod;
use super::pool::{Allows, Mode, Pool};
use super::request::{Amount, Attempt};
use super::resolve::{Want, claim_wants, rates, wants};
use super::version::{Kind, ObjectRef};
use super::world::World;

/// Most leases of one status: a full one keeps further holders waiting.
pub(super) const LEASES_MAX: usize = 1000;

/// Somebody who waits for room, or for nothing at all.
struct Waiter<'a> {
    asker: Asker<'a>,
    wants: BTreeMap<ObjectRef, Want>,
    fits: bool,
}

/// Who asks, be it a pod or a claim.
#[derive(Clone, Copy)]
struct Asker<'a> {
    kind: Kind,
    namespace: &'a str,
    name: &'a str,
    uid: &'a str,
    created: &'a str,
    priority: i64,
    ignores_missing: bool,
}

/// Who waits although nothing stands in its way.
pub(super) fn grantable(world: &World) -> Vec<(ObjectRef, String)> {
    let pods = world.pods.values().filter(|it| !it.gone);
    let claims = world.claims.values().filter(|it| !it.gone);
    let waiters: Vec<Waiter<'_>> = pods
        .filter_map(|it| waiting_pod(world, &it.last))
        .chain(claims.filter_map(|it| waiting_claim(world, &it.last)))
        .collect();
    let told = |waiter: &&Waiter<'_>| {
        waiter.fits
            && !waiters.iter().any(|other| {
                rank(&other.asker) < rank(&waiter.asker)
                    && other
                        .wants
                        .keys()
                        .any(|place| waiter.wants.contains_key(place))
            })
    };
    waiters
        .iter()
        .filter(told)
        .map(|waiter| {
            let Asker {
                kind,
                namespace,
                name,
                ..
            } = waiter.asker;
            let places: Vec<_> = waiter.wants.keys().map(ToString::to_string).collect();
            (
                ObjectRef::new(kind, namespace, name),
                format!(
                    "it waits, is next, and there is room in {}",
                    places.join(", ")
                ),
            )
        })
        .collect()
}

/// Its place in the queue; the smallest is first.
fn rank<'a>(asker: &Asker<'a>) -> (std::cmp::Reverse<i64>, &'a str, &'a str) {
    let priority = std::cmp::Reverse(asker.priority);
    (priority, asker.created, asker.uid)
}

/// The pod, if nothing but room can keep it waiting.
fn waiting_pod<'a>(world: &World, pod: &'a Pod) -> Option<Waiter<'a>> {
    let waits = pod.gated
        && pod.asks()
        && !pod.other_gates
        && !pod.deleting
        && !pod.is_terminal()
        && pod
            .attempt
            .is_some_and(|attempt| attempt != Attempt::TimedOut);
    let asker = Asker {
        kind: Kind::Pod,
        namespace: &pod.namespace,
        name: &pod.name,
        uid: &pod.uid,
        created: &pod.created,
        priority: pod.priority,
        ignores_missing: pod.ignores_missing,
    };
    let asks = || {
        let mut asks = wants(world, pod).ok()?;
        asks.extend(rates(world, pod).ok()?);
        Some(asks)
    };
    waiter(world, asker, waits.then(asks)??)
}

/// The claim, if nothing but room can keep it waiting.
fn waiting_claim<'a>(world: &World, claim: &'a Claim) -> Option<Waiter<'a>> {
    let waits = claim.phase == Phase::Pending
        && !claim.release
        && !claim.deleting
        && claim
            .attempt
            .is_some_and(|attempt| attempt != Attempt::TimedOut);
    let asker = Asker {
        kind: Kind::Claim,
        namespace: &claim.namespace,
        name: &claim.name,
        uid: &claim.uid,
        created: &claim.created,
        priority: claim.priority,
        ignores_missing: claim.ignores_missing,
    };
    waiter(
        world,
        asker,
        waits.then(|| claim_wants(world, claim).ok())??,
    )
}

fn waiter<'a>(
    world: &World,
    asker: Asker<'a>,
    wants: BTreeMap<ObjectRef, Want>,
) -> Option<Waiter<'a>> {
    // What a rate still allows, no version of a limit says by itself: such a request may wait, and be waited for.
    let decays = |place: &ObjectRef| world.pool(place).is_some_and(|pool| pool.decay.is_some());
    let mut fits = !wants.keys().any(decays);
    for (place, want) in &wants {
        match standing(world, &asker, place, want) {
            Standing::Aside => return None,
            Standing::Waits => fits = false,
            Standing::Fits => {}
        }
    }
    Some(Waiter { asker, wants, fits })
}

/// What one limit or lock says to a request.
enum Standing {
    Fits,
    Waits,
    /// It waits for something else than room, and so in no queue.
    Aside,
}

fn standing(world: &World, asker: &Asker<'_>, place: &ObjectRef, want: &Want) -> Standing {
    let family = want.family.as_ref().and_then(|family| world.pool(family));
    let Some(pool) = world.pool(place).or(family) else {
        return if asker.ignores_missing {
            Standing::Fits
        } else {
            Standing::Aside
        };
    };
    let allowed = asker.namespace == place.namespace || pool.allows == Allows::All;
    let too_small = pool.kind == Kind::Limit && want.amount.slots() > pool.slots;
    match pool.mode {
        Mode::Paused => Standing::Aside,
        _ if !allowed || pool.status.unreadable > 0 => Standing::Aside,
        Mode::Disabled => Standing::Fits,
        // The worker's own limit is not there: nobody holds it, unless there may be no more of them.
        Mode::Active if pool.family_label.is_some() => {
            let full = workers(world, want.family.as_ref()) >= pool.workers_max;
            if full || too_small {
                Standing::Aside
            } else {
                Standing::Fits
            }
        }
        Mode::Active if too_small => Standing::Aside,
        Mode::Active if has_room(pool, asker.uid, want.amount) => Standing::Fits,
        Mode::Active => Standing::Waits,
    }
}

/// How many workers of a family have limits.
fn workers(world: &World, family: Option<&ObjectRef>) -> usize {
    let Some(family) = family else { return 0 };
    let prefix = format!("{}--", family.name);
    let is_worker = |place: &ObjectRef| {
        place.kind == family.kind
            && place.namespace == family.namespace
            && place.name.starts_with(&prefix)
            && world.pool(place).is_some()
    };
    world.places.keys().filter(|place| is_worker(place)).count()
}

/// Whether it fits beside all others; leases of its own that a grant left behind are no obstacle to it.
fn has_room(pool: &Pool, uid: &str, amount: Amount) -> bool {
    let mut others = pool.status.entries().filter(|entry| entry.uid != uid);
    let fits = match amount {
        Amount::Slots(slots) => {
            let held = others.fold(slots, |sum, entry| sum.saturating_add(entry.amount.slots()));
            held <= pool.slots
        }
        Amount::Exclusive => others.next().is_none(),
        Amount::Shared => others.all(|entry| entry.amount == Amount::Shared),
    };
    fits && pool.status.leases.len() < LEASES_MAX
}
