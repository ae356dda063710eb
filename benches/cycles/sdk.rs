//! Part (a): acquire and release by the SDK, against the floor.

use std::time::{Duration, Instant};

use sluice::client::Client;
use tokio::task::JoinSet;

use super::Result;
use super::controller::Controller;
use super::floor::Floor;
use super::report::{Goal, Report, median, rate};
use super::stage::{LIMIT, Stage};

/// Clients at once, and the least ratio that is asked of us.
const CLIENTS: [(usize, f64); 4] = [(1, 0.65), (4, 0.6), (16, 0.6), (64, 0.6)];
/// Interleaved runs of each.
const RUNS: usize = 5;
/// How long a run takes.
const RUN: Duration = Duration::from_secs(4);

pub(super) async fn run(stage: &Stage, report: &mut Report) -> Result<()> {
    for (clients, goal) in CLIENTS {
        let namespace = stage.plane.namespace("cycles").await?;
        let controller = Controller::start(stage, &namespace, false).await?;
        stage
            .create_limit(&namespace, i32::try_from(clients)?)
            .await?;
        let floor = Floor::set(stage, clients).await?;
        let (mut ours, mut bare) = (Vec::new(), Vec::new());
        // The first run of each warms caches and connections, and is not counted.
        let sdk = connect(stage, &namespace).await?;
        cycles(&sdk, clients, Duration::from_secs(1)).await?;
        floor.run(clients, Duration::from_secs(1)).await?;
        for _ in 0..RUNS {
            ours.push(rate(cycles(&sdk, clients, RUN).await?, RUN));
            bare.push(rate(floor.run(clients, RUN).await?, RUN));
        }
        let (ours, bare) = (median(ours), median(bare));
        let what = format!("(a) {clients} clients");
        report.add(format!("{what}: cycles"), ours, "/s", Goal::None);
        report.add(format!("{what}: floor"), bare, "/s", Goal::None);
        let ratio = ours / bare;
        report.add(format!("{what}: ratio"), ratio, "", Goal::AtLeast(goal));
        sdk.close(Duration::from_secs(10)).await;
        controller.kill().await?;
    }
    Ok(())
}

/// A process of its own would have one client; so have we.
pub(super) async fn connect(stage: &Stage, namespace: &str) -> Result<Client> {
    let client = Client::builder()
        .kube(stage.client.clone())
        .namespace(namespace)
        .connect()
        .await?;
    Ok(client)
}

/// Runs so many tasks for so long; cycles made.
pub(super) async fn cycles(client: &Client, tasks: usize, time: Duration) -> Result<usize> {
    let end = Instant::now() + time;
    let mut running = JoinSet::new();
    for _ in 0..tasks {
        let client = client.clone();
        running.spawn(async move {
            let mut cycles = 0;
            while Instant::now() < end {
                let slots = client.concurrency([LIMIT]).acquire().await?;
                slots.release().await?;
                cycles += 1;
            }
            Ok::<usize, super::Error>(cycles)
        });
    }
    let mut all = 0;
    while let Some(done) = running.join_next().await {
        all += done??;
    }
    Ok(all)
}
