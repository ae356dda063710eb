//! Invariants 6, 8 and 12 for claims: phases go forwards and final ones stay, attempt, `seq` and `release` never go back,
//! what was granted stays as it was told, and none is taken away sooner than its lease allows.
//!
//! A revoke by expiry follows the last renewal by 1.05 times the lease; only a grant that was never renewed, of a claim
//! that had waited for more than half its lease, may lapse after 15 s. Times are the server's, in whole seconds.

use super::Rule;
use crate::history::checker::Report;
use crate::history::claim::{Claim, Phase};
use crate::history::violation::Invariant;
use crate::history::who::Claimant;
use crate::history::world::{Change, ClaimChange, World};

/// How soon a grant may lapse whose holder has not shown that it lives, in milliseconds.
const LAPSE_MS: i64 = 15_000;

/// Judges each version of a claim by the one before.
pub(super) struct ClaimLife;

impl Rule for ClaimLife {
    fn judge(&mut self, world: &World, change: &Change, report: &mut Report<'_>) {
        let Change::Claim(change) = change else {
            return;
        };
        let Some(new) = change.new.as_deref() else {
            return;
        };
        let Some(old) = change.old.as_deref() else {
            return;
        };
        let mut add = |invariant, message| report.add(invariant, &change.place, message);
        if old.attempt > new.attempt {
            let attempt = |claim: &Claim| claim.attempt.map_or("none".into(), |it| it.to_string());
            let message = format!("{} went back to {}", attempt(old), attempt(new));
            add(Invariant::Fence, message);
        }
        if old.seq > new.seq {
            let message = format!("seq went back from {} to {}", old.seq, new.seq);
            add(Invariant::ClaimLife, message);
        }
        if old.release && !new.release {
            add(Invariant::ClaimLife, "its release was taken back".into());
        }
        if old.mentions != new.mentions {
            add(Invariant::ClaimLife, "what it asks for was changed".into());
        }
        if !may_follow(old.phase, new.phase) {
            let message = format!("{:?} became {:?}", old.phase, new.phase);
            add(Invariant::ClaimLife, message);
        }
        let told = matches!(old.phase, Phase::Granted | Phase::Revoked);
        if told && new.record.is_some() && terms(old) != terms(new) {
            let message = "what it was told was changed".into();
            add(Invariant::RevealOnce, message);
        }
        if old.phase == Phase::Granted && new.phase == Phase::Revoked && new.reason == "Expired" {
            let message = world
                .claims
                .get(&change.uid)
                .and_then(|claimant| revoked_early(world, change, claimant, old));
            if let Some(message) = message {
                add(Invariant::ClaimLife, message);
            }
        }
        if new.phase == Phase::Released && !new.release {
            let message = "it is Released, and nobody released it".into();
            add(Invariant::ClaimLife, message);
        }
    }
}

/// What stays as it was told.
fn terms(claim: &Claim) -> impl PartialEq {
    (
        claim.record.clone(),
        claim.lease_seconds,
        claim.lock_delay_seconds,
    )
}

fn may_follow(old: Phase, new: Phase) -> bool {
    let goes_on = match old {
        Phase::Pending => true,
        Phase::Granted => matches!(new, Phase::Revoked | Phase::Released),
        _ => false,
    };
    old == new || goes_on && new != Phase::Unknown
}

/// What is wrong with the moment of a revoke by expiry.
fn revoked_early(
    world: &World,
    change: &ClaimChange,
    claimant: &Claimant,
    old: &Claim,
) -> Option<String> {
    if old.follows_pod {
        return Some("a claim that lives as long as a pod has expired".into());
    }
    let renewed_at = change.renewed_before.filter(|it| *it > 0)?;
    let passed = world.now.saturating_sub(renewed_at);
    let at_most = |seconds: i64| seconds.saturating_add(1).saturating_mul(1000);
    let waited = claimant.granted_at?.saturating_sub(claimant.created_at);
    let unconfirmed =
        old.seq == claimant.granted_seq && at_most(waited) > old.lease_seconds.saturating_mul(500);
    let at_least = if unconfirmed {
        LAPSE_MS.min(old.expiry_ms())
    } else {
        old.expiry_ms()
    };
    (at_most(passed) < at_least).then(|| {
        format!(
            "it was revoked {passed} s after its last renewal, seq {}, and its lease lasts {at_least} ms",
            old.seq
        )
    })
}
