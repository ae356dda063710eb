//! Part (g): two controllers take turns; the leader is killed, or told to stop, while many pods wait and hold.
//!
//! Measured from the signal to the first gate that the next leader opens. The slot that it gives out comes after the
//! leader is gone, so that nobody else can. Whatever a new leader looks at before it grants is in that time.

use std::time::{Duration, Instant};

use super::Result;
use super::controller::Controller;
use super::observer::Observer;
use super::report::{Goal, Report, median};
use super::stage::Stage;

const WAITING: usize = 10_000;
/// Pods that hold: a status has room for 1,000 leases, and each takeover adds one.
const HOLDING: usize = 990;
/// Takeovers by each signal.
const ROUNDS: usize = 3;
/// The default duration of a lease, and what a takeover may take beyond it.
const LEASE_SECONDS: f64 = 15.0;
const BEYOND_SECONDS: f64 = 3.0;
/// Live reads of pods that a takeover may cost: one for each holder in doubt, and here nobody is.
const READS_MAX: f64 = 10.0;

pub(super) async fn run(stage: &Stage, report: &mut Report) -> Result<()> {
    let namespace = stage.plane.namespace("takeover").await?;
    let mut leader = Controller::stand(stage, &namespace)?;
    leader.leads().await?;
    let mut slots = HOLDING;
    stage
        .create_limit(&namespace, i32::try_from(slots)?)
        .await?;
    let created = stage.create_pods(&namespace, WAITING + HOLDING).await?;
    leader.waits_for(WAITING).await?;
    let mut follower = Controller::stand(stage, &namespace)?;
    follower.ready().await?;
    for (signal, goal) in [
        ("SIGKILL", LEASE_SECONDS + BEYOND_SECONDS),
        ("SIGTERM", BEYOND_SECONDS),
    ] {
        let mut took = Vec::new();
        let mut reads = Vec::new();
        for _ in 0..ROUNDS {
            let before = pod_reads(stage).await?;
            let mut observer = Observer::start(stage, &namespace).await?;
            let start = Instant::now();
            match signal {
                "SIGKILL" => leader.kill().await?,
                _ => leader.stop().await?,
            }
            slots += 1;
            stage.resize(&namespace, i32::try_from(slots)?).await?;
            took.push((observer.next().await?.at - start).as_secs_f64());
            leader = follower;
            leader.leads().await?;
            follower = Controller::stand(stage, &namespace)?;
            follower.ready().await?;
            // Its renewals are to be under way, as on any day.
            tokio::time::sleep(Duration::from_secs(3)).await;
            reads.push((pod_reads(stage).await? - before) as f64);
        }
        let what = format!("(g) {WAITING} waiting, {HOLDING} holding: {signal} to first grant");
        let most = took.iter().copied().fold(0.0, f64::max);
        report.add(format!("{what}, p50"), median(took), "s", Goal::None);
        report.add(format!("{what}, max"), most, "s", Goal::AtMost(goal));
        let most = reads.iter().copied().fold(0.0, f64::max);
        let what = format!("(g) {signal}: live reads of pods by the next leader, max");
        report.add(what, most, "", Goal::AtMost(READS_MAX));
    }
    follower.kill().await?;
    leader.kill().await?;
    stage
        .delete_pods(&namespace, created.into_iter().map(|pod| pod.name))
        .await
}

/// Reads of single pods that the API server has answered; nobody but the controllers makes any.
async fn pod_reads(stage: &Stage) -> Result<u64> {
    let requests = stage.plane.api_requests().await?;
    let counts = requests
        .iter()
        .filter(|(kind, _)| kind.verb == "GET" && kind.resource == "pods");
    Ok(counts.map(|(_, count)| count).sum())
}
