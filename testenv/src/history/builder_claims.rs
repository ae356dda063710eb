//! Claims in histories that are written by hand: right ones by default.

use serde_json::{Value, json};

use super::builder::{NAMESPACE, ONE, Script, claim, limit, put_amount};
use super::request::Amount;
use super::version::{Kind, ObjectRef};

/// Lease of every claim of a script, in seconds.
pub(super) const LEASE_SECONDS: i64 = 20;
/// Lock delay of every claim of a script, in seconds.
pub(super) const LOCK_DELAY_SECONDS: i64 = 5;
/// How long slots stay whose claim is gone: 1.05 times the lease, and the lock delay.
pub(super) const LINGER_SECONDS: i64 = 26;

impl Script {
    /// Creates a claim of one slot of a limit.
    pub(super) fn claim(&mut self, name: &str, key: &str) {
        self.claim_with(name, json!({"slots": [{"limit": key, "slots": 1}]}));
    }

    /// Creates a claim with this spec.
    pub(super) fn claim_with(&mut self, name: &str, spec: Value) {
        let status = json!({"phase": "Pending", "attempt": 0});
        self.create(claim(name), json!({"spec": spec, "status": status}));
    }

    /// The lease that a claim would get now, with the token that was counted up to.
    pub(super) fn new_claim_lease(&self, holder: &str, amount: Amount) -> Value {
        let object = self.object(&claim(holder));
        let mut lease = json!({
            "uid": object["metadata"]["uid"], "kind": "Claim", "name": holder, "token": self.token,
            "attempt": object["status"]["attempt"], "lingerSeconds": LINGER_SECONDS,
        });
        put_amount(&mut lease, amount);
        lease
    }

    /// What a claim has of these limits and locks now, as its status would say it.
    pub(super) fn grants(&self, holder: &str, places: &[ObjectRef]) -> Value {
        let uid = self.uid(&claim(holder));
        let grant = |place: &ObjectRef| {
            let pool = self.object(place);
            let leases = pool["status"]["leases"].as_array().unwrap();
            let entry = leases.iter().find(|it| it["uid"] == json!(uid)).unwrap();
            let kind = match place.kind {
                Kind::Limit => "ConcurrencyLimit",
                _ => "Lock",
            };
            let mut grant = json!({
                "kind": kind, "namespace": NAMESPACE, "key": place.name.replace("--", ":"),
                "uid": pool["metadata"]["uid"], "token": entry["token"],
            });
            for field in ["slots", "mode"] {
                if let Some(value) = entry.get(field) {
                    grant[field] = value.clone();
                }
            }
            grant
        };
        places.iter().map(grant).collect()
    }

    /// Grants a claim the leases that it has there.
    pub(super) fn grant(&mut self, holder: &str, places: &[ObjectRef]) {
        let grants = self.grants(holder, places);
        self.grant_with(holder, grants);
    }

    /// Grants a claim this.
    pub(super) fn grant_with(&mut self, holder: &str, grants: Value) {
        self.claim_status(holder, |status| {
            status["phase"] = json!("Granted");
            status["grants"] = grants;
            status["leaseDurationSeconds"] = json!(LEASE_SECONDS);
            status["lockDelaySeconds"] = json!(LOCK_DELAY_SECONDS);
        });
    }

    /// Creates a claim, writes its lease of one slot, grants it.
    pub(super) fn claim_holder(&mut self, name: &str, key: &str) {
        self.claim(name, key);
        self.lease(&limit(key), name, ONE);
        self.grant(name, &[limit(key)]);
    }

    pub(super) fn claim_status(&mut self, holder: &str, change: impl FnOnce(&mut Value)) {
        self.edit(&claim(holder), |object| change(&mut object["status"]));
    }

    /// Renews a claim.
    pub(super) fn renew(&mut self, holder: &str, seq: i64) {
        self.edit(&claim(holder), |object| {
            object["spec"]["renew"] = json!({"seq": seq})
        });
    }

    /// Its holder has done.
    pub(super) fn give_back(&mut self, holder: &str) {
        self.edit(&claim(holder), |object| {
            object["spec"]["release"] = json!(true)
        });
    }

    /// Takes a claim away.
    pub(super) fn revoke(&mut self, holder: &str, reason: &str) {
        self.claim_status(holder, |status| {
            status["phase"] = json!("Revoked");
            status["reason"] = json!(reason);
        });
    }

    /// Raises the attempt of a claim that waits.
    pub(super) fn bump_claim(&mut self, holder: &str) {
        self.claim_status(holder, |status| {
            status["attempt"] = json!(status["attempt"].as_i64().unwrap() + 1)
        });
    }
}
