//! A release with its controller at work: on a control plane of its own, beside people's namespaces.
//!
//! The controller is a process with the ServiceAccount of the release; the pod of the Deployment, which a fake node only
//! pretends to run, says how it is started, and when it is stopped and started anew.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::{Client, ResourceExt as _};
use serde_json::json;
use sluice::api::names;
use sluice_testenv::history::{Assumptions, check};
use sluice_testenv::{ControlPlane, FakeNodes, NodeOptions, RUN_FOR};

use super::audit::Audit;
use super::claims::claim;
use super::helm::{Helm, NAMESPACE, RELEASE, eventually};
use super::process::{Process, Program};
use super::stage::asking;
use crate::support::{PodFacts as _, World};

/// A node that is to be lost: only pods that tolerate it get there.
pub(super) const LOST_NODE: &str = "lost";
/// Labels of the pods of the Deployment, and of the hook's Job.
const OF_CONTROLLER: &str = "app.kubernetes.io/component=controller";
const OF_HOOK: &str = "app.kubernetes.io/component=cleanup";

/// A release with its controller at work.
pub(crate) struct Site {
    pub(crate) world: World,
    pub(super) helm: Helm,
    pub(super) audit: Audit,
    /// The controller, and the uid of the pod it stands for.
    controller: Option<(Process, String)>,
}

impl Site {
    /// For all namespaces.
    pub(crate) async fn cluster_wide(namespaces: usize, values: &[&str]) -> Self {
        let (audit, plane, nodes) = ground().await;
        let helm = Helm::on(&plane).await;
        helm.install(values).await.unwrap();
        let world = world(namespaces, plane, nodes).await;
        Self::begin(world, helm, audit).await
    }

    /// For some namespaces, in which something was done before.
    pub(super) async fn for_namespaces(count: usize, before: impl AsyncFnOnce(&World)) -> Self {
        let (audit, plane, nodes) = ground().await;
        let helm = Helm::on(&plane).await;
        // Whoever may install into some namespaces only is given the CRDs by somebody else.
        let world = world(count, plane, nodes).await;
        before(&world).await;
        let namespaces: Vec<&str> = (0..count).map(|it| world.space(it).namespace()).collect();
        let namespaces = format!("controller.namespaces={}", json!(namespaces));
        helm.install(&["crds.install=false", &namespaces])
            .await
            .unwrap();
        Self::begin(world, helm, audit).await
    }

    async fn begin(world: World, helm: Helm, audit: Audit) -> Self {
        let mut site = Self {
            world,
            helm,
            audit,
            controller: None,
        };
        site.admission_works().await;
        site.start_controller().await;
        site
    }

    /// Waits until pods are gated and edits raise the attempt: the server takes policies up a moment after their install.
    async fn admission_works(&self) {
        let pods = self.world.pods();
        let probe = asking("probe", "probe");
        let dry = PostParams {
            dry_run: true,
            ..PostParams::default()
        };
        eventually("pods to be gated", async || {
            let pod = pods.create(&dry, &probe).await;
            gated_or_not(&pod.map_err(|error| error.to_string())?)
        })
        .await;
        pods.create(&PostParams::default(), &probe).await.unwrap();
        let edit = json!({"metadata": {"annotations": {(names::SLOTS): "edited"}}});
        let dry = PatchParams {
            dry_run: true,
            ..PatchParams::default()
        };
        eventually("edits to raise the attempt", async || {
            let pod = pods.patch("probe", &dry, &Patch::Merge(&edit)).await;
            match pod.map_err(|error| error.to_string())? {
                pod if pod.annotation(names::ATTEMPT) == Some("1") => Ok(()),
                pod => Err(format!("{:?}", pod.annotations())),
            }
        })
        .await;
        let now = DeleteParams::default().grace_period(0);
        pods.delete("probe", &now).await.unwrap();
        self.claims_get_their_user().await;
    }

    /// What is mutated by policies is refused until the server has learnt its schema, up to some seconds after its CRD.
    async fn claims_get_their_user(&self) {
        let claims = self.world.claims();
        let probe = claim("probe", json!({"slots": [{"limit": "probe"}]}));
        let dry = PostParams {
            dry_run: true,
            ..PostParams::default()
        };
        eventually("claims to be given their user", async || {
            let made = claims.create(&dry, &probe).await;
            match made.map_err(|error| error.to_string())?.spec.user {
                user if user.is_empty() => Err("nobody".to_owned()),
                _ => Ok(()),
            }
        })
        .await;
    }

    /// Starts the controller as the Deployment's pod says, and waits until it is ready.
    async fn start_controller(&mut self) {
        assert!(self.controller.is_none(), "one at a time");
        self.rolled_out().await;
        let pod = self.running_pod(OF_CONTROLLER).await;
        let program = Program::of(self.world.plane(), &pod).await;
        let mut process = program.start(self.world.plane().directory());
        process.ready().await;
        self.controller = Some((process, pod.uid().unwrap()));
    }

    /// Waits until all replicas are of the newest template, and none of an older one is left.
    async fn rolled_out(&self) {
        let deployments: Api<Deployment> = Api::namespaced(self.world.client(), NAMESPACE);
        eventually("the rollout to end", async || {
            let found = deployments.get(RELEASE).await;
            let found = found.map_err(|error| error.to_string())?;
            let wanted = found.spec.and_then(|spec| spec.replicas);
            let generation = found.metadata.generation;
            let status = found.status.unwrap_or_default();
            let done = status.observed_generation == generation
                && [
                    status.replicas,
                    status.updated_replicas,
                    status.available_replicas,
                ] == [wanted; 3];
            done.then_some(()).ok_or(format!("{status:?}"))
        })
        .await;
    }

