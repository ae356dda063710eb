//! The story of a program in a pod, beside those of pods: with the token that is mounted there, it holds for as long as
//! that pod lives, and nobody else can say so of it.

use std::time::Duration;

use k8s_openapi::api::authentication::v1::{BoundObjectReference, TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::api::{Api, PostParams};
use kube::config::AuthInfo;
use kube::{Config, ResourceExt as _};
use serde_json::json;
use sluice::client::{AcquireError, Client, Pod};

use super::helm::RELEASE;
use super::stories::Space;

/// How long a lease is: nothing here waits for its end.
const LEASE: Duration = Duration::from_secs(600);

/// Two pods, and the programs in them.
pub(super) async fn a_program_lives_as_long_as_its_pod(space: &Space) {
    space.limit("card", 1).await;
    space
        .apply_json(json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
            "metadata": {"name": "programs"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": format!("{RELEASE}-claimer")},
            "subjects": [{"kind": "ServiceAccount", "name": "default", "namespace": space.namespace()}]}))
        .await;
    let (one, other) = (runs(space, "one").await, runs(space, "other").await);
    let inside = config_in(space, &one).await;

    // Whoever is not in that pod is told so, and what to do.
    for (config, pod) in [
        (inside.clone(), &other),
        (config_unbound(space).await, &one),
    ] {
        let client = client(space, config, pod).await;
        let error = client.concurrency("card").acquire().await.unwrap_err();
        assert!(matches!(error, AcquireError::Forbidden(_)), "{error:?}");
        let told = error.to_string();
        assert!(
            told.contains(&format!("pod \"{}\" is not the one that asks", pod.name()))
                && told.contains("without --pod"),
            "{told}"
        );
    }

    let former = client(space, inside.clone(), &one).await;
    let slots = former.concurrency("card").acquire().await.unwrap();
    let (claim, uid) = (slots.claim().unwrap(), slots.uid());
    space.holders("card", [claim.as_str()]).await;
    // Its process dies; the container starts again and has it at once.
    former.close(Duration::ZERO).await;
    drop(slots);
    let again = client(space, inside, &one).await;
    let slots = again.concurrency("card").acquire().await.unwrap();
    assert_eq!(slots.uid(), uid);
    // The pod ends, and with it what its program held; nobody waits for the lease.
    let waits = client(space, config_in(space, &other).await, &other).await;
    let next = tokio::spawn(waits.concurrency("card").acquire());
    space.waiting("card", 1).await;
    space.end("one").await;
    let next = next.await.unwrap().unwrap();
    assert!(slots.check().is_err());
    next.release().await.unwrap();
    space.holders("card", []).await;
    space.end("other").await;
}

/// A pod that asks for nothing, and runs.
async fn runs(space: &Space, name: &str) -> Pod {
    space.pod(name).ungated().create().await;
    let pod = space.running(name).await;
    Pod::new(name, pod.uid().unwrap(), "main")
}

async fn client(space: &Space, config: Config, pod: &Pod) -> Client {
    let builder = Client::builder().config(config).pod(pod.clone());
    let builder = builder.namespace(space.namespace()).lease(LEASE);
    builder.connect().await.unwrap()
}

/// As a program in a pod has it: with a token that is bound to that pod.
async fn config_in(space: &Space, pod: &Pod) -> Config {
    let bound = BoundObjectReference {
        api_version: Some("v1".to_owned()),
        kind: Some("Pod".to_owned()),
        name: Some(pod.name().to_owned()),
        uid: space.get(pod.name()).await.uid(),
    };
    config_with(space, Some(bound)).await
}

/// As a program outside of all pods may have it.
async fn config_unbound(space: &Space) -> Config {
    config_with(space, None).await
}

async fn config_with(space: &Space, bound: Option<BoundObjectReference>) -> Config {
    let accounts: Api<ServiceAccount> = Api::namespaced(space.client(), space.namespace());
    let request = TokenRequest {
        spec: TokenRequestSpec {
            bound_object_ref: bound,
            ..TokenRequestSpec::default()
        },
        ..TokenRequest::default()
    };
    let post = PostParams::default();
    let answer = accounts.create_token_request("default", &post, &request);
    let mut config = space.plane().config();
    config.auth_info = AuthInfo {
        token: Some(answer.await.unwrap().status.unwrap().token.into()),
        ..AuthInfo::default()
    };
    config
}
