//! Where the contract's bodies run: the modelled server, and a real control plane.

pub(crate) mod words;

use std::collections::BTreeMap;

use async_trait::async_trait;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams};
use serde_json::{Value, json};
use sluice::api::claim::{ClaimSlots, SlotClaim, SlotClaimSpec};
use sluice::api::{ConcurrencyLimit, all_crds, names};
use sluice::controller::KubeTransport;
use sluice::controller::transport::Transport;
use sluice::ledger::{
    Admits, Mode, Name, Order, PoolKey, PoolKind, PoolSpec, ReleasePolicy, Span, Uid,
};
use sluice_sim::direct::Direct;
use sluice_sim::server::{self, Rules, Server, Setup, Writer};
use sluice_sim::transport::Wire;
use sluice_testenv::ControlPlane;

/// A server with people around it.
#[async_trait]
pub(crate) trait Site: Sync {
    fn transport(&self) -> &dyn Transport;
    fn namespace(&self) -> Name;
    async fn create_limit(&self, name: &str, slots: u64);
    async fn resize_limit(&self, name: &str, slots: u64);
    async fn touch_limit(&self, name: &str);
    async fn delete_limit(&self, name: &str);
    /// A pod behind our gate, with our label, and these gates after it.
    async fn create_pod(&self, name: &str, slots: &str, gates: &[&str]);
    async fn annotate_pod(&self, name: &str, key: &str, text: &str);
    async fn unlabel_pod(&self, name: &str);
    async fn delete_pod(&self, name: &str);
    /// A claim of one slot of a limit.
    async fn create_claim(&self, name: &str, limit: &str);
}

fn claim_spec(limit: &str) -> SlotClaimSpec {
    SlotClaimSpec {
        slots: vec![ClaimSlots {
            limit: limit.to_owned(),
            slots: 1,
            worker: None,
        }],
        session: "first".to_owned(),
        ..SlotClaimSpec::default()
    }
}

/// The modelled server.
pub(crate) struct Modelled(Wire<Direct>);

impl Modelled {
    pub(crate) fn new() -> Self {
        let setup = Setup {
            rules: Rules::All,
            guards: false,
            raises: false,
        };
        Self(Wire(Direct::new(Server::new(setup))))
    }

    fn limit(name: &str) -> PoolKey {
        PoolKey::new(PoolKind::Limit, "ns".into(), name.into())
    }

    fn uid(&self, name: &str) -> Uid {
        let server = self.0.0.server();
        let found = server.pods().find(|seen| seen.pod.name.as_str() == name);
        found.unwrap().pod.uid.clone()
    }
}

#[async_trait]
impl Site for Modelled {
    fn transport(&self) -> &dyn Transport {
        &self.0
    }

    fn namespace(&self) -> Name {
        "ns".into()
    }

    async fn create_limit(&self, name: &str, slots: u64) {
        let spec = PoolSpec {
            capacity: slots,
            mode: Mode::Active,
            order: Order::Backfill {
                reserve_after: Span::seconds(60),
            },
            admits: Admits::Same,
            release: ReleasePolicy::Presumed {
                settle: Span::seconds(10),
            },
            family: None,
            decay: None,
            lease: None,
            lock_delay: Span(0),
        };
        self.0
            .0
            .server()
            .create_pool(Writer::Person, &Self::limit(name), spec, None)
            .unwrap();
    }

    async fn resize_limit(&self, name: &str, slots: u64) {
        self.0
            .0
            .server()
            .edit_spec(Writer::Person, &Self::limit(name), |spec| {
                spec.capacity = slots
            });
    }

    async fn touch_limit(&self, name: &str) {
        self.0.0.server().touch_pool(&Self::limit(name), []);
    }

    async fn delete_limit(&self, name: &str) {
        assert!(
            self.0
                .0
                .server()
                .delete_pool(Writer::Person, &Self::limit(name))
        );
    }

    async fn create_pod(&self, name: &str, slots: &str, gates: &[&str]) {
        let ours = [names::GATE].into_iter().chain(gates.iter().copied());
        let pod = server::Pod {
            created: self.0.0.server().clock(),
            annotations: BTreeMap::from([(names::SLOTS.to_owned(), slots.to_owned())]),
            gates: ours.map(str::to_owned).collect(),
            ..server::Pod::new("ns".into(), name.into())
        };
        self.0.0.server().create_pod(pod, false).unwrap();
    }

    async fn annotate_pod(&self, name: &str, key: &str, text: &str) {
        let uid = self.uid(name);
        self.0.0.server().person_writes(&uid, |pod| {
            pod.annotations.insert(key.to_owned(), text.to_owned());
        });
    }

    async fn unlabel_pod(&self, name: &str) {
        let uid = self.uid(name);
        self.0.0.server().person_writes(&uid, |pod| {
            pod.labels.remove(names::MANAGED);
        });
    }

