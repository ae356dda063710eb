//! The life of one pod on its node, from being bound to being gone.

use jiff::Timestamp;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};

use super::report::{self, TERMINATED_BY_SIGNAL};
use super::view::{Identity, Observed};
use super::writer::Writer;

/// Why a pod stops running.
enum End {
    /// It has run for as long as it was asked to.
    Finished { exit_code: i32 },
    /// Somebody deleted it.
    Deleted,
    /// Somebody else has already declared it ended: whatever they wrote stays.
    Declared,
}

/// Does what a kubelet does to a pod, until it has ended or is gone from the API.
///
/// `pod_state` closes when the pod is gone; `answers` is false while the node is cut off from the API server: the pod runs
/// on, and what there is to report waits.
pub(super) async fn live(
    pod: Identity,
    pod_state: watch::Receiver<Observed>,
    answers: watch::Receiver<bool>,
    writer: Writer,
) {
    let gone = gone(pod_state.clone());
    tokio::select! {
        () = gone => {}
        () = run(&pod, pod_state, answers, &writer) => {}
    }
}

async fn run(
    pod: &Identity,
    mut state: watch::Receiver<Observed>,
    mut answers: watch::Receiver<bool>,
    writer: &Writer,
) {
    connected(&mut answers).await;
    let observed = state.borrow_and_update().clone();
    if observed.terminal {
        return;
    }
    let started = Timestamp::now();
    let begun = Instant::now();
    if !observed.deleting {
        writer.report(pod, &report::running(pod, started)).await;
    }
    let end = end(&mut state, begun).await;
    let exit_code = match end {
        End::Declared => return,
        End::Finished { exit_code } => exit_code,
        End::Deleted => {
            let stop_after = state.borrow().stop_after;
            sleep(stop_after).await;
            TERMINATED_BY_SIGNAL
        }
    };
    let ended = report::ended(pod, exit_code, started, Timestamp::now());
    connected(&mut answers).await;
    if state.borrow().terminal {
        return;
    }
    writer.report(pod, &ended).await;
    if state.borrow().deleting {
        writer.delete(pod).await;
    }
}

/// Waits for the end of a pod. Its annotations may change meanwhile.
async fn end(state: &mut watch::Receiver<Observed>, begun: Instant) -> End {
    loop {
        let observed = state.borrow_and_update().clone();
        if observed.terminal {
            return End::Declared;
        }
        if observed.deleting {
            return End::Deleted;
        }
        let changed = state.changed();
        let finished = async {
            match observed.run_for {
                Some(time) => sleep_until(begun + time).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            changed = changed => if changed.is_err() {
                return End::Declared;
            },
            () = finished => return End::Finished { exit_code: observed.exit_code },
        }
    }
}

/// Waits until the node reaches the API server. A node that is gone for ever never does.
async fn connected(answers: &mut watch::Receiver<bool>) {
    if answers.wait_for(|answers| *answers).await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// Waits until the pod is gone from the API.
async fn gone(mut state: watch::Receiver<Observed>) {
    while state.changed().await.is_ok() {}
}
