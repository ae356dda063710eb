//! Part (f): pods that have nothing to do with Sluice are created as fast with its admission policies as without.
//!
//! The policies are those of the chart, put up and taken down between the runs of each pair on one API server. Beside the
//! rate stands what a pod costs the server in processor time, which does not depend on who else is busy on the machine.

use std::process::Stdio;
use std::time::Instant;

use kube::api::PostParams;
use serde::Deserialize as _;
use serde_json::{Value, json};
use sluice::api::names;
use sluice_testenv::assets;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use super::Result;
use super::report::{Goal, Report, median, rate};
use super::stage::{Stage, eventually, gated_pod, plain_pod};

/// Pods of one run.
const PODS: usize = 1_000;
const PAIRS: usize = 7;
/// Pods created at once.
const AT_ONCE: usize = 8;
/// What Kueue leaves of the rate.
const KUEUE: f64 = 0.55;

pub(super) async fn run(stage: &Stage, report: &mut Report) -> Result<()> {
    let policies = policies().await?;
    let namespace = stage.plane.namespace("creation").await?;
    // Without policies, with policies.
    let mut rates = [Vec::new(), Vec::new()];
    let mut costs = [Vec::new(), Vec::new()];
    for pair in 0..PAIRS {
        // Each side goes first in every other pair.
        for side in [pair % 2, (pair + 1) % 2] {
            set(stage, &namespace, &policies, side == 1).await?;
            let (rate, cost) = create(stage, &namespace).await?;
            rates[side].push(rate);
            costs[side].push(cost);
        }
    }
    for (side, what) in ["without", "with"].into_iter().enumerate() {
        let rate = median(rates[side].iter().copied());
        let cost = median(costs[side].iter().copied());
        report.add(
            format!("(f) pods created {what} policies"),
            rate,
            "/s",
            Goal::None,
        );
        report.add(
            format!("(f) server's processor time for a pod {what} policies"),
            cost,
            "ms",
            Goal::None,
        );
    }
    let pairs = |figures: &[Vec<f64>; 2]| {
        let [without, with] = figures;
        median(
            with.iter()
                .zip(without)
                .map(|(with, without)| with / without),
        )
    };
    let ratio = pairs(&rates);
    report.add(
        "(f) rate with / without, median of seven pairs",
        ratio,
        "",
        Goal::AtLeast(0.9),
    );
    report.add(
        "(f) processor time with / without, median of seven pairs",
        pairs(&costs),
        "",
        Goal::None,
    );
    report.add("(f) rate with / without, of Kueue", KUEUE, "", Goal::None);
    Ok(())
}

/// Creates pods; how many a second, and the server's processor time for each in milliseconds.
async fn create(stage: &Stage, namespace: &str) -> Result<(f64, f64)> {
    let cpu = stage.server_cpu_seconds()?;
    let start = Instant::now();
    let pods = stage
        .create_all(namespace, &plain_pod(), PODS, AT_ONCE)
        .await?;
    let time = start.elapsed();
    let cpu = stage.server_cpu_seconds()? - cpu;
    stage
        .delete_pods(namespace, pods.into_iter().map(|pod| pod.name))
        .await?;
    Ok((rate(PODS, time), cpu * 1_000.0 / PODS as f64))
}

/// All admission policies of the chart and their bindings.
async fn policies() -> Result<String> {
    let chart = concat!(env!("CARGO_MANIFEST_DIR"), "/charts/sluice");
    let output = Command::new(assets::helm().await?)
        .args(["template", "sluice", chart, "--namespace=sluice-system"])
        .args(["--kube-version=1.37.1", "--set=admission.policy=enabled"])
        .output()
        .await?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into());
    }
    let text = String::from_utf8(output.stdout)?;
    let mut policies = Vec::new();
    for document in serde_yaml::Deserializer::from_str(&text) {
        let object = Value::deserialize(document)?;
        let kind = object["kind"].as_str().unwrap_or_default();
        if kind.contains("AdmissionPolicy") {
            policies.push(object);
        }
    }
    Ok(json!({"apiVersion": "v1", "kind": "List", "items": policies}).to_string())
}

/// Puts the policies up or takes them down, and waits until the server does as told.
async fn set(stage: &Stage, namespace: &str, policies: &str, up: bool) -> Result<()> {
    let verb: &[&str] = if up {
        &["apply", "-f", "-"]
    } else {
        &["delete", "--ignore-not-found", "-f", "-"]
    };
    let mut kubectl: Command = stage.plane.kubectl(verb)?.into();
    let mut child = kubectl
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(policies.as_bytes()).await?;
    }
    let output = child.wait_with_output().await?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into());
    }
    let what = if up {
        "policies to work"
    } else {
        "policies to be gone"
    };
    eventually(what, async || {
        Ok(gates(stage, namespace).await? == up && refuses(stage, namespace).await? == up)
    })
    .await
}

/// Whether an annotated pod is gated.
async fn gates(stage: &Stage, namespace: &str) -> Result<bool> {
    let mut pod = gated_pod();
    pod["spec"]["schedulingGates"] = Value::Null;
    pod["metadata"]["labels"] = Value::Null;
    let answer = create_dry(stage, namespace, &pod).await;
    Ok(answer?
        .spec
        .is_some_and(|spec| spec.scheduling_gates.is_some()))
}

/// Whether a pod whose annotation is nonsense is refused.
async fn refuses(stage: &Stage, namespace: &str) -> Result<bool> {
    let mut pod = gated_pod();
    pod["metadata"]["annotations"][names::SLOTS] = "NONSENSE".into();
    Ok(create_dry(stage, namespace, &pod).await.is_err())
}

async fn create_dry(
    stage: &Stage,
    namespace: &str,
    pod: &Value,
) -> Result<k8s_openapi::api::core::v1::Pod> {
    let dry_run = PostParams {
        dry_run: true,
        ..PostParams::default()
    };
    let pod = serde_json::from_value(pod.clone())?;
    Ok(stage.pods(namespace).create(&dry_run, &pod).await?)
}
