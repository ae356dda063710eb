//! Claims: as programs write them, and what can be read off them. Plain requests, without an SDK.

use kube::api::{ApiResource, DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::{Api, ResourceExt as _};
use serde_json::{Value, json};
use sluice::api::{ClaimPhase, ConcurrencyLimit, SlotClaim};

use super::world::Space;

/// Shortest lease of a claim, in seconds.
pub(crate) const SHORT_LEASE_SECONDS: i32 = 15;

/// A claim that is about to be created.
pub(crate) struct ClaimBuilder<'a> {
    space: &'a Space,
    name: String,
    spec: Value,
}

impl ClaimBuilder<'_> {
    /// Asks for slots of a limit.
    pub(crate) fn slots(self, limit: &str, slots: i32) -> Self {
        self.entry("slots", json!({"limit": limit, "slots": slots}))
    }

    /// Asks for slots of a worker of a family.
    pub(crate) fn worker_slots(self, limit: &str, worker: &str, slots: i32) -> Self {
        self.entry(
            "slots",
            json!({"limit": limit, "slots": slots, "worker": worker}),
        )
    }

    /// Asks for a lock.
    pub(crate) fn lock(self, lock: &str, mode: &str) -> Self {
        self.entry("locks", json!({"lock": lock, "mode": mode}))
    }

    fn entry(mut self, list: &str, entry: Value) -> Self {
        self.spec[list].as_array_mut().unwrap().push(entry);
        self
    }

    /// With any field of its spec.
    pub(crate) fn with(mut self, field: &str, value: impl Into<Value>) -> Self {
        self.spec[field] = value.into();
        self
    }

    /// With the shortest lease there may be.
    pub(crate) fn short_lease(self) -> Self {
        self.with("leaseDurationSeconds", SHORT_LEASE_SECONDS)
    }

    /// Creates it.
    pub(crate) async fn create(self) -> SlotClaim {
        let manifest = json!({
            "apiVersion": "sluice.dev/v1alpha1", "kind": "SlotClaim",
            "metadata": {"name": self.name}, "spec": self.spec,
        });
        let claim: SlotClaim = serde_json::from_value(manifest).unwrap();
        match self
            .space
            .claims()
            .create(&PostParams::default(), &claim)
            .await
        {
            Ok(claim) => claim,
            Err(error) => self
                .space
                .fail(&format!("claim {} was refused: {error}", self.name)),
        }
    }
}

impl Space {
    /// Begins a claim.
    pub(crate) fn claim(&self, name: &str) -> ClaimBuilder<'_> {
        ClaimBuilder {
            space: self,
            name: name.to_owned(),
            spec: json!({"holder": "a test", "user": "tester", "session": "one", "slots": [], "locks": []}),
        }
    }

    /// All claims.
    pub(crate) fn claims(&self) -> Api<SlotClaim> {
        Api::namespaced(self.client(), self.namespace())
    }

    /// All claims there are.
    pub(crate) async fn all_claims(&self) -> Vec<SlotClaim> {
        let all = self.claims().list(&ListParams::default()).await;
        all.unwrap().items
    }

    /// A claim that exists.
    pub(crate) async fn claim_now(&self, name: &str) -> SlotClaim {
        match self.claims().get(name).await {
            Ok(claim) => claim,
            Err(error) => self.fail(&format!("cannot read claim {name}: {error}")),
        }
    }

    /// Waits until a claim is in this phase.
    pub(crate) async fn claim_is(&self, name: &str, phase: ClaimPhase) -> SlotClaim {
        self.eventually(&format!("claim {name}: {phase:?}"), async || {
            let claim = self.claims().get_opt(name).await.unwrap();
            claim.is_some_and(|it| phase_of(&it) == phase)
        })
        .await;
        self.claim_now(name).await
    }

    /// Waits until a claim holds.
    pub(crate) async fn claim_granted(&self, name: &str) -> SlotClaim {
        self.claim_is(name, ClaimPhase::Granted).await
    }

    /// Waits until there is no claim of that name.
    pub(crate) async fn claim_gone(&self, name: &str) {
        self.eventually(&format!("claim {name} to be gone"), async || {
            self.claims().get_opt(name).await.unwrap().is_none()
        })
        .await;
    }

    /// Fails unless a claim waits.
    pub(crate) async fn claim_waits(&self, name: &str) {
        let phase = phase_of(&self.claim_now(name).await);
        if phase != ClaimPhase::Pending {
            self.fail(&format!("claim {name} was to be waiting, and is {phase:?}"));
        }
    }

    /// Renews a claim as its holder does; whether the server took it.
    pub(crate) async fn renew_claim(&self, name: &str, seq: i64) -> bool {
        self.patch_claim(name, json!({"renew": {"seq": seq}})).await
    }

    /// Gives a claim back as its holder does.
    pub(crate) async fn release_claim(&self, name: &str) {
        if !self.patch_claim(name, json!({"release": true})).await {
            self.fail(&format!("claim {name} could not be released"));
        }
    }

    async fn patch_claim(&self, name: &str, spec: Value) -> bool {
        let patch = Patch::Merge(json!({"spec": spec}));
        let patched = self
            .claims()
            .patch(name, &PatchParams::default(), &patch)
            .await;
        patched.is_ok()
    }

    /// Deletes a claim, as its holder never does.
    pub(crate) async fn delete_claim(&self, name: &str) {
        let deleted = self.claims().delete(name, &DeleteParams::default()).await;
        deleted.unwrap();
    }

    /// Gives back whatever claims there are that have not ended; whether there are any.
    pub(super) async fn end_claims(&self) -> bool {
        let mut live = false;
        for claim in self.all_claims().await {
            let phase = phase_of(&claim);
            if phase.is_final() {
                continue;
            }
            live = true;
            if !claim.spec.release {
                // Whatever is refused is looked at again in the next round.
                self.patch_claim(&claim.name_any(), json!({"release": true}))
                    .await;
            }
        }
        live
    }

    /// The version of a limit, which every write of it changes.
    pub(crate) async fn limit_version(&self, name: &str) -> String {
        let limits = self.pools(&ApiResource::erase::<ConcurrencyLimit>(&()));
        limits.get(name).await.unwrap().resource_version().unwrap()
    }
}

/// The phase of a claim.
pub(crate) fn phase_of(claim: &SlotClaim) -> ClaimPhase {
    claim.status.as_ref().map(|it| it.phase).unwrap_or_default()
}

/// The reason of a claim's phase.
pub(crate) fn reason_of(claim: &SlotClaim) -> &str {
    claim.status.as_ref().map_or("", |it| it.reason.as_str())
}

/// The tokens that a claim was told, by key.
pub(crate) fn tokens_of(claim: &SlotClaim) -> Vec<(String, i64)> {
    let grants = claim.status.iter().flat_map(|it| &it.grants);
    grants.map(|it| (it.key.clone(), it.token)).collect()
}
