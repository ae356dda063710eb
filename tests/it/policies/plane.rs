//! A control plane with the release, and clients of the people the policies tell apart.

use kube::api::{Api, ApiResource, DynamicObject, Patch, PatchParams, PostParams};
use kube::{Client, Error};
use serde_json::{Value, json};
use sluice_testenv::{ControlPlane, Options};
use tokio::sync::OnceCell;

use super::claims::claims_are_guarded;
use crate::chart::helm::{Helm, NAMESPACE, RELEASE, eventually};

/// The gate, as in a pod's spec.
pub(super) const GATE: &str = "sluice.dev/slots";

/// One test's view: a namespace, and clients.
pub(super) struct World {
    pub(super) plane: &'static ControlPlane,
    pub(super) namespace: String,
}

/// What the server said: the object, or why not.
pub(super) type Answer = Result<DynamicObject, String>;

static PLANE: OnceCell<ControlPlane> = OnceCell::const_new();

/// Gives a namespace on the control plane that all tests of the policies share. It ends with this process.
pub(super) async fn world(prefix: &str) -> World {
    let plane = PLANE.get_or_init(start).await;
    World {
        plane,
        namespace: plane.namespace(prefix).await.unwrap(),
    }
}

async fn start() -> ControlPlane {
    let plane = ControlPlane::start(Options::default().without_scheduler())
        .await
        .unwrap();
    Helm::on(&plane).await.install(&[]).await.unwrap();
    people(&plane.client()).await;
    active(&plane).await;
    plane
}

/// Gives `dev` and `eve` every verb but `bypass` on everything, and `operator` that one too.
pub(super) async fn people(admin: &Client) {
    let everything = json!([{"apiGroups": ["*"], "resources": ["*"],
        "verbs": ["get", "list", "watch", "create", "update", "patch", "delete", "deletecollection"]}]);
    let role = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
        "metadata": {"name": "everything-but-bypass"}, "rules": everything});
    create(admin, "", &role).await.unwrap();
    let bypass = format!("{RELEASE}-bypass");
    for (user, role) in [
        ("dev", "everything-but-bypass"),
        ("eve", "everything-but-bypass"),
        ("operator", "everything-but-bypass"),
        ("operator", &bypass),
    ] {
        let binding = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
            "metadata": {"name": format!("{user}-{role}")},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user}]});
        create(admin, "", &binding).await.unwrap();
    }
}

/// Waits until every policy of the release works: the server takes them up a moment after they are written.
async fn active(plane: &ControlPlane) {
    let namespace = plane.namespace("active").await.unwrap();
    let dev = plane.client_as("dev", &[]).unwrap();
    let controller = plane
        .client_for_service_account(NAMESPACE, RELEASE)
        .await
        .unwrap();
    let limit = json!({"apiVersion": "sluice.dev/v1alpha1", "kind": "ConcurrencyLimit",
        "metadata": {"name": "probe"}, "spec": {"slots": 1}});
    let waiting = pod(
        "waiting",
        json!({"annotations": {"sluice.dev/slots": "gpu"}}),
    );
    eventually("gates and labels", async || {
        let made = create_dry(&dev, &namespace, &waiting).await?;
        if is_gated(&made) {
            Ok(())
        } else {
            Err("not gated".to_owned())
        }
    })
    .await;
    create(&dev, &namespace, &waiting).await.unwrap();
    create(&dev, &namespace, &limit).await.unwrap();
    eventually("attempts", async || {
        let edit = json!({"metadata": {"annotations": {"sluice.dev/slots": "db"}}});
        let edited = patch(&dev, &namespace, "waiting", "", &edit, true).await?;
        if annotation(&edited, "sluice.dev/attempt") == Some("1") {
            Ok(())
        } else {
            Err("no attempt".to_owned())
        }
    })
    .await;
    let bad = json!({"annotations": {"sluice.dev/slots": "GPU"}});
    let job = workload("Job", "bad", &bad);
    let binding = json!({"apiVersion": "v1", "kind": "Binding",
        "metadata": {"name": "waiting", "annotations": {"sluice.dev/granted": "{}"}},
        "target": {"kind": "Node", "name": "none"}});
    let label = json!({"metadata": {"labels": {"app": "x"}}});
    let open = json!({"spec": {"schedulingGates": null}});
    let status = json!({"status": {"waiting": 1}});
    eventually("refusals", async || {
        refused(
            "request",
            create_dry(&dev, &namespace, &pod("bad", bad.clone())).await,
        )?;
        refused("template", create_dry(&dev, &namespace, &job).await)?;
        refused(
            "guard",
            patch(&dev, &namespace, "waiting", "", &open, true).await,
        )?;
        refused("binding", bind(&dev, &namespace, "waiting", &binding).await)?;
        refused(
            "cage",
            patch(&controller, &namespace, "waiting", "", &label, true).await,
        )?;
        refused(
            "status",
            limit_status(&dev, &namespace, "probe", &status).await,
        )
    })
    .await;
    claims_are_guarded(plane, &namespace, &controller).await;
}

