//! What the checker reads of one version of a claim. Written anew from the CRD's descriptions.

use serde_json::Value;

use super::grammar::{Mention, claim_mentions};
use super::request::{Attempt, Record};

/// Lease where a status names none, in seconds.
const LEASE_DEFAULT_SECONDS: i64 = 60;

/// One version of a claim.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Claim {
    pub(super) uid: String,
    pub(super) namespace: String,
    pub(super) name: String,
    /// What it asks for, or which entry cannot be read.
    pub(super) mentions: Result<Vec<Mention>, String>,
    pub(super) ignores_missing: bool,
    /// Asks for a rate; nothing is held by it.
    pub(super) rate: bool,
    /// Greater goes first.
    pub(super) priority: i64,
    pub(super) created: String,
    /// Lives as long as a pod, without renewals.
    pub(super) follows_pod: bool,
    pub(super) seq: i64,
    pub(super) release: bool,
    pub(super) phase: Phase,
    pub(super) reason: String,
    /// `None`: cannot be read.
    pub(super) attempt: Option<Attempt>,
    /// What was granted, or what is wrong with that; `None` before.
    pub(super) record: Option<Result<Record, String>>,
    pub(super) lease_seconds: i64,
    pub(super) lock_delay_seconds: i64,
    pub(super) deleting: bool,
}

/// What became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Pending,
    Granted,
    Denied,
    TimedOut,
    Revoked,
    Released,
    /// A word that nobody knows.
    Unknown,
}

impl Phase {
    fn read(word: Option<&str>) -> Self {
        match word {
            None | Some("Pending") => Self::Pending,
            Some("Granted") => Self::Granted,
            Some("Denied") => Self::Denied,
            Some("TimedOut") => Self::TimedOut,
            Some("Revoked") => Self::Revoked,
            Some("Released") => Self::Released,
            Some(_) => Self::Unknown,
        }
    }

    /// Nothing follows it.
    pub(super) fn is_final(self) -> bool {
        !matches!(self, Self::Pending | Self::Granted)
    }
}

impl Claim {
    pub(super) fn read(namespace: &str, name: &str, object: &Value) -> Self {
        let at = |pointer: &str| object.pointer(pointer);
        let text = |pointer: &str| at(pointer).and_then(Value::as_str);
        let number = |pointer: &str| at(pointer).and_then(Value::as_i64);
        let attempt = Attempt::from_field(at("/status/attempt"));
        let grants = at("/status/grants").and_then(Value::as_array);
        let phase = Phase::read(text("/status/phase"));
        let record = matches!(phase, Phase::Granted | Phase::Revoked).then(|| {
            let attempt = attempt.ok_or("its attempt cannot be read")?;
            Record::of(attempt, grants.map_or(&[], Vec::as_slice), namespace)
        });
        Self {
            uid: text("/metadata/uid").unwrap_or_default().to_owned(),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            mentions: claim_mentions(namespace, at("/spec").unwrap_or(&Value::Null)),
            ignores_missing: text("/spec/ifMissing") == Some("Ignore"),
            rate: text("/spec/kind") == Some("RateLimit"),
            // Above 0 only as far as the operator allows, which no test does.
            priority: number("/spec/priority").unwrap_or(0).min(0),
            created: text("/metadata/creationTimestamp")
                .unwrap_or_default()
                .to_owned(),
            follows_pod: at("/spec/podRef").is_some_and(Value::is_object),
            seq: number("/spec/renew/seq").unwrap_or(0),
            release: at("/spec/release").and_then(Value::as_bool) == Some(true),
            phase,
            reason: text("/status/reason").unwrap_or_default().to_owned(),
            attempt,
            record,
            lease_seconds: number("/status/leaseDurationSeconds").unwrap_or(LEASE_DEFAULT_SECONDS),
            lock_delay_seconds: number("/status/lockDelaySeconds").unwrap_or(0),
            deleting: text("/metadata/deletionTimestamp").is_some(),
        }
    }

    /// The record, when there is one that can be read.
    pub(super) fn record(&self) -> Option<&Record> {
        self.record.as_ref()?.as_ref().ok()
    }

    /// Silence after which a controller may take the lease for run out, in milliseconds.
    pub(super) fn expiry_ms(&self) -> i64 {
        self.lease_seconds.saturating_mul(1050)
    }

    /// How long slots stay when its holder may not have heard, in milliseconds.
    pub(super) fn linger_ms(&self) -> i64 {
        self.expiry_ms()
            .saturating_add(self.lock_delay_seconds.saturating_mul(1000))
    }

    /// It was taken away when its holder could not believe any more.
    pub(super) fn ran_out(&self) -> bool {
        self.phase == Phase::Revoked && matches!(self.reason.as_str(), "Expired" | "PodEnded")
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_claim_is_pending_without_a_word_and_has_a_record_once_granted() {
        let spec = json!({"slots": [{"limit": "gpu"}], "renew": {"seq": 7}, "priority": 5});
        let pending = Claim::read("ns", "c", &json!({"spec": spec, "status": {}}));
        assert_eq!(pending.phase, Phase::Pending);
        assert_eq!((pending.seq, pending.priority), (7, 0));
        assert!(pending.record.is_none());
        let grant = json!({"kind": "ConcurrencyLimit", "namespace": "ns", "key": "gpu", "uid": "g",
                           "slots": 1, "token": 9});
        let status = json!({"phase": "Granted", "attempt": 2, "grants": [grant],
                            "leaseDurationSeconds": 20, "lockDelaySeconds": 3});
        let granted = Claim::read("ns", "c", &json!({"spec": spec, "status": status}));
        assert_eq!(granted.record().unwrap().attempt, Attempt::Number(2));
        assert_eq!((granted.expiry_ms(), granted.linger_ms()), (21_000, 24_000));
        let odd = json!({"status": {"phase": "Granted", "grants": [{}]}});
        assert!(Claim::read("ns", "c", &odd).record().is_none());
    }
}
