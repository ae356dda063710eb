//! A claim of an embedded client, as a server would keep it.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;

use crate::api::claim::{
    ClaimGrant, ClaimPhase as ApiPhase, LAST_ATTEMPT, SlotClaimSpec, SlotClaimStatus,
};
use crate::api::granted::GrantedKind;
use crate::api::status::LockMode;
use crate::client::direct::Holder;
use crate::client::store::ClaimVersion;
use crate::convert::seconds;
use crate::ledger::{
    Amount, Ask, Attempt, ClaimAction, ClaimPhase, ClaimView, Gates, Granted, GrantedLease, Micros,
    Name, PoolKind, Progress, RequestText, RequestView, RevokeReason, Span, Uid, Version, Wants,
};

/// One claim.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) view: RequestView,
    pub(super) spec: Box<SlotClaimSpec>,
    pub(super) reason: String,
    pub(super) message: String,
    granted_at: Option<Micros>,
    /// Who holds it in this process: it needs no renewal by anybody else.
    pub(super) holder: Option<Arc<dyn Holder>>,
}

/// What every claim has in common.
static TEXT: LazyLock<Arc<RequestText>> = LazyLock::new(Default::default);
static LABELS: LazyLock<Arc<BTreeMap<Name, Name>>> = LazyLock::new(Default::default);
static FINALIZERS: LazyLock<Arc<[Name]>> = LazyLock::new(|| Arc::new([]));

impl Row {
    /// A claim that waits, as it is created.
    pub(super) fn new(
        uid: Uid,
        namespace: Name,
        name: Name,
        spec: Box<SlotClaimSpec>,
        wants: Wants,
        arrival: Micros,
    ) -> Self {
        let claim = ClaimView {
            phase: ClaimPhase::Pending,
            seq: u64::try_from(spec.renew.seq).unwrap_or(0),
            release: spec.release,
            expired: false,
            lease: spec.lease_duration_seconds.map(seconds),
            hold_max: spec.max_hold_seconds.map(seconds),
            pod: None,
            terms: None,
        };
        let view = RequestView {
            uid,
            namespace,
            name,
            version: Version(0),
            arrival,
            priority: spec.priority.unwrap_or(0),
            ask: Ask::Wants(wants),
            text: Arc::clone(&TEXT),
            labels: Arc::clone(&LABELS),
            managed: true,
            attempt: Some(Attempt::Number(0)),
            gates: Gates {
                ours: Some(0),
                others: false,
            },
            granted: None,
            deleting: false,
            finalizers: Arc::clone(&FINALIZERS),
            finalizer: false,
            node: None,
            progress: Progress::default(),
            claim: Some(claim),
        };
        Self {
            view,
            spec,
            reason: String::new(),
            message: String::new(),
            granted_at: None,
            holder: None,
        }
    }

    pub(super) fn phase(&self) -> ClaimPhase {
        let claim = self.view.claim.as_ref();
        claim.map_or(ClaimPhase::Released, |claim| claim.phase)
    }

    /// Shows in the view what was written into the spec.
    pub(super) fn reflect(&mut self) {
        let Some(claim) = &mut self.view.claim else {
            return;
        };
        claim.seq = u64::try_from(self.spec.renew.seq).unwrap_or(0);
        claim.release = self.spec.release;
        // Who gives up while waiting is on the way out: abort first.
        self.view.deleting = claim.phase == ClaimPhase::Pending && claim.release;
    }