impl World {
    /// A client of `dev`.
    pub(super) fn dev(&self) -> Client {
        self.plane.client_as("dev", &[]).unwrap()
    }

    /// A client of `operator`.
    pub(super) fn operator(&self) -> Client {
        self.plane.client_as("operator", &[]).unwrap()
    }

    /// A client with the token of the controller's ServiceAccount.
    pub(super) async fn controller(&self) -> Client {
        self.plane
            .client_for_service_account(NAMESPACE, RELEASE)
            .await
            .unwrap()
    }

    /// Creates something.
    pub(super) async fn create(&self, client: &Client, object: &Value) -> Answer {
        create(client, &self.namespace, object).await
    }

    /// Patches a pod, as [`patch`] does.
    pub(super) async fn edit(&self, client: &Client, name: &str, edit: &Value) -> Answer {
        patch(client, &self.namespace, name, "", edit, false).await
    }

    /// Patches a pod's status.
    pub(super) async fn edit_status(&self, client: &Client, name: &str, edit: &Value) -> Answer {
        patch(client, &self.namespace, name, "status", edit, false).await
    }

    /// Creates, as `dev`, a pod that waits for a slot of `gpu`.
    pub(super) async fn waiting(&self, name: &str) -> DynamicObject {
        let object = pod(name, json!({"annotations": {"sluice.dev/slots": "gpu"}}));
        let made = self.create(&self.dev(), &object).await.unwrap();
        assert!(is_gated(&made), "{made:?}");
        made
    }

    /// Creates a pod that was revealed by the controller.
    pub(super) async fn revealed(&self, name: &str) {
        self.waiting(name).await;
        let reveal = json!({
            "metadata": {"annotations": {"sluice.dev/granted": "{}", "sluice.dev/tokens": "gpu=1"},
                "finalizers": ["sluice.dev/confirm-end"]},
            "spec": {"schedulingGates": null}
        });
        self.edit(&self.controller().await, name, &reveal)
            .await
            .unwrap();
    }
}

/// A pod of one container; `metadata` is merged into its own.
pub(super) fn pod(name: &str, metadata: Value) -> Value {
    let mut object = json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata,
        "spec": {"containers": [{"name": "main", "image": "none"}]}});
    object["metadata"]["name"] = name.into();
    object
}

/// A workload of this kind, whose pods have this metadata beside the label `app: x`.
pub(super) fn workload(kind: &str, name: &str, metadata: &Value) -> Value {
    let mut template = pod("unused", metadata.clone());
    for extra in ["apiVersion", "kind"] {
        template.as_object_mut().unwrap().remove(extra);
    }
    template["metadata"].as_object_mut().unwrap().remove("name");
    template["metadata"]["labels"]["app"] = "x".into();
    let selector = json!({"matchLabels": {"app": "x"}});
    let spec = match kind {
        "Job" | "CronJob" => {
            template["spec"]["restartPolicy"] = "Never".into();
            let job = json!({"template": template});
            if kind == "Job" {
                job
            } else {
                json!({"schedule": "0 0 1 1 *", "jobTemplate": {"spec": job}})
            }
        }
        "StatefulSet" => json!({"selector": selector, "serviceName": "x", "template": template}),
        _ => json!({"selector": selector, "template": template}),
    };
    let version = if kind.ends_with("Job") {
        "batch/v1"
    } else {
        "apps/v1"
    };
    json!({"apiVersion": version, "kind": kind, "metadata": {"name": name}, "spec": spec})
}

/// Creates something.
pub(super) async fn create(client: &Client, namespace: &str, object: &Value) -> Answer {
    post(client, namespace, object, false).await
}

/// Asks whether something could be created, and as what.
pub(super) async fn create_dry(client: &Client, namespace: &str, object: &Value) -> Answer {
    post(client, namespace, object, true).await
}

