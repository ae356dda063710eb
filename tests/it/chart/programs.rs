//! The story of a program in a pod, beside those of pods: with the token that is mounted there, it holds for as long as
//! that pod lives, and nobody else can say so of it.

use std::time::Duration;

use kube::Config;
use serde_json::json;
use sluice::client::{AcquireError, Client, ClientBuilder, Pod};

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
    let (one, other) = (
        space.pod_of_program("one").await,
        space.pod_of_program("other").await,
    );
    let inside = config_in(space, &one).await;

    // Whoever is not in that pod is told so, and what to do.
    let outside = space
        .plane()
        .client_for_service_account(space.namespace(), "default");
    for (client, pod) in [
        (client(space, inside.clone(), &other).await, &other),
        (
            connect(space, Client::builder().kube(outside.await.unwrap()), &one).await,
            &one,
        ),
    ] {
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

async fn client(space: &Space, config: Config, pod: &Pod) -> Client {
    connect(space, Client::builder().config(config), pod).await
}

async fn connect(space: &Space, builder: ClientBuilder, pod: &Pod) -> Client {
    let builder = builder.pod(pod.clone());
    let builder = builder.namespace(space.namespace()).lease(LEASE);
    builder.connect().await.unwrap()
}

/// As a program in a pod has it: with a token that is bound to that pod.
async fn config_in(space: &Space, pod: &Pod) -> Config {
    let pod = space.get(pod.name()).await;
    let config = space
        .plane()
        .config_in_pod(space.namespace(), "default", &pod);
    config.await.unwrap()
}
