//! The task around [`decide`]: watches the Lease, carries steps out, says when the mandate changes. It
//! wakes at news and at the moment the decision named, never by polling.
//!
//! Nothing is decided here but how long a request may take. Tested in `task_tests` with a store in
//! memory and a paused clock.

use std::time::Duration;

use async_trait::async_trait;
use futures::StreamExt as _;
use futures::stream::BoxStream;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};
use tracing::{debug, info, warn};

use super::decide::{Answer, Instants, Loss, Mono, State, Step, decide};
use super::mandate::Mandate;
use super::record::{LeaseObject, Record};
use super::timing::Timing;

/// How a request about the Lease failed.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum LeaseFailure {
    /// It changed meanwhile, or was created or deleted.
    #[error("conflict: {0}")]
    Conflict(String),
    /// Anything else; it may or may not be applied.
    #[error("{0}")]
    Failed(String),
}

/// What a watch of the Lease shows.
#[derive(Clone, PartialEq, Debug)]
pub enum LeaseNews {
    /// A version of it.
    Seen(LeaseObject),
    /// It may have changed in a way the watch does not show (deleted, listed anew): read it.
    Doubt,
}

/// The one Lease of an election. Each call is one request, never repeated.
#[async_trait]
pub trait LeaseStore: Send + Sync + 'static {
    /// Reads it from the server itself.
    async fn get(&self) -> Result<Option<LeaseObject>, LeaseFailure>;
    /// Creates it; a conflict if it exists.
    async fn create(&self, record: &Record) -> Result<LeaseObject, LeaseFailure>;
    /// Replaces this very version of it.
    async fn replace(
        &self,
        base: &LeaseObject,
        record: &Record,
    ) -> Result<LeaseObject, LeaseFailure>;
    /// Watches it, for ever.
    fn watch(&self) -> BoxStream<'static, LeaseNews>;
    /// Microseconds since 1970, for people who read the Lease.
    fn wall_micros(&self) -> i64;
}

/// What a candidate stands with.
pub struct Ballot {
    /// Who it is; no two processes may share it.
    pub identity: String,
    /// How patient it is.
    pub timing: Timing,
    /// Its caches are complete: it may lead.
    pub warm: watch::Receiver<bool>,
    /// Least epoch with which every status can be written.
    pub needed: watch::Receiver<u64>,
    /// It is to leave in good order.
    pub leave: watch::Receiver<bool>,
    /// Where its mandate is shown.
    pub mandate: watch::Sender<Option<Mandate>>,
}

/// Stands for election, leads and renews, until it has lost or left. When this returns the mandate is gone.
pub async fn stand(store: impl LeaseStore, mut ballot: Ballot) -> Loss {
    let start = Instant::now();
    let clock = || Instants {
        mono: Mono(start.elapsed()),
        wall_micros: store.wall_micros(),
    };
    let mut state = State::new(ballot.identity.clone(), ballot.timing);
    let mut news = store.watch();
    loop {
        state.need_epoch(*ballot.needed.borrow_and_update());
        if *ballot.warm.borrow_and_update() {
            state.warmed();
        }
        if *ballot.leave.borrow_and_update() {
            state.leave();
        }
        let now = clock();
        let until = match decide(now, &state) {
            Step::StandDown(loss) => {
                ballot.mandate.send_replace(None);
                return loss;
            }
            Step::Wait(until) => until,
            step => {
                let answer = carry_out(&store, &state, now.mono, step).await;
                state.answered(now.mono, clock().mono, answer);
                show(&ballot.mandate, &state, start);
                continue;
            }
        };
        // A moment too far to be represented is as good as none.
        let wake = until.and_then(|Mono(until)| start.checked_add(until));
        tokio::select! {
            biased;
            shown = news.next() => match shown {
                Some(LeaseNews::Seen(lease)) => state.seen(clock().mono, lease),
                Some(LeaseNews::Doubt) => state.lost_sight(),
                None => {
                    warn!("the watch of the Lease ended, and is begun anew");
                    news = store.watch();
                    state.lost_sight();
                    tokio::time::sleep(ballot.timing.retry_period.min(left(&state, clock().mono))).await;
                }
            },
            () = changed(&mut ballot.leave) => {}
            () = changed(&mut ballot.warm) => {}
            () = changed(&mut ballot.needed) => {}
            () = sleep_or_not(wake) => {}
        }
    }
}

async fn changed<T>(receiver: &mut watch::Receiver<T>) {
    if receiver.changed().await.is_err() {
        // Nobody will say anything any more.
        std::future::pending::<()>().await;
    }
}

async fn sleep_or_not(wake: Option<Instant>) {
    match wake {
        Some(wake) => sleep_until(wake).await,
        None => std::future::pending().await,
    }
}

/// How long the mandate lasts; without one, for ever.
fn left(state: &State, now: Mono) -> Duration {
    state.mandate().map_or(Duration::MAX, |(_, Mono(until))| {
        until.saturating_sub(now.0)
    })
}

async fn carry_out(store: &impl LeaseStore, state: &State, now: Mono, step: Step) -> Answer {
    // Half a deadline, so that a lost answer leaves time for a second attempt.
    let patience = (state.timing().renew_deadline / 2).min(left(state, now));
    let request = async {
        match &step {
            Step::Read => store.get().await.map(Answer::Found),
            Step::Create(record) => store.create(record).await.map(Answer::Written),
            Step::Write(base, record) => store.replace(base, record).await.map(Answer::Written),
            Step::Wait(_) | Step::StandDown(_) => Ok(Answer::Failed),
        }
    };
    match timeout(patience, request).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(LeaseFailure::Conflict(message))) => {
            debug!(%message, "the Lease changed meanwhile");
            Answer::Conflict
        }
        Ok(Err(LeaseFailure::Failed(message))) => {
            warn!(%message, "a request about the Lease failed; may this account get, create and update it?");
            Answer::Failed
        }
        Err(_) => {
            warn!(
                ?patience,
                "a request about the Lease was not answered in time"
            );
            Answer::Failed
        }
    }
}

fn show(mandate: &watch::Sender<Option<Mandate>>, state: &State, start: Instant) {
    let next = state.mandate().and_then(|(epoch, Mono(until))| {
        let until = start.checked_add(until)?;
        Some(Mandate { epoch, until })
    });
    let before = mandate.send_replace(next).map(|before| before.epoch);
    if let Some(next) = next
        && before != Some(next.epoch)
    {
        info!(epoch = next.epoch, "this process leads");
    }
}
