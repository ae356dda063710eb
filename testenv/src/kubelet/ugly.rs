//! What happens to pods behind their kubelet's back.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::json;

use super::nodes::FakeNodes;
use super::report::time;
use crate::error::{Error, Result};

impl FakeNodes {
    /// Declares a pod Failed as the pod garbage collector does for a pod whose node is gone: phase Failed and condition
    /// `DisruptionTarget` with reason `DeletionByPodGC`, while its containers are still said to run (the machine may).
    ///
    /// The garbage collector deletes the pod next, which [`FakeNodes::force_delete`] does. From here on the stand-in
    /// leaves the pod alone.
    ///
    /// # Errors
    /// When the pod does not exist.
    pub async fn fail_like_pod_gc(&self, namespace: &str, name: &str) -> Result<()> {
        let patch = json!({"status": {
            "phase": "Failed",
            "conditions": [{
                "type": "DisruptionTarget",
                "status": "True",
                "reason": "DeletionByPodGC",
                "message": "PodGC: node no longer exists",
                "lastTransitionTime": time(Timestamp::now()),
            }],
        }});
        Api::<Pod>::namespaced(self.client()?, namespace)
            .patch_status(name, &PatchParams::default(), &Patch::Strategic(&patch))
            .await
            .map(drop)
            .map_err(Error::request(format!("fail pod {namespace}/{name}")))
    }

    /// Deletes a pod with grace period 0, as `kubectl delete --force` does: it is gone at once (one change that sets its
    /// deletionTimestamp, then DELETED), its last known phase is Running, and its process would live on for a while (for
    /// ever on a node that does not answer).
    ///
    /// # Errors
    /// When the pod does not exist.
    pub async fn force_delete(&self, namespace: &str, name: &str) -> Result<()> {
        let params = DeleteParams {
            grace_period_seconds: Some(0),
            ..DeleteParams::default()
        };
        Api::<Pod>::namespaced(self.client()?, namespace)
            .delete(name, &params)
            .await
            .map(drop)
            .map_err(Error::request(format!("delete pod {namespace}/{name}")))
    }
}
