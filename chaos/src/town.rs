//! The place where all of it happens: a namespace with limits, locks, a family, and things that are poison.
//!
//! What is poison passes the server and cannot be understood, from the first moment to the last: everything else must go
//! on beside it.

use std::path::Path;
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{
    ApiResource, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams,
};
use kube::{Api, Client, ResourceExt as _};
use serde_json::{Value, json};
use sluice::api::{ConcurrencyLimit, Lock, SlotClaim, names};
use tokio::time::{Instant, sleep};

use crate::error::{Error, Result};

/// Slots of every limit once all is well, so that whoever waits fits; no pod asks for more.
pub(crate) const SLOTS_MAX: i32 = 8;
/// The limit that goes and comes back.
pub(crate) const COMES_AND_GOES: &str = "come";
/// The family.
pub(crate) const FAMILY: &str = "build";
/// The limit whose slots are freed with proof only.
pub(crate) const PROOF: &str = "proof";
/// The limit that few pods ask for, so that claims have their turn soon.
pub(crate) const TOOL: &str = "tool";
/// The limit whose slots come back with time.
pub(crate) const RATED: &str = "api";
/// Limits whose spec users change.
pub(crate) const LIMITS: [&str; 7] = ["gpu", "db", "net", COMES_AND_GOES, PROOF, TOOL, RATED];
pub(crate) const LOCKS: [&str; 2] = ["door", "schema"];
/// What the name of everything begins with that is poison.
pub(crate) const POISON: &str = "poison";
/// The pod that asks for a limit nobody can understand.
const POISON_WAITER: &str = "poison-limit";
/// How long something that must succeed is tried, in seconds.
const PATIENCE_SECONDS: u64 = 60;
const POLL: Duration = Duration::from_millis(100);

/// The namespace, and the admin's ways into it.
#[derive(Clone)]
pub(crate) struct Town {
    pub(crate) client: Client,
    pub(crate) namespace: String,
}

impl Town {
    pub(crate) fn pods(&self) -> Api<Pod> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    pub(crate) fn limits(&self) -> Api<DynamicObject> {
        let resource = ApiResource::erase::<ConcurrencyLimit>(&());
        Api::namespaced_with(self.client.clone(), &self.namespace, &resource)
    }

    pub(crate) fn locks(&self) -> Api<DynamicObject> {
        let resource = ApiResource::erase::<Lock>(&());
        Api::namespaced_with(self.client.clone(), &self.namespace, &resource)
    }

    pub(crate) fn claims(&self) -> Api<DynamicObject> {
        let resource = ApiResource::erase::<SlotClaim>(&());
        Api::namespaced_with(self.client.clone(), &self.namespace, &resource)
    }

    /// Installs the checked-in CRDs and creates everything but the pods of users.
    pub(crate) async fn found(&self) -> Result<()> {
        for file in ["concurrencylimits.yaml", "locks.yaml", "slotclaims.yaml"] {
            self.install(file).await?;
        }
        let served = "the server to serve our kinds";
        let one = ListParams::default().limit(1);
        insist(served, async || self.limits().list(&one).await.map(drop)).await?;
        insist(served, async || self.locks().list(&one).await.map(drop)).await?;
        insist(served, async || self.claims().list(&one).await.map(drop)).await?;
        for (name, spec) in limits() {
            self.create_limit(name, spec).await?;
        }
        for name in LOCKS {
            let lock = DynamicObject::new(name, &ApiResource::erase::<Lock>(&()))
                .data(json!({"spec": {"settleSeconds": 1}}));
            let created = self.locks().create(&PostParams::default(), &lock).await;
            created.map_err(Error::request(format!("create lock {name}")))?;
        }
        Ok(())
    }

    async fn install(&self, file: &str) -> Result<()> {
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../crds")
            .join(file);
        let text = std::fs::read_to_string(&path)
            .map_err(Error::io(format!("read {}", path.display())))?;
        let crd: CustomResourceDefinition = serde_yaml::from_str(&text)
            .map_err(|error| Error::Manifest(format!("{}: {error}", path.display())))?;
        let crds: Api<CustomResourceDefinition> = Api::all(self.client.clone());
        let manager = PatchParams::apply("sluice-chaos").force();
        let installed = crds
            .patch(&crd.name_any(), &manager, &Patch::Apply(&crd))
            .await;
        installed
            .map(drop)
            .map_err(Error::request(format!("install {file}")))
    }

