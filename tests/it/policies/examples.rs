//! The manifests of `examples/`: the server takes them, and the admin's policy among them works beside ours.

use serde_json::json;

use super::plane::{World, annotation, create_dry, is_gated, patch, pod, world};
use crate::chart::helm::{eventually, repository};

#[tokio::test]
async fn the_server_takes_every_manifest() {
    let world = world("examples").await;
    let mut seen = 0;
    for entry in std::fs::read_dir(repository().join("examples")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "yaml") {
            continue;
        }
        seen += 1;
        let path = path.display().to_string();
        let arguments = [
            "apply",
            "--dry-run=server",
            "--validate=strict",
            "-n",
            &world.namespace,
            "-f",
            &path,
        ];
        let output = tokio::process::Command::from(world.plane.kubectl(&arguments).unwrap())
            .output()
            .await
            .unwrap();
        assert!(
            output.status.success(),
            "{path}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    assert!(seen >= 4, "{seen} manifests");
}

#[tokio::test]
async fn slots_forced_by_an_admin() {
    let world = world("forced").await;
    let dev = world.dev();
    let example = repository()
        .join("examples/force-slots-on-namespace.yaml")
        .display()
        .to_string();
    for arguments in [
        ["apply", "-f", &example].as_slice(),
        &[
            "label",
            "namespace",
            &world.namespace,
            "example.com/force-slots=batch",
        ],
    ] {
        let kubectl = world.plane.kubectl(arguments).unwrap();
        assert!(
            tokio::process::Command::from(kubectl)
                .status()
                .await
                .unwrap()
                .success(),
            "{arguments:?}"
        );
    }
    let made = eventually("the policy to work", async || {
        let made = create_dry(&dev, &world.namespace, &pod("pod", json!({}))).await?;
        if annotation(&made, "sluice.dev/slots").is_some() {
            Ok(made)
        } else {
            Err("not forced".to_owned())
        }
    })
    .await;
    assert_eq!(annotation(&made, "sluice.dev/slots"), Some("batch"));
    assert!(is_gated(&made), "{made:?}");
    for (asked, given) in [
        ("gpu=2", "gpu=2, batch"),
        ("batch=3", "batch=3"),
        ("a, batch", "a, batch"),
        ("batches", "batches, batch"),
    ] {
        let object = pod("pod", json!({"annotations": {"sluice.dev/slots": asked}}));
        let made = create_dry(&dev, &world.namespace, &object).await.unwrap();
        assert_eq!(annotation(&made, "sluice.dev/slots"), Some(given));
        assert!(is_gated(&made), "{asked}");
    }
    its_slot_stays_while_it_waits(&world).await;
    // Nobody slips past the scheduler, not as the picture of a static pod either.
    let mut placed = pod("pod", json!({}));
    placed["spec"]["nodeName"] = "node-1".into();
    create_dry(&dev, &world.namespace, &placed)
        .await
        .unwrap_err();
    placed["metadata"]["annotations"] = json!({"kubernetes.io/config.mirror": "abc"});
    create_dry(&dev, &world.namespace, &placed)
        .await
        .unwrap_err();
    // Other namespaces know nothing of it.
    let other = world.plane.namespace("free").await.unwrap();
    let made = create_dry(&dev, &other, &pod("pod", json!({})))
        .await
        .unwrap();
    assert!(annotation(&made, "sluice.dev/slots").is_none());
}

/// Its other slots are its user's.
async fn its_slot_stays_while_it_waits(world: &World) {
    let dev = world.dev();
    let annotated = |value: &str| json!({"metadata": {"annotations": {"sluice.dev/slots": value}}});
    world.create(&dev, &pod("pod", json!({}))).await.unwrap();
    let edited = world
        .edit(&dev, "pod", &annotated("db=2, batch"))
        .await
        .unwrap();
    assert_eq!(annotation(&edited, "sluice.dev/attempt"), Some("1"));
    for away in [
        annotated("db=2"),
        json!({"metadata": {"annotations": {"sluice.dev/slots": null}}}),
    ] {
        let refusal = eventually("the second policy to work", async || {
            match patch(&dev, &world.namespace, "pod", "", &away, true).await {
                Ok(_) => Err("let through".to_owned()),
                Err(refusal) => Ok(refusal),
            }
        })
        .await;
        assert!(
            refusal.contains("pods of this namespace take a slot of the limit batch"),
            "{refusal}"
        );
    }
}
