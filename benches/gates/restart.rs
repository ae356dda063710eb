//! Part (d): the controller is killed while many pods wait, and started again; and how much memory it takes.

use std::time::Instant;

use super::Result;
use super::controller::Controller;
use super::observer::Observer;
use super::report::{Goal, Report, median};
use super::stage::Stage;

/// Waiting pods, and the most memory in MiB that the controller may take with them.
const FEW: (usize, f64) = (1_000, 60.0);
const MANY: (usize, f64) = (10_000, 200.0);
const RESTARTS: usize = 5;
const FIRST_GRANT_SECONDS: f64 = 5.0;

pub(super) async fn run(stage: &Stage, report: &mut Report) -> Result<()> {
    for (pods, memory) in [FEW, MANY] {
        restart(stage, report, pods, memory).await?;
    }
    Ok(())
}

async fn restart(stage: &Stage, report: &mut Report, pods: usize, memory: f64) -> Result<()> {
    let namespace = stage.plane.namespace("restart").await?;
    let mut controller = Controller::start(stage, &namespace, true).await?;
    stage.create_limit(&namespace, 0).await?;
    let created = stage.create_pods(&namespace, pods).await?;
    controller.waits_for(pods).await?;
    let (_, grown) = controller.memory()?;
    let mut first_grants = Vec::new();
    let mut most = grown;
    for restart in 1..=RESTARTS {
        controller.kill().await?;
        // One more slot while nobody is there to give it out.
        stage.resize(&namespace, i32::try_from(restart)?).await?;
        let mut observer = Observer::start(stage, &namespace).await?;
        let start = Instant::now();
        controller = Controller::spawn(stage, &namespace, true)?;
        let first = observer.next().await?.at;
        first_grants.push((first - start).as_secs_f64());
        controller.waits_for(pods - restart).await?;
        most = most.max(controller.memory()?.1);
    }
    let what = format!("(d) {pods} waiting");
    let first_grant = median(first_grants);
    let goal = Goal::AtMost(FIRST_GRANT_SECONDS);
    report.add(
        format!("{what}: start to first grant, p50"),
        first_grant,
        "s",
        goal,
    );
    let (now, _) = controller.memory()?;
    report.add(format!("{what}: memory at rest"), now, "MiB", Goal::None);
    report.add(
        format!("{what}: memory at most"),
        most,
        "MiB",
        Goal::AtMost(memory),
    );
    controller.kill().await?;
    stage
        .delete_pods(&namespace, created.into_iter().map(|pod| pod.name))
        .await
}
