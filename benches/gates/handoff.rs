//! Part (c): a holder ends; how long until the next gate is open?
//!
//! The least it takes is one write of the limit's status, one patch of the next pod, and one delivery by a watch (of the
//! end, to the controller). Each is measured bare, in turn with the handoffs. The handoff itself is measured at the
//! benchmark's watch, so that it has one delivery more than the sum it is compared with.

use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

use super::Result;
use super::controller::Controller;
use super::floor::BareLoop;
use super::observer::{Observer, Opened};
use super::report::{Goal, Report, median, percentile, rate};
use super::stage::{BenchPod, LIMIT, Stage};

const PODS: usize = 300;
const SLOTS: usize = 10;
/// What Kueue reached on the same control plane: pods a second and gaps in seconds, in its best setting for each.
const KUEUE_TEN: (f64, f64) = (17.0, 0.5);
const KUEUE_ONE: (f64, f64) = (12.0, 0.067);
/// By how much that is to be beaten.
const TIMES: f64 = 5.0;

pub(super) async fn run(stage: &Stage, report: &mut Report) -> Result<()> {
    one_at_a_time(stage, report).await?;
    for (slots, kueue) in [(SLOTS, KUEUE_TEN), (1, KUEUE_ONE)] {
        let (rate, gap) = all_the_time(stage, slots).await?;
        let what = format!("(c) {slots} slots, each holder ends at once");
        report.add(&what, rate, "/s", Goal::AtLeast(TIMES * kueue.0));
        let goal = kueue.1 * 1_000.0 / TIMES;
        report.add(format!("{what}: gap p50"), gap, "ms", Goal::AtMost(goal));
    }
    Ok(())
}

/// One holder ends, the next begins, then the next one ends.
async fn one_at_a_time(stage: &Stage, report: &mut Report) -> Result<()> {
    let mut queue = Queue::fill(stage, SLOTS).await?;
    let mut bare = Bare::set(stage, &queue).await?;
    let (mut gaps, mut puts, mut patches, mut deliveries) = (vec![], vec![], vec![], vec![]);
    while queue.seen < PODS {
        puts.push(bare.put_status().await?);
        let (patch, delivery) = bare.open_a_gate().await?;
        patches.push(patch);
        deliveries.push(delivery);
        gaps.push(milliseconds(queue.hand_off(stage).await?));
    }
    let sum = [puts, patches, deliveries].map(median);
    for (what, value) in ["status PUT", "gate patch", "watch delivery"]
        .into_iter()
        .zip(sum)
    {
        let what = format!("(c) bare {what}, p50");
        report.add(what, value, "ms", Goal::None);
    }
    let gap = median(gaps.iter().copied());
    report.add("(c) handoff p50", gap, "ms", Goal::None);
    report.add("(c) handoff p99", percentile(gaps, 0.99), "ms", Goal::None);
    let sum: f64 = sum.iter().sum();
    report.add(
        "(c) handoff p50 / sum of the bare requests",
        gap / sum,
        "",
        Goal::AtMost(1.5),
    );
    queue.clear(stage).await
}

/// Every holder ends as soon as its gate is seen open. Gives pods a second, and the median gap between the
/// acknowledged end of a holder and the next gate open, in milliseconds.
async fn all_the_time(stage: &Stage, slots: usize) -> Result<(f64, f64)> {
    let mut queue = Queue::fill(stage, slots).await?;
    let start = Instant::now();
    let mut gaps = Vec::new();
    let mut ends: std::collections::VecDeque<Instant> = Default::default();
    let (ended, mut acknowledged) = tokio::sync::mpsc::unbounded_channel();
    let mut ending = tokio::task::JoinSet::new();
    let mut holders = std::mem::take(&mut queue.holders);
    while queue.seen < PODS {
        for pod in holders.drain(..) {
            let (pods, ended) = (stage.pods(&queue.namespace), ended.clone());
            ending.spawn(async move {
                let _ = ended.send(end(&pods, &pod).await.map(|()| Instant::now()));
            });
        }
        tokio::select! {
            biased;
            Some(end) = acknowledged.recv() => ends.push_back(end?),
            opened = queue.observer.next() => {
                let Opened { pod, at } = opened?;
                queue.seen += 1;
                // The end that has waited longest made room for this one.
                if let Some(end) = ends.pop_front() {
                    gaps.push(milliseconds(at.saturating_duration_since(end)));
                }
                holders.push(pod);
            }
        }
    }
    let rate = rate(PODS - slots, start.elapsed());
    while ending.join_next().await.is_some() {}
    queue.clear(stage).await?;
    Ok((rate, median(gaps)))
}

