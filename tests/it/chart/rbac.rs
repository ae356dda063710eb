//! Rights: the controller has exactly those listed here, and nobody has a wildcard or may write a status.

use std::collections::BTreeSet;

use serde_json::Value;

use super::helm::{Helm, NAMESPACE};
use super::render::find;

const VERSION: &str = "1.37.1";

/// What the controller may do in the namespaces it serves, as `group/resource verb`.
pub(super) const SERVED: [&str; 24] = [
    "sluice.dev/concurrencylimits get",
    "sluice.dev/concurrencylimits list",
    "sluice.dev/concurrencylimits watch",
    "sluice.dev/concurrencylimits create",
    "sluice.dev/concurrencylimits patch",
    "sluice.dev/concurrencylimits delete",
    "sluice.dev/concurrencylimits/status update",
    "sluice.dev/concurrencylimits/status patch",
    "sluice.dev/locks get",
    "sluice.dev/locks list",
    "sluice.dev/locks watch",
    "sluice.dev/locks/status update",
    "sluice.dev/locks/status patch",
    "sluice.dev/slotclaims get",
    "sluice.dev/slotclaims list",
    "sluice.dev/slotclaims watch",
    "sluice.dev/slotclaims delete",
    "sluice.dev/slotclaims/status patch",
    "/pods get",
    "/pods list",
    "/pods watch",
    "/pods patch",
    "/pods/status patch",
    "events.k8s.io/events create",
];
/// What of that it needs on bad days only: an object is read again when an answer was lost, or came before the watch's.
pub(super) const SELDOM: [&str; 3] = [
    "sluice.dev/concurrencylimits get",
    "sluice.dev/locks get",
    "sluice.dev/slotclaims get",
];
/// What it may do besides when it serves the whole cluster.
pub(super) const EVERYWHERE: [&str; 2] = ["/namespaces list", "/namespaces watch"];
/// What it may read that belongs to no namespace.
pub(super) const CLUSTER_SCOPED: [&str; 2] = [
    "/nodes get",
    "admissionregistration.k8s.io/validatingadmissionpolicybindings[sluice-guard,sluice-status,sluice-claim,sluice-claim-guard] get",
];
/// What it may do in the release's own namespace, to take turns.
pub(super) const TURNS: [&str; 6] = [
    "coordination.k8s.io/leases create",
    "coordination.k8s.io/leases[sluice] get",
    "coordination.k8s.io/leases[sluice] list",
    "coordination.k8s.io/leases[sluice] watch",
    "coordination.k8s.io/leases[sluice] update",
    "events.k8s.io/events create",
];
/// What the uninstall hook may do in the namespaces that were served.
pub(super) const CLEANUP: [&str; 3] = [
    "/pods list",
    "/pods patch",
    "sluice.dev/concurrencylimits bypass",
];
/// What it may do besides where there is a mutating policy.
pub(super) const CLEANUP_CLUSTER_SCOPED: [&str; 1] =
    ["admissionregistration.k8s.io/mutatingadmissionpolicybindings[sluice-gate] delete"];

