//! Invariant 4 for claims: on what ground the lease of a claim may go.
//!
//! A claim that waits gives its attempt up first. One that was told gives its slots back (`release`), or loses them by
//! a durable `Revoked`; where its holder may not have heard of that, or its object is gone, they stay until nobody can
//! believe any more. Moments are the server's, in whole seconds, and never later than the truth: what is found too
//! early is so.

use crate::history::claim::Phase;
use crate::history::evidence::was_released;
use crate::history::pool::Pool;
use crate::history::request::Entry;
use crate::history::who::Claimant;
use crate::history::world::{PoolChange, World};

/// What is wrong with the entry of a claim being gone.
pub(super) fn claim_loss(
    world: &World,
    change: &PoolChange,
    new: &Pool,
    entry: &Entry,
    claimant: &Claimant,
) -> Option<String> {
    let claim = &claimant.last;
    let by_word = was_released(world, &change.place, new, &entry.uid);
    if entry.rate || claim.release && claim.phase != Phase::Pending {
        return None;
    }
    let is_void = claim.record().is_some_and(|record| {
        record.lease_on(&change.place).is_none() && entry.attempt < record.attempt
    });
    match claim.phase {
        Phase::Denied | Phase::TimedOut | Phase::Released => None,
        Phase::Granted | Phase::Revoked if is_void => None,
        Phase::Pending => {
            let stands = claim.attempt.is_none_or(|it| it <= entry.attempt);
            (stands && !claimant.gone && !by_word).then(|| {
                let attempt = entry.attempt;
                format!(
                    "the lease of claim {} for {attempt} went, and that attempt may still be granted",
                    entry.holder()
                )
            })
        }
        Phase::Granted | Phase::Unknown if !claimant.gone => Some(format!(
            "the lease of claim {} went while it is {:?}, neither released nor revoked",
            entry.holder(),
            claim.phase
        )),
        Phase::Granted | Phase::Unknown | Phase::Revoked if by_word => None,
        Phase::Granted | Phase::Unknown => too_early(
            world,
            claimant.gone_at,
            linger_ms(entry, claimant),
            "its object went",
            entry,
        ),
        Phase::Revoked if claim.ran_out() => {
            let delay = claim.lock_delay_seconds.saturating_mul(1000);
            too_early(
                world,
                claimant.revoked_at,
                delay,
                "its lease ran out",
                entry,
            )
        }
        Phase::Revoked => too_early(
            world,
            claimant.revoked_at,
            linger_ms(entry, claimant),
            "it was revoked by force",
            entry,
        ),
    }
}

/// How long a lease stays whose holder may not have heard.
fn linger_ms(entry: &Entry, claimant: &Claimant) -> i64 {
    let written = entry.linger_seconds.map(|it| it.saturating_mul(1000));
    written.unwrap_or_else(|| claimant.last.linger_ms())
}

/// Whether a write came sooner after something than it may. It was made before its whole second was over.
fn too_early(
    world: &World,
    since: Option<i64>,
    at_least_ms: i64,
    what: &str,
    entry: &Entry,
) -> Option<String> {
    let since = since.filter(|it| *it > 0)?;
    let passed = world.now.saturating_sub(since);
    let at_most_ms = passed.saturating_add(1).saturating_mul(1000);
    (at_most_ms < at_least_ms).then(|| {
        format!(
            "the lease of claim {} went {passed} s after {what}, and its holder may believe for {at_least_ms} ms",
            entry.holder()
        )
    })
}
