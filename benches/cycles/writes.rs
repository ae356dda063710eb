//! Part (w): API writes for each cycle, by the server's own count.

use std::time::{Duration, Instant};

use super::Result;
use super::controller::Controller;
use super::report::{Goal, Report};
use super::sdk::{connect, cycles};
use super::stage::{LIMIT, Stage, eventually};

/// How long cycles are made.
const RUN: Duration = Duration::from_secs(5);
/// How long nothing must have been written: longer than the count of waiting requests may stay unwritten.
const QUIET: Duration = Duration::from_secs(6);
/// Kinds that a cycle may write.
const RESOURCES: [&str; 4] = ["slotclaims", "concurrencylimits", "locks", "events"];

pub(super) async fn run(stage: &Stage, report: &mut Report) -> Result<()> {
    for (clients, goal) in [(1, 6.0), (16, 4.4)] {
        let namespace = stage.plane.namespace("cycle-writes").await?;
        let controller = Controller::start(stage, &namespace, false).await?;
        stage
            .create_limit(&namespace, i32::try_from(clients)?)
            .await?;
        let sdk = connect(stage, &namespace).await?;
        // Connections, and the limit's first conditions.
        drop(sdk.concurrency([LIMIT]).acquire().await?.release().await);
        let before = quiet(stage).await?;
        let made = cycles(&sdk, clients, RUN).await?;
        let after = quiet(stage).await?;
        let writes = (after - before) as f64 / made as f64;
        let what = format!("(w) API writes for each cycle, {clients} clients on {clients} slots");
        report.add(what, writes, "", Goal::AtMost(goal));
        sdk.close(Duration::from_secs(10)).await;
        controller.kill().await?;
    }
    Ok(())
}

/// Waits until nothing more is written, and gives the count.
async fn quiet(stage: &Stage) -> Result<u64> {
    let mut last = writes(stage).await?;
    let mut since = Instant::now();
    eventually("the writes to end", async || {
        let now = writes(stage).await?;
        if now != last {
            (last, since) = (now, Instant::now());
        }
        Ok(since.elapsed() >= QUIET)
    })
    .await?;
    Ok(last)
}

async fn writes(stage: &Stage) -> Result<u64> {
    let requests = stage.plane.api_requests().await?;
    let counts = requests
        .iter()
        .filter(|(kind, _)| kind.is_write() && RESOURCES.contains(&kind.resource.as_str()));
    Ok(counts.map(|(_, count)| count).sum())
}