    pub(crate) async fn create_limit(&self, name: &str, spec: Value) -> Result<()> {
        let limit = DynamicObject::new(name, &ApiResource::erase::<ConcurrencyLimit>(&()))
            .data(json!({"spec": spec}));
        let created = self.limits().create(&PostParams::default(), &limit).await;
        created
            .map(drop)
            .map_err(Error::request(format!("create limit {name}")))
    }

    /// Waits until a controller has fenced the poisonous limit, and makes its status one that no controller knows.
    /// Gives the revision of that write.
    pub(crate) async fn poison_limit(&self) -> Result<i64> {
        let deadline = Instant::now() + Duration::from_secs(PATIENCE_SECONDS);
        loop {
            let limit = self.limits().get(POISON).await;
            if limit.is_ok_and(|it| it.data["status"]["fenced"] == json!(true)) {
                break;
            }
            if Instant::now() > deadline {
                let what = "a controller to fence the limit that is to be poison".to_owned();
                return Err(Error::Deadline {
                    what,
                    seconds: PATIENCE_SECONDS,
                });
            }
            sleep(POLL).await;
        }
        let nonsense = json!({"metadata": {"annotations": {(names::RELEASE): "☃,, nobody"}}, "status": {"schema": 99}});
        let patched = self
            .limits()
            .patch_status(POISON, &PatchParams::default(), &Patch::Merge(&nonsense))
            .await
            .map_err(Error::request("write nonsense into a status"))?;
        let version = patched.resource_version().unwrap_or_default();
        let revision = version.parse();
        revision.map_err(|_| Error::Manifest(format!("resourceVersion {version:?}")))
    }

    /// Creates the pods that are poison; the one that asks for the limit comes after that has become so.
    pub(crate) async fn poison_pods(&self) -> Result<()> {
        for (name, annotations) in poison() {
            let pod = pod(name, &annotations, &json!({}))?;
            let created = self.pods().create(&PostParams::default(), &pod).await;
            created.map_err(Error::request(format!("create pod {name}")))?;
        }
        Ok(())
    }

    /// Takes back whatever is in somebody's way: every limit is there, active and large, and programs that are no more
    /// have given up waiting. What they held is left to run out.
    pub(crate) async fn calm(&self) -> Result<()> {
        self.let_waiting_claims_go().await?;
        for name in LIMITS {
            let mut spec = spec_of(name);
            spec["slots"] = SLOTS_MAX.into();
            spec["mode"] = "Active".into();
            let spec = json!({"spec": spec});
            insist(&format!("limit {name} to be calm"), async || {
                let patch = Patch::Merge(&spec);
                match self
                    .limits()
                    .patch(name, &PatchParams::default(), &patch)
                    .await
                {
                    Err(kube::Error::Api(status)) if status.code == 404 => {
                        let resource = ApiResource::erase::<ConcurrencyLimit>(&());
                        let limit = DynamicObject::new(name, &resource).data(spec.clone());
                        self.limits()
                            .create(&PostParams::default(), &limit)
                            .await
                            .map(drop)
                    }
                    result => result.map(drop),
                }
            })
            .await?;
        }
        Ok(())
    }

    async fn let_waiting_claims_go(&self) -> Result<()> {
        insist("waiting claims to give up", async || {
            let release = json!({"spec": {"release": true}});
            for claim in self.claims().list(&ListParams::default()).await? {
                if claim.data["status"]["phase"] != json!("Pending") {
                    continue;
                }
                let (name, patch) = (claim.name_any(), Patch::Merge(&release));
                let parameters = PatchParams::default();
                match self.claims().patch(&name, &parameters, &patch).await {
                    // It is gone, or has ended meanwhile.
                    Err(kube::Error::Api(status)) if matches!(status.code, 404 | 422) => {}
                    result => drop(result?),
                }
            }
            Ok(())
        })
        .await
    }

