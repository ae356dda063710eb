//! A claim that is there: its user alone renews, releases and deletes it, the controller alone writes its status and
//! deletes what has ended, and whoever keeps the cluster tidy is in nobody's way.

use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::ResourceExt as _;
use kube::api::{Api, DeleteParams};
use serde_json::{Value, json};

use super::super::plane::{World, create, create_dry, delete_at, refusal, world};
use super::{a_slot, claim, path, phase, release, renewal};
use crate::chart::helm::{CONTROLLER, RELEASE, eventually};

#[tokio::test]
async fn nobody_touches_anothers_claim() {
    let world = world("another").await;
    world.claims("claim").await;
    let eve = world.plane.client_as("eve", &[]).unwrap();
    let label = json!({"metadata": {"labels": {"a": "b"}}});
    let pin = json!({"metadata": {"finalizers": ["example.com/mine"]}});
    let mine = json!({"spec": {"session": "e", "renew": {"seq": 1}}});
    for edit in [renewal(1), release(), label.clone(), pin, mine] {
        let answer = world.edit_claim(&eve, "claim", &edit).await;
        let sentence =
            refusal("claim-guard", answer).unwrap_or_else(|error| panic!("{edit}: {error}"));
        assert!(
            sentence.starts_with("this claim belongs to \"dev\""),
            "{sentence}"
        );
    }
    refusal("claim-guard", world.delete_claim(&eve, "claim").await).unwrap();
    let all = path(&world.namespace, "");
    refusal(
        "claim-guard",
        delete_at(&eve, all.trim_end_matches('/'), false).await,
    )
    .unwrap();
    // Its user may, and who holds the verb.
    let dev = world.dev();
    world.edit_claim(&dev, "claim", &label).await.unwrap();
    world.edit_claim(&dev, "claim", &renewal(1)).await.unwrap();
    let operator = world.operator();
    world
        .edit_claim(&operator, "claim", &renewal(2))
        .await
        .unwrap();
    world.edit_claim(&dev, "claim", &release()).await.unwrap();
    world.delete_claim(&dev, "claim").await.unwrap();
    world.claims("second").await;
    world.delete_claim(&operator, "second").await.unwrap();
}

#[tokio::test]
async fn the_controller_alone_writes_a_status() {
    let world = world("grant").await;
    world.claims("claim").await;
    let grant = json!([{"op": "add", "path": "/status", "value": {"phase": "Granted", "attempt": 0,
        "grants": [{"kind": "ConcurrencyLimit", "namespace": "a", "key": "gpu", "uid": "u", "slots": 1, "token": 7}]}}]);
    let admin = world.plane.client_as("admin", &["system:masters"]).unwrap();
    for other in [world.dev(), world.operator(), admin] {
        let answer = world.edit_claim_status(&other, "claim", &grant).await;
        let sentence = refusal("status", answer).unwrap();
        assert!(sentence.contains("locks and claims"), "{sentence}");
    }
    let controller = world.controller().await;
    world
        .edit_claim_status(&controller, "claim", &grant)
        .await
        .unwrap();
    // A status that is sent along with something else is dropped by the server, as of every kind.
    let along = json!({"status": {"phase": "Revoked"}, "spec": {"release": true}});
    let made = world.edit_claim(&world.dev(), "claim", &along).await;
    assert_eq!(made.unwrap().data["status"]["phase"], "Granted");
}

#[tokio::test]
async fn our_own_account_deletes_what_has_ended_and_changes_nothing() {
    let world = world("caged").await;
    let controller = world.controller().await;
    // The controller's user, with the rights of an administrator.
    let mighty = world
        .plane
        .client_as(CONTROLLER, &["system:masters"])
        .unwrap();
    world.claims("held").await;
    for edit in [
        renewal(1),
        release(),
        json!({"metadata": {"labels": {"a": "b"}}}),
        json!({"metadata": {"finalizers": ["sluice.dev/confirm-end"]}}),
    ] {
        let sentence = refusal("claim-cage", world.edit_claim(&mighty, "held", &edit).await)
            .unwrap_or_else(|error| panic!("{edit}: {error}"));
        assert!(sentence.contains("nothing of a claim but"), "{sentence}");
    }
    for ours in [&controller, &mighty] {
        let sentence = refusal("claim-cage", world.delete_claim(ours, "held").await).unwrap();
        assert!(sentence.contains("delete only claims"), "{sentence}");
    }
    world
        .edit_claim_status(&controller, "held", &phase("Granted"))
        .await
        .unwrap();
    refusal("claim-cage", world.delete_claim(&controller, "held").await).unwrap();
    world
        .edit_claim(&world.dev(), "held", &release())
        .await
        .unwrap();
    world.delete_claim(&controller, "held").await.unwrap();

    for last in ["Denied", "TimedOut", "Revoked", "Released"] {
        world.claims("ended").await;
        if last == "Revoked" {
            let granted = phase("Granted");
            let granted = world
                .edit_claim_status(&controller, "ended", &granted)
                .await;
            granted.unwrap();
        }
        let ended = phase(last);
        let ended = world.edit_claim_status(&controller, "ended", &ended).await;
        ended.unwrap();
        let deleted = world.delete_claim(&controller, "ended").await;
        deleted.unwrap_or_else(|error| panic!("{last}: {error}"));
    }
}

