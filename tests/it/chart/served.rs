//! A release that serves: its controller, with the ServiceAccount of the release and nothing else, does all that it is
//! for and is refused nothing. Then it is upgraded while pods hold and wait, and uninstalled while people go on.

use std::convert::Infallible;
use std::ops::Deref;
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, DeleteParams, PostParams};
use kube::{Error, ResourceExt as _};
use serde_json::json;
use sluice::api::names;

use super::audit::Rights;
use super::helm::RELEASE;
use super::rbac;
use super::site::Site;
use super::stage::{api, asking};
use super::stories;
use crate::support::{PodFacts as _, World};

/// Namespaces of a site: one for each story, and one for what comes after.
const NAMESPACES: usize = stories::NAMESPACES + 1;
/// The account of the uninstall hook.
const CLEANUP: &str = "sluice-cleanup";
/// How often somebody creates a pod during an uninstall.
const BETWEEN_COMERS: Duration = Duration::from_millis(50);

#[tokio::test]
async fn cluster_wide() {
    let mut site = Site::cluster_wide(NAMESPACES, &[]).await;
    stories::all(&site.world, &site.audit).await;
    site.people_hold_and_wait().await;
    site.a_missing_guard_is_told().await;
    site.an_upgrade_loses_nothing().await;
    site.world.quiet().await;
    site.rights_are_all_used(&[
        &rbac::SERVED,
        &rbac::EVERYWHERE,
        &rbac::CLUSTER_SCOPED,
        &rbac::TURNS,
    ]);
    site.an_uninstall_leaves_nobody_waiting().await;
}

#[tokio::test]
async fn in_listed_namespaces() {
    let mut site = Site::for_namespaces(NAMESPACES, past_admission).await;
    site.who_came_past_admission_counts().await;
    stories::all(&site.world, &site.audit).await;
    site.people_hold_and_wait().await;
    site.world.quiet().await;
    site.rights_are_all_used(&[&rbac::SERVED, &rbac::CLUSTER_SCOPED, &rbac::TURNS]);
    site.an_uninstall_leaves_nobody_waiting().await;
}

/// Before the install a pod takes a slot that nobody counts.
async fn past_admission(world: &World) {
    let space = world.space(stories::NAMESPACES);
    space.limit_with("old", json!({"slots": 1})).await;
    space.pod("old").ungated().slots("old").create().await;
    space.running("old").await;
}

impl Site {
    /// The namespace for what comes after the stories.
    fn people(&self) -> &<World as Deref>::Target {
        self.world.space(stories::NAMESPACES)
    }

    async fn who_came_past_admission_counts(&self) {
        let people = self.people();
        people.holders("old", ["old"]).await;
        people
            .pod_is("old", "labelled", |it| {
                it.labels().contains_key(names::MANAGED)
            })
            .await;
    }

    /// `first` and `second` hold, `third` and `fourth` wait; `licensed` holds what only proof frees.
    async fn people_hold_and_wait(&self) {
        let people = self.people();
        people.limit("gpu", 2).await;
        let confirmed = json!({"slots": 1, "releasePolicy": "Confirmed"});
        people.limit_with("licence", confirmed).await;
        for (name, slots) in [
            ("first", "gpu"),
            ("second", "gpu"),
            ("third", "gpu"),
            ("fourth", "gpu"),
            ("licensed", "licence"),
            ("unlicensed", "licence"),
        ] {
            let pod = people.pod(name).ungated().slots(slots).create().await;
            assert!(pod.is_gated(), "{name}: {:?}", pod.spec);
            if ["first", "second", "licensed"].contains(&name) {
                people.granted(name).await;
            }
        }
    }

    /// Somebody removes a guard: every limit says so, as soon as the controller looks. The upgrade puts it back.
    async fn a_missing_guard_is_told(&mut self) {
        self.unguarded(["False", "PoliciesPresent"]).await;
        let kind = (
            "admissionregistration.k8s.io",
            "v1",
            "ValidatingAdmissionPolicyBinding",
        );
        let bindings = api(self.world.client(), kind, None);
        for name in ["sluice-claim", "sluice-claim-guard", "sluice-guard"] {
            let mut binding = bindings.get(name).await.unwrap();
            let deleted = bindings.delete(name, &DeleteParams::default()).await;
            deleted.unwrap();
            // It looks when it starts, and every minute.
            self.restart_controller().await;
            self.unguarded(["True", "PoliciesMissing"]).await;
            if name == "sluice-guard" {
                break;
            }
            binding.metadata.resource_version = None;
            binding.metadata.uid = None;
            let created = bindings.create(&PostParams::default(), &binding).await;
            created.unwrap();
            self.restart_controller().await;
            self.unguarded(["False", "PoliciesPresent"]).await;
        }
    }

