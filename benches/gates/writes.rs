//! Part (b), the other half: how many writes a grant costs, by the API server's own count.
//!
//! Counted is every write to pods, limits, locks and events from the creation of the first pod until nothing is written any
//! more, less the benchmark's own. The controller has rights to write nothing else.

use std::time::Duration;

use super::Result;
use super::controller::Controller;
use super::observer::Observer;
use super::report::{Goal, Report};
use super::stage::Stage;

const PODS: usize = 1_000;
/// Kinds that may be ours.
const RESOURCES: &[&str] = &["pods", "concurrencylimits", "locks", "events"];
/// What Kueue wrote for each pod over its life.
const KUEUE: f64 = 15.5;

pub(super) async fn run(stage: &Stage, report: &mut Report) -> Result<()> {
    for (what, events, goal) in [("without events", false, 1.1), ("with events", true, 1.3)] {
        let writes = limit_first(stage, events).await?;
        let what = format!("(b) writes for each grant, {what}");
        report.add(what, writes, "", Goal::AtMost(goal));
    }
    let late = pods_first(stage).await?;
    report.add(
        "(b) writes for each grant, limit after its pods",
        late,
        "",
        Goal::AtMost(2.1),
    );
    report.add(
        "(b) the most of these, in parts of Kueue's 15.5",
        late / KUEUE,
        "",
        Goal::AtMost(0.2),
    );
    Ok(())
}

/// The limit is there, its pods come and wait three seconds, and slots open.
async fn limit_first(stage: &Stage, events: bool) -> Result<f64> {
    let namespace = stage.plane.namespace("writes").await?;
    let controller = Controller::start(stage, &namespace, events).await?;
    stage.create_limit(&namespace, 0).await?;
    stage.quiet(RESOURCES).await?;
    let mut observer = Observer::start(stage, &namespace).await?;
    let before = stage.writes(RESOURCES).await?;
    let pods = stage.create_pods(&namespace, PODS).await?;
    controller.waits_for(PODS).await?;
    // Past the two seconds after which a waiting pod has an event.
    tokio::time::sleep(Duration::from_secs(3)).await;
    stage.resize(&namespace, i32::try_from(PODS)?).await?;
    observer.next_many(PODS).await?;
    let after = stage.quiet(RESOURCES).await?;
    let own = PODS as u64 + 1;
    controller.kill().await?;
    let names = pods.into_iter().map(|pod| pod.name);
    stage.delete_pods(&namespace, names).await?;
    Ok((after - before - own) as f64 / PODS as f64)
}

/// The pods were there before the limit: each has to be fenced off from an earlier limit of that name.
async fn pods_first(stage: &Stage) -> Result<f64> {
    let namespace = stage.plane.namespace("writes").await?;
    let controller = Controller::start(stage, &namespace, false).await?;
    let pods = stage.create_pods(&namespace, PODS).await?;
    let mut observer = Observer::start(stage, &namespace).await?;
    let before = stage.quiet(RESOURCES).await?;
    stage.create_limit(&namespace, i32::try_from(PODS)?).await?;
    observer.next_many(PODS).await?;
    let after = stage.quiet(RESOURCES).await?;
    controller.kill().await?;
    let names = pods.into_iter().map(|pod| pod.name);
    stage.delete_pods(&namespace, names).await?;
    Ok((after - before - 1) as f64 / PODS as f64)
}
