//! What is asked of the modelled server about claims, and what holders and people do to them.

use std::sync::Arc;

use sluice::api::claim::{SlotClaimSpec, SlotClaimStatus};
use sluice::controller::transport::{Address, Failure, Object, Part, PatchOperation};
use sluice::ledger::{ClaimDeletion, Name, Uid};

use super::claim::{Claim, SeenClaim, broken, patched};
use super::{Change, ClaimRefusal, Server, Writer};

impl Server {
    /// All claims.
    pub fn claims(&self) -> impl Iterator<Item = &Arc<SeenClaim>> {
        self.state.claims.values()
    }

    /// A claim.
    pub fn claim(&self, uid: &Uid) -> Option<&Arc<SeenClaim>> {
        self.claims().find(|seen| seen.claim.uid == *uid)
    }

    /// The claim of a name.
    pub fn claim_at(&self, namespace: &Name, name: &Name) -> Option<&Arc<SeenClaim>> {
        self.state.claims.get(&(namespace.clone(), name.clone()))
    }

    /// How the API shows a claim.
    pub(super) fn claim_object(seen: &SeenClaim) -> Object {
        Object::Request(Box::new(seen.view.clone()))
    }

    fn put_claim(&mut self, by: Writer, mut claim: Claim) -> Arc<SeenClaim> {
        claim.version = self.next_version();
        let place = (claim.namespace.clone(), claim.name.clone());
        let now = Arc::new(claim.seen());
        let before = self.state.claims.insert(place, Arc::clone(&now));
        self.record(
            by,
            Change::Claim {
                before,
                now: Some(Arc::clone(&now)),
            },
        );
        now
    }

    /// Creates a claim, unless there is one of that name.
    pub fn create_claim(
        &mut self,
        by: Writer,
        namespace: &Name,
        name: &Name,
        spec: &SlotClaimSpec,
    ) -> Result<Arc<SeenClaim>, Failure> {
        if self.claim_at(namespace, name).is_some() {
            return Err(Failure::Conflict(format!("claim {name} already exists")));
        }
        let claim = Claim {
            uid: self.fresh_uid("claim"),
            namespace: namespace.clone(),
            name: name.clone(),
            version: 0,
            created: self.clock(),
            spec: spec.clone(),
            status: SlotClaimStatus::default(),
        };
        Ok(self.put_claim(by, claim))
    }

    /// Patches a claim: its holder the spec, a controller the status.
    pub fn patch_claim(
        &mut self,
        by: Writer,
        at: &Address,
        part: Part,
        operations: &[PatchOperation],
    ) -> Result<Arc<SeenClaim>, Failure> {
        let namespace = at.namespace.clone().unwrap_or_else(|| "".into());
        let Some(seen) = self.claim_at(&namespace, &at.name).cloned() else {
            return Err(Failure::NotFound(at.name.to_string()));
        };
        let of_status = part == Part::Status;
        let next = patched(&seen.claim, of_status, operations).map_err(Failure::Invalid)?;
        if next == seen.claim {
            return Ok(seen);
        }
        if let Some(rule) = broken(self.setup.rules, &seen.claim, &next) {
            let what = format!("{} from {:?} to {:?}", at.name, seen.claim, next);
            self.claim_refusals.push(ClaimRefusal { by, rule, what });
            return Err(Failure::Invalid(format!("rule {rule:?}")));
        }
        Ok(self.put_claim(by, next))
    }

    /// Deletes a claim on preconditions, as its holder and controllers do.
    pub fn delete_claim(&mut self, by: Writer, deletion: &ClaimDeletion) -> Result<(), Failure> {
        let place = (deletion.namespace.clone(), deletion.name.clone());
        let Some(seen) = self.state.claims.get(&place) else {
            return Err(Failure::NotFound(deletion.name.to_string()));
        };
        if seen.claim.uid != deletion.uid || seen.claim.version != deletion.version.0 {
            return Err(Failure::Conflict(format!("{} has changed", deletion.name)));
        }
        self.remove_claim(by, &deletion.uid);
        Ok(())
    }

    /// Removes a claim, whatever it says: `kubectl delete`, or the end of its namespace.
    pub fn remove_claim(&mut self, by: Writer, uid: &Uid) -> bool {
        let Some(last) = self.claim(uid).cloned() else {
            return false;
        };
        let mut claim = last.claim.clone();
        let place = (claim.namespace.clone(), claim.name.clone());
        self.state.claims.remove(&place);
        claim.version = self.next_version();
        let before = Some(Arc::new(claim.seen()));
        self.record(by, Change::Claim { before, now: None });
        true
    }
}