    /// Gives an operator's word for holders of the limit that wants proof, whose pods are gone and of whose end nobody can
    /// bring proof any more (docs/failures.md); gives how many there were.
    pub(crate) async fn vouch_for_the_gone(&self) -> kube::Result<usize> {
        let limit = self.limits().get(PROOF).await?;
        let mut gone = Vec::new();
        for list in ["leases", "adopted"] {
            for lease in limit.data["status"][list].as_array().into_iter().flatten() {
                let (Some(name), Some(uid)) = (lease["name"].as_str(), lease["uid"].as_str())
                else {
                    continue;
                };
                if lease["kind"] == "Claim" {
                    continue;
                }
                let found = self.pods().get_opt(name).await?;
                if found.is_none_or(|pod| pod.metadata.uid.as_deref() != Some(uid)) {
                    gone.push(uid.to_owned());
                }
            }
        }
        if !gone.is_empty() {
            let word = json!({"metadata": {"annotations": {(names::RELEASE): gone.join(",")}}});
            let patch = Patch::Merge(&word);
            self.limits()
                .patch(PROOF, &PatchParams::default(), &patch)
                .await?;
        }
        Ok(gone.len())
    }

    /// Deletes the pod that asks for what nobody understands: it alone may wait for ever.
    pub(crate) async fn excuse_the_hopeless(&self) -> Result<()> {
        insist(
            "the end of the pod with a hopeless wish",
            async || match self
                .pods()
                .delete(POISON_WAITER, &DeleteParams::default())
                .await
            {
                Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
                result => result.map(drop),
            },
        )
        .await
    }
}

/// Tries something until it succeeds.
pub(crate) async fn insist(what: &str, attempt: impl AsyncFn() -> kube::Result<()>) -> Result<()> {
    let deadline = Instant::now() + Duration::from_secs(PATIENCE_SECONDS);
    loop {
        match tokio::time::timeout_at(deadline, attempt()).await {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(_)) if Instant::now() < deadline => sleep(POLL).await,
            Ok(Err(error)) => return Err(Error::request(format!("bring about {what}"))(error)),
            Err(_) => {
                let what = what.to_owned();
                return Err(Error::Deadline {
                    what,
                    seconds: PATIENCE_SECONDS,
                });
            }
        }
    }
}

fn limits() -> impl Iterator<Item = (&'static str, Value)> {
    let all = LIMITS.into_iter().chain([FAMILY, POISON]);
    all.map(|name| (name, spec_of(name)))
}

/// The spec with which a limit begins.
pub(crate) fn spec_of(name: &str) -> Value {
    match name {
        "gpu" => json!({"slots": 4, "settleSeconds": 1}),
        "db" => json!({"slots": 5, "settleSeconds": 1, "order": "Strict"}),
        PROOF => json!({"slots": 3, "releasePolicy": "Confirmed"}),
        RATED => json!({"slots": 6, "settleSeconds": 1, "decay": {"slots": 6, "perSeconds": 1}}),
        // As many as the longest wish may name of it.
        FAMILY => {
            json!({"slots": 3, "settleSeconds": 1, "perWorker": {"idleSeconds": 3, "maxWorkers": 8}})
        }
        _ => json!({"slots": 6, "settleSeconds": 1}),
    }
}

fn poison() -> [(&'static str, Value); 4] {
    [
        ("poison-text", json!({(names::SLOTS): "gpu=,,☃"})),
        (
            "poison-attempt",
            json!({(names::SLOTS): "gpu", (names::ATTEMPT): "many"}),
        ),
        ("poison-long", json!({(names::SLOTS): "gpu,".repeat(4_000)})),
        (POISON_WAITER, json!({(names::SLOTS): POISON})),
    ]
}

/// A pod that waits with our gate, as a user without our admission policies would write it.
pub(crate) fn pod(name: &str, annotations: &Value, labels: &Value) -> Result<Pod> {
    let mut manifest = json!({
        "metadata": {"name": name, "labels": {(names::MANAGED): names::MANAGED_VALUE}, "annotations": annotations},
        "spec": {
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": 1,
            "schedulingGates": [{"name": names::GATE}],
            "containers": [{"name": "main", "image": "none"}],
        },
    });
    for (name, value) in labels.as_object().into_iter().flatten() {
        manifest["metadata"]["labels"][name] = value.clone();
    }
    serde_json::from_value(manifest)
        .map_err(|error| Error::Manifest(format!("pod {name}: {error}")))
}
