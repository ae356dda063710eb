//! `sluice run --pod`: what a container runs holds for as long as its pod lives, and is found again by its next start.

use std::process::{Child, Stdio};

use kube::ResourceExt as _;

use super::json as shown;
use super::run::{lives, send};
use super::{column, run};
use crate::support::World;

/// Starts what a container of this pod runs.
fn start(world: &World, uid: &str, folder: &std::path::Path, script: &str) -> Child {
    let arguments = ["run", "--pod", "--slots", "gpu", "-n", world.namespace()];
    let said = std::fs::File::create(folder.join("said")).unwrap();
    world
        .sluice_command(&[&arguments[..], &["--", "sh", "-c", script]].concat())
        .env("SLUICE_POD_NAME", "w")
        .env("SLUICE_POD_UID", uid)
        .env("SLUICE_CONTAINER", "main")
        .current_dir(folder)
        .stdout(Stdio::null())
        .stderr(said)
        .spawn()
        .unwrap()
}

async fn wrote(world: &World, folder: &std::path::Path, name: &str) -> String {
    let path = folder.join(name);
    let text = || std::fs::read_to_string(&path).unwrap_or_default();
    world
        .eventually(&format!("file {name}"), async || text().ends_with('\n'))
        .await;
    text().trim().to_owned()
}

#[tokio::test]
async fn a_container_that_starts_again_has_its_claim_and_its_former_command_is_dead() {
    let world = World::new("cli-run-pod").await;
    world.limit("gpu", 1).await;
    world.pod("w").ungated().create().await;
    let uid = world.running("w").await.uid().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut first = start(&world, &uid, folder.path(), run::DEAF);
    let pid = wrote(&world, folder.path(), "pid").await;
    let holders = || shown(&world, &["holders", "gpu"]);
    let claims = column(&holders(), "uid");
    assert_eq!(claims.len(), 1);
    send("-KILL", first.id());
    first.wait().unwrap();
    // It starts again while the former command is still being ended.
    let script = format!(
        "case \"$(cut -d' ' -f3 /proc/{pid}/stat 2> /dev/null)\" in ''|Z) echo dead > found;; *) echo alive > found;; esac; \
         while [ ! -e go ]; do sleep 0.05; done"
    );
    let mut again = start(&world, &uid, folder.path(), &script);
    assert_eq!(wrote(&world, folder.path(), "found").await, "dead");
    assert!(!lives(&pid));
    assert_eq!(column(&holders(), "uid"), claims, "the same claim");
    std::fs::write(folder.path().join("go"), "").unwrap();
    assert_eq!(again.wait().unwrap().code(), Some(0));
    world.holders("gpu", []).await;

    // The pod ends under it.
    let mut third = start(&world, &uid, folder.path(), "echo > held; sleep 600");
    wrote(&world, folder.path(), "held").await;
    world.end("w").await;
    assert_eq!(third.wait().unwrap().code(), Some(122));
    let said = std::fs::read_to_string(folder.path().join("said")).unwrap();
    assert!(said.contains("PodEnded"), "{said}");
    world.holders("gpu", []).await;
    world.finish().await;
}

#[tokio::test]
async fn without_the_variables_it_says_which() {
    let world = World::plan("cli-run-no-pod").controllers(0).begin().await;
    let output = world
        .sluice_command(&["run", "--pod", "--slots", "gpu", "--", "true"])
        .env("SLUICE_POD_NAME", "w")
        .env_remove("SLUICE_POD_UID")
        .output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(
        said.contains("--pod: which pod is this? SLUICE_POD_UID is not set"),
        "{said}"
    );
}
