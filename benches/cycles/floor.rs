//! The floor: the requests of a cycle, with no logic. One limit, whose status is written whole with as many leases as
//! there are clients; the writers of one limit take turns, as any compare-and-swap has to.

use std::sync::Arc;
use std::time::{Duration, Instant};

use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use serde_json::{Value, json};
use sluice::api::{ClaimSlots, ConcurrencyLimit, ConcurrencyLimitSpec, SlotClaim, SlotClaimSpec};
use tokio::sync::Mutex;
use tokio::task::JoinSet;

use super::Result;
use super::stage::Stage;

/// Limit of the floor, which no controller serves.
const LIMIT: &str = "floor";

/// A limit of its own in a namespace that no controller serves.
pub(super) struct Floor {
    claims: Api<SlotClaim>,
    limits: Api<ConcurrencyLimit>,
    /// The limit as it was last written; whoever holds it writes.
    limit: Arc<Mutex<ConcurrencyLimit>>,
}

impl Floor {
    pub(super) async fn set(stage: &Stage, leases: usize) -> Result<Self> {
        let namespace = stage.plane.namespace("floor").await?;
        let limits = stage.limits(&namespace);
        let spec = ConcurrencyLimitSpec::with_slots(i32::try_from(leases)?);
        let created = limits
            .create(&PostParams::default(), &ConcurrencyLimit::new(LIMIT, spec))
            .await?;
        let mut object = serde_json::to_value(created)?;
        object["status"] = status(leases);
        let written = limits
            .replace_status(
                LIMIT,
                &PostParams::default(),
                &serde_json::from_value(object)?,
            )
            .await?;
        Ok(Self {
            claims: Api::namespaced(stage.client.clone(), &namespace),
            limits,
            limit: Arc::new(Mutex::new(written)),
        })
    }

    /// Runs so many clients for so long; cycles made.
    pub(super) async fn run(&self, clients: usize, time: Duration) -> Result<usize> {
        let end = Instant::now() + time;
        let mut tasks = JoinSet::new();
        for client in 0..clients {
            let (claims, limits) = (self.claims.clone(), self.limits.clone());
            let limit = Arc::clone(&self.limit);
            tasks.spawn(async move {
                let mut cycles = 0;
                while Instant::now() < end {
                    let name = format!("floor-{client}-{cycles}-{:08x}", fastrand::u32(..));
                    cycle(&claims, &limits, &limit, &name).await?;
                    cycles += 1;
                }
                Ok::<usize, super::Error>(cycles)
            });
        }
        let mut all = 0;
        while let Some(done) = tasks.join_next().await {
            all += done??;
        }
        Ok(all)
    }
}

async fn cycle(
    claims: &Api<SlotClaim>,
    limits: &Api<ConcurrencyLimit>,
    limit: &Mutex<ConcurrencyLimit>,
    name: &str,
) -> Result<()> {
    let patch = PatchParams::default();
    let spec = SlotClaimSpec {
        slots: vec![ClaimSlots {
            limit: LIMIT.to_owned(),
            slots: 1,
            worker: None,
        }],
        session: "floor".to_owned(),
        ..SlotClaimSpec::default()
    };
    claims
        .create(&PostParams::default(), &SlotClaim::new(name, spec))
        .await?;
    {
        let mut last = limit.lock().await;
        *last = limits
            .replace_status(LIMIT, &PostParams::default(), &last)
            .await?;
    }
    let granted = json!({"status": {"phase": "Granted", "attempt": 0}});
    claims
        .patch_status(name, &patch, &Patch::Merge(granted))
        .await?;
    let release = json!({"spec": {"release": true}});
    claims.patch(name, &patch, &Patch::Merge(release)).await?;
    claims.delete(name, &DeleteParams::default()).await?;
    Ok(())
}

/// A status of a real limit's size.
fn status(leases: usize) -> Value {
    let lease = |number: usize| {
        json!({
            "uid": format!("8d3f4f0a-{number:08}-4c1e-9a53-0242ac120002"), "kind": "Claim",
            "name": format!("claim-{number:08}"), "slots": 1, "token": 1_795_219_200_000_000_u64 + number as u64,
            "attempt": 0, "grantedAt": "2026-11-25T10:00:00Z", "lingerSeconds": 63,
        })
    };
    let leases: Vec<Value> = (0..leases).map(lease).collect();
    json!({
        "schema": 1, "lastToken": 1_895_219_200_000_000_u64, "inUse": leases.len(), "fenced": true, "leases": leases,
    })
}
