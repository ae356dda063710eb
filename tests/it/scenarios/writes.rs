//! What a grant costs, counted by the API server itself on a control plane where nothing else happens.

use std::collections::BTreeMap;

use serde_json::json;
use sluice_testenv::{ControlPlane, Options, RequestKind};

use crate::support::{PodFacts as _, World};

const PODS: u64 = 300;

/// Grants capacity for all to pods that wait, and gives the writes the server has counted meanwhile.
async fn writes_of_grants(flags: &[&str]) -> (BTreeMap<RequestKind, u64>, u64) {
    let options = Options::default()
        .without_scheduler()
        .without_controller_manager();
    let plane = ControlPlane::start(options).await.unwrap();
    let plan = flags
        .iter()
        .fold(World::plan("writes"), |plan, flag| plan.flag(flag));
    let world = plan.on(plane, None).begin().await;
    world.limit("gpu", 0).await;
    for index in 0..PODS {
        world.pod(&format!("p{index}")).slots("gpu").create().await;
    }
    world.waiting("gpu", i64::try_from(PODS).unwrap()).await;
    let before = world.plane().api_requests().await.unwrap();
    world.edit_limit("gpu", json!({"slots": PODS})).await;
    world
        .eventually("every gate to be open", async || {
            world.all_pods().await.iter().all(|pod| !pod.is_gated())
        })
        .await;
    let after = world.plane().api_requests().await.unwrap();
    let ours = ["pods", "concurrencylimits", "locks", "events"];
    let writes: BTreeMap<RequestKind, u64> = after
        .into_iter()
        .filter(|(kind, _)| kind.is_write() && ours.contains(&kind.resource.as_str()))
        .map(|(kind, count)| {
            let earlier = before.get(&kind).copied().unwrap_or_default();
            (kind, count - earlier)
        })
        .filter(|(_, count)| *count > 0)
        .collect();
    world.finish().await;
    // One of them is the test's own.
    let sum = writes.values().sum::<u64>() - 1;
    (writes, sum)
}

#[tokio::test]
async fn a_grant_costs_one_patch_and_its_share_of_a_status_write() {
    let (writes, sum) = writes_of_grants(&["--events=false"]).await;
    assert!(
        sum * 10 <= PODS * 11,
        "{sum} writes for {PODS} grants: {writes:?}"
    );
}

#[tokio::test]
async fn events_add_little_to_it() {
    let (writes, sum) = writes_of_grants(&[]).await;
    assert!(
        sum * 10 <= PODS * 13,
        "{sum} writes for {PODS} grants: {writes:?}"
    );
}
