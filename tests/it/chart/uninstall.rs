//! The end of a release: no pod is left behind a gate that nobody opens, limits stay, and it can come back.

use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PostParams};
use serde_json::json;

use super::helm::{NAMESPACE, RELEASE, eventually};
use super::site::{hook_pod, run_hook};
use super::stage::{Stage, asking, gated};

impl Stage {
    /// `helm uninstall` waits for the hook's Job.
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
        let hook = hook_pod(&self.plane.client()).await;
        self.the_hook_is_caged().await;
        let printed = run_hook(&self.plane, &hook).await;
        assert!(printed.contains("1 pods were freed"), "{printed}");
        self.nobody_is_gated_any_more().await;
        let ended = uninstall.wait().await.unwrap();
        assert!(ended.success(), "helm uninstall: {ended}");
    }

    /// Its account may patch pods, and yet changes nothing of them that is not ours.
    async fn the_hook_is_caged(&self) {
        let account = self
            .plane
            .client_for_service_account(NAMESPACE, "sluice-cleanup");
        let pods: Api<Pod> = Api::namespaced(account.await.unwrap(), &self.team);
        let relabel = Patch::Merge(json!({"metadata": {"labels": {"app": "x"}}}));
        let refused = pods.patch("first", &PatchParams::default(), &relabel).await;
        let error = refused.unwrap_err().to_string();
        assert!(error.contains("sluice-cage"), "{error}");
    }

    /// The server drops a policy up to a second after its binding. Whoever were gated meanwhile would wait for ever, so
    /// the hook's work is not done before that is over.
    async fn nobody_is_gated_any_more(&self) {
        let dry = PostParams {
            dry_run: true,
            ..PostParams::default()
        };
        match self.pods().create(&dry, &asking("after", "gpu")).await {
            Ok(pod) => assert!(!gated(&pod), "the hook has ended, and pods are still gated"),
            Err(error) => assert!(error.to_string().contains("sluice-request"), "{error}"),
        }
    }

    pub(super) async fn nothing_is_left_but_limits(&self) {
        let left = self.release().await;
        let crds = [
            "CustomResourceDefinition concurrencylimits.sluice.dev",
            "CustomResourceDefinition locks.sluice.dev",
            "CustomResourceDefinition slotclaims.sluice.dev",
        ];
        assert!(
            left.len() == crds.len()
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
        let free = Api::<Pod>::namespaced(self.plane.client(), &elsewhere)
            .create(&PostParams::default(), &asking("free", "GPU"))
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
