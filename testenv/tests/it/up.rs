//! The `up` command, and what is left of a control plane whose process is killed.

use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::eventually;

fn up() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sluice-testenv"));
    command.arg("up");
    command
}

/// Starts the command and waits until it says where the kubeconfig is.
fn start(mut command: Command) -> (Child, PathBuf) {
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    let kubeconfig = line.trim().strip_prefix("export KUBECONFIG=").unwrap();
    (child, kubeconfig.into())
}

/// Gives the ids of a process's children that run the control plane.
fn components(parent: u32) -> Vec<u32> {
    let is_component = |id: &u32| {
        let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
        let fields = stat.rsplit_once(") ").map_or("", |(_, fields)| fields);
        fields.split(' ').nth(1) == Some(&parent.to_string())
    };
    std::fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| entry.unwrap().file_name().to_str()?.parse().ok())
        .filter(is_component)
        .collect()
}

async fn all_gone(ids: &[u32]) {
    eventually("the end of all components", async || {
        let gone = |id: &u32| !Path::new(&format!("/proc/{id}")).exists();
        ids.iter().all(gone).then_some(())
    })
    .await;
}

#[tokio::test]
async fn everything_dies_with_a_killed_parent() {
    let (mut child, kubeconfig) = start(up());
    let ids = components(child.id());
    assert_eq!(
        ids.len(),
        4,
        "etcd, the API server, the controllers, the scheduler"
    );
    child.kill().unwrap();
    child.wait().unwrap();
    all_gone(&ids).await;
    // What it could not remove is there for the next run to remove.
    let directory = kubeconfig.parent().unwrap();
    let _ = std::fs::remove_dir_all(directory);
}

#[tokio::test]
async fn ctrl_c_ends_it_and_leaves_nothing() {
    let (mut child, kubeconfig) = start(up());
    let ids = components(child.id());
    let id = Pid::from_raw(child.id().try_into().unwrap()).unwrap();
    kill_process(id, Signal::INT).unwrap();
    assert!(child.wait().unwrap().success());
    all_gone(&ids).await;
    assert!(!kubeconfig.parent().unwrap().exists());
}

/// Writes what setup-envtest would have installed: an etcd and a kube-apiserver that watch no parent.
fn stock_binaries(directory: &Path, control_plane: &Path) {
    let binary = control_plane.display();
    let etcd = format!(
        "#!/bin/sh\nunset SLUICE_TESTENV_PARENT\nfor flag; do case $flag in\n\
         --data-dir=*) data=$flag;;\n\
         --listen-client-urls=*) client=--listen-client-url=${{flag#*=}};;\n\
         --listen-peer-urls=*) peer=--listen-peer-url=${{flag#*=}};;\nesac; done\n\
         exec {binary} etcd $data $client $peer\n"
    );
    let apiserver =
        format!("#!/bin/sh\nunset SLUICE_TESTENV_PARENT\nexec {binary} kube-apiserver \"$@\"\n");
    for (name, script) in [("etcd", etcd), ("kube-apiserver", apiserver)] {
        let path = directory.join(name);
        std::fs::write(&path, script).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
}

#[tokio::test]
async fn without_go_the_binaries_of_setup_envtest_serve() {
    let directory = tempfile::tempdir().unwrap();
    let kubectl = sluice_testenv::assets::kubectl().await.unwrap();
    stock_binaries(directory.path(), &kubectl.with_file_name("controlplane"));
    let mut command = up();
    command
        .env("PATH", directory.path())
        .env("KUBEBUILDER_ASSETS", directory.path());
    let (mut child, kubeconfig) = start(command);
    let output = Command::new(&kubectl)
        .args(["get", "nodes", "-o", "name"])
        .env("KUBECONFIG", &kubeconfig)
        .output()
        .unwrap();
    let nodes = String::from_utf8(output.stdout).unwrap();
    assert_eq!(nodes, "node/node-1\nnode/node-2\nnode/node-3\n");

    let ids = components(child.id());
    assert_eq!(ids.len(), 4, "etcd and the API server, each with its guard");
    child.kill().unwrap();
    child.wait().unwrap();
    all_gone(&ids).await;
    let _ = std::fs::remove_dir_all(kubeconfig.parent().unwrap());
}

#[test]
fn without_anything_one_sentence_says_what_to_do() {
    let empty = tempfile::tempdir().unwrap();
    let output = up()
        .env("PATH", empty.path())
        .env_remove("KUBEBUILDER_ASSETS")
        .output()
        .unwrap();
    assert!(!output.status.success());
    let sentence = String::from_utf8(output.stderr).unwrap();
    assert_eq!(sentence.lines().count(), 1, "{sentence}");
    assert!(sentence.contains("install Go") && sentence.contains("KUBEBUILDER_ASSETS"));
}