    async fn delete_pod(&self, name: &str) {
        let uid = self.uid(name);
        self.0.0.server().delete_pod(&uid);
    }

    async fn create_claim(&self, name: &str, limit: &str) {
        let spec = claim_spec(limit);
        self.0
            .0
            .server()
            .create_claim(Writer::Person, &"ns".into(), &name.into(), &spec)
            .unwrap();
    }
}

/// A real control plane, in a namespace of its own.
pub(crate) struct Real {
    transport: KubeTransport,
    limits: Api<ConcurrencyLimit>,
    pods: Api<Pod>,
    claims: Api<SlotClaim>,
    namespace: String,
}

impl Real {
    pub(crate) async fn new(what: &str) -> Self {
        let plane = ControlPlane::shared().await;
        let crds = Api::<CustomResourceDefinition>::all(plane.client());
        for crd in all_crds() {
            match crds.create(&PostParams::default(), &crd).await {
                Ok(_) => {}
                Err(kube::Error::Api(status)) if status.code == 409 => {}
                Err(error) => panic!("{error}"),
            }
        }
        let prefix = what.replace('_', "-");
        let namespace = plane
            .namespace(&prefix[..prefix.len().min(30)])
            .await
            .unwrap();
        let (client, clock) = sluice::client::connect_with(plane.config()).unwrap();
        let limits = Api::namespaced(plane.client(), &namespace);
        let until = std::time::Instant::now() + std::time::Duration::from_secs(60);
        // A CRD is served a moment after it was created.
        let claims = Api::namespaced(plane.client(), &namespace);
        while limits.list(&Default::default()).await.is_err()
            || claims.list(&Default::default()).await.is_err()
        {
            assert!(std::time::Instant::now() < until, "the CRDs are not served");
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        Self {
            transport: KubeTransport::new(client, clock, None),
            limits,
            claims,
            pods: Api::namespaced(plane.client(), &namespace),
            namespace,
        }
    }

    async fn patch_limit(&self, name: &str, patch: Value) {
        let params = PatchParams::default();
        self.limits
            .patch(name, &params, &Patch::Merge(patch))
            .await
            .unwrap();
    }

    async fn patch_pod(&self, name: &str, patch: Value) {
        let params = PatchParams::default();
        self.pods
            .patch(name, &params, &Patch::Merge(patch))
            .await
            .unwrap();
    }
}

#[async_trait]
impl Site for Real {
    fn transport(&self) -> &dyn Transport {
        &self.transport
    }

    fn namespace(&self) -> Name {
        self.namespace.as_str().into()
    }

    async fn create_limit(&self, name: &str, slots: u64) {
        let limit = json!({"apiVersion": names::API_VERSION, "kind": "ConcurrencyLimit",
            "metadata": {"name": name}, "spec": {"slots": slots}});
        let limit = serde_json::from_value(limit).unwrap();
        self.limits
            .create(&PostParams::default(), &limit)
            .await
            .unwrap();
    }

    async fn resize_limit(&self, name: &str, slots: u64) {
        self.patch_limit(name, json!({"spec": {"slots": slots}}))
            .await;
    }

    async fn touch_limit(&self, name: &str) {
        self.patch_limit(name, json!({"metadata": {"labels": {"touched": "yes"}}}))
            .await;
    }

    async fn delete_limit(&self, name: &str) {
        self.limits
            .delete(name, &DeleteParams::default())
            .await
            .unwrap();
    }

    async fn create_pod(&self, name: &str, slots: &str, gates: &[&str]) {
        let gates = [names::GATE].into_iter().chain(gates.iter().copied());
        let gates: Vec<Value> = gates.map(|gate| json!({"name": gate})).collect();
        let pod = json!({"metadata": {"name": name,
                "labels": {(names::MANAGED): names::MANAGED_VALUE},
                "annotations": {(names::SLOTS): slots}},
            "spec": {"schedulingGates": gates, "containers": [{"name": "c", "image": "none"}]}});
        let pod = serde_json::from_value(pod).unwrap();
        self.pods
            .create(&PostParams::default(), &pod)
            .await
            .unwrap();
    }

    async fn annotate_pod(&self, name: &str, key: &str, text: &str) {
        self.patch_pod(name, json!({"metadata": {"annotations": {key: text}}}))
            .await;
    }

    async fn unlabel_pod(&self, name: &str) {
        self.patch_pod(
            name,
            json!({"metadata": {"labels": {(names::MANAGED): null}}}),
        )
        .await;
    }

    async fn delete_pod(&self, name: &str) {
        self.pods
            .delete(name, &DeleteParams::default())
            .await
            .unwrap();
    }

    async fn create_claim(&self, name: &str, limit: &str) {
        let claim = SlotClaim::new(name, claim_spec(limit));
        self.claims
            .create(&PostParams::default(), &claim)
            .await
            .unwrap();
    }
}