/// A limit all of whose slots are held, and pods that wait for them.
struct Queue {
    namespace: String,
    observer: Observer,
    holders: Vec<String>,
    pods: Vec<BenchPod>,
    /// Gates seen open so far.
    seen: usize,
    controller: Controller,
}

impl Queue {
    async fn fill(stage: &Stage, slots: usize) -> Result<Self> {
        let namespace = stage.plane.namespace("handoff").await?;
        let controller = Controller::start(stage, &namespace, false).await?;
        stage
            .create_limit(&namespace, i32::try_from(slots)?)
            .await?;
        let mut observer = Observer::start(stage, &namespace).await?;
        let pods = stage.create_pods(&namespace, PODS).await?;
        let opened = observer.next_many(slots).await?;
        controller.waits_for(PODS - slots).await?;
        Ok(Self {
            namespace,
            observer,
            holders: opened.into_iter().map(|it| it.pod).collect(),
            pods,
            seen: slots,
            controller,
        })
    }

    /// Ends one holder; how long it takes from the acknowledgement until the next gate is seen open.
    async fn hand_off(&mut self, stage: &Stage) -> Result<Duration> {
        let oldest = self.holders.remove(0);
        end(&stage.pods(&self.namespace), &oldest).await?;
        let end = Instant::now();
        let next = self.observer.next().await?;
        self.seen += 1;
        self.holders.push(next.pod);
        Ok(next.at.saturating_duration_since(end))
    }

    async fn clear(self, stage: &Stage) -> Result<()> {
        self.controller.kill().await?;
        let names = self.pods.into_iter().map(|pod| pod.name);
        stage.delete_pods(&self.namespace, names).await
    }
}

/// The requests of a handoff without a controller.
struct Bare {
    gates: BareLoop,
    observer: Observer,
    pods: Vec<BenchPod>,
    client: kube::Client,
    path: String,
    limit: Value,
    writes: u64,
}

impl Bare {
    /// A limit with a status as large as the real one, and pods to open.
    async fn set(stage: &Stage, queue: &Queue) -> Result<Self> {
        let namespace = stage.plane.namespace("bare").await?;
        let real = stage.limits(&queue.namespace).get(LIMIT).await?;
        let spec = real.spec.clone();
        let limit = sluice::api::ConcurrencyLimit::new(LIMIT, spec);
        let created = stage
            .limits(&namespace)
            .create(&Default::default(), &limit)
            .await?;
        let mut limit = serde_json::to_value(created)?;
        limit["status"] = serde_json::to_value(real.status)?;
        limit["status"]["previousBatch"] = json!("");
        let mut bare = Self {
            gates: BareLoop::warm(stage, &namespace, 1).await?,
            observer: Observer::start(stage, &namespace).await?,
            pods: stage.create_pods(&namespace, PODS).await?,
            client: stage.plane.client(),
            path: format!(
                "/apis/sluice.dev/v1alpha1/namespaces/{namespace}/concurrencylimits/{LIMIT}/status"
            ),
            limit,
            writes: 0,
        };
        bare.put_status().await?;
        Ok(bare)
    }

    /// One status PUT; how long it takes, in milliseconds.
    async fn put_status(&mut self) -> Result<f64> {
        self.writes += 1;
        let status = &mut self.limit["status"];
        if self.writes > 1 {
            status["previousBatch"] = status["batch"].take();
        }
        status["batch"] = json!(format!("0123456789ab-{}", self.writes));
        let body = serde_json::to_vec(&self.limit)?;
        let request = http::Request::put(&self.path)
            .header("content-type", "application/json")
            .body(body)?;
        let start = Instant::now();
        let answer = self.client.request_text(request).await?;
        let time = milliseconds(start.elapsed());
        self.limit = serde_json::from_str(&answer)?;
        Ok(time)
    }

    /// One gate patch, and from its acknowledgement to its delivery by a watch, in milliseconds.
    async fn open_a_gate(&mut self) -> Result<(f64, f64)> {
        let pod = self.pods.pop().ok_or("no more pods to open")?;
        let start = Instant::now();
        self.gates.open(&pod).await?;
        let acknowledged = Instant::now();
        let seen = self.observer.next().await?.at;
        let delivery = seen.saturating_duration_since(acknowledged);
        Ok((milliseconds(acknowledged - start), milliseconds(delivery)))
    }
}

/// Ends a pod as a kubelet would report it.
async fn end(pods: &Api<Pod>, name: &str) -> Result<()> {
    let status = json!({"status": {
        "phase": "Succeeded",
        "containerStatuses": [{
            "name": "main", "image": "none", "imageID": "", "ready": false, "restartCount": 0,
            "state": {"terminated": {"exitCode": 0, "reason": "Completed"}},
        }],
    }});
    pods.patch_status(name, &PatchParams::default(), &Patch::Strategic(status))
        .await?;
    Ok(())
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1_000.0
}
