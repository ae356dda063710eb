//! The CRDs on a real API server: every rule refuses what it must and accepts what it must, on the newest
//! version and on the oldest supported one; `kubectl get` and `kubectl scale` show and do what is promised.
//!
//! The cases are two tables, `tests/cases/crd_rules.yaml` and `claim_rules.yaml`: each case is a short history of one
//! object, of which the last step is judged. `every_rule_has_both_cases` keeps the tables complete.

mod claim;
mod table;

use std::path::Path;
use std::time::Duration;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{ApiResource, DynamicObject, ListParams, Patch, PatchParams, PostParams};
use kube::runtime::wait::{await_condition, conditions};
use kube::{Api, Client};
use serde_json::{Value, json};
use sluice::api::rules::{self, SchemaRule};
use sluice::api::{ConcurrencyLimit, ConcurrencyLimitSpec, Lock, LockSpec, PerWorker, SlotClaim};
use sluice_testenv::{ControlPlane, Options};

use self::table::{Case, Kind, Verdict, cases, merge, status};

/// Oldest version that is supported.
const OLDEST: &str = "1.34";
/// How long the server may take to serve a new CRD, in seconds.
const SERVED_SECONDS: u64 = 60;

#[tokio::test]
async fn every_rule_on_the_newest_version() {
    judge_all(ControlPlane::shared().await).await;
}

#[tokio::test]
async fn every_rule_on_the_oldest_version() {
    let options = Options::default().emulated_version(OLDEST);
    let bare = options.without_scheduler().without_controller_manager();
    judge_all(&ControlPlane::start(bare).await.unwrap()).await;
}

#[test]
fn every_rule_has_both_cases() {
    let cases = cases();
    for kind in Kind::ALL {
        for rule in rules_of(kind) {
            for verdict in [Verdict::Accepted, Verdict::Refused] {
                let shows = |case: &Case| {
                    case.rule.as_deref() == Some(rule.name)
                        && case.kinds.contains(&kind)
                        && case.verdict == verdict
                };
                assert!(
                    cases.iter().any(shows),
                    "{kind:?}: no case of {} is {verdict:?}",
                    rule.name
                );
            }
        }
    }
    for case in cases {
        let known = |name: &String| rules::ALL.iter().any(|rule| rule.name == *name);
        assert!(
            case.rule.iter().all(known),
            "{:?} names no rule",
            case.story
        );
        let explained = case.rule.is_some() || case.message.is_some();
        assert!(
            case.verdict == Verdict::Accepted || explained,
            "{:?} is refused by what?",
            case.story
        );
    }
}

#[tokio::test]
async fn kubectl_get_shows_what_people_ask() {
    let (plane, client, namespace) = prepared("columns").await;
    let conditions = json!([{
        "type": "Ready", "status": "True", "reason": "Granting", "message": "",
        "lastTransitionTime": "2026-11-21T10:00:00Z",
    }]);
    let status = json!({"schema": 1, "inUse": 3, "waiting": 21, "conditions": conditions});
    for (kind, name, spec) in [
        (Kind::Limit, "gpu", json!({"slots": 4})),
        (Kind::Lock, "deploy", json!({"mode": "Paused"})),
    ] {
        let api = api(&client, &namespace, kind);
        let mut object = create(&api, kind, name, &spec).await.unwrap();
        object.data["status"] = status.clone();
        api.replace_status(name, &PostParams::default(), &object)
            .await
            .unwrap();
    }
    let text = kubectl(plane, &namespace, &["get", "climit,lock"]);
    let rows = words(&text);
    assert_eq!(
        rows[0],
        ["NAME", "SLOTS", "IN-USE", "WAITING", "MODE", "READY", "AGE"],
        "{text}"
    );
    assert_eq!(
        rows[1][..6],
        [
            "concurrencylimit.sluice.dev/gpu",
            "4",
            "3",
            "21",
            "Active",
            "True"
        ],
        "{text}"
    );
    assert_eq!(
        rows[2],
        ["NAME", "IN-USE", "WAITING", "MODE", "READY", "AGE"],
        "{text}"
    );
    assert_eq!(
        rows[3][..5],
        ["lock.sluice.dev/deploy", "3", "21", "Paused", "True"],
        "{text}"
    );
    let all = kubectl(plane, &namespace, &["get", "sluice", "-o", "name"]);
    assert_eq!(
        words(&all),
        [
            ["concurrencylimit.sluice.dev/gpu"],
            ["lock.sluice.dev/deploy"]
        ]
    );
}

