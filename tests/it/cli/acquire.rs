//! `sluice acquire`, `sluice release --claim` and `sluice rate-limit`, in scripts.

use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, Command, Stdio};

use serde_json::json;

use super::run::{lives, send};
use super::{column, json as shown};
use crate::support::World;

/// A script that finds `sluice` in its path, and the namespace in $NS.
fn script(world: &World, text: &str) -> Child {
    let folder = std::path::Path::new(env!("CARGO_BIN_EXE_sluice"))
        .parent()
        .unwrap();
    let path = std::env::var("PATH").unwrap();
    Command::new("bash")
        .args(["-c", text])
        .env("PATH", format!("{}:{path}", folder.display()))
        .env("KUBECONFIG", world.plane().kubeconfig())
        .env("NS", world.namespace())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

fn end(child: Child) -> (Option<i32>, String, String) {
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (
        output.status.code(),
        text(output.stdout),
        text(output.stderr),
    )
}

#[tokio::test]
async fn a_script_acquires_and_gives_back() {
    let world = World::new("cli-acquire").await;
    world.limit("gpu", 1).await;
    world.lock("door").await;
    let (code, out, said) = end(script(
        &world,
        r#"
        claim=$(sluice acquire -n $NS --parent $$ --slots gpu --timeout 30s) || exit 3
        echo "$claim"
        sluice holders gpu -n $NS -o json | grep -c "\"name\": \"$claim\""
        sluice acquire -n $NS --parent $$ --slots gpu --timeout 0 -q; echo $?
        sluice release -n $NS --claim "$claim" || exit 4
        eval "$(sluice acquire -n $NS --parent $$ --lock door --export)" || exit 5
        echo "$SLUICE_LOCK_TOKENS"
        sluice release -n $NS --claim "$SLUICE_CLAIM" || exit 6
        "#,
    ));
    assert_eq!(code, Some(0), "{out}{said}");
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!((lines[1], lines[2]), ("1", "124"), "{out}{said}");
    assert!(lines[3].contains("slots are free"), "{out}");
    assert!(lines[4].starts_with("door="), "{out}");
    world.holders("gpu", []).await;
    world.lock_holders("door", []).await;
    let (code, _, said) = end(script(
        &world,
        "sluice acquire -n $NS --parent $$ --slots nowhere",
    ));
    assert_eq!(code, Some(123), "{said}");
    let (code, _, said) = end(script(
        &world,
        "sluice acquire -n $NS --parent 4000000 --slots gpu",
    ));
    assert_eq!(code, Some(2), "{said}");
    world.finish().await;
}

#[tokio::test]
async fn what_is_acquired_is_tied_to_its_script() {
    let world = World::new("cli-acquire-parent").await;
    world.limit("gpu", 1).await;
    let mut child = script(
        &world,
        "sluice acquire -n $NS --parent $$ --slots gpu > /dev/null || exit 3; read line",
    );
    world
        .limit_is("gpu", "held", |it| it.holders().len() == 1)
        .await;
    send("-KILL", child.id());
    child.wait().unwrap();
    world.holders("gpu", []).await;

    // Taken away, the script is told.
    let child = script(
        &world,
        "sluice acquire -n $NS --parent $$ --slots gpu > /dev/null || exit 3; while :; do sleep 0.1; done",
    );
    world
        .limit_is("gpu", "held", |it| it.holders().len() == 1)
        .await;
    let claim = format!(
        "claim/{}",
        column(&shown(&world, &["holders", "gpu"]), "name")[0]
    );
    world.sluice(&[
        "release", "gpu", "--holder", &claim, "--reason", "drill", "--force",
    ]);
    let pid = child.id().to_string();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.signal(), Some(15));
    assert!(!lives(&pid));
    world.finish().await;
}

#[tokio::test]
async fn a_limit_without_decay_has_no_rate() {
    let world = World::new("cli-rate-refused").await;
    world.limit("gpu", 5).await;
    let told = world.sluice_fails(&["rate-limit", "lock/gpu"]);
    assert!(told.contains("only limits have rates"), "{told}");
    let ns = world.namespace();
    let output = world
        .sluice_command(&["rate-limit", "nowhere", "-n", ns])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(123));
    world.finish().await;
}

#[tokio::test]
async fn a_rate_is_kept() {
    let world = World::new("cli-rate").await;
    let decay = json!({"slots": 1, "perSeconds": 3600});
    world
        .limit_with("api", json!({"slots": 2, "decay": decay}))
        .await;
    world.fenced("api").await;
    let take = || {
        let arguments = [
            "rate-limit",
            "api",
            "--timeout",
            "0",
            "-n",
            world.namespace(),
        ];
        let output = world.sluice_command(&arguments).output().unwrap();
        output.status.code()
    };
    assert_eq!((take(), take(), take()), (Some(0), Some(0), Some(124)));
    world.finish().await;
}
