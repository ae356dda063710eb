//! From a `SlotClaim` to what the ledger is shown of it.

use std::sync::Arc;

use crate::api::claim::{ClaimIfMissing, ClaimKind, SlotClaimSpec};
#[cfg(feature = "controller")]
use crate::api::claim::{ClaimPhase as ApiPhase, SlotClaimStatus};
use crate::api::key::{Key, QualifiedKey};
use crate::api::status::LockMode;
use crate::ledger::{Amount, Mention, Name, PoolKey, PoolKind, Span, Wants};
#[cfg(feature = "controller")]
use crate::ledger::{ClaimPhase, ClaimView, RevokeReason, Terms};

/// What is particular to a claim.
#[cfg(feature = "controller")]
pub(crate) fn claim_view(spec: &SlotClaimSpec, status: &SlotClaimStatus) -> ClaimView {
    ClaimView {
        phase: match status.phase {
            ApiPhase::Pending => ClaimPhase::Pending,
            ApiPhase::Granted => ClaimPhase::Granted,
            ApiPhase::Denied => ClaimPhase::Denied,
            ApiPhase::TimedOut => ClaimPhase::TimedOut,
            ApiPhase::Revoked => ClaimPhase::Revoked,
            ApiPhase::Released => ClaimPhase::Released,
        },
        seq: u64::try_from(spec.renew.seq).unwrap_or(0),
        release: spec.release,
        expired: [RevokeReason::Expired, RevokeReason::PodEnded]
            .iter()
            .any(|reason| reason.word() == status.reason),
        lease: spec.lease_duration_seconds.map(seconds),
        hold_max: spec.max_hold_seconds.map(seconds),
        pod: spec
            .pod_ref
            .as_ref()
            .map(|pod| (pod.uid.as_str().into(), pod.name.as_str().into())),
        terms: status.lease_duration_seconds.map(|lease| Terms {
            lease: seconds(lease),
            lock_delay: status.lock_delay_seconds.map(seconds).unwrap_or_default(),
        }),
    }
}

/// Seconds of the API; nothing below none.
pub(crate) fn seconds(seconds: i32) -> Span {
    Span::seconds(u64::try_from(seconds).unwrap_or(0))
}

/// What a claim of this namespace asks for; or why it cannot be read.
#[cfg(feature = "controller")]
pub(crate) fn claim_wants(spec: &SlotClaimSpec, namespace: &Name) -> Result<Wants, String> {
    Ok(wants_of(spec, claim_mentions(spec, namespace)?))
}

/// What a claim asks for that names these pools.
pub(crate) fn wants_of(spec: &SlotClaimSpec, mentions: Arc<[Mention]>) -> Wants {
    Wants {
        mentions,
        ignore_missing: spec.if_missing == ClaimIfMissing::Ignore,
        timeout: spec.timeout_seconds.map(seconds),
        fail_on_timeout: true,
        deny_missing: spec.if_missing == ClaimIfMissing::Deny,
    }
}

/// The pools that a claim of this namespace names, which follow from its slots, locks and kind alone; or why they cannot
/// be read.
pub(crate) fn claim_mentions(
    spec: &SlotClaimSpec,
    namespace: &Name,
) -> Result<Arc<[Mention]>, String> {
    let rate = spec.kind == ClaimKind::RateLimit;
    let mut mentions = Vec::with_capacity(spec.slots.len().saturating_add(spec.locks.len()));
    for entry in &spec.slots {
        let slots = u32::try_from(entry.slots)
            .map_err(|_| format!("spec.slots: limit {} asks for {}", entry.limit, entry.slots))?;
        let key = qualified("spec.slots", &entry.limit)?;
        let name = match &entry.worker {
            Some(worker) => key
                .key
                .child(worker)
                .map_err(|why| format!("spec.slots: worker of limit {}: {why}", entry.limit))?,
            None => key.key,
        };
        let amount = if rate {
            Amount::Rate(slots)
        } else {
            Amount::Slots(slots)
        };
        mentions.push(mention(
            PoolKind::Limit,
            key.namespace,
            &name,
            namespace,
            amount,
        ));
    }
    for entry in &spec.locks {
        let key = qualified("spec.locks", &entry.lock)?;
        let amount = match entry.mode {
            LockMode::Shared => Amount::Shared,
            LockMode::Exclusive => Amount::Exclusive,
        };
        mentions.push(mention(
            PoolKind::Lock,
            key.namespace,
            &key.key,
            namespace,
            amount,
        ));
    }
    Ok(mentions.into())
}

fn qualified(field: &str, text: &str) -> Result<QualifiedKey, String> {
    QualifiedKey::parse(text).map_err(|why| format!("{field}: {text:?}: {why}"))
}

fn mention(kind: PoolKind, of: Option<String>, key: &Key, own: &Name, amount: Amount) -> Mention {
    Mention {
        pool: PoolKey::new(
            kind,
            of.map_or_else(|| own.clone(), Name::from),
            key.object_name().into(),
        ),
        amount,
    }
}
