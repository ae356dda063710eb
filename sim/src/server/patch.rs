//! JSON patches (RFC 6902) on modelled pods: all or nothing, `test` with `null` passes where a key is absent.
//!
//! Knows the paths that Sluice's patches use and stops the simulation at any other: a new path has to be modelled, and
//! compared with the real server by the contract tests, before it can be simulated.

use serde_json::{Value, json};
use sluice::controller::transport::PatchOperation;

use super::pod::{Phase, Pod};

/// Applies a patch, or says which operation failed.
pub(super) fn apply(pod: &Pod, operations: &[PatchOperation]) -> Result<Pod, String> {
    let mut next = pod.clone();
    for operation in operations {
        match operation {
            PatchOperation::Test { path, value } => {
                let found = read(&next, path);
                if found != *value {
                    return Err(format!("test {path}: {found} is not {value}"));
                }
            }
            PatchOperation::Add { path, value } => add(&mut next, path, value)?,
            PatchOperation::Remove { path } if path == "/spec/schedulingGates" => {
                if next.gates.is_empty() {
                    return Err(format!("remove {path}: absent"));
                }
                next.gates.clear();
            }
            PatchOperation::Remove { path } => unknown(path),
        }
    }
    Ok(next)
}

fn read(pod: &Pod, path: &str) -> Value {
    let text = |text: Option<&String>| text.map_or(Value::Null, |text| json!(text));
    if let Some(key) = path.strip_prefix("/metadata/annotations/") {
        return text(pod.annotations.get(&unescape(key)));
    }
    if let Some(key) = path.strip_prefix("/metadata/labels/") {
        return text(pod.labels.get(&unescape(key)));
    }
    if let Some(place) = path
        .strip_prefix("/spec/schedulingGates/")
        .and_then(|rest| rest.strip_suffix("/name"))
    {
        let place: Option<usize> = place.parse().ok();
        return text(place.and_then(|place| pod.gates.get(place)));
    }
    match path {
        "/metadata/uid" => json!(pod.uid.as_str()),
        "/metadata/labels" if pod.labels.is_empty() => Value::Null,
        "/metadata/labels" => json!(pod.labels),
        "/metadata/finalizers" if pod.finalizers.is_empty() => Value::Null,
        "/metadata/finalizers" => json!(pod.finalizers),
        "/spec/schedulingGates" if pod.gates.is_empty() => Value::Null,
        "/spec/schedulingGates" => {
            let gates: Vec<Value> = pod.gates.iter().map(|gate| json!({"name": gate})).collect();
            json!(gates)
        }
        _ => unknown(path),
    }
}

fn add(pod: &mut Pod, path: &str, value: &Value) -> Result<(), String> {
    let text = || value.as_str().unwrap_or_default().to_owned();
    if let Some(key) = path.strip_prefix("/metadata/annotations/") {
        pod.annotations.insert(unescape(key), text());
        return Ok(());
    }
    if let Some(key) = path.strip_prefix("/metadata/labels/") {
        if pod.labels.is_empty() {
            return Err(format!("add {path}: there are no labels to add to"));
        }
        pod.labels.insert(unescape(key), text());
        return Ok(());
    }
    match path {
        "/metadata/labels" => {
            pod.labels = serde_json::from_value(value.clone()).unwrap_or_default();
        }
        "/metadata/finalizers" => {
            pod.finalizers = serde_json::from_value(value.clone()).unwrap_or_default();
        }
        "/metadata/finalizers/-" if pod.finalizers.is_empty() => {
            return Err(format!("add {path}: there is no list to add to"));
        }
        "/metadata/finalizers/-" => pod.finalizers.push(text()),
        "/status/phase" if value == "Failed" => pod.phase = Phase::Failed,
        "/status/reason" | "/status/message" => {}
        _ => unknown(path),
    }
    Ok(())
}

fn unknown(path: &str) -> ! {
    crate::bug(&format!(
        "path {path} of a patch is not modelled: add it to sim/src/server/patch.rs"
    ))
}

/// JSON pointer escapes (RFC 6901).
fn unescape(key: &str) -> String {
    key.replace("~1", "/").replace("~0", "~")
}
