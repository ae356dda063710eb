//! Which server and namespace, who may, what refusals say, and the command's own looks.

use std::os::unix::fs::symlink;
use std::process::Output;

use serde_json::{Value, json};

use super::column;
use crate::support::World;

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[tokio::test]
async fn kubeconfig_context_and_namespace_as_for_kubectl() {
    let world = World::plan("cli-server").namespaces(2).begin().await;
    world.space(0).limit("gpu", 1).await;
    world.space(1).limit("db", 1).await;
    let file = std::fs::read_to_string(world.plane().kubeconfig()).unwrap();
    let mut kubeconfig: Value = serde_yaml::from_str(&file).unwrap();
    let mut context = kubeconfig["contexts"][0].clone();
    kubeconfig["contexts"][0]["context"]["namespace"] = world.space(0).namespace().into();
    context["name"] = "second".into();
    context["context"]["namespace"] = world.space(1).namespace().into();
    kubeconfig["contexts"].as_array_mut().unwrap().push(context);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config");
    std::fs::write(&path, kubeconfig.to_string()).unwrap();
    let path = path.to_str().unwrap();

    let keys = |arguments: &[&str]| {
        let mut command = world.sluice_command(arguments);
        let output = command.env("KUBECONFIG", "/nowhere").output().unwrap();
        assert!(
            output.status.success(),
            "{arguments:?}: {}",
            text(&output.stderr)
        );
        column(&serde_json::from_slice(&output.stdout).unwrap(), "key")
    };
    let list = ["limits", "-o", "json", "--kubeconfig", path];
    let with = |more: &[&str]| keys(&[&list, more].concat());
    assert_eq!(with(&[]), ["gpu"]);
    assert_eq!(with(&["--context", "second"]), ["db"]);
    let first = world.space(0).namespace();
    assert_eq!(with(&["--context", "second", "-n", first]), ["gpu"]);

    let fails = |arguments: &[&str]| {
        let output = world.sluice_command(arguments).output().unwrap();
        assert!(!output.status.success(), "{arguments:?}");
        text(&output.stderr)
    };
    let told = fails(&[&list[..], &["--context", "third"]].concat());
    assert!(told.contains("context third of kubeconfig"), "{told}");
    let told = fails(&["limits", "--kubeconfig", "/nowhere/config"]);
    assert!(told.contains("/nowhere/config"), "{told}");
    world.finish().await;
}

#[tokio::test]
async fn refusals_name_the_object_and_the_remedy() {
    let world = World::plan("cli-refusal").controllers(0).begin().await;
    let ns = world.namespace().to_owned();
    world.limit_with("gpu", json!({"slots": 1})).await;
    for (arguments, object, remedy) in [
        (
            &["get", "cpu"][..],
            format!("limit {ns}/cpu does not exist"),
            "`sluice limits -n",
        ),
        (
            &["holders", "lock/gpu"],
            format!("lock {ns}/gpu does not exist"),
            "there is a limit of that name: write climit/gpu",
        ),
        (
            &["queue", "cpu"],
            format!("limit {ns}/cpu does not exist"),
            "sluice create cpu --slots N",
        ),
        (
            &["why", "pod"],
            format!("pod or claim {ns}/pod does not exist"),
            "kubectl get pods,slotclaims",
        ),
        (
            &["set", "slots", "lock/gpu", "2"],
            "has no slots".to_owned(),
            "without lock/",
        ),
        (
            &["get", "GPU"],
            "GPU is no limit or lock".to_owned(),
            "lock/deploy",
        ),
    ] {
        let told = world.sluice_fails(arguments);
        assert!(told.starts_with("sluice: "), "{told}");
        assert!(told.contains(&object) && told.contains(remedy), "{told}");
    }
    let output = world
        .sluice_command(&["limits", "--nonsense"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));

    let stranger = world.plane().kubeconfig_as("stranger", &[]).unwrap();
    let run = |arguments: &[&str]| -> Output {
        let mut command = world.sluice_command(arguments);
        command.env("KUBECONFIG", &stranger).output().unwrap()
    };
    let told = text(&run(&["limits", "-n", &ns]).stderr);
    assert!(
        told.contains("concurrencylimits cannot be listed") && told.contains("sluice-viewer"),
        "{told}"
    );
}

