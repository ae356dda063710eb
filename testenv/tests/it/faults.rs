//! Components that die, hang, come back, or never come up.

use std::time::Duration;

use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::Api;
use kube::api::{DeleteParams, PostParams};
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
