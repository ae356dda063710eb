//! Parts (a) and (b): capacity opens for 1,000 of the waiting pods, against a bare loop that opens as many gates.

use std::time::Instant;

use super::Result;
use super::controller::Controller;
use super::floor;
use super::observer::Observer;
use super::report::{Goal, Report, median, rate};
use super::stage::{BenchPod, Stage};

/// Gates that open in one run; a limit has at most so many leases.
const OPENED: usize = 1_000;
/// Pods that wait in the larger of the two queues.
const MANY: usize = 10_000;
/// Interleaved runs of each kind.
const PAIRS: usize = 5;
/// Connections of the floors. The last is what the controller has (its bound of patches under way).
const CONNECTIONS: [usize; 4] = [1, 4, 16, 64];
/// What Kueue reached of the floor on the same control plane, at best.
const KUEUE: f64 = 0.12;

/// The floors and nothing else.
pub(super) async fn floors_alone(stage: &Stage, report: &mut Report) -> Result<()> {
    let mut floors = [const { Vec::new() }; CONNECTIONS.len()];
    for _ in 0..PAIRS {
        measure_floors(stage, &mut floors).await?;
    }
    tell_floors(report, &floors);
    Ok(())
}

pub(super) async fn run(stage: &Stage, report: &mut Report) -> Result<()> {
    let few = Queue::fill(stage, OPENED).await?;
    let many = Queue::fill(stage, MANY).await?;
    let mut floors = [const { Vec::new() }; CONNECTIONS.len()];
    let (mut with_few, mut with_many, mut costs) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..PAIRS {
        measure_floors(stage, &mut floors).await?;
        let (rate, cost) = few.open(stage).await?;
        with_few.push(rate);
        costs.push(cost);
        with_many.push(many.open(stage).await?.0);
    }
    tell_floors(report, &floors);
    let ours = median(with_few);
    let ours_of_many = median(with_many);
    let equal = floors
        .last()
        .map_or(f64::NAN, |it| median(it.iter().copied()));
    report.add("(b) 1,000 of 1,000 waiting pods", ours, "/s", Goal::None);
    report.add(
        "(b) 1,000 of 10,000 waiting pods",
        ours_of_many,
        "/s",
        Goal::None,
    );
    let cost = median(costs);
    report.add(
        "(b) the controller's processor time for a grant",
        cost,
        "ms",
        Goal::None,
    );
    let ratio = ours / equal;
    report.add(
        "(b) ours / floor at equal concurrency",
        ratio,
        "",
        Goal::AtLeast(0.85),
    );
    report.add(
        "(b) that, in times of Kueue's at best",
        ratio / KUEUE,
        "",
        Goal::AtLeast(5.0),
    );
    let flat = ours_of_many / ours;
    report.add(
        "(b) with 10,000 waiting / with 1,000",
        flat,
        "",
        Goal::AtLeast(0.8),
    );
    Ok(())
}

async fn measure_floors(stage: &Stage, floors: &mut [Vec<f64>; CONNECTIONS.len()]) -> Result<()> {
    for (connections, rates) in CONNECTIONS.into_iter().zip(floors) {
        rates.push(floor::run(stage, OPENED, connections).await?);
    }
    Ok(())
}

fn tell_floors(report: &mut Report, floors: &[Vec<f64>; CONNECTIONS.len()]) {
    for (connections, rates) in CONNECTIONS.into_iter().zip(floors) {
        let what = format!("(a) floor over {connections} connections");
        report.add(what, median(rates.iter().copied()), "/s", Goal::None);
    }
}

/// A limit of no slots, the pods that wait for it, and the controller of both.
struct Queue {
    namespace: String,
    waiting: usize,
    controller: Controller,
}

impl Queue {
    async fn fill(stage: &Stage, waiting: usize) -> Result<Self> {
        let namespace = stage.plane.namespace("ours").await?;
        let controller = Controller::start(stage, &namespace, false).await?;
        stage.create_limit(&namespace, 0).await?;
        let queue = Self {
            namespace,
            waiting,
            controller,
        };
        queue.add(stage, waiting).await?;
        Ok(queue)
    }

    async fn add(&self, stage: &Stage, pods: usize) -> Result<Vec<BenchPod>> {
        let created = stage.create_pods(&self.namespace, pods).await?;
        self.controller.waits_for(self.waiting).await?;
        Ok(created)
    }

    /// Opens 1,000 slots; how many gates a second, until the last was seen open, and the controller's processor time for
    /// each in milliseconds. Puts all back as it was.
    async fn open(&self, stage: &Stage) -> Result<(f64, f64)> {
        let namespace = &self.namespace;
        let mut observer = Observer::start(stage, namespace).await?;
        let cpu = self.controller.cpu_seconds()?;
        let start = Instant::now();
        let slots = i32::try_from(OPENED)?;
        let (resized, opened) =
            tokio::join!(stage.resize(namespace, slots), observer.next_many(OPENED));
        resized?;
        let opened = opened?;
        let last = opened.last().map_or(start, |it| it.at);
        let cpu = self.controller.cpu_seconds()? - cpu;
        stage.resize(namespace, 0).await?;
        stage
            .delete_pods(namespace, opened.into_iter().map(|it| it.pod))
            .await?;
        stage
            .limit_has(namespace, "to be free", |status| status["inUse"] == 0)
            .await?;
        self.add(stage, OPENED).await?;
        Ok((rate(OPENED, last - start), cpu * 1_000.0 / OPENED as f64))
    }
}
