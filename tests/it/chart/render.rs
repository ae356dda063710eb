//! What the chart renders, without a cluster: it lints, its CRDs are those of `crds/`, its values do what they say.

use std::collections::BTreeSet;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use serde::Deserialize as _;
use serde_json::{Value, json};

use super::helm::{Helm, NAMESPACE, chart, repository};

/// A server that has the mutating policy.
const NEWEST: &str = "1.37.1";
/// The oldest server that is supported.
const OLDEST: &str = "1.34.0";

#[tokio::test]
async fn lints_strictly() {
    let helm = Helm::offline().await;
    helm.run(&["lint", "--strict", "--kube-version", OLDEST, &chart()])
        .await
        .unwrap();
}

#[tokio::test]
async fn refuses_older_servers_and_unknown_values() {
    let helm = Helm::offline().await;
    let old = helm.template("1.33.9", &[]).await.unwrap_err();
    assert!(old.contains("1.34.0"), "{old}");
    for value in [
        "contoller={}",
        r#"admission.policy="maybe""#,
        r#"controller.namespaces=["Team_A"]"#,
        r#"image.digest="latest""#,
        "controller.maxPriority=2147483648",
        "controller.endedClaimsSeconds=0",
        "controller.releasedClaimsSeconds=-1",
    ] {
        let refusal = helm.template(NEWEST, &[value]).await.expect_err(value);
        assert!(
            refusal.contains("values don't meet the specifications of the schema"),
            "{value}: {refusal}"
        );
    }
    let nameless = helm
        .template(NEWEST, &["serviceAccount.create=false"])
        .await
        .unwrap_err();
    assert!(
        nameless.contains("serviceAccount.name is needed"),
        "{nameless}"
    );
}

#[tokio::test]
async fn its_crds_are_those_of_the_repository() {
    let (ours, copies) = (
        repository().join("crds"),
        repository().join("charts/sluice/files/crds"),
    );
    let names = |directory| -> BTreeSet<_> {
        std::fs::read_dir(directory)
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect()
    };
    assert_eq!(
        names(&ours),
        names(&copies),
        "copy crds/*.yaml to charts/sluice/files/crds/"
    );
    let helm = Helm::offline().await;
    let rendered = helm.template(NEWEST, &[]).await.unwrap();
    for name in names(&ours) {
        let (ours, copy) = (ours.join(&name), copies.join(&name));
        let text = std::fs::read_to_string(&ours).unwrap();
        assert_eq!(
            text,
            std::fs::read_to_string(&copy).unwrap(),
            "copy {} to {}",
            ours.display(),
            copy.display()
        );
        let crd: Value = serde_yaml::from_str(&text).unwrap();
        let twin = rendered.iter().find(|o| {
            is(
                o,
                "CustomResourceDefinition",
                crd["metadata"]["name"].as_str().unwrap(),
            )
        });
        let twin = twin.unwrap_or_else(|| panic!("{} is not rendered", crd["metadata"]["name"]));
        // Typed, because 1000000 and 1000000.0 are the same maximum.
        let spec = |crd: &Value| CustomResourceDefinition::deserialize(crd).unwrap().spec;
        assert!(
            spec(twin) == spec(&crd),
            "{} is rendered with another spec",
            crd["metadata"]["name"]
        );
        assert_eq!(
            twin["metadata"]["annotations"]["helm.sh/resource-policy"],
            "keep"
        );
    }
    let parted = helm.template(NEWEST, &["crds.keep=false"]).await.unwrap();
    assert!(
        !serde_json::to_string(&parted)
            .unwrap()
            .contains("helm.sh/resource-policy")
    );
    let without = helm
        .template(NEWEST, &["crds.install=false"])
        .await
        .unwrap();
    assert!(!kinds(&without).contains("CustomResourceDefinition"));
}

