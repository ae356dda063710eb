//! The statuses a kubelet reports, as strategic merge patches of `pods/status` (so that the scheduler's condition stays).

use jiff::Timestamp;
use serde_json::{Value, json};

use super::view::{Container, Identity};

/// Exit code of a container that SIGTERM ended.
pub(super) const TERMINATED_BY_SIGNAL: i32 = 143;

/// All containers run and are ready.
pub(super) fn running(pod: &Identity, started: Timestamp) -> Value {
    let running = json!({"running": {"startedAt": time(started)}});
    let completed = terminated(0, started, started);
    let init =
        pod.init_containers
            .iter()
            .map(|container| match container.restart_policy.as_deref() {
                Some("Always") => container_status(container, &running, true),
                _ => container_status(container, &completed, false),
            });
    let main = pod
        .containers
        .iter()
        .map(|container| container_status(container, &running, true));
    json!({
        "metadata": {"uid": pod.uid},
        "status": {
            "phase": "Running",
            "startTime": time(started),
            "conditions": conditions(true, "", started),
            "initContainerStatuses": init.collect::<Value>(),
            "containerStatuses": main.collect::<Value>(),
        },
    })
}

/// All containers have terminated; the phase follows from the exit code.
pub(super) fn ended(pod: &Identity, exit_code: i32, started: Timestamp, now: Timestamp) -> Value {
    let state = terminated(exit_code, started, now);
    let init = pod.init_containers.iter().map(|container| {
        let state = match container.restart_policy.as_deref() {
            Some("Always") => terminated(0, started, now),
            _ => terminated(0, started, started),
        };
        container_status(container, &state, false)
    });
    let main = pod
        .containers
        .iter()
        .map(|container| container_status(container, &state, false));
    let (phase, reason) = match exit_code {
        0 => ("Succeeded", "PodCompleted"),
        _ => ("Failed", "PodFailed"),
    };
    json!({
        "metadata": {"uid": pod.uid},
        "status": {
            "phase": phase,
            "conditions": conditions(false, reason, now),
            "initContainerStatuses": init.collect::<Value>(),
            "containerStatuses": main.collect::<Value>(),
        },
    })
}

fn terminated(exit_code: i32, started: Timestamp, finished: Timestamp) -> Value {
    json!({"terminated": {
        "exitCode": exit_code,
        "reason": if exit_code == 0 { "Completed" } else { "Error" },
        "startedAt": time(started),
        "finishedAt": time(finished),
    }})
}

fn container_status(container: &Container, state: &Value, ready: bool) -> Value {
    json!({
        "name": container.name,
        "image": container.image,
        "imageID": "",
        "ready": ready,
        "started": ready,
        "restartCount": 0,
        "state": state,
    })
}

fn conditions(ready: bool, reason: &str, since: Timestamp) -> Value {
    let condition = |kind: &str, status: bool, reason: &str| {
        json!({
            "type": kind,
            "status": if status { "True" } else { "False" },
            "reason": reason,
            "lastTransitionTime": time(since),
        })
    };
    json!([
        condition("Initialized", true, ""),
        condition("Ready", ready, reason),
        condition("ContainersReady", ready, reason),
    ])
}

/// Gives a time as the API writes it, in whole seconds.
pub(super) fn time(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}
