//! Rates: slots that are taken once and come back with time, by pods and by claims.

use std::time::{Duration, Instant};

use kube::Api;
use kube::api::{Patch, PatchParams, PostParams};
use serde_json::{Value, json};
use sluice::api::{ClaimPhase, SlotClaim, names};

use crate::support::{PodFacts as _, World};

/// Longer than anything here takes by far.
const AT_MOST: Duration = Duration::from_secs(20);

async fn rated(world: &World, name: &str, slots: i32, decay: Value) {
    let spec = json!({"slots": slots, "decay": decay});
    world.limit_with(name, spec).await;
    world.fenced(name).await;
}

async fn claim(world: &World, name: &str, limit: &str, slots: i32, more: Value) -> Api<SlotClaim> {
    let claims: Api<SlotClaim> = Api::namespaced(world.client(), world.namespace());
    let mut manifest = json!({
        "apiVersion": names::API_VERSION, "kind": "SlotClaim", "metadata": {"name": name},
        "spec": {"holder": "a test", "user": "tester", "session": "one", "kind": "RateLimit",
                 "slots": [{"limit": limit, "slots": slots}]},
    });
    for (field, value) in more.as_object().unwrap() {
        manifest["spec"][field] = value.clone();
    }
    let manifest = serde_json::from_value(manifest).unwrap();
    claims
        .create(&PostParams::default(), &manifest)
        .await
        .unwrap();
    claims
}

async fn is_phase(world: &World, claims: &Api<SlotClaim>, name: &str, phase: ClaimPhase) -> Value {
    world
        .eventually(&format!("claim {name}: {phase:?}"), async || {
            let claim = claims.get_opt(name).await.unwrap();
            claim.and_then(|it| it.status).map(|it| it.phase) == Some(phase)
        })
        .await;
    serde_json::to_value(claims.get(name).await.unwrap()).unwrap()
}

#[tokio::test]
async fn pods_go_as_slots_come_back() {
    let world = World::new("rate-pods").await;
    rated(&world, "api", 3, json!({"slots": 2})).await;
    world.limit("gpu", 8).await;
    let began = Instant::now();
    let pods: Vec<String> = (1..=8).map(|number| format!("p{number}")).collect();
    for pod in &pods {
        let pod = world.pod(pod).slots("gpu");
        pod.annotation(names::RATE_LIMITS, "api").create().await;
    }
    for pod in &pods {
        let pod = world.granted(pod).await;
        // Its record is of what it holds: what was taken for a rate is nobody's.
        let record: Value = serde_json::from_str(pod.annotation(names::GRANTED).unwrap()).unwrap();
        let keys: Vec<&Value> = record["leases"]
            .as_array()
            .unwrap()
            .iter()
            .map(|it| &it["key"])
            .collect();
        assert_eq!(keys, ["gpu"], "{record}");
    }
    let took = began.elapsed();
    // Three at once, and five more at two a second.
    assert!(
        took >= Duration::from_millis(2_500) && took < AT_MOST,
        "{took:?}"
    );
    world
        .limit_is("api", "held by nobody", |it| {
            it.holders().is_empty() && it.number("inUse") == 0
        })
        .await;
    // Written once more when all of it has come back.
    world
        .limit_is("api", "back to nothing used", |it| {
            it.status()["level"].is_null()
        })
        .await;
    let gpu = world.limit_now("gpu").await;
    assert_eq!(
        (gpu.number("inUse"), gpu.status()["level"].is_null()),
        (8, true)
    );
    world.finish().await;
}

#[tokio::test]
async fn held_slots_drain_after_their_release_only() {
    let world = World::new("rate-held").await;
    rated(&world, "api", 4, json!({"slots": 1, "perSeconds": 3600})).await;
    world.pod("a").slots("api=2").create().await;
    world.pod("b").slots("api=1").create().await;
    world.granted("a").await;
    world.granted("b").await;
    assert!(world.limit_now("api").await.status()["level"].is_null());
    world.end("a").await;
    world
        .limit_is("api", "two used up, one held", |it| {
            let level = &it.status()["level"];
            let per_slot = level["unitsPerSlot"].as_i64().unwrap_or(1);
            let units = level["units"].as_i64().unwrap_or_default();
            per_slot == 3_600_000
                && (units + per_slot - 1) / per_slot == 2
                && it.number("inUse") == 1
        })
        .await;
    let waits = world.pod("c").annotation(names::RATE_LIMITS, "api=2");
    waits.create().await;
    let message = world.event("c", "WaitingForSlots").await;
    let says = format!(
        "limit {}/api has no room for 2 more: 3 of 4 used, 1 come back each hour",
        world.namespace()
    );
    assert!(message.contains(&says), "{message}");
    world.is_gated("c").await;
    world.finish().await;
}

#[tokio::test]
async fn a_claim_takes_for_a_rate_and_holds_nothing() {
    let world = World::new("rate-claims").await;
    rated(&world, "api", 2, json!({"slots": 1})).await;
    let began = Instant::now();
    let claims = claim(&world, "first", "api", 2, json!({})).await;
    let granted = is_phase(&world, &claims, "first", ClaimPhase::Granted).await;
    let status = &granted["status"];
    assert_eq!(status["grants"][0]["rate"], true, "{granted}");
    assert!(
        status["expiresAt"].is_null() && status["grantedAt"].is_string(),
        "{granted}"
    );
    claim(&world, "second", "api", 2, json!({})).await;
    is_phase(&world, &claims, "second", ClaimPhase::Granted).await;
    let took = began.elapsed();
    assert!(took >= Duration::from_secs(2) && took < AT_MOST, "{took:?}");
    // One that would not wait so long is told so, and takes nothing.
    claim(&world, "hurried", "api", 2, json!({"timeoutSeconds": 0})).await;
    let refused = is_phase(&world, &claims, "hurried", ClaimPhase::TimedOut).await;
    let message = refused["status"]["message"].as_str().unwrap();
    assert!(message.contains("1 come back each second"), "{message}");
    let release = Patch::Merge(json!({"spec": {"release": true}}));
    claims
        .patch("first", &PatchParams::default(), &release)
        .await
        .unwrap();
    world
        .eventually("the released claim to be gone", async || {
            claims.get_opt("first").await.unwrap().is_none()
        })
        .await;
    world
        .limit_is("api", "held by nobody", |it| it.holders().is_empty())
        .await;
    world.finish().await;
}

#[tokio::test]
async fn without_a_decay_nothing_is_taken() {
    let world = World::new("rate-none").await;
    world.limit("plain", 3).await;
    let claims = claim(&world, "c", "plain", 1, json!({})).await;
    let denied = is_phase(&world, &claims, "c", ClaimPhase::Denied).await;
    assert_eq!(denied["status"]["reason"], "NoDecay", "{denied}");
    let pod = world.pod("p").annotation(names::RATE_LIMITS, "plain");
    pod.create().await;
    let message = world.event("p", "NoDecay").await;
    assert!(message.contains("spec.decay"), "{message}");
    world.is_gated("p").await;
    let plain = world.limit_now("plain").await;
    assert!(plain.holders().is_empty() && plain.status()["level"].is_null());
    // Whoever waits goes as soon as it has one.
    world
        .edit_limit("plain", json!({"decay": {"slots": 1}}))
        .await;
    world.granted("p").await;
    world.finish().await;
}
