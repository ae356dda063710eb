//! The caller's side of an acquisition: it waits for the I/O thread's word, and for nothing else.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;

use super::engine::{Begin, Begun};
use super::error::{AcquireError, RunError, TryAcquireError};
use super::handle::Client;
use super::request::Request;
use super::resume;
use super::slots::{ClaimRef, Slots};

/// Longest that a try waits for the controller's answer, which it gives within five seconds if it lives.
const TRY_PATIENCE: Duration = Duration::from_secs(15);
/// Pause between tries, before it is made longer or shorter by up to a half.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// An acquisition under way. Dropping it gives up.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let client = sluice::client::Client::embedded([("gpu", 2)])?;
/// use std::time::Duration;
///
/// let waiting = client.concurrency("gpu").acquire();      // nothing is sent before it is polled
/// let slots = tokio::time::timeout(Duration::from_secs(5), waiting).await??;
/// # Ok(())
/// # }
/// ```
#[must_use = "futures do nothing unless awaited"]
pub struct Acquisition(BoxFuture<'static, Result<Slots, AcquireError>>);

impl Future for Acquisition {
    type Output = Result<Slots, AcquireError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.poll_unpin(context)
    }
}

impl fmt::Debug for Acquisition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Acquisition").finish_non_exhaustive()
    }
}

/// Starts an acquisition.
pub(super) fn acquire(request: Request) -> Acquisition {
    Acquisition(match request.max_retries {
        Some(retries) => again(request, retries).boxed(),
        None => wait(request).boxed(),
    })
}

/// Tries once.
pub(super) async fn try_acquire(mut request: Request) -> Result<Slots, TryAcquireError> {
    request.draft.timeout = Some(Duration::ZERO);
    match wait(request).await {
        Ok(slots) => Ok(slots),
        Err(AcquireError::Timeout {
            request, detail, ..
        }) => Err(TryAcquireError::Full { request, detail }),
        Err(error) => Err(error.into()),
    }
}

/// Runs a body while it holds.
pub(super) async fn run<T, E, F>(request: Request, body: F) -> Result<T, RunError<E>>
where
    F: AsyncFnOnce(&Slots) -> Result<T, E>,
{
    let slots = acquire(request).await?;
    let ended = {
        let lost = slots.lost();
        let body = body(&slots);
        tokio::select! {
            biased;
            loss = lost => Err(RunError::Lost(loss)),
            ended = body => ended.map_err(RunError::Body),
        }
    };
    // The body has its result; where the release cannot be acknowledged, the lease runs out by itself.
    if let Err(error) = slots.release().await {
        tracing::warn!(target: "sluice::client", %error, "released after a body, without an answer");
    }
    ended
}

/// What was taken from a rate limit is not given back: the claim is finished, as it is.
pub(super) fn take(slots: Slots) {
    drop(slots);
}

async fn again(request: Request, retries: u32) -> Result<Slots, AcquireError> {
    let started = request.client.engine().now();
    let mut left = retries;
    loop {
        let clock = Arc::clone(request.client.engine());
        match try_acquire(request.clone()).await {
            Ok(slots) => return Ok(slots),
            Err(TryAcquireError::Acquire(error)) => return Err(error),
            Err(TryAcquireError::Full { request, detail }) if left == 0 => {
                return Err(AcquireError::Timeout {
                    request,
                    waited: clock.now().at_most_since(started),
                    detail: format!(
                        "not free at any of {} tries: {detail}",
                        retries.saturating_add(1)
                    ),
                });
            }
            Err(TryAcquireError::Full { .. }) => left -= 1,
        }
        clock
            .pause(RETRY_PAUSE.mul_f64(0.5 + fastrand::f64()))
            .await;
    }
}

async fn wait(request: Request) -> Result<Slots, AcquireError> {
    begin(request)?.held().await
}

/// Begins what was asked for; what asks for nothing is held.
fn begin(request: Request) -> Result<Begun, AcquireError> {
    let Some(plan) = request.draft.plan()? else {
        return Ok(Begun {
            slots: Slots::nothing(),
            answer: None,
        });
    };
    let engine = Arc::clone(request.client.engine());
    let tried_once = plan.timeout == Some(Duration::ZERO);
    let patience = match plan.timeout {
        Some(Duration::ZERO) => Some(TRY_PATIENCE),
        timeout => timeout,
    };
    let begun = engine.begin(Begin {
        plan,
        patience,
        tried_once,
        cancel: request.cancel.as_ref().map(|cancel| cancel.cancelled()),
    })?;
    if let (Some(tracker), Some(hold)) = (&request.tracker, begun.slots.hold()) {
        tracker.add(hold);
    }
    Ok(begun)
}

/// Takes up what was detached.
pub(super) async fn resume(client: &Client, claim: ClaimRef) -> Result<Slots, AcquireError> {
    let name = claim.name.clone();
    let pod = client.pod().cloned();
    let begun = client.engine().launch(&name, |counted, hold, reply| {
        resume::resume(counted, hold, claim, pod, reply).boxed()
    })?;
    begun.held().await
}
