//! A claim as the modelled server keeps it, what the controller's own translation makes of it, and the CRD's rules about it
//! written a second time (`CLAIM_*` in `src/api/rules.rs`).

use serde_json::{Value, json};
use sluice::api::claim::{ClaimKind, ClaimPhase, SlotClaimSpec, SlotClaimStatus};
use sluice::controller::translate;
use sluice::controller::transport::PatchOperation;
use sluice::ledger::{Micros, Name, RequestView, Uid};

use super::pod::time_text;
use super::rules::Rules;

/// Most that one renewal may raise `renew.seq` by.
const SEQ_STEP_MAX: i64 = 1_000;

/// One version of a claim.
#[derive(Clone, PartialEq, Debug)]
pub struct Claim {
    /// Which.
    pub uid: Uid,
    /// Where.
    pub namespace: Name,
    /// Under which name.
    pub name: Name,
    /// Which version.
    pub version: u128,
    /// When it was created.
    pub created: Micros,
    /// What its holder wrote.
    pub spec: SlotClaimSpec,
    /// What controllers wrote.
    pub status: SlotClaimStatus,
}

/// A version of a claim with the request it carries, translated once.
#[derive(Clone, PartialEq, Debug)]
pub struct SeenClaim {
    /// The claim.
    pub claim: Claim,
    /// The request, as the controller's translation reads it.
    pub view: RequestView,
}

/// A rule of the CRD about claims.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ClaimRule {
    /// `claim-stays`.
    Stays,
    /// `claim-renews-forward`.
    RenewsForward,
    /// `claim-released-for-good`.
    ReleasedForGood,
    /// `claim-final`.
    Final,
    /// `claim-attempt-never-back`.
    AttemptNeverBack,
}

impl ClaimRule {
    /// What no correct controller ever writes: its patches test what these rules look at.
    pub fn is_about_bugs(self) -> bool {
        matches!(self, Self::Final | Self::AttemptNeverBack)
    }
}

impl Claim {
    /// It holds, as far as its status says.
    pub fn is_granted(&self) -> bool {
        self.status.phase == ClaimPhase::Granted
    }

    /// It was granted what is taken for a rate, and never held.
    pub fn is_taken(&self) -> bool {
        self.is_granted() && self.spec.kind == ClaimKind::RateLimit
    }

    /// With the request it carries.
    pub fn seen(self) -> SeenClaim {
        let view = match serde_json::from_value(self.manifest()) {
            Ok(object) => translate::claim(object, None),
            Err(error) => crate::bug(&format!(
                "the modelled server made a claim that cannot be read: {error}"
            )),
        };
        SeenClaim { claim: self, view }
    }

    fn manifest(&self) -> Value {
        json!({
            "apiVersion": "sluice.dev/v1alpha1",
            "kind": "SlotClaim",
            "metadata": {
                "uid": self.uid.as_str(),
                "namespace": self.namespace.as_str(),
                "name": self.name.as_str(),
                "resourceVersion": self.version.to_string(),
                "creationTimestamp": time_text(self.created),
            },
            "spec": self.spec,
            "status": self.status,
        })
    }
}

/// Applies a patch to what people write (or, `of_status`, to what controllers write), or says which operation failed.
pub(super) fn patched(
    claim: &Claim,
    of_status: bool,
    operations: &[PatchOperation],
) -> Result<Claim, String> {
    let mut object = claim.manifest();
    for operation in operations {
        match operation {
            PatchOperation::Test { path, value } => {
                let found = object.pointer(path).cloned().unwrap_or_default();
                if found != *value {
                    return Err(format!("test {path}: {found} is not {value}"));
                }
            }
            PatchOperation::Add { path, value } => add(&mut object, path, value)?,
            PatchOperation::Remove { path } => {
                crate::bug(&format!("nobody removes {path} of a claim"))
            }
        }
    }
    let mut next = claim.clone();
    let part = |name: &str| object.get(name).cloned().unwrap_or_default();
    let schema = |error: serde_json::Error| format!("schema: {error}");
    if of_status {
        next.status = serde_json::from_value(part("status")).map_err(schema)?;
    } else {
        next.spec = serde_json::from_value(part("spec")).map_err(schema)?;
    }
    Ok(next)
}

fn add(object: &mut Value, path: &str, value: &Value) -> Result<(), String> {
    let (parent, key) = path.rsplit_once('/').unwrap_or_default();
    match object.pointer_mut(parent).and_then(Value::as_object_mut) {
        Some(parent) => {
            parent.insert(key.to_owned(), value.clone());
            Ok(())
        }
        None => Err(format!("add {path}: there is nothing to add to")),
    }
}

/// The first rule that a change of a claim breaks. Those about renewals and releases are always there: the protocol relies
/// on them. The others stop wrong controllers only, and hide what they did.
pub(super) fn broken(rules: Rules, old: &Claim, new: &Claim) -> Option<ClaimRule> {
    let (was, is) = (&old.spec, &new.spec);
    let may_change = SlotClaimSpec {
        session: was.session.clone(),
        renew: was.renew.clone(),
        release: was.release,
        ..is.clone()
    };
    if may_change != *was {
        return Some(ClaimRule::Stays);
    }
    let steps = is.renew.seq.saturating_sub(was.renew.seq);
    let same = is.renew == was.renew && is.session == was.session;
    let forward =
        (1..=SEQ_STEP_MAX).contains(&steps) && !was.release && !old.status.phase.is_final();
    if !(same || forward) {
        return Some(ClaimRule::RenewsForward);
    }
    if was.release && !is.release {
        return Some(ClaimRule::ReleasedForGood);
    }
    if rules == Rules::None || new.status == old.status {
        return None;
    }
    if new.status.attempt < old.status.attempt {
        return Some(ClaimRule::AttemptNeverBack);
    }
    is_final_broken(&old.status, &new.status).then_some(ClaimRule::Final)
}

fn is_final_broken(was: &SlotClaimStatus, is: &SlotClaimStatus) -> bool {
    let ends = matches!(is.phase, ClaimPhase::Revoked | ClaimPhase::Released);
    let kept = is.grants == was.grants
        && is.lease_duration_seconds == was.lease_duration_seconds
        && is.lock_delay_seconds == was.lock_delay_seconds;
    match was.phase {
        ClaimPhase::Pending => false,
        ClaimPhase::Granted => !(ends && kept),
        _ => true,
    }
}
