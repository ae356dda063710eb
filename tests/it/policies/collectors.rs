//! The cluster's own controllers go on as if the policies were not there.

use k8s_openapi::api::core::v1::{Namespace, Pod};
use kube::api::{Api, DeleteParams, ListParams, PropagationPolicy};
use serde_json::json;

use super::plane::{World, workload, world};
use crate::chart::helm::eventually;

impl World {
    /// Creates, as `dev`, a workload whose pods ask for a slot, and waits for the first pod.
    async fn asking(&self, kind: &str) -> Pod {
        let request = json!({"annotations": {"sluice.dev/slots": "gpu"}});
        self.create(&self.dev(), &workload(kind, "work", &request))
            .await
            .unwrap();
        eventually("a pod of the workload", async || {
            let pods = self
                .pods()
                .list(&ListParams::default())
                .await
                .map_err(|error| error.to_string())?;
            pods.items
                .into_iter()
                .next()
                .ok_or_else(|| "no pod".to_owned())
        })
        .await
    }

    fn pods(&self) -> Api<Pod> {
        Api::namespaced(self.plane.client(), &self.namespace)
    }
}

#[tokio::test]
async fn pods_of_every_workload_are_made_gated() {
    for kind in ["Job", "Deployment", "StatefulSet", "ReplicaSet"] {
        let world = world("made").await;
        let pod = world.asking(kind).await;
        let gates = pod.spec.unwrap().scheduling_gates.unwrap();
        assert!(
            gates.iter().any(|gate| gate.name == "sluice.dev/slots"),
            "{kind}"
        );
    }
}

#[tokio::test]
async fn the_garbage_collector_orphans_and_collects() {
    let world = world("garbage").await;
    let sets: Api<k8s_openapi::api::apps::v1::ReplicaSet> =
        Api::namespaced(world.plane.client(), &world.namespace);
    let pod = world.asking("ReplicaSet").await;
    let name = pod.metadata.name.unwrap();
    let orphan = DeleteParams {
        propagation_policy: Some(PropagationPolicy::Orphan),
        ..DeleteParams::default()
    };
    sets.delete("work", &orphan).await.unwrap();
    eventually("the pod to be orphaned", async || {
        let pod = world
            .pods()
            .get(&name)
            .await
            .map_err(|error| error.to_string())?;
        if pod.metadata.owner_references.is_none() {
            Ok(())
        } else {
            Err("still owned".to_owned())
        }
    })
    .await;
    world
        .pods()
        .delete(&name, &DeleteParams::default())
        .await
        .unwrap();
    eventually("the set to be gone", async || {
        match sets.get_opt("work").await {
            Ok(None) => Ok(()),
            other => Err(format!(
                "{:?}",
                other.map(|set| set.map(|set| set.metadata.finalizers))
            )),
        }
    })
    .await;
    world.asking("ReplicaSet").await;
    sets.delete("work", &DeleteParams::foreground())
        .await
        .unwrap();
    eventually("the pods to be collected", async || {
        let pods = world
            .pods()
            .list(&ListParams::default())
            .await
            .map_err(|error| error.to_string())?;
        if pods.items.is_empty() {
            Ok(())
        } else {
            Err(format!("{} left", pods.items.len()))
        }
    })
    .await;
}

#[tokio::test]
async fn the_job_controller_takes_its_finalizer_off() {
    let world = world("job").await;
    let pod = world.asking("Job").await;
    assert!(!pod.metadata.finalizers.unwrap().is_empty());
    let jobs: Api<k8s_openapi::api::batch::v1::Job> =
        Api::namespaced(world.plane.client(), &world.namespace);
    jobs.delete("work", &DeleteParams::background())
        .await
        .unwrap();
    eventually("the pods to be gone", async || {
        let pods = world
            .pods()
            .list(&ListParams::default())
            .await
            .map_err(|error| error.to_string())?;
        if pods.items.is_empty() {
            Ok(())
        } else {
            Err(format!("{} left", pods.items.len()))
        }
    })
    .await;
}

#[tokio::test]
async fn a_namespace_with_waiting_pods_goes() {
    let world = world("leaving").await;
    world.waiting("pod").await;
    world.asking("Deployment").await;
    let namespaces: Api<Namespace> = Api::all(world.plane.client());
    namespaces
        .delete(&world.namespace, &DeleteParams::default())
        .await
        .unwrap();
    eventually("the namespace to be gone", async || {
        match namespaces
            .get_opt(&world.namespace)
            .await
            .map_err(|error| error.to_string())?
        {
            None => Ok(()),
            Some(left) => Err(format!("{:?}", left.status)),
        }
    })
    .await;
}
