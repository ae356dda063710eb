//! What a control plane gives: versions, identities, namespaces, kubectl, metrics.

use k8s_openapi::api::authentication::v1::{SelfSubjectReview, UserInfo};
use k8s_openapi::api::core::v1::{ConfigMap, ServiceAccount};
use kube::api::PostParams;
use kube::{Api, Client};
use sluice_testenv::{Component, ControlPlane, Options, RequestKind};

const POLICY_GROUP: &str = "admissionregistration.k8s.io/v1";

async fn serves_mutating_policies(client: &Client) -> bool {
    let resources = client.list_api_group_resources(POLICY_GROUP).await.unwrap();
    let is_policy = |name: &str| name == "mutatingadmissionpolicies";
    resources
        .resources
        .iter()
        .any(|resource| is_policy(&resource.name))
}

async fn who_am_i(client: &Client) -> UserInfo {
    let review = Api::<SelfSubjectReview>::all(client.clone())
        .create(&PostParams::default(), &SelfSubjectReview::default())
        .await
        .unwrap();
    review.status.unwrap().user_info.unwrap()
}

#[tokio::test]
async fn the_newest_version_serves_mutating_policies() {
    let client = ControlPlane::shared().await.client();
    let version = client.apiserver_version().await.unwrap();
    assert!(version.git_version.starts_with("v1.37."), "{version:?}");
    assert!(serves_mutating_policies(&client).await);
}

#[tokio::test]
async fn an_emulated_1_35_has_no_mutating_policies() {
    let options = Options::default()
        .emulated_version("1.35")
        .without_scheduler();
    let plane = ControlPlane::start(options).await.unwrap();
    let client = plane.client();
    assert!(!serves_mutating_policies(&client).await);
    // The controllers speak that version too.
    plane.namespace("emulated").await.unwrap();
    let error = plane.metrics(Component::Scheduler).await.unwrap_err();
    assert!(error.to_string().contains("started without kube-scheduler"));
}

#[tokio::test]
async fn clients_are_who_they_say() {
    let plane = ControlPlane::shared().await;
    let namespace = plane.namespace("who").await.unwrap();

    let alice = plane
        .client_as("alice", &["developers", "testers"])
        .unwrap();
    let user = who_am_i(&alice).await;
    assert_eq!(user.username.as_deref(), Some("alice"));
    let groups = user.groups.unwrap();
    for group in ["developers", "testers", "system:authenticated"] {
        assert!(groups.iter().any(|name| name == group), "{groups:?}");
    }
    assert!(!groups.iter().any(|name| name == "system:masters"));

    let robot = plane
        .client_for_service_account(&namespace, "default")
        .await
        .unwrap();
    let name = format!("system:serviceaccount:{namespace}:default");
    assert_eq!(who_am_i(&robot).await.username, Some(name));
    let accounts = Api::<ServiceAccount>::namespaced(robot, &namespace);
    let refused = accounts.get("default").await.unwrap_err();
    assert!(matches!(refused, kube::Error::Api(status) if status.code == 403));
}

#[tokio::test]
async fn kubeconfigs_carry_their_identity() {
    let plane = ControlPlane::shared().await;
    let namespace = plane.namespace("who").await.unwrap();
    let account = plane
        .kubeconfig_for_service_account(&namespace, "default")
        .await
        .unwrap();
    for (path, name) in [
        (plane.kubeconfig(), "admin".to_owned()),
        (plane.kubeconfig_as("bob", &[]).unwrap(), "bob".to_owned()),
        (
            account,
            format!("system:serviceaccount:{namespace}:default"),
        ),
    ] {
        let output = plane
            .kubectl(&[
                "auth",
                "whoami",
                "-o",
                "jsonpath={.status.userInfo.username}",
            ])
            .unwrap()
            .env("KUBECONFIG", path)
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        assert_eq!(String::from_utf8(output.stdout).unwrap(), name);
    }
}

#[tokio::test]
async fn namespaces_are_ones_own() {
    let plane = ControlPlane::shared().await;
    let first = plane.namespace("same").await.unwrap();
    let second = plane.namespace("same").await.unwrap();
    assert_ne!(first, second);
    assert!(first.starts_with("same-"));
}

#[tokio::test]
async fn requests_are_counted_by_kind() {
    let plane = ControlPlane::shared().await;
    let namespace = plane.namespace("count").await.unwrap();
    let kind = RequestKind::new("PUT", "configmaps", "");
    let before = plane.api_requests().await.unwrap();
    let maps = Api::<ConfigMap>::namespaced(plane.client(), &namespace);
    let mut map = ConfigMap::default();
    map.metadata.name = Some("counted".into());
    let map = maps.create(&PostParams::default(), &map).await.unwrap();
    for _ in 0..3 {
        maps.replace("counted", &PostParams::default(), &map)
            .await
            .unwrap();
    }
    let after = plane.api_requests().await.unwrap();
    // Other tests share the server: there may be more.
    assert!(after[&kind] >= before.get(&kind).unwrap_or(&0) + 3);
}

#[tokio::test]
async fn every_component_answers_with_metrics() {
    let plane = ControlPlane::shared().await;
    for component in Component::ALL {
        let text = plane.metrics(component).await.unwrap();
        assert!(text.contains("process_start_time_seconds"), "{component}");
    }
}
