//! What `docs/runbook.md` promises of the worst days: each of its sections is a test here, with the condition, the event
//! and the metric that it names. The deleted Lease is in `election`.

mod crds;
mod limits;
mod quarantine;
mod reinstall;
mod restore;

use crate::support::World;

/// Waits until a line of a controller's metrics begins like this and shows at least one.
async fn counted(world: &World, metric: &str) {
    world
        .eventually(&format!("metric {metric} to count"), async || {
            let controllers = world.controllers();
            controllers
                .iter()
                .any(|it| value(&it.metrics(), metric) > 0)
        })
        .await;
}

/// The value of a metric whose line begins like this; 0 if there is none.
fn value(metrics: &str, metric: &str) -> u64 {
    let line = metrics.lines().find(|line| line.starts_with(metric));
    let number = line.and_then(|line| line.rsplit(' ').next()?.parse().ok());
    number.unwrap_or_default()
}
