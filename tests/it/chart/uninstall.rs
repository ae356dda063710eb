//! The end of a release: no pod is left behind a gate that nobody opens, limits stay, and it can come back.

use k8s_openapi::api::core::v1::{Pod, ServiceAccount};
use kube::Client;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PostParams};
use serde_json::json;
use sluice_testenv::RUN_FOR;

use super::helm::{NAMESPACE, RELEASE, eventually};
use super::stage::{Stage, api, gated};

#[tokio::test]
async fn asked_not_to_clean_it_leaves_pods_waiting() {
    let stage = Stage::set().await;
    stage
        .helm
        .install(&["cleanup.ungateOnUninstall=false"])
        .await
        .unwrap();
    stage.a_first_pod_waits().await;
    stage
        .helm
        .run(&["uninstall", RELEASE, "-n", NAMESPACE])
        .await
        .unwrap();
    let pod = stage.pods().get("first").await.unwrap();
    assert!(gated(&pod), "{:?}", pod.spec);
    // Without the guards anybody can open it.
    eventually("the guard to be gone", async || {
        let open = Patch::Merge(json!({"spec": {"schedulingGates": null}}));
        let client = stage.plane.client_as("dev", &["system:masters"]).unwrap();
        let pods: Api<Pod> = Api::namespaced(client, &stage.team);
        pods.patch("first", &PatchParams::default(), &open)
            .await
            .map(|_| ())
            .map_err(|error| error.to_string())
    })
    .await;
}

impl Stage {
    /// `helm uninstall` waits for the hook's Job. Its pod runs on a fake node, so the test does the Job's work, with the
    /// Job's own account, and then lets its pod succeed.
    pub(super) async fn uninstall_opens_every_gate(&self) {
        let limit = r#"{"apiVersion": "sluice.dev/v1alpha1", "kind": "ConcurrencyLimit", "metadata": {"name": "gpu"},
            "spec": {"slots": 3}}"#;
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), limit).unwrap();
        self.kubectl(&[
            "create",
            "-n",
            &self.team,
            "-f",
            file.path().to_str().unwrap(),
        ])
        .await
        .unwrap();
        let confirmed =
            Patch::Merge(json!({"metadata": {"finalizers": ["sluice.dev/confirm-end"]}}));
        self.pods()
            .patch("first", &PatchParams::default(), &confirmed)
            .await
            .unwrap();

        let mut uninstall =
            self.helm
                .start(&["uninstall", RELEASE, "-n", NAMESPACE, "--timeout", "120s"]);
        let accounts: Api<ServiceAccount> = Api::namespaced(self.plane.client(), NAMESPACE);
        let cleanup = format!("{RELEASE}-cleanup");
        let hook: Api<Pod> = Api::namespaced(self.plane.client(), NAMESPACE);
        let of_hook = ListParams::default().labels("app.kubernetes.io/component=cleanup");
        let pod = eventually("the hook's pod", async || {
            let pods = hook
                .list(&of_hook)
                .await
                .map_err(|error| error.to_string())?;
            pods.items
                .into_iter()
                .next()
                .ok_or_else(|| "no pod".to_owned())
        })
        .await;
        accounts.get(&cleanup).await.unwrap();
        let account = self
            .plane
            .client_for_service_account(NAMESPACE, &cleanup)
            .await
            .unwrap();
        ungate_all(&account, &self.team).await;
        let done = Patch::Merge(json!({"metadata": {"annotations": {RUN_FOR: "0s"}}}));
        hook.patch(&pod.metadata.name.unwrap(), &PatchParams::default(), &done)
            .await
            .unwrap();
        let ended = uninstall.wait().await.unwrap();
        assert!(ended.success(), "helm uninstall: {ended}");
    }

    pub(super) async fn nothing_is_left_but_limits(&self) {
        let left = self.release().await;
        let crds = [
            "CustomResourceDefinition concurrencylimits.sluice.dev",
            "CustomResourceDefinition locks.sluice.dev",
        ];
        assert!(
            left.len() == 2
                && left
                    .iter()
                    .zip(crds)
                    .all(|(line, crd)| line.starts_with(crd)),
            "{left:?}"
        );
        self.kubectl(&["get", "climit/gpu", "-n", &self.team])
            .await
            .unwrap();
        self.running("first").await;
        self.pods()
            .delete("first", &DeleteParams::default())
            .await
            .unwrap();
        eventually("nothing to hold the first pod", async || {
            match self.pods().get_opt("first").await {
                Ok(None) => Ok(()),
                other => Err(format!("{other:?}")),
            }
        })
        .await;
    }

    /// For one namespace: the policies hold there and nowhere else, and so do the controller's rights.
    pub(super) async fn it_comes_back_for_one_namespace(&self) {
        let elsewhere = self.plane.namespace("elsewhere").await.unwrap();
        let notes = self
            .helm
            .install(&[&format!(r#"controller.namespaces=["{}"]"#, self.team)])
            .await
            .unwrap();
        assert!(
            notes.contains(&format!("serves the namespaces {}", self.team)),
            "{notes}"
        );
        self.a_first_pod_waits().await;
        let object = json!({"metadata": {"name": "free", "annotations": {"sluice.dev/slots": "GPU"}},
            "spec": {"containers": [{"name": "main", "image": "none"}]}});
        let free: Pod = serde_json::from_value(object).unwrap();
        let free = Api::<Pod>::namespaced(self.plane.client(), &elsewhere)
            .create(&PostParams::default(), &free)
            .await;
        assert!(!gated(&free.unwrap()));
        let controller = self
            .plane
            .client_for_service_account(NAMESPACE, RELEASE)
            .await
            .unwrap();
        let all = ListParams::default();
        Api::<Pod>::namespaced(controller.clone(), &self.team)
            .list(&all)
            .await
            .unwrap();
        for refused in [
            Api::<Pod>::namespaced(controller.clone(), &elsewhere),
            Api::all(controller),
        ] {
            let error = refused.list(&all).await.unwrap_err().to_string();
            assert!(error.contains("forbidden"), "{error}");
        }
    }
}

/// What `sluice ungate-all --remove-admission-binding sluice-gate` does, with nothing but this account's rights.
async fn ungate_all(account: &Client, namespace: &str) {
    let binding = (
        "admissionregistration.k8s.io",
        "v1",
        "MutatingAdmissionPolicyBinding",
    );
    let gate = format!("{RELEASE}-gate");
    api(account.clone(), binding, None)
        .delete(&gate, &DeleteParams::default())
        .await
        .unwrap();
    let everywhere: Api<Pod> = Api::all(account.clone());
    let managed = ListParams::default().labels("sluice.dev/managed=true");
    let found = everywhere.list(&managed).await.unwrap();
    assert!(!found.items.is_empty());
    let pods: Api<Pod> = Api::namespaced(account.clone(), namespace);
    for pod in found {
        let clean = json!({"metadata": {"finalizers": null, "labels": {"sluice.dev/managed": null}},
            "spec": {"schedulingGates": null}});
        pods.patch(
            &pod.metadata.name.unwrap(),
            &PatchParams::default(),
            &Patch::Merge(clean),
        )
        .await
        .unwrap();
    }
    assert!(everywhere.list(&managed).await.unwrap().items.is_empty());
    // Caged like the controller.
    let relabel = Patch::Merge(json!({"metadata": {"labels": {"app": "x"}}}));
    let error = pods
        .patch("first", &PatchParams::default(), &relabel)
        .await
        .unwrap_err()
        .to_string();
    assert!(error.contains("sluice-cage"), "{error}");
}
