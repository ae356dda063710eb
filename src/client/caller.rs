//! Who waits for an acquisition, and until when: it is told at once when it gives up, whatever its task is at.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::BoxFuture;
use tokio::sync::{oneshot, watch};

use super::clock::Stamp;
use super::engine::Engine;
use super::error::AcquireError;
use super::events::EventKind;
use super::hold::{Hold, Wish};
use super::plan::Plan;
use super::store::{Found, Sight};

/// How long a look at what stands in the way may take before an error is told without it.
const LOOK_PATIENCE: Duration = Duration::from_secs(2);
/// Most holders that a message names.
const HOLDERS_TOLD: usize = 5;

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
    reply: Option<oneshot::Sender<Result<(), AcquireError>>>,
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
    pub(super) reply: oneshot::Sender<Result<(), AcquireError>>,
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
            EventKind::TimedOut { waited },
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
            let look = tokio::time::timeout(LOOK_PATIENCE, store.look(&wanted));
            let detail = detail(&said, &look.await.unwrap_or_default());
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

/// What stands in the way, in words.
fn detail(said: &str, sights: &[Sight]) -> String {
    let told = sights.iter().filter_map(sight);
    let said = Some(said.to_owned()).filter(|said| !said.is_empty());
    let parts: Vec<String> = said.into_iter().chain(told).collect();
    if parts.is_empty() {
        "what stands in the way cannot be read".to_owned()
    } else {
        parts.join("; ")
    }
}

fn sight(sight: &Sight) -> Option<String> {
    let what = &sight.what;
    if sight.missing {
        return Some(format!("{what} does not exist"));
    }
    let found = sight.found.as_ref()?;
    let held = match found.slots {
        Some(slots) => format!("{} of {slots} slots are held", found.held),
        None if found.held == 0 => "not held".to_owned(),
        None => "held".to_owned(),
    };
    Some(format!(
        "{what}: {held}{}{}",
        holders(found),
        match found.waiting {
            0 => String::new(),
            1 => ", 1 waits".to_owned(),
            waiting => format!(", {waiting} wait"),
        }
    ))
}

fn holders(found: &Found) -> String {
    if found.holders.is_empty() {
        return String::new();
    }
    let named = found.holders.iter().take(HOLDERS_TOLD);
    let mut text = format!(" by {}", named.cloned().collect::<Vec<_>>().join(", "));
    let more = found.holders.len().saturating_sub(HOLDERS_TOLD);
    if more > 0 {
        text.push_str(&format!(" and {more} more"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_in_the_way() {
        let full = Sight {
            what: "limit gpu".to_owned(),
            found: Some(Found {
                slots: Some(7),
                held: 7,
                waiting: 2,
                holders: (1..=7).map(|number| format!("pod p{number}")).collect(),
                tokens: Vec::new(),
            }),
            missing: false,
        };
        let missing = Sight {
            what: "lock deploy".to_owned(),
            missing: true,
            ..Sight::default()
        };
        assert_eq!(
            detail("", &[full, missing]),
            "limit gpu: 7 of 7 slots are held by pod p1, pod p2, pod p3, pod p4, pod p5 and 2 more, 2 wait; \
             lock deploy does not exist"
        );
        assert_eq!(detail("", &[]), "what stands in the way cannot be read");
        assert_eq!(detail("so it is", &[Sight::default()]), "so it is");
    }
}
