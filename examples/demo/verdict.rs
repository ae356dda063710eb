//! What really happened, read from etcd after the fact: every version of every limit, lock and pod.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use k8s_openapi::api::events::v1::Event;
use kube::Api;
use kube::api::ListParams;
use sluice::api::names;
use sluice_testenv::RequestKind;
use sluice_testenv::history::{Assumptions, History, Scope, check, check_quiescent};

use super::Result;
use super::stage::Stage;

/// Says what was checked; fails when a limit was ever exceeded, or anything else that Sluice promises was broken.
///
/// `before` is what the API server had counted before the first pod.
pub(super) async fn reach(stage: &Stage, before: &BTreeMap<RequestKind, u64>) -> Result<String> {
    let requests = stage.plane.api_requests().await?;
    let events = Api::<Event>::namespaced(stage.client.clone(), &stage.namespace)
        .list(&ListParams::default())
        .await?;
    let ours = |event: &&Event| event.reporting_controller.as_deref() == Some(names::REPORTER);
    let events = events.items.iter().filter(ours).count();
    let scope = Scope::namespace(&stage.namespace);
    let history = History::record(&stage.plane.etcd_url(), scope).await?;

    let nothing = Assumptions::none();
    let mut violations = check(&history, &nothing);
    violations.extend(check_quiescent(&history, &nothing));
    if let Some(first) = violations.first() {
        let count = violations.len();
        return Err(format!("{count} violations, the first: {first}").into());
    }
    let summary = history.summary();
    let mut text = format!(
        "Checked {} versions of limits, locks and pods in etcd: no limit was ever exceeded.\n",
        history.versions().len()
    );
    for (place, pool) in &summary.pools {
        let capacity = pool.slots.max(1);
        // The checker has said so already; these are the figures themselves.
        if pool.highest_running > capacity {
            return Err(format!("{place}: {} of {capacity} running", pool.highest_running).into());
        }
        if pool.leases > 0 {
            let (name, most, grants) = (&place.name, pool.highest_running, pool.leases);
            writeln!(
                text,
                "  {name:17} at most {most} of {capacity} running, {grants} grants"
            )?;
        }
    }
    let statuses = writes_of_sluice(&requests).saturating_sub(writes_of_sluice(before));
    let grants = summary.grants;
    let each = (statuses as f64 + grants as f64) / grants as f64;
    write!(
        text,
        "API writes for each grant: {each:.2} ({statuses} to limits and locks, {grants} gates opened, {grants} grants), \
         and {events} events in all."
    )?;
    Ok(text)
}

/// Writes to limits and locks, by the API server's own count.
fn writes_of_sluice(requests: &BTreeMap<RequestKind, u64>) -> u64 {
    let ours = |kind: &RequestKind| {
        kind.is_write() && ["concurrencylimits", "locks"].contains(&kind.resource.as_str())
    };
    let counts = requests.iter().filter(|(kind, _)| ours(kind));
    counts.map(|(_, count)| count).sum()
}
