//! The kubelet stand-in: pods run and end as on real nodes, and in the ugly ways on request.

use futures::StreamExt as _;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::{
    DeleteParams, ListParams, Patch, PatchParams, PostParams, WatchEvent, WatchParams,
};
use serde_json::json;
use sluice_testenv::{
    ControlPlane, DEDICATED, EXIT_CODE, FakeNodes, NodeOptions, RUN_FOR, STOP_AFTER,
};

use crate::{container_state, create_pod, eventually, phase};

/// What is seen of a pod, from its binding on: phase, state of its container, whether it is being deleted.
async fn story(pods: &Api<Pod>, name: &str, version: &str) -> Vec<String> {
    let selector = WatchParams::default().fields(&format!("metadata.name={name}"));
    let mut watch = pods.watch(&selector, version).await.unwrap().boxed();
    let mut story = Vec::new();
    while let Some(event) = watch.next().await {
        let (pod, gone) = match event.unwrap() {
            WatchEvent::Modified(pod) | WatchEvent::Added(pod) => (pod, false),
            WatchEvent::Deleted(pod) => (pod, true),
            other => panic!("unexpected {other:?}"),
        };
        let phase = pod.status.as_ref().unwrap().phase.clone().unwrap();
        let state = container_state(&pod).unwrap_or("unknown");
        let deleting = match pod.metadata.deletion_timestamp {
            Some(_) => " deleting",
            None => "",
        };
        let line = if gone {
            "gone".to_owned()
        } else {
            format!("{phase} {state}{deleting}")
        };
        if story.last() != Some(&line) {
            story.push(line);
        }
        if gone {
            break;
        }
    }
    story
}

#[tokio::test]
async fn a_job_runs_to_completion_through_the_real_controllers() {
    let (plane, _) = ControlPlane::shared_with_nodes().await;
    let namespace = plane.namespace("job").await.unwrap();
    let jobs = Api::<Job>::namespaced(plane.client(), &namespace);
    let job = json!({
        "metadata": {"name": "six"},
        "spec": {
            "completions": 6,
            "parallelism": 6,
            "template": {
                "metadata": {"annotations": {(RUN_FOR): "100ms"}},
                "spec": {"restartPolicy": "Never", "containers": [{"name": "main", "image": "none"}]},
            },
        },
    });
    let job = serde_json::from_value(job).unwrap();
    jobs.create(&PostParams::default(), &job).await.unwrap();
    eventually("the end of the job", async || {
        let status = jobs.get("six").await.unwrap().status?;
        (status.completion_time.is_some() && status.succeeded == Some(6)).then_some(())
    })
    .await;
    let pods = Api::<Pod>::namespaced(plane.client(), &namespace);
    for pod in pods.list(&ListParams::default()).await.unwrap() {
        assert_eq!(container_state(&pod), Some("terminated"));
        assert!(pod.spec.unwrap().node_name.unwrap().starts_with("node-"));
    }
}

#[tokio::test]
async fn the_exit_code_decides_how_a_pod_ends() {
    let (plane, _) = ControlPlane::shared_with_nodes().await;
    let namespace = plane.namespace("exit").await.unwrap();
    let client = plane.client();
    let annotations = json!({(RUN_FOR): "0s", (EXIT_CODE): "3"});
    let pods = create_pod(&client, &namespace, "wrong", annotations).await;
    create_pod(&client, &namespace, "right", json!({(RUN_FOR): "0s"})).await;
    phase(&pods, "right", "Succeeded").await;
    let wrong = phase(&pods, "wrong", "Failed").await;
    let statuses = wrong.status.unwrap().container_statuses.unwrap();
    let state = statuses[0].state.as_ref().unwrap();
    assert_eq!(state.terminated.as_ref().unwrap().exit_code, 3);
}

#[tokio::test]
async fn a_running_pod_can_be_told_to_end() {
    let (plane, _) = ControlPlane::shared_with_nodes().await;
    let namespace = plane.namespace("told").await.unwrap();
    let pods = create_pod(&plane.client(), &namespace, "a", json!({})).await;
    phase(&pods, "a", "Running").await;
    let end = json!({"metadata": {"annotations": {(RUN_FOR): "0s"}}});
    pods.patch("a", &PatchParams::default(), &Patch::Merge(&end))
        .await
        .unwrap();
    phase(&pods, "a", "Succeeded").await;
}

#[tokio::test]
async fn deletion_ends_as_with_a_real_kubelet() {
    let (plane, _) = ControlPlane::shared_with_nodes().await;
    let namespace = plane.namespace("delete").await.unwrap();
    let annotations = json!({(STOP_AFTER): "200ms"});
    let pods = create_pod(&plane.client(), &namespace, "a", annotations).await;
    let version = phase(&pods, "a", "Running").await.metadata.resource_version;
    let story = tokio::join!(story(&pods, "a", version.as_deref().unwrap()), async {
        pods.delete("a", &DeleteParams::default()).await.unwrap();
    });
    assert_eq!(
        story.0,
        [
            "Running running deleting",
            "Failed terminated deleting",
            "gone"
        ]
    );
}