#[tokio::test]
async fn cluster_wide_rights_are_exactly_these() {
    let objects = Helm::offline()
        .await
        .template(VERSION, &[r#"admission.policy="enabled""#])
        .await
        .unwrap();
    assert_eq!(
        rights(find(&objects, "ClusterRole", "sluice")),
        set(&[&SERVED, &EVERYWHERE, &CLUSTER_SCOPED])
    );
    let cleanup = rights(find(&objects, "ClusterRole", "sluice-cleanup"));
    assert_eq!(cleanup, set(&[&CLEANUP, &CLEANUP_CLUSTER_SCOPED]));
    let roles = objects.iter().filter(|object| object["kind"] == "Role");
    let names: Vec<&Value> = roles.map(|role| &role["metadata"]["name"]).collect();
    assert_eq!(names, ["sluice-lease"]);
    let lease = find(&objects, "Role", "sluice-lease");
    assert_eq!(rights(lease), set(&[&TURNS]));
    assert_eq!(lease["metadata"]["namespace"], NAMESPACE);
    // Rights of the hook last for the uninstall only.
    for kind in ["ClusterRole", "ClusterRoleBinding", "ServiceAccount", "Job"] {
        let hook = &find(&objects, kind, "sluice-cleanup")["metadata"]["annotations"];
        assert_eq!(hook["helm.sh/hook"], "pre-delete", "{kind}");
        assert_eq!(
            hook["helm.sh/hook-delete-policy"], "before-hook-creation,hook-succeeded",
            "{kind}"
        );
    }
}

#[tokio::test]
async fn rights_in_listed_namespaces_stay_in_them() {
    let helm = Helm::offline().await;
    let listed = [
        r#"controller.namespaces=["a","b"]"#,
        r#"admission.policy="enabled""#,
    ];
    let objects = helm.template(VERSION, &listed).await.unwrap();
    for (name, rules) in [("sluice", &SERVED[..]), ("sluice-cleanup", &CLEANUP)] {
        let roles: Vec<&Value> = objects
            .iter()
            .filter(|object| object["kind"] == "Role" && object["metadata"]["name"] == name)
            .collect();
        let namespaces: Vec<&str> = roles
            .iter()
            .map(|role| role["metadata"]["namespace"].as_str().unwrap())
            .collect();
        assert_eq!(namespaces, ["a", "b"], "{name}");
        for role in roles {
            assert_eq!(rights(role), set(&[rules]), "{name}");
        }
    }
    assert_eq!(
        rights(find(&objects, "ClusterRole", "sluice")),
        set(&[&CLUSTER_SCOPED])
    );
    assert_eq!(
        rights(find(&objects, "ClusterRole", "sluice-cleanup")),
        set(&[&CLEANUP_CLUSTER_SCOPED])
    );
    let least = [
        r#"controller.namespaces=["a"]"#,
        "rbac.clusterScopedReads=false",
    ];
    let objects = helm.template(VERSION, &least).await.unwrap();
    assert!(
        !objects
            .iter()
            .any(|object| object["kind"] == "ClusterRoleBinding")
    );
}

#[tokio::test]
async fn nobody_has_a_wildcard_and_people_write_no_status() {
    let objects = Helm::offline()
        .await
        .template(VERSION, &[r#"admission.policy="enabled""#])
        .await
        .unwrap();
    let roles = || {
        objects
            .iter()
            .filter(|object| object["kind"] == "ClusterRole")
    };
    for role in roles() {
        for right in rights(role) {
            assert!(
                !right.contains('*') && !right.contains("secrets"),
                "{}: {right}",
                role["metadata"]["name"]
            );
        }
    }
    let aggregated = roles().filter(|role| {
        let labels = role["metadata"]["labels"].as_object().unwrap();
        labels
            .keys()
            .any(|label| label.starts_with("rbac.authorization.k8s.io/aggregate-to-"))
    });
    let mut names = BTreeSet::new();
    for role in aggregated {
        names.insert(role["metadata"]["name"].as_str().unwrap());
        for right in rights(role) {
            assert!(
                !right.contains("/status") && !right.contains("bypass"),
                "{right}"
            );
        }
    }
    assert_eq!(names, BTreeSet::from(["sluice-admin", "sluice-viewer"]));
}

/// The role of programs that take slots: it is bound by people, and part of no other.
#[tokio::test]
async fn who_takes_slots_has_these_rights() {
    let objects = Helm::offline().await.template(VERSION, &[]).await.unwrap();
    let role = find(&objects, "ClusterRole", "sluice-claimer");
    let claims = ["get", "list", "watch", "create", "patch", "delete"];
    let mut expected: BTreeSet<String> = claims
        .iter()
        .map(|verb| format!("sluice.dev/slotclaims {verb}"))
        .collect();
    for resource in ["concurrencylimits", "locks"] {
        expected.extend(["get", "list"].map(|verb| format!("sluice.dev/{resource} {verb}")));
    }
    assert_eq!(rights(role), expected);
    let writers = objects.iter().filter(|object| {
        object["kind"] == "ClusterRole" && rights(object).contains("sluice.dev/slotclaims create")
    });
    assert_eq!(writers.count(), 1);
}

fn set(lists: &[&[&str]]) -> BTreeSet<String> {
    lists.concat().into_iter().map(str::to_owned).collect()
}

/// Spells the rules of a role out, one line for each right.
fn rights(role: &Value) -> BTreeSet<String> {
    let texts = |value: &Value| -> Vec<String> {
        value
            .as_array()
            .into_iter()
            .flatten()
            .map(|text| text.as_str().unwrap().to_owned())
            .collect()
    };
    let mut rights = BTreeSet::new();
    for rule in role["rules"].as_array().unwrap() {
        let names = texts(&rule["resourceNames"]).join(",");
        let names = if names.is_empty() {
            names
        } else {
            format!("[{names}]")
        };
        for group in texts(&rule["apiGroups"]) {
            for resource in texts(&rule["resources"]) {
                for verb in texts(&rule["verbs"]) {
                    assert!(
                        rights.insert(format!("{group}/{resource}{names} {verb}")),
                        "twice: {resource} {verb}"
                    );
                }
            }
        }
    }
    rights
}