#[tokio::test]
async fn the_role_of_claimers_is_enough() {
    let world = world("claimer").await;
    let admin = world.plane.client();
    for account in ["worker", "stranger"] {
        let object =
            json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": account}});
        create(&admin, &world.namespace, &object).await.unwrap();
        world.may_claim(account).await;
    }
    let client = async |account| {
        world
            .plane
            .client_for_service_account(&world.namespace, account)
            .await
            .unwrap()
    };
    let (worker, stranger) = (client("worker").await, client("stranger").await);
    let made = world.create(&worker, &claim("claim", a_slot())).await;
    let user = format!("system:serviceaccount:{}:worker", world.namespace);
    assert_eq!(made.unwrap().data["spec"]["user"], user);
    for reading in [
        "slotclaims/claim",
        "slotclaims",
        "slotclaims?watch=true&timeoutSeconds=1",
        "concurrencylimits",
        "locks",
    ] {
        let base = format!("/apis/sluice.dev/v1alpha1/namespaces/{}", world.namespace);
        // A server that has just been given our kinds is not ready to list them at once.
        eventually(&format!("{reading} to be read"), async || {
            let request = http::Request::get(format!("{base}/{reading}"));
            let request = request.body(Vec::new()).unwrap();
            let answer = worker.request_text(request).await;
            answer.map_err(|error| error.to_string())
        })
        .await;
    }
    for edit in [renewal(1), release()] {
        refusal(
            "claim-guard",
            world.edit_claim(&stranger, "claim", &edit).await,
        )
        .unwrap();
    }
    refusal("claim-guard", world.delete_claim(&stranger, "claim").await).unwrap();
    world
        .edit_claim(&worker, "claim", &renewal(1))
        .await
        .unwrap();
    world
        .edit_claim(&worker, "claim", &release())
        .await
        .unwrap();
    let grant = phase("Granted");
    let forbidden = world.edit_claim_status(&worker, "claim", &grant).await;
    assert!(forbidden.unwrap_err().contains("is forbidden"));
    let limit = json!({"apiVersion": "sluice.dev/v1alpha1", "kind": "ConcurrencyLimit",
        "metadata": {"name": "gpu"}, "spec": {"slots": 9}});
    let refused = create_dry(&worker, &world.namespace, &limit).await;
    assert!(refused.unwrap_err().contains("is forbidden"));
    world.delete_claim(&worker, "claim").await.unwrap();
}

#[tokio::test]
async fn whoever_tidies_up_gets_past() {
    let world = world("tidy").await;
    let admin = world.plane.client();
    let owner = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "owner"}});
    let owner = create(&admin, &world.namespace, &owner).await.unwrap();
    let mut owned = claim("owned", a_slot());
    owned["metadata"]["ownerReferences"] = json!([{"apiVersion": "v1", "kind": "ConfigMap",
        "name": "owner", "uid": owner.uid().unwrap(), "blockOwnerDeletion": false}]);
    world.create(&world.dev(), &owned).await.unwrap();
    world.claims("left").await;
    let left = async || -> Result<Vec<String>, String> {
        let request = http::Request::get(path(&world.namespace, "").trim_end_matches('/'));
        let list: Value = world
            .plane
            .client()
            .request(request.body(Vec::new()).unwrap())
            .await
            .map_err(|error| error.to_string())?;
        let names = list["items"].as_array().unwrap().iter();
        Ok(names
            .map(|it| it["metadata"]["name"].as_str().unwrap().to_owned())
            .collect())
    };
    let maps: Api<ConfigMap> = Api::namespaced(admin.clone(), &world.namespace);
    maps.delete("owner", &DeleteParams::background())
        .await
        .unwrap();
    eventually("the garbage collector", async || match left().await? {
        names if names == ["left"] => Ok(()),
        names => Err(format!("{names:?}")),
    })
    .await;
    let namespaces: Api<Namespace> = Api::all(admin);
    namespaces
        .delete(&world.namespace, &DeleteParams::default())
        .await
        .unwrap();
    eventually("the end of the namespace", async || {
        let found = namespaces.get_opt(&world.namespace).await;
        match found.map_err(|error| error.to_string())? {
            None => Ok(()),
            Some(left) => Err(format!("{:?}", left.status)),
        }
    })
    .await;
}

impl World {
    /// Binds the role of claimers to a ServiceAccount of this namespace, and waits until that holds.
    pub(super) async fn may_claim(&self, account: &str) {
        let binding = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
            "metadata": {"name": format!("{account}-claims")},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole",
                "name": format!("{RELEASE}-claimer")},
            "subjects": [{"kind": "ServiceAccount", "name": account, "namespace": self.namespace}]});
        let admin = self.plane.client();
        create(&admin, &self.namespace, &binding).await.unwrap();
        let client = self
            .plane
            .client_for_service_account(&self.namespace, account)
            .await
            .unwrap();
        eventually("the role to reach", async || {
            create_dry(&client, &self.namespace, &claim("reach", a_slot()))
                .await
                .map(|_| ())
        })
        .await;
    }
}