    /// Stops the controller, as a kubelet does when its pod is deleted.
    async fn stop_controller(&mut self) {
        let (process, _) = self.controller.take().unwrap();
        let ended = process.stop().await;
        assert!(ended.success(), "on SIGTERM the controller ended {ended}");
    }

    /// The container ends, and its kubelet starts it again.
    pub(super) async fn restart_controller(&mut self) {
        self.stop_controller().await;
        self.start_controller().await;
    }

    /// Upgrades the release to values that change the Deployment, and does what its rollout asks for: the controller is
    /// stopped, something happens while there is none, and the next is started from the new pod.
    pub(super) async fn upgrade(&mut self, values: &[&str], meanwhile: impl AsyncFnOnce(&World)) {
        self.helm.upgrade(values).await.unwrap();
        self.await_end_of_controllers_pod().await;
        self.stop_controller().await;
        meanwhile(&self.world).await;
        self.start_controller().await;
    }

    /// Uninstalls the release as `helm uninstall` and the cluster do it together; gives what the hook printed, if there
    /// was one.
    pub(crate) async fn uninstall(&mut self, hook: bool) -> Option<String> {
        let command = ["uninstall", RELEASE, "-n", NAMESPACE, "--timeout", "120s"];
        let mut uninstall = self.helm.start(&command);
        let mut printed = None;
        if hook {
            let pod = self.running_pod(OF_HOOK).await;
            printed = Some(run_hook(self.world.plane(), &pod).await);
        }
        let ended = uninstall.wait().await.unwrap();
        assert!(ended.success(), "helm uninstall: {ended}");
        self.await_end_of_controllers_pod().await;
        self.stop_controller().await;
        printed
    }

    /// Waits until the pod that the controller stands for is told to end, or gone.
    async fn await_end_of_controllers_pod(&self) {
        let (_, uid) = self.controller.as_ref().unwrap();
        let client = self.world.client();
        eventually("the end of the controller's pod", async || {
            let live = list(&client, OF_CONTROLLER).await?.into_iter().find(|pod| {
                pod.uid().as_deref() == Some(uid) && pod.metadata.deletion_timestamp.is_none()
            });
            live.map_or(Ok(()), |pod| Err(format!("{} lives", pod.name_any())))
        })
        .await;
    }

    async fn running_pod(&self, labels: &str) -> Pod {
        running_pod(&self.world.client(), labels).await
    }

    /// Installs the release once more, and starts its controller.
    pub(crate) async fn install_again(&mut self, values: &[&str]) {
        self.helm.install(values).await.unwrap();
        self.admission_works().await;
        self.start_controller().await;
    }

    /// Proves from etcd's history that no invariant was broken, but for the gates opened from this revision on.
    pub(crate) async fn prove(&self, gates_opened_from: i64) {
        let history = self.world.history().await;
        let assumptions = Assumptions::none().gates_opened_from(gates_opened_from);
        let violations = check(&history, &assumptions);
        if let Some(first) = violations.first() {
            self.world.fail(&format!(
                "{} violations: {violations:#?}\n{}",
                violations.len(),
                history.story(&first.object.name)
            ));
        }
    }
}

/// A control plane with an audit log, and nodes.
async fn ground() -> (Audit, ControlPlane, FakeNodes) {
    let audit = Audit::begin();
    let plane = ControlPlane::start(audit.options()).await.unwrap();
    let nodes = FakeNodes::start(&plane, &["node-1", LOST_NODE], NodeOptions::default())
        .await
        .unwrap();
    let taint = json!({"spec": {"taints": [{"key": "example.com/lost", "effect": "NoSchedule"}]}});
    Api::<Node>::all(plane.client())
        .patch(LOST_NODE, &PatchParams::default(), &Patch::Merge(&taint))
        .await
        .unwrap();
    (audit, plane, nodes)
}

/// People's namespaces; the release brings the controller.
async fn world(namespaces: usize, plane: ControlPlane, nodes: FakeNodes) -> World {
    World::plan("team")
        .namespaces(namespaces)
        .everywhere()
        .controllers(0)
        .on(plane, Some(nodes))
        .begin()
        .await
}

/// Does the work of the uninstall hook's pod with its own account, and lets the pod succeed; gives what it printed.
pub(super) async fn run_hook(plane: &ControlPlane, pod: &Pod) -> String {
    let output = Program::of(plane, pod).await.run().await;
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {complaint}", output.status);
    let done = Patch::Merge(json!({"metadata": {"annotations": {RUN_FOR: "0s"}}}));
    Api::<Pod>::namespaced(plane.client(), NAMESPACE)
        .patch(&pod.name_any(), &PatchParams::default(), &done)
        .await
        .unwrap();
    String::from_utf8(output.stdout).unwrap()
}

/// Waits for the pod of the hook.
pub(super) async fn hook_pod(client: &Client) -> Pod {
    running_pod(client, OF_HOOK).await
}

async fn running_pod(client: &Client, labels: &str) -> Pod {
    eventually(&format!("a running pod with {labels}"), async || {
        let pods = list(client, labels).await?;
        let seen = format!("{} pods", pods.len());
        pods.into_iter()
            .find(|pod| pod.phase() == "Running" && pod.metadata.deletion_timestamp.is_none())
            .ok_or(seen)
    })
    .await
}

async fn list(client: &Client, labels: &str) -> Result<Vec<Pod>, String> {
    let pods: Api<Pod> = Api::namespaced(client.clone(), NAMESPACE);
    let found = pods.list(&ListParams::default().labels(labels)).await;
    found
        .map(|list| list.items)
        .map_err(|error| error.to_string())
}

fn gated_or_not(pod: &Pod) -> Result<(), String> {
    if pod.is_gated() {
        Ok(())
    } else {
        Err("not gated".to_owned())
    }
}