#[tokio::test]
async fn kubectl_scale_sets_the_slots() {
    let (plane, client, namespace) = prepared("scale").await;
    let limits = api(&client, &namespace, Kind::Limit);
    create(&limits, Kind::Limit, "gpu", &json!({"slots": 2}))
        .await
        .unwrap();
    kubectl(plane, &namespace, &["scale", "climit/gpu", "--replicas=8"]);
    assert_eq!(limits.get("gpu").await.unwrap().data["spec"]["slots"], 8);
}

#[tokio::test]
async fn the_server_fills_in_the_defaults_of_the_types() {
    let (_, client, namespace) = prepared("defaults").await;
    let limits = api(&client, &namespace, Kind::Limit);
    let limit = create(
        &limits,
        Kind::Limit,
        "gpu",
        &json!({"slots": 1, "perWorker": {}}),
    )
    .await
    .unwrap();
    let expected = ConcurrencyLimitSpec {
        per_worker: Some(PerWorker::default()),
        ..ConcurrencyLimitSpec::with_slots(1)
    };
    assert_eq!(limit.data["spec"], serde_json::to_value(expected).unwrap());
    let locks = api(&client, &namespace, Kind::Lock);
    let lock = create(&locks, Kind::Lock, "deploy", &json!({}))
        .await
        .unwrap();
    assert_eq!(
        lock.data["spec"],
        serde_json::to_value(LockSpec::default()).unwrap()
    );
}

// === playing the table ===

/// Gives the rules that the CRD of a kind has; each must be one of the named ones.
fn rules_of(kind: Kind) -> Vec<&'static SchemaRule> {
    let crds = sluice::api::all_crds();
    let kind = format!("{}.", resource(kind).plural);
    let crd = crds
        .iter()
        .find(|crd| crd.metadata.name.as_ref().unwrap().starts_with(&kind))
        .unwrap();
    let schema = crd.spec.versions[0]
        .schema
        .as_ref()
        .unwrap()
        .open_api_v3_schema
        .as_ref()
        .unwrap();
    let validations = schema.x_kubernetes_validations.as_ref().unwrap().iter();
    validations
        .map(|validation| {
            rules::ALL
                .iter()
                .find(|rule| rule.cel == validation.rule)
                .expect(&validation.rule)
        })
        .copied()
        .collect()
}

async fn judge_all(plane: &ControlPlane) {
    let client = plane.client();
    install_crds(&client).await;
    let namespace = plane.namespace("crds").await.unwrap();
    for (index, case) in cases().iter().enumerate() {
        for kind in &case.kinds {
            let name = case.name.clone().unwrap_or_else(|| format!("case-{index}"));
            judge(&api(&client, &namespace, *kind), *kind, case, &name).await;
        }
    }
}

/// Fails unless the case ends as it says, and a refused write left no trace.
async fn judge(api: &Api<DynamicObject>, kind: Kind, case: &Case, name: &str) {
    let story = format!("{kind:?}: {}", case.story);
    let (outcome, before) = play(api, kind, case, name).await;
    match (case.verdict, outcome) {
        (Verdict::Accepted, Ok(_)) => {}
        (Verdict::Refused, Err(kube::Error::Api(answer))) => {
            let by_rule = rules::ALL
                .iter()
                .find(|rule| Some(rule.name) == case.rule.as_deref());
            let expected = case
                .message
                .as_deref()
                .or(by_rule.map(|rule| rule.message))
                .unwrap();
            assert_eq!(answer.code, 422, "{story}: {answer:?}");
            assert!(
                answer.message.contains(expected),
                "{story} says: {}",
                answer.message
            );
            let now = api.get_opt(name).await.unwrap();
            assert_eq!(now, before, "{story}: a refused write changed something");
        }
        (verdict, outcome) => panic!("{story} was to be {verdict:?}: {outcome:?}"),
    }
}

