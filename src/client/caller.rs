//! Who waits for an acquisition, and until when: it is told at once when it gives up, whatever its task is at.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::BoxFuture;
use tokio::sync::watch;

use super::clock::Stamp;
use super::detail;
use super::engine::{Engine, Reply};
use super::error::AcquireError;
use super::events::EventKind;
use super::hold::{Hold, Wish};
use super::plan::Plan;

/// How long a look at what stands in the way may take before an error is told without it.
const LOOK_PATIENCE: Duration = Duration::from_secs(2);

/// Why nobody waits any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum GaveUp {
    /// Its time is over.
    TimedOut,
    /// Its token was cancelled.
    Cancelled,
    /// The client is being closed.
    Closed,
    /// Its guard was dropped, or taken over.
    Wished,
}

/// Who waits.
pub(super) struct Caller {
    engine: Arc<Engine>,
    hold: Arc<Hold>,
    plan: Arc<Plan>,
    reply: Option<Reply>,
    begun: Stamp,
    deadline: Option<Instant>,
    tried_once: bool,
    cancel: Option<BoxFuture<'static, ()>>,
    closing: watch::Receiver<bool>,
    wishes: watch::Receiver<Wish>,
    gave_up: Option<GaveUp>,
}

/// How a caller waits.
pub(super) struct Patience {
    pub(super) time: Option<Duration>,
    pub(super) tried_once: bool,
    pub(super) cancel: Option<BoxFuture<'static, ()>>,
    pub(super) reply: Reply,
}

impl Caller {
    pub(super) fn new(
        engine: &Arc<Engine>,
        hold: &Arc<Hold>,
        plan: Arc<Plan>,
        patience: Patience,
    ) -> Self {
        let deadline = patience
            .time
            .and_then(|time| Instant::now().checked_add(time));
        Self {
            engine: Arc::clone(engine),
            hold: Arc::clone(hold),
            plan,
            reply: Some(patience.reply),
            begun: engine.now(),
            deadline,
            tried_once: patience.tried_once,
            cancel: patience.cancel,
            closing: engine.closing(),
            wishes: hold.wishes(),
            gave_up: None,
        }
    }

    /// Does something to its end; who gives up meanwhile is told at once.
    pub(super) async fn attend<T>(&mut self, work: impl Future<Output = T>) -> T {
        let mut work = std::pin::pin!(work);
        if self.gave_up.is_none() {
            tokio::select! {
                biased;
                done = &mut work => return done,
                why = self.impatient() => self.give_up(why),
            }
        }
        work.await
    }

    /// Waits until nobody waits any more.
    pub(super) async fn impatient(&mut self) -> GaveUp {
        if let Some(why) = self.gave_up {
            return why;
        }
        let deadline = self.deadline;
        let late = async {
            match deadline {
                Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
                None => std::future::pending().await,
            }
        };
        let cancel = self.cancel.as_mut();
        let cancelled = async {
            match cancel {
                Some(cancel) => cancel.await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            _ = self.wishes.wait_for(|wish| *wish != Wish::Keep) => GaveUp::Wished,
            _ = self.closing.wait_for(|closing| *closing) => GaveUp::Closed,
            () = cancelled => GaveUp::Cancelled,
            () = late => GaveUp::TimedOut,
        }
    }

    /// Whether nobody waits any more.
    pub(super) fn has_given_up(&self) -> bool {
        self.gave_up.is_some()
    }

    /// How long it has waited.
    pub(super) fn waited(&self) -> Duration {
        self.engine.now().at_most_since(self.begun)
    }

    /// Nobody waits any more: says so to whoever listens.
    pub(super) fn give_up(&mut self, why: GaveUp) {
        if self.gave_up.is_some() {
            return;
        }
        self.gave_up = Some(why);
        match why {
            GaveUp::Wished if self.hold.wished() == Wish::Yield => {
                self.answer(Err(AcquireError::IdConflict {
                    id: self.hold.name().to_owned(),
                    detail: "a later acquisition of this client has taken it over".to_owned(),
                }));
            }
            GaveUp::Wished => self.reply = None,
            GaveUp::Closed => self.answer(Err(AcquireError::Closed)),
            GaveUp::Cancelled => {
                let request = self.plan.shown.clone();
                self.answer(Err(AcquireError::Cancelled { request }));
            }
            GaveUp::TimedOut if self.tried_once => {
                let why = format!(
                    "{}: no controller has answered within {} s; is it running?",
                    self.plan.shown,
                    self.waited().as_secs()
                );
                self.answer(Err(AcquireError::Unavailable(why)));
            }
            GaveUp::TimedOut => self.timed_out(""),
        }
    }

    /// It holds: says so. False if nobody listens any more.
    pub(super) fn succeed(&mut self) -> bool {
        match self.reply.take() {
            Some(reply) => reply.send(Ok(())).is_ok(),
            None => false,
        }
    }

    /// It came to nothing.
    pub(super) fn fail(&mut self, error: AcquireError) {
        self.gave_up.get_or_insert(GaveUp::Wished);
        self.answer(Err(error));
    }

    /// It waited for as long as it was willing to; `said` is the controller's word.
    pub(super) fn timed_out(&mut self, said: &str) {
        self.gave_up.get_or_insert(GaveUp::TimedOut);
        let waited = self.waited();
        self.engine.events().emit(
            self.hold.name(),
            Some(&self.hold.uid())
                .filter(|uid| !uid.is_empty())
                .map(String::as_str),
            &self.plan.shown,
            || EventKind::TimedOut { waited },
        );
        let request = self.plan.shown.clone();
        self.explain(said, move |detail| AcquireError::Timeout {
            request,
            waited,
            detail,
        });
    }

    /// The controller has denied it.
    pub(super) fn denied(&mut self, reason: &str, said: &str) {
        self.gave_up.get_or_insert(GaveUp::Wished);
        let request = self.plan.shown.clone();
        let reason = reason.to_owned();
        self.explain(said, move |detail| {
            if reason.ends_with("NotFound") {
                AcquireError::Missing { request, detail }
            } else {
                AcquireError::Denied {
                    request,
                    reason,
                    detail,
                }
            }
        });
    }

    /// Looks at what stands in the way, and answers with it.
    fn explain(&mut self, said: &str, error: impl FnOnce(String) -> AcquireError + Send + 'static) {
        let Some(reply) = self.reply.take() else {
            return;
        };
        let store = Arc::clone(self.engine.store());
        let (wanted, said) = (self.plan.wanted(), said.to_owned());
        self.engine.spawn(async move {
            let look = detail::look(store.as_ref(), &wanted);
            let sights = tokio::time::timeout(LOOK_PATIENCE, look).await;
            let detail = detail::detail(&said, &sights.unwrap_or_default());
            // Whoever has gone meanwhile needs no answer.
            let _ = reply.send(Err(error(detail)));
        });
    }

    fn answer(&mut self, answer: Result<(), AcquireError>) {
        if let Some(reply) = self.reply.take() {
            // Whoever has gone meanwhile needs no answer.
            let _ = reply.send(answer);
        }
    }
}
