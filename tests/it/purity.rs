//! The ledger is pure: it compiles alone, with no dependency at all and nothing of this crate around it.
//!
//! Any use of kube, tokio, serde or `crate::` in `src/ledger` fails here; lints in `src/ledger/mod.rs`
//! deny clocks, randomness, IO and hash-ordered maps of the standard library itself.

use std::path::Path;
use std::process::Command;

#[test]
fn the_ledger_compiles_alone() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = tempfile::tempdir().unwrap();
    let wrapper = folder.path().join("alone.rs");
    let ledger = root.join("src/ledger/mod.rs");
    std::fs::write(
        &wrapper,
        format!(
            "#[path = {:?}] pub mod ledger;\n",
            ledger.display().to_string()
        ),
    )
    .unwrap();
    let output = Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()))
        .args([
            "--edition",
            "2024",
            "--crate-type",
            "lib",
            "--emit",
            "metadata",
        ])
        .arg("--out-dir")
        .arg(folder.path())
        .arg(&wrapper)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn the_ledger_denies_the_tools_of_impurity() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let module = std::fs::read_to_string(root.join("src/ledger/mod.rs")).unwrap();
    for lint in [
        "disallowed_methods",
        "disallowed_types",
        "disallowed_macros",
        "arithmetic_side_effects",
    ] {
        assert!(
            module.contains(&format!("clippy::{lint}")),
            "{lint} is not denied"
        );
    }
    let config = std::fs::read_to_string(root.join("clippy.toml")).unwrap();
    for tool in [
        "Instant::now",
        "SystemTime::now",
        "HashMap",
        "HashSet",
        "fastrand",
        "env::var",
    ] {
        assert!(config.contains(tool), "{tool} is not on the list");
    }
}

#[test]
fn the_client_feature_compiles_no_controller_and_no_command_line() {
    let output = Command::new(env!("CARGO"))
        .args([
            "tree",
            "--offline",
            "--edges",
            "normal",
            "--no-default-features",
            "--features",
            "client",
        ])
        .args(["--package", "kube-sluice", "--prefix", "none"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let tree = String::from_utf8_lossy(&output.stdout);
    assert!(tree.contains("kube-client"), "{tree}");
    for absent in [
        "kube-runtime",
        "clap",
        "crossterm",
        "json-patch",
        "prometheus-client",
        "ratatui",
        "tracing-subscriber",
    ] {
        let found = tree
            .lines()
            .any(|line| line.starts_with(&format!("{absent} ")));
        assert!(!found, "feature client brings {absent}:\n{tree}");
    }
}