    async fn unguarded(&self, expected: [&str; 2]) {
        self.people()
            .limit_is("gpu", &format!("Unguarded={expected:?}"), |it| {
                let condition = it.condition("Unguarded");
                condition.is_some_and(|[status, reason, _]| [status, reason] == expected)
            })
            .await;
    }

    /// While the controller is away a holder ends, a waiting pod is deleted, and one comes that may go first by the new
    /// value. Whoever holds goes on holding.
    async fn an_upgrade_loses_nothing(&mut self) {
        let before = self.people().limit_now("gpu").await;
        let values = ["controller.maxPriority=5"];
        self.upgrade(&values, async |world| {
            let people = world.space(stories::NAMESPACES);
            people.end("first").await;
            people.succeeded("first").await;
            people.delete("third").await;
            people.gone("third").await;
            let urgent = people.pod("urgent").ungated().slots("gpu");
            let urgent = urgent.annotation(names::PRIORITY, "5").create().await;
            assert!(urgent.is_gated(), "{:?}", urgent.spec);
        })
        .await;
        let people = self.people();
        people.granted("urgent").await;
        people.holders("gpu", ["second", "urgent"]).await;
        people.is_gated("fourth").await;
        people.is_gated("unlicensed").await;
        let after = people.limit_now("gpu").await;
        assert_eq!(after.lease("second"), before.lease("second"));
        self.unguarded(["False", "PoliciesPresent"]).await;
        self.people().end("second").await;
        self.people().granted("fourth").await;
        let fifth = self.people().pod("fifth").ungated().slots("gpu");
        fifth.create().await;
    }

    /// The controller has made use of every right that it has, and was refused nothing.
    fn rights_are_all_used(&self, granted: &[&[&str]]) {
        self.audit.nothing_was_forbidden_to(RELEASE);
        let mut used = self.audit.used_by(RELEASE);
        used.extend(plain(&[&rbac::SELDOM]));
        assert_eq!(used, plain(granted));
    }

    /// People go on creating pods during the uninstall. In the end none is gated or kept from going.
    async fn an_uninstall_leaves_nobody_waiting(&mut self) {
        let before = self.world.history().await.revision();
        let crowd = people_keep_coming(self.people().pods());
        let printed = tokio::select! {
            printed = self.uninstall(true) => printed.unwrap(),
            never = crowd => match never {},
        };
        assert!(printed.contains("were freed"), "{printed}");

        for index in 0..NAMESPACES {
            let space = self.world.space(index);
            for pod in space.all_pods().await {
                let place = format!("{}/{}", space.namespace(), pod.name_any());
                assert!(!pod.is_gated(), "{place} waits for ever");
                assert_eq!(pod.metadata.finalizers, None, "{place} cannot go");
            }
        }
        let people = self.people();
        people.delete("licensed").await;
        people.gone("licensed").await;
        people.running("unlicensed").await;
        self.prove(before).await;

        let did = self.audit.of(CLEANUP);
        self.audit.nothing_was_forbidden_to(CLEANUP);
        let (verb, name) = (did[0].verb.as_str(), did[0].name.as_str());
        assert_eq!((verb, name), ("delete", "sluice-gate"), "{did:?}");
        let granted: [&[&str]; 2] = [&rbac::CLEANUP, &rbac::CLEANUP_CLUSTER_SCOPED];
        assert_eq!(self.audit.used_by(CLEANUP), plain(&granted));
    }
}

/// People create pods for as long as anybody lets them, and try again when a policy refuses.
async fn people_keep_coming(pods: Api<Pod>) -> Infallible {
    for count in 0_u64.. {
        let pod = asking(&format!("crowd-{count}"), "gpu");
        match pods.create(&PostParams::default(), &pod).await {
            Ok(_) => {}
            // Nothing gates it any more, and the policy of requests is still there.
            Err(Error::Api(status)) if status.message.contains("sluice-request") => {}
            Err(error) => panic!("crowd-{count}: {error}"),
        }
        tokio::time::sleep(BETWEEN_COMERS).await;
    }
    unreachable!("more pods than numbers")
}

/// Rights as the audit log names them: without names of objects, and without the verb that policies ask for.
fn plain(lists: &[&[&str]]) -> Rights {
    let requested = lists
        .concat()
        .into_iter()
        .filter(|it| !it.ends_with(" bypass"));
    requested
        .map(|right| match right.split_once('[') {
            Some((resource, names)) => format!("{resource}{}", names.split_once(']').unwrap().1),
            None => right.to_owned(),
        })
        .collect()
}
