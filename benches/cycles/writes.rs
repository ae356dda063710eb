//! Part (w): API writes for each cycle, by the server's own count.

use std::time::Duration;

use super::Result;
use super::controller::Controller;
use super::report::{Goal, Report};
use super::sdk::{connect, cycles};
use super::stage::{LIMIT, Stage};

/// How long cycles are made.
const RUN: Duration = Duration::from_secs(5);
/// Kinds that a cycle may write.
const RESOURCES: &[&str] = &["slotclaims", "concurrencylimits", "locks", "events"];

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
        let before = stage.quiet(RESOURCES).await?;
        let made = cycles(&sdk, clients, RUN).await?;
        let after = stage.quiet(RESOURCES).await?;
        let writes = (after - before) as f64 / made as f64;
        let what = format!("(w) API writes for each cycle, {clients} clients on {clients} slots");
        report.add(what, writes, "", Goal::AtMost(goal));
        sdk.close(Duration::from_secs(10)).await;
        controller.kill().await?;
    }
    Ok(())
}
