//! `sluice ungate-all` in the hands of people: beside a release, where the guards decide who may, and after one that left
//! its pods waiting.

use kube::ResourceExt as _;
use serde_json::json;
use sluice::api::names;

use super::helm::RELEASE;
use super::process::Program;
use super::site::Site;
use crate::support::PodFacts as _;

/// What a person needs to go over pods: RBAC has no finer word for it.
const OVER_PODS: &str = "over-pods";

#[tokio::test]
async fn by_people() {
    let mut site = Site::cluster_wide(2, &["cleanup.ungateOnUninstall=false"]).await;
    site.both_hold_and_wait().await;
    let before = site.world.history().await.revision();
    site.whoever_may_not_bypass_is_told().await;
    site.an_operator_opens_one_namespace().await;
    site.uninstall(false).await;
    site.what_is_left_waits_and_can_be_deleted().await;
    site.an_admin_opens_the_rest().await;
    site.prove(before).await;
}

impl Site {
    /// In both namespaces `holder` holds, `next` and `last` wait, and `licensed` holds what only proof frees.
    async fn both_hold_and_wait(&self) {
        for space in [self.world.space(0), self.world.space(1)] {
            space.limit("gpu", 1).await;
            let confirmed = json!({"slots": 1, "releasePolicy": "Confirmed"});
            space.limit_with("licence", confirmed).await;
            for (name, slots) in [
                ("holder", "gpu"),
                ("licensed", "licence"),
                ("next", "gpu"),
                ("last", "gpu"),
            ] {
                let pod = space.pod(name).ungated().slots(slots);
                assert!(pod.create().await.is_gated(), "{name}");
                if slots == "licence" || name == "holder" {
                    space.granted(name).await;
                }
            }
        }
        let verbs = ["--verb=get,list,patch", "--resource=pods"];
        self.world
            .kubectl(&["create", "clusterrole", OVER_PODS, verbs[0], verbs[1]]);
        for (user, role) in [
            ("dev", OVER_PODS),
            ("operator", OVER_PODS),
            ("operator", "sluice-bypass"),
        ] {
            let name = format!("{user}-{role}");
            let (role, user) = (format!("--clusterrole={role}"), format!("--user={user}"));
            self.world
                .kubectl(&["create", "clusterrolebinding", &name, &role, &user]);
        }
    }

    /// `--namespaces` of the first of them.
    fn first_only(&self, user: &str) -> Program {
        let kubeconfig = self.world.plane().kubeconfig_as(user, &[]).unwrap();
        let namespaces = format!("--namespaces={}", self.world.namespace());
        Program::by_hand(kubeconfig, &["ungate-all", &namespaces])
    }

    async fn whoever_may_not_bypass_is_told(&self) {
        let told = self.first_only("dev").complains("still there").await;
        assert!(
            told.contains("sluice-guard") && told.contains("\"bypass\""),
            "{told}"
        );
        self.world.is_gated("next").await;
    }

    /// The controller is at work meanwhile: whoever was let go counts, and nobody else is granted.
    async fn an_operator_opens_one_namespace(&self) {
        let printed = succeed(&self.first_only("operator")).await;
        assert_eq!(
            printed,
            "3 pods were freed of Sluice's gate and finalizer\n"
        );
        let (first, second) = (self.world.space(0), self.world.space(1));
        first.holders("gpu", ["holder", "next", "last"]).await;
        let over = first.limit_now("gpu").await;
        assert_eq!(over.holds("OverCommitted"), Some("HoldersKept"));
        for name in ["next", "last"] {
            first.running(name).await;
            second.is_gated(name).await;
        }
        assert_eq!(first.get("licensed").await.metadata.finalizers, None);
        assert!(second.get("licensed").await.metadata.finalizers.is_some());
    }

    /// The release is gone without a hook. Nobody is let go by that; whatever is deleted goes, but for what waits for proof.
    async fn what_is_left_waits_and_can_be_deleted(&self) {
        let second = self.world.space(1);
        second.is_gated("next").await;
        second.is_gated("last").await;
        for name in ["holder", "last"] {
            second.delete(name).await;
            second.gone(name).await;
        }
        second.delete("licensed").await;
        second
            .pod_is("licensed", "ended, and kept", |it| {
                it.is_terminal() && it.finalizers() == [names::FINALIZER]
            })
            .await;
    }

    /// Of the whole cluster. A second time there is nothing to do, and a binding that is gone is no mistake.
    async fn an_admin_opens_the_rest(&self) {
        let binding = format!("{RELEASE}-gate");
        let arguments = ["ungate-all", "--remove-admission-binding", &binding];
        let admin = Program::by_hand(self.world.plane().kubeconfig(), &arguments);
        for freed in [2, 0] {
            let printed = succeed(&admin).await;
            let expected = format!("{freed} pods were freed of Sluice's gate and finalizer\n");
            assert_eq!(printed, expected);
        }
        let second = self.world.space(1);
        second.running("next").await;
        second.gone("licensed").await;
    }
}

/// Runs it to a good end, and gives what it printed.
async fn succeed(program: &Program) -> String {
    let output = program.run().await;
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {complaint}", output.status);
    String::from_utf8(output.stdout).unwrap()
}
