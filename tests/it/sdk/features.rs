//! What the feature `client` brings in, and what it does not.

use std::process::Command;

/// Crates that only the controller or the command needs.
const FOREIGN: [&str; 7] = [
    "clap",
    "clap_complete",
    "crossterm",
    "json-patch",
    "prometheus-client",
    "ratatui",
    "tracing-subscriber",
];

#[test]
fn the_sdk_compiles_no_controller_and_no_terminal() {
    let tree = |features: &str| {
        let output = Command::new(env!("CARGO"))
            .args([
                "tree",
                "--offline",
                "-p",
                "kube-sluice",
                "--edges",
                "normal",
            ])
            .args([
                "--prefix",
                "none",
                "--no-default-features",
                "--features",
                features,
            ])
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .output()
            .unwrap();
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{complaint}");
        String::from_utf8(output.stdout).unwrap()
    };
    let has = |tree: &str, name: &str| {
        tree.lines()
            .any(|line| line.starts_with(&format!("{name} v")))
    };
    let client = tree("client");
    assert!(has(&client, "kube-client"), "{client}");
    let found: Vec<&str> = FOREIGN
        .into_iter()
        .filter(|name| has(&client, name))
        .collect();
    assert!(found.is_empty(), "feature client brings in {found:?}");
    // The list is of names that there are.
    let all = tree("cli");
    let unknown: Vec<&str> = FOREIGN
        .into_iter()
        .filter(|name| !has(&all, name))
        .collect();
    assert!(unknown.is_empty(), "{unknown:?}");
}