#[tokio::test]
async fn the_ugly_ends_are_to_be_had() {
    let (plane, nodes) = ControlPlane::shared_with_nodes().await;
    let namespace = plane.namespace("ugly").await.unwrap();
    let client = plane.client();
    let pods = create_pod(&client, &namespace, "orphan", json!({})).await;
    create_pod(&client, &namespace, "forced", json!({})).await;
    phase(&pods, "orphan", "Running").await;
    let running = phase(&pods, "forced", "Running").await;

    nodes.fail_like_pod_gc(&namespace, "orphan").await.unwrap();
    let orphan = pods.get("orphan").await.unwrap();
    assert_eq!(container_state(&orphan), Some("running"));
    let status = orphan.status.unwrap();
    assert_eq!(status.phase.as_deref(), Some("Failed"));
    let conditions = status.conditions.unwrap();
    assert!(conditions.iter().any(|condition| {
        condition.type_ == "DisruptionTarget"
            && condition.reason.as_deref() == Some("DeletionByPodGC")
    }));
    assert!(
        conditions
            .iter()
            .any(|condition| condition.type_ == "PodScheduled")
    );

    nodes.force_delete(&namespace, "forced").await.unwrap();
    let version = running.metadata.resource_version.unwrap();
    let story = story(&pods, "forced", &version).await;
    assert_eq!(story, ["Running running deleting", "gone"]);
}

/// A node of its own for a test that breaks it.
async fn own_node(plane: &ControlPlane, name: &str) -> FakeNodes {
    let options = NodeOptions {
        dedicated: true,
        ..NodeOptions::default()
    };
    FakeNodes::start(plane, &[name], options).await.unwrap()
}

/// Creates a pod that fits one [`own_node`] alone.
async fn create_pod_on(client: &kube::Client, namespace: &str, name: &str, node: &str) -> Api<Pod> {
    let pods = Api::<Pod>::namespaced(client.clone(), namespace);
    let pod = json!({
        "metadata": {"name": name},
        "spec": {
            "nodeSelector": {"kubernetes.io/hostname": node},
            "tolerations": [{"key": DEDICATED, "operator": "Exists"}],
            "containers": [{"name": "main", "image": "none"}],
        },
    });
    let pod = serde_json::from_value(pod).unwrap();
    pods.create(&PostParams::default(), &pod).await.unwrap();
    pods
}

#[tokio::test]
async fn the_real_garbage_collector_removes_pods_of_a_machine_that_is_off() {
    let (plane, _) = ControlPlane::shared_with_nodes().await;
    let nodes = own_node(plane, "off").await;
    let namespace = plane.namespace("off").await.unwrap();
    let pods = create_pod_on(&plane.client(), &namespace, "a", "off").await;
    let version = phase(&pods, "a", "Running").await.metadata.resource_version;
    nodes.mark_out_of_service("off").await.unwrap();
    // The taint evicts the pod, nobody answers, and the collector takes the admin's word for it.
    let story = story(&pods, "a", version.as_deref().unwrap()).await;
    assert_eq!(
        story,
        [
            "Running running",
            "Running running deleting",
            "Failed running deleting",
            "gone"
        ]
    );
    nodes.delete("off").await.unwrap();
}

#[tokio::test]
async fn a_node_that_does_not_answer_reports_later() {
    let (plane, _) = ControlPlane::shared_with_nodes().await;
    let nodes = own_node(plane, "silent").await;
    let namespace = plane.namespace("silent").await.unwrap();
    let client = plane.client();
    let pods = create_pod_on(&client, &namespace, "held", "silent").await;
    phase(&pods, "held", "Running").await;

    nodes.stop_answering("silent").await.unwrap();
    pods.delete("held", &DeleteParams::default()).await.unwrap();
    // By the time the scheduler has refused the node, the deletion above is old news.
    create_pod_on(&client, &namespace, "late", "silent").await;
    eventually("the scheduler to refuse the node", async || {
        let pod = pods.get("late").await.unwrap();
        let conditions = pod.status?.conditions?;
        let refused = conditions
            .iter()
            .any(|c| c.reason.as_deref() == Some("Unschedulable"));
        refused.then_some(())
    })
    .await;
    let held = pods.get("held").await.unwrap();
    assert!(held.metadata.deletion_timestamp.is_some());
    assert_eq!(container_state(&held), Some("running"));

    nodes.resume("silent").await.unwrap();
    phase(&pods, "late", "Running").await;
    eventually("the end of the deletion", async || {
        pods.get_opt("held").await.unwrap().is_none().then_some(())
    })
    .await;
    nodes.delete("silent").await.unwrap();
}

#[tokio::test]
async fn many_pods_run_at_once() {
    const PODS: usize = 200;
    let (plane, _) = ControlPlane::shared_with_nodes().await;
    let namespace = plane.namespace("many").await.unwrap();
    let client = plane.client();
    futures::stream::iter(0..PODS)
        .for_each_concurrent(16, |number| {
            let (client, namespace) = (client.clone(), namespace.clone());
            async move {
                let name = format!("pod-{number}");
                create_pod(&client, &namespace, &name, json!({(RUN_FOR): "10ms"})).await;
            }
        })
        .await;
    let pods = Api::<Pod>::namespaced(client, &namespace);
    let ended = ListParams::default().fields("status.phase=Succeeded");
    eventually("the end of all pods", async || {
        let ended = pods.list_metadata(&ended).await.unwrap();
        (ended.items.len() == PODS).then_some(())
    })
    .await;
}
