//! The end of a client: nothing new begins, and what is under way is waited for, within a bound.
//! Tested by `tests/sdk_bodies/ending.rs` and `tests/it/sdk/ending.rs`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Engine;
use crate::client::DrainReport;
use crate::client::hold::{Hold, Wish};
use crate::client::lease::{Belief, Loss};

/// How long what is left as it is may take to end: it only has to be told so.
const LEFT_WITHIN: Duration = Duration::from_millis(500);

impl Engine {
    /// Closes, and waits for the end of everything, at most for so long.
    pub(in crate::client) async fn drain(self: &Arc<Self>, within: Duration) -> DrainReport {
        let engine = Arc::clone(self);
        let drained = self.handle.spawn(drained(engine, within)).await;
        drained.unwrap_or_default()
    }

    /// The same, for a thread that may block.
    pub(in crate::client) fn drain_blocking(self: &Arc<Self>, within: Duration) -> DrainReport {
        let (report, reported) = std::sync::mpsc::sync_channel(1);
        let engine = Arc::clone(self);
        self.handle.spawn(async move {
            let _ = report.send(drained(engine, within).await);
        });
        let patience = within.saturating_add(Duration::from_secs(1));
        reported.recv_timeout(patience).unwrap_or_default()
    }
}

async fn drained(engine: Arc<Engine>, within: Duration) -> DrainReport {
    let deadline = Instant::now() + within;
    let mut changed = engine.changed.subscribe();
    let before = {
        let inner = engine.inner();
        engine.closed.send_replace(true);
        inner.tasks.len()
    };
    loop {
        {
            let inner = engine.inner();
            if inner.tasks.is_empty() && inner.leftovers.is_empty() {
                break;
            }
        }
        let ended = tokio::time::timeout_at(deadline.into(), changed.changed());
        if ended.await.is_err() {
            break;
        }
    }
    let (tasks, leftovers): (Vec<(u64, Arc<Hold>)>, Vec<String>) = {
        let inner = engine.inner();
        let tasks = inner.tasks.iter();
        let tasks = tasks
            .map(|(task, hold)| (*task, Arc::clone(hold)))
            .collect();
        (tasks, inner.leftovers.iter().cloned().collect())
    };
    let mut report = DrainReport {
        ended: before.saturating_sub(tasks.len()),
        unreleased: leftovers,
        ..DrainReport::default()
    };
    let mut left = Vec::new();
    for (task, hold) in tasks {
        let belief = hold.belief();
        if belief == Some(Belief::Lost) {
            hold.wish(Wish::Detach);
            left.push(task);
        } else if hold.wished() == Wish::Keep && belief.is_some() {
            report.held.push(hold.name().to_owned());
            engine.leave_alone(&hold.uid());
            hold.lose(Loss::Closed);
            hold.wish(Wish::Detach);
            left.push(task);
        } else {
            report.unreleased.push(hold.name().to_owned());
        }
    }
    // They ask the server nothing more. What they had in this process, their names too, is free when this returns.
    let ended = async {
        while left.iter().any(|it| engine.inner().tasks.contains_key(it)) {
            if changed.changed().await.is_err() {
                break;
            }
        }
    };
    let _ = tokio::time::timeout(LEFT_WITHIN, ended).await;
    report.held.sort_unstable();
    report.unreleased.sort_unstable();
    report
}