async fn post(client: &Client, namespace: &str, object: &Value, dry_run: bool) -> Answer {
    let object: DynamicObject = serde_json::from_value(object.clone()).unwrap();
    let types = object.types.clone().unwrap();
    let (group, version) = types
        .api_version
        .split_once('/')
        .unwrap_or(("", &types.api_version));
    let kind = kube::core::GroupVersionKind::gvk(group, version, &types.kind);
    let resource = ApiResource::from_gvk(&kind);
    let api: Api<DynamicObject> = match namespace {
        "" => Api::all_with(client.clone(), &resource),
        namespace => Api::namespaced_with(client.clone(), namespace, &resource),
    };
    api.create(
        &PostParams {
            dry_run,
            ..PostParams::default()
        },
        &object,
    )
    .await
    .map_err(text)
}

/// Patches a pod, or its status: by JSON patch if it is a list, else by JSON merge patch.
pub(super) async fn patch(
    client: &Client,
    namespace: &str,
    name: &str,
    subresource: &str,
    patch: &Value,
    dry_run: bool,
) -> Answer {
    let slash = if subresource.is_empty() { "" } else { "/" };
    let path = format!("/api/v1/namespaces/{namespace}/pods/{name}{slash}{subresource}");
    patch_at(client, &path, patch, dry_run).await
}

/// Patches what is at this path.
pub(super) async fn patch_at(client: &Client, path: &str, patch: &Value, dry_run: bool) -> Answer {
    let kind = if patch.is_array() {
        "json-patch"
    } else {
        "merge-patch"
    };
    let dry_run = if dry_run { "?dryRun=All" } else { "" };
    let path = format!("{path}{dry_run}");
    let request = http::Request::patch(path)
        .header("content-type", format!("application/{kind}+json"))
        .body(serde_json::to_vec(patch).unwrap())
        .unwrap();
    client.request(request).await.map_err(text)
}

/// Deletes what is at this path; an answer that is no object is one without a name.
pub(super) async fn delete_at(client: &Client, path: &str, dry_run: bool) -> Answer {
    let dry_run = if dry_run { "?dryRun=All" } else { "" };
    let request = http::Request::delete(format!("{path}{dry_run}"));
    let request = request.body(Vec::new()).unwrap();
    client.request(request).await.map_err(text)
}

/// Binds a pod to a node.
pub(super) async fn bind(client: &Client, namespace: &str, name: &str, binding: &Value) -> Answer {
    let request = http::Request::post(format!(
        "/api/v1/namespaces/{namespace}/pods/{name}/binding"
    ))
    .header("content-type", "application/json")
    .body(serde_json::to_vec(binding).unwrap())
    .unwrap();
    client.request(request).await.map_err(text)
}

/// Patches the status of a limit.
pub(super) async fn limit_status(
    client: &Client,
    namespace: &str,
    name: &str,
    patch: &Value,
) -> Answer {
    let kind = kube::core::GroupVersionKind::gvk("sluice.dev", "v1alpha1", "ConcurrencyLimit");
    let api: Api<DynamicObject> =
        Api::namespaced_with(client.clone(), namespace, &ApiResource::from_gvk(&kind));
    api.patch_status(name, &PatchParams::default(), &Patch::Merge(patch))
        .await
        .map_err(text)
}

/// Fails unless this policy of the release refused; gives its message.
pub(super) fn refused(policy: &str, answer: Answer) -> Result<(), String> {
    refusal(policy, answer).map(|_| ())
}

/// Gives the sentence with which this policy of the release refused; fails if it did not.
pub(super) fn refusal(policy: &str, answer: Answer) -> Result<String, String> {
    let error = match answer {
        Ok(object) => return Err(format!("{policy} let through: {:?}", object.metadata)),
        Err(error) => error,
    };
    let begin = format!(
        "ValidatingAdmissionPolicy '{RELEASE}-{policy}' with binding '{RELEASE}-{policy}' denied request: "
    );
    match error.split_once(&begin) {
        Some((_, sentence)) => Ok(sentence.to_owned()),
        None => Err(format!("not refused by {policy} but: {error}")),
    }
}

/// Whether a pod has our gate and label.
pub(super) fn is_gated(pod: &DynamicObject) -> bool {
    let gates = pod.data["spec"]["schedulingGates"].as_array();
    let gated = gates.is_some_and(|gates| gates.iter().any(|gate| gate["name"] == GATE));
    let label = pod
        .metadata
        .labels
        .iter()
        .flatten()
        .any(|(k, v)| k == "sluice.dev/managed" && v == "true");
    gated && label
}

/// The value of an annotation.
pub(super) fn annotation<'a>(object: &'a DynamicObject, name: &str) -> Option<&'a str> {
    object
        .metadata
        .annotations
        .as_ref()?
        .get(name)
        .map(String::as_str)
}

fn text(error: Error) -> String {
    match error {
        Error::Api(status) => status.message,
        other => other.to_string(),
    }
}
