//! The grammar in the policies: the parser's own table of cases, on pods and on every kind of workload.

use serde::Deserialize;
use serde_json::{Value, json};

use super::plane::{World, annotation, create_dry, pod, refusal, workload, world};
use crate::chart::helm::repository;

/// The kinds of workload whose templates are looked at.
const WORKLOADS: [&str; 6] = [
    "Job",
    "CronJob",
    "Deployment",
    "StatefulSet",
    "DaemonSet",
    "ReplicaSet",
];

/// A row of `tests/cases/annotations.yaml`; that file says what each field means.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Case {
    pub(super) annotation: String,
    value: String,
    #[serde(default = "one")]
    times: usize,
    #[serde(default)]
    end: String,
    pub(super) ok: Option<String>,
    error: Option<String>,
    #[serde(default = "yes")]
    policy: bool,
}

fn one() -> usize {
    1
}

fn yes() -> bool {
    true
}

impl Case {
    /// The annotation's value.
    pub(super) fn text(&self) -> String {
        format!("{}{}", self.value.repeat(self.times), self.end)
    }

    /// Metadata with the annotation, beside a harmless request if it makes none itself.
    fn metadata(&self) -> Value {
        let mut metadata = json!({"annotations": {"sluice.dev/slots": "gpu"}});
        if self.annotation == "sluice.dev/locks" {
            metadata = json!({"annotations": {}});
        }
        metadata["annotations"][&self.annotation] = self.text().into();
        metadata
    }
}

/// The cases, whole.
pub(super) fn cases() -> Vec<Case> {
    let table = std::fs::read_to_string(repository().join("tests/cases/annotations.yaml")).unwrap();
    let cases: Vec<Case> = serde_yaml::from_str(&table).unwrap();
    assert!(
        cases.len() >= 80,
        "the table shrank to {} cases",
        cases.len()
    );
    cases
}

#[tokio::test]
async fn the_table_of_cases() {
    let cases = cases();
    let world = world("grammar").await;
    let mut wrong = Vec::new();
    for (number, case) in cases.iter().filter(|case| case.policy).enumerate() {
        // The kinds take turns: which grammar they use is the same text, and it is all of them that use it.
        let kind = WORKLOADS[number % WORKLOADS.len()];
        for (policy, object) in [
            ("request", pod("case", case.metadata())),
            ("template", workload(kind, "case", &case.metadata())),
        ] {
            if let Err(reason) = judge(&world, case, policy, &object).await {
                wrong.push(format!("{case:?} on {}: {reason}", object["kind"]));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "{} wrong:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

async fn judge(world: &World, case: &Case, policy: &str, object: &Value) -> Result<(), String> {
    let answer = create_dry(&world.dev(), &world.namespace, object).await;
    match (&case.ok, &case.error) {
        (Some(_), None) => answer.map(|_| ()),
        (None, Some(_)) => {
            let sentence = refusal(policy, answer)?;
            let named = sentence.starts_with(&format!("annotation {}: ", case.annotation));
            if named && sentence.len() < 1000 {
                Ok(())
            } else {
                Err(format!("says: {sentence}"))
            }
        }
        _ => Err("needs either ok or error".to_owned()),
    }
}

#[tokio::test]
async fn the_bad_entry_is_named() {
    let world = world("named").await;
    let long = "x".repeat(300) + "_";
    let cut = format!("\"{}...\"", "x".repeat(64));
    for (name, value, entry) in [
        ("sluice.dev/slots", "db=1, gPu, licences/matlab", "\"gPu\""),
        ("sluice.dev/slots", "gpu=1,, db", "\"\""),
        ("sluice.dev/slots", "a\nb", "\"a\\nb\""),
        ("sluice.dev/slots", long.as_str(), cut.as_str()),
        (
            "sluice.dev/locks",
            "deploy, a:shared:shared",
            "\"a:shared:shared\"",
        ),
        ("sluice.dev/timeout", "10 m", "\"10 m\""),
    ] {
        let bad = pod("bad", json!({"annotations": {name: value}}));
        let sentence = refusal(
            "request",
            create_dry(&world.dev(), &world.namespace, &bad).await,
        )
        .unwrap();
        assert!(sentence.contains(entry), "{name}={value:?}: {sentence}");
    }
}

#[tokio::test]
async fn templates_of_every_workload() {
    let world = world("templates").await;
    let dev = world.dev();
    for kind in WORKLOADS {
        let good = json!({"annotations": {"sluice.dev/slots": "gpu", "sluice.dev/locks": "deploy:shared"}});
        create_dry(&dev, &world.namespace, &workload(kind, "good", &good))
            .await
            .unwrap();
        for (name, says) in [
            (
                "sluice.dev/granted",
                "annotation sluice.dev/granted of the pod template",
            ),
            (
                "sluice.dev/slot",
                "annotation sluice.dev/slot of the pod template",
            ),
        ] {
            let foreign = workload(kind, "foreign", &json!({"annotations": {name: "gpu"}}));
            let sentence = refusal(
                "template",
                create_dry(&dev, &world.namespace, &foreign).await,
            )
            .unwrap();
            assert!(sentence.contains(says), "{kind}: {sentence}");
        }
        let mut placed = workload(kind, "placed", &good);
        let template = if kind == "CronJob" {
            "/spec/jobTemplate/spec/template"
        } else {
            "/spec/template"
        };
        placed.pointer_mut(template).unwrap()["spec"]["nodeName"] = "node-1".into();
        let sentence = refusal(
            "template",
            create_dry(&dev, &world.namespace, &placed).await,
        )
        .unwrap();
        assert!(sentence.contains("spec.nodeName"), "{kind}: {sentence}");
        // Nothing of ours: nothing is looked at.
        create_dry(&dev, &world.namespace, &workload(kind, "plain", &json!({})))
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn edits_of_waiting_pods_are_read_as_strictly() {
    let world = world("edits").await;
    world.waiting("pod").await;
    let bad = json!({"metadata": {"annotations": {"sluice.dev/slots": "gpu=0"}}});
    let sentence = refusal("request", world.edit(&world.dev(), "pod", &bad).await).unwrap();
    assert!(sentence.contains("\"gpu=0\""), "{sentence}");
    let good = json!({"metadata": {"annotations": {"sluice.dev/slots": "gpu=2", "sluice.dev/timeout": "5m"}}});
    let edited = world.edit(&world.dev(), "pod", &good).await.unwrap();
    assert_eq!(annotation(&edited, "sluice.dev/slots"), Some("gpu=2"));
}