    /// A write of the status, if its tests hold.
    pub(super) fn apply(&mut self, action: ClaimAction) -> bool {
        let Some(claim) = &mut self.view.claim else {
            return false;
        };
        let pending = claim.phase == ClaimPhase::Pending;
        let attempt = self.view.attempt;
        match action {
            ClaimAction::Grant {
                attempt: of,
                leases,
                terms,
                at,
            } if pending && attempt == Some(of) => {
                claim.phase = ClaimPhase::Granted;
                claim.terms = Some(terms);
                self.view.granted = Some(Granted {
                    attempt: of,
                    leases: leases.into(),
                });
                self.granted_at = Some(at);
            }
            ClaimAction::Bump { from, to } if pending && attempt == Some(from) => {
                self.view.attempt = Some(to);
                return true;
            }
            ClaimAction::Refuse {
                from,
                phase,
                reason,
                message,
            } if pending && attempt == Some(from) => {
                claim.phase = phase;
                self.view.attempt = Some(Attempt::TimedOut);
                self.reason = reason.to_owned();
                self.message = message.to_string();
            }
            ClaimAction::Revoke {
                seq,
                reason,
                message,
            } if claim.phase == ClaimPhase::Granted && claim.seq == seq => {
                claim.phase = ClaimPhase::Revoked;
                claim.expired = matches!(reason, RevokeReason::Expired | RevokeReason::PodEnded);
                self.reason = reason.word().to_owned();
                self.message = message.to_string();
            }
            ClaimAction::Finish { from, attempt: of }
                if claim.phase == from && attempt == Some(of) && claim.release =>
            {
                claim.phase = ClaimPhase::Released;
            }
            _ => return false,
        }
        self.view.gates.ours = None;
        self.view.deleting = false;
        true
    }

    /// The leases it was granted.
    pub(super) fn leases(&self) -> &[GrantedLease] {
        let granted = self.view.granted.as_ref();
        granted.map_or(&[], |granted| &granted.leases)
    }

    /// The claim as a client reads it.
    pub(super) fn read(&self) -> ClaimVersion {
        ClaimVersion {
            name: self.view.name.to_string(),
            uid: self.view.uid.to_string(),
            version: u64::try_from(self.view.version.0).unwrap_or(u64::MAX),
            deleting: false,
            spec: (*self.spec).clone(),
            status: self.status(),
        }
    }

    fn status(&self) -> SlotClaimStatus {
        let phase = match self.phase() {
            ClaimPhase::Pending => ApiPhase::Pending,
            ClaimPhase::Granted => ApiPhase::Granted,
            ClaimPhase::Denied => ApiPhase::Denied,
            ClaimPhase::TimedOut => ApiPhase::TimedOut,
            ClaimPhase::Revoked => ApiPhase::Revoked,
            ClaimPhase::Released => ApiPhase::Released,
        };
        let terms = self.view.claim.as_ref().and_then(|claim| claim.terms);
        let ends = terms.and_then(|terms| Some(self.granted_at?.after(terms.lease)));
        SlotClaimStatus {
            phase,
            attempt: match self.view.attempt {
                Some(Attempt::Number(number)) => i64::from(number),
                Some(Attempt::TimedOut) | None => LAST_ATTEMPT,
            },
            reason: self.reason.clone(),
            message: self.message.clone(),
            grants: self.leases().iter().map(grant).collect(),
            lease_duration_seconds: terms.map(|terms| whole_seconds(terms.lease)),
            lock_delay_seconds: terms.map(|terms| whole_seconds(terms.lock_delay)),
            granted_at: self.granted_at.map(time),
            expires_at: ends.map(time),
        }
    }
}

fn whole_seconds(span: Span) -> i32 {
    i32::try_from(span.0.div_ceil(1000)).unwrap_or(i32::MAX)
}

fn time(micros: Micros) -> Time {
    let micros = i64::try_from(micros.0).unwrap_or(i64::MAX);
    Time(Timestamp::from_microsecond(micros).unwrap_or(Timestamp::UNIX_EPOCH))
}

/// One grant, as a status has it.
pub(super) fn grant(lease: &GrantedLease) -> ClaimGrant {
    let (slots, rate, mode) = match lease.amount {
        Amount::Slots(slots) => (Some(slots), false, None),
        Amount::Rate(slots) => (Some(slots), true, None),
        Amount::Shared => (None, false, Some(LockMode::Shared)),
        Amount::Exclusive => (None, false, Some(LockMode::Exclusive)),
    };
    ClaimGrant {
        kind: match lease.pool.kind {
            PoolKind::Limit => GrantedKind::ConcurrencyLimit,
            PoolKind::Lock => GrantedKind::Lock,
        },
        namespace: lease.pool.namespace.to_string(),
        key: lease.pool.text(),
        uid: lease.pool_uid.to_string(),
        slots: slots.map(|slots| i32::try_from(slots).unwrap_or(i32::MAX)),
        rate,
        mode,
        token: i64::try_from(lease.token.0).unwrap_or(i64::MAX),
    }
}
