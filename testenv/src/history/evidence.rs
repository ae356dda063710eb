//! When has a holder ended? Written anew from DESIGN.md section 5.3.

use super::pod::Pod;
use super::pool::Pool;
use super::version::ObjectRef;
use super::world::{Holder, World};

/// Evidence that nothing of a pod runs any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum End {
    /// None.
    Live,
    /// It ended by all that is known, without proof.
    Presumed,
    /// Proven.
    Confirmed,
}

impl End {
    /// Judges one version of a pod, or its last one when the object is gone.
    pub(super) fn judge(pod: &Pod, gone: bool) -> Self {
        let never_ran = pod.node.is_none();
        // The API server binds no pod that is being deleted; a gated one may still be revealed.
        let never_will = never_ran && pod.deleting && !pod.gated;
        let ended = gone || pod.is_terminal() || never_will;
        if !ended {
            Self::Live
        } else if never_ran || (pod.is_terminal() && pod.stopped) {
            Self::Confirmed
        } else {
            Self::Presumed
        }
    }
}

/// Whether a holder's end is proven as far as this limit or lock asks for.
pub(super) fn has_ended(holder: &Holder, pool: &Pool) -> bool {
    match holder.end {
        End::Live => false,
        End::Presumed => !pool.confirmed || holder.node_out,
        End::Confirmed => true,
    }
}

/// Whether an operator ever released this holder from this object.
pub(super) fn was_released(world: &World, place: &ObjectRef, pool: &Pool, uid: &str) -> bool {
    world
        .incarnation(place, &pool.uid)
        .is_some_and(|it| it.released.contains(uid))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn end(spec: Value, status: Value, gone: bool) -> End {
        End::judge(
            &Pod::read("ns", "p", &json!({"spec": spec, "status": status})),
            gone,
        )
    }

    #[test]
    fn only_proof_confirms() {
        let bound = || json!({"nodeName": "n", "containers": [{}]});
        let stopped = json!([{"state": {"terminated": {}}}]);
        let running = json!([{"state": {"running": {}}}]);
        let failed = |statuses: &Value| json!({"phase": "Failed", "containerStatuses": statuses});
        assert_eq!(end(bound(), failed(&stopped), false), End::Confirmed);
        assert_eq!(end(bound(), failed(&running), false), End::Presumed);
        assert_eq!(
            end(bound(), json!({"phase": "Running"}), true),
            End::Presumed
        );
        assert_eq!(
            end(
                bound(),
                json!({"phase": "Running", "containerStatuses": stopped}),
                false
            ),
            End::Live
        );
        assert_eq!(
            end(json!({}), json!({"phase": "Pending"}), true),
            End::Confirmed
        );
        assert_eq!(
            end(json!({}), json!({"phase": "Pending"}), false),
            End::Live
        );
        let deleted = |spec: Value| {
            let metadata = json!({"deletionTimestamp": "2026-11-21T10:00:00Z"});
            let pod = json!({"metadata": metadata, "spec": spec, "status": {"phase": "Pending"}});
            End::judge(&Pod::read("ns", "p", &pod), false)
        };
        assert_eq!(deleted(json!({})), End::Confirmed);
        assert_eq!(deleted(bound()), End::Live);
        let gated = json!({"schedulingGates": [{"name": "sluice.dev/slots"}]});
        assert_eq!(deleted(gated), End::Live);
        assert_eq!(
            end(json!({}), json!({"phase": "Failed"}), false),
            End::Confirmed
        );
    }
}
