//! Components that die, hang, come back, or never come up.

use std::time::Duration;

use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Node};
use kube::api::{DeleteParams, ListParams, PostParams};
use kube::{Api, ResourceExt};
use sluice_testenv::history::{History, Recording, Scope};
use sluice_testenv::{Component, ControlPlane, Error, Options};

use crate::eventually;

fn bare() -> Options {
    Options::default()
        .without_scheduler()
        .without_controller_manager()
}

#[tokio::test]
async fn data_outlives_the_api_server_and_etcd() {
    let plane = ControlPlane::start(bare()).await.unwrap();
    let maps = Api::<ConfigMap>::namespaced(plane.client(), "default");
    let mut map = ConfigMap::default();
    map.metadata.name = Some("kept".into());
    let created = maps.create(&PostParams::default(), &map).await.unwrap();

    plane.kill(Component::ApiServer).unwrap();
    assert!(maps.get("kept").await.is_err());
    plane.restart(Component::Etcd).await.unwrap();
    plane.start_component(Component::ApiServer).await.unwrap();

    // The same client, the same port: it connects again by itself.
    let found = maps.get("kept").await.unwrap();
    assert_eq!(found.metadata.uid, created.metadata.uid);

    plane.pause(Component::ApiServer).unwrap();
    let hangs = tokio::time::timeout(Duration::from_millis(300), maps.get("kept")).await;
    assert!(hangs.is_err(), "a frozen API server answered: {hangs:?}");
    plane.resume(Component::ApiServer).unwrap();
    maps.get("kept").await.unwrap();
}

#[tokio::test]
async fn controllers_come_back() {
    let plane = ControlPlane::start(Options::default().without_scheduler())
        .await
        .unwrap();
    let namespaces = Api::<Namespace>::all(plane.client());
    plane.kill(Component::ControllerManager).unwrap();
    let mut namespace = Namespace::default();
    namespace.metadata.name = Some("left".into());
    namespaces
        .create(&PostParams::default(), &namespace)
        .await
        .unwrap();
    namespaces
        .delete("left", &DeleteParams::default())
        .await
        .unwrap();
    assert!(namespaces.get_opt("left").await.unwrap().is_some());

    plane
        .start_component(Component::ControllerManager)
        .await
        .unwrap();
    eventually("the end of the namespace", async || {
        namespaces
            .get_opt("left")
            .await
            .unwrap()
            .is_none()
            .then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_component_that_does_not_come_up_is_named_with_its_log() {
    let options = bare().apiserver_argument("--no-such-flag");
    let error = ControlPlane::start(options).await.err().unwrap();
    let Error::Died {
        component,
        log,
        tail,
        ..
    } = &error
    else {
        panic!("unexpected {error}");
    };
    assert_eq!(*component, Component::ApiServer);
    assert!(tail.contains("unknown flag: --no-such-flag"), "{tail}");
    assert!(log.is_file(), "the log must be kept: {}", log.display());
    std::fs::remove_dir_all(log.parent().unwrap()).unwrap();
}

#[tokio::test]
async fn nothing_is_left_of_a_control_plane_that_was_dropped() {
    let plane = ControlPlane::start(bare()).await.unwrap();
    let directory = plane.directory().to_owned();
    let ids: Vec<u32> = Component::ALL
        .into_iter()
        .filter_map(|component| plane.process_id(component))
        .collect();
    assert_eq!(ids.len(), 2);
    plane.pause(Component::ApiServer).unwrap();
    drop(plane);
    assert!(!directory.exists());
    for id in ids {
        assert!(!std::path::Path::new(&format!("/proc/{id}")).exists());
    }
}

#[tokio::test]
async fn a_store_is_compacted_backed_up_and_restored_while_its_history_is_recorded() {
    let plane = ControlPlane::start(bare()).await.unwrap();
    let names = async |pods: &Api<Node>| {
        let found = pods.list(&ListParams::default()).await.unwrap().items;
        found.iter().map(ResourceExt::name_any).collect::<Vec<_>>()
    };
    let nodes = Api::<Node>::all(plane.client());
    let create = async |name: &str| {
        let node = serde_json::json!({"metadata": {"name": name}});
        let node: Node = serde_json::from_value(node).unwrap();
        nodes.create(&PostParams::default(), &node).await.unwrap();
    };
    let mut before = Recording::new(&plane.etcd_url(), Scope::Everything);
    create("kept").await;
    let read = before.catch_up().await.unwrap();
    plane.compact(read).await.unwrap();
    assert!(
        History::record(&plane.etcd_url(), Scope::Everything)
            .await
            .is_err(),
        "the first revisions are gone"
    );
    let backup = plane.snapshot().unwrap();
    create("lost").await;
    before.catch_up().await.unwrap();
    assert_eq!(names(&nodes).await, ["kept", "lost"]);

    let revision = plane.restore(&backup).await.unwrap();
    backup.discard();
    assert!(revision < before.revision());
    let mut after = before.branch(revision);
    let nodes = Api::<Node>::all(plane.client());
    assert_eq!(names(&nodes).await, ["kept"]);
    let node = serde_json::json!({"metadata": {"name": "new"}});
    let node: Node = serde_json::from_value(node).unwrap();
    nodes.create(&PostParams::default(), &node).await.unwrap();
    after.catch_up().await.unwrap();
    let told = |recording: Recording| {
        let history = recording.into_history();
        let mut names: Vec<_> = history
            .versions()
            .iter()
            .map(|it| it.name.clone())
            .collect();
        names.dedup();
        names
    };
    assert_eq!(told(before), ["kept", "lost"]);
    assert_eq!(told(after), ["kept", "new"]);
}