#[tokio::test]
async fn mutates_where_it_can_or_is_told_to() {
    let helm = Helm::offline().await;
    // Without a cluster, `auto` has nobody to ask.
    for (value, mutates) in [("auto", false), ("enabled", true), ("disabled", false)] {
        let objects = helm
            .template(NEWEST, &[&format!(r#"admission.policy="{value}""#)])
            .await
            .unwrap();
        assert_eq!(
            kinds(&objects).contains("MutatingAdmissionPolicy"),
            mutates,
            "{value}"
        );
        let hook = find(&objects, "Job", "sluice-cleanup");
        let arguments = &hook["spec"]["template"]["spec"]["containers"][0]["args"];
        let removes = json!(["ungate-all", "--remove-admission-binding", "sluice-gate"]);
        assert_eq!(
            *arguments,
            if mutates {
                removes
            } else {
                json!(["ungate-all"])
            }
        );
    }
    let asked = helm
        .run(&[
            "template",
            "sluice",
            &chart(),
            "--kube-version",
            NEWEST,
            "--api-versions",
            "admissionregistration.k8s.io/v1/MutatingAdmissionPolicy",
        ])
        .await
        .unwrap();
    assert!(asked.contains("kind: MutatingAdmissionPolicyBinding"));
    let bare = helm
        .template(
            NEWEST,
            &[
                "admission.guards=false",
                "cleanup.ungateOnUninstall=false",
                "metrics.service=false",
                "flowSchema.enabled=false",
            ],
        )
        .await
        .unwrap();
    for kind in [
        "ValidatingAdmissionPolicy",
        "ValidatingAdmissionPolicyBinding",
        "Job",
        "Service",
        "FlowSchema",
    ] {
        assert!(!kinds(&bare).contains(kind), "{kind}");
    }
}

#[tokio::test]
async fn the_controller_gets_its_flags_and_a_restricted_pod() {
    let helm = Helm::offline().await;
    let all = [
        r#"controller.namespaces=["a","b"]"#,
        "controller.maxPriority=0",
        "controller.endedClaimsSeconds=7",
        "controller.releasedClaimsSeconds=1000000",
        r#"image.tag="v9""#,
    ];
    let objects = helm.template(NEWEST, &all).await.unwrap();
    let deployment = find(&objects, "Deployment", "sluice");
    assert_eq!(deployment["spec"]["replicas"], 2);
    assert_eq!(deployment["spec"]["strategy"]["type"], "RollingUpdate");
    let template = &deployment["spec"]["template"];
    let spread = &template["spec"]["topologySpreadConstraints"];
    assert_eq!(spread[0]["topologyKey"], "kubernetes.io/hostname");
    let selected = &spread[0]["labelSelector"]["matchLabels"];
    assert_eq!(*selected, deployment["spec"]["selector"]["matchLabels"]);
    let budget = find(&objects, "PodDisruptionBudget", "sluice");
    assert_eq!(budget["spec"]["selector"]["matchLabels"], *selected);
    let container = &deployment["spec"]["template"]["spec"]["containers"][0];
    assert_eq!(container["image"], "sluice:v9");
    assert_eq!(
        container["args"],
        json!([
            "controller",
            "--log-format",
            "json",
            "--metrics-addr",
            "0.0.0.0:9090",
            "--health-addr",
            "0.0.0.0:8080",
            "--lease-namespace",
            NAMESPACE,
            "--lease-name",
            "sluice",
            "--namespaces",
            "a,b",
            "--max-priority=0",
            "--ended-claims-seconds=7",
            "--released-claims-seconds=1000000"
        ])
    );
    let alone = helm
        .template(NEWEST, &["controller.replicas=1"])
        .await
        .unwrap();
    assert!(!kinds(&alone).contains("PodDisruptionBudget"));
    let by_default = helm.template(NEWEST, &[]).await.unwrap();
    let container =
        &find(&by_default, "Deployment", "sluice")["spec"]["template"]["spec"]["containers"][0];
    assert_eq!(
        container["args"].as_array().unwrap().len(),
        13,
        "{}",
        container["args"]
    );
    for (kind, name) in [("Deployment", "sluice"), ("Job", "sluice-cleanup")] {
        let spec = &find(&by_default, kind, name)["spec"]["template"]["spec"];
        assert_eq!(spec["securityContext"]["runAsNonRoot"], true, "{kind}");
        assert_eq!(
            spec["securityContext"]["seccompProfile"]["type"], "RuntimeDefault",
            "{kind}"
        );
        let container = &spec["containers"][0]["securityContext"];
        assert_eq!(container["allowPrivilegeEscalation"], false, "{kind}");
        assert_eq!(container["readOnlyRootFilesystem"], true, "{kind}");
        assert_eq!(
            container["capabilities"],
            json!({"drop": ["ALL"]}),
            "{kind}"
        );
        assert!(
            spec["containers"][0]["resources"]["requests"].is_object(),
            "{kind}"
        );
    }
}

/// The kinds among some objects.
fn kinds(objects: &[Value]) -> BTreeSet<&str> {
    objects
        .iter()
        .map(|object| object["kind"].as_str().unwrap())
        .collect()
}

/// The object of this kind and name.
pub(super) fn find<'a>(objects: &'a [Value], kind: &str, name: &str) -> &'a Value {
    objects
        .iter()
        .find(|object| is(object, kind, name))
        .unwrap_or_else(|| panic!("no {kind} {name}"))
}

fn is(object: &Value, kind: &str, name: &str) -> bool {
    object["kind"] == kind && object["metadata"]["name"] == name
}
