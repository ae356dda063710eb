//! What can be read off a limit or lock.

use std::collections::BTreeSet;

use kube::ResourceExt as _;
use kube::api::DynamicObject;
use serde_json::Value;

/// A limit or lock, as somebody sees it.
pub(crate) struct Pool(pub(super) DynamicObject);

impl Pool {
    /// Its status; null before the first write.
    pub(crate) fn status(&self) -> &Value {
        &self.0.data["status"]
    }

    /// Its spec.
    pub(crate) fn spec(&self) -> &Value {
        &self.0.data["spec"]
    }

    /// Its uid.
    pub(crate) fn id(&self) -> String {
        self.0.uid().unwrap()
    }

    /// The whole object.
    pub(crate) fn object(&self) -> &DynamicObject {
        &self.0
    }

    /// Names of all that hold something of it, adopted ones included.
    pub(crate) fn holders(&self) -> BTreeSet<String> {
        ["leases", "adopted"]
            .iter()
            .flat_map(|list| self.names(list))
            .collect()
    }

    /// Names in `leases` or `adopted`.
    pub(crate) fn names(&self, list: &str) -> BTreeSet<String> {
        let entries = self.status()[list].as_array().into_iter().flatten();
        entries
            .map(|entry| entry["name"].as_str().unwrap().to_owned())
            .collect()
    }

    /// The lease of a pod.
    pub(crate) fn lease(&self, pod: &str) -> Option<&Value> {
        let entries = self.status()["leases"].as_array().into_iter().flatten();
        entries.into_iter().find(|entry| entry["name"] == pod)
    }

    /// A number of its status; 0 if it is not there.
    pub(crate) fn number(&self, field: &str) -> i64 {
        self.status()[field].as_i64().unwrap_or_default()
    }

    /// It grants, or on purpose does not.
    pub(crate) fn is_fenced(&self) -> bool {
        self.status()["fenced"] == true
    }

    /// Status, reason and message of a condition.
    pub(crate) fn condition(&self, kind: &str) -> Option<[&str; 3]> {
        let conditions = self.status()["conditions"].as_array()?;
        let found = conditions
            .iter()
            .find(|condition| condition["type"] == kind)?;
        Some(["status", "reason", "message"].map(|field| found[field].as_str().unwrap_or_default()))
    }

    /// The reason of a condition that holds.
    pub(crate) fn holds(&self, kind: &str) -> Option<&str> {
        let [status, reason, _] = self.condition(kind)?;
        (status == "True").then_some(reason)
    }
}