/// Does the steps of a case; gives the outcome of the last, and the object as the one before left it.
async fn play(
    api: &Api<DynamicObject>,
    kind: Kind,
    case: &Case,
    name: &str,
) -> (kube::Result<DynamicObject>, Option<DynamicObject>) {
    let pp = PostParams::default();
    let default_spec = match kind {
        Kind::Limit => json!({"slots": 4}),
        Kind::Lock => json!({}),
        Kind::Claim => json!({"slots": [{"limit": "gpu"}]}),
    };
    let mut outcome = create(api, kind, name, case.spec.as_ref().unwrap_or(&default_spec)).await;
    let mut before = None;
    for step in &case.steps {
        let mut object =
            outcome.unwrap_or_else(|error| panic!("{kind:?}: {}: too early: {error}", case.story));
        before = Some(object.clone());
        outcome = if let Some(spec) = step.get("spec") {
            match kind {
                Kind::Claim => merge(&mut object.data["spec"], spec),
                Kind::Limit | Kind::Lock => object.data["spec"] = spec.clone(),
            }
            api.replace(name, &pp, &object).await
        } else if kind == Kind::Claim {
            merge(&mut object.data["status"], &step["status"]);
            api.replace_status(name, &pp, &object).await
        } else {
            object.data["status"] = step
                .get("status")
                .cloned()
                .unwrap_or_else(|| status(kind, step));
            let written = object.data["status"].clone();
            let outcome = api.replace_status(name, &pp, &object).await;
            if let Ok(after) = &outcome {
                for list in ["leases", "adopted"] {
                    assert_eq!(
                        after.data["status"][list], written[list],
                        "{kind:?}: {}: {list}",
                        case.story
                    );
                }
            }
            outcome
        };
    }
    (outcome, before)
}

// === the server ===

async fn prepared(prefix: &str) -> (&'static ControlPlane, Client, String) {
    let plane = ControlPlane::shared().await;
    let client = plane.client();
    install_crds(&client).await;
    let namespace = plane.namespace(prefix).await.unwrap();
    (plane, client, namespace)
}

fn resource(kind: Kind) -> ApiResource {
    match kind {
        Kind::Limit => ApiResource::erase::<ConcurrencyLimit>(&()),
        Kind::Lock => ApiResource::erase::<Lock>(&()),
        Kind::Claim => ApiResource::erase::<SlotClaim>(&()),
    }
}

fn api(client: &Client, namespace: &str, kind: Kind) -> Api<DynamicObject> {
    Api::namespaced_with(client.clone(), namespace, &resource(kind))
}

async fn create(
    api: &Api<DynamicObject>,
    kind: Kind,
    name: &str,
    spec: &Value,
) -> kube::Result<DynamicObject> {
    let object = DynamicObject::new(name, &resource(kind)).data(json!({"spec": spec}));
    api.create(&PostParams::default(), &object).await
}

/// Installs the checked-in CRDs, and waits until the server serves them.
async fn install_crds(client: &Client) {
    let crds = Api::<CustomResourceDefinition>::all(client.clone());
    for kind in Kind::ALL {
        let resource = resource(kind);
        let file = format!("{}.yaml", resource.plural);
        let text = std::fs::read_to_string(
            Path::new(env!("CARGO_MANIFEST_DIR"))
                .join("crds")
                .join(&file),
        )
        .unwrap();
        let crd: CustomResourceDefinition = serde_yaml::from_str(&text).unwrap();
        let name = crd.metadata.name.clone().unwrap();
        let manager = PatchParams::apply("sluice-tests").force();
        crds.patch(&name, &manager, &Patch::Apply(&crd))
            .await
            .unwrap_or_else(|error| panic!("{file}: {error}"));
        let served = async {
            await_condition(crds.clone(), &name, conditions::is_crd_established())
                .await
                .unwrap();
            let objects = Api::<DynamicObject>::all_with(client.clone(), &resource);
            while objects.list(&ListParams::default().limit(1)).await.is_err() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let waited = tokio::time::timeout(Duration::from_secs(SERVED_SECONDS), served).await;
        waited.unwrap_or_else(|_| panic!("{file} is not served after {SERVED_SECONDS} s"));
    }
}

/// Runs kubectl with a discovery cache of its own; an older one may not know our kinds.
fn kubectl(plane: &ControlPlane, namespace: &str, arguments: &[&str]) -> String {
    let cache = tempfile::tempdir().unwrap();
    let cache = format!("--cache-dir={}", cache.path().display());
    let all = [&["-n", namespace, &cache], arguments].concat();
    let output = plane.kubectl(&all).unwrap().output().unwrap();
    assert!(
        output.status.success(),
        "kubectl {arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

/// Splits a table of kubectl into words.
fn words(text: &str) -> Vec<Vec<&str>> {
    text.lines()
        .filter(|line| !line.is_empty())
        .map(|line| line.split_whitespace().collect())
        .collect()
}
