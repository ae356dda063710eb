//! Part (h): a holder releases; how long until the next one's `acquire` has returned, against a bare patch of a claim.

use std::time::{Duration, Instant};

use kube::Api;
use kube::api::{Patch, PatchParams, PostParams};
use serde_json::json;
use sluice::api::{ClaimSlots, SlotClaim, SlotClaimSpec};
use sluice::client::Slots;
use tokio::sync::mpsc;

use super::Result;
use super::controller::Controller;
use super::report::{Goal, Report, median};
use super::sdk::connect;
use super::stage::{LIMIT, Stage};

/// Handoffs measured at each size.
const HANDOFFS: usize = 100;
/// Who waits at any time.
const WAITERS: usize = 5;

pub(super) async fn run(stage: &Stage, report: &mut Report) -> Result<()> {
    for (slots, goal) in [(10, 5.0), (100, 7.0)] {
        let (gap, bare) = handoffs(stage, slots).await?;
        let what = format!("(h) handoff at {slots} slots");
        report.add(format!("{what}, p50"), gap, "ms", Goal::None);
        report.add(format!("{what}: a bare patch, p50"), bare, "ms", Goal::None);
        report.add(format!("{what}: ratio"), gap / bare, "", Goal::AtMost(goal));
    }
    Ok(())
}

/// Medians, in milliseconds, of a handoff and of a bare patch, taken in turn.
async fn handoffs(stage: &Stage, slots: usize) -> Result<(f64, f64)> {
    let namespace = stage.plane.namespace("claim-handoff").await?;
    let controller = Controller::start(stage, &namespace, false).await?;
    stage
        .create_limit(&namespace, i32::try_from(slots)?)
        .await?;
    let bare = Bare::set(stage, &namespace).await?;
    let sdk = connect(stage, &namespace).await?;
    let mut holders = Vec::new();
    for _ in 0..slots {
        holders.push(sdk.concurrency([LIMIT]).acquire().await?);
    }
    let (granted, mut grants) = mpsc::unbounded_channel::<Result<(Slots, Instant)>>();
    let wait = || {
        let (request, granted) = (sdk.concurrency([LIMIT]), granted.clone());
        tokio::spawn(async move {
            let acquired = request.acquire().await.map_err(super::Error::from);
            let _ = granted.send(acquired.map(|slots| (slots, Instant::now())));
        });
    };
    (0..WAITERS).for_each(|_| wait());
    stage
        .limit_has(&namespace, "to have its waiters", |status| {
            status["waiting"].as_u64() >= Some(WAITERS as u64 - 1)
        })
        .await?;
    let (mut gaps, mut patches) = (Vec::new(), Vec::new());
    for _ in 0..HANDOFFS {
        let holder = holders.pop().ok_or("there is no holder")?;
        let begun = Instant::now();
        holder.release().await?;
        let (next, at) = grants.recv().await.ok_or("nobody waits")??;
        gaps.push(milliseconds(at.saturating_duration_since(begun)));
        holders.insert(0, next);
        patches.push(bare.patch().await?);
        wait();
    }
    let waiting = WAITERS;
    drop(holders);
    for _ in 0..waiting {
        drop(grants.recv().await);
    }
    sdk.close(Duration::from_secs(20)).await;
    controller.kill().await?;
    Ok((median(gaps), median(patches)))
}

/// A claim that no controller answers to, because it is final.
struct Bare {
    claims: Api<SlotClaim>,
}

impl Bare {
    async fn set(stage: &Stage, namespace: &str) -> Result<Self> {
        let claims = Api::namespaced(stage.client.clone(), &format!("{namespace}-bare"));
        let namespaces: Api<k8s_openapi::api::core::v1::Namespace> = Api::all(stage.client.clone());
        let manifest = json!({"metadata": {"name": format!("{namespace}-bare")}});
        namespaces
            .create(&PostParams::default(), &serde_json::from_value(manifest)?)
            .await?;
        let spec = SlotClaimSpec {
            slots: vec![ClaimSlots {
                limit: LIMIT.to_owned(),
                slots: 1,
                worker: None,
            }],
            ..SlotClaimSpec::default()
        };
        claims
            .create(&PostParams::default(), &SlotClaim::new("bare", spec))
            .await?;
        Ok(Self { claims })
    }

    async fn patch(&self) -> Result<f64> {
        let begun = Instant::now();
        let text = format!("{:?}", begun);
        let patch = json!({"metadata": {"annotations": {"bench": text}}});
        self.claims
            .patch("bare", &PatchParams::default(), &Patch::Merge(patch))
            .await?;
        Ok(milliseconds(begun.elapsed()))
    }
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1_000.0
}
