//! Acquiring: once for each holder, whoever of its threads and processes asks.

use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use futures::future::{Either, select};
use tokio::sync::oneshot;

use super::pair::Pair;
use super::{Guard, LockError, Locks};
use crate::api::claim::MAX_HOLDER_LENGTH;
use crate::client::error::{AcquireError, TryAcquireError};
use crate::client::slots::Slots;
use crate::client::store::StoreError;

/// How often a claim of the same holder elsewhere is looked at while it waits.
const ELSEWHERE_EVERY: Duration = Duration::from_millis(250);

impl Locks {
    pub(super) async fn acquire_pair(
        &self,
        pair: &Pair<'_>,
        timeout: Option<Duration>,
        hold: Option<Duration>,
    ) -> Result<bool, LockError> {
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        let left = || deadline.map(|at| at.saturating_duration_since(Instant::now()));
        let entry = self.entry(&pair.id);
        // Another thread of this holder may be acquiring it.
        let guard = match left() {
            None => Some(entry.lock().await),
            Some(left) if left.is_zero() => entry.try_lock().ok(),
            Some(left) => {
                let pause = Box::pin(self.client.engine().pause(left));
                match select(Box::pin(entry.lock()), pause).await {
                    Either::Left((guard, _)) => Some(guard),
                    Either::Right(_) => None,
                }
            }
        };
        let Some(mut guard) = guard else {
            return Ok(false);
        };
        if guard.as_ref().is_some_and(|it| it.slots.check().is_ok()) {
            // Another process of this holder may have released it a moment ago; where nobody says so, the lease counts.
            let known = self.granted(pair).await;
            if !matches!(known, Ok(None)) {
                return Ok(true);
            }
        }
        // What was lost is given back before it is asked for again.
        *guard = None;
        loop {
            if self.is_held_elsewhere(pair).await? {
                return Ok(true);
            }
            match self
                .ask(pair, timeout.map(|_| left().unwrap_or_default()), hold)
                .await
            {
                Ok(slots) => {
                    *guard = Some(self.watched(&pair.id, slots));
                    return Ok(true);
                }
                Err(AcquireError::Timeout { .. }) => return Ok(false),
                Err(AcquireError::Missing { .. }) if self.create(pair).await? => {}
                // The same holder waits for it elsewhere, with other times.
                Err(AcquireError::IdConflict { .. }) => {
                    if left().is_some_and(|left| left.is_zero()) {
                        return Ok(false);
                    }
                    self.client.engine().pause(ELSEWHERE_EVERY).await;
                }
                Err(error) => return Err(pair.failed(error)),
            }
        }
    }

    /// Asks for the lock.
    async fn ask(
        &self,
        pair: &Pair<'_>,
        timeout: Option<Duration>,
        hold: Option<Duration>,
    ) -> Result<Slots, AcquireError> {
        // It is this process's for as long as that lives, wherever it runs.
        let request = self.client.request().no_pod();
        let mut request = request.lock(&pair.lock).id(&pair.id);
        request = request.holder(
            pair.holder
                .chars()
                .take(MAX_HOLDER_LENGTH)
                .collect::<String>(),
        );
        if let Some(hold) = hold {
            request = request.max_hold(hold);
        }
        match timeout {
            None => request.no_timeout().acquire().await,
            Some(Duration::ZERO) => match request.try_acquire().await {
                Ok(slots) => Ok(slots),
                Err(TryAcquireError::Full { request, detail }) => Err(AcquireError::Timeout {
                    request,
                    waited: Duration::ZERO,
                    detail,
                }),
                Err(TryAcquireError::Acquire(error)) => Err(error),
            },
            Some(timeout) => request.timeout(timeout).acquire().await,
        }
    }

    /// Creates the lock, if it is to be created; whether to ask again.
    async fn create(&self, pair: &Pair<'_>) -> Result<bool, LockError> {
        let Some(template) = &self.template else {
            return Ok(false);
        };
        let (lock, template) = (pair.lock.clone(), template.clone());
        let created = self
            .sent(|store| async move { store.create_lock(&lock, &template).await })
            .await;
        match created {
            Ok(()) | Err(StoreError::Exists(_)) => Ok(true),
            Err(StoreError::Forbidden(why)) => Err(pair.failed(AcquireError::Forbidden(why))),
            Err(error) => Err(pair.failed(AcquireError::Unavailable(error.to_string()))),
        }
    }

    /// Keeps a guard until it is released, or lost.
    fn watched(&self, id: &str, slots: Slots) -> Guard {
        let (watched, unwatched) = oneshot::channel();
        let (lost, uid) = (slots.lost(), slots.uid());
        let (held, id) = (Arc::downgrade(&self.held), id.to_owned());
        self.client.engine().spawn(async move {
            if let Either::Right(_) = select(Box::pin(lost), unwatched).await {
                return;
            }
            let Some(held) = held.upgrade() else { return };
            let entry = held
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .get(&id)
                .cloned();
            let Some(entry) = entry else { return };
            let mut guard = entry.lock().await;
            if guard.as_ref().is_some_and(|it| it.slots.uid() == uid) {
                // Nobody works under it but who was told its hold time.
                *guard = None;
            }
        });
        Guard {
            slots,
            _watched: watched,
        }
    }

    /// Whether the same holder has it through somebody else.
    async fn is_held_elsewhere(&self, pair: &Pair<'_>) -> Result<bool, LockError> {
        Ok(self.granted(pair).await?.is_some())
    }
}
