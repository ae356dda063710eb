//! The oldest supported server: no mutating policy there, so gate and label are written by hand. All else holds.

use serde_json::json;
use sluice_testenv::{ControlPlane, Options};

use super::claims::claim;
use super::plane::{
    Answer, GATE, annotation, create, create_dry, is_gated, patch, people, pod, refusal,
};
use crate::chart::helm::{Helm, eventually};

/// Oldest version that is supported.
const OLDEST: &str = "1.34";

#[tokio::test]
async fn by_hand_on_the_oldest_server() {
    let plane = ControlPlane::start(
        Options::default()
            .emulated_version(OLDEST)
            .without_scheduler(),
    )
    .await
    .unwrap();
    let notes = Helm::on(&plane).await.install(&[]).await.unwrap();
    assert!(
        notes.contains("MISSING: this cluster does not serve MutatingAdmissionPolicy"),
        "{notes}"
    );
    people(&plane.client()).await;
    let namespace = plane.namespace("older").await.unwrap();
    let dev = plane.client_as("dev", &[]).unwrap();

    // Without a gate a request would be let through uncounted: it is refused, and told what to write.
    let request = json!({"annotations": {"sluice.dev/slots": "gpu"}});
    let sentence = eventually("the policies to work", async || {
        refusal(
            "request",
            create_dry(&dev, &namespace, &pod("pod", request.clone())).await,
        )
    })
    .await;
    assert!(
        sentence.contains("schedulingGates: [{name: sluice.dev/slots}]"),
        "{sentence}"
    );
    let mut by_hand = pod("pod", request);
    by_hand["spec"]["schedulingGates"] = json!([{"name": GATE}]);
    refusal("request", create_dry(&dev, &namespace, &by_hand).await).unwrap();
    by_hand["metadata"]["labels"] = json!({"sluice.dev/managed": "true"});
    let made = create(&dev, &namespace, &by_hand).await.unwrap();
    assert!(is_gated(&made));

    let edit = async |edit| -> Answer { patch(&dev, &namespace, "pod", "", &edit, false).await };
    let open = json!({"spec": {"schedulingGates": null}});
    eventually("the guard to work", async || {
        refusal(
            "guard",
            patch(&dev, &namespace, "pod", "", &open, true).await,
        )
        .map(|_| ())
    })
    .await;
    // Nobody raises the attempt here but the editor, by one.
    let edited = edit(json!({"metadata": {"annotations": {"sluice.dev/slots": "db"}}}))
        .await
        .unwrap();
    assert_eq!(annotation(&edited, "sluice.dev/attempt"), None);
    let raised = json!({"metadata": {"annotations": {"sluice.dev/slots": "gpu", "sluice.dev/attempt": "1"}}});
    assert_eq!(
        annotation(&edit(raised).await.unwrap(), "sluice.dev/attempt"),
        Some("1")
    );
    for forged in ["3", "0", "timed-out"] {
        let forged = json!({"metadata": {"annotations": {"sluice.dev/slots": "db", "sluice.dev/attempt": forged}}});
        refusal("guard", edit(forged).await).unwrap();
    }

    // Nor does anybody write the creator into a claim: it is refused, and told what to write.
    let mut by_hand = claim("claim", json!({"locks": [{"lock": "deploy"}]}));
    let sentence = eventually("the policy of claims to work", async || {
        refusal("claim", create_dry(&dev, &namespace, &by_hand).await)
    })
    .await;
    assert!(
        sentence.starts_with("spec.user: write who creates the claim, \"dev\""),
        "{sentence}"
    );
    by_hand["spec"]["user"] = "dev".into();
    create(&dev, &namespace, &by_hand).await.unwrap();
}
