//! A release on a real control plane, from its install to its end: what was there before goes on, an upgrade to the
//! same thing changes nothing, people get their roles, grants get their lane. Its end is in [`super::uninstall`].

use http::Request;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::flowcontrol::v1::FlowSchema;
use kube::api::{Api, DynamicObject, Patch, PatchParams, PostParams};
use kube::client::Body;
use serde_json::json;

use super::helm::{NAMESPACE, RELEASE, eventually};
use super::stage::{Stage, api};

#[tokio::test]
async fn from_install_to_uninstall_and_back() {
    let stage = Stage::set().await;
    stage.create_what_was_there_before().await;
    let notes = stage.helm.install(&[]).await.unwrap();
    assert!(
        notes.contains("serves all namespaces") && !notes.contains("MISSING"),
        "{notes}"
    );
    stage.its_pods_are_admitted().await;
    stage.a_first_pod_waits().await;
    stage.what_was_there_before_goes_on().await;
    stage.an_upgrade_to_the_same_changes_nothing().await;
    stage.people_have_their_roles().await;
    stage.grants_have_a_lane_of_their_own().await;
    stage.uninstall_opens_every_gate().await;
    stage.nothing_is_left_but_limits().await;
    stage.it_comes_back_for_one_namespace().await;
}

impl Stage {
    /// A workload that no policy would let in today, and a pod that runs without a gate.
    async fn create_what_was_there_before(&self) {
        let labels = json!({"app": "old"});
        let spec = json!({"containers": [{"name": "main", "image": "none"}]});
        let deployment = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "old"},
            "spec": {"replicas": 0, "selector": {"matchLabels": labels}, "template": {
                "metadata": {"labels": labels, "annotations": {"sluice.dev/slots": "GPU"}}, "spec": spec}}});
        let pod = json!({"apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": "old", "annotations": {"sluice.dev/slots": "GPU"}, "finalizers": ["example.com/a"]},
            "spec": spec});
        for (kind, object) in [
            (("apps", "v1", "Deployment"), deployment),
            (("", "v1", "Pod"), pod),
        ] {
            let object: DynamicObject = serde_json::from_value(object).unwrap();
            let api = api(self.plane.client(), kind, Some(&self.team));
            api.create(&PostParams::default(), &object).await.unwrap();
        }
        self.running("old").await;
    }

    async fn what_was_there_before_goes_on(&self) {
        let team = ["-n", &self.team];
        self.kubectl(&[&["scale", "deployment/old", "--replicas=1"][..], &team].concat())
            .await
            .unwrap();
        self.kubectl(&[&["scale", "deployment/old", "--replicas=0"][..], &team].concat())
            .await
            .unwrap();
        self.kubectl(&[&["label", "deployment/old", "a=b"][..], &team].concat())
            .await
            .unwrap();
        self.kubectl(&[&["label", "pod/old", "a=b"][..], &team].concat())
            .await
            .unwrap();
        // The controller finds such pods and labels them.
        let controller = self
            .plane
            .client_for_service_account(NAMESPACE, RELEASE)
            .await
            .unwrap();
        let pods: Api<Pod> = Api::namespaced(controller, &self.team);
        let label = Patch::Merge(json!({"metadata": {"labels": {"sluice.dev/managed": "true"}}}));
        pods.patch("old", &PatchParams::default(), &label)
            .await
            .unwrap();
        let finalizers = r#"{"metadata": {"finalizers": null}}"#;
        self.kubectl(
            &[
                &["patch", "pod/old", "--type=merge", "-p", finalizers][..],
                &team,
            ]
            .concat(),
        )
        .await
        .unwrap();
        self.kubectl(
            &[
                &["delete", "pod/old", "deployment/old", "--timeout=60s"][..],
                &team,
            ]
            .concat(),
        )
        .await
        .unwrap();
    }

    async fn an_upgrade_to_the_same_changes_nothing(&self) {
        let before = self.release().await;
        assert!(before.len() > 25, "{before:?}");
        self.helm.upgrade(&[]).await.unwrap();
        assert_eq!(before, self.release().await);
        // And one to something else is only that.
        self.helm
            .upgrade(&["controller.maxPriority=5"])
            .await
            .unwrap();
        let after = self.release().await;
        let changed: Vec<&String> = after.iter().filter(|line| !before.contains(line)).collect();
        assert_eq!(changed, ["Deployment sluice 2"]);
    }

    async fn people_have_their_roles(&self) {
        let can = async |user: &str, verb: &str, what: &str| {
            let review = json!({"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "metadata": {},
                "spec": {"user": user, "resourceAttributes": {"group": "sluice.dev", "namespace": self.team,
                    "verb": verb, "resource": what.split('/').next(), "subresource": what.split('/').nth(1)}}});
            let kind = ("authorization.k8s.io", "v1", "SubjectAccessReview");
            let review: DynamicObject = serde_json::from_value(review).unwrap();
            let answer = api(self.plane.client(), kind, None)
                .create(&PostParams::default(), &review)
                .await
                .unwrap();
            answer.data["status"]["allowed"] == true
        };
        for role in ["view", "edit", "admin"] {
            let binding = format!("--clusterrole={role}");
            let user = format!("--user={role}");
            self.kubectl(&[
                "create",
                "rolebinding",
                role,
                &binding,
                &user,
                "-n",
                &self.team,
            ])
            .await
            .unwrap();
            eventually("the role to reach", async || {
                if can(role, "get", "locks").await {
                    Ok(())
                } else {
                    Err(format!("{role} reads nothing"))
                }
            })
            .await;
        }
        eventually("the admin's role to be put together", async || {
            if can("admin", "create", "locks").await {
                Ok(())
            } else {
                Err("not yet".to_owned())
            }
        })
        .await;
        for what in ["concurrencylimits", "locks"] {
            for verb in [
                "get", "list", "watch", "create", "update", "patch", "delete",
            ] {
                let reads = ["get", "list", "watch"].contains(&verb);
                assert_eq!(can("view", verb, what).await, reads, "view {verb} {what}");
                assert_eq!(can("edit", verb, what).await, reads, "edit {verb} {what}");
                assert!(can("admin", verb, what).await, "admin {verb} {what}");
            }
            let status = format!("{what}/status");
            for role in ["view", "edit", "admin"] {
                assert!(
                    !can(role, "update", &status).await && !can(role, "patch", &status).await,
                    "{role} {status}"
                );
                assert!(!can(role, "bypass", what).await, "{role} bypass {what}");
            }
        }
        for role in ["view", "edit", "admin"] {
            assert!(can(role, "list", "slotclaims").await, "{role} lists claims");
            for (verb, what) in [
                ("create", "slotclaims"),
                ("patch", "slotclaims"),
                ("delete", "slotclaims"),
                ("patch", "slotclaims/status"),
            ] {
                assert!(!can(role, verb, what).await, "{role} {verb} {what}");
            }
        }
        assert!(can("admin", "update", "concurrencylimits/scale").await);
    }

    /// The server says which FlowSchema a request was sent through.
    async fn grants_have_a_lane_of_their_own(&self) {
        let schemas: Api<FlowSchema> = Api::all(self.plane.client());
        let ours = schemas.get(RELEASE).await.unwrap().metadata.uid.unwrap();
        let controller = self
            .plane
            .client_for_service_account(NAMESPACE, RELEASE)
            .await
            .unwrap();
        let lane = async |method: &str, path: &str| {
            let request = Request::builder().method(method).uri(path);
            let request = request.header("content-type", "application/merge-patch+json");
            let answer = controller
                .send(request.body(Body::from(b"{}".to_vec())).unwrap())
                .await
                .unwrap();
            let lane = answer
                .headers()
                .get("x-kubernetes-pf-flowschema-uid")
                .unwrap();
            lane.to_str().unwrap().to_owned()
        };
        let pod = format!("/api/v1/namespaces/{}/pods/first", self.team);
        eventually("the FlowSchema to be taken up", async || {
            if lane("GET", &pod).await == ours {
                Ok(())
            } else {
                Err("another lane".to_owned())
            }
        })
        .await;
        let limits = "/apis/sluice.dev/v1alpha1";
        for (method, path) in [
            ("PATCH", pod.clone()),
            ("PATCH", format!("{pod}/status")),
            ("GET", "/api/v1/pods?limit=1".to_owned()),
            ("GET", format!("{limits}/locks?limit=1")),
            (
                "GET",
                format!("/apis/coordination.k8s.io/v1/namespaces/{NAMESPACE}/leases/{RELEASE}"),
            ),
            (
                "PATCH",
                format!(
                    "{limits}/namespaces/{}/concurrencylimits/gpu/status",
                    self.team
                ),
            ),
            ("GET", format!("{limits}/slotclaims?limit=1")),
            (
                "PATCH",
                format!("{limits}/namespaces/{}/slotclaims/none/status", self.team),
            ),
        ] {
            assert_eq!(lane(method, &path).await, ours, "{method} {path}");
        }
        let events = format!(
            "/apis/events.k8s.io/v1/namespaces/{}/events/none",
            self.team
        );
        assert_ne!(
            lane("PATCH", &events).await,
            ours,
            "events stand beside the lane"
        );
    }
}