#[tokio::test]
async fn a_tenant_sees_what_he_may() {
    let world = World::plan("cli-tenant").namespaces(2).begin().await;
    let (own, other) = (world.space(0), world.space(1));
    own.limit("gpu", 1).await;
    let open = json!({"slots": 1, "allowedNamespaces": {"from": "All"}});
    other.limit_with("shared", open).await;
    other.fenced("shared").await;
    for name in ["view", "sluice"] {
        let role = json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": name},
            "rules": [
                {"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list"]},
                {"apiGroups": ["sluice.dev"], "resources": ["concurrencylimits", "locks"], "verbs": ["get", "list"]},
            ],
        });
        own.apply_json(role).await;
    }
    own.apply_json(json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": "tenant"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "sluice"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "tenant"}],
    }))
    .await;
    let kubeconfig = world.plane().kubeconfig_as("tenant", &[]).unwrap();
    let run = |arguments: &[&str]| {
        let mut command = world.sluice_command(&[arguments, &["-n", own.namespace()]].concat());
        let output = command.env("KUBECONFIG", &kubeconfig).output().unwrap();
        let told = text(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {told}");
        (text(&output.stdout), told)
    };
    own.pod("a").slots("gpu").create().await;
    own.granted("a").await;
    own.pod("b").slots("gpu").create().await;
    own.waiting("gpu", 1).await;
    let (out, told) = run(&["queue", "gpu"]);
    assert!(told.contains("claims of namespace"), "{told}");
    assert!(
        out.contains("limit") && out.contains("has no room"),
        "{out}"
    );
    let (out, _) = run(&["holders", "gpu"]);
    assert!(out.contains("Running") || out.contains("Pending"), "{out}");
    let foreign = format!("{}/shared=2", other.namespace());
    own.pod("c").slots(&foreign).create().await;
    let (out, told) = run(&["why", "c"]);
    assert!(out.contains("shared may not be read"), "{out}");
    assert!(
        told.contains(&format!("namespace {} may not be read", other.namespace())),
        "{told}"
    );
    own.delete("c").await;
    world.finish().await;
}

#[tokio::test]
async fn as_a_plugin_of_kubectl_and_in_a_shell() {
    let world = World::plan("cli-plugin").controllers(0).begin().await;
    let folder = tempfile::tempdir().unwrap();
    let plugin = folder.path().join("kubectl-sluice");
    symlink(env!("CARGO_BIN_EXE_sluice"), &plugin).unwrap();
    let help = std::process::Command::new(&plugin)
        .args(["queue", "--help"])
        .output()
        .unwrap();
    let help = text(&help.stdout);
    assert!(help.contains("Usage: kubectl sluice queue"), "{help}");
    assert!(help.contains("\n  kubectl sluice queue gpu"), "{help}");
    let path = std::env::join_paths(
        std::iter::once(folder.path().to_owned())
            .chain(std::env::split_paths(&std::env::var_os("PATH").unwrap())),
    )
    .unwrap();
    world.limit_with("gpu", json!({"slots": 1})).await;
    let mut kubectl = world
        .plane()
        .kubectl(&["sluice", "limits", "-n", world.namespace()])
        .unwrap();
    let output = kubectl.env("PATH", path).output().unwrap();
    assert!(
        text(&output.stdout).contains("gpu"),
        "{}",
        text(&output.stderr)
    );

    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let output = world
            .sluice_command(&["completion", shell])
            .output()
            .unwrap();
        let script = text(&output.stdout);
        assert!(script.contains("holders"), "{shell}: {script}");
    }
    let plain = world.sluice(&["get", "gpu"]);
    assert!(!plain.contains('\u{1b}'), "{plain:?}");
    let coloured = |force: bool, never: bool| {
        let mut command = world.sluice_command(&["get", "gpu", "-n", world.namespace()]);
        if force {
            command.env("CLICOLOR_FORCE", "1");
        }
        if never {
            command.env("NO_COLOR", "1");
        }
        text(&command.output().unwrap().stdout).contains('\u{1b}')
    };
    assert_eq!(
        (coloured(true, false), coloured(false, true)),
        (true, false)
    );
}
