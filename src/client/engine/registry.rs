//! Who is counted, and who has which name: a claim's name has one task of a client at a time, so that an id acquires once.
//! Tested by `tests/it/sdk/ids.rs`.

use std::sync::Arc;

use tokio::sync::watch;

use super::Engine;
use crate::client::error::ReleaseError;
use crate::client::hold::{Hold, Wish};
use crate::client::lease::Loss;
use crate::client::news::News;
use crate::client::plan::Plan;

/// Who has a name.
pub(super) struct Named {
    pub(super) task: u64,
    pub(super) hold: Arc<Hold>,
    /// What was asked for, where this client has asked.
    pub(super) plan: Option<Arc<Plan>>,
    pub(super) news: Arc<watch::Sender<Option<News>>>,
}

/// A task's right to a name; it ends with this.
pub(in crate::client) struct Registration {
    engine: Arc<Engine>,
    task: u64,
    name: String,
    pub(in crate::client) news: watch::Receiver<Option<News>>,
}

/// A task in the count.
pub(in crate::client) struct Counted {
    pub(super) engine: Arc<Engine>,
    pub(super) task: u64,
}

impl Counted {
    /// The engine it is counted by.
    pub(in crate::client) fn engine(&self) -> &Arc<Engine> {
        &self.engine
    }

    /// Takes a name. An acquisition of this client that has it is told to leave it, and is waited for; the claim that
    /// it held then comes with the name: its former holder is known not to believe. Fails with what differs if that
    /// one was of another request, and does nothing to it.
    pub(in crate::client) async fn register(
        &self,
        name: &str,
        hold: &Arc<Hold>,
        plan: Option<&Arc<Plan>>,
    ) -> Result<(Registration, Option<String>), String> {
        let mut former = None;
        let mut changed = self.engine.changed.subscribe();
        loop {
            {
                let mut inner = self.engine.inner();
                match inner.names.get(name) {
                    None => {
                        let (news, seen) = watch::channel(None);
                        let named = Named {
                            task: self.task,
                            hold: Arc::clone(hold),
                            plan: plan.cloned(),
                            news: Arc::new(news),
                        };
                        inner.names.insert(name.to_owned(), named);
                        let registration = Registration {
                            engine: Arc::clone(&self.engine),
                            task: self.task,
                            name: name.to_owned(),
                            news: seen,
                        };
                        return Ok((registration, former));
                    }
                    Some(named) => {
                        if let (Some(plan), Some(other)) = (plan, &named.plan)
                            && let Some(difference) = plan.difference(&other.spec, "")
                        {
                            return Err(difference);
                        }
                        let uid = named.hold.uid();
                        let other = Arc::clone(&named.hold);
                        // It took the claim over itself: whoever had it before may believe still.
                        let quiet = other.lease(|lease, now| lease.is_quiet(now));
                        drop(inner);
                        other.lose(Loss::Adopted);
                        other.wish(Wish::Yield);
                        if !uid.is_empty() && quiet != Some(true) {
                            former = Some(uid);
                        }
                    }
                }
            }
            if changed.changed().await.is_err() {
                // The engine holds the other end, and we hold the engine.
                std::future::pending::<()>().await;
            }
        }
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        let mut inner = self.engine.inner();
        let own = inner.names.get(&self.name).map(|named| named.task);
        if own == Some(self.task) {
            inner.names.remove(&self.name);
        }
        drop(inner);
        self.engine.note_change();
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let hold = self.engine.inner().tasks.remove(&self.task);
        // A task that panicked leaves nobody waiting.
        if let Some(hold) = hold {
            hold.end(Err(ReleaseError::Unavailable {
                claim: hold.name().to_owned(),
                detail: "its task has ended".to_owned(),
            }));
        }
        self.engine.note_change();
    }
}
