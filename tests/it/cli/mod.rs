//! The `sluice` command as its users drive it: the built binary, a kubeconfig, and a control plane behind it. What it shows
//! is compared with what the controller really does.

mod acquire;
mod change;
mod claims;
mod look;
mod pod;
mod release;
mod run;
mod server;

use serde_json::Value;

use crate::support::World;

/// What the command prints for programs.
fn json(world: &World, arguments: &[&str]) -> Value {
    let all = [arguments, &["-o", "json"]].concat();
    serde_json::from_str(&world.sluice(&all)).unwrap()
}

/// One field of every item.
fn column(list: &Value, field: &str) -> Vec<String> {
    let items = list["items"].as_array().unwrap();
    let text = |it: &Value| match &it[field] {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    items.iter().map(text).collect()
}
